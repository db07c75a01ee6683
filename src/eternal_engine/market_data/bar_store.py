"""The completed bars and settled rates that a daemon has seen, in a small SQLite file beside its journal.

Market data can be read again from the exchange, so this file is fast before it is durable; it makes a run replayable
and shows from where bars are missing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, Self

from eternal_engine.model.errors import StorageError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS bars (
    market TEXT NOT NULL, symbol TEXT NOT NULL, open_h INTEGER NOT NULL,
    open REAL NOT NULL, high REAL NOT NULL, low REAL NOT NULL, close REAL NOT NULL, volume REAL NOT NULL,
    PRIMARY KEY (market, symbol, open_h)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS settlements (
    symbol TEXT NOT NULL, stamp_ms INTEGER NOT NULL, rate REAL NOT NULL, interval_h REAL NOT NULL,
    PRIMARY KEY (symbol, stamp_ms)
) STRICT, WITHOUT ROWID;
"""


class HourBar(NamedTuple):
    """Hold one completed hourly bar: market "spot" or "perp", `open_h` hours since the epoch, prices in USDT."""

    market: str
    symbol: str
    open_h: int
    open: float
    high: float
    low: float
    close: float
    volume: float


class SettledRate(NamedTuple):
    """Hold one settled funding rate: stamp in ms, a fraction of the position's value, the contract's interval in h."""

    symbol: str
    stamp_ms: int
    rate: float
    interval_h: float


class BarStore:
    """Keep bars and rates; a bar seen again replaces itself."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = sqlite3.connect(path, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise StorageError(
                f"the file of bars cannot be used: {error}",
                where=str(path),
                mend="delete it: bars are read again from the exchange",
            ) from error

    def put(self, bars: Iterable[HourBar], rates: Iterable[SettledRate] = ()) -> None:
        """Store bars and rates in one transaction."""
        self._db.execute("BEGIN")
        self._db.executemany("INSERT OR REPLACE INTO bars VALUES (?, ?, ?, ?, ?, ?, ?, ?)", bars)
        self._db.executemany("INSERT OR REPLACE INTO settlements VALUES (?, ?, ?, ?)", rates)
        self._db.execute("COMMIT")

    def bars(self, start_h: int, end_h: int) -> list[HourBar]:
        """List the bars that open in [start_h, end_h), by hour."""
        rows = self._db.execute(
            "SELECT * FROM bars WHERE open_h >= ? AND open_h < ? ORDER BY open_h, market, symbol", (start_h, end_h)
        )
        return [HourBar(*row) for row in rows]

    def last_h(self) -> int | None:
        """Give the opening hour of the newest bar, None before the first."""
        (newest,) = self._db.execute("SELECT max(open_h) FROM bars").fetchone()
        return None if newest is None else int(newest)

    def newest_h(self, market: str, symbol: str) -> int | None:
        """Give the opening hour of the newest bar of one symbol, None before its first."""
        query = "SELECT max(open_h) FROM bars WHERE market = ? AND symbol = ?"
        (newest,) = self._db.execute(query, (market, symbol)).fetchone()
        return None if newest is None else int(newest)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
