"""The private stream against a scripted server: nothing twice, nothing lost, nothing in silence."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection

from eternal_engine.exchange.account import Position, Wallet
from eternal_engine.exchange.bybit import wire
from eternal_engine.exchange.bybit.client import Credentials, PybitDemoClient
from eternal_engine.exchange.bybit.stream import Feed, SocketSettings, private_feed
from eternal_engine.exchange.events import (
    ExecutionSeen,
    OrderUpdated,
    PositionUpdated,
    StreamProblem,
    StreamState,
    WalletUpdated,
)
from eternal_engine.exchange.orders import Execution, OrderReport
from eternal_engine.exchange.terms import Market

NOW_MS = 1_735_689_600_000
NOW = datetime.fromtimestamp(NOW_MS / 1000, UTC)
WALLET = {"accountType": "UNIFIED", "totalEquity": "1", "coin": []}


def execution(number: int) -> dict[str, Any]:
    return {
        "category": "linear", "execId": f"e-{number}", "orderId": "v", "orderLinkId": "tr-1", "symbol": "BTCUSDT",
        "side": "Buy", "execType": "Trade", "execPrice": "100", "execQty": "1", "execValue": "100", "execFee": "0.05",
        "feeCurrency": "USDT", "isMaker": False, "execTime": str(NOW_MS + number), "seq": number,
    }  # fmt: skip


def order(filled: str, status: str = "New", at: int = 0) -> dict[str, Any]:
    return {
        "category": "linear", "orderId": "v", "orderLinkId": "tr-1", "symbol": "BTCUSDT", "side": "Buy",
        "orderType": "Limit", "qty": "3", "price": "100", "timeInForce": "GTC", "orderStatus": status,
        "cumExecQty": filled, "cumExecValue": str(100 * int(filled)), "positionIdx": 0, "reduceOnly": False,
        "closeOnTrigger": False, "triggerDirection": 0, "createdTime": str(NOW_MS), "updatedTime": str(NOW_MS + at),
    }  # fmt: skip


POSITION = {
    "category": "linear", "symbol": "BTCUSDT", "side": "Buy", "size": "1", "entryPrice": "100", "positionIdx": 0,
    "positionStatus": "Normal", "isReduceOnly": False, "seq": 1,
}  # fmt: skip


class Rest:
    """What REST would answer; has only verbs of the port."""

    account = "trend"

    def __init__(self) -> None:
        self.rows: list[Execution] = []
        self.asked: list[tuple[Market, datetime, datetime]] = []
        self.broken = 0

    async def executions(
        self, market: Market, start: datetime, end: datetime, symbol: str | None = None
    ) -> tuple[Execution, ...]:
        self.asked.append((market, start, end))
        if self.broken:
            self.broken -= 1
            raise ConnectionError("REST is away")
        return tuple(row for row in self.rows if row.market is market)

    async def order_history(self, *_: object) -> tuple[OrderReport, ...]:
        return ()

    async def open_orders(self, *_: object) -> tuple[OrderReport, ...]:
        return ()

    async def positions(self, *_: object) -> tuple[Position, ...]:
        return ()

    async def wallet(self) -> Wallet:
        return wire.WALLET.parse(WALLET)


def frame(topic: str, *rows: dict[str, Any]) -> str:
    return json.dumps({"id": "1", "topic": topic, "creationTime": NOW_MS, "data": list(rows)})


def feed(server: Any, rest: Rest, settings: SocketSettings, **more: Any) -> Feed:
    more = {"since": NOW, "now": lambda: NOW, **more}
    return private_feed(rest, Credentials("key", "secret"), url=server.url, settings=settings, **more)  # type: ignore[arg-type]


def ids(watched: Any) -> list[str]:
    return [event.execution.execution_id for event in watched.of(ExecutionSeen)]


async def test_a_stream_goes_through_its_states_and_proves_its_key(stream_server: Any, watch: Any, fast: Any) -> None:
    rest = Rest()
    watched = watch(feed(stream_server, rest, fast))
    await watched.until(lambda: StreamState.LIVE in watched.states)
    assert watched.states[:3] == [StreamState.CONNECTING, StreamState.CATCHING_UP, StreamState.LIVE]
    assert watched.feed.is_live
    key, expires, signature = stream_server.requests[0]["args"]
    assert key == "key"
    assert signature == hmac.new(b"secret", f"GET/realtime{expires}".encode(), hashlib.sha256).hexdigest()
    assert stream_server.subscribed() == ["order", "execution", "position", "wallet"]
    assert rest.asked[0] == (Market.SPOT, NOW - timedelta(minutes=10), NOW + timedelta(minutes=10))
    assert len(watched.of(WalletUpdated)) == 1
    await watched.close()
    assert watched.states[-1] is StreamState.STOPPED
    assert not watched.feed.is_live


async def test_ord4_an_execution_counts_once_over_stream_catch_up_and_reconnect(
    stream_server: Any, watch: Any, fast: Any
) -> None:
    rest = Rest()
    rest.rows = [wire.EXECUTION.parse(execution(number)) for number in (1, 2)]

    async def talk(connection: ServerConnection) -> None:
        await connection.send(frame("execution", execution(2), execution(3), execution(3)))
        await asyncio.sleep(0.05)
        if len(stream_server.connections) == 1:
            rest.rows += [wire.EXECUTION.parse(execution(4))]
            connection.transport.abort()

    stream_server.talk = talk
    watched = watch(feed(stream_server, rest, fast))
    await watched.until(lambda: len(stream_server.connections) == 2 and watched.feed.is_live and len(ids(watched)) >= 4)
    await asyncio.sleep(0.1)
    assert sorted(ids(watched)) == ["e-1", "e-2", "e-3", "e-4"]
    assert StreamState.DISCONNECTED in watched.states
    caught = {event.execution.execution_id for event in watched.of(ExecutionSeen) if event.caught_up}
    assert "e-4" in caught


async def test_fact9_a_server_away_for_many_tries_is_found_again(stream_server: Any, watch: Any, fast: Any) -> None:
    await stream_server.stop()
    rest = Rest()
    watched = watch(feed(stream_server, rest, fast))
    await watched.until(lambda: watched.states.count(StreamState.DISCONNECTED) >= 4)
    assert StreamState.LIVE not in watched.states
    rest.rows = [wire.EXECUTION.parse(execution(1))]
    await stream_server.start()
    await watched.until(lambda: StreamState.LIVE in watched.states)
    assert ids(watched) == ["e-1"], "what happened meanwhile is caught up before the stream counts as live"


async def test_fact10_no_frame_kills_the_stream_and_an_unusable_one_is_made_up_for(
    stream_server: Any, watch: Any, fast: Any
) -> None:
    rest = Rest()

    async def talk(connection: ServerConnection) -> None:
        await asyncio.sleep(0.05)
        rest.rows = [wire.EXECUTION.parse(execution(1))]
        for text in ("not json", "[]", "[" * 5000, "{}", '{"topic":5,"data":[]}', '{"topic":"execution"}'):
            await connection.send(text)
        await connection.send(frame("execution", execution(2) | {"execQty": "1e5"}))
        await connection.send(frame("strange", {"category": "linear"}))
        await connection.send(frame("execution", execution(3)))

    stream_server.talk = talk
    watched = watch(feed(stream_server, rest, fast))
    await watched.until(lambda: {"e-1", "e-3"} <= set(ids(watched)))
    assert len(stream_server.connections) == 1
    problems = [problem.what for problem in watched.of(StreamProblem)]
    assert len(problems) == 8
    assert any("execQty" in what and "1e5" in what for what in problems)
    assert "e-2" not in ids(watched)


async def test_fact11_a_refused_key_is_said_and_tried_again(stream_server: Any, watch: Any, fast: Any) -> None:
    stream_server.auth_ok = False
    watched = watch(feed(stream_server, Rest(), fast))
    await watched.until(lambda: watched.states.count(StreamState.REFUSED) >= 2)
    assert stream_server.subscribed() == []
    stream_server.auth_ok = True
    await watched.until(lambda: StreamState.LIVE in watched.states)


async def test_an_answer_that_never_comes_ends_the_try(stream_server: Any, watch: Any, fast: Any) -> None:
    stream_server._answers = lambda _: []
    watched = watch(feed(stream_server, Rest(), fast))
    await watched.until(lambda: watched.states.count(StreamState.DISCONNECTED) >= 2)
    assert StreamState.LIVE not in watched.states
    assert not watched.feed.is_live


async def test_a_silent_connection_is_stale_and_replaced(stream_server: Any, watch: Any, fast: Any) -> None:
    stream_server.pong = False
    watched = watch(feed(stream_server, Rest(), fast))
    await watched.until(lambda: len(stream_server.connections) >= 2)
    assert StreamState.STALE in watched.states


async def test_pongs_keep_a_quiet_connection_alive(stream_server: Any, watch: Any, fast: Any) -> None:
    watched = watch(feed(stream_server, Rest(), fast))
    await watched.until(lambda: StreamState.LIVE in watched.states)
    await asyncio.sleep(2 * fast.stale_s)
    assert len(stream_server.connections) == 1


async def test_ord7_a_failed_catch_up_is_not_live(stream_server: Any, watch: Any, fast: Any) -> None:
    rest = Rest()
    rest.broken = 2
    watched = watch(feed(stream_server, rest, fast))
    await watched.until(lambda: StreamState.LIVE in watched.states)
    live = watched.states.index(StreamState.LIVE)
    assert watched.states[:live].count(StreamState.DISCONNECTED) == 2
    assert len(stream_server.connections) == 3


async def test_a_slow_consumer_loses_nothing(stream_server: Any, watch: Any, fast: Any) -> None:
    rest = Rest()
    rows = [execution(number) for number in range(1, 61)]

    async def talk(connection: ServerConnection) -> None:
        if len(stream_server.connections) == 1:
            await asyncio.sleep(0.05)
            rest.rows = [wire.EXECUTION.parse(row) for row in rows]
            for row in rows:
                await connection.send(frame("execution", row))

    stream_server.talk = talk
    watched = watch(feed(stream_server, rest, fast, bound=8))
    await watched.until(lambda: StreamState.LIVE in watched.states)
    watched.paused.clear()
    await asyncio.sleep(0.3)
    watched.paused.set()
    await watched.until(lambda: len(ids(watched)) >= 60)
    assert sorted(ids(watched)) == sorted(f"e-{number}" for number in range(1, 61))
    assert len(stream_server.connections) >= 2


async def test_orders_never_go_backwards_and_executions_may_come_first(
    stream_server: Any, watch: Any, fast: Any
) -> None:
    async def talk(connection: ServerConnection) -> None:
        await connection.send(frame("execution", execution(1)))
        for row in (
            order("1", "PartiallyFilled", 5),
            order("0", "New", 1),
            order("1", "PartiallyFilled", 5),
            order("3", "Filled", 9),
            order("1", "PartiallyFilled", 10),
            order("3", "Filled", 11),
            order("3", "Filled") | {"orderId": "w", "category": "option"},
        ):
            await connection.send(frame("order", row))
        await connection.send(frame("position", POSITION))

    stream_server.talk = talk
    watched = watch(feed(stream_server, Rest(), fast))
    await watched.until(lambda: watched.of(PositionUpdated))
    filled = [str(event.report.filled_qty) for event in watched.of(OrderUpdated)]
    assert filled == ["1", "3"]
    assert watched.of(StreamProblem) == []


def test_e3_the_stand_in_has_no_verb_that_the_real_client_lacks() -> None:
    verbs = {name for name in vars(Rest) if not name.startswith("_")} - {"rows", "asked", "broken"}
    assert verbs <= set(dir(PybitDemoClient))


async def test_a_flapping_server_is_met_with_growing_waits(stream_server: Any, watch: Any, fast: Any) -> None:
    async def talk(connection: ServerConnection) -> None:
        await asyncio.sleep(0.05)
        connection.transport.abort()

    stream_server.talk = talk
    settings = replace(fast, settled_s=60, backoff_first_s=0.05, backoff_most_s=60, jitter_frac=0)
    watched = watch(feed(stream_server, Rest(), settings))
    await asyncio.sleep(1.5)
    assert StreamState.LIVE in watched.states
    assert len(stream_server.connections) <= 5


async def test_a_mistake_of_ours_ends_the_feed_with_its_exception(stream_server: Any, watch: Any, fast: Any) -> None:
    class Broken(Rest):
        async def wallet(self) -> Wallet:
            raise ZeroDivisionError("planted")

    watched = watch(feed(stream_server, Broken(), fast))
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(watched.task, 10)
    assert watched.states[-1] is StreamState.STOPPED


async def test_stopping_in_any_state_ends_at_once(stream_server: Any, watch: Any, fast: Any) -> None:
    slow = replace(fast, backoff_first_s=60, backoff_most_s=60)
    await stream_server.stop()
    watched = watch(feed(stream_server, Rest(), slow))
    await watched.until(lambda: StreamState.DISCONNECTED in watched.states)
    await asyncio.wait_for(watched.close(), 10)
    assert watched.states[-1] is StreamState.STOPPED
