"""A scripted WebSocket server, a REST stand-in, and collectors of events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from eternal_engine.exchange.bybit.stream import Feed, SocketSettings
from eternal_engine.exchange.events import StreamEvent, StreamState, StreamStateChanged

FAST = SocketSettings(
    ping_s=0.1,
    stale_s=1.5,
    tick_s=0.02,
    open_timeout_s=5,
    answer_timeout_s=1.0,
    backoff_first_s=0.02,
    backoff_most_s=0.1,
    settled_s=0,
    catch_up_pause_s=0.05,
)

Talk = Callable[[ServerConnection], Awaitable[None]]


@dataclass
class StreamServer:
    """Answer auth, subscribe and ping as the exchange does; `talk` runs after the last subscription of a connection."""

    talk: Talk | None = None
    auth_ok: bool = True
    pong: bool = True
    unknown: set[str] = field(default_factory=set)
    requests: list[dict[str, Any]] = field(default_factory=list)
    connections: list[ServerConnection] = field(default_factory=list)
    port: int = 0
    server: Server | None = None

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self.server = await serve(self._handle, "127.0.0.1", self.port)
        self.port = self.server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self.server is not None:
            self.server.close()
            await self.server.wait_closed()
            self.server = None

    def subscribed(self) -> list[str]:
        return [topic for request in self.requests if request["op"] == "subscribe" for topic in request["args"]]

    async def _handle(self, connection: ServerConnection) -> None:
        self.connections.append(connection)
        talking: asyncio.Task[None] | None = None
        try:
            async for text in connection:
                request = json.loads(text)
                self.requests.append(request)
                for answer in self._answers(request):
                    await connection.send(json.dumps(answer))
                if request["op"] == "subscribe" and self.talk and talking is None:
                    talking = asyncio.ensure_future(self.talk(connection))
        except ConnectionClosed:
            pass
        finally:
            if talking is not None:
                talking.cancel()
                await asyncio.gather(talking, return_exceptions=True)

    def _answers(self, request: dict[str, Any]) -> list[dict[str, Any]]:
        match request["op"]:
            case "auth":
                text = "" if self.auth_ok else "Params Error"
                return [{"success": self.auth_ok, "ret_msg": text, "op": "auth", "conn_id": "c"}]
            case "subscribe":
                unknown = self.unknown & set(request["args"])
                if unknown:
                    text = f"error:handler not found,topic:{min(unknown)}"
                    return [{"success": False, "ret_msg": text, "op": "subscribe", "conn_id": "c"}]
                return [{"success": True, "ret_msg": "", "op": "subscribe", "conn_id": "c"}]
            case "ping" if self.pong:
                return [{"op": "pong", "args": ["1735689600000"], "conn_id": "c"}]
        return []


@pytest.fixture
async def stream_server() -> AsyncIterator[StreamServer]:
    made = StreamServer()
    await made.start()
    yield made
    await made.stop()


class Watch:
    """Collect the events of a feed in the background."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.events: list[StreamEvent] = []
        self.paused = asyncio.Event()
        self.paused.set()
        self.task = asyncio.ensure_future(self._run())

    async def _run(self) -> None:
        async for event in self.feed.events():
            self.events.append(event)
            await self.paused.wait()

    def of(self, kind: type[StreamEvent]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def states(self) -> list[StreamState]:
        return [event.state for event in self.of(StreamStateChanged)]

    async def until(self, condition: Callable[[], object], seconds: float = 20.0) -> None:
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 - conditions over many events
                await asyncio.sleep(0.005)

    async def close(self) -> None:
        await self.feed.stop()
        await asyncio.wait_for(self.task, 10)


Watcher = Callable[[Feed], Watch]


@pytest.fixture
async def watch() -> AsyncIterator[Watcher]:
    made: list[Watch] = []

    def start(feed: Feed) -> Watch:
        made.append(Watch(feed))
        return made[-1]

    yield start
    for each in made:
        if not each.task.done():
            await each.close()


@pytest.fixture
def fast() -> SocketSettings:
    return FAST
