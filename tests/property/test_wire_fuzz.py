"""Mutated messages: every parser answers with a record that says exactly what the message said, or with BadReply."""

from __future__ import annotations

import copy
import json
import random
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import pytest

from eternal_engine.model.errors import BadReply
from wire_messages import CASES, Case

FAST_RUNS = 1_500
SLOW_RUNS = 50_000  # x 22 parsers: more than 1,000,000 in all
PLAIN = re.compile(r"-?[0-9]+(\.[0-9]+)?", re.ASCII)
JUNK: tuple[Any, ...] = (
    None, "", " ", "abc", "1e5", "1E-8", "NaN", "nan", "Infinity", "-inf", "-0", "-1", "+1", ".5", "5.", "1_000",
    "1,5", " 1", "1 ", "１２", "٣", "0x10", "0", "00", "0.000", "9" * 40, "1" + "0" * 29, "0." + "3" * 40, 0, 1, -1, 5,
    0.1, 1e308, float("nan"), True, False, [], {}, [1], {"a": 1}, "Buy", "Sell", "None", "UNKNOWN", "Trading", "linear",
    "spot", "inverse", "true", "null", "\x00", "é" * 50, "x" * 10_000, 10**30, -(10**30), "1735689600",
    "1735689600000", 1735689600000, "4102444800001", "\ud800",
)  # fmt: skip


def paths(message: Any, prefix: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [prefix] if prefix else []
    items = message.items() if isinstance(message, dict) else enumerate(message) if isinstance(message, list) else ()
    for key, value in items:
        found += paths(value, (*prefix, key))
    return found


def parent_of(message: Any, path: tuple[Any, ...]) -> Any:
    for key in path[:-1]:
        message = message[key]
    return message


def scramble(text: str, dice: random.Random) -> str:
    at = dice.randrange(len(text) + 1)
    piece = dice.choice((".", "-", "0", "9", "e", " ", "x", "", "\u0661"))
    return dice.choice((text[:at] + piece + text[at:], text[:at], text[at:], text[::-1], text + text, text.swapcase()))


def mutate(message: Any, dice: random.Random) -> Any:
    message = copy.deepcopy(message)
    if dice.random() < 0.01:
        return dice.choice(JUNK)
    for _ in range(dice.choice((1, 1, 1, 2, 3))):
        known = paths(message)
        if not known:
            return message
        path = dice.choice(known)
        parent, key = parent_of(message, path), path[-1]
        value = parent[key]
        kind = dice.random()
        if kind < 0.15:
            del parent[key]
        elif kind < 0.55:
            parent[key] = copy.deepcopy(dice.choice(JUNK))
        elif kind < 0.75 and isinstance(value, str):
            parent[key] = scramble(value, dice)
        elif kind < 0.9:
            other = dice.choice(known)
            target = parent_of(message, other)
            if other[-1] in target if isinstance(target, dict) else True:
                swapped = target[other[-1]] if not isinstance(target, list) or other[-1] < len(target) else None
                parent[key] = copy.deepcopy(swapped)
        else:
            parent[key] = json.loads(json.dumps([value, {"v": value}])) if dice.random() < 0.5 else str(value)
    return message


def at(message: Any, key: str) -> Any:
    for part in key.split("."):
        if not isinstance(message, Mapping) or part not in message:
            return None
        message = message[part]
    return message


def is_zero(raw: Any) -> bool:
    return isinstance(raw, str | int) and not isinstance(raw, bool) and float(raw) == 0


def complaint(value: Any, raw: Any) -> str:
    """Judge by a second, simpler reading whether a parsed value is what the raw one says."""
    if isinstance(value, Enum):
        return "" if isinstance(raw, str) else "a word from no text"
    if isinstance(value, bool):
        return "" if raw is value or raw in (0, 1, "0", "1", "ON", "OFF") else "a truth from nothing"
    if isinstance(value, Decimal):
        same = isinstance(raw, str) and PLAIN.fullmatch(raw) is not None and Decimal(raw) == value
        return "" if same and value.is_finite() else "another number"
    if isinstance(value, int):
        return "" if not isinstance(raw, bool) and not isinstance(raw, float) and int(raw) == value else "another whole"
    if isinstance(value, datetime):
        if isinstance(raw, str) and "T" in raw:
            return ""
        return "" if datetime.fromtimestamp(int(raw) / 1000, UTC) == value else "another time"
    if value is None:
        blank = (
            raw is None or raw == "" or (isinstance(raw, str | int) and not isinstance(raw, bool) and not float(raw))
        )
        return "" if blank else "a value lost"
    if isinstance(value, str):
        return "" if raw == value or (value == "" and raw is None) else "another text"
    return ""


def check(case: Case, message: Any) -> bool:
    """Tell whether the message was taken; assert that it was read faithfully or refused in full."""
    try:
        record = case.parse(message)
    except BadReply as error:
        refusal = error
    else:
        refusal = None
    if refusal is not None:
        assert refusal.field
        assert len(refusal.value) <= 120
        return False
    if case.shape is not None:
        for attribute, key, _ in case.shape.rows:
            if key.startswith("_"):
                continue
            problem = complaint(getattr(record, attribute), at(message, key))
            assert not problem, f"{case.name}.{attribute}: {problem}: {at(message, key)!r}"
        written = json.loads(json.dumps(case.shape.dump(record)))
        assert case.shape.parse(written) == record
    return True


def fuzz(case: Case, runs: int) -> tuple[int, int]:
    dice = random.Random(f"fuzz {case.name}")
    taken = sum(check(case, mutate(case.message, dice)) for _ in range(runs))
    return taken, runs - taken


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_mutated_message_is_read_faithfully_or_refused(case: Case) -> None:
    assert check(case, case.message)
    _, refused = fuzz(case, FAST_RUNS)
    assert refused > FAST_RUNS // 10


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_million_mutated_messages_in_all(case: Case) -> None:
    _, refused = fuzz(case, SLOW_RUNS)
    assert refused > SLOW_RUNS // 10
