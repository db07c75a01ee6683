"""Column types that keep money exact and time unambiguous (C13, U-2, U-3)."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from sqlalchemy import Dialect, Text
from sqlalchemy.types import TypeDecorator

from eternal_engine.model.errors import StorageError
from eternal_engine.model.money import text
from eternal_engine.storage.times import read_time, time_text


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
