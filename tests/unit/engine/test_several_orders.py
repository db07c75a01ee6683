"""A sum that takes several orders, and a crash between two of them: nothing twice, nothing lost (ORD-1, ORD-4)."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from engine_bench import AT, OWNERS, Bench, a_bench
from eternal_engine.engine.order_manager import OrderManager
from eternal_engine.engine.sender import Sender
from eternal_engine.engine.timing import hour_of
from eternal_engine.model import reason
from eternal_engine.model.ids import Engine, Symbol
from eternal_engine.model.instrument import BYBIT_2025
from eternal_engine.portfolio.params import NO_INTENT
from eternal_engine.strategies.base import BUY, CORE_HODL, SPOT

BTC = Symbol("BTCUSDT")
CYCLE = NO_INTENT._replace(
    engine=CORE_HODL, market=SPOT, side=BUY, quote_steps=1_000_000_000, price=40_000.0, reason=reason.CORE_PLAN,
    decided_h=hour_of(AT), plan_usdt=100.0, unit=1e-7,
)  # fmt: skip
SMALL = replace(
    BYBIT_2025, spot={**BYBIT_2025.spot, BTC: replace(BYBIT_2025.spot[BTC], max_market_qty=Decimal("0.001"))}
)


class Killed(BaseException):
    """End a life of the daemon as a signal does: nobody catches it."""


async def another_life(bench: Bench) -> None:
    sender = Sender(Engine.CORE_HODL, bench.exchange, bench.recorder, SMALL, OWNERS, bench.clock, bench.clock)  # type: ignore[arg-type]
    bench.manager = OrderManager(sender, bench.recorder, bench.params, bench.clock, bench.clock)
    with suppress(Killed):
        await bench.manager.run()


@pytest.mark.parametrize("arrives", [True, False])
@pytest.mark.parametrize("at", [0, 1, 2])
async def test_ord_4_a_crash_between_the_orders_of_one_sum_sends_none_twice_and_loses_none(
    tmp_path: Path, at: int, arrives: bool
) -> None:
    async with a_bench(tmp_path, Engine.CORE_HODL) as bench:
        bench.exchange.script = [*[None] * at, ("taken", Killed()) if arrives else Killed()]
        await bench.give(CYCLE)
        await another_life(bench)
        await another_life(bench)
        ids = [f"co-2401020000-BTCUSDT-buy-{n}" for n in (1, 2, 3)]
        assert list(bench.exchange.taken) == ids
        assert [request.qty for request in bench.exchange.taken.values()] == [38, 38, 24]
        sent = [request.client_order_id for request in bench.exchange.placed]
        # Only what had not arrived was sent again, under its own id.
        assert sorted(sent) == sorted([*ids, *([] if arrives else [ids[at]])])
        assert bench.recorder.memory.pending == ()
        assert bench.recorder.memory.states.core.spent_usdt[0] == 100.0
