"""The line to the exchange as a table of moments, without waiting."""

from __future__ import annotations

import pytest

from eternal_engine.engine.downtime import Line, Lost, Restored, Skew, after_check, after_success, judge_skew


def test_e1_thirty_seconds_are_not_yet_the_next_check_pauses() -> None:
    line, changes = Line(0.0), []
    for at_s in (10.0, 20.0, 30.0, 30.001, 40.0):
        line, change = after_check(line, at_s)
        changes.append(change)
    assert changes == [None, None, None, Lost(30.001), None]
    line, restored = after_success(line, 57.5)
    assert restored == Restored(57.5)
    assert line == Line(57.5)


def test_e1_a_success_in_between_starts_the_count_again() -> None:
    line, change = after_success(Line(0.0), 29.0)
    assert change is None
    assert after_check(line, 59.0) == (line, None)
    assert after_check(line, 59.5)[1] == Lost(30.5)


def test_a_success_reported_late_never_moves_the_count_back() -> None:
    assert after_success(Line(20.0), 5.0)[0] == Line(20.0)


@pytest.mark.parametrize(
    ("offset_ms", "skew"),
    [
        (None, "fine"),
        (500, "fine"),
        (-500, "fine"),
        (501, "alarm"),
        (-1_000, "alarm"),
        (1_001, "wait"),
        (-1_001, "wait"),
    ],
)
def test_ord_6_a_clock_half_a_second_off_alarms_and_a_second_off_makes_entries_wait(
    offset_ms: int | None, skew: str
) -> None:
    assert judge_skew(offset_ms) is Skew(skew)
