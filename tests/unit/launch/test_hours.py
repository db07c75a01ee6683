"""The loop over hours: decide each, wake for pending work, end where it is told to."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from eternal_engine.engine.timing import hour_of
from eternal_engine.launch.hours import HourLoop
from eternal_engine.model.errors import Retry

T0 = datetime(2024, 1, 1, tzinfo=UTC)
H0 = hour_of(T0)


class HandClock:
    """Jump to whatever is waited for, or stand still."""

    def __init__(self, at: datetime = T0, *, stands: bool = False) -> None:
        self.at = at
        self.stands = stands

    def now(self) -> datetime:
        return self.at

    async def sleep(self, seconds: float) -> None:
        await self.sleep_until(self.at + timedelta(seconds=seconds))

    async def sleep_until(self, at: datetime) -> None:
        while self.stands:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        self.at = max(self.at, at)


class FakeEngine:
    """Write down what the loop asks for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int, bool]] = []
        self.rounds = 0
        self.cycle_h = 0

    async def prepare(self) -> None:
        self.asked.append(("start", 0, True))

    async def live_through(self, until_h: int, *, decides_last: bool = True) -> int:
        self.asked.append(("hour", until_h, decides_last))
        before, self.cycle_h = self.cycle_h or until_h - 1, until_h if decides_last else until_h - 1
        return self.cycle_h - before

    async def work(self) -> None:
        self.rounds += 1


def a_loop(engine: FakeEngine, clock: HandClock, **more: Any) -> HourLoop:
    anything: Any = engine
    return HourLoop(anything, clock, **more)


async def test_u_2_it_starts_at_once_decides_each_hour_and_only_marks_the_last() -> None:
    engine, beats = FakeEngine(), []
    loop = a_loop(engine, HandClock(), until=T0 + timedelta(hours=3), beat=beats.append)
    await loop.run()
    hours = [("hour", H0 + n, True) for n in range(3)]
    assert engine.asked == [("start", 0, True), *hours, ("hour", H0 + 3, False)]
    assert beats == [H0, H0 + 1, H0 + 2]
    assert (loop.is_done, loop.hours) == (True, 3)


async def test_k4_hours_that_were_missed_and_made_up_for_in_one_round_all_count() -> None:
    engine = FakeEngine()
    engine.cycle_h = H0 - 5
    loop = a_loop(engine, HandClock(), until=T0 + timedelta(hours=2))
    await loop.run()
    assert loop.hours == 5 + 1
    engine.cycle_h = H0 + 1 - 3
    ended_before_it_began = a_loop(engine, HandClock(T0 + timedelta(hours=2)), until=T0 + timedelta(hours=2))
    await ended_before_it_began.run()
    assert ended_before_it_began.hours == 3


async def test_a_start_inside_an_hour_waits_for_its_end_before_the_next_decision() -> None:
    engine, clock = FakeEngine(), HandClock(T0 + timedelta(minutes=20))
    await a_loop(engine, clock, until=T0 + timedelta(hours=1)).run()
    assert [row[1] for row in engine.asked[1:]] == [H0, H0 + 1]
    assert clock.at == T0 + timedelta(hours=1)


async def test_ord_9_a_stop_while_waiting_ends_at_once_without_another_decision() -> None:
    engine = FakeEngine()
    loop = a_loop(engine, HandClock(stands=True))
    task = asyncio.create_task(loop.run())
    await asyncio.sleep(0.01)
    assert loop.busy_s is None
    loop.stop()
    await asyncio.wait_for(task, 1)
    assert engine.asked == [("start", 0, True), ("hour", H0, True)]
    assert not loop.is_done


async def test_a_wake_makes_a_round_of_pending_work_at_once_and_never_a_decision() -> None:
    engine = FakeEngine()
    loop = a_loop(engine, HandClock(stands=True))
    task = asyncio.create_task(loop.run())
    await asyncio.sleep(0.01)
    loop.wake()
    loop.wake()
    await asyncio.sleep(0.01)
    assert engine.rounds == 2  # the start's, and one for both wakes
    loop.wake()
    await asyncio.sleep(0.01)
    assert engine.rounds == 3
    loop.stop()
    await task
    assert len(engine.asked) == 2


async def test_what_breaks_an_hour_comes_out_of_the_loop() -> None:
    class Broken(FakeEngine):
        async def live_through(self, until_h: int, *, decides_last: bool = True) -> int:
            raise KeyError("a defect")

    with pytest.raises(KeyError):
        await a_loop(Broken(), HandClock()).run()


async def test_how_long_an_hour_takes_can_be_seen() -> None:
    seen: list[float | None] = []
    loop: HourLoop

    async def before() -> None:
        seen.append(loop.busy_s)

    loop = a_loop(FakeEngine(), HandClock(), until=T0 + timedelta(hours=1), before_hour=before)
    await loop.run()
    assert [value is not None and value >= 0 for value in seen] == [True]


async def test_ord_6_nothing_is_decided_while_the_line_is_down_and_a_comparison_ends_it() -> None:
    engine, down, compared = FakeEngine(), [True], []

    async def compare() -> None:
        compared.append(len(engine.asked))
        down.clear()

    loop = a_loop(engine, HandClock(), until=T0 + timedelta(hours=2), compare=compare, is_paused=lambda: bool(down))
    task = asyncio.create_task(loop.run())
    await asyncio.sleep(0.02)
    assert engine.asked == [("start", 0, True)]
    await loop.compare()
    await task
    assert compared == [1]
    assert len(engine.asked) == 4


async def test_ord_6_a_daemon_that_waits_for_the_line_for_hours_is_not_stuck() -> None:
    engine, down, seen = FakeEngine(), [True], []

    async def before() -> None:
        seen.append(loop.busy_s is not None)

    loop = a_loop(engine, HandClock(), until=T0 + timedelta(hours=1), is_paused=lambda: bool(down), before_hour=before)
    task = asyncio.create_task(loop.run())
    await asyncio.sleep(0.02)
    assert loop.busy_s is None, "systemd's watchdog would end it"
    down.clear()
    loop.wake()
    await task
    assert seen == [True]


async def test_u_2_an_hour_that_a_wrong_clock_believed_over_is_not_lived() -> None:
    engine, clock = FakeEngine(), HandClock(T0 + timedelta(hours=3))

    async def before() -> None:
        # This machine's clock was set three hours ahead, and the exchange's own time says so.
        if not engine.asked[1:]:
            clock.at = T0 + timedelta(minutes=10)

    await a_loop(engine, clock, until=T0 + timedelta(hours=5), before_hour=before).run()
    assert [row[1] - H0 for row in engine.asked[1:]] == [0, 1, 2, 3, 4, 5]


async def test_core_12_a_start_takes_up_before_anything_is_sent() -> None:
    engine, rounds = FakeEngine(), []

    async def take_up() -> None:
        rounds.append(engine.rounds)

    await a_loop(engine, HandClock(), until=T0 + timedelta(hours=1), take_up=take_up).run()
    assert rounds == [0]


async def test_a_comparison_that_fails_tells_whoever_asked_and_the_loop_goes_on() -> None:
    async def compare() -> None:
        raise Retry("no line")

    engine = FakeEngine()
    loop = a_loop(engine, HandClock(stands=True), compare=compare)
    task = asyncio.create_task(loop.run())
    await asyncio.sleep(0.01)
    with pytest.raises(Retry):
        await loop.compare()
    loop.stop()
    await task
