"""CORE_HODL: accumulate ten coins by a weekly plan, never sell (rules CORE-1 to CORE-13)."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from eternal_engine.model import reason
from eternal_engine.model.rule import Rule
from eternal_engine.strategies.base import CORE_HODL, EPSILON, Signal, buy_quote_signal, exceeded, no_signals

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

NEW: Final = 0
DEPLOYING: Final = 1
REBALANCING: Final = 2
MAINTAINING: Final = 3
PHASES: Final = ("NEW", "DEPLOYING", "REBALANCING", "MAINTAINING")

# How a coin's money is planned.
NO_PLAN: Final = 0
MAIN_PLAN: Final = 1
OWN_PLAN: Final = 2
UNLISTED: Final = 3

NOTE_EXTENDED: Final = 1
NOTE_NO_CASH: Final = 2
NOTE_STILL_OFF: Final = 4

RULES = (
    Rule(
        "CORE-1",
        "Weekly cycles fall due at the first decision plus n intervals; fill times never move them.",
        ("core_hodl.interval_h",),
        ("tests/unit/strategies/test_core_hodl.py::test_core_1_due_times_stay_anchored",),
    ),
    Rule(
        "CORE-2",
        "The first decision freezes target and gaps; the total gap sets 1, 4 or 12 weeks; late coins get own plans.",
        ("core_hodl.gap_medium_usdt", "core_hodl.gap_large_usdt", "core_hodl.weeks_small", "core_hodl.weeks_medium")
        + ("core_hodl.weeks_large", "core_hodl.weights"),
        ("tests/unit/strategies/test_core_hodl.py::test_core_2_total_gap_sets_the_weeks",),
    ),
    Rule(
        "CORE-3",
        "A cycle asks, per coin, for its remaining gap over the weeks left; the gap falls by money spent.",
        (),
        ("tests/unit/strategies/test_core_hodl.py::test_core_3_week_one_of_the_fixture",),
    ),
    Rule(
        "CORE-4",
        "Each cycle takes exactly one week off the plan; at zero weeks with money left the plan grows by one.",
        (),
        ("tests/unit/strategies/test_core_hodl.py::test_core_4_one_week_per_cycle_and_extension",),
    ),
    Rule(
        "CORE-5",
        "A leg under the minimum is carried; a leg over the order cap is cut and the rest stays in the plan.",
        ("risk.max_position_frac",),
        ("tests/unit/strategies/test_core_hodl.py::test_core_5_small_legs_are_carried",),
    ),
    Rule(
        "CORE-6",
        "A cycle that may not trade stays due; after absence one cycle is bought and the next anchor is due.",
        (),
        ("tests/unit/strategies/test_core_hodl.py::test_core_6_one_cycle_after_absence",),
    ),
    Rule(
        "CORE-7",
        "The plan ends when no gap or no cash of a minimum order is left; the BTC/ETH ratio picks the next phase.",
        ("core_hodl.pair_ratio_frac", "core_hodl.pair_tolerance_frac"),
        ("tests/unit/strategies/test_core_hodl.py::test_core_7_ratio_picks_the_next_phase",),
    ),
    Rule(
        "CORE-8",
        "After the plan the weekly flow is split by weight; four rebalancing cycles lean on the lighter of the pair.",
        ("core_hodl.weekly_usdt", "core_hodl.cash_flow_frac", "core_hodl.reserve_frac", "core_hodl.rebalance_over")
        + ("core_hodl.rebalance_under", "core_hodl.rebalance_cooldown_weeks"),
        ("tests/unit/strategies/test_core_hodl.py::test_core_8_multipliers_by_week",),
    ),
    Rule(
        "CORE-9",
        "MAINTAINING buys the weekly flow by weight; with less than a minimum order the cycle counts as NO_CASH.",
        (),
        ("tests/unit/strategies/test_core_hodl.py::test_core_9_no_cash_counts_the_cycle",),
    ),
    Rule(
        "CORE-10",
        "Deposits come from ledger transfers: they widen a running plan, or re-open one above a fifth of the target.",
        ("core_hodl.reopen_frac",),
        ("tests/unit/strategies/test_core_hodl.py::test_core_10_large_deposit_reopens_the_plan",),
    ),
    Rule(
        "CORE-11",
        "No sell is ever created, in any phase.",
        (),
        ("tests/property/test_core_hodl_property.py::test_core_11_never_sells",),
    ),
)


class CoreParams(NamedTuple):
    """Hold CORE_HODL's configuration; arrays are per symbol in CAP-3 order, weights sum to 1."""

    enabled: bool
    weights: Float64Array
    btc: int
    eth: int
    interval_h: int
    target_frac: float
    gap_medium_usdt: float
    gap_large_usdt: float
    weeks_small: int
    weeks_medium: int
    weeks_large: int
    pair_ratio_frac: float
    pair_tolerance_frac: float
    rebalance_over: Float64Array
    rebalance_under: Float64Array
    cooldown_weeks: int
    weekly_usdt: float
    cash_flow_frac: float
    reserve_frac: float
    reopen_frac: float


