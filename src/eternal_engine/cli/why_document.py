"""Gather why one order exists: what its engine saw, which rules spoke, and everything that happened to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from eternal_engine.cli.event_words import in_words
from eternal_engine.cli.orders import order_document
from eternal_engine.model.errors import UsageError
from eternal_engine.storage.views import Record, View

Document = dict[str, Any]

MANY = 100_000


def why_document(view: View, wanted: str, segments: Path) -> Document:
    """Gather everything about an order, by its client order id or the exchange's. Raises UsageError.

    `decision` is null where the journal row of it lies in an archived segment that is not in `segments`.
    """
    order = view.order(wanted)
    if order is None:
        raise UsageError(f"there is no order {wanted!r}", where="ORDER", mend="`eternal orders` lists them")
    rows = _rows_about(view, order)
    if not any(row["kind"] == "OrderPlanned" for row in rows):
        rows = _archived_rows(view, order, segments) + rows
    planned = next((row["seq"] for row in rows if row["kind"] == "OrderPlanned"), None)
    decision = _decision(rows, order, planned)
    inputs = {} if decision is None else json.loads(decision["body"]["inputs"])
    return {
        "order": order_document(order),
        "reason": order["reason"],
        "decision": None if decision is None else _decision_document(decision, order, inputs),
        "reviews": [_review(row) for row in rows if row["kind"] == "Reviewed"],
        "command": _command(rows, inputs),
        "config_hash": None if decision is None else decision["body"]["config_hash"],
        "timeline": [_step(row) for row in rows if _is_step(row, decision)],
        "same_decision": [
            other["client_order_id"]
            for other in view.orders()
            if other["decided_at"] == order["decided_at"]
            and (other["engine"], other["symbol"]) == (order["engine"], order["symbol"])
            and other["client_order_id"] != order["client_order_id"]
        ],
    }


def _rows_about(view: View, order: Record) -> list[Record]:
    """Read the rows of the journal that can be about an order, oldest first."""
    identifier, at = order["client_order_id"], f'"decided_at":"{order["decided_at"]}"'
    about_order = view.events("OrderMoved", "Filled", limit=MANY, holding=(f'"client_order_id":"{identifier}"',))
    about_time = view.events("OrderPlanned", "Decided", "Reviewed", limit=MANY, holding=(at,))
    commands = view.events("CommandApplied", limit=MANY)
    about_pair = view.events("Noted", limit=MANY, holding=(f'"detail":"{_intent_name(identifier)}: ',))
    by_seq = {row["seq"]: row for row in (*about_order, *about_time, *about_pair, *commands)}
    return [by_seq[seq] for seq in sorted(by_seq) if _is_about(by_seq[seq], order)]


def _archived_rows(view: View, order: Record, segments: Path) -> list[Record]:
    """Look for the rows in the segments that are here, from the newest to the one in which the order was planned."""
    from eternal_engine.storage.archive import read_segment

    found: list[Record] = []
    for checkpoint in reversed(view.checkpoints()):
        segment = segments / checkpoint["segment"]
        if not segment.is_file():
            continue
        rows = [
            {"seq": row.seq, "at": row.at, "kind": row.kind, "hash": row.hash, "body": json.loads(row.body)}
            for row in read_segment(segment)
        ]
        found = [row for row in rows if _is_about(row, order)] + found
        if any(row["kind"] == "OrderPlanned" for row in found):
            break
    return found


def _is_about(row: Record, order: Record) -> bool:
    body, identifier = row["body"], order["client_order_id"]
    match row["kind"]:
        case "OrderPlanned":
            return _key_of(body["intent"]["key"]) == _key_of(order)
        case "OrderMoved":
            return bool(body["client_order_id"] == identifier)
        case "Filled":
            return bool(body["fill"]["client_order_id"] == identifier)
        case "Noted":
            return str(body["detail"]).startswith(f"{_intent_name(identifier)}: ")
        case "Decided":
            return _decided(body) == _decided(order)
        case "Reviewed":
            return _decided(body) == _decided(order) and bool(body["symbol"] == order["symbol"])
        case kind:
            return bool(kind == "CommandApplied")


def _intent_name(client_order_id: str) -> str:
    """Give what the ids of all orders of one intent begin with: engine, time and symbol."""
    return client_order_id.rsplit("-", 2)[0]


def _key_of(row: Record) -> tuple[Any, ...]:
    return (*_decided(row), row["symbol"], row["leg"], row["attempt"])


def _decided(row: Record) -> tuple[str, str]:
    return row["engine"], row["decided_at"]


def _decision(rows: list[Record], order: Record, planned: int | None) -> Record | None:
    """Find the decision behind an order: before it, and if there are several, the last that names its symbol."""
    before = [row for row in rows if row["kind"] == "Decided" and (planned is None or row["seq"] < planned)]
    naming = [row for row in before if f'"{order["symbol"]}"' in row["body"]["signals"]]
    found = naming or before
    return found[-1] if found else None


def _decision_document(decision: Record, order: Record, inputs: Document) -> Document:
    signals = json.loads(decision["body"]["signals"])
    symbols = inputs.get("symbols", {})
    return {
        "seq": decision["seq"],
        "at": decision["at"],
        "decided_at": decision["body"]["decided_at"],
        "inputs": {name: value for name, value in inputs.items() if name != "symbols"},
        "symbol_inputs": symbols.get(order["symbol"]),
        "all_inputs": inputs,
        "signals": [signal for signal in signals if signal.get("symbol") == order["symbol"]],
        "all_signals": signals,
    }


def _review(row: Record) -> Document:
    return {"seq": row["seq"], "at": row["at"], **{k: v for k, v in row["body"].items() if k != "at"}}


def _command(rows: list[Record], inputs: Document) -> Document | None:
    """Find the operator's command behind a manual order."""
    wanted = inputs.get("command_id")
    for row in rows:
        if row["kind"] == "CommandApplied" and wanted is not None and row["body"]["command_id"] == wanted:
            return _review(row)
    return None


def _is_step(row: Record, decision: Record | None) -> bool:
    if row["kind"] == "CommandApplied":
        return False
    return row["kind"] != "Decided" or (decision is not None and row["seq"] == decision["seq"])


def _step(row: Record) -> Document:
    return {"seq": row["seq"], "at": row["at"], "kind": row["kind"], "what": in_words(row)}
