"""The bus never blocks the engine, whatever its observers do (observers are functions of frozen events)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from structlog.testing import capture_logs

from eternal_engine.model.event import DaemonStopped, Event
from eternal_engine.observe.bus import BATCH, Bus

AT = datetime(2024, 1, 1, tzinfo=UTC)


def events(count: int, start: int = 0) -> list[Event]:
    return [DaemonStopped(AT, str(start + number)) for number in range(count)]


class Seeing:
    def __init__(self, name: str = "seeing", fails: int = 0) -> None:
        self.name = name
        self.seen: list[Event] = []
        self.fails = fails

    async def see(self, batch: Sequence[Event]) -> None:
        if self.fails:
            self.fails -= 1
            raise ValueError("the observer broke")
        self.seen += batch


class Hanging:
    name = "hanging"

    async def see(self, batch: Sequence[Event]) -> None:
        await asyncio.Event().wait()


async def test_every_observer_sees_every_event_in_order_and_the_last_ones_at_the_end() -> None:
    observers = [Seeing("one"), Seeing("two")]
    bus = Bus(observers)
    bus.offer(*events(BATCH + 3))
    running = asyncio.create_task(bus.run())
    await asyncio.sleep(0.01)
    bus.offer(*events(2, start=1000))
    await bus.close(running)
    expected = events(BATCH + 3) + events(2, start=1000)
    assert [observer.seen for observer in observers] == [expected, expected]


async def test_a_full_queue_drops_the_oldest_counts_it_and_says_so() -> None:
    observer = Seeing()
    bus = Bus([observer], capacity=3)
    bus.offer(*events(5))
    with capture_logs() as lines:
        running = asyncio.create_task(bus.run())
        await bus.close(running)
    assert observer.seen == events(3, start=2)
    assert bus.dropped == 2
    assert [line["dropped"] for line in lines if line["event"] == "observer_missed_events"] == [2]


async def test_a_failing_observer_costs_a_log_line_and_the_others_nothing() -> None:
    broken, sound = Seeing("broken", fails=5), Seeing("sound")
    bus = Bus([broken, sound])
    with capture_logs() as lines:
        running = asyncio.create_task(bus.run())
        for number in range(6):
            bus.offer(*events(1, start=number))
            await asyncio.sleep(0.002)
        await bus.close(running)
    assert sound.seen == events(6)
    assert broken.seen == events(1, start=5), "it goes on with the next event"
    # 1, 2 and 4: a broken observer does not fill the disk
    assert [line["failures"] for line in lines if line["event"] == "observer_failed"] == [1, 2, 4]
    assert bus.failures == 5


async def test_a_hanging_observer_delays_neither_an_offer_nor_the_end() -> None:
    sound = Seeing()
    bus = Bus([Hanging(), sound], capacity=100)
    running = asyncio.create_task(bus.run())
    await asyncio.sleep(0)
    loop = asyncio.get_running_loop()
    before = loop.time()
    bus.offer(*events(1000))
    await bus.close(running, within_s=0.1)
    assert loop.time() - before < 1.0
    assert running.cancelled()


async def test_observers_rest_before_they_look_and_see_the_last_events_at_the_end() -> None:
    observer = Seeing()
    bus = Bus([observer], rest_s=60.0)
    running = asyncio.create_task(bus.run())
    await asyncio.sleep(0.01)
    bus.offer(*events(1))
    await asyncio.sleep(0.01)
    seen_early = len(observer.seen)
    bus.offer(*events(1, start=1))
    await bus.close(running)
    assert (seen_early, len(observer.seen)) == (0, 2)
