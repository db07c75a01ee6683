"""The exchange inside this process: what is heard, in which order, while its clock is moved by hand."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from contract_arena import NOW, SYMBOLS, history, perp
from eternal_engine.exchange.bybit import wire
from eternal_engine.exchange.bybit.local import LocalClient, LocalFeed, LocalMarketFeed
from eternal_engine.exchange.bybit.stream import PublicPlan
from eternal_engine.exchange.events import CandleClosed, ExecutionSeen, StreamState, StreamStateChanged
from eternal_engine.exchange.terms import ExecutionKind, Market, Side
from eternal_engine.simulator.adapter import Door
from eternal_engine.simulator.feeds import HistoryFeed
from eternal_engine.simulator.server.world import VenueClock, World
from eternal_engine.simulator.venue import Venue

HOUR = timedelta(hours=1)


def local() -> tuple[World, Door, LocalClient]:
    """Open an exchange without a server, with one account of 100,000 USDT."""
    venue = Venue(now_ms=wire.to_ms(NOW))
    uid = venue.open_account("TREND").uid
    venue.deposit(uid, "USDT", Decimal(100_000))
    feed = HistoryFeed(history())
    feed.open_market(venue)
    world = World(venue, feed, VenueClock(speed=0, venue_ms=wire.to_ms(NOW)))
    world.settle()
    door = Door(world, uid)
    return world, door, LocalClient("TREND", door)


def step(world: World, span: timedelta) -> None:
    """Move the clock."""
    world.step_to(world.venue.state.now_ms + span // timedelta(milliseconds=1))


def candles(feed: LocalMarketFeed) -> list[tuple[Market, str, datetime]]:
    """List what a feed told since the last time."""
    heard = [event.candle for event in feed.drain() if isinstance(event, CandleClosed)]
    assert all(candle.closed for candle in heard)
    return [(candle.market, candle.symbol, candle.opened_at) for candle in heard]


def test_u2_each_candle_is_told_once_when_its_end_has_come() -> None:
    world, door, _ = local()
    feed = LocalMarketFeed(door, PublicPlan(spot=SYMBOLS, perp=SYMBOLS))
    step(world, timedelta(minutes=59, seconds=59))
    assert candles(feed) == []
    step(world, timedelta(seconds=1))
    asked = [(market, symbol) for market in (Market.SPOT, Market.PERP) for symbol in SYMBOLS]
    assert candles(feed) == [(*pair, NOW) for pair in asked]
    world.settle()
    assert candles(feed) == []
    step(world, 2 * HOUR)
    assert candles(feed) == [(*pair, NOW + number * HOUR) for number in (1, 2) for pair in asked]


@pytest.mark.parametrize(("interval", "hours", "opens"), [(timedelta(days=1), 40, [-12, 12]), (4 * HOUR, 9, [0, 4])])
def test_candles_of_other_lengths_close_at_their_own_ends(interval: timedelta, hours: int, opens: list[int]) -> None:
    world, door, _ = local()
    feed = LocalMarketFeed(door, PublicPlan(spot=("BTCUSDT",), interval=interval))
    for _ in range(hours):
        step(world, HOUR)
    assert [opened for _, _, opened in candles(feed)] == [NOW + hour * HOUR for hour in opens]


async def test_u8_the_fills_and_payments_of_an_instant_are_heard_before_the_candles_that_close_with_it() -> None:
    world, door, client = local()
    order: list[str] = []
    end_private = door.listen(lambda message: order.append(message["topic"]))
    end_public = door.follow([("linear", "60", "ETHUSDT")], lambda message: order.append(message["topic"]))
    await client.place(perp("tr-1", Side.BUY, "2", symbol="ETHUSDT"))
    order.clear()
    step(world, 5 * HOUR)
    end_private()
    end_public()
    step(world, HOUR)
    # Funding is settled at 16:00, four hours after noon.
    assert order == [
        *["kline.60.ETHUSDT"] * 3,
        *("execution", "position", "wallet"),
        *["kline.60.ETHUSDT"] * 2,
    ]


async def test_a_stop_within_the_hour_and_its_candle_come_with_one_step() -> None:
    world, door, client = local()
    private, public = LocalFeed(client, door), LocalMarketFeed(door, PublicPlan(perp=("BTCUSDT",)))
    await client.place(perp("tr-1", Side.BUY, "0.1"))
    await client.set_stop("BTCUSDT", Decimal(49_950))
    private.drain()
    step(world, HOUR)
    stopped = [event.execution for event in private.drain() if isinstance(event, ExecutionSeen)]
    assert [(row.kind, row.side, row.at) for row in stopped] == [
        (ExecutionKind.TRADE, Side.SELL, NOW + HOUR - timedelta(milliseconds=1))
    ]
    assert len(candles(public)) == 1


def test_a_silent_market_has_no_candle_and_the_next_one_is_told() -> None:
    made = history()
    hour = (wire.to_ms(NOW) - made.start_ms) // 3_600_000 + 1
    for part in (made.spot.open, made.spot.high, made.spot.low, made.spot.close):
        part[0, hour] = float("nan")
    world, door, _ = local()
    world.feed = HistoryFeed(made)
    feed = LocalMarketFeed(door, PublicPlan(spot=("BTCUSDT",)))
    step(world, 3 * HOUR)
    assert [opened for _, _, opened in candles(feed)] == [NOW, NOW + 2 * HOUR]


async def test_a_feed_that_is_stopped_hears_no_more_and_says_so() -> None:
    world, door, client = local()
    feeds: list[Any] = [LocalFeed(client, door), LocalMarketFeed(door, PublicPlan(spot=("BTCUSDT",)))]
    for feed in feeds:
        await feed.stop()
    await client.place(perp("tr-1", Side.BUY, "0.1"))
    step(world, HOUR)
    for feed in feeds:
        heard = [event async for event in feed.events()]
        assert [event.state for event in heard if isinstance(event, StreamStateChanged)] == [
            StreamState.LIVE,
            StreamState.STOPPED,
        ]
        assert len(heard) == 2
    assert world.listeners == []
    assert world.market_listeners == []


async def test_every_time_the_local_client_tells_is_the_venues() -> None:
    world, door, client = local()
    step(world, 30 * timedelta(days=1))
    assert await client.server_time() == door.now() == NOW + timedelta(days=30)
    feed = LocalFeed(client, door)
    first = feed.drain()[0]
    assert isinstance(first, StreamStateChanged)
    assert first.at == NOW + timedelta(days=30)


async def test_nothing_of_a_run_depends_on_how_its_steps_are_cut() -> None:
    ends = []
    for pieces in (1, 3, 60):
        arena_world, door, client = local()
        feed = LocalMarketFeed(door, PublicPlan(perp=SYMBOLS)) if pieces != 3 else None
        await client.place(perp("tr-1", Side.BUY, "2", symbol="ETHUSDT"))
        for _ in range(pieces):
            step(arena_world, 60 * HOUR / pieces)
        state = arena_world.venue.state
        ends.append((dict(state.books.balances), list(state.executions[door.uid])))
        assert feed is None or len(candles(feed)) == 180
    assert ends[0] == ends[1] == ends[2]
