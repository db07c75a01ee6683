"""The running daemon's comparison: real store, real client, real venue (ORD-7, C5, a restored backup)."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from contract_arena import SYMBOLS
from core_builders import THREE, some_params
from eternal_engine.engine.adopt import open_account
from eternal_engine.engine.findings import Alert
from eternal_engine.engine.lockout import Lockouts
from eternal_engine.engine.memory import fresh_memory, load
from eternal_engine.engine.reconcile import Reconciler
from eternal_engine.engine.recorder import Recorder
from eternal_engine.engine.snapshot import horizon_of, take_prices
from eternal_engine.exchange.orders import OrderRequest
from eternal_engine.exchange.terms import Market, OrderKind, Side
from eternal_engine.model.errors import EternalError
from eternal_engine.model.event import FundingSettled, Reconciled
from eternal_engine.model.ids import Account, Engine, Leg, Symbol
from eternal_engine.portfolio.params import empty_marks
from eternal_engine.simulator.faults import Fault, FaultKind
from eternal_engine.storage.store import Store
from reconcile_bench import Bench, hand_id, our_id, trade

PARAMS = some_params(THREE)
BTC = Symbol("BTCUSDT")


class VenueTime:
    """Give venue time, and let it pass instead of waiting."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    def now(self):  # type: ignore[no-untyped-def]
        return self.bench.now

    async def sleep(self, seconds: float) -> None:
        self.bench.pass_time(seconds=seconds)

    async def sleep_until(self, at) -> None:  # type: ignore[no-untyped-def]
        raise AssertionError(f"nothing here waits until {at}")


class Daemon:
    """Hold a recorder over a real database and a reconciler over all accounts."""

    def __init__(self, bench: Bench, store: Store, owners) -> None:  # type: ignore[no-untyped-def]
        self.bench = bench
        self.alerts: list[Alert] = []
        self.later: list[FundingSettled] = []
        known = load(store.projection.states, PARAMS)
        memory = known or fresh_memory(PARAMS, THREE, 0)
        clock = VenueTime(bench)
        marks = empty_marks(len(THREE))
        self.recorder = Recorder(store, PARAMS, memory, clock, marks=marks, is_new=known is None)
        self.lockouts = Lockouts(self.recorder, clock)
        self.reconciler = Reconciler(
            {account: bench.client(account) for account in Account},
            owners,
            self.recorder,
            clock.now,
            clock.sleep,
            alert=self.alerts.append,
            later=lambda _, rows: self.later.extend(rows),
            lockouts=self.lockouts,
        )

    async def open(self) -> None:
        owners = await self.bench.rules()
        for account in Account:
            if horizon_of(self.recorder.projection, account) is None:
                self.bench.projection = self.recorder.projection
                snapshot = await self.bench.snapshot(account)
                prices = await take_prices(self.bench.client(account), SYMBOLS)
                await self.recorder.append(*open_account(snapshot, owners, prices).events)

    def differences(self) -> dict[Account, dict[str, Decimal]]:
        self.bench.projection = self.recorder.projection
        return {account: diff for account in Account if (diff := self.bench.differences(account))}


@asynccontextmanager
async def running(bench: Bench, path: Path) -> AsyncIterator[Daemon]:
    store = await Store.open(path)
    try:
        daemon = Daemon(bench, store, await bench.rules())
        await daemon.open()
        yield daemon
    finally:
        await store.close()


@pytest.fixture
def bench() -> Bench:
    return Bench.make()


async def test_ord_7_what_was_found_is_journaled_paused_and_said_once(bench: Bench, tmp_path: Path) -> None:
    async with running(bench, tmp_path / "eternal.db") as daemon:
        await trade(
            bench.client(Account.TREND), our_id(Engine.TREND, bench.now, leg=Leg.ENTRY), Market.PERP, Side.BUY, "0.2"
        )
        await trade(bench.client(Account.TREND), hand_id(), Market.PERP, Side.SELL, "0.05")
        await trade(bench.client(Account.TACTICAL), hand_id(), Market.SPOT, Side.BUY, "500")
        found = await daemon.reconciler.run()
        assert [row.account for row in found] == list(Account)
        assert daemon.differences() == {}
        assert daemon.recorder.memory.paused == {BTC}
        assert len(daemon.alerts) == 2
        seq = daemon.recorder.store.head.seq
        assert all(row.is_clean for row in await daemon.reconciler.run())
        assert daemon.recorder.store.head.seq == seq
        assert len(daemon.alerts) == 2
    async with running(bench, tmp_path / "eternal.db") as again:
        assert again.recorder.memory.paused == {BTC}
        assert all(row.is_clean for row in await again.reconciler.run())


