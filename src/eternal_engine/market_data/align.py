"""Put checked rows on one hourly grid: a missing hour is NaN, perp bars before its data are spot, flagged (U-10)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eternal_engine.market_data.datasets import CANDLE_COLUMNS, FUNDING, Series
from eternal_engine.market_data.history import HOUR_MS, BoolArray, Gap, Int64Array, Ohlcv


def on_grid(rows: Sequence[Series], start_ms: int, hours: int) -> Ohlcv:
    """Place candles of S series into [S, hours] arrays; every stamp must lie inside the grid."""
    arrays = {name: np.full((len(rows), hours), np.nan) for name in CANDLE_COLUMNS}
    for index, series in enumerate(rows):
        hour = (series.stamp_ms - start_ms) // HOUR_MS
        for name in CANDLE_COLUMNS:
            arrays[name][index, hour] = series.values[name]
    return Ohlcv(**arrays)


def stand_in(perp: Ohlcv, spot: Ohlcv, first_funding_ms: Int64Array, start_ms: int, begun: Sequence[bool]) -> BoolArray:
    """Copy spot into perp bars from the first funding settlement up to the first real bar, in place; return the flags.

    A hole after the perp's first bar stays one: a missing bar decides nothing (U-10), and live could not fill it.
    """
    flags = np.zeros(perp.close.shape, np.bool_)
    hours = perp.close.shape[1]
    for index, first_ms in enumerate(first_funding_ms.tolist()):
        if first_ms < 0 or begun[index]:
            continue
        # The bar that holds the settlement's stamp is the first tradable one (settlements lie on full hours).
        first = min(max((first_ms - start_ms) // HOUR_MS, 0), hours)
        real = np.flatnonzero(~np.isnan(perp.close[index, first:]))
        until = first + int(real[0]) if len(real) else hours
        flags[index, first:until] = ~np.isnan(spot.close[index, first:until])
    for name in CANDLE_COLUMNS:
        np.copyto(getattr(perp, name), getattr(spot, name), where=flags)
    return flags


def gap_runs(series: Series) -> tuple[tuple[int, int], ...]:
    """List the missing periods between the first and the last row as [start_ms, end_ms) runs."""
    step_ms = _steps_ms(series)
    holes = np.flatnonzero(np.diff(series.stamp_ms) > step_ms)
    return tuple((int(series.stamp_ms[i] + step_ms[i]), int(series.stamp_ms[i + 1])) for i in holes)


def missing_rows(series: Series) -> int:
    """Count the rows that the gaps between the first and the last row lack."""
    return int((np.diff(series.stamp_ms) // _steps_ms(series) - 1).clip(min=0).sum())


def gaps_between(series: Series) -> tuple[Gap, ...]:
    """List the missing bars between the first and the last row of a candle series."""
    return tuple(Gap(series.dataset.folder, series.symbol, start, end) for start, end in gap_runs(series))


def _steps_ms(series: Series) -> Int64Array:
    """Give the longest regular distance between each row and the next."""
    if series.dataset is FUNDING:
        # Where the interval changes, exchanges print the old or the new one: the longer counts.
        interval_h = series.values["interval_hours"]
        return np.maximum(interval_h[1:], interval_h[:-1]).astype(np.int64) * HOUR_MS
    return np.full(max(len(series) - 1, 0), series.dataset.step_ms, np.int64)
