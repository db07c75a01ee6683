"""Write files that appear whole or not at all and outlive a power cut; say plainly why one could not be written."""

from __future__ import annotations

import errno
import os
import tempfile
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


def failure(error: OSError, where: str, kind: type[EternalError] = EternalError) -> EternalError:
    """Say what the system refused, where, and what a person can do about it."""
    return kind(error.strerror or str(error), where=where, mend=MENDS.get(error.errno, OTHERWISE))


@contextmanager
def whole_file(
    path: Path, *, must_be_new: bool = False, private: bool = False, kind: type[EternalError] = UsageError
) -> Iterator[TextIO]:
    """Open a text file that takes its name when all of it is on the disk; line ends stay as they are written.

    Bytes go into its `buffer`. Folders on the way are made; `private` lets only the owner read it. Raises UsageError
    when it must be new and is not, `kind` when it cannot be written: the old file stays, and nothing beside it.
    """
    if must_be_new and path.exists():
        raise UsageError("the file exists already", where=str(path), mend=MENDS[errno.EEXIST])
    try:
        if path.exists() and not path.is_file():
            # Nothing takes the place of /dev/stdout or of a pipe.
            with path.open("w", encoding="utf-8", newline="") as file:
                yield file
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with _partial(path) as (handle, part):
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            if not private:
                part.chmod(0o666 & ~_umask())
            part.replace(path)
            sync_directory(path.parent)
    except OSError as error:
        raise failure(error, str(path), kind) from error


def write_whole(
    path: Path, content: str | bytes, *, private: bool = False, kind: type[EternalError] = UsageError
) -> None:
    """Write a file whole: as `whole_file` does."""
    with whole_file(path, private=private, kind=kind) as file:
        file.buffer.write(content.encode() if isinstance(content, str) else content)


def sync_directory(directory: Path) -> None:
    """Put a directory's names on the disk, so that a rename survives a power cut.

    Some network file systems cannot be asked for that: they keep their own order, and no rename has failed.
    """
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


@contextmanager
def _partial(path: Path) -> Iterator[tuple[int, Path]]:
    """Make a file beside another under a name nobody else has: two writers never mix, the later one wins."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial")
    try:
        yield handle, Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _umask() -> int:
    """Tell which rights a new file does not get; the system lets one read it only by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
