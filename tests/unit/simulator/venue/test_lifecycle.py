"""What belongs to a position or an order goes where it goes: stops of a whole position, margin of what waits."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from eternal_engine.simulator.venue import LINEAR, VenueConfig, VenueReject


def stop(desk: Any, price: str, idx: int = 0) -> None:
    """Rest a stop for the whole position."""
    desk.venue.set_trading_stop(desk.uid, "BTCUSDT", idx, stop_loss=Decimal(price), sl_trigger_by="MarkPrice")


def resting(desk: Any) -> list[tuple[str, Decimal]]:
    """List side and quantity of the open orders."""
    return [(order.side, order.leaves_qty) for order in desk.venue.state.opens(desk.uid)]


@pytest.mark.parametrize(("more", "left"), [("0.1", "0.2"), ("0.35", "0.45")])
def test_u11_a_stop_set_before_the_position_grew_closes_all_of_it(exact_desk: Any, more: str, left: str) -> None:
    exact_desk.order("linear", "Buy", "0.1")
    stop(exact_desk, "39000")
    exact_desk.order("linear", "Buy", more)
    assert resting(exact_desk) == [("Sell", Decimal(left))]
    exact_desk.bar("40000", "38900", "40000", "38950")
    assert exact_desk.size == 0
    assert resting(exact_desk) == []


def test_u11_a_stop_shrinks_with_its_position(exact_desk: Any) -> None:
    exact_desk.order("linear", "Sell", "0.3")
    stop(exact_desk, "41000")
    exact_desk.order("linear", "Buy", "0.1", reduce_only=True)
    assert resting(exact_desk) == [("Buy", Decimal("0.2"))]
    exact_desk.bar("40000", "40000", "41100", "41050")
    assert exact_desk.size == 0


def test_a_position_that_turns_leaves_its_stops_behind(desk: Any) -> None:
    desk.order("linear", "Buy", "0.1")
    stop(desk, "39000")
    desk.order("linear", "Sell", "0.05", "42000", reduce_only=True)
    desk.order("linear", "Sell", "0.2")
    position = desk.venue.state.position(desk.uid, "BTCUSDT", 0)
    assert position.size == Decimal("-0.1")
    assert position.stop_loss == 0
    assert resting(desk) == []
    ended = [(order.cancel_type, order.status) for order in desk.venue.state.closed[desk.uid]][1:3]
    assert ended == [("CancelByTpSlTsClear", "Cancelled"), ("CancelByReduceOnly", "Cancelled")]


def test_a_turning_order_brings_its_own_stop_at_the_old_price(desk: Any) -> None:
    desk.order("linear", "Sell", "0.1", stop_loss="41000")
    desk.order("linear", "Buy", "0.2", take_profit="41000")
    position = desk.venue.state.position(desk.uid, "BTCUSDT", 0)
    assert (position.stop_loss, position.take_profit) == (0, 41000)
    assert resting(desk) == [("Sell", Decimal("0.1"))]


def test_hedge_positions_keep_their_stops_apart(exact_desk: Any) -> None:
    exact_desk.venue.switch_mode(exact_desk.uid, "BTCUSDT", hedge=True)
    exact_desk.order("linear", "Buy", "0.1", position_idx=1)
    exact_desk.order("linear", "Sell", "0.2", position_idx=2)
    stop(exact_desk, "39000", 1)
    stop(exact_desk, "41000", 2)
    exact_desk.order("linear", "Buy", "0.3", position_idx=1)
    assert sorted(resting(exact_desk)) == [("Buy", Decimal("0.2")), ("Sell", Decimal("0.4"))]


@pytest.mark.parametrize("idx", [1, 77, -1])
def test_a_stop_with_an_index_of_another_mode_is_refused_and_leaves_nothing(desk: Any, idx: int) -> None:
    with pytest.raises(VenueReject, match="position idx not match position mode"):
        desk.venue.set_trading_stop(desk.uid, "BTCUSDT", idx, stop_loss=Decimal(39_000))
    assert desk.venue.state.positions == {}


def test_u5_market_orders_that_wait_for_a_price_reserve_their_margin(open_desk: Any) -> None:
    desk = open_desk(usdt="10000")
    desk.venue.halt(LINEAR, "BTCUSDT")
    desk.order("linear", "Buy", "2")
    assert desk.venue.margin(desk.uid).order_im > 8000
    desk.refuse(110007, "linear", "Buy", "2")
    desk.price("40000")
    assert desk.size == 2
    assert desk.venue.margin(desk.uid).order_im == 0
    assert desk.venue.margin(desk.uid).available > 0
    assert desk.venue.audit() == ()


def test_an_order_cancelled_while_it_waits_frees_its_margin(open_desk: Any) -> None:
    desk = open_desk(VenueConfig(match_delay_ms=500), usdt="10000")
    free = desk.venue.margin(desk.uid).available
    order = desk.order("linear", "Buy", "2")
    desk.venue.cancel_order(desk.uid, LINEAR, order.order_id)
    assert desk.venue.margin(desk.uid).available == free


def test_cancelling_all_takes_orders_that_cannot_be_read_yet(open_desk: Any) -> None:
    desk = open_desk(VenueConfig(visible_delay_ms=500))
    desk.order("linear", "Buy", "0.1", "39900")
    assert len(desk.venue.cancel_all(desk.uid, LINEAR)) == 1
    assert resting(desk) == []


def test_reduce_only_orders_of_a_thin_market_stop_at_flat(thin_desk: Any) -> None:
    # Fifty levels of 1,000 USDT hold less than the whole: the rest of a market order is cancelled, not turned.
    thin_desk.order("linear", "Buy", "1")
    held = thin_desk.size
    for price in ("40100", "40200"):
        thin_desk.order("linear", "Sell", str(held), price, reduce_only=True)
    thin_desk.order("linear", "Sell", "0.2", reduce_only=True)
    assert thin_desk.size == held - Decimal("0.2")
    for _ in range(60):
        thin_desk.bar("40000", "40000", "40300", "40000")
    assert thin_desk.size == 0
    assert resting(thin_desk) == []


@pytest.mark.parametrize("amount", ["0.0000000000000001", "0", "-5"])
def test_a_transfer_of_nothing_is_refused(desk: Any, amount: str) -> None:
    other = desk.venue.open_account("other").uid
    with pytest.raises(VenueReject) as refused:
        desk.venue.transfer("t-1", desk.uid, other, "USDT", Decimal(amount))
    assert refused.value.code == 131203
    assert desk.venue.state.transfers == {}


def test_a_transfer_to_oneself_is_refused_and_its_id_stays_free(desk: Any) -> None:
    other = desk.venue.open_account("other").uid
    with pytest.raises(VenueReject, match="the same account"):
        desk.venue.transfer("t-1", desk.uid, desk.uid, "USDT", Decimal(5))
    desk.venue.transfer("t-1", desk.uid, other, "USDT", Decimal(5))
    with pytest.raises(VenueReject, match="already exists"):
        desk.venue.transfer("t-1", other, desk.uid, "USDT", Decimal(1))
    assert desk.venue.balance(other, "USDT") == 5


def test_a_client_order_id_is_taken_in_both_categories(desk: Any) -> None:
    desk.order("spot", "Buy", "100", link_id="once")
    desk.refuse(110072, "linear", "Buy", "0.1", link_id="once")
    desk.order("linear", "Buy", "0.1", link_id="twice")
    desk.refuse(170141, "spot", "Buy", "100", link_id="twice")


def test_accounts_whose_orders_cross_trade_with_the_market_and_not_with_each_other(exact_desk: Any) -> None:
    venue, other = exact_desk.venue, exact_desk.venue.open_account("other").uid
    venue.deposit(other, "USDT", Decimal(100_000))
    rest = exact_desk.order("linear", "Buy", "0.1", "39900")
    mine, exact_desk.uid = exact_desk.uid, other
    taker = exact_desk.order("linear", "Sell", "0.1", "39900")
    exact_desk.uid = mine
    assert (rest.status, rest.cum_qty) == ("New", 0)
    assert (taker.status, taker.avg_price) == ("Filled", 40000)


@pytest.mark.parametrize("how", ["one", "all"])
def test_a_stop_that_was_cancelled_is_not_shown_by_its_position(desk: Any, how: str) -> None:
    desk.order("linear", "Buy", "0.1")
    stop(desk, "39000")
    order = desk.venue.state.opens(desk.uid)[0]
    if how == "one":
        desk.venue.cancel_order(desk.uid, LINEAR, order.order_id)
    else:
        desk.venue.cancel_all(desk.uid, LINEAR)
    assert desk.venue.state.position(desk.uid, "BTCUSDT", 0).stop_loss == 0
    stop(desk, "39000")
    assert resting(desk) == [("Sell", Decimal("0.1"))]


def test_a_trailing_stop_that_was_cancelled_trails_no_more(exact_desk: Any) -> None:
    exact_desk.order("linear", "Buy", "0.1")
    exact_desk.venue.set_trading_stop(exact_desk.uid, "BTCUSDT", 0, trailing_stop=Decimal(500))
    exact_desk.bar("40000", "40000", "41000", "41000")
    exact_desk.bar("41000", "41000", "42000", "42000")
    position = exact_desk.venue.state.position(exact_desk.uid, "BTCUSDT", 0)
    assert (position.stop_loss, resting(exact_desk)) == (41500, [("Sell", Decimal("0.1"))])
    exact_desk.venue.cancel_all(exact_desk.uid, LINEAR)
    exact_desk.bar("42000", "42000", "43000", "43000")
    assert (position.stop_loss, position.trailing_stop, resting(exact_desk)) == (0, 0, [])