class CoreState(NamedTuple):
    """Hold all that must survive a restart (CORE-12). Times are hours since the epoch, money USDT.

    Per symbol: `plan` (NO_PLAN, MAIN_PLAN, OWN_PLAN, UNLISTED), `gap_usdt` not yet spent of its plan,
    `plan_carry_usdt` and `flow_carry_usdt` asked but below the minimum order, `own_weeks` left of its own plan,
    `spent_usdt` in all. `settling` says that the last cycle's legs have not been judged yet (CORE-7).
    """

    phase: int
    anchor_h: int
    due_h: int
    weeks_remaining: int
    plan_weeks: int
    target_usdt: float
    rebalance_week: int
    rebalance_over: int
    round_over_h: int
    settling: bool
    deposits_usdt: float
    flow_spent_usdt: float
    weeks_needed: float
    plan: Int64Array
    gap_usdt: Float64Array
    plan_carry_usdt: Float64Array
    flow_carry_usdt: Float64Array
    own_weeks: Int64Array
    spent_usdt: Float64Array


class CoreObservation(NamedTuple):
    """Hold what CORE_HODL may see at a decision; arrays per symbol.

    `price` last closes (USDT), `fresh` whether the bar just closed exists, `listed` whether it can be traded at all,
    `held_usdt` market value of the holding, `min_usdt` the instrument's minimum order.
    """

    now_h: int
    cash_usdt: float
    equity_usdt: float
    portfolio_usdt: float
    price: Float64Array
    fresh: BoolArray
    listed: BoolArray
    held_usdt: Float64Array
    min_usdt: Float64Array


def initial_state(symbols: int) -> CoreState:
    """Give the state before the first decision."""
    return CoreState(
        phase=NEW,
        anchor_h=0,
        due_h=0,
        weeks_remaining=0,
        plan_weeks=0,
        target_usdt=0.0,
        rebalance_week=0,
        rebalance_over=0,
        round_over_h=0,
        settling=False,
        deposits_usdt=0.0,
        flow_spent_usdt=0.0,
        weeks_needed=0.0,
        plan=np.zeros(symbols, np.int64),
        gap_usdt=np.zeros(symbols),
        plan_carry_usdt=np.zeros(symbols),
        flow_carry_usdt=np.zeros(symbols),
        own_weeks=np.zeros(symbols, np.int64),
        spent_usdt=np.zeros(symbols),
    )


def is_due(state: CoreState, now_h: int) -> bool:
    """Tell whether a cycle is due (CORE-1); before the first decision it always is."""
    return state.phase == NEW or now_h >= state.due_h


def weeks_for_gap(params: CoreParams, gap_usdt: float) -> int:
    """Choose the length of a plan from its total gap (CORE-2)."""
    if gap_usdt < params.gap_medium_usdt:
        return params.weeks_small
    if gap_usdt < params.gap_large_usdt:
        return params.weeks_medium
    return params.weeks_large


def pair_ratio(params: CoreParams, held_usdt: Float64Array) -> float:
    """Give BTC / (BTC + ETH) by market value, or the wanted ratio when neither is held (CORE-7)."""
    both = held_usdt[params.btc] + held_usdt[params.eth]
    if both <= 0.0:
        return params.pair_ratio_frac
    return float(held_usdt[params.btc] / both)


