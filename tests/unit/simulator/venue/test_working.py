"""How orders are matched: prices, sizes, statuses and coins of fees."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

import pytest

from eternal_engine.simulator.venue import SPOT, Quote, VenueConfig, queries


def test_fact_1_a_quote_sized_buy_ends_partially_filled_canceled(desk: Any) -> None:
    desk.price("32618.7")
    order = desk.order("spot", "Buy", "10")
    fill = desk.fills()[-1]
    # The recorded reference fill had price 32635.00; slippage here gives 32635.1 rounded up to the tick.
    assert (order.status, order.reject_reason) == ("PartiallyFilledCanceled", "EC_CancelForNoFullFill")
    assert (fill.price, fill.qty, fill.fee, fill.fee_coin) == (
        Decimal("32635.1"),
        Decimal("0.000306"),
        Decimal("0.000000306"),
        "BTC",
    )
    assert order.leaves_value == Decimal(10) - Decimal("0.000306") * Decimal("32635.1")
    assert order.leaves_qty == 0
    assert fill.order_qty == 0


def test_fact_1_a_quote_amount_spent_to_the_last_cent_is_filled(exact_desk: Any) -> None:
    order = exact_desk.order("spot", "Buy", "4000")
    assert (order.status, order.reject_reason, order.cum_qty) == ("Filled", "EC_NoError", Decimal("0.1"))


def test_fact_2_a_spot_market_buy_is_sized_in_usdt_and_a_sell_in_coins(desk: Any) -> None:
    assert desk.order("spot", "Buy", "1000").market_unit == "quoteCoin"
    sold = desk.order("spot", "Sell", "0.01")
    assert (sold.market_unit, sold.cum_qty, sold.status) == ("baseCoin", Decimal("0.01"), "Filled")


def test_fact_3_the_buy_fee_is_taken_from_the_coin_and_leaves_dust(desk: Any) -> None:
    desk.price("32618.7")
    desk.order("spot", "Buy", "10")
    assert desk.venue.balance(desk.uid, "BTC") == Decimal("0.000305694")
    desk.refuse(170137, "spot", "Sell", "0.000305694")
    desk.order("spot", "Sell", "0.000305")
    assert desk.venue.balance(desk.uid, "BTC") == Decimal("0.000000694")


def test_fact_4_with_mnt_deduction_the_fee_is_in_mnt(desk: Any) -> None:
    desk.venue.state.accounts[desk.uid].fees_in_mnt = True
    desk.venue.set_quotes({(SPOT, "MNTUSDT"): Quote.flat(Decimal(1))})
    desk.venue.deposit(desk.uid, "MNT", Decimal(100))
    order = desk.order("spot", "Buy", "1000")
    assert set(order.fees) == {"MNT"}
    assert desk.fills()[-1].fee_coin == "MNT"
    assert desk.venue.balance(desk.uid, "BTC") == order.cum_qty
    assert desk.venue.balance(desk.uid, "MNT") == Decimal(100) - order.fees["MNT"]


@pytest.mark.parametrize(
    ("side", "price", "expected"),
    [
        ("Buy", "40000", "40020.0"),
        ("Sell", "40000", "39980.0"),
        ("Buy", "33333.3", "33350.0"),
        ("Sell", "33333.3", "33316.6"),
    ],
)
def test_u9_a_market_order_pays_5_bps_rounded_to_the_tick_against_the_taker(
    desk: Any, side: str, price: str, expected: str
) -> None:
    desk.price(price)
    desk.order("linear", side, "0.1")
    assert desk.fills()[-1].price == Decimal(expected)


def test_a_spot_sell_pays_its_fee_in_usdt(desk: Any) -> None:
    desk.order("spot", "Buy", "4002")
    before = desk.usdt
    order = desk.order("spot", "Sell", "0.05")
    assert order.fees == {"USDT": order.cum_value * Decimal("0.001")}
    assert desk.usdt == before + order.cum_value * Decimal("0.999")


def test_a_limit_order_never_pays_more_than_it_names(desk: Any) -> None:
    order = desk.order("spot", "Buy", "0.1", "40010")
    assert order.status == "Filled"
    assert desk.fills()[-1].price == Decimal(40010)
    assert not desk.fills()[-1].is_maker


def test_a_resting_limit_locks_its_funds_and_fills_as_maker_when_reached(desk: Any) -> None:
    order = desk.order("spot", "Buy", "0.1", "39000")
    assert (order.status, order.locked, desk.venue.free(desk.uid, "USDT")) == ("New", Decimal(3900), Decimal(96100))
    desk.bar("40000", "39500", "40500", "40100")
    assert order.status == "New"
    desk.bar("40100", "39000", "40500", "40100")
    assert (order.status, order.locked, desk.usdt) == ("Filled", 0, Decimal(96100))
    assert (desk.fills()[-1].price, desk.fills()[-1].is_maker) == (Decimal(39000), True)


def test_post_only_that_would_take_is_accepted_then_cancelled(desk: Any) -> None:
    order = desk.order("linear", "Buy", "0.1", "40000", time_in_force="PostOnly")
    assert (order.status, order.reject_reason) == ("Cancelled", "EC_PostOnlyWillTakeLiquidity")
    assert desk.order("linear", "Buy", "0.1", "39999", time_in_force="PostOnly").status == "New"


def test_ioc_takes_what_there_is_and_cancels_the_rest(thin_desk: Any) -> None:
    order = thin_desk.order("linear", "Buy", "0.1", "40050", time_in_force="IOC")
    assert order.status == "Cancelled"
    assert order.cum_qty == sum(fill.qty for fill in thin_desk.fills()) > 0
    assert order.reject_reason == "EC_CancelForNoFullFill"


def test_ioc_on_spot_that_partly_fills_is_partially_filled_canceled(thin_desk: Any) -> None:
    order = thin_desk.order("spot", "Buy", "0.1", "40050", time_in_force="IOC")
    assert order.status == "PartiallyFilledCanceled"
    assert order.cum_qty > 0


def test_fok_is_all_or_nothing(thin_desk: Any) -> None:
    order = thin_desk.order("linear", "Buy", "0.1", "40050", time_in_force="FOK")
    assert (order.status, order.cum_qty, order.reject_reason) == ("Cancelled", 0, "EC_NoEnoughQtyToFill")
    assert thin_desk.order("linear", "Buy", "0.02", "40050", time_in_force="FOK").status == "Filled"


def test_a_thin_book_fills_a_market_order_in_worsening_pieces(thin_desk: Any) -> None:
    order = thin_desk.order("linear", "Buy", "0.1")
    prices = [fill.price for fill in thin_desk.fills()]
    assert order.status == "Filled"
    assert len(prices) == 5
    assert prices == sorted(prices)
    assert order.avg_price == sum(fill.value for fill in thin_desk.fills()) / Decimal("0.1")


@pytest.mark.parametrize("price", ["0.3101", "0.3105", "0.1234", "0.0312"])
def test_u_9_a_tick_coarser_than_the_band_keeps_no_cheap_coin_from_trading(desk: Any, price: str) -> None:
    desk.venue.set_quotes({(SPOT, "LINKUSDT"): Quote.flat(Decimal(price))})
    bought = desk.order("spot", "Buy", "150", symbol="LINKUSDT")
    # As in the backtest: the open and the slippage, rounded to the tick of 0.01 against the buyer.
    dear = (Decimal(price) * Decimal("1.0005")).quantize(Decimal("0.01"), ROUND_CEILING)
    assert desk.fills()[-1].price == dear
    desk.order("spot", "Sell", str(bought.cum_qty // 2), symbol="LINKUSDT")
    cheap = (Decimal(price) * Decimal("0.9995")).quantize(Decimal("0.01"), ROUND_FLOOR)
    assert desk.fills()[-1].price == cheap


def test_a_market_order_stops_at_the_price_band(thin_desk: Any) -> None:
    order = thin_desk.order("spot", "Buy", "50000")
    assert order.status == "PartiallyFilledCanceled"
    assert max(fill.price for fill in thin_desk.fills()) <= Decimal(40000) * Decimal("1.005")


def test_a_market_order_with_nothing_inside_its_tolerance_is_cancelled(desk: Any) -> None:
    order = desk.order("linear", "Buy", "0.1", slippage_frac=Decimal("0.0001"))
    assert (order.status, order.cum_qty, order.reject_reason) == ("Cancelled", 0, "EC_NoImmediateQtyToFill")


def test_a_resting_order_fills_partly_in_a_thin_market(thin_desk: Any) -> None:
    order = thin_desk.order("linear", "Buy", "0.06", "39000")
    thin_desk.bar("40000", "38900", "40100", "39500")
    assert (order.status, order.cum_qty, order.leaves_qty) == ("PartiallyFilled", Decimal("0.025"), Decimal("0.035"))
    thin_desk.venue.cancel_order(thin_desk.uid, "linear", order.order_id)
    # A linear order that partly filled and was cancelled is Cancelled, with what it filled.
    assert (order.status, order.cum_qty) == ("Cancelled", Decimal("0.025"))


def test_fact_17_a_linear_limit_outside_the_band_is_moved_and_a_spot_one_refused(desk: Any) -> None:
    order = desk.order("linear", "Buy", "0.01", "50000", time_in_force="PostOnly")
    assert order.price == Decimal("40400.0")
    assert "cannot be higher" in desk.refuse(170372, "spot", "Buy", "0.01", "50000")
    assert "cannot be lower" in desk.refuse(170371, "spot", "Sell", "0.01", "30000")


def test_fact_5_acceptance_says_nothing_about_the_fate(open_desk: Any) -> None:
    late = open_desk(VenueConfig(match_delay_ms=50, visible_delay_ms=30))
    order = late.order("linear", "Buy", "0.1")
    assert order.status == "New"
    assert queries.realtime(late.venue.state, late.uid, "linear", symbol="BTCUSDT") == []
    late.venue.advance(late.venue.state.now_ms + 30)
    assert queries.realtime(late.venue.state, late.uid, "linear", symbol="BTCUSDT") == [order]
    late.venue.set_status("linear", "BTCUSDT", "PreLaunch")
    late.venue.advance(late.venue.state.now_ms + 30)
    assert (order.status, order.reject_reason) == ("Rejected", "EC_SecurityStatus")


def test_u5_an_order_for_a_silent_market_waits_for_the_next_price(desk: Any) -> None:
    desk.venue.halt("spot", "BTCUSDT")
    order = desk.order("spot", "Buy", "1000")
    desk.venue.advance(desk.venue.state.now_ms + 3_600_000)
    assert (order.status, order.cum_qty) == ("New", 0)
    desk.price("50000", category="spot")
    assert order.status == "PartiallyFilledCanceled"
    assert desk.fills()[-1].price == Decimal(50025)
