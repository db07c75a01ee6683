"""The risk manager: every signal passes these checks in this order, and leaves approved, resized or denied."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from eternal_engine.model import reason
from eternal_engine.model.codes import CORE_HODL, EPSILON, FUNDING, PERP, TREND
from eternal_engine.model.rule import Rule
from eternal_engine.risk.breaker import EMERGENCY, WARNING, BreakerParams, size_factor
from eternal_engine.risk.verdict import Exposure, Verdict, denied, passed

Float64Array = npt.NDArray[np.float64]

RULES = (
    Rule(
        "RISK-0",
        "Reducing orders pass every halt.",
        (),
        ("tests/unit/risk/test_manager.py::test_risk_0_reducing_orders_pass_every_halt",),
    ),
    Rule(
        "RISK-1",
        "An emergency stop or an operator halt denies every entry.",
        ("risk.on_breach",),
        ("tests/unit/risk/test_manager.py::test_risk_1_halt_denies",),
    ),
    Rule(
        "RISK-2",
        "Level 2 and 3 deny TREND and FUNDING entries, level 4 all entries.",
        (),
        ("tests/unit/risk/test_manager.py::test_risk_2_levels_by_engine",),
    ),
    Rule(
        "RISK-3",
        "Without a price of the symbol for two bars entries wait.",
        ("risk.stale_bars",),
        ("tests/unit/risk/test_manager.py::test_risk_3_stale_price_waits",),
    ),
    Rule(
        "RISK-6",
        "A position of TREND, FUNDING or TACTICAL and an order of CORE_HODL stay within 5 % of portfolio equity.",
        ("risk.max_position_frac", "risk.trend_max_own_frac"),
        ("tests/unit/risk/test_manager.py::test_risk_6_room_left",),
    ),
    Rule(
        "RISK-8",
        "TREND holds at most three positions, open or pending.",
        ("risk.max_positions_trend",),
        ("tests/unit/risk/test_manager.py::test_risk_8_fourth_position_is_refused",),
    ),
    Rule(
        "RISK-9",
        "Perp notional stays within the engine's leverage times its equity.",
        ("trend.leverage", "funding.leverage"),
        ("tests/unit/risk/test_manager.py::test_risk_9_leverage",),
    ),
    Rule(
        "RISK-10",
        "Last come free cash with room for fees, the minimum and the maximum order.",
        ("costs.perp_fee_bps", "costs.spot_fee_bps"),
        ("tests/unit/risk/test_manager.py::test_risk_10_cash_and_minimum",),
    ),
    Rule(
        "RISK-11",
        "Correlation with an open or pending TREND position denies at 0.90 and halves at 0.75.",
        ("risk.correlation.days", "risk.correlation.deny", "risk.correlation.halve"),
        ("tests/unit/risk/test_manager.py::test_risk_11_correlation",),
    ),
    Rule(
        "RISK-12",
        "Orders per minute are limited; a price estimate 5 % off the mark is refused.",
        ("risk.orders_per_minute", "risk.price_deviation_frac"),
        ("tests/unit/risk/test_manager.py::test_risk_12_rate_and_price",),
    ),
    Rule(
        "RISK-13",
        "Live exposure never exceeds the armed capital cap.",
        (),
        ("tests/unit/risk/test_manager.py::test_risk_13_armed_cap",),
    ),
)


class RiskParams(NamedTuple):
    """Hold the limits; `cap_usdt` is infinite but for live, `leverage` per engine, fees as fractions."""

    breaker: BreakerParams
    max_position_frac: float
    trend_max_own_frac: float
    kelly_min_trades: int
    kelly_window: int
    kelly_divisor: float
    kelly_floor_frac: float
    max_positions_trend: int
    correlation_days: int
    correlation_deny: float
    correlation_halve: float
    orders_per_minute: int
    price_deviation_frac: float
    stale_bars: int
    cap_usdt: float
    trend_leverage: float
    funding_leverage: float
    spot_fee_frac: float
    perp_fee_frac: float
    slippage_frac: float


def may_enter(params: RiskParams, engine: int, seen: Exposure) -> int:
    """Give the first halt that stops entries of an engine, or NONE (RISK-1 to RISK-5, U-6)."""
    if seen.halted or seen.state.halted:
        return reason.RISK_1_HALT
    active = engine in (TREND, FUNDING)
    if seen.state.level >= EMERGENCY or (active and seen.state.level >= WARNING):
        return reason.RISK_2_LEVEL
    if not seen.known:
        return reason.UNKNOWN_EQUITY
    if seen.stale_bars >= params.stale_bars:
        return reason.RISK_3_STALE
    if active and seen.now_h < seen.state.day_block_h:
        return reason.RISK_4_DAY
    if active and seen.now_h < seen.state.week_block_h:
        return reason.RISK_5_WEEK
    return reason.NONE


def standing_refusal(params: RiskParams, engine: int, seen: Exposure) -> int:
    """Give what refuses every entry of an engine now, whatever its coin and size: a halt, or no slot (RISK-8)."""
    halt = may_enter(params, engine, seen)
    if halt != reason.NONE:
        return halt
    if engine == TREND and seen.open_count >= params.max_positions_trend:
        return reason.RISK_8_SLOTS
    return reason.NONE


def position_room_usdt(params: RiskParams, engine: int, seen: Exposure) -> float:
    """Give the notional that RISK-6 still allows."""
    limit = params.max_position_frac * seen.portfolio_usdt
    if engine == CORE_HODL:
        return limit
    if engine == TREND:
        limit = min(limit, params.trend_max_own_frac * seen.engine_usdt)
    return limit - seen.position_usdt


def unit_need_usdt(params: RiskParams, market: int, price: float) -> float:
    """Give the free cash one coin of an order binds, fees and slippage included (RISK-10)."""
    if market == PERP:
        return price * (1.0 / params.trend_leverage + params.perp_fee_frac)
    spot = price * (1.0 + params.slippage_frac) / (1.0 - params.spot_fee_frac)
    return spot + price * (1.0 / params.funding_leverage + params.perp_fee_frac)


def review_quote(params: RiskParams, engine: int, quote_usdt: float, price: float, seen: Exposure) -> Verdict:
    """Review a spot purchase sized in USDT (CORE_HODL, TACTICAL); the caller rounds to steps and minimum."""
    halt = may_enter(params, engine, seen)
    if halt != reason.NONE:
        return denied(halt)
    verdict = passed(0.0, quote_usdt)
    room = position_room_usdt(params, engine, seen)
    if verdict.quote_usdt > room + EPSILON:
        verdict = Verdict(room > 0.0, 0.0, max(room, 0.0), reason.RISK_6_SIZE)
    if not verdict.approved:
        return verdict
    refusal = _order_refusal(params, price, seen)
    if refusal != reason.NONE:
        return denied(refusal)
    cap_room = params.cap_usdt - seen.exposure_usdt
    if verdict.quote_usdt > cap_room:
        verdict = Verdict(cap_room > 0.0, 0.0, max(cap_room, 0.0), reason.RISK_13_CAP)
    if verdict.approved and verdict.quote_usdt > seen.free_usdt:
        verdict = Verdict(seen.free_usdt > 0.0, 0.0, max(seen.free_usdt, 0.0), reason.RISK_10_CASH)
    return verdict


def review_qty(params: RiskParams, engine: int, market: int, qty: float, price: float, seen: Exposure) -> Verdict:
    """Review an entry sized in coins (TREND's perp, FUNDING's pair); the caller rounds to steps and minimum."""
    refusal = standing_refusal(params, engine, seen)
    if refusal == reason.NONE and engine == TREND:
        refusal = _correlation_refusal(params, seen)
    if refusal == reason.NONE:
        refusal = _order_refusal(params, price, seen)
    if refusal != reason.NONE:
        return denied(refusal)
    rule = reason.NONE
    allowed = qty * size_factor(params.breaker, seen.state, seen.now_h, engine == TREND)
    room = position_room_usdt(params, engine, seen)
    if allowed * price > room + EPSILON:
        allowed, rule = max(room, 0.0) / price, reason.RISK_6_SIZE
    if engine == TREND:
        kelly_usdt = max(seen.kelly_frac * seen.engine_usdt, params.kelly_floor_frac * qty * price)
        if allowed * price > kelly_usdt + EPSILON:
            allowed, rule = kelly_usdt / price, reason.RISK_7_KELLY
    leverage = params.trend_leverage if engine == TREND else params.funding_leverage
    leverage_room = leverage * seen.engine_usdt - seen.perp_usdt
    if allowed * price > leverage_room + EPSILON:
        allowed, rule = max(leverage_room, 0.0) / price, reason.RISK_9_LEVERAGE
    if engine == TREND and seen.correlation >= params.correlation_halve - EPSILON:
        allowed, rule = allowed * 0.5, reason.RISK_11_CORRELATION
    cap_room = params.cap_usdt - seen.exposure_usdt
    if allowed * price > cap_room:
        allowed, rule = max(cap_room, 0.0) / price, reason.RISK_13_CAP
    need = unit_need_usdt(params, market, price)
    if allowed * need > seen.free_usdt:
        allowed, rule = max(seen.free_usdt, 0.0) / need, reason.RISK_10_CASH
    return Verdict(allowed > 0.0, allowed, 0.0, rule)


def _correlation_refusal(params: RiskParams, seen: Exposure) -> int:
    """Refuse a position that moves with another; denials come before any resizing (RISK-11)."""
    # An unknown correlation is not a low one.
    if math.isnan(seen.correlation) or seen.correlation >= params.correlation_deny - EPSILON:
        return reason.RISK_11_CORRELATION
    return reason.NONE


def _order_refusal(params: RiskParams, price: float, seen: Exposure) -> int:
    """Refuse on the order rate or on a price estimate too far from the mark (RISK-12)."""
    if seen.orders_last_minute >= params.orders_per_minute:
        return reason.RISK_12_RATE
    if abs(price - seen.mark) > params.price_deviation_frac * seen.mark + EPSILON:
        return reason.RISK_12_PRICE
    return reason.NONE


def correlation(a: Float64Array, b: Float64Array, day: int, days: int) -> float:
    """Give the correlation of the last `days` daily returns up to row `day`; NaN when it cannot be known (RISK-11).

    `a` and `b` are daily closes [D]; days on which either is missing are passed over.
    """
    x = np.empty(days)
    y = np.empty(days)
    found = 0
    row = day
    last = -1
    while row >= 0 and found < days:
        if not (math.isnan(a[row]) or math.isnan(b[row])):
            if last >= 0:
                x[found] = a[last] / a[row] - 1.0
                y[found] = b[last] / b[row] - 1.0
                found += 1
            last = row
        row -= 1
    if found < days:
        return math.nan
    mean_x = 0.0
    mean_y = 0.0
    for k in range(days):
        mean_x += x[k]
        mean_y += y[k]
    mean_x /= days
    mean_y /= days
    sxy = 0.0
    sxx = 0.0
    syy = 0.0
    for k in range(days):
        sxy += (x[k] - mean_x) * (y[k] - mean_y)
        sxx += (x[k] - mean_x) * (x[k] - mean_x)
        syy += (y[k] - mean_y) * (y[k] - mean_y)
    if sxx <= 0.0 or syy <= 0.0:
        return math.nan
    return sxy / math.sqrt(sxx * syy)
