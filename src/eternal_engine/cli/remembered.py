"""What the daemon remembers between two hours, as far as people ask for it.

Read from the saved document itself: the verbs that look need neither the configuration nor the arrays of the rules.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from eternal_engine.model.conversion import exact_from_float
from eternal_engine.model.errors import StorageError
from eternal_engine.model.money import short_text
from eternal_engine.storage.times import time_text
from eternal_engine.storage.views import View

OWNER = "portfolio"
CLOCK_OWNER = "clock"
READABLE = frozenset({1, 2, 3, 4, 5})  # versions of the document; what is read here has been in all of them
ENGINES = ("core_hodl", "trend", "funding", "tactical")  # in the order of their bits and numbers (U-8)
# As core_hodl.PHASES has them (a test compares): importing it costs a fifth of the time a status may take.
PHASES = ("NEW", "DEPLOYING", "REBALANCING", "MAINTAINING")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Remembered:
    """Hold the parts of the saved memory as plain values: `risk` and `core` by the names of their states."""

    saved_at: str
    symbols: tuple[str, ...]
    cycle_h: int
    started_h: int
    halted: frozenset[str]
    paused: tuple[str, ...]
    stops: dict[str, str]
    held_back: dict[str, int]
    pending: tuple[dict[str, Any], ...]
    risk: dict[str, Any]
    core: dict[str, Any]
    trend: dict[str, Any]
    tactical: dict[str, Any]


def remembered(view: View) -> Remembered | None:
    """Read the memory, None before the first cycle. Raises StorageError for a document of another version."""
    row = view.state(OWNER)
    if row is None:
        return None
    if row["schema_version"] not in READABLE:
        raise StorageError(
            f"the saved state has version {row['schema_version']}, this program reads {max(READABLE)}",
            where=f"state of {OWNER}",
            mend="use the program that wrote it",
        )
    found = json.loads(row["document"])
    clock = view.state(CLOCK_OWNER)
    symbols = tuple(found["symbols"])
    states = found["states"]
    return Remembered(
        saved_at=row["saved_at"],
        symbols=symbols,
        cycle_h=0 if clock is None else json.loads(clock["document"])["cycle_h"],
        started_h=found["started_h"],
        halted=frozenset(name for bit, name in enumerate(ENGINES) if found["halted"] >> bit & 1),
        paused=tuple(found["paused"]),
        stops={symbols[s]: price for s, price in found["stops"]},
        held_back={symbols[s]: until_h for s, until_h in found["held_back"]},
        pending=tuple(found["pending"]),
        risk=states["risk"],
        core=states["core"],
        trend=states["trend"],
        tactical=states["tactical"],
    )


def at_hour(hours: int) -> datetime:
    """Give the time of an hour since the epoch."""
    return _EPOCH + hours * _HOUR


def hour_text(hours: int) -> str | None:
    """Write an hour since the epoch; None for 0, which means never."""
    return time_text(at_hour(hours)) if hours > 0 else None


def number_text(value: float | str) -> str | None:
    """Write a number of the rules without the digits that floats make up; None where it is not finite."""
    number = float(value)
    return short_text(exact_from_float(round(number, 10))) if math.isfinite(number) else None
