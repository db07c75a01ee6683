"""One engine's intents at work: stops that rest, leverage first, both legs or none, profits handed on."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest

from engine_bench import AT, ENTRY, PAIR_IN, Bench, a_bench
from eternal_engine.engine.memory import Memory
from eternal_engine.engine.order_manager import in_turn_or_together
from eternal_engine.engine.timing import hour_of
from eternal_engine.exchange.events import ExecutionSeen
from eternal_engine.exchange.orders import Execution, OrderLookup, OrderReport, OrderRequest
from eternal_engine.exchange.terms import Market, OrderStatus, Side
from eternal_engine.model import reason
from eternal_engine.model.errors import (
    ExchangeError,
    HaltTrading,
    RateLimited,
    RejectedForGood,
    Retry,
    UnknownOutcome,
)
from eternal_engine.model.event import ErrorOccurred, Event
from eternal_engine.model.ids import Account, Engine, Symbol
from eternal_engine.portfolio.params import NO_INTENT
from eternal_engine.strategies.base import BUY, SELL, SPOT, TACTICAL

BTC = Symbol("BTCUSDT")
EXIT = ENTRY._replace(side=SELL, reduces=True, reason=reason.TREND_EXIT)
CRASH_BUY = NO_INTENT._replace(
    engine=TACTICAL, market=SPOT, side=BUY, quote_steps=10**9, price=40_000.0, reason=reason.TACT_LEVEL,
    decided_h=hour_of(AT),
)  # fmt: skip


async def carried(bench: Bench, *intents: object) -> None:
    await bench.give(*intents)  # type: ignore[arg-type]
    await bench.manager.run()


async def test_g8_the_stop_rests_at_the_exchange(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.TREND) as bench:
        await carried(bench, ENTRY)
        wanted = Decimal(40_000) - Decimal(str(bench.params.trend.stop_atr)) * 1_000
        assert bench.exchange.stops == {"BTCUSDT": wanted}
        assert bench.recorder.memory.stop_of(0) == wanted
        assert bench.exchange.levered == ["BTCUSDT 2.0"]
        await carried(bench, EXIT)
        assert bench.recorder.memory.stop_of(0) is None
        assert bench.recorder.memory.states.trend.side[0] == 0


async def test_trend_x3_another_leverage_of_the_configuration_is_set_before_the_next_order(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.TREND) as bench:
        await carried(bench, ENTRY)
        bench.manager.params = bench.params._replace(trend=bench.params.trend._replace(leverage=1.0))
        await carried(bench, ENTRY._replace(symbol=1), EXIT)
        await carried(bench, ENTRY._replace(symbol=2))
        assert bench.exchange.levered == ["BTCUSDT 2.0", "ETHUSDT 1.0", "SOLUSDT 1.0"]


async def test_trend_x3_a_stop_is_set_again_until_it_is_confirmed(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.TREND) as bench:
        bench.exchange.stop_script = [UnknownOutcome("time-out"), Retry("later")]
        await carried(bench, ENTRY)
        assert bench.exchange.stops["BTCUSDT"] == bench.recorder.memory.stop_of(0)


async def test_trend_x3_a_stop_that_could_not_be_set_counts_as_none_and_is_set_next_time(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.TREND) as bench:
        told: list[Event] = []
        bench.recorder._observers = [told.append]
        bench.exchange.stop_script = [Retry("no route")] * 99
        await carried(bench, ENTRY)
        assert bench.recorder.memory.stop_of(0) is None
        wheres = {event.where for event in told if isinstance(event, ErrorOccurred)}
        assert wheres == {"setting the stop of BTCUSDT at 38000.0"}
        bench.exchange.stop_script = []
        await bench.manager.run()
        assert bench.exchange.stops["BTCUSDT"] == bench.recorder.memory.stop_of(0) == Decimal(38_000)


async def test_trend_x3_an_entry_of_unknown_fate_brings_its_stop_along(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.TREND) as bench:
        bench.exchange.script = [("taken", UnknownOutcome("time-out"))]
        bench.exchange.look_script = [Retry("no route")] * 50
        await carried(bench, ENTRY)
        # Nobody can find the order, and it may have filled: what it opened is protected since its first fill.
        assert [state.split()[1] for state in bench.states] == ["unknown"]
        assert [request.stop_loss for request in bench.exchange.placed] == [Decimal(38_000)]
        bench.exchange.look_script = []
        await bench.manager.run()
        assert bench.recorder.memory.stop_of(0) == Decimal(38_000)
        await carried(bench, EXIT)
        assert bench.exchange.placed[-1].stop_loss is None


@pytest.mark.parametrize("waits", [False, True])
async def test_trend_x3_a_stop_between_two_orders_of_an_entry_gives_the_rest_up(tmp_path: Path, waits: bool) -> None:
    async with a_bench(tmp_path, Engine.TREND) as bench:
        whole, told = bench.exchange._qty, bench.exchange._report

        def stopped(request: OrderRequest) -> OrderReport:
            report = replace(told(request), status=OrderStatus.CANCELLED)
            if waits:
                # The rest is planned, and cannot be sent yet: the stop triggers before it is.
                bench.manager.may_send = lambda: False
            return report

        bench.exchange._qty = lambda request: whole(request) * 2 / 5  # type: ignore[method-assign]
        bench.exchange._report = stopped  # type: ignore[method-assign]
        if not waits:
            await stops_as_soon_as_booked(bench)
        await carried(bench, ENTRY)
        if waits:
            assert bench.states[-1] == "tr-2401020000-BTCUSDT-in-2 planned"
            await bench.manager.sender.take(ExecutionSeen(stop_of(bench)))
            bench.manager.may_send = lambda: True
            await bench.manager.run()
        assert len(bench.exchange.placed) == 1
        assert bench.recorder.memory.pending == ()
        assert bench.recorder.memory.states.trend.side[0] == 0
        assert bench.states[1:] == (["tr-2401020000-BTCUSDT-in-2 abandoned"] if waits else [])


async def test_trend_x3_a_stop_between_two_tries_of_an_order_gives_the_rest_up(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.TREND) as bench:
        fills_in_part_and_cancels(bench)
        bench.exchange.script = [None, *[Retry("try later")] * 5]
        quick = bench.clock.sleep

        async def stopped_meanwhile(seconds: float) -> None:
            await quick(seconds)
            if len(bench.exchange.placed) == 3:
                # The second order's second try has failed, too, when the first one's stop triggers.
                await bench.manager.sender.take(ExecutionSeen(stop_of(bench)))

        bench.clock.sleep = stopped_meanwhile  # type: ignore[method-assign]
        told: list[Event] = []
        bench.recorder._observers = [told.append]
        await carried(bench, ENTRY)
        assert len(bench.exchange.placed) == 3
        assert bench.states[-1] == "tr-2401020000-BTCUSDT-in-2 rejected"
        assert (bench.recorder.memory.pending, bench.recorder.memory.states.trend.side[0]) == ((), 0)
        said = [event.what for event in told if isinstance(event, ErrorOccurred)]
        assert said[0].startswith("the position was closed meanwhile: the rest of the entry is not bought: try later")


def fills_in_part_and_cancels(bench: Bench) -> None:
    """Let every order fill two fifths and be cancelled with the rest."""
    whole, told = bench.exchange._qty, bench.exchange._report
    bench.exchange._qty = lambda request: whole(request) * 2 / 5  # type: ignore[method-assign]
    bench.exchange._report = lambda request: replace(told(request), status=OrderStatus.CANCELLED)  # type: ignore[method-assign]


@pytest.mark.parametrize("error", [Retry("try later"), RateLimited("slow down")])
async def test_risk_1_an_entry_that_is_being_tried_again_ends_with_the_operators_halt(
    tmp_path: Path, error: ExchangeError
) -> None:
    async with a_bench(tmp_path, Engine.TREND) as bench:
        bench.exchange.script = [error] * 5
        quick = bench.clock.sleep

        async def halted_meanwhile(seconds: float) -> None:
            await quick(seconds)
            await bench.recorder.commit(lambda memory, _: (replace(memory, halted=0b0010), ()))

        bench.clock.sleep = halted_meanwhile  # type: ignore[method-assign]
        await carried(bench, ENTRY)
        assert len(bench.exchange.placed) == 1
        assert bench.recorder.memory.pending == ()


async def test_u_7_an_entry_that_is_being_tried_again_ends_with_its_hour(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.TREND) as bench:
        bench.clock.at += timedelta(minutes=59, seconds=55)
        bench.exchange.script = [RateLimited("slow down", reset_at=AT + timedelta(hours=1, seconds=2))] * 5
        await carried(bench, ENTRY)
        assert len(bench.exchange.placed) == 1
        assert bench.recorder.memory.pending == ()


async def stops_as_soon_as_booked(bench: Bench) -> None:
    """Let the stop's execution be told with the entry's own."""
    found = bench.exchange.find_order

    async def with_stop(market: Market, identifier: str) -> OrderLookup:
        lookup = await found(market, identifier)
        return replace(lookup, executions=(*lookup.executions, stop_of(bench)))

    bench.exchange.find_order = with_stop  # type: ignore[method-assign]


def stop_of(bench: Bench) -> Execution:
    """Give the execution by which the exchange's own stop closes what the first order bought."""
    bought = bench.exchange._execution(bench.exchange.placed[0])
    return replace(
        bought, execution_id="exec-stop", venue_order_id="venue-stop", client_order_id="", side=Side.SELL,
        create_type="CreateByStopLoss",
    )  # fmt: skip


