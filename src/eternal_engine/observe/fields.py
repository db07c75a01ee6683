"""Turn a journal event into the fields of a log line: ids and units by name, times in UTC, no documents."""

from __future__ import annotations

import re
from dataclasses import fields
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Final

from eternal_engine.model import event as ev
from eternal_engine.model.fill import Fill
from eternal_engine.model.ids import read_client_order_id
from eternal_engine.model.order import OrderIntent, Trigger

DEBUG, INFO, WARNING, ERROR = "debug", "info", "warning", "error"
FAILED_MOVES: Final = frozenset({Trigger.REJECT, Trigger.FOUND_REJECTED, Trigger.ABANDON})
# The journal keeps them whole; a log line would be thousands of characters long.
_DOCUMENTS: Final = frozenset({"document", "inputs"})
_OF_INTENT: Final = (
    "market",
    "side",
    "kind",
    "price_usdt",
    "qty",
    "amount_usdt",
    "limit_price",
    "trigger_price",
    "reduce_only",
)
_WORD = re.compile(r"(?<!^)(?=[A-Z])")


def event_name(kind: type) -> str:
    """Name an event in the log: OrderPlanned is `order_planned`."""
    return _WORD.sub("_", kind.__name__).lower()


def severity(event: ev.Event) -> str:
    """Give the log level: what happens every hour whatever is done is `debug`."""
    match event:
        case ev.ErrorOccurred():
            return ERROR
        case ev.StateSaved() | ev.EquityMarked(equity_usdt=Decimal()) | ev.Decided(signals="[]"):
            return DEBUG
        case ev.Reconciled(differences=0):
            return DEBUG
        case ev.BreakerChanged() | ev.LossLimitHit() | ev.Corrected() | ev.ConnectionLost() | ev.Reconciled():
            return WARNING
        case ev.OrderMoved(trigger=trigger) if trigger in FAILED_MOVES:
            return WARNING
        case ev.EquityMarked():
            return WARNING
        case _:
            return INFO


def event_fields(event: ev.Event) -> dict[str, Any]:
    """Give an event's fields, flat: those of its intent or fill beside its own."""
    found: dict[str, Any] = {}
    for field in fields(event):
        value = getattr(event, field.name)
        if field.name in _DOCUMENTS:
            continue
        match value:
            case OrderIntent():
                found.update(_intent_fields(value))
            case Fill():
                found.update(_plain_fields(value))
            case _:
                found["happened_at" if field.name == "at" else field.name] = plain(value)
    if isinstance(event, ev.OrderMoved):
        found.update(_order_fields(event.client_order_id))
    return {name: value for name, value in found.items() if value not in (None, "")}


def plain(value: Any) -> Any:
    """Write a value as JSON can hold it: Decimals as exact text, times as ISO 8601 with Z."""
    match value:
        case Enum():
            return value.value
        case Decimal():
            return f"{value:f}"
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case _:
            return value


def _plain_fields(value: Fill) -> dict[str, Any]:
    return {field.name: plain(getattr(value, field.name)) for field in fields(value)}


def _intent_fields(intent: OrderIntent) -> dict[str, Any]:
    return {
        "client_order_id": intent.client_order_id,
        "engine": intent.key.engine.value,
        "symbol": intent.key.symbol,
        "leg": intent.key.leg.value,
        "attempt": intent.key.attempt,
        "decided_at": plain(intent.key.decided_at),
        "rule": intent.reason,
        **{name: plain(getattr(intent, name)) for name in _OF_INTENT},
    }


def _order_fields(client_order_id: str) -> dict[str, Any]:
    read = read_client_order_id(client_order_id)
    if read is None:
        return {}
    return {"engine": read.engine.value, "symbol": read.symbol, "leg": read.leg.value, "attempt": read.attempt}
