"""Market data as the rules need it: completed bars and settled rates in, marks and features out (U-2, U-4, U-10)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from eternal_engine.market_data.bar_store import BarStore, HourBar, SettledRate
from eternal_engine.portfolio.features import Moods, Settlements, features_of, funding_features, stamp_hours
from eternal_engine.portfolio.params import Features, Marks, Params, empty_marks
from eternal_engine.strategies.base import HOURS_PER_DAY
from eternal_engine.strategies.indicators import DailyBars, daily_bars

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]

SPOT: Final = "spot"
PERP: Final = "perp"
# How far back rates are read at a start, at the least: far more than the rules' windows as they come.
RATE_HISTORY_H: Final = 60 * HOURS_PER_DAY
# No contract settles more seldom; and how much longer than its window a rule's rates may take to come together.
LONGEST_INTERVAL_H: Final = 8
RATE_SLACK_H: Final = 14 * HOURS_PER_DAY
# An exchange may publish a settlement minutes after its stamp, when its hour has been asked for already.
RATE_OVERLAP_H: Final = 4
# How long a bar that was missing is asked for again, and how long a symbol counts as one that should have bars.
LATE_BAR_H: Final = HOURS_PER_DAY
# How far back the last price of a silent symbol counts: then it is taken for delisted, as in a backtest (0022).
MARK_HISTORY_H: Final = 7 * HOURS_PER_DAY


class BarSource(Protocol):
    """Read completed market data; one implementation over the port, one inside the process."""

    async def hours(self, start_h: int, end_h: int) -> list[HourBar]:
        """Return all completed hourly bars of all symbols that open in [start_h, end_h)."""
        ...

    async def days(self, end_h: int) -> tuple[int, DailyBars]:
        """Return the first epoch day and the daily spot bars [S, D] of all days complete by hour `end_h`."""
        ...

    async def rates(self, start_h: int, end_h: int) -> list[SettledRate]:
        """Return the rates settled in (start_h, end_h] of all symbols, oldest first; a minute late is on time."""
        ...

    async def moods(self, end_h: int) -> Moods:
        """Return the fear-and-greed values known at `end_h`."""
        ...


class MarketWatch:
    """Hold the present of the market: last closes, today's hours, all days, recent settlements."""

    def __init__(self, params: Params, symbols: Sequence[str], source: BarSource, store: BarStore | None) -> None:
        self.marks: Marks = empty_marks(len(symbols))
        self.settled_rates: list[list[SettledRate]] = [[] for _ in symbols]
        self._params = params
        self._symbols = tuple(symbols)
        self._row = {symbol: s for s, symbol in enumerate(symbols)}
        self._source = source
        self._store = store
        self._first_day = 0
        self._daily = _no_days(len(symbols))
        self._today: dict[int, Float64Array] = {}
        self._moods = Moods(np.zeros(0, np.int64), np.zeros(0))
        self._rates_until_h = 0
        self._seen_h = 0
        self._features: Features | None = None
        self._missing: set[tuple[str, str, int]] = set()

    @property
    def last_bar_h(self) -> int:
        """Give the hour in which the newest bar opened, -1 before any."""
        return int(max(self.marks.spot_h.max(), self.marks.perp_h.max()))

    async def start(self, now_h: int) -> None:
        """Read what is needed to decide hour `now_h`; bars that are missing in the store are stored."""
        today_h = now_h // HOURS_PER_DAY * HOURS_PER_DAY
        since_h = now_h - MARK_HISTORY_H
        # Reading the days may store spot bars: what is missing must be known before.
        known_h = self._store.last_h() if self._store is not None else None
        self._first_day, self._daily = await self._source.days(today_h)
        bars = await self._source.hours(since_h if known_h is None else min(since_h, known_h + 1), now_h)
        if self._store is not None:
            self._store.put(bars)
        for bar in bars:
            self._take(bar)
        self._forget_silent(now_h)
        self._count_hours(since_h)
        self._today = {day: hours for day, hours in self._today.items() if day >= today_h // HOURS_PER_DAY - 1}
        self._missing = _gaps(bars, now_h)
        self._rates_until_h = now_h - rate_history_h(self._params)
        await self._read_rates(now_h)
        self._moods = await self._source.moods(now_h)
        self._features = None
        self._seen_h = now_h

    def _count_hours(self, since_h: int) -> None:
        """Count the hours of the last days, which decisions look at: a daily candle does not tell how many it has."""
        for day, (_, _, close, _) in self._today.items():
            row = day - self._first_day
            if day * HOURS_PER_DAY >= since_h and 0 <= row < self._daily.bars.shape[1]:
                self._daily.bars[:, row] = (~np.isnan(close)).sum(axis=1)

    async def see(self, now_h: int) -> bool:
        """Take every bar that closed by hour `now_h` and was not taken yet; False when none closed then (U-7, U-10)."""
        found = self.last_bar_h >= now_h - 1
        while self._seen_h < now_h:
            found = await self.advance(self._seen_h + 1)
        return found

    async def advance(self, now_h: int) -> bool:
        """Take the bars that closed at hour `now_h`; False when there is none at all (U-7, U-10).

        Bars of the last day that were not there in time are taken now: their hour is not decided again, but days and
        features hold them from here on, as a restart would read them.
        """
        since_h = min((open_h for _, _, open_h in self._missing), default=now_h - 1)
        found = await self._source.hours(since_h, now_h)
        bars = [bar for bar in found if bar.open_h == now_h - 1 or bar[:3] in self._missing]
        late = [bar for bar in bars if bar.open_h < now_h - 1]
        self._note_missing(bars, now_h)
        for bar in bars:
            self._take(bar)
        self._forget_silent(now_h)
        refolded = self._refold(late)
        rates = await self._read_rates(now_h)
        if self._store is not None and (bars or rates):
            self._store.put(bars, rates)
        self._seen_h = now_h
        if now_h % HOURS_PER_DAY == 0:
            self._close_day(now_h // HOURS_PER_DAY - 1)
            self._moods = await self._source.moods(now_h)
            self._features = None
        elif refolded:
            self._features = None
        elif rates and self._features is not None:
            own = funding_features(self._params, self._settlements())
            self._features = self._features._replace(funding=own)
        return any(bar.open_h == now_h - 1 for bar in bars)

    def _note_missing(self, bars: Sequence[HourBar], now_h: int) -> None:
        """Remember which symbols that lately had bars lack the newest one; forget what came or is too old."""
        self._missing -= {bar[:3] for bar in bars}
        self._missing = {row for row in self._missing if row[2] > now_h - 1 - LATE_BAR_H}
        here = {(bar.market, bar.symbol) for bar in bars if bar.open_h == now_h - 1}
        for market, hours in ((SPOT, self.marks.spot_h), (PERP, self.marks.perp_h)):
            for symbol, newest_h in zip(self._symbols, hours.tolist(), strict=True):
                if newest_h >= now_h - 1 - LATE_BAR_H and (market, symbol) not in here:
                    self._missing.add((market, symbol, now_h - 1))

    def use(self, params: Params) -> None:
        """Go on under other parameters: features are computed anew."""
        self._params = params
        self._features = None

    def features(self) -> Features:
        """Give the features of everything known now."""
        if self._features is None:
            self._features = features_of(self._params, self._daily, self._settlements(), self._moods, self._first_day)
        return self._features

    def settled(self, now_h: int) -> Int64Array:
        """Count, per symbol, the settlements known at `now_h` (U-4)."""
        stamps = self.features().funding.stamp_h
        return np.array([int((row <= now_h).sum()) for row in stamps], np.int64)

    def _take(self, bar: HourBar) -> None:
        s = self._row[bar.symbol]
        prices, hours = (
            (self.marks.spot, self.marks.spot_h) if bar.market == SPOT else (self.marks.perp, self.marks.perp_h)
        )
        if bar.open_h >= hours[s]:
            prices[s] = bar.close
            hours[s] = bar.open_h
        if bar.market == SPOT:
            day, hour = divmod(bar.open_h, HOURS_PER_DAY)
            if day not in self._today:
                self._today[day] = np.full((4, len(self._symbols), HOURS_PER_DAY), np.nan)
            self._today[day][:, s, hour] = (bar.high, bar.low, bar.close, bar.volume)

    def _forget_silent(self, now_h: int) -> None:
        """Let a symbol that has been silent for so long be one not listed, as it is to a start, and to a backtest."""
        for prices, hours in ((self.marks.spot, self.marks.spot_h), (self.marks.perp, self.marks.perp_h)):
            silent = (hours >= 0) & (hours < now_h - MARK_HISTORY_H)
            prices[silent], hours[silent] = np.nan, -1

    def _close_day(self, day: int) -> None:
        """Fold the hours of a finished day into a row of the daily bars, and forget them."""
        wanted = day - self._first_day
        if self._daily.close.shape[1] == 0:
            self._first_day, wanted = day, 0
        missing = np.full((4, len(self._symbols), HOURS_PER_DAY), np.nan)
        for row in range(self._daily.close.shape[1], wanted + 1):
            high, low, close, volume = self._today.get(self._first_day + row, missing)
            folded = daily_bars(high, low, close, volume if self._params.trend.volume_filter else None)
            self._daily = DailyBars(
                *(np.concatenate((old, new), axis=1) for old, new in zip(self._daily, folded, strict=True))
            )
        # The day before stays at hand: its last bars may come after midnight.
        self._today = {known: hours for known, hours in self._today.items() if known >= day}

    def _refold(self, bars: Sequence[HourBar]) -> bool:
        """Fold the days again that late bars belong to; tells whether a finished day has changed."""
        changed = False
        for day in {bar.open_h // HOURS_PER_DAY for bar in bars if bar.market == SPOT}:
            row = day - self._first_day
            if day in self._today and 0 <= row < self._daily.close.shape[1]:
                high, low, close, volume = self._today[day]
                folded = daily_bars(high, low, close, volume if self._params.trend.volume_filter else None)
                for whole, part in zip(self._daily, folded, strict=True):
                    whole[:, row] = part[:, 0]
                changed = True
        return changed

    async def _read_rates(self, now_h: int) -> list[SettledRate]:
        rates = await self._source.rates(self._rates_until_h - RATE_OVERLAP_H, now_h)
        self._rates_until_h = now_h
        fresh = []
        for rate in rates:
            own = self.settled_rates[self._row[rate.symbol]]
            if not own or own[-1].stamp_ms < rate.stamp_ms:
                own.append(rate)
                fresh.append(rate)
        return fresh

    def _settlements(self) -> list[Settlements]:
        return [
            Settlements(
                np.array([rate.stamp_ms for rate in own], np.int64),
                np.array([rate.rate for rate in own]),
                np.array([rate.interval_h for rate in own]),
            )
            for own in self.settled_rates
        ]


def rate_history_h(params: Params) -> int:
    """Give how many hours of settled rates a start reads: what the longest window needs, or a live mean has none."""
    settlements = max(params.funding.rate_window, params.funding.positive_settlements)
    days = params.tactical.capitulation_days if params.tactical.capitulation_enabled else 0
    window_h = max(settlements * LONGEST_INTERVAL_H, days * HOURS_PER_DAY)
    return max(RATE_HISTORY_H, window_h + RATE_SLACK_H)


def _gaps(bars: Sequence[HourBar], now_h: int) -> set[tuple[str, str, int]]:
    """List which bars of the last day are not there, of symbols that had one in it."""
    lately = {bar[:3] for bar in bars if bar.open_h >= now_h - LATE_BAR_H}
    first_h: dict[tuple[str, str], int] = {}
    for market, symbol, open_h in lately:
        first_h[market, symbol] = min(open_h, first_h.get((market, symbol), now_h))
    wanted = {(*key, open_h) for key, since_h in first_h.items() for open_h in range(since_h, now_h)}
    return wanted - lately


def _no_days(symbols: int) -> DailyBars:
    empty = np.zeros((symbols, 0))
    return DailyBars(empty, empty, empty, empty, np.zeros((symbols, 0), np.int64))


def settled_hour(rate: SettledRate) -> int:
    """Give the hour a rate belongs to."""
    return int(stamp_hours(np.array([rate.stamp_ms], np.int64))[0])
