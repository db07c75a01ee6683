"""The journal of a daemon that runs for years stays bounded, and loses nothing (C6)."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from core_builders import TEN, some_params
from engine_bench import AT, HandClock
from eternal_engine.engine.memory import fresh_memory
from eternal_engine.engine.recorder import Recorder
from eternal_engine.engine.timing import hour_of
from eternal_engine.launch.housekeeping import archive_old_rows
from eternal_engine.model.event import EquityMarked, ErrorOccurred, Event
from eternal_engine.model.ids import Account
from eternal_engine.portfolio.flows import month_of
from eternal_engine.portfolio.params import empty_marks
from eternal_engine.storage.archive import verify_archives
from eternal_engine.storage.store import Store
from eternal_engine.storage.verify import verify

HOUR = timedelta(hours=1)


def a_recorder(store: Store, seen: list[Event]) -> Recorder:
    params = some_params(TEN)
    memory = fresh_memory(params, TEN, month_of(hour_of(AT)))
    return Recorder(store, params, memory, HandClock(), marks=empty_marks(10), is_new=True, observers=[seen.append])


async def test_a_full_journal_is_archived_and_the_daemon_goes_on(tmp_path: Path) -> None:
    database, folder, seen = tmp_path / "eternal.db", tmp_path / "archive", list[Event]()
    store = await Store.open(database)
    recorder = a_recorder(store, seen)
    marks = [EquityMarked(AT + n * HOUR, Account.TREND, Decimal(n)) for n in range(30)]
    await recorder.append(*marks)
    assert not await archive_old_rows(recorder, folder, AT, most_rows=1_000)
    later = AT + timedelta(days=401)
    assert await archive_old_rows(recorder, folder, later, most_rows=30)
    assert store.rows == 1
    await recorder.append(EquityMarked(later, Account.TREND, Decimal(7)))
    head = store.head
    await store.close()
    assert verify(database, head=head.hash).head == head
    assert verify_archives(database, folder) == head.seq - 2
    with closing(sqlite3.connect(database)) as connection:
        kept = [row[0][:13] for row in connection.execute("select at from equity_marks order by at")]
    assert kept == ["2024-01-02T00", "2024-01-03T00", "2024-01-03T01", "2024-01-03T02", "2024-01-03T03",
                    "2024-01-03T04", "2024-01-03T05", "2025-02-06T00"]  # fmt: skip
    again = await Store.open(database)
    assert again.rows == 2
    await again.close()


async def test_a_disk_that_takes_no_segment_is_said_and_the_daemon_goes_on(tmp_path: Path) -> None:
    seen = list[Event]()
    store = await Store.open(tmp_path / "eternal.db")
    recorder = a_recorder(store, seen)
    (tmp_path / "archive").write_text("no folder")
    await recorder.append(EquityMarked(AT, Account.TREND, Decimal(1)))
    assert not await archive_old_rows(recorder, tmp_path / "archive", AT, most_rows=1)
    assert isinstance(seen[-1], ErrorOccurred)
    assert "old journal rows stay" in seen[-1].what
    await store.close()
