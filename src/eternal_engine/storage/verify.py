"""Look a database over without changing it: the chain, its known head, and the tables made from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection, Text, func, select, type_coerce

from eternal_engine.model.errors import JournalBroken, StorageError
from eternal_engine.model.event import Event
from eternal_engine.storage.chain import GENESIS, Head, JournalRow, checkpoint_hash, follow
from eternal_engine.storage.codec import decode_event
from eternal_engine.storage.database import check, reading_engine, translated
from eternal_engine.storage.projection import Projection, step
from eternal_engine.storage.reader import read_projection
from eternal_engine.storage.schema import CHECKPOINTS, JOURNAL
from eternal_engine.storage.table_state import (
    TableState,
    apply_changes,
    empty_state,
    first_difference,
    rows_by_table,
    stored_state,
    unpack,
)

_PAGE = 2_000


class Entry(NamedTuple):
    """Hold one journal row with its event read."""

    seq: int
    event: Event
    hash: str


@dataclass(frozen=True, slots=True)
class Verified:
    """Say what was looked at: rows in the journal, rows in archives, and the head to note down elsewhere."""

    rows: int
    archived_rows: int
    head: Head


class Rebuilt(NamedTuple):
    """Hold what the journal adds up to."""

    projection: Projection
    state: TableState


def verify(path: Path, *, head: str | None = None) -> Verified:
    """Verify a database beside a running daemon or without one.

    `head` is a hash noted down earlier: when no row carries it, the tail was cut or written anew. Raises
    JournalBroken with the first row that does not fit, StorageError where a table does not follow from the journal,
    SchemaError for a foreign schema.
    """
    engine = reading_engine(path)
    try:
        with translated(str(path)), engine.connect() as connection:
            check(connection, str(path))
            verified = verify_chain(connection)
            if head is not None and not _is_known(connection, head):
                raise JournalBroken(
                    f"no row has the hash {head}: the rows after it were cut off or written anew",
                    seq=verified.head.seq + 1,
                    where=f"end of the journal, row {verified.head.seq}",
                    mend="restore a backup that holds this head; of segments that were moved, say where: --segments",
                )
            problem = projection_difference(connection)
            if problem:
                raise StorageError(
                    problem, where=str(path), mend="stop the daemon and rebuild the tables from the journal"
                )
            return verified
    finally:
        engine.dispose()


def verify_chain(connection: Connection) -> Verified:
    """Walk checkpoints and rows. Raises JournalBroken."""
    start, archived = _verified_checkpoints(connection)
    end = follow(start, rows_after(connection, start.seq))
    return Verified(end.seq - start.seq, archived, end)


def read_head(path: Path) -> Head:
    """Read the end of the chain beside a running daemon or without one."""
    engine = reading_engine(path)
    try:
        with translated(str(path)), engine.connect() as connection:
            return stored_head(connection)
    finally:
        engine.dispose()


def stored_head(connection: Connection) -> Head:
    """Read the end of the chain without walking it."""
    row = connection.execute(select(JOURNAL.c.seq, JOURNAL.c.hash).order_by(JOURNAL.c.seq.desc()).limit(1)).first()
    return Head(row.seq, row.hash) if row is not None else chain_start(connection)


def chain_start(connection: Connection) -> Head:
    """Read where the present chain starts: behind the last checkpoint, or at the very beginning."""
    row = connection.execute(_CHECKPOINTS.order_by(CHECKPOINTS.c.seq.desc()).limit(1)).first()
    return Head(0, GENESIS) if row is None else Head(row.seq, row.hash)


def rows_after(connection: Connection, seq: int) -> Iterator[JournalRow]:
    """Read the journal's rows after `seq`, a page at a time."""
    while True:
        page = connection.execute(_ROWS.where(JOURNAL.c.seq > seq).limit(_PAGE)).fetchall()
        for row in page:
            seq = row.seq
            yield JournalRow(*row)
        if len(page) < _PAGE:
            return


def entries_after(connection: Connection, seq: int) -> Iterator[Entry]:
    """Read the journal's events after `seq`."""
    for row in rows_after(connection, seq):
        yield Entry(row.seq, decode_event(row.kind, row.body), row.hash)


def rebuild(connection: Connection) -> Rebuilt:
    """Add the journal up again, from the last checkpoint."""
    row = connection.execute(select(CHECKPOINTS).order_by(CHECKPOINTS.c.seq.desc()).limit(1)).first()
    state = empty_state() if row is None else unpack(row.document)
    projection = read_projection(rows_by_table(state))
    for entry in entries_after(connection, 0 if row is None else row.seq):
        after = step(projection, entry.event, entry.seq)
        apply_changes(state, after.changes)
        projection = after.projection
    return Rebuilt(projection, state)


def projection_difference(connection: Connection) -> str:
    """Name the first stored row that does not follow from the journal; empty when all do."""
    return first_difference(stored_state(connection), rebuild(connection).state)


# As text: what is hashed is what is stored, however it was edited.
_ROWS = select(JOURNAL.c.seq, type_coerce(JOURNAL.c.at, Text), JOURNAL.c.kind, JOURNAL.c.body, JOURNAL.c.hash).order_by(
    JOURNAL.c.seq
)
_CHECKPOINTS = select(CHECKPOINTS.c.seq, CHECKPOINTS.c.hash)


def _verified_checkpoints(connection: Connection) -> tuple[Head, int]:
    """Check that every checkpoint builds on the one before, and that its document is what it was."""
    start, archived = Head(0, GENESIS), 0
    for row in connection.execute(select(CHECKPOINTS).order_by(CHECKPOINTS.c.seq)):
        expected = checkpoint_hash(start.hash, row.seq, row.last_hash, row.document)
        if row.anchor != start.hash or row.first_seq != start.seq + 1 or row.hash != expected:
            raise JournalBroken(
                f"the checkpoint at row {row.seq} was edited, or the one before it was",
                seq=row.seq,
                where=f"checkpoint {row.seq}",
                mend="restore a backup that verifies",
            )
        archived += row.seq - start.seq
        start = Head(row.seq, row.hash)
    return start, archived


def _is_known(connection: Connection, head: str) -> bool:
    """Look for a hash among rows and checkpoints; of archived rows only the last ones are still here."""
    rows = select(func.count()).select_from(JOURNAL).where(JOURNAL.c.hash == head)
    checkpoints = (
        select(func.count())
        .select_from(CHECKPOINTS)
        .where((CHECKPOINTS.c.hash == head) | (CHECKPOINTS.c.last_hash == head))
    )
    return head == GENESIS or bool(connection.scalar(rows)) or bool(connection.scalar(checkpoints))
