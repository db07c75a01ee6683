"""One REST request from bytes to envelope: limits, clock, key, signature, handler, commit, faults."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from eternal_engine import clock
from eternal_engine.simulator.faults import Fault, FaultKind
from eternal_engine.simulator.server.call import Call, Json
from eternal_engine.simulator.server.limits import Allowance
from eternal_engine.simulator.server.params import Params
from eternal_engine.simulator.server.routes import ROUTES, Route, limit_class_of
from eternal_engine.simulator.server.signing import MissingHeaders, authenticate
from eternal_engine.simulator.server.world import World
from eternal_engine.simulator.venue import Account, VenueReject

BUSY_HTML = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
MARKET_PATH, TIME_PATH = "/v5/market/", "/v5/market/time"
BEFORE = frozenset(
    {
        FaultKind.LOSE_REQUEST,
        FaultKind.CODE,
        FaultKind.RATE_LIMIT_PAST,
        FaultKind.RATE_LIMIT_FUTURE,
        FaultKind.RATE_LIMIT_BARE,
        FaultKind.HTTP,
        FaultKind.CLOCK_SKEW,
        FaultKind.DELAY,
        FaultKind.DUPLICATE,
        FaultKind.REJECT_LATER,
    }
)
AFTER = frozenset(
    {
        FaultKind.LOSE_REPLY,
        FaultKind.CODE_AFTER,
        FaultKind.HTML,
        FaultKind.TRUNCATE,
        FaultKind.MISSING_FIELD,
        FaultKind.UNKNOWN_ENUM,
    }
)


class ConnectionLost(Exception):
    """Drop the connection without an answer, as a network does."""


@dataclass(slots=True)
class Answer:
    """Hold what will be sent: the envelope's parts, and whatever a fault made of them."""

    code: int = 0
    text: str = "OK"
    result: Json = field(default_factory=dict)
    ext: Json = field(default_factory=dict)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    raw: str | None = None
    time_ms: int | None = None

    def body(self) -> str:
        """Write the envelope; `time` is the wall clock, as signatures are, but venue time beside market data."""
        if self.raw is not None:
            return self.raw
        doc = {"retCode": self.code, "retMsg": self.text, "result": self.result, "retExtInfo": self.ext}
        return json.dumps({**doc, "time": clock.now_ms() if self.time_ms is None else self.time_ms})


async def answer(world: World, request: web.Request) -> web.StreamResponse:
    """Answer one request as the exchange would, faults included."""
    body = await request.read()
    if not world.limits.admit(request.remote or "", clock.now_ms()):
        return _plain(403, "access too frequent")
    route = ROUTES.get(request.path)
    if route is None:
        return _plain(404, "404 page not found")
    if request.method != route.method:
        return _plain(400, "bad method")
    if request.method == "GET" and body:
        return _plain(403, "a GET request must not carry a body")
    try:
        made = await _serve(world, route, request, body)
    except MissingHeaders:
        return _json(Answer(code=10003, text="API key is invalid.", status=401))
    except ConnectionLost:
        if request.transport is not None:
            request.transport.abort()
        return _plain(499, "")
    return _json(made)


async def _serve(world: World, route: Route, request: web.Request, body: bytes) -> Answer:
    raw = body if route.method == "POST" else request.rel_url.raw_query_string.encode()
    faults = world.faults.hits(request.path, _account_name(world, request.headers), BEFORE | AFTER)
    made = await _before(faults)
    if made is not None:
        return made
    try:
        params, caller, allowance = _admit(world, route, request, raw, faults)
    except VenueReject as error:
        return Answer(code=error.code, text=error.text)
    if allowance is not None and not allowance.granted:
        return Answer(10006, "Too many visits. Exceeded the API Rate Limit.", headers=_limit_headers(allowance))
    if any(fault.kind is FaultKind.REJECT_LATER for fault in faults):
        world.venue.doom_next_order()
    if request.path.startswith(MARKET_PATH):
        await world.feed.prepare(request.path, params.values)
    made = perform(world, route, Call(world, caller, params))
    if request.path.startswith(MARKET_PATH) and request.path != TIME_PATH:
        # A client tells a closed candle from the open one by this time; in a fast market the wall clock would lie.
        made.time_ms = world.venue.state.now_ms
    if any(fault.kind is FaultKind.DUPLICATE for fault in faults):
        perform(world, route, Call(world, caller, params))
    if allowance is not None:
        made.headers.update(_limit_headers(allowance))
    return suffer(made, faults)


def perform(world: World, route: Route, call: Call) -> Answer:
    """Run a handler between catching up and committing; a refusal changes nothing but is an answer too."""
    if world.demo and not route.demo:
        return Answer(code=10032, text="Demo trading are not supported.")
    if world.under_maintenance and route.limit_class:
        return Answer(code=10016, text="System maintenance, please try again later.")
    world.catch_up()
    try:
        result = route.handler(call)
        made = Answer(result=result, ext=result.pop("_ext", {}))
    except VenueReject as error:
        made = Answer(code=error.code, text=error.text)
    world.settle()
    return made


