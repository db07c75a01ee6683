"""Old journal rows move to a file of their own, behind a checkpoint that starts the next chain."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from sqlalchemy import Connection, Text, delete, insert, not_, select, type_coerce

from eternal_engine.files import sync_directory
from eternal_engine.model.errors import JournalBroken, StorageError
from eternal_engine.storage.chain import GENESIS, Head, JournalRow, checkpoint_hash, follow
from eternal_engine.storage.codec import canonical
from eternal_engine.storage.database import blocking_engine, reading_engine, translated
from eternal_engine.storage.schema import CHECKPOINTS, EQUITY_MARKS, JOURNAL
from eternal_engine.storage.table_state import pack, stored_state
from eternal_engine.storage.verify import chain_start, rows_after, verify_chain

# So long every hour's equity is kept; before that the first of each day, or the table would outgrow memory in years.
HOURLY_MARKS: Final = timedelta(days=400)
_MIDNIGHT: Final = "%T00:%"


class Archived(NamedTuple):
    """Say what was archived, and the head on which the next row builds."""

    segment: Path
    rows: int
    head: Head


def archive_database(database: Path, directory: Path, at: datetime) -> Archived | None:
    """Move all rows into a segment file behind a checkpoint; None when there are none.

    Blocking, and nobody else may write meanwhile: `Store.archive` sees to both, and verifies the tables first, because
    behind a checkpoint they could not be mended any more. The file is complete and on the disk before a row is
    deleted; after a crash in between the next call writes the same file again. Raises JournalBroken or StorageError.
    """
    engine = blocking_engine(database)
    try:
        with translated(str(database)), engine.begin() as connection:
            return _archive(connection, directory, at)
    finally:
        engine.dispose()


def _archive(connection: Connection, directory: Path, at: datetime) -> Archived | None:
    verified = verify_chain(connection)
    if not verified.rows:
        return None
    start, last = chain_start(connection), verified.head
    wanted = directory / f"journal-{start.seq + 1:012d}-{last.seq:012d}.jsonl.gz"
    segment, digest = _write_segment(wanted, rows_after(connection, start.seq))
    _thin_marks(connection, at - HOURLY_MARKS)
    document = pack(stored_state(connection))
    hashed = checkpoint_hash(start.hash, last.seq, last.hash, document)
    connection.execute(
        insert(CHECKPOINTS),
        {
            "seq": last.seq,
            "at": at,
            "first_seq": start.seq + 1,
            "anchor": start.hash,
            "last_hash": last.hash,
            "document": document,
            "hash": hashed,
            "segment": segment.name,
            "segment_sha256": digest,
        },
    )
    connection.execute(delete(JOURNAL).where(JOURNAL.c.seq <= last.seq))
    return Archived(segment, verified.rows, Head(last.seq, hashed))


def verify_archives(database: Path, directory: Path) -> int:
    """Verify every segment that the database's checkpoints name; give the number of rows. Raises JournalBroken."""
    engine = reading_engine(database)
    try:
        with translated(str(database)), engine.connect() as connection:
            rows = connection.execute(select(CHECKPOINTS).order_by(CHECKPOINTS.c.seq)).fetchall()
    finally:
        engine.dispose()
    start, total = Head(0, GENESIS), 0
    for row in rows:
        segment = directory / row.segment
        end = follow(start, read_segment(segment))
        if end != Head(row.seq, row.last_hash) or _sha256(segment) != row.segment_sha256:
            raise JournalBroken(
                f"the segment ends at row {end.seq}, its checkpoint is at row {row.seq}, or it was edited",
                seq=end.seq + 1,
                where=str(segment),
                mend="bring the segment back from a backup",
            )
        total += end.seq - start.seq
        start = Head(row.seq, row.hash)
    return total


def is_archived(database: Path, directory: Path, head: str) -> bool:
    """Tell whether a row with this hash is in one of the database's segments; those that are not here hold none."""
    engine = reading_engine(database)
    try:
        with translated(str(database)), engine.connect() as connection:
            names = connection.scalars(select(CHECKPOINTS.c.segment).order_by(CHECKPOINTS.c.seq.desc())).all()
    finally:
        engine.dispose()
    segments = [directory / name for name in names if (directory / name).is_file()]
    return any(row.hash == head for segment in segments for row in read_segment(segment))


def read_segment(segment: Path) -> Iterator[JournalRow]:
    """Read the rows of a segment. Raises StorageError."""
    try:
        with gzip.open(segment, "rt", encoding="ascii") as lines:
            for line in lines:
                row = json.loads(line)
                yield JournalRow(row["seq"], row["at"], row["kind"], row["body"], row["hash"])
    except (OSError, EOFError, ValueError, KeyError, TypeError) as problem:
        raise StorageError(
            f"the segment cannot be read: {problem}", where=str(segment), mend="bring it back from a backup"
        ) from problem


def _thin_marks(connection: Connection, before: datetime) -> None:
    """Keep one equity a day of old times; the journal's segments have the others."""
    old = EQUITY_MARKS.c.at < before
    connection.execute(delete(EQUITY_MARKS).where(old, not_(type_coerce(EQUITY_MARKS.c.at, Text).like(_MIDNIGHT))))


def _write_segment(segment: Path, rows: Iterable[JournalRow]) -> tuple[Path, str]:
    """Write rows to a new file, durably, and give it and its sha256; equal rows give equal bytes.

    A file of that name with other rows is another life's, from before a backup was restored: its database, which was
    moved aside, still names it. This one gets a name of its own then.
    """
    partial = segment.with_name(segment.name + ".partial")
    try:
        segment.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed:
            for row in rows:
                packed.write(canonical(row._asdict()).encode("ascii") + b"\n")
            packed.close()
            raw.flush()
            os.fsync(raw.fileno())
        partial.chmod(0o600)
        digest = _sha256(partial)
        if segment.exists() and _sha256(segment) != digest:
            segment = segment.with_name(segment.name.replace(".jsonl.gz", f"-{digest[:8]}.jsonl.gz"))
        partial.replace(segment)
        sync_directory(segment.parent)
    except OSError as problem:
        raise StorageError(
            f"the segment cannot be written: {problem}", where=str(segment), mend="free some disk space"
        ) from problem
    return segment, digest


def _sha256(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
