"""From when on an account's history counts: two clocks cannot tell minutes apart, ids can (ORD-7)."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from engine_bench import AT
from eternal_engine.engine.snapshot import Horizon, Snapshot, opened_horizon
from eternal_engine.model.ids import Account

MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("identifier", "minutes", "counts"),
    [
        ("new", 5, True),
        ("new", 0, True),
        ("new", -1, True),
        ("new", -10, True),
        ("new", -11, False),
        ("seen", 5, False),
        ("seen", -1, False),
    ],
)
def test_ord_7_what_shows_late_counts_although_its_time_is_just_before_the_opening(
    identifier: str, minutes: int, counts: bool
) -> None:
    horizon = Horizon(AT, AT, frozenset({"seen"}))
    assert horizon.counts(identifier, AT + minutes * MINUTE) == counts


@pytest.mark.parametrize(("checked_min", "since_min"), [(0, -10), (60, 50), (-60, -10)])
def test_ord_7_a_comparison_reads_ten_minutes_twice_and_nothing_before_the_opening(
    checked_min: int, since_min: int
) -> None:
    assert Horizon(AT, AT + checked_min * MINUTE).since == AT + since_min * MINUTE


def test_ord_7_what_the_opening_balances_hold_is_known_by_its_id() -> None:
    nothing = cast("Any", None)
    executions = cast("Any", tuple(SimpleNamespace(execution_id=f"e{n}", at=AT - n * MINUTE) for n in (1, 10, 11)))
    rows = cast("Any", (SimpleNamespace(row_id="r", trade_id="t", at=AT),))
    snapshot = Snapshot(Account.TREND, nothing, (), (), executions, rows, AT - 60 * MINUTE, AT)
    assert opened_horizon(snapshot) == Horizon(AT, AT, frozenset({"e1", "e10", "r/t"}))
