"""Live public prices: tickers polled from the exchange, candles and funding fetched when somebody asks."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import Any

import aiohttp

from eternal_engine import clock
from eternal_engine.market_data.history import HOUR_MS
from eternal_engine.model.errors import DataError
from eternal_engine.simulator.bars import Candle
from eternal_engine.simulator.feeds import FundingPoint
from eternal_engine.simulator.hosts import PUBLIC_URL
from eternal_engine.simulator.venue import LINEAR, SPOT, Instrument, Quote, Venue
from eternal_engine.simulator.venue.instruments import Category

POLL_S = 1.0
CANDLE_POLL_S = 5.0
TIMEOUT_S = 10.0
# Without a fresh ticker for so long the market counts as silent: orders wait instead of trading at a stale price.
STALE_MS = 15_000
CANDLES_MOST = 200_000
CATEGORIES: tuple[Category, Category] = (SPOT, LINEAR)
KLINE_PATHS = {"/v5/market/kline", "/v5/market/mark-price-kline", "/v5/market/index-price-kline"}


@dataclass(frozen=True, slots=True)
class Live:
    """Hold one polled ticker; the funding fields are None on spot."""

    quote: Quote
    seen_ms: int
    next_funding_ms: int | None
    rate: Decimal | None
    interval_h: int


class LiveFeed:
    """Price a venue by a public V5 REST host; everything trades here, nothing is ever sent there but public reads.

    The venue's time is the wall clock. Funding is settled when a contract's own time has passed, at the rate the
    host publishes for it and the mark of the moment the rate is known.
    """

    def __init__(self, symbols: tuple[str, ...], url: str = PUBLIC_URL) -> None:
        self.symbols = symbols
        self.start_ms = 0
        self.end_ms = 2**62
        self.instruments: dict[tuple[Category, str], dict[str, Any]] = {}
        self._url = url
        self._live: dict[tuple[Category, str], Live] = {}
        self._candles: dict[tuple[Category, str, int, int], Candle] = {}
        self._funding: dict[str, dict[int, FundingPoint]] = {}
        self._due: dict[str, int] = {}
        self._settled_ms: dict[str, int] = {}
        self._watched: dict[tuple[Category, str, str], float] = {}
        self._http: aiohttp.ClientSession | None = None
        self._poller: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read rules and prices once, or say that the network has no exchange; then poll."""
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S))
        try:
            for category in CATEGORIES:
                rows = (await self._ask("/v5/market/instruments-info", category=category, limit="1000"))["list"]
                for row in rows:
                    if row.get("symbol") in self.symbols:
                        self.instruments[category, row["symbol"]] = row
            await self._poll()
        except (aiohttp.ClientError, TimeoutError, KeyError, ValueError) as error:
            await self.stop()
            raise DataError(
                f"live prices cannot be read: {error or type(error).__name__}",
                where=self._url,
                mend="use --market synthetic or a directory of data",
            ) from error
        self._poller = asyncio.create_task(self._keep_polling())

    async def stop(self) -> None:
        """Stop polling and close the connection."""
        if self._poller is not None:
            self._poller.cancel()
            with suppress(asyncio.CancelledError):
                await self._poller
        if self._http is not None:
            await self._http.close()

    async def prepare(self, path: str, fields: Mapping[str, Any]) -> None:
        """Fetch the candles or settlements a request is about; what cannot be fetched is answered from memory."""
        symbol = str(fields.get("symbol", ""))
        if symbol not in self.symbols:
            return
        with suppress(aiohttp.ClientError, TimeoutError, KeyError, ValueError):
            if path in KLINE_PATHS:
                await self._fetch_candles(path, symbol, fields)
            elif path == "/v5/market/funding/history":
                known = {name: str(value) for name, value in fields.items()}
                await self._fetch_funding(symbol, known)

    def open_market(self, venue: Venue) -> None:
        """Take the host's trading rules and prices; what was settled before the venue's present instant is past."""
        for symbol in self.symbols:
            self._settled_ms.setdefault(symbol, venue.state.now_ms)
        for key, row in self.instruments.items():
            if key in venue.state.instruments:
                venue.change_instrument(_with_rules(venue.state.instruments[key], row))
        venue.set_quotes({key: live.quote for key, live in self._live.items()})

    def advance(self, venue: Venue, to_ms: int) -> None:
        """Move the venue to now: settle due funding, take new prices, fall silent where there are none."""
        venue.advance(to_ms)
        for symbol in self.symbols:
            self._settle(venue, symbol, to_ms)
        fresh = {}
        for key, live in self._live.items():
            if to_ms - live.seen_ms > STALE_MS:
                venue.halt(*key)
            elif venue.state.quotes.get(key) != live.quote or key in venue.state.halted:
                fresh[key] = live.quote
        if fresh:
            venue.tick(fresh)

    def candle(self, category: Category, symbol: str, start_ms: int, end_ms: int, now_ms: int) -> Candle | None:
        """Give a fetched candle; a day's figures come from the hours that were fetched."""
        del now_ms
        return self._candles.get((category, symbol, start_ms, end_ms - start_ms))

    def candles(
        self, category: Category, symbol: str, opens: Sequence[int], length_ms: int, now_ms: int
    ) -> list[Candle | None]:
        """Give fetched candles."""
        return [self.candle(category, symbol, at, at + length_ms, now_ms) for at in opens]

    def funding(self, symbol: str, start_ms: int, end_ms: int) -> list[FundingPoint]:
        """List fetched settlements in [start_ms, end_ms], oldest first."""
        points = self._funding.get(symbol, {})
        return [points[stamp] for stamp in sorted(points) if start_ms <= stamp <= end_ms]

    def next_funding(self, symbol: str, now_ms: int) -> FundingPoint | None:
        """Give the host's own announcement of the next settlement."""
        del now_ms
        live = self._live.get((LINEAR, symbol))
        if live is None or live.next_funding_ms is None or live.rate is None:
            return None
        return FundingPoint(live.next_funding_ms, live.rate, live.interval_h)

    def watch(self, category: Category, symbol: str, interval: str) -> None:
        """Keep these candles fresh from now on."""
        self._watched.setdefault((category, symbol, interval), 0.0)

    def _settle(self, venue: Venue, symbol: str, to_ms: int) -> None:
        """Settle all that was published since the last settlement, also what came while this exchange did not run."""
        quote = venue.state.quote(LINEAR, symbol)
        if quote is None:
            return
        for point in self.funding(symbol, self._settled_ms.get(symbol, to_ms) + 1, to_ms):
            venue.settle_funding(symbol, point.rate, quote.mark, point.stamp_ms)
            self._settled_ms[symbol] = point.stamp_ms
            if self._due.get(symbol, to_ms + 1) <= point.stamp_ms:
                del self._due[symbol]

    async def _keep_polling(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            # A failed poll leaves old prices, and old prices soon count as silence.
            with suppress(aiohttp.ClientError, TimeoutError, KeyError, ValueError):
                await self._poll()
                await self._refresh_watched()

    async def _refresh_watched(self) -> None:
        for (category, symbol, interval), refreshed in list(self._watched.items()):
            if clock.monotonic() - refreshed >= CANDLE_POLL_S:
                fields = {"category": category, "symbol": symbol, "interval": interval, "limit": "3"}
                await self._fetch_candles("/v5/market/kline", symbol, fields)
                self._watched[category, symbol, interval] = clock.monotonic()

    async def _poll(self) -> None:
        for category in CATEGORIES:
            rows = (await self._ask("/v5/market/tickers", category=category))["list"]
            for row in rows:
                if row.get("symbol") in self.symbols:
                    await self._take(category, row)

    async def _take(self, category: Category, row: dict[str, Any]) -> None:
        symbol = row["symbol"]
        try:
            live = _live(category, row)
        except InvalidOperation as error:
            raise ValueError(f"ticker of {symbol} has a field that is no number") from error
        before = self._live.get((category, symbol))
        self._live[category, symbol] = live
        if before is not None and before.next_funding_ms and before.next_funding_ms != live.next_funding_ms:
            self._due[symbol] = before.next_funding_ms
        if category == LINEAR and (symbol in self._due or before is None):
            await self._fetch_funding(symbol, {"category": "linear", "symbol": symbol, "limit": "200"})

    async def _fetch_candles(self, path: str, symbol: str, fields: Mapping[str, Any]) -> None:
        sent = {name: str(value) for name, value in fields.items()}
        category: Category = SPOT if sent.get("category") == SPOT or path.endswith("index-price-kline") else LINEAR
        rows = (await self._ask(path, **sent))["list"]
        if len(self._candles) + len(rows) > CANDLES_MOST:
            self._candles.clear()
        length = _length_ms(sent.get("interval", ""))
        for row in rows:
            numbers = [float(value) for value in row[1:]] + [0.0] * (7 - len(row))
            self._candles[category, symbol, int(row[0]), length] = Candle(int(row[0]), *numbers[:6])

    async def _fetch_funding(self, symbol: str, fields: dict[str, str]) -> None:
        live = self._live.get((LINEAR, symbol))
        interval_h = 8 if live is None else live.interval_h
        points = self._funding.setdefault(symbol, {})
        for row in (await self._ask("/v5/market/funding/history", **fields))["list"]:
            stamp = int(row["fundingRateTimestamp"])
            points[stamp] = FundingPoint(stamp, Decimal(row["fundingRate"]), interval_h)

    async def _ask(self, path: str, **fields: str) -> dict[str, Any]:
        assert self._http is not None, "the feed was not started"
        async with self._http.get(f"{self._url}{path}", params=fields) as reply:
            reply.raise_for_status()
            doc = await reply.json()
        if doc.get("retCode") != 0:
            raise ValueError(f"{path} answered {doc.get('retCode')}: {doc.get('retMsg')}")
        return dict(doc["result"])


def _live(category: Category, row: dict[str, Any]) -> Live:
    last = Decimal(row["lastPrice"])
    bid, ask = Decimal(row.get("bid1Price") or last), Decimal(row.get("ask1Price") or last)
    if category == SPOT:
        return Live(Quote(last, bid, ask, last, last), clock.now_ms(), None, None, 8)
    quote = Quote(last, bid, ask, Decimal(row["markPrice"]), Decimal(row["indexPrice"]))
    rate = Decimal(row["fundingRate"]) if row.get("fundingRate") else None
    interval_h = int(row.get("fundingIntervalHour") or 8)
    return Live(quote, clock.now_ms(), int(row.get("nextFundingTime") or 0) or None, rate, interval_h)


def _with_rules(item: Instrument, row: dict[str, Any]) -> Instrument:
    lot, price = row["lotSizeFilter"], row["priceFilter"]
    if item.category == SPOT:
        return replace(
            item,
            tick=Decimal(price["tickSize"]),
            qty_step=Decimal(lot["basePrecision"]),
            quote_step=Decimal(lot["quotePrecision"]),
            min_value=Decimal(lot["minOrderAmt"]),
        )
    return replace(
        item,
        tick=Decimal(price["tickSize"]),
        qty_step=Decimal(lot["qtyStep"]),
        min_qty=Decimal(lot["minOrderQty"]),
        min_value=Decimal(lot["minNotionalValue"]),
        max_limit_qty=Decimal(lot["maxOrderQty"]),
        max_market_qty=Decimal(lot["maxMktOrderQty"]),
        funding_interval_min=int(row["fundingInterval"]),
    )


def _length_ms(interval: str) -> int:
    days = {"D": 24 * HOUR_MS, "W": 7 * 24 * HOUR_MS}
    return days.get(interval) or int(interval) * 60_000
