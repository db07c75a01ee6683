"""Measure a daily index: return, risk, and how much of it may be luck. Pure numpy, fast enough for a sweep.

Conventions (docs/decisions/0040): UTC days, 365 a year, sample deviation, downside as the root mean square of all
days with gains counted as zero, drawdowns as negative fractions, None where a figure does not exist.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from eternal_engine.reports.daily import returns_of
from eternal_engine.reports.drawdown import ROUNDING, Fall, deepest, drawdown, longest_points
from eternal_engine.reports.result import Float64Array
from eternal_engine.reports.significance import deflated_sharpe, probabilistic_sharpe

DAYS_A_YEAR = 365.0


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """Hold the figures of one daily index. Fractions are of 1, ratios are annualised, durations are whole days.

    `max_drawdown_days` runs from the peak to the recovery, or to the end while there is none. `kurtosis` is in excess
    of the normal's. `probabilistic_sharpe` is against zero, `deflated_sharpe` against the best of `trials` by luck.
    """

    days: int
    years: float
    total_return_frac: float
    cagr_frac: float | None
    volatility_frac: float | None
    sharpe: float | None
    sortino: float | None
    calmar: float | None
    max_drawdown_frac: float
    max_drawdown_peak: str | None
    max_drawdown_trough: str | None
    max_drawdown_recovery: str | None
    max_drawdown_days: int
    longest_drawdown_days: int
    ulcer_frac: float
    skew: float | None
    kurtosis: float | None
    tail_ratio: float | None
    best_day_frac: float | None
    worst_day_frac: float | None
    positive_days_frac: float | None
    probabilistic_sharpe: float | None
    deflated_sharpe: float | None
    trials: int


def measure(
    index: Float64Array, years: float | None = None, trials: int = 1, name_of: Callable[[int], str] = str
) -> Metrics:
    """Measure an index [D+1] of daily closes whose first point is the start.

    `years` is what was really covered (default: D / 365). `name_of` names a point of the index, as a date for instance.
    """
    returns = returns_of(index)
    returns[np.abs(returns) < ROUNDING] = 0.0
    days = len(returns)
    covered = days / DAYS_A_YEAR if years is None else years
    total = float(index[-1] / index[0]) - 1.0
    under = drawdown(index)
    fall = deepest(under)
    depth = fall.depth_frac if fall else 0.0
    cagr = annual_growth(total, covered)
    mean, deviation = _mean_and_deviation(returns)
    skew, kurtosis = _shape(returns, mean, deviation)
    per_day = mean / deviation if deviation is not None and deviation > ROUNDING else None
    sure = None if per_day is None else probabilistic_sharpe(per_day, days, skew or 0.0, kurtosis or 0.0)
    deflated = None if per_day is None else deflated_sharpe(per_day, days, skew or 0.0, kurtosis or 0.0, trials)
    return Metrics(
        days=days,
        years=covered,
        total_return_frac=total,
        cagr_frac=cagr,
        volatility_frac=None if deviation is None else deviation * math.sqrt(DAYS_A_YEAR),
        sharpe=None if per_day is None else per_day * math.sqrt(DAYS_A_YEAR),
        sortino=sortino(returns),
        calmar=None if cagr is None or depth == 0.0 else cagr / -depth,
        max_drawdown_frac=depth,
        max_drawdown_peak=_named(fall.peak if fall else None, name_of),
        max_drawdown_trough=_named(fall.trough if fall else None, name_of),
        max_drawdown_recovery=_named(fall.recovery if fall else None, name_of),
        max_drawdown_days=_fall_days(fall, days),
        longest_drawdown_days=longest_points(under),
        ulcer_frac=math.sqrt(float(np.dot(under, under)) / len(under)),
        skew=skew,
        kurtosis=kurtosis,
        tail_ratio=tail_ratio(returns),
        best_day_frac=float(returns.max()) if days else None,
        worst_day_frac=float(returns.min()) if days else None,
        positive_days_frac=float(np.count_nonzero(returns > 0.0)) / days if days else None,
        probabilistic_sharpe=sure,
        deflated_sharpe=deflated,
        trials=trials,
    )


def annual_growth(total_return_frac: float, years: float) -> float | None:
    """Give the constant yearly growth that makes `total_return_frac` in `years`, None when it cannot be said."""
    if years <= 0.0 or total_return_frac < -1.0:
        return None
    if total_return_frac == -1.0:
        return -1.0
    exponent = math.log1p(total_return_frac) / years
    return math.expm1(exponent) if exponent < 700.0 else None


def sharpe(returns: Float64Array) -> float | None:
    """Give the annualised ratio of mean to sample deviation of daily returns; None without risk or under two days."""
    mean, deviation = _mean_and_deviation(returns)
    if deviation is None or deviation <= ROUNDING:
        return None
    return mean / deviation * math.sqrt(DAYS_A_YEAR)


def sortino(returns: Float64Array) -> float | None:
    """Give the annualised ratio of mean to downside deviation of daily returns; None when no day lost."""
    if len(returns) == 0:
        return None
    losses = np.minimum(returns, 0.0)
    downside = math.sqrt(float(np.dot(losses, losses)) / len(returns))
    if downside <= ROUNDING:
        return None
    return float(returns.mean()) / downside * math.sqrt(DAYS_A_YEAR)


def tail_ratio(returns: Float64Array) -> float | None:
    """Give the size of the 95th percentile over that of the 5th; None when the lower tail is flat."""
    if len(returns) == 0:
        return None
    ordered = np.sort(returns)
    low, high = _quantile(ordered, 0.05), _quantile(ordered, 0.95)
    return abs(high) / abs(low) if low != 0.0 else None


def _quantile(ordered: Float64Array, share: float) -> float:
    """Interpolate linearly between the two nearest values; numpy's own takes ten times as long on a sorted array."""
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return float(ordered[below]) + (place - below) * float(ordered[above] - ordered[below])


def _mean_and_deviation(returns: Float64Array) -> tuple[float, float | None]:
    days = len(returns)
    if days == 0:
        return 0.0, None
    mean = float(returns.mean())
    if days == 1:
        return mean, None
    apart = returns - mean
    return mean, math.sqrt(float(np.dot(apart, apart)) / (days - 1))


def _shape(returns: Float64Array, mean: float, deviation: float | None) -> tuple[float | None, float | None]:
    if deviation is None or deviation <= ROUNDING:
        return None, None
    apart = returns - mean
    square = apart * apart
    second = float(square.mean())
    third = float((square * apart).mean())
    fourth = float((square * square).mean())
    return third / second**1.5, fourth / (second * second) - 3.0


def _fall_days(fall: Fall | None, days: int) -> int:
    if fall is None:
        return 0
    return (days if fall.recovery is None else fall.recovery) - fall.peak


def _named(point: int | None, name_of: Callable[[int], str]) -> str | None:
    return None if point is None else name_of(point)
