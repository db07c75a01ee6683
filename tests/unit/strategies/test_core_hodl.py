"""CORE_HODL's plan, phases, deposits and listings (rules CORE-1 to CORE-11; acceptance A and B)."""

from __future__ import annotations

import math

import numpy as np
import pytest

from core_builders import START_H, TEN, TWO, CoreLife, a_core_observation, some_params
from eternal_engine.bootstrap import params_of
from eternal_engine.config.settings import Settings
from eternal_engine.model import reason
from eternal_engine.strategies import core_hodl
from eternal_engine.strategies.base import BUY, SPOT
from eternal_engine.strategies.core_hodl import DEPLOYING, MAINTAINING, REBALANCING

WEEK = 168
BTC, ETH, SOL = 0, 1, 2


def maintaining(life: CoreLife, held: dict[int, float], cash: float) -> CoreLife:
    """Put a life behind its plan: every coin held as given, MAINTAINING, the next cycle due now."""
    for symbol, value in held.items():
        life.held[symbol] = value
    life.cash = cash
    life.state = life.state._replace(
        phase=MAINTAINING, anchor_h=START_H, due_h=life.now_h, target_usdt=98_319.0, plan_weeks=12
    )
    return life


def test_core_1_due_times_stay_anchored() -> None:
    life = CoreLife(some_params())
    dues = []
    for minutes_late in (0, 3, 9, 2, 30):
        life.now_h = START_H + len(dues) * WEEK + (1 if minutes_late == 30 else 0)
        life.cycle(hours=0)
        dues.append(life.state.due_h)
    assert dues == [START_H + n * WEEK for n in (1, 2, 3, 4, 5)]


def test_core_1_nothing_is_due_between_two_cycles() -> None:
    life = CoreLife(some_params())
    life.cycle(hours=0)
    due = [core_hodl.is_due(life.state, START_H + h) for h in (0, 1, 167, 168, 169)]
    assert due == [False, False, False, True, True]


@pytest.mark.parametrize(
    ("gap", "weeks"),
    [(0.01, 1), (499.99, 1), (500.0, 4), (500.01, 4), (49_999.99, 4), (50_000.0, 12), (59_500.0, 12), (1e9, 12)],
)
def test_core_2_total_gap_sets_the_weeks(gap: float, weeks: int) -> None:
    assert core_hodl.weeks_for_gap(some_params().core, gap) == weeks
    life = CoreLife(some_params(), portfolio_usdt=gap / 0.6)
    life.cycle()
    if weeks > 1:
        assert life.state.weeks_remaining == weeks - 1


def test_core_2_no_single_coin_decides_the_weeks() -> None:
    # A6: every coin's own gap is under 50,000, the total of 60,000 is not.
    for reverse in (False, True):
        weights = np.sort(some_params().core.weights)
        params = some_params(core={"weights": weights[::-1].copy() if reverse else weights})
        life = CoreLife(params, portfolio_usdt=100_000.0)
        life.cycle()
        assert (life.state.plan_weeks, life.state.weeks_remaining) == (12, 11)


def test_core_2_what_is_held_already_narrows_the_gap() -> None:
    life = CoreLife(some_params())
    life.held[BTC] = 30_000.0
    life.held[ETH] = 50_000.0  # more than its target: no gap, and nothing is sold
    asked = life.cycle()
    # The total gap of 48,853 makes it four weeks.
    assert asked[BTC] == pytest.approx((98_319 * 0.402 - 30_000) / 4)
    assert ETH not in asked


def test_core_2_the_total_gap_includes_unlisted_coins() -> None:
    # 49,000 without the unlisted coin, 51,579 with it.
    portfolio = 51_579 / 0.6
    life = CoreLife(some_params(), portfolio_usdt=portfolio, unlisted={SOL})
    life.cycle()
    assert life.state.plan_weeks == 12


def test_core_2_a_late_coin_gets_its_own_plan_of_the_same_weeks() -> None:
    life = CoreLife(some_params(), unlisted={9})
    first = life.cycle()
    assert 9 not in first
    assert first[BTC] == pytest.approx(98_319 * 0.402 / 12)
    life.cycle()
    life.cycle()
    life.unlisted = set()
    spent = [life.cycle().get(9, 0.0) for _ in range(14)]
    assert spent[:12] == [pytest.approx(98_319 * 0.05 / 12)] * 12
    assert life.state.gap_usdt[9] == pytest.approx(0.0, abs=1e-6)
    assert life.held[9] == pytest.approx(98_319 * 0.05 + sum(spent[12:]))


