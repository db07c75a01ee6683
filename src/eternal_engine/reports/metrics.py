"""Measure a daily index: return, risk, and how much of it may be luck. Pure numpy, fast enough for a sweep.

Conventions (docs/decisions/0040): UTC days, 365 a year, sample deviation, downside as the root mean square of all
days with gains counted as zero, drawdowns as negative fractions, None where a figure does not exist.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from eternal_engine.reports.daily import returns_of
from eternal_engine.reports.drawdown import ROUNDING, Fall, deepest, drawdown, longest_points
from eternal_engine.reports.result import Float64Array
from eternal_engine.reports.significance import deflated_sharpe, probabilistic_sharpe

DAYS_A_YEAR = 365.0
# Indices of five years that stay near the processor while they are worked on.
AT_ONCE = 16


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
    return measure_all(index[np.newaxis], years, trials, name_of)[0]


def measure_all(
    indices: Float64Array, years: float | None = None, trials: int = 1, name_of: Callable[[int], str] = str
) -> list[Metrics]:
    """Measure many indices [N, D+1] of the same days, each to the last bit as `measure` does it alone."""
    measured: list[Metrics] = []
    for at in range(0, len(indices), AT_ONCE):
        measured += _measure_some(indices[at : at + AT_ONCE], years, trials, name_of)
    return measured


def _measure_some(
    indices: Float64Array, years: float | None, trials: int, name_of: Callable[[int], str]
) -> Iterator[Metrics]:
    returns = returns_of(indices)
    returns[np.abs(returns) < ROUNDING] = 0.0
    covered = returns.shape[1] / DAYS_A_YEAR if years is None else years
    totals = (indices[:, -1] / indices[:, 0] - 1.0).tolist()
    under = drawdown(indices)
    ulcers = np.sqrt(_mean(under * under)).tolist()
    rows = zip(totals, moments_of(returns), under, ulcers, strict=True)
    for total, moments, row, ulcer in rows:
        yield _measured(moments, returns.shape[1], covered, total, row, ulcer, trials, name_of)


def _measured(
    moments: Moments | None,
    days: int,
    years: float,
    total: float,
    under: Float64Array,
    ulcer: float,
    trials: int,
    name_of: Callable[[int], str],
) -> Metrics:
    fall = deepest(under)
    depth = fall.depth_frac if fall else 0.0
    cagr = annual_growth(total, years)
    deviation = None if moments is None or days < 2 else math.sqrt(moments.square * days / (days - 1))
    per_day = skew = kurtosis = sure = deflated = None
    if moments is not None and deviation is not None and deviation > ROUNDING:
        per_day = moments.mean / deviation
        skew = moments.third / moments.square**1.5
        kurtosis = moments.fourth / (moments.square * moments.square) - 3.0
        sure = probabilistic_sharpe(per_day, days, skew, kurtosis)
        deflated = deflated_sharpe(per_day, days, skew, kurtosis, trials)
    downside = 0.0 if moments is None else math.sqrt(moments.loss)
    return Metrics(
        days=days,
        years=years,
        total_return_frac=total,
        cagr_frac=cagr,
        volatility_frac=None if deviation is None else deviation * math.sqrt(DAYS_A_YEAR),
        sharpe=None if per_day is None else per_day * math.sqrt(DAYS_A_YEAR),
        sortino=moments.mean / downside * math.sqrt(DAYS_A_YEAR) if moments and downside > ROUNDING else None,
        calmar=None if cagr is None or depth == 0.0 else cagr / -depth,
        max_drawdown_frac=depth,
        max_drawdown_peak=_named(fall.peak if fall else None, name_of),
        max_drawdown_trough=_named(fall.trough if fall else None, name_of),
        max_drawdown_recovery=_named(fall.recovery if fall else None, name_of),
        max_drawdown_days=_fall_days(fall, days),
        longest_drawdown_days=longest_points(under),
        ulcer_frac=ulcer,
        skew=skew,
        kurtosis=kurtosis,
        tail_ratio=abs(moments.high) / abs(moments.low) if moments and moments.low != 0.0 else None,
        best_day_frac=moments.best if moments else None,
        worst_day_frac=moments.worst if moments else None,
        positive_days_frac=moments.up if moments else None,
        probabilistic_sharpe=sure,
        deflated_sharpe=deflated,
        trials=trials,
    )


class Moments(NamedTuple):
    """Hold what the ratios of daily returns are made of.

    `square` to `fourth` are means of powers of the distance from the mean, `loss` that of squared losses, with gains
    counted as zero; `low` and `high` are the 5th and the 95th percentile, `up` the share of days that gained.
    """

    mean: float
    square: float
    third: float
    fourth: float
    loss: float
    low: float
    high: float
    best: float
    worst: float
    up: float


def moments_of(returns: Float64Array) -> Sequence[Moments | None]:
    """Sum up daily returns [N, D], row by row; None where there is no day."""
    count, days = returns.shape
    if days == 0:
        return [None] * count
    mean = _mean(returns)
    apart = returns - mean[:, np.newaxis]
    square = apart * apart
    losses = np.minimum(returns, 0.0)
    low, high = _quantiles(returns, 0.05, 0.95)
    columns = (
        mean,
        _mean(square),
        _mean(square * apart),
        _mean(square * square),
        _mean(losses * losses),
        low,
        high,
        returns.max(axis=1),
        returns.min(axis=1),
        np.count_nonzero(returns > 0.0, axis=1) / days,
    )
    return [Moments(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def annual_growth(total_return_frac: float, years: float) -> float | None:
    """Give the constant yearly growth that makes `total_return_frac` in `years`, None when it cannot be said."""
    if years <= 0.0 or total_return_frac < -1.0:
        return None
    if total_return_frac == -1.0:
        return -1.0
    exponent = math.log1p(total_return_frac) / years
    return math.expm1(exponent) if exponent < 700.0 else None


def _mean(values: Float64Array) -> Float64Array:
    means: Float64Array = np.add.reduce(values, axis=1) / values.shape[1]
    return means


def _quantiles(returns: Float64Array, *shares: float) -> list[Float64Array]:
    """Interpolate linearly between the two nearest values of each row; numpy's own takes ten times as long."""
    ordered, last = np.sort(returns, axis=1), returns.shape[1] - 1
    found = []
    for share in shares:
        below = int(share * last)
        low, high = ordered[:, below], ordered[:, min(below + 1, last)]
        found.append(low + (share * last - below) * (high - low))
    return found


def _fall_days(fall: Fall | None, days: int) -> int:
    if fall is None:
        return 0
    return (days if fall.recovery is None else fall.recovery) - fall.peak


def _named(point: int | None, name_of: Callable[[int], str]) -> str | None:
    return None if point is None else name_of(point)
