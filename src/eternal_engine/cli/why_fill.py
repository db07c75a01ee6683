"""Gather why the exchange itself traded: a protective stop that rested there, or a liquidation."""

from __future__ import annotations

from typing import Any

from eternal_engine.cli.event_words import in_words
from eternal_engine.storage.views import Record, View

Document = dict[str, Any]

NOTES = 3


def cause_of(fill: Record) -> str:
    """Say in words who made an execution that belongs to no order of ours."""
    if fill["unassigned"]:
        return "not ours"
    if fill["kind"] != "trade":
        return str(fill["kind"])
    return "protective stop" if fill["market"] == "perp" else "by the exchange"


def fill_document(view: View, wanted: str) -> Document | None:
    """Gather everything about an execution without an order of ours, by its id or the exchange's order id.

    The stop's price is in the notes before it; `entry` is the last order of that engine and symbol before it.
    """
    fill = view.fill(wanted)
    if fill is None:
        return None
    held = (f'"execution_id":"{fill["execution_id"]}"',)
    booked = next(iter(view.events("Filled", limit=1, holding=held)), None)
    before = None if booked is None else booked["seq"]
    notes = [
        row
        for row in view.events("Noted", limit=1_000, holding=(f'"symbol":"{fill["symbol"]}"',))
        if row["body"]["engine"] == fill["account"] and (before is None or row["seq"] < before)
    ]
    entry = next(
        (
            order["client_order_id"]
            for order in view.orders()
            if (order["account"], order["symbol"]) == (fill["account"], fill["symbol"])
            and order["planned_at"] <= fill["executed_at"]
            and order["side"] != fill["side"]
        ),
        None,
    )
    steps = [*reversed(notes[:NOTES]), *([] if booked is None else [booked])]
    return {
        "fill": {**fill, "unassigned": bool(fill["unassigned"]), "is_maker": bool(fill["is_maker"])},
        "cause": cause_of(fill),
        "entry": entry,
        "timeline": [{"seq": row["seq"], "at": row["at"], "kind": row["kind"], "what": in_words(row)} for row in steps],
    }
