"""When the exchange counts as gone, and when this machine's clock is too far off to trade (ORD-6), without any waiting.

Times are seconds of a clock that never goes backwards.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, TypeAlias

from eternal_engine.model.rule import Rule

RULES: tuple[Rule, ...] = (
    Rule(
        "ORD-6",
        "The first check more than 30 s after the last successful call pauses every engine; the first successful call "
        "ends it, the accounts are compared, then engines go on, except those halted by the operator or the breaker.",
        (),
        (
            "tests/unit/engine/test_downtime.py::test_e1_thirty_seconds_are_not_yet_the_next_check_pauses",
            "tests/unit/engine/test_trading_engine.py::test_e2_the_operators_halt_outlives_a_lost_line",
        ),
    ),
)

SILENCE_S: Final = 30.0
PING_EVERY_S: Final = 10.0
ALARM_MS: Final = 500
WAIT_MS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Line:
    """Hold what is known of the line to the exchange: the last successful call, and whether engines are paused."""

    heard_s: float
    is_down: bool = False


@dataclass(frozen=True, slots=True)
class Lost:
    """Say that engines pause now: nothing was heard for `silent_s`."""

    silent_s: float


@dataclass(frozen=True, slots=True)
class Restored:
    """Say that the exchange answers again after `downtime_s` without a successful call."""

    downtime_s: float


Change: TypeAlias = Lost | Restored | None


def after_success(line: Line, at_s: float) -> tuple[Line, Change]:
    """Take a successful call into account."""
    change = Restored(at_s - line.heard_s) if line.is_down else None
    return Line(max(at_s, line.heard_s)), change


def after_check(line: Line, at_s: float) -> tuple[Line, Change]:
    """Look at the clock, as after a failed call: at exactly 30 s nothing happens yet (E1)."""
    silent_s = at_s - line.heard_s
    if line.is_down or silent_s <= SILENCE_S:
        return line, None
    return replace(line, is_down=True), Lost(silent_s)


class Skew(StrEnum):
    """Judge the distance of two clocks."""

    FINE = "fine"
    ALARM = "alarm"
    WAIT = "wait"  # a clock one second fast fails every signed call, whatever the window (bybit-v5 3.1)


def judge_skew(offset_ms: int | None) -> Skew:
    """Judge the exchange's clock minus ours, in ms; unknown is fine: the next answer tells."""
    distance_ms = abs(offset_ms or 0)
    if distance_ms > WAIT_MS:
        return Skew.WAIT
    return Skew.ALARM if distance_ms > ALARM_MS else Skew.FINE
