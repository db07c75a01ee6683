"""FUNDING's hour: each pair's exit, hedge, growth or entry; then the margin (FUND-2, FUND-4, FUND-X1, FUND-X2)."""

from __future__ import annotations

import numpy as np

from eternal_engine.model import reason
from eternal_engine.model.steps import whole_steps
from eternal_engine.portfolio.params import BookView, Decision, Equities, Features, Intent, Marks, Params, States
from eternal_engine.portfolio.review import pass_reduction, reduction_at_mark, review
from eternal_engine.portfolio.valuation import (
    engine_is_busy,
    is_busy,
    pair_is_open,
    perp_notional_usdt,
    unrealised_usdt,
)
from eternal_engine.strategies import funding
from eternal_engine.strategies.base import BUY, FUNDING, PAIR, PERP, SELL, SPOT, Signal


def decide_funding(
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
    """Decide FUNDING on a completed hour: each pair's exit, hedge, growth or entry; then the margin (FUND-X2)."""
    own, rows = params.funding, features.funding
    weights, pays, stamps = own.weights, rows.pays, rows.stamp_h
    spot_h, perp_h = marks.spot_h, marks.perp_h
    margin_low = False
    if equity.funding_notional > 0.0:
        margin = book.cash[FUNDING] + unrealised_usdt(book, marks, FUNDING)
        margin_low = funding.margin_is_low(own, margin, perp_notional_usdt(book, marks, FUNDING))
    for s in range(len(weights)):
        if weights[s] <= 0.0 or settled[s] < 1 or spot_h[s] != now_h - 1 or perp_h[s] != now_h - 1:
            continue
        held = pair_is_open(params.instruments, book, marks, s)
        if not held and (margin_low or not pays[s, settled[s] - 1]):
            continue
        if len(pending) > 0 and is_busy(pending, FUNDING, s):
            continue
        seen = funding.PairObservation(
            now_h=now_h,
            settled=settled[s],
            settles_now=stamps[s, settled[s] - 1] == now_h,
            spot=marks.spot[s],
            perp=marks.perp[s],
            engine_usdt=equity.funding,
            spot_qty=book.spot_qty[FUNDING, s],
            perp_qty=-book.perp_qty[FUNDING, s],
        )
        if held:
            states = _tend_pair(
                params, features, book, marks, pending, decisions, equity, states, s, seen, halted, margin_low
            )
        elif funding.wants_entry(own, rows, s, seen):
            _enter_pair(params, book, marks, pending, decisions, equity, states, s, seen, reason.FUND_ENTRY, halted)
    if margin_low and not engine_is_busy(pending, FUNDING):
        states = _cut_pairs(params, states, book, marks, pending, decisions, now_h)
    return states


def _tend_pair(
    params: Params,
    features: Features,
    book: BookView,
    marks: Marks,
    pending: list[Intent],
    decisions: list[Decision],
    equity: Equities,
    states: States,
    symbol: int,
    seen: funding.PairObservation,
    halted: bool,
    margin_low: bool,
) -> States:
    """Exit, correct, review or grow one open pair (FUND-X1, FUND-4, FUND-X2)."""
    why = funding.exit_reason(params.funding, features.funding, states.funding, symbol, seen)
    if why != reason.NONE:
        close = reduction_at_mark(FUNDING, symbol, PAIR, SELL, seen.perp_qty, marks, why)
        pass_reduction(params, close, seen.now_h, pending, decisions)
        return states
    drift = funding.hedge_drift_qty(params.funding, seen.spot_qty, seen.perp_qty)
    if drift != 0.0:
        _correct_hedge(params, marks, pending, decisions, symbol, drift, seen.now_h)
    elif (
        not margin_low
        and funding.may_grow(states.funding, symbol, seen)
        and funding.wants_entry(params.funding, features.funding, symbol, seen)
    ):
        _enter_pair(params, book, marks, pending, decisions, equity, states, symbol, seen, reason.FUND_GROW, halted)
    if seen.now_h >= states.funding.review_h[symbol] and states.funding.opened_h[symbol] > 0:
        states = states._replace(funding=funding.reviewed(params.funding, states.funding, symbol, seen.now_h))
    return states


def _enter_pair(
    params: Params,
    book: BookView,
    marks: Marks,
    pending: list[Intent],
    decisions: list[Decision],
    equity: Equities,
    states: States,
    symbol: int,
    seen: funding.PairObservation,
    why: int,
    halted: bool,
) -> None:
    """Ask for a pair up to its target, or for what is missing of one that was cut (FUND-2)."""
    wanted = funding.target_usdt(params.funding, symbol, seen.engine_usdt) / seen.spot - seen.perp_qty
    if wanted > 0.0:
        signal = Signal(FUNDING, symbol, PAIR, BUY, False, wanted, 0.0, seen.spot, why, 0.0, 0.0, 0.0, 0)
        review(params, book, marks, pending, decisions, equity, states, signal, seen.now_h, halted, -1.0)


def _correct_hedge(
    params: Params,
    marks: Marks,
    pending: list[Intent],
    decisions: list[Decision],
    symbol: int,
    drift: float,
    now_h: int,
) -> None:
    """Shrink the larger leg to the smaller one (FUND-4): a correction never opens anything."""
    if drift > 0.0:
        signal = reduction_at_mark(FUNDING, symbol, SPOT, SELL, drift, marks, reason.FUND_HEDGE)
    else:
        signal = reduction_at_mark(FUNDING, symbol, PERP, BUY, -drift, marks, reason.FUND_HEDGE)
    pass_reduction(params, signal, now_h, pending, decisions)


def _cut_pairs(
    params: Params,
    states: States,
    book: BookView,
    marks: Marks,
    pending: list[Intent],
    decisions: list[Decision],
    now_h: int,
) -> States:
    """Cut every pair by a third when the margin ratio is low (FUND-X2); one of too few steps is denied, and said."""
    for s in range(len(marks.perp)):
        held = abs(book.perp_qty[FUNDING, s])
        step = params.instruments.perp_step[s]
        if held > 0.0 and marks.spot_h[s] == now_h - 1 and marks.perp_h[s] == now_h - 1:
            steps = whole_steps(held * params.funding.cut_frac, step)
            if steps > 0:
                cut = reduction_at_mark(FUNDING, s, PAIR, SELL, steps * step, marks, reason.FUND_CUT)
                pass_reduction(params, cut, now_h, pending, decisions)
                states = states._replace(funding=funding.was_cut(states.funding, s, now_h))
            else:
                # A third of one or two steps is none (U-3): without a word the margin would just run out.
                wanted = held * params.funding.cut_frac * marks.perp[s]
                decisions.append(Decision(now_h, FUNDING, s, reason.FUND_CUT, False, reason.RISK_10_ORDER, wanted))
    return states
