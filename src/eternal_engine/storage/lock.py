"""One daemon per database (ORD-8): a lock that the kernel frees when its holder dies, however it dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from eternal_engine.model.errors import LockHeld
from eternal_engine.model.rule import Rule

RULES: tuple[Rule, ...] = (
    Rule(
        "ORD-8",
        "One daemon per database: the second refuses to start and names the process that holds the lock.",
        ("paths.state_dir",),
        ("tests/unit/storage/test_lock.py::test_ord8_a_second_process_is_refused_naming_the_first",),
    ),
)


class DatabaseLock:
    """Hold an exclusive lock on `<database>.lock` while open. Raises LockHeld if another process has it."""

    def __init__(self, database: Path) -> None:
        self.path = database.with_name(database.name + ".lock")
        self._fd: int | None = None

    def acquire(self) -> None:
        """Take the lock, or raise LockHeld at once."""
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(fd, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(fd)
            raise LockHeld(
                f"another daemon (process {holder}) uses this database",
                where=str(self.path),
                mend="stop it first, or give this one another --state-dir",
            ) from None
        os.ftruncate(fd, 0)
        os.write(fd, f"{os.getpid()}\n".encode("ascii"))
        self._fd = fd

    def release(self) -> None:
        """Give the lock back; the file stays, because deleting it could free a lock that somebody else took."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
