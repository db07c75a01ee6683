"""What a stream and a comparison know of the same trade is booked once (ORD-4, ORD-7)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from builders import a_fill
from engine_bench import AT, OWNERS, a_bench
from eternal_engine.engine.findings import Alert, Findings
from eternal_engine.engine.reconcile import Reconciler
from eternal_engine.engine.snapshot import Horizon, saved_horizon
from eternal_engine.exchange.events import ExecutionSeen
from eternal_engine.exchange.orders import OrderRequest
from eternal_engine.exchange.terms import Market, OrderKind, QtyUnit, Side
from eternal_engine.model.event import Corrected, Event, Filled, Mismatch
from eternal_engine.model.ids import Account, Coin, Engine, RecordId, Symbol
from eternal_engine.storage.store import Appended

BTC = Symbol("BTCUSDT")


async def test_ord_7_a_correction_gives_way_to_the_execution_that_a_stream_books_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_bench(tmp_path, Engine.TREND) as bench:
        recorder = bench.recorder
        reconciler = Reconciler({}, OWNERS, recorder, bench.clock.now, bench.clock.sleep)
        short = Corrected(
            AT, RecordId("c"), Account.TREND, BTC, Coin("BTC"), Market.PERP, Decimal("0.5"), Decimal(40_000),
            Mismatch.WRONG_SIZE, "the exchange holds it",
        )  # fmt: skip
        alert = Alert("size", "wrong size", "BTCUSDT", "look")
        found = Findings(
            Account.TREND, AT, corrections=(short,), pause=frozenset({BTC}), alerts=(alert,), differences=1
        )
        fill = Filled(AT, a_fill("late", account=Account.TREND, market=Market.PERP, qty="0.5", price="40000"))
        # The stream is ahead: its write is under way, however long the disk takes, and the comparison waits for it.
        on_disk, begun, written = recorder.store.append_shielded, asyncio.Event(), asyncio.Event()

        async def slowly(batch: Sequence[Event]) -> Appended:
            begun.set()
            await written.wait()
            return await on_disk(batch)

        monkeypatch.setattr(recorder.store, "append_shielded", slowly)
        streamed = asyncio.ensure_future(recorder.append(fill))
        await begun.wait()
        compared = asyncio.ensure_future(reconciler._booked(found, on_record=False))
        await asyncio.sleep(0)
        assert not compared.done()
        written.set()
        booked = await compared
        await streamed
        assert recorder.projection.books.of(Account.TREND).perp[BTC].qty == Decimal("0.5")
        assert (booked.corrections, booked.alerts, recorder.memory.paused) == ((), (), frozenset())
        again = await reconciler._booked(found, on_record=False)
        assert again.corrections == (short,)
        assert recorder.memory.paused == {BTC}


async def test_core_12_a_stream_that_reaches_back_books_nothing_of_the_opening_balance(tmp_path: Path) -> None:
    async with a_bench(tmp_path, Engine.CORE_HODL) as bench:
        request = OrderRequest(
            client_order_id="co-2401010000-BTCUSDT-buy-1", market=Market.SPOT, symbol="BTCUSDT", side=Side.BUY,
            kind=OrderKind.MARKET, qty=Decimal(400), qty_unit=QtyUnit.QUOTE,
        )  # fmt: skip
        execution = bench.exchange._execution(request)
        opened = AT + timedelta(minutes=2)
        horizon = Horizon(opened, opened, frozenset({execution.execution_id}))
        await bench.recorder.append(saved_horizon(Account.CORE_HODL, horizon, opened))
        before = bench.recorder.projection.books
        await bench.manager.sender.take(ExecutionSeen(execution))
        assert bench.recorder.projection.books == before