def ratio_is_off(params: CoreParams, ratio: float) -> bool:
    """Tell whether the pair is strictly further off than the tolerance (CORE-7)."""
    return exceeded(abs(ratio - params.pair_ratio_frac), params.pair_tolerance_frac)


def weeks_to_tolerance(params: CoreParams, held_usdt: Float64Array, flow_usdt: float) -> float:
    """Count the weeks of a whole flow into the lighter coin until the pair is within tolerance (CORE-8)."""
    btc = held_usdt[params.btc]
    eth = held_usdt[params.eth]
    ratio = pair_ratio(params, held_usdt)
    if not ratio_is_off(params, ratio) or flow_usdt <= 0.0:
        return 0.0
    if ratio > params.pair_ratio_frac:
        missing = btc / (params.pair_ratio_frac + params.pair_tolerance_frac) - btc - eth
    else:
        missing = eth / (1.0 - params.pair_ratio_frac + params.pair_tolerance_frac) - btc - eth
    return float(math.ceil(missing / flow_usdt - EPSILON))


def _freeze(params: CoreParams, state: CoreState, seen: CoreObservation) -> CoreState:
    """Freeze target, gaps and weeks at the first decision (CORE-2)."""
    target = params.target_frac * seen.portfolio_usdt
    gap = np.zeros(len(params.weights))
    plan = np.zeros(len(params.weights), np.int64)
    total = 0.0
    for s in range(len(params.weights)):
        gap[s] = max(params.weights[s] * target - seen.held_usdt[s], 0.0)
        total += gap[s]
        if gap[s] > 0.0:
            plan[s] = MAIN_PLAN if seen.listed[s] else UNLISTED
    weeks = weeks_for_gap(params, total)
    return state._replace(
        phase=DEPLOYING,
        anchor_h=seen.now_h,
        due_h=seen.now_h,
        weeks_remaining=weeks,
        plan_weeks=weeks,
        target_usdt=target,
        plan=plan,
        gap_usdt=gap,
    )


def _follow_listings(params: CoreParams, state: CoreState, seen: CoreObservation) -> CoreState:
    """Give every coin listed since its own plan of the same weeks; take one that has gone out of its plan (CORE-2).

    A coin that the configuration has taken out since has no plan any more: its money is free (CORE-8).
    """
    plan = state.plan.copy()
    own_weeks = state.own_weeks.copy()
    plan_carry = state.plan_carry_usdt.copy()
    gap = state.gap_usdt.copy()
    flow_carry = state.flow_carry_usdt.copy()
    for s in range(len(plan)):
        if params.weights[s] <= 0.0:
            plan[s] = NO_PLAN
            own_weeks[s] = 0
            plan_carry[s] = 0.0
            gap[s] = 0.0
            flow_carry[s] = 0.0
        elif plan[s] == UNLISTED and seen.listed[s]:
            plan[s] = OWN_PLAN
            own_weeks[s] = state.plan_weeks
        elif plan[s] != NO_PLAN and not seen.listed[s]:
            plan[s] = UNLISTED
            own_weeks[s] = 0
            plan_carry[s] = 0.0
    return state._replace(
        plan=plan, own_weeks=own_weeks, plan_carry_usdt=plan_carry, gap_usdt=gap, flow_carry_usdt=flow_carry
    )


def set_aside_usdt(state: CoreState) -> float:
    """Sum the cash that own plans, unlisted coins and carried legs still need (CORE-8)."""
    total = 0.0
    for s in range(len(state.plan)):
        total += state.flow_carry_usdt[s]
        if state.plan[s] == OWN_PLAN or state.plan[s] == UNLISTED:
            total += state.gap_usdt[s]
    return total


def weekly_flow_usdt(params: CoreParams, state: CoreState, seen: CoreObservation) -> float:
    """Give the money of one cycle after the plan (CORE-8): never more than the free cash."""
    free = seen.cash_usdt - set_aside_usdt(state)
    above_reserve = max(free - params.reserve_frac * seen.equity_usdt, 0.0)
    return max(min(max(params.weekly_usdt, params.cash_flow_frac * above_reserve), free), 0.0)


