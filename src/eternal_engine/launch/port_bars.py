"""Market data over the wire: completed bars and settled rates, all history once, then what is new (U-2, U-10)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Final

import numpy as np
import structlog

from eternal_engine import clock as wall
from eternal_engine.engine.timing import HOUR, hour_of, hour_start
from eternal_engine.exchange.market import Candle
from eternal_engine.exchange.port import MarketSource
from eternal_engine.launch.clocks import to_ms
from eternal_engine.launch.moods import MoodSource, no_moods
from eternal_engine.market_data.bar_store import BarStore, HourBar, SettledRate
from eternal_engine.market_data.checks import INTERVALS_H
from eternal_engine.model.errors import RejectedForGood
from eternal_engine.model.instrument import Market
from eternal_engine.model.rule import Rule
from eternal_engine.portfolio.features import LATE_STAMP_MS, Moods
from eternal_engine.strategies.base import HOURS_PER_DAY
from eternal_engine.strategies.indicators import DailyBars, daily_bars

RULES: tuple[Rule, ...] = (
    Rule(
        "U-2",
        "A bar is named by its open time, and one that is not complete yet is not read.",
        (),
        ("tests/unit/launch/test_port_bars.py::test_u_2_only_completed_bars_are_given",),
    ),
)

CHUNK_H: Final = 1_000
# The exchange's own halts last hours, a symbol's life before its listing for ever.
EMPTY_CHUNKS: Final = 2
# Nobody's hourly candles reach back further.
OLDEST_H: Final = 17_167 * HOURS_PER_DAY  # 2017-01-01
LATE_STAMP: Final = timedelta(milliseconds=LATE_STAMP_MS)
LOOK_AGAIN_S: Final = 1.0
AT_ONCE: Final = 4
DAY: Final = timedelta(days=1)
IsListed = Callable[[Market, str], Awaitable[bool]]
_LOG = structlog.get_logger("eternal.bars")
WORDS: Final = {Market.SPOT: "spot", Market.PERP: "perp"}


async def _no_doubt(_: Market, __: str) -> bool:
    return True


class PortBars:
    """Implement `engine.market_watch.BarSource` over the port.

    The last completed hour may be late: it is asked for again until every symbol that had a bar in the hour before has
    one, or `grace_s` has passed. With `until_followed` a bar counts as there only when the next one has begun: the
    exchange may still sum up the last trades of an hour that is over, and a close that changes is one no backtest sees
    (U-4). `intervals_h` are the contracts' own funding intervals; where two settlements lie side by side their distance
    counts, as in the data of a backtest, because an interval may have changed since. Where data of a symbol is refused,
    `is_listed` is asked whether there is one.
    """

    def __init__(
        self,
        port: MarketSource,
        symbols: Sequence[str],
        store: BarStore,
        intervals_h: Mapping[str, float],
        *,
        grace_s: float,
        until_followed: bool = False,
        with_volume: bool = False,
        moods: MoodSource = no_moods,
        is_listed: IsListed = _no_doubt,
    ) -> None:
        self._port = port
        self._symbols = tuple(symbols)
        self._store = store
        self._intervals_h = intervals_h
        self._grace_s = grace_s
        self._until_followed = until_followed
        self._with_volume = with_volume
        self._moods = moods
        self._is_listed = is_listed
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._seen: frozenset[tuple[str, str]] = frozenset()
        self._newest: dict[str, int] = {}
        self._lately_h: dict[str, float] = {}
        self._unlisted: set[tuple[str, Market]] = set()

    async def hours(self, start_h: int, end_h: int) -> list[HourBar]:
        """Return all completed hourly bars of all symbols that open in [start_h, end_h)."""
        give_up_s = wall.monotonic() + self._grace_s
        while True:
            bars, followed = await self._all(start_h, end_h)
            newest = frozenset((bar.market, bar.symbol) for bar in bars if bar.open_h == end_h - 1)
            final = newest & followed if self._until_followed else newest
            if final >= self._seen or wall.monotonic() >= give_up_s:
                self._seen = newest or self._seen
                return bars
            await asyncio.sleep(LOOK_AGAIN_S)

    async def days(self, end_h: int) -> tuple[int, DailyBars]:
        """Return the first epoch day and the daily spot bars of all days complete by hour `end_h`.

        The exchange's own daily candles are the hourly ones folded; only their volume may be summed otherwise, so rules
        that look at volume get all hours, hundreds of requests at the first start.
        """
        if self._with_volume:
            return await self._days_of_hours(end_h)
        found = await asyncio.gather(*(self._day_candles(symbol, end_h) for symbol in self._symbols))
        # The oldest come first; a start reads thirty thousand of them.
        first_day = min((_day_of(candles[0]) for candles in found if candles), default=end_h // HOURS_PER_DAY)
        days = end_h // HOURS_PER_DAY - first_day
        table = np.full((3, len(self._symbols), days), np.nan)
        for s, candles in enumerate(found):
            at = [_day_of(candle) - first_day for candle in candles]
            for row, name in enumerate(("high", "low", "close")):
                table[row, s, at] = [float(getattr(candle, name)) for candle in candles]
        bars = np.where(np.isnan(table[2]), 0, HOURS_PER_DAY).astype(np.int64)
        return first_day, DailyBars(table[0], table[1], table[2], np.zeros(table[2].shape), bars)

    async def _day_candles(self, symbol: str, end_h: int) -> list[Candle]:
        candles = await self._candles(Market.SPOT, symbol, DAY, OLDEST_H, end_h)
        return [candle for candle in candles if candle.closed]

    async def _days_of_hours(self, end_h: int) -> tuple[int, DailyBars]:
        await asyncio.gather(*(self._back_fill(symbol, end_h) for symbol in self._symbols))
        bars = [bar for bar in self._store.bars(0, end_h) if bar.market == WORDS[Market.SPOT]]
        first_day = (min(bar.open_h for bar in bars) if bars else end_h) // HOURS_PER_DAY
        hours = max(0, end_h - first_day * HOURS_PER_DAY)
        table = np.full((4, len(self._symbols), hours), np.nan)
        row = {symbol: s for s, symbol in enumerate(self._symbols)}
        for bar in bars:
            if bar.symbol in row:
                column = bar.open_h - first_day * HOURS_PER_DAY
                table[:, row[bar.symbol], column] = (bar.high, bar.low, bar.close, bar.volume)
        return first_day, daily_bars(table[0], table[1], table[2], table[3])

    async def rates(self, start_h: int, end_h: int) -> list[SettledRate]:
        """Return the rates settled in (start_h, end_h] of all symbols, oldest first; a minute late is on time.

        A settlement that is due at `end_h` is waited for as bars are: the backtest decides that hour with it (U-4). One
        that does not come in time is not waited for again, and found later.
        """
        give_up_s = wall.monotonic() + self._grace_s
        while True:
            found = await asyncio.gather(*(self._rates(symbol, start_h, end_h) for symbol in self._symbols))
            is_complete = not any(self._is_due(symbol, end_h) for symbol in self._symbols)
            if is_complete or wall.monotonic() >= give_up_s:
                return [rate for rates in found for rate in rates]
            await asyncio.sleep(LOOK_AGAIN_S)

    def _is_due(self, symbol: str, hour: int) -> bool:
        """Tell whether the settlement of an hour is the very next one of a symbol, and not there."""
        newest_h = self._newest.get(symbol)
        return newest_h is not None and newest_h + self._interval_h(symbol) == hour

    def _interval_h(self, symbol: str) -> float:
        """Give a contract's funding interval, as its last two settlements show it, else as it was at the start."""
        return self._lately_h.get(symbol, self._intervals_h.get(symbol, 8.0))

    async def moods(self, end_h: int) -> Moods:
        """Return the fear-and-greed values known at `end_h`; no exchange has them, so `moods` does (TACT-E2)."""
        return await self._moods(end_h)

    async def _all(self, start_h: int, end_h: int) -> tuple[list[HourBar], frozenset[tuple[str, str]]]:
        """Read the closed bars of [start_h, end_h), and of which markets and symbols the hour `end_h` has begun."""
        if start_h >= end_h:
            return [], frozenset()
        wanted = [(market, symbol) for market in Market for symbol in self._symbols]
        upto_h = end_h + self._until_followed
        found = await asyncio.gather(
            *(self._candles(market, symbol, HOUR, start_h, upto_h) for market, symbol in wanted)
        )
        candles = [candle for answer in found for candle in answer]
        bars = [_bar(candle) for candle in candles if candle.closed and hour_of(candle.opened_at) < end_h]
        followed = {(WORDS[one.market], one.symbol) for one in candles if hour_of(one.opened_at) == end_h}
        return sorted(bars, key=lambda bar: (bar.open_h, bar.market, bar.symbol)), frozenset(followed)

    async def _bars(self, market: Market, symbol: str, start_h: int, end_h: int) -> list[HourBar]:
        candles = await self._candles(market, symbol, HOUR, start_h, end_h)
        return [_bar(candle) for candle in candles if candle.closed]

    async def _candles(
        self, market: Market, symbol: str, interval: timedelta, start_h: int, end_h: int
    ) -> tuple[Candle, ...]:
        """Read candles; a symbol that the exchange does not know (any more) has none, and the others go on."""
        async with self._turns:
            try:
                found = await self._port.candles(market, symbol, interval, hour_start(start_h), hour_start(end_h))
            except RejectedForGood:
                if await self._is_listed(market, symbol):
                    raise
                self._note(symbol, market)
                return ()
            self._unlisted.discard((symbol, market))
            return found

    def _note(self, symbol: str, market: Market) -> None:
        if (symbol, market) not in self._unlisted:
            self._unlisted.add((symbol, market))
            _LOG.warning("symbol_not_listed", symbol=symbol, market=market.value)

    async def _back_fill(self, symbol: str, end_h: int) -> None:
        newest_h = self._store.newest_h(WORDS[Market.SPOT], symbol)
        if newest_h is not None:
            self._store.put(await self._bars(Market.SPOT, symbol, newest_h + 1, end_h))
            return
        found: list[HourBar] = []
        upto_h, empty = end_h, 0
        while upto_h > OLDEST_H and empty < EMPTY_CHUNKS:
            since_h = max(OLDEST_H, upto_h - CHUNK_H)
            chunk = await self._bars(Market.SPOT, symbol, since_h, upto_h)
            empty = 0 if chunk else empty + 1
            found += chunk
            upto_h = since_h
        self._store.put(found)

    async def _rates(self, symbol: str, start_h: int, end_h: int) -> list[SettledRate]:
        since, upto = hour_start(start_h) + LATE_STAMP, hour_start(end_h) + LATE_STAMP
        tick = timedelta(milliseconds=1)
        async with self._turns:
            try:
                settled = await self._port.funding_rates(symbol, since + tick, upto + tick)
            except RejectedForGood:
                if await self._is_listed(Market.PERP, symbol):
                    raise
                self._note(symbol, Market.PERP)
                settled = ()
        found = []
        for rate in settled:
            stamp_ms = to_ms(rate.settled_at)
            hour = hour_of(rate.settled_at)
            gap_h = hour - self._newest[symbol] if symbol in self._newest else 0
            if gap_h in INTERVALS_H:
                self._lately_h[symbol] = float(gap_h)
            self._newest[symbol] = hour
            found.append(SettledRate(symbol, stamp_ms, float(rate.rate), self._interval_h(symbol)))
        return found


def _day_of(candle: Candle) -> int:
    return hour_of(candle.opened_at) // HOURS_PER_DAY


def _bar(candle: Candle) -> HourBar:
    prices = (float(value) for value in (candle.open, candle.high, candle.low, candle.close, candle.volume_qty))
    return HourBar(WORDS[candle.market], candle.symbol, hour_of(candle.opened_at), *prices)
