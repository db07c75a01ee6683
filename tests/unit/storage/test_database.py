"""Schemas that are not ours are refused by table and column; ours is made whole or not at all."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.dialects.sqlite import dialect

from eternal_engine.model.errors import SchemaError, StorageError
from eternal_engine.storage import database as database_module
from eternal_engine.storage.backup import read_database_id
from eternal_engine.storage.columns import ExactDecimal, UtcTime
from eternal_engine.storage.database import known_revisions, prepare, translated
from eternal_engine.storage.schema import METADATA, PROJECTIONS
from eternal_engine.storage.store import Store
from eternal_engine.storage.verify import verify


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Give a path where nothing is yet, unlike the fixture of the other storage tests."""
    return tmp_path / "state" / "eternal.sqlite"


def content(path: Path) -> bytes:
    return path.read_bytes()


def change(database: Path, *statements: str) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def test_c12_the_migrations_make_exactly_the_schema(database: Path) -> None:
    prepare(database)
    with closing(sqlite3.connect(database)) as connection:
        made = {
            row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'index' AND sql > ''")
        }
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert made == {index.name for table in METADATA.sorted_tables for index in table.indexes}
    assert tables == {*METADATA.tables, "alembic_version"}


def test_preparing_twice_changes_nothing(database: Path) -> None:
    prepare(database)
    first = read_database_id(database)
    prepare(database)
    assert read_database_id(database) == first


@pytest.mark.parametrize(
    ("statements", "message"),
    [
        (("DROP TABLE orders",), "table orders is missing"),
        (("ALTER TABLE orders DROP COLUMN note",), "column note is missing in table orders"),
        (("ALTER TABLE orders ADD COLUMN colour TEXT",), "column colour in table orders is unknown"),
        (("CREATE TABLE strange (a)",), "table strange is unknown"),
        (
            ("DROP TABLE breaker", "CREATE TABLE breaker (name TEXT PRIMARY KEY NOT NULL, level REAL NOT NULL)"),
            "column level in table breaker is REAL NOT NULL, not INTEGER NOT NULL",
        ),
        (("UPDATE alembic_version SET version_num = '9999'",), "unknown schema revision '9999', perhaps of a newer"),
        (("DROP TABLE alembic_version",), "is not a database of this program"),
    ],
)
async def test_c12_a_foreign_schema_is_refused_naming_table_and_column(
    database: Path, statements: tuple[str, ...], message: str
) -> None:
    prepare(database)
    change(database, *statements)
    before = content(database)
    with pytest.raises(SchemaError, match=message) as caught:
        await Store.open(database)
    assert caught.value.exit_code == 4
    assert content(database) == before
    # What a start refuses, no look at it calls sound.
    with pytest.raises(SchemaError):
        verify(database)


def test_c12_every_revision_that_a_start_knows_is_known_to_a_look_at_the_database() -> None:
    folder = Path(database_module.__file__).parent / "migrations"
    config = Config()
    config.set_main_option("script_location", str(folder))
    assert known_revisions() == {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}


async def test_c12_a_database_of_another_program_is_refused_and_left_alone(database: Path) -> None:
    database.parent.mkdir(parents=True)
    change(database, "CREATE TABLE positions (id INTEGER PRIMARY KEY, symbol TEXT)")
    with pytest.raises(SchemaError, match="is not a database of this program: table books is missing"):
        await Store.open(database)
    with closing(sqlite3.connect(database)) as connection:
        assert [row[0] for row in connection.execute("SELECT name FROM sqlite_master")] == ["positions"]


@pytest.fixture
def garbage(database: Path) -> Path:
    database.parent.mkdir(parents=True)
    database.write_bytes(b"nothing of the kind" * 100)
    return database


async def test_a_file_that_is_no_database_is_refused_and_not_left_locked(garbage: Path) -> None:
    for _ in range(2):
        with pytest.raises(StorageError, match="not a database"):
            await Store.open(garbage)


def test_money_is_text_and_times_are_text_in_every_table() -> None:
    for table in METADATA.sorted_tables:
        for column in table.columns:
            assert "FLOAT" not in str(column.type).upper()
            assert "REAL" not in str(column.type).upper()
    assert len(PROJECTIONS) == len(METADATA.tables) - 3


@pytest.mark.parametrize("value", [0.5, 1, "1", Decimal("NaN"), Decimal("Infinity")])
def test_d19_only_a_finite_decimal_can_be_bound(value: object) -> None:
    with pytest.raises(StorageError, match="is not a finite Decimal"):
        ExactDecimal().process_bind_param(value, dialect())  # type: ignore[arg-type]


def test_c13_columns_keep_every_digit_and_microsecond() -> None:
    number = Decimal("12345678.123456789012345678")
    column = ExactDecimal()
    written = column.process_bind_param(number, dialect())
    assert written == "12345678.123456789012345678"
    read = column.process_result_value(written, dialect())
    assert read is not None
    assert read.as_tuple() == number.as_tuple()
    assert column.process_bind_param(None, dialect()) is None
    assert column.process_result_value(None, dialect()) is None
    at = datetime(2024, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    times = UtcTime()
    assert times.process_bind_param(at, dialect()) == "2024-01-02T03:04:05.678901Z"
    assert times.process_result_value("2024-01-02T03:04:05.678901Z", dialect()) == at
    assert times.process_bind_param(None, dialect()) is None
    assert times.process_result_value(None, dialect()) is None


def test_a_half_made_schema_never_stays(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from alembic import op

    made = op.create_table
    count = 0

    def fail_at_the_tenth(*args: object, **kwargs: object) -> object:
        nonlocal count
        count += 1
        if count == 10:
            raise OSError("pulled the plug")
        return made(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(op, "create_table", fail_at_the_tenth)
    with pytest.raises(OSError, match="pulled the plug"):
        prepare(database)
    engine = create_engine(f"sqlite:///{database}")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar() == 0
    engine.dispose()
    monkeypatch.undo()
    prepare(database)


@pytest.mark.parametrize(
    ("problem", "mend"),
    [
        ("database is locked", "close whatever else has the file open"),
        ("database disk image is malformed", "`eternal restore`"),
        ("file is not a database", "`eternal restore`"),
        (f"Could not decode to UTF-8 column 'body' with text '{'x' * 9_000}'", "`eternal restore`"),
        ("database or disk is full", "check disk space"),
    ],
)
def test_a_failing_database_says_the_mend_for_what_is_the_matter(problem: str, mend: str) -> None:
    with pytest.raises(StorageError, match="the database failed") as raised, translated("eternal.db"):
        raise sqlite3.DatabaseError(problem)
    assert mend in raised.value.mend
    assert len(raised.value.message) < 300
