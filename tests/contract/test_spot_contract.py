"""Spot orders: what is bought and sold, what it costs, and what is refused."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from contract_arena import NOW, NotInClient, spot
from eternal_engine.exchange.terms import Market, OrderStatus, QtyUnit, Side, TimeInForce
from eternal_engine.model.errors import AlreadyDone, RejectedForGood, SymbolPaused, UnknownOutcome
from eternal_engine.simulator.venue import Quote

STEP = Decimal("0.000001")
BUY, SELL = Side.BUY, Side.SELL
FILL = Decimal(50_025)  # 50,000 and 5 bps


async def coin(desk: Any, name: str) -> Decimal:
    row = (await desk.exchange.wallet()).coin(name)
    return row.wallet_qty if row else Decimal(0)


async def report(desk: Any, client_order_id: str) -> Any:
    found = (await desk.exchange.find_order(Market.SPOT, client_order_id)).report
    assert found is not None
    return found


@pytest.mark.parametrize("amount", ["5", "10", "1000", "49999.9"])
async def test_fact1_fact2_d18_a_quote_sized_buy_takes_floor_of_quote_over_price(desk: Any, amount: str) -> None:
    ack = await desk.exchange.place(spot("co-1", BUY, amount))
    found = await report(desk, "co-1")
    coins = Decimal(amount) / FILL // STEP * STEP
    assert found.venue_order_id == ack.venue_order_id
    assert found.status is OrderStatus.PARTIALLY_FILLED_CANCELLED
    assert found.reject_reason == "EC_CancelForNoFullFill"
    assert found.filled_qty == coins
    assert found.filled_value_usdt == coins * FILL
    assert found.leaves_value_usdt == Decimal(amount) - coins * FILL
    assert await coin(desk, "USDT") == 100_000 - coins * FILL


async def test_fact3_d10_the_fee_of_a_buy_is_taken_in_coin(desk: Any) -> None:
    await desk.exchange.place(spot("co-1", BUY, "1000"))
    lookup = await desk.exchange.find_order(Market.SPOT, "co-1")
    (execution,) = lookup.executions
    fee = execution.qty * Decimal("0.001")
    assert (execution.fee_coin, execution.fee) == ("BTC", fee)
    assert lookup.report.fees == (("BTC", fee),)
    assert await coin(desk, "BTC") == execution.qty - fee


async def test_fact3_only_whole_steps_of_what_is_left_can_be_sold(desk: Any) -> None:
    await desk.exchange.place(spot("co-1", BUY, "1000"))
    held = await coin(desk, "BTC")
    gross = (await report(desk, "co-1")).filled_qty
    with pytest.raises(RejectedForGood) as refused:
        await desk.exchange.place(spot("co-2", SELL, str(gross)))
    assert refused.value.code == 170131
    await desk.exchange.place(spot("co-3", SELL, str(held // STEP * STEP)))
    assert await coin(desk, "BTC") == held % STEP


async def test_a_sell_pays_its_fee_in_usdt(desk: Any) -> None:
    await desk.exchange.place(spot("co-1", BUY, "1000"))
    before = await coin(desk, "USDT")
    await desk.exchange.place(spot("co-2", SELL, "0.01"))
    found = await report(desk, "co-2")
    assert found.status is OrderStatus.FILLED
    assert found.avg_price == 49_975
    value = Decimal("0.01") * 49_975
    assert found.fees == (("USDT", value * Decimal("0.001")),)
    assert await coin(desk, "USDT") == before + value * Decimal("0.999")


async def test_fund2_a_buy_can_be_sized_in_coins(desk: Any) -> None:
    if desk.kind == "ccxt":
        raise NotInClient("ccxt sizes market buys in coins only with a price")
    await desk.exchange.place(spot("fu-1", BUY, "0.123456", qty_unit=QtyUnit.BASE))
    found = await report(desk, "fu-1")
    assert found.filled_qty == Decimal("0.123456")
    assert found.status is OrderStatus.FILLED


@pytest.mark.parametrize("amount", ["4.99", "1"])
async def test_d14_a_buy_below_the_minimum_is_refused(desk: Any, amount: str) -> None:
    with pytest.raises(RejectedForGood) as refused:
        await desk.exchange.place(spot("co-1", BUY, amount))
    assert refused.value.code == 170140


async def test_a_sell_below_the_minimum_value_is_refused(desk: Any) -> None:
    await desk.exchange.place(spot("co-1", BUY, "1000"))
    with pytest.raises(RejectedForGood) as refused:
        await desk.exchange.place(spot("co-2", SELL, "0.00009"))
    assert refused.value.code == 170140


@pytest.mark.parametrize(
    ("order", "code"),
    [
        (spot("co-1", BUY, "10.00000001"), 170148),
        (spot("co-1", SELL, "0.0010001"), 170137),
        (spot("co-1", BUY, "0.0010001", price="49000"), 170137),
        (spot("co-1", BUY, "0.001", price="49000.01"), 170134),
    ],
)
async def test_d5_quantities_and_prices_off_their_steps_are_refused(desk: Any, order: Any, code: int) -> None:
    if desk.kind == "ccxt":
        raise NotInClient("ccxt rounds to the steps itself")
    with pytest.raises(RejectedForGood) as refused:
        await desk.exchange.place(order)
    assert refused.value.code == code


@pytest.mark.parametrize(
    "order",
    [spot("co-1", BUY, "100001"), spot("co-1", SELL, "0.01"), spot("co-1", BUY, "3", price="49900")],
)
async def test_d5_what_is_not_there_cannot_be_spent(desk: Any, order: Any) -> None:
    with pytest.raises(RejectedForGood) as refused:
        await desk.exchange.place(order)
    assert refused.value.code == 170131


@pytest.mark.parametrize("price", ["60000", "40000"])
async def test_fact17_a_spot_limit_beyond_the_band_is_refused(desk: Any, price: str) -> None:
    await desk.exchange.place(spot("co-1", BUY, "1000"))
    side = BUY if price == "60000" else SELL
    with pytest.raises(RejectedForGood) as refused:
        await desk.exchange.place(spot("co-2", side, "0.001", price=price))
    assert refused.value.code in (170132, 170133, 170192, 170193, 170194, 170371, 170372)


async def test_a_limit_order_rests_locks_and_lets_go(desk: Any) -> None:
    await desk.exchange.place(spot("co-1", BUY, "0.1", price="49900"))
    (resting,) = await desk.exchange.open_orders(Market.SPOT, "BTCUSDT")
    assert (resting.client_order_id, resting.status, resting.price) == ("co-1", OrderStatus.NEW, Decimal(49_900))
    assert (await desk.exchange.wallet()).coin("USDT").locked_qty >= Decimal(4990)
    await desk.exchange.cancel(Market.SPOT, "BTCUSDT", "co-1")
    assert await desk.exchange.open_orders(Market.SPOT, "BTCUSDT") == ()
    assert (await desk.exchange.wallet()).coin("USDT").locked_qty == 0
    assert (await report(desk, "co-1")).status is OrderStatus.CANCELLED


async def test_a_resting_limit_fills_at_its_price_when_the_market_comes(desk: Any) -> None:
    await desk.exchange.place(spot("co-1", BUY, "0.1", price="49900"))
    desk.arena.price("BTCUSDT", "49800", Market.SPOT)
    lookup = await desk.exchange.find_order(Market.SPOT, "co-1")
    assert lookup.report.status is OrderStatus.FILLED
    assert lookup.report.avg_price == 49_900
    assert lookup.executions[0].is_maker
    assert await coin(desk, "BTC") == Decimal("0.0999")


async def test_a_limit_through_the_market_takes_at_once(desk: Any) -> None:
    await desk.exchange.place(spot("co-1", BUY, "0.1", price="50100"))
    lookup = await desk.exchange.find_order(Market.SPOT, "co-1")
    assert lookup.report.filled_qty == Decimal("0.1")
    assert lookup.report.avg_price <= 50_100
    assert not lookup.executions[0].is_maker


@pytest.mark.parametrize("force", [TimeInForce.IOC, TimeInForce.FOK])
async def test_an_immediate_order_away_from_the_market_is_cancelled_unfilled(desk: Any, force: TimeInForce) -> None:
    await desk.exchange.place(spot("co-1", BUY, "0.1", price="49900", time_in_force=force))
    found = await report(desk, "co-1")
    assert found.status is OrderStatus.CANCELLED
    assert found.filled_qty == 0
    assert await coin(desk, "USDT") == 100_000


async def test_fact5_a_post_only_order_that_would_take_is_accepted_and_then_cancelled(desk: Any) -> None:
    await desk.exchange.place(spot("co-1", BUY, "0.1", price="50100", time_in_force=TimeInForce.POST_ONLY))
    found = await report(desk, "co-1")
    assert found.status is OrderStatus.CANCELLED
    assert found.reject_reason == "EC_PostOnlyWillTakeLiquidity"


async def test_a_post_only_order_away_from_the_market_rests(desk: Any) -> None:
    await desk.exchange.place(spot("co-1", BUY, "0.1", price="49900", time_in_force=TimeInForce.POST_ONLY))
    assert (await report(desk, "co-1")).status is OrderStatus.NEW


async def test_d3_the_same_id_twice_is_one_order(desk: Any) -> None:
    await desk.exchange.place(spot("co-1", BUY, "1000"))
    with pytest.raises(UnknownOutcome) as refused:
        await desk.exchange.place(spot("co-1", BUY, "1000"))
    assert refused.value.code == 170141
    lookup = await desk.exchange.find_order(Market.SPOT, "co-1")
    assert len(lookup.executions) == 1
    assert len(desk.arena.world.venue.state.executions[desk.arena.uids["alpha"]]) == 1


async def test_an_order_nobody_sent_is_found_nowhere(desk: Any) -> None:
    lookup = await desk.exchange.find_order(Market.SPOT, "co-404")
    assert not lookup.found


async def test_cancelling_what_is_gone_is_already_done(desk: Any) -> None:
    with pytest.raises(AlreadyDone):
        await desk.exchange.cancel(Market.SPOT, "BTCUSDT", "co-404")
    await desk.exchange.place(spot("co-1", BUY, "1000"))
    with pytest.raises(AlreadyDone):
        await desk.exchange.cancel(Market.SPOT, "BTCUSDT", "co-1")


async def test_a_conditional_order_wakes_at_its_trigger(desk: Any) -> None:
    await desk.exchange.place(spot("co-1", BUY, "1000"))
    await desk.exchange.place(spot("co-2", SELL, "0.01", trigger_price=Decimal(49_000)))
    found = await report(desk, "co-2")
    assert found.status is OrderStatus.UNTRIGGERED
    desk.arena.price("BTCUSDT", "48900", Market.SPOT)
    found = await report(desk, "co-2")
    assert found.filled_qty == Decimal("0.01")


async def test_cancelling_all_takes_conditional_orders_along(desk: Any) -> None:
    await desk.exchange.place(spot("co-1", BUY, "1000"))
    await desk.exchange.place(spot("co-2", SELL, "0.01", trigger_price=Decimal(49_000)))
    await desk.exchange.place(spot("co-3", BUY, "0.1", price="49900"))
    acks = await desk.exchange.cancel_all(Market.SPOT)
    assert {ack.client_order_id for ack in acks} == {"co-2", "co-3"}
    assert await desk.exchange.open_orders(Market.SPOT, "BTCUSDT") == ()


async def test_an_order_in_a_closed_pair_is_refused(desk: Any) -> None:
    await desk.exchange.tickers(Market.SPOT, {"SOLUSDT"})
    desk.arena.world.venue.set_status("spot", "SOLUSDT", "Closed")
    with pytest.raises((SymbolPaused, RejectedForGood)):
        await desk.exchange.place(spot("co-1", BUY, "100", symbol="SOLUSDT"))


async def test_executions_come_oldest_first_with_their_order(desk: Any) -> None:
    for number in range(3):
        await desk.exchange.place(spot(f"co-{number}", BUY, "100"))
        desk.arena.step(minutes=1)
    found = await desk.exchange.executions(Market.SPOT, NOW - timedelta(hours=1), NOW + timedelta(hours=1))
    assert [row.client_order_id for row in found] == ["co-0", "co-1", "co-2"]
    assert [row.at for row in found] == [NOW + timedelta(minutes=number) for number in range(3)]


@pytest.mark.parametrize("order", [spot("co-1", BUY, "1000"), spot("co-2", BUY, "0.01", price="50100")])
async def test_fact4_a_fee_in_mnt_is_read_from_the_detail_not_from_the_sum(desk: Any, order: Any) -> None:
    venue, uid = desk.arena.world.venue, desk.arena.uids["alpha"]
    venue.state.account(uid).fees_in_mnt = True
    venue.deposit(uid, "MNT", Decimal(1_000))
    venue.set_quotes({("spot", "MNTUSDT"): Quote.flat(Decimal("0.8"))})
    await desk.exchange.place(order)
    lookup = await desk.exchange.find_order(Market.SPOT, order.client_order_id)
    assert [name for name, _ in lookup.report.fees] == ["MNT"]
    assert lookup.executions[0].fee_coin == "MNT"
    assert await coin(desk, "BTC") == lookup.report.filled_qty
