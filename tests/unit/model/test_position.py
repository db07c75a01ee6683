"""Fills, holdings and perp positions."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from builders import a_fill
from eternal_engine.model.errors import ModelError
from eternal_engine.model.fill import Fill
from eternal_engine.model.ids import Symbol
from eternal_engine.model.position import PerpPosition, PositionSide, SpotHolding

D = Decimal
AT = datetime(2024, 1, 1, tzinfo=UTC)
BTC = Symbol("BTCUSDT")


def test_d8_a_short_added_to_has_the_mean_entry() -> None:
    short = PerpPosition(BTC, D(-2), D(-210), D(0), D(0), AT)
    assert (short.side, short.average_price) == (PositionSide.SHORT, 105)
    assert short.unrealised_usdt(D(100)) == 10
    assert short.notional_usdt(D(100)) == 200
    long = PerpPosition(BTC, D(1), D(100), D(0), D(0), AT)
    assert (long.side, long.unrealised_usdt(D(90))) == (PositionSide.LONG, -10)


def test_a_holding_knows_its_average_value_and_dust() -> None:
    holding = SpotHolding(BTC, D("0.5"), D(35_000), D(0), AT)
    assert (holding.average_price, holding.value_usdt(D(80_000))) == (70_000, 40_000)
    assert not holding.is_dust(D(2))
    assert holding.is_dust(D("1.99"))


@pytest.mark.parametrize(("qty", "price"), [("0", "1"), ("-1", "1"), ("1", "0"), ("1", "-1")])
def test_a_fill_needs_a_quantity_and_a_price(qty: str, price: str) -> None:
    with pytest.raises(ModelError, match=r"above zero.*execution e9\); to mend: filter"):
        a_fill("e9", qty=qty, price=price)


def test_a_fills_value_is_exact() -> None:
    fill: Fill = a_fill(qty="0.0702278571", price="70000.123456789")
    assert fill.value_usdt == D("0.0702278571") * D("70000.123456789")
