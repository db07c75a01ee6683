"""What the passing market does: stops, liquidation, funding, delisting."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest


def stop(desk: Any, side: str, qty: str, price: str, direction: int) -> Any:
    """Rest a reduce-only stop triggered by the mark price."""
    return desk.order(
        "linear",
        side,
        qty,
        trigger_price=price,
        trigger_direction=direction,
        trigger_by="MarkPrice",
        reduce_only=True,
    )


def test_trend_x2_a_long_stop_fills_at_the_stop_less_slippage(desk: Any) -> None:
    desk.order("linear", "Buy", "0.1")
    order = stop(desk, "Sell", "0.1", "38000", 2)
    desk.bar("40000", "38000.1", "40500", "39000")
    assert order.status == "Untriggered"
    desk.bar("39000", "37000", "39500", "37500")
    assert (order.status, desk.size) == ("Filled", 0)
    assert desk.fills()[-1].price == Decimal("37981.0")


def test_trend_x2_a_gap_through_the_stop_fills_at_the_open(desk: Any) -> None:
    desk.order("linear", "Buy", "0.1")
    stop(desk, "Sell", "0.1", "38000", 2)
    desk.bar("36000", "35000", "36500", "36100")
    assert desk.fills()[-1].price == Decimal("35982.0")


def test_a_short_stop_is_the_mirror_image(desk: Any) -> None:
    desk.order("linear", "Sell", "0.1")
    stop(desk, "Buy", "0.1", "42000", 1)
    desk.bar("43000", "42500", "44000", "43500")
    assert desk.fills()[-1].price == Decimal("43021.5")
    assert desk.size == 0


def test_u11_a_wick_of_the_perp_alone_does_not_trigger_a_stop(desk: Any) -> None:
    desk.order("linear", "Buy", "0.1")
    order = stop(desk, "Sell", "0.1", "38000", 2)
    desk.bar("40000", "20000", "40500", "40000", mark=("39000", "40500"))
    assert (order.status, desk.size) == ("Untriggered", Decimal("0.1"))


def test_the_stop_of_a_position_closed_otherwise_is_cancelled(desk: Any) -> None:
    desk.order("linear", "Buy", "0.1", stop_loss="38000", take_profit="44000")
    children = desk.venue.state.opens(desk.uid)
    assert {child.stop_order_type for child in children} == {"StopLoss", "TakeProfit"}
    desk.order("linear", "Sell", "0.1")
    assert {(child.status, child.cancel_type) for child in children} == {("Cancelled", "CancelByTpSlTsClear")}


def test_a_stop_larger_than_what_is_left_closes_only_what_is_left(desk: Any) -> None:
    desk.order("linear", "Buy", "0.1")
    stop(desk, "Sell", "0.1", "38000", 2)
    desk.order("linear", "Sell", "0.04")
    desk.bar("39000", "37000", "39500", "37500")
    assert desk.size == 0
    assert desk.fills()[-1].qty == Decimal("0.06")


def test_a_triggered_order_without_margin_is_rejected_after_acceptance(desk: Any) -> None:
    order = desk.order("linear", "Buy", "30", trigger_price="41000", trigger_direction=1)
    desk.bar("40000", "39900", "41500", "41200")
    assert (order.status, order.reject_reason, order.cum_qty) == ("Rejected", "EC_InsufficientBalance", 0)


def test_a_trailing_stop_follows_the_best_price(desk: Any) -> None:
    desk.order("linear", "Buy", "0.1")
    desk.venue.set_trading_stop(desk.uid, "BTCUSDT", 0, trailing_stop=Decimal(1000))
    desk.bar("40000", "39900", "42000", "41900")
    desk.bar("41900", "41100", "41950", "41500")
    assert desk.size == Decimal("0.1")
    desk.bar("41500", "40900", "41600", "41000")
    assert desk.size == 0
    assert desk.fills()[-1].price == Decimal("40979.5")


def test_g6_an_isolated_2x_long_is_liquidated_at_20200_and_loses_its_margin_at_most(exact_desk: Any) -> None:
    exact_desk.venue.set_margin_mode(exact_desk.uid, "ISOLATED_MARGIN")
    exact_desk.venue.set_leverage(exact_desk.uid, "BTCUSDT", Decimal(2))
    exact_desk.order("linear", "Buy", "1")
    after_entry = exact_desk.usdt
    exact_desk.bar("40000", "20200.1", "40000", "30000")
    assert exact_desk.size == 1
    exact_desk.bar("30000", "20200", "30000", "25000")
    assert exact_desk.size == 0
    assert exact_desk.fills()[-1].exec_type == "BustTrade"
    assert exact_desk.usdt == after_entry - 20_000


def test_fund_2_a_cross_account_is_liquidated_at_the_mark_high(open_desk: Any) -> None:
    desk = open_desk(usdt="10000")
    desk.venue.set_leverage(desk.uid, "BTCUSDT", Decimal(2))
    desk.order("linear", "Sell", "0.4")
    cash = desk.usdt
    entry = desk.fills()[-1].price
    edge = (cash + entry * Decimal("0.4")) / (Decimal("0.4") * Decimal("1.005"))
    desk.bar("40000", "39000", str((edge - 1).quantize(Decimal("0.1"))), "40000")
    assert desk.size == Decimal("-0.4")
    resting = desk.order("linear", "Buy", "0.1", "30000")
    high = (edge + 100).quantize(Decimal("0.1"))
    desk.bar("40000", "39000", str(high), "40000")
    assert (desk.size, resting.status, resting.cancel_type) == (0, "Cancelled", "CancelAllBeforeLiq")
    assert desk.fills()[-1].price == high
    assert 0 <= desk.usdt < 200
    assert desk.venue.audit() == ()


def test_a_loss_beyond_the_account_is_covered_by_the_insurance_fund(open_desk: Any) -> None:
    desk = open_desk(usdt="2000")
    desk.order("linear", "Buy", "0.4")
    desk.bar("20000", "19000", "20000", "19500")
    assert (desk.size, desk.usdt) == (0, 0)
    assert desk.venue.audit() == ()


@pytest.mark.parametrize(
    ("side", "rate", "expected"),
    [("Sell", "0.0001", "3.00"), ("Sell", "-0.0001", "-3.00"), ("Buy", "0.0001", "-3.00"), ("Buy", "-0.0001", "3.00")],
)
def test_h1_funding_on_half_a_coin_at_60000(desk: Any, side: str, rate: str, expected: str) -> None:
    desk.price("60000")
    desk.order("linear", side, "0.5")
    before = desk.usdt
    desk.venue.settle_funding("BTCUSDT", Decimal(rate), Decimal(60000), desk.venue.state.now_ms)
    assert desk.usdt - before == Decimal(expected)


def test_fact_18_the_sign_of_funding_differs_between_execution_and_log(desk: Any) -> None:
    desk.price("60000")
    desk.order("linear", "Buy", "0.5")
    desk.venue.settle_funding("BTCUSDT", Decimal("0.0001"), Decimal(60000), desk.venue.state.now_ms)
    fill, row = desk.fills()[-1], desk.venue.state.logs[desk.uid][-1]
    assert (fill.exec_type, fill.side, fill.fee, fill.order_type, fill.link_id) == ("Funding", "Buy", 3, "UNKNOWN", "")
    assert (row.kind, row.funding, row.change, row.fee) == ("SETTLEMENT", -3, -3, 0)


def test_funding_does_not_change_the_entry_price(desk: Any) -> None:
    desk.order("linear", "Buy", "0.5")
    position = desk.venue.state.position(desk.uid, "BTCUSDT", 0)
    before = position.avg_price
    desk.venue.settle_funding("BTCUSDT", Decimal("0.01"), Decimal(60000), desk.venue.state.now_ms)
    assert position.avg_price == before
    assert position.realised < 0


def test_a_delisted_perpetual_is_settled_and_its_orders_cancelled(desk: Any) -> None:
    desk.order("linear", "Buy", "0.1")
    resting = desk.order("linear", "Buy", "0.1", "39000")
    desk.venue.set_status("linear", "BTCUSDT", "Closed")
    assert (desk.size, resting.status, desk.fills()[-1].exec_type) == (0, "Cancelled", "Settle")


def test_d8_average_entry_and_realised_result(exact_desk: Any) -> None:
    exact_desk.venue.set_leverage(exact_desk.uid, "BTCUSDT", Decimal(2))
    for price, side, qty in (("10000", "Sell", "1"), ("11000", "Sell", "1")):
        exact_desk.price(price)
        exact_desk.order("linear", side, qty)
    position = exact_desk.venue.state.position(exact_desk.uid, "BTCUSDT", 0)
    assert (position.size, position.avg_price) == (-2, 10500)
    exact_desk.price("10000")
    exact_desk.order("linear", "Buy", "0.5")
    assert exact_desk.fills()[-1].pnl == 250
    exact_desk.order("linear", "Buy", "2")
    assert (position.size, position.avg_price) == (Decimal("0.5"), 10000)


def test_hedge_mode_holds_both_sides(desk: Any) -> None:
    desk.venue.switch_mode(desk.uid, "BTCUSDT", hedge=True)
    desk.order("linear", "Buy", "0.1", position_idx=1)
    desk.order("linear", "Sell", "0.2", position_idx=2)
    assert [row.size for row in desk.venue.state.positions_of(desk.uid)] == [Decimal("0.1"), Decimal("-0.2")]
    assert desk.refuse(10001, "linear", "Buy", "0.1") == "position idx not match position mode"


def test_trend_f1_a_gap_through_the_liquidation_price_beats_the_stop(exact_desk: Any) -> None:
    exact_desk.venue.set_margin_mode(exact_desk.uid, "ISOLATED_MARGIN")
    exact_desk.venue.set_leverage(exact_desk.uid, "BTCUSDT", Decimal(2))
    exact_desk.order("linear", "Buy", "1")
    after_entry = exact_desk.usdt
    stop(exact_desk, "Sell", "1", "38000", 2)
    exact_desk.bar("15000", "14000", "16000", "15500")
    assert (exact_desk.size, exact_desk.usdt) == (0, after_entry - 20_000)


def test_trend_f1_a_stop_before_the_liquidation_price_is_hit_first(exact_desk: Any) -> None:
    exact_desk.venue.set_margin_mode(exact_desk.uid, "ISOLATED_MARGIN")
    exact_desk.venue.set_leverage(exact_desk.uid, "BTCUSDT", Decimal(2))
    exact_desk.order("linear", "Buy", "1")
    stop(exact_desk, "Sell", "1", "38000", 2)
    exact_desk.bar("40000", "15000", "40000", "16000")
    assert exact_desk.fills()[-1].price == 38000
