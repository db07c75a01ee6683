"""Name the state of the market on each UTC day from BTC's daily closes of the days before it.

The first rule that holds names the day (docs/decisions/0042):

crisis           at least 30 % under the highest close of the last 30 days
high_volatility  deviation of the last 20 daily log returns, annualised, at least 0.90
bull             at least 5 % above the mean of the last 200 closes
bear             at least 5 % below it
sideways         everything else, and the first 30 days of a history
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from eternal_engine.reports.metrics import DAYS_A_YEAR
from eternal_engine.reports.result import Float64Array, Int64Array


class Regime(IntEnum):
    """The five states; every day has exactly one."""

    BULL = 0
    BEAR = 1
    SIDEWAYS = 2
    HIGH_VOLATILITY = 3
    CRISIS = 4

    @property
    def label(self) -> str:
        """Give the name used in reports and JSON."""
        return self.name.lower()


@dataclass(frozen=True)
class RegimeRules:
    """Hold the thresholds; windows in days, the rest as fractions."""

    crisis_days: int = 30
    crisis_fall_frac: float = 0.30
    volatility_days: int = 20
    volatility_frac: float = 0.90
    trend_days: int = 200
    trend_band_frac: float = 0.05
    warmup_days: int = 30


@dataclass(frozen=True, kw_only=True)
class RegimeReturn:
    """Say what one regime brought: days, their share, and compounded returns of the portfolio and of BTC."""

    regime: str
    days: int
    share_frac: float
    return_frac: float
    btc_return_frac: float


def regimes(closes: Float64Array, rules: RegimeRules = RegimeRules()) -> Int64Array:
    """Name the day after each close: [D] daily closes give [D] `Regime` numbers, element d from closes[0..d] only.

    So the regime of a day is known when it begins. Adding later closes changes no earlier answer.
    """
    days = len(closes)
    if days == 0:
        return np.empty(0, dtype=np.int64)
    fall = 1.0 - closes / _windows(closes, rules.crisis_days).max(axis=1)
    volatility = _volatility(closes, rules.volatility_days)
    apart = closes / _trailing_mean(closes, rules.trend_days) - 1.0
    named = np.select(
        [
            np.arange(1, days + 1) < rules.warmup_days,
            fall >= rules.crisis_fall_frac,
            volatility >= rules.volatility_frac,
            apart >= rules.trend_band_frac,
            apart <= -rules.trend_band_frac,
        ],
        [Regime.SIDEWAYS, Regime.CRISIS, Regime.HIGH_VOLATILITY, Regime.BULL, Regime.BEAR],
        default=Regime.SIDEWAYS,
    )
    return named.astype(np.int64)


def returns_by_regime(named: Int64Array, returns: Float64Array, btc_returns: Float64Array) -> tuple[RegimeReturn, ...]:
    """Compound the daily returns [D] of each regime; over all regimes they compound to the total."""
    rows = []
    for regime in Regime:
        chosen = named == regime
        rows.append(
            RegimeReturn(
                regime=regime.label,
                days=int(np.count_nonzero(chosen)),
                share_frac=float(np.count_nonzero(chosen)) / max(len(named), 1),
                return_frac=float(np.prod(1.0 + returns[chosen])) - 1.0,
                btc_return_frac=float(np.prod(1.0 + btc_returns[chosen])) - 1.0,
            )
        )
    return tuple(rows)


def _windows(values: Float64Array, width: int) -> Float64Array:
    padded = np.concatenate((np.full(width - 1, values[0]), values))
    return sliding_window_view(padded, width)


def _trailing_mean(values: Float64Array, width: int) -> Float64Array:
    """Average the last `width` values, or as many as there are."""
    total = np.cumsum(values)
    shifted = np.concatenate((np.zeros(min(width, len(values))), total[:-width]))
    return (total - shifted) / np.minimum(np.arange(1, len(values) + 1), width)


def _volatility(closes: Float64Array, width: int) -> Float64Array:
    log_returns = np.diff(np.log(closes), prepend=math.log(float(closes[0])))
    # Sums of columns, in a fixed order: a reduction along the window may group its terms by the length of the series.
    window = _windows(log_returns, width)
    mean = _column_sum(window) / width
    apart = window - mean[:, None]
    return np.sqrt(_column_sum(apart * apart) / (width - 1) * DAYS_A_YEAR)


def _column_sum(window: Float64Array) -> Float64Array:
    total = np.zeros(window.shape[0])
    for column in range(window.shape[1]):
        total = total + window[:, column]
    return total
