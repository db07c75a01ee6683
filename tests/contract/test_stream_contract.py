"""Streams: what happens is heard, once, by our client over the wire, by ccxt's, and inside the process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from contract_arena import NOW, NotInClient, perp, spot
from eternal_engine.exchange.bybit import wire
from eternal_engine.exchange.bybit.local import LocalFeed, LocalMarketFeed
from eternal_engine.exchange.bybit.stream import Feed, PublicPlan, SocketSettings, private_feed, public_feed
from eternal_engine.exchange.events import (
    CandleClosed,
    ExecutionSeen,
    OrderUpdated,
    PositionUpdated,
    StreamEvent,
    StreamState,
    StreamStateChanged,
    TickerSeen,
    WalletUpdated,
)
from eternal_engine.exchange.market import Candle
from eternal_engine.exchange.terms import ExecutionKind, Market, OrderStatus, PositionSide, Side

BUY, SELL = Side.BUY, Side.SELL
FAST = SocketSettings(
    ping_s=0.5, stale_s=5, tick_s=0.02, backoff_first_s=0.05, backoff_most_s=0.2, catch_up_pause_s=0.1
)


class Ear:
    """Hear one account's events with any of the three clients, and what was heard so far."""

    def __init__(self, desk: Any) -> None:
        self.desk = desk
        self.events: list[StreamEvent] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._feed: Any = None

    async def open(self) -> None:
        arena, kind = self.desk.arena, self.desk.kind
        if kind == "ccxt":
            await self.desk.exchange.ccxt.load_markets()
            for watch in (self._ccxt_orders, self._ccxt_trades, self._ccxt_positions, self._ccxt_wallet):
                self._tasks.append(asyncio.ensure_future(watch()))
            await self.until(lambda: _private_topics(arena) == 4)
            return
        if kind == "in-process":
            self._feed = LocalFeed(self.desk.exchange, self.desk.exchange._caller._door)
        else:
            url = f"{arena.stream_url}/v5/private"
            self._feed = private_feed(
                self.desk.exchange, arena.credentials(), url=url, since=NOW, settings=FAST, now=lambda: arena.now
            )
        self._tasks.append(asyncio.ensure_future(self._hear()))
        await self.until(
            lambda: any(isinstance(e, StreamStateChanged) and e.state is StreamState.LIVE for e in self.events)
        )

    async def close(self) -> None:
        if self._feed is not None:
            await self._feed.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def until(self, condition: Callable[[], object], seconds: float = 20) -> None:
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 - conditions over many events
                await asyncio.sleep(0.01)

    def of(self, kind: type[StreamEvent]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind) and not getattr(event, "caught_up", False)]

    async def _hear(self) -> None:
        async for event in self._feed.events():
            self.events.append(event)

    async def _ccxt_orders(self) -> None:
        seen: dict[str, Any] = {}
        while True:
            for row in await self.desk.exchange.ccxt.watch_orders():
                report = wire.ORDER.parse(row["info"])
                if seen.get(report.venue_order_id) != report:
                    seen[report.venue_order_id] = report
                    self.events.append(OrderUpdated(report))

    async def _ccxt_trades(self) -> None:
        seen: set[str] = set()
        while True:
            for row in await self.desk.exchange.ccxt.watch_my_trades():
                if row["id"] not in seen:
                    seen.add(row["id"])
                    self.events.append(ExecutionSeen(wire.EXECUTION.parse(row["info"])))

    async def _ccxt_positions(self) -> None:
        while True:
            for row in await self.desk.exchange.ccxt.watch_positions():
                info = row["info"]
                if "entryPrice" in info:
                    self.events.append(PositionUpdated(wire.STREAM_POSITION.parse(info)))

    async def _ccxt_wallet(self) -> None:
        while True:
            balance = await self.desk.exchange.ccxt.watch_balance()
            for row in balance["info"] if isinstance(balance["info"], list) else balance["info"].get("data", []):
                self.events.append(WalletUpdated(wire.WALLET.parse(row)))


def _private_topics(arena: Any) -> int:
    return sum(len(each.topics) for each in arena.server.connections if each.channel == "private")


@pytest.fixture
async def ear(desk: Any) -> AsyncIterator[Ear]:
    made = Ear(desk)
    await made.open()
    yield made
    await made.close()


@pytest.mark.parametrize("market", list(Market))
async def test_d9_a_fill_is_heard_with_its_price_and_fee(desk: Any, ear: Ear, market: Market) -> None:
    order = spot("co-1", BUY, "1000") if market is Market.SPOT else perp("co-1", BUY, "0.1")
    await desk.exchange.place(order)
    await ear.until(lambda: ear.of(ExecutionSeen))
    (heard,) = ear.of(ExecutionSeen)
    (read,) = await desk.exchange.executions(market, NOW - timedelta(hours=1), NOW + timedelta(hours=1))
    assert (heard.execution.execution_id, heard.execution.price, heard.execution.qty) == (
        read.execution_id,
        read.price,
        read.qty,
    )
    assert (heard.execution.fee, heard.execution.fee_coin) == (read.fee, read.fee_coin)
    assert heard.execution.client_order_id == "co-1"


