"""States after a lost journal: bought once, counted, protected, and not bought again (CORE-12, TACT-E1, TREND-X3)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from builders import a_fill, an_intent
from core_builders import THREE, some_params
from eternal_engine.engine.findings import Findings, after_findings
from eternal_engine.engine.memory import fresh_memory
from eternal_engine.engine.rebuild import catch_up, caught_up, owed_fills
from eternal_engine.engine.timing import hour_of
from eternal_engine.ledger.books import Books
from eternal_engine.model.event import Filled, OrderPlanned
from eternal_engine.model.fill import Fill
from eternal_engine.model.ids import Account, Coin, Engine, ExecutionId, Leg, OrderKey, Symbol
from eternal_engine.model.instrument import Market, Side
from eternal_engine.portfolio.beginning import initial_states
from eternal_engine.portfolio.params import Features, States
from eternal_engine.storage.projection import Projection, step
from eternal_engine.strategies import core_hodl
from eternal_engine.strategies.funding import FundingFeatures
from eternal_engine.strategies.tactical import TacticalFeatures
from eternal_engine.strategies.trend import TrendFeatures

AT = datetime(2024, 3, 1, tzinfo=UTC)
H = hour_of(AT)
WEEK_H = 168
BTC = Symbol("BTCUSDT")
TREND = Account.TREND
PARAMS = some_params(THREE)
DAYS = 10


def features(atr: float = 1_000.0, high: float = 69_000.0) -> Features:
    """Build features of ten days that end before AT; only what a rebuilt state needs has a meaning."""
    daily = np.full((len(THREE), DAYS), np.nan)
    counts = np.zeros((len(THREE), DAYS), np.int64)
    trend = TrendFeatures(daily, daily, daily, daily, np.full_like(daily, atr), daily, daily, counts, counts)
    tactical = TacticalFeatures(daily, counts, np.full(DAYS, high), daily[0], daily[0])
    funding = FundingFeatures(*(np.zeros(1) for _ in FundingFeatures._fields))  # type: ignore[arg-type]
    return Features(trend=trend, funding=funding, tactical=tactical, first_day=H // 24 - DAYS)


def bought(
    engine: Engine, leg: Leg, qty: str, *, at: datetime = AT, attempt: int = 1, symbol: str = "BTCUSDT",
    market: Market = Market.SPOT, side: Side = Side.BUY, price: str = "50000",
) -> Fill:  # fmt: skip
    """Build a fill under the engine's own id."""
    order = OrderKey(engine, at, Symbol(symbol), leg, attempt).client_order_id
    name = f"{order}-{qty}"
    return a_fill(
        name, account=engine.account, symbol=symbol, market=market, side=side, qty=qty, price=price, at=at, order=order
    )


def rebuilt(
    states: States, *fills: Fill, stop: str | None = None, atr: float = 1_000.0, high: float = 69_000.0
) -> States:
    books = Books()
    for fill in fills:
        books = books.apply(Filled(AT, fill)).books
    stops = {BTC: None if stop is None else Decimal(stop)}
    return caught_up(PARAMS, states, fills, books, THREE, features(atr), stops)


def deploying() -> States:
    """Give states in week 3 of 12, whose third cycle is due at AT."""
    states = initial_states(PARAMS, len(THREE))
    core = states.core._replace(
        phase=core_hodl.DEPLOYING,
        anchor_h=H - 2 * WEEK_H,
        due_h=H,
        weeks_remaining=10,
        plan_weeks=12,
        plan=np.array([core_hodl.MAIN_PLAN] * 3),
        gap_usdt=np.array([10_000.0, 5_000.0, 2_000.0]),
    )
    return states._replace(core=core)


def test_core_12_a_lost_cycle_counts_once_and_the_next_is_due_at_its_anchor() -> None:
    core = rebuilt(
        deploying(),
        bought(Engine.CORE_HODL, Leg.BUY, "0.02"),
        bought(Engine.CORE_HODL, Leg.BUY, "0.1", symbol="ETHUSDT", price="2500"),
        bought(Engine.CORE_HODL, Leg.BUY, "0.01", at=AT + timedelta(hours=WEEK_H)),
    ).core
    assert core.due_h == H + 2 * WEEK_H
    assert core.weeks_remaining == 8
    assert core.gap_usdt.tolist() == [10_000 - 1_500, 5_000 - 250, 2_000]
    assert core.spent_usdt.tolist() == [1_500, 250, 0]
    assert core.settling


