"""The line to the exchange: what waited for it goes on as soon as the accounts are compared (ORD-6)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from builders import a_fill
from engine_bench import OWNERS, a_bench
from eternal_engine.config.sections import Daemon
from eternal_engine.exchange.capability import Environment
from eternal_engine.launch import caretaker
from eternal_engine.launch.caretaker import Caretaker
from eternal_engine.model.errors import Retry
from eternal_engine.model.event import ConnectionLost, ConnectionRestored, Event, Filled
from eternal_engine.model.ids import Account, Engine, Leg, OrderKey, Symbol
from eternal_engine.strategies import core_hodl

AT = datetime(2024, 1, 2, tzinfo=UTC)
TODAY = datetime(2026, 11, 23, tzinfo=UTC)  # a recorded market's time is another


async def test_ord_6_the_engine_is_woken_when_the_pause_has_ended_and_not_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[Event] = []
    woken: list[bool] = []
    answers: list[Any] = [Retry("no route"), AT]
    time_s = iter([0.0, 31.0, 40.0])

    async def server_time() -> datetime:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return cast("datetime", answer)

    async def append(*events: Event) -> None:
        told.extend(events)

    async def compare() -> None:
        assert keeper.is_paused

    place = SimpleNamespace(
        pumps={},
        ports={Account.MASTER: SimpleNamespace(server_time=server_time)},
        environment=Environment.PAPER,
        clock=SimpleNamespace(now=lambda: AT),
        waiting=SimpleNamespace(sleep=None),
    )
    recorder = SimpleNamespace(append=append)
    monkeypatch.setattr(caretaker, "clock", SimpleNamespace(now=lambda: TODAY, monotonic=lambda: next(time_s)))
    crew = SimpleNamespace(recorder=recorder, engine=SimpleNamespace(lockouts=None))
    keeper = Caretaker(cast("Any", place), cast("Any", crew), OWNERS, lambda _: None, Daemon())
    keeper.duties(compare, lambda: woken.append(keeper.is_paused))
    health = keeper._health
    assert health is not None
    await health.check()
    assert keeper.is_paused
    assert (woken, [type(event) for event in told]) == ([], [ConnectionLost])
    await health.check()
    assert [type(event) for event in told] == [ConnectionLost, ConnectionRestored]
    assert {event.at for event in told} == {AT}
    assert woken == [False]


async def test_the_configuration_says_how_often_the_line_is_looked_at_and_accounts_are_compared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            raise asyncio.CancelledError

    async def server_time() -> datetime:
        return AT

    async def compare() -> None:
        return

    place = SimpleNamespace(
        pumps={},
        ports={Account.MASTER: SimpleNamespace(server_time=server_time)},
        environment=Environment.PAPER,
        clock=SimpleNamespace(now=lambda: AT),
        waiting=SimpleNamespace(sleep=None),
    )
    crew = SimpleNamespace(recorder=None, engine=SimpleNamespace(lockouts=None))
    rhythm = Daemon(ping_interval_s=3, reconcile_interval_s=77)
    keeper = Caretaker(cast("Any", place), cast("Any", crew), OWNERS, lambda _: None, rhythm)
    _, comparison = keeper.duties(compare, lambda: None)
    monkeypatch.setattr("asyncio.sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        await comparison.run()
    assert waits == [77, 77]
    assert keeper._health is not None
    waits.clear()
    with pytest.raises(asyncio.CancelledError):
        await keeper._health.run(sleep)
    assert waits == [3, 3]


@pytest.mark.parametrize(
    ("environment", "asked"), [(Environment.LIVE, 1), (Environment.DEMO, 1), (Environment.PAPER, 0)]
)
async def test_u_2_the_exchanges_time_is_asked_for_before_an_hour_where_this_machines_clock_counts(
    environment: Environment, asked: int
) -> None:
    calls: list[datetime] = []

    async def server_time() -> datetime:
        calls.append(AT)
        return AT

    async def nothing() -> None:
        return

    place = SimpleNamespace(
        pumps={},
        ports={Account.TREND: SimpleNamespace(server_time=server_time)},
        environment=environment,
        clock=SimpleNamespace(now=lambda: AT),
        waiting=SimpleNamespace(sleep=None),
    )

    async def append(*_: Event) -> None:
        return

    crew = SimpleNamespace(recorder=SimpleNamespace(append=append), engine=SimpleNamespace(lockouts=None))
    keeper = Caretaker(cast("Any", place), cast("Any", crew), OWNERS, lambda _: None, Daemon())
    await keeper.see_clock()
    assert calls == [], "nobody watches the line yet"
    keeper.duties(nothing, lambda: None)
    await keeper.see_clock()
    assert len(calls) == asked
    # A clock that is years off is told of, and entries wait.
    assert keeper.entries_wait is bool(asked)


async def test_core_12_a_lost_purchase_that_only_a_later_comparison_finds_counts_for_the_rules_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_bench(tmp_path, Engine.CORE_HODL) as bench:
        recorder = bench.recorder
        core = recorder.memory.states.core._replace(phase=core_hodl.MAINTAINING)
        await recorder.commit(lambda memory, _: (replace(memory, states=memory.states._replace(core=core)), ()))
        place = SimpleNamespace(
            pumps={},
            ports={},
            environment=Environment.PAPER,
            clock=SimpleNamespace(now=lambda: AT),
            waiting=SimpleNamespace(sleep=None),
        )
        watch = SimpleNamespace(features=lambda: None)
        engine = SimpleNamespace(lockouts=None, params=bench.params, watch=watch)
        crew = SimpleNamespace(recorder=recorder, engine=engine, managers={})
        keeper = Caretaker(cast("Any", place), cast("Any", crew), OWNERS, lambda _: None, Daemon())
        order = OrderKey(Engine.CORE_HODL, AT, Symbol("BTCUSDT"), Leg.BUY).client_order_id

        async def found(*, on_record: bool) -> tuple[()]:
            await recorder.append(Filled(AT, a_fill("lost", account=Account.CORE_HODL, order=order, at=AT)))
            return ()

        # The list was not there yet, or the key was refused, when the daemon started from an old backup.
        await keeper.take_up()
        monkeypatch.setattr(keeper._reconciler, "run", found)
        for _ in range(2):
            await keeper.compare()
        assert recorder.memory.states.core.spent_usdt[0] == float(a_fill("lost").value_usdt)
