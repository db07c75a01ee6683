"""Identifiers: one type each, and the client order id that makes an order happen at most once (ORD-1)."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import NewType

from eternal_engine.model.errors import ModelError
from eternal_engine.model.rule import Rule

Symbol = NewType("Symbol", str)
Coin = NewType("Coin", str)
ClientOrderId = NewType("ClientOrderId", str)
VenueOrderId = NewType("VenueOrderId", str)
ExecutionId = NewType("ExecutionId", str)
TransferId = NewType("TransferId", str)
RecordId = NewType("RecordId", str)
CommandId = NewType("CommandId", str)
RuleId = NewType("RuleId", str)

RULES: tuple[Rule, ...] = (
    Rule(
        "ORD-1",
        "An order's client id is computed from engine, decision time, symbol, leg and attempt, so the same intent can "
        "never get a second id and two intents can never share one.",
        (),
        (
            "tests/unit/model/test_ids.py::test_ord1_the_same_intent_always_has_the_same_id",
            "tests/property/test_client_order_id.py::test_ord1_two_intents_never_share_an_id",
        ),
    ),
)


class Account(StrEnum):
    """Name a sub-account; MASTER only moves money (CAP-1)."""

    MASTER = "master"
    CORE_HODL = "core_hodl"
    TREND = "trend"
    FUNDING = "funding"
    TACTICAL = "tactical"


class Engine(StrEnum):
    """Name a strategy engine, in the order in which they decide (U-8)."""

    CORE_HODL = "core_hodl"
    TREND = "trend"
    FUNDING = "funding"
    TACTICAL = "tactical"

    @property
    def account(self) -> Account:
        """Give the sub-account in which this engine trades."""
        return Account(self.value)


class Leg(StrEnum):
    """Name what one order is for inside one decision; at most four letters, they are part of the order id."""

    BUY = "buy"  # a CORE_HODL cycle
    ENTRY = "in"
    EXIT = "out"
    STOP = "stop"
    SPOT_OPEN = "so"  # FUNDING pairs: spot or perp, opened, closed, cut, hedged, unwound
    PERP_OPEN = "po"
    SPOT_CLOSE = "sc"
    PERP_CLOSE = "pc"
    SPOT_CUT = "sx"
    PERP_CUT = "px"
    SPOT_HEDGE = "sh"
    PERP_HEDGE = "ph"
    SPOT_UNWIND = "su"
    PERP_UNWIND = "pu"
    BREAKER_CUT = "bcut"
    LEVEL_1 = "l1"  # TACTICAL deployments
    LEVEL_2 = "l2"
    FEAR_GREED = "fg"
    CAPITULATION = "cap"
    MANUAL = "man"
    FLATTEN = "flat"


_ENGINE_CODES = {Engine.CORE_HODL: "co", Engine.TREND: "tr", Engine.FUNDING: "fu", Engine.TACTICAL: "ta"}
_ENGINES = {code: engine for engine, code in _ENGINE_CODES.items()}
_LEGS = {leg.value: leg for leg in Leg}
_MAX_CHARS = 36
_HASH_CHARS = 9  # 36 characters at most, even with the longest time, leg and attempt
_SYMBOL = re.compile(r"[A-Z0-9]{2,24}")
_ID = re.compile(
    r"(?P<engine>[a-z]{2})-(?P<minute>\d{10})(?P<rest>[0-9a-z]{4})?-(?P<symbol>[A-Z0-9]{2,24}|h[0-9a-f]{9})"
    r"-(?P<leg>[a-z0-9]{2,4})-(?P<attempt>[1-9]\d?)"
)
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_MINUTE = timedelta(minutes=1)
_MAX_ATTEMPT = 99


@dataclass(frozen=True, slots=True)
class OrderKey:
    """Say which intent an order belongs to. `decided_at` is UTC in whole milliseconds, `attempt` counts from 1."""

    engine: Engine
    decided_at: datetime
    symbol: Symbol
    leg: Leg
    attempt: int = 1

    def __post_init__(self) -> None:
        at = self.decided_at
        if at.tzinfo is None or at.utcoffset() != timedelta(0) or at.microsecond % 1000:
            raise ModelError(
                f"decision time {at} is not in whole UTC milliseconds", mend="use aware UTC times cut to milliseconds"
            )
        if not 2000 <= at.year <= 2099:
            raise ModelError(f"decision time {at} is outside 2000-2099", mend="check the clock")
        if not _SYMBOL.fullmatch(self.symbol):
            raise ModelError(f"symbol {self.symbol!r} is not upper-case letters and digits", mend="write BTCUSDT")
        if not 1 <= self.attempt <= _MAX_ATTEMPT:
            raise ModelError(f"attempt {self.attempt} is outside 1-{_MAX_ATTEMPT}", mend="give the intent up")

    @property
    def client_order_id(self) -> ClientOrderId:
        """Compute the id: at most 36 of [A-Za-z0-9-], like `tr-2401310000-BTCUSDT-in-1`.

        Seconds and milliseconds, seldom there, follow the minute in base 36; a symbol too long for the 36
        characters is replaced by `h` and nine hex digits of its hash.
        """
        head = f"{_ENGINE_CODES[self.engine]}-{_time_text(self.decided_at)}"
        tail = f"{self.leg.value}-{self.attempt}"
        symbol: str = self.symbol
        if len(head) + len(symbol) + len(tail) + 2 > _MAX_CHARS:
            symbol = _symbol_hash(symbol)
        return ClientOrderId(f"{head}-{symbol}-{tail}")

    def again(self) -> OrderKey:
        """Give the key of the next attempt, for the rest of a part-filled or definitely dead order."""
        return OrderKey(self.engine, self.decided_at, self.symbol, self.leg, self.attempt + 1)


@dataclass(frozen=True, slots=True)
class ReadOrderId:
    """Hold what a client order id says; `symbol` is None where the id only carries its hash."""

    engine: Engine
    decided_at: datetime
    symbol: Symbol | None
    leg: Leg
    attempt: int


def read_client_order_id(written: str) -> ReadOrderId | None:
    """Read a client order id back; None says that the order is not ours."""
    found = _ID.fullmatch(written)
    if found is None or found["engine"] not in _ENGINES or found["leg"] not in _LEGS:
        return None
    decided_at = _read_time(found["minute"], found["rest"])
    if decided_at is None:
        return None
    symbol = None if found["symbol"].startswith("h") else Symbol(found["symbol"])
    return ReadOrderId(_ENGINES[found["engine"]], decided_at, symbol, _LEGS[found["leg"]], int(found["attempt"]))


def _time_text(at: datetime) -> str:
    minute = at.replace(second=0, microsecond=0)
    rest_ms = (at - minute) // timedelta(milliseconds=1)
    return minute.strftime("%y%m%d%H%M") + (_base36(rest_ms) if rest_ms else "")


def _read_time(minute: str, rest: str | None) -> datetime | None:
    year, month, day, hour, minutes = (int(minute[i : i + 2]) for i in range(0, 10, 2))
    rest_ms = int(rest, 36) if rest else 0
    if rest and not 0 < rest_ms < _MINUTE // timedelta(milliseconds=1):
        return None
    try:
        return datetime(2000 + year, month, day, hour, minutes, tzinfo=UTC) + timedelta(milliseconds=rest_ms)
    except ValueError:
        return None


def _base36(number: int) -> str:
    digits = ""
    for _ in range(4):
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits


def _symbol_hash(symbol: str) -> str:
    return "h" + hashlib.sha256(symbol.encode("ascii")).hexdigest()[:_HASH_CHARS]
