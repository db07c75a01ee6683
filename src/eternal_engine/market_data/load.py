"""Load a folder of market data into one aligned history: what a backtest or the simulator starts from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from eternal_engine.market_data.align import gap_runs, gaps_between, missing_rows, on_grid, stand_in
from eternal_engine.market_data.datasets import (
    FUNDING,
    PERP,
    SENTIMENT,
    SENTIMENT_NAME,
    SPOT,
    Series,
    empty_series,
    iso,
)
from eternal_engine.market_data.files import release_memory
from eternal_engine.market_data.fingerprint import fingerprint_of
from eternal_engine.market_data.folder import DataFolder, expected, open_folder
from eternal_engine.market_data.history import (
    DAY_MS,
    HOUR_MS,
    BoolArray,
    FundingRates,
    Gap,
    Int64Array,
    MarketHistory,
    Sentiment,
)
from eternal_engine.market_data.manifest import Manifest
from eternal_engine.market_data.universe import FILE_NAME, read_universe
from eternal_engine.model.errors import DataError

DELISTED_AFTER_MS = 7 * DAY_MS


def load_history(
    directory: Path, symbols: tuple[str, ...], *, start_ms: int | None = None, end_ms: int | None = None
) -> MarketHistory:
    """Load the bars of `symbols` that open in [start_ms, end_ms), all stored ones by default (U-10).

    `directory` has spot_1h/, perp_1h/, funding/, sentiment/ with plain files, or is an own store, which is then
    verified against its manifests. The grid starts at 00:00 UTC of the first bar's day. Perp bars before the first
    funding settlement are dropped; missing ones after it are copies of spot, flagged and noted.
    Raises DataError (exit 3) for anything missing or bad.
    """
    folder = open_folder(directory)
    if not symbols:
        raise DataError("no symbols were asked for", where=str(directory), mend="name at least one, such as BTCUSDT")
    stored = _read(folder, symbols)
    grid_start_ms, hours = _grid(stored, directory, start_ms, end_ms)
    return _assemble(stored, grid_start_ms, hours, from_ms=max(grid_start_ms, start_ms or 0))


@dataclass
class _Stored:
    """Collect what the folder holds for the asked symbols, each list in their order."""

    folder: DataFolder
    symbols: tuple[str, ...]
    spot: list[Series] = field(default_factory=list)
    perp: list[Series] = field(default_factory=list)
    funding: list[Series] = field(default_factory=list)
    sentiment: Series = field(default_factory=lambda: empty_series(SENTIMENT, SENTIMENT_NAME))
    manifests: list[Manifest] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def _read(folder: DataFolder, symbols: tuple[str, ...]) -> _Stored:
    stored = _Stored(folder, symbols)
    lists = {SPOT: stored.spot, PERP: stored.perp, FUNDING: stored.funding}
    for dataset, symbol in expected(folder, symbols):
        series, manifest = folder.read(dataset, symbol)
        if manifest is not None:
            stored.manifests.append(manifest)
        if series.duplicates_dropped:
            stored.notes.append(
                f"{dataset.folder} {symbol}: {series.duplicates_dropped} identical duplicate rows dropped"
            )
        if dataset is SENTIMENT:
            stored.sentiment = series
        else:
            lists[dataset].append(series)
    release_memory()
    for dataset in (PERP, FUNDING):
        if not lists[dataset]:
            lists[dataset].extend(empty_series(dataset, symbol) for symbol in symbols)
            stored.notes.append(_absent_note(dataset.folder))
    stored.notes.extend(
        f"{manifest.dataset} {manifest.symbol} from {manifest.source}: {manifest.note}"
        for manifest in stored.manifests
        if manifest.note and not manifest.synthetic
    )
    if not len(stored.sentiment):
        stored.notes.append("sentiment is absent: rules that need the fear-and-greed index stay off")
    return stored


def _absent_note(folder: str) -> str:
    if folder == FUNDING.folder:
        return "funding is absent: no perpetual is tradable (U-10)"
    return "perp_1h is absent: every perpetual bar is a stand-in copied from spot"


def _grid(stored: _Stored, directory: Path, start_ms: int | None, end_ms: int | None) -> tuple[int, int]:
    """Find the grid's start (00:00 UTC) and its hours: from the first to the last spot bar asked for."""
    cut = [series.rows_between(start_ms, end_ms) for series in stored.spot]
    filled = [series for series in cut if len(series)]
    if not filled:
        first = min(int(series.stamp_ms[0]) for series in stored.spot)
        last = max(int(series.stamp_ms[-1]) for series in stored.spot) + HOUR_MS
        raise DataError(
            "there are no bars in the asked dates",
            where=str(directory),
            mend=f"ask for dates within {iso(first)} to {iso(last)}",
        )
    first = min(int(series.stamp_ms[0]) for series in filled)
    end = max(int(series.stamp_ms[-1]) for series in filled) + HOUR_MS
    start = first // DAY_MS * DAY_MS
    return start, (end - start) // HOUR_MS


