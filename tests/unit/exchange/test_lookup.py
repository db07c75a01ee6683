"""The look-up procedure on a clock that only its own waits move."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from eternal_engine.exchange.lookup import WAITS_S, resolve
from eternal_engine.exchange.orders import OrderLookup
from eternal_engine.exchange.terms import Market
from eternal_engine.model.errors import Retry

SENT = datetime(2025, 1, 1, tzinfo=UTC)


class Venue:
    """An exchange that shows an order from `shows_at` on (None: never)."""

    def __init__(self, shows_s: float | None, lag_s: float = 0.0, broken_at: int = 0) -> None:
        self.now = SENT
        self.lag = timedelta(seconds=lag_s)
        self.shows_at = None if shows_s is None else SENT + timedelta(seconds=shows_s)
        self.looks = 0
        self.broken_at = broken_at
        self.waits: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += timedelta(seconds=seconds)

    async def server_time(self) -> datetime:
        return self.now - self.lag

    async def find_order(self, market: Market, client_order_id: str) -> OrderLookup:
        self.looks += 1
        if self.looks == self.broken_at:
            raise Retry("the look-up failed")
        shown = self.shows_at is not None and self.now >= self.shows_at
        report: Any = object() if shown else None
        return OrderLookup(client_order_id, report, (), self.now)


async def run(venue: Venue) -> Any:
    exchange: Any = venue
    return await resolve(exchange, Market.PERP, "x", sent_at=SENT, sleep=venue.sleep, now=lambda: venue.now)


@pytest.mark.parametrize(("shows_s", "waits"), [(0.0, [0.5]), (3.0, [0.5, 1.0, 2.0]), (20.0, list(WAITS_S[:6]))])
async def test_3_4_an_order_is_found_when_it_shows(shows_s: float, waits: list[float]) -> None:
    venue = Venue(shows_s)
    found = await run(venue)
    assert found.lookup.found
    assert not found.may_resend
    assert venue.waits == waits


async def test_3_4_an_order_seen_nowhere_for_thirty_seconds_may_be_sent_again_with_its_id() -> None:
    venue = Venue(None)
    found = await run(venue)
    assert found.may_resend
    assert venue.now - SENT >= timedelta(seconds=30)
    assert venue.looks == len(WAITS_S) + 1  # one more after the last possible arrival


async def test_ord2_while_the_exchange_clock_says_it_may_still_arrive_nothing_is_sent() -> None:
    venue = Venue(None, lag_s=60)
    found = await run(venue)
    assert not found.lookup.found
    assert not found.may_resend


async def test_ord2_an_order_that_shows_in_the_last_look_is_found() -> None:
    venue = Venue(31.5)
    found = await run(venue)
    assert found.lookup.found
    assert not found.may_resend


async def test_ord2_a_look_up_that_fails_resolves_nothing() -> None:
    venue = Venue(None, broken_at=3)
    with pytest.raises(Retry):
        await run(venue)
