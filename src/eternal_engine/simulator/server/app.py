"""The listener: REST, streams and the maintenance path behind one loopback port."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count

from aiohttp import WSCloseCode, web

from eternal_engine.model.errors import StorageError
from eternal_engine.simulator.faults import FaultKind
from eternal_engine.simulator.server import maintenance
from eternal_engine.simulator.server.params import Params
from eternal_engine.simulator.server.rest import answer
from eternal_engine.simulator.server.streams import Connection, push_market, push_private
from eternal_engine.simulator.server.world import World
from eternal_engine.simulator.venue import VenueEvent, VenueReject

BODY_MOST_BYTES = 1_000_000
TICK_S = 0.1
SLOWEST_REQUEST_S = 30
# Clients that never finish a request must not hold up the end.
SHUTDOWN_S = 2.0


@dataclass
class Server:
    """Serve one world; `run` binds, then everything happens on the event loop's one thread."""

    world: World
    host: str = "127.0.0.1"
    port: int = 0
    connections: set[Connection] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._numbers = count(1)
        self._runner: web.AppRunner | None = None
        self._ticker: asyncio.Task[None] | None = None
        self._complained = ""

    async def start(self) -> None:
        """Start the prices, bind and accept connections; `port` then holds the real one."""
        await self.world.feed.start()
        self.world.feed.open_market(self.world.venue)
        app = web.Application(client_max_size=BODY_MOST_BYTES)
        app.router.add_get("/v5/public/{category}", self._public)
        app.router.add_get("/v5/private", self._private)
        app.router.add_route("*", "/maintenance/{verb}", self._maintain)
        app.router.add_route("*", "/{path:.*}", self._rest)
        self._runner = web.AppRunner(app, access_log=None, keepalive_timeout=75, shutdown_timeout=SHUTDOWN_S)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.host, self.port, backlog=512)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self.world.listeners.append(self._tell)
        self._ticker = asyncio.create_task(self._tick())

    async def stop(self) -> None:
        """Close every connection, commit, and let go of the port."""
        if self._ticker is not None:
            self._ticker.cancel()
            with suppress(asyncio.CancelledError):
                await self._ticker
        for connection in list(self.connections):
            await connection.socket.close(code=WSCloseCode.GOING_AWAY)
        if self._runner is not None:
            await self._runner.cleanup()
        await self.world.feed.stop()
        self.world.settle()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            if self.world.clock.speed:
                self._live_on()
            for connection in list(self.connections):
                if connection.channel != "private":
                    push_market(connection)

    def _live_on(self) -> None:
        """Let time pass; a file that cannot be written now may be writable at the next tick."""
        self.world.catch_up()
        try:
            self.world.settle(quiet=True)
        except StorageError as error:
            self._complain(error)
        else:
            self._complained = ""

    def _complain(self, error: StorageError) -> None:
        """Say once what keeps the exchange from answering."""
        if self._complained != error.message:
            print(error, file=sys.stderr, flush=True)
        self._complained = error.message

    def _tell(self, events: list[VenueEvent]) -> None:
        for connection in list(self.connections):
            if connection.channel == "private":
                push_private(connection, events)

    async def _rest(self, request: web.Request) -> web.StreamResponse:
        try:
            async with asyncio.timeout(SLOWEST_REQUEST_S):
                return await answer(self.world, request)
        except TimeoutError:
            return web.Response(status=408)
        except StorageError as error:
            self._complain(error)
            return web.Response(status=500, text="the answer could not be made durable")

    async def _public(self, request: web.Request) -> web.StreamResponse:
        category = request.match_info["category"]
        if self.world.demo or category not in {"spot", "linear"}:
            return web.Response(status=404)
        return await self._stream(request, category)

    async def _private(self, request: web.Request) -> web.StreamResponse:
        return await self._stream(request, "private")

    async def _stream(self, request: web.Request, channel: str) -> web.StreamResponse:
        refused = self.world.faults.hits(request.path, kinds={FaultKind.HTTP})
        if refused:
            return web.Response(status=refused[0].status)
        socket = web.WebSocketResponse(max_msg_size=BODY_MOST_BYTES, compress=False)
        if not socket.can_prepare(request):
            return web.Response(status=400, text="a WebSocket handshake is expected")
        await socket.prepare(request)
        transport = request.transport if isinstance(request.transport, asyncio.Transport) else None
        connection = Connection(self.world, socket, channel, f"sim-{channel}-{next(self._numbers)}", transport)
        self.connections.add(connection)
        try:
            await connection.serve()
        finally:
            self.connections.discard(connection)
        return socket

    async def _maintain(self, request: web.Request) -> web.StreamResponse:
        verb = maintenance.VERBS.get((request.method, request.path))
        if verb is None:
            known = sorted(f"{method} {path}" for method, path in maintenance.VERBS)
            return web.json_response({"error": "no such verb", "verbs": known}, status=404)
        try:
            sent = dict(request.query) or json.loads(await request.read() or b"{}", parse_float=Decimal)
            values = sent if isinstance(sent, dict) else {}
            if request.method == "GET":
                self.world.catch_up()
                self.world.settle()
            return web.json_response(verb(self.world, Params(values)))
        except VenueReject as error:
            return web.json_response({"error": error.text, "code": error.code}, status=400)
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)
        except StorageError as error:
            return web.json_response({"error": str(error)}, status=500)
