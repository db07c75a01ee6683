"""FUNDING: long spot and short perpetual in equal coins, for the funding (rules FUND-1 to FUND-X2)."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from eternal_engine.model import reason
from eternal_engine.model.rule import Rule
from eternal_engine.strategies.base import EPSILON, HOURS_PER_DAY, exceeded, reached

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

RULES = (
    Rule(
        "FUND-1",
        "The expected rate is the mean of the last five settled rates, scaled by the contract's own interval.",
        ("funding.rate_window",),
        ("tests/unit/strategies/test_funding.py::test_fund_1_interval_is_read_per_contract",),
    ),
    Rule(
        "FUND-E1",
        "Enter on two positive settlements, a narrow basis, and fourteen days of income above all costs and an edge.",
        ("funding.positive_settlements", "funding.entry_basis_frac", "funding.horizon_days", "funding.entry_edge_frac"),
        ("tests/unit/strategies/test_funding.py::test_fund_e1_income_must_beat_costs_and_edge",),
    ),
    Rule(
        "FUND-2",
        "Both legs hold the same coins; a pair's notional is its weight of 0.95 of equity over one plus 1/leverage.",
        ("funding.weights", "funding.use_frac", "funding.leverage", "funding.maintenance_frac"),
        ("tests/unit/strategies/test_funding.py::test_fund_2_notional_and_equal_coins",),
    ),
    Rule(
        "FUND-4",
        "A difference between the legs above two percent of coins is corrected by quantity.",
        ("funding.drift_frac",),
        ("tests/unit/strategies/test_funding.py::test_fund_4_drift_strictly_above_the_limit",),
    ),
    Rule(
        "FUND-X1",
        "Exit below zero expectation, on a wide basis, or every fourteen days when carry is under half the exit cost.",
        ("funding.exit_basis_frac", "funding.carry_cost_share_frac"),
        ("tests/unit/strategies/test_funding.py::test_fund_x1_reasons",),
    ),
    Rule(
        "FUND-X2",
        "Below a margin ratio of 0.30 every pair is cut by a third, and grown back at a later settlement.",
        ("funding.min_margin_frac", "funding.cut_frac"),
        ("tests/unit/strategies/test_funding.py::test_fund_x2_margin_ratio",),
    ),
)


class FundingParams(NamedTuple):
    """Hold FUNDING's configuration; `weights` per symbol in CAP-3 order (zero: not traded).

    `entry_cost_frac` is the cost of a whole round trip, `exit_cost_frac` of closing, both of notional.
    """

    enabled: bool
    weights: Float64Array
    rate_window: int
    positive_settlements: int
    entry_basis_frac: float
    exit_basis_frac: float
    horizon_days: int
    entry_edge_frac: float
    use_frac: float
    leverage: float
    drift_frac: float
    min_margin_frac: float
    cut_frac: float
    carry_cost_share_frac: float
    profit_share_frac: float
    maintenance_frac: float
    round_trip_cost_frac: float
    closing_cost_frac: float


class FundingFeatures(NamedTuple):
    """Hold settlements per symbol, [S, M] padded at the end; row i may be used from its stamp on.

    `stamp_h` hours since the epoch (a very late hour as padding), `rate` per settlement, `interval_h`,
    `mean_rate` of the window ending at i (NaN before it is full), `positive` whether the last n were positive,
    `pays` whether they were and the expected income also beats costs and edge (FUND-E1 but for the basis).
    """

    stamp_h: Int64Array
    rate: Float64Array
    interval_h: Float64Array
    mean_rate: Float64Array
    positive: BoolArray
    pays: BoolArray


class FundingState(NamedTuple):
    """Hold, per symbol, when a pair was opened and is reviewed next (hours, 0 when flat), and whether it was cut."""

    opened_h: Int64Array
    review_h: Int64Array
    cut: BoolArray
    cut_h: Int64Array


class PairObservation(NamedTuple):
    """Hold what FUNDING may see of one symbol at an hour.

    `settled` settlements stamped up to now, `settles_now` whether one of them is stamped now; prices are last
    closes; `engine_usdt` the engine's equity; `spot_qty` and `perp_qty` coins held long and short (both >= 0).
    """

    now_h: int
    settled: int
    settles_now: bool
    spot: float
    perp: float
    engine_usdt: float
    spot_qty: float
    perp_qty: float


NEVER_H = 1 << 40


def features(
    params: FundingParams, stamps_h: list[Int64Array], rates: list[Float64Array], intervals_h: list[Float64Array]
) -> FundingFeatures:
    """Lay out all settlements in one table with their rolling means (causal: row i uses rows up to i)."""
    symbols = len(stamps_h)
    longest = max([1] + [len(stamps) for stamps in stamps_h])
    stamp_h = np.full((symbols, longest), NEVER_H, np.int64)
    rate = np.full((symbols, longest), np.nan)
    for s in range(symbols):
        stamp_h[s, : len(stamps_h[s])] = stamps_h[s]
        rate[s, : len(rates[s])] = rates[s]
    if not params.enabled:
        # Settlements are paid on every perp; more than that nobody asks.
        unasked = np.full((symbols, longest), np.nan)
        never = np.zeros((symbols, longest), np.bool_)
        return FundingFeatures(stamp_h, rate, unasked, unasked, never, never)
    interval_h = np.full((symbols, longest), np.nan)
    mean_rate = np.full((symbols, longest), np.nan)
    positive = np.zeros((symbols, longest), np.bool_)
    pays = np.zeros((symbols, longest), np.bool_)
    for s in range(symbols):
        n = len(stamps_h[s])
        interval_h[s, :n] = intervals_h[s]
        if params.weights[s] > 0.0:
            mean_rate[s, :n] = _rolling_mean(rates[s], params.rate_window)
            positive[s, :n] = _last_positive(rates[s], params.positive_settlements)
            income = mean_rate[s, :n] * (params.horizon_days * HOURS_PER_DAY / intervals_h[s])
            pays[s, :n] = positive[s, :n] & (income - params.round_trip_cost_frac > params.entry_edge_frac + EPSILON)
    return FundingFeatures(stamp_h, rate, interval_h, mean_rate, positive, pays)


def _rolling_mean(values: Float64Array, window: int) -> Float64Array:
    """Average each window by adding in a fixed order, so that any prefix gives the same bits."""
    out = np.full(len(values), np.nan)
    if len(values) >= window:
        total = np.zeros(len(values) - window + 1)
        for k in range(window):
            total = total + values[k : len(values) - window + 1 + k]
        out[window - 1 :] = total / window
    return out


def _last_positive(values: Float64Array, count: int) -> BoolArray:
    out = np.zeros(len(values), np.bool_)
    if len(values) >= count:
        good = np.ones(len(values) - count + 1, np.bool_)
        for k in range(count):
            good &= values[k : len(values) - count + 1 + k] > 0.0
        out[count - 1 :] = good
    return out


def initial_state(symbols: int) -> FundingState:
    """Give the state of an engine without pairs."""
    return FundingState(
        opened_h=np.zeros(symbols, np.int64),
        review_h=np.zeros(symbols, np.int64),
        cut=np.zeros(symbols, np.bool_),
        cut_h=np.zeros(symbols, np.int64),
    )


def basis_frac(spot: float, perp: float) -> float:
    """Give the perp's premium over spot as a fraction; NaN when a price is unknown."""
    return perp / spot - 1.0 if spot > 0.0 else math.nan


