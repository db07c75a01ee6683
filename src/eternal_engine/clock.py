"""The only reader of the wall clock: everything else is given its time as an argument or asks here."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def now() -> datetime:
    """Return the present instant as a timezone-aware UTC datetime."""
    return datetime.now(UTC)


def now_ms() -> int:
    """Return the present instant in whole milliseconds since 1970-01-01 UTC."""
    return time.time_ns() // 1_000_000


def monotonic() -> float:
    """Return seconds of a clock that never goes backwards, for measuring how long something took."""
    return time.monotonic()
