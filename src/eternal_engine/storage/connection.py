"""The writer's connection: a whole transaction in one visit to aiosqlite's thread, where each statement cost one."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import aiosqlite

Work = Sequence[tuple[str, Sequence[tuple[Any, ...]]]]
_ROWS_AT_ONCE = 64


class WritingConnection(aiosqlite.Connection):
    """Be aiosqlite's connection, and write a transaction as one piece of work."""

    async def write(self, work: Work) -> None:
        """Run statements with their rows, and commit. Raises sqlite3.Error; then nothing of it was written."""
        in_its_thread: Callable[..., Awaitable[Any]] = self._execute
        await in_its_thread(self._write, work)

    def _write(self, work: Work) -> None:
        # The driver begins by itself, IMMEDIATE, before the first statement.
        try:
            for sql, rows in work:
                self._conn.executemany(sql, rows)
            self._conn.commit()
        except BaseException:
            self._conn.rollback()
            raise


def connect(database: str, **options: Any) -> WritingConnection:
    """Make a connection whose thread does not keep the process alive, as SQLAlchemy's own do not."""
    connection = WritingConnection(lambda: sqlite3.connect(database, **options), _ROWS_AT_ONCE)
    connection._thread.daemon = True
    return connection
