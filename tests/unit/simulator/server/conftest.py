"""A real server on loopback over a flat market, and a bare signed client: no library between test and wire."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import aiohttp
import numpy as np
import pytest

from eternal_engine import clock
from eternal_engine.market_data.history import HOUR_MS, FundingRates, MarketHistory, Ohlcv, Sentiment
from eternal_engine.simulator.feeds import HistoryFeed
from eternal_engine.simulator.server.app import Server
from eternal_engine.simulator.server.limits import Limits
from eternal_engine.simulator.server.world import VenueClock, World
from eternal_engine.simulator.venue import Account, Venue

START_MS = 1_704_067_200_000
HOURS = 240
NOW_MS = START_MS + 120 * HOUR_MS


def flat_history(price: float = 40_000.0) -> MarketHistory:
    """Build ten days of BTC at one price with 1 bp funding every eight hours."""
    flat = np.full((1, HOURS), price)
    bars = Ohlcv(flat.copy(), flat * 1.001, flat * 0.999, flat.copy(), np.full_like(flat, 5.0))
    stamps = np.arange(START_MS, START_MS + HOURS * HOUR_MS, 8 * HOUR_MS, dtype=np.int64)
    funding = FundingRates(stamps, np.full(len(stamps), 0.0001), np.full(len(stamps), 8.0))
    return MarketHistory(
        symbols=("BTCUSDT",),
        start_ms=START_MS,
        spot=bars,
        perp=bars,
        perp_stand_in=np.zeros((1, HOURS), dtype=np.bool_),
        funding=(funding,),
        first_funding_ms=np.array([START_MS], dtype=np.int64),
        listed_ms=np.array([START_MS], dtype=np.int64),
        delisted_ms=np.array([-1], dtype=np.int64),
        sentiment=Sentiment(np.zeros(0, dtype=np.int64), np.zeros(0)),
        source="flat",
        synthetic=True,
        fingerprint="flat",
    )


@dataclass
class Wire:
    """Speak to a server with one account's key; every method returns (HTTP status, envelope or text, headers)."""

    server: Server
    account: Account
    http: aiohttp.ClientSession

    @property
    def url(self) -> str:
        """Give the address of the server."""
        return f"http://127.0.0.1:{self.server.port}"

    def sign(self, payload: str, *, stamp: int | None = None, window: str = "5000", key: str = "") -> dict[str, str]:
        """Sign a payload as the exchange asks."""
        at = str(clock.now_ms() if stamp is None else stamp)
        key = key or self.account.api_key
        text = f"{at}{key}{window}{payload}"
        sign = hmac.new(self.account.api_secret.encode(), text.encode(), hashlib.sha256).hexdigest()
        names = {"X-BAPI-API-KEY": key, "X-BAPI-TIMESTAMP": at, "X-BAPI-RECV-WINDOW": window, "X-BAPI-SIGN": sign}
        return {**names, "X-BAPI-SIGN-TYPE": "2"}

    async def get(self, path: str, query: str = "", **headers: str) -> tuple[int, Any, Any]:
        """Send a signed GET; `query` goes out as it is."""
        url = f"{self.url}{path}" + (f"?{query}" if query else "")
        return await self._send("GET", url, b"", {**self.sign(query), **headers})

    async def post(self, path: str, doc: Any, **headers: str) -> tuple[int, Any, Any]:
        """Send a signed POST of a document (or of text as it is)."""
        body = doc if isinstance(doc, str) else json.dumps(doc)
        return await self._send("POST", f"{self.url}{path}", body.encode(), {**self.sign(body), **headers})

    async def order(self, **fields: Any) -> dict[str, Any]:
        """Send an order create and return its envelope."""
        return (await self.post("/v5/order/create", fields))[1]

    async def maintain(self, verb: str, **fields: Any) -> Any:
        """Call a POST verb of the maintenance path."""
        async with self.http.post(f"{self.url}/maintenance/{verb}", json=fields) as reply:
            return await reply.json()

    async def _send(self, method: str, url: str, body: bytes, headers: dict[str, str]) -> tuple[int, Any, Any]:
        from yarl import URL

        async with self.http.request(method, URL(url, encoded=True), data=body or None, headers=headers) as reply:
            text = await reply.text()
            try:
                return reply.status, json.loads(text), reply.headers
            except ValueError:
                return reply.status, text, reply.headers


def make_world(*, demo: bool = False, limits: bool = False, price: float = 40_000.0) -> World:
    """Put a stepped world together: a master with 100,000 USDT and one sub-account."""
    feed = HistoryFeed(flat_history(price))
    venue = Venue(now_ms=NOW_MS)
    master = venue.open_account("MASTER")
    venue.open_account("ALPHA", parent_uid=master.uid)
    venue.deposit(master.uid, "USDT", Decimal(100_000))
    feed.open_market(venue)
    return World(venue, feed, VenueClock(0.0, NOW_MS), demo=demo, limits=Limits(enforced=limits))


async def serving(world: World) -> AsyncIterator[Wire]:
    """Serve a world for one test."""
    server = Server(world)
    await server.start()
    async with aiohttp.ClientSession() as http:
        yield Wire(server, next(iter(world.venue.state.accounts.values())), http)
    await server.stop()
    assert world.venue.audit() == ()


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    """Serve a live-profile world without limits."""
    async for made in serving(make_world()):
        yield made


@pytest.fixture
async def limited() -> AsyncIterator[Wire]:
    """Serve a world with the exchange's limits."""
    async for made in serving(make_world(limits=True)):
        yield made


@pytest.fixture
async def demo() -> AsyncIterator[Wire]:
    """Serve a demo-profile world."""
    async for made in serving(make_world(demo=True)):
        yield made