def test_core_2_an_own_plan_runs_beside_any_phase_without_changing_it() -> None:
    life = CoreLife(some_params(), unlisted={9})
    for _ in range(12):
        life.cycle()
    assert life.state.phase == MAINTAINING
    assert life.cash == pytest.approx(98_319 * 0.05)
    # Its money stays outside the weekly flow: nothing else is bought with it.
    life.cycle()
    assert life.cash == pytest.approx(98_319 * 0.05)
    assert life.notes & core_hodl.NOTE_NO_CASH
    life.unlisted = set()
    phases = []
    for _ in range(12):
        asked = life.cycle()
        phases.append(life.state.phase)
        assert asked == {9: pytest.approx(98_319 * 0.05 / 12)}
        assert life.signals[0].reason == reason.CORE_OWN_PLAN
    assert phases == [MAINTAINING] * 12
    assert life.cash == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("portfolio", [163_865.0, 100_000.0, 250_000.0])
def test_core_3_week_one_of_the_fixture(portfolio: float) -> None:
    life = CoreLife(some_params(), portfolio_usdt=portfolio)
    asked = life.cycle()
    target = 0.6 * portfolio
    assert life.state.target_usdt == pytest.approx(target, abs=1e-9)
    assert list(asked) == list(range(10))
    assert sum(asked.values()) == pytest.approx(target / 12, abs=0.01)
    if portfolio == 163_865.0:
        assert asked[BTC] == pytest.approx(3_293.69, abs=0.01)
        assert asked[ETH] == pytest.approx(1_622.26, abs=0.01)
        assert [asked[s] for s in range(2, 10)] == [pytest.approx(409.66, abs=0.01)] * 8
        assert sum(asked.values()) == pytest.approx(8_193.25, abs=0.01)
    for signal in life.signals:
        assert (signal.side, signal.market, signal.reduces, signal.reason) == (BUY, SPOT, False, reason.CORE_PLAN)


def test_core_3_two_coins() -> None:
    asked = CoreLife(some_params(TWO)).cycle()
    assert asked == {BTC: pytest.approx(5_489.48, abs=0.01), ETH: pytest.approx(2_703.77, abs=0.01)}


def test_core_3_weights_in_another_order_of_the_file() -> None:
    weights = {symbol: str(weight) for symbol, weight in Settings().core_hodl.weights.items()}
    shuffled = dict(reversed(list(weights.items())))
    params = params_of(Settings.model_validate({"core_hodl": {"weights": shuffled}}))
    assert CoreLife(params).cycle() == CoreLife(some_params()).cycle()


def test_core_3_reversed_symbols_give_the_same_purchases() -> None:
    names = tuple(reversed(TEN))
    params = params_of(Settings.model_validate({"symbols": names}))
    asked = CoreLife(params).cycle()
    expected = CoreLife(some_params()).cycle()
    assert {names[s]: usdt for s, usdt in asked.items()} == {TEN[s]: usdt for s, usdt in expected.items()}


def test_core_3_the_gap_falls_by_money_spent_and_not_by_value() -> None:
    life = CoreLife(some_params())
    life.cycle()
    before = life.state.gap_usdt.copy()
    life.held *= 1.8
    assert life.cycle() == {s: pytest.approx(before[s] / 11) for s in range(10)}


def test_core_3_the_target_does_not_move_with_prices() -> None:
    life = CoreLife(some_params())
    asked = [life.cycle()]
    for portfolio in (150_000.0, 120_000.0, 180_000.0):
        life.portfolio_usdt = portfolio
        asked.append(life.cycle())
        assert life.state.target_usdt == 98_319.0
    assert [week[BTC] for week in asked] == [pytest.approx(asked[0][BTC])] * 4


def test_core_4_one_week_per_cycle_and_extension() -> None:
    life = CoreLife(some_params(TWO))
    weeks, asked = [], []
    for _ in range(12):
        asked.append(sum(life.cycle().values()))
        weeks.append(life.state.weeks_remaining)
    assert weeks == list(range(11, -1, -1))
    assert asked == [pytest.approx(8_193.25)] * 12
    assert sum(asked) == pytest.approx(98_319.0)
    assert life.state.phase == MAINTAINING


