"""Funding intervals found from the stamps alone."""

from __future__ import annotations

import numpy as np
import pytest

from eternal_engine.market_data.download.intervals import intervals_of

HOUR_MS = 3_600_000


@pytest.mark.parametrize(
    ("hours", "intervals"),
    [
        ([], []),
        ([0], [8]),
        ([0, 8, 16], [8, 8, 8]),
        # A spell of two hours; the row after it has its real distance.
        ([0, 8, 10, 12, 14, 16, 24], [8, 8, 2, 2, 2, 2, 8]),
        # One settlement missing between 8 and 24: 16 is no interval.
        ([0, 8, 24, 32], [8, 8, 8, 8]),
        # One missing amid four-hourly ones: 8 could be an interval, but stands alone.
        ([0, 4, 8, 16, 20, 24], [4, 4, 4, 4, 4, 4]),
        ([0, 17, 40], [8, 8, 8]),
        ([0, 100, 108], [8, 8, 8]),
    ],
)
def test_an_interval_is_the_distance_unless_settlements_are_missing(hours, intervals):
    found = intervals_of(np.array(hours, np.int64) * HOUR_MS)
    assert found.tolist() == intervals


def test_the_intervals_of_the_real_files_are_found_again(real_funding):
    assert real_funding
    for stamps, intervals in real_funding:
        differing = int((intervals_of(stamps) != intervals).sum())
        assert differing <= 3, "only at the edges of a spell may the printed and the found interval differ"
