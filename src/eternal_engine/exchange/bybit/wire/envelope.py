"""The two envelopes: the REST answer and the stream frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from eternal_engine.exchange.bybit.wire import fields as f


@dataclass(frozen=True, slots=True)
class Answer:
    """Hold a REST answer. `result` is empty where the exchange sent null; `at` is None on old-style errors."""

    code: int
    text: str
    result: Mapping[str, object]
    at: datetime | None


def parse_answer(message: object, where: str) -> Answer:
    """Read the envelope of any REST answer.

    Raises BadReply when it is not an object with a whole-number retCode.
    """
    if not isinstance(message, Mapping):
        raise f.bad("answer", message, "an object", where)
    code = message.get("retCode")
    if isinstance(code, bool) or not isinstance(code, int):
        raise f.bad("retCode", code, "a whole number", where)
    result = message.get("result")
    if result is None:
        result = {}
    if not isinstance(result, Mapping):
        raise f.bad("result", result, "an object", where)
    return Answer(
        code=code,
        text=f.read_field(message, "retMsg", f.OPT_TEXT, where),
        result=result,
        at=f.read_field(message, "time", f.OPT_TIME, where),
    )


def next_cursor(result: Mapping[str, object], where: str) -> str:
    """Return the opaque cursor of the next page, "" at the end; it is sent back unchanged."""
    return f.read_field(result, "nextPageCursor", f.OPT_TEXT, where)
