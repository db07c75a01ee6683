"""What the daemon must remember between two hours, as one document of the journal (CORE-12, BRK-2, C6).

Saved in the same transaction as the decisions and fills it follows from, so no crash can part them. Orders, books and
transfers are not in here: they are projections of their own events.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np

from eternal_engine.model.errors import SchemaError, UsageError
from eternal_engine.model.event import StateSaved
from eternal_engine.model.rule import Rule
from eternal_engine.portfolio.beginning import initial_states
from eternal_engine.portfolio.flows import FlowState
from eternal_engine.portfolio.params import NO_INTENT, Intent, Params, States
from eternal_engine.storage.projection import SavedState

RULES: tuple[Rule, ...] = (
    Rule(
        "BRK-2",
        "Level, high, timers and approvals are part of the saved state and survive restarts exactly.",
        (),
        ("tests/unit/engine/test_memory.py::test_c6_everything_comes_back_exactly",),
    ),
)

OWNER: Final = "portfolio"
# The hour alone has a document of its own: it changes every hour, the rest seldom.
CLOCK_OWNER: Final = "clock"
VERSION: Final = 5
_NO_SCOPE: Final = {"scope": None}
_NEVER_RESUMED: Final = {"resumed_ms": (0, 0, 0, 0), **_NO_SCOPE}
# What documents of older versions lack, with what stands for it. 1: the portfolio's high begins anew, and is only said.
_LACKING: Final[Mapping[int, Mapping[str, Any]]] = {
    1: {"portfolio_high_usdt": 0.0, "portfolio_level": 0, **_NEVER_RESUMED},
    2: _NEVER_RESUMED,
    3: _NEVER_RESUMED,
    4: _NO_SCOPE,
    VERSION: {},
}
# The same of their intents: until version 2 a step was what the instrument of the day calls one.
_NO_UNIT: Final = {"unit": 0.0}
_INTENTS_LACKING: Final[Mapping[int, Mapping[str, Any]]] = {1: _NO_UNIT, 2: _NO_UNIT, 3: {}, 4: {}, VERSION: {}}
READABLE: Final = frozenset(_LACKING)
Tuple = TypeVar("Tuple", bound=NamedTuple)


@dataclass(frozen=True, slots=True)
class Memory:
    """Hold the state of all rules and what is under way.

    `cycle_h` is the last decided hour (hours since the epoch, 0 before the first). `pending` are approved intents whose
    orders are not all done. `halted` has bit e set when the operator halts engine e. `flowed_usdt` is, per engine, the
    money moved in or out (deposits, transfers) that the breaker has already taken into account. `paused` are symbols in
    which entries wait for a review (ORD-7); `stops` are the protective stops the exchange has confirmed, by symbol
    index (TREND-X3). `held_back` are coins that CORE_HODL does not buy before an hour, because the database was lost
    while they were held (CORE-12). `started_h` is the first decided hour. `portfolio_high_usdt` and `portfolio_level`
    are the whole portfolio's high, net of flows, and the level of its drawdown that was last said; it halts nothing.
    `resumed_ms` is, per engine, when the operator last lifted a halt of it (since the epoch, 0 for never): refusals of
    before count no more (ORD-3). `scope` is the breaker's scope that the risk state was measured in, None for the
    present one.
    """

    symbols: tuple[str, ...]
    states: States
    flows: FlowState
    cycle_h: int = 0
    started_h: int = 0
    pending: tuple[Intent, ...] = ()
    halted: int = 0
    flowed_usdt: tuple[Decimal, Decimal, Decimal, Decimal] = (Decimal(0), Decimal(0), Decimal(0), Decimal(0))
    paused: frozenset[str] = frozenset()
    stops: tuple[tuple[int, Decimal], ...] = ()
    held_back: tuple[tuple[int, int], ...] = ()
    portfolio_high_usdt: float = 0.0
    portfolio_level: int = 0
    resumed_ms: tuple[int, int, int, int] = (0, 0, 0, 0)
    scope: int | None = None

    def stop_of(self, symbol: int) -> Decimal | None:
        """Give the stop that rests at the exchange in a symbol, None when none was confirmed."""
        return next((price for s, price in self.stops if s == symbol), None)

    def with_stop(self, symbol: int, price: Decimal | None) -> Memory:
        """Remember what stop rests at the exchange; None: none."""
        kept = tuple(row for row in self.stops if row[0] != symbol)
        return replace(self, stops=kept if price is None else tuple(sorted((*kept, (symbol, price)))))

    def without(self, intent: Intent) -> Memory:
        """Take one finished intent off the list."""
        rest = list(self.pending)
        rest.remove(intent)
        return replace(self, pending=tuple(rest))


def fresh_memory(params: Params, symbols: tuple[str, ...], month: int) -> Memory:
    """Give the memory of a daemon that has never decided; `month` as `flows.month_of` gives it."""
    return Memory(symbols, initial_states(params, len(symbols)), FlowState(0.0, month))


class Written(NamedTuple):
    """Hold what was saved last: the document, the hour, the memory they were made of, and the states' own texts."""

    document: str
    cycle_h: int
    memory: Memory
    texts: Mapping[str, str]


