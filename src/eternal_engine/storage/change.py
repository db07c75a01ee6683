"""One change of one projection row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import Table


class Change(NamedTuple):
    """Say what happens to a row: its new values, or, where `is_delete`, only its key."""

    table: Table
    values: Mapping[str, Any]
    is_delete: bool = False


def upsert(table: Table, values: Mapping[str, Any]) -> Change:
    """Write a row, whether or not its key is there."""
    return Change(table, values)


def delete(table: Table, key: Mapping[str, Any]) -> Change:
    """Take a row out by its key."""
    return Change(table, key, is_delete=True)
