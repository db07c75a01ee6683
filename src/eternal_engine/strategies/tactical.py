"""TACTICAL: buy the crash, sell the recovery (rules TACT-1 to TACT-X1)."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from eternal_engine.model import reason
from eternal_engine.model.rule import Rule
from eternal_engine.strategies.base import (
    DUST_USDT,
    HOURS_PER_DAY,
    SELL,
    SPOT,
    TACTICAL,
    Signal,
    buy_quote_signal,
    no_signals,
    reached,
    reduce_signal,
)
from eternal_engine.strategies.indicators import MIN_BARS_PER_DAY, DailyBars, highest_high

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

FEAR: Final = 0
CAPITULATION: Final = 1
# Signals of the options carry this instead of a crash level.
NO_LEVEL: Final = -1

RULES = (
    Rule(
        "TACT-1",
        "The drawdown is BTC's daily close against its highest daily high so far in stored history.",
        (),
        ("tests/unit/strategies/test_tactical.py::test_tact_1_high_is_point_in_time",),
    ),
    Rule(
        "TACT-E1",
        "At each crash level a fixed sum of the budget is deployed, 80/20 in BTC and ETH; what is refused stays armed.",
        ("tactical.levels", "tactical.weights"),
        ("tests/unit/strategies/test_tactical.py::test_tact_e1_levels_deploy_halves_of_the_budget",),
    ),
    Rule(
        "TACT-E2",
        "Two options, off by default: extreme fear, and three days of deeply negative funding; once per 30 days each.",
        ("tactical.fear_greed", "tactical.capitulation", "tactical.trigger_cooldown_days"),
        ("tests/unit/strategies/test_tactical.py::test_tact_e2_fear_twenty_triggers_twenty_one_does_not",),
    ),
    Rule(
        "TACT-2",
        "Entry price and time come from fills; a level's armed money falls by the filled order's sum.",
        (),
        ("tests/unit/strategies/test_tactical.py::test_tact_2_the_first_buy_sets_the_clock",),
    ),
    Rule(
        "TACT-X1",
        "A coin is sold on a daily close at +100 % of average cost or 365 days after its first buy.",
        ("tactical.take_profit_frac", "tactical.max_hold_days"),
        ("tests/unit/strategies/test_tactical.py::test_tact_x1_profit_and_age_exit",),
    ),
)


class TacticalParams(NamedTuple):
    """Hold TACTICAL's configuration; `level_drawdown` and `level_budget` are per level, `weights` per symbol."""

    enabled: bool
    weights: Float64Array
    btc: int
    level_drawdown: Float64Array
    level_budget: Float64Array
    take_profit_frac: float
    max_hold_days: int
    fear_enabled: bool
    fear_max_value: float
    fear_deploy_frac: float
    fear_max_age_h: int
    capitulation_enabled: bool
    capitulation_rate_8h: float
    capitulation_days: int
    capitulation_deploy_frac: float
    trigger_cooldown_days: int


class TacticalFeatures(NamedTuple):
    """Hold daily rows [D] (and [S, D] closes); row d may be used from the close of day d on.

    `btc_high` highest daily high so far; `fear` the index of the day before, NaN when missing or too old;
    `funding_8h` BTC's mean rate of the day per 8 hours, NaN without a settlement.
    """

    close: Float64Array
    bars: Int64Array
    btc_high: Float64Array
    fear: Float64Array
    funding_8h: Float64Array


class TacticalState(NamedTuple):
    """Hold what must survive a restart: per level whether it fired and what is still armed per symbol [L, S]."""

    high: float
    fired: BoolArray
    armed_usdt: Float64Array
    first_buy_h: Int64Array
    trigger_h: Int64Array


class TacticalObservation(NamedTuple):
    """Hold what TACTICAL may see at a daily decision; arrays per symbol."""

    now_h: int
    day: int
    cash_usdt: float
    price: Float64Array
    fresh: BoolArray
    busy: BoolArray
    held_qty: Float64Array
    cost_usdt: Float64Array
    min_usdt: Float64Array


def features(
    params: TacticalParams, daily: DailyBars, fear: Float64Array, funding_8h: Float64Array
) -> TacticalFeatures:
    """Compute the daily rows over the whole history at once."""
    return TacticalFeatures(
        close=daily.close,
        bars=daily.bars,
        btc_high=highest_high(daily._replace(high=daily.high[params.btc : params.btc + 1]))[0],
        fear=fear,
        funding_8h=funding_8h,
    )


