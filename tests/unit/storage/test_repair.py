"""Tables made again from a journal that verifies."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from eternal_engine.model.errors import JournalBroken, LockHeld
from eternal_engine.storage.chain import Head
from eternal_engine.storage.repair import rebuild_tables
from eternal_engine.storage.store import Store
from eternal_engine.storage.verify import verify

AT = datetime(2024, 2, 1, tzinfo=UTC)


def edit(database: Path, *statements: str) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


async def test_damaged_tables_are_made_again(written: tuple[Path, Head], tmp_path: Path) -> None:
    database, head = written
    store = await Store.open(database)
    expected = store.projection
    await store.close()
    edit(database, "UPDATE books SET fees_usdt = '0'", "DELETE FROM orders", "UPDATE breaker SET name = 'x'")
    verified, difference = await rebuild_tables(database)
    assert verified.head == head
    assert difference.startswith("books core_hodl/False: fees_usdt is '0'")
    assert verify(database).head == head
    again = await Store.open(database)
    assert again.projection == expected
    await again.archive(tmp_path, AT)
    await again.close()
    assert (await rebuild_tables(database))[1] == ""
    edit(database, "DELETE FROM orders")
    assert (await rebuild_tables(database))[1].startswith("orders ")
    assert verify(database).archived_rows == head.seq


async def test_nothing_is_made_from_a_broken_journal_or_beside_a_daemon(written: tuple[Path, Head]) -> None:
    database, _ = written
    store = await Store.open(database)
    with pytest.raises(LockHeld):
        await rebuild_tables(database)
    await store.close()
    edit(database, "DELETE FROM journal WHERE seq = 3", "DELETE FROM orders")
    with pytest.raises(JournalBroken):
        await rebuild_tables(database)
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (0,)
