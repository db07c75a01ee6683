"""Recorded bars as prices and candles: whole ones, and the parts of one that is still being lived through."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np

from eternal_engine.market_data.history import HOUR_MS, MarketHistory, Ohlcv
from eternal_engine.simulator.paths import BarPath
from eternal_engine.simulator.venue import SPOT, default_instruments
from eternal_engine.simulator.venue.instruments import Category

PLACES = 10
# Recorded prices are short; only what arithmetic made is longer.
WRITTEN_MOST = 14


@dataclass(frozen=True, slots=True)
class Candle:
    """Hold one candle; `volume` in base coins, `turnover` in the quote coin."""

    open_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    turnover: float


class Bars:
    """Read prices and candles out of a history; None wherever there is no bar."""

    def __init__(self, history: MarketHistory) -> None:
        self.history = history
        self._row = {symbol: number for number, symbol in enumerate(history.symbols)}
        self._places = {key: _decimals(item.tick) for key, item in default_instruments().items()}

    def path(self, category: Category, symbol: str, hour: int) -> BarPath | None:
        """Give the way the price takes through one hour."""
        row = self._row.get(symbol)
        if row is None or not 0 <= hour < self.history.hours:
            return None
        bars = self._table(category)
        close = float(bars.close[row, hour])
        if math.isnan(close):
            return None
        return BarPath.of(float(bars.open[row, hour]), float(bars.high[row, hour]), float(bars.low[row, hour]), close)

    def close_before(self, category: Category, symbol: str, hour: int) -> float | None:
        """Give the close of the last bar before an hour; None when there was none yet."""
        row = self._row.get(symbol)
        if row is None:
            return None
        closes = self._table(category).close[row]
        upto = min(max(0, hour), len(closes))
        # Silence is short as a rule: a day is looked through before everything is.
        for since in (max(0, upto - 24), 0):
            held = np.flatnonzero(~np.isnan(closes[since:upto]))
            if len(held):
                return float(closes[since + held[-1]])
        return None

    def opens(self, category: Category, hour: int) -> list[float]:
        """List the opens of all symbols at one hour, in the history's order; NaN where there is no bar."""
        if not 0 <= hour < self.history.hours:
            return [math.nan] * len(self._row)
        opens: list[float] = self._table(category).open[:, hour].tolist()
        return opens

    def candle(self, category: Category, symbol: str, start_ms: int, end_ms: int, now_ms: int) -> Candle | None:
        """Sum up what traded in [start_ms, end_ms) as far as it has happened; None when nothing did."""
        end_ms = min(end_ms, now_ms, self.history.end_ms)
        pieces: list[Candle] = []
        at = max(start_ms, self.history.start_ms)
        while at < end_ms:
            hour = (at - self.history.start_ms) // HOUR_MS
            open_ms = self.history.start_ms + hour * HOUR_MS
            stop = min(open_ms + HOUR_MS, end_ms)
            if at == open_ms and end_ms - at >= HOUR_MS:
                hours = (end_ms - at) // HOUR_MS
                whole = self._whole_hours(category, symbol, hour, hour + hours)
                at += hours * HOUR_MS
                pieces += [] if whole is None else [whole]
                continue
            part = self._part_hour(category, symbol, hour, (at - open_ms) / HOUR_MS, (stop - open_ms) / HOUR_MS)
            pieces += [] if part is None else [part]
            at = stop
        if not pieces:
            return None
        if len(pieces) == 1:
            return pieces[0] if pieces[0].open_ms == start_ms else replace(pieces[0], open_ms=start_ms)
        return Candle(
            open_ms=start_ms,
            open=pieces[0].open,
            high=max(piece.high for piece in pieces),
            low=min(piece.low for piece in pieces),
            close=pieces[-1].close,
            volume=sum(piece.volume for piece in pieces),
            turnover=sum(piece.turnover for piece in pieces),
        )

    def candles(
        self, category: Category, symbol: str, opens: Sequence[int], length_ms: int, now_ms: int
    ) -> list[Candle | None]:
        """Sum up candles of one length at the opens as `candle` does each; whole ones side by side in one go."""
        first_ms, end_ms = self.history.start_ms, min(now_ms, self.history.end_ms)
        whole: dict[int, Candle | None] = {}
        if length_ms % HOUR_MS == 0 and len(opens) > 1:
            inside = [
                at for at in opens if at >= first_ms and at + length_ms <= end_ms and not (at - first_ms) % HOUR_MS
            ]
            if inside and len(inside) * length_ms == max(inside) + length_ms - min(inside):
                hours = length_ms // HOUR_MS
                found = self._runs(category, symbol, (min(inside) - first_ms) // HOUR_MS, hours, len(inside))
                whole = dict(zip(sorted(inside), found, strict=True))
        return [whole[at] if at in whole else self.candle(category, symbol, at, at + length_ms, now_ms) for at in opens]

    def _runs(self, category: Category, symbol: str, first: int, hours: int, count: int) -> list[Candle | None]:
        """Sum up `count` runs of so many whole hours each, from one hour on."""
        row, bars = self._row[symbol], self._table(category)
        piece = slice(first, first + hours * count)
        close = bars.close[row, piece].reshape(count, hours)
        opens, highs, lows, volumes = (
            column[row, piece].reshape(count, hours) for column in (bars.open, bars.high, bars.low, bars.volume)
        )
        is_full = np.logical_not(np.isnan(close).any(axis=1, keepdims=True))
        volumes = np.where(np.isnan(volumes), 0.0, volumes)
        turnovers = volumes * (opens + close) / 2
        columns = (
            is_full[:, 0],
            opens[:, 0],
            highs.max(axis=1, where=is_full, initial=-np.inf),
            lows.min(axis=1, where=is_full, initial=np.inf),
            close[:, -1],
            volumes,
            turnovers,
        )
        found: list[Candle | None] = []
        for number, (full, open_, high, low, last, volume, turnover) in enumerate(
            zip(*(column.tolist() for column in columns), strict=True)
        ):
            start = first + number * hours
            if not full:
                found.append(self._whole_hours(category, symbol, start, start + hours))
                continue
            # The sums of `_whole_hours`, to the last bit.
            sums = (volume[0], turnover[0]) if hours == 1 else (math.fsum(volume), math.fsum(turnover))
            found.append(Candle(self.history.open_ms(start), open_, high, low, last, *sums))
        return found

    def _whole_hours(self, category: Category, symbol: str, first: int, last: int) -> Candle | None:
        row, bars = self._row[symbol], self._table(category)
        if last == first + 1:
            return self._one_hour(bars, row, first)
        piece = slice(first, last)
        # Lists: for the 24 hours of a day or a ticker, asked for all the time, they are far faster than arrays.
        closes = bars.close[row, piece].tolist()
        columns = [column[row, piece].tolist() for column in (bars.open, bars.high, bars.low, bars.volume)]
        if math.isnan(sum(closes)):
            held = [place for place, close in enumerate(closes) if not math.isnan(close)]
            if not held:
                return None
            closes, *columns = ([column[place] for place in held] for column in (closes, *columns))
        opens, highs, lows, volumes = columns
        if math.isnan(sum(volumes)):
            volumes = [0.0 if math.isnan(volume) else volume for volume in volumes]
        middles = zip(volumes, opens, closes, strict=True)
        return Candle(
            open_ms=self.history.open_ms(first),
            open=opens[0],
            high=max(highs),
            low=min(lows),
            close=closes[-1],
            volume=math.fsum(volumes),
            turnover=math.fsum([volume * (open_ + close) / 2 for volume, open_, close in middles]),
        )

    def _one_hour(self, bars: Ohlcv, row: int, hour: int) -> Candle | None:
        close = float(bars.close[row, hour])
        if math.isnan(close):
            return None
        first, volume = float(bars.open[row, hour]), float(bars.volume[row, hour])
        volume = 0.0 if math.isnan(volume) else volume
        return Candle(
            open_ms=self.history.open_ms(hour),
            open=first,
            high=float(bars.high[row, hour]),
            low=float(bars.low[row, hour]),
            close=close,
            volume=volume,
            turnover=volume * (first + close) / 2,
        )

    def _part_hour(self, category: Category, symbol: str, hour: int, start: float, end: float) -> Candle | None:
        path = self.path(category, symbol, hour)
        if path is None:
            return None
        low, high = (self.rounded(category, symbol, price) for price in path.extremes(start, end))
        volume = float(self._table(category).volume[self._row[symbol], hour]) * (end - start)
        volume = 0.0 if math.isnan(volume) else volume
        return Candle(
            open_ms=self.history.open_ms(hour),
            open=self.rounded(category, symbol, path.at(start)),
            high=high,
            low=low,
            close=self.rounded(category, symbol, path.at(end)),
            volume=volume,
            turnover=volume * (low + high) / 2,
        )

    def rounded(self, category: Category, symbol: str, price: float) -> float:
        """Round a price that was made up inside a bar to the decimals of the tick."""
        return round(price, self._places.get((category, symbol), PLACES))

    def _table(self, category: Category) -> Ohlcv:
        return self.history.spot if category == SPOT else self.history.perp


def exact(price: float) -> Decimal:
    """Read a float as the decimal it was written as, so that 4261.48 stays 4261.48."""
    written = repr(price)
    return Decimal(written if len(written) <= WRITTEN_MOST else repr(round(price, PLACES)))


def _decimals(tick: Decimal) -> int:
    return max(0, -int(tick.normalize().as_tuple().exponent))
