"""Entries that were held up go out only at about the price they were decided at (RISK-12)."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from engine_bench import BUYING, ENTRY, PAIR_IN, Bench, a_bench
from eternal_engine.exchange.terms import Market, Side
from eternal_engine.model import reason
from eternal_engine.model.errors import Retry
from eternal_engine.model.event import ErrorOccurred, Event
from eternal_engine.model.ids import Engine
from eternal_engine.strategies.base import SELL


async def held_up(bench: Bench, *intents: object, minutes: int = 40) -> None:
    """Let the line be down when the hour is decided, and back after some time."""
    bench.manager.may_send = lambda: False
    await bench.give(*intents)  # type: ignore[arg-type]
    await bench.manager.run()
    bench.clock.at += timedelta(minutes=minutes)
    bench.manager.may_send = lambda: True
    await bench.manager.run()


@pytest.mark.parametrize(
    ("now", "sent"),
    [("42000", 1), ("42000.1", 0), ("38000", 1), ("37999.9", 0), ("20000", 0), ("39999.7", 1), (None, 0)],
)
@pytest.mark.parametrize("intent", [BUYING, ENTRY])
async def test_risk_12_an_entry_held_up_by_a_lost_line_is_refused_where_its_price_has_gone(
    tmp_path: Path, intent: object, now: str | None, sent: int
) -> None:
    async with a_bench(tmp_path, Engine.CORE_HODL if intent is BUYING else Engine.TREND) as bench:
        bench.exchange.prices["BTCUSDT"] = None if now is None else Decimal(now)
        await held_up(bench, intent)
        assert len(bench.exchange.placed) == sent
        assert bench.recorder.memory.pending == ()
        if not sent:
            (order,) = bench.recorder.projection.orders.values()
            assert order.order.state.value == "abandoned"
            assert order.order.note.startswith("RISK-12: ")


async def test_risk_12_prices_need_not_divide_evenly(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.CORE_HODL) as bench:
        bench.exchange.prices["BTCUSDT"] = Decimal("41003.7")
        await held_up(bench, BUYING._replace(price=39_001.3))
        assert bench.exchange.placed == []
        (order,) = bench.recorder.projection.orders.values()
        assert order.order.note == "RISK-12: BTCUSDT is at 41003.7, too far from 39001.3, at which it was decided"


async def test_risk_12_what_goes_out_at_once_needs_no_look(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.TREND) as bench:
        bench.exchange.prices["BTCUSDT"] = Decimal(20_000)
        await bench.give(ENTRY)
        await bench.manager.run()
        assert (len(bench.exchange.placed), bench.exchange.looked) == (1, [])


async def test_risk_0_an_exit_that_was_held_up_goes_out_at_any_price(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.TREND) as bench:
        await bench.give(ENTRY)
        await bench.manager.run()
        bench.exchange.prices["BTCUSDT"] = Decimal(20_000)
        await held_up(bench, ENTRY._replace(side=SELL, reduces=True, reason=reason.TREND_EXIT))
        assert [request.side for request in bench.exchange.placed] == [Side.BUY, Side.SELL]


async def test_fund_3_a_second_leg_covers_its_first_at_any_price(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.FUNDING) as bench:
        bench.manager.may_send = lambda: False
        await bench.give(PAIR_IN)
        await bench.manager.run()
        bench.clock.at += timedelta(minutes=40)
        bench.manager.may_send = lambda: True

        async def moves(_: object) -> None:
            bench.exchange.prices["BTCUSDT"] = Decimal(20_000)
            bench.clock.at += timedelta(minutes=5)

        bench.exchange.meanwhile = moves
        await bench.manager.run()
        assert [request.market for request in bench.exchange.placed] == [Market.SPOT, Market.PERP]


async def test_risk_12_prices_are_read_once_for_all_orders_of_a_moment(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.CORE_HODL) as bench:
        await held_up(bench, *(BUYING._replace(symbol=s) for s in range(5)))
        assert len(bench.exchange.placed) == 5
        assert bench.exchange.looked == [Market.SPOT, Market.PERP]


async def test_risk_12_an_entry_waits_while_nobody_tells_a_price(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.CORE_HODL) as bench:
        told: list[Event] = []
        bench.recorder._observers = [told.append]
        bench.exchange.ticker_script = [Retry("no route")]
        await held_up(bench, BUYING)
        assert bench.exchange.placed == []
        assert bench.recorder.memory.pending == (BUYING,)
        assert [event.what for event in told if isinstance(event, ErrorOccurred)] == ["no route"]
        await bench.manager.run()
        assert len(bench.exchange.placed) == 1
