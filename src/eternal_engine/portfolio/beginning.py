"""What all rules remember before their first decision: the same for a backtest and a daemon."""

from __future__ import annotations

from eternal_engine.portfolio.params import Params, States
from eternal_engine.risk import breaker
from eternal_engine.strategies import core_hodl, funding, tactical, trend


def initial_states(params: Params, symbols: int) -> States:
    """Give the states of all rules before the first decision."""
    return States(
        risk=breaker.initial_state(),
        core=core_hodl.initial_state(symbols),
        trend=trend.initial_state(symbols),
        funding=funding.initial_state(symbols),
        tactical=tactical.initial_state(params.tactical),
    )