@pytest.mark.parametrize("refused", [{BTC}, {ETH, 5}, set(range(10))])
def test_core_4_refused_coins_cost_no_week_and_lose_no_money(refused: set[int]) -> None:
    life = CoreLife(some_params(), refused=refused)
    life.cycle()
    assert life.state.weeks_remaining == 11
    life.refused = set()
    asked = life.cycle()
    for s in refused:
        assert asked[s] == pytest.approx(some_params().core.weights[s] * 98_319 / 11)


def test_core_4_a_plan_out_of_weeks_grows_by_one_and_says_so() -> None:
    life = CoreLife(some_params(), portfolio_usdt=1_000.0, refused={BTC})
    for _ in range(4):
        life.cycle()
    assert (life.state.weeks_remaining, life.state.phase) == (0, DEPLOYING)
    life.refused = set()
    asked = life.cycle()
    assert life.notes & core_hodl.NOTE_EXTENDED
    assert asked == {BTC: pytest.approx(600 * 0.402)}
    assert life.state.phase != DEPLOYING


def test_core_4_a_stale_coin_asks_for_nothing_and_keeps_its_money() -> None:
    life = CoreLife(some_params(), stale={ETH})
    assert ETH not in life.cycle()
    life.stale = set()
    assert life.cycle()[ETH] == pytest.approx(98_319 * 0.198 / 11)


@pytest.mark.parametrize("portfolio", [0.0, 0.01, 5.0, 8.33, 12.0, 800.0, 833.0])
def test_core_4_no_size_of_account_divides_by_zero(portfolio: float) -> None:
    life = CoreLife(some_params(), portfolio_usdt=portfolio)
    for _ in range(8):
        life.cycle()
        assert life.cash >= -1e-9
        assert math.isfinite(life.state.weeks_needed)
    assert life.state.phase != DEPLOYING


def test_core_4_one_week_plan_buys_all_and_leaves_deploying() -> None:
    life = CoreLife(some_params(TWO), portfolio_usdt=800.0)
    assert life.cycle() == {BTC: pytest.approx(321.60), ETH: pytest.approx(158.40)}
    assert life.state.phase == MAINTAINING


def test_core_5_small_legs_are_carried() -> None:
    # A16: the second coin's weekly 3.00 waits and is 6.00 in the second week.
    params = some_params(TWO, core={"weights": np.array([0.9994, 0.0006])})
    life = CoreLife(params, portfolio_usdt=100_000.0)
    weeks = [life.cycle().get(ETH, 0.0) for _ in range(12)]
    assert weeks == [pytest.approx(leg) for leg in (0, 6) * 6]
    assert life.held[ETH] == pytest.approx(36.0)


def test_core_5_carries_wait_as_long_as_they_must() -> None:
    params = some_params(TWO, core={"weights": np.array([0.9998, 0.0002])})
    life = CoreLife(params, portfolio_usdt=100_000.0)
    weeks = [life.cycle().get(ETH, 0.0) for _ in range(12)]
    assert weeks == [pytest.approx(leg) for leg in (0, 0, 0, 0, 5, 0, 0, 0, 0, 5, 0, 0)]
    # Two are left: less than a minimum order ends the plan.
    assert life.state.phase != DEPLOYING


def test_core_5_flow_legs_below_the_minimum_are_carried_too() -> None:
    life = maintaining(CoreLife(some_params()), {BTC: 67.0, ETH: 33.0}, cash=40.0)
    first, second = life.cycle(), life.cycle()
    assert set(first) == {BTC, ETH}
    assert life.cash >= 0.0
    # 2.00 per alt coin were carried; they are money set aside, not spent twice.
    assert core_hodl.set_aside_usdt(life.state) <= 40.0 - sum(first.values()) - sum(second.values()) + 1e-9


def test_core_5_a_cut_leg_stays_in_the_plan() -> None:
    # A17: every leg is cut to 1,500; the plan extends until all is spent.
    life = CoreLife(some_params(TWO), portfolio_usdt=100_000.0, cap_usdt=1_500.0)
    cycles = 0
    while life.state.phase in (core_hodl.NEW, DEPLOYING):
        life.cycle()
        cycles += 1
    assert life.held.sum() == pytest.approx(60_000.0)
    assert cycles == math.ceil(60_000 * 0.67 / 1_500)


