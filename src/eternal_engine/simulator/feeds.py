"""Price feeds that drive a venue from recorded or synthetic history, bar by bar or along the path inside a bar."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Protocol

import numpy as np

from eternal_engine.market_data.history import HOUR_MS, MarketHistory, Ohlcv
from eternal_engine.simulator.paths import BarPath
from eternal_engine.simulator.venue import LINEAR, SPOT, Quote, Range, Venue, default_instruments
from eternal_engine.simulator.venue.instruments import Category

PLACES = 10


@dataclass(frozen=True, slots=True)
class FundingPoint:
    """Hold one settled rate (a fraction of position value) with its stamp and the contract's interval."""

    stamp_ms: int
    rate: Decimal
    interval_h: int


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


class Feed(Protocol):
    """Give a venue its prices, and readers the market data behind them."""

    symbols: tuple[str, ...]
    start_ms: int
    end_ms: int

    async def start(self) -> None:
        """Connect to where prices come from; nothing to do for what is held in memory."""
        ...

    async def stop(self) -> None:
        """Let go of what `start` took."""
        ...

    async def prepare(self, path: str, fields: Mapping[str, Any]) -> None:
        """Fetch what answering a market request will need; `path` and `fields` are those of the request."""
        ...

    def watch(self, category: Category, symbol: str, interval: str) -> None:
        """Note that somebody follows these candles, so that they are kept fresh."""
        ...

    def open_market(self, venue: Venue) -> None:
        """Set the quotes of the venue's present instant."""
        ...

    def advance(self, venue: Venue, to_ms: int) -> None:
        """Move the venue to an instant, with everything that happens on the way."""
        ...

    def candle(self, category: Category, symbol: str, start_ms: int, end_ms: int, now_ms: int) -> Candle | None:
        """Sum up what traded in [start_ms, end_ms) as far as it has happened; None when nothing did."""
        ...

    def funding(self, symbol: str, start_ms: int, end_ms: int) -> list[FundingPoint]:
        """List settlements in [start_ms, end_ms], oldest first."""
        ...

    def next_funding(self, symbol: str, now_ms: int) -> FundingPoint | None:
        """Give the next settlement's stamp and interval with the last settled rate as its prediction."""
        ...


