"""The daily fear-and-greed index (0 extreme fear, 100 extreme greed) as its publisher answers."""

from __future__ import annotations

from typing import Any, Final

from eternal_engine.market_data.history import DAY_MS
from eternal_engine.model.errors import DataError

API_URL: Final = "https://api.alternative.me"
PATH: Final = "/fng/"


def read_moods(body: Any, now_ms: int, where: str) -> dict[int, float]:
    """Read the values by day (00:00 UTC in ms), oldest first, none of the future. Raises DataError for other forms."""
    try:
        # Some early stamps carry an hour; the value is for the day.
        pairs = {int(row["timestamp"]) * 1000 // DAY_MS * DAY_MS: float(row["value"]) for row in body["data"]}
    except (TypeError, KeyError, ValueError) as error:
        raise DataError("the sentiment answer has not the known form", where=where, mend="try again later") from error
    found = {day: pairs[day] for day in sorted(pairs) if day <= now_ms}
    if not found:
        raise DataError("the sentiment answer has no values", where=where, mend="try again later")
    return found
