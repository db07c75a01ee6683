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
    shape = (symbols, days, HOURS_PER_DAY)
    highs, lows, closes = (np.ascontiguousarray(hourly[:, :used]).reshape(shape) for hourly in (high, low, close))
    day_high, day_low = folded(highs, np.maximum), folded(lows, np.minimum)
    day_close = closes[:, :, -1].copy()
    bars = np.full((symbols, days), HOURS_PER_DAY, np.int64)
    # A day with a hole has come out as NaN; most of these have no bar at all.
    broken = np.flatnonzero(np.isnan(day_high))
    if len(broken):
        known = ~np.isnan(closes.reshape(-1, HOURS_PER_DAY)[broken])
        count = np.count_nonzero(known, axis=1)
        bars.reshape(-1)[broken] = count
        some = np.flatnonzero(count)
        days_with_holes = broken[some]
        last = HOURS_PER_DAY - 1 - np.argmax(known[some, ::-1], axis=1)
        day_high.reshape(-1)[days_with_holes] = np.fmax.reduce(
            highs.reshape(-1, HOURS_PER_DAY)[days_with_holes], axis=1
        )
        day_low.reshape(-1)[days_with_holes] = np.fmin.reduce(lows.reshape(-1, HOURS_PER_DAY)[days_with_holes], axis=1)
        day_close.reshape(-1)[days_with_holes] = closes.reshape(-1, HOURS_PER_DAY)[days_with_holes, last]
    day_volume = np.zeros((symbols, days))
    if volume is not None:
        day_volume = np.nansum(volume[:, :used].reshape(shape), axis=2)
    return DailyBars(day_high, day_low, day_close, day_volume, bars)


def folded(hourly: Float64Array, pick: Callable[[Float64Array, Float64Array], Float64Array]) -> Float64Array:
    """Fold [S, D, 24] to [S, D] by halves of neighbours: much faster than along short axes."""
    left = hourly
    while left.shape[2] % 2 == 0:
        left = pick(left[:, :, 0::2], left[:, :, 1::2])
    out = left[:, :, 0]
    for k in range(1, left.shape[2]):
        out = pick(out, left[:, :, k])
    return out


def _per_symbol(
    daily: DailyBars, indicator: Callable[[Float64Array, Float64Array, Float64Array, Float64Array], Float64Array]
) -> Float64Array:
    """Run an indicator of (high, low, close, volume) over each symbol's days with bars; NaN on the others."""
    out = np.full(daily.close.shape, np.nan)
    known = ~np.isnan(daily.close)
    if known.size == 0:
        return out
    first_days = known.argmax(axis=1).tolist()
    counts = np.count_nonzero(known, axis=1).tolist()
    for s, (first, count) in enumerate(zip(first_days, counts, strict=True)):
        if count == 0:
            continue
        # Mostly the days before a listing are all that is missing.
        days: slice | BoolArray = slice(first, None) if count == known.shape[1] - first else known[s]
        out[s, days] = indicator(daily.high[s, days], daily.low[s, days], daily.close[s, days], daily.volume[s, days])
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