def expected_income_frac(params: FundingParams, rows: FundingFeatures, symbol: int, settled: int) -> float:
    """Give the income of the next horizon as a fraction of notional (FUND-1); NaN before the window is full."""
    if settled < 1:
        return math.nan
    per_settlement = rows.mean_rate[symbol, settled - 1]
    hours = params.horizon_days * HOURS_PER_DAY
    return float(per_settlement * (hours / rows.interval_h[symbol, settled - 1]))


def wants_entry(params: FundingParams, rows: FundingFeatures, symbol: int, seen: PairObservation) -> bool:
    """Tell whether FUND-E1 holds: positive settlements with income above costs and edge, and a narrow basis."""
    if seen.settled < 1 or not rows.pays[symbol, seen.settled - 1]:
        return False
    return reached(params.entry_basis_frac, abs(basis_frac(seen.spot, seen.perp)))


def target_usdt(params: FundingParams, symbol: int, engine_usdt: float) -> float:
    """Give the notional of one leg of a pair (FUND-2): spot in full plus the perp's margin fit into the engine."""
    return float(params.weights[symbol] * engine_usdt * params.use_frac / (1.0 + 1.0 / params.leverage))


def exit_reason(
    params: FundingParams, rows: FundingFeatures, state: FundingState, symbol: int, seen: PairObservation
) -> int:
    """Give the reason to close a pair now, or NONE (FUND-X1)."""
    income = expected_income_frac(params, rows, symbol, seen.settled)
    if income < 0.0:
        return reason.FUND_EXIT
    if exceeded(abs(basis_frac(seen.spot, seen.perp)), params.exit_basis_frac):
        return reason.FUND_EXIT_BASIS
    poor = income < params.carry_cost_share_frac * params.closing_cost_frac
    if seen.now_h >= state.review_h[symbol] and poor:
        return reason.FUND_EXIT_CARRY
    return reason.NONE