async def test_k9_an_order_of_a_strangers_that_rests_is_said_once_and_again_when_it_is_another(
    bench: Bench, tmp_path: Path
) -> None:
    async with running(bench, tmp_path / "eternal.db") as daemon:
        port, names = bench.client(Account.TREND), [hand_id(), hand_id()]

        async def rests(name: str) -> None:
            await port.place(
                OrderRequest(name, Market.PERP, BTC, Side.BUY, OrderKind.LIMIT, Decimal("0.01"), price=Decimal(40_000))
            )
            for _ in range(3):
                await daemon.reconciler.run()

        await rests(names[0])
        assert [alert.key.split(":")[1] for alert in daemon.alerts] == ["order"]
        await port.cancel(Market.PERP, BTC, names[0])
        await rests(names[1])
        assert [alert.key.split(":")[1] for alert in daemon.alerts] == ["order", "order"]


async def test_on_record_a_comparison_without_differences_is_journaled_too(bench: Bench, tmp_path: Path) -> None:
    async with running(bench, tmp_path / "eternal.db") as daemon:
        seq = daemon.recorder.store.head.seq
        seen = []
        daemon.recorder._observers = (seen.append,)
        await daemon.reconciler.run(on_record=True)
        assert [type(event) for event in seen] == [Reconciled] * len(Account)
        assert daemon.recorder.store.head.seq == seq + len(Account)


async def test_a_backup_restored_after_a_month_ends_in_the_venues_ledger(bench: Bench, tmp_path: Path) -> None:
    path, backup = tmp_path / "eternal.db", tmp_path / "backup.db"
    core, trend = bench.client(Account.CORE_HODL), bench.client(Account.TREND)
    async with running(bench, path):
        pass
    shutil.copy(path, backup)
    for _ in range(3):
        bench.pass_time(days=2)
        await trade(core, our_id(Engine.CORE_HODL, bench.now), Market.SPOT, Side.BUY, "1000")
        await trade(trend, our_id(Engine.TREND, bench.now, leg=Leg.ENTRY), Market.PERP, Side.BUY, "0.1")
    bench.deposit(Account.MASTER, "USDT", "123")
    async with running(bench, path) as undisturbed:
        await undisturbed.reconciler.run()
        books = undisturbed.recorder.projection.books
    async with running(bench, backup) as restored:
        await restored.reconciler.run()
        assert restored.differences() == {}
        for account in Account:
            assert restored.recorder.projection.books.of(account).cash == books.of(account).cash
            assert restored.recorder.projection.books.of(account).perp == books.of(account).perp


async def test_ord_6_an_exchange_that_fails_leaves_no_account_half_done(bench: Bench, tmp_path: Path) -> None:
    async with running(bench, tmp_path / "eternal.db") as daemon:
        for account in (Account.CORE_HODL, Account.TREND):
            await trade(bench.client(account), hand_id(), Market.SPOT, Side.BUY, "500")
        bench.world.faults.faults.append(
            Fault(FaultKind.LOSE_REPLY, path="/v5/position/list", account="TREND", times=0)
        )
        with pytest.raises(EternalError):
            await daemon.reconciler.run()
        assert set(daemon.differences()) == {Account.TREND}
        bench.world.faults.clear()
        await daemon.reconciler.run()
        assert daemon.differences() == {}


async def test_d5_an_account_whose_key_is_refused_is_left_out_and_the_others_are_compared(
    bench: Bench, tmp_path: Path
) -> None:
    async with running(bench, tmp_path / "eternal.db") as daemon:
        await trade(bench.client(Account.TREND), hand_id(), Market.PERP, Side.SELL, "0.05")
        await trade(bench.client(Account.TACTICAL), hand_id(), Market.SPOT, Side.BUY, "500")
        bench.world.faults.faults.append(Fault(FaultKind.CODE, path="/v5/*", account="TREND", code=33004, times=0))
        found = await daemon.reconciler.run()
        assert [row.account for row in found] == [account for account in Account if account is not Account.TREND]
        assert set(daemon.differences()) == {Account.TREND}
        assert (daemon.lockouts.refused, daemon.recorder.memory.halted) == ({Account.TREND}, 0b0010)
        bench.world.faults.clear()
        await daemon.reconciler.run()
        assert daemon.differences() == {}
        # The account answers again, and its engine waits for the operator all the same.
        assert (daemon.lockouts.refused, daemon.recorder.memory.halted) == (frozenset(), 0b0010)