def test_core_12_a_purchase_before_the_stored_due_time_moves_no_cycle() -> None:
    core = rebuilt(deploying(), bought(Engine.CORE_HODL, Leg.BUY, "0.02", at=AT - timedelta(hours=WEEK_H))).core
    assert (core.due_h, core.weeks_remaining) == (H, 10)


def test_core_13_a_lost_purchase_by_hand_is_no_cycle_and_pays_the_plan_as_it_did() -> None:
    core = rebuilt(deploying(), bought(Engine.CORE_HODL, Leg.MANUAL, "0.02")).core
    assert (core.due_h, core.weeks_remaining) == (H, 10)
    assert core.gap_usdt[0] == 9_000
    assert core.spent_usdt[0] == 1_000
    states = deploying()
    maintaining = states._replace(core=states.core._replace(plan=np.array([core_hodl.NO_PLAN] * 3)))
    assert rebuilt(maintaining, bought(Engine.CORE_HODL, Leg.MANUAL, "0.02")).core.flow_spent_usdt == 1_000


def test_core_2_before_the_first_decision_nothing_is_planned_and_nothing_is_counted() -> None:
    states = initial_states(PARAMS, len(THREE))
    core = rebuilt(states, bought(Engine.CORE_HODL, Leg.BUY, "0.02")).core
    assert core.phase == core_hodl.NEW
    assert core.due_h == states.core.due_h


def test_tact_e1_a_level_that_bought_has_fired_and_its_high_is_no_new_one() -> None:
    tactical = rebuilt(
        initial_states(PARAMS, len(THREE)),
        bought(Engine.TACTICAL, Leg.LEVEL_1, "0.02"),
        bought(Engine.TACTICAL, Leg.LEVEL_1, "0.02", attempt=2),
        bought(Engine.TACTICAL, Leg.FEAR_GREED, "0.01", at=AT + timedelta(hours=24)),
    ).tactical
    assert tactical.fired.tolist() == [True, False]
    assert tactical.armed_usdt.sum() == 0
    assert tactical.high == 69_000
    assert tactical.first_buy_h[0] == H
    assert tactical.trigger_h.tolist() == [H + 24, 0]


def test_tact_x1_coins_bought_after_a_lost_exit_are_held_since_that_purchase() -> None:
    states = initial_states(PARAMS, len(THREE))
    long_held = states.tactical._replace(first_buy_h=np.full(len(THREE), H - 300 * 24))
    tactical = rebuilt(
        states._replace(tactical=long_held),
        bought(Engine.TACTICAL, Leg.LEVEL_2, "0.02", at=AT - timedelta(hours=48)),
        bought(Engine.TACTICAL, Leg.EXIT, "0.02", at=AT - timedelta(hours=24), side=Side.SELL),
        bought(Engine.TACTICAL, Leg.LEVEL_1, "0.03"),
    ).tactical
    assert tactical.first_buy_h.tolist() == [H, H - 300 * 24, H - 300 * 24]


def test_tact_e1_money_that_was_armed_falls_by_what_was_spent() -> None:
    states = initial_states(PARAMS, len(THREE))
    armed = states.tactical._replace(
        high=69_000.0, fired=np.array([True, False]), armed_usdt=np.array([[2_000.0, 500.0, 0.0], [0.0, 0.0, 0.0]])
    )
    after = rebuilt(states._replace(tactical=armed), bought(Engine.TACTICAL, Leg.LEVEL_1, "0.03")).tactical
    assert after.armed_usdt[0].tolist() == [500, 500, 0]


@pytest.mark.parametrize(
    ("resting", "stop", "trailing"),
    [
        (None, 48_000, False),
        ("48000", 48_000, False),
        # The stop that came with the order, reckoned from a decision 100 above the fill, is no trail yet.
        ("48100", 48_000, False),
        ("49000", 49_000, True),
        ("51000", 51_000, True),
    ],
)
def test_trend_s1_a_lost_entry_gets_its_stop_back_and_a_tighter_one_is_the_trail(
    resting: str | None, stop: float, trailing: bool
) -> None:
    fill = bought(Engine.TREND, Leg.ENTRY, "0.2", market=Market.PERP)
    trend = rebuilt(initial_states(PARAMS, len(THREE)), fill, stop=resting).trend
    assert (trend.side[0], trend.entry[0], trend.atr[0], trend.base_qty[0]) == (1, 50_000, 1_000, 0.2)
    assert (trend.stop[0], bool(trend.trailing[0])) == (stop, trailing)


