"""A trigger without data rests, and says so once a day (TACT-E2, I7)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from core_builders import OFF, TWO, some_params
from eternal_engine.engine.idle_triggers import idle_triggers
from eternal_engine.engine.timing import hour_start
from eternal_engine.portfolio.features import Moods, Settlements, features_of
from eternal_engine.strategies.indicators import DailyBars

FIRST_DAY, DAYS = 19_700, 10
NOW_H = (FIRST_DAY + DAYS) * 24
DAY_MS = 86_400_000


def notes(now_h: int = NOW_H, mood_days: tuple[int, ...] = (), stamps_h: tuple[int, ...] = (), **tactical: Any) -> str:
    """Give what is noted at an hour; mood days and stamps are counted back from now."""
    params = some_params(TWO, tactical=tactical)
    closes = np.full((2, DAYS), 100.0)
    daily = DailyBars(closes, closes, closes, closes, np.full((2, DAYS), 24))
    moods = Moods(np.array([NOW_H * 3_600_000 - back * DAY_MS for back in mood_days], np.int64),
                  np.full(len(mood_days), 50.0))  # fmt: skip
    stamps = np.array([(NOW_H - back) * 3_600_000 for back in stamps_h], np.int64)
    rates = Settlements(stamps, np.full(len(stamps), 0.0001), np.full(len(stamps), 8.0))
    features = features_of(params, daily, [rates, rates], moods, FIRST_DAY)
    found = idle_triggers(params, features, now_h, hour_start(now_h))
    return " | ".join(f"{note.rule} {note.detail}" for note in found)


FEAR = "TACT-E2 the fear-and-greed index is missing or older than 48 h: its trigger rests"


@pytest.mark.parametrize(("mood_days", "said"), [((), FEAR), ((1,), ""), ((2,), ""), ((3,), FEAR), ((0,), FEAR)])
def test_i7_a_fear_index_that_is_missing_or_too_old_is_noted(mood_days: tuple[int, ...], said: str) -> None:
    assert notes(mood_days=mood_days, fear_enabled=True) == said


def test_i7_missing_funding_of_the_day_is_noted() -> None:
    assert "BTC's funding of the day is missing" in notes(capitulation_enabled=True)
    assert notes(stamps_h=(9,), capitulation_enabled=True) == ""


def test_i7_nothing_is_noted_of_what_is_off_or_within_a_day() -> None:
    assert notes() == ""
    assert notes(NOW_H + 1, fear_enabled=True) == ""
    assert notes(fear_enabled=True, **OFF) == ""
