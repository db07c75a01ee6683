"""Read all of a list: every page of a cursor, every window of a span (fact 15)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from datetime import datetime, timedelta
from typing import TypeVar

from eternal_engine.exchange.bybit.wire import Shape, next_cursor, parse_list
from eternal_engine.model.errors import BadReply

R = TypeVar("R")
Params = dict[str, object]
Fetch = Callable[[Params], Awaitable[Mapping[str, object]]]

MAX_PAGES = 1_000


async def all_pages(
    fetch: Fetch,
    params: Params,
    shape: Shape[R],
    where: str,
    defaults: Mapping[str, object] | None = None,
    symbols: Collection[str] | None = None,
) -> tuple[R, ...]:
    """Follow the cursor to its end; with `symbols` rows of other symbols are passed over unread.

    Raises BadReply when a cursor comes back twice or never ends: a partial list would be taken for the whole.
    """
    rows: list[R] = []
    seen: set[str] = set()
    cursor = ""
    while True:
        result = await fetch({**params, "cursor": cursor} if cursor else params)
        page = result.get("list")
        rows.extend(parse_list(shape, _only(page, symbols), where, defaults))
        cursor = next_cursor(result, where)
        # A cursor may point behind the last row: an empty page is the end whatever it says (1.1).
        if not cursor or not page:
            return tuple(rows)
        if cursor in seen or len(seen) >= MAX_PAGES:
            raise BadReply(
                "the pages do not end", field="nextPageCursor", value=cursor[:80], where=where, mend="ask again"
            )
        seen.add(cursor)


def _only(rows: object, symbols: Collection[str] | None) -> object:
    if symbols is None or not isinstance(rows, list):
        return rows
    return [row for row in rows if not isinstance(row, Mapping) or row.get("symbol") in symbols]


def windows(start: datetime, end: datetime, longest: timedelta) -> Iterator[tuple[datetime, datetime]]:
    """Cut [start, end] into windows no longer than `longest`; neighbours share their boundary instant."""
    at = start
    while True:
        upto = min(at + longest, end)
        yield at, upto
        if upto >= end:
            return
        at = upto
