"""Public topics of one market: tickers merged from snapshot and deltas, and completed candles, each exactly once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from eternal_engine import clock
from eternal_engine.exchange.bybit import wire
from eternal_engine.exchange.bybit.stream.mailbox import Mailbox
from eternal_engine.exchange.bybit.wire.fields import NAME, TIME_NUMBER, bad
from eternal_engine.exchange.events import CandleClosed, TickerSeen
from eternal_engine.exchange.market import Candle
from eternal_engine.exchange.port import MarketSource
from eternal_engine.exchange.terms import Market

# A confirmed candle comes within seconds of its close; later, it was missed and REST has it (5.2).
CONFIRM_GRACE = timedelta(seconds=10)
FIRST_RETRY = timedelta(seconds=5)
LAST_RETRY = timedelta(minutes=5)


class PublicDesk:
    """Turn public frames of one market into TickerSeen and CandleClosed.

    `known` maps a symbol to the open time of the last candle the consumer already has; the first catch-up starts
    behind it. A symbol without an entry starts with its last completed candle. `now` is the market's clock.
    """

    def __init__(
        self,
        market: Market,
        symbols: Collection[str],
        mailbox: Mailbox,
        source: MarketSource,
        *,
        interval: timedelta = timedelta(hours=1),
        known: Mapping[str, datetime] | None = None,
        now: Callable[[], datetime] = clock.now,
    ) -> None:
        self._market = market
        self._symbols = tuple(symbols)
        self._mailbox = mailbox
        self._source = source
        self._interval = interval
        self._now = now
        self._last: dict[str, datetime] = dict(known or {})
        self._retries: dict[str, tuple[datetime, timedelta]] = {}
        self._tickers: dict[str, dict[str, Any]] = {}

    @property
    def topics(self) -> tuple[str, ...]:
        """Return what to subscribe to."""
        word = wire.INTERVAL_WORD[self._interval]
        return tuple(topic for symbol in self._symbols for topic in (f"tickers.{symbol}", f"kline.{word}.{symbol}"))

    def begin(self) -> None:
        """Forget merged tickers: deltas of a new connection belong to its own snapshot."""
        self._tickers.clear()

    def take(self, message: Mapping[str, object]) -> None:
        """Use one frame.

        Raises BadReply for one that cannot be used.
        """
        where = f"{self._market} stream"
        topic = wire.read_field(message, "topic", NAME, where)
        kind, _, rest = topic.partition(".")
        if kind == "tickers" and rest in self._symbols:
            self._take_ticker(message, rest, where)
        elif kind == "kline" and rest.partition(".")[2] in self._symbols:
            self._take_candles(message, *rest.split(".", 1), where=where)
        else:
            raise bad("topic", topic, "a topic that was subscribed", where)

    def _take_ticker(self, message: Mapping[str, object], symbol: str, where: str) -> None:
        data = message.get("data")
        if not isinstance(data, Mapping):
            raise bad("data", data, "an object", where)
        if message.get("type") == "delta":
            if symbol not in self._tickers:
                raise bad("type", "delta", "a snapshot before the first delta", where)
            merged = {**self._tickers[symbol], **data}
        else:
            merged = dict(data)
        ticker = wire.parse_ticker(merged, wire.CATEGORY_OF[self._market], message.get("ts"), where)
        if ticker.symbol != symbol:
            raise bad("symbol", ticker.symbol, f"the topic's symbol {symbol}", where)
        self._tickers[symbol] = merged
        self._mailbox.offer(TickerSeen(ticker))

    def _take_candles(self, message: Mapping[str, object], word: str, symbol: str, *, where: str) -> None:
        rows = message.get("data")
        if not isinstance(rows, list):
            raise bad("data", rows, "a list", where)
        for row in rows:
            if not isinstance(row, Mapping):
                raise bad("data", row, "an object", where)
            if row.get("confirm") is not True:
                continue
            fixed = {"category": wire.CATEGORY_OF[self._market], "symbol": symbol, "interval": word}
            candle = wire.CANDLE.parse({**row, **fixed}, where)
            end = wire.read_field(row, "end", TIME_NUMBER, where)
            if end != candle.closes_at - timedelta(milliseconds=1):
                raise bad("end", row.get("end"), "the last millisecond of the interval", where)
            self._offer(candle, caught_up=False)

    def _offer(self, candle: Candle, *, caught_up: bool) -> None:
        last = self._last.get(candle.symbol)
        if last is not None and candle.opened_at <= last:
            return
        if last is not None and not caught_up and candle.opened_at > last + self._interval:
            return  # candles are missing before this one: the catch-up brings all of them in order
        self._mailbox.offer(CandleClosed(candle, caught_up))
        self._last[candle.symbol] = candle.opened_at

    def behind(self) -> str:
        """Say which candle should have been confirmed by now and was not; ask less often while none comes."""
        now = self._now()
        for symbol in self._symbols:
            last = self._last.get(symbol)
            due = last is None or now >= last + 2 * self._interval + CONFIRM_GRACE
            if due and now >= self._retry_at(symbol, now):
                return f"the candle of {symbol} after {last} was not confirmed"
        return ""

    def _retry_at(self, symbol: str, now: datetime) -> datetime:
        return self._retries.get(symbol, (now, FIRST_RETRY))[0]

    async def catch_up(self) -> None:
        """Read the candles since the last one of each symbol; a symbol without one gets its starting point."""
        now = self._now()
        for symbol in self._symbols:
            if await self._catch_up(symbol, now):
                self._retries.pop(symbol, None)
            else:
                wait = self._retries.get(symbol, (now, FIRST_RETRY))[1]
                self._retries[symbol] = (now + wait, min(2 * wait, LAST_RETRY))

    async def _catch_up(self, symbol: str, now: datetime) -> bool:
        """Read one symbol's missing candles; tell whether any came."""
        last = self._last.get(symbol)
        start = now - 2 * self._interval if last is None else last + self._interval
        # One interval beyond our clock: the exchange says itself which candle is closed.
        candles = await self._source.candles(self._market, symbol, self._interval, start, now + self._interval)
        closed = [candle for candle in candles if candle.closed]
        for candle in closed[-1:] if last is None else closed:
            newest = self._last.get(symbol)
            if newest is None or candle.opened_at > newest:
                await self._mailbox.put(CandleClosed(candle, caught_up=True))
                self._last[symbol] = candle.opened_at
        return bool(closed)
