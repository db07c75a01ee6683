"""Write a file that appears whole or not at all, and say plainly why it could not be written."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TextIO

from eternal_engine.model.errors import EternalError, UsageError

OTHERWISE: Final = "check that the file or directory exists and may be used"
_NO_RIGHT: Final = "let it belong to this user, or name another place"
_NO_ROOM: Final = "free some space on the disk, or name another place"
MENDS: Final[dict[int | None, str]] = {
    errno.EACCES: _NO_RIGHT,
    errno.EPERM: _NO_RIGHT,
    errno.EROFS: _NO_RIGHT,
    errno.ENOSPC: _NO_ROOM,
    errno.EDQUOT: _NO_ROOM,
    errno.EEXIST: "name another file, or remove this one",
    errno.EISDIR: "name a file, not a directory",
    errno.ENOTDIR: "name a place below a directory",
}


def failure(error: OSError, where: str) -> EternalError:
    """Say what the system refused, where, and what a person can do about it."""
    return EternalError(error.strerror or str(error), where=where, mend=MENDS.get(error.errno, OTHERWISE))


@contextmanager
def whole_file(path: Path, *, must_be_new: bool = False) -> Iterator[TextIO]:
    """Open a text file that takes its name when all of it is on the disk; line ends stay as they are written.

    Raises UsageError when it must be new and is not, EternalError when it cannot be written: nothing is left then.
    """
    if must_be_new and path.exists():
        raise UsageError("the file exists already", where=str(path), mend=MENDS[errno.EEXIST])
    is_device = path.exists() and not path.is_file()
    # Nothing takes the place of /dev/stdout or of a pipe.
    part = path if is_device else path.with_name(f"{path.name}.partial")
    try:
        with part.open("w", encoding="utf-8", newline="") as file:
            yield file
        if not is_device:
            part.replace(path)
    except OSError as error:
        raise failure(error, str(path)) from error
    finally:
        if not is_device:
            part.unlink(missing_ok=True)