def _is_short_of_cash(params: CoreParams, state: CoreState, seen: CoreObservation) -> bool:
    """Tell whether the free cash is below the smallest order of the coins that could be bought (CORE-9)."""
    smallest = np.inf
    for s in range(len(params.weights)):
        if params.weights[s] > 0.0 and seen.fresh[s]:
            smallest = min(smallest, seen.min_usdt[s])
    return bool(seen.cash_usdt - set_aside_usdt(state) < smallest - EPSILON)


def _plan_is_over(state: CoreState, seen: CoreObservation) -> bool:
    """Tell whether the main plan has nothing left to buy or to buy with (CORE-7)."""
    smallest = np.inf
    open_gap = False
    for s in range(len(state.plan)):
        if state.plan[s] == MAIN_PLAN:
            smallest = min(smallest, seen.min_usdt[s])
            if state.gap_usdt[s] >= seen.min_usdt[s] - EPSILON:
                open_gap = True
    return not open_gap or seen.cash_usdt - set_aside_usdt(state) < smallest - EPSILON


def _end_own_plans(state: CoreState, seen: CoreObservation) -> CoreState:
    """End every own plan out of weeks and of a minimum order: its coin is from then on one like the others (CORE-2)."""
    plan = state.plan.copy()
    gap = state.gap_usdt.copy()
    plan_carry = state.plan_carry_usdt.copy()
    for s in range(len(plan)):
        if plan[s] == OWN_PLAN and state.own_weeks[s] <= 0 and gap[s] < seen.min_usdt[s] - EPSILON:
            if state.phase == DEPLOYING and gap[s] > 0.0:
                plan[s] = MAIN_PLAN
            else:
                plan[s] = NO_PLAN
                gap[s] = 0.0
                plan_carry[s] = 0.0
    return state._replace(plan=plan, gap_usdt=gap, plan_carry_usdt=plan_carry)


def settle(params: CoreParams, state: CoreState, seen: CoreObservation) -> CoreState:
    """Judge the plans after a cycle's fills: end what is over, and pick the next phase after the main one (CORE-7)."""
    # Before the next deposit comes: it would fall into a plan that is over, and be spent in one cycle.
    state = _end_own_plans(state, seen)
    if state.phase != DEPLOYING or not _plan_is_over(state, seen):
        return state._replace(settling=False)
    ratio = pair_ratio(params, seen.held_usdt)
    over = params.btc if ratio > params.pair_ratio_frac else params.eth
    phase = REBALANCING if ratio_is_off(params, ratio) else MAINTAINING
    plan = state.plan.copy()
    gap = state.gap_usdt.copy()
    plan_carry = state.plan_carry_usdt.copy()
    for s in range(len(plan)):
        if plan[s] == MAIN_PLAN:
            plan[s] = NO_PLAN
            gap[s] = 0.0
            plan_carry[s] = 0.0
    return state._replace(
        phase=phase,
        weeks_remaining=0,
        rebalance_week=0,
        rebalance_over=over,
        settling=False,
        deposits_usdt=0.0,
        flow_spent_usdt=0.0,
        plan=plan,
        gap_usdt=gap,
        plan_carry_usdt=plan_carry,
    )


def _widen(params: CoreParams, state: CoreState, amount_usdt: float, reopen: bool) -> CoreState:
    """Add `amount_usdt` by weight to the gaps; with `reopen` as a new main plan of its own length (CORE-10)."""
    plan = state.plan.copy()
    gap = state.gap_usdt.copy()
    for s in range(len(plan)):
        if params.weights[s] > 0.0:
            gap[s] += params.weights[s] * amount_usdt
            if plan[s] == NO_PLAN:
                plan[s] = MAIN_PLAN
    weeks = weeks_for_gap(params, amount_usdt) if reopen else state.weeks_remaining
    return state._replace(
        phase=DEPLOYING,
        weeks_remaining=weeks,
        plan_weeks=weeks if reopen else state.plan_weeks,
        target_usdt=state.target_usdt + amount_usdt,
        deposits_usdt=0.0,
        flow_spent_usdt=0.0,
        plan=plan,
        gap_usdt=gap,
    )


def _reopen_if_rich(params: CoreParams, state: CoreState) -> CoreState:
    """Re-open DEPLOYING when unspent deposits since the last plan exceed a share of the target (CORE-10)."""
    unspent = state.deposits_usdt - state.flow_spent_usdt
    if state.phase == MAINTAINING and exceeded(unspent, params.reopen_frac * state.target_usdt):
        return _widen(params, state, unspent, True)
    return state


