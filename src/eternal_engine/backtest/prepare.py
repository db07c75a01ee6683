"""From an aligned history to what the loop reads: market arrays and the features of all strategies."""

from __future__ import annotations

import numpy as np

from eternal_engine.backtest.fills import Market
from eternal_engine.market_data.history import DAY_MS, HOUR_MS, MarketHistory
from eternal_engine.portfolio import features
from eternal_engine.portfolio.params import Features, Params
from eternal_engine.strategies import indicators

NEVER_H = 1 << 40


def market_of(history: MarketHistory) -> Market:
    """Take the price arrays of a history, without copies."""
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
    )


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