@pytest.mark.parametrize("market", list(Market))
async def test_the_end_of_an_order_is_heard(desk: Any, ear: Ear, market: Market) -> None:
    order = spot("co-1", BUY, "1000") if market is Market.SPOT else perp("co-1", BUY, "0.1")
    await desk.exchange.place(order)
    await ear.until(lambda: any(not event.report.status.is_open for event in ear.of(OrderUpdated)))
    last = ear.of(OrderUpdated)[-1].report
    done = OrderStatus.PARTIALLY_FILLED_CANCELLED if market is Market.SPOT else OrderStatus.FILLED
    assert (last.client_order_id, last.status) == ("co-1", done)


async def test_a_resting_order_and_its_cancel_are_heard(desk: Any, ear: Ear) -> None:
    await desk.exchange.place(perp("tr-1", BUY, "0.1", price="49900"))
    await ear.until(lambda: any(event.report.status is OrderStatus.NEW for event in ear.of(OrderUpdated)))
    await desk.exchange.cancel(Market.PERP, "BTCUSDT", "tr-1")
    await ear.until(lambda: any(event.report.status is OrderStatus.CANCELLED for event in ear.of(OrderUpdated)))
    heard = [
        (event.report.client_order_id, event.report.status, event.report.filled_qty) for event in ear.of(OrderUpdated)
    ]
    assert heard == [("tr-1", OrderStatus.NEW, 0), ("tr-1", OrderStatus.CANCELLED, 0)]


@pytest.mark.parametrize("side", [BUY, SELL])
async def test_a_position_is_heard_when_it_opens_and_closes(desk: Any, ear: Ear, side: Side) -> None:
    await desk.exchange.place(perp("tr-1", side, "0.1"))
    wanted = PositionSide.LONG if side is BUY else PositionSide.SHORT
    await ear.until(lambda: any(event.position.side is wanted for event in ear.of(PositionUpdated)))
    opened = ear.of(PositionUpdated)[-1].position
    (read,) = await desk.exchange.positions("BTCUSDT")
    assert (opened.symbol, opened.side, opened.qty) == ("BTCUSDT", wanted, Decimal("0.1"))
    assert opened.entry_price == read.entry_price
    await desk.exchange.place(perp("tr-2", side.opposite, "0.1", reduce_only=True))
    await ear.until(lambda: ear.of(PositionUpdated)[-1].position.side is None)
    assert ear.of(PositionUpdated)[-1].position.qty == 0


async def test_a_wallet_that_changes_is_heard(desk: Any, ear: Ear) -> None:
    await desk.exchange.place(spot("co-1", BUY, "1000"))
    await ear.until(
        lambda: any((row := event.wallet.coin("BTC")) and row.wallet_qty > 0 for event in ear.of(WalletUpdated))
    )
    heard, read = ear.of(WalletUpdated)[-1].wallet, await desk.exchange.wallet()
    for coin in ("BTC", "USDT"):
        assert heard.coin(coin).wallet_qty == read.coin(coin).wallet_qty


async def test_fact18_a_funding_payment_is_heard_as_an_execution(desk: Any, ear: Ear) -> None:
    await desk.exchange.place(perp("fu-1", BUY, "0.1"))
    desk.arena.step(hours=5)
    kinds = [ExecutionKind.TRADE, ExecutionKind.FUNDING]
    if desk.kind == "ccxt":
        raise NotInClient("ccxt leaves funding out of its trades")
    await ear.until(lambda: [event.execution.kind for event in ear.of(ExecutionSeen)] == kinds)
    assert ear.of(ExecutionSeen)[1].execution.fee < 0


async def test_a_stop_that_is_touched_is_heard(desk: Any, ear: Ear) -> None:
    await desk.exchange.place(perp("tr-1", BUY, "0.1"))
    await desk.exchange.set_stop("BTCUSDT", Decimal(48_000))
    desk.arena.price("BTCUSDT", "47900")
    await ear.until(lambda: len(ear.of(ExecutionSeen)) == 2)
    assert ear.of(ExecutionSeen)[1].execution.side is SELL


async def test_another_account_is_not_heard(desk: Any, ear: Ear) -> None:
    other = desk.arena.client("in-process", "beta")
    await other.place(perp("tr-1", BUY, "0.1"))
    await desk.exchange.place(perp("tr-2", BUY, "0.1"))
    await ear.until(lambda: ear.of(ExecutionSeen))
    assert [event.execution.client_order_id for event in ear.of(ExecutionSeen)] == ["tr-2"]


FAULTS = ["ws_close", "ws_reset", "ws_drop", "ws_duplicate", "ws_garbage", "ws_silent"]