def test_core_6_one_cycle_after_absence() -> None:
    # A18: away for 22 days after the first cycle.
    life = CoreLife(some_params())
    life.cycle(hours=22 * 24)
    asked = life.cycle(hours=0)
    assert sum(asked.values()) == pytest.approx(8_193.25)
    assert life.state.weeks_remaining == 10
    assert life.state.due_h == START_H + 4 * WEEK
    life.now_h = life.state.due_h
    cycles = 2
    while life.state.phase == DEPLOYING:
        life.cycle()
        cycles += 1
    assert cycles == 12


def test_core_6_a_cycle_of_only_stale_coins_stays_due() -> None:
    life = CoreLife(some_params(), stale=set(range(10)))
    state, signals, notes = core_hodl.decide(life.params.core, life.state, life.seen())
    assert (signals, notes) == ([], 0)
    assert state is life.state
    assert core_hodl.is_due(state, START_H)
    life.stale = set(range(9))
    assert list(life.cycle()) == [9]


@pytest.mark.parametrize(
    ("btc", "eth", "phase"),
    [
        (36_600, 18_000, MAINTAINING),  # B1: 67.03 %, whatever the alts are worth
        (77_000, 23_000, MAINTAINING),  # B2: strictly above ten points
        (77_010, 22_990, REBALANCING),
        (57_000, 43_000, MAINTAINING),
        (56_990, 43_010, REBALANCING),
        (80_000, 20_000, REBALANCING),  # B7: market value, not cost
        (0, 0, MAINTAINING),
        (1_000, 0, REBALANCING),
    ],
)
def test_core_7_ratio_picks_the_next_phase(btc: float, eth: float, phase: int) -> None:
    params = some_params()
    held = np.full(10, 43_700 / 8)
    held[BTC], held[ETH] = btc, eth
    deployed = core_hodl.initial_state(10)._replace(phase=DEPLOYING, settling=True)
    state = core_hodl.settle(params.core, deployed, a_core_observation(params, held_usdt=held))
    assert state.phase == phase
    if phase == REBALANCING:
        assert state.rebalance_over == (BTC if btc / max(btc + eth, 1) > 0.67 else ETH)


@pytest.mark.parametrize(("gap", "cash", "over"), [(5.0, 100.0, False), (4.99, 100.0, True), (50.0, 4.99, True)])
def test_core_7_the_plan_ends_without_gap_or_cash_of_a_minimum_order(gap: float, cash: float, over: bool) -> None:
    params = some_params()
    gaps = np.zeros(10)
    gaps[3] = gap
    plan = np.zeros(10, np.int64)
    plan[3] = core_hodl.MAIN_PLAN
    state = core_hodl.initial_state(10)._replace(phase=DEPLOYING, plan=plan, gap_usdt=gaps, settling=True)
    state = core_hodl.settle(params.core, state, a_core_observation(params, cash_usdt=cash))
    assert (state.phase != DEPLOYING) == over
    assert state.settling is False


@pytest.mark.parametrize(("over", "btc", "eth"), [(BTC, 50_000, 10_000), (ETH, 10_000, 20_000)])
def test_core_8_multipliers_by_week(over: int, btc: float, eth: float) -> None:
    life = maintaining(CoreLife(some_params()), {BTC: btc, ETH: eth}, cash=1e9)
    life.params = some_params(core={"cash_flow_frac": 0.0, "weekly_usdt": 1_000.0})
    weights = life.params.core.weights
    other = ETH if over == BTC else BTC
    for heavy, light in ((0.75, 1.25), (0.5, 1.5), (0.25, 1.75), (0.0, 2.0)):
        asked = life.cycle()
        assert asked.get(over, 0.0) == pytest.approx(1_000 * weights[over] * heavy)
        assert asked[other] == pytest.approx(1_000 * weights[other] * light)
        assert [asked[s] for s in range(2, 10)] == [pytest.approx(50.0)] * 8
        assert {signal.reason for signal in life.signals} == {reason.CORE_REBALANCE}
    assert life.cycle()[over] == pytest.approx(1_000 * weights[over])
    assert life.state.phase == MAINTAINING


def test_core_8_a_round_reports_once_and_the_next_waits_four_weeks() -> None:
    life = maintaining(CoreLife(some_params()), {BTC: 80_000, ETH: 20_000}, cash=0.0)
    life.params = some_params(core={"cash_flow_frac": 0.0})
    phases, reports = [], []
    for _ in range(14):
        life.cash += 200.0
        life.cycle()
        phases.append(life.state.phase)
        if life.notes & core_hodl.NOTE_STILL_OFF:
            reports.append((len(phases), life.state.weeks_needed))
    # Four cycles of a round, four of rest (the first of which ends the round), and again.
    assert phases == [REBALANCING] * 4 + [MAINTAINING] * 4 + [REBALANCING] * 4 + [MAINTAINING] * 2
    assert [week for week, _ in reports] == [4, 8 + 4]
    assert 15 <= reports[0][1] <= 20


