"""A decision's first orders: on record as sent with their plan, requested once, looked up after a crash (ORD-1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from engine_bench import AT, BUYING, ENTRY, OWNERS, PAIR_IN, Bench, a_bench
from eternal_engine.engine.order_manager import OrderManager
from eternal_engine.engine.sender import LEAVES_WITHIN, Sender
from eternal_engine.engine.timing import hour_of
from eternal_engine.exchange.translate import request_of
from eternal_engine.model import reason
from eternal_engine.model.event import Event, Filled, FundingSettled, OrderMoved, OrderPlanned
from eternal_engine.model.fill import Fill
from eternal_engine.model.ids import Account, ClientOrderId, Coin, Engine, ExecutionId, Symbol
from eternal_engine.model.instrument import BYBIT_2025, Market, Side
from eternal_engine.portfolio.params import Intent
from eternal_engine.strategies.base import SELL

ID = ClientOrderId("co-2401020000-BTCUSDT-buy-1")
OUT = ENTRY._replace(side=SELL, reduces=True, reason=reason.TREND_EXIT)


async def decide(bench: Bench, *intents: Intent) -> list[Event]:
    """Put intents and their first orders on record, as a decision does."""
    events: list[Event] = []
    projection, memory = bench.recorder.projection, bench.recorder.memory
    memory = replace(memory, pending=intents, cycle_h=hour_of(AT))
    events += bench.manager.first_orders(intents, memory, projection)
    await bench.recorder.commit(lambda _, __: (memory, events))
    bench.manager.sender.decided(events)
    return events


def kinds(events: Sequence[Event]) -> list[str]:
    return ["sent" if isinstance(event, OrderMoved) else type(event).__name__ for event in events]


def restarted(bench: Bench) -> OrderManager:
    """Give the manager of another life over the same records."""
    sender = Sender(bench.manager.engine, bench.exchange, bench.recorder, BYBIT_2025, OWNERS, bench.clock, bench.clock)
    return OrderManager(sender, bench.recorder, bench.params, bench.clock, bench.clock)


def commits(bench: Bench) -> Callable[[], int]:
    before = bench.recorder.store.head.seq
    return lambda: bench.recorder.store.head.seq - before


async def test_ord_1_a_first_order_is_on_record_as_sent_before_its_one_request(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.CORE_HODL) as bench:
        assert kinds(await decide(bench, BUYING)) == ["OrderPlanned", "sent"]
        assert bench.states == [f"{ID} sent"]
        assert bench.exchange.placed == []
        written = commits(bench)
        rows: list[int] = []

        async def look(_: object) -> None:
            rows.append(written())

        bench.exchange.meanwhile = look
        await bench.manager.run()
        await bench.manager.run()
        assert rows == [0], "nothing more is written before the request"
        assert [request.client_order_id for request in bench.exchange.placed] == [ID]
        assert bench.states == [f"{ID} filled"]
        assert bench.exchange.lookups == 1, "it is looked for once, after its acceptance"
        assert bench.recorder.projection.orders[ID].order.sends == 1


async def test_ord_2_after_a_crash_it_is_looked_up_before_anything_is_sent(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.CORE_HODL) as bench:
        await decide(bench, BUYING)
        manager, looked = restarted(bench), []

        async def look(_: object) -> None:
            looked.append((bench.exchange.lookups, bench.clock.now() - AT))

        bench.exchange.meanwhile = look
        await manager.run()
        assert len(bench.exchange.placed) == 1
        (lookups, waited), *_ = looked
        assert lookups > 0, "it was looked for"
        assert waited >= timedelta(seconds=5), "until its request could arrive no more"
        assert bench.states == [f"{ID} filled"]


async def test_ord_2_after_a_crash_behind_its_request_it_is_found_and_not_sent_again(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.CORE_HODL) as bench:
        await decide(bench, BUYING)
        order = bench.manager.sender.order(ID)
        await bench.exchange.place(request_of(order.intent))
        await restarted(bench).run()
        assert len(bench.exchange.placed) == 1
        assert bench.states == [f"{ID} filled"]


async def test_ord_2_one_that_did_not_leave_within_a_moment_is_looked_up_first(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.CORE_HODL) as bench:
        await decide(bench, BUYING)
        bench.clock.at += LEAVES_WITHIN
        await bench.manager.sender.advance(ID)
        assert bench.states == [f"{ID} unknown"]
        assert bench.exchange.placed == []


async def test_inside_one_process_an_order_is_on_record_as_sent_when_its_turn_comes(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.CORE_HODL) as bench:
        bench.manager.sender._pump = lambda: ()
        assert kinds(await decide(bench, BUYING)) == ["OrderPlanned"]


@pytest.mark.parametrize(
    ("engine", "intent", "ready", "wanted"),
    [
        (Engine.TREND, ENTRY, True, ["OrderPlanned", "sent"]),
        (Engine.TREND, ENTRY, False, ["OrderPlanned"]),
        (Engine.FUNDING, PAIR_IN, True, ["OrderPlanned", "sent"]),
        (Engine.FUNDING, PAIR_IN, False, ["OrderPlanned"]),
    ],
)
async def test_trend_x3_only_what_has_its_leverage_is_on_record_as_sent_at_once(
    engine: Engine, intent: Intent, ready: bool, wanted: list[str], tmp_path: Path
) -> None:
    async with a_bench(tmp_path, engine) as bench:
        if ready:
            assert await bench.manager._lever("BTCUSDT")
        assert kinds(await decide(bench, intent)) == wanted
        levered = len(bench.exchange.levered)
        await bench.manager.run()
        assert len(bench.exchange.placed) == (2 if engine is Engine.FUNDING else 1)
        assert (levered, len(bench.exchange.levered)) == (int(ready), 1)


async def test_trend_s1_the_record_of_the_sending_names_the_stop_that_goes_with_it(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.TREND) as bench:
        await bench.manager._lever("BTCUSDT")
        _, sent = await decide(bench, ENTRY)
        await bench.manager.run()
        assert isinstance(sent, OrderMoved)
        assert bench.exchange.placed[0].stop_loss is not None
        assert sent.detail == f"with a stop at {bench.exchange.placed[0].stop_loss}"


async def test_what_may_not_be_sent_now_is_planned_alone(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.CORE_HODL) as bench:
        bench.manager.may_send = lambda: False
        assert kinds(await decide(bench, BUYING)) == ["OrderPlanned"]


async def test_risk_12_an_entry_that_comes_late_meets_the_price_first(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.CORE_HODL) as bench:
        bench.clock.at += timedelta(minutes=2)
        assert kinds(await decide(bench, BUYING)) == ["OrderPlanned"]
        bench.exchange.prices = {"BTCUSDT": Decimal(50_000)}
        await bench.manager.run()
        assert bench.exchange.placed == []
        assert bench.states == [f"{ID} abandoned"]


@pytest.mark.parametrize(("intent", "wanted"), [(ENTRY, ["OrderPlanned"]), (OUT, ["OrderPlanned", "sent"])])
async def test_risk_0_of_a_halted_engine_only_what_reduces_goes_at_once(
    intent: Intent, wanted: list[str], tmp_path: Path
) -> None:
    async with a_bench(tmp_path, Engine.TREND) as bench:
        await bench.manager._lever("BTCUSDT")
        await bench.recorder.commit(lambda memory, _: (replace(memory, halted=0b1111), ()))
        bought = Fill(
            ExecutionId("held"), Account.TREND, Symbol("BTCUSDT"), Market.PERP, Side.BUY, Decimal("0.1"),
            Decimal(40_000), Decimal(0), Coin("USDT"), Coin("BTC"), Coin("USDT"), AT,
        )  # fmt: skip
        await bench.recorder.append(Filled(AT, bought))
        assert kinds(await decide(bench, intent)) == wanted


async def test_core_12_what_has_filled_before_its_plan_is_not_sent(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.TREND) as bench:
        await bench.manager._lever("BTCUSDT")
        planned = next(e for e in bench.manager.first_orders([ENTRY], bench.recorder.memory, bench.recorder.projection))
        assert isinstance(planned, OrderPlanned)
        intent = planned.intent
        known = Fill(
            ExecutionId("lost"), Account.TREND, Symbol("BTCUSDT"), Market.PERP, Side.BUY, intent.qty or Decimal(0),
            Decimal(40_000), Decimal(0), Coin("USDT"), Coin("BTC"), Coin("USDT"), AT,
            client_order_id=intent.client_order_id,
        )  # fmt: skip
        await bench.recorder.append(Filled(AT, known))
        assert kinds(await decide(bench, ENTRY)) == ["OrderPlanned"]
        await bench.manager.run()
        assert bench.exchange.placed == []


async def test_u_8_funding_that_a_decision_has_booked_is_not_booked_again(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.FUNDING) as bench:
        sender = bench.manager.sender
        paid, later = (
            FundingSettled(
                at, Account.FUNDING, Symbol("BTCUSDT"), ExecutionId(name), Decimal(-1), Decimal(1), Decimal(1),
                Decimal(5), at,
            )
            for name, at in (("now", AT), ("later", AT + timedelta(hours=8)))
        )  # fmt: skip
        sender.hold([paid, later])
        due = sender.due_funding(hour_of(AT))
        assert due == [paid]
        await bench.recorder.append(*due)
        sender.decided(due)
        written = commits(bench)
        await sender.settle_funding(hour_of(AT))
        assert written() == 0
        await sender.settle_funding(hour_of(AT) + 8)
        assert written() == 1
