"""Tickers merged from deltas, and every completed candle exactly once and in order."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection

from eternal_engine.exchange.bybit import wire
from eternal_engine.exchange.bybit.stream import Feed, PublicPlan, SocketSettings, public_feed
from eternal_engine.exchange.events import CandleClosed, StreamProblem, StreamState, TickerSeen
from eternal_engine.exchange.market import Candle
from eternal_engine.exchange.terms import Market

HOUR = timedelta(hours=1)
NOW = datetime(2025, 1, 1, 12, 30, tzinfo=UTC)
NOON_MS = wire.to_ms(NOW.replace(minute=0))
TICKER = {
    "symbol": "BTCUSDT", "lastPrice": "100.0", "markPrice": "100.1", "indexPrice": "100.2", "bid1Price": "99.9",
    "bid1Size": "1", "ask1Price": "100.1", "ask1Size": "2", "fundingRate": "0.0001",
    "nextFundingTime": str(NOON_MS + 4 * 3_600_000),
}  # fmt: skip


def candle_row(hour: int, *, confirm: bool = True, close: str = "101") -> dict[str, Any]:
    start = NOON_MS + hour * 3_600_000
    return {
        "start": start, "end": start + 3_599_999, "interval": "60", "open": "100", "close": close, "high": "102",
        "low": "99", "volume": "5", "turnover": "500", "confirm": confirm, "timestamp": start + 3_599_999,
    }  # fmt: skip


def candle_frame(*rows: dict[str, Any]) -> str:
    return json.dumps({"topic": "kline.60.BTCUSDT", "type": "snapshot", "ts": NOON_MS, "data": list(rows)})


def ticker_frame(kind: str, **data: str) -> str:
    return json.dumps({"topic": "tickers.BTCUSDT", "type": kind, "ts": NOON_MS, "cs": 1, "data": data})


class Rest:
    """What REST knows: all candles up to `hours`, the next one still open."""

    def __init__(self) -> None:
        self.closed_hours = {-1}
        self.open_hour = 0
        self.calls = 0

    async def candles(
        self, market: Market, symbol: str, interval: timedelta, start: datetime, end: datetime
    ) -> tuple[Candle, ...]:
        self.calls += 1
        found = []
        for hour in sorted(self.closed_hours | {self.open_hour}):
            row = candle_row(hour, confirm=hour in self.closed_hours) | {"category": "linear", "symbol": symbol}
            candle = wire.CANDLE.parse(row)
            if start <= candle.opened_at < end:
                found.append(candle)
        return tuple(found)


def feed(server: Any, rest: Rest, settings: SocketSettings, **more: Any) -> Feed:
    plan = PublicPlan(perp=("BTCUSDT",), known=more.pop("known", None))
    return public_feed(rest, plan, url=server.url, settings=settings, now=more.pop("now", lambda: NOW), **more)  # type: ignore[arg-type]


def hours(watched: Any) -> list[int]:
    opened = [event.candle.opened_at for event in watched.of(CandleClosed)]
    return [round((at - NOW.replace(minute=0)) / HOUR) for at in opened]


async def test_fact13_deltas_merge_into_frozen_tickers(stream_server: Any, watch: Any, fast: Any) -> None:
    async def talk(connection: ServerConnection) -> None:
        await connection.send(ticker_frame("snapshot", **TICKER))
        await asyncio.sleep(0.05)
        await connection.send(ticker_frame("delta", symbol="BTCUSDT", lastPrice="105.0"))

    stream_server.talk = talk
    watched = watch(feed(stream_server, Rest(), fast))
    await watched.until(lambda: len(watched.of(TickerSeen)) == 2)
    first, second = (event.ticker for event in watched.of(TickerSeen))
    assert (first.last_price, second.last_price) == (Decimal("100.0"), Decimal("105.0"))
    assert second.mark_price == Decimal("100.1")
    with pytest.raises(dataclasses.FrozenInstanceError):
        first.last_price = Decimal(1)


async def test_a_delta_before_its_snapshot_is_a_problem_not_a_price(stream_server: Any, watch: Any, fast: Any) -> None:
    async def talk(connection: ServerConnection) -> None:
        await connection.send(ticker_frame("delta", symbol="BTCUSDT", lastPrice="105.0"))

    stream_server.talk = talk
    watched = watch(feed(stream_server, Rest(), fast))
    await watched.until(lambda: watched.of(StreamProblem))
    assert watched.of(TickerSeen) == []


async def test_a_delta_after_a_reconnect_does_not_merge_into_the_old_snapshot(
    stream_server: Any, watch: Any, fast: Any
) -> None:
    async def talk(connection: ServerConnection) -> None:
        if len(stream_server.connections) == 1:
            await connection.send(ticker_frame("snapshot", **TICKER))
            await asyncio.sleep(0.1)
            connection.transport.abort()
        else:
            await connection.send(ticker_frame("delta", symbol="BTCUSDT", lastPrice="105.0"))

    stream_server.talk = talk
    watched = watch(feed(stream_server, Rest(), fast))
    await watched.until(lambda: watched.of(StreamProblem))
    assert [event.ticker.last_price for event in watched.of(TickerSeen)] == [Decimal("100.0")]


async def test_only_the_newest_ticker_of_a_symbol_waits(stream_server: Any, watch: Any, fast: Any) -> None:
    async def talk(connection: ServerConnection) -> None:
        await connection.send(ticker_frame("snapshot", **TICKER))
        for price in range(101, 200):
            await connection.send(ticker_frame("delta", symbol="BTCUSDT", lastPrice=str(price)))

    stream_server.talk = talk
    watched = watch(feed(stream_server, Rest(), fast))
    watched.paused.clear()
    await asyncio.sleep(0.3)
    watched.paused.set()
    await watched.until(lambda: watched.of(TickerSeen) and watched.of(TickerSeen)[-1].ticker.last_price == 199)
    assert len(watched.of(TickerSeen)) < 10


async def test_u2_only_a_confirmed_candle_counts_and_only_once(stream_server: Any, watch: Any, fast: Any) -> None:
    async def talk(connection: ServerConnection) -> None:
        await asyncio.sleep(0.05)
        await connection.send(candle_frame(candle_row(0, confirm=False)))
        await connection.send(candle_frame(candle_row(0)))
        await connection.send(candle_frame(candle_row(0)))
        await connection.send(candle_frame(candle_row(-1)))

    stream_server.talk = talk
    watched = watch(feed(stream_server, Rest(), fast))
    await watched.until(lambda: 0 in hours(watched))
    await asyncio.sleep(0.1)
    assert hours(watched) == [-1, 0]
    assert [event.caught_up for event in watched.of(CandleClosed)] == [True, False]
    assert all(event.candle.closed for event in watched.of(CandleClosed))


async def test_candles_since_the_last_known_one_come_first_and_in_order(
    stream_server: Any, watch: Any, fast: Any
) -> None:
    rest = Rest()
    rest.closed_hours = set(range(-30, 0))
    known = {Market.PERP: {"BTCUSDT": NOW.replace(minute=0) - 20 * HOUR}}
    watched = watch(feed(stream_server, rest, fast, known=known))
    await watched.until(lambda: StreamState.LIVE in watched.states)
    await watched.until(lambda: len(hours(watched)) == 19)
    assert hours(watched) == list(range(-19, 0))


async def test_a_missed_confirm_is_read_by_rest(stream_server: Any, watch: Any, fast: Any) -> None:
    rest = Rest()
    now = [NOW]
    watched = watch(feed(stream_server, rest, fast, now=lambda: now[0]))
    await watched.until(lambda: StreamState.LIVE in watched.states)
    rest.closed_hours, rest.open_hour = {-1, 0}, 1
    now[0] = NOW.replace(hour=13, minute=0, second=11)
    await watched.until(lambda: 0 in hours(watched))
    assert hours(watched) == [-1, 0]
    assert len(stream_server.connections) == 1


async def test_a_candle_after_a_gap_waits_for_those_before_it(stream_server: Any, watch: Any, fast: Any) -> None:
    rest = Rest()
    now = [NOW]

    async def talk(connection: ServerConnection) -> None:
        await asyncio.sleep(0.1)
        rest.closed_hours, rest.open_hour = {-1, 0, 1, 2}, 3
        now[0] = NOW + 3 * HOUR
        await connection.send(candle_frame(candle_row(2)))

    stream_server.talk = talk
    watched = watch(feed(stream_server, rest, fast, now=lambda: now[0]))
    await watched.until(lambda: 2 in hours(watched))
    assert hours(watched) == [-1, 0, 1, 2]


async def test_a_symbol_without_candles_is_asked_for_less_and_less_often(
    stream_server: Any, watch: Any, fast: Any
) -> None:
    rest = Rest()
    rest.closed_hours = set()
    watched = watch(feed(stream_server, rest, fast))
    await watched.until(lambda: StreamState.LIVE in watched.states)
    await asyncio.sleep(0.4)
    assert rest.calls == 1
    assert hours(watched) == []


@pytest.mark.parametrize(
    "row",
    [
        candle_row(0) | {"end": NOON_MS},
        candle_row(0) | {"high": "100.5", "close": "101"},
        candle_row(0) | {"close": ""},
        candle_row(0) | {"start": "now"},
    ],
)
async def test_a_crooked_candle_is_not_used(row: dict[str, Any], stream_server: Any, watch: Any, fast: Any) -> None:
    async def talk(connection: ServerConnection) -> None:
        await asyncio.sleep(0.05)
        await connection.send(candle_frame(row))

    stream_server.talk = talk
    watched = watch(feed(stream_server, Rest(), fast))
    await watched.until(lambda: watched.of(StreamProblem))
    assert hours(watched) == [-1]


async def test_fact20_an_unknown_topic_is_dropped_and_the_others_go_on(
    stream_server: Any, watch: Any, fast: Any
) -> None:
    stream_server.unknown = {"tickers.NEWUSDT"}
    symbols = ("BTCUSDT", "NEWUSDT", *(f"C{number}USDT" for number in range(8)))
    made = public_feed(Rest(), PublicPlan(perp=symbols), url=stream_server.url, settings=fast, now=lambda: NOW)  # type: ignore[arg-type]
    watched = watch(made)
    await watched.until(lambda: StreamState.LIVE in watched.states)
    assert any("NEWUSDT" in problem.what for problem in watched.of(StreamProblem))
    batches = [request["args"] for request in stream_server.requests if request["op"] == "subscribe"]
    assert max(len(batch) for batch in batches) <= 10
    assert {topic for batch in batches[1:] for topic in batch} == {
        topic for symbol in symbols for topic in (f"tickers.{symbol}", f"kline.60.{symbol}")
    } - {"tickers.NEWUSDT"}
    stream_server.requests.clear()
    stream_server.connections[-1].transport.abort()
    await watched.until(lambda: len(stream_server.connections) == 2 and watched.feed.is_live)
    assert "tickers.NEWUSDT" not in stream_server.subscribed()


async def test_a_market_without_data_is_stale_although_pongs_come(stream_server: Any, watch: Any, fast: Any) -> None:
    settings = dataclasses.replace(fast, data_stale_s=0.2)
    watched = watch(feed(stream_server, Rest(), settings))
    await watched.until(lambda: len(stream_server.connections) >= 2)
    assert StreamState.STALE in watched.states


async def test_fact12_answers_at_once_never_break_a_connection(stream_server: Any, watch: Any, fast: Any) -> None:
    watched = watch(feed(stream_server, Rest(), fast))
    for count in range(1, 21):
        await watched.until(lambda count=count: len(stream_server.connections) >= count and watched.feed.is_live)
        stream_server.connections[-1].transport.abort()
    assert watched.of(StreamProblem) == []
