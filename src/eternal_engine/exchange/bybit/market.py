"""Read the public facts of the market: clock, instruments, tickers, candles, funding rates. Needs no key."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from eternal_engine.exchange.bybit import endpoints, wire
from eternal_engine.exchange.bybit.caller import Caller, rows_of, server_ms
from eternal_engine.exchange.bybit.paging import Params, all_pages
from eternal_engine.exchange.bybit.wire.fields import NANOS, bad
from eternal_engine.exchange.market import Candle, FundingRate, Instrument, Ticker
from eternal_engine.exchange.terms import Market

CANDLE_PAGE = 1_000
FUNDING_PAGE = 200


class MarketReader:
    """Implement `exchange.port.MarketSource` over the wire."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def server_time(self) -> datetime:
        """Return the exchange's clock."""
        reply = await self._caller.call(endpoints.TIME, {})
        nanos = wire.read_field(reply.answer.result, "timeNano", NANOS, "market/time")
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=nanos // 1000)

    async def instruments(self, market: Market, symbols: Collection[str] | None = None) -> tuple[Instrument, ...]:
        """Return the rules of these symbols (None: of every tradable one), all pages.

        Rows of other symbols are not read: an odd one among hundreds must not stop the daemon.
        """
        category = wire.CATEGORY_OF[market]
        shape = wire.SPOT_INSTRUMENT if market is Market.SPOT else wire.PERP_INSTRUMENT
        where = f"instruments-info {category}"
        params: Params = {"category": category}
        if market is Market.PERP:
            # Over 500 symbols: without a limit the list is silently cut (1.1).
            params["limit"] = 1000
        fetch = self._caller.fetcher(endpoints.INSTRUMENTS, where)
        return await all_pages(fetch, params, shape, where, {"category": category}, symbols)

    async def tickers(self, market: Market, symbols: Collection[str] | None = None) -> tuple[Ticker, ...]:
        """Return the latest prices of these symbols (None: of all)."""
        category = wire.CATEGORY_OF[market]
        where = f"tickers {category}"
        params: Params = {"category": category}
        if symbols is not None and len(symbols) == 1:
            params["symbol"] = next(iter(symbols))
        reply = await self._caller.call(endpoints.TICKERS, params, where)
        at_ms = server_ms(reply)
        rows = rows_of(reply.answer.result, where)
        wanted = [row for row in rows if symbols is None or row.get("symbol") in symbols]
        return tuple(wire.parse_ticker(row, category, at_ms, where) for row in wanted)

    async def candles(
        self, market: Market, symbol: str, interval: timedelta, start: datetime, end: datetime
    ) -> tuple[Candle, ...]:
        """Return the candles that open in [start, end), oldest first, all pages; a still open one is not `closed`."""
        found: dict[datetime, Candle] = {}
        first_ms, end_ms = wire.to_ms(start), wire.to_ms(end)
        step_ms = interval // timedelta(milliseconds=1)
        while first_ms < end_ms:
            last_ms = min(first_ms + step_ms * CANDLE_PAGE, end_ms) - 1
            for candle in await self._candle_page(market, symbol, interval, first_ms, last_ms):
                if start <= candle.opened_at < end:
                    found[candle.opened_at] = candle
            first_ms = last_ms + 1
        return tuple(found[at] for at in sorted(found))

    async def _candle_page(
        self, market: Market, symbol: str, interval: timedelta, first_ms: int, last_ms: int
    ) -> list[Candle]:
        category, word = wire.CATEGORY_OF[market], wire.INTERVAL_WORD[interval]
        where = f"kline {category} {symbol}"
        params: Params = {
            "category": category,
            "symbol": symbol,
            "interval": word,
            "start": first_ms,
            "end": last_ms,
            "limit": CANDLE_PAGE,
        }
        reply = await self._caller.call(endpoints.KLINE, params, where)
        now_ms = server_ms(reply)
        rows = reply.answer.result.get("list")
        if not isinstance(rows, list):
            raise bad("list", rows, "a list", where)
        return [wire.parse_kline(row, category, symbol, word, now_ms, where) for row in rows]

    async def funding_rates(self, symbol: str, start: datetime, end: datetime) -> tuple[FundingRate, ...]:
        """Return the rates settled in [start, end), oldest first, all pages."""
        where = f"funding/history {symbol}"
        found: dict[datetime, FundingRate] = {}
        upto_ms = wire.to_ms(end) - 1
        while upto_ms >= wire.to_ms(start):
            # There is no cursor and a lone start is an error (1.1): walk back by the end.
            params: Params = {
                "category": "linear",
                "symbol": symbol,
                "startTime": wire.to_ms(start),
                "endTime": upto_ms,
                "limit": FUNDING_PAGE,
            }
            reply = await self._caller.call(endpoints.FUNDING_HISTORY, params, where)
            rates = wire.parse_list(wire.FUNDING_RATE, reply.answer.result.get("list"), where)
            found |= {rate.settled_at: rate for rate in rates}
            if len(rates) < FUNDING_PAGE:
                break
            upto_ms = wire.to_ms(min(rate.settled_at for rate in rates)) - 1
        return tuple(found[at] for at in sorted(found) if start <= at < end)
