"""The bounded queue between the streams and their one consumer. Nothing that matters is dropped in silence."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque

from eternal_engine.exchange.events import StreamEvent, StreamProblem, StreamStateChanged, TickerSeen

NOTICE_BOUND = 1_000
NOTICES = (StreamStateChanged, StreamProblem)


class MailboxFull(Exception):
    """Say that the consumer is too slow: the stream must reconnect and catch up."""


class Mailbox:
    """Queue events in order; of each symbol's tickers only the newest waits, behind everything else.

    A full box refuses facts (MailboxFull) instead of losing them. Notices (states, problems) keep their place among
    the facts, so that LIVE comes after what was caught up; beyond a bound of their own the oldest notice goes.
    """

    def __init__(self, bound: int = 10_000) -> None:
        self._bound = bound
        self._queue: deque[StreamEvent] = deque()
        self._notices = 0
        self._tickers: OrderedDict[tuple[str, str], TickerSeen] = OrderedDict()
        self._closed = False
        self._filled = asyncio.Event()
        self._drained = asyncio.Event()

    def __len__(self) -> int:
        """Return how many events wait."""
        return len(self._queue) + len(self._tickers)

    @property
    def is_full(self) -> bool:
        """Tell whether the next fact would be refused."""
        return len(self._queue) - self._notices >= self._bound

    def offer(self, event: StreamEvent) -> None:
        """Add an event at once.

        Raises MailboxFull for a fact when the box is full.
        """
        if isinstance(event, TickerSeen):
            self._tickers[event.ticker.market, event.ticker.symbol] = event
        elif isinstance(event, NOTICES):
            self._queue.append(event)
            self._notices += 1
            if self._notices > NOTICE_BOUND:
                self._queue.remove(next(each for each in self._queue if isinstance(each, NOTICES)))
                self._notices -= 1
        elif self.is_full:
            raise MailboxFull(f"{self._bound} events wait for the consumer")
        else:
            self._queue.append(event)
        self._filled.set()

    async def put(self, event: StreamEvent) -> None:
        """Add an event, waiting for room."""
        while self.is_full:
            self._drained.clear()
            await self._drained.wait()
        self.offer(event)

    def close(self) -> None:
        """Let the consumer take what is left and then end."""
        self._closed = True
        self._filled.set()

    async def take(self) -> StreamEvent | None:
        """Return the next event, None after the end."""
        while (event := self._next()) is None and not self._closed:
            self._filled.clear()
            await self._filled.wait()
        return event

    def drain(self) -> list[StreamEvent]:
        """Return at once all that waits."""
        events = []
        while (event := self._next()) is not None:
            events.append(event)
        return events

    def _next(self) -> StreamEvent | None:
        if self._queue:
            event = self._queue.popleft()
            self._notices -= isinstance(event, NOTICES)
            self._drained.set()
            return event
        return self._tickers.popitem(last=False)[1] if self._tickers else None
