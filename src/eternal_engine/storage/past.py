"""The whole journal from its first row: archived segments, then what is in the database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import select

from eternal_engine.model.errors import StorageError
from eternal_engine.model.event import BookEntry, Corrected, Deposited, Filled, FundingSettled, Transferred
from eternal_engine.storage.archive import read_segment
from eternal_engine.storage.chain import JournalRow
from eternal_engine.storage.codec import decode_event
from eternal_engine.storage.database import reading_engine, translated
from eternal_engine.storage.schema import CHECKPOINTS
from eternal_engine.storage.verify import chain_start, rows_after

_BOOK_KINDS = frozenset(kind.__name__ for kind in (Filled, FundingSettled, Transferred, Deposited, Corrected))


def all_rows(database: Path, segments: Path) -> Iterator[JournalRow]:
    """Give every row ever written, oldest first. Raises StorageError naming a segment that is not there."""
    engine = reading_engine(database)
    try:
        with translated(str(database)), engine.connect() as connection:
            names = connection.scalars(select(CHECKPOINTS.c.segment).order_by(CHECKPOINTS.c.seq)).all()
            for name in names:
                segment = segments / name
                if not segment.is_file():
                    raise StorageError(
                        "an archived part of the journal is not here",
                        where=str(segment),
                        mend="name the directory of the archived segments with --segments",
                    )
                yield from read_segment(segment)
            yield from rows_after(connection, chain_start(connection).seq)
    finally:
        engine.dispose()


def book_entries(database: Path, segments: Path) -> list[BookEntry]:
    """Give every event that moved a book, in the order of booking."""
    found: list[BookEntry] = []
    for row in all_rows(database, segments):
        if row.kind in _BOOK_KINDS:
            event = decode_event(row.kind, row.body)
            if isinstance(event, BookEntry):
                found.append(event)
    return found
