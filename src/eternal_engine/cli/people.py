"""Write amounts, times and tables for people; scripts have `--json`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from eternal_engine.model.money import short_text
from eternal_engine.storage.times import read_time

UNKNOWN = "unknown"
NOTHING = "–"
# A pipe has no width: rows stay whole for grep, and nothing is padded far beyond them.
PIPE_COLUMNS = 160


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    right: Iterable[int] = (),
    whole: Iterable[int] = (),
    gap: int = 2,
) -> Table:
    """Draw a plain table; `right` are the columns of numbers, `whole` those that are never broken."""
    drawn = Table(box=None, pad_edge=False, show_edge=False, header_style="dim", padding=(0, gap, 0, 0))
    numbers, unbroken = frozenset(right), frozenset(whole)
    for index, column in enumerate(columns):
        drawn.add_column(
            Text(column),
            justify="right" if index in numbers else "left",
            overflow="fold",
            no_wrap=index in unbroken,
        )
    for row in rows:
        drawn.add_row(*(cell if isinstance(cell, Text) else Text("" if cell is None else str(cell)) for cell in row))
    return drawn


class Fitting:
    """Draw the wide form where there is room for `columns`, else the narrow one."""

    def __init__(self, wide: RenderableType, narrow: RenderableType, columns: int) -> None:
        self._wide, self._narrow, self._columns = wide, narrow, columns

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self._wide if options.max_width >= self._columns else self._narrow


def titled(title: str, body: RenderableType | None, *, empty: str = "none") -> Group:
    """Put a title over a table; without one, say so."""
    return Group(Text(), Text(title, style="bold"), Text(empty, style="dim") if body is None else body)


def facts(rows: Iterable[tuple[str, Any]]) -> Table:
    """Draw labels and what they stand for."""
    drawn = Table(box=None, pad_edge=False, show_edge=False, show_header=False, padding=(0, 2, 0, 0))
    drawn.add_column(style="dim", no_wrap=True)
    drawn.add_column(overflow="fold")
    for label, value in rows:
        drawn.add_row(label, value if isinstance(value, Text) else Text(NOTHING if value is None else str(value)))
    return drawn


def console() -> Console:
    """Make the console that verbs print to; COLUMNS names another width."""
    found = Console(highlight=False)
    if not found.is_terminal and "COLUMNS" not in os.environ:
        found.width = PIPE_COLUMNS
    return found


def usdt(amount: str | None, *, sign: bool = False) -> str:
    """Write an amount of USDT with two digits and thousands separators; None is unknown."""
    if amount is None:
        return UNKNOWN
    value = Decimal(amount)
    return f"{value:{'+' if sign and round(value, 2) else ''},.2f}"


def gain(amount: str | None) -> Text:
    """Write a result with its sign, green above zero and red below."""
    style = "" if amount is None or not Decimal(amount) else "green" if Decimal(amount) > 0 else "red"
    return Text(usdt(amount, sign=True), style=style)


def percent(fraction: str | None) -> str:
    """Write a fraction as a percentage with two digits; None is unknown."""
    return UNKNOWN if fraction is None else f"{Decimal(fraction) * 100:.2f} %"


def number(value: str | None) -> str:
    """Write a quantity or price: six digits that count below 1, fewer fractions above, thousands apart."""
    if value is None:
        return NOTHING
    found = Decimal(value)
    if abs(found) < 1:
        return short_text(round(found, 5 - found.adjusted())) if found else "0"
    written = short_text(round(found, 2 if abs(found) >= 1000 else 4))
    whole, dot, rest = written.partition(".")
    return f"{int(whole):,}{dot}{rest}"


def moment(at: str | None) -> str:
    """Write a stored time to the second, in UTC."""
    return NOTHING if at is None else f"{read_time(at):%Y-%m-%d %H:%M:%S}"


def span(seconds: float | None) -> str:
    """Write a length of time in its two largest units."""
    if seconds is None:
        return UNKNOWN
    left = int(seconds)
    parts: list[str] = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count or (parts and len(parts) < 2):
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"


def until(at: str | None, now: str | None) -> str:
    """Write a time and how far away it is."""
    if at is None or now is None:
        return moment(at)
    seconds = _apart(read_time(at), read_time(now))
    words = "now" if seconds == 0 else f"in {span(seconds)}" if seconds > 0 else f"{span(-seconds)} ago"
    return f"{moment(at)} UTC ({words})"


def _apart(first: datetime, second: datetime) -> int:
    return int((first - second).total_seconds())
