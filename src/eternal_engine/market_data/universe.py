"""The universe file: from when until when each coin belongs to what may be traded (no survivor's hindsight)."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from eternal_engine.model.errors import DataError

FILE_NAME = "universe.csv"
HEADER = ("symbol", "listed", "delisted")
MEND = "write the header symbol,listed,delisted and one line a coin, dates as YYYY-MM-DD, delisted may be empty"


@dataclass(frozen=True)
class Membership:
    """Hold when one coin may be traded: [listed_ms, delisted_ms), -1 for not delisted."""

    listed_ms: int
    delisted_ms: int


def read_universe(directory: Path) -> dict[str, Membership] | None:
    """Read DIR/universe.csv into symbol -> membership, None if there is no such file. Raises DataError if it is bad."""
    path = directory / FILE_NAME
    if not path.is_file():
        return None
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"the universe file cannot be read: {error}", where=str(path), mend=MEND) from error
    if not lines or tuple(cell.strip() for cell in lines[0]) != HEADER:
        raise DataError("the universe file has no header symbol,listed,delisted", where=str(path), mend=MEND)
    members: dict[str, Membership] = {}
    for number, line in enumerate(lines[1:], start=2):
        if not any(cell.strip() for cell in line):
            continue
        where = f"{path}, line {number}"
        symbol, membership = _membership(line, where)
        if symbol in members:
            raise DataError(f"{symbol} appears twice", where=where, mend="keep one line a coin")
        members[symbol] = membership
    return members


def _membership(line: list[str], where: str) -> tuple[str, Membership]:
    if len(line) != len(HEADER) or not line[0].strip():
        raise DataError(f"a line needs 3 fields, here are {len(line)}", where=where, mend=MEND)
    listed_ms = _day_ms(line[1], where)
    delisted_ms = _day_ms(line[2], where) if line[2].strip() else -1
    if delisted_ms != -1 and delisted_ms <= listed_ms:
        raise DataError("delisted is not after listed", where=where, mend="correct the two dates")
    return line[0].strip(), Membership(listed_ms, delisted_ms)


def _day_ms(text: str, where: str) -> int:
    try:
        day = date.fromisoformat(text.strip())
    except ValueError as error:
        raise DataError(f"{text.strip()!r} is not a date", where=where, mend=MEND) from error
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000
