"""Bars and tickers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from eternal_engine.model.errors import DataError
from eternal_engine.model.ids import Symbol
from eternal_engine.model.instrument import Market
from eternal_engine.model.market import Bar, Ticker

OPEN = datetime(2024, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def a_bar(o: str = "100", h: str = "110", low: str = "90", c: str = "105", volume: str = "1") -> Bar:
    prices = (Decimal(o), Decimal(h), Decimal(low), Decimal(c))
    return Bar(Symbol("BTCUSDT"), Market.SPOT, OPEN, HOUR, *prices, Decimal(volume))


def test_u2_a_bar_is_usable_from_its_close_on() -> None:
    bar = a_bar()
    assert bar.close_time == OPEN + HOUR
    assert not bar.is_closed(OPEN + HOUR - timedelta(milliseconds=1))
    assert bar.is_closed(OPEN + HOUR)
    assert bar.is_closed(OPEN + 2 * HOUR)


@pytest.mark.parametrize(
    "crooked",
    [
        {"h": "104"},
        {"h": "99", "c": "98"},
        {"low": "101"},
        {"low": "0"},
        {"low": "-1"},
        {"volume": "-1"},
        {"o": "89"},
        {"c": "111"},
    ],
)
def test_a_crooked_bar_is_refused_naming_it(crooked: dict[str, str]) -> None:
    with pytest.raises(DataError, match=r"bar prices do not fit.*spot BTCUSDT 2024-01-01T00:00:00\+00:00"):
        a_bar(**crooked)


def test_a_flat_bar_without_volume_is_fine() -> None:
    assert a_bar("100", "100", "100", "100", "0").close == 100


def test_u6_a_ticker_says_none_for_what_it_does_not_know() -> None:
    ticker = Ticker(Symbol("BTCUSDT"), Market.SPOT, OPEN, Decimal(1))
    assert (ticker.mark, ticker.index, ticker.bid, ticker.ask, ticker.funding_rate) == (None,) * 5