def saves(memory: Memory, before: Written | None, at: datetime) -> tuple[StateSaved, ...]:
    """Make the events that save what differs from `before` (None: nothing was ever saved)."""
    found = []
    if before is None or not _is_same(before.memory, memory):
        document = _joined(memory, _texts(memory, before))
        if before is None or before.document != document:
            found.append(StateSaved(at, OWNER, VERSION, document))
    if before is None or before.cycle_h != memory.cycle_h:
        found.append(StateSaved(at, CLOCK_OWNER, VERSION, json.dumps({"cycle_h": memory.cycle_h})))
    return tuple(found)


def written_after(before: Written | None, memory: Memory, saved: Sequence[StateSaved]) -> Written:
    """Give what stands saved once `saved` is committed."""
    texts = _texts(memory, before)
    document = next((event.document for event in saved if event.owner == OWNER), None)
    if document is None:
        document = _joined(memory, texts) if before is None else before.document
    return Written(document, memory.cycle_h, memory, texts)


def _is_same(before: Memory, after: Memory) -> bool:
    """Tell at a glance that nothing but the hour can differ: most hours leave every part as it is."""
    if any(old is not new for old, new in zip(before.states, after.states, strict=True)):
        return False
    return replace(before, states=after.states, cycle_h=after.cycle_h) == after


def load(states: Mapping[str, SavedState], params: Params) -> Memory | None:
    """Read the memory back from the saved states of a projection; None when nothing was ever saved.

    Raises SchemaError for documents this program cannot read.
    """
    found, clock = states.get(OWNER), states.get(CLOCK_OWNER)
    if found is None:
        return None
    memory = read(found.document, found.schema_version, params)
    return memory if clock is None else replace(memory, cycle_h=_read_clock(clock))


def _read_clock(clock: SavedState) -> int:
    try:
        return int(json.loads(clock.document)["cycle_h"])
    except (KeyError, TypeError, ValueError) as error:
        raise _foreign(f"the saved hour cannot be read: {type(error).__name__}: {error}") from error


def write(memory: Memory) -> str:
    """Write all but the hour as canonical JSON; every float and Decimal comes back as it was."""
    return _joined(memory, _texts(memory, None))


def _texts(memory: Memory, before: Written | None) -> dict[str, str]:
    """Write each state; one that is the same object as before has the same text: most hours change one of them."""
    found = {}
    for name, part in zip(memory.states._fields, memory.states, strict=True):
        known = before is not None and getattr(before.memory.states, name) is part
        found[name] = before.texts[name] if before is not None and known else _dumped(_written(part))
    return found


def _joined(memory: Memory, texts: Mapping[str, str]) -> str:
    """Put the document together: sorted keys throughout, so that equal memories have equal documents."""
    document = {
        "symbols": list(memory.symbols),
        "states": None,
        "flows": _written(memory.flows),
        "started_h": memory.started_h,
        "pending": [_written(intent) for intent in memory.pending],
        "halted": memory.halted,
        "flowed_usdt": [str(amount) for amount in memory.flowed_usdt],
        "paused": sorted(memory.paused),
        "stops": [[s, str(price)] for s, price in memory.stops],
        "held_back": [list(row) for row in memory.held_back],
        "portfolio_high_usdt": memory.portfolio_high_usdt,
        "portfolio_level": memory.portfolio_level,
        "resumed_ms": list(memory.resumed_ms),
        "scope": memory.scope,
    }
    whole = {name: _dumped(value) for name, value in document.items()}
    whole["states"] = "{" + ",".join(f'"{name}":{texts[name]}' for name in sorted(texts)) + "}"
    return "{" + ",".join(f'"{name}":{whole[name]}' for name in sorted(whole)) + "}"