@pytest.mark.parametrize(
    ("btc", "eth", "flow", "weeks"),
    [(0.8 * 98_319, 0.2 * 98_319, 200.0, 20), (76_000, 24_000, 200.0, 0), (50_000, 50_000, 500.0, 33), (1, 0, 0.0, 0)],
)
def test_core_8_weeks_to_tolerance(btc: float, eth: float, flow: float, weeks: int) -> None:
    held = np.zeros(10)
    held[BTC], held[ETH] = btc, eth
    params = some_params().core
    assert core_hodl.weeks_to_tolerance(params, held, flow) == weeks
    if weeks:
        lighter = ETH if btc > 2 * eth else BTC
        held[lighter] += weeks * flow
        assert not core_hodl.ratio_is_off(params, core_hodl.pair_ratio(params, held))
        held[lighter] -= 1.01 * flow
        assert core_hodl.ratio_is_off(params, core_hodl.pair_ratio(params, held))


@pytest.mark.parametrize(
    ("cash", "flow"), [(10_000.0, 2_500.0), (800.0, 200.0), (500.0, 200.0), (150.0, 150.0), (0.0, 0.0), (-3.0, 0.0)]
)
def test_core_8_weekly_flow(cash: float, flow: float) -> None:
    params = some_params()
    seen = a_core_observation(params, cash_usdt=cash)
    assert core_hodl.weekly_flow_usdt(params.core, core_hodl.initial_state(10), seen) == pytest.approx(flow)


def test_core_8_flow_keeps_the_reserve_and_what_is_set_aside() -> None:
    params = some_params(core={"reserve_frac": 0.1})
    state = core_hodl.initial_state(10)
    state.gap_usdt[9] = 1_000.0
    state.plan[9] = core_hodl.UNLISTED
    state.flow_carry_usdt[4] = 3.0
    seen = a_core_observation(params, cash_usdt=11_003.0, equity_usdt=40_000.0)
    assert core_hodl.weekly_flow_usdt(params.core, state, seen) == pytest.approx(0.25 * (10_000 - 4_000))


def test_core_9_maintaining_buys_by_weight() -> None:
    # B8: 67/33 of the pair, not equal dollars.
    life = maintaining(CoreLife(some_params(TWO)), {BTC: 67_000, ETH: 33_000}, cash=200.0)
    assert life.cycle() == {BTC: pytest.approx(134.0), ETH: pytest.approx(66.0)}
    assert {signal.reason for signal in life.signals} == {reason.CORE_MAINTAIN}


@pytest.mark.parametrize("cash", [0.0, 3.0, 4.99])
def test_core_9_no_cash_counts_the_cycle(cash: float) -> None:
    life = maintaining(CoreLife(some_params()), {BTC: 67_000, ETH: 33_000}, cash=cash)
    assert life.cycle(hours=0) == {}
    assert life.notes & core_hodl.NOTE_NO_CASH
    assert life.state.due_h == START_H + WEEK
    assert life.state.flow_carry_usdt.sum() == 0.0


@pytest.mark.parametrize(
    ("deposit", "reopens"), [(59_500.0, True), (10_000.0, False), (19_663.8, False), (19_664.0, True)]
)
def test_core_10_large_deposit_reopens_the_plan(deposit: float, reopens: bool) -> None:
    life = maintaining(CoreLife(some_params()), {BTC: 67_000, ETH: 33_000}, cash=0.0)
    life.deposit(deposit)
    assert (life.state.phase == DEPLOYING) == reopens
    if reopens:
        assert life.state.target_usdt == pytest.approx(98_319 + deposit)
        weeks = 12 if deposit >= 50_000 else 4
        asked = life.cycle()
        assert life.state.weeks_remaining == weeks - 1
        assert sum(asked.values()) == pytest.approx(deposit / weeks)
    else:
        assert life.state.target_usdt == 98_319.0


