"""Turn marked equity with flows into time-weighted indices, and hourly points into UTC days."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eternal_engine.market_data.history import DAY_MS
from eternal_engine.reports.result import Float64Array, Int64Array


@dataclass(frozen=True)
class DayGrid:
    """Name the rows of a run that end its UTC days.

    `row` [D+1]: indices into the run's arrays; row[0] is 0, the state at the start. `day_ms` [D+1]: 00:00 UTC of the
    day that each row closes; the first is the day before the first one. A last day cut short by the end of the run
    counts as a day.
    """

    row: Int64Array
    day_ms: Int64Array

    @property
    def days(self) -> int:
        """Count the days that have a return."""
        return len(self.row) - 1


def day_grid(close_ms: Int64Array) -> DayGrid:
    """Find the last row of every UTC day after the first row.

    A bar that closes at midnight belongs to the day that ends there.
    """
    if len(close_ms) < 2:
        first_day = (close_ms - 1) // DAY_MS * DAY_MS
        return DayGrid(np.zeros(len(close_ms), dtype=np.int64), first_day)
    day = (close_ms[1:] - 1) // DAY_MS
    last = np.append(np.flatnonzero(day[1:] != day[:-1]), len(day) - 1)
    day_ms = day[last] * DAY_MS
    row = np.concatenate((np.zeros(1, dtype=np.int64), last.astype(np.int64) + 1))
    return DayGrid(row, np.concatenate((day_ms[:1] - DAY_MS, day_ms)))


def growth_index(equity: Float64Array, flow: Float64Array, rows: Int64Array | None = None) -> Float64Array:
    """Chain time-weighted growth: [N] equity after flows and [N] flows give an index [N] that starts at 1.

    With `rows` only those points of it are computed. A flow counts at the end of its bar, as it is in the equity of
    that close but not in the one before. While equity is not above zero nothing grows: a book without money has no
    return.
    """
    if equity.min() <= 0.0:
        whole = _chained(equity, flow)
        return whole if rows is None else whole[rows]
    index: Float64Array = (equity if rows is None else equity[rows]) / equity[0]
    bars = np.flatnonzero(flow)
    bars = bars[bars > 0]
    if len(bars) == 0:
        return index
    # The product of (E[j] - F[j]) / E[j-1] up to i is E[i] / E[0] times (E[j] - F[j]) / E[j] over the bars with flows.
    kept = np.maximum((equity[bars] - flow[bars]) / equity[bars], 0.0)
    correction: Float64Array = np.concatenate((np.ones(1), np.cumprod(kept)))
    points = np.arange(len(equity)) if rows is None else rows
    corrected: Float64Array = index * correction[np.searchsorted(bars, points, side="right")]
    return corrected


def _chained(equity: Float64Array, flow: Float64Array) -> Float64Array:
    before = equity[:-1]
    growth = np.divide(equity[1:] - flow[1:], before, out=np.ones_like(before), where=before > 0.0)
    return np.concatenate((np.ones(1), np.cumprod(np.maximum(growth, 0.0))))


def returns_of(index: Float64Array) -> Float64Array:
    """Give the step returns of indices [..., K+1] as [..., K]; after a total loss they are 0."""
    before, after = index[..., :-1], index[..., 1:]
    if before.min(initial=1.0) > 0.0:
        steps: Float64Array = after / before - 1.0
        return steps
    return np.divide(after, before, out=np.ones_like(before), where=before > 0.0) - 1.0
