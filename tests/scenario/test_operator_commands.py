"""The operator at a running daemon: real orders at the embedded exchange, and books that agree with its ledger."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from eternal_engine.config.settings import Settings
from eternal_engine.engine.command import Reply
from eternal_engine.engine.command_desk import CommandDesk
from eternal_engine.engine.timing import hour_of, hour_start
from eternal_engine.launch.assembly import Crew
from eternal_engine.launch.daemon import Plan, take_up
from eternal_engine.launch.markets import Market, MarketKind
from eternal_engine.launch.paper import open_in_process
from eternal_engine.launch.place import Place
from eternal_engine.launch.summary import ledger_differences
from eternal_engine.market_data.bar_store import BarStore
from eternal_engine.model.ids import Account, CommandId, Leg, Symbol
from eternal_engine.storage.inbox import Command
from eternal_engine.storage.store import Store

WEEK_H = 168
BTC = Symbol("BTCUSDT")
FLATTEN = {"confirmation": "FLATTEN"}
BY_HAND = {"symbols": "BTCUSDT,ETHUSDT", "amount_usdt": "500"}


@dataclass
class Daemon:
    """Hold a daemon that trades in this process, and the operator who speaks to it."""

    plan: Plan
    place: Place
    crew: Crew
    said: int = 0

    async def hours(self, count: int) -> None:
        """Live so many hours, and ten minutes of the next."""
        end_h = hour_of(self.place.clock.now()) + count
        while (now_h := hour_of(self.place.clock.now())) < end_h:
            await self.crew.engine.live_through(now_h)
            await self.place.clock.sleep_until(hour_start(now_h + 1))
        await self.crew.engine.live_through(end_h)
        await self.place.clock.sleep(600)

    async def say(self, verb: str, *, carry_out: bool = True, **arguments: str) -> Reply:
        """Give one command and let the engine carry it out, if it lives long enough."""
        self.said += 1
        now = self.place.clock.now()
        command = Command(CommandId(f"k{self.said}"), verb, arguments, now, now + timedelta(minutes=5))
        woken: list[str] = []
        desk = CommandDesk(
            self.crew.recorder,
            self.place.clock,
            {},
            lambda: "c0ffee",
            wake=lambda: woken.append(verb),
            reconcile=lambda: None,
        )
        reply = await desk.apply_command(command)
        assert reply is not None
        if woken and carry_out:
            await self.crew.engine.work()
        return reply

    def book(self, account: Account):
        """Give an engine's book."""
        return self.crew.recorder.projection.books.of(account)

    def legs(self, leg: Leg) -> int:
        """Count the orders of a leg."""
        return sum(1 for row in self.crew.recorder.projection.orders.values() if row.order.intent.key.leg is leg)

    async def agrees(self) -> bool:
        """Tell whether nothing is left under way and the exchange's own ledger says what the books say."""
        recorder = self.crew.recorder
        rest = (recorder.memory.pending, recorder.projection.open_orders, recorder.projection.pending_transfers)
        return not any(rest) and not tuple(await ledger_differences(self.place, recorder.projection.books))


async def _crew(plan: Plan, place: Place, store: Store, bars: BarStore) -> Crew:
    """Start the daemon on its database: a first start, or another one."""
    crew = await take_up(plan, place, store, bars)
    await crew.engine.start()
    return crew


@asynccontextmanager
async def _trading(state: Path) -> AsyncIterator[Daemon]:
    """Run a daemon in the synthetic market until all engines but TACTICAL hold something."""
    settings = Settings.model_validate({"paths": {"state_dir": state, "log_dir": state}})
    place = open_in_process(Market(MarketKind.SYNTHETIC, None, 7, None, 0, datetime(2026, 1, 1, tzinfo=UTC)), settings)
    store, bars = await Store.open(state / "eternal.db"), BarStore(state / "market.db")
    try:
        plan = Plan("paper", settings, say=lambda _: None)
        daemon = Daemon(plan, place, await _crew(plan, place, store, bars))
        await daemon.hours(26)
        assert daemon.book(Account.TREND).perp
        assert daemon.book(Account.FUNDING).perp
        yield daemon
    finally:
        await daemon.crew.recorder.store.close()
        bars.close()
        await place.close()


