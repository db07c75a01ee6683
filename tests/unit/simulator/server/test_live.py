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
    monkeypatch.setattr(clock, "now_ms", lambda: wire.server.world.venue.state.now_ms)
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


async def test_funding_of_the_time_the_exchange_did_not_run_is_settled_once_at_the_next_start(
    wire: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    host_ms = wire.server.world.venue.state.now_ms
    monkeypatch.setattr(clock, "now_ms", lambda: wire.server.world.venue.state.now_ms)
    venue = Venue(now_ms=host_ms)
    uid = venue.open_account("MASTER").uid
    venue.deposit(uid, "USDT", Decimal(10_000))
    first = LiveFeed(("BTCUSDT",), wire.url)
    await first.start()
    first.open_market(venue)
    venue.create_order(uid, OrderRequest("linear", "BTCUSDT", "Buy", "Market", Decimal("0.1")))
    first.advance(venue, host_ms)
    await first.stop()
    await wire.maintain("advance", hours=25)
    later_ms = wire.server.world.venue.state.now_ms
    for _ in range(2):
        second = LiveFeed(("BTCUSDT",), wire.url)
        second.open_market(venue)
        second.advance(venue, later_ms)
        await second.start()
        second.open_market(venue)
        second.advance(venue, later_ms)
        second.advance(venue, later_ms)
        await second.stop()
    stamps = [row.time_ms for row in venue.state.executions[uid] if row.exec_type == "Funding"]
    eight_h_ms = 8 * 3_600_000
    assert stamps == [stamp for stamp in range(0, later_ms + 1, eight_h_ms) if stamp > host_ms]
    assert len(stamps) == 3
    assert venue.audit() == ()
