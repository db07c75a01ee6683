"""Pages of newest-first lists behind opaque cursors that stay right while new rows arrive."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar
from urllib.parse import unquote

from eternal_engine.simulator.server.signing import is_digits
from eternal_engine.simulator.venue import VenueReject

Row = TypeVar("Row")
Mark = tuple[int, int]


def page(rows: Sequence[Row], mark: Callable[[Row], Mark], cursor: str, limit: int) -> tuple[list[Row], str]:
    """Cut one page off rows sorted by falling `mark`; the cursor names the last row shown, "" ends the paging."""
    if cursor:
        last = _read(cursor)
        rows = [row for row in rows if mark(row) < last]
    shown = list(rows[:limit])
    if len(rows) <= limit:
        return shown, ""
    time_ms, number = mark(shown[-1])
    return shown, f"{time_ms}%3A{number}%2C{time_ms}%3A{number}"


def _read(cursor: str) -> Mark:
    text = cursor
    while "%" in text and unquote(text) != text:
        text = unquote(text)
    first, _, number = text.partition(",")[0].partition(":")
    if not (is_digits(first) and is_digits(number)):
        raise VenueReject(10001, "params error: cursor invalid")
    return int(first), int(number)
