"""The arming of live trading: a record that binds real money to accounts, configuration, cap, machine and database.

Pure but for `read` and `save`: `verify` compares a record with the facts and lists every reason why it does not hold.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final

from eternal_engine.files import write_whole
from eternal_engine.model.errors import EternalError, RefusedError
from eternal_engine.model.rule import Rule

RULES: tuple[Rule, ...] = (
    Rule(
        "RISK-13",
        "Live trading needs an arming record bound to the accounts, the configuration, a capital cap, the machine and "
        "the database; expired or void, it stops entries while exits and stops go on.",
        ("daemon.arming_days",),
        (
            "tests/unit/launch/test_arming.py::test_risk_13_any_change_voids_the_arming_and_is_named",
            "tests/unit/launch/test_arming.py::test_risk_13_an_arming_that_ends_while_running_stops_entries",
        ),
    ),
)

VERSION: Final = 2
NEVER_ARMED: Final = "live trading was never armed here, or the arming was revoked"
MACHINE_ID: Final = Path("/etc/machine-id")


@dataclass(frozen=True, slots=True)
class Facts:
    """Hold what an arming is bound to: account uids by engine, configuration hash, machine, database."""

    accounts: Mapping[str, str]
    config_hash: str
    machine_id: str
    database_id: str


@dataclass(frozen=True, slots=True)
class Arming:
    """Hold one record: the facts it is bound to, the most exposure it allows in USDT, and its time."""

    facts: Facts
    cap_usdt: Decimal
    created_at: datetime
    expires_at: datetime


def arm(facts: Facts, cap_usdt: Decimal, now: datetime, days: int) -> Arming:
    """Make a record; it holds for `days` days."""
    return Arming(facts, cap_usdt, now, now + timedelta(days=days))


def verify(record: Arming | None, facts: Facts, now: datetime) -> tuple[str, ...]:
    """List every reason why a record does not allow live trading; none means armed."""
    if record is None:
        return (NEVER_ARMED,)
    bound = record.facts
    reasons = []
    if now >= record.expires_at:
        reasons.append(f"the arming expired at {record.expires_at:%Y-%m-%d %H:%M} UTC")
    if now < record.created_at:
        reasons.append(f"the arming begins in the future, at {record.created_at:%Y-%m-%d %H:%M} UTC: look at the clock")
    if bound.accounts != facts.accounts:
        changed = sorted(
            name for name in {*bound.accounts, *facts.accounts} if bound.accounts.get(name) != facts.accounts.get(name)
        )
        reasons.append(f"the account of {', '.join(changed)} is another one")
    if bound.config_hash != facts.config_hash:
        reasons.append(f"the configuration changed ({bound.config_hash[:12]} was armed, {facts.config_hash[:12]} is)")
    if bound.machine_id != facts.machine_id:
        reasons.append("this is another machine")
    if bound.database_id != facts.database_id:
        reasons.append("the database is another one, or was restored")
    return tuple(reasons)


def save(path: Path, record: Arming) -> None:
    """Store a record (mode 0600), whole or not at all."""
    facts = record.facts
    document: dict[str, Any] = {
        "version": VERSION,
        "accounts": dict(sorted(facts.accounts.items())),
        "config_hash": facts.config_hash,
        "cap_usdt": str(record.cap_usdt),
        "machine_id": facts.machine_id,
        "database_id": facts.database_id,
        "created_at": record.created_at.isoformat(),
        "expires_at": record.expires_at.isoformat(),
    }
    document["seal"] = _seal(document)
    write_whole(path, json.dumps(document, indent=2) + "\n", private=True, kind=EternalError)


def _seal(document: Mapping[str, Any]) -> str:
    """Bind the parts of a record together: a cap or an end that was edited by hand was confirmed by nobody."""
    parts = {name: value for name, value in document.items() if name != "seal"}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def read(path: Path) -> Arming | None:
    """Read a record, None where there is none. Raises RefusedError for one that others can write or nobody can read."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _refused(path, error.strerror or str(error)) from error
    with os.fdopen(handle, encoding="utf-8") as file:
        found = os.fstat(handle)
        if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
            raise _refused(path, "others can read or write it")
        try:
            return _read_document(json.load(file))
        except (AttributeError, KeyError, TypeError, ValueError, InvalidOperation) as error:
            why = str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"
            raise _refused(path, why) from error


def revoke(path: Path) -> bool:
    """Take a record away; tell whether there was one. A running daemon makes no entries from the next decision on."""
    was_there = path.exists()
    path.unlink(missing_ok=True)
    return was_there


class Armed:
    """Answer whether entries are allowed now, reading the record anew whenever its file changes.

    So `eternal arm --revoke` and a new arming take effect in a running daemon. `facts` are what the record must be
    bound to; a changed configuration that was armed brings new ones.
    """

    def __init__(self, path: Path, facts: Facts) -> None:
        self._path = path
        self.facts = facts
        self._stamp: tuple[int, int, int] | None = None
        self._record: Arming | None = None
        self._problem = ""

    def reasons(self, now: datetime) -> tuple[str, ...]:
        """List why entries are not allowed now; none means armed."""
        self._look()
        return (self._problem,) if self._problem else verify(self._record, self.facts, now)

    def record(self) -> Arming | None:
        """Give the record as it is now, None where there is none that can be read."""
        self._look()
        return self._record

    def cap_usdt(self, now: datetime) -> Decimal:
        """Give the most exposure that is allowed now; zero where the record does not hold."""
        return Decimal(0) if self.reasons(now) or self._record is None else self._record.cap_usdt

    def __call__(self, now: datetime) -> bool:
        return not self.reasons(now)

    def _look(self) -> None:
        try:
            found = self._path.lstat()
        except FileNotFoundError:
            stamp = None
        else:
            stamp = (found.st_ino, found.st_mtime_ns, found.st_mode)
        if stamp is not None and stamp == self._stamp:
            return
        self._stamp, self._problem, self._record = stamp, "", None
        if stamp is not None:
            try:
                self._record = read(self._path)
            except RefusedError as error:
                self._problem = error.message


def machine_id(path: Path = MACHINE_ID) -> str:
    """Identify this machine by a hash of what the system calls it: its own id where there is one, else its name."""
    try:
        own = path.read_text(encoding="ascii").strip()
    except OSError:
        own = ""
    return hashlib.sha256(f"eternal-engine:{own or platform.node()}".encode()).hexdigest()[:32]


def _read_document(found: Any) -> Arming:
    if found["version"] != VERSION:
        raise ValueError(f"version {found['version']}")
    if found["seal"] != _seal(found):
        raise ValueError("it was changed after it was made")
    record = Arming(
        facts=Facts(
            accounts={str(name): str(uid) for name, uid in found["accounts"].items()},
            config_hash=str(found["config_hash"]),
            machine_id=str(found["machine_id"]),
            database_id=str(found["database_id"]),
        ),
        cap_usdt=Decimal(found["cap_usdt"]),
        created_at=_time(found["created_at"]),
        expires_at=_time(found["expires_at"]),
    )
    if not record.cap_usdt.is_finite() or record.cap_usdt <= 0:
        raise ValueError(f"a cap of {record.cap_usdt}")
    return record


def _time(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return at.astimezone(UTC)


def _refused(path: Path, problem: str) -> RefusedError:
    return RefusedError(
        f"the arming record cannot be trusted: {problem}", where=str(path), mend="arm again with `eternal arm`"
    )
