"""Tell who holds a database's lock without touching it: a look must never make a starting daemon refuse."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

_KERNEL_LIST = Path("/proc/locks")
# The kernel gives its list a page at a time, each whole in itself; a lock that ends between two pages hides another.
_PAGE_CHARS = 3_500
_LOOKS = 10


def lock_holder(database: Path, locks: Path = _KERNEL_LIST) -> int | None:
    """Give the process that holds a database's lock, None when nobody does.

    The kernel's list of locks is read where there is one, again when it is long and the lock is not in it. Without a
    list the lock is tried, shared and for a moment.
    """
    path = database.with_name(database.name + ".lock")
    try:
        found = path.stat()
        written = path.read_text(encoding="ascii", errors="replace").strip()
    except FileNotFoundError:
        return None
    if not locks.is_file():
        return _by_trying(path, written)
    device = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}"
    for _ in range(_LOOKS):
        listed = _read(locks)
        holder = _from_list(listed, device, str(found.st_ino), written)
        if holder is not None or len(listed) < _PAGE_CHARS:
            return holder
    return None


def _read(locks: Path) -> str:
    return locks.read_text(encoding="ascii", errors="replace")


def _from_list(listed: str, device: str, inode: str, written: str) -> int | None:
    """Find the lock by its file; layered file systems name another device, then the process must be the one noted."""
    for line in listed.splitlines():
        words = line.split()  # 3: FLOCK  ADVISORY  WRITE 4004 fe:00:2236469 0 EOF
        if len(words) < 6 or words[1] != "FLOCK":
            continue
        process, (here, _, number) = words[4], words[5].rpartition(":")
        if number == inode and (here == device or process == written):
            return int(process)
    return None


def _by_trying(path: Path, written: str) -> int | None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return int(written) if written.isdecimal() else 0
    finally:
        os.close(fd)
    return None
