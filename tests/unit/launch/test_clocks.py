"""The clocks a daemon can live by."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from contract_arena import NOW, Arena
from eternal_engine.launch import clocks
from eternal_engine.launch.clocks import FollowingClock, VirtualClock, WallClock, from_ms, to_ms

T0 = datetime(2024, 1, 1, tzinfo=UTC)


class FakeTime:
    """Stand in for the wall clock and the monotonic one."""

    def __init__(self) -> None:
        self.at = T0
        self.waits: list[float] = []

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return (self.at - T0).total_seconds()

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.at += timedelta(seconds=seconds)
        await asyncio.sleep(0)


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> FakeTime:
    fake = FakeTime()
    monkeypatch.setattr(clocks, "clock", fake)
    return fake


def test_times_round_up_to_milliseconds_and_come_back() -> None:
    assert to_ms(T0) == 1_704_067_200_000
    assert to_ms(T0 + timedelta(microseconds=1)) == 1_704_067_200_001
    assert from_ms(to_ms(T0)) == T0


async def test_e_the_wall_clock_is_corrected_by_the_exchanges_own(wall: FakeTime) -> None:
    mine = WallClock(lambda: -700, wall.sleep)
    assert mine.now() == T0 - timedelta(milliseconds=700)
    await mine.sleep_until(T0 + timedelta(hours=1))
    assert mine.now() == T0 + timedelta(hours=1)
    assert max(wall.waits) == 60.0
    await mine.sleep_until(T0)
    assert mine.now() == T0 + timedelta(hours=1)


async def test_the_virtual_clock_moves_the_exchange_to_the_instant_and_no_further() -> None:
    arena = await Arena.open()
    try:
        mine = VirtualClock(arena.world)
        assert mine.now() == NOW
        await mine.sleep_until(NOW + timedelta(hours=3))
        assert mine.now() == arena.now == NOW + timedelta(hours=3)
        await mine.sleep_until(NOW)
        assert mine.now() == NOW + timedelta(hours=3)
        await mine.sleep(0.5)
        assert mine.now() == NOW + timedelta(hours=3, milliseconds=500)
    finally:
        await arena.close()


async def test_of_several_virtual_sleepers_the_earliest_wakes_first_at_its_own_time() -> None:
    arena = await Arena.open()
    woke: list[tuple[str, datetime]] = []

    async def sleeper(name: str, minutes: float) -> None:
        await mine.sleep_until(NOW + timedelta(minutes=minutes))
        woke.append((name, mine.now()))

    try:
        mine = VirtualClock(arena.world)
        await asyncio.gather(sleeper("late", 90), sleeper("early", 1), sleeper("middle", 30))
    finally:
        await arena.close()
    assert woke == [(name, NOW + timedelta(minutes=m)) for name, m in (("early", 1), ("middle", 30), ("late", 90))]


class Venue:
    """An exchange in another process: its time runs 3600 times as fast, unless it is down."""

    def __init__(self, wall: FakeTime) -> None:
        self.wall = wall
        self.down = False
        self.lost_ms = 0

    async def look(self) -> int:
        if self.down:
            raise ConnectionRefusedError
        return int(to_ms(T0) + self.wall.monotonic() * 3_600_000) - self.lost_ms


async def test_a_following_sleeper_wakes_when_the_exchange_itself_is_there(wall: FakeTime) -> None:
    venue = Venue(wall)
    mine = FollowingClock(venue.look, to_ms(T0), 3600.0, wall.sleep)
    wall.at += timedelta(seconds=1)
    assert mine.now() == T0 + timedelta(hours=1)
    venue.lost_ms = 600_000
    await mine.sleep_until(T0 + timedelta(hours=2))
    assert await venue.look() >= to_ms(T0 + timedelta(hours=2))
    assert T0 + timedelta(hours=2) <= mine.now() < T0 + timedelta(hours=2, minutes=5)


async def test_while_the_exchange_is_down_time_stands_and_it_never_goes_back(wall: FakeTime) -> None:
    venue = Venue(wall)
    mine = FollowingClock(venue.look, to_ms(T0), 3600.0, wall.sleep)
    waiting = asyncio.create_task(mine.sleep_until(T0 + timedelta(hours=1)))
    venue.down = True
    for _ in range(50):
        await asyncio.sleep(0)
    stood = mine.now()
    for _ in range(50):
        await asyncio.sleep(0)
    assert mine.now() == stood
    assert not waiting.done()
    # It comes back where its file left it: a little earlier than we thought.
    venue.lost_ms = int(wall.monotonic() * 3_600_000) - 1_800_000
    venue.down = False
    await asyncio.wait_for(waiting, 10)
    assert mine.now() >= stood
    assert await venue.look() >= to_ms(T0 + timedelta(hours=1))
