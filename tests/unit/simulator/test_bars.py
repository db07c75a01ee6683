"""Candles that are summed up side by side are those that are summed up one by one, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest

from eternal_engine.market_data.history import HOUR_MS, FundingRates, MarketHistory, Ohlcv, Sentiment
from eternal_engine.simulator.bars import Bars

START_MS = 1_704_067_200_000
HOURS = 24 * 40


def history(seed: int) -> MarketHistory:
    """Build forty days of SOL with outages of an hour and of days, and volumes that are missing."""
    draw = np.random.default_rng(seed)
    close = np.round(100 + draw.normal(0, 1, HOURS).cumsum(), 4)
    open_ = np.round(close + draw.normal(0, 0.3, HOURS), 4)
    high, low = np.maximum(open_, close) + 0.1, np.minimum(open_, close) - 0.1
    volume = np.round(draw.exponential(1_000, HOURS), 3)
    gone = draw.random(HOURS) < 0.01
    gone[24 * 10 : 24 * 12 + 5] = True
    for column in (open_, high, low, close, volume):
        column[gone] = np.nan
    volume[draw.random(HOURS) < 0.01] = np.nan
    bars = Ohlcv(*(np.ascontiguousarray(column[None, :]) for column in (open_, high, low, close, volume)))
    nothing = np.zeros(0, dtype=np.int64)
    return MarketHistory(
        symbols=("SOLUSDT",),
        start_ms=START_MS,
        spot=bars,
        perp=bars,
        perp_stand_in=np.zeros((1, HOURS), dtype=np.bool_),
        funding=(FundingRates(nothing, np.zeros(0), np.zeros(0)),),
        first_funding_ms=np.array([START_MS], dtype=np.int64),
        listed_ms=np.array([START_MS], dtype=np.int64),
        delisted_ms=np.array([-1], dtype=np.int64),
        sentiment=Sentiment(nothing, np.zeros(0)),
        source="forty days",
        synthetic=True,
        fingerprint="forty",
    )


@pytest.mark.parametrize("hours", [0.25, 1, 4, 24, 168])
@pytest.mark.parametrize("now_h", [HOURS + 50, HOURS - 7.5, 30, 24])
def test_candles_side_by_side_are_those_of_one_by_one(hours: float, now_h: float) -> None:
    bars, length_ms = Bars(history(int(hours * 4))), int(hours * HOUR_MS)
    now_ms = START_MS + int(now_h * HOUR_MS)
    first_ms = START_MS - START_MS % length_ms - 2 * length_ms
    opens = list(range(first_ms, now_ms + length_ms, length_ms))[::-1]
    one_by_one = [bars.candle("spot", "SOLUSDT", at, at + length_ms, now_ms) for at in opens]
    assert bars.candles("spot", "SOLUSDT", opens, length_ms, now_ms) == one_by_one
    assert any(candle is not None for candle in one_by_one)


def test_candles_that_are_not_side_by_side_are_summed_up_all_the_same() -> None:
    bars, day_ms = Bars(history(1)), 24 * HOUR_MS
    opens = [START_MS + day * day_ms for day in (3, 11, 20, 4)]
    now_ms = START_MS + HOURS * HOUR_MS
    assert bars.candles("spot", "SOLUSDT", opens, day_ms, now_ms) == [
        bars.candle("spot", "SOLUSDT", at, at + day_ms, now_ms) for at in opens
    ]
