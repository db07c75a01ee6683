"""Measure falls from the highest point so far: how deep, how long, and when they were made good."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from eternal_engine.reports.result import Float64Array

# An index corrected for flows carries rounding of a few 1e-16: without this, cash with deposits would have "falls".
ROUNDING = 1e-12


@dataclass(frozen=True)
class Fall:
    """One stretch under a former high, as positions in the series.

    `depth_frac` is negative. `recovery` is the first point back at or above the peak, None while it is still under.
    """

    peak: int
    trough: int
    recovery: int | None
    depth_frac: float


def drawdown(index: Float64Array) -> Float64Array:
    """Give the distance from the highest point so far of indices [..., K], as fractions from 0 down to -1 [..., K]."""
    high = np.maximum.accumulate(index, axis=-1)
    if high[..., :1].min(initial=math.inf) > 0.0:
        under: Float64Array = index / high - 1.0
    else:
        under = np.divide(index, high, out=np.ones_like(index), where=high > 0.0) - 1.0
    under[under > -ROUNDING] = 0.0
    return under


def falls(under: Float64Array, at_least_frac: float = 0.0) -> tuple[Fall, ...]:
    """List the stretches below zero of a drawdown series that are deeper than `at_least_frac`, deepest first."""
    wet = np.concatenate(([False], under < 0.0, [False]))
    starts = np.flatnonzero(wet[1:] & ~wet[:-1])
    ends = np.flatnonzero(~wet[1:] & wet[:-1])
    if len(starts) == 0:
        return ()
    depth = np.minimum.reduceat(under, starts)
    found = [
        _fall(under, int(starts[k]), int(ends[k]))
        for k in np.argsort(depth, kind="stable")
        if -depth[k] > at_least_frac
    ]
    return tuple(found)


def deepest(under: Float64Array) -> Fall | None:
    """Find the deepest stretch below zero, None when the series never falls."""
    trough = int(np.argmin(under))
    if under[trough] >= 0.0:
        return None
    peaks = np.flatnonzero(under >= 0.0)
    following = int(np.searchsorted(peaks, trough))
    recovery = int(peaks[following]) if following < len(peaks) else None
    return Fall(int(peaks[following - 1]), trough, recovery, float(under[trough]))


def longest_points(under: Float64Array) -> int:
    """Count the points of the longest stretch from a peak to its recovery, or to the end of the series."""
    high = np.flatnonzero(under >= 0.0)
    if len(high) == 0:
        return len(under)
    to_end = len(under) - 1 - int(high[-1])
    gaps = high[1:] - high[:-1]
    between = int(gaps.max()) if len(gaps) else 0
    return max(to_end, between if between > 1 else 0)


def _fall(under: Float64Array, start: int, end: int) -> Fall:
    trough = start + int(np.argmin(under[start:end]))
    recovery = end if end < len(under) else None
    return Fall(peak=start - 1, trough=trough, recovery=recovery, depth_frac=float(under[trough]))
