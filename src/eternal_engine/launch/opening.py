"""Open the books of accounts the journal knows nothing of (a first start, or a lost database)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from eternal_engine.engine.adopt import LOOK_BACK, held_back, open_account
from eternal_engine.engine.findings import Alert
from eternal_engine.engine.memory import Memory
from eternal_engine.engine.ownership import Owners
from eternal_engine.engine.recorder import Make, Recorder
from eternal_engine.engine.snapshot import horizon_of, take_prices, take_snapshot
from eternal_engine.exchange.terms import Market
from eternal_engine.launch.place import Place
from eternal_engine.model.event import BookEntry, Event
from eternal_engine.model.ids import Account
from eternal_engine.model.instrument import InstrumentRules
from eternal_engine.storage.projection import Projection

# An account's first instant is told in milliseconds.
ROUNDING: Final = timedelta(seconds=1)


def owners_of(place: Place, core_weights: Mapping[str, Decimal]) -> Owners:
    """Say whose coins are whose: CORE_HODL's own account holds its ten coins, never orphans (ORD-7)."""
    rules: dict[tuple[Market, str], InstrumentRules] = {
        (market, symbol): row
        for market, table in ((Market.SPOT, place.table.spot), (Market.PERP, place.table.perp))
        for symbol, row in table.items()
    }
    return Owners(rules, frozenset(core_weights))


async def open_books(
    place: Place, recorder: Recorder, owners: Owners, symbols: tuple[str, ...], interval_h: int
) -> tuple[Alert, ...]:
    """Open every account that has no books yet, each in one transaction; give what a person must know.

    Raises the exchange branch of the error tree; a later start goes on where this one stopped.
    """
    closed = [account for account in place.ports if horizon_of(recorder.projection, account) is None]
    if not closed:
        return ()
    prices = await take_prices(place.ports[closed[0]], symbols)
    now = place.clock.now()
    since = looked_at_since(now, place.opened_at)
    looking = (take_snapshot(place.ports[account], account, since, now) for account in closed)
    alerts: list[Alert] = []
    for account, snapshot in zip(closed, await asyncio.gather(*looking), strict=True):
        opening = open_account(snapshot, owners, prices)
        if account is not Account.CORE_HODL:
            await recorder.append(*opening.events)
        else:
            books = recorder.projection.books
            for event in opening.events:
                books = books.apply(event).books if isinstance(event, BookEntry) else books
            waiting = held_back(snapshot, books, prices, symbols, interval_h)
            await recorder.commit(_opened(opening.events, waiting))
        alerts += opening.alerts
    return tuple(alerts)


def looked_at_since(now: datetime, opened_at: datetime | None) -> datetime:
    """Give from when history is read: an account that was opened later has none before."""
    return now - LOOK_BACK if opened_at is None else max(now - LOOK_BACK, opened_at - ROUNDING)


def _opened(events: Sequence[Event], waiting: tuple[tuple[int, int], ...]) -> Make:
    """Open the books and hold coins back in one transaction: a crash in between would buy them again."""

    def make(memory: Memory, _: Projection) -> tuple[Memory, Sequence[Event]]:
        return replace(memory, held_back=waiting), events

    return make
