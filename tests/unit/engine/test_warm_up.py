"""TREND does not wait in silence for its 200 days of bars (TREND-E1, E8)."""

from __future__ import annotations

from typing import Any

import numpy as np

from core_builders import OFF, TWO, some_params
from eternal_engine.engine.timing import hour_start
from eternal_engine.engine.warm_up import warming_up
from eternal_engine.model.ids import Engine
from eternal_engine.portfolio.features import Moods, Settlements, features_of
from eternal_engine.strategies.indicators import DailyBars

FIRST_DAY, DAYS = 19_700, 12
NOW_H = (FIRST_DAY + DAYS) * 24
SETTLED = Settlements(np.zeros(0, np.int64), np.zeros(0), np.zeros(0))


def noted(needed: int, now_h: int = NOW_H, second_days: int = 5, **trend: Any) -> list[str]:
    """Give what is noted when BTC has twelve days of bars and ETH the last `second_days` of them."""
    params = some_params(TWO, trend={"warmup_days": needed, **trend})
    closes = np.full((2, DAYS), 100.0)
    closes[1, : DAYS - second_days] = np.nan
    daily = DailyBars(closes, closes, closes, closes, np.where(np.isnan(closes), 0, 24))
    moods = Moods(np.zeros(0, np.int64), np.zeros(0))
    features = features_of(params, daily, [SETTLED, SETTLED], moods, FIRST_DAY)
    found = warming_up(params, features, TWO, now_h, hour_start(now_h))
    assert all((note.rule, note.engine) == ("TREND-E1", Engine.TREND) for note in found)
    return [note.detail for note in found]


def test_e8_coins_with_too_few_days_are_named_with_what_they_have_and_need() -> None:
    (said,) = noted(200)
    assert said.startswith("WARMUP, not enough data")
    assert f"{TWO[0]} 12/200, {TWO[1]} 5/200" in said


def test_e8_a_coin_that_has_its_days_is_not_named() -> None:
    (said,) = noted(12)
    assert TWO[0] not in said
    assert f"{TWO[1]} 5/12" in said
    assert noted(5) == []


def test_e8_nothing_is_said_of_coins_not_listed_within_a_day_or_of_an_engine_that_is_off() -> None:
    (said,) = noted(200, second_days=0)
    assert TWO[1] not in said
    assert noted(200, now_h=NOW_H - 1) == []
    assert noted(200, **OFF) == []
