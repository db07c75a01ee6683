"""Archived rows stay provable, and the next chain builds on them."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from builders import a_fill, a_history
from eternal_engine.model.errors import JournalBroken, StorageError
from eternal_engine.model.event import Filled, Noted
from eternal_engine.model.ids import RuleId
from eternal_engine.storage.archive import read_segment, verify_archives
from eternal_engine.storage.backup import back_up, restore
from eternal_engine.storage.chain import Head
from eternal_engine.storage.database import reading_engine
from eternal_engine.storage.store import Store
from eternal_engine.storage.table_state import pack, stored_state, unpack
from eternal_engine.storage.verify import verify

AT = datetime(2024, 2, 1, tzinfo=UTC)
ROWS = len(a_history())
NOTE = Noted(AT, RuleId("CORE-4"), "extended")


@pytest.fixture
async def archived(database: Path, tmp_path: Path) -> tuple[Path, Path, Store]:
    """Write the history, archive it, write two rows, archive them, write one more."""
    store = await Store.open(database)
    await store.append(*a_history())
    await store.archive(tmp_path / "archive", AT)
    await store.append(NOTE, Filled(AT, a_fill("z1", price="1000")))
    await store.archive(tmp_path / "archive", AT)
    await store.append(NOTE)
    await store.close()
    return database, tmp_path / "archive", store


def edit(database: Path, sql: str) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        assert connection.execute(sql).rowcount == 1


def test_the_chain_goes_on_behind_a_checkpoint(archived: tuple[Path, Path, Store]) -> None:
    database, directory, store = archived
    verified = verify(database, head=store.head.hash)
    assert (verified.rows, verified.archived_rows, verified.head.seq) == (1, ROWS + 2, ROWS + 3)
    assert verify_archives(database, directory) == ROWS + 2
    assert sorted(path.name for path in directory.iterdir()) == [
        f"journal-000000000001-{ROWS:012d}.jsonl.gz",
        f"journal-{ROWS + 1:012d}-{ROWS + 2:012d}.jsonl.gz",
    ]


async def test_a_restart_behind_a_checkpoint_reads_the_same_state(archived: tuple[Path, Path, Store]) -> None:
    database, _, store = archived
    again = await Store.open(database)
    assert (again.projection, again.head) == (store.projection, store.head)
    assert (await again.append(*(e for e in a_history() if isinstance(e, Filled)))).new == (False,) * 5
    await again.close()


async def test_an_archive_asked_for_in_the_middle_of_a_commit_waits_for_it(database: Path, tmp_path: Path) -> None:
    store = await Store.open(database)
    await store.append(*a_history())
    commit = asyncio.ensure_future(store.append(NOTE))
    for _ in range(3):
        await asyncio.sleep(0)
    assert not commit.done()
    archived = await store.archive(tmp_path / "archive", AT)
    assert archived is not None
    assert archived.rows == ROWS + 1
    await commit
    await store.close()


async def test_an_empty_journal_archives_nothing(database: Path, tmp_path: Path) -> None:
    store = await Store.open(database)
    assert await store.archive(tmp_path / "archive", AT) is None
    await store.append(NOTE)
    done = await store.archive(tmp_path / "archive", AT)
    assert done is not None
    assert (done.rows, done.head) == (1, store.head)
    assert await store.archive(tmp_path / "archive", AT) is None
    await store.close()
    again = await Store.open(database)
    assert again.head == store.head
    await again.close()
    with pytest.raises(StorageError, match="the store is closed"):
        await again.archive(tmp_path, AT)


@pytest.mark.parametrize(
    "sql",
    [
        f"UPDATE checkpoints SET document = x'00' WHERE seq = {ROWS}",
        f"UPDATE checkpoints SET last_hash = 'x' WHERE seq = {ROWS}",
        f"UPDATE checkpoints SET anchor = 'x' WHERE seq = {ROWS}",
        f"UPDATE checkpoints SET hash = 'x' WHERE seq = {ROWS}",
        f"UPDATE checkpoints SET first_seq = 2 WHERE seq = {ROWS}",
    ],
)
def test_an_edited_checkpoint_is_located(archived: tuple[Path, Path, Store], sql: str) -> None:
    edit(archived[0], sql)
    with pytest.raises(JournalBroken, match=f"the checkpoint at row {ROWS} was edited") as caught:
        verify(archived[0])
    assert caught.value.seq == ROWS


def test_a_missing_checkpoint_breaks_the_next(archived: tuple[Path, Path, Store]) -> None:
    edit(archived[0], f"DELETE FROM checkpoints WHERE seq = {ROWS}")
    with pytest.raises(JournalBroken, match=f"the checkpoint at row {ROWS + 2} was edited"):
        verify(archived[0])


def test_an_edited_or_missing_segment_is_found(archived: tuple[Path, Path, Store]) -> None:
    database, directory, _ = archived
    first, second = sorted(directory.iterdir())
    rows = list(read_segment(first))
    assert len(rows) == ROWS
    whole = first.read_bytes()
    first.write_bytes(second.read_bytes())
    with pytest.raises(JournalBroken, match="row 1 is missing"):
        verify_archives(database, directory)
    first.write_bytes(whole[:-20])
    with pytest.raises(StorageError, match="the segment cannot be read"):
        verify_archives(database, directory)
    first.write_bytes(whole + whole[:0] + b"\0")
    with pytest.raises(JournalBroken, match="or it was edited"):
        verify_archives(database, directory)
    first.unlink()
    with pytest.raises(StorageError, match="the segment cannot be read"):
        verify_archives(database, directory)


async def test_tables_that_do_not_follow_are_not_sealed_behind_a_checkpoint(database: Path, tmp_path: Path) -> None:
    store = await Store.open(database)
    await store.append(*a_history())
    edit(database, "UPDATE breaker SET level = 0")
    with pytest.raises(StorageError, match="breaker breaker: level is 0"):
        await store.archive(tmp_path / "archive", AT)
    await store.close()
    assert not (tmp_path / "archive").exists()


def as_if_never_committed(database: Path, before: bytes) -> None:
    database.write_bytes(before)
    for suffix in ("-wal", "-shm"):
        database.with_name(database.name + suffix).unlink(missing_ok=True)


def content(path: Path) -> bytes:
    return path.read_bytes()


async def test_a_crash_between_file_and_commit_costs_nothing(written: tuple[Path, Head], tmp_path: Path) -> None:
    database, _ = written
    before = content(database)
    store = await Store.open(database)
    first = await store.archive(tmp_path / "archive", AT)
    await store.close()
    assert first is not None
    segment = content(first.segment)
    as_if_never_committed(database, before)
    again = await Store.open(database)
    second = await again.archive(tmp_path / "archive", AT)
    await again.close()
    assert second == first
    assert content(second.segment) == segment


async def test_a_segment_that_cannot_be_written_leaves_the_journal_and_the_store_goes_on(
    database: Path, tmp_path: Path
) -> None:
    (tmp_path / "archive").write_text("a file where a directory should be")
    store = await Store.open(database)
    await store.append(NOTE)
    with pytest.raises(StorageError, match="the segment cannot be written"):
        await store.archive(tmp_path / "archive", AT)
    await store.append(NOTE)
    await store.close()
    assert verify(database).rows == 2


def test_a_checkpoint_document_reads_back_row_for_row(archived: tuple[Path, Path, Store]) -> None:
    engine = reading_engine(archived[0])
    with engine.connect() as connection:
        state = stored_state(connection)
    engine.dispose()
    packed = pack(state)
    assert unpack(packed) == state
    assert pack(unpack(packed)) == packed
    with pytest.raises(StorageError, match="a checkpoint cannot be read"):
        unpack(b"x")


async def test_another_life_of_the_database_takes_no_segment_away(database: Path, tmp_path: Path) -> None:
    # A backup is restored, the years come again, and the operator goes back to the first life after all.
    backup, directory, lives = tmp_path / "backup.db", tmp_path / "archive", []
    store = await Store.open(database)
    await store.append(*a_history())
    await store.close()
    back_up(database, backup)
    for n, words in enumerate(("the first", "the second")):
        store = await Store.open(database)
        await store.append(Noted(AT, RuleId("CORE-4"), words))
        archived = await store.archive(directory, AT)
        await store.close()
        assert archived is not None
        restore(backup, database, AT + timedelta(hours=n))
        lives.append(database.with_name(f"{database.name}.before-restore-{AT + timedelta(hours=n):%Y%m%dT%H%M%S}"))
    assert [verify_archives(life, directory) for life in lives] == [ROWS + 1] * 2
    assert len(list(directory.iterdir())) == 2
