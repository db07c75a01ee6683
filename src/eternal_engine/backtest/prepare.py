"""From an aligned history to what the loop reads: market arrays and the features of all strategies."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from eternal_engine.backtest import days
from eternal_engine.backtest.fills import Market
from eternal_engine.backtest.settlements import NEVER_H
from eternal_engine.market_data.history import DAY_MS, HOUR_MS, MarketHistory
from eternal_engine.portfolio import features
from eternal_engine.portfolio.params import Features, Params
from eternal_engine.strategies import indicators
from eternal_engine.strategies.base import HOURS_PER_DAY

Float64Array = npt.NDArray[np.float64]


def market_of(
    history: MarketHistory, day_ranges: Float64Array | None = None, settle_opens: Float64Array | None = None
) -> Market:
    """Take the price arrays of a history, without copies; what is optional only helps many runs with a daily tape."""
    delisted = np.where(history.delisted_ms >= 0, history.delisted_ms // HOUR_MS, NEVER_H).astype(np.int64)
    return Market(
        first_h=history.start_ms // HOUR_MS,
        spot_open=history.spot.open,
        spot_high=history.spot.high,
        spot_low=history.spot.low,
        spot_close=history.spot.close,
        perp_open=history.perp.open,
        perp_high=history.perp.high,
        perp_low=history.perp.low,
        perp_close=history.perp.close,
        listed_h=(history.listed_ms // HOUR_MS).astype(np.int64),
        delisted_h=delisted,
        days=np.zeros((len(history.symbols), 0, days.COLUMNS)) if day_ranges is None else day_ranges,
        settle_open=np.zeros((len(history.symbols), 0)) if settle_opens is None else settle_opens,
    )


def settle_opens_of(history: MarketHistory) -> Float64Array:
    """Gather the perps' opens at their settlements [S, K], in the order of the stamps; NaN outside the grid."""
    out = np.full((len(history.symbols), max([1, *(len(rates.rate) for rates in history.funding)])), np.nan)
    for s, rates in enumerate(history.funding):
        bars = features.stamp_hours(rates.stamp_ms) - history.start_ms // HOUR_MS
        inside = np.flatnonzero((bars >= 0) & (bars < history.hours))
        out[s, inside] = history.perp.open[s, bars[inside]]
    return out


def day_ranges_of(history: MarketHistory) -> Float64Array:
    """Compute the extremes of every whole day [S, D, 8] that `days` passes days by; NaN where a bar is missing."""
    spot, perp = history.spot, history.perp
    symbols, hours = spot.close.shape
    count = hours // HOURS_PER_DAY
    out = np.full((symbols, count, days.COLUMNS), np.nan)
    # Each mark lacks what either market lacks, so that a hole in one of them proves nothing.
    for column, hourly, pick in (
        (days.LOW_MARK, np.maximum(spot.low, perp.low), np.minimum),
        (days.HIGH_MARK, np.minimum(spot.high, perp.high), np.maximum),
        (days.LOW_CLOSE, perp.close, np.minimum),
        (days.HIGH_CLOSE, perp.close, np.maximum),
    ):
        whole = np.ascontiguousarray(hourly[:, : count * HOURS_PER_DAY]).reshape(symbols, count, HOURS_PER_DAY)
        out[:, :, column] = indicators.folded(whole, pick)
    out[:, :, days.LAST_CLOSE] = perp.close[:, HOURS_PER_DAY - 1 : count * HOURS_PER_DAY : HOURS_PER_DAY]
    first_h = history.start_ms // HOUR_MS
    for s, rates in enumerate(history.funding):
        bars = features.stamp_hours(rates.stamp_ms) - first_h
        inside = (bars >= 0) & (bars < count * HOURS_PER_DAY)
        paid = np.abs(perp.open[s, bars[inside]] * rates.rate[inside])
        out[s, :, days.PAYMENTS] = np.bincount(bars[inside] // HOURS_PER_DAY, paid, minlength=count)
    return out


def daily_bars_of(history: MarketHistory, with_volume: bool = False) -> indicators.DailyBars:
    """Fold the spot candles into days (TREND and TACTICAL decide on these)."""
    spot = history.spot
    return indicators.daily_bars(spot.high, spot.low, spot.close, spot.volume if with_volume else None)


def features_of(params: Params, history: MarketHistory, daily: indicators.DailyBars | None = None) -> Features:
    """Compute every strategy's features over the whole history at once; `daily` may be shared between runs."""
    if daily is None:
        daily = daily_bars_of(history, params.trend.volume_filter)
    return features.features_of(
        params,
        daily,
        [features.Settlements(rates.stamp_ms, rates.rate, rates.interval_h) for rates in history.funding],
        features.Moods(history.sentiment.day_ms, history.sentiment.value),
        history.start_ms // DAY_MS,
    )
