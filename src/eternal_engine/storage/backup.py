"""Copies of a database: made while it is in use, restored only when whole."""

from __future__ import annotations

import os
import sqlite3
import uuid
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import select

from eternal_engine.files import sync_directory
from eternal_engine.model.errors import StorageError
from eternal_engine.storage.chain import Head
from eternal_engine.storage.database import DATABASE_ID, reading_engine, translated
from eternal_engine.storage.lock import DatabaseLock
from eternal_engine.storage.schema import META
from eternal_engine.storage.verify import verify


@dataclass(frozen=True, slots=True)
class Copied:
    """Say where a copy is, and up to which row it goes."""

    path: Path
    head: Head


def back_up(database: Path, target: Path) -> Copied:
    """Copy a database beside a running daemon; the copy appears whole and verified, or not at all.

    Blocking: call it in a thread. Raises StorageError, and refuses to write over an existing file.
    """
    if target.exists():
        raise StorageError("the backup file exists already", where=str(target), mend="name another file")
    if not database.is_file():
        raise StorageError("there is no database", where=str(database), mend="name the --state-dir of the daemon")
    partial = target.with_name(target.name + ".partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.unlink(missing_ok=True)
        os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        _copy(database, partial)
        check_integrity(partial)
        head = verify(partial).head
        partial.replace(target)
        sync_directory(target.parent)
    except (OSError, sqlite3.Error) as problem:
        raise StorageError(
            f"the backup failed: {problem}", where=str(target), mend="check disk space and rights, then try again"
        ) from problem
    finally:
        _remove(partial)
    return Copied(target, head)


def restore(backup: Path, database: Path, at: datetime) -> Copied:
    """Put a backup in a database's place, under a new database id (which voids an arming).

    The backup is verified first; what was there before stays beside it as `<name>.before-restore-<time>`. Raises
    LockHeld while a daemon runs, JournalBroken, SchemaError or StorageError.
    """
    check_integrity(backup)
    head = verify(backup).head
    database.parent.mkdir(parents=True, exist_ok=True)
    with DatabaseLock(database):
        fresh = database.with_name(database.name + ".restoring")
        try:
            fresh.unlink(missing_ok=True)
            os.close(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            _copy(backup, fresh)
            _set_database_id(fresh)
            _move_aside(database, at)
            fresh.replace(database)
            sync_directory(database.parent)
        except (OSError, sqlite3.Error) as problem:
            raise StorageError(
                f"the restore failed: {problem}",
                where=str(database),
                mend="check disk space and rights; the old database is there, or beside it as .before-restore-*",
            ) from problem
        finally:
            _remove(fresh)
    return Copied(database, head)


def check_integrity(database: Path) -> None:
    """Let SQLite look at every page of a file. Raises StorageError."""
    if not database.is_file():
        raise StorageError("there is no such file", where=str(database), mend="name an existing database or backup")
    try:
        with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            problems = [row[0] for row in connection.execute("PRAGMA integrity_check(5)")]
    except sqlite3.DatabaseError as problem:
        problems = [str(problem)]
    if problems != ["ok"]:
        raise StorageError(
            f"the file is damaged: {'; '.join(problems)}", where=str(database), mend="use another backup"
        )


def read_database_id(database: Path) -> str:
    """Give the id of a database: new with each creation and each restore."""
    engine = reading_engine(database)
    try:
        with translated(str(database)), engine.connect() as connection:
            found = connection.scalar(select(META.c.value).where(META.c.name == DATABASE_ID))
    finally:
        engine.dispose()
    if found is None:
        raise StorageError("the database has no id", where=str(database), mend="start the daemon once on it")
    return str(found)


def _remove(partial: Path) -> None:
    """Take a half-made file away; what cannot be taken away must not hide why the work failed."""
    with suppress(OSError):
        partial.unlink(missing_ok=True)


def _copy(source: Path, target: Path) -> None:
    """Copy page by page with SQLite's online backup: a writer meanwhile costs a repeated page, never a torn copy."""
    with (
        closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)) as reading,
        closing(sqlite3.connect(target)) as writing,
    ):
        reading.backup(writing, pages=1_000, sleep=0.005)
        writing.execute("PRAGMA journal_mode=DELETE")  # one file, that can be carried away as it is
    with target.open("rb") as written:
        os.fsync(written.fileno())


def _set_database_id(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(
            "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (DATABASE_ID, str(uuid.uuid4())),
        )


def _move_aside(database: Path, at: datetime) -> None:
    """Keep the old database with its write-ahead log: the log belongs to it and to no other file."""
    aside = f".before-restore-{at:%Y%m%dT%H%M%S}"
    for suffix in ("", "-wal", "-shm"):
        part = database.with_name(database.name + suffix)
        if part.exists():
            part.replace(database.with_name(database.name + aside + suffix))
