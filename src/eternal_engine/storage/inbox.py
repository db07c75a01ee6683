"""The command inbox: a small file through which the operator's commands reach the daemon, which opens no port."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from eternal_engine.model.errors import RefusedError, StorageError
from eternal_engine.model.ids import CommandId
from eternal_engine.storage.codec import canonical
from eternal_engine.storage.times import read_time, time_text

EXPIRY = timedelta(minutes=5)
# The answer to a command that nobody took in time.
EXPIRED = "expired"
_KEPT = timedelta(days=7)
_TABLE = """
CREATE TABLE IF NOT EXISTS commands (
    id TEXT PRIMARY KEY, verb TEXT NOT NULL, arguments TEXT NOT NULL, left_at TEXT NOT NULL, expires_at TEXT NOT NULL,
    answer TEXT, accepted INTEGER, answered_at TEXT
) STRICT
"""


@dataclass(frozen=True, slots=True)
class Command:
    """Hold one command as it was left."""

    id: CommandId
    verb: str
    arguments: Mapping[str, str]
    left_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Answer:
    """Hold the daemon's answer."""

    text: str
    accepted: bool
    answered_at: datetime


class Inbox:
    """Read and write the inbox file. Every call is one short blocking transaction: a daemon makes it in a thread.

    That a command is applied once is the journal's doing: the daemon journals CommandApplied with the command's id,
    and a second event with the same id is not new. The inbox only carries.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def leave(self, verb: str, arguments: Mapping[str, str], now: datetime) -> CommandId:
        """Leave a command that expires after five minutes; give its id to wait for the answer."""
        identifier = CommandId(str(uuid.uuid4()))
        row = (identifier, verb, canonical(dict(arguments)), time_text(now), time_text(now + EXPIRY))
        with self._open() as connection:
            connection.execute(
                "INSERT INTO commands (id, verb, arguments, left_at, expires_at) VALUES (?, ?, ?, ?, ?)", row
            )
        return identifier

    def unanswered(self, now: datetime) -> tuple[Command, ...]:
        """Give the commands without an answer, oldest first, and forget answers of more than a week ago.

        Expired ones are among them: only the journal knows whether one was applied before a daemon died. A command
        left in the future (a clock that was set back) is, too: its expiry bounds it.
        """
        with self._open() as connection:
            connection.execute("DELETE FROM commands WHERE answered_at < ?", (time_text(now - _KEPT),))
            rows = connection.execute(
                "SELECT id, verb, arguments, left_at, expires_at FROM commands WHERE answer IS NULL "
                "ORDER BY left_at, rowid"
            ).fetchall()
        return tuple(
            Command(CommandId(i), verb, json.loads(arguments), read_time(left), read_time(expires))
            for i, verb, arguments, left, expires in rows
        )

    def answer(self, identifier: CommandId, text: str, *, accepted: bool, now: datetime) -> None:
        """Leave the answer to a command; the first answer stays."""
        with self._open() as connection:
            connection.execute(
                "UPDATE commands SET answer = ?, accepted = ?, answered_at = ? WHERE id = ? AND answer IS NULL",
                (text, int(accepted), time_text(now), identifier),
            )

    def read_answer(self, identifier: CommandId) -> Answer | None:
        """Read the answer to a command, None while there is none."""
        with self._open() as connection:
            row = connection.execute(
                "SELECT answer, accepted, answered_at FROM commands WHERE id = ?", (identifier,)
            ).fetchone()
        return None if row is None or row[0] is None else Answer(row[0], bool(row[1]), read_time(row[2]))

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Open one transaction on a file that only its owner can read or write, or raise RefusedError."""
        self._guard()
        try:
            with closing(sqlite3.connect(self.path, timeout=5, isolation_level=None)) as connection:
                connection.execute("PRAGMA synchronous=FULL")
                connection.execute("BEGIN IMMEDIATE")
                connection.execute(_TABLE)
                yield connection
                connection.execute("COMMIT")
        except sqlite3.Error as problem:
            raise StorageError(
                f"the command inbox failed: {problem}", where=str(self.path), mend="delete the file and try again"
            ) from problem

    def _guard(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            found = os.fstat(fd)
        finally:
            os.close(fd)
        if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
            raise RefusedError(
                "others can write commands into the inbox",
                where=str(self.path),
                mend=f"chmod 600 {self.path}, and let the daemon and the operator be the same user",
            )
