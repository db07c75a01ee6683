"""Faults the exchange can be told to show, at any request or message: by a script or by a seed."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from eternal_engine.model.errors import UsageError

TEXTS = frozenset({"path", "account", "text", "field"})


class FaultKind(StrEnum):
    """Name what goes wrong. REST kinds come first, then those of streams."""

    LOSE_REPLY = "lose_reply"
    LOSE_REQUEST = "lose_request"
    DELAY = "delay"
    DUPLICATE = "duplicate"
    CODE = "code"
    CODE_AFTER = "code_after"
    RATE_LIMIT_PAST = "rate_limit_past"
    RATE_LIMIT_FUTURE = "rate_limit_future"
    RATE_LIMIT_BARE = "rate_limit_bare"
    CLOCK_SKEW = "clock_skew"
    HTTP = "http"
    HTML = "html"
    TRUNCATE = "truncate"
    MISSING_FIELD = "missing_field"
    UNKNOWN_ENUM = "unknown_enum"
    REJECT_LATER = "reject_later"
    WS_CLOSE = "ws_close"
    WS_RESET = "ws_reset"
    WS_REFUSE = "ws_refuse"
    WS_SILENT = "ws_silent"
    WS_DROP = "ws_drop"
    WS_DUPLICATE = "ws_duplicate"
    WS_SWAP = "ws_swap"
    WS_GAP = "ws_gap"
    WS_RESTART = "ws_restart"
    WS_NO_CONFIRM = "ws_no_confirm"
    WS_GARBAGE = "ws_garbage"


@dataclass(slots=True)
class Fault:
    """Hold one fault: what, where (`path` is a glob over REST paths and stream topics), and how often.

    `skip` lets so many matching requests pass first; `times` 0 means for ever; `share` is the chance per request when
    it is not certain. `code`, `text`, `status`, `delay_ms`, `field` belong to the kinds that use them.
    """

    kind: FaultKind
    path: str = "*"
    account: str = "*"
    skip: int = 0
    times: int = 1
    share: float = 1.0
    code: int = 10016
    text: str = "Server error."
    status: int = 502
    delay_ms: int = 1000
    field: str = ""
    seen: int = 0
    done: int = 0

    @property
    def spent(self) -> bool:
        """Tell whether the fault has happened as often as it should."""
        return bool(self.times) and self.done >= self.times


@dataclass
class FaultPlan:
    """Decide which faults hit a request; the same seed and the same requests give the same faults."""

    faults: list[Fault] = field(default_factory=list)
    seed: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311 - faults, not secrets

    def hits(self, path: str, account: str = "", kinds: Iterable[FaultKind] | None = None) -> list[Fault]:
        """Count a request or message and return the faults that strike it."""
        wanted = None if kinds is None else frozenset(kinds)
        struck = []
        for fault in self.faults:
            if fault.spent or (wanted is not None and fault.kind not in wanted):
                continue
            if not (fnmatch(path, fault.path) and fnmatch(account, fault.account)):
                continue
            fault.seen += 1
            if fault.seen <= fault.skip or self._random.random() >= fault.share:
                continue
            fault.done += 1
            struck.append(fault)
        return struck

    def add(self, rows: object, *, where: str = "request") -> None:
        """Take further faults from plain rows; a row that makes no sense is refused by name."""
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise UsageError("faults are not a list of objects", where=where, mend="see docs/simulator.md")
        self.faults += [_fault(row, f"{where}, fault {number}") for number, row in enumerate(rows, start=1)]

    def clear(self) -> None:
        """Forget every fault."""
        self.faults.clear()


def read_faults(path: Path) -> FaultPlan:
    """Read a fault file: {"seed": n, "faults": [{"kind": "lose_reply", "path": "/v5/order/create", ...}]}."""
    try:
        doc = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"the fault file cannot be read: {error}", where=str(path), mend="see docs/simulator.md for its form"
        ) from error
    rows = doc.get("faults", []) if isinstance(doc, dict) else doc
    seed = doc.get("seed", 0) if isinstance(doc, dict) else 0
    if not isinstance(seed, int):
        raise UsageError(f"{seed!r} is not a seed", where=str(path), mend="write a whole number")
    plan = FaultPlan(seed=seed)
    plan.add(rows, where=str(path))
    return plan


def _fault(row: dict[str, Any], where: str) -> Fault:
    known = set(Fault.__dataclass_fields__) - {"seen", "done"}
    unknown = sorted(set(row) - known)
    if unknown or "kind" not in row:
        wrong = f"unknown field {unknown[0]!r}" if unknown else "no kind"
        raise UsageError(f"a fault has {wrong}", where=where, mend=f"use {', '.join(sorted(known))}")
    try:
        kind = FaultKind(row["kind"])
    except ValueError as error:
        raise UsageError(
            f"there is no fault {row['kind']!r}", where=where, mend=f"use one of {', '.join(FaultKind)}"
        ) from error
    for name, value in row.items():
        if name != "kind" and not _fits(kind, name, value):
            raise UsageError(f"{name} of a fault cannot be {value!r}", where=where, mend="see docs/simulator.md")
    return Fault(**{**row, "kind": kind})


def _fits(kind: FaultKind, name: str, value: object) -> bool:
    """Tell whether a value has the kind of the field's default: a text, a whole number from 0 on, a share."""
    if name in TEXTS:
        return isinstance(value, str)
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        return False
    if name == "share":
        return 0 <= value <= 1
    if name == "status":
        return isinstance(value, int) and 100 <= value <= 599
    # A clock may be behind, and codes such as -2015 exist.
    below = name == "code" or (name == "delay_ms" and kind is FaultKind.CLOCK_SKEW)
    return isinstance(value, int) and (value >= 0 or below)