class HistoryFeed:
    """Drive a venue through a MarketHistory: exact at bar boundaries (rules U-8, U-9, U-11), a path in between.

    At a boundary T: the bar before T has passed (stops, resting orders, liquidation), funding of T is settled on the
    positions held before T at the open of T's bar, then the quotes are the opens of T's bar.
    """

    def __init__(self, history: MarketHistory, *, spread_bps: Decimal = Decimal(0)) -> None:
        self.history = history
        self.symbols = history.symbols
        self.start_ms = history.start_ms
        self.end_ms = history.end_ms
        self._half_spread = spread_bps * Decimal("0.00005")
        self._row = {symbol: number for number, symbol in enumerate(history.symbols)}
        self._places = {key: _decimals(item.tick) for key, item in default_instruments().items()}

    async def start(self) -> None:
        """Do nothing: the history is in memory."""

    async def stop(self) -> None:
        """Do nothing: the history is in memory."""

    async def prepare(self, path: str, fields: Mapping[str, Any]) -> None:
        """Do nothing: the history is in memory."""

    def watch(self, category: Category, symbol: str, interval: str) -> None:
        """Do nothing: the history is always fresh."""

    def open_market(self, venue: Venue) -> None:
        """Set the quotes of the venue's present instant; what is not listed yet stays without a quote."""
        self._list_and_delist(venue, venue.state.now_ms)
        self._quote(venue, venue.state.now_ms)

    def advance(self, venue: Venue, to_ms: int) -> None:
        """Move the venue to an instant, hour by hour; past the end of the history only time goes on."""
        while venue.state.now_ms < to_ms:
            now_ms = venue.state.now_ms
            if now_ms >= self.end_ms or now_ms < self.start_ms:
                venue.advance(to_ms)
                return
            hour = (now_ms - self.start_ms) // HOUR_MS
            boundary_ms = self.start_ms + (hour + 1) * HOUR_MS
            stop_ms = min(boundary_ms, to_ms)
            self._pass(venue, hour, now_ms, stop_ms, whole=stop_ms == boundary_ms)
            venue.advance(stop_ms)
            self._settle(venue, now_ms, stop_ms)
            if stop_ms == boundary_ms:
                self._list_and_delist(venue, stop_ms)
            self._quote(venue, stop_ms)

    def candle(self, category: Category, symbol: str, start_ms: int, end_ms: int, now_ms: int) -> Candle | None:
        """Sum up what traded in [start_ms, end_ms) as far as it has happened; None when nothing did."""
        end_ms = min(end_ms, now_ms, self.end_ms)
        pieces: list[Candle] = []
        at = max(start_ms, self.start_ms)
        while at < end_ms:
            hour = (at - self.start_ms) // HOUR_MS
            open_ms = self.start_ms + hour * HOUR_MS
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

    def funding(self, symbol: str, start_ms: int, end_ms: int) -> list[FundingPoint]:
        """List settlements in [start_ms, end_ms], oldest first."""
        rates = self.history.funding[self._row[symbol]]
        first = int(np.searchsorted(rates.stamp_ms, start_ms, side="left"))
        last = int(np.searchsorted(rates.stamp_ms, end_ms, side="right"))
        return [self._point(symbol, number) for number in range(first, last)]

    def next_funding(self, symbol: str, now_ms: int) -> FundingPoint | None:
        """Give the next settlement's stamp and interval with the last settled rate as its prediction (rule U-4)."""
        rates = self.history.funding[self._row[symbol]]
        following = int(np.searchsorted(rates.stamp_ms, now_ms, side="right"))
        if following == 0 or not len(rates.stamp_ms):
            return None
        last = self._point(symbol, following - 1)
        if following >= len(rates.stamp_ms):
            return FundingPoint(last.stamp_ms + last.interval_h * HOUR_MS, last.rate, last.interval_h)
        coming = self._point(symbol, following)
        return FundingPoint(coming.stamp_ms, last.rate, coming.interval_h)

    def _point(self, symbol: str, number: int) -> FundingPoint:
        rates = self.history.funding[self._row[symbol]]
        return FundingPoint(
            int(rates.stamp_ms[number]), _exact(float(rates.rate[number])), int(rates.interval_h[number])
        )

    def _pass(self, venue: Venue, hour: int, from_ms: int, to_ms: int, *, whole: bool) -> None:
        """Let the stretch [from, to] of one bar touch what rests; its time is the last millisecond inside the bar."""
        busy = {
            (order.category, order.symbol) for orders in venue.state.open_orders.values() for order in orders.values()
        }
        busy |= {(LINEAR, symbol) for (_, symbol, _), row in venue.state.positions.items() if row.size}
        if not busy:
            return
        open_ms = self.start_ms + hour * HOUR_MS
        start, end = (from_ms - open_ms) / HOUR_MS, (to_ms - open_ms) / HOUR_MS
        ranges = {}
        for category, symbol in sorted(busy):
            found = self._range(category, symbol, hour, start, end)
            if found is not None:
                ranges[category, symbol] = found
        venue.advance(max(from_ms, to_ms - 1) if whole else to_ms)
        venue.sweep(ranges)

    def _range(self, category: Category, symbol: str, hour: int, start: float, end: float) -> Range | None:
        own = self._path(category, symbol, hour)
        if own is None:
            return None
        low, high = own.extremes(start, end)
        spot = own if category == SPOT else self._path(SPOT, symbol, hour)
        index_low, index_high = (low, high) if spot is None else spot.extremes(start, end)
        return Range(
            open=_exact(own.at(start)),
            low=_exact(low),
            high=_exact(high),
            close=_exact(own.at(end)),
            mark_low=_exact(max(low, index_low)),
            mark_high=_exact(min(high, index_high)),
            index_low=_exact(index_low),
            index_high=_exact(index_high),
        )

    def _settle(self, venue: Venue, after_ms: int, until_ms: int) -> None:
        for symbol in sorted({symbol for (_, symbol, _), row in venue.state.positions.items() if row.size}):
            if symbol not in self._row:
                continue
            for point in self.funding(symbol, after_ms + 1, until_ms):
                venue.settle_funding(symbol, point.rate, self._mark_at(venue, symbol, point.stamp_ms), point.stamp_ms)

    def _mark_at(self, venue: Venue, symbol: str, at_ms: int) -> Decimal:
        hour, inside = divmod(at_ms - self.start_ms, HOUR_MS)
        path = self._path(LINEAR, symbol, int(hour))
        if path is not None:
            return _exact(path.at(inside / HOUR_MS))
        before = self._path(LINEAR, symbol, int(hour) - 1)
        if before is not None:
            return _exact(before.at(1))
        return venue.state.quotes[LINEAR, symbol].mark

    def _quote(self, venue: Venue, now_ms: int) -> None:
        hour, inside = divmod(now_ms - self.start_ms, HOUR_MS)
        where = inside / HOUR_MS
        quotes: dict[tuple[Category, str], Quote] = {}
        for symbol in self.symbols:
            spot = self._path(SPOT, symbol, int(hour))
            perp = self._path(LINEAR, symbol, int(hour))
            index = None if spot is None else self._seen(SPOT, symbol, spot.at(where), where)
            for category, path in ((SPOT, spot), (LINEAR, perp)):
                key: tuple[Category, str] = (category, symbol)
                if path is None or key not in venue.state.instruments:
                    if key in venue.state.quotes:
                        venue.halt(category, symbol)
                    continue
                last = self._seen(category, symbol, path.at(where), where)
                away = last * self._half_spread
                quotes[key] = Quote(last, last - away, last + away, last, last if index is None else index)
        venue.set_quotes(quotes)

    def _list_and_delist(self, venue: Venue, now_ms: int) -> None:
        for symbol, row in self._row.items():
            gone_ms = int(self.history.delisted_ms[row])
            first_perp_ms = int(self.history.first_funding_ms[row])
            for category, from_ms in ((SPOT, int(self.history.listed_ms[row])), (LINEAR, first_perp_ms)):
                instrument = venue.state.instruments.get((category, symbol))
                if instrument is None:
                    continue
                waiting = from_ms < 0 or now_ms < from_ms
                status = "PreLaunch" if waiting else "Closed" if 0 <= gone_ms <= now_ms else "Trading"
                known = {"PreLaunch", "Closed", "Trading"}
                if instrument.status != status and instrument.status in known and instrument.status != "Closed":
                    venue.set_status(category, symbol, status)

    def _path(self, category: Category, symbol: str, hour: int) -> BarPath | None:
        row = self._row.get(symbol)
        if row is None or not 0 <= hour < self.history.hours:
            return None
        bars = self._bars(category)
        close = float(bars.close[row, hour])
        if math.isnan(close):
            return None
        return BarPath.of(float(bars.open[row, hour]), float(bars.high[row, hour]), float(bars.low[row, hour]), close)

    def _seen(self, category: Category, symbol: str, price: float, where: float) -> Decimal:
        """Show a price: recorded ones as they are, those made up inside a bar rounded to the tick's decimals."""
        return _exact(self._rounded(category, symbol, price) if where else price)

    def _rounded(self, category: Category, symbol: str, price: float) -> float:
        return round(price, self._places.get((category, symbol), PLACES))

    def _bars(self, category: Category) -> Ohlcv:
        return self.history.spot if category == SPOT else self.history.perp

    def _whole_hours(self, category: Category, symbol: str, first: int, last: int) -> Candle | None:
        row, bars = self._row[symbol], self._bars(category)
        if last == first + 1:
            return self._one_hour(bars, row, first)
        close = bars.close[row, first:last]
        held = np.flatnonzero(~np.isnan(close))
        if not len(held):
            return None
        opens = bars.open[row, first:last]
        volume = bars.volume[row, first:last][held]
        middle = (opens[held] + close[held]) / 2
        return Candle(
            open_ms=self.history.open_ms(first),
            open=float(opens[held[0]]),
            high=float(np.max(bars.high[row, first:last][held])),
            low=float(np.min(bars.low[row, first:last][held])),
            close=float(close[held[-1]]),
            volume=float(np.nansum(volume)),
            turnover=float(np.nansum(volume * middle)),
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
        path = self._path(category, symbol, hour)
        if path is None:
            return None
        low, high = (self._rounded(category, symbol, price) for price in path.extremes(start, end))
        volume = float(self._bars(category).volume[self._row[symbol], hour]) * (end - start)
        volume = 0.0 if math.isnan(volume) else volume
        return Candle(
            open_ms=self.history.open_ms(hour),
            open=self._rounded(category, symbol, path.at(start)),
            high=high,
            low=low,
            close=self._rounded(category, symbol, path.at(end)),
            volume=volume,
            turnover=volume * (low + high) / 2,
        )


def _decimals(tick: Decimal) -> int:
    return max(0, -int(tick.normalize().as_tuple().exponent))


def _exact(price: float) -> Decimal:
    """Read a float as the decimal it was written as, so that 4261.48 stays 4261.48."""
    return Decimal(repr(round(price, PLACES)))