def on_deposit(params: CoreParams, state: CoreState, amount_usdt: float) -> CoreState:
    """Take one deposit of the ledger into account, once (CORE-10)."""
    if state.phase == NEW:
        return state
    if state.phase == DEPLOYING:
        return _widen(params, state, amount_usdt, False)
    return _reopen_if_rich(params, state._replace(deposits_usdt=state.deposits_usdt + amount_usdt))


def on_fill(state: CoreState, symbol: int, spent_usdt: float, plan_usdt: float) -> CoreState:
    """Book the money a leg has spent; up to `plan_usdt` of it pays the coin's plan (CORE-3)."""
    plan_spent = min(spent_usdt, plan_usdt)
    flow_spent = spent_usdt - plan_spent
    gap = state.gap_usdt.copy()
    plan_carry = state.plan_carry_usdt.copy()
    flow_carry = state.flow_carry_usdt.copy()
    spent = state.spent_usdt.copy()
    gap[symbol] = max(gap[symbol] - plan_spent, 0.0)
    plan_carry[symbol] = max(plan_carry[symbol] - plan_spent, 0.0)
    flow_carry[symbol] = max(flow_carry[symbol] - flow_spent, 0.0)
    spent[symbol] += spent_usdt
    return state._replace(
        flow_spent_usdt=state.flow_spent_usdt + flow_spent,
        gap_usdt=gap,
        plan_carry_usdt=plan_carry,
        flow_carry_usdt=flow_carry,
        spent_usdt=spent,
    )


def _enter_cycle(params: CoreParams, state: CoreState, seen: CoreObservation) -> CoreState:
    """Bring the phase up to date at the start of a cycle: first decision, listings, re-opening, rebalancing."""
    if state.phase == NEW:
        state = _freeze(params, state, seen)
    state = _follow_listings(params, state, seen)
    state = _reopen_if_rich(params, state)
    if state.phase == REBALANCING and state.rebalance_week >= len(params.rebalance_over):
        state = state._replace(phase=MAINTAINING, rebalance_week=0, round_over_h=seen.now_h)
        state = _reopen_if_rich(params, state)
    cooled = state.round_over_h == 0 or seen.now_h >= state.round_over_h + params.cooldown_weeks * params.interval_h
    ratio = pair_ratio(params, seen.held_usdt)
    if state.phase == MAINTAINING and cooled and ratio_is_off(params, ratio):
        over = params.btc if ratio > params.pair_ratio_frac else params.eth
        state = state._replace(phase=REBALANCING, rebalance_week=0, rebalance_over=over)
    return state


def _pair_multiplier(params: CoreParams, state: CoreState, symbol: int) -> float:
    """Give the rebalancing multiplier of a coin: 1 outside the pair and outside REBALANCING (CORE-8)."""
    if state.phase != REBALANCING or (symbol != params.btc and symbol != params.eth):
        return 1.0
    if symbol == state.rebalance_over:
        return float(params.rebalance_over[state.rebalance_week])
    return float(params.rebalance_under[state.rebalance_week])


def _plan_leg_usdt(state: CoreState, symbol: int) -> float:
    """Give what a coin's plan asks for this cycle: its share of the gap, and what was carried (CORE-3, CORE-5)."""
    weeks = 0
    if state.plan[symbol] == MAIN_PLAN:
        weeks = state.weeks_remaining
    elif state.plan[symbol] == OWN_PLAN:
        weeks = state.own_weeks[symbol]
    if weeks <= 0:
        return 0.0
    carried = state.plan_carry_usdt[symbol]
    return float((state.gap_usdt[symbol] - carried) / weeks + carried)


def _leg_reason(state: CoreState, symbol: int, flow_usdt: float) -> int:
    if flow_usdt > 0.0:
        return reason.CORE_REBALANCE if state.phase == REBALANCING else reason.CORE_MAINTAIN
    return reason.CORE_OWN_PLAN if state.plan[symbol] == OWN_PLAN else reason.CORE_PLAN


