"""Fact 12 with the real library: acknowledging too early kills pybit's connections, so the exchange waits."""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal
from typing import Any

import pybit.unified_trading as unified
import pytest

from eternal_engine.simulator.opening import Opening, open_world
from eternal_engine.simulator.server.app import Server

CONNECTIONS = 30


def subscribe_all() -> int:
    """Open connections with two subscriptions each and count those that hear of both."""
    heard: list[set[str]] = []
    sockets: list[Any] = []
    for _ in range(CONNECTIONS):
        topics: set[str] = set()
        socket = unified.WebSocket(testnet=False, channel_type="linear")
        socket.ticker_stream("BTCUSDT", lambda message, topics=topics: topics.add(message["topic"]))
        socket.orderbook_stream(1, "ETHUSDT", lambda message, topics=topics: topics.add(message["topic"]))
        heard.append(topics)
        sockets.append(socket)
    for _ in range(50):
        if all(len(topics) == 2 for topics in heard):
            break
        time.sleep(0.1)
    alive = sum(socket.is_connected() and len(topics) == 2 for socket, topics in zip(sockets, heard, strict=True))
    for socket in sockets:
        socket.exit()
    return alive


@pytest.mark.slow
async def test_fact_12_no_pybit_connection_dies_of_an_early_acknowledgement(monkeypatch: pytest.MonkeyPatch) -> None:
    world = open_world(Opening(start_ms=1_675_209_600_000, speed=0, limits=False, deposit_usdt=Decimal(0)))
    server = Server(world)
    await server.start()
    monkeypatch.setattr(unified, "PUBLIC_WSS", f"ws://127.0.0.1:{server.port}/v5/public/{{CHANNEL_TYPE}}")
    alive = await asyncio.to_thread(subscribe_all)
    await server.stop()
    assert alive == CONNECTIONS
