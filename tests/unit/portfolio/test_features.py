"""Features from raw rows: late stamps, yesterday's sentiment, funding by the day (U-4, TACT-E2)."""

from __future__ import annotations

import numpy as np
import pytest

from eternal_engine.portfolio.features import Moods, Settlements, fear_by_day, funding_by_day, stamp_hours

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
FIRST_DAY = 18_000


@pytest.mark.parametrize(("late_ms", "hours"), [(0, 8), (1, 8), (60_000, 8), (60_001, 9), (-1, 8), (HOUR_MS, 9)])
def test_a_settlement_a_minute_late_is_on_time(late_ms: int, hours: int) -> None:
    assert stamp_hours(np.array([8 * HOUR_MS + late_ms])).tolist() == [hours]


def test_u_4_yesterdays_sentiment_value_at_most_48_hours_old() -> None:
    moods = Moods((FIRST_DAY + np.array([0, 1, 2, 5])) * DAY_MS, np.array([10.0, 20.0, 30.0, 50.0]))
    # Row d is used when day d is over: its own value is yesterday's; one more day may be missing.
    two_days = fear_by_day(moods, FIRST_DAY, 9, 48)
    np.testing.assert_array_equal(two_days, [10, 20, 30, 30, np.nan, 50, 50, np.nan, np.nan])
    one_day = fear_by_day(moods, FIRST_DAY, 9, 24)
    np.testing.assert_array_equal(one_day, [10, 20, 30, np.nan, np.nan, 50, np.nan, np.nan, np.nan])


def test_tact_e2_funding_of_a_day_is_per_eight_hours() -> None:
    stamps = FIRST_DAY * DAY_MS + np.arange(0, 4 * 24, 4) * HOUR_MS
    every_four = Settlements(stamps, np.full(24, -0.0003), np.full(24, 4.0))
    np.testing.assert_allclose(funding_by_day(every_four, FIRST_DAY, 4), [-0.0006] * 4)
    late = stamps[stamps >= FIRST_DAY * DAY_MS + 50 * HOUR_MS]
    sparse = Settlements(late, np.full(len(late), -0.0001), np.full(len(late), 8.0))
    found = funding_by_day(sparse, FIRST_DAY, 4)
    assert np.isnan(found[:2]).all()
    assert found[2:].tolist() == [-0.0001] * 2
