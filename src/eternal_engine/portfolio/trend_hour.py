"""TREND's hour: on a completed day its exits and trails, then its candidates by ADX (TREND-E1, RISK-8, RISK-11)."""

from __future__ import annotations

import math

import numpy as np

from eternal_engine.model import reason
from eternal_engine.portfolio.params import BookView, Decision, Equities, Features, Intent, Marks, Params, States
from eternal_engine.portfolio.review import deny, open_trend_positions, pass_reduction, review
from eternal_engine.portfolio.valuation import is_busy, step_of
from eternal_engine.risk import manager
from eternal_engine.risk.breaker import RiskState
from eternal_engine.risk.verdict import Exposure
from eternal_engine.strategies import trend
from eternal_engine.strategies.base import HOURS_PER_DAY, TREND


def decide_trend(
    params: Params,
    features: Features,
    book: BookView,
    marks: Marks,
    pending: list[Intent],
    decisions: list[Decision],
    equity: Equities,
    states: States,
    now_h: int,
    settled: np.ndarray[tuple[int], np.dtype[np.int64]],
    halted: bool,
) -> States:
    """Decide TREND on a completed day: exits and trails first, then candidates by ADX (TREND-E1, RISK-8)."""
    symbols = len(marks.spot)
    day = now_h // HOURS_PER_DAY - 1 - features.first_day
    tradable = np.zeros(symbols, np.bool_)
    busy = np.zeros(symbols, np.bool_)
    held = book.perp_qty[TREND].copy()
    for s in range(symbols):
        tradable[s] = marks.spot_h[s] == now_h - 1 and marks.perp_h[s] == now_h - 1 and settled[s] > 0
        # What a breaker's cut leaves may still exit; a symbol whose whole position is leaving may not re-enter.
        left = _left_after(params, pending, s, held[s])
        busy[s] = is_busy(pending, TREND, s) and left == 0.0
        held[s] = left
    seen = trend.TrendObservation(
        day=day,
        engine_usdt=equity.trend,
        price=marks.perp,
        tradable=tradable,
        busy=busy,
        held_qty=held,
        tick=params.instruments.perp_tick,
    )
    state, exits, candidates = trend.decide(params.trend, features.trend, states.trend, seen)
    states = states._replace(trend=state)
    for signal in exits:
        pass_reduction(params, signal, now_h, pending, decisions)
    for signal in candidates:
        # What refuses every candidate needs no look at this one: a halt, or no free slot (RISK-8).
        taken = open_trend_positions(book, pending)
        refusal = trend_refusal(params, states.risk, equity.known, halted, taken, now_h)
        if refusal != reason.NONE:
            deny(signal, refusal, now_h, decisions)
            continue
        correlation = _correlation(params, features, book, pending, signal.symbol, day)
        review(params, book, marks, pending, decisions, equity, states, signal, now_h, halted, correlation)
    return states


def trend_refusal(params: Params, risk: RiskState, known: bool, halted: bool, taken: int, now_h: int) -> int:
    """Give what refuses every entry of TREND now, whose prices are new and of whose slots some are `taken`, or NONE."""
    seen = Exposure(
        now_h=now_h,
        state=risk,
        known=known,
        halted=halted,
        stale_bars=0,
        portfolio_usdt=0.0,
        engine_usdt=0.0,
        free_usdt=0.0,
        position_usdt=0.0,
        perp_usdt=0.0,
        open_count=taken,
        correlation=-1.0,
        kelly_frac=math.inf,
        orders_last_minute=0,
        exposure_usdt=0.0,
        mark=0.0,
    )
    return manager.standing_refusal(params.risk, TREND, seen)


def _left_after(params: Params, pending: list[Intent], symbol: int, held: float) -> float:
    """Give TREND's signed coins in a symbol once the reducing orders on their way have filled."""
    left = abs(held)
    step = params.instruments.perp_step[symbol]
    for intent in pending:
        if intent.engine == TREND and intent.symbol == symbol and intent.reduces:
            left -= intent.qty_steps * step_of(params, intent)
    if left < 0.5 * step:
        return 0.0
    return left if held > 0.0 else -left


def _correlation(
    params: Params, features: Features, book: BookView, pending: list[Intent], symbol: int, day: int
) -> float:
    """Give the largest correlation of a symbol with TREND's open or pending ones; -1 without any (RISK-11)."""
    largest = -1.0
    for s in range(book.perp_qty.shape[1]):
        held = book.perp_qty[TREND, s] != 0.0 or is_busy(pending, TREND, s)
        if s == symbol or not held:
            continue
        found = manager.correlation(
            features.trend.close[symbol], features.trend.close[s], day, params.risk.correlation_days
        )
        if math.isnan(found):
            return math.nan
        largest = max(largest, found)
    return largest
