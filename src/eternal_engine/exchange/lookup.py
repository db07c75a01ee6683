"""Resolve an unknown outcome: look the order up by its id until it shows, or until it can no longer arrive (3.4)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from eternal_engine import clock
from eternal_engine.exchange.orders import OrderLookup
from eternal_engine.exchange.port import Exchange
from eternal_engine.exchange.terms import Market

WAITS_S = (0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0)
# An order not seen anywhere for so long, after its signature ran out, was never taken in.
SETTLED_AFTER = timedelta(seconds=30)
RECV_WINDOW = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Resolution:
    """Hold the end of a look-up. `may_resend`: the order is nowhere and can arrive no more; the *same* id may go again.

    Neither found nor `may_resend` means that it is still unknown: look again later, send nothing.
    """

    lookup: OrderLookup
    may_resend: bool


async def resolve(
    exchange: Exchange,
    market: Market,
    client_order_id: str,
    *,
    sent_at: datetime,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    now: Callable[[], datetime] = clock.now,
) -> Resolution:
    """Look an order up after 0.5, 1, 2, 4 s and on, at least until 30 s after it was sent.

    `sent_at` is when it was sent last, by the clock that `now` reads; that clock is the exchange's, give or take its
    offset. Raises the exchange branch of the error tree
    when a look-up fails: then nothing is known, and nothing may be sent.
    """
    for wait_s in WAITS_S:
        await sleep(wait_s)
        lookup = await exchange.find_order(market, client_order_id)
        if lookup.found:
            return Resolution(lookup, may_resend=False)
        if now() - sent_at >= SETTLED_AFTER and await exchange.server_time() > sent_at + RECV_WINDOW:
            # The list may lag behind the clock: only a look after the last possible arrival counts.
            lookup = await exchange.find_order(market, client_order_id)
            return Resolution(lookup, may_resend=not lookup.found)
    return Resolution(lookup, may_resend=False)
