"""Daily bars made from hourly ones, and TA-Lib's indicators over them; causal and bit-identical on any prefix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import talib

from eternal_engine.strategies.base import HOURS_PER_DAY

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

# A day with fewer hourly bars gives no daily decision (U-10).
MIN_BARS_PER_DAY: Final = 20


class DailyBars(NamedTuple):
    """Hold complete UTC days of S symbols, [S, D]: NaN where a day has no bar at all; `bars` counts its hours."""

    high: Float64Array
    low: Float64Array
    close: Float64Array
    volume: Float64Array
    bars: Int64Array


def _last_known(hourly: Float64Array) -> Float64Array:
    """Give the last value that is not NaN along the last axis."""
    last = hourly[:, :, -1].copy()
    for s, d in np.argwhere(np.isnan(last)):
        known = hourly[s, d][~np.isnan(hourly[s, d])]
        if known.size:
            last[s, d] = known[-1]
    return last


def daily_bars(high: Float64Array, low: Float64Array, close: Float64Array, volume: Float64Array) -> DailyBars:
    """Fold hourly arrays [S, H], whose first column opens at 00:00 UTC, into complete days; the rest is left out."""
    symbols, hours = close.shape
    days = hours // HOURS_PER_DAY
    shape = (symbols, days, HOURS_PER_DAY)
    used = days * HOURS_PER_DAY
    closes = close[:, :used].reshape(shape)
    highs = high[:, :used].reshape(shape)
    lows = low[:, :used].reshape(shape)
    day_high = highs.max(axis=2)
    day_low = lows.min(axis=2)
    bars = np.full((symbols, days), HOURS_PER_DAY, np.int64)
    # Days with a hole are few: the fast path above gave NaN for them.
    holes = np.argwhere(np.isnan(day_high))
    for s, d in holes:
        known = ~np.isnan(closes[s, d])
        bars[s, d] = int(known.sum())
        if bars[s, d]:
            day_high[s, d] = highs[s, d][known].max()
            day_low[s, d] = lows[s, d][known].min()
    day_volume = np.nansum(volume[:, :used].reshape(shape), axis=2) if volume.size else np.zeros((symbols, days))
    return DailyBars(day_high, day_low, _last_known(closes), day_volume, bars)


def _per_symbol(daily: DailyBars, indicator: Callable[[Float64Array, Float64Array, Float64Array, Float64Array], Float64Array]) -> Float64Array:
    """Run an indicator of (high, low, close, volume) over each symbol's days with bars; NaN on the others."""
    out = np.full(daily.close.shape, np.nan)
    for s in range(daily.close.shape[0]):
        known = ~np.isnan(daily.close[s])
        if known.any():
            out[s, known] = indicator(
                daily.high[s][known], daily.low[s][known], daily.close[s][known], daily.volume[s][known]
            )
    return out


def sma(daily: DailyBars, days: int) -> Float64Array:
    """Give the simple moving average of closes [S, D] over the days that have bars (TA-Lib SMA)."""
    return _per_symbol(daily, lambda high, low, close, volume: talib.SMA(close, days))


def ema(daily: DailyBars, days: int) -> Float64Array:
    """Give the exponential moving average of closes [S, D] (TA-Lib EMA, seeded with its first mean)."""
    return _per_symbol(daily, lambda high, low, close, volume: talib.EMA(close, days))


def adx(daily: DailyBars, days: int) -> Float64Array:
    """Give Wilder's average directional index [S, D] (TA-Lib ADX)."""
    return _per_symbol(daily, lambda high, low, close, volume: talib.ADX(high, low, close, days))


def atr(daily: DailyBars, days: int) -> Float64Array:
    """Give Wilder's average true range [S, D] in USDT (TA-Lib ATR)."""
    return _per_symbol(daily, lambda high, low, close, volume: talib.ATR(high, low, close, days))


def volume_mean(daily: DailyBars, days: int) -> Float64Array:
    """Give the mean daily volume [S, D] in base coins over `days` days with bars (TA-Lib SMA)."""
    return _per_symbol(daily, lambda high, low, close, volume: talib.SMA(volume, days))


def days_known(daily: DailyBars) -> Int64Array:
    """Count, per symbol and day, the days with bars so far, [S, D]."""
    return np.cumsum(~np.isnan(daily.close), axis=1)


def highest_high(daily: DailyBars) -> Float64Array:
    """Give the highest daily high so far, [S, D], NaN before the first bar (TACT-1)."""
    return np.fmax.accumulate(daily.high, axis=1)
