"""Fetch the daily fear-and-greed index (0 extreme fear, 100 extreme greed) from its publisher."""

from __future__ import annotations

from typing import Any

import numpy as np
import requests

from eternal_engine import clock
from eternal_engine.market_data.checks import Rows, checked
from eternal_engine.market_data.datasets import SENTIMENT, SENTIMENT_NAME, Series
from eternal_engine.market_data.download.venue import Patience, Unreachable
from eternal_engine.market_data.mood_answer import API_URL, PATH, read_moods

SOURCE = "alternative.me fear and greed index"
_LATER = "run the same command again later"


def fetch_sentiment(*, api_url: str = "", patience: Patience | None = None) -> Series:
    """Fetch the whole index, one value a day, oldest first. Raises DataError if the publisher gives nothing usable."""
    url = (api_url or API_URL).rstrip("/") + PATH
    try:
        for attempt in (patience or Patience()).tries(_wait_after):
            with attempt:
                answer = requests.get(url, params={"limit": "0", "format": "json"}, timeout=20)
                answer.raise_for_status()
                body = answer.json()
    except requests.RequestException as error:
        raise Unreachable(f"no sentiment: {str(error)[:200]}", where=url, mend=_LATER) from error
    return _series(body, url)


def _wait_after(error: Exception) -> bool | float:
    if not isinstance(error, requests.RequestException):
        return False
    answer = error.response
    if answer is None:
        return True
    if answer.status_code == 429 and answer.headers.get("Retry-After", "").isdigit():
        return min(float(answer.headers["Retry-After"]), 300.0)
    return answer.ok or answer.status_code == 429 or answer.status_code >= 500


def _series(body: Any, url: str) -> Series:
    found = read_moods(body, clock.now_ms(), url)
    stamps, values = np.array(list(found), np.int64), np.array(list(found.values()), np.float64)
    return checked(Rows(SENTIMENT, SENTIMENT_NAME, stamps, {"value": values}, url))
