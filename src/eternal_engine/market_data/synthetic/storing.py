"""Write a synthetic market into a store, marked as synthetic in every manifest."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from eternal_engine.files import write_whole
from eternal_engine.market_data.datasets import (
    CANDLE_COLUMNS,
    DATASETS,
    FUNDING,
    PERP,
    SENTIMENT,
    SENTIMENT_NAME,
    SPOT,
    Dataset,
    Series,
    empty_series,
)
from eternal_engine.market_data.folder import DataFolder
from eternal_engine.market_data.history import HOUR_MS, MarketHistory, Ohlcv
from eternal_engine.market_data.manifest import Manifest, manifest_path, read_manifest
from eternal_engine.market_data.store import write_series, writing
from eternal_engine.market_data.universe import FILE_NAME, HEADER
from eternal_engine.model.errors import DataError, RefusedError

NOTE = "SYNTHETIC DATA: nobody ever paid these prices"


def store_history(history: MarketHistory, store: Path) -> tuple[Manifest, ...]:
    """Write a synthetic history into `store`, replacing an older synthetic one; return the manifests.

    A store made from the market's epoch on loads, whole or from a later start, with the fingerprint of
    `synthesize` over the same window; a store cut at a later start knows no earlier listing. Raises RefusedError,
    before anything is written, if the folder holds files that are not synthetic.
    """
    _refuse_real_files(store)
    with writing(store):
        write_whole(store / FILE_NAME, _universe(history), kind=DataError)
        return tuple(
            write_series(store, series, source=history.source, synthetic=True, note=NOTE)
            for series in series_of(history)
        )


def series_of(history: MarketHistory) -> tuple[Series, ...]:
    """Take a history apart into the files of a store: per symbol spot, perp and funding, then sentiment."""
    out: list[Series] = []
    for row, (symbol, paid) in enumerate(zip(history.symbols, history.funding, strict=True)):
        out.append(_candles(SPOT, symbol, history, history.spot, row))
        out.append(_candles(PERP, symbol, history, history.perp, row))
        values = {"rate": paid.rate, "interval_hours": paid.interval_h}
        out.append(Series(FUNDING, symbol, paid.stamp_ms, values))
    out.append(
        Series(SENTIMENT, SENTIMENT_NAME, history.sentiment.day_ms, {"value": history.sentiment.value})
        if history.sentiment.day_ms.size
        else empty_series(SENTIMENT, SENTIMENT_NAME)
    )
    return tuple(out)


def _candles(dataset: Dataset, symbol: str, history: MarketHistory, bars: Ohlcv, row: int) -> Series:
    there = np.flatnonzero(np.isfinite(bars.close[row])).astype(np.int64)
    values = {name: np.ascontiguousarray(getattr(bars, name)[row, there]) for name in CANDLE_COLUMNS}
    return Series(dataset, symbol, history.start_ms + there * HOUR_MS, values)


def _universe(history: MarketHistory) -> str:
    days = (datetime.fromtimestamp(int(stamp) / 1000, UTC).date().isoformat() for stamp in history.listed_ms)
    lines = (f"{symbol},{day}," for symbol, day in zip(history.symbols, days, strict=True))
    return "\n".join((",".join(HEADER), *lines)) + "\n"


def _refuse_real_files(store: Path) -> None:
    folder = DataFolder(store, is_store=True)
    for dataset in DATASETS:
        for symbol in folder.symbols(dataset):
            path = manifest_path(store, dataset, symbol)
            if not path.is_file() or not read_manifest(path).synthetic:
                raise RefusedError(
                    f"the folder holds {dataset.folder} {symbol}, which is not synthetic",
                    where=str(store),
                    mend="name another folder with --to: real and synthetic data never share a store",
                )
