"""Holdings, perp positions, liquidation and funding."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from builders import a_fill
from eternal_engine.model.errors import ModelError
from eternal_engine.model.fill import Fill
from eternal_engine.model.ids import Engine, Leg, RuleId, Symbol
from eternal_engine.model.instrument import Market, Side
from eternal_engine.model.position import PerpPosition, PositionSide, SpotHolding, funding_usdt, liquidation_price
from eternal_engine.model.signal import (
    BuySpot,
    HedgePair,
    MoveStop,
    OpenPair,
    OpenPerp,
    ReducePair,
    ReducePerp,
    SellSpot,
    Signal,
    is_reducing,
)

D = Decimal
AT = datetime(2024, 1, 1, tzinfo=UTC)
BTC = Symbol("BTCUSDT")


def test_g6_a_two_times_long_is_liquidated_at_20200() -> None:
    assert liquidation_price(D(40_000), PositionSide.LONG, D(2), D("0.005")) == 20_200
    assert liquidation_price(D(40_000), PositionSide.SHORT, D(2), D("0.005")) == 59_800
    with pytest.raises(ModelError, match=r"leverage 0\.5 is below 1"):
        liquidation_price(D(40_000), PositionSide.LONG, D("0.5"), D("0.005"))
    assert liquidation_price(D(40_000), PositionSide.LONG, D(1), D("0.005")) == 200


@pytest.mark.parametrize(
    ("qty", "rate", "received"),
    [("1", "0.0001", "-6.00"), ("1", "-0.0001", "6.00"), ("-0.5", "0.0001", "3.00"), ("-0.5", "-0.0001", "-3.00")],
)
def test_g5_h1_funding_is_paid_by_longs_and_received_by_shorts(qty: str, rate: str, received: str) -> None:
    assert funding_usdt(D(qty), D(60_000), D(rate)) == D(received)


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
    with pytest.raises(ModelError, match=r"above zero.*execution e9"):
        a_fill("e9", qty=qty, price=price)


def test_a_fills_value_is_exact() -> None:
    fill: Fill = a_fill(qty="0.0702278571", price="70000.123456789")
    assert fill.value_usdt == D("0.0702278571") * D("70000.123456789")


REASON = RuleId("X")
SIGNALS: list[tuple[Signal, bool]] = [
    (BuySpot(Engine.CORE_HODL, BTC, Leg.BUY, AT, D(5), D(1), REASON), False),
    (SellSpot(Engine.TACTICAL, BTC, Leg.EXIT, AT, D(5), D(1), REASON), True),
    (OpenPerp(Engine.TREND, BTC, AT, PositionSide.LONG, D(1), D(1), D(1), 30.0, REASON), False),
    (ReducePerp(Engine.TREND, BTC, Leg.EXIT, AT, PositionSide.LONG, D(1), D(1), REASON), True),
    (MoveStop(Engine.TREND, BTC, AT, PositionSide.LONG, D(1), D(1), REASON), True),
    (OpenPair(Engine.FUNDING, BTC, AT, D(1), D(1), D(1), REASON), False),
    (ReducePair(Engine.FUNDING, BTC, AT, D(1), D(1), D(1), D(1), REASON), True),
    (HedgePair(Engine.FUNDING, BTC, Leg.PERP_HEDGE, AT, Market.PERP, Side.SELL, D(1), D(1), REASON), False),
    (HedgePair(Engine.FUNDING, BTC, Leg.PERP_HEDGE, AT, Market.PERP, Side.BUY, D(1), D(1), REASON), True),
    (HedgePair(Engine.FUNDING, BTC, Leg.SPOT_HEDGE, AT, Market.SPOT, Side.BUY, D(1), D(1), REASON), False),
    (HedgePair(Engine.FUNDING, BTC, Leg.SPOT_HEDGE, AT, Market.SPOT, Side.SELL, D(1), D(1), REASON), True),
]


@pytest.mark.parametrize(("signal", "reducing"), SIGNALS)
def test_risk0_only_reducing_signals_pass_halts(signal: Signal, reducing: bool) -> None:
    assert is_reducing(signal) is reducing
