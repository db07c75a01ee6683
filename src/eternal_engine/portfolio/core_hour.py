"""CORE_HODL's hour: the cycle that is due, once its last one has settled (CORE-6)."""

from __future__ import annotations

import numpy as np

from eternal_engine.portfolio.params import BookView, Decision, Equities, Intent, Marks, Params, States
from eternal_engine.portfolio.review import review
from eternal_engine.portfolio.valuation import engine_is_busy, portfolio_usdt
from eternal_engine.risk import breaker
from eternal_engine.strategies import core_hodl
from eternal_engine.strategies.base import CORE_HODL


def decide_core(
    params: Params,
    book: BookView,
    marks: Marks,
    pending: list[Intent],
    decisions: list[Decision],
    equity: Equities,
    states: States,
    now_h: int,
    halted: bool,
) -> tuple[States, int]:
    """Settle the last cycle once its legs are done, and run the cycle that is due, if it may trade (CORE-6)."""
    state = states.core
    due = core_hodl.is_due(state, now_h)
    if not due and not state.settling:
        return states, 0
    if engine_is_busy(pending, CORE_HODL):
        return states, 0
    seen = core_observation(params, book, marks, equity, now_h)
    if state.settling:
        state = core_hodl.settle(params.core, state, seen)
        states = states._replace(core=state)
    stopped = halted or states.risk.halted or states.risk.level >= breaker.EMERGENCY or not equity.known
    if not due or stopped:
        return states, 0
    state, signals, notes = core_hodl.decide(params.core, state, seen)
    states = states._replace(core=state)
    for signal in signals:
        review(params, book, marks, pending, decisions, equity, states, signal, now_h, halted, -1.0)
    return states, notes


def core_observation(
    params: Params, book: BookView, marks: Marks, equity: Equities, now_h: int
) -> core_hodl.CoreObservation:
    """Gather what CORE_HODL may see."""
    symbols = len(marks.spot)
    fresh = np.zeros(symbols, np.bool_)
    listed = np.zeros(symbols, np.bool_)
    held = np.zeros(symbols)
    for s in range(symbols):
        fresh[s] = marks.spot_h[s] == now_h - 1
        listed[s] = marks.spot_h[s] >= 0
        if book.spot_qty[CORE_HODL, s] > 0.0:
            held[s] = book.spot_qty[CORE_HODL, s] * marks.spot[s]
    return core_hodl.CoreObservation(
        now_h=now_h,
        cash_usdt=book.cash[CORE_HODL],
        equity_usdt=equity.core,
        portfolio_usdt=portfolio_usdt(equity),
        price=marks.spot.copy(),
        fresh=fresh,
        listed=listed,
        held_usdt=held,
        min_usdt=params.instruments.spot_min_usdt,
    )
