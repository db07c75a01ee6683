"""The clock the daemon lives by: exchange time, which in paper trading may run fast or by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

HOUR: Final = timedelta(hours=1)
_MILLISECOND: Final = timedelta(milliseconds=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """Tell exchange time and wait in it."""

    def now(self) -> datetime:
        """Return exchange time, aware UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait so many seconds of exchange time."""
        ...

    async def sleep_until(self, at: datetime) -> None:
        """Wait until exchange time is at or past `at`."""
        ...


def hour_of(at: datetime) -> int:
    """Give the whole hours since the epoch at or before `at`."""
    return (at - _EPOCH) // HOUR


def ms_of(at: datetime) -> int:
    """Give the whole milliseconds since the epoch at or before `at`."""
    return (at - _EPOCH) // _MILLISECOND


def hour_start(hour: int) -> datetime:
    """Give the instant at which an hour since the epoch begins."""
    return _EPOCH + hour * HOUR