async def test_brk_6_flatten_closes_both_engines_spares_core_hodl_and_nothing_is_opened_again(tmp_path: Path) -> None:
    async with _trading(tmp_path) as daemon:
        coins = dict(daemon.book(Account.CORE_HODL).spot)
        assert (await daemon.say("flatten", **FLATTEN)).accepted
        assert daemon.book(Account.TREND).perp == {}
        assert daemon.book(Account.FUNDING).perp == {}
        assert dict(daemon.book(Account.CORE_HODL).spot) == coins
        assert daemon.crew.recorder.memory.stops == ()
        await daemon.hours(26)
        assert daemon.book(Account.TREND).perp == {}
        assert daemon.book(Account.FUNDING).perp == {}
        assert await daemon.agrees()
        await daemon.say("resume")
        await daemon.hours(1)
        assert daemon.book(Account.FUNDING).perp
        assert await daemon.agrees()


async def test_core_13_a_manual_purchase_is_bought_once_pays_the_plan_and_moves_no_due_time(tmp_path: Path) -> None:
    async with _trading(tmp_path) as daemon:
        before, held = daemon.crew.recorder.memory.states.core, daemon.book(Account.CORE_HODL).spot[BTC].qty
        await daemon.say("dca-trigger", **BY_HAND)
        assert daemon.legs(Leg.MANUAL) == 0
        for _ in range(2):
            await daemon.say("dca-trigger", execute="yes", **BY_HAND)
        after = daemon.crew.recorder.memory.states.core
        assert daemon.legs(Leg.MANUAL) == 2
        assert daemon.book(Account.CORE_HODL).spot[BTC].qty > held
        assert float(before.gap_usdt[0] - after.gap_usdt[0]) == pytest.approx(500.0, abs=0.1)
        assert (after.due_h, after.weeks_remaining) == (before.due_h, before.weeks_remaining)
        assert not (await daemon.say("dca-fix-missed", execute="yes")).accepted
        assert await daemon.agrees()


async def test_core_13_a_cycle_halted_away_falls_due_again_and_is_bought_once(tmp_path: Path) -> None:
    async with _trading(tmp_path) as daemon:
        bought = daemon.legs(Leg.BUY)
        core = daemon.crew.recorder.memory.states.core
        await daemon.say("halt", engines="core_hodl")
        await daemon.hours(core.due_h - hour_of(daemon.place.clock.now()) + 2)
        assert daemon.legs(Leg.BUY) == bought
        await daemon.say("resume", engines="core_hodl")
        await daemon.hours(1)
        assert daemon.legs(Leg.BUY) == 2 * bought
        assert daemon.crew.recorder.memory.states.core.due_h == core.due_h + WEEK_H
        assert not (await daemon.say("dca-fix-missed", execute="yes")).accepted
        await daemon.hours(2)
        assert daemon.legs(Leg.BUY) == 2 * bought
        assert await daemon.agrees()


async def test_brk_6_core_hodl_is_sold_when_it_is_named_and_confirmed_twice(tmp_path: Path) -> None:
    async with _trading(tmp_path) as daemon:
        assert not (await daemon.say("flatten", engines="core_hodl", **FLATTEN)).accepted
        await daemon.say("flatten", engines="core_hodl", core_confirmation="SELL CORE_HODL", **FLATTEN)
        assert daemon.legs(Leg.FLATTEN) == 10
        assert daemon.book(Account.CORE_HODL).spot[BTC].qty < Decimal("0.000001")
        assert daemon.book(Account.TREND).perp
        assert await daemon.agrees()


async def test_a_kill_right_after_the_commit_loses_no_flatten_and_sends_none_twice(tmp_path: Path) -> None:
    async with _trading(tmp_path) as daemon:
        assert (await daemon.say("flatten", carry_out=False, **FLATTEN)).accepted
        trends, pairs = len(daemon.book(Account.TREND).perp), len(daemon.book(Account.FUNDING).perp)
        path_ = daemon.crew.recorder.store.path
        for _ in range(2):
            await daemon.crew.recorder.store.close()
            store = await Store.open(path_)
            daemon.crew = await _crew(daemon.plan, daemon.place, store, daemon.crew.bars)
            assert daemon.book(Account.TREND).perp == {}
            assert daemon.book(Account.FUNDING).perp == {}
            assert (daemon.legs(Leg.FLATTEN), daemon.legs(Leg.PERP_CLOSE)) == (trends, pairs)
            assert daemon.crew.recorder.memory.halted == 0b1110
            assert await daemon.agrees()