def _close_cycle(
    params: CoreParams,
    state: CoreState,
    seen: CoreObservation,
    plan_carry: Float64Array,
    flow_carry: Float64Array,
    weeks_needed: float,
) -> CoreState:
    """Count the cycle: one week off every running plan, next due time at the next anchor (CORE-1, 4, 6)."""
    own_weeks = state.own_weeks.copy()
    for s in range(len(own_weeks)):
        if state.plan[s] == OWN_PLAN:
            own_weeks[s] = max(own_weeks[s] - 1, 0)
    passed = (seen.now_h - state.anchor_h) // params.interval_h
    return state._replace(
        due_h=state.anchor_h + (passed + 1) * params.interval_h,
        weeks_remaining=max(state.weeks_remaining - 1, 0) if state.phase == DEPLOYING else 0,
        rebalance_week=state.rebalance_week + 1 if state.phase == REBALANCING else 0,
        settling=True,
        weeks_needed=weeks_needed,
        plan_carry_usdt=plan_carry,
        flow_carry_usdt=flow_carry,
        own_weeks=own_weeks,
    )


def _extend(state: CoreState, seen: CoreObservation) -> tuple[CoreState, int]:
    """Grow every plan that has run out of weeks but not of money by one week (CORE-4)."""
    state = _end_own_plans(state, seen)
    own_weeks = state.own_weeks.copy()
    weeks = state.weeks_remaining
    notes = 0
    if state.phase == DEPLOYING and weeks <= 0:
        weeks = 1
        notes = NOTE_EXTENDED
    for s in range(len(own_weeks)):
        if state.plan[s] == OWN_PLAN and own_weeks[s] <= 0:
            own_weeks[s] = 1
            notes = NOTE_EXTENDED
    return state._replace(weeks_remaining=weeks, own_weeks=own_weeks), notes


def decide(params: CoreParams, state: CoreState, seen: CoreObservation) -> tuple[CoreState, list[Signal], int]:
    """Run one due cycle: the new state, one buy signal per leg in symbol order, and NOTE_ flags.

    The caller asks only when `is_due` and the engine may trade (CORE-6). While every coin lacks the bar just
    closed nothing happens and the cycle stays due (U-10). A coin without it asks for nothing; its money stays.
    """
    signals = no_signals()
    some_fresh = False
    for s in range(len(params.weights)):
        if params.weights[s] > 0.0 and seen.fresh[s]:
            some_fresh = True
    if not some_fresh:
        return state, signals, 0
    state = _enter_cycle(params, state, seen)
    state, notes = _extend(state, seen)
    flows = state.phase != DEPLOYING
    flow = weekly_flow_usdt(params, state, seen) if flows else 0.0
    if flows and _is_short_of_cash(params, state, seen):
        flows = False
        notes |= NOTE_NO_CASH
    plan_carry = state.plan_carry_usdt.copy()
    flow_carry = state.flow_carry_usdt.copy()
    for s in range(len(params.weights)):
        if params.weights[s] <= 0.0 or not seen.fresh[s]:
            continue
        plan_usdt = _plan_leg_usdt(state, s)
        flow_usdt = 0.0
        if flows:
            flow_usdt = params.weights[s] * flow * _pair_multiplier(params, state, s) + flow_carry[s]
        leg_usdt = plan_usdt + flow_usdt
        if leg_usdt <= 0.0:
            continue
        if leg_usdt < seen.min_usdt[s] - EPSILON:
            plan_carry[s] = plan_usdt
            flow_carry[s] = flow_usdt if flows else flow_carry[s]
            continue
        why = _leg_reason(state, s, flow_usdt)
        signals.append(buy_quote_signal(CORE_HODL, s, leg_usdt, seen.price[s], why, plan_usdt, 0))
    weeks_needed = state.weeks_needed
    last_week = state.phase == REBALANCING and state.rebalance_week == len(params.rebalance_over) - 1
    if last_week and ratio_is_off(params, pair_ratio(params, seen.held_usdt)):
        notes |= NOTE_STILL_OFF
        weeks_needed = weeks_to_tolerance(params, seen.held_usdt, max(flow, params.weekly_usdt))
    return _close_cycle(params, state, seen, plan_carry, flow_carry, weeks_needed), signals, notes