def initial_state(params: TacticalParams) -> TacticalState:
    """Give the state before the first decision."""
    levels = len(params.level_drawdown)
    symbols = len(params.weights)
    return TacticalState(
        high=0.0,
        fired=np.zeros(levels, np.bool_),
        armed_usdt=np.zeros((levels, symbols)),
        first_buy_h=np.zeros(symbols, np.int64),
        trigger_h=np.zeros(2, np.int64),
    )


def drawdown_frac(close: float, high: float) -> float:
    """Give the fall from the high as a positive fraction (TACT-1)."""
    return 1.0 - close / high if high > 0.0 else math.nan


def _exits(
    params: TacticalParams, state: TacticalState, seen: TacticalObservation, rows: TacticalFeatures
) -> list[Signal]:
    """Sell whole holdings at the profit target or at their greatest age (TACT-X1)."""
    exits = no_signals()
    for s in range(len(params.weights)):
        held = seen.held_qty[s]
        if held * seen.price[s] < DUST_USDT or not seen.fresh[s] or seen.busy[s]:
            continue
        if rows.bars[s, seen.day] < MIN_BARS_PER_DAY:
            continue
        why = _exit_reason(params, state, rows, s, seen.day, seen.now_h, held, seen.cost_usdt[s])
        if why != reason.NONE:
            exits.append(reduce_signal(TACTICAL, s, SPOT, SELL, held, seen.price[s], why))
    return exits


def _exit_reason(
    params: TacticalParams,
    state: TacticalState,
    rows: TacticalFeatures,
    symbol: int,
    day: int,
    now_h: int,
    held_qty: float,
    cost_usdt: float,
) -> int:
    """Give the reason to sell a holding at a daily close, or NONE (TACT-X1)."""
    if reached(rows.close[symbol, day], (1.0 + params.take_profit_frac) * (cost_usdt / held_qty)):
        return reason.TACT_PROFIT
    if now_h >= state.first_buy_h[symbol] + params.max_hold_days * HOURS_PER_DAY:
        return reason.TACT_AGE
    return reason.NONE


def _rearmed(state: TacticalState, high: float) -> TacticalState:
    """Re-arm every level at a new high; what was still armed below the old one is void (TACT-X1)."""
    if high <= state.high:
        return state
    return state._replace(
        high=high, fired=np.zeros(len(state.fired), np.bool_), armed_usdt=np.zeros(state.armed_usdt.shape)
    )


def armed_usdt(state: TacticalState) -> float:
    """Sum the money that fired levels still want to spend."""
    total = 0.0
    for level in range(state.armed_usdt.shape[0]):
        for s in range(state.armed_usdt.shape[1]):
            total += state.armed_usdt[level, s]
    return total


def _fired(
    params: TacticalParams, state: TacticalState, seen: TacticalObservation, level: int, budget_usdt: float
) -> TacticalState:
    """Fix the money of a level when it fires: its share of the budget, at most the cash not armed already."""
    sum_usdt = max(min(params.level_budget[level] * budget_usdt, seen.cash_usdt - armed_usdt(state)), 0.0)
    fired = state.fired.copy()
    armed = state.armed_usdt.copy()
    fired[level] = True
    for s in range(len(params.weights)):
        armed[level, s] = params.weights[s] * sum_usdt
    return state._replace(fired=fired, armed_usdt=armed)


def _triggered(params: TacticalParams, rows: TacticalFeatures, state: TacticalState, day: int, now_h: int) -> int:
    """Give the option that fires today, or NO_LEVEL (TACT-E2)."""
    cooldown = params.trigger_cooldown_days * HOURS_PER_DAY
    rested = state.trigger_h[FEAR] == 0 or now_h >= state.trigger_h[FEAR] + cooldown
    if params.fear_enabled and rested and rows.fear[day] <= params.fear_max_value:
        return FEAR
    rested = state.trigger_h[CAPITULATION] == 0 or now_h >= state.trigger_h[CAPITULATION] + cooldown
    if params.capitulation_enabled and rested and day + 1 >= params.capitulation_days:
        for k in range(params.capitulation_days):
            if not rows.funding_8h[day - k] <= params.capitulation_rate_8h:
                return NO_LEVEL
        return CAPITULATION
    return NO_LEVEL


