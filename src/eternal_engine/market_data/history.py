"""Aligned hourly history of all symbols, as plain float64 arrays: what the backtest and the simulator read."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


@dataclass(frozen=True)
class Ohlcv:
    """Hold candles of S symbols over H hours; each array is [S, H] float64, C-contiguous, NaN where a bar is missing.

    Units: prices in USDT, volume in base coins. Column h is the bar that opens at `MarketHistory.open_ms(h)`.
    """

    open: Float64Array
    high: Float64Array
    low: Float64Array
    close: Float64Array
    volume: Float64Array


@dataclass(frozen=True)
class FundingRates:
    """Hold the settled funding rates of one perpetual, oldest first; all arrays have the same length."""

    stamp_ms: Int64Array
    rate: Float64Array
    interval_h: Float64Array


@dataclass(frozen=True)
class Sentiment:
    """Hold the daily fear-and-greed index, oldest first; `day_ms` is 00:00 UTC of the day the value is for."""

    day_ms: Int64Array
    value: Float64Array


@dataclass(frozen=True)
class Gap:
    """Name a run of missing bars inside a series: [start_ms, end_ms) in UTC milliseconds."""

    dataset: str
    symbol: str
    start_ms: int
    end_ms: int

    @property
    def bars(self) -> int:
        return (self.end_ms - self.start_ms) // HOUR_MS


@dataclass(frozen=True)
class MarketHistory:
    """Hold everything a run may look at, on one hourly UTC grid without holes (holes are NaN bars).

    `perp` bars that are copies of spot (U-10) are flagged in `perp_stand_in` [S, H] and only exist from the
    perp's first funding settlement on. `first_funding_ms[s]` is that settlement, or -1 when there is none.
    A coin is tradable in [`listed_ms[s]`, `delisted_ms[s]`): by the universe file, else from its first spot bar on;
    -1 means not delisted. Bars outside that window stay visible to features.
    `fingerprint` is a sha256 over the content used, and is part of a backtest's result hash.
    """

    symbols: tuple[str, ...]
    start_ms: int
    spot: Ohlcv
    perp: Ohlcv
    perp_stand_in: BoolArray
    funding: tuple[FundingRates, ...]
    first_funding_ms: Int64Array
    listed_ms: Int64Array
    delisted_ms: Int64Array
    sentiment: Sentiment
    source: str
    synthetic: bool
    fingerprint: str
    gaps: tuple[Gap, ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def hours(self) -> int:
        """Count the bars of the grid."""
        return int(self.spot.close.shape[1])

    @property
    def end_ms(self) -> int:
        """Give the instant at which the last bar of the grid closes."""
        return self.start_ms + self.hours * HOUR_MS

    def open_ms(self, hour: int) -> int:
        """Give the open time of bar `hour`, in UTC milliseconds."""
        return self.start_ms + hour * HOUR_MS
