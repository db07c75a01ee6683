"""Statements of the one writer, compiled once: a switch of threads each, where a result nobody reads costs three."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import Column, Table, and_, bindparam, insert
from sqlalchemy import delete as delete_rows
from sqlalchemy.dialects.sqlite import aiosqlite
from sqlalchemy.dialects.sqlite import insert as upserting

_DIALECT = aiosqlite.dialect(paramstyle="qmark")
Writer = Callable[[Any], Any]
KEY = "key_"


@dataclass(frozen=True)
class Statement:
    """Hold a statement's text, the names of its parameters in their order, and what turns each value into SQLite's."""

    sql: str
    names: tuple[str, ...]
    writers: tuple[Writer | None, ...]

    def rows(self, values: Iterable[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
        """Give the parameters of many executions."""
        columns = list(zip(self.names, self.writers, strict=True))
        return [tuple([row[name] if write is None else write(row[name]) for name, write in columns]) for row in values]


@cache
def insertion(table: Table) -> Statement:
    """Write new rows."""
    return _compiled(insert(table), table)


@cache
def upsertion(table: Table) -> Statement:
    """Write rows, whether or not their keys are there."""
    statement = upserting(table)
    keys = {column.name for column in table.primary_key.columns}
    others = {column.name: statement.excluded[column.name] for column in table.columns if column.name not in keys}
    if not others:
        return _compiled(statement.on_conflict_do_nothing(), table)
    return _compiled(statement.on_conflict_do_update(index_elements=sorted(keys), set_=others), table)


def compile_ahead(tables: Iterable[Table]) -> None:
    """Compile what any event may write: 20 ms at a start, or 10 of them between the first decision and its orders."""
    for table in tables:
        upsertion(table)


@cache
def deletion(table: Table) -> Statement:
    """Take rows out by their keys."""
    keys = table.primary_key.columns
    chosen = delete_rows(table).where(and_(*(column == bindparam(f"{KEY}{column.name}") for column in keys)))
    return _compiled(chosen, table)


def _compiled(statement: Any, table: Table) -> Statement:
    compiled = statement.compile(dialect=_DIALECT)
    marks = tuple(compiled.positiontup)
    columns = [table.columns[mark.removeprefix(KEY)] for mark in marks]
    return Statement(str(compiled), tuple(column.name for column in columns), tuple(map(_writer, columns)))


def _writer(column: Column[Any]) -> Writer | None:
    found: Writer | None = column.type.dialect_impl(_DIALECT).bind_processor(_DIALECT)
    return found