def test_core_10_spending_since_the_plan_counts_against_deposits() -> None:
    life = maintaining(CoreLife(some_params()), {BTC: 67_000, ETH: 33_000}, cash=0.0)
    for _ in range(12):
        life.deposit(5_000.0)
        life.cycle()
    # 60,000 came in, a quarter of the cash went out each week: never a fifth of the target unspent.
    unspent = life.state.deposits_usdt - life.state.flow_spent_usdt
    assert unspent == pytest.approx(life.cash)
    assert unspent < 0.2 * 98_319
    assert life.state.phase == MAINTAINING
    life.deposit(6_000.0)
    assert life.state.phase == DEPLOYING


def test_core_10_a_deposit_widens_a_running_plan() -> None:
    life = CoreLife(some_params())
    life.cycle()
    life.deposit(11_000.0)
    assert life.state.target_usdt == pytest.approx(109_319.0)
    assert sum(life.cycle().values()) == pytest.approx(8_193.25 + 1_000.0)
    assert life.state.weeks_remaining == 10


def test_core_10_a_plan_opened_again_spreads_its_money_over_a_coin_whose_own_plan_is_over_too() -> None:
    life = CoreLife(some_params(), unlisted={9})
    life.cycle()
    life.unlisted = set()
    for _ in range(12):
        life.cycle()
    assert life.state.phase == MAINTAINING
    assert life.held[9] == pytest.approx(98_319 * 0.05)
    life.deposit(30_000.0)
    assert life.state.phase == DEPLOYING
    assert life.cycle()[9] == pytest.approx(30_000 * 0.05 / 4)
    assert life.signals[-1].reason == reason.CORE_PLAN


def test_core_10_value_is_never_a_deposit() -> None:
    # A13, A14: a portfolio seen to rise ten times is no deposit; one transfer is one deposit.
    life = maintaining(CoreLife(some_params()), {BTC: 67_000, ETH: 33_000}, cash=300.0)
    for portfolio in range(170_000, 270_000, 10_000):
        life.portfolio_usdt = portfolio
        life.held *= 1.02
        life.cycle()
    assert life.state.deposits_usdt == 0.0
    assert life.state.target_usdt == 98_319.0
    life.state = core_hodl.on_deposit(life.params.core, life.state, 3_000.0)
    assert life.state.deposits_usdt == 3_000.0


def test_core_10_before_the_first_decision_a_deposit_is_simply_money() -> None:
    life = CoreLife(some_params())
    state = core_hodl.on_deposit(life.params.core, life.state, 1_000.0)
    assert state == life.state


def test_core_10_a_deposit_during_a_round_counts_when_it_ends() -> None:
    life = maintaining(CoreLife(some_params()), {BTC: 80_000, ETH: 20_000}, cash=0.0)
    life.cycle()
    assert life.state.phase == REBALANCING
    life.params = some_params(core={"cash_flow_frac": 0.0})
    life.deposit(30_000.0)
    assert life.state.phase == REBALANCING
    for _ in range(3):
        life.cycle()
    life.cycle()
    assert life.state.phase == DEPLOYING
    assert life.state.plan_weeks == 4


def test_core_12_the_state_holds_all_that_a_restart_needs() -> None:
    # C7: stop after five of twelve cycles, go on from a copy of the plain values.
    life, straight = CoreLife(some_params()), CoreLife(some_params())
    for _ in range(5):
        life.cycle()
        straight.cycle()
    saved = {name: getattr(life.state, name) for name in core_hodl.CoreState._fields}
    plain = {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in saved.items()}
    restored = {
        name: np.array(value, dtype=saved[name].dtype) if isinstance(value, list) else value
        for name, value in plain.items()
    }
    life.state = core_hodl.CoreState(**restored)
    assert life.state.weeks_remaining == 7
    assert sum(life.cycle().values()) == pytest.approx(8_193.25)
    straight.cycle()
    assert life.state.gap_usdt.tolist() == straight.state.gap_usdt.tolist()


def test_core_2_a_coin_that_is_gone_leaves_the_plan_and_its_money_stays_outside() -> None:
    life = CoreLife(some_params())
    life.cycle()
    left = life.state.gap_usdt[ETH]
    life.unlisted = {ETH}
    for _ in range(11):
        assert ETH not in life.cycle()
    assert life.state.phase != DEPLOYING
    assert life.cash == pytest.approx(left)
    assert core_hodl.set_aside_usdt(life.state) == pytest.approx(left)
    # Listed again it buys what is left, over the weeks of the plan.
    life.unlisted = set()
    assert life.cycle()[ETH] == pytest.approx(left / 12)
