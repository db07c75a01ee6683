"""Say which of TACTICAL's optional triggers rest because their data is missing or too old (TACT-E2, I7)."""

from __future__ import annotations

import math
from datetime import datetime

from eternal_engine.model.event import Noted
from eternal_engine.model.ids import Engine, RuleId
from eternal_engine.portfolio.params import Features, Params
from eternal_engine.strategies.base import HOURS_PER_DAY

_RULE = RuleId("TACT-E2")


def idle_triggers(params: Params, features: Features, now_h: int, at: datetime) -> list[Noted]:
    """Note, once a day at its close, each trigger that is switched on and has no data for that day."""
    own, rows = params.tactical, features.tactical
    day = now_h // HOURS_PER_DAY - 1 - features.first_day
    if now_h % HOURS_PER_DAY or not own.enabled or not 0 <= day < len(rows.fear):
        return []
    found = []
    if own.fear_enabled and math.isnan(rows.fear[day]):
        words = f"the fear-and-greed index is missing or older than {own.fear_max_age_h} h: its trigger rests"
        found.append(Noted(at, _RULE, words, Engine.TACTICAL))
    if own.capitulation_enabled and math.isnan(rows.funding_8h[day]):
        words = "BTC's funding of the day is missing: its trigger rests"
        found.append(Noted(at, _RULE, words, Engine.TACTICAL))
    return found
