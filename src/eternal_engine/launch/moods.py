"""Where the fear-and-greed index comes from over the wire: its publisher, or the embedded exchange (TACT-E2)."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import numpy as np

from eternal_engine import clock
from eternal_engine.market_data.history import DAY_MS, HOUR_MS
from eternal_engine.market_data.mood_answer import API_URL, PATH, read_moods
from eternal_engine.model.errors import DataError
from eternal_engine.portfolio.features import Moods

TIMEOUT_S: Final = 5.0
# More than any age the trigger allows.
DAYS_ASKED: Final = 30
MOST_BYTES: Final = 1_000_000

MoodSource = Callable[[int], Awaitable[Moods]]


async def no_moods(_: int) -> Moods:
    """Give nothing: the trigger is off, so nobody is asked."""
    return moods_of({}, 0)


def moods_of(values: Mapping[int, float], end_h: int) -> Moods:
    """Give the values of the days that have begun by hour `end_h`, oldest first."""
    days = sorted(day for day in values if day <= end_h * HOUR_MS)
    return Moods(np.array(days, np.int64), np.array([values[day] for day in days], np.float64))


async def ask_publisher(url: str = API_URL, timeout_s: float = TIMEOUT_S) -> dict[int, float]:
    """Ask for the newest values, by day. Raises DataError when none come in time or in the known form."""
    # Seldom used, and costly to import at every start.
    import aiohttp

    where = f"{url.rstrip('/')}{PATH}"
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=timeout_s)) as session,
            session.get(where, params={"limit": str(DAYS_ASKED), "format": "json"}) as reply,
        ):
            reply.raise_for_status()
            if (reply.content_length or 0) > MOST_BYTES:
                raise DataError("the sentiment answer is far too long", where=where, mend="try again later")
            body = await reply.json(content_type=None)
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        what = f"the fear-and-greed index cannot be read: {type(error).__name__} {error}".rstrip()
        raise DataError(what, where=where, mend="nothing: the trigger rests, and it is asked again") from error
    found = read_moods(body, clock.now_ms(), where)
    return {day: value for day, value in found.items() if math.isfinite(value)}


class PublishedMoods:
    """Give the published index, asked for once a day; while it does not come, what is known gets older.

    Values older than the rule allows leave the trigger idle, so nothing is made up here. `say` hears of each failure.
    """

    def __init__(
        self, say: Callable[[str], None], ask: Callable[[], Awaitable[dict[int, float]]] = ask_publisher
    ) -> None:
        self._say = say
        self._ask = ask
        self._known: dict[int, float] = {}

    async def __call__(self, end_h: int) -> Moods:
        """Give the values of the days that have begun by hour `end_h`."""
        # What a day's close needs is the value of that day, published at its beginning.
        needed = (end_h * HOUR_MS - 1) // DAY_MS * DAY_MS
        if needed not in self._known:
            try:
                self._known |= await self._ask()
            except DataError as problem:
                self._say(f"{problem.message} ({problem.where}); the trigger on fear rests without it")
        return moods_of(self._known, end_h)