def test_trend_s1_without_bars_of_the_day_the_resting_stop_tells_the_distance() -> None:
    fill = bought(Engine.TREND, Leg.ENTRY, "0.2", market=Market.PERP)
    trend = rebuilt(initial_states(PARAMS, len(THREE)), fill, stop="49000", atr=float("nan")).trend
    assert (trend.atr[0], trend.stop[0]) == (500, 49_000)
    nothing = rebuilt(initial_states(PARAMS, len(THREE)), fill, atr=float("nan")).trend
    assert nothing.side[0] == 0


def test_trend_a_position_that_is_closed_again_leaves_no_state() -> None:
    trend = rebuilt(
        initial_states(PARAMS, len(THREE)),
        bought(Engine.TREND, Leg.ENTRY, "0.2", market=Market.PERP),
        bought(Engine.TREND, Leg.EXIT, "0.2", market=Market.PERP, side=Side.SELL),
    ).trend
    assert not trend.side.any()


def test_fund_e1_a_lost_pair_keeps_the_hour_it_was_opened_in() -> None:
    funding = rebuilt(
        initial_states(PARAMS, len(THREE)),
        bought(Engine.FUNDING, Leg.SPOT_OPEN, "0.1001"),
        bought(Engine.FUNDING, Leg.PERP_OPEN, "0.1", market=Market.PERP, side=Side.SELL),
    ).funding
    assert funding.opened_h.tolist() == [H, 0, 0]
    assert funding.review_h[0] == H + 14 * 24


def test_every_lost_fill_counts_once_whatever_crashes() -> None:
    """The maker is asked at each start; what its transaction has counted is not counted by the next one."""
    first = bought(Engine.CORE_HODL, Leg.BUY, "0.02")
    late = replace(first, execution_id=ExecutionId("late"))
    by_hand, stranger = a_fill("x", order="by-hand-1"), replace(first, execution_id=ExecutionId("s"), account=TREND)
    projection, seq = Projection(), 0
    memory = replace(fresh_memory(PARAMS, THREE, 0), states=deploying())
    for fills in ((first, by_hand, stranger), (), (late,)):
        for fill in fills:
            seq += 1
            projection = step(projection, Filled(AT, fill), seq).projection
        memory, events = catch_up(memory, projection, PARAMS, features(), {}, AT)
        assert bool(events) is bool(fills)
        for event in events:
            seq += 1
            projection = step(projection, event, seq).projection
        assert owed_fills(projection) == ()
    assert memory.states.core.spent_usdt[0] == 2_000
    assert memory.states.core.due_h == H + WEEK_H


def test_an_order_on_record_explains_its_fills() -> None:
    intent = an_intent(at=AT)
    planned = OrderPlanned(AT, TREND, intent, Coin("BTC"), Coin("USDT"))
    projection = step(Projection(), planned, 1).projection
    fill = bought(Engine.TREND, Leg.ENTRY, "1", market=Market.PERP)
    projection = step(projection, Filled(AT, fill), 2).projection
    assert owed_fills(projection) == ()


@pytest.mark.parametrize(("resting", "known"), [("48000", "48000"), (None, None), ("47000", "47000")])
def test_trend_x3_a_stop_that_was_taken_away_is_forgotten_so_that_it_is_set_again(
    resting: str | None, known: str | None
) -> None:
    memory = replace(fresh_memory(PARAMS, THREE, 0).with_stop(0, Decimal(48_000)), paused=frozenset({"ETHUSDT"}))
    stops = {BTC: None if resting is None else Decimal(resting)}
    after = after_findings(memory, Findings(TREND, AT, stops=stops, pause=frozenset({BTC})))
    assert after.stop_of(0) == (None if known is None else Decimal(known))
    assert after.paused == {"BTCUSDT", "ETHUSDT"}
    assert after_findings(memory, Findings(Account.FUNDING, AT)).stop_of(0) == 48_000
