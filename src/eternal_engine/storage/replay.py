"""Add the journal up again and compare; follow orders back to their decisions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from eternal_engine.model.event import Decided, OrderPlanned, Reviewed
from eternal_engine.model.ids import Engine, Symbol
from eternal_engine.storage.database import check, reading_engine, translated
from eternal_engine.storage.schema import PROJECTIONS
from eternal_engine.storage.table_state import all_differences, stored_state
from eternal_engine.storage.verify import Entry, chain_start, entries_after, rebuild, verify_chain


@dataclass(frozen=True, slots=True)
class Compared:
    """Say how many events were added up, to how many rows, and where the tables differ."""

    events: int
    rows: int
    differences: tuple[str, ...]


def differences(database: Path) -> Compared:
    """Rebuild all tables in memory from the last checkpoint and name every difference. Raises JournalBroken."""
    engine = reading_engine(database)
    try:
        with translated(str(database)), engine.connect() as connection:
            check(connection, str(database))
            verified = verify_chain(connection)
            rebuilt = rebuild(connection).state
            found = tuple(all_differences(stored_state(connection), rebuilt))
    finally:
        engine.dispose()
    return Compared(verified.rows, sum(len(rebuilt[table.name]) for table in PROJECTIONS), found)


def unexplained_orders(database: Path) -> tuple[str, ...]:
    """Name every order in the journal without a decision before it, or without a verdict that let it pass."""
    engine = reading_engine(database)
    try:
        with translated(str(database)), engine.connect() as connection:
            start = chain_start(connection).seq
            return tuple(_unexplained(entries_after(connection, start), has_archive=start > 0))
    finally:
        engine.dispose()


def _unexplained(entries: Iterator[Entry], *, has_archive: bool) -> Iterator[str]:
    decided: set[tuple[Engine, datetime]] = set()
    passed: set[tuple[Engine, datetime, Symbol]] = set()
    first: datetime | None = None
    for entry in entries:
        event = entry.event
        if isinstance(event, Decided):
            decided.add((event.engine, event.decided_at))
            first = first or event.decided_at
        elif isinstance(event, Reviewed) and event.verdict != "denied":
            passed.add((event.engine, event.decided_at, event.symbol))
        elif isinstance(event, OrderPlanned):
            key = event.intent.key
            # The decision of an order's later attempt may lie in an archived segment.
            if has_archive and (first is None or key.decided_at < first):
                continue
            if (key.engine, key.decided_at) not in decided:
                yield f"{event.intent.client_order_id} (row {entry.seq}): no decision of that time in the journal"
            elif (key.engine, key.decided_at, key.symbol) not in passed:
                yield f"{event.intent.client_order_id} (row {entry.seq}): no verdict let it pass"
