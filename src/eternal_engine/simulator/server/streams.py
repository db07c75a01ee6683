"""WebSocket connections: authentication, subscriptions, pings, snapshots and deltas."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any, Protocol

from aiohttp import WSMsgType, web

from eternal_engine import clock
from eternal_engine.simulator.faults import Fault, FaultKind
from eternal_engine.simulator.server.call import Call, Json
from eternal_engine.simulator.server.market import (
    INTERVALS_MS,
    book,
    candle_message,
    candle_rows,
    closed_between,
    open_of,
    ticker_row,
)
from eternal_engine.simulator.server.params import Params
from eternal_engine.simulator.server.render import execution_row, order_row, position_row, text, wallet_row
from eternal_engine.simulator.server.signing import is_digits, matches
from eternal_engine.simulator.server.world import World
from eternal_engine.simulator.venue import Execution, Order, Position, VenueEvent, VenueReject
from eternal_engine.simulator.venue.instruments import Category

# pybit stores a subscription after it has sent it: an instant answer finds nothing to belong to (fact 12).
ACK_DELAY_S = 0.025
SPOT_ARGS_MOST = 10
KLINE_PERIOD_S = 1.0
ARGS_TEXT_MOST = 21_000
QUEUE_MOST = 5_000
PRIVATE_TOPICS = {
    "order": None,
    "execution": None,
    "position": None,
    "wallet": None,
    "order.spot": "spot",
    "order.linear": "linear",
    "execution.spot": "spot",
    "execution.linear": "linear",
    "execution.fast": None,
    "position.linear": "linear",
    "greeks": None,
}
DEPTHS = {"1": 1, "50": 50, "200": 200, "1000": 1000}
STREAM_FAULTS = frozenset(kind for kind in FaultKind if kind.startswith("ws_"))


@dataclass(eq=False)
class Connection:
    """Hold one client: what it subscribed to, what it was last told, and a bounded queue to its socket."""

    world: World
    socket: web.WebSocketResponse
    channel: str
    conn_id: str
    transport: asyncio.Transport | None = None
    uid: int = 0
    topics: dict[str, str] = field(default_factory=dict)
    last: dict[str, Any] = field(default_factory=dict)
    queue: asyncio.Queue[str | None] = field(default_factory=lambda: asyncio.Queue(QUEUE_MOST))
    kline_at_s: dict[str, float] = field(default_factory=dict)
    held: str | None = None

    async def serve(self) -> None:
        """Talk until the client leaves or a fault ends it."""
        writer = asyncio.create_task(self._write())
        try:
            async for message in self.socket:
                if message.type is WSMsgType.TEXT:
                    await self._hear(message.data)
                elif message.type is WSMsgType.ERROR:
                    break
        finally:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)

    def publish(self, topic: str, message: Json) -> None:
        """Queue a message of a topic, as faults leave it; a client that does not read is cut off."""
        struck = self.world.faults.hits(topic, self._name(), STREAM_FAULTS)
        for fault in struck:
            if self._suffer(fault, message):
                return
        body = json.dumps(message)
        if self.held is not None:
            body, self.held = body + "\n" + self.held, None
        if any(fault.kind is FaultKind.WS_SWAP for fault in struck):
            self.held = body
            return
        for part in body.split("\n"):
            self._put(part)
            if any(fault.kind is FaultKind.WS_DUPLICATE for fault in struck):
                self._put(part)

    def _put(self, body: str | None) -> None:
        try:
            self.queue.put_nowait(body)
        except asyncio.QueueFull:
            self.abort()

    def _suffer(self, fault: Fault, message: Json) -> bool:
        """Apply a fault; True when the message is not to be sent."""
        if fault.kind is FaultKind.WS_CLOSE:
            self._put(None)
            return True
        if fault.kind is FaultKind.WS_RESET:
            self.abort()
            return True
        if fault.kind in {FaultKind.WS_DROP, FaultKind.WS_SILENT, FaultKind.WS_GAP}:
            return True
        if fault.kind is FaultKind.WS_NO_CONFIRM:
            return any(row.get("confirm") for row in message.get("data", []) if isinstance(row, dict))
        if fault.kind is FaultKind.WS_RESTART and isinstance(message.get("data"), dict):
            message["data"]["u"] = 1
        if fault.kind is FaultKind.WS_GARBAGE:
            self._put("not json {")
        return False

    async def _write(self) -> None:
        while True:
            body = await self.queue.get()
            if body is None:
                await self.socket.close(code=1001)
                return
            await self.socket.send_str(body)

    async def _hear(self, raw: str) -> None:
        try:
            doc = json.loads(raw)
        except (ValueError, RecursionError):
            doc = None
        if raw == "ping":
            self._put("pong")
            return
        if not isinstance(doc, dict):
            self._reply({"success": False, "ret_msg": "Request not authorized or malformed", "op": ""}, "")
            return
        op, req_id, args = doc.get("op"), str(doc.get("req_id", "")), doc.get("args", [])
        if op == "ping":
            self._pong(req_id)
        elif op == "auth":
            await self._authorize(args, req_id)
        elif op in {"subscribe", "unsubscribe"}:
            await self._subscribe(op, args, req_id)
        else:
            self._reply({"success": False, "ret_msg": "error:invalid op", "op": str(op)}, req_id)

    def _pong(self, req_id: str) -> None:
        if self.channel == "private":
            doc = {"req_id": req_id, "op": "pong", "args": [str(clock.now_ms())], "conn_id": self.conn_id}
            self._put(json.dumps(doc if req_id else {name: doc[name] for name in ("op", "args", "conn_id")}))
        else:
            self._reply({"success": True, "ret_msg": "pong", "op": "ping"}, req_id)

    async def _authorize(self, args: Any, req_id: str) -> None:
        await asyncio.sleep(ACK_DELAY_S)
        verdict = self._check_auth(args)
        said = {"success": verdict == "", "ret_msg": verdict, "op": "auth"}
        self._reply(said, req_id)

    def _check_auth(self, args: Any) -> str:
        if not isinstance(args, list) or len(args) != 3 or self.channel != "private":
            return "Params Error"
        key, expires, sign = str(args[0]), str(args[1]), str(args[2])
        try:
            account = self.world.venue.account_of_key(key)
        except VenueReject:
            return "API key is invalid."
        if not is_digits(expires) or int(expires) <= clock.now_ms():
            return "Request expired"
        if not matches(account.api_secret, f"GET/realtime{expires}".encode(), sign):
            return "error sign"
        self.uid = account.uid
        return ""

    async def _subscribe(self, op: str, args: Any, req_id: str) -> None:
        wrong = self._refusal(op, args)
        await asyncio.sleep(ACK_DELAY_S)
        if wrong:
            self._reply({"success": False, "ret_msg": wrong, "op": op}, req_id)
            return
        for topic in args:
            if op == "subscribe":
                self.topics[topic] = req_id
            else:
                self.topics.pop(topic, None)
                self.last.pop(topic, None)
        said = "subscribe" if self.channel == "spot" and op == "subscribe" else ""
        self._reply({"success": True, "ret_msg": said, "op": op}, "" if self.channel == "private" else req_id)
        if op == "subscribe" and self.channel != "private":
            push_market(self, args)

    def _refusal(self, op: str, args: Any) -> str:
        if not isinstance(args, list) or not args or not all(isinstance(topic, str) for topic in args):
            return "error:invalid args"
        if self.channel == "spot" and len(args) > SPOT_ARGS_MOST:
            return "args size >10"
        if sum(len(topic) for topic in args) > ARGS_TEXT_MOST:
            return "error:args too long"
        if self.channel == "private" and not self.uid:
            return "Request not authorized"
        if self.world.faults.hits(args[0], self._name(), {FaultKind.WS_REFUSE}):
            return f"error:handler not found,topic:{args[0]}"
        for topic in args:
            if not self._knows(topic):
                return f"error:handler not found,topic:{topic}"
            if op == "subscribe" and topic in self.topics:
                return f"error:already subscribed,topic:{topic}"
        kinds = {topic.split(".")[0] for topic in args if "." in topic}
        if self.channel == "private" and any(topic in kinds for topic in args):
            return "error:cannot mix a topic with its categories"
        return ""

    def _knows(self, topic: str) -> bool:
        if self.channel == "private":
            return topic in PRIVATE_TOPICS
        kind, _, rest = topic.partition(".")
        detail, _, symbol = rest.rpartition(".")
        known = (self.channel, symbol) in self.world.venue.state.instruments
        if kind in {"tickers", "publicTrade"}:
            return known and not detail
        if kind == "kline":
            return known and detail in (*INTERVALS_MS, "M")
        return kind == "orderbook" and known and detail in DEPTHS

    def _reply(self, said: Json, req_id: str) -> None:
        doc = {**said, "conn_id": self.conn_id}
        if req_id or self.channel != "private":
            doc["req_id"] = req_id
        self._put(json.dumps(doc))

    def _name(self) -> str:
        account = self.world.venue.state.accounts.get(self.uid)
        return "" if account is None else account.name

    def abort(self) -> None:
        """Break the connection without a word, as a network does."""
        if self.transport is not None:
            self.transport.abort()


class Hearer(Protocol):
    """Be told about one account: a connection, or a tap inside the process."""

    world: World
    uid: int
    topics: dict[str, str]

    def publish(self, topic: str, message: Json) -> None:
        """Take one message of a topic."""
        ...


def push_private(connection: Hearer, events: list[VenueEvent]) -> None:
    """Tell a private connection about its account, one message per kind and run of events."""
    venue = connection.world.venue
    grouped: dict[str, list[tuple[str, Json]]] = {}
    for event in events:
        if event.uid != connection.uid:
            continue
        if isinstance(event.body, Order):
            row = order_row(venue, event.body) | {
                "category": event.body.category,
                "closedPnl": text(event.body.closed_pnl),
            }
            if event.body.live_ms == 0 or event.body.is_open:
                grouped.setdefault("order", []).append((event.body.category, row))
        elif isinstance(event.body, Execution):
            row = execution_row(venue, event.body) | _execution_extra(event.body)
            grouped.setdefault("execution", []).append((event.body.category, row))
        elif isinstance(event.body, Position):
            row = position_row(venue, event.body)
            row = {**row, "entryPrice": row["avgPrice"], "category": "linear"}
            row.pop("avgPrice")
            grouped.setdefault("position", []).append(("linear", row))
        else:
            grouped["wallet"] = [("", wallet_row(venue, event.uid))]
    for kind, rows in grouped.items():
        _send_private(connection, kind, rows)


def push_market(connection: Connection, topics: list[str] | None = None) -> None:
    """Send each subscribed public topic what changed since the last time (a snapshot the first time)."""
    category: Category = "spot" if connection.channel == "spot" else "linear"
    for topic in list(connection.topics) if topics is None else topics:
        kind, _, rest = topic.partition(".")
        detail, _, symbol = rest.rpartition(".")
        if (category, symbol) not in connection.world.venue.state.quotes:
            continue
        if kind == "tickers":
            _push_ticker(connection, topic, category, symbol)
        elif kind == "orderbook":
            _push_book(connection, topic, category, symbol, DEPTHS[detail])
        elif kind == "kline":
            _push_kline(connection, topic, category, symbol, detail)
        else:
            _push_trade(connection, topic, category, symbol)


def _send_private(connection: Hearer, kind: str, rows: list[tuple[str, Json]]) -> None:
    now_ms = connection.world.venue.state.now_ms
    for topic in list(connection.topics):
        if topic.partition(".")[0] != kind or topic == "execution.fast":
            continue
        wanted = PRIVATE_TOPICS[topic]
        data = [row for category, row in rows if wanted is None or category == wanted]
        if data:
            number = connection.world.venue.state.counter
            message = {"id": f"{connection.uid}_{kind}_{now_ms}_{number}", "topic": topic, "creationTime": now_ms}
            connection.publish(topic, {**message, "data": data})


def _execution_extra(row: Execution) -> Json:
    return {"category": row.category, "isLeverage": "0", "marketUnit": "", "execPnl": text(row.pnl)}


def _call(connection: Connection) -> Call:
    return Call(connection.world, None, Params({}))


def _push_ticker(connection: Connection, topic: str, category: Category, symbol: str) -> None:
    row = ticker_row(_call(connection), category, symbol)
    if category == "spot":
        for name in ("bid1Price", "bid1Size", "ask1Price", "ask1Size"):
            row.pop(name)
    before = connection.last.get(topic)
    if before == row:
        return
    connection.last[topic] = row
    whole = before is None or category == "spot"
    data = (
        row if whole else {"symbol": symbol} | {k: v for k, v in row.items() if before is not None and before[k] != v}
    )
    now_ms = connection.world.venue.state.now_ms
    message = {"topic": topic, "ts": now_ms, "type": "snapshot" if whole else "delta", "cs": now_ms, "data": data}
    connection.publish(topic, message)


def _push_book(connection: Connection, topic: str, category: Category, symbol: str, depth: int) -> None:
    now = book(connection.world.venue, category, symbol, depth)
    before = connection.last.get(topic)
    sides = {"b": now["b"], "a": now["a"]}
    if before is not None and before["sides"] == sides:
        return
    update = 1 if before is None else before["u"] + 1
    connection.last[topic] = {"sides": sides, "u": update}
    whole = before is None or depth == 1
    if before is not None and not whole:
        sides = {side: _book_delta(before["sides"][side], rows) for side, rows in sides.items()}
    data = {"s": symbol, **sides, "u": update, "seq": now["seq"]}
    kind = "snapshot" if whole else "delta"
    connection.publish(topic, {"topic": topic, "ts": now["ts"], "type": kind, "data": data, "cts": now["cts"]})


def _book_delta(before: list[list[str]], now: list[list[str]]) -> list[list[str]]:
    old: dict[str, str] = {row[0]: row[1] for row in before}
    new: dict[str, str] = {row[0]: row[1] for row in now}
    gone = [[price, "0"] for price in old if price not in new]
    return gone + [[price, size] for price, size in new.items() if old.get(price) != size]


def _push_kline(connection: Connection, topic: str, category: Category, symbol: str, interval: str) -> None:
    now_ms = connection.world.venue.state.now_ms
    opens = open_of(now_ms, interval)
    connection.world.feed.watch(category, symbol, interval)
    before = connection.last.get(topic)
    same = before is not None and before[0] == opens
    if same and clock.monotonic() - connection.kline_at_s.get(topic, 0.0) < KLINE_PERIOD_S:
        return
    connection.kline_at_s[topic] = clock.monotonic()
    wanted = [opens] if before is None or same else [*closed_between(before[0], now_ms, interval), opens]
    for candle, end_ms in candle_rows(_call(connection), category, symbol, interval, iter(wanted)):
        state = (candle.open_ms, candle.close, candle.high, candle.low, candle.volume, end_ms <= now_ms)
        if state != connection.last.get(topic):
            connection.last[topic] = state
            connection.publish(topic, candle_message(candle, end_ms, symbol, interval, now_ms))


def _push_trade(connection: Connection, topic: str, category: Category, symbol: str) -> None:
    quote = connection.world.venue.state.quotes[category, symbol]
    before = connection.last.get(topic)
    if before == quote.last:
        return
    connection.last[topic] = quote.last
    now_ms = connection.world.venue.state.now_ms
    side = "Buy" if before is None or quote.last >= before else "Sell"
    row = {"T": now_ms, "s": symbol, "S": side, "v": "1", "p": text(quote.last), "i": f"{symbol}-{now_ms}"}
    data = [{**row, "L": "ZeroPlusTick", "BT": False, "RPI": False, "seq": now_ms}]
    connection.publish(topic, {"topic": topic, "type": "snapshot", "ts": now_ms, "data": data})
