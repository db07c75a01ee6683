"""A small folder of market data that tests can spoil, file by file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

HOUR_MS = 3_600_000
START_MS = 1_577_836_800_000  # 2020-01-01
HOURS = 240

Columns = dict[str, Any]


def candle_columns(hours: int = HOURS, start_ms: int = START_MS, seed: int = 1) -> Columns:
    """Make believable candles: timestamp (int64 ms) and five float columns."""
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, hours)))
    open_ = np.concatenate(([100.0], close[:-1]))
    return {
        "timestamp": start_ms + np.arange(hours, dtype=np.int64) * HOUR_MS,
        "open": open_,
        "high": np.maximum(open_, close) * 1.001,
        "low": np.minimum(open_, close) * 0.999,
        "close": close,
        "volume": rng.uniform(0, 50, hours),
    }


def funding_columns(settlements: int = HOURS // 8 - 3, start_ms: int = START_MS + 24 * HOUR_MS) -> Columns:
    """Make funding rates every 8 hours, from the second day on."""
    return {
        "timestamp": start_ms + np.arange(settlements, dtype=np.int64) * 8 * HOUR_MS,
        "rate": np.linspace(-0.0001, 0.0003, settlements),
        "interval_hours": np.full(settlements, 8, np.int16),
    }


def write_columns(path: Path, columns: Columns) -> None:
    """Write columns as the suffix says; int64 time columns become UTC timestamps."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {}
    for name, values in columns.items():
        array = pa.array(values)
        if name in ("timestamp", "date") and pa.types.is_integer(array.type):
            array = array.cast(pa.timestamp("ms", tz="UTC"))
        arrays[name] = array
    table = pa.table(arrays)
    if path.suffix == ".csv":
        pa_csv.write_csv(table, path)
    else:
        pq.write_table(table, path)


@dataclass
class MarketFolder:
    """A folder with BTCUSDT and ETHUSDT: spot, perp, funding, sentiment. `edit` rewrites one file."""

    path: Path
    suffix: str = ".parquet"
    columns: dict[str, Columns] = field(default_factory=dict)

    def write(self, name: str, columns: Columns) -> Path:
        """Write `folder/SYMBOL` and remember its columns."""
        self.columns[name] = columns
        file = self.file(name)
        write_columns(file, columns)
        return file

    def file(self, name: str) -> Path:
        """Give the path of `folder/SYMBOL`."""
        return self.path / f"{name}{self.suffix}"

    def edit(self, name: str, change: Callable[[Columns], Columns | None]) -> Path:
        """Let `change` spoil a copy of the columns (in place, or by returning new ones) and write the file again."""
        copy = {key: np.array(value) for key, value in self.columns[name].items()}
        return self.write(name, change(copy) or copy)


@pytest.fixture(params=[".parquet"])
def market(tmp_path: Path, request: pytest.FixtureRequest) -> MarketFolder:
    """Two coins over ten days; ETH's perp begins on the fifth day, its spot lacks hours 100 to 102."""
    folder = MarketFolder(tmp_path / "market", suffix=request.param)
    for number, symbol in enumerate(("BTCUSDT", "ETHUSDT")):
        folder.write(f"spot_1h/{symbol}", candle_columns(seed=number + 1))
        folder.write(f"perp_1h/{symbol}", candle_columns(seed=number + 11))
        folder.write(f"funding/{symbol}", funding_columns())
    folder.edit("spot_1h/ETHUSDT", lambda c: {k: np.delete(v, slice(100, 103)) for k, v in c.items()})
    folder.edit("perp_1h/ETHUSDT", lambda c: {k: v[120:] for k, v in c.items()})
    days = START_MS + np.arange(10, dtype=np.int64) * 24 * HOUR_MS
    folder.write("sentiment/fear_greed", {"date": days, "value": np.arange(10, dtype=np.int16) * 10})
    return folder
