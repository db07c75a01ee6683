"""Days and instants as users write them on the command line."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime

from eternal_engine.model.errors import UsageError


def parse_day(text: str, option: str) -> date:
    """Read a day written as YYYY-MM-DD, and in no other form; UsageError names the option."""
    mend = "write it as YYYY-MM-DD, such as 2024-12-31"
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        raise UsageError(f"{text!r} is not a day", where=option, mend=mend)
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is not a day: {error}", where=option, mend=mend) from None


def day_ms(text: str, option: str) -> int:
    """Give the first millisecond (UTC) of a day written as YYYY-MM-DD."""
    day = parse_day(text, option)
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000


def instant(text: str, option: str) -> datetime:
    """Give the instant of a date, with or without a time of day; UTC where no offset is written."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text!r} is no date", where=option, mend="write 2022-12-31 or 2022-12-31T06:00") from None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def is_day(text: str) -> bool:
    """Tell whether a text is a day without a time of day."""
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True
