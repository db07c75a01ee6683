"""Time-weighted indices and UTC days."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eternal_engine.market_data.history import DAY_MS, HOUR_MS
from eternal_engine.reports.daily import day_grid, growth_index, returns_of

START_MS = 1_577_836_800_000


def hours(count: int, start_ms: int = START_MS) -> np.ndarray:
    return start_ms + np.arange(count, dtype=np.int64) * HOUR_MS


def test_a_day_ends_at_the_bar_that_closes_at_midnight() -> None:
    grid = day_grid(hours(49))
    assert grid.row.tolist() == [0, 24, 48]
    assert grid.day_ms.tolist() == [START_MS - DAY_MS, START_MS, START_MS + DAY_MS]
    assert grid.days == 2


def test_a_run_that_begins_and_ends_inside_a_day_has_two_short_days() -> None:
    grid = day_grid(hours(20, START_MS + 10 * HOUR_MS))
    assert grid.row.tolist() == [0, 14, 19]
    assert grid.day_ms[1:].tolist() == [START_MS, START_MS + DAY_MS]


def test_a_run_of_one_point_has_no_days() -> None:
    assert day_grid(hours(1)).days == 0


def test_a_deposit_is_not_a_return() -> None:
    index = growth_index(np.array([100.0, 110.0, 220.0, 198.0]), np.array([0.0, 0.0, 110.0, 0.0]))
    assert index == pytest.approx([1.0, 1.1, 1.1, 0.99])


def test_what_is_in_the_first_point_is_capital_and_not_a_flow() -> None:
    assert growth_index(np.array([100.0, 110.0]), np.array([100.0, 0.0])) == pytest.approx([1.0, 1.1])


def test_a_book_without_money_does_not_grow_and_starts_with_its_first_deposit() -> None:
    index = growth_index(np.array([0.0, 0.0, 50.0, 55.0]), np.array([0.0, 0.0, 50.0, 0.0]))
    assert index == pytest.approx([1.0, 1.0, 1.0, 1.1])


def test_a_total_loss_stays_lost() -> None:
    index = growth_index(np.array([10.0, 0.0, 5.0, 6.0]), np.array([0.0, 0.0, 5.0, 0.0]))
    assert index.tolist() == [1.0, 0.0, 0.0, 0.0]
    assert returns_of(index).tolist() == [-1.0, 0.0, 0.0]


@given(
    st.lists(st.tuples(st.floats(-0.3, 0.3), st.sampled_from([0.0, 0.0, 0.0, 25.0, -10.0])), min_size=1, max_size=80),
    st.data(),
)
def test_flows_never_change_the_index(steps: list[tuple[float, float]], data: st.DataObject) -> None:
    equity, flow, clean = [1000.0], [0.0], [1.0]
    for growth, moved in steps:
        equity.append(equity[-1] * (1 + growth) + moved)
        flow.append(moved)
        clean.append(clean[-1] * (1 + growth))
        if equity[-1] <= 1.0:
            return
    index = growth_index(np.array(equity), np.array(flow))
    assert index == pytest.approx(clean, rel=1e-9)
    rows = np.array(sorted(data.draw(st.sets(st.integers(0, len(equity) - 1), min_size=1))))
    picked = growth_index(np.array(equity), np.array(flow), rows)
    assert picked == pytest.approx(index[rows], rel=1e-12)
