"""Say what a folder of market data holds (list) and whether it can be trusted (verify)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from eternal_engine.market_data.align import gap_runs, missing_rows
from eternal_engine.market_data.datasets import DATASETS, Dataset, Series, iso
from eternal_engine.market_data.folder import DataFolder, open_folder
from eternal_engine.market_data.manifest import Manifest, gap_texts
from eternal_engine.market_data.store import PARTIAL_FOLDER
from eternal_engine.market_data.universe import read_universe
from eternal_engine.model.errors import DataError

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Entry:
    """Describe one file; `problem` and `mend` are empty when it is good, and then the rest is known."""

    dataset: str
    symbol: str
    source: str = ""
    synthetic: bool = False
    first: str | None = None
    last: str | None = None
    rows: int = 0
    gaps: int = 0
    missing: int = 0
    duplicates_dropped: int = 0
    problem: str = ""
    where: str = ""
    mend: str = ""


@dataclass(frozen=True)
class Inventory:
    """Describe a whole folder; `partial` names the downloads that were begun and not ended."""

    path: str
    is_store: bool
    entries: tuple[Entry, ...]
    partial: tuple[str, ...]

    @property
    def bad(self) -> tuple[Entry, ...]:
        """List the entries that cannot be used."""
        return tuple(entry for entry in self.entries if entry.problem)


def take_inventory(path: Path, progress: Progress | None = None) -> Inventory:
    """Read and check every file of a folder, going on after a bad one. Raises DataError only if there is no folder."""
    folder = open_folder(path)
    wanted = [(dataset, symbol) for dataset in DATASETS for symbol in folder.symbols(dataset)]
    entries = []
    for number, (dataset, symbol) in enumerate(wanted, start=1):
        entries.append(_entry(folder, dataset, symbol))
        if progress is not None:
            progress(f"{dataset.folder} {symbol}", number, len(wanted))
    try:
        read_universe(path)
    except DataError as error:
        entries.append(Entry("universe", "", problem=error.message, where=error.where, mend=error.mend))
    return Inventory(str(path), folder.is_store, tuple(entries), _partial(path))


def _entry(folder: DataFolder, dataset: Dataset, symbol: str) -> Entry:
    try:
        series, manifest = folder.read(dataset, symbol)
        if manifest is not None:
            _compare(series, manifest, folder.path / dataset.folder / symbol)
    except DataError as error:
        return Entry(dataset.folder, symbol, problem=error.message, where=error.where, mend=error.mend)
    runs = gap_runs(series)
    return Entry(
        dataset.folder,
        symbol,
        source=manifest.source if manifest else "file without manifest",
        synthetic=manifest.synthetic if manifest else False,
        first=iso(int(series.stamp_ms[0])) if len(series) else None,
        last=iso(int(series.stamp_ms[-1])) if len(series) else None,
        rows=len(series),
        gaps=len(runs),
        missing=missing_rows(series),
        duplicates_dropped=manifest.duplicates_dropped if manifest else series.duplicates_dropped,
    )


def _compare(series: Series, manifest: Manifest, where: Path) -> None:
    """Hold the manifest's facts against the rows: a hand-made manifest is found out."""
    first = iso(int(series.stamp_ms[0])) if len(series) else None
    last = iso(int(series.stamp_ms[-1])) if len(series) else None
    same = (manifest.dataset, manifest.symbol) == (series.dataset.folder, series.symbol)
    if not same or (manifest.first, manifest.last) != (first, last) or manifest.gaps != gap_texts(gap_runs(series)):
        raise DataError(
            "the manifest does not describe the rows (name, first, last or gaps differ)",
            where=str(where),
            mend="download or import this dataset again",
        )


def _partial(path: Path) -> tuple[str, ...]:
    area = path / PARTIAL_FOLDER
    if not area.is_dir():
        return ()
    return tuple(sorted(str(file.relative_to(area)) for file in area.rglob("*.jsonl")))
