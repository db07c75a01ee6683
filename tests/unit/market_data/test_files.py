"""Reading files: all sensible ways to write times and numbers give the same rows."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eternal_engine.market_data.datasets import FUNDING, SENTIMENT, SPOT
from eternal_engine.market_data.files import read_series
from eternal_engine.model.errors import DataError

STAMPS = [1_577_836_800_000, 1_577_840_400_000, 1_577_844_000_000]


def table(times: pa.Array, close: pa.Array | None = None) -> pa.Table:
    close = pa.array([10.0, 11.0, 12.0]) if close is None else close
    low, high = pa.array([9.0, 9.0, 9.0]), pa.array([13.0, 13.0, 13.0])
    return pa.table({"timestamp": times, "open": close, "high": high, "low": low, "close": close, "volume": low})


def as_parquet(path: Path, content: pa.Table, **options: object) -> Path:
    pq.write_table(content, path, **options)
    return path


TIMES = {
    "ms": pa.array(STAMPS).cast(pa.timestamp("ms", tz="UTC")),
    "ns": pa.array(STAMPS).cast(pa.timestamp("ms", tz="UTC")).cast(pa.timestamp("ns", tz="UTC")),
    "s without zone": pa.array(STAMPS).cast(pa.timestamp("ms")).cast(pa.timestamp("s")),
    "of another zone": pa.array(STAMPS).cast(pa.timestamp("ms", tz="UTC")).cast(pa.timestamp("us", tz="Asia/Tokyo")),
    "integers": pa.array(STAMPS),
    "unsigned integers": pa.array(STAMPS, pa.uint64()),
}


@pytest.mark.parametrize("times", TIMES.values(), ids=TIMES)
def test_times_are_read_in_any_unit_as_utc(tmp_path, times):
    series = read_series(as_parquet(tmp_path / "x.parquet", table(times)), SPOT, "x")
    assert series.stamp_ms.tolist() == STAMPS
    assert series.stamp_ms.dtype == np.int64


@pytest.mark.parametrize(
    "close",
    [
        pa.array([10, 11, 12], pa.int16()),
        pa.array([10, 11, 12], pa.int64()),
        pa.array([10, 11, 12], pa.uint8()),
        pa.array([10, 11, 12], pa.float32()),
        pa.array([Decimal(10), Decimal(11), Decimal(12)], pa.decimal128(20, 8)),
    ],
    ids=str,
)
def test_numbers_are_read_in_any_type(tmp_path, close):
    series = read_series(as_parquet(tmp_path / "x.parquet", table(TIMES["ms"], close)), SPOT, "x")
    assert series.values["close"].tolist() == [10.0, 11.0, 12.0]
    assert series.values["close"].dtype == np.float64


def test_a_file_of_many_row_groups_is_read_in_order(tmp_path):
    path = as_parquet(tmp_path / "x.parquet", table(TIMES["ms"]), row_group_size=1)
    assert read_series(path, SPOT, "x").values["close"].tolist() == [10.0, 11.0, 12.0]


@pytest.mark.parametrize(
    "times",
    [
        "2020-01-01T00:00:00Z 2020-01-01T01:00:00Z",
        "2020-01-01T00:00:00+00:00 2020-01-01T01:00:00+00:00",
        "2020-01-01T01:00:00+01:00 2020-01-01T02:00:00+01:00",
        "2020-01-01T00:00:00 2020-01-01T01:00:00",
        "1577836800000 1577840400000",
    ],
)
def test_csv_times_are_read_as_utc(tmp_path, times):
    first, second = times.split()
    path = tmp_path / "x.csv"
    path.write_text(f"timestamp,open,high,low,close,volume\n{first},10,13,9,11,0\n{second},11,13,9,12.5,1\n")
    series = read_series(path, SPOT, "x")
    assert series.stamp_ms.tolist() == STAMPS[:2]
    assert series.values["close"].tolist() == [11, 12.5]


def test_csv_days_are_read(tmp_path):
    path = tmp_path / "fear_greed.csv"
    path.write_text("date,value\n2020-01-01,20\n2020-01-02,21\n")
    assert read_series(path, SENTIMENT, "fear_greed").stamp_ms.tolist() == [STAMPS[0], STAMPS[0] + 86_400_000]


def test_a_missing_time_is_named_by_its_row(tmp_path):
    times = pa.array([STAMPS[0], None, STAMPS[2]]).cast(pa.timestamp("ms"))
    with pytest.raises(DataError, match="timestamp is missing") as caught:
        read_series(as_parquet(tmp_path / "x.parquet", table(times)), SPOT, "x")
    assert caught.value.where.endswith("row 2")


def test_a_missing_number_is_named_by_its_row(tmp_path):
    close = pa.array([10.0, 11.0, None])
    with pytest.raises(DataError) as caught:
        read_series(as_parquet(tmp_path / "x.parquet", table(TIMES["ms"], close)), SPOT, "x")
    assert "row 3" in caught.value.where


def test_a_column_that_appears_twice_is_refused(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("timestamp,open,high,low,close,close,volume\n1577836800000,10,13,9,11,11,0\n")
    with pytest.raises(DataError, match="column close appears twice"):
        read_series(path, SPOT, "x")


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())], ids=str)
@pytest.mark.parametrize(("names", "good"), [(["XUSDT"] * 3, True), (["XUSDT", "YUSDT", "XUSDT"], False)])
def test_funding_rows_must_be_of_the_symbol_the_file_is_named_after(tmp_path, kind, names, good):
    content = pa.table(
        {
            "timestamp": pa.array(STAMPS),
            "symbol": pa.array(names).cast(kind),
            "rate": [0.0, 0.0001, 0.0002],
            "interval_hours": [1, 1, 1],
        }
    )
    path = as_parquet(tmp_path / "XUSDT.parquet", content)
    if good:
        assert len(read_series(path, FUNDING, "XUSDT")) == 3
    else:
        with pytest.raises(DataError, match="holds rows of YUSDT, its name says XUSDT"):
            read_series(path, FUNDING, "XUSDT")


def test_a_file_that_may_not_be_read_is_named(tmp_path):
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        read_series(tmp_path, SPOT, "x")
