"""Orders on the wire: retries, limits, unknown outcomes, and nothing sent twice (ORD-1 to ORD-4, D3 to D6)."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from engine_bench import AT, BUYING, ENTRY, OWNERS, a_bench
from eternal_engine.engine.order_manager import OrderManager
from eternal_engine.engine.sender import Sender
from eternal_engine.exchange.orders import OrderAck, OrderRequest
from eternal_engine.model import reason
from eternal_engine.model.errors import (
    BadReply,
    HaltTrading,
    RateLimited,
    RejectedForGood,
    Retry,
    UnknownOutcome,
    Unsupported,
)
from eternal_engine.model.event import ErrorOccurred
from eternal_engine.model.ids import Account, Engine
from eternal_engine.model.instrument import BYBIT_2025
from eternal_engine.strategies.base import SELL

EXIT = ENTRY._replace(side=SELL, reduces=True, reason=reason.TREND_EXIT)
ID = "co-2401020000-BTCUSDT-buy-1"


async def test_an_order_is_sent_once_and_booked_once(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.CORE_HODL) as bench:
        await bench.give(BUYING)
        await bench.manager.run()
        await bench.manager.run()
        assert [request.client_order_id for request in bench.exchange.placed] == [ID]
        assert bench.states == [f"{ID} filled"]
        assert bench.recorder.memory.pending == ()
        assert bench.recorder.memory.states.core.spent_usdt[0] == 100.0


async def test_d4_retries_wait_and_end(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.CORE_HODL, jitter=lambda: 1.0) as bench:
        bench.exchange.script = [Retry("try later")] * 6
        await bench.give(BUYING)
        await bench.manager.run()
        assert bench.clock.slept == pytest.approx([1.2, 2.4, 4.8, 9.6, 19.2])
        assert {request.client_order_id for request in bench.exchange.placed} == {ID}
        assert len(bench.exchange.placed) == 6
        assert bench.states == [f"{ID} rejected"]
        assert bench.recorder.memory.pending == ()


async def test_d6_a_rate_limit_waits_and_does_not_count(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.CORE_HODL) as bench:
        limits = [RateLimited("slow down", reset_at=AT + timedelta(seconds=3)), RateLimited("slow down")]
        bench.exchange.script = [*limits, *[Retry("later")] * 5]
        await bench.give(BUYING)
        await bench.manager.run()
        assert bench.clock.slept[:2] == [3.0, 1.0]
        assert bench.states == [f"{ID} filled"]
        assert len(bench.exchange.placed) == 8


async def test_ord_3_a_rate_limit_between_them_gives_no_new_retries(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.CORE_HODL) as bench:
        bench.exchange.script = [*[Retry("later")] * 3, RateLimited("slow down"), *[Retry("later")] * 3]
        await bench.give(BUYING)
        await bench.manager.run()
        assert len(bench.exchange.placed) == 7
        assert bench.states == [f"{ID} rejected"]


async def test_d5_a_rejection_for_good_is_not_repeated(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.CORE_HODL) as bench:
        bench.exchange.script = [RejectedForGood("no money", code=170131)]
        await bench.give(BUYING)
        await bench.manager.run()
        assert len(bench.exchange.placed) == 1
        assert bench.states == [f"{ID} rejected"]
        assert bench.recorder.memory.states.core.spent_usdt[0] == 0.0


async def test_d5_a_refused_key_stops_trading(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.CORE_HODL) as bench:
        bench.exchange.script = [HaltTrading("key invalid", code=10003)]
        await bench.give(BUYING)
        with pytest.raises(HaltTrading):
            await bench.manager.run()
        assert bench.states == [f"{ID} rejected"]


@pytest.mark.parametrize("error", [UnknownOutcome("time-out"), BadReply("half an answer")])
async def test_d3_a_lost_reply_is_looked_up_and_never_sent_again(tmp_path: Path, error: Exception) -> None:
    async with a_bench(tmp_path, Engine.CORE_HODL) as bench:
        bench.exchange.script = [("taken", error)]
        await bench.give(BUYING)
        await bench.manager.run()
        assert len(bench.exchange.placed) == 1
        assert bench.states == [f"{ID} filled"]


async def test_ord_2_a_lost_request_goes_again_under_the_same_id_when_it_can_arrive_no_more(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.CORE_HODL) as bench:
        bench.exchange.script = [UnknownOutcome("reset")]
        await bench.give(BUYING)
        await bench.manager.run()
        assert [request.client_order_id for request in bench.exchange.placed] == [ID, ID]
        assert sum(bench.clock.slept) >= 30.0
        assert bench.states == [f"{ID} filled"]


async def test_ord_2_after_a_restart_an_order_may_still_arrive_for_half_a_minute(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.CORE_HODL) as bench:
        bench.exchange.script = [UnknownOutcome("reset")]
        bench.exchange.look_script = [Retry("no connection")] * 6
        await bench.give(BUYING)
        await bench.manager.run()
        assert bench.states == [f"{ID} unknown"]
        # Nobody remembers when the killed process has sent it: it may have been just now.
        again = Sender(
            Engine.CORE_HODL, bench.exchange, bench.recorder, BYBIT_2025, OWNERS, bench.clock, bench.clock,
        )  # type: ignore[arg-type]  # fmt: skip
        began, at = bench.clock.at, list[float]()
        place = bench.exchange.place

        async def noted(request: OrderRequest) -> OrderAck:
            at.append((bench.clock.at - began).total_seconds())
            return await place(request)

        bench.exchange.place = noted  # type: ignore[method-assign]
        await OrderManager(again, bench.recorder, bench.params, bench.clock, bench.clock).run()
        assert len(at) == 1
        assert at[0] >= 30.0
        assert bench.states == [f"{ID} filled"]


async def test_ord_2_an_order_that_nobody_can_look_up_stays_unknown(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.CORE_HODL) as bench:

        async def fails(*_: object) -> object:
            raise Retry("no connection")

        bench.exchange.script = [("taken", UnknownOutcome("reset"))]
        found = bench.exchange.find_order
        bench.exchange.find_order = fails  # type: ignore[method-assign,assignment]
        await bench.give(BUYING)
        await bench.manager.run()
        assert bench.states == [f"{ID} unknown"]
        assert bench.recorder.memory.pending == (BUYING,)
        bench.exchange.find_order = found  # type: ignore[method-assign]
        await bench.manager.run()
        assert bench.states == [f"{ID} filled"]
        assert len(bench.exchange.placed) == 1


async def test_an_order_in_a_silent_market_stays_pending(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.CORE_HODL) as bench:
        bench.exchange.fills = False
        await bench.give(BUYING)
        await bench.manager.run()
        assert bench.states == [f"{ID} open"]
        assert bench.recorder.memory.pending == (BUYING,)
        bench.exchange.fills = True
        await bench.manager.run()
        assert bench.states == [f"{ID} filled"]
        assert bench.recorder.memory.pending == ()


async def test_d4_giving_up_says_so(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.CORE_HODL) as bench:
        seen: list[object] = []
        bench.recorder._observers = (seen.append,)
        bench.exchange.script = [Retry("try later", code=110079)] * 6
        await bench.give(BUYING)
        await bench.manager.run()
        told = [event for event in seen if isinstance(event, ErrorOccurred)]
        assert any("given up after 5 retries" in event.what for event in told)


async def test_ord_2_an_exchange_that_swallows_requests_keeps_no_round_from_ending(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.CORE_HODL) as bench:
        bench.exchange.script = [UnknownOutcome("reset")] * 50
        await bench.give(BUYING)
        await bench.manager.run()
        assert {request.client_order_id for request in bench.exchange.placed} == {ID}
        assert len(bench.exchange.placed) == 10
        assert bench.states == [f"{ID} planned"]
        await bench.manager.run()
        assert len(bench.exchange.placed) == 20
        bench.exchange.script = []
        await bench.manager.run()
        assert bench.states == [f"{ID} filled"]


async def test_fact_14_an_accepted_order_that_the_exchange_has_forgotten_is_over_and_its_rest_is_tried_again(
    tmp_path: Path,
) -> None:
    async with a_bench(tmp_path, Engine.TREND) as bench:
        await bench.give(ENTRY)
        await bench.manager.run()
        bench.exchange.fills = False
        await bench.give(EXIT)
        await bench.manager.run()
        leaving = bench.exchange.placed[-1].client_order_id
        assert bench.states[-1] == f"{leaving} open"
        # It was refused after all while the daemon was down, and its row is gone: a day is not enough to say so.
        del bench.exchange.taken[leaving]
        bench.exchange.fills = True
        for hours, state in ((24, "open"), (3, "cancelled")):
            bench.clock.at += timedelta(hours=hours)
            await bench.manager.run()
            assert f"{leaving} {state}" in bench.states
        assert bench.states[-1] == f"{leaving[:-1]}2 filled"
        assert bench.recorder.projection.books.of(Account.TREND).perp == {}
        assert bench.recorder.memory.pending == ()


async def test_d5_an_order_that_this_environment_does_not_offer_is_refused(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.CORE_HODL) as bench:
        bench.exchange.script = [Unsupported("not on the demo", code=10032)]
        await bench.give(BUYING)
        await bench.manager.run()
        assert bench.states == [f"{ID} rejected"]
        assert bench.recorder.memory.pending == ()