_dumped = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode


def read(document: str, version: int, params: Params) -> Memory:
    """Read what `write` wrote, now or in an older version that this program knows.

    Raises SchemaError for a document of another version, or one whose parts are not those of this program.
    """
    if version not in READABLE:
        known = " and ".join(str(one) for one in sorted(READABLE))
        raise _foreign(f"the saved state has version {version}, this program reads {known}")
    try:
        found = {**_LACKING[version], **json.loads(document)}
        return _read(found, params, _INTENTS_LACKING[version])
    except KeyError as missing:
        raise _foreign(f"the saved state of version {version} lacks {missing}") from missing
    except (TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise _foreign(f"the saved state of version {version} cannot be read: {error}") from error


def _read(found: Mapping[str, Any], params: Params, lacking: Mapping[str, Any]) -> Memory:
    symbols = tuple(found["symbols"])
    if len(symbols) != len(params.core.weights):
        raise UsageError(
            f"this state trades {', '.join(symbols)}; the configuration has {len(params.core.weights)} symbols",
            where="symbols",
            mend="set symbols back, or begin a new --state-dir",
        )
    like = initial_states(params, len(symbols))
    parts = {name: _read_like(part, found["states"][name], name) for name, part in like._asdict().items()}
    first, second, third, fourth = (Decimal(text) for text in found["flowed_usdt"])
    return Memory(
        symbols=symbols,
        states=States(**parts),
        flows=_read_like(FlowState(0.0, 0), found["flows"], "flows"),
        started_h=found["started_h"],
        pending=tuple(_read_intent({**lacking, **row}) for row in found["pending"]),
        halted=found["halted"],
        flowed_usdt=(first, second, third, fourth),
        paused=frozenset(found["paused"]),
        stops=tuple((s, Decimal(text)) for s, text in found["stops"]),
        held_back=tuple((s, until_h) for s, until_h in found["held_back"]),
        portfolio_high_usdt=float(found["portfolio_high_usdt"]),
        portfolio_level=found["portfolio_level"],
        resumed_ms=_four(found["resumed_ms"]),
        scope=None if found["scope"] is None else int(found["scope"]),
    )


def _four(values: Any) -> tuple[int, int, int, int]:
    first, second, third, fourth = (int(value) for value in values)
    return first, second, third, fourth


def _foreign(what: str) -> SchemaError:
    mend = "start the program that wrote it, or restore a backup made by this one"
    return SchemaError(what, where=f"state of {OWNER}", mend=mend)


def _written(part: Any) -> dict[str, Any]:
    return {name: _plain(value) for name, value in part._asdict().items()}


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        if value.dtype.kind != "f" or np.isfinite(value).all():
            return value.tolist()
        return _named(value.tolist())
    if isinstance(value, np.generic):
        value = value.item()
    return _named(value) if isinstance(value, float) else value


def _named(value: Any) -> Any:
    """Write infinities and NaN, which JSON does not have, by their names."""
    if isinstance(value, list):
        return [_named(item) for item in value]
    return value if math.isfinite(value) else repr(value)


def _read_like(like: Tuple, found: dict[str, Any], name: str) -> Tuple:
    """Build a NamedTuple as `like` is built; its fields must be exactly the stored ones."""
    names = set(like._fields)
    if set(found) != names:
        raise _foreign(f"the saved state of {name} has other parts: {', '.join(sorted(names ^ set(found)))}")
    return like._replace(**{key: _read_value(getattr(like, key), found[key]) for key in found})


def _read_value(like: Any, value: Any) -> Any:
    if isinstance(like, np.ndarray):
        found = np.array(_floats(value) if like.dtype.kind == "f" else value, dtype=like.dtype)
        if found.size != like.size:
            raise UsageError(
                f"the saved state holds {found.size} values where the configuration asks for {like.size}",
                where=f"state of {OWNER}",
                mend="set tactical.levels to as many as there were, or begin a new --state-dir",
            )
        return found.reshape(like.shape)
    if isinstance(like, float):
        return float(value)
    return value


def _floats(value: Any) -> Any:
    if isinstance(value, list):
        return [_floats(item) for item in value]
    return float(value)


def _read_intent(row: dict[str, Any]) -> Intent:
    values = {name: _read_value(like, row[name]) for name, like in NO_INTENT._asdict().items()}
    return Intent(**values)
