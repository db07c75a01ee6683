"""Download everything a run needs into a store: series by series, page by page, going on after an interruption."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from eternal_engine import clock
from eternal_engine.market_data.checks import Rows, checked
from eternal_engine.market_data.datasets import (
    BY_SYMBOL,
    CANDLE_COLUMNS,
    FUNDING,
    SPOT,
    Dataset,
    Series,
    empty_series,
    iso,
)
from eternal_engine.market_data.download.intervals import intervals_of
from eternal_engine.market_data.download.pages import Head, Pages, Row
from eternal_engine.market_data.download.sentiment import SOURCE, fetch_sentiment
from eternal_engine.market_data.download.venue import (
    CANDLES_PER_PAGE,
    RATES_PER_PAGE,
    NoMarket,
    Patience,
    Unreachable,
    Venue,
)
from eternal_engine.market_data.folder import DataFolder
from eternal_engine.market_data.history import HOUR_MS
from eternal_engine.market_data.manifest import Manifest, manifest_path
from eternal_engine.market_data.store import write_series, writing
from eternal_engine.model.errors import DataError, RefusedError

Progress = Callable[[str, int, int], None]  # label, pages done, pages in all

CANDLE_PAGE_MS = CANDLES_PER_PAGE * HOUR_MS
RATE_PAGE_MS = (RATES_PER_PAGE - 1) * 8 * HOUR_MS


@dataclass(frozen=True)
class Request:
    """Say what to download: symbols, [start_ms, end_ms) (None: the venue's beginning, now), venues and addresses.

    `fallback` may be empty. `replace` drops what the store has instead of continuing it.
    """

    symbols: tuple[str, ...]
    start_ms: int | None = None
    end_ms: int | None = None
    exchange: str = "bybit"
    fallback: str = "binance"
    replace: bool = False
    api_url: str = ""
    fallback_url: str = ""
    sentiment_url: str = ""
    patience: Patience = field(default_factory=Patience)


@dataclass(frozen=True)
class Outcome:
    """Hold the manifests written and a sentence for each series that could not be had."""

    manifests: tuple[Manifest, ...]
    failures: tuple[str, ...]


def download(request: Request, store: Path, progress: Progress | None = None) -> Outcome:
    """Fetch spot, perp and funding of each symbol and the sentiment into `store`; finished series stay when one fails.

    Raises Unreachable when no venue answers (what was fetched is kept for the next try) and RefusedError when the
    store has rows of another source.
    """
    with writing(store):
        job = _Job(request, store, progress)
        for dataset in BY_SYMBOL:
            for symbol in request.symbols:
                job.fetch(dataset, symbol)
        job.fetch_sentiment()
        return Outcome(tuple(job.manifests), tuple(job.failures))


class _Job:
    """Carry one download: its venues, what is done, what failed."""

    def __init__(self, request: Request, store: Path, progress: Progress | None) -> None:
        self._request = request
        self._store = store
        self._progress = progress
        self._venues: dict[str, Venue] = {}
        self._unreachable: dict[str, str] = {}
        self.manifests: list[Manifest] = []
        self.failures: list[str] = []

    def fetch(self, dataset: Dataset, symbol: str) -> None:
        """Fetch one series from the first venue that has it."""
        stored = self._stored(dataset, symbol)
        names = [stored[1].exchange] if stored else [self._request.exchange, self._request.fallback]
        reasons: list[str] = []
        for name in dict.fromkeys(name for name in names if name):
            if name in self._unreachable:
                reasons.append(self._unreachable[name])
                continue
            try:
                self._fetch_from(self._venue(name), dataset, symbol, stored, reasons)
            except NoMarket as error:
                reasons.append(error.message)
            except Unreachable as error:
                self._unreachable[name] = error.message
                reasons.append(error.message)
            else:
                return
        if all(name in self._unreachable for name in names if name):
            raise Unreachable(
                f"{dataset.folder} {symbol}: {'; '.join(reasons)}",
                where=str(self._store),
                mend="run the same command again later: what was fetched is kept and continued",
            )
        self._without_market(dataset, symbol, reasons)

    def fetch_sentiment(self) -> None:
        """Fetch the daily index; its absence is a failure to report, not a reason to lose the rest."""
        try:
            series = fetch_sentiment(api_url=self._request.sentiment_url, patience=self._request.patience)
        except DataError as error:
            self.failures.append(f"sentiment: {error.message}")
            return
        self.manifests.append(write_series(self._store, series, source=SOURCE))

    def _fetch_from(
        self, venue: Venue, dataset: Dataset, symbol: str, stored: tuple[Series, Manifest] | None, reasons: list[str]
    ) -> None:
        market = venue.market(dataset, symbol)
        now_ms = clock.now_ms()
        # Only whole hours that have ended: the open candle is never asked for.
        end_ms = min(self._request.end_ms or now_ms, now_ms) // HOUR_MS * HOUR_MS
        start_ms = venue.first_ms if self._request.start_ms is None else self._request.start_ms
        from_ms = start_ms
        if stored is not None:
            requested_ms = _ms_of(stored[1])
            from_ms = start_ms if start_ms < requested_ms else int(stored[0].stamp_ms[-1]) + HOUR_MS
            start_ms = min(start_ms, requested_ms)
        pages = Pages(self._store, dataset, Head(venue.name, dataset.folder, symbol, from_ms))
        self._fetch_pages(venue, market, dataset, pages, end_ms)
        try:
            series = _joined(dataset, symbol, pages, stored[0] if stored else None)
        except DataError:
            # The rows are no good: keeping them would repeat the failure for ever.
            pages.remove()
            raise
        if not len(series) and dataset is SPOT:
            pages.remove()
            raise NoMarket(f"{venue.name} has no bars of {symbol} in the asked dates")
        manifest = write_series(
            self._store,
            series,
            source=venue.name,
            exchange=venue.name,
            requested_from=iso(start_ms),
            note=f"declared fallback: {'; '.join(reasons)}" if reasons else (stored[1].note if stored else ""),
        )
        pages.remove()
        self.manifests.append(manifest)

    def _fetch_pages(self, venue: Venue, market: str, dataset: Dataset, pages: Pages, end_ms: int) -> None:
        span_ms = RATE_PAGE_MS if dataset is FUNDING else CANDLE_PAGE_MS
        ask = venue.rates if dataset is FUNDING else venue.candles
        begun_ms = pages.cursor_ms
        total = -(-max(end_ms - begun_ms, 0) // span_ms)
        while pages.cursor_ms < end_ms:
            until_ms = min(pages.cursor_ms + span_ms, end_ms)
            pages.add(until_ms, ask(market, pages.cursor_ms, until_ms))
            if self._progress is not None:
                done = -(-(until_ms - begun_ms) // span_ms)
                self._progress(f"{venue.name} {dataset.folder} {market}", done, total)

    def _without_market(self, dataset: Dataset, symbol: str, reasons: list[str]) -> None:
        """Note a coin without a perpetual as an empty file; without a spot market it cannot be used."""
        reason = "; ".join(reasons)
        if dataset is SPOT:
            self.failures.append(f"{dataset.folder} {symbol}: {reason}")
            return
        manifest = write_series(self._store, empty_series(dataset, symbol), source=self._request.exchange, note=reason)
        self.manifests.append(manifest)

    def _stored(self, dataset: Dataset, symbol: str) -> tuple[Series, Manifest] | None:
        """Read what the store has of a series, if it can be continued."""
        path = manifest_path(self._store, dataset, symbol)
        if self._request.replace or not path.is_file():
            return None
        series, manifest = DataFolder(self._store, is_store=True).read(dataset, symbol)
        if manifest is None or not len(series):
            return None
        if not manifest.exchange:
            raise RefusedError(
                f"{dataset.folder} {symbol} in the store is '{manifest.source}': a download would mix two sources",
                where=str(path),
                mend="download into another folder with --to, or add --replace",
            )
        return series, manifest

    def _venue(self, name: str) -> Venue:
        if name not in self._venues:
            url = self._request.api_url if name == self._request.exchange else self._request.fallback_url
            self._venues[name] = Venue(name, api_url=url, patience=self._request.patience)
        return self._venues[name]


def _ms_of(manifest: Manifest) -> int:
    """Read back the instant from which a stored series was asked for."""
    text = manifest.requested_from or manifest.first or ""
    return int(np.datetime64(text.removesuffix("Z"), "ms").astype(np.int64))


def _joined(dataset: Dataset, symbol: str, pages: Pages, stored: Series | None) -> Series:
    """Join the fetched rows with the stored ones and check them all; identical duplicates are dropped and counted."""
    columns = ("rate",) if dataset is FUNDING else CANDLE_COLUMNS
    if stored is not None:
        stored = _outside(stored, pages.from_ms, pages.cursor_ms)
    table = _table(pages.rows, len(columns))
    stamps = table[:, 0].astype(np.int64)
    values = {name: table[:, index] for index, name in enumerate(columns, start=1)}
    if stored is not None:
        stamps = np.concatenate((stored.stamp_ms, stamps))
        values = {name: np.concatenate((stored.values[name], column)) for name, column in values.items()}
    if stamps.shape[0] == 0:
        return empty_series(dataset, symbol)
    if dataset is FUNDING:
        stamps = stamps - stamps % dataset.step_ms * (stamps % dataset.step_ms <= dataset.slack_ms)
    order = np.argsort(stamps, kind="stable")
    stamps, values = stamps[order], {name: np.ascontiguousarray(column[order]) for name, column in values.items()}
    if dataset is FUNDING:
        values["interval_hours"] = _intervals(stamps)
    return checked(Rows(dataset, symbol, stamps, values, str(pages.path)))


def _outside(series: Series, from_ms: int, until_ms: int) -> Series:
    """Keep the rows outside [from_ms, until_ms), which were fetched anew."""
    kept = (series.stamp_ms < from_ms) | (series.stamp_ms >= max(from_ms, until_ms))
    values = {name: column[kept] for name, column in series.values.items()}
    return Series(series.dataset, series.symbol, series.stamp_ms[kept], values)


def _intervals(stamps: np.ndarray[tuple[int], np.dtype[np.int64]]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Give each settlement its interval, duplicates the same one."""
    distinct, places = np.unique(stamps, return_inverse=True)
    result: np.ndarray[tuple[int], np.dtype[np.float64]] = intervals_of(distinct)[places]
    return result


def _table(rows: list[Row], columns: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return np.array(rows, np.float64).reshape(len(rows), columns + 1)
