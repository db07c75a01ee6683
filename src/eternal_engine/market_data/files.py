"""Read one parquet or CSV file into checked rows. The only place that knows pyarrow's ways of being wrong.

The common types take a path of their own: casts and `unique` import pyarrow.compute, which costs a run 0.15 s, and
`to_numpy` imports pandas when that is installed, which costs 0.5 s.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from eternal_engine.market_data.checks import Rows, checked
from eternal_engine.market_data.datasets import FUNDING, Dataset, Series, empty_series
from eternal_engine.market_data.history import Float64Array, Int64Array
from eternal_engine.model.errors import DataError

SUFFIXES = (".parquet", ".csv")
AGAIN = "restore the file, or download or import it again"


def find_file(directory: Path, dataset: Dataset, symbol: str) -> Path | None:
    """Find the parquet (preferred) or CSV file of a symbol in DIR/`folder`, None if there is none."""
    for suffix in SUFFIXES:
        path = directory / dataset.folder / f"{symbol}{suffix}"
        if path.is_file():
            return path
    return None


def read_series(path: Path, dataset: Dataset, symbol: str) -> Series:
    """Read and check one file; raises DataError naming the file, the row and the mend."""
    return parse_series(read_bytes(path), path, dataset, symbol)


def release_memory() -> None:
    """Give the memory of parsed tables back to the system (30 MB after ten coins)."""
    pa.default_memory_pool().release_unused()


def read_bytes(path: Path) -> bytes:
    """Read a whole file, so that what was hashed is what is parsed."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"the file cannot be read: {error.strerror}", where=str(path), mend=AGAIN) from error
    if not content:
        raise DataError("the file is empty (0 bytes)", where=str(path), mend=AGAIN)
    return content


def parse_series(content: bytes, path: Path, dataset: Dataset, symbol: str, *, may_be_empty: bool = False) -> Series:
    """Parse the bytes of `path` (its suffix says which format) and check every row.

    `may_be_empty` is for files whose manifest says that there is nothing (a coin without a perpetual).
    """
    table = _parse_table(content, path)
    _check_columns(table, path, dataset)
    if table.num_rows == 0:
        if may_be_empty:
            return empty_series(dataset, symbol)
        raise DataError("the file has no rows", where=str(path), mend=f"{AGAIN}, or delete it")
    if dataset is FUNDING:
        _check_symbol(table, path, symbol)
    stamps = _stamps(table, path, dataset)
    values = {name: _numbers(table, path, name) for name in dataset.columns}
    return checked(Rows(dataset, symbol, stamps, values, str(path)))


def _parse_table(content: bytes, path: Path) -> pa.Table:
    if path.suffix == ".csv" and not content.endswith((b"\n", b"\r")):
        # 44.123 cut to 44.1 is still a number: only the line's end proves that the last row is whole.
        raise DataError(
            "the last line has no end, so it may be cut off", where=str(path), mend=f"{AGAIN}, or end its last line"
        )
    source = pa.BufferReader(content)
    try:
        if path.suffix == ".csv":
            from pyarrow import csv

            return csv.read_csv(source)
        return pq.ParquetFile(source).read()
    except (pa.ArrowException, OSError) as error:
        kind = "CSV" if path.suffix == ".csv" else "parquet"
        detail = str(error).split("\n")[0][:160]
        raise DataError(f"the file is truncated or not {kind}: {detail}", where=str(path), mend=AGAIN) from error


def _check_columns(table: pa.Table, path: Path, dataset: Dataset) -> None:
    wanted = (dataset.time_column, *dataset.columns)
    missing = [name for name in wanted if name not in table.column_names]
    if missing:
        have = ", ".join(table.column_names[:12]) or "none"
        raise DataError(
            f"column {', '.join(missing)} is missing (there are: {have})",
            where=str(path),
            mend=f"name the columns {', '.join(wanted)}",
        )
    twice = [name for name in wanted if table.column_names.count(name) > 1]
    if twice:
        raise DataError(f"column {twice[0]} appears twice", where=str(path), mend="keep one of the two columns")


def _check_symbol(table: pa.Table, path: Path, symbol: str) -> None:
    if "symbol" not in table.column_names or _is_all(table.column("symbol"), symbol):
        return
    others = [name for name in table.column("symbol").unique().to_pylist() if name != symbol]
    if others:
        raise DataError(
            f"the file holds rows of {others[0]}, its name says {symbol}",
            where=str(path),
            mend="keep one symbol a file and name the file after it",
        )


def _is_all(column: pa.ChunkedArray, symbol: str) -> bool:
    """Say whether every row is `symbol`, by its bytes; False may also mean: ask in another way."""
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)) or column.null_count:
        return False
    text = symbol.encode()
    width = 8 if pa.types.is_large_string(column.type) else 4
    for chunk in column.chunks:
        _, ends, letters = chunk.buffers()
        offsets = np.frombuffer(ends, f"i{width}", count=len(chunk) + 1, offset=chunk.offset * width)
        if (np.diff(offsets) != len(text)).any():
            return False
        if bytes(letters)[int(offsets[0]) : int(offsets[-1])] != text * len(chunk):
            return False
    return True


def _stamps(table: pa.Table, path: Path, dataset: Dataset) -> Int64Array:
    name = dataset.time_column
    column = table.column(name)
    mend = "give times as UTC timestamps (2024-12-31T23:00:00Z) or as integer milliseconds since 1970"
    if column.null_count:
        row = column.is_null().to_pylist().index(True) + 1
        raise DataError(f"{name} is missing", where=f"{path}, row {row}", mend=mend)
    if pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("ms"))
    if pa.types.is_timestamp(column.type):
        if column.type.unit != "ms":
            column = column.cast(pa.timestamp("ms", tz=column.type.tz), safe=False)
        return _plain(column, "i8")
    if not pa.types.is_integer(column.type):
        raise DataError(f"{name} is not a time but {column.type}", where=str(path), mend=mend)
    return _plain(column.cast(pa.int64(), safe=False), "i8")


def _numbers(table: pa.Table, path: Path, name: str) -> Float64Array:
    column = table.column(name)
    kind = column.type
    if pa.types.is_null(kind) or not (
        pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind)
    ):
        raise DataError(
            f"column {name} does not hold numbers but {kind}",
            where=str(path),
            mend="write plain numbers with a decimal point, without units or quotes",
        )
    if column.null_count:
        # The checks refuse NaN, and they know the row's stamp.
        column = column.cast(pa.float64(), safe=False).fill_null(float("nan"))
    elif kind in (pa.int16(), pa.int32(), pa.int64()):
        return _plain(column, str(kind)).astype(np.float64)
    elif kind != pa.float64():
        column = column.cast(pa.float64(), safe=False)
    return _plain(column, "f8")


def _plain(column: pa.ChunkedArray, dtype: str) -> npt.NDArray[Any]:
    """Copy fixed-width values without nulls out of their buffers."""
    kind = np.dtype(dtype)
    parts = [
        np.frombuffer(chunk.buffers()[1], kind, count=len(chunk), offset=chunk.offset * kind.itemsize)
        for chunk in column.chunks
        if len(chunk)
    ]
    return np.concatenate(parts) if parts else np.empty(0, kind)
