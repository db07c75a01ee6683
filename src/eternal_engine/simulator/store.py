"""The venue's own state file: every change is committed to SQLite before anyone hears of it."""

from __future__ import annotations

import fcntl
import json
import sqlite3
from collections import deque
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import IO, Any

from eternal_engine.model.errors import DataError, RefusedError, StorageError
from eternal_engine.simulator.venue import (
    Account,
    ClosedPnl,
    Execution,
    Instrument,
    LogRow,
    Order,
    Position,
    Transfer,
    Venue,
)

SCHEMA_VERSION = 1
TABLE = """
CREATE TABLE IF NOT EXISTS entity (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    doc TEXT NOT NULL,
    UNIQUE (kind, key)
)
"""
WRITE = "INSERT INTO entity (kind, key, doc) VALUES (?, ?, ?) ON CONFLICT (kind, key) DO UPDATE SET doc = excluded.doc"
# What nobody can ask for any more; the audit's sums, wallets, positions and transfers stay for ever.
HISTORY_MS = 730 * 86_400_000
FORGET = """
DELETE FROM entity WHERE
    kind IN ('execution', 'log') AND json_extract(doc, '$.time_ms') < :edge_ms
    OR kind = 'closed_pnl' AND json_extract(doc, '$.updated_ms') < :edge_ms
    OR kind = 'order' AND json_extract(doc, '$.updated_ms') < :edge_ms
        AND json_extract(doc, '$.status') NOT IN ('New', 'PartiallyFilled', 'Untriggered')
"""


class VenueStore:
    """Keep one venue in one file; one process at a time, by a lock that a killed process lets go of."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(path)
        try:
            self._db = _opened(path)
        except sqlite3.Error as error:
            self._lock.close()
            raise _damaged(path, error) from error
        except DataError:
            self._lock.close()
            raise

    def commit(self, venue: Venue, *, quiet: bool = False, **meta: Any) -> None:
        """Write what changed in one transaction; a `quiet` one writes nothing when no record changed.

        Raises StorageError when it cannot; the changes are then still waiting.
        """
        changes = venue.state.take_dirty()
        if not changes and (quiet or not meta):
            return
        rows = [(kind, key, _encode(value)) for kind, key, value in changes]
        rows += [("meta", key, _encode(value)) for key, value in meta.items()]
        try:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany(WRITE, rows)
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.rollback()
            # What was not written is still to be written: the next commit that succeeds has all of it.
            for kind, key, value in changes:
                venue.state.dirty.setdefault((kind, key), value)
            raise StorageError(
                f"the exchange cannot write its state: {error}",
                where=str(self.path),
                mend="make room on the disk; nothing is answered until it can be written",
            ) from error

    def meta(self) -> dict[str, Any]:
        """Read the loose values: the venue's time and what it was started with."""
        rows = self._db.execute("SELECT key, doc FROM entity WHERE kind = 'meta'")
        return {key: _decode(doc) for key, doc in rows}

    def load(self, venue: Venue) -> None:
        """Fill an empty venue with everything that was committed, and forget what is older than two venue years."""
        try:
            self._db.execute(FORGET, {"edge_ms": venue.state.now_ms - HISTORY_MS})
            for kind, key, doc in self._db.execute("SELECT kind, key, doc FROM entity ORDER BY number"):
                _LOADERS[kind](venue, key, _decode(doc))
        except (sqlite3.Error, KeyError, TypeError, ValueError) as error:
            raise _damaged(self.path, error) from error
        for rows in venue.state.closed.values():
            ordered = sorted(rows, key=lambda order: (order.updated_ms, order.number))
            rows.clear()
            rows.extend(ordered)
        for uid in venue.state.closed:
            venue.state.forget(uid)
        venue.state.take_dirty()
        venue.state.take_events()

    def size(self) -> dict[str, int]:
        """Count the records by kind."""
        return dict(self._db.execute("SELECT kind, count(*) FROM entity GROUP BY kind").fetchall())

    def close(self) -> None:
        """Close the file and let another process have it."""
        self._db.close()
        self._lock.close()


def _opened(path: Path) -> sqlite3.Connection:
    """Open the file, or make it; one of another program is refused before anything is written to it."""
    db = sqlite3.connect(path, isolation_level=None)
    try:
        _check_ours(db, path)
        db.execute("PRAGMA journal_mode=WAL")
        # NORMAL outlives a killed process, not a power cut: see docs/decisions/0050.
        db.execute("PRAGMA synchronous=NORMAL")
        db.execute(TABLE)
        db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    except (sqlite3.Error, DataError):
        db.close()
        raise
    return db


