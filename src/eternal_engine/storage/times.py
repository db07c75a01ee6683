"""Times as texts that sort (U-2)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

from eternal_engine.model.errors import StorageError

_CHARS = len("2024-01-01T00:00:00.000000Z")


def time_text(at: datetime) -> str:
    """Write an aware UTC time with microseconds, so that texts sort like times. Raises StorageError."""
    if at.tzinfo is UTC:
        return _text(at)
    if at.utcoffset() != timedelta(0):
        raise StorageError(f"{at!r} is not an aware UTC time", mend="use eternal_engine.clock")
    return _text(at.replace(tzinfo=UTC))


# The events of one hour carry the same few times.
@lru_cache(maxsize=64)
def _text(at: datetime) -> str:
    return at.isoformat(timespec="microseconds")[: _CHARS - 1] + "Z"


def read_time(written: str) -> datetime:
    """Read what `time_text` wrote. Raises StorageError."""
    if len(written) == _CHARS and written[10] == "T" and written[-1] == "Z":
        try:
            return datetime.fromisoformat(written[:-1]).replace(tzinfo=UTC)
        except ValueError:
            pass
    raise StorageError(f"{written!r} is not a stored time", mend="restore a backup")
