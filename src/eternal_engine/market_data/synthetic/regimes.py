"""The market's moods: bull, bear, sideways, high volatility and crisis follow each other for months."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from eternal_engine.market_data.history import Float64Array
from eternal_engine.market_data.synthetic.draws import Draws, decay, memory


class Mood(StrEnum):
    """Name the state of the whole market on a day."""

    BULL = "bull"
    BEAR = "bear"
    SIDEWAYS = "sideways"
    HIGH_VOL = "high_vol"
    CRISIS = "crisis"


@dataclass(frozen=True)
class _Manner:
    """Describe a mood: days it lasts, log drift per day, log volatility against the mean, appetite for leverage."""

    shortest_days: int
    longest_days: int
    drift: float
    log_vol: float
    appetite: float
    next_moods: dict[Mood, float]


_MANNERS = {
    Mood.BULL: _Manner(
        150, 420, 0.0040, 0.02, 1.0,
        {Mood.HIGH_VOL: 0.35, Mood.BEAR: 0.40, Mood.SIDEWAYS: 0.10, Mood.CRISIS: 0.15},
    ),
    Mood.BEAR: _Manner(
        120, 330, -0.0038, -0.02, -0.7,
        {Mood.CRISIS: 0.45, Mood.SIDEWAYS: 0.40, Mood.BULL: 0.15},
    ),
    Mood.SIDEWAYS: _Manner(
        40, 150, 0.0, -0.35, -0.1,
        {Mood.BULL: 0.78, Mood.BEAR: 0.12, Mood.HIGH_VOL: 0.10},
    ),
    Mood.HIGH_VOL: _Manner(
        20, 60, 0.0005, 0.30, 0.6,
        {Mood.BULL: 0.35, Mood.BEAR: 0.50, Mood.CRISIS: 0.15},
    ),
    Mood.CRISIS: _Manner(
        4, 12, -0.025, 0.80, -1.0,
        {Mood.SIDEWAYS: 0.40, Mood.BULL: 0.52, Mood.BEAR: 0.08},
    ),
}  # fmt: skip


@dataclass(frozen=True)
class MoodPath:
    """Hold the moods by day and what they do to each hour; `drift` is a log return per hour."""

    moods: tuple[Mood, ...]
    drift: Float64Array
    log_vol: Float64Array
    appetite: Float64Array


def _follow(mood: Mood, luck: float) -> Mood:
    choices = list(_MANNERS[mood].next_moods.items())
    for choice, chance in choices[:-1]:
        if luck < chance:
            return choice
        luck -= chance
    return choices[-1][0]


def _moods(draws: Draws, days: int) -> tuple[Mood, ...]:
    path: list[Mood] = []
    mood = Mood.BULL
    while len(path) < days:
        length, luck = draws.uniform(2)
        manner = _MANNERS[mood]
        path += [mood] * (manner.shortest_days + int(length * (manner.longest_days - manner.shortest_days + 1)))
        mood = _follow(mood, float(luck))
    return tuple(path[:days])


def _hourly(daily: list[float], hours: int, smooth_days: float) -> Float64Array:
    steps = np.repeat(np.array(daily, dtype=np.float64), 24)[:hours]
    keep = memory(24 * smooth_days)
    return decay(steps * (1.0 - keep), keep)


def mood_path(seed: int, hours: int) -> MoodPath:
    """Draw the moods from the epoch on; moods change at 00:00 UTC, their effects within days."""
    moods = _moods(Draws(seed, "market", "moods"), -(-hours // 24))
    return MoodPath(
        moods=moods,
        drift=np.repeat(np.array([_MANNERS[mood].drift / 24 for mood in moods]), 24)[:hours],
        log_vol=_hourly([_MANNERS[mood].log_vol for mood in moods], hours, 1.5),
        appetite=_hourly([_MANNERS[mood].appetite for mood in moods], hours, 10.0),
    )