@pytest.mark.parametrize("kind", FAULTS)
async def test_ord4_no_fault_of_the_stream_loses_or_doubles_a_fill(desk: Any, ear: Ear, kind: str) -> None:
    if desk.kind != "pybit":
        raise NotInClient("supervision is our own client's")
    desk.arena.world.faults.add([{"kind": kind, "path": "execution", "times": 1}])
    for number in range(6):
        await desk.exchange.place(perp(f"tr-{number}", BUY, "0.01"))
        await asyncio.sleep(0.1)
    if kind in ("ws_drop", "ws_silent"):
        # Nothing on the wire tells of a dropped message: the next reconnect does.
        for each in list(desk.arena.server.connections):
            each.abort()

    def ids() -> list[str]:
        return [event.execution.client_order_id for event in ear.events if isinstance(event, ExecutionSeen)]

    await ear.until(lambda: len(ids()) >= 6)
    await asyncio.sleep(0.2)
    assert sorted(ids()) == [f"tr-{number}" for number in range(6)]


def _public(desk: Any, **known: Any) -> Feed:
    plan = PublicPlan(spot=("BTCUSDT",), perp=("BTCUSDT", "ETHUSDT"))
    return public_feed(
        desk.exchange,
        plan,
        url=f"{desk.arena.stream_url}/v5/public",
        settings=FAST,
        now=lambda: desk.arena.now,
        **known,
    )


@pytest.mark.parametrize("market", list(Market))
async def test_a_price_that_moves_is_heard(desk: Any, market: Market) -> None:
    if desk.kind == "in-process":
        raise NotInClient("inside the process prices are read, not heard")
    if desk.kind == "ccxt":
        name = await desk.exchange._symbol(market, "BTCUSDT")
        assert (await desk.exchange.ccxt.watch_ticker(name))["last"] == 50_000
        desk.arena.price("BTCUSDT", "51000")
        async with asyncio.timeout(20):
            while (await desk.exchange.ccxt.watch_ticker(name))["last"] != 51_000:
                pass
        return
    feed = _public(desk)
    heard: list[Decimal] = []

    async def listen() -> None:
        async for event in feed.events():
            if isinstance(event, TickerSeen) and (event.ticker.market, event.ticker.symbol) == (market, "BTCUSDT"):
                heard.append(event.ticker.last_price)
                if len(heard) == 1:
                    desk.arena.price("BTCUSDT", "51000")
                if heard[-1] == 51_000:
                    return

    await asyncio.wait_for(listen(), 20)
    assert heard[0] == 50_000
    await feed.stop()


@pytest.mark.parametrize("market", list(Market))
@pytest.mark.parametrize("fault", [None, "ws_no_confirm"])
async def test_u2_every_completed_candle_is_heard_once(desk: Any, market: Market, fault: str | None) -> None:
    if desk.kind != "pybit":
        raise NotInClient("completed candles are our own client's")
    if fault:
        desk.arena.world.faults.add([{"kind": fault, "path": "kline*", "times": 0}])
    feed = _public(desk)
    opened: list[Any] = []

    async def listen() -> None:
        async for event in feed.events():
            if isinstance(event, CandleClosed) and (event.candle.market, event.candle.symbol) == (market, "BTCUSDT"):
                opened.append(event.candle.opened_at)
                if len(opened) == 4:
                    return
                await asyncio.sleep(0.15)
                desk.arena.step(hours=1, seconds=12 if len(opened) == 1 else 0)

    await asyncio.wait_for(listen(), 20)
    assert opened == [NOW + timedelta(hours=number - 1) for number in range(4)]
    await feed.stop()


@pytest.mark.parametrize("market", list(Market))
async def test_u2_a_streamed_candle_is_the_one_that_is_listed(desk: Any, market: Market) -> None:
    if desk.kind == "ccxt":
        raise NotInClient("completed candles are our own client's")
    local = desk.kind == "in-process"
    plan = PublicPlan(spot=("BTCUSDT", "ETHUSDT"), perp=("BTCUSDT", "ETHUSDT"))
    feed: Any = LocalMarketFeed(desk.exchange._caller._door, plan) if local else _public(desk)
    heard: list[Candle] = []

    async def listen() -> None:
        async for event in feed.events():
            if isinstance(event, StreamStateChanged) and event.state is StreamState.LIVE:
                desk.arena.step(hours=1)
            if isinstance(event, CandleClosed) and (event.candle.market, event.candle.symbol) == (market, "BTCUSDT"):
                heard.append(event.candle)
                if heard[-1].opened_at >= NOW + timedelta(hours=2):
                    return
                await asyncio.sleep(0.15)
                desk.arena.step(hours=1)

    await asyncio.wait_for(listen(), 20)
    await feed.stop()
    listed = await desk.exchange.candles(market, "BTCUSDT", timedelta(hours=1), heard[0].opened_at, heard[-1].closes_at)
    assert heard == list(listed)
