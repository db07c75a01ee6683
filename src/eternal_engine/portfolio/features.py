"""The features of all strategies from daily bars, settlements and sentiment: one way for backtest and daemon (U-10)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from eternal_engine.portfolio.params import Features, Params
from eternal_engine.strategies import funding, tactical, trend
from eternal_engine.strategies.base import HOURS_PER_DAY
from eternal_engine.strategies.indicators import DailyBars

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]

HOUR_MS: Final = 3_600_000
# A settlement stamped a little late by the exchange still belongs to its hour.
LATE_STAMP_MS: Final = 60_000


class Settlements(NamedTuple):
    """Hold one contract's settled funding rates, oldest first: stamps (ms), rates (fractions), intervals (hours)."""

    stamp_ms: Int64Array
    rate: Float64Array
    interval_h: Float64Array


class Moods(NamedTuple):
    """Hold the daily fear-and-greed index, oldest first: the day's 00:00 UTC (ms) and its value."""

    day_ms: Int64Array
    value: Float64Array


def stamp_hours(stamp_ms: Int64Array) -> Int64Array:
    """Give settlement stamps as whole hours since the epoch; a minute late is on time, an early one waits."""
    return -((LATE_STAMP_MS - stamp_ms) // HOUR_MS)


def fear_by_day(moods: Moods, first_day: int, days: int, max_age_h: int) -> Float64Array:
    """Give, per day row, the index of the day before as known at its close, NaN when missing or too old (TACT-E2)."""
    out = np.full(days, np.nan)
    rows = moods.day_ms // (HOURS_PER_DAY * HOUR_MS) - first_day
    for back in range(1, max(max_age_h // HOURS_PER_DAY, 1) + 1):
        # The value for day k is published that day; the row of day d closes at d + 1 and may use day d - back + 1.
        target = rows + back - 1
        inside = (target >= 0) & (target < days)
        empty = np.isnan(out[target[inside]])
        out[target[inside][empty]] = moods.value[inside][empty]
    return out


def funding_by_day(rates: Settlements, first_day: int, days: int) -> Float64Array:
    """Give, per day row, the mean of a contract's settled rates, scaled to eight hours; NaN without any (TACT-E2)."""
    rows = stamp_hours(rates.stamp_ms) // HOURS_PER_DAY - first_day
    inside = (rows >= 0) & (rows < days)
    total = np.bincount(rows[inside], (rates.rate * 8.0 / rates.interval_h)[inside], minlength=days)
    count = np.bincount(rows[inside], minlength=days)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(count > 0, total / count, np.nan)


def features_of(
    params: Params, daily: DailyBars, settled: Sequence[Settlements], moods: Moods, first_day: int
) -> Features:
    """Compute every strategy's features over all history at once; row 0 of `daily` is epoch day `first_day`."""
    days = daily.close.shape[1]
    own = params.tactical
    # An option that is off asks for nothing.
    fear = fear_by_day(moods, first_day, days, own.fear_max_age_h) if own.fear_enabled else np.full(days, np.nan)
    rate = funding_by_day(settled[own.btc], first_day, days) if own.capitulation_enabled else np.full(days, np.nan)
    return Features(
        trend=trend.features(params.trend, daily),
        funding=funding_features(params, settled),
        tactical=tactical.features(own, daily, fear, rate),
        first_day=first_day,
    )


def funding_features(params: Params, settled: Sequence[Settlements]) -> funding.FundingFeatures:
    """Compute FUNDING's features alone: they change with every settlement, the others once a day."""
    return funding.features(
        params.funding,
        [stamp_hours(rates.stamp_ms) for rates in settled],
        [rates.rate for rates in settled],
        [rates.interval_h for rates in settled],
    )