def _check_ours(db: sqlite3.Connection, path: Path) -> None:
    version = db.execute("PRAGMA user_version").fetchone()[0]
    names = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if names and "entity" not in names:
        raise DataError(
            "the file is a database of another program",
            where=str(path),
            mend="name another file with --state",
        )
    if version not in (0, SCHEMA_VERSION):
        raise DataError(
            f"the state file has schema {version}, this program knows {SCHEMA_VERSION}",
            where=str(path),
            mend="move the file away to start an empty exchange",
        )


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(
        f"the state file cannot be read: {type(error).__name__}: {error}",
        where=str(path),
        mend="restore it from a copy, or move it away (or use --fresh) to start an empty exchange",
    )


def wipe(path: Path) -> None:
    """Delete a state file, unless another process holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path):
        for suffix in ("", "-wal", "-shm"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)


def _locked(path: Path) -> IO[str]:
    handle = Path(f"{path}.lock").open("w", encoding="ascii")  # noqa: SIM115 - held as long as the store
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        handle.close()
        raise RefusedError(
            "another process serves this exchange already",
            where=str(path),
            mend="stop it, or name another file with --state",
        ) from error
    return handle


def _encode(value: Any) -> str:
    names = getattr(value, "__dataclass_fields__", None)
    plain = value if names is None else {name: getattr(value, name) for name in names}
    return _ENCODER.encode(plain)


def _tagged(value: object) -> dict[str, str]:
    if isinstance(value, Decimal):
        return {"$": str(value)}
    raise TypeError(f"cannot store a {type(value).__name__}")


_ENCODER = json.JSONEncoder(default=_tagged, separators=(",", ":"), check_circular=False)
_DECODER = json.JSONDecoder(object_hook=lambda found: Decimal(found["$"]) if "$" in found else found)


def _decode(doc: str) -> Any:
    return _DECODER.decode(doc)


def _load_account(venue: Venue, _key: str, doc: dict[str, Any]) -> None:
    venue.state.note_account(Account(**doc))


def _load_order(venue: Venue, _key: str, doc: dict[str, Any]) -> None:
    order = Order(**doc)
    state = venue.state
    state.orders[order.order_id] = order
    if order.link_id:
        state.links[order.uid, order.link_id] = order.order_id
    if order.is_open:
        state.open_orders.setdefault(order.uid, {})[order.order_id] = order
    else:
        state.closed.setdefault(order.uid, deque()).append(order)


def _load_execution(venue: Venue, _key: str, doc: dict[str, Any]) -> None:
    row = Execution(**doc)
    venue.state.executions.setdefault(row.uid, deque(maxlen=venue.state.config.keep_rows)).append(row)


def _load_log(venue: Venue, _key: str, doc: dict[str, Any]) -> None:
    row = LogRow(**doc)
    venue.state.logs.setdefault(row.uid, deque(maxlen=venue.state.config.keep_rows)).append(row)


def _load_position(venue: Venue, _key: str, doc: dict[str, Any]) -> None:
    row = Position(**doc)
    venue.state.positions[row.uid, row.symbol, row.idx] = row


def _load_closed_pnl(venue: Venue, key: str, doc: dict[str, Any]) -> None:
    row = ClosedPnl(**doc)
    venue.state.closed_pnl.setdefault(row.uid, {})[key] = row


def _load_transfer(venue: Venue, key: str, doc: dict[str, Any]) -> None:
    venue.state.transfers[key] = Transfer(**doc)


def _load_instrument(venue: Venue, _key: str, doc: dict[str, Any]) -> None:
    row = Instrument(**doc)
    venue.state.instruments[row.category, row.symbol] = row


def _load_balance(venue: Venue, key: str, doc: Decimal) -> None:
    holder, coin = key.split(":", 1)
    venue.state.books.balances[int(holder), coin] = doc


def _load_declared(venue: Venue, key: str, doc: Decimal) -> None:
    venue.state.books.declared[key] = doc


def _load_check(venue: Venue, key: str, doc: Decimal) -> None:
    venue.state.checks[key] = doc


def _load_meta(venue: Venue, key: str, doc: Any) -> None:
    if key == "counter":
        venue.state.counter = int(doc)


_LOADERS: dict[str, Callable[[Venue, str, Any], None]] = {
    "account": _load_account,
    "order": _load_order,
    "execution": _load_execution,
    "log": _load_log,
    "position": _load_position,
    "closed_pnl": _load_closed_pnl,
    "transfer": _load_transfer,
    "instrument": _load_instrument,
    "balance": _load_balance,
    "declared": _load_declared,
    "check": _load_check,
    "meta": _load_meta,
}
