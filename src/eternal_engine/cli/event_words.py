"""Say a journal row in one line of words: those of the log, of alerts and of the live view."""

from __future__ import annotations

import json
from typing import Any

from eternal_engine.model.errors import StorageError
from eternal_engine.observe.words import say
from eternal_engine.storage.codec import EVENT_KINDS, canonical, decode_event

Body = dict[str, Any]


def in_words(row: dict[str, Any]) -> str:
    """Say what a row of `View.events` records; one that a newer version wrote is shown as its fields."""
    kind, body = row["kind"], row["body"]
    if kind not in EVENT_KINDS:
        return fields_of(body)
    try:
        return say(decode_event(kind, canonical(body)))
    except StorageError:
        return fields_of(body)


def fields_of(body: Body) -> str:
    """Show the fields of a body, without its time and without long documents."""
    shown = (
        f"{name}={_short(value)}" for name, value in body.items() if name != "at" and value not in (None, "", "{}")
    )
    return " ".join(shown)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
