"""Market data of an exchange inside this process, read from the very history that moves it; nothing of the future."""

from __future__ import annotations

import math

import numpy as np

from eternal_engine.market_data.bar_store import HourBar, SettledRate
from eternal_engine.market_data.history import DAY_MS, HOUR_MS, MarketHistory, Ohlcv
from eternal_engine.portfolio.features import LATE_STAMP_MS, Moods
from eternal_engine.strategies.indicators import DailyBars, daily_bars


class WorldBars:
    """Implement `engine.market_watch.BarSource` over a feed's history."""

    def __init__(self, history: MarketHistory, *, with_volume: bool = False) -> None:
        self.history = history
        self._with_volume = with_volume
        self._first_h = history.start_ms // HOUR_MS
        self._stamps_ms = np.sort(np.concatenate([rates.stamp_ms for rates in history.funding]))

    async def hours(self, start_h: int, end_h: int) -> list[HourBar]:
        """Return all completed hourly bars that open in [start_h, end_h)."""
        bars: list[HourBar] = []
        for hour in range(max(start_h, self._first_h), min(end_h, self._first_h + self.history.hours)):
            bars += self._bars("spot", self.history.spot, hour)
            bars += self._bars("perp", self.history.perp, hour)
        return bars

    async def days(self, end_h: int) -> tuple[int, DailyBars]:
        """Return the first epoch day and the daily spot bars of all days complete by hour `end_h`."""
        spot, hours = self.history.spot, max(end_h - self._first_h, 0)
        volume = spot.volume[:, :hours] if self._with_volume else None
        folded = daily_bars(spot.high[:, :hours], spot.low[:, :hours], spot.close[:, :hours], volume)
        return self.history.start_ms // DAY_MS, folded

    async def rates(self, start_h: int, end_h: int) -> list[SettledRate]:
        """Return the rates settled in (start_h, end_h] of all symbols, oldest first."""
        found: list[SettledRate] = []
        first_ms, last_ms = start_h * HOUR_MS + LATE_STAMP_MS, end_h * HOUR_MS + LATE_STAMP_MS
        # Most hours settle nothing: one look instead of one a symbol.
        any_first, any_last = np.searchsorted(self._stamps_ms, (first_ms, last_ms), side="right")
        if any_first == any_last:
            return found
        for symbol, rates in zip(self.history.symbols, self.history.funding, strict=True):
            first, last = np.searchsorted(rates.stamp_ms, (first_ms, last_ms), side="right")
            found += [
                SettledRate(symbol, int(rates.stamp_ms[row]), float(rates.rate[row]), float(rates.interval_h[row]))
                for row in range(first, last)
            ]
        return found

    async def moods(self, end_h: int) -> Moods:
        """Return the fear-and-greed values of the days that have begun by hour `end_h`."""
        sentiment = self.history.sentiment
        known = sentiment.day_ms <= end_h * HOUR_MS
        return Moods(sentiment.day_ms[known], sentiment.value[known])

    def _bars(self, market: str, table: Ohlcv, hour: int) -> list[HourBar]:
        column = hour - self._first_h
        parts = (table.open, table.high, table.low, table.close, table.volume)
        rows = zip(self.history.symbols, *(part[:, column].tolist() for part in parts), strict=True)
        return [
            HourBar(market, symbol, hour, open_, high, low, close, _or_zero(volume))
            for symbol, open_, high, low, close, volume in rows
            if not math.isnan(close)
        ]


def _or_zero(volume: float) -> float:
    return 0.0 if math.isnan(volume) else volume
