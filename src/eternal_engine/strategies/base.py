"""What every strategy speaks: engines, markets, the Signal, and the limits of float comparison (U-3)."""

from __future__ import annotations

from typing import Final, NamedTuple

from eternal_engine.model import reason
from eternal_engine.model.codes import (
    BUY,
    CORE_HODL,
    DUST_USDT,
    ENGINE_COUNT,
    EPSILON,
    FUNDING,
    HOURS_PER_DAY,
    HOURS_PER_WEEK,
    PAIR,
    PERP,
    SELL,
    SPOT,
    TACTICAL,
    TREND,
)


class Signal(NamedTuple):
    """One wish of a strategy. Exactly one of `qty` (base coins) and `quote_usdt` is positive.

    `price` is the estimate the wish was sized with; `stop_distance` (USDT) and `atr` go with TREND's entries;
    `plan_usdt` is the part of a CORE_HODL leg that pays a plan (CORE-3), `level` the crash level of TACTICAL.
    """

    engine: int
    symbol: int
    market: int
    side: int
    reduces: bool
    qty: float
    quote_usdt: float
    price: float
    reason: int
    stop_distance: float
    atr: float
    plan_usdt: float
    level: int


NO_SIGNAL: Final = Signal(0, 0, 0, 0, False, 0.0, 0.0, 0.0, 0, 0.0, 0.0, 0.0, 0)


def no_signals() -> list[Signal]:
    """Give an empty list of signals whose element type a compiler can see."""
    signals = [NO_SIGNAL]
    signals.pop()
    return signals


def reached(value: float, limit: float) -> bool:
    """Tell whether `value` is at least `limit`, within EPSILON (U-3)."""
    return value >= limit - EPSILON


def exceeded(value: float, limit: float) -> bool:
    """Tell whether `value` is strictly above `limit`, beyond EPSILON (U-3)."""
    return value > limit + EPSILON


def reduce_signal(engine: int, symbol: int, market: int, side: int, qty: float, price: float, why: int) -> Signal:
    """Build the wish to shrink a position by `qty` coins (RISK-0 lets it pass every halt)."""
    return Signal(engine, symbol, market, side, True, qty, 0.0, price, why, 0.0, 0.0, 0.0, 0)


def buy_quote_signal(
    engine: int, symbol: int, quote_usdt: float, price: float, why: int, plan_usdt: float, level: int
) -> Signal:
    """Build the wish to buy spot for `quote_usdt` (U-9)."""
    return Signal(engine, symbol, SPOT, BUY, False, 0.0, quote_usdt, price, why, 0.0, 0.0, plan_usdt, level)


__all__ = [
    "BUY",
    "CORE_HODL",
    "DUST_USDT",
    "ENGINE_COUNT",
    "EPSILON",
    "FUNDING",
    "HOURS_PER_DAY",
    "HOURS_PER_WEEK",
    "NO_SIGNAL",
    "PAIR",
    "PERP",
    "SELL",
    "SPOT",
    "TACTICAL",
    "TREND",
    "Signal",
    "buy_quote_signal",
    "exceeded",
    "no_signals",
    "reached",
    "reason",
    "reduce_signal",
]
