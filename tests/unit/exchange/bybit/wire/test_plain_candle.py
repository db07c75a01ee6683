"""A candle row read at once is the candle that the table reads, and an odd row is left to the table."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eternal_engine.exchange.bybit import wire
from eternal_engine.exchange.bybit.wire import market
from eternal_engine.model.errors import BadReply

NOW_MS = 1_700_003_600_000
PLAIN = ["1700000000000", "100.5", "101", "99.25", "100", "12.30", "0"]
ODD: tuple[tuple[int, object], ...] = (
    (0, "1700000000"),
    (0, "9999999999999"),
    (0, 1_700_000_000_000),
    (1, "1e2"),
    (1, "-100.5"),
    (1, "٣"),
    (1, ""),
    (2, "99"),
    (3, "102"),
    (3, "0"),
    (4, "98"),
    (4, None),
    (5, "-1"),
    (5, "1,2"),
    (6, "NaN"),
    (6, " 1"),
)


def outcome(row: object) -> object:
    try:
        return market.parse_kline(row, "spot", "BTCUSDT", "60", NOW_MS)
    except BadReply as error:
        return str(error)


def both(monkeypatch: pytest.MonkeyPatch, row: object) -> tuple[object, object]:
    quick = outcome(row)
    with monkeypatch.context() as patch:
        patch.setattr(market, "_plain_candle", lambda *_: None)
        return quick, outcome(row)


@pytest.mark.parametrize(("place", "value"), ODD)
def test_an_odd_row_is_judged_by_the_table(monkeypatch: pytest.MonkeyPatch, place: int, value: object) -> None:
    row: list[object] = [*PLAIN[:place], value, *PLAIN[place + 1 :]]
    assert market._plain_candle(row, "spot", "BTCUSDT", "60", NOW_MS) is None
    quick, by_table = both(monkeypatch, row)
    assert quick == by_table


@pytest.mark.parametrize("row", [PLAIN[:6], [*PLAIN, "1"], {"list": 1}, None])
def test_what_is_no_row_is_judged_by_the_table(monkeypatch: pytest.MonkeyPatch, row: object) -> None:
    quick, by_table = both(monkeypatch, row)
    assert quick == by_table
    assert isinstance(quick, str)


@pytest.mark.parametrize(("now_ms", "closed"), [(NOW_MS - 1, False), (NOW_MS, True)])
def test_u_2_a_plain_candle_is_closed_at_its_end(now_ms: int, closed: bool) -> None:
    assert wire.parse_kline(PLAIN, "linear", "BTCUSDT", "60", now_ms).closed is closed


AMOUNTS = st.decimals("0.00000001", "99999999", places=8).map(lambda value: format(value, "f"))


@given(prices=st.lists(AMOUNTS, min_size=4, max_size=4), amounts=st.lists(AMOUNTS, min_size=2, max_size=2))
def test_a_plain_row_is_what_the_table_makes_of_it(prices: list[str], amounts: list[str]) -> None:
    low, open_, close, high = sorted(prices, key=float)
    row = [PLAIN[0], open_, high, low, close, *amounts]
    quick = market._plain_candle(row, "spot", "BTCUSDT", "60", NOW_MS)
    values = dict(zip(market._KLINE_KEYS, row, strict=True))
    more = {"start": int(row[0]), "category": "spot", "symbol": "BTCUSDT", "interval": "60", "confirm": True}
    assert quick == market.CANDLE.parse({**values, **more})
    assert all(before <= after for before, after in pairwise((quick.low, quick.open, quick.high)) if quick)
