"""Price feeds that drive a venue from recorded or synthetic history, bar by bar or along the path inside a bar."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

import numpy as np

from eternal_engine.market_data.history import HOUR_MS, MarketHistory
from eternal_engine.simulator.bars import Bars, Candle, exact
from eternal_engine.simulator.venue import LINEAR, SPOT, Quote, Range, Venue
from eternal_engine.simulator.venue.instruments import Category


@dataclass(frozen=True, slots=True)
class FundingPoint:
    """Hold one settled rate (a fraction of position value) with its stamp and the contract's interval."""

    stamp_ms: int
    rate: Decimal
    interval_h: int


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

    def candles(
        self, category: Category, symbol: str, opens: Sequence[int], length_ms: int, now_ms: int
    ) -> list[Candle | None]:
        """Sum up candles of one length at each of the opens, as `candle` does one."""
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
        self._bars = Bars(history)
        self._changes_ms = _change_times(history)

    async def start(self) -> None:
        """Do nothing: the history is in memory."""

    async def stop(self) -> None:
        """Do nothing: the history is in memory."""

    async def prepare(self, path: str, fields: Mapping[str, Any]) -> None:
        """Do nothing: the history is in memory."""

    def watch(self, category: Category, symbol: str, interval: str) -> None:
        """Do nothing: the history is always fresh."""

    def open_market(self, venue: Venue) -> None:
        """Set the quotes of the venue's present instant; what is not listed yet stays without a quote.

        What is silent just now is halted at its last close, as it would be had the venue lived through the bar before:
        an order must not care whether the exchange was restarted inside a gap.
        """
        now_ms = venue.state.now_ms
        self._list_and_delist(venue, now_ms)
        hour = (now_ms - self.start_ms) // HOUR_MS
        for symbol in self.symbols:
            for category in (SPOT, LINEAR):
                if (category, symbol) in venue.state.instruments and self._bars.path(category, symbol, hour) is None:
                    close = self._last_close(category, symbol, hour)
                    if close is not None:
                        venue.halt(category, symbol, close)
        self._quote(venue, now_ms)

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
            busy = _busy(venue)
            self._pass(venue, busy, hour, now_ms, stop_ms, whole=stop_ms == boundary_ms)
            venue.advance(stop_ms)
            self._settle(venue, now_ms, stop_ms)
            if any(now_ms < change_ms <= stop_ms for change_ms in self._changes_ms):
                self._list_and_delist(venue, stop_ms)
            self._quote(venue, stop_ms, None if stop_ms == to_ms else busy)

    def candle(self, category: Category, symbol: str, start_ms: int, end_ms: int, now_ms: int) -> Candle | None:
        """Sum up what traded in [start_ms, end_ms) as far as it has happened; None when nothing did."""
        return self._bars.candle(category, symbol, start_ms, end_ms, now_ms)

    def candles(
        self, category: Category, symbol: str, opens: Sequence[int], length_ms: int, now_ms: int
    ) -> list[Candle | None]:
        """Sum up candles of one length at each of the opens, as `candle` does one."""
        return self._bars.candles(category, symbol, opens, length_ms, now_ms)

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
            int(rates.stamp_ms[number]), exact(float(rates.rate[number])), int(rates.interval_h[number])
        )

    def _pass(
        self, venue: Venue, busy: set[tuple[Category, str]], hour: int, from_ms: int, to_ms: int, *, whole: bool
    ) -> None:
        """Let the stretch [from, to] of one bar touch what rests; its time is the last millisecond inside the bar."""
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
        own = self._bars.path(category, symbol, hour)
        if own is None:
            return None
        low, high = own.extremes(start, end)
        spot = own if category == SPOT else self._bars.path(SPOT, symbol, hour)
        index_low, index_high = (low, high) if spot is None else spot.extremes(start, end)
        return Range(
            open=exact(own.at(start)),
            low=exact(low),
            high=exact(high),
            close=exact(own.at(end)),
            mark_low=exact(max(low, index_low)),
            mark_high=exact(min(high, index_high)),
            index_low=exact(index_low),
            index_high=exact(index_high),
        )

    def _settle(self, venue: Venue, after_ms: int, until_ms: int) -> None:
        for symbol in sorted({symbol for (_, symbol, _), row in venue.state.positions.items() if row.size}):
            if symbol not in self._row:
                continue
            for point in self.funding(symbol, after_ms + 1, until_ms):
                venue.settle_funding(symbol, point.rate, self._mark_at(venue, symbol, point.stamp_ms), point.stamp_ms)

    def _mark_at(self, venue: Venue, symbol: str, at_ms: int) -> Decimal:
        hour, inside = divmod(at_ms - self.start_ms, HOUR_MS)
        path = self._bars.path(LINEAR, symbol, int(hour))
        if path is not None:
            return exact(path.at(inside / HOUR_MS))
        before = self._bars.path(LINEAR, symbol, int(hour) - 1)
        if before is not None:
            return exact(before.at(1))
        return venue.state.quotes[LINEAR, symbol].mark

    def _quote(self, venue: Venue, now_ms: int, only: set[tuple[Category, str]] | None = None) -> None:
        """Quote every symbol at an instant, or on the way there `only` those that something rests or is held in."""
        hour, inside = divmod(now_ms - self.start_ms, HOUR_MS)
        prices = {
            category: self._bars.opens(category, int(hour)) if not inside else self._inside(category, int(hour), inside)
            for category in (SPOT, LINEAR)
        }
        quotes: dict[tuple[Category, str], Quote] = {}
        for row, symbol in enumerate(self.symbols):
            spot_price = prices[SPOT][row]
            on_spot = None if math.isnan(spot_price) else exact(spot_price)
            for category in (SPOT, LINEAR):
                key: tuple[Category, str] = (category, symbol)
                if only is not None and key not in only:
                    continue
                price = prices[category][row]
                if math.isnan(price) or key not in venue.state.instruments:
                    if key in venue.state.quotes:
                        venue.halt(category, symbol, self._last_close(category, symbol, int(hour)))
                    continue
                last = on_spot if category == SPOT and on_spot is not None else exact(price)
                index = last if on_spot is None else on_spot
                if self._half_spread:
                    away = last * self._half_spread
                    quotes[key] = Quote(last, last - away, last + away, last, index)
                else:
                    quotes[key] = Quote(last, last, last, last, index)
        venue.set_quotes(quotes)

    def _last_close(self, category: Category, symbol: str, hour: int) -> Quote | None:
        """Mark a silent symbol at the close of its last bar, however long ago; None when it had none yet."""
        close = self._bars.close_before(category, symbol, hour)
        return None if close is None else Quote.flat(exact(close))

    def _inside(self, category: Category, hour: int, inside_ms: int) -> list[float]:
        paths = [self._bars.path(category, symbol, hour) for symbol in self.symbols]
        return [
            math.nan if path is None else self._bars.rounded(category, symbol, path.at(inside_ms / HOUR_MS))
            for symbol, path in zip(self.symbols, paths, strict=True)
        ]

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


def _busy(venue: Venue) -> set[tuple[Category, str]]:
    """List what a passing bar could touch: symbols with open orders or a position."""
    busy = {(order.category, order.symbol) for orders in venue.state.open_orders.values() for order in orders.values()}
    return busy | {(LINEAR, symbol) for (_, symbol, _), row in venue.state.positions.items() if row.size}


def _change_times(history: MarketHistory) -> list[int]:
    """List the instants at which a symbol is listed or delisted."""
    arrays = (history.listed_ms, history.first_funding_ms, history.delisted_ms)
    return sorted({int(stamp) for array in arrays for stamp in array})