def _admit(
    world: World, route: Route, request: web.Request, raw: bytes, faults: list[Fault]
) -> tuple[Params, Account | None, Allowance | None]:
    if not route.limit_class:
        return _params(route, raw), None, None
    skew = sum(fault.delay_ms for fault in faults if fault.kind is FaultKind.CLOCK_SKEW)
    wall_ms = clock.now_ms()
    caller = authenticate(world.venue, request.headers, raw, wall_ms + skew)
    params = _params(route, raw)
    limit_class = limit_class_of(route, params.text("category"))
    return params, caller, world.limits.ask(caller.uid, request.path, limit_class, wall_ms)


def _params(route: Route, raw: bytes) -> Params:
    if route.method == "GET":
        return Params(dict(parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True)))
    try:
        doc = json.loads(raw or b"{}", parse_float=Decimal)
    except (ValueError, RecursionError):
        raise VenueReject(10001, "params error: the body is not JSON") from None
    if not isinstance(doc, dict):
        raise VenueReject(10001, "params error: the body is not a JSON object")
    return Params(doc)


async def _before(faults: list[Fault]) -> Answer | None:
    for fault in faults:
        if fault.kind is FaultKind.DELAY:
            await asyncio.sleep(fault.delay_ms / 1000)
        elif fault.kind is FaultKind.LOSE_REQUEST:
            raise ConnectionLost
        elif fault.kind is FaultKind.HTTP:
            return Answer(status=fault.status, raw=BUSY_HTML)
        elif fault.kind is FaultKind.CODE:
            return Answer(code=fault.code, text=fault.text)
        elif fault.kind in {FaultKind.RATE_LIMIT_PAST, FaultKind.RATE_LIMIT_FUTURE, FaultKind.RATE_LIMIT_BARE}:
            return _limited(fault)
    return None


def _limited(fault: Fault) -> Answer:
    made = Answer(10006, "Too many visits. Exceeded the API Rate Limit.")
    away = {FaultKind.RATE_LIMIT_PAST: -fault.delay_ms, FaultKind.RATE_LIMIT_FUTURE: fault.delay_ms}.get(fault.kind)
    if away is not None:
        reset = str(clock.now_ms() + away)
        made.headers = {"X-Bapi-Limit": "10", "X-Bapi-Limit-Status": "0", "X-Bapi-Limit-Reset-Timestamp": reset}
    return made


def suffer(made: Answer, faults: list[Fault]) -> Answer:
    """Do to a finished answer what faults do; ConnectionLost when it never reaches the client."""
    for fault in faults:
        if fault.kind is FaultKind.LOSE_REPLY:
            raise ConnectionLost
        if fault.kind is FaultKind.CODE_AFTER:
            made.code, made.text, made.result = fault.code, fault.text, {}
        elif fault.kind is FaultKind.HTML:
            made.raw, made.status = BUSY_HTML, fault.status
        elif fault.kind is FaultKind.TRUNCATE:
            whole = made.body()
            made.raw = whole[: max(1, len(whole) // 2)]
        elif fault.kind is FaultKind.MISSING_FIELD:
            _drop(made.result, fault.field)
        elif fault.kind is FaultKind.UNKNOWN_ENUM:
            _set(made.result, fault.field or "orderStatus", "SomethingNew")
    return made


def _drop(doc: Any, name: str) -> None:
    if isinstance(doc, dict):
        doc.pop(name, None)
    for child in _children(doc):
        _drop(child, name)


def _set(doc: Any, name: str, value: str) -> None:
    if isinstance(doc, dict) and name in doc:
        doc[name] = value
    for child in _children(doc):
        _set(child, name, value)


def _children(doc: Any) -> list[Any]:
    if isinstance(doc, dict):
        return list(doc.values())
    return doc if isinstance(doc, list) else []


def _account_name(world: World, headers: Mapping[str, str]) -> str:
    uid = world.venue.state.uid_of_key.get(headers.get("X-BAPI-API-KEY", ""))
    return "" if uid is None else world.venue.state.accounts[uid].name


def _limit_headers(allowance: Allowance) -> dict[str, str]:
    return {
        "X-Bapi-Limit": str(allowance.limit),
        "X-Bapi-Limit-Status": str(allowance.left),
        "X-Bapi-Limit-Reset-Timestamp": str(allowance.reset_ms),
    }


def _json(made: Answer) -> web.Response:
    kind = "text/html" if made.raw is not None and made.raw.startswith("<") else "application/json"
    return web.Response(text=made.body(), status=made.status, headers=made.headers, content_type=kind)


def _plain(status: int, words: str) -> web.Response:
    return web.Response(text=words, status=status)
