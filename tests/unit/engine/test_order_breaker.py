"""What is refused again and again is not asked for for ever (ORD-3), and a halt holds what is pending (RISK-1)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from engine_bench import AT, BUYING, PAIR_IN, Bench, a_bench
from eternal_engine.engine.command import mask_of, resuming
from eternal_engine.engine.memory import VERSION, Memory, read, write
from eternal_engine.engine.timing import hour_of
from eternal_engine.engine.view import ENGINES
from eternal_engine.exchange.terms import Side
from eternal_engine.model.errors import RejectedForGood
from eternal_engine.model.event import Event, Noted
from eternal_engine.model.ids import Engine
from eternal_engine.portfolio.params import Intent

REFUSED = RejectedForGood("not now", code=110007)


async def an_hour(bench: Bench, hour: int, intent: Intent, script: list[object]) -> None:
    bench.clock.at = AT + timedelta(hours=hour)
    bench.exchange.script = script
    await bench.give(intent._replace(decided_h=hour_of(bench.clock.at)))
    await bench.manager.run()


async def resumed(bench: Bench, *engines: Engine) -> None:
    await bench.recorder.commit(lambda memory, _: (resuming(memory, mask_of(engines or ENGINES), bench.clock.at), ()))


async def test_ord_3_pairs_that_are_undone_again_and_again_halt_the_engine_until_the_operator(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.FUNDING) as bench:
        seen: list[Event] = []
        bench.recorder._observers = [seen.append]
        for hour in range(4):
            await an_hour(bench, hour, PAIR_IN, [None, REFUSED])
        assert bench.recorder.memory.halted == 0b0100
        # Three pairs were bought and undone, the fourth is not begun.
        assert [request.side for request in bench.exchange.placed][:9] == [Side.BUY, Side.SELL, Side.SELL] * 3
        assert all(request.side is Side.SELL for request in bench.exchange.placed[9:])
        assert [event.rule for event in seen if isinstance(event, Noted)] == ["FUND-3"] * 3 + ["ORD-3"]
        await resumed(bench)
        for hour in (5, 6):
            await an_hour(bench, hour, PAIR_IN, [None, REFUSED])
            # The refusals of before the resume are the operator's, who has seen them.
            assert bench.recorder.memory.halted == 0
        await an_hour(bench, 7, PAIR_IN, [None, REFUSED])
        assert bench.recorder.memory.halted == 0b0100


async def test_ord_3_a_resume_begins_the_row_anew_for_the_engines_it_lifts_and_after_a_restart_too(
    tmp_path: Path,
) -> None:
    async with a_bench(tmp_path, Engine.CORE_HODL) as bench:
        for hour in range(5):
            await an_hour(bench, hour, BUYING, [REFUSED])
        assert bench.recorder.memory.halted == 0b0001
        await resumed(bench, Engine.TREND)
        assert bench.recorder.memory.halted == 0b0001
        await resumed(bench, Engine.CORE_HODL)
        bench.recorder.memory = read(write(bench.recorder.memory), VERSION, bench.params)
        for hour in range(5, 9):
            await an_hour(bench, hour, BUYING, [REFUSED])
            assert bench.recorder.memory.halted == 0
        await an_hour(bench, 9, BUYING, [REFUSED])
        assert bench.recorder.memory.halted == 0b0001


async def test_ord_3_one_success_closes_the_row(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.CORE_HODL) as bench:
        for hour in range(12):
            await an_hour(bench, hour, BUYING, [None if hour in (4, 9) else REFUSED])
        assert bench.recorder.memory.halted == 0
        for hour in range(12, 15):
            await an_hour(bench, hour, BUYING, [REFUSED])
        assert bench.recorder.memory.halted == 0b0001
        assert bench.recorder.memory.pending == ()


async def test_risk_1_a_halt_holds_entries_that_are_planned_but_not_sent(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.CORE_HODL) as bench:
        bench.manager.may_send = lambda: False
        await an_hour(bench, 0, BUYING, [])
        assert bench.states == ["co-2401020000-BTCUSDT-buy-1 planned"]

        def halted(memory: Memory, _: object) -> tuple[Memory, tuple[()]]:
            return replace(memory, halted=0b0001), ()

        await bench.recorder.commit(halted)
        bench.manager.may_send = lambda: True
        await bench.manager.run()
        assert bench.states == ["co-2401020000-BTCUSDT-buy-1 abandoned"]
        assert bench.exchange.placed == []
        assert bench.recorder.memory.states.core.spent_usdt[0] == 0.0


async def test_ord_3_a_pairs_first_leg_that_is_refused_again_and_again_opens_the_breaker_too(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.FUNDING) as bench:
        for hour in range(4):
            await an_hour(bench, hour, PAIR_IN, [REFUSED])
        assert bench.recorder.memory.halted == 0
        await an_hour(bench, 4, PAIR_IN, [REFUSED])
        assert bench.recorder.memory.halted == mask_of((Engine.FUNDING,))


async def test_ord_3_refused_first_legs_between_pairs_that_open_are_no_persistent_failure(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.FUNDING) as bench:
        for hour in range(12):
            await an_hour(bench, hour, PAIR_IN, [] if hour % 4 == 3 else [REFUSED])
        assert bench.recorder.memory.halted == 0
