"""Backups are whole or absent; a restore verifies first and voids what was bound to the old database."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from eternal_engine.model.errors import JournalBroken, LockHeld, SchemaError, StorageError
from eternal_engine.model.event import Noted
from eternal_engine.model.ids import RuleId
from eternal_engine.storage.backup import back_up, check_integrity, read_database_id, restore
from eternal_engine.storage.chain import Head
from eternal_engine.storage.store import Store
from eternal_engine.storage.verify import verify

AT = datetime(2024, 2, 1, 12, 30, tzinfo=UTC)
NOTE = Noted(AT, RuleId("CORE-4"), "extended")


@pytest.fixture
async def store(written: tuple[Path, Head]) -> Store:
    return await Store.open(written[0])


def content(path: Path) -> bytes:
    return path.read_bytes()


def fill(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def names(directory: Path, pattern: str) -> list[str]:
    return [path.name for path in directory.glob(pattern)]


async def test_a_backup_is_made_beside_a_running_daemon(database: Path, store: Store, tmp_path: Path) -> None:
    copied = back_up(database, tmp_path / "backups" / "one.sqlite")
    assert copied.head == store.head
    await store.append(NOTE)
    assert verify(copied.path).head == copied.head
    assert stat.S_IMODE(copied.path.stat().st_mode) == 0o600
    assert [path.name for path in copied.path.parent.iterdir()] == ["one.sqlite"]
    await store.close()


async def test_a_backup_never_replaces_a_file(database: Path, store: Store, tmp_path: Path) -> None:
    await store.close()
    there = tmp_path / "there"
    there.write_text("precious")
    with pytest.raises(StorageError, match="exists already"):
        back_up(database, there)
    assert there.read_text() == "precious"
    with pytest.raises(StorageError, match="there is no database"):
        back_up(tmp_path / "none", tmp_path / "x")


async def test_a_backup_of_a_broken_journal_is_not_kept(database: Path, store: Store, tmp_path: Path) -> None:
    await store.close()
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("DELETE FROM journal WHERE seq = 3")
    with pytest.raises(JournalBroken):
        back_up(database, tmp_path / "one.sqlite")
    assert names(tmp_path, "one*") == []


async def test_a_backup_that_cannot_be_written_says_so(database: Path, store: Store, tmp_path: Path) -> None:
    await store.close()
    (tmp_path / "dir.partial").mkdir()
    with pytest.raises(StorageError, match=r"the backup failed: .*dir"):
        back_up(database, tmp_path / "dir")


async def test_a_restore_brings_the_state_back_under_a_new_id(database: Path, store: Store, tmp_path: Path) -> None:
    projection = store.projection
    copied = back_up(database, tmp_path / "one.sqlite")
    await store.append(NOTE)
    await store.close()
    old_id = read_database_id(database)
    assert read_database_id(copied.path) == old_id
    assert restore(copied.path, database, AT).head == copied.head
    assert read_database_id(database) != old_id
    again = await Store.open(database)
    assert (again.projection, again.head) == (projection, copied.head)
    await again.close()
    aside = database.with_name(database.name + ".before-restore-20240201T123000")
    assert verify(aside).head.seq == copied.head.seq + 1


async def test_a_restore_works_where_no_database_was(database: Path, store: Store, tmp_path: Path) -> None:
    copied = back_up(database, tmp_path / "one.sqlite")
    await store.close()
    target = tmp_path / "new" / "eternal.sqlite"
    restore(copied.path, target, AT)
    assert verify(target).head == copied.head


async def test_a_restore_that_cannot_be_written_says_so(database: Path, store: Store, tmp_path: Path) -> None:
    copied = back_up(database, tmp_path / "one.sqlite")
    await store.close()
    before = content(database)
    database.with_name(database.name + ".restoring").mkdir()
    with pytest.raises(StorageError, match="the restore failed: "):
        restore(copied.path, database, AT)
    assert content(database) == before


async def test_a_restore_is_refused_while_the_daemon_runs(database: Path, store: Store, tmp_path: Path) -> None:
    copied = back_up(database, tmp_path / "one.sqlite")
    with pytest.raises(LockHeld):
        restore(copied.path, database, AT)
    assert (await store.append(NOTE)).new == (True,)
    await store.close()


async def test_a_bad_backup_is_refused_and_the_database_stays(database: Path, store: Store, tmp_path: Path) -> None:
    copied = back_up(database, tmp_path / "one.sqlite")
    await store.close()
    before = content(database)
    with pytest.raises(StorageError, match="no such file"):
        restore(tmp_path / "none", database, AT)
    with closing(sqlite3.connect(copied.path)) as connection, connection:
        connection.execute("UPDATE journal SET body = body || ' ' WHERE seq = 2")
    with pytest.raises(JournalBroken, match="row 2"):
        restore(copied.path, database, AT)
    foreign = tmp_path / "foreign.sqlite"
    with closing(sqlite3.connect(foreign)) as connection:
        connection.execute("CREATE TABLE a (b)")
    with pytest.raises(SchemaError):
        restore(foreign, database, AT)
    assert content(database) == before


async def test_damaged_pages_are_found(database: Path, store: Store) -> None:
    await store.close()
    check_integrity(database)
    damaged = bytearray(content(database))
    damaged[4096 * 3 : 4096 * 3 + 2000] = b"\xff" * 2000
    fill(database, bytes(damaged))
    with pytest.raises(StorageError, match="the file is damaged"):
        check_integrity(database)
    fill(database, b"nothing" * 1000)
    with pytest.raises(StorageError, match="the file is damaged: file is not a database"):
        check_integrity(database)


async def test_a_database_without_an_id_says_so(database: Path, store: Store) -> None:
    await store.close()
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("DELETE FROM meta")
    with pytest.raises(StorageError, match="has no id"):
        read_database_id(database)