async def test_trend_s2_a_risen_trail_moves_the_stop(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.TREND) as bench:
        await carried(bench, ENTRY)

        def risen(memory: Memory, _: object) -> tuple[Memory, tuple[()]]:
            stops = memory.states.trend.stop.copy()
            stops[0] = 39_500.0
            return replace(memory, states=memory.states._replace(trend=memory.states.trend._replace(stop=stops))), ()

        await bench.recorder.commit(risen)
        await bench.manager.run()
        assert bench.exchange.stops == {"BTCUSDT": Decimal("39500.0")}


async def test_trend_x2_a_stop_beyond_the_market_is_an_exit_at_once(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.TREND) as bench:
        bench.exchange.stop_script = [RejectedForGood("the stop must be below the mark price", code=10001)]
        await carried(bench, ENTRY)
        assert [request.side for request in bench.exchange.placed] == [Side.BUY, Side.SELL]
        assert bench.exchange.placed[1].reduce_only
        assert BTC not in bench.recorder.projection.books.of(Account.TREND).perp
        assert bench.recorder.memory.pending == ()


async def test_trend_x3_a_position_closed_for_want_of_a_stop_is_said_in_the_exchanges_words(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.TREND) as bench:
        seen: list[Event] = []
        bench.recorder._observers = [seen.append]
        bench.exchange.stop_script = [RejectedForGood("insufficient funds", code=110007)]
        await carried(bench, ENTRY)
        said = [event.what for event in seen if isinstance(event, ErrorOccurred)]
        assert said == [
            "the stop of BTCUSDT at 38000 cannot rest, so the position is closed: insufficient funds",
        ]


