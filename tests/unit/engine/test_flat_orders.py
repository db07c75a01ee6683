"""Orders that meet a position that is gone, and what must not wait for a leverage (RISK-0, ORD-2, TREND-X2)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from engine_bench import AT, ENTRY, OWNERS, PAIR_IN, a_bench
from eternal_engine.engine.lockout import Lockouts
from eternal_engine.engine.order_manager import OrderManager
from eternal_engine.engine.sender import Sender
from eternal_engine.exchange.events import ExecutionSeen, OrderUpdated
from eternal_engine.exchange.orders import OrderLookup, OrderRequest
from eternal_engine.exchange.terms import Market, OrderStatus, Side
from eternal_engine.model import reason
from eternal_engine.model.errors import (
    AlreadyDone,
    ExchangeError,
    HaltTrading,
    RateLimited,
    RejectedForGood,
    Retry,
    UnknownOutcome,
)
from eternal_engine.model.event import ErrorOccurred, Event, OrderPlanned, Reviewed
from eternal_engine.model.ids import Account, Engine
from eternal_engine.model.instrument import BYBIT_2025
from eternal_engine.observe.alerts import Alerts
from eternal_engine.strategies.base import SELL

EXIT = ENTRY._replace(side=SELL, reduces=True, reason=reason.TREND_EXIT)


async def test_trend_x2_an_exit_that_finds_nothing_to_reduce_ends_and_is_not_sent_for_ever(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.TREND) as bench:
        await bench.give(ENTRY)
        await bench.manager.run()
        # The stop has filled at the exchange, and the stream has not said so yet.
        bench.exchange.script = [AlreadyDone("reduce-only cannot be satisfied", code=110017)] * 3
        await bench.give(EXIT)
        await bench.manager.run()
        assert len(bench.exchange.placed) == 2
        assert bench.recorder.memory.pending == ()
        assert bench.states[-1].endswith("rejected")


async def test_risk_0_an_exit_does_not_wait_for_a_leverage(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.TREND) as bench:
        await bench.give(ENTRY)
        await bench.manager.run()
        bench.manager._levered.clear()  # as after a restart
        bench.exchange.lever_script = [Retry("no leverage now")] * 9
        await bench.give(EXIT)
        await bench.manager.run()
        assert [request.reduce_only for request in bench.exchange.placed] == [False, True]
        assert bench.recorder.memory.pending == ()


@pytest.mark.parametrize("error", [Retry("no route"), RateLimited("too many visits", code=10006)])
async def test_ord_3_an_exit_that_could_not_be_sent_is_put_off_and_not_dropped(
    tmp_path: Path, error: ExchangeError
) -> None:
    async with a_bench(tmp_path, Engine.TREND) as bench:
        await bench.give(ENTRY)
        await bench.manager.run()
        told: list[Event] = []
        bench.recorder._observers = [told.append]
        bench.exchange.script = [error] * 61
        await bench.give(EXIT)
        await bench.manager.run()
        # TREND decides its exits once a day: what a minute's outage dropped would be held for a day more.
        assert bench.recorder.memory.pending == (EXIT,)
        assert [event.what for event in told if isinstance(event, ErrorOccurred)] != []
        bench.exchange.script = []
        bench.clock.at += timedelta(hours=2)
        await bench.manager.run()
        assert bench.recorder.memory.pending == ()
        assert bench.recorder.memory.states.trend.side[0] == 0
        exits = {request.client_order_id for request in bench.exchange.placed if request.reduce_only}
        assert len(exits) == 1, "under its own id"


async def test_d5_an_exit_that_a_refused_key_held_up_goes_on_when_the_key_is_taken_again(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.TREND) as bench:
        eth = ENTRY._replace(symbol=1)
        await bench.give(ENTRY, eth)
        await bench.manager.run()
        await bench.recorder.commit(lambda memory, _: (replace(memory.with_stop(1, None), halted=0b0010), ()))
        bench.exchange.stops.clear()
        bench.exchange.script = [HaltTrading("key invalid", code=10003)]
        await bench.give(EXIT)
        with pytest.raises(HaltTrading, match="key invalid"):
            await bench.manager.run()
        assert bench.recorder.memory.pending == (EXIT,)
        assert bench.states[-1].endswith("planned")
        # The other position's stop is no worse off for it.
        assert list(bench.exchange.stops) == ["ETHUSDT"]
        bench.clock.at += timedelta(hours=2)
        await bench.manager.run()
        assert (bench.recorder.memory.pending, bench.recorder.memory.states.trend.side[0]) == ((), 0)
        exits = [request.client_order_id for request in bench.exchange.placed if request.reduce_only]
        assert (len(exits), len(set(exits))) == (2, 1), "under its own id"


async def test_d5_an_exit_that_a_refused_key_holds_up_is_asked_for_once_an_hour_and_said_once(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.TREND) as bench:
        await bench.give(ENTRY)
        await bench.manager.run()
        told: list[Event] = []
        bench.recorder._observers = [told.append]
        bench.exchange.script = [HaltTrading("key invalid", code=10003)] * 9
        await bench.give(EXIT)
        lockouts = Lockouts(bench.recorder, bench.clock)
        for _ in range(3):
            # Each round begins the job a second time after a refusal: what undoes a leg must not wait.
            await lockouts.run(Account.TREND, bench.manager.run)
        assert len(bench.exchange.placed) == 2
        bench.clock.at += timedelta(hours=1)
        await lockouts.run(Account.TREND, bench.manager.run)
        assert len(bench.exchange.placed) == 3
        said = [event.what for event in told if isinstance(event, ErrorOccurred)]
        assert said == [
            "an exit waits, because the exchange refuses the key: key invalid",
            "the exchange refuses the key of trend: key invalid; trend is halted, the others trade on",
        ]
        # Resumed, it goes at once, and not with the next hour.
        bench.exchange.script = []
        await bench.recorder.commit(lambda memory, _: (replace(memory, halted=0), ()))
        await lockouts.run(Account.TREND, bench.manager.run)
        assert (bench.recorder.memory.pending, bench.recorder.memory.states.trend.side[0]) == ((), 0)


async def test_d5_an_entry_that_a_refused_key_held_up_is_given_up(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.TREND) as bench:
        bench.exchange.script = [HaltTrading("key invalid", code=10003)]
        await bench.give(ENTRY)
        with pytest.raises(HaltTrading, match="key invalid"):
            await bench.manager.run()
        await bench.manager.run()
        assert (bench.recorder.memory.pending, len(bench.exchange.placed)) == ((), 1)


async def test_ord_3_an_entry_that_could_not_be_sent_is_given_up(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.TREND) as bench:
        bench.exchange.script = [Retry("no route")] * 6
        await bench.give(ENTRY)
        await bench.manager.run()
        assert (bench.recorder.memory.pending, len(bench.exchange.placed)) == ((), 6)


async def test_k9_an_entry_that_was_refused_is_told_in_one_message(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.TREND) as bench:
        seen: list[Event] = []
        told: list[str] = []
        bench.recorder._observers = [seen.append]
        bench.exchange.script = [RejectedForGood("insufficient balance", code=110007)]
        await bench.give(ENTRY)
        await bench.manager.run()
        await Alerts(lambda title, body, _: told.append(f"{title}\n{body}") is None).see(seen)
        (message,) = told
        assert bench.exchange.placed[0].client_order_id in message.splitlines()[0]
        assert "insufficient balance" in message
        assert "not all that was wanted" in message


async def test_fund_3_no_first_leg_is_bought_before_the_second_has_its_leverage(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.FUNDING) as bench:
        bench.exchange.lever_script = [Retry("no leverage now")] * 4
        await bench.give(PAIR_IN)
        await bench.manager.run()
        assert bench.exchange.placed == []
        await bench.manager.run()
        assert [request.side for request in bench.exchange.placed] == [Side.BUY, Side.SELL]


async def test_ord_3_a_rate_limit_on_the_leverage_is_waited_out_and_undoes_no_pair(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.FUNDING) as bench:
        bench.exchange.lever_script = [None, RateLimited("too many visits", code=10006)]
        bench.exchange.forget = bench.manager._levered.clear  # a restart between the legs
        await bench.give(PAIR_IN)
        await bench.manager.run()
        assert [(request.market, request.side) for request in bench.exchange.placed] == [
            (Market.SPOT, Side.BUY), (Market.PERP, Side.SELL),
        ]  # fmt: skip


async def test_fund_3_a_second_leg_without_leverage_undoes_the_first(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.FUNDING) as bench:
        bench.exchange.lever_script = [None, RejectedForGood("the leverage is not allowed", code=110013)]
        bench.exchange.forget = bench.manager._levered.clear  # a restart between the legs
        await bench.give(PAIR_IN)
        await bench.manager.run()
        assert [(request.market, request.side) for request in bench.exchange.placed] == [
            (Market.SPOT, Side.BUY),
            (Market.SPOT, Side.SELL),
        ]
        assert bench.recorder.memory.pending == ()


async def test_fund_3_a_second_leg_that_is_not_taken_in_for_30_s_undoes_the_first(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.FUNDING) as bench:
        # The try is lost on the way, and looked up until it can arrive no more: by then 30 s are over.
        bench.exchange.script = [None, UnknownOutcome("time-out")]
        await bench.give(PAIR_IN)
        await bench.manager.run()
        assert [(request.market, request.side) for request in bench.exchange.placed] == [
            (Market.SPOT, Side.BUY),
            (Market.PERP, Side.SELL),
            (Market.SPOT, Side.SELL),
        ]
        assert bench.recorder.memory.states.funding.opened_h[0] == 0


async def test_ord_9_a_daemon_that_ends_sends_no_new_order_but_the_hedge_of_a_first_leg(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.FUNDING) as bench:
        is_ending: list[bool] = []
        bench.manager.may_send = lambda: not is_ending
        bench.exchange.forget = lambda: is_ending.append(True)
        await bench.give(PAIR_IN)
        await bench.manager.run()
        await bench.give(PAIR_IN._replace(symbol=1))
        await bench.manager.run()
        assert [(str(request.symbol), request.side) for request in bench.exchange.placed] == [
            ("BTCUSDT", Side.BUY),
            ("BTCUSDT", Side.SELL),
        ]
        assert [intent.symbol for intent in bench.recorder.memory.pending] == [1]
        bench.manager.may_send = lambda: True
        await bench.manager.run()
        assert bench.recorder.memory.pending == ()


async def test_ord_4_a_stream_that_ends_an_order_before_the_reply_leaves_it_ended(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.TREND) as bench:
        bench.exchange.fills = False

        async def rejected_meanwhile(request: OrderRequest) -> None:
            report = bench.exchange._report(request)  # what the stream would say
            await bench.manager.sender.take(OrderUpdated(replace(report, status=OrderStatus.REJECTED)))

        bench.exchange.meanwhile = rejected_meanwhile
        await bench.give(ENTRY)
        await bench.manager.run()
        assert len(bench.exchange.placed) == 1
        assert bench.states == ["tr-2401020000-BTCUSDT-in-1 rejected"]


async def test_trend_x2_a_symbol_that_takes_neither_stop_nor_exit_is_tried_once_an_hour(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.TREND) as bench:
        refused = RejectedForGood("trading is not allowed now", code=110074)
        bench.exchange.stop_script = [refused] * 50
        bench.exchange.script = [None, *[refused] * 50]
        await bench.give(ENTRY)
        await bench.manager.run()
        assert len(bench.exchange.placed) == 2
        assert bench.recorder.memory.pending == ()
        bench.clock.at += timedelta(hours=1)
        await bench.manager.run()
        assert len(bench.exchange.placed) == 3


async def test_ord_4_an_order_that_was_given_up_and_trades_all_the_same_is_booked_and_said(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.TREND) as bench:
        seen: list[Event] = []
        bench.recorder._observers = [seen.append]
        bench.exchange.script = [RejectedForGood("no", code=110007)]
        await bench.give(ENTRY)
        await bench.manager.run()
        request = bench.exchange.placed[0]
        await bench.manager.sender.take(ExecutionSeen(bench.exchange._execution(request)))
        assert bench.states == ["tr-2401020000-BTCUSDT-in-1 filled"]
        assert bench.recorder.projection.books.of(Account.TREND).perp
        assert [event.what for event in seen if isinstance(event, ErrorOccurred)][-1].endswith("it was rejected")


async def test_fund_3_a_daemon_that_ends_between_the_legs_of_a_close_still_buys_the_perp_back(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.FUNDING) as bench:
        await bench.give(PAIR_IN)
        await bench.manager.run()
        is_ending: list[bool] = []
        bench.manager.may_send = lambda: not is_ending
        bench.exchange.forget = lambda: is_ending.append(True)
        await bench.give(PAIR_IN._replace(reduces=True, side=SELL, reason=reason.FUND_EXIT))
        await bench.manager.run()
        assert [(request.market, request.side) for request in bench.exchange.placed[2:]] == [
            (Market.SPOT, Side.SELL),
            (Market.PERP, Side.BUY),
        ]


async def test_trend_x2_an_exit_at_once_follows_from_a_decision_on_record(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.TREND) as bench:
        seen: list[Event] = []
        bench.recorder._observers = [seen.append]
        bench.exchange.stop_script = [RejectedForGood("the stop must be below the mark price", code=10001)]
        await bench.give(ENTRY)
        await bench.manager.run()
        kinds = [type(event).__name__ for event in seen]
        planned = [n for n, event in enumerate(seen) if isinstance(event, OrderPlanned)][-1]
        assert kinds.index("Decided") < kinds.index("Reviewed") < planned
        verdict = next(event for event in seen if isinstance(event, Reviewed))
        assert (verdict.rule, verdict.symbol, verdict.decided_at) == ("TREND-X2", "BTCUSDT", AT)
        assert "the stop must be below the mark price" in verdict.detail


async def test_ord_2_two_tasks_with_one_planned_order_send_it_once(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.TREND) as bench:
        bench.manager.may_send = lambda: False
        await bench.give(ENTRY)
        await bench.manager.run()
        (identifier,) = bench.recorder.projection.orders
        await asyncio.gather(bench.manager.sender.advance(identifier), bench.manager.sender.advance(identifier))
        assert len(bench.exchange.placed) == 1


async def test_ord_2_a_look_up_that_fails_is_made_again_and_the_order_is_found(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.TREND) as bench:
        bench.exchange.script = [("taken", UnknownOutcome("time-out"))]
        bench.exchange.look_script = [Retry("no route")] * 3
        await bench.give(ENTRY)
        await bench.manager.run()
        assert len(bench.exchange.placed) == 1
        assert bench.states == ["tr-2401020000-BTCUSDT-in-1 filled"]


async def test_ord_4_an_order_that_has_traded_but_whose_executions_stay_away_is_said_once_and_waited_for(
    tmp_path: Path,
) -> None:
    async with a_bench(tmp_path, Engine.TREND) as bench:
        told: list[Event] = []
        bench.recorder._observers = [told.append]
        found, silent = bench.exchange.find_order, [True]

        async def without_executions(market: Market, identifier: str) -> OrderLookup:
            lookup = await found(market, identifier)
            return replace(lookup, executions=()) if silent else lookup

        def said() -> list[str]:
            return [event.what for event in told if isinstance(event, ErrorOccurred)]

        bench.exchange.find_order = without_executions  # type: ignore[method-assign]
        await bench.give(ENTRY)
        await bench.manager.run()
        assert said() == [], "executions may be a few seconds late"
        for _ in range(3):
            bench.clock.at += timedelta(minutes=5)
            await bench.manager.run()
        assert said() == [
            "order tr-2401020000-BTCUSDT-in-1 has traded 0.1 by the exchange's order list, its executions show 0",
        ]
        assert (bench.states, bench.recorder.memory.pending) == (["tr-2401020000-BTCUSDT-in-1 open"], (ENTRY,))
        # Another life of the daemon does not say it again.
        sender = Sender(Engine.TREND, bench.exchange, bench.recorder, BYBIT_2025, OWNERS, bench.clock, bench.clock)  # type: ignore[arg-type]
        bench.manager = OrderManager(sender, bench.recorder, bench.params, bench.clock, bench.clock)
        for _ in range(3):
            bench.clock.at += timedelta(minutes=5)
            await bench.manager.run()
        silent.clear()
        await bench.manager.run()
        assert (bench.states, bench.recorder.memory.pending) == (["tr-2401020000-BTCUSDT-in-1 filled"], ())
        assert len(bench.exchange.placed) == len(said()) == 1


async def test_ord_3_an_exit_that_trades_while_it_is_given_up_is_not_planned_anew(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.TREND) as bench:
        await bench.give(ENTRY)
        await bench.manager.run()
        bench.exchange.script = [Retry("no route")] * 6
        sleep = bench.clock.sleep

        async def trades(seconds: float) -> None:
            await sleep(seconds)
            if len(bench.exchange.placed) == 6:
                whole = bench.exchange._execution(bench.exchange.placed[-1])
                half = replace(whole, execution_id="half", qty=whole.qty / 2, value_usdt=whole.value_usdt / 2)
                await bench.manager.sender.take(ExecutionSeen(half))

        bench.clock.sleep = trades  # type: ignore[method-assign]
        await bench.give(EXIT)
        await bench.manager.run()
        assert bench.states[-1].endswith(" open")
        assert len(bench.exchange.placed) == 1 + 6
        assert bench.recorder.memory.pending == (EXIT,)
