"""The datasets the program knows: their folder, columns and step. One table, used by reading, storing and loading."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from eternal_engine.market_data.history import DAY_MS, HOUR_MS, Float64Array, Int64Array

SENTIMENT_NAME = "fear_greed"


@dataclass(frozen=True)
class Dataset:
    """Describe one kind of file: DIR/`folder`/SYMBOL.parquet (or .csv) with a time column and numbers.

    `step_ms` is the grid its stamps lie on; a stamp opens a period of `span_ms` (0: it names an instant).
    `slack_ms` is how far behind the grid a stamp may print before it is wrong.
    """

    folder: str
    time_column: str
    columns: tuple[str, ...]
    step_ms: int
    span_ms: int
    slack_ms: int = 0


CANDLE_COLUMNS = ("open", "high", "low", "close", "volume")

SPOT = Dataset("spot_1h", "timestamp", CANDLE_COLUMNS, HOUR_MS, HOUR_MS)
PERP = Dataset("perp_1h", "timestamp", CANDLE_COLUMNS, HOUR_MS, HOUR_MS)
# Exchanges print a settlement up to some seconds after its hour.
FUNDING = Dataset("funding", "timestamp", ("rate", "interval_hours"), HOUR_MS, 0, slack_ms=60_000)
SENTIMENT = Dataset("sentiment", "date", ("value",), DAY_MS, 0)

DATASETS = (SPOT, PERP, FUNDING, SENTIMENT)
BY_SYMBOL = (SPOT, PERP, FUNDING)


@dataclass(frozen=True)
class Series:
    """Hold the checked rows of one file, oldest first, without duplicates: stamps in UTC ms and float64 columns."""

    dataset: Dataset
    symbol: str
    stamp_ms: Int64Array
    values: dict[str, Float64Array]
    duplicates_dropped: int = 0

    def __len__(self) -> int:
        return int(self.stamp_ms.shape[0])

    def rows_between(self, start_ms: int | None, end_ms: int | None) -> Series:
        """Cut to stamps in [start_ms, end_ms); None leaves that side open."""
        first = 0 if start_ms is None else int(np.searchsorted(self.stamp_ms, start_ms))
        last = len(self) if end_ms is None else int(np.searchsorted(self.stamp_ms, end_ms))
        if first == 0 and last == len(self):
            return self
        cut = {name: column[first:last] for name, column in self.values.items()}
        return Series(self.dataset, self.symbol, self.stamp_ms[first:last], cut, self.duplicates_dropped)


def empty_series(dataset: Dataset, symbol: str) -> Series:
    """Build a series without rows, for a coin that never had this market."""
    none = {name: np.empty(0, np.float64) for name in dataset.columns}
    return Series(dataset, symbol, np.empty(0, np.int64), none)


def iso(stamp_ms: int) -> str:
    """Print a stamp as 2024-12-31T23:00Z (with seconds and ms where they are not zero)."""
    try:
        moment = datetime.fromtimestamp(stamp_ms / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return f"{stamp_ms} ms"
    precision = "minutes" if stamp_ms % 60_000 == 0 else "milliseconds"
    return moment.replace(tzinfo=None).isoformat(timespec=precision) + "Z"
