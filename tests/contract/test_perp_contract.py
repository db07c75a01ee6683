"""Perpetual orders and positions: sides, sizes, margin, stops, liquidation, and what is refused."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from contract_arena import NOW, NotInClient, perp
from eternal_engine.exchange.terms import (
    ExecutionKind,
    Market,
    OrderStatus,
    PositionSide,
    Side,
    TimeInForce,
    TriggerBy,
)
from eternal_engine.model.errors import AlreadyDone, RejectedForGood, SymbolPaused, UnknownOutcome

BUY, SELL = Side.BUY, Side.SELL
LONG, SHORT = PositionSide.LONG, PositionSide.SHORT
TAKER = Decimal("0.00055")


async def position(desk: Any, symbol: str = "BTCUSDT") -> Any:
    (row,) = await desk.exchange.positions(symbol)
    return row


async def report(desk: Any, client_order_id: str) -> Any:
    found = (await desk.exchange.find_order(Market.PERP, client_order_id)).report
    assert found is not None
    return found


async def usdt(desk: Any) -> Decimal:
    return (await desk.exchange.wallet()).coin("USDT").wallet_qty


@pytest.mark.parametrize(
    ("symbol", "qty", "price"), [("BTCUSDT", "0.1", 50_000), ("ETHUSDT", "2", 2_500), ("SOLUSDT", "10.5", 100)]
)
@pytest.mark.parametrize("side", [BUY, SELL])
async def test_u9_a_market_order_opens_a_position_with_slippage_and_fee(
    desk: Any, side: Side, symbol: str, qty: str, price: int
) -> None:
    await desk.exchange.place(perp("tr-1", side, qty, symbol=symbol))
    held = await position(desk, symbol)
    paid = Decimal(price) * (1 + side.sign * Decimal("0.0005"))
    assert (held.side, held.qty, held.entry_price) == (LONG if side is BUY else SHORT, Decimal(qty), paid)
    found = await report(desk, "tr-1")
    assert found.status is OrderStatus.FILLED
    assert found.filled_qty == Decimal(qty)
    assert found.fees == (("USDT", paid * Decimal(qty) * TAKER),)
    assert await usdt(desk) == 100_000 - paid * Decimal(qty) * TAKER


async def test_a_flat_symbol_has_a_row_and_the_list_has_none(desk: Any) -> None:
    held = await position(desk)
    assert (held.side, held.qty) == (None, 0)
    assert await desk.exchange.positions() == ()


async def test_d8_adding_moves_the_average_entry(desk: Any) -> None:
    await desk.exchange.place(perp("tr-1", BUY, "0.1"))
    desk.arena.price("BTCUSDT", "51000")
    await desk.exchange.place(perp("tr-2", BUY, "0.1"))
    held = await position(desk)
    assert held.qty == Decimal("0.2")
    assert abs(held.entry_price - (Decimal(50_025) + Decimal("51025.5")) / 2) < Decimal("0.01")


async def test_d7_d8_reducing_keeps_the_entry_and_realises(desk: Any) -> None:
    await desk.exchange.place(perp("tr-1", BUY, "1"))
    desk.arena.price("BTCUSDT", "51000")
    before = await usdt(desk)
    await desk.exchange.place(perp("tr-2", SELL, "0.4", reduce_only=True))
    held = await position(desk)
    sold = Decimal(51_000) * Decimal("0.9995")
    sold = sold // Decimal("0.1") * Decimal("0.1")
    assert (held.qty, held.entry_price) == (Decimal("0.6"), Decimal(50_025))
    gain = Decimal("0.4") * (sold - 50_025) - Decimal("0.4") * sold * TAKER
    assert await usdt(desk) == before + gain


async def test_selling_more_than_held_turns_the_position(desk: Any) -> None:
    await desk.exchange.place(perp("tr-1", BUY, "0.1"))
    await desk.exchange.place(perp("tr-2", SELL, "0.3"))
    held = await position(desk)
    assert (held.side, held.qty, held.entry_price) == (SHORT, Decimal("0.2"), Decimal(49_975))


async def test_e7_a_reduce_only_order_closes_and_no_more(desk: Any) -> None:
    await desk.exchange.place(perp("tr-1", BUY, "0.1"))
    await desk.exchange.place(perp("tr-2", SELL, "0.3", reduce_only=True))
    assert (await position(desk)).side is None
    assert (await report(desk, "tr-2")).filled_qty == Decimal("0.1")


@pytest.mark.parametrize("held", [None, SELL])
async def test_reduce_only_without_something_to_reduce_is_already_done(desk: Any, held: Side | None) -> None:
    if held:
        await desk.exchange.place(perp("tr-1", held, "0.1"))
    with pytest.raises(AlreadyDone) as refused:
        await desk.exchange.place(perp("tr-2", SELL, "0.1", reduce_only=True))
    assert refused.value.code == 110017


async def test_a_limit_order_rests_and_fills_as_maker(desk: Any) -> None:
    await desk.exchange.place(perp("tr-1", BUY, "0.1", price="49900"))
    (resting,) = await desk.exchange.open_orders(Market.PERP, "BTCUSDT")
    assert (resting.client_order_id, resting.price) == ("tr-1", Decimal(49_900))
    desk.arena.price("BTCUSDT", "49800")
    lookup = await desk.exchange.find_order(Market.PERP, "tr-1")
    assert lookup.report.status is OrderStatus.FILLED
    assert lookup.executions[0].is_maker
    assert lookup.executions[0].fee == Decimal(4990) * Decimal("0.0002")
    assert (await position(desk)).entry_price == 49_900


async def test_a_cancelled_order_is_cancelled_and_frees_its_margin(desk: Any) -> None:
    free = (await desk.exchange.wallet()).coin("USDT").spendable_qty
    await desk.exchange.place(perp("tr-1", BUY, "0.1", price="49900"))
    assert (await desk.exchange.wallet()).coin("USDT").spendable_qty < free
    await desk.exchange.cancel(Market.PERP, "BTCUSDT", "tr-1")
    assert (await report(desk, "tr-1")).status is OrderStatus.CANCELLED
    assert (await desk.exchange.wallet()).coin("USDT").spendable_qty == free


async def test_d2_a_part_filled_order_that_is_cancelled_keeps_its_fill(desk: Any) -> None:
    await desk.exchange.place(perp("tr-1", BUY, "0.1"))
    await desk.exchange.place(perp("tr-2", SELL, "0.4", price="50100"))
    await desk.exchange.cancel(Market.PERP, "BTCUSDT", "tr-2")
    found = await report(desk, "tr-2")
    assert found.status is OrderStatus.CANCELLED
    assert found.filled_qty == 0
    assert (await position(desk)).qty == Decimal("0.1")


@pytest.mark.parametrize("force", [TimeInForce.IOC, TimeInForce.FOK, TimeInForce.POST_ONLY])
async def test_an_order_that_must_not_rest_or_must_not_take_ends_cancelled(desk: Any, force: TimeInForce) -> None:
    price = "50100" if force is TimeInForce.POST_ONLY else "49900"
    await desk.exchange.place(perp("tr-1", BUY, "0.1", price=price, time_in_force=force))
    found = await report(desk, "tr-1")
    assert found.status is OrderStatus.CANCELLED
    assert found.filled_qty == 0
    assert (await position(desk)).side is None


@pytest.mark.parametrize(
    ("order", "code"),
    [
        (perp("tr-1", BUY, "0.0001"), 10001),
        (perp("tr-1", BUY, "0.0015"), 10001),
        (perp("tr-1", BUY, "0.1", price="49900.05"), 10001),
        (perp("tr-1", BUY, "100000"), 10001),
    ],
)
async def test_d5_sizes_and_prices_off_the_rules_are_refused(desk: Any, order: Any, code: int) -> None:
    if desk.kind == "ccxt":
        raise NotInClient("ccxt rounds to the steps itself")
    with pytest.raises(RejectedForGood) as refused:
        await desk.exchange.place(order)
    assert refused.value.code == code


async def test_d5_an_order_below_the_minimum_value_is_refused(desk: Any) -> None:
    desk.arena.price("SOLUSDT", "20")
    with pytest.raises(RejectedForGood) as refused:
        await desk.exchange.place(perp("tr-1", BUY, "0.1", symbol="SOLUSDT"))
    assert refused.value.code == 110094


async def test_d5_an_order_beyond_the_margin_is_refused(desk: Any) -> None:
    await desk.exchange.set_leverage("BTCUSDT", Decimal(1))
    with pytest.raises(RejectedForGood) as refused:
        await desk.exchange.place(perp("tr-1", BUY, "3"))
    assert refused.value.code == 110007


async def test_d3_the_same_id_twice_is_one_order(desk: Any) -> None:
    await desk.exchange.place(perp("tr-1", BUY, "0.1"))
    with pytest.raises(UnknownOutcome) as refused:
        await desk.exchange.place(perp("tr-1", BUY, "0.1"))
    assert refused.value.code == 110072
    assert (await position(desk)).qty == Decimal("0.1")


@pytest.mark.parametrize(("rises", "trigger", "then"), [(True, "51000", "51100"), (False, "49000", "48900")])
@pytest.mark.parametrize("by", [TriggerBy.LAST, TriggerBy.MARK])
async def test_a_conditional_order_wakes_when_its_price_is_reached(
    desk: Any, by: TriggerBy, rises: bool, trigger: str, then: str
) -> None:
    order = perp("tr-1", BUY, "0.1", trigger_price=Decimal(trigger), trigger_rises=rises, trigger_by=by)
    await desk.exchange.place(order)
    found = await report(desk, "tr-1")
    assert (found.status, found.trigger_price) == (OrderStatus.UNTRIGGERED, Decimal(trigger))
    assert (await position(desk)).side is None
    desk.arena.price("BTCUSDT", then)
    assert (await report(desk, "tr-1")).status is OrderStatus.FILLED
    assert (await position(desk)).qty == Decimal("0.1")


async def test_a_trigger_on_the_wrong_side_of_the_market_is_refused(desk: Any) -> None:
    order = perp("tr-1", BUY, "0.1", trigger_price=Decimal(49_000), trigger_rises=True, trigger_by=TriggerBy.MARK)
    with pytest.raises(RejectedForGood) as refused:
        await desk.exchange.place(order)
    assert refused.value.code in (110092, 110093)


@pytest.mark.parametrize("symbol", ["BTCUSDT", None])
async def test_cancelling_all_takes_every_kind_of_order(desk: Any, symbol: str | None) -> None:
    await desk.exchange.place(perp("tr-1", BUY, "0.1", price="49900"))
    await desk.exchange.place(
        perp("tr-2", BUY, "0.1", trigger_price=Decimal(51_000), trigger_rises=True, trigger_by=TriggerBy.LAST)
    )
    await desk.exchange.place(perp("tr-3", BUY, "1", price="2490", symbol="ETHUSDT"))
    acks = await desk.exchange.cancel_all(Market.PERP, symbol)
    gone = {"tr-1", "tr-2"} if symbol else {"tr-1", "tr-2", "tr-3"}
    assert {ack.client_order_id for ack in acks} == gone
    left = desk.arena.world.venue.state.opens(desk.arena.uids["alpha"])
    assert {order.link_id for order in left} == {"tr-1", "tr-2", "tr-3"} - gone


async def test_cancelling_what_is_gone_is_already_done(desk: Any) -> None:
    with pytest.raises(AlreadyDone) as refused:
        await desk.exchange.cancel(Market.PERP, "BTCUSDT", "tr-404")
    assert refused.value.code == 110001


@pytest.mark.parametrize("leverage", ["1", "2", "12.5"])
async def test_d15_leverage_is_set_and_setting_it_again_is_no_error(desk: Any, leverage: str) -> None:
    await desk.exchange.set_leverage("BTCUSDT", Decimal(leverage))
    await desk.exchange.set_leverage("BTCUSDT", Decimal(leverage))
    await desk.exchange.place(perp("tr-1", BUY, "0.1"))
    assert (await position(desk)).leverage == Decimal(leverage)


async def test_leverage_beyond_the_limit_is_refused(desk: Any) -> None:
    with pytest.raises(RejectedForGood) as refused:
        await desk.exchange.set_leverage("BTCUSDT", Decimal(1_000))
    assert refused.value.code == 110013


@pytest.mark.parametrize(("side", "stop", "then"), [(BUY, "48000", "47900"), (SELL, "52000", "52100")])
async def test_u11_a_stop_rests_at_the_exchange_and_closes_the_position(
    desk: Any, side: Side, stop: str, then: str
) -> None:
    await desk.exchange.place(perp("tr-1", side, "0.1"))
    await desk.exchange.set_stop("BTCUSDT", Decimal(stop))
    await desk.exchange.set_stop("BTCUSDT", Decimal(stop))
    assert (await position(desk)).stop_loss == Decimal(stop)
    desk.arena.price("BTCUSDT", then)
    assert (await position(desk)).side is None
    fills = await desk.exchange.executions(Market.PERP, NOW - timedelta(hours=1), NOW + timedelta(hours=1))
    assert [row.side for row in fills] == [side, side.opposite]
    assert fills[1].client_order_id == ""


@pytest.mark.parametrize(("side", "stop", "then"), [(BUY, "48000", "47900"), (SELL, "52000", "52100")])
async def test_trend_s1_a_stop_that_comes_with_the_order_rests_from_the_fill_on(
    desk: Any, side: Side, stop: str, then: str
) -> None:
    await desk.exchange.place(perp("tr-1", side, "0.1", stop_loss=Decimal(stop)))
    assert (await position(desk)).stop_loss == Decimal(stop)
    await desk.exchange.set_stop("BTCUSDT", Decimal(stop) + side.sign * 100)
    assert (await position(desk)).stop_loss == Decimal(stop) + side.sign * 100
    desk.arena.price("BTCUSDT", then)
    assert (await position(desk)).side is None


@pytest.mark.parametrize("travels", [True, False], ids=["with the order", "set afterwards"])
@pytest.mark.parametrize(("side", "stop", "wick"), [(BUY, "48000", "40000"), (SELL, "52000", "60000")])
async def test_u11_a_wick_of_the_last_price_alone_touches_no_stop(
    desk: Any, side: Side, stop: str, wick: str, travels: bool
) -> None:
    await desk.exchange.place(perp("tr-1", side, "0.1", stop_loss=Decimal(stop) if travels else None))
    if not travels:
        await desk.exchange.set_stop("BTCUSDT", Decimal(stop))
    desk.arena.price("BTCUSDT", wick, Market.PERP, mark="50000")
    assert (await position(desk)).side is not None
    desk.arena.price("BTCUSDT", "50000", Market.PERP, mark=wick)
    assert (await position(desk)).side is None


@pytest.mark.parametrize(("side", "stop"), [(BUY, "50000"), (SELL, "50000")])
async def test_an_order_whose_stop_would_be_touched_at_once_is_refused(desk: Any, side: Side, stop: str) -> None:
    with pytest.raises(RejectedForGood):
        await desk.exchange.place(perp("tr-1", side, "0.1", stop_loss=Decimal(stop)))
    assert (await position(desk)).side is None


async def test_a_stop_can_be_moved_and_removed(desk: Any) -> None:
    await desk.exchange.place(perp("tr-1", BUY, "0.1"))
    await desk.exchange.set_stop("BTCUSDT", Decimal(48_000))
    await desk.exchange.set_stop("BTCUSDT", Decimal(49_000))
    assert (await position(desk)).stop_loss == 49_000
    await desk.exchange.set_stop("BTCUSDT", None)
    assert (await position(desk)).stop_loss is None
    desk.arena.price("BTCUSDT", "47000")
    assert (await position(desk)).side is LONG


async def test_a_stop_on_the_wrong_side_is_refused(desk: Any) -> None:
    await desk.exchange.place(perp("tr-1", BUY, "0.1"))
    with pytest.raises(RejectedForGood):
        await desk.exchange.set_stop("BTCUSDT", Decimal(51_000))


async def test_a_stop_disappears_with_its_position(desk: Any) -> None:
    await desk.exchange.place(perp("tr-1", BUY, "0.1"))
    await desk.exchange.set_stop("BTCUSDT", Decimal(48_000))
    await desk.exchange.place(perp("tr-2", SELL, "0.1", reduce_only=True))
    assert await desk.exchange.open_orders(Market.PERP, "BTCUSDT") == ()


async def test_trend_f1_a_position_beyond_its_margin_is_liquidated(desk: Any) -> None:
    await desk.exchange.set_leverage("BTCUSDT", Decimal(50))
    await desk.exchange.place(perp("tr-1", BUY, "40"))
    desk.arena.price("BTCUSDT", "47000")
    assert (await position(desk)).side is None
    fills = await desk.exchange.executions(Market.PERP, NOW - timedelta(hours=1), NOW + timedelta(hours=1))
    assert fills[-1].kind is ExecutionKind.BUST
    assert fills[-1].client_order_id == ""


async def test_profit_and_loss_show_before_they_are_taken(desk: Any) -> None:
    await desk.exchange.place(perp("tr-1", BUY, "0.1"))
    desk.arena.price("BTCUSDT", "51000")
    held = await position(desk)
    assert held.unrealised_pnl_usdt == Decimal("97.5")
    assert held.mark_price == 51_000
    row = (await desk.exchange.wallet()).coin("USDT")
    assert row.equity_qty == row.wallet_qty + Decimal("97.5")


async def test_an_order_in_a_closed_contract_is_refused(desk: Any) -> None:
    await desk.exchange.tickers(Market.PERP, {"SOLUSDT"})
    desk.arena.world.venue.set_status("linear", "SOLUSDT", "Closed")
    with pytest.raises((SymbolPaused, RejectedForGood)):
        await desk.exchange.place(perp("tr-1", BUY, "1", symbol="SOLUSDT"))


async def test_d16_two_symbols_are_two_positions(desk: Any) -> None:
    await desk.exchange.place(perp("tr-1", BUY, "0.1"))
    await desk.exchange.place(perp("fu-1", SELL, "2", symbol="ETHUSDT"))
    held = {row.symbol: (row.side, row.qty) for row in await desk.exchange.positions()}
    assert held == {"BTCUSDT": (LONG, Decimal("0.1")), "ETHUSDT": (SHORT, Decimal(2))}


async def test_fact17_a_perp_limit_beyond_the_band_is_moved_to_it(desk: Any) -> None:
    await desk.exchange.place(perp("tr-1", BUY, "0.1", price="60000", time_in_force=TimeInForce.IOC))
    found = await report(desk, "tr-1")
    assert found.price < 60_000
    assert found.filled_qty == Decimal("0.1")
    assert found.avg_price == 50_025
