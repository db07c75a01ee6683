"""What each step of CORE_HODL writes into its state, field by field (rules CORE-2, 3, 5, 7, 8, 9, 10 and 12)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from core_builders import START_H, THREE, CoreLife, a_core_observation, some_params
from eternal_engine.model import reason
from eternal_engine.strategies import core_hodl
from eternal_engine.strategies.base import BUY, CORE_HODL, SPOT, Signal
from eternal_engine.strategies.core_hodl import (
    DEPLOYING,
    MAIN_PLAN,
    MAINTAINING,
    NO_PLAN,
    OWN_PLAN,
    REBALANCING,
    UNLISTED,
    CoreObservation,
    CoreState,
)

WEEK = 168
PARAMS = some_params(THREE, core={"weights": np.array([0.5, 0.3, 0.2])})
CORE = PARAMS.core
INTEGERS = ("plan", "own_weeks")


def a_state(**changes: Any) -> CoreState:
    """Build a state in which no field holds the value it begins with."""
    lived = core_hodl.initial_state(3)._replace(
        phase=DEPLOYING,
        anchor_h=START_H,
        due_h=START_H,
        weeks_remaining=3,
        plan_weeks=12,
        target_usdt=1_000.0,
        rebalance_week=2,
        rebalance_over=2,
        round_over_h=START_H - 9 * WEEK,
        settling=True,
        deposits_usdt=70.0,
        flow_spent_usdt=30.0,
        weeks_needed=5.0,
    )
    return lived._replace(
        **{name: np.array(value) if isinstance(value, list) else value for name, value in changes.items()}
    )


def seen(**changes: Any) -> CoreObservation:
    return a_core_observation(PARAMS, **{"held_usdt": np.array([670.0, 330.0, 200.0]), "cash_usdt": 500.0, **changes})


def plain(state: CoreState) -> dict[str, Any]:
    return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in state._asdict().items()}


def changed(before: CoreState, after: CoreState) -> dict[str, Any]:
    """Give the fields that differ, as they are afterwards."""
    old, new = plain(before), plain(after)
    return {name: value for name, value in new.items() if value != old[name] or type(value) is not type(old[name])}


def test_core_12_before_the_first_decision_everything_is_nothing() -> None:
    state = core_hodl.initial_state(3)
    assert state.phase == core_hodl.NEW
    flat = [value for found in plain(state).values() for value in (found if isinstance(found, list) else [found])]
    assert flat == [0] * (13 + 6 * 3)
    kinds = {name: value.dtype for name, value in state._asdict().items() if isinstance(value, np.ndarray)}
    assert len(kinds) == 6
    assert all(kind == (np.int64 if name in INTEGERS else np.float64) for name, kind in kinds.items())
    assert all(len(getattr(state, name)) == 3 for name in kinds)


def test_core_2_the_first_decision_freezes_all_at_once() -> None:
    held = np.array([10.0, 500.0, 0.0])
    first = seen(now_h=START_H + 7, portfolio_usdt=1_000.0, held_usdt=held, listed=np.array([True, True, False]))
    state, signals, _ = core_hodl.decide(CORE, core_hodl.initial_state(3), first)
    # 600 to spend: 300 - 10, nothing for what is held beyond 180, 120 for a coin that cannot be bought yet.
    assert changed(core_hodl.initial_state(3), state) == {
        "phase": DEPLOYING,
        "anchor_h": START_H + 7,
        "due_h": START_H + 7 + WEEK,
        "plan_weeks": 1,
        "target_usdt": 600.0,
        "settling": True,
        "plan": [MAIN_PLAN, NO_PLAN, UNLISTED],
        "gap_usdt": [290.0, 0.0, 120.0],
    }
    assert state.plan.dtype == np.int64
    assert [(signal.symbol, signal.quote_usdt, signal.plan_usdt) for signal in signals] == [(0, 290.0, 290.0)]


def test_core_2_a_coin_that_went_is_set_aside_with_its_gap_and_without_weeks_or_a_carried_leg() -> None:
    state = a_state(
        phase=MAINTAINING,
        plan=[NO_PLAN, OWN_PLAN, OWN_PLAN],
        gap_usdt=[0.0, 40.0, 60.0],
        own_weeks=[0, 4, 4],
        plan_carry_usdt=[0.0, 3.0, 3.0],
    )
    state, signals, _ = core_hodl.decide(CORE, state, seen(cash_usdt=0.0, listed=np.array([True, False, True])))
    assert (state.plan.tolist(), state.own_weeks.tolist()) == ([NO_PLAN, UNLISTED, OWN_PLAN], [0, 0, 3])
    assert (state.gap_usdt.tolist(), state.plan_carry_usdt.tolist()) == ([0.0, 40.0, 60.0], [0.0, 0.0, 3.0])
    assert [signal.symbol for signal in signals] == [2]


def test_core_3_what_is_spent_is_counted_in_every_account_of_the_coin_and_in_no_other() -> None:
    state = a_state(
        gap_usdt=[100.0, 50.0, 7.0],
        plan_carry_usdt=[4.0, 4.0, 4.0],
        flow_carry_usdt=[6.0, 6.0, 6.0],
        spent_usdt=[1.0, 2.0, 3.0],
    )
    once = core_hodl.on_fill(state, 0, 30.0, 25.0)
    assert changed(state, once) == {
        "flow_spent_usdt": 35.0,
        "gap_usdt": [75.0, 50.0, 7.0],
        "plan_carry_usdt": [0.0, 4.0, 4.0],
        "flow_carry_usdt": [1.0, 6.0, 6.0],
        "spent_usdt": [31.0, 2.0, 3.0],
    }
    # Spent beyond the gap, since a purchase rounds up; a second fill adds to the first.
    twice = core_hodl.on_fill(once, 0, 80.0, 80.0)
    assert (twice.gap_usdt[0], twice.spent_usdt[0], twice.flow_spent_usdt) == (0.0, 111.0, 35.0)


@pytest.mark.parametrize(
    ("phase", "gap", "weeks", "plan", "left"),
    [
        (MAINTAINING, 4.99, 0, NO_PLAN, 0.0),
        (MAINTAINING, 5.0, 0, OWN_PLAN, 5.0),
        (MAINTAINING, 4.99, 1, OWN_PLAN, 4.99),
        (DEPLOYING, 0.5, 0, MAIN_PLAN, 0.5),
        (DEPLOYING, 0.0, 0, NO_PLAN, 0.0),
    ],
)
def test_core_2_an_own_plan_out_of_weeks_and_of_a_minimum_order_ends(
    phase: int, gap: float, weeks: int, plan: int, left: float
) -> None:
    state = a_state(
        phase=phase,
        plan=[MAIN_PLAN if phase == DEPLOYING else NO_PLAN, NO_PLAN, OWN_PLAN],
        gap_usdt=[90.0 if phase == DEPLOYING else 0.0, 0.0, gap],
        own_weeks=[0, 0, weeks],
        plan_carry_usdt=[2.0, 0.0, 3.0],
    )
    found = core_hodl.settle(CORE, state, seen())
    assert (found.plan[2], found.gap_usdt[2]) == (plan, left)
    assert found.plan_carry_usdt.tolist() == [2.0, 0.0, 0.0 if plan == NO_PLAN else 3.0]
    assert (found.phase, found.plan[0], found.gap_usdt[0]) == (phase, state.plan[0], state.gap_usdt[0])


@pytest.mark.parametrize(
    ("held", "phase", "over"), [([670.0, 330.0, 9.0], MAINTAINING, 1), ([900.0, 100.0, 9.0], REBALANCING, 0)]
)
def test_core_7_the_end_of_the_plan_leaves_nothing_of_it(held: list[float], phase: int, over: int) -> None:
    state = a_state(
        plan=[MAIN_PLAN, MAIN_PLAN, UNLISTED],
        gap_usdt=[4.0, 0.0, 80.0],
        plan_carry_usdt=[4.0, 0.0, 1.0],
        flow_carry_usdt=[0.0, 2.0, 0.0],
    )
    found = core_hodl.settle(CORE, state, seen(held_usdt=np.array(held)))
    assert changed(state, found) == {
        "phase": phase,
        "weeks_remaining": 0,
        "rebalance_week": 0,
        "rebalance_over": over,
        "settling": False,
        "deposits_usdt": 0.0,
        "flow_spent_usdt": 0.0,
        "plan": [NO_PLAN, NO_PLAN, UNLISTED],
        "gap_usdt": [0.0, 0.0, 80.0],
        "plan_carry_usdt": [0.0, 0.0, 1.0],
    }


def test_core_7_money_that_waits_for_another_plan_does_not_keep_this_one_open() -> None:
    plans = {"plan": [MAIN_PLAN, NO_PLAN, UNLISTED], "gap_usdt": [90.0, 0.0, 80.0]}
    assert core_hodl.settle(CORE, a_state(**plans), seen(cash_usdt=84.9)).phase != DEPLOYING
    assert core_hodl.settle(CORE, a_state(**plans), seen(cash_usdt=85.0)).phase == DEPLOYING


@pytest.mark.parametrize(("cash", "is_short"), [(85.0, False), (84.9, True)])
def test_core_9_the_smallest_order_is_that_of_a_coin_which_can_be_bought(cash: float, is_short: bool) -> None:
    # The second coin's minimum is smaller, but its bar is missing; 80 are set aside.
    state = a_state(phase=MAINTAINING, plan=[NO_PLAN, NO_PLAN, UNLISTED], gap_usdt=[0.0, 0.0, 80.0])
    looked = seen(
        cash_usdt=cash,
        fresh=np.array([True, False, False]),
        listed=np.array([True, True, False]),
        min_usdt=np.array([5.0, 1.0, 1.0]),
    )
    _, _, notes = core_hodl.decide(CORE, state, looked)
    assert bool(notes & core_hodl.NOTE_NO_CASH) == is_short


def test_core_9_a_coin_without_weight_is_none_that_can_be_bought() -> None:
    params = CORE._replace(weights=np.array([0.7, 0.3, 0.0]))
    least = np.array([5.0, 5.0, 1.0])
    _, _, notes = core_hodl.decide(params, a_state(phase=MAINTAINING), seen(cash_usdt=4.0, min_usdt=least))
    assert notes == core_hodl.NOTE_NO_CASH
    only_that = seen(fresh=np.array([False, False, True]))
    waiting = a_state(phase=MAINTAINING)
    assert core_hodl.decide(params, waiting, only_that) == (waiting, [], 0)


def test_core_2_a_gap_below_one_usdt_is_a_gap() -> None:
    state, _, _ = core_hodl.decide(CORE, core_hodl.initial_state(3), seen(portfolio_usdt=2.0, held_usdt=np.zeros(3)))
    assert state.plan.tolist() == [MAIN_PLAN] * 3
    assert state.gap_usdt.tolist() == pytest.approx([0.6, 0.36, 0.24])


def test_core_9_a_leg_with_any_flow_is_one_of_the_flow() -> None:
    plans = {"plan": [OWN_PLAN, NO_PLAN, NO_PLAN], "gap_usdt": [6.0, 0.0, 0.0], "own_weeks": [1, 0, 0]}
    params = CORE._replace(weekly_usdt=1.0, cash_flow_frac=0.0)
    _, (signal,), _ = core_hodl.decide(params, a_state(phase=MAINTAINING, **plans), seen(cash_usdt=500.0))
    assert (signal.symbol, signal.quote_usdt, signal.plan_usdt) == (0, 6.5, 6.0)
    assert signal.reason == reason.CORE_MAINTAIN


def test_core_10_a_deposit_into_a_running_plan_changes_its_gaps_and_not_its_length() -> None:
    state = a_state(plan=[MAIN_PLAN, NO_PLAN, OWN_PLAN], gap_usdt=[100.0, 0.0, 10.0])
    found = core_hodl.on_deposit(CORE, state, 1_000.0)
    assert changed(state, found) == {
        "target_usdt": 2_000.0,
        "deposits_usdt": 0.0,
        "flow_spent_usdt": 0.0,
        "plan": [MAIN_PLAN, MAIN_PLAN, OWN_PLAN],
        "gap_usdt": [600.0, 300.0, 210.0],
    }


def test_core_10_a_plan_opened_again_begins_with_no_deposits_counted() -> None:
    state = a_state(phase=MAINTAINING, weeks_remaining=0)
    found = core_hodl.on_deposit(CORE, state, 700.0)
    # 770 came and 30 were spent since the last plan: 740 go into a plan of four weeks.
    assert changed(state, found) == {
        "phase": DEPLOYING,
        "weeks_remaining": 4,
        "plan_weeks": 4,
        "target_usdt": 1_740.0,
        "deposits_usdt": 0.0,
        "flow_spent_usdt": 0.0,
        "plan": [MAIN_PLAN] * 3,
        "gap_usdt": [370.0, 222.0, 148.0],
    }


def test_core_10_a_coin_without_weight_gets_no_part_of_a_deposit() -> None:
    params = CORE._replace(weights=np.array([0.7, 0.3, 0.0]))
    found = core_hodl.on_deposit(params, a_state(plan=[MAIN_PLAN, MAIN_PLAN, NO_PLAN]), 100.0)
    assert (found.plan.tolist(), found.gap_usdt.tolist()) == ([MAIN_PLAN, MAIN_PLAN, NO_PLAN], [70.0, 30.0, 0.0])


def test_core_8_a_round_begins_at_its_first_week_and_ends_with_its_hour() -> None:
    off = {"held_usdt": np.array([900.0, 100.0, 9.0]), "cash_usdt": 0.0}
    begun, _, _ = core_hodl.decide(CORE, a_state(phase=MAINTAINING), seen(**off))
    assert (begun.phase, begun.rebalance_week, begun.rebalance_over) == (REBALANCING, 1, 0)
    over = a_state(phase=REBALANCING, rebalance_week=4, round_over_h=0)
    ended, _, _ = core_hodl.decide(CORE, over, seen(**off))
    assert (ended.phase, ended.rebalance_week, ended.round_over_h) == (MAINTAINING, 0, START_H)
    assert (ended.weeks_remaining, ended.settling) == (0, True)


def test_core_8_the_wanted_ratio_itself_is_no_reason_to_lean() -> None:
    assert core_hodl.pair_ratio(CORE, np.array([0.2, 0.3, 9.0])) == pytest.approx(0.4)
    assert core_hodl.pair_ratio(CORE, np.array([0.0, 0.0, 9.0])) == CORE.pair_ratio_frac
    assert core_hodl.weeks_to_tolerance(CORE, np.array([0.9, 0.1, 9.0]), 0.5) == 1.0
    missing = 0.9 / (CORE.pair_ratio_frac + CORE.pair_tolerance_frac) - 0.9 - 0.1
    assert core_hodl.weeks_to_tolerance(CORE, np.array([0.9, 0.1, 9.0]), missing / 4) == 4.0


def test_core_5_a_flow_below_the_minimum_is_added_to_the_next_and_stops_no_later_coin() -> None:
    params = some_params(THREE, core={"weights": np.array([0.02, 0.33, 0.65]), "pair_tolerance_frac": 0.99})
    life = CoreLife(params)
    life.params = params._replace(core=params.core._replace(cash_flow_frac=0.0, weekly_usdt=100.0))
    life.state = life.state._replace(phase=MAINTAINING, anchor_h=START_H, due_h=START_H, target_usdt=98_319.0)
    asked = [life.cycle() for _ in range(4)]
    assert [week.get(0, 0.0) for week in asked] == [0.0, 0.0, pytest.approx(6.0), 0.0]
    assert [week[1] for week in asked] == [pytest.approx(33.0)] * 4
    assert life.state.flow_carry_usdt.tolist() == [pytest.approx(2.0), 0.0, 0.0]


def test_core_9_a_cycle_without_cash_keeps_the_flows_that_were_carried() -> None:
    state = a_state(
        phase=MAINTAINING,
        plan=[NO_PLAN, NO_PLAN, OWN_PLAN],
        gap_usdt=[0.0, 0.0, 8.0],
        own_weeks=[0, 0, 4],
        flow_carry_usdt=[0.0, 0.0, 3.0],
    )
    found, signals, notes = core_hodl.decide(CORE, state, seen(cash_usdt=11.0))
    assert (signals, notes) == ([], core_hodl.NOTE_NO_CASH)
    assert (found.plan_carry_usdt.tolist(), found.flow_carry_usdt.tolist()) == ([0.0, 0.0, 2.0], [0.0, 0.0, 3.0])


def test_core_4_an_own_plan_out_of_weeks_grows_by_one_and_no_other_plan_does() -> None:
    state = a_state(
        phase=MAINTAINING, plan=[NO_PLAN, OWN_PLAN, OWN_PLAN], gap_usdt=[0.0, 30.0, 30.0], own_weeks=[0, 0, 2]
    )
    found, signals, notes = core_hodl.decide(CORE, state, seen(cash_usdt=60.0))
    assert notes == core_hodl.NOTE_EXTENDED | core_hodl.NOTE_NO_CASH
    assert [(signal.symbol, signal.quote_usdt) for signal in signals] == [(1, 30.0), (2, 15.0)]
    assert {signal.reason for signal in signals} == {reason.CORE_OWN_PLAN}
    assert found.own_weeks.tolist() == [0, 0, 1]


def test_core_4_a_plan_with_one_week_left_is_not_extended() -> None:
    state = a_state(
        weeks_remaining=1, plan=[MAIN_PLAN, NO_PLAN, OWN_PLAN], gap_usdt=[30.0, 0.0, 40.0], own_weeks=[0, 0, 1]
    )
    found, signals, notes = core_hodl.decide(CORE, state, seen())
    assert (found.weeks_remaining, notes, [signal.quote_usdt for signal in signals]) == (0, 0, [30.0, 40.0])


def test_core_8_a_round_that_ends_off_and_without_cash_says_both() -> None:
    state = a_state(phase=REBALANCING, rebalance_week=3, rebalance_over=0)
    _, _, notes = core_hodl.decide(CORE, state, seen(cash_usdt=0.0, held_usdt=np.array([900.0, 100.0, 9.0])))
    assert notes == core_hodl.NOTE_NO_CASH | core_hodl.NOTE_STILL_OFF


def test_core_8_below_the_reserve_only_the_fixed_sum_flows() -> None:
    params = CORE._replace(reserve_frac=0.5, weekly_usdt=0.0)
    assert core_hodl.weekly_flow_usdt(params, a_state(), seen(cash_usdt=100.0, equity_usdt=200.0)) == 0.0
    assert core_hodl.weekly_flow_usdt(params, a_state(), seen(cash_usdt=101.0, equity_usdt=200.0)) == 0.25


def test_core_3_a_leg_says_all_that_it_is() -> None:
    state = a_state(plan=[NO_PLAN, MAIN_PLAN, NO_PLAN], gap_usdt=[0.0, 30.0, 0.0])
    _, (signal,), _ = core_hodl.decide(CORE, state, seen(price=np.array([1.0, 2.5, 3.0])))
    assert signal == Signal(CORE_HODL, 1, SPOT, BUY, False, 0.0, 10.0, 2.5, reason.CORE_PLAN, 0.0, 0.0, 10.0, 0)


def test_core_7_a_coin_that_was_taken_out_frees_its_money_and_ends_with_the_next_cycle() -> None:
    before = a_state(
        settling=False,
        plan=[MAIN_PLAN, OWN_PLAN, MAIN_PLAN],
        own_weeks=[0, 4, 0],
        gap_usdt=[0.0, 300.0, 90.0],
        plan_carry_usdt=[0.0, 40.0, 2.0],
        flow_carry_usdt=[1.0, 6.0, 3.0],
    )
    less = some_params(THREE, core={"weights": np.array([0.8, 0.0, 0.2])}).core
    assert core_hodl.set_aside_usdt(before) == 310.0
    after, _, _ = core_hodl.decide(less, before, seen(now_h=before.due_h))
    assert (after.plan[1], after.own_weeks[1], after.gap_usdt[1], after.plan_carry_usdt[1]) == (NO_PLAN, 0, 0.0, 0.0)
    assert after.flow_carry_usdt[1] == 0.0
    assert core_hodl.set_aside_usdt(after) == 1.0 + after.flow_carry_usdt[2]
    assert after.gap_usdt[2] == 90.0
