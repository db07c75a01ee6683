"""Times as texts that sort (U-2)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from eternal_engine.model.errors import StorageError

_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"


def time_text(at: datetime) -> str:
    """Write an aware UTC time with microseconds, so that texts sort like times. Raises StorageError."""
    if at.utcoffset() != timedelta(0):
        raise StorageError(f"{at!r} is not an aware UTC time", mend="use eternal_engine.clock")
    return at.strftime(_FORMAT)


def read_time(written: str) -> datetime:
    """Read what `time_text` wrote. Raises StorageError."""
    try:
        return datetime.strptime(written, _FORMAT).replace(tzinfo=UTC)
    except ValueError:
        raise StorageError(f"{written!r} is not a stored time", mend="restore a backup") from None
