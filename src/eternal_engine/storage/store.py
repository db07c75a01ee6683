"""The one writer: events go into the journal and their rows into the tables, in one durable transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from eternal_engine.model.errors import StorageError
from eternal_engine.model.event import Event
from eternal_engine.model.rule import Rule
from eternal_engine.model.trade import ClosedPart
from eternal_engine.storage.archive import Archived, archive_database
from eternal_engine.storage.chain import Head, row_hash
from eternal_engine.storage.change import Change
from eternal_engine.storage.codec import decode_event, encode_event
from eternal_engine.storage.connection import WritingConnection
from eternal_engine.storage.database import prepare, translated, writing_engine
from eternal_engine.storage.lock import DatabaseLock
from eternal_engine.storage.projection import ADDING, Projection, step
from eternal_engine.storage.reader import START_TABLES, read_projection
from eternal_engine.storage.schema import JOURNAL, METADATA
from eternal_engine.storage.table_state import Key, key_of, rows_by_table, stored_state
from eternal_engine.storage.times import time_text
from eternal_engine.storage.verify import chain_start, read_head, stored_head, verify, verify_chain
from eternal_engine.storage.writing import Statement, compile_ahead, deletion, insertion, upsertion

RULES: tuple[Rule, ...] = (
    Rule(
        "CORE-12",
        "State survives restarts exactly: an event and all rows that follow from it are committed together, and what "
        "is read at a start equals what a replay of the journal gives.",
        (),
        (
            "tests/unit/storage/test_store.py::test_c6_a_restart_reads_back_exactly_what_was_there",
            "tests/e2e/test_storage_crash.py::test_c8_a_killed_writer_leaves_a_whole_database",
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Appended:
    """Say what became of a batch: which events were new, what they closed, and the head after them.

    An event that was seen before (execution, transfer, deposit, command, by id) is not new and not journaled.
    """

    head: Head
    new: tuple[bool, ...]
    closed: tuple[ClosedPart, ...]


class _Batch(NamedTuple):
    projection: Projection
    head: Head
    rows: list[dict[str, Any]]
    changes: list[Change]
    appended: Appended


class Store:
    """Hold the database open for one daemon. Use `Store.open`; after a StorageError only `close` is of use."""

    def __init__(
        self,
        path: Path,
        lock: DatabaseLock,
        engine: AsyncEngine,
        connection: AsyncConnection,
        writer: WritingConnection,
        projection: Projection,
        head: Head,
        start: int,
    ) -> None:
        self.path = path
        self._lock = lock
        self._engine = engine
        self._connection = connection
        self._writer = writer
        self._projection = projection
        self._head = head
        self._archived_to = start
        self._mutex = asyncio.Lock()
        self._is_sound = True

    @classmethod
    async def open(cls, path: Path, lock: DatabaseLock | None = None) -> Store:
        """Lock, migrate, verify the chain, and read the state back; `lock` is the database's own, held already.

        Raises LockHeld, SchemaError, JournalBroken or StorageError; then nothing stays locked.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        if lock is None:
            lock = DatabaseLock(path)
            lock.acquire()
        engine = writing_engine(path)
        connection: AsyncConnection | None = None
        try:
            await asyncio.to_thread(prepare, path)
            await asyncio.to_thread(compile_ahead, METADATA.sorted_tables)
            with translated(str(path)):
                connection = await engine.connect()
                await connection.run_sync(verify_chain)
                state = await connection.run_sync(stored_state, START_TABLES)
                head = await connection.run_sync(stored_head)
                start = await connection.run_sync(chain_start)
                await connection.rollback()
                writer = (await connection.get_raw_connection()).driver_connection
            assert isinstance(writer, WritingConnection)
            projection = read_projection(rows_by_table(state))
            return cls(path, lock, engine, connection, writer, projection, head, start.seq)
        except BaseException:
            if connection is not None:
                await connection.close()
            await engine.dispose()
            lock.release()
            raise

    @property
    def projection(self) -> Projection:
        """Give what all committed events add up to."""
        return self._projection

    @property
    def head(self) -> Head:
        """Give the end of the chain; note its hash down elsewhere and a cut tail can be found."""
        return self._head

    @property
    def rows(self) -> int:
        """Count the journal's rows that are not archived yet."""
        return self._head.seq - self._archived_to

    async def append(self, *events: Event) -> Appended:
        """Commit events, all or none, and return when they are on the disk.

        Raises ModelError (or BookError, UnknownTransition) where an event cannot follow: nothing is written and the
        store goes on. Raises StorageError where writing failed: the store is closed to further writes. A cancelled
        caller does not interrupt a commit that has begun.
        """
        return await asyncio.shield(asyncio.ensure_future(self.append_shielded(events)))

    async def append_shielded(self, events: Sequence[Event]) -> Appended:
        """Do as `append` for a caller that nobody cancels: one task less."""
        async with self._mutex:
            self._require_sound()
            batch = self._prepared(events)
            if batch.rows:
                await self._commit(batch)
            return batch.appended

    async def archive(self, directory: Path, at: datetime) -> Archived | None:
        """Move the journal's rows into a segment file behind a checkpoint; None when there are none.

        Verifies first, beside appends (about 0.2 ms a row); appending waits while the rows are moved (about 0.05 ms a
        row). Raises JournalBroken or StorageError where journal and tables do not verify.
        """
        async with self._mutex:
            # Unsound is also a commit of somebody else that is not over yet.
            self._require_sound()
        await asyncio.to_thread(verify, self.path)
        return await asyncio.shield(asyncio.ensure_future(self._archive(directory, at)))

    async def close(self) -> None:
        """Wait for a running commit, close the database and free the lock."""
        async with self._mutex:
            self._is_sound = False
            await self._connection.close()
            await self._engine.dispose()
            self._lock.release()

    async def _archive(self, directory: Path, at: datetime) -> Archived | None:
        async with self._mutex:
            self._require_sound()
            self._is_sound = False
            try:
                archived = await asyncio.to_thread(archive_database, self.path, directory, at)
            except StorageError:
                # A full archive disk must not stop trading: the rows are where they were, and that can be seen.
                self._is_sound = await asyncio.to_thread(read_head, self.path) == self._head
                raise
            if archived is not None:
                self._head, self._archived_to = archived.head, archived.head.seq
            self._is_sound = True
            return archived

    def _require_sound(self) -> None:
        if not self._is_sound:
            raise StorageError(
                "the store is closed, or a write failed before",
                where=str(self.path),
                mend="start again: the state is read back from the disk",
            )

    def _prepared(self, events: Sequence[Event]) -> _Batch:
        projection, seq, previous = self._projection, self._head.seq, self._head.hash
        rows: list[dict[str, Any]] = []
        changes: list[Change] = []
        closed: list[ClosedPart] = []
        new: list[bool] = []
        for event in events:
            kind, body = type(event).__name__, encode_event(event)
            # What is applied is what a replay will read, so the two cannot part. Most events move nothing that later
            # ones need to know, and plans and moves of orders hold nothing that adds up: they are read back equal.
            read = decode_event(kind, body) if isinstance(event, ADDING) else event
            after = step(projection, read, seq + 1)
            new.append(after.is_new)
            if not after.is_new:
                continue
            projection, seq = after.projection, seq + 1
            previous = row_hash(previous, seq, time_text(event.at), kind, body)
            rows.append({"seq": seq, "at": event.at, "kind": kind, "body": body, "hash": previous})
            changes += after.changes
            closed += after.closed
        head = Head(seq, previous)
        return _Batch(projection, head, rows, changes, Appended(head, tuple(new), tuple(closed)))

    async def _commit(self, batch: _Batch) -> None:
        self._is_sound = False
        journal = insertion(JOURNAL)
        work = [(journal.sql, journal.rows(batch.rows))]
        work += [(statement.sql, statement.rows(rows)) for statement, rows in _writings(batch.changes)]
        with translated(str(self.path)):
            await self._writer.write(work)
        self._projection, self._head = batch.projection, batch.head
        self._is_sound = True


def _writings(changes: Iterable[Change]) -> Iterator[tuple[Statement, Sequence[Mapping[str, Any]]]]:
    """Give the last change of each row, table by table."""
    last: dict[Table, dict[Key, Change]] = {}
    for change in changes:
        last.setdefault(change.table, {})[key_of(change.table, change.values)] = change
    for table, by_key in last.items():
        upserts = [change.values for change in by_key.values() if not change.is_delete]
        deletes = [change.values for change in by_key.values() if change.is_delete]
        if upserts:
            yield upsertion(table), upserts
        if deletes:
            yield deletion(table), deletes
