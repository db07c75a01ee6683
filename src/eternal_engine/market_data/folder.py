"""A folder of market data, ours (with manifests) or anybody's (plain files): the same questions, the same answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from eternal_engine.market_data.datasets import BY_SYMBOL, DATASETS, SENTIMENT, SENTIMENT_NAME, SPOT, Dataset, Series
from eternal_engine.market_data.files import find_file, parse_series, read_bytes, read_series
from eternal_engine.market_data.manifest import (
    AGAIN,
    SUFFIX,
    Manifest,
    manifest_path,
    next_manifest_path,
    read_manifest,
    sha256_of,
)
from eternal_engine.model.errors import DataError

MARKER = "store.json"


@dataclass(frozen=True)
class DataFolder:
    """Answer what a folder holds. `is_store`: each file must have a manifest and match its sha256."""

    path: Path
    is_store: bool

    def symbols(self, dataset: Dataset) -> tuple[str, ...]:
        """List the symbols that have a file of this dataset, in order of the alphabet."""
        folder = self.path / dataset.folder
        if not folder.is_dir():
            return ()
        names = {file.stem for file in folder.iterdir() if file.suffix in (".parquet", ".csv")}
        if self.is_store:
            names |= {file.name.removesuffix(SUFFIX) for file in folder.iterdir() if file.name.endswith(SUFFIX)}
        return tuple(sorted(name for name in names if not name.startswith(".")))

    def has(self, dataset: Dataset) -> bool:
        """Say whether the folder has this dataset at all."""
        return bool(self.symbols(dataset))

    def read(self, dataset: Dataset, symbol: str) -> tuple[Series, Manifest | None]:
        """Read and check one file, and its manifest if this is a store. Raises DataError if it is missing or bad."""
        path = find_file(self.path, dataset, symbol)
        if path is None:
            raise self.missing(dataset, symbol)
        if not self.is_store:
            return read_series(path, dataset, symbol), None
        content = read_bytes(path)
        try:
            manifest = self._manifest_of(path, content, dataset, symbol)
        except DataError:
            # A writer may have swapped file and manifest in between: what is there now decides.
            content = read_bytes(path)
            manifest = self._manifest_of(path, content, dataset, symbol)
        series = parse_series(content, path, dataset, symbol, may_be_empty=manifest.rows == 0)
        if len(series) != manifest.rows:
            raise DataError(
                f"the file has {len(series)} rows, its manifest says {manifest.rows}", where=str(path), mend=AGAIN
            )
        return series, manifest

    def _manifest_of(self, path: Path, content: bytes, dataset: Dataset, symbol: str) -> Manifest:
        """Find the manifest that matches the bytes: the present one, or the next one if a swap was cut short."""
        sha256 = sha256_of(content)
        present = manifest_path(self.path, dataset, symbol)
        following = next_manifest_path(self.path, dataset, symbol)
        found = [read_manifest(candidate) for candidate in (present, following) if candidate.is_file()]
        for manifest in found:
            if manifest.sha256 == sha256:
                return manifest
        if not found:
            raise DataError("the file has no manifest, so it may be incomplete", where=str(path), mend=AGAIN)
        raise DataError(
            f"the file is not what its manifest says: sha256 {sha256[:12]}..., expected {found[0].sha256[:12]}...",
            where=str(path),
            mend=AGAIN,
        )

    def missing(self, dataset: Dataset, symbol: str) -> DataError:
        """Say which file is missing, what there is, and the mend."""
        path = self.path / dataset.folder / f"{symbol}.parquet"
        have = ", ".join(self.symbols(dataset)) or "nothing"
        return DataError(
            f"the file is missing ({dataset.folder} has: {have})",
            where=str(path),
            mend=f"add it (download or import {symbol}), or leave {symbol} out of the symbols",
        )


def open_folder(path: Path) -> DataFolder:
    """Recognise a folder: an own store by its marker or a manifest, else plain files. Raises DataError if neither."""
    mend = "name a folder with spot_1h/, perp_1h/, funding/ (parquet or CSV), or fill a store with `eternal data`"
    if not path.is_dir():
        raise DataError("there is no such data folder", where=str(path), mend=mend)
    is_store = (path / MARKER).is_file() or any(
        next((path / dataset.folder).glob(f"*{SUFFIX}"), None) is not None for dataset in DATASETS
    )
    folder = DataFolder(path, is_store)
    if not is_store and not any(folder.has(dataset) for dataset in DATASETS):
        raise DataError("the folder holds no market data", where=str(path), mend=mend)
    return folder


def expected(folder: DataFolder, symbols: tuple[str, ...]) -> list[tuple[Dataset, str]]:
    """List the files that a run over `symbols` reads: spot always, other datasets only if the folder has them."""
    wanted = [(kind, symbol) for kind in BY_SYMBOL if kind is SPOT or folder.has(kind) for symbol in symbols]
    if SENTIMENT_NAME in folder.symbols(SENTIMENT):
        wanted.append((SENTIMENT, SENTIMENT_NAME))
    return wanted


def require(directory: Path, symbols: tuple[str, ...]) -> None:
    """Refuse a folder that lacks a file which a run over `symbols` reads. Raises DataError."""
    folder = open_folder(directory)
    for dataset, symbol in expected(folder, symbols):
        if symbol not in folder.symbols(dataset):
            raise folder.missing(dataset, symbol)