def at_rest(
    params: TacticalParams,
    rows: TacticalFeatures,
    state: TacticalState,
    day: int,
    now_h: int,
    held_qty: Float64Array,
    cost_usdt: Float64Array,
    min_usdt: Float64Array,
) -> bool:
    """Tell whether `decide` surely gives neither signal nor new state for a day; `held_qty`, `cost_usdt` per symbol."""
    for s in range(len(params.weights)):
        held = held_qty[s]
        # What a sale left below a step is no holding; a day without any bar prices nothing and is not passed over.
        if held == 0.0 or held * rows.close[s, day] < DUST_USDT:
            continue
        if _exit_reason(params, state, rows, s, day, now_h, held, cost_usdt[s]) != reason.NONE:
            return False
    high = rows.btc_high[day]
    if math.isnan(high):
        return True
    if high > state.high or _triggered(params, rows, state, day, now_h) != NO_LEVEL:
        return False
    fall = drawdown_frac(rows.close[params.btc, day], high)
    for level in range(len(params.level_drawdown)):
        if reached(fall, params.level_drawdown[level]):
            if not state.fired[level]:
                return False
            for s in range(len(params.weights)):
                if reached(state.armed_usdt[level, s], min_usdt[s]):
                    return False
    return True


def decide(
    params: TacticalParams, rows: TacticalFeatures, state: TacticalState, seen: TacticalObservation
) -> tuple[TacticalState, list[Signal], list[Signal]]:
    """Decide on one completed day: the new state, exits, and buys by level and symbol."""
    exits = _exits(params, state, seen, rows)
    buys = no_signals()
    high = rows.btc_high[seen.day]
    close = rows.close[params.btc, seen.day]
    if not seen.fresh[params.btc] or rows.bars[params.btc, seen.day] < MIN_BARS_PER_DAY or math.isnan(high):
        return state, exits, buys
    state = _rearmed(state, high)
    fall = drawdown_frac(close, high)
    budget = seen.cash_usdt
    for s in range(len(params.weights)):
        budget += seen.cost_usdt[s]
    for level in range(len(params.level_drawdown)):
        if not reached(fall, params.level_drawdown[level]):
            continue
        if not state.fired[level]:
            state = _fired(params, state, seen, level, budget)
        for s in range(len(params.weights)):
            wanted = state.armed_usdt[level, s]
            if reached(wanted, seen.min_usdt[s]) and seen.fresh[s] and not seen.busy[s]:
                buys.append(buy_quote_signal(TACTICAL, s, wanted, seen.price[s], reason.TACT_LEVEL, 0.0, level))
    option = _triggered(params, rows, state, seen.day, seen.now_h)
    if option != NO_LEVEL:
        trigger_h = state.trigger_h.copy()
        trigger_h[option] = seen.now_h
        state = state._replace(trigger_h=trigger_h)
        share = params.fear_deploy_frac if option == FEAR else params.capitulation_deploy_frac
        why = reason.TACT_FEAR if option == FEAR else reason.TACT_CAPITULATION
        left = max(seen.cash_usdt - armed_usdt(state), 0.0)
        for s in range(len(params.weights)):
            wanted = params.weights[s] * share * left
            if reached(wanted, seen.min_usdt[s]) and seen.fresh[s] and not seen.busy[s]:
                buys.append(buy_quote_signal(TACTICAL, s, wanted, seen.price[s], why, 0.0, NO_LEVEL))
    return state, exits, buys


def on_buy(
    state: TacticalState, symbol: int, level: int, quote_usdt: float, filled_h: int, was_flat: bool
) -> TacticalState:
    """Book a filled purchase (TACT-2): the level's armed money falls by the order's sum, rounding included."""
    armed = state.armed_usdt.copy()
    first_buy_h = state.first_buy_h.copy()
    if level >= 0:
        armed[level, symbol] = max(armed[level, symbol] - quote_usdt, 0.0)
    if was_flat:
        first_buy_h[symbol] = filled_h
    return state._replace(armed_usdt=armed, first_buy_h=first_buy_h)