def margin_is_low(params: FundingParams, margin_usdt: float, perp_notional_usdt: float) -> bool:
    """Tell whether the sub-account's margin ratio has fallen under the minimum (FUND-X2)."""
    return perp_notional_usdt > 0.0 and not reached(margin_usdt, params.min_margin_frac * perp_notional_usdt)


def may_grow(state: FundingState, symbol: int, seen: PairObservation) -> bool:
    """Tell whether a cut pair may be grown back now: at a settlement later than the cut (FUND-X2)."""
    return bool(state.cut[symbol] and seen.settles_now and seen.now_h > state.cut_h[symbol])


def hedge_drift_qty(params: FundingParams, spot_qty: float, perp_qty: float) -> float:
    """Give the coins by which spot exceeds the perp (negative: lags it) when beyond the limit, else 0 (FUND-4).

    The limit is a fraction of the perp's coins, whose quantity the spot leg was bought for.
    """
    if exceeded(abs(spot_qty - perp_qty), params.drift_frac * perp_qty):
        return spot_qty - perp_qty
    return 0.0


def reviewed(params: FundingParams, state: FundingState, symbol: int, now_h: int) -> FundingState:
    """Move the next review of a pair to the first multiple of the horizon after now (FUND-X1)."""
    span = params.horizon_days * HOURS_PER_DAY
    passed = (now_h - state.opened_h[symbol]) // span
    review_h = state.review_h.copy()
    review_h[symbol] = state.opened_h[symbol] + (passed + 1) * span
    return state._replace(review_h=review_h)


def opened(params: FundingParams, state: FundingState, symbol: int, now_h: int) -> FundingState:
    """Take over a filled pair; growing a pair that is open only clears its cut mark."""
    opened_h = state.opened_h.copy()
    review_h = state.review_h.copy()
    cut = state.cut.copy()
    if opened_h[symbol] == 0:
        opened_h[symbol] = now_h
        review_h[symbol] = now_h + params.horizon_days * HOURS_PER_DAY
    cut[symbol] = False
    return state._replace(opened_h=opened_h, review_h=review_h, cut=cut)


def was_cut(state: FundingState, symbol: int, now_h: int) -> FundingState:
    """Mark a pair as cut by FUND-X2 at `now_h`."""
    cut = state.cut.copy()
    cut_h = state.cut_h.copy()
    cut[symbol] = True
    cut_h[symbol] = now_h
    return state._replace(cut=cut, cut_h=cut_h)


def closed(state: FundingState, symbol: int) -> FundingState:
    """Forget a pair that is flat again."""
    opened_h = state.opened_h.copy()
    review_h = state.review_h.copy()
    cut = state.cut.copy()
    opened_h[symbol] = 0
    review_h[symbol] = 0
    cut[symbol] = False
    return state._replace(opened_h=opened_h, review_h=review_h, cut=cut)
