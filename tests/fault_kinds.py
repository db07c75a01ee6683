"""The kinds of fault that strike the daemon, all of the simulator's list, and those that cannot, with the reason."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

from eternal_engine.exchange.bybit import endpoints
from eternal_engine.exchange.bybit.endpoints import Endpoint
from eternal_engine.exchange.bybit.errors import Verb
from eternal_engine.exchange.bybit.local import LocalCaller
from eternal_engine.exchange.door import AnswerLost
from eternal_engine.model.errors import ExchangeError, HaltTrading
from eternal_engine.simulator import adapter
from eternal_engine.simulator.faults import Fault, FaultKind
from eternal_engine.simulator.server.rest import Answer, ConnectionLost, suffer

Row = dict[str, Any]
CREATE: Final = "/v5/order/create"

# Rows of a fault plan, without the place where they strike. Several rows may be of one kind.
REST_KINDS: Final[dict[str, Row]] = {
    "lose_reply": {"kind": "lose_reply"},
    "lose_request": {"kind": "lose_request"},
    # The answer comes late, or the client has gone when it comes: by then a signature is too old to be taken in.
    "delay 1 s": {"kind": "delay", "delay_ms": 1_000},
    "delay 20 s": {"kind": "delay", "delay_ms": 20_000},
    "duplicate": {"kind": "duplicate"},
    "code 10016": {"kind": "code", "code": 10016},
    "code 10001": {"kind": "code", "code": 10001},
    "code 10003": {"kind": "code", "code": 10003},
    "code 110007": {"kind": "code", "code": 110007},
    "code 777": {"kind": "code", "code": 777},
    "code_after 10016": {"kind": "code_after", "code": 10016},
    "code_after 777": {"kind": "code_after", "code": 777},
    "rate_limit_past": {"kind": "rate_limit_past"},
    "rate_limit_future": {"kind": "rate_limit_future"},
    "rate_limit_bare": {"kind": "rate_limit_bare"},
    "clock_skew": {"kind": "clock_skew"},
    "http 502": {"kind": "http", "status": 502},
    "http 403": {"kind": "http", "status": 403},
    "html": {"kind": "html", "status": 502},
    "truncate": {"kind": "truncate"},
    "missing_field": {"kind": "missing_field"},
    "unknown_enum": {"kind": "unknown_enum"},
    "reject_later": {"kind": "reject_later"},
}
STREAM_KINDS: Final[dict[str, Row]] = {
    name: {"kind": name}
    for name in (
        "ws_drop",
        "ws_gap",
        "ws_silent",
        "ws_duplicate",
        "ws_swap",
        "ws_garbage",
        "ws_close",
        "ws_reset",
        "ws_refuse",
    )
}
KINDS: Final = {**REST_KINDS, **STREAM_KINDS}
LEFT_OUT: Final[dict[FaultKind, str]] = {
    FaultKind.WS_RESTART: "marks an order book as begun anew; the daemon subscribes to private topics alone",
    FaultKind.WS_NO_CONFIRM: "keeps candles from being confirmed; the daemon reads completed candles over REST",
}
# How often in a row a fault strikes; a stream that falls silent does so for eight messages, or for ever (0).
TIMES: Final = (1, 8)
SILENT_TIMES: Final = (8, 0)

# What a reply cannot do without, and what in it is one of a list of words.
NEEDED: Final[dict[str, tuple[str, str]]] = {
    CREATE: ("orderLinkId", "orderId"),
    "/v5/order/realtime": ("orderStatus", "orderStatus"),
    "/v5/order/history": ("orderStatus", "orderStatus"),
    "/v5/execution/list": ("execId", "execType"),
    "/v5/position/list": ("size", "side"),
    "/v5/account/wallet-balance": ("coin", "accountType"),
    "/v5/account/transaction-log": ("id", "type"),
    "/v5/account/info": ("marginMode", "marginMode"),
    "/v5/asset/transfer/universal-transfer": ("status", "status"),
    "/v5/asset/transfer/query-universal-transfer-list": ("status", "status"),
    "/v5/user/query-api": ("userID", "userID"),
    "/v5/market/tickers": ("lastPrice", "symbol"),
    "/v5/market/kline": ("list", "category"),
    "/v5/market/funding/history": ("fundingRate", "symbol"),
    "/v5/market/instruments-info": ("lotSizeFilter", "status"),
    "/v5/market/time": ("timeNano", "timeSecond"),
}
# These answer with an empty result: there is nothing to leave out of it.
EMPTY_REPLIES: Final = frozenset(
    {
        "/v5/position/set-leverage",
        "/v5/position/trading-stop",
        "/v5/position/switch-mode",
        "/v5/account/set-margin-mode",
    }
)


def kinds_at(path: str, *, is_stream: bool) -> tuple[str, ...]:
    """Name the kinds that make sense at a call of `path`, or at a message of a stream."""
    if is_stream:
        return tuple(STREAM_KINDS)
    return tuple(
        kind
        for kind in REST_KINDS
        if (kind != "reject_later" or path == CREATE)
        and (kind not in ("missing_field", "unknown_enum") or path not in EMPTY_REPLIES)
    )


def times_of(kind: str) -> tuple[int, ...]:
    """Give how often in a row a kind strikes, each a case of its own."""
    return SILENT_TIMES if kind == "ws_silent" else TIMES


def row_at(kind: str, path: str) -> Row:
    """Give the row of a plan, with the field that a spoilt reply of `path` lacks or misnames."""
    row = dict(KINDS[kind])
    if kind in ("missing_field", "unknown_enum"):
        row["field"] = NEEDED[path][kind == "unknown_enum"]
    return row


# These take time, spoil a reply in a way of their own, or change what the exchange does: each stands for itself.
OWN: Final = frozenset({"delay", "duplicate", "missing_field", "unknown_enum", "reject_later"})
# On a stream of this process nobody can tell one from the other: a message is missing, or a line has broken.
ALIKE_STREAMS: Final = {"ws_gap": "ws_drop", "ws_reset": "ws_close"}


def alike_at(path: str, *, is_stream: bool) -> list[tuple[str, ...]]:
    """Put together the kinds that are one and the same to the daemon at a call of `path`.

    Such kinds raise the same error of the tree, and leave the same at the exchange: a call that only reads leaves
    nothing there. The daemon acts on the class of an error alone; a code is only written down.
    """
    groups: dict[Any, list[str]] = {}
    for kind in kinds_at(path, is_stream=is_stream):
        groups.setdefault(ALIKE_STREAMS.get(kind, kind) if is_stream else effect(kind, path), []).append(kind)
    return [tuple(kinds) for kinds in groups.values()]


@cache
def effect(kind: str, path: str) -> tuple[str, ...]:
    """Say what a kind comes to at a call: by the simulator's own functions and the client's own table of errors."""
    row = KINDS[kind]
    if row["kind"] in OWN:
        return (kind,)
    endpoint = _endpoint(path)
    try:
        _caller_sees(Fault(**{**row, "kind": FaultKind(row["kind"])}), endpoint)
    except _Effect as found:
        error, arrived = found.args
    done = "done" if arrived and endpoint.verb is not Verb.READ else "not done"
    # What halts is told apart, a refused key and a refused address being two stories, and so is a wait of known length.
    apart = kind if isinstance(error, HaltTrading) or getattr(error, "reset_at", None) else ""
    return (type(error).__name__, done, apart)


def changes_something(path: str) -> bool:
    """Tell whether a call of `path`, or a message of a stream, makes the exchange do anything."""
    return path.startswith("/") and _endpoint(path).verb is not Verb.READ


class _Effect(Exception):
    """Carry the error that a caller meets, and whether the exchange has carried the call out."""


class _StruckDoor:
    """Answer one call as a door does in which one fault strikes."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.has_arrived = False

    def now(self) -> datetime:
        """Return the same instant always."""
        return datetime(2024, 1, 1, tzinfo=UTC)

    def answer(self, path: str, fields: Any) -> Any:
        """Let the simulator's own functions spoil an empty answer."""
        del path, fields
        made = adapter._before([self.fault])
        self.has_arrived = made is None
        try:
            made = made or suffer(Answer(), [self.fault])
        except ConnectionLost:
            raise AnswerLost from None
        if made.raw is not None:
            raise AnswerLost(made.status if made.status != adapter.HTTP_OK else None)
        return {"retCode": made.code, "retMsg": made.text, "result": made.result, "retExtInfo": {}, "time": 0}


def _caller_sees(fault: Fault, endpoint: Endpoint) -> None:
    door = _StruckDoor(fault)
    try:
        # Nothing in this call waits, so it ends or raises at its first step.
        LocalCaller("judge", door).call(endpoint, {}).send(None)  # type: ignore[arg-type]
    except ExchangeError as error:
        raise _Effect(error, door.has_arrived) from error
    except AnswerLost as error:  # not made before the door is asked
        raise _Effect(error, door.has_arrived) from error
    raise AssertionError(f"{fault.kind} at {endpoint.path} does nothing")


def _endpoint(path: str) -> Endpoint:
    known = [value for value in vars(endpoints).values() if isinstance(value, Endpoint)]
    known += [*endpoints.PLACE.values(), *endpoints.CANCEL.values()]
    return next(endpoint for endpoint in known if endpoint.path == path)
