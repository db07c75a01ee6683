"""Find how many hours lie behind each funding settlement; exchanges give history without its interval."""

from __future__ import annotations

import numpy as np

from eternal_engine.market_data.checks import INTERVALS_H
from eternal_engine.market_data.history import HOUR_MS, Float64Array, Int64Array

USUAL_H = 8.0


def intervals_of(stamp_ms: Int64Array) -> Float64Array:
    """Give the hours since the settlement before, per settlement; a hole in the series takes its neighbours' interval.

    A distance counts as an interval if exchanges use it, unless it stands alone between two equal shorter ones:
    then settlements are missing there.
    """
    hours = np.diff(stamp_ms) / HOUR_MS
    if hours.shape[0] == 0:
        return np.full(stamp_ms.shape[0], USUAL_H)
    known = np.isin(hours, INTERVALS_H)
    if hours.shape[0] > 2:
        before, here, after = hours[:-2], hours[1:-1], hours[2:]
        known[1:-1] &= ~((before == after) & (here > before))
    if not known.any():
        return np.full(stamp_ms.shape[0], USUAL_H)
    # Each unknown one takes the last known before it, or the first known of all.
    last_known = np.maximum.accumulate(np.where(known, np.arange(hours.shape[0]), -1))
    filled = hours[np.where(last_known >= 0, last_known, int(np.argmax(known)))]
    return np.concatenate((filled[:1], filled))
