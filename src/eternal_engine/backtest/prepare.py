"""From an aligned history to what the loop reads: market arrays and the features of all strategies."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from eternal_engine.backtest.fills import Market
from eternal_engine.market_data.history import DAY_MS, HOUR_MS, MarketHistory
from eternal_engine.portfolio.params import Features, Params
from eternal_engine.strategies import funding, indicators, tactical, trend

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]

NEVER_H = 1 << 40
# A settlement stamped a little late by the exchange still belongs to its hour.
LATE_STAMP_MS = 60_000


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


def stamp_hours(stamp_ms: Int64Array) -> Int64Array:
    """Give settlement stamps as whole hours since the epoch; a minute late is on time, an early one waits."""
    return -((LATE_STAMP_MS - stamp_ms) // HOUR_MS)


def daily_bars_of(history: MarketHistory, with_volume: bool = False) -> indicators.DailyBars:
    """Fold the spot candles into days (TREND and TACTICAL decide on these)."""
    spot = history.spot
    return indicators.daily_bars(spot.high, spot.low, spot.close, spot.volume if with_volume else None)


def fear_by_day(history: MarketHistory, days: int, max_age_h: int) -> Float64Array:
    """Give, per day row, the index of the day before as known at its close, NaN when missing or too old (TACT-E2)."""
    out = np.full(days, np.nan)
    first_day = history.start_ms // DAY_MS
    rows = history.sentiment.day_ms // DAY_MS - first_day
    for back in range(1, max(max_age_h // 24, 1) + 1):
        # The value for day k is published that day; the row of day d closes at d + 1 and may use day d - back + 1.
        target = rows + back - 1
        inside = (target >= 0) & (target < days)
        empty = np.isnan(out[target[inside]])
        out[target[inside][empty]] = history.sentiment.value[inside][empty]
    return out


def funding_by_day(history: MarketHistory, btc: int, days: int) -> Float64Array:
    """Give, per day row, the mean of BTC's settled rates, scaled to eight hours; NaN without any (TACT-E2)."""
    rates = history.funding[btc]
    rows = stamp_hours(rates.stamp_ms) // 24 - history.start_ms // DAY_MS
    inside = (rows >= 0) & (rows < days)
    total = np.bincount(rows[inside], (rates.rate * 8.0 / rates.interval_h)[inside], minlength=days)
    count = np.bincount(rows[inside], minlength=days)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(count > 0, total / count, np.nan)


def features_of(params: Params, history: MarketHistory, daily: indicators.DailyBars | None = None) -> Features:
    """Compute every strategy's features over the whole history at once; `daily` may be shared between runs."""
    if daily is None:
        daily = daily_bars_of(history, params.trend.volume_filter)
    days = daily.close.shape[1]
    return Features(
        trend=trend.features(params.trend, daily),
        funding=funding.features(
            params.funding,
            [stamp_hours(rates.stamp_ms) for rates in history.funding],
            [rates.rate for rates in history.funding],
            [rates.interval_h for rates in history.funding],
        ),
        tactical=tactical.features(
            params.tactical,
            daily,
            fear_by_day(history, days, params.tactical.fear_max_age_h),
            funding_by_day(history, params.tactical.btc, days),
        ),
        first_day=history.start_ms // DAY_MS,
    )
