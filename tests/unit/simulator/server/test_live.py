"""Live prices, with another embedded exchange in the part of the public host."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from eternal_engine import clock
from eternal_engine.model.errors import DataError
from eternal_engine.simulator import live
from eternal_engine.simulator.live import LiveFeed
from eternal_engine.simulator.venue import OrderRequest, Venue


async def test_prices_rules_candles_and_settlements_come_from_the_host(
    wire: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "POLL_S", 0.05)
    feed = LiveFeed(("BTCUSDT",), wire.url)
    await feed.start()
    venue = Venue(now_ms=clock.now_ms())
    uid = venue.open_account("MASTER").uid
    venue.deposit(uid, "USDT", Decimal(10_000))
    feed.open_market(venue)
    assert venue.state.quotes["linear", "BTCUSDT"].last == 40_000
    resting = venue.create_order(
        uid, OrderRequest("spot", "BTCUSDT", "Buy", "Limit", Decimal("0.01"), price=Decimal(39_000))
    )
    await wire.maintain("quote", category="spot", symbol="BTCUSDT", last="38900")
    await asyncio.sleep(0.4)
    feed.advance(venue, clock.now_ms())
    assert resting.status == "Filled"
    now_ms = wire.server.world.venue.state.now_ms
    await feed.prepare("/v5/market/kline", {"category": "spot", "symbol": "BTCUSDT", "interval": "60", "limit": "5"})
    candle = feed.candle("spot", "BTCUSDT", now_ms - 3_600_000, now_ms, now_ms)
    assert candle is not None
    assert candle.close == 40_000
    await feed.prepare("/v5/market/funding/history", {"category": "linear", "symbol": "BTCUSDT"})
    assert feed.funding("BTCUSDT", 0, now_ms)[-1].rate == Decimal("0.0001")
    await feed.stop()


async def test_funding_is_settled_when_the_hosts_time_has_come(wire: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "POLL_S", 0.05)
    feed = LiveFeed(("BTCUSDT",), wire.url)
    await feed.start()
    venue = Venue(now_ms=clock.now_ms())
    uid = venue.open_account("MASTER").uid
    venue.deposit(uid, "USDT", Decimal(10_000))
    feed.open_market(venue)
    venue.create_order(uid, OrderRequest("linear", "BTCUSDT", "Buy", "Market", Decimal("0.1")))
    await wire.maintain("advance", hours=8)
    await asyncio.sleep(0.4)
    feed.advance(venue, clock.now_ms())
    feed.advance(venue, clock.now_ms())
    fundings = [row for row in venue.state.executions[uid] if row.exec_type == "Funding"]
    assert [(row.fee, row.fee_rate) for row in fundings] == [(Decimal("0.4"), Decimal("0.0001"))]
    await feed.stop()


async def test_old_prices_are_silence_and_not_prices(wire: Any) -> None:
    feed = LiveFeed(("BTCUSDT",), wire.url)
    await feed.start()
    await feed.stop()
    venue = Venue(now_ms=clock.now_ms())
    uid = venue.open_account("MASTER").uid
    venue.deposit(uid, "USDT", Decimal(10_000))
    feed.open_market(venue)
    feed.advance(venue, clock.now_ms() + 20_000)
    order = venue.create_order(uid, OrderRequest("linear", "BTCUSDT", "Buy", "Market", Decimal("0.1")))
    assert (order.status, order.cum_qty) == ("New", 0)


async def test_no_network_is_said_at_the_start() -> None:
    feed = LiveFeed(("BTCUSDT",), "http://127.0.0.1:9")
    with pytest.raises(DataError, match="live prices cannot be read"):
        await feed.start()