async def test_fund_3_both_legs_are_placed_spot_first(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.FUNDING) as bench:
        await carried(bench, PAIR_IN)
        assert [(request.market.value, request.side) for request in bench.exchange.placed] == [
            ("spot", Side.BUY), ("perp", Side.SELL),
        ]  # fmt: skip
        assert bench.recorder.memory.states.funding.opened_h[0] == hour_of(AT)


async def test_h6_a_refused_second_leg_unwinds_the_first(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.FUNDING) as bench:
        bench.exchange.script = [None, RejectedForGood("no margin", code=110007)]
        await carried(bench, PAIR_IN)
        book = bench.recorder.projection.books.of(Account.FUNDING)
        assert BTC not in book.perp
        assert BTC not in book.spot or book.spot[BTC].qty * 40_000 < 5
        assert bench.recorder.memory.states.funding.opened_h[0] == 0
        assert bench.recorder.memory.pending == ()


async def test_i9_tacticals_profit_is_planned_as_a_transfer_once(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.TACTICAL) as bench:
        await carried(bench, CRASH_BUY._replace(price=40_000.0, level=0))
        held = bench.recorder.projection.books.of(Account.TACTICAL).spot[BTC]
        import engine_bench

        engine_bench.PRICE, before = Decimal(80_000), engine_bench.PRICE
        try:
            steps = int(held.qty / Decimal("0.000001"))
            sale = CRASH_BUY._replace(
                side=SELL, reduces=True, quote_steps=0, qty_steps=steps, reason=reason.TACT_PROFIT, price=80_000.0
            )
            await carried(bench, sale)
        finally:
            engine_bench.PRICE = before
        (planned,) = bench.recorder.projection.pending_transfers.values()
        assert (planned.source, planned.target) == (Account.TACTICAL, Account.CORE_HODL)
        assert planned.amount == pytest.approx(held.qty * 40_000)
        await bench.manager.run()
        assert len(bench.recorder.projection.pending_transfers) == 1


async def test_an_entry_that_was_never_sent_is_given_up_when_its_hour_is_over(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.TREND) as bench:
        await bench.give(ENTRY)
        await bench.recorder.append(
            *bench.manager.first_orders([ENTRY], bench.recorder.memory, bench.recorder.projection)
        )
        bench.clock.at = AT + timedelta(hours=2)
        await bench.manager.run()
        assert bench.exchange.placed == []
        assert [state.split()[1] for state in bench.states] == ["abandoned"]
        assert bench.recorder.memory.pending == ()


@pytest.mark.parametrize("together", [False, True])
async def test_ord_3_one_job_that_fails_does_not_hold_the_others_up(together: bool) -> None:
    done: list[int] = []

    async def job(number: int) -> None:
        done.append(number)
        if number < 2:
            raise HaltTrading(f"key {number} is refused")

    with pytest.raises(HaltTrading, match="key 0"):
        await in_turn_or_together([partial(job, number) for number in range(3)], together=together)
    assert done == [0, 1, 2]
