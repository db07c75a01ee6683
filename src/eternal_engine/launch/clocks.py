"""Exchange time for each mode: the wall clock, a venue moved by hand here or in another process, a venue followed."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Final

from eternal_engine import clock

if TYPE_CHECKING:
    from eternal_engine.simulator.server.world import World

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)
# A wait is cut into parts, so that a clock that is set is noticed.
LONGEST_WAIT_S: Final = 60.0
SHORTEST_WAIT_S: Final = 0.002
LOOK_AGAIN_S: Final = 0.2


def to_ms(at: datetime) -> int:
    """Give milliseconds since the epoch, rounded up: who waits for them does not wake too early."""
    return -((_EPOCH - at) // _MS)


def from_ms(ms: int) -> datetime:
    """Give the instant so many milliseconds after the epoch."""
    return _EPOCH + ms * _MS


class WallClock:
    """Live by the wall clock, corrected by what the exchange's answers tell of its own (demo, live, live prices)."""

    def __init__(
        self,
        offset_ms: Callable[[], int | None] = lambda: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._offset_ms = offset_ms
        self._sleep = sleep

    def now(self) -> datetime:
        """Return exchange time."""
        return clock.now() + (self._offset_ms() or 0) * _MS

    async def sleep(self, seconds: float) -> None:
        """Wait so many seconds."""
        await self._sleep(seconds)

    async def sleep_until(self, at: datetime) -> None:
        """Wait until exchange time is at or past `at`, looking again now and then: the wall clock may be set."""
        while (left_s := (at - self.now()).total_seconds()) > 0:
            await self._sleep(min(max(left_s, SHORTEST_WAIT_S), LONGEST_WAIT_S))


class VirtualClock:
    """Move an exchange of this process to the instant somebody waits for: `--speed max`.

    Of several sleepers the earliest moves time first. A task that waits for anything else (a disk, a thread) is not
    seen, so whoever must not be overtaken does not sleep beside others.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._sleepers: list[tuple[int, int]] = []
        self._numbers = count()
        self._one_is_gone = asyncio.Event()

    def now(self) -> datetime:
        """Return venue time."""
        return from_ms(self._world.venue.state.now_ms)

    async def sleep(self, seconds: float) -> None:
        """Let so many seconds of venue time pass."""
        await self.sleep_until(self.now() + timedelta(seconds=seconds))

    async def sleep_until(self, at: datetime) -> None:
        """Let venue time pass until `at`, through everything that lies between."""
        mine = (to_ms(at), next(self._numbers))
        heapq.heappush(self._sleepers, mine)
        try:
            # Siblings that are about to sleep get their turn to say until when.
            await asyncio.sleep(0)
            while self._sleepers[0] != mine and self._world.venue.state.now_ms < mine[0]:
                await self._one_is_gone.wait()
            if self._world.venue.state.now_ms < mine[0]:
                self._world.step_to(mine[0], quiet=True)
        finally:
            self._sleepers.remove(mine)
            heapq.heapify(self._sleepers)
            self._one_is_gone.set()
            self._one_is_gone = asyncio.Event()


class SteppingClock:
    """Move an exchange in another process to the instant somebody waits for, at most `speed` times as fast as ours.

    Between two steps its time stands still, so a slow machine makes the run slower and never another one: orders meet
    the very prices they would meet in this process. `advance` moves it to an instant (ms) and gives where it stands;
    while it raises ConnectionError or TimeoutError the sleeper waits.
    """

    def __init__(
        self,
        advance: Callable[[int], Awaitable[int]],
        first_ms: int,
        speed: float,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._advance = advance
        self._speed = speed
        self._sleep = sleep
        self._now_ms = first_ms
        self._stepped_at_s = clock.monotonic()
        self._turn = asyncio.Lock()

    def now(self) -> datetime:
        """Return venue time."""
        return from_ms(self._now_ms)

    async def sleep(self, seconds: float) -> None:
        """Wait so many seconds of venue time."""
        await self.sleep_until(self.now() + timedelta(seconds=seconds))

    async def sleep_until(self, at: datetime) -> None:
        """Wait as long as the speed asks for, then move the exchange to `at`."""
        until_ms = to_ms(at)
        async with self._turn:
            while self._now_ms < until_ms:
                passed_s = clock.monotonic() - self._stepped_at_s
                left_s = (until_ms - self._now_ms) / 1000 / self._speed - passed_s
                if left_s > 0:
                    await self._sleep(min(left_s, LONGEST_WAIT_S))
                    continue
                try:
                    self._now_ms = await self._advance(until_ms)
                except (ConnectionError, TimeoutError):
                    await self._sleep(LOOK_AGAIN_S)
                    continue
                self._stepped_at_s = clock.monotonic()


class FollowingClock:
    """Follow the time of an embedded exchange in another process, which runs by itself, `speed` times as fast as ours.

    Between two looks time is computed; a sleep ends only when the exchange itself says that the instant is there.
    `look` asks it for its time in milliseconds and raises ConnectionError or TimeoutError while it does not answer:
    then time stands still here as it does there, and sleepers wait.
    """

    def __init__(
        self,
        look: Callable[[], Awaitable[int]],
        first_ms: int,
        speed: float,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._look = look
        self._speed = speed
        self._sleep = sleep
        self._seen_ms = first_ms
        self._seen_at_s = clock.monotonic()
        self._latest_ms = first_ms
        self._stands = False

    def now(self) -> datetime:
        """Return venue time, which never goes back."""
        if not self._stands:
            passed_ms = int((clock.monotonic() - self._seen_at_s) * self._speed * 1000)
            self._latest_ms = max(self._latest_ms, self._seen_ms + passed_ms)
        return from_ms(self._latest_ms)

    async def sleep(self, seconds: float) -> None:
        """Wait so many seconds of venue time."""
        await self.sleep_until(self.now() + timedelta(seconds=seconds))

    async def sleep_until(self, at: datetime) -> None:
        """Wait until the exchange's own time is at or past `at`."""
        until_ms = to_ms(at)
        while True:
            left_s = (until_ms - to_ms(self.now())) / 1000 / self._speed
            if self._stands or left_s > 0:
                await self._sleep(LOOK_AGAIN_S if self._stands else min(max(left_s, SHORTEST_WAIT_S), LONGEST_WAIT_S))
            found_ms = await self._seen()
            if found_ms is not None and found_ms >= until_ms:
                return
            if found_ms is not None and self._latest_ms >= until_ms:
                await self._sleep(SHORTEST_WAIT_S)  # the computed time ran ahead

    async def _seen(self) -> int | None:
        try:
            found_ms = await self._look()
        except (ConnectionError, TimeoutError):
            self.now()
            self._stands = True
            return None
        self._seen_ms, self._seen_at_s, self._stands = found_ms, clock.monotonic(), False
        return found_ms
