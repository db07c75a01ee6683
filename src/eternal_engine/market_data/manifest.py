"""The manifest beside each file of an own store: what is in the file, where it came from, and its sha256."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from eternal_engine.market_data.datasets import Dataset, iso
from eternal_engine.model.errors import DataError

SCHEMA_VERSION = 1
SUFFIX = ".manifest.json"
NEXT_SUFFIX = ".manifest.next"
AGAIN = "download or import this dataset again"


@dataclass(frozen=True)
class ManifestGap:
    """Name a run of missing periods, [start, end) as UTC text."""

    start: str
    end: str


@dataclass(frozen=True)
class Manifest:
    """Describe one stored file. `first` and `last` are stamps as UTC text, None when the file has no rows.

    `exchange` names the venue a download can be continued from (empty: imported or made here), `requested_from` the
    first instant that was asked for there. `complete` is always true: a file gets its manifest only after it is
    whole and on the disk.
    """

    dataset: str
    symbol: str
    source: str
    synthetic: bool
    first: str | None
    last: str | None
    rows: int
    gaps: tuple[ManifestGap, ...]
    duplicates_dropped: int
    sha256: str
    written: str
    exchange: str = ""
    requested_from: str | None = None
    note: str = ""
    schema_version: int = SCHEMA_VERSION
    complete: bool = True

    def to_json(self) -> str:
        """Print as JSON with one trailing newline, keys in the order of the class."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"


def manifest_path(directory: Path, dataset: Dataset, symbol: str) -> Path:
    """Give the place of a file's manifest."""
    return directory / dataset.folder / f"{symbol}{SUFFIX}"


def next_manifest_path(directory: Path, dataset: Dataset, symbol: str) -> Path:
    """Give the place of the manifest that is written before its file is swapped in (see `store`)."""
    return directory / dataset.folder / f".{symbol}{NEXT_SUFFIX}"


def sha256_of(content: bytes) -> str:
    """Hash a file's bytes, as lower-case hex."""
    return hashlib.sha256(content).hexdigest()


def read_manifest(path: Path) -> Manifest:
    """Read a manifest; raises DataError if it is not one of ours or not complete."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"the manifest cannot be read: {error}", where=str(path), mend=AGAIN) from error
    version = raw.get("schema_version") if isinstance(raw, dict) else None
    if version != SCHEMA_VERSION:
        raise DataError(
            f"the manifest has schema version {version!r}, this program knows {SCHEMA_VERSION}",
            where=str(path),
            mend="use the program version that wrote it, or " + AGAIN,
        )
    try:
        manifest = Manifest(**{**raw, "gaps": tuple(ManifestGap(**gap) for gap in raw["gaps"])})
    except (TypeError, KeyError) as error:
        raise DataError(f"the manifest lacks or has unknown keys: {error}", where=str(path), mend=AGAIN) from error
    if manifest.complete is not True:
        raise DataError("the manifest says that the file is not complete", where=str(path), mend=AGAIN)
    return manifest


def gap_texts(gaps: tuple[tuple[int, int], ...]) -> tuple[ManifestGap, ...]:
    """Turn [start_ms, end_ms) pairs into the manifest's form."""
    return tuple(ManifestGap(iso(start), iso(end)) for start, end in gaps)
