"""One completed hour of the whole portfolio, in the order of U-8: risk, then each engine's decisions, then review.

The daemon calls these functions as plain Python; the backtest runs the same functions inside its compiled loop.
Nothing here reads a clock, waits or logs; orders come out as Intents appended to `pending`, reviewed signals as
Decisions appended to `decisions`.
"""

from __future__ import annotations

import numpy as np

from eternal_engine.model.rule import Rule
from eternal_engine.portfolio.breaker_hour import breaker_orders
from eternal_engine.portfolio.core_hour import decide_core
from eternal_engine.portfolio.funding_hour import decide_funding
from eternal_engine.portfolio.params import BookView, Decision, Equities, Features, Intent, Marks, Params, States
from eternal_engine.portfolio.tactical_hour import decide_tactical
from eternal_engine.portfolio.trend_hour import decide_trend
from eternal_engine.strategies.base import HOURS_PER_DAY

RULES = (
    Rule(
        "U-7",
        "Decisions, risk and breaker advance only when an hourly bar completes.",
        (),
        ("tests/unit/backtest/test_loop.py::test_u_10_hours_without_any_bar_advance_nothing",),
    ),
)


def decide_all(
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
    level_before: int,
    halted: int,
) -> tuple[States, int]:
    """Decide one completed hour after risk has advanced: breaker orders, then the engines in the order of U-8.

    `halted` has bit e set when the operator halts engine e; the second result are CORE_HODL's NOTE_ flags.
    """
    breaker_orders(params, states, level_before, book, marks, pending, decisions, now_h)
    notes = 0
    if params.core.enabled:
        stop = halted & 1 != 0
        states, notes = decide_core(params, book, marks, pending, decisions, equity, states, now_h, stop)
    day_closed = now_h % HOURS_PER_DAY == 0 and now_h // HOURS_PER_DAY > features.first_day
    if params.trend.enabled and day_closed:
        stop = halted & 2 != 0
        states = decide_trend(params, features, book, marks, pending, decisions, equity, states, now_h, settled, stop)
    if params.funding.enabled:
        stop = halted & 4 != 0
        states = decide_funding(params, features, book, marks, pending, decisions, equity, states, now_h, settled, stop)
    if params.tactical.enabled and day_closed:
        stop = halted & 8 != 0
        states = decide_tactical(params, features, book, marks, pending, decisions, equity, states, now_h, stop)
    return states, notes
