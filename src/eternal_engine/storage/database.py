"""Open the database: durable settings, migrations, and a refusal of every schema that is not ours (C12)."""

from __future__ import annotations

import os
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, create_engine, event, insert, inspect, select, text
from sqlalchemy.engine import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from eternal_engine.model.errors import SchemaError, StorageError
from eternal_engine.storage.connection import connect
from eternal_engine.storage.schema import META, METADATA

DATABASE_ID = "database_id"
_VERSION_TABLE = "alembic_version"
_REVISION = text("SELECT version_num FROM alembic_version")
_MIGRATIONS = Path(__file__).parent / "migrations"
_LOCKED = ("is locked", "busy")
_DAMAGED = ("malformed", "not a database", "Could not decode", "corrupt")
_MOST_CHARS = 200
_PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=5000")


def writing_engine(path: Path) -> AsyncEngine:
    """Make the engine of the one writer: its commits are on the disk when they return."""
    engine = create_async_engine(
        f"sqlite+aiosqlite:///{path}", pool_reset_on_return=None, connect_args={"async_creator_fn": connect}
    )
    # The driver begins by itself before the first write: each call that is spared is two switches of threads less.
    _set_up(engine.sync_engine, _PRAGMAS, isolation_level="IMMEDIATE")
    return engine


def blocking_engine(path: Path) -> Engine:
    """Make a writing engine for work in a thread; its transactions hold DDL, too."""
    engine = create_engine(f"sqlite:///{path}")
    _set_up(engine, _PRAGMAS, begin="BEGIN IMMEDIATE")
    return engine


def reading_engine(path: Path) -> Engine:
    """Make an engine that can only read, beside a running daemon or without one. Raises StorageError."""
    if not path.is_file():
        raise StorageError("there is no database", where=str(path), mend="name the --state-dir of the daemon")
    engine = create_engine(f"sqlite:///file:{quote(str(path))}?mode=ro&uri=true")
    _set_up(engine, ("query_only=ON", "busy_timeout=5000"), begin="BEGIN")
    return engine


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Turn the database's own errors into StorageError, here and nowhere else."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error) as problem:
        words = str(getattr(problem, "orig", None) or problem)
        raise StorageError(f"the database failed: {words[:_MOST_CHARS]}", where=where, mend=_mend(words)) from problem


def _mend(words: str) -> str:
    if any(sign in words for sign in _LOCKED):
        return "close whatever else has the file open (sqlite3, a copy being made), then start again: nothing is lost"
    if any(sign in words for sign in _DAMAGED):
        return "the file is damaged: `eternal journal verify` says where, `eternal restore` brings a backup back"
    return "check disk space and disk health, then start again: nothing of a failed write is kept"


def prepare(path: Path) -> None:
    """Create the file with mode 0600, bring its schema up to date and check it, all or nothing.

    Raises SchemaError for a schema that is foreign or newer, naming table and column.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    engine = blocking_engine(path)
    try:
        with translated(str(path)), engine.begin() as connection:
            migrate(connection, str(path))
    finally:
        engine.dispose()


def migrate(connection: Connection, where: str) -> None:
    """Migrate from any known revision to the newest, then compare every table and column with ours."""
    # Only a start of the daemon migrates; a reader must not pay half a second for these.
    from alembic import command
    from alembic.config import Config
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    tables = set(inspect(connection).get_table_names())
    if tables and _VERSION_TABLE not in tables:
        raise _refusal(connection, where, "is not a database of this program")
    revision = MigrationContext.configure(connection).get_current_revision()
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if revision is not None and revision not in known:
        raise _refusal(connection, where, f"has the unknown schema revision {revision!r}, perhaps of a newer version")
    command.upgrade(config, "head")
    _give_id(connection)
    if _difference(connection):
        raise _refusal(connection, where, "has another schema than its revision says")


def _give_id(connection: Connection) -> None:
    """Give a database its id once: an arming is bound to it."""
    if connection.scalar(select(META.c.value).where(META.c.name == DATABASE_ID)) is None:
        connection.execute(insert(META), {"name": DATABASE_ID, "value": str(uuid.uuid4())})


def check(connection: Connection, where: str) -> None:
    """Compare the schema with ours, and its revision with those a start knows, changing nothing. Raises SchemaError."""
    if _difference(connection):
        raise _refusal(connection, where, "is not a database of this program and version")
    # Read by hand: a look at a database must not pay for the import of what migrates it.
    if not inspect(connection).has_table(_VERSION_TABLE):
        raise _refusal(connection, where, "is not a database of this program")
    revision = connection.scalar(_REVISION)
    if revision not in known_revisions():
        raise _refusal(connection, where, f"has the unknown schema revision {revision!r}, perhaps of a newer version")


def known_revisions() -> frozenset[str]:
    """Give the revisions there are migrations for, by the names of their files (`r0001_first.py`)."""
    files = (_MIGRATIONS / "versions").glob("r[0-9]*_*.py")
    return frozenset(path.name.removeprefix("r").partition("_")[0] for path in files)


def _refusal(connection: Connection, where: str, problem: str) -> SchemaError:
    difference = _difference(connection)
    detail = f": {difference}" if difference else ""
    return SchemaError(
        f"the database {problem}{detail}", where=where, mend="name another --state-dir, or run the version that made it"
    )


def _difference(connection: Connection) -> str:
    """Name the first table or column that is missing, strange or of another type; empty when all is ours."""
    found = inspect(connection)
    there = set(found.get_table_names()) - {_VERSION_TABLE}
    for table in METADATA.sorted_tables:
        if table.name not in there:
            return f"table {table.name} is missing"
        columns = {column["name"]: column for column in found.get_columns(table.name)}
        for column in table.columns:
            if column.name not in columns:
                return f"column {column.name} is missing in table {table.name}"
            wanted, actual = _shape(column.type, column.nullable), _shape_found(columns[column.name])
            if wanted != actual:
                return f"column {column.name} in table {table.name} is {actual}, not {wanted}"
        for name in sorted(columns.keys() - {column.name for column in table.columns}):
            return f"column {name} in table {table.name} is unknown"
    for name in sorted(there - METADATA.tables.keys()):
        return f"table {name} is unknown"
    return ""


def _shape(kind: Any, nullable: bool | None) -> str:
    return f"{str(kind).upper()}{'' if nullable else ' NOT NULL'}"


def _shape_found(column: Any) -> str:
    return _shape(column["type"], column["nullable"])


def _set_up(engine: Engine, pragmas: tuple[str, ...], *, isolation_level: str | None = None, begin: str = "") -> None:
    """Set the pragmas of every connection, and begin transactions with `begin` where the driver does not."""

    @event.listens_for(engine, "connect")
    def on_connect(dbapi: Any, _: object) -> None:
        dbapi.isolation_level = isolation_level
        cursor = dbapi.cursor()
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    if begin:

        @event.listens_for(engine, "begin")
        def on_begin(connection: Connection) -> None:
            connection.exec_driver_sql(begin)
