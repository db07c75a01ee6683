"""Import a folder of parquet or CSV files into a store: all files are checked before the first is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from eternal_engine.files import write_whole
from eternal_engine.market_data.datasets import DATASETS, FUNDING, PERP, SENTIMENT, SPOT, Dataset, Series, iso
from eternal_engine.market_data.folder import DataFolder, open_folder
from eternal_engine.market_data.manifest import Manifest, manifest_path, read_manifest
from eternal_engine.market_data.store import write_series, writing
from eternal_engine.market_data.universe import FILE_NAME, read_universe
from eternal_engine.model.errors import DataError, RefusedError, UsageError

Progress = Callable[[str, int, int], None]  # label, files done, files in all


@dataclass(frozen=True)
class _Checked:
    series: Series
    origin: Manifest | None


def import_folder(
    source: Path, store: Path, *, source_name: str = "", replace: bool = False, progress: Progress | None = None
) -> tuple[Manifest, ...]:
    """Copy every series of `source` into `store` and return the manifests written.

    `source_name` goes into the manifests (default: the folder's name). Raises DataError for a bad file, before
    anything is written, and RefusedError if the store holds rows that the import lacks and `replace` is not set.
    """
    if store.exists() and source.resolve() == store.resolve():
        raise UsageError("the folder to import is the store itself", where=str(source), mend="name another --to")
    folder = open_folder(source)
    wanted = [(dataset, symbol) for dataset in DATASETS for symbol in folder.symbols(dataset)]
    if not any(dataset in (SPOT, PERP, FUNDING, SENTIMENT) for dataset, _ in wanted):
        raise DataError("there is nothing to import", where=str(source), mend="see `eternal data import --help`")
    steps = 2 * len(wanted)
    checked = _check_all(folder, wanted, steps, progress)
    read_universe(source)
    with writing(store):
        if not replace:
            _refuse_losses(store, checked)
        return _write_all(checked, source, store, source_name or f"imported: {source.name}", steps, progress)


def _check_all(
    folder: DataFolder, wanted: list[tuple[Dataset, str]], steps: int, progress: Progress | None
) -> list[_Checked]:
    checked = []
    for number, (dataset, symbol) in enumerate(wanted, start=1):
        series, origin = folder.read(dataset, symbol)
        checked.append(_Checked(series, origin))
        if progress is not None:
            progress(f"checked {dataset.folder} {symbol}", number, steps)
    return checked


def _write_all(
    checked: list[_Checked], source: Path, store: Path, source_name: str, steps: int, progress: Progress | None
) -> tuple[Manifest, ...]:
    manifests = []
    for number, item in enumerate(checked, start=len(checked) + 1):
        origin = item.origin
        manifest = write_series(
            store,
            item.series,
            source=origin.source if origin else source_name,
            synthetic=origin.synthetic if origin else False,
            exchange=origin.exchange if origin else "",
            requested_from=origin.requested_from if origin else None,
            note=origin.note if origin else "",
        )
        manifests.append(manifest)
        if progress is not None:
            progress(f"wrote {manifest.dataset} {manifest.symbol}", number, steps)
    universe = source / FILE_NAME
    if universe.is_file():
        write_whole(store / FILE_NAME, universe.read_bytes(), kind=DataError)
    return tuple(manifests)


def _refuse_losses(store: Path, checked: list[_Checked]) -> None:
    """Refuse to replace a stored series by one that begins later or ends earlier."""
    for item in checked:
        series = item.series
        path = manifest_path(store, series.dataset, series.symbol)
        if not path.is_file():
            continue
        stored = read_manifest(path)
        if stored.first is None or stored.last is None:
            continue
        first, last = (iso(int(series.stamp_ms[0])), iso(int(series.stamp_ms[-1]))) if len(series) else ("~", "")
        if first > stored.first or last < stored.last:
            raise RefusedError(
                f"{stored.dataset} {stored.symbol}: the store has {stored.first} to {stored.last}, "
                f"the import only {first} to {last}",
                where=str(path),
                mend="add --replace if the stored rows may go, or import into another store with --to",
            )
