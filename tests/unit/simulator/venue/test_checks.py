"""What the venue refuses, in the exchange's codes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from eternal_engine.simulator.venue import VenueReject


@pytest.mark.parametrize(
    ("code", "side", "qty", "price", "more"),
    [
        (170121, "Buy", "10", None, {"symbol": "NOPEUSDT"}),
        (170140, "Buy", "4.99", None, {}),
        (170148, "Buy", "10.00000001", None, {}),
        (170131, "Buy", "100000.1", None, {}),
        (170131, "Sell", "0.1", None, {}),
        (170137, "Buy", "0.0000001", "40000", {}),
        (170134, "Buy", "0.001", "40000.05", {}),
        (170140, "Buy", "0.0001", "40000", {}),
        (170381, "Buy", "84", "40000", {}),
        (170130, "Buy", "0", None, {}),
        (170157, "Buy", "10", None, {"symbol": "SOLUSDT"}),
        (10001, "Buy", "10", None, {"link_id": "x" * 37}),
        (10001, "Buy", "10", None, {"link_id": "a b"}),
    ],
)
def test_a_bad_spot_order_is_refused(desk: Any, code: int, side: str, qty: str, price: str | None, more: Any) -> None:
    desk.refuse(code, "spot", side, qty, price, **more)
    assert desk.venue.state.counter == 1  # the deposit alone: a refusal leaves no trace


@pytest.mark.parametrize(
    ("code", "side", "qty", "price", "more"),
    [
        (10001, "Buy", "1", None, {"symbol": "NOPEUSDT"}),
        (10001, "Buy", "0.0005", None, {}),
        (10001, "Buy", "0.0015", None, {}),
        (10001, "Buy", "120", None, {}),
        (10001, "Buy", "0.01", "40000.05", {}),
        (110094, "Buy", "0.001", "4000", {}),
        (110007, "Buy", "26", None, {}),
        (110017, "Sell", "0.1", None, {"reduce_only": True}),
        (10001, "Buy", "0.1", None, {"position_idx": 1}),
        (110092, "Buy", "0.1", None, {"trigger_price": "39000", "trigger_direction": 1}),
        (110093, "Buy", "0.1", None, {"trigger_price": "41000", "trigger_direction": 2}),
        (10001, "Buy", "0.1", None, {"trigger_price": "41000"}),
        (110066, "Buy", "1", None, {"symbol": "SOLUSDT"}),
    ],
)
def test_a_bad_linear_order_is_refused(desk: Any, code: int, side: str, qty: str, price: str | None, more: Any) -> None:
    desk.refuse(code, "linear", side, qty, price, **more)
    assert desk.venue.state.counter == 1


def test_the_texts_are_those_recorded(desk: Any) -> None:
    assert desk.refuse(170140, "spot", "Buy", "4.99") == "Order value exceeded lower limit."
    assert desk.refuse(170131, "spot", "Sell", "1") == "Insufficient balance."
    assert desk.refuse(110007, "linear", "Buy", "26") == "ab not enough for new order"
    assert "max_qty:119" in desk.refuse(10001, "linear", "Buy", "120")
    assert "cannot fix reduce-only" in desk.refuse(110017, "linear", "Sell", "0.1", reduce_only=True)
    desk.order("linear", "Buy", "0.1")
    assert "same side" in desk.refuse(110017, "linear", "Buy", "0.1", reduce_only=True)


@pytest.mark.parametrize(("category", "code"), [("spot", 170141), ("linear", 110072)])
def test_an_order_id_of_the_client_works_once(desk: Any, category: str, code: int) -> None:
    qty = "1000" if category == "spot" else "0.1"
    desk.order(category, "Buy", qty, link_id="once")
    before = desk.usdt
    desk.refuse(code, category, "Buy", qty, link_id="once")
    assert desk.usdt == before


def test_an_order_id_of_the_client_is_unique_across_categories(desk: Any) -> None:
    desk.order("spot", "Buy", "1000", link_id="shared")
    desk.refuse(110072, "linear", "Buy", "0.1", link_id="shared")


def test_the_eleventh_conditional_order_of_a_symbol_is_refused(desk: Any) -> None:
    for number in range(10):
        desk.order("linear", "Buy", "0.01", trigger_price=str(41000 + number), trigger_direction=1)
    desk.refuse(110009, "linear", "Buy", "0.01", trigger_price="42000", trigger_direction=1)


def test_the_501st_open_spot_order_is_refused(desk: Any) -> None:
    for _ in range(500):
        desk.order("spot", "Buy", "0.001", "30000")
    desk.refuse(170810, "spot", "Buy", "0.001", "30000")


def test_a_closed_market_refuses_in_its_own_words(desk: Any) -> None:
    desk.venue.set_status("spot", "BTCUSDT", "PreLaunch")
    desk.venue.set_status("linear", "BTCUSDT", "PreLaunch")
    desk.refuse(170151, "spot", "Buy", "10")
    desk.refuse(110074, "linear", "Buy", "0.1")
    desk.venue.set_status("linear", "BTCUSDT", "Delivering")
    desk.refuse(30228, "linear", "Buy", "0.1")


def test_a_read_only_key_cannot_trade(desk: Any) -> None:
    desk.venue.state.accounts[desk.uid].read_only = True
    desk.refuse(10005, "spot", "Buy", "10")


def test_resting_orders_reserve_margin_so_that_it_cannot_be_promised_twice(desk: Any) -> None:
    desk.order("linear", "Buy", "20", "39000")
    assert desk.venue.margin(desk.uid).order_im > 78000
    desk.refuse(110007, "linear", "Buy", "10", "39000")
    desk.refuse(170131, "spot", "Buy", "50000")


def test_leverage_lowers_the_margin_an_order_needs(desk: Any) -> None:
    desk.venue.set_leverage(desk.uid, "BTCUSDT", Decimal(2))
    desk.refuse(110007, "linear", "Buy", "5")
    desk.venue.set_leverage(desk.uid, "BTCUSDT", Decimal(20))
    desk.order("linear", "Buy", "5")


@pytest.mark.parametrize(("leverage", "code"), [("0.5", 110013), ("101", 110013), ("2.005", 110013)])
def test_a_leverage_out_of_range_is_refused(desk: Any, leverage: str, code: int) -> None:
    with pytest.raises(VenueReject) as caught:
        desk.venue.set_leverage(desk.uid, "BTCUSDT", Decimal(leverage))
    assert caught.value.code == code


def test_setting_what_is_set_is_refused_as_no_change(desk: Any) -> None:
    desk.venue.set_leverage(desk.uid, "BTCUSDT", Decimal(2))
    with pytest.raises(VenueReject) as caught:
        desk.venue.set_leverage(desk.uid, "BTCUSDT", Decimal(2))
    assert caught.value.code == 110043
    with pytest.raises(VenueReject) as caught:
        desk.venue.switch_mode(desk.uid, "BTCUSDT", hedge=False)
    assert caught.value.code == 110025


def test_fact_19_spot_coins_back_no_perpetual_here(open_desk: Any) -> None:
    desk = open_desk(usdt="1000")
    desk.venue.deposit(desk.uid, "BTC", Decimal(10))
    desk.refuse(110007, "linear", "Buy", "1")
    desk.order("linear", "Buy", "0.2")
    desk.bar("40000", "35000", "40000", "35000")
    assert desk.size == 0
    assert desk.venue.balance(desk.uid, "BTC") == 10
