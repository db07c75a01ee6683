"""The daemon's day: decide each completed hour, carry out what is pending, and end where it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from typing import Final

from eternal_engine import clock
from eternal_engine.engine.timing import Clock, hour_of, hour_start
from eternal_engine.engine.trading_engine import TradingEngine
from eternal_engine.model.errors import EternalError

LOOK_AGAIN_S: Final = 0.5


class HourLoop:
    """Drive a TradingEngine. One task: hours, pending work and comparisons never run beside each other.

    `until` is exchange time: the run ends after the last bar that closes by then. `wake` asks for a round of pending
    work before the next hour, `compare` for a comparison with the exchange, `stop` ends the loop after what it is doing
    now. `take_up` runs once, when the market has been read and before anything is sent. While `is_paused` nothing is
    decided or sent, but comparisons are made: a line that came back waits for one (ORD-6).
    """

    def __init__(
        self,
        engine: TradingEngine,
        clock: Clock,
        *,
        until: datetime | None = None,
        before_hour: Callable[[], Awaitable[None]] | None = None,
        after_hour: Callable[[], Awaitable[None]] | None = None,
        take_up: Callable[[], Awaitable[None]] | None = None,
        compare: Callable[[], Awaitable[None]] | None = None,
        is_paused: Callable[[], bool] = lambda: False,
        beat: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._until_h = None if until is None else hour_of(until)
        self._before_hour = before_hour
        self._after_hour = after_hour
        self._take_up = take_up
        self._compare = compare
        self._is_paused = is_paused
        self._asked: list[asyncio.Future[None]] = []
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

    async def compare(self) -> None:
        """Have all accounts compared with the exchange between two pieces of work. Raises what the comparison does."""
        asked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asked.append(asked)
        self._woken.set()
        await asked

    def stop(self) -> None:
        """End after what is being done now."""
        self._stopped = True
        self._woken.set()

    async def run(self) -> None:
        """Live hour by hour until `until` or `stop`."""
        self._busy_since_s = clock.monotonic()
        await self._engine.prepare()
        if self._take_up is not None:
            await self._take_up()
        await self._engine.work()
        while not self._stopped:
            await self._pause()
            now_h = hour_of(self._clock.now())
            if self._until_h is not None and now_h >= self._until_h:
                self.hours += await self._engine.live_through(self._until_h, decides_last=False)
                self.is_done = True
                return
            if self._before_hour is not None:
                await self._before_hour()
                # It may have learnt that this machine's clock was wrong: an hour that is not over is not lived.
                now_h = min(now_h, hour_of(self._clock.now()))
            self.hours += await self._engine.live_through(now_h)
            self._beat(now_h)
            if self._after_hour is not None:
                await self._after_hour()
            self._busy_since_s = None
            await self._wait(hour_start(now_h + 1))
            self._busy_since_s = clock.monotonic()

    async def _pause(self) -> None:
        """Decide nothing while the line is down; a comparison that ends the pause is made here."""
        await self._answer()
        while self._is_paused() and not self._stopped:
            self._busy_since_s = None  # who waits for the line is not stuck
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), LOOK_AGAIN_S)
            self._woken.clear()
            await self._answer()
        self._busy_since_s = clock.monotonic()

    async def _answer(self) -> None:
        """Make the comparison that was asked for, and tell all who asked how it went."""
        asked, self._asked = self._asked, []
        if not asked or self._compare is None:
            for waiting in asked:
                waiting.set_result(None)
            return
        try:
            await self._compare()
        except EternalError as error:
            for waiting in asked:
                if not waiting.done():
                    waiting.set_exception(error)
            return
        for waiting in asked:
            if not waiting.done():
                waiting.set_result(None)

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
                    await self._answer()
                    if not self._is_paused():
                        await self._engine.work()
            if sleeping.done():
                sleeping.result()
        finally:
            if not sleeping.done():
                sleeping.cancel()
                with suppress(asyncio.CancelledError):
                    await sleeping
