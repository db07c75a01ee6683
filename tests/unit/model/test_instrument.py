"""The instrument's steps, minimums and maximums, and the default table."""

from __future__ import annotations

from decimal import Decimal

import pytest

from eternal_engine.model.errors import DataError
from eternal_engine.model.ids import Symbol
from eternal_engine.model.instrument import BYBIT_2025, InstrumentRules, Market, Side, SizeDenial

D = Decimal
TEN = ("BTC", "ETH", "SOL", "XRP", "BNB", "DOGE", "ADA", "TRX", "AVAX", "LINK")


def spot(symbol: str = "BTCUSDT") -> InstrumentRules:
    return BYBIT_2025.rules(Symbol(symbol), Market.SPOT)


def perp(symbol: str = "BTCUSDT") -> InstrumentRules:
    return BYBIT_2025.rules(Symbol(symbol), Market.PERP)


@pytest.mark.parametrize(
    ("side", "price", "expected"),
    [
        (Side.BUY, "70000.01", "70000.1"),
        (Side.BUY, "70000.1", "70000.1"),
        (Side.SELL, "70000.19", "70000.1"),
        (Side.SELL, "70000.1", "70000.1"),
    ],
)
def test_u9_the_price_is_rounded_to_the_tick_against_us(side: Side, price: str, expected: str) -> None:
    assert spot().price_against(side, D(price)) == D(expected)


def test_u9_slippage_worsens_both_sides_before_the_tick() -> None:
    assert spot().fill_price(Side.BUY, D("70000"), D(5)) == D("70035.0")
    assert spot().fill_price(Side.SELL, D("70000"), D(5)) == D("69965.0")
    assert spot().fill_price(Side.BUY, D("70001"), D(5)) == D("70036.1")
    assert spot().fill_price(Side.SELL, D("70001"), D(5)) == D("69965.9")


def test_u9_a_quote_sized_buy_brings_whole_base_steps() -> None:
    # D18: 4,915.95 USDT at 70,000
    assert spot().coins_for(D("4915.95"), D(70_000)) == D("0.070227")
    # the recorded reference fill: 10 USDT at 32,635
    assert spot().coins_for(D(10), D("32635.00")) == D("0.000306")
    # an exact multiple stays whole
    assert spot().coins_for(D("7.0"), D(70_000)) == D("0.0001")


def test_d14_amounts_are_cut_to_the_quote_step() -> None:
    eth = spot("ETHUSDT")
    assert eth.quote_down(D("4.99999999999")) == D("4.9999999")
    assert perp().quote_down(D("4.999999999")) == D("4.999999999")


@pytest.mark.parametrize(
    ("qty", "price", "denial"),
    [
        ("0.001", "70000", None),
        ("0.0015", "70000", SizeDenial.NOT_A_STEP),
        ("0", "70000", SizeDenial.NOT_POSITIVE),
        ("-0.001", "70000", SizeDenial.NOT_POSITIVE),
        ("0.001", "5000", None),
        ("0.001", "4999.9", SizeDenial.BELOW_MIN_AMOUNT),
        ("119", "70000", None),
        ("119.001", "70000", SizeDenial.ABOVE_MAX_QTY),
    ],
)
def test_risk10_a_perp_size_is_denied_with_its_reason(qty: str, price: str, denial: SizeDenial | None) -> None:
    assert perp().size_denial(D(qty), D(price)) is denial


def test_risk10_limit_orders_have_their_own_maximum() -> None:
    assert perp().size_denial(D(1190), D(70_000), market_order=False) is None
    assert perp().size_denial(D("1190.001"), D(70_000), market_order=False) is SizeDenial.ABOVE_MAX_QTY


def test_risk10_below_the_minimum_quantity_is_named_before_the_amount() -> None:
    from dataclasses import replace

    rules = replace(perp(), min_qty=D("0.002"))
    assert rules.size_denial(D("0.001"), D(70_000)) is SizeDenial.BELOW_MIN_QTY
    assert rules.size_denial(D("0.002"), D(70_000)) is None


def test_an_unknown_maximum_does_not_limit() -> None:
    assert perp("BNBUSDT").size_denial(D(1_000_000), D(600)) is None


def test_quantities_go_down_or_up_to_the_step() -> None:
    assert perp().qty_down(D("0.0019")) == D("0.001")
    assert perp().qty_up(D("0.0011")) == D("0.002")
    assert perp().qty_up(D("0.002")) == D("0.002")


@pytest.mark.parametrize("base", TEN)
def test_the_default_table_holds_all_ten_coins_in_both_markets(base: str) -> None:
    in_spot, in_perp = spot(f"{base}USDT"), perp(f"{base}USDT")
    assert in_spot.base == in_perp.base == base
    assert in_spot.min_amount == in_perp.min_amount == 5
    assert in_spot.quote_step is not None
    assert in_perp.quote_step is None
    assert in_perp.min_qty == in_perp.qty_step
    assert in_perp.funding_interval_min == 480
    # a perp step is a whole number of spot steps, or FUNDING's two legs could never match
    assert in_perp.qty_step % in_spot.qty_step == 0


def test_the_table_is_named_and_an_unknown_symbol_is_refused_naming_it() -> None:
    assert BYBIT_2025.name == "bybit-2025"
    with pytest.raises(
        DataError, match=r"no perp instrument PEPEUSDT \(at instrument table bybit-2025\); to mend: take"
    ):
        BYBIT_2025.rules(Symbol("PEPEUSDT"), Market.PERP)


def test_sides_have_a_sign_and_an_opposite() -> None:
    assert (Side.BUY.sign, Side.SELL.sign) == (1, -1)
    assert Side.BUY.opposite is Side.SELL
    assert Side.SELL.opposite is Side.BUY
