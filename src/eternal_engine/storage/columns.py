"""Column types that keep money exact and time unambiguous (C13, U-2, U-3)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from sqlalchemy import Dialect, Text
from sqlalchemy.types import TypeDecorator

from eternal_engine.model.errors import StorageError
from eternal_engine.model.money import text

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


class ExactDecimal(TypeDecorator[Decimal]):
    """Store a Decimal as text, digit for digit; anything else, a float above all, is refused."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - the signature is SQLAlchemy's
        """Write the number."""
        if value is None:
            return None
        if not isinstance(value, Decimal) or not value.is_finite():
            raise StorageError(f"{value!r} is not a finite Decimal", mend="convert once, where the value enters")
        return text(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Decimal | None:  # noqa: ARG002 - the signature is SQLAlchemy's
        """Read the number."""
        return None if value is None else Decimal(value)


class UtcTime(TypeDecorator[datetime]):
    """Store an aware UTC time as text that sorts."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - the signature is SQLAlchemy's
        """Write the time."""
        return None if value is None else time_text(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - the signature is SQLAlchemy's
        """Read the time."""
        return None if value is None else read_time(value)
