"""Say for which coins TREND has too few days of bars to enter anything (TREND-E1, E8)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from eternal_engine.model.event import Noted
from eternal_engine.model.ids import Engine, RuleId
from eternal_engine.portfolio.params import Features, Params
from eternal_engine.strategies.base import HOURS_PER_DAY
from eternal_engine.strategies.trend import is_warm

_RULE = RuleId("TREND-E1")


def warming_up(params: Params, features: Features, symbols: Sequence[str], now_h: int, at: datetime) -> list[Noted]:
    """Note, once a day at its close, the listed coins that are still short of days, and how many they have."""
    own, rows = params.trend, features.trend
    day = now_h // HOURS_PER_DAY - 1 - features.first_day
    if now_h % HOURS_PER_DAY or not own.enabled or not 0 <= day < rows.close.shape[1]:
        return []
    short = [
        f"{symbol} {rows.days_known[s, day]}/{own.warmup_days}"
        for s, symbol in enumerate(symbols)
        if rows.days_known[s, day] > 0 and not is_warm(own, rows, s, day)
    ]
    if not short:
        return []
    words = f"WARMUP, not enough data (days of bars there are and needed): {', '.join(short)}; no entries there"
    return [Noted(at, _RULE, words, Engine.TREND)]
