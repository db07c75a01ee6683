"""Look into a daemon's database at once: plain rows for the verbs that only read.

Straight through the driver, because a verb that starts in a tenth of a second is asked more often than one that needs
the whole of SQLAlchemy first. Money stays the text that is stored, digit for digit; times stay ISO UTC texts.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeAlias

from eternal_engine.model.conversion import exact_from_float
from eternal_engine.model.errors import DataError, SchemaError, StorageError

Record: TypeAlias = dict[str, Any]

_LATEST_MARK = "SELECT account, at, equity_usdt, reason FROM equity_marks WHERE account = ? AND at <= ? "
_END_OF_TIME = "9999"
_ORDERS = "SELECT * FROM orders ORDER BY planned_at DESC, client_order_id DESC LIMIT ?"
_OPEN_ORDERS = """
SELECT * FROM orders WHERE state NOT IN ('filled', 'cancelled', 'rejected', 'abandoned')
ORDER BY planned_at DESC, client_order_id DESC LIMIT ?
"""
# ?1 kinds, ?2 texts that the body holds, ?3 how many.
_EVENTS = """
SELECT seq, at, kind, body, hash FROM journal
WHERE NOT EXISTS (SELECT 1 FROM json_each(?2) WHERE instr(body, value) = 0) ORDER BY seq DESC LIMIT ?3
"""
_EVENTS_OF_KINDS = """
SELECT seq, at, kind, body, hash FROM journal
WHERE kind IN (SELECT value FROM json_each(?1))
AND NOT EXISTS (SELECT 1 FROM json_each(?2) WHERE instr(body, value) = 0) ORDER BY seq DESC LIMIT ?3
"""
# ?1 account, ?2 time, ?3 what the journal still holds.
_ARCHIVED_FLOWS = """
SELECT value_usdt, 1 AS sign FROM deposits WHERE account = ?1 AND recorded_at > ?2
AND record_id NOT IN (SELECT value FROM json_each(?3))
UNION ALL
SELECT amount, CASE WHEN target = ?1 THEN 1 ELSE -1 END FROM transfers WHERE (source = ?1 OR target = ?1)
AND moved_at > ?2 AND transfer_id NOT IN (SELECT value FROM json_each(?3))
"""


class View:
    """Read one moment of a database: every call sees the same state, whatever the daemon writes meanwhile."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, sql: str, *values: object) -> list[Record]:
        """Give the rows of a query as records by column name."""
        cursor = self._connection.execute(sql, values)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    def first(self, sql: str, *values: object) -> Record | None:
        """Give the first row of a query, None when there is none."""
        return next(iter(self.rows(sql, *values)), None)

    def last_run(self) -> Record | None:
        """Give the last start: version, mode, configuration hash, market, and its end if it had an orderly one."""
        return self.first("SELECT * FROM runs ORDER BY started_at DESC LIMIT 1")

    def first_start(self) -> str | None:
        """Give the time of the very first start."""
        found = self.first("SELECT min(started_at) AS at FROM runs")
        return None if found is None else found["at"]

    def last_entry(self) -> Record | None:
        """Give number, time, kind and hash of the newest journal row."""
        return self.first("SELECT seq, at, kind, hash FROM journal ORDER BY seq DESC LIMIT 1")

    def state(self, owner: str) -> Record | None:
        """Give an owner's saved state: schema_version, document (a JSON text) and saved_at."""
        return self.first("SELECT schema_version, document, saved_at FROM engine_states WHERE owner = ?", owner)

    def breaker(self) -> Record | None:
        """Give the last change of breaker level."""
        return self.first("SELECT level, previous, equity_usdt, high_usdt, rule, detail, changed_at FROM breaker")

    def phases(self) -> dict[str, Record]:
        """Give each engine's present phase and since when."""
        return {row["engine"]: row for row in self.rows("SELECT * FROM phases")}

    def books(self) -> list[Record]:
        """Give the totals of every book, USDT."""
        return self.rows("SELECT * FROM books ORDER BY account, unassigned")

    def cash(self) -> list[Record]:
        """Give what every book holds in each coin of cash."""
        return self.rows("SELECT account, unassigned, coin, amount FROM cash ORDER BY account, unassigned, coin")

    def mark(self, account: str, until: str = _END_OF_TIME) -> Record | None:
        """Give an account's last equity mark at or before a time."""
        return self.first(_LATEST_MARK + "ORDER BY at DESC LIMIT 1", account, until)

    def first_mark_in(self, account: str, first: str, last: str) -> Record | None:
        """Give an account's first equity mark of a span of time, both ends included."""
        return self.first(_LATEST_MARK + "AND at >= ? ORDER BY at LIMIT 1", account, last, first)

    def flows_after(self, account: str, mark_at: str) -> list[Record]:
        """Give the money that came and went after an equity mark: `value_usdt`, and `sign` -1 for what left.

        The journal's order says what a mark holds: it bears its hour's time, and money booked in the seconds before it
        was taken is in it. Of what was archived only the time is known.
        """
        marks = self.events("EquityMarked", limit=1, holding=(f'"account":"{account}"', f'"at":"{mark_at}"'))
        later, known = [], []
        for row in self.events("Deposited", "Transferred", limit=-1, holding=(f'"{account}"',)):
            body = row["body"]
            known.append(body["record_id"] if row["kind"] == "Deposited" else body["transfer_id"])
            if row["seq"] > marks[0]["seq"] if marks else row["at"] > mark_at:
                left = row["kind"] == "Transferred" and body["source"] == account
                value_usdt = body["value_usdt"] if row["kind"] == "Deposited" else body["amount"]
                later.append({"value_usdt": value_usdt, "sign": -1 if left else 1})
        return [*later, *self.rows(_ARCHIVED_FLOWS, account, mark_at, json.dumps(known))]

    def positions(self) -> list[Record]:
        """Give every holding and perp position with what it cost."""
        return self.rows(
            "SELECT account, unassigned, symbol, 'spot' AS market, qty, cost_usdt, fees_usdt, '0' AS funding_usdt, "
            "opened_at FROM spot_holdings UNION ALL SELECT account, unassigned, symbol, 'perp', qty, cost_usdt, "
            "fees_usdt, funding_usdt, opened_at FROM perp_positions ORDER BY account, unassigned, symbol, market"
        )

    def orders(self, *, open_only: bool = False, limit: int = -1) -> list[Record]:
        """Give the orders, newest first; -1 is no limit."""
        return self.rows(_OPEN_ORDERS if open_only else _ORDERS, limit)

    def order(self, identifier: str) -> Record | None:
        """Find one order by its client order id, or by the exchange's."""
        return self.first("SELECT * FROM orders WHERE client_order_id = ?1 OR venue_order_id = ?1 LIMIT 1", identifier)

    def fills(self, *, limit: int = -1) -> list[Record]:
        """Give the executions, newest first; -1 is no limit."""
        return self.rows("SELECT * FROM fills ORDER BY executed_at DESC, execution_id DESC LIMIT ?", limit)

    def fill(self, identifier: str) -> Record | None:
        """Find an execution without an order of ours, by its own id or the exchange's order id."""
        return self.first(
            "SELECT * FROM fills WHERE client_order_id IS NULL AND (execution_id = ?1 OR venue_order_id = ?1) "
            "ORDER BY executed_at DESC LIMIT 1",
            identifier,
        )

    def pending_transfers(self) -> list[Record]:
        """Give the transfers that were planned and have not moved."""
        return self.rows("SELECT * FROM transfers WHERE moved_at IS NULL ORDER BY planned_at, transfer_id")

    def events(self, *kinds: str, limit: int, holding: Sequence[str] = ()) -> list[Record]:
        """Give the newest journal rows of some kinds (none: all), newest first, their fields read.

        `holding`: texts that must all stand in the canonical body; a quick first sieve. Archived rows are not seen.
        """
        values = (json.dumps(kinds), json.dumps(holding), limit)
        return [_entry(row) for row in self.rows(_EVENTS_OF_KINDS if kinds else _EVENTS, *values)]

    def events_after(self, seq: int) -> list[Record]:
        """Give the journal rows after `seq`, oldest first."""
        rows = self.rows("SELECT seq, at, kind, body, hash FROM journal WHERE seq > ? ORDER BY seq", seq)
        return [_entry(row) for row in rows]

    def checkpoints(self) -> list[Record]:
        """Give the archived segments: their rows, file names and times."""
        return self.rows("SELECT first_seq, seq, at, segment FROM checkpoints ORDER BY seq")


