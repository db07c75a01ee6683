"""What an order that was given up trades all the same is closed, or counted, at once (ORD-4, FUND-3, CORE-3)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from engine_bench import AT, BUYING, ENTRY, PAIR_IN, Bench, a_bench
from eternal_engine.engine.exits import Desk, position_exit
from eternal_engine.engine.timing import hour_of
from eternal_engine.exchange.events import ExecutionSeen
from eternal_engine.exchange.orders import OrderRequest
from eternal_engine.exchange.terms import Market, Side
from eternal_engine.model import reason
from eternal_engine.model.errors import RejectedForGood, UnknownOutcome
from eternal_engine.model.event import Decided, ErrorOccurred, Event, OrderPlanned, Reviewed
from eternal_engine.model.ids import Account, Engine, Symbol
from eternal_engine.model.instrument import BYBIT_2025
from eternal_engine.strategies.base import FUNDING, SELL, TACTICAL

BTC = Symbol("BTCUSDT")
HOUR = hour_of(AT)
CRASH_BUY = BUYING._replace(engine=TACTICAL, reason=reason.TACT_LEVEL, plan_usdt=0.0, level=0)
REFUSED = RejectedForGood("no", code=110007)


async def trades_late(bench: Bench, request: OrderRequest) -> None:
    """Let the exchange show an execution of an order that nobody waits for any more."""
    bench.exchange.taken[request.client_order_id] = request
    await bench.manager.sender.take(ExecutionSeen(bench.exchange._execution(request)))


async def test_ord_4_an_entry_of_trend_that_fills_after_it_was_given_up_is_closed_at_once(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.TREND) as bench:
        seen: list[Event] = []
        bench.exchange.script = [REFUSED]
        await bench.give(ENTRY)
        await bench.manager.run()
        bench.recorder._observers = [seen.append]
        await trades_late(bench, bench.exchange.placed[0])
        await bench.manager.run()
        closing = bench.exchange.placed[1]
        assert (closing.side, closing.qty, closing.reduce_only) == (Side.SELL, bench.exchange.placed[0].qty, True)
        assert BTC not in bench.recorder.projection.books.of(Account.TREND).perp
        assert bench.recorder.memory.pending == ()
        kinds = [type(event) for event in seen if isinstance(event, Decided | Reviewed | OrderPlanned)]
        assert kinds == [Decided, Reviewed, OrderPlanned]
        told = [event.what for event in seen if isinstance(event, ErrorOccurred)]
        assert told[-1].startswith("a holding of BTCUSDT that no rule knows of is closed")
        # Until then the stop that came with the order protected it.
        assert bench.exchange.placed[0].stop_loss == 38_000


async def test_trend_x2_a_position_with_an_order_under_way_is_asked_no_second_exit(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.TREND) as bench:
        await bench.give(ENTRY)
        await bench.manager.run()
        memory, book = bench.recorder.memory, bench.recorder.projection.books.of(Account.TREND)
        desk = Desk(bench.params, BYBIT_2025, bench.recorder.marks, AT, "")
        out = position_exit(desk, memory, book, 0)
        assert out is not None
        assert (out.reduces, out.side, out.qty_steps) == (True, SELL, 100)
        for pending, is_busy in ((out, True), (out._replace(symbol=1), False), (out._replace(engine=FUNDING), False)):
            found = position_exit(desk, replace(memory, pending=(pending,)), book, 0)
            assert (found is None) == is_busy


async def test_ord_4_a_stray_that_cannot_be_closed_is_tried_once_an_hour(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.TREND) as bench:
        bench.exchange.script = [REFUSED] * 9
        await bench.give(ENTRY)
        await bench.manager.run()
        await trades_late(bench, bench.exchange.placed[0])
        for _ in range(3):
            await bench.manager.run()
        assert len(bench.exchange.placed) == 2
        bench.clock.at += timedelta(hours=1)
        await bench.manager.run()
        assert len(bench.exchange.placed) == 3


async def test_fund_3_a_second_leg_that_fills_after_it_was_given_up_is_bought_back(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.FUNDING) as bench:
        bench.exchange.script = [None, UnknownOutcome("time-out")]
        await bench.give(PAIR_IN)
        await bench.manager.run()
        second = bench.exchange.placed[1]
        assert second.client_order_id in [line.split()[0] for line in bench.states if line.endswith("abandoned")]
        await trades_late(bench, second)
        await bench.manager.run()
        assert [(one.market, one.side) for one in bench.exchange.placed] == [
            (Market.SPOT, Side.BUY), (Market.PERP, Side.SELL), (Market.SPOT, Side.SELL), (Market.PERP, Side.BUY),
        ]  # fmt: skip
        assert bench.exchange.placed[3].reduce_only
        book = bench.recorder.projection.books.of(Account.FUNDING)
        assert BTC not in book.perp
        assert bench.recorder.memory.states.funding.opened_h[0] == 0
        sent = len(bench.exchange.placed)
        await bench.manager.run()
        assert len(bench.exchange.placed) == sent


async def test_fund_3_a_first_leg_that_fills_after_it_was_given_up_is_sold(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.FUNDING) as bench:
        bench.exchange.script = [REFUSED]
        await bench.give(PAIR_IN)
        await bench.manager.run()
        await trades_late(bench, bench.exchange.placed[0])
        await bench.manager.run()
        assert [(one.market, one.side) for one in bench.exchange.placed] == [
            (Market.SPOT, Side.BUY), (Market.SPOT, Side.SELL),
        ]  # fmt: skip
        assert BTC not in bench.recorder.projection.books.of(Account.FUNDING).spot


async def test_fund_3_a_perp_that_cannot_be_bought_back_is_tried_once_more_and_then_each_hour(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.FUNDING) as bench:
        await bench.give(PAIR_IN)
        await bench.manager.run()
        seen: list[Event] = []
        bench.recorder._observers = [seen.append]
        bench.exchange.script = [None, *[REFUSED] * 9]
        await bench.give(PAIR_IN._replace(side=SELL, reduces=True, reason=reason.FUND_EXIT))
        for _ in range(3):
            await bench.manager.run()
        closing = [(request.market, request.side) for request in bench.exchange.placed[2:]]
        assert closing == [(Market.SPOT, Side.SELL), (Market.PERP, Side.BUY), (Market.PERP, Side.BUY)]
        told = [event.what for event in seen if isinstance(event, ErrorOccurred)]
        assert "one leg of BTCUSDT stands alone and is closed: the other was given up, or closed elsewhere" in told
        bench.clock.at += timedelta(hours=1)
        for _ in range(3):
            await bench.manager.run()
        assert len(bench.exchange.placed) == 2 + 4


async def test_fund_3_a_pair_whose_coins_cannot_be_sold_stays_whole_and_is_asked_for_once(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.FUNDING) as bench:
        await bench.give(PAIR_IN)
        await bench.manager.run()
        bench.exchange.script = [REFUSED] * 9
        await bench.give(PAIR_IN._replace(side=SELL, reduces=True, reason=reason.FUND_EXIT))
        for _ in range(3):
            await bench.manager.run()
        assert len(bench.exchange.placed) == 2 + 1
        book = bench.recorder.projection.books.of(Account.FUNDING)
        assert book.perp[BTC].qty == Decimal("-0.05")
        assert bench.recorder.memory.states.funding.opened_h[0] == hour_of(AT)
        assert bench.recorder.memory.pending == ()


@pytest.mark.parametrize("intent", [BUYING, CRASH_BUY])
async def test_core_3_coins_of_an_order_that_was_given_up_are_kept_and_count_as_bought(
    tmp_path: Path, intent: object
) -> None:
    engine = Engine.CORE_HODL if intent is BUYING else Engine.TACTICAL
    async with a_bench(tmp_path, engine) as bench:

        def armed(memory, _):  # type: ignore[no-untyped-def]
            from dataclasses import replace

            levels = memory.states.tactical.armed_usdt.copy()
            levels[0, 0] = 1_000.0
            tactical = memory.states.tactical._replace(armed_usdt=levels)
            return replace(memory, states=memory.states._replace(tactical=tactical)), ()

        await bench.recorder.commit(armed)
        bench.exchange.script = [REFUSED]
        await bench.give(intent)  # type: ignore[arg-type]
        await bench.manager.run()
        await trades_late(bench, bench.exchange.placed[0])
        await bench.manager.run()
        states = bench.recorder.memory.states
        assert len(bench.exchange.placed) == 1
        assert BTC in bench.recorder.projection.books.of(engine.account).spot
        if engine is Engine.CORE_HODL:
            assert states.core.spent_usdt[0] == 100.0
        else:
            assert states.tactical.armed_usdt[0, 0] == 900.0
            assert states.tactical.first_buy_h[0] == HOUR
