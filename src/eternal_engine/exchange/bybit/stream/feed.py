"""The streams of one account or of the public market as one sequence of events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from eternal_engine import clock
from eternal_engine.exchange.bybit.client import Credentials
from eternal_engine.exchange.bybit.stream.mailbox import Mailbox
from eternal_engine.exchange.bybit.stream.private import PrivateDesk
from eternal_engine.exchange.bybit.stream.public import PublicDesk
from eternal_engine.exchange.bybit.stream.socket import Socket, SocketSettings
from eternal_engine.exchange.events import StreamEvent, StreamState
from eternal_engine.exchange.port import MarketSource, TradingAccount
from eternal_engine.exchange.terms import Market

# The demo host has no public streams (bybit-v5 4): public data always comes from the main site.
PUBLIC_URL = "wss://stream.bybit.com/v5/public"
DEMO_PRIVATE_URL = "wss://stream-demo.bybit.com/v5/private"
LIVE_PRIVATE_URL = "wss://stream.bybit.com/v5/private"
# Linear tickers come every 100 ms; half a minute without any is a dead stream, whatever the pongs say.
PUBLIC_DATA_STALE_S = 30.0


@dataclass(frozen=True, slots=True)
class PublicPlan:
    """Say which candles and tickers to follow; `known`: see PublicDesk, per market."""

    spot: Collection[str] = ()
    perp: Collection[str] = ()
    interval: timedelta = timedelta(hours=1)
    known: Mapping[Market, Mapping[str, datetime]] | None = None


class Feed:
    """Run sockets and deliver their events to one consumer, in `exchange.port.EventSource`'s sense."""

    def __init__(self, mailbox: Mailbox, sockets: Collection[Socket]) -> None:
        self._mailbox = mailbox
        self._sockets = tuple(sockets)
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def is_live(self) -> bool:
        """Tell whether every stream is connected and caught up."""
        return all(socket.state is StreamState.LIVE for socket in self._sockets)

    def start(self) -> None:
        """Start the sockets; `events` does it too."""
        if not self._tasks:
            self._tasks = [asyncio.create_task(socket.run()) for socket in self._sockets]
            for task in self._tasks:
                task.add_done_callback(self._ended)

    async def events(self) -> AsyncIterator[StreamEvent]:
        """Iterate over events until `stop`.

        Raises what ended a socket otherwise: a mistake of this program, never a lost connection.
        """
        self.start()
        while (event := await self._mailbox.take()) is not None:
            yield event
        for task in self._tasks:
            if task.done() and not task.cancelled():
                task.result()

    async def stop(self) -> None:
        """Close the sockets and end the iteration."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task
        self._mailbox.close()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            # Its STOPPED event is in the box already; closing lets the consumer meet the exception itself.
            self._mailbox.close()


def public_feed(
    source: MarketSource,
    plan: PublicPlan,
    *,
    url: str = PUBLIC_URL,
    settings: SocketSettings | None = None,
    bound: int = 10_000,
    now: Callable[[], datetime] = clock.now,
) -> Feed:
    """Build the feed of tickers and completed candles; `url` ends before "/spot" and "/linear"."""
    mailbox = Mailbox(bound)
    settings = settings or replace(SocketSettings(), data_stale_s=PUBLIC_DATA_STALE_S)
    sockets = []
    for market, symbols, word in ((Market.SPOT, plan.spot, "spot"), (Market.PERP, plan.perp, "linear")):
        if symbols:
            known = (plan.known or {}).get(market)
            desk = PublicDesk(market, symbols, mailbox, source, interval=plan.interval, known=known, now=now)
            sockets.append(Socket(f"public {word}", f"{url.rstrip('/')}/{word}", desk, mailbox, settings=settings))
    return Feed(mailbox, sockets)


def private_feed(
    account: TradingAccount,
    credentials: Credentials,
    *,
    url: str,
    since: datetime | None = None,
    settings: SocketSettings | None = None,
    bound: int = 10_000,
    now: Callable[[], datetime] = clock.now,
) -> Feed:
    """Build the feed of one account's orders, executions, positions and wallet."""
    mailbox = Mailbox(bound)
    desk = PrivateDesk(mailbox, account, since=since, now=now)
    socket = Socket(
        f"private {account.account}",
        url,
        desk,
        mailbox,
        credentials=(credentials.key, credentials.secret),
        settings=settings,
    )
    return Feed(mailbox, [socket])