def last_closes(path: Path, wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], tuple[int, Decimal]]:
    """Read the newest bar of each (market, symbol) from the daemon's file of bars: opening hour and close, USDT.

    What has no bar is left out; without a file nothing is known. Raises StorageError.
    """
    if not path.is_file():
        return {}
    sql = "SELECT open_h, close FROM bars WHERE market = ? AND symbol = ? ORDER BY open_h DESC LIMIT 1"
    found = {}
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
            for key in wanted:
                row = connection.execute(sql, key).fetchone()
                if row is not None:
                    found[key] = (int(row[0]), exact_from_float(row[1], where=path.name))
    except sqlite3.DatabaseError as problem:
        raise StorageError(
            f"the file of bars cannot be read: {problem}",
            where=str(path),
            mend="stop the daemon and delete it: bars are read again from the exchange",
        ) from problem
    return found


@contextmanager
def open_view(path: Path) -> Iterator[View]:
    """Open a database for reading only, beside a running daemon or without one, and take no lock of the daemon's.

    Raises StorageError, or SchemaError where it is not a database of this program.
    """
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
            connection.isolation_level = None
            connection.execute("PRAGMA query_only=ON")
            connection.execute("BEGIN")
            _require_ours(connection, path)
            yield View(connection)
    except sqlite3.DatabaseError as problem:
        raise StorageError(
            f"the database cannot be read: {problem}",
            where=str(path),
            mend="look as the user the daemon runs as; if that is so, check the file with `eternal journal verify`",
        ) from problem


def _require_ours(connection: sqlite3.Connection, path: Path) -> None:
    found = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if found <= {"alembic_version"}:
        raise DataError(
            "the database has no tables yet: its daemon has only just begun",
            where=str(path),
            mend="look again in a moment",
        )
    missing = sorted({"journal", "orders", "books", "runs", "engine_states", "equity_marks"} - found)
    if missing:
        raise SchemaError(
            f"this is not a database of the daemon: table {missing[0]} is missing",
            where=str(path),
            mend="name the --state-dir of the daemon",
        )


def _entry(row: Record) -> Record:
    body: Mapping[str, Any] = json.loads(row["body"])
    return {"seq": row["seq"], "at": row["at"], "kind": row["kind"], "hash": row["hash"], "body": body}
