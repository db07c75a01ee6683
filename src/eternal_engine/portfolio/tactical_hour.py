"""TACTICAL's hour: on a completed day its exits, then what levels and options still ask for (TACT-E1)."""

from __future__ import annotations

import numpy as np

from eternal_engine.portfolio.params import BookView, Decision, Equities, Features, Intent, Marks, Params, States
from eternal_engine.portfolio.review import pass_reduction, review
from eternal_engine.portfolio.valuation import is_busy
from eternal_engine.strategies import tactical
from eternal_engine.strategies.base import HOURS_PER_DAY, TACTICAL


def decide_tactical(
    params: Params,
    features: Features,
    book: BookView,
    marks: Marks,
    pending: list[Intent],
    decisions: list[Decision],
    equity: Equities,
    states: States,
    now_h: int,
    halted: bool,
) -> States:
    """Decide TACTICAL on a completed day: exits, then what the levels and options still ask for (TACT-E1)."""
    symbols = len(marks.spot)
    fresh = np.zeros(symbols, np.bool_)
    busy = np.zeros(symbols, np.bool_)
    for s in range(symbols):
        fresh[s] = marks.spot_h[s] == now_h - 1
        busy[s] = is_busy(pending, TACTICAL, s)
    seen = tactical.TacticalObservation(
        now_h=now_h,
        day=now_h // HOURS_PER_DAY - 1 - features.first_day,
        cash_usdt=book.cash[TACTICAL],
        price=marks.spot.copy(),
        fresh=fresh,
        busy=busy,
        held_qty=book.spot_qty[TACTICAL].copy(),
        cost_usdt=book.spot_cost[TACTICAL].copy(),
        min_usdt=params.instruments.spot_min_usdt,
    )
    state, exits, buys = tactical.decide(params.tactical, features.tactical, states.tactical, seen)
    states = states._replace(tactical=state)
    for signal in exits:
        pass_reduction(params, signal, now_h, pending, decisions)
    for signal in buys:
        review(params, book, marks, pending, decisions, equity, states, signal, now_h, halted, -1.0)
    return states
