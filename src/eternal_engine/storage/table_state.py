"""All projection rows in memory: read from the database, made from changes, packed into a checkpoint, compared."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeAlias

from sqlalchemy import Column, Connection, Table, select

from eternal_engine.model.errors import StorageError
from eternal_engine.model.money import short_text, text
from eternal_engine.storage.change import Change
from eternal_engine.storage.codec import canonical
from eternal_engine.storage.columns import ExactDecimal, UtcTime
from eternal_engine.storage.schema import PROJECTIONS
from eternal_engine.storage.times import read_time, time_text

Key: TypeAlias = tuple[Any, ...]
TableState: TypeAlias = dict[str, dict[Key, Mapping[str, Any]]]

_KEYS: dict[str, tuple[str, ...]] = {t.name: tuple(c.name for c in t.primary_key.columns) for t in PROJECTIONS}


def empty_state() -> TableState:
    """Make the state of a database in which nothing has happened."""
    return {table.name: {} for table in PROJECTIONS}


def stored_state(connection: Connection, tables: Sequence[Table] = PROJECTIONS) -> TableState:
    """Read every row of these projection tables; the others come empty."""
    state = empty_state()
    for table in tables:
        for row in connection.execute(select(table)).mappings():
            values = dict(row)
            state[table.name][key_of(table, values)] = values
    return state


def apply_changes(state: TableState, changes: Iterable[Change]) -> None:
    """Bring row changes into a state, in their order."""
    for change in changes:
        key = key_of(change.table, change.values)
        if change.is_delete:
            state[change.table.name].pop(key, None)
        else:
            state[change.table.name][key] = dict(change.values)


def key_of(table: Table, values: Mapping[str, Any]) -> Key:
    """Give a row's primary key."""
    return tuple(values[name] for name in _KEYS[table.name])


def rows_by_table(state: TableState) -> dict[str, list[Mapping[str, Any]]]:
    """Give the rows without their keys, by table name."""
    return {name: list(rows.values()) for name, rows in state.items()}


def first_difference(stored: TableState, rebuilt: TableState) -> str:
    """Name the first row in which two states differ; empty when they are the same to the last digit."""
    return next(all_differences(stored, rebuilt), "")


def all_differences(stored: TableState, rebuilt: TableState) -> Iterator[str]:
    """Name every row in which two states differ, and its first differing column."""
    for table in PROJECTIONS:
        here, there = stored[table.name], rebuilt[table.name]
        for key in sorted(here.keys() | there.keys(), key=str):
            if key not in here or key not in there:
                yield f"{table.name} {_shown(key)} is {'missing' if key not in here else 'not in the journal'}"
                continue
            for column in table.columns:
                found, wanted = _shown_value(here[key][column.name]), _shown_value(there[key][column.name])
                if found != wanted:
                    yield f"{table.name} {_shown(key)}: {column.name} is {found!r}, the journal says {wanted!r}"
                    break


def pack(state: TableState) -> bytes:
    """Write a state as compressed canonical JSON, its rows in the order of their keys."""
    document = {
        table.name: [
            {column.name: _written(column, rows[key][column.name]) for column in table.columns}
            for key in sorted(rows, key=str)
        ]
        for table in PROJECTIONS
        for rows in (state[table.name],)
    }
    return zlib.compress(canonical(document).encode(), 9)


def unpack(packed: bytes) -> TableState:
    """Read what `pack` wrote. Raises StorageError."""
    try:
        document = json.loads(zlib.decompress(packed))
        state = empty_state()
        for table in PROJECTIONS:
            # A table that is younger than the checkpoint starts empty.
            for row in document.get(table.name, []):
                values = {column.name: _read(column, row[column.name]) for column in table.columns}
                state[table.name][key_of(table, values)] = values
    except (zlib.error, ValueError, KeyError) as problem:
        raise StorageError(f"a checkpoint cannot be read: {problem}", mend="restore a backup") from problem
    return state


def _written(column: Column[Any], value: Any) -> Any:
    if value is None:
        return None
    if isinstance(column.type, ExactDecimal):
        return text(value)
    return time_text(value) if isinstance(column.type, UtcTime) else value


def _read(column: Column[Any], value: Any) -> Any:
    if value is None:
        return None
    if isinstance(column.type, ExactDecimal):
        return Decimal(value)
    return read_time(value) if isinstance(column.type, UtcTime) else value


def _shown_value(value: Any) -> Any:
    """Write a number without the zeros at its end: whether a row was written again decides how many there are."""
    return short_text(value) if isinstance(value, Decimal) else value


def _shown(key: Key) -> str:
    return "/".join(str(part) for part in key)
