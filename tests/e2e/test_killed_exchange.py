"""The embedded exchange is killed under a trading client and started again: nothing is lost, nothing happens twice."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from eternal_engine.exchange.bybit.client import Credentials, PybitDemoClient
from eternal_engine.exchange.bybit.stream import SocketSettings, private_feed
from eternal_engine.exchange.capability import Environment
from eternal_engine.exchange.events import ExecutionSeen, StreamState, StreamStateChanged
from eternal_engine.exchange.orders import OrderRequest
from eternal_engine.exchange.terms import Market, OrderKind, QtyUnit, Side
from eternal_engine.model.errors import Retry, UnknownOutcome

FAST = SocketSettings(ping_s=1, stale_s=10, tick_s=0.05, backoff_first_s=0.1, backoff_most_s=0.5, settled_s=0)


class Exchange:
    """One `eternal simulator serve` on a fixed port and file."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.folder = folder
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> dict[str, Any]:
        options = ["--port", str(self.port), "--state", str(self.folder / "venue.db"), "--json", "--no-limits"]
        command = [sys.executable, "-c", "from eternal_engine.cli import main; main()", "simulator", "serve", *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=self.folder)
        assert self.process.stdout is not None
        found: dict[str, Any] = json.loads(self.process.stdout.readline())
        return found

    def end(self, how: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(20)
            if self.process.stdout is not None:
                self.process.stdout.close()
            self.process = None


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Exchange]:
    made = Exchange(tmp_path)
    yield made
    made.end(signal.SIGTERM)


def buy(number: int) -> OrderRequest:
    return OrderRequest(
        f"co-{number}", Market.SPOT, "BTCUSDT", Side.BUY, OrderKind.MARKET, Decimal(20), qty_unit=QtyUnit.QUOTE
    )


async def until(condition: Any, seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - conditions over many events
            await asyncio.sleep(0.02)


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_d3_a_killed_exchange_loses_no_fill_and_doubles_none(exchange: Exchange) -> None:
    info = await asyncio.to_thread(exchange.start)
    keys = Credentials(info["accounts"][0]["api_key"], info["accounts"][0]["api_secret"])
    client = PybitDemoClient("main", keys, endpoint=info["rest_url"], environment=Environment.PAPER)
    feed = private_feed(client, keys, url=info["ws_private_url"], settings=FAST)
    heard: list[str] = []
    states: list[StreamState] = []

    async def listen() -> None:
        async for event in feed.events():
            if isinstance(event, ExecutionSeen):
                heard.append(event.execution.client_order_id)
            elif isinstance(event, StreamStateChanged):
                states.append(event.state)

    listening = asyncio.ensure_future(listen())
    await until(lambda: StreamState.LIVE in states)
    number = 0
    for _ in range(3):
        for _ in range(5):
            await client.place(buy(number))
            number += 1
        await asyncio.to_thread(exchange.end, signal.SIGKILL)
        with pytest.raises((Retry, UnknownOutcome)):
            await client.place(buy(number))
        lives = states.count(StreamState.LIVE)
        await asyncio.to_thread(exchange.start)
        assert not (await client.find_order(Market.SPOT, f"co-{number}")).found
        await until(lambda lives=lives: states.count(StreamState.LIVE) > lives)
    await client.place(buy(number))
    await until(lambda: len(heard) > number)
    assert sorted(heard) == sorted(f"co-{count}" for count in range(number + 1))
    for count in range(number + 1):
        lookup = await client.find_order(Market.SPOT, f"co-{count}")
        assert len(lookup.executions) == 1
    await feed.stop()
    await listening
    await client.close()
