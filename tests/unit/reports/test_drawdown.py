"""Drawdowns: depth, dates, durations."""

from __future__ import annotations

import numpy as np
import pytest

from eternal_engine.reports.drawdown import Fall, deepest, drawdown, falls, longest_points


def test_j10_the_fall_from_120_to_90_is_a_quarter_with_its_places() -> None:
    under = drawdown(np.array([100.0, 120.0, 90.0, 110.0, 130.0]))
    assert deepest(under) == Fall(peak=1, trough=2, recovery=4, depth_frac=-0.25)
    assert longest_points(under) == 3


def test_j10_an_open_fall_has_no_recovery() -> None:
    fall = deepest(drawdown(np.array([100.0, 80.0, 90.0])))
    assert fall is not None
    assert (fall.peak, fall.trough, fall.recovery) == (0, 1, None)
    assert longest_points(drawdown(np.array([100.0, 80.0, 90.0]))) == 2


def test_a_series_that_never_falls_has_none() -> None:
    under = drawdown(np.array([1.0, 1.0, 2.0]))
    assert deepest(under) is None
    assert falls(under) == ()
    assert longest_points(under) == 0


def test_falls_are_listed_deepest_first_and_shallow_ones_left_out() -> None:
    series = np.array([100.0, 95.0, 101.0, 80.0, 101.0, 100.5, 102.0])
    found = falls(drawdown(series), at_least_frac=0.01)
    assert [(f.peak, f.trough, f.recovery) for f in found] == [(2, 3, 4), (0, 1, 2)]
    assert found[0].depth_frac == pytest.approx(-21 / 101)


def test_a_total_loss_is_minus_one() -> None:
    assert drawdown(np.array([1.0, 0.0, 0.0])).tolist() == [0.0, -1.0, -1.0]


def test_the_deepest_fall_is_the_first_of_the_list() -> None:
    rng = np.random.default_rng(3)
    for _ in range(50):
        under = drawdown(np.exp(np.cumsum(rng.normal(0, 0.02, 300))))
        listed = falls(under)
        assert deepest(under) == listed[0]
        spans = [(len(under) - 1 if fall.recovery is None else fall.recovery) - fall.peak for fall in listed]
        assert longest_points(under) == max(spans)
