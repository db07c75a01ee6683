"""An edited, missing or cut row is found and named; so is a table that does not follow from the journal."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from builders import a_history
from eternal_engine.model.errors import JournalBroken, SchemaError, StorageError
from eternal_engine.storage.chain import GENESIS, Head, JournalRow, follow, row_hash
from eternal_engine.storage.database import reading_engine
from eternal_engine.storage.verify import entries_after, verify

Edit = Callable[[sqlite3.Connection], object]
ROWS = len(a_history())


def edit(database: Path, sql: str) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        assert connection.execute(sql).rowcount != 0


def test_a_whole_journal_verifies_and_gives_its_head(written: tuple[Path, Head]) -> None:
    database, head = written
    verified = verify(database, head=head.hash)
    assert (verified.rows, verified.archived_rows, verified.head) == (ROWS, 0, head)


@pytest.mark.parametrize("seq", [1, 7, ROWS])
@pytest.mark.parametrize("column", ["at", "kind", "body", "hash"])
def test_an_edited_row_is_located(written: tuple[Path, Head], seq: int, column: str) -> None:
    database, _ = written
    edit(database, f"UPDATE journal SET {column} = {column} || 'x' WHERE seq = {seq}")
    with pytest.raises(JournalBroken, match=f"journal row {seq} .* was edited") as caught:
        verify(database)
    assert caught.value.seq == seq


@pytest.mark.parametrize("seq", [1, 7, ROWS - 1])
def test_a_missing_row_is_located(written: tuple[Path, Head], seq: int) -> None:
    database, _ = written
    edit(database, f"DELETE FROM journal WHERE seq = {seq}")
    with pytest.raises(JournalBroken, match=f"journal row {seq} is missing") as caught:
        verify(database)
    assert caught.value.seq == seq


def test_a_row_whose_hash_was_computed_anew_breaks_the_next(written: tuple[Path, Head]) -> None:
    database, _ = written
    with closing(sqlite3.connect(database)) as connection, connection:
        previous = connection.execute("SELECT hash FROM journal WHERE seq = 4").fetchone()[0]
        at, kind, body = connection.execute("SELECT at, kind, body FROM journal WHERE seq = 5").fetchone()
        body = body.replace("1E-8", "5") + " "
        forged = row_hash(previous, 5, at, kind, body)
        connection.execute("UPDATE journal SET body = ?, hash = ? WHERE seq = 5", (body, forged))
    with pytest.raises(JournalBroken) as caught:
        verify(database)
    assert caught.value.seq == 6


def test_a_cut_tail_is_found_by_a_head_noted_down(written: tuple[Path, Head]) -> None:
    database, head = written
    edit(database, f"DELETE FROM journal WHERE seq > {ROWS - 2}")
    edit(database, "UPDATE runs SET stopped_at = NULL, stop_reason = NULL")
    verify(database)
    with pytest.raises(JournalBroken, match=f"no row has the hash {head.hash}") as caught:
        verify(database, head=head.hash)
    assert caught.value.seq == ROWS - 1


def test_an_earlier_head_is_still_known_after_more_was_written(written: tuple[Path, Head]) -> None:
    database, _ = written
    with closing(sqlite3.connect(database)) as connection:
        (earlier,) = connection.execute("SELECT hash FROM journal WHERE seq = 3").fetchone()
    assert verify(database, head=earlier).rows == ROWS
    assert verify(database, head=GENESIS).rows == ROWS


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("UPDATE perp_positions SET qty = '9'", "perp_positions .*: qty is '9', the journal says '0.7'"),
        ("DELETE FROM orders WHERE engine = 'trend'", "orders tr-2401010000-BTCUSDT-in-1 is missing"),
        ("UPDATE breaker SET level = 0", "breaker breaker: level is 0, the journal says 2"),
        ("UPDATE cash SET coin = 'USDC' WHERE account = 'trend' AND unassigned = 0", "cash trend/False/USDC is not in"),
        ("UPDATE engine_states SET document = '{}'", "engine_states core_hodl: document is"),
    ],
)
def test_a_table_that_does_not_follow_from_the_journal_is_named(
    written: tuple[Path, Head], sql: str, message: str
) -> None:
    database, _ = written
    edit(database, sql)
    with pytest.raises(StorageError, match=message):
        verify(database)


def test_events_can_be_read_from_any_row_on(written: tuple[Path, Head]) -> None:
    database, head = written
    engine = reading_engine(database)
    with engine.connect() as connection:
        entries = list(entries_after(connection, 0))
        assert [entry.event for entry in entries] == a_history()
        assert [entry.seq for entry in entries_after(connection, ROWS - 3)] == [ROWS - 2, ROWS - 1, ROWS]
        assert entries[-1].hash == head.hash
    engine.dispose()


def test_a_reader_cannot_write(written: tuple[Path, Head]) -> None:
    database, _ = written
    engine = reading_engine(database)
    with engine.connect() as connection, pytest.raises(OperationalError, match="readonly"):
        connection.exec_driver_sql("DELETE FROM journal")
    engine.dispose()


def test_a_database_that_is_not_there_or_not_ours_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="there is no database"):
        verify(tmp_path / "none.sqlite")
    foreign = tmp_path / "foreign.sqlite"
    with closing(sqlite3.connect(foreign)) as connection:
        connection.execute("CREATE TABLE positions (id INTEGER)")
    with pytest.raises(SchemaError, match="table books is missing"):
        verify(foreign)
    garbage = tmp_path / "garbage.sqlite"
    garbage.write_bytes(b"no database at all" * 100)
    with pytest.raises(StorageError, match="not a database"):
        verify(garbage)


def test_text_cannot_move_between_the_fields_of_a_row() -> None:
    one = row_hash(GENESIS, 1, "t", "k", "a\nb")
    assert one != row_hash(GENESIS, 1, "t", "k\na", "b")
    assert one != row_hash(GENESIS, 1, "t\nk", "a", "b")
    assert len({one, row_hash(GENESIS, 2, "t", "k", "a\nb"), row_hash("1" * 64, 1, "t", "k", "a\nb")}) == 3


def test_a_chain_of_no_rows_ends_where_it_starts() -> None:
    assert follow(Head(5, "x"), []) == Head(5, "x")
    with pytest.raises(JournalBroken, match="row 6 is missing"):
        follow(Head(5, "x"), [JournalRow(7, "", "", "", "")])
