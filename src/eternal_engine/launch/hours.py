"""The daemon's day: decide each completed hour, carry out what is pending, and end where it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime

from eternal_engine import clock
from eternal_engine.engine.timing import Clock, hour_of, hour_start
from eternal_engine.engine.trading_engine import TradingEngine


class HourLoop:
    """Drive a TradingEngine. One task: hours, pending work and comparisons never run beside each other.

    `until` is exchange time: the run ends after the last bar that closes by then. `wake` asks for a round of pending
    work before the next hour, `stop` ends the loop after what it is doing now.
    """

    def __init__(
        self,
        engine: TradingEngine,
        clock: Clock,
        *,
        until: datetime | None = None,
        before_hour: Callable[[], Awaitable[None]] | None = None,
        beat: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._until_h = None if until is None else hour_of(until)
        self._before_hour = before_hour
        self._beat = beat
        self._woken = asyncio.Event()
        self._stopped = False
        self._busy_since_s: float | None = None
        self.hours = 0
        self.is_done = False

    @property
    def busy_s(self) -> float | None:
        """Give how long the present hour's work has taken, None while waiting."""
        return None if self._busy_since_s is None else clock.monotonic() - self._busy_since_s

    def wake(self) -> None:
        """Ask for a round of pending work."""
        self._woken.set()

    def stop(self) -> None:
        """End after what is being done now."""
        self._stopped = True
        self._woken.set()

    async def run(self) -> None:
        """Live hour by hour until `until` or `stop`."""
        self._busy_since_s = clock.monotonic()
        await self._engine.start()
        while not self._stopped:
            now_h = hour_of(self._clock.now())
            if self._until_h is not None and now_h >= self._until_h:
                await self._engine.live_through(self._until_h, decides_last=False)
                self.is_done = True
                return
            if self._before_hour is not None:
                await self._before_hour()
            await self._engine.live_through(now_h)
            self.hours += 1
            self._beat(now_h)
            self._busy_since_s = None
            await self._wait(hour_start(now_h + 1))
            self._busy_since_s = clock.monotonic()

    async def _wait(self, at: datetime) -> None:
        """Wait for the next hour; what is woken meanwhile is worked on at once."""
        sleeping = asyncio.ensure_future(self._clock.sleep_until(at))
        try:
            while not (sleeping.done() or self._stopped):
                waking = asyncio.ensure_future(self._woken.wait())
                try:
                    await asyncio.wait((sleeping, waking), return_when=asyncio.FIRST_COMPLETED)
                finally:
                    waking.cancel()
                if self._woken.is_set() and not self._stopped:
                    self._woken.clear()
                    await self._engine.work()
            if sleeping.done():
                sleeping.result()
        finally:
            if not sleeping.done():
                sleeping.cancel()
                with suppress(asyncio.CancelledError):
                    await sleeping