def _assemble(stored: _Stored, start_ms: int, hours: int, *, from_ms: int) -> MarketHistory:
    end_ms = start_ms + hours * HOUR_MS
    spot_rows = [series.rows_between(from_ms, end_ms) for series in stored.spot]
    first_funding_ms = _first_stamps(stored.funding)
    perp_rows = [
        series.rows_between(max(from_ms, first), end_ms) if first >= 0 else empty_series(PERP, series.symbol)
        for series, first in zip(stored.perp, first_funding_ms.tolist(), strict=True)
    ]
    spot = on_grid(spot_rows, start_ms, hours)
    perp = on_grid(perp_rows, start_ms, hours)
    begun = [
        bool(((series.stamp_ms >= first) & (series.stamp_ms < max(from_ms, first))).any()) and first >= 0
        for series, first in zip(stored.perp, first_funding_ms.tolist(), strict=True)
    ]
    flags = stand_in(perp, spot, first_funding_ms, start_ms, begun)
    funding_rows = [series.rows_between(from_ms, end_ms) for series in stored.funding]
    funding = tuple(_rates(series) for series in funding_rows)
    days = stored.sentiment.rows_between(None, end_ms)
    sentiment = Sentiment(days.stamp_ms, days.values["value"])
    listed_ms, delisted_ms = _memberships(stored, spot_rows, end_ms)
    gaps = tuple(gap for series in (*spot_rows, *perp_rows) for gap in gaps_between(series))
    stored.notes.extend(_stand_in_notes(stored.symbols, flags))
    stored.notes.extend(_gap_notes(gaps, funding_rows, days))
    source, synthetic = _source(stored)
    return MarketHistory(
        symbols=stored.symbols,
        start_ms=start_ms,
        spot=spot,
        perp=perp,
        perp_stand_in=flags,
        funding=funding,
        first_funding_ms=first_funding_ms,
        listed_ms=listed_ms,
        delisted_ms=delisted_ms,
        sentiment=sentiment,
        source=source,
        synthetic=synthetic,
        fingerprint=fingerprint_of(
            stored.symbols, start_ms, spot, perp, funding, first_funding_ms, listed_ms, delisted_ms, sentiment
        ),
        gaps=gaps,
        notes=tuple(stored.notes),
    )


def _first_stamps(series_list: list[Series]) -> Int64Array:
    return np.array([int(series.stamp_ms[0]) if len(series) else -1 for series in series_list], np.int64)


def _rates(series: Series) -> FundingRates:
    return FundingRates(series.stamp_ms, series.values["rate"], series.values["interval_hours"])


def _memberships(stored: _Stored, spot_rows: list[Series], end_ms: int) -> tuple[Int64Array, Int64Array]:
    """Say from when until when each coin is tradable, by the universe file or by its own bars."""
    universe = read_universe(stored.folder.path)
    listed = _first_stamps(stored.spot)
    delisted = np.full(len(stored.symbols), -1, np.int64)
    if universe is None:
        stored.notes.append(
            "universe: no universe.csv, so all coins are today's survivors, chosen in hindsight; "
            "past results of such a choice are too good"
        )
    for index, symbol in enumerate(stored.symbols):
        if universe is not None:
            if symbol not in universe:
                raise DataError(
                    f"{symbol} is not in the universe file",
                    where=str(stored.folder.path / FILE_NAME),
                    mend=f"add a line for {symbol} or leave it out of the symbols",
                )
            listed[index] = max(listed[index], universe[symbol].listed_ms)
            if universe[symbol].delisted_ms != -1 and universe[symbol].delisted_ms < end_ms:
                delisted[index] = universe[symbol].delisted_ms
        _end_with_last_bar(stored, index, spot_rows[index], delisted, end_ms)
    return listed, delisted


def _end_with_last_bar(stored: _Stored, index: int, rows: Series, delisted: Int64Array, end_ms: int) -> None:
    if not len(rows):
        return
    last_ms = int(rows.stamp_ms[-1]) + HOUR_MS
    if last_ms == end_ms or (delisted[index] != -1 and delisted[index] <= last_ms):
        return
    if end_ms - last_ms > DELISTED_AFTER_MS:
        delisted[index] = last_ms
        stored.notes.append(f"{rows.symbol}: spot bars end at {iso(last_ms)}, treated as delisted from then on")
    else:
        hours = (end_ms - last_ms) // HOUR_MS
        stored.notes.append(f"{rows.symbol}: spot bars end at {iso(last_ms)}, {hours} h before the others")


def _stand_in_notes(symbols: tuple[str, ...], flags: BoolArray) -> list[str]:
    counts = [(symbol, int(count)) for symbol, count in zip(symbols, flags.sum(axis=1), strict=True) if count]
    if not counts:
        return []
    names = ", ".join(f"{symbol} {count} h" for symbol, count in counts)
    return [f"perp stand-ins copied from spot (basis zero by construction): {names}"]


def _gap_notes(gaps: tuple[Gap, ...], funding: list[Series], days: Series) -> list[str]:
    notes = []
    if gaps:
        missing = sum(gap.bars for gap in gaps)
        notes.append(f"gaps: {len(gaps)} runs, {missing} missing hours; nothing is decided on a missing bar")
    for series in funding:
        runs = gap_runs(series)
        if runs:
            lacking = missing_rows(series)
            notes.append(f"funding {series.symbol}: {lacking} settlements missing, the first from {iso(runs[0][0])} on")
    if missing_rows(days):
        notes.append(f"sentiment: {missing_rows(days)} days missing")
    return notes


def _source(stored: _Stored) -> tuple[str, bool]:
    if not stored.manifests:
        return f"files in {stored.folder.path}", False
    sources = sorted({manifest.source for manifest in stored.manifests})
    kinds = {manifest.synthetic for manifest in stored.manifests}
    if len(kinds) > 1:
        raise DataError(
            f"the store mixes synthetic and real files ({', '.join(sources)})",
            where=str(stored.folder.path),
            mend="keep synthetic and real data in stores of their own",
        )
    return ", ".join(sources), kinds.pop()
