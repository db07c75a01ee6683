"""Daily bars made from hourly ones, and TA-Lib's indicators over them; causal and bit-identical on any prefix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from eternal_engine.absent import absent
from eternal_engine.strategies.base import HOURS_PER_DAY

with absent("pandas", "polars"):
    import talib

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


def daily_bars(high: Float64Array, low: Float64Array, close: Float64Array, volume: Float64Array | None) -> DailyBars:
    """Fold hourly arrays [S, H], whose first column opens at 00:00 UTC, into complete days; the rest is left out.

    `volume` None leaves the daily volume at zero (nobody asked for it).
    """
    symbols, hours = close.shape
    days = hours // HOURS_PER_DAY
    used = days * HOURS_PER_DAY
    starts = np.arange(0, symbols * used, HOURS_PER_DAY)
    highs, lows, closes = (np.ascontiguousarray(hourly[:, :used]) for hourly in (high, low, close))
    shape = (symbols, days)
    day_high = np.maximum.reduceat(highs.reshape(-1), starts).reshape(shape)
    day_low = np.minimum.reduceat(lows.reshape(-1), starts).reshape(shape)
    by_day = closes.reshape(symbols, days, HOURS_PER_DAY)
    day_close = by_day[:, :, -1].copy()
    bars = np.full(shape, HOURS_PER_DAY, np.int64)
    # The fast path above gave NaN for every day with a hole; most of these have no bar at all.
    broken = np.isnan(day_high)
    known = ~np.isnan(by_day[broken])
    bars[broken] = known.sum(axis=1)
    for s, d in np.argwhere(broken & (bars > 0)):
        hours_known = ~np.isnan(by_day[s, d])
        at = slice(d * HOURS_PER_DAY, (d + 1) * HOURS_PER_DAY)
        day_high[s, d] = highs[s, at][hours_known].max()
        day_low[s, d] = lows[s, at][hours_known].min()
        day_close[s, d] = by_day[s, d][hours_known][-1]
    if volume is None:
        day_volume = np.zeros(shape)
    else:
        day_volume = np.nansum(volume[:, :used].reshape(symbols, days, HOURS_PER_DAY), axis=2)
    return DailyBars(day_high, day_low, day_close, day_volume, bars)


def _per_symbol(
    daily: DailyBars, indicator: Callable[[Float64Array, Float64Array, Float64Array, Float64Array], Float64Array]
) -> Float64Array:
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
