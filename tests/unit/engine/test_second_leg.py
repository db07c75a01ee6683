"""A pair's second leg whose fate a crash has left open is looked up by its id before anything else (FUND-3, ORD-2)."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from engine_bench import AT, OWNERS, PAIR_IN, Bench, a_bench
from eternal_engine.engine.order_manager import OrderManager
from eternal_engine.engine.sender import Sender
from eternal_engine.engine.timing import hour_of
from eternal_engine.exchange.orders import OrderReport, OrderRequest
from eternal_engine.exchange.terms import Market, OrderStatus, Side
from eternal_engine.model.errors import Retry, UnknownOutcome
from eternal_engine.model.event import Event, Noted
from eternal_engine.model.ids import Account, Engine, Symbol
from eternal_engine.model.instrument import BYBIT_2025

BTC = Symbol("BTCUSDT")
SPOT_BUY, PERP_SELL = (Market.SPOT, Side.BUY), (Market.PERP, Side.SELL)
SPOT_SELL = (Market.SPOT, Side.SELL)


class Killed(BaseException):
    """End a life of the daemon as a signal does: nobody catches it."""


async def killed_at_the_second_leg(bench: Bench, *, arrives: bool) -> None:
    bench.exchange.script = [None, ("taken", Killed()) if arrives else Killed()]
    await bench.give(PAIR_IN)
    with suppress(Killed):
        await bench.manager.run()
    assert bench.states[-1].endswith("-po-1 sent")


async def starts_again(bench: Bench) -> None:
    """Begin another life of the daemon: it knows what is on record, and nothing else."""
    sender = Sender(
        Engine.FUNDING, bench.exchange, bench.recorder, BYBIT_2025, OWNERS, bench.clock, bench.clock  # type: ignore[arg-type]
    )  # fmt: skip
    bench.manager = OrderManager(sender, bench.recorder, bench.params, bench.clock, bench.clock)
    await bench.manager.run()


def sent(bench: Bench) -> list[tuple[Market, Side]]:
    return [(request.market, request.side) for request in bench.exchange.placed]


async def test_fund_3_a_second_leg_that_had_filled_before_the_crash_is_found_and_not_undone(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.FUNDING) as bench:
        await killed_at_the_second_leg(bench, arrives=True)
        await starts_again(bench)
        assert sent(bench) == [SPOT_BUY, PERP_SELL]
        assert bench.recorder.projection.books.of(Account.FUNDING).perp[BTC].qty == Decimal("-0.05")
        assert bench.recorder.memory.states.funding.opened_h[0] == hour_of(AT)
        assert bench.recorder.memory.pending == ()


async def test_fund_3_a_second_leg_found_late_behind_failing_look_ups_is_not_undone(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.FUNDING) as bench:
        await killed_at_the_second_leg(bench, arrives=True)
        # The look-ups fail for longer than the leg's 30 s: unknown is no reason to undo anything.
        bench.exchange.look_script = [Retry("no route")] * 5
        await starts_again(bench)
        assert sent(bench) == [SPOT_BUY, PERP_SELL]
        assert bench.recorder.memory.pending == ()


def fills_in_part(bench: Bench, qty: str) -> None:
    """Let the first order of the second leg fill in part, and be cancelled with the rest."""
    whole, told = bench.exchange._qty, bench.exchange._report

    def in_part(request: OrderRequest) -> Decimal:
        return Decimal(qty) if request.client_order_id.endswith("-po-1") else whole(request)

    def cancelled(request: OrderRequest) -> OrderReport:
        is_part = request.client_order_id.endswith("-po-1")
        return replace(told(request), status=OrderStatus.CANCELLED) if is_part else told(request)

    bench.exchange._qty, bench.exchange._report = in_part, cancelled  # type: ignore[method-assign]


async def test_fund_3_the_rest_of_a_second_leg_that_filled_in_part_follows(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.FUNDING) as bench:
        fills_in_part(bench, "0.02")
        await killed_at_the_second_leg(bench, arrives=True)
        await starts_again(bench)
        assert sent(bench) == [SPOT_BUY, PERP_SELL, PERP_SELL]
        assert [request.qty for request in bench.exchange.placed[1:]] == [Decimal("0.050"), Decimal("0.030")]
        assert bench.recorder.projection.books.of(Account.FUNDING).perp[BTC].qty == Decimal("-0.05")


async def test_fund_3_a_second_leg_that_never_arrived_is_not_sent_and_the_first_is_undone(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.FUNDING) as bench:
        await killed_at_the_second_leg(bench, arrives=False)
        lookups = bench.exchange.lookups
        await starts_again(bench)
        assert bench.exchange.lookups > lookups
        assert sent(bench) == [SPOT_BUY, PERP_SELL, SPOT_SELL]
        assert BTC not in bench.recorder.projection.books.of(Account.FUNDING).perp
        assert bench.recorder.memory.pending == ()


async def test_fund_3_each_pair_journals_how_long_one_leg_stood_alone(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.FUNDING) as bench:
        seen: list[Event] = []
        bench.recorder._observers = [seen.append]
        bench.exchange.script = [None, ("taken", UnknownOutcome("time-out"))]
        await bench.give(PAIR_IN)
        await bench.manager.run()
        (said,) = [event for event in seen if isinstance(event, Noted) and event.rule == "FUND-3"]
        # The second leg's answer is lost; it is found half a second later.
        assert said.detail.startswith("fu-2401020000-BTCUSDT: one leg stood alone for 0.")
        assert said.detail.endswith("USDT x s")
        assert (said.engine, said.symbol) == (Engine.FUNDING, "BTCUSDT")


async def test_fund_3_the_30_s_are_those_of_the_leg_and_not_of_each_of_its_orders(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.FUNDING) as bench:
        fills_in_part(bench, "0.02")
        bench.exchange.script = [None, ("taken", UnknownOutcome("time-out"))]
        quick = bench.clock.sleep

        async def slow(seconds: float) -> None:
            await quick(max(seconds, 40.0))

        bench.clock.sleep = slow  # type: ignore[method-assign]
        await bench.give(PAIR_IN)
        await bench.manager.run()
        # The first order's part was found after 40 s; a second order would begin another 30 s.
        assert sent(bench) == [SPOT_BUY, PERP_SELL, SPOT_SELL]
        book = bench.recorder.projection.books.of(Account.FUNDING)
        assert book.perp[BTC].qty == Decimal("-0.02")
        assert book.spot[BTC].qty < Decimal("0.0201")
