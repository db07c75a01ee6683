"""The daemon's hours: each decided once and in order, missed ones without entries, none without a bar (U-2, U-7)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from core_builders import OFF, QUICK_TREND, TWO, a_history, some_params
from eternal_engine.engine.hour import ALL_HALTED
from eternal_engine.engine.memory import OWNER, write
from eternal_engine.engine.recorder import Make, Recorder
from eternal_engine.engine.timing import hour_start
from eternal_engine.exchange.capability import Environment
from eternal_engine.ledger.transfers import plan_transfer
from eternal_engine.market_data.history import MarketHistory
from eternal_engine.model.errors import UnknownOutcome
from eternal_engine.model.event import (
    Decided,
    EquityMarked,
    ErrorOccurred,
    FundingSettled,
    OrderMoved,
    OrderPlanned,
    Reviewed,
    StateSaved,
    TransferPlanned,
    Transferred,
)
from eternal_engine.model.ids import Account, Engine, ExecutionId, RuleId, Symbol
from eternal_engine.model.order import Trigger
from eternal_engine.storage.history import Paid
from eternal_engine.storage.store import Appended
from eternal_engine.strategies.base import HOURS_PER_DAY
from hours_bench import Daemon, ScriptedTeller, World, a_daemon

PARAMS = some_params(TWO, trend=QUICK_TREND, funding=OFF, tactical=OFF)
DAY = HOURS_PER_DAY
BEGIN = 12 * DAY
FIRST_BUYS = ["co-2001130000-BTCUSDT-buy-1", "co-2001130000-ETHUSDT-buy-1"]
ENTRY, EXIT = "tr-2001130000-BTCUSDT-in-1", "tr-2001150000-BTCUSDT-out-1"


def a_market() -> MarketHistory:
    """Two coins from 2020-01-01 on: BTC rises until the 14th and falls then; ETH does it the other way round."""
    days = np.arange(DAY * DAY) / DAY
    btc = np.where(days < 13, 36_000 + 300 * days, 39_900 - 900 * (days - 13))
    eth = np.where(days < 13.5, 42_000 - 100 * days, 40_650 + 700 * (days - 13.5))
    noise = np.random.default_rng(1).normal(0.0, 0.0004, (2, len(days)))
    return a_history(np.vstack((btc, eth)) * np.exp(noise), symbols=TWO)


def a_hole(history: MarketHistory, first: int, last: int) -> MarketHistory:
    """Take the bars [first, last) of both markets out."""
    for bars in (history.spot, history.perp):
        for column in (bars.open, bars.high, bars.low, bars.close):
            column[:, first:last] = np.nan
    return history


def reviews(daemon: Daemon, symbol: str) -> list[tuple[str, str, datetime]]:
    return [
        (event.verdict, event.rule, event.decided_at)
        for event in daemon.told
        if isinstance(event, Reviewed) and event.symbol == symbol
    ]


async def test_u_7_missed_hours_make_no_entries(tmp_path: Path) -> None:
    world = World(a_market())
    start = world.first_h + BEGIN
    async with a_daemon(tmp_path, world, PARAMS, at_h=start) as daemon:
        await daemon.each(start, start + DAY + 5)
    assert world.placed(Engine.CORE_HODL) == FIRST_BUYS
    assert world.placed(Engine.TREND) == [ENTRY]
    stop = world.exchanges[Engine.TREND].stops["BTCUSDT"]
    back = world.first_h + 20 * DAY + 3
    async with a_daemon(tmp_path, world, PARAMS, at_h=back) as daemon:
        await daemon.live(back)
        # Every hour was lived through, in order and once.
        decided = [event.at for event in daemon.told if isinstance(event, EquityMarked)][::4]
        assert decided == [hour_start(hour) for hour in range(start + DAY + 6, back + 1)]
        # The exit of the 15th was made; ETH's trend, begun meanwhile, was seen on five midnights and not entered.
        assert world.placed(Engine.TREND) == [ENTRY, EXIT]
        assert world.exchanges[Engine.TREND].placed[-1].reduce_only
        denied = {("denied", "RISK-1", hour_start(world.first_h + day * DAY)) for day in range(15, 21)}
        assert denied == {row for row in reviews(daemon, "ETHUSDT") if row[1] == "RISK-1"}
        # The cycle that fell due on the 20th was bought once, in the newest hour; the next is due at its anchor.
        assert world.placed(Engine.CORE_HODL)[2:] == [name.replace("130000", "210300") for name in FIRST_BUYS]
        core = daemon.recorder.memory.states.core
        assert (core.due_h, core.weeks_remaining) == (start + 2 * 168, 10)
        # A day later the daemon is up: what the missed hours might not, a present one may.
        await daemon.each(back + 1, world.first_h + 21 * DAY)
        assert world.placed(Engine.TREND)[2:] == ["tr-2001220000-ETHUSDT-in-1"]
    assert stop is not None
    assert stop < Decimal(40_000)


async def test_trend_s2_a_trail_rises_in_missed_hours(tmp_path: Path) -> None:
    closes = np.vstack((36_000 + 400 * np.arange(18 * DAY) / DAY, np.full(18 * DAY, 40_000.0)))
    world = World(a_history(closes, symbols=TWO))
    start = world.first_h + BEGIN
    params = some_params(TWO, trend=QUICK_TREND, funding=OFF, tactical=OFF, core=OFF)
    async with a_daemon(tmp_path, world, params, at_h=start) as daemon:
        await daemon.each(start, start + 2)
        first = world.exchanges[Engine.TREND].stops["BTCUSDT"]
    async with a_daemon(tmp_path, world, params, at_h=start + 3 * DAY + 1) as daemon:
        await daemon.live(start + 3 * DAY + 1)
        assert daemon.recorder.memory.states.trend.trailing[0]
        risen = world.exchanges[Engine.TREND].stops["BTCUSDT"]
        assert first is not None
        assert risen is not None
        assert risen > first
        assert daemon.recorder.memory.stop_of(0) == risen


async def test_c6_restarts_at_any_hour_give_the_orders_of_an_undisturbed_run(tmp_path: Path) -> None:
    first_h = World(a_market()).first_h
    start, end = first_h + BEGIN, first_h + 15 * DAY + 2
    whole, cut = World(a_market()), World(a_market())
    async with a_daemon(tmp_path / "whole", whole, PARAMS, at_h=start) as daemon:
        await daemon.each(start, end)
        wanted = daemon.recorder.memory
    hour = start
    for length in (1, 5, 18, 24, 27):
        until = min(hour + length - 1, end)
        async with a_daemon(tmp_path / "cut", cut, PARAMS, at_h=hour) as daemon:
            await daemon.engine.work()
            await daemon.each(hour, until)
            # What is decided already is not decided again.
            marked = len(daemon.told)
            await daemon.live(until)
            assert len(daemon.told) == marked
        hour = until + 1
    assert hour == end + 1
    for engine in Engine:
        assert cut.placed(engine) == whole.placed(engine)
    assert whole.placed(Engine.TREND) == [ENTRY, EXIT, "tr-2001160000-ETHUSDT-in-1"]
    found = daemon.recorder.memory
    assert (found.cycle_h, found.pending, found.started_h) == (wanted.cycle_h, wanted.pending, wanted.started_h)
    assert found.states.risk == wanted.states.risk


async def test_c6_what_stands_saved_is_the_whole_memory_after_every_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes = 0
    once = Recorder._write

    async def checked(self: Recorder, make: Make) -> Appended:
        nonlocal writes
        appended = await once(self, make)
        # Parts that are the same objects as before are not written anew: whoever changed one in place would lose it.
        assert self.store.projection.states[OWNER].document == write(self.memory)
        writes += 1
        return appended

    world = World(a_market())
    start = world.first_h + BEGIN
    params = some_params(TWO, trend=QUICK_TREND)
    async with a_daemon(tmp_path, world, params, at_h=start) as daemon:
        monkeypatch.setattr(Recorder, "_write", checked)
        await daemon.each(start, start + 4 * DAY)
    assert writes > 4 * DAY
    assert {ENTRY, EXIT} <= set(world.placed(Engine.TREND))


async def test_u_7_an_hour_without_any_bar_decides_nothing(tmp_path: Path) -> None:
    world = World(a_hole(a_market(), BEGIN + 3, BEGIN + 5))
    start = world.first_h + BEGIN
    async with a_daemon(tmp_path, world, PARAMS, at_h=start) as daemon:
        await daemon.each(start, start + 6)
        decided = [event.at for event in daemon.told if isinstance(event, EquityMarked)][::4]
        # Bar 3 would have closed at 04:00.
        assert decided == [hour_start(start + hour) for hour in (0, 1, 2, 3, 6)]
        assert daemon.recorder.memory.cycle_h == start + 6


async def test_u_2_the_last_hour_is_marked_and_decides_nothing(tmp_path: Path) -> None:
    world = World(a_market())
    start = world.first_h + BEGIN - 1
    async with a_daemon(tmp_path, world, PARAMS, at_h=start) as daemon:
        await daemon.each(start, start)
        placed = world.placed(Engine.CORE_HODL)
        before = len(daemon.told)
        await daemon.live(start + 1, decides_last=False)
        last = daemon.told[before:]
        assert [event.account for event in last if isinstance(event, EquityMarked)] == [e.account for e in Engine]
        assert not any(isinstance(event, Decided | Reviewed | OrderPlanned) for event in last)
        assert world.placed(Engine.TREND) == []
        assert world.placed(Engine.CORE_HODL) == placed
        assert daemon.engine.equity is not None
        assert daemon.engine.equity.known


@pytest.mark.parametrize("day", [14, 15])
async def test_c6_a_run_that_goes_on_where_one_was_told_to_end_misses_no_midnight(tmp_path: Path, day: int) -> None:
    whole, cut = World(a_market()), World(a_market())
    start, middle, end = whole.first_h + BEGIN, whole.first_h + day * DAY, whole.first_h + 16 * DAY + 2
    async with a_daemon(tmp_path / "whole", whole, PARAMS, at_h=start) as daemon:
        await daemon.each(start, end)
        wanted = daemon.recorder.memory
    async with a_daemon(tmp_path / "cut", cut, PARAMS, at_h=start) as daemon:
        await daemon.each(start, middle - 1)
        await daemon.live(middle, decides_last=False)
        # Told so twice, it still decides nothing.
        await daemon.live(middle, decides_last=False)
        assert daemon.recorder.memory.cycle_h == middle - 1
    async with a_daemon(tmp_path / "cut", cut, PARAMS, at_h=middle) as daemon:
        await daemon.engine.work()
        await daemon.each(middle, end)
        assert daemon.recorder.memory.states.risk == wanted.states.risk
    for engine in Engine:
        assert cut.placed(engine) == whole.placed(engine)
    assert ENTRY in cut.placed(Engine.TREND)
    assert EXIT in cut.placed(Engine.TREND)


async def test_u_6_a_held_coin_without_a_price_is_said_once_and_each_midnight(tmp_path: Path) -> None:
    history = a_market()
    for column in (history.spot.open, history.spot.high, history.spot.low, history.spot.close):
        column[1, BEGIN + 5 :] = np.nan
    world = World(history)
    start = world.first_h + BEGIN
    async with a_daemon(tmp_path, world, PARAMS, at_h=start) as daemon:

        def said() -> list[datetime]:
            return [event.at for event in daemon.told if isinstance(event, ErrorOccurred) and "no price" in event.what]

        # The cycle of the 13th has bought ETH; its last bar closes at 05:00, and counts for two more.
        await daemon.each(start, start + 6)
        assert said() == []
        await daemon.each(start + 7, start + 10)
        assert said() == [hour_start(start + 7)]
        (told,) = [event for event in daemon.told if isinstance(event, ErrorOccurred)]
        assert told.what.startswith("no price of ETHUSDT, which is held: equity is unknown, all entries wait")
        await daemon.each(start + 11, start + DAY + 3)
        assert said() == [hour_start(start + 7), hour_start(start + DAY)]


async def test_u_8_an_hour_is_decided_without_the_funding_of_its_own_instant(tmp_path: Path) -> None:
    world = World(a_history(np.full((2, 20 * DAY), 40_000.0), symbols=TWO))
    start = world.first_h + BEGIN
    params = some_params(TWO, trend=OFF, funding=OFF, tactical=OFF, core=OFF)
    at, amount = hour_start(start + 2), Decimal("12.5")
    async with a_daemon(tmp_path, world, params, at_h=start) as daemon:
        await daemon.each(start, start + 1)
        await daemon.live(start + 2, decides_last=False)
        # What the run ended with is in the books, as it is in the exchange's.
        size = (Symbol("BTCUSDT"), ExecutionId("f1"), Decimal(-1), Decimal(1), Decimal(1))
        await daemon.recorder.append(FundingSettled(at, Account.FUNDING, *size, amount, at))
    async with a_daemon(tmp_path, world, params, at_h=start + 2) as daemon:
        daemon.engine.paid_before = (Paid(Account.FUNDING, at, amount),)
        await daemon.each(start + 2, start + 3)
        marks = [event for event in daemon.told if isinstance(event, EquityMarked)]
        assert [event.equity_usdt for event in marks if event.account is Account.FUNDING] == [15_000, 15_000 + amount]


async def test_risk_1_a_halt_from_outside_stops_the_entries_of_its_engines_alone(tmp_path: Path) -> None:
    world = World(a_market())
    start = world.first_h + BEGIN
    async with a_daemon(tmp_path, world, PARAMS, at_h=start, halted=lambda _: 0b0010) as daemon:
        await daemon.each(start, start)
        assert world.placed(Engine.TREND) == []
        assert reviews(daemon, "BTCUSDT")[-1] == ("denied", "RISK-1", hour_start(start))
        assert world.placed(Engine.CORE_HODL) == FIRST_BUYS


async def test_ord_1_orders_are_on_record_with_the_decision_before_anything_is_sent(tmp_path: Path) -> None:
    world = World(a_market())
    start = world.first_h + BEGIN
    async with a_daemon(tmp_path, world, PARAMS, at_h=start) as daemon:
        await daemon.each(start, start)
        kinds = [type(event) for event in daemon.told]
        answered = next(at for at, event in enumerate(daemon.told) if told_of_the_exchange(event))
        assert kinds[:answered].count(OrderPlanned) == kinds.count(OrderPlanned) == 3
        assert kinds[:answered].count(Decided) == 2
        # One batch: each order with its sending, and then only the memory that knows of them. What needs a leverage
        # that does not stand yet is put on record as sent later.
        batch = kinds[kinds.index(EquityMarked) : answered]
        assert batch[-7:] == [*[OrderPlanned, OrderMoved] * 2, OrderPlanned, StateSaved, StateSaved]


def told_of_the_exchange(event: object) -> bool:
    """Tell whether an order's move is the exchange's answer."""
    return isinstance(event, OrderMoved) and event.trigger is not Trigger.SEND


async def test_cap_2_fundings_share_moves_once_a_month_even_when_the_answer_is_lost(tmp_path: Path) -> None:
    history = a_history(np.full((2, 40 * DAY), 40_000.0), symbols=TWO)
    world = World(history)
    new_month = world.first_h + 31 * DAY
    params = some_params(TWO, trend=OFF, funding=OFF, tactical=OFF, core=OFF)
    earned = Decimal("801.23456789")
    async with a_daemon(tmp_path, world, params, at_h=new_month - 2) as daemon:
        await daemon.each(new_month - 2, new_month - 1)
        at = hour_start(new_month - 1)
        paid = FundingSettled(
            at, Account.FUNDING, Symbol("BTCUSDT"), ExecutionId("f1"), Decimal(-1), Decimal(1), Decimal(1), earned, at
        )
        await daemon.recorder.append(paid)
        world.teller.script = [UnknownOutcome("time-out")]
        await daemon.live(new_month)
        (planned,) = [event for event in daemon.told if isinstance(event, TransferPlanned)]
        assert (planned.source, planned.target) == (Account.FUNDING, Account.TACTICAL)
        assert planned.amount == Decimal("400.61728394")
        assert daemon.recorder.memory.flows.funding_peak_usdt == pytest.approx(float(earned))
    async with a_daemon(tmp_path, world, params, at_h=new_month + 1) as daemon:
        await daemon.each(new_month + 1, new_month + 3)
        assert len([event for event in daemon.told if isinstance(event, Transferred)]) <= 1
        assert not any(isinstance(event, TransferPlanned) for event in daemon.told)
    assert list(world.teller.moved) == [planned.transfer_id]


async def test_u_2_a_first_start_that_takes_past_the_hour_decides_on_the_bars_closed_then(tmp_path: Path) -> None:
    world = World(a_market())
    start = world.first_h + BEGIN - 2
    async with a_daemon(tmp_path, world, PARAMS, at_h=start) as daemon:
        # Reading all history took two hours.
        await daemon.live(start + 2)
        assert daemon.recorder.memory.started_h == start + 2
        assert int(daemon.engine.watch.marks.spot_h[0]) == start + 1
        assert world.placed(Engine.CORE_HODL) == FIRST_BUYS
        assert world.placed(Engine.TREND) == [ENTRY]


async def test_u_7_time_that_an_exchange_forgot_is_waited_for(tmp_path: Path) -> None:
    world = World(a_market())
    start = world.first_h + BEGIN
    async with a_daemon(tmp_path, world, PARAMS, at_h=start) as daemon:
        await daemon.each(start, start + 3)
    world.clock.at = hour_start(start + 1)
    async with a_daemon(tmp_path, world, PARAMS) as daemon:
        assert world.clock.at == hour_start(start + 3)
        await daemon.live(start + 3)
        assert not any(isinstance(event, EquityMarked) for event in daemon.told)


async def test_e2_the_operators_halt_outlives_a_lost_line(tmp_path: Path) -> None:
    world = World(a_market())
    start, is_down = world.first_h + BEGIN, True
    halted = lambda _: ALL_HALTED if is_down else 0  # noqa: E731
    async with a_daemon(tmp_path, world, PARAMS, at_h=start, halted=halted) as daemon:
        await daemon.recorder.commit(lambda memory, _: (replace(memory, halted=0b0010), ()))
        await daemon.each(start, start)
        assert world.placed(Engine.CORE_HODL) == world.placed(Engine.TREND) == []
        is_down = False
        await daemon.each(start + 1, start + DAY)
        assert [name.split("-")[2] for name in world.placed(Engine.CORE_HODL)] == list(TWO)
        assert world.placed(Engine.TREND) == []
        assert ("denied", "RISK-1") in {row[:2] for row in reviews(daemon, "BTCUSDT")}
        assert daemon.recorder.memory.halted == 0b0010


async def test_ord_7_entries_in_a_paused_symbol_wait_and_the_others_go_on(tmp_path: Path) -> None:
    world = World(a_market())
    start = world.first_h + BEGIN
    async with a_daemon(tmp_path, world, PARAMS, at_h=start) as daemon:
        await daemon.recorder.commit(lambda memory, _: (replace(memory, paused=frozenset({"BTCUSDT"})), ()))
        await daemon.each(start, start)
        assert world.placed(Engine.CORE_HODL) == FIRST_BUYS[1:]
        assert world.placed(Engine.TREND) == []
        assert {row[:2] for row in reviews(daemon, "BTCUSDT")} == {("denied", "ORD-7")}


async def test_cap_2_cash_that_a_planned_transfer_will_take_is_spent_by_nobody(tmp_path: Path) -> None:
    closes = np.full((2, 8 * DAY), 40_000.0)
    closes[:, 6 * DAY :] = 18_000.0
    world = World(a_history(closes, symbols=TWO))
    world.teller = ScriptedTeller(Environment.DEMO)
    start = world.first_h + 5 * DAY
    params = some_params(TWO, trend=OFF, funding=OFF, core=OFF)
    async with a_daemon(tmp_path, world, params, at_h=start) as daemon:
        await daemon.live(start)
        plan = plan_transfer(Account.TACTICAL, Account.CORE_HODL, Decimal(4_000), hour_start(start), RuleId("CAP-2"))
        assert plan is not None
        await daemon.recorder.append(plan)
        await daemon.each(start + 1, world.first_h + 7 * DAY)
        # Half of the 1,000 that are left, 80 to 20, and not of the 5,000 that lie in the account.
        assert [request.qty for request in world.exchanges[Engine.TACTICAL].placed] == [400, 100]
        # What is promised is still the engine's own until it is moved.
        assert daemon.engine.equity is not None
        assert daemon.engine.equity.tactical == pytest.approx(5_000, rel=0.01)
