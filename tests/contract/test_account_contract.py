"""Funding, ledger, histories, pages, delays, keys, transfers and the demo's gaps."""

from __future__ import annotations

import asyncio
import uuid
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from contract_arena import NOW, Arena, CcxtClient, NotInClient, perp, spot
from eternal_engine import clock
from eternal_engine.exchange.bybit.client import Credentials, PybitDemoClient
from eternal_engine.exchange.bybit.throttle import EndpointClass
from eternal_engine.exchange.capability import Environment
from eternal_engine.exchange.orders import OrderAck
from eternal_engine.exchange.terms import ExecutionKind, MarginMode, Market, OrderStatus, Side
from eternal_engine.model.errors import HaltTrading, RateLimited, RejectedForGood, UnknownOutcome, Unsupported
from eternal_engine.simulator.venue import OrderRequest as VenueOrder

BUY, SELL = Side.BUY, Side.SELL
DAY = timedelta(days=1)
SETTLED = {16: Decimal("-0.0001"), 24: Decimal("0.0002"), 32: Decimal("0.0002")}


async def usdt(desk: Any) -> Decimal:
    return (await desk.exchange.wallet()).coin("USDT").wallet_qty


@pytest.mark.parametrize("hours", [4, 12, 20])
@pytest.mark.parametrize("side", [BUY, SELL])
async def test_h1_fact18_funding_is_paid_and_received_at_each_stamp(desk: Any, side: Side, hours: int) -> None:
    await desk.exchange.place(perp("fu-1", side, "2", symbol="ETHUSDT"))
    before = await usdt(desk)
    desk.arena.step(hours=hours)
    until = NOW + timedelta(hours=hours)
    history = await desk.exchange.funding_rates("ETHUSDT", NOW, until + timedelta(milliseconds=1))
    assert len(history) == (hours + 4) // 8
    received = sum((-side.sign * 2 * 2_500 * rate.rate for rate in history), Decimal(0))
    assert await usdt(desk) == before + received
    rows = await desk.exchange.executions(Market.PERP, NOW - DAY, until, "ETHUSDT")
    paid = [row for row in rows if row.kind is ExecutionKind.FUNDING]
    assert sum((row.fee for row in paid), Decimal(0)) == -received
    assert [row.at for row in paid] == [rate.settled_at for rate in history]
    ledger = [row for row in await desk.exchange.ledger(NOW - DAY, until) if row.kind == "SETTLEMENT"]
    assert sum((row.funding for row in ledger), Decimal(0)) == received


async def test_only_a_position_held_at_the_stamp_pays(desk: Any) -> None:
    desk.arena.step(hours=4)
    await desk.exchange.place(perp("fu-1", BUY, "2", symbol="ETHUSDT"))
    desk.arena.step(hours=7)
    await desk.exchange.place(perp("fu-2", SELL, "2", symbol="ETHUSDT", reduce_only=True))
    desk.arena.step(hours=2)
    rows = await desk.exchange.executions(Market.PERP, NOW - DAY, NOW + DAY, "ETHUSDT")
    assert [row.kind for row in rows] == [ExecutionKind.TRADE, ExecutionKind.TRADE]


async def test_the_ledger_adds_up_to_the_wallet(desk: Any) -> None:
    await desk.exchange.place(spot("co-1", BUY, "1000"))
    await desk.exchange.place(perp("tr-1", BUY, "0.1"))
    desk.arena.step(hours=5)
    await desk.exchange.place(perp("tr-2", SELL, "0.1", reduce_only=True))
    rows = [row for row in await desk.exchange.ledger(NOW - DAY, NOW + DAY) if row.coin == "USDT"]
    assert sum((row.change for row in rows), Decimal(0)) == await usdt(desk)
    assert {row.kind for row in rows} >= {"TRADE", "SETTLEMENT"}
    assert any(row.change == 100_000 for row in rows)


async def test_a_deposit_shows_once_in_the_ledger(desk: Any) -> None:
    desk.arena.step(hours=1)
    desk.arena.world.venue.deposit(desk.arena.uids["alpha"], "USDT", Decimal("123.45"))
    rows = await desk.exchange.ledger(NOW + timedelta(minutes=1), NOW + DAY)
    assert [(row.change, row.balance) for row in rows] == [(Decimal("123.45"), Decimal("100123.45"))]


@pytest.mark.parametrize("market", list(Market))
async def test_fact15_every_page_of_open_orders_is_read(desk: Any, market: Market) -> None:
    if desk.kind == "ccxt":
        raise NotInClient("ccxt leaves paging to its user")
    make = spot if market is Market.SPOT else perp
    for number in range(55):
        desk.arena.step(seconds=1)
        await desk.exchange.place(make(f"x-{number}", BUY, "0.001", price=str(49_900 + number)))
    found = await desk.exchange.open_orders(market)
    assert len({order.client_order_id for order in found}) == 55


async def test_fact15_every_page_of_executions_is_read(desk: Any) -> None:
    if desk.kind == "ccxt":
        raise NotInClient("ccxt leaves paging to its user")
    venue, uid = desk.arena.world.venue, desk.arena.uids["alpha"]
    for number in range(130):
        request = desk.arena.client("in-process")
        await request.place(spot(f"x-{number}", BUY, "10"))
        if number % 10 == 9:
            desk.arena.step(seconds=1)
    found = await desk.exchange.executions(Market.SPOT, NOW - DAY, NOW + DAY)
    assert len(found) == len(venue.state.executions[uid]) == 130
    assert [row.at for row in found] == sorted(row.at for row in found)


async def test_fact14_an_unfilled_cancelled_order_is_forgotten_after_a_day(desk: Any) -> None:
    await desk.exchange.place(spot("co-1", BUY, "0.1", price="49900"))
    await desk.exchange.cancel(Market.SPOT, "BTCUSDT", "co-1")
    desk.arena.step(seconds=1)
    await desk.exchange.place(spot("co-2", BUY, "1000"))
    desk.arena.step(hours=20)
    soon = await desk.exchange.order_history(Market.SPOT, NOW - DAY, NOW + 2 * DAY)
    assert [row.client_order_id for row in soon] == ["co-1", "co-2"]
    desk.arena.step(hours=5)
    later = await desk.exchange.order_history(Market.SPOT, NOW - DAY, NOW + 2 * DAY)
    assert [row.client_order_id for row in later] == ["co-2"]


async def test_executions_of_weeks_are_read_in_windows(desk: Any) -> None:
    if desk.kind == "ccxt":
        raise NotInClient("ccxt leaves windows to its user")
    for number in range(3):
        await desk.exchange.place(perp(f"tr-{number}", BUY, "0.01"))
        desk.arena.step(days=6)
    found = await desk.exchange.executions(Market.PERP, NOW - DAY, NOW + 20 * DAY)
    assert [row.client_order_id for row in found if row.kind is ExecutionKind.TRADE] == ["tr-0", "tr-1", "tr-2"]


@pytest.mark.arena(visible_delay_ms=2_000, history_delay_ms=2_000)
async def test_fact5_an_accepted_order_may_be_invisible_for_a_while(desk: Any) -> None:
    await desk.exchange.place(perp("tr-1", BUY, "0.1", price="49900"))
    assert (await desk.exchange.find_order(Market.PERP, "tr-1")).report is None
    desk.arena.step(seconds=3)
    found = (await desk.exchange.find_order(Market.PERP, "tr-1")).report
    assert found.status is OrderStatus.NEW


@pytest.mark.arena(match_delay_ms=1_000)
async def test_fact5_an_acknowledged_order_is_not_a_filled_one(desk: Any) -> None:
    await desk.exchange.place(perp("tr-1", BUY, "0.1"))
    (before,) = await desk.exchange.positions("BTCUSDT")
    desk.arena.step(seconds=2)
    (after,) = await desk.exchange.positions("BTCUSDT")
    assert (before.qty, after.qty) == (0, Decimal("0.1"))


async def test_the_account_says_how_it_is_set(desk: Any) -> None:
    info = await desk.exchange.account_info()
    assert info.unified_status in (3, 4, 5, 6)
    assert info.margin_mode is MarginMode.CROSS


async def test_the_key_says_what_it_may_do(desk: Any) -> None:
    key = await desk.exchange.key_info()
    assert key.user_id == desk.arena.uids["alpha"]
    assert key.may("Spot", "SpotTrade")
    assert key.may("ContractTrade", "Order")
    assert not key.may("Wallet", "Withdraw")


@pytest.mark.parametrize(("market", "taker"), [(Market.SPOT, "0.001"), (Market.PERP, "0.00055")])
async def test_fees_are_read_from_the_account(desk: Any, market: Market, taker: str) -> None:
    rates = {rate.symbol: rate.taker_frac for rate in await desk.exchange.fee_rates(market)}
    assert rates["BTCUSDT"] == Decimal(taker)


async def test_d17_two_accounts_do_not_see_each_other(desk: Any) -> None:
    other = desk.arena.client(desk.kind, "beta")
    await desk.exchange.place(perp("tr-1", BUY, "0.1"))
    await desk.exchange.place(perp("tr-2", BUY, "0.1", price="49900"))
    assert (await other.positions("BTCUSDT"))[0].qty == 0
    assert await other.open_orders(Market.PERP, "BTCUSDT") == ()
    assert not (await other.find_order(Market.PERP, "tr-1")).found
    await other.place(perp("tr-1", SELL, "0.2"))
    assert (await desk.exchange.positions("BTCUSDT"))[0].qty == Decimal("0.1")
    await other.close()


async def test_cap2_a_transfer_moves_coins_once(desk: Any) -> None:
    uids = desk.arena.uids
    main = desk.arena.client(desk.kind, "main")
    name = str(uuid.UUID(int=7))
    try:
        assert await main.transfer(name, "USDT", Decimal("250.5"), str(uids["main"]), str(uids["alpha"])) == "SUCCESS"
        with pytest.raises(UnknownOutcome):
            await main.transfer(name, "USDT", Decimal("250.5"), str(uids["main"]), str(uids["alpha"]))
        assert await main.transfer_status(name) == "SUCCESS"
        assert await main.transfer_status(str(uuid.UUID(int=8))) is None
        assert await usdt(desk) == Decimal("100250.5")
    finally:
        await main.close()


async def test_a_transfer_of_more_than_there_is_is_refused(desk: Any) -> None:
    uids = desk.arena.uids
    main = desk.arena.client(desk.kind, "main")
    try:
        with pytest.raises(RejectedForGood):
            await main.transfer(str(uuid.UUID(int=9)), "USDT", Decimal(10**6), str(uids["main"]), str(uids["alpha"]))
    finally:
        await main.close()


@pytest.mark.arena(demo=True)
async def test_the_demo_refuses_what_it_lacks(desk: Any) -> None:
    if desk.kind == "ccxt":
        with pytest.raises(Unsupported) as refused:
            await desk.exchange._do(desk.exchange.ccxt.private_get_v5_account_fee_rate({"category": "linear"}))
    else:
        live = desk.arena.client(desk.kind, "alpha", Environment.LIVE)
        with pytest.raises(Unsupported) as refused:
            await live.fee_rates(Market.PERP)
        await live.close()
    assert refused.value.code == 10032


@pytest.mark.arena(demo=True)
async def test_the_demo_trades(desk: Any) -> None:
    if desk.kind == "ccxt":
        raise NotInClient("ccxt asks for coins at start, which the demo lacks, unless told that it is one")
    await desk.exchange.place(spot("co-1", BUY, "1000"))
    await desk.exchange.place(perp("tr-1", BUY, "0.1"))
    assert (await desk.exchange.positions("BTCUSDT"))[0].qty == Decimal("0.1")


@pytest.mark.parametrize(("key", "secret", "code"), [("", "wrong", 10004), ("wrong", "", 10003)])
async def test_d5_a_wrong_key_or_secret_halts_trading(desk: Any, key: str, secret: str, code: int) -> None:
    good = desk.arena.credentials()
    bad = Credentials(key or good.key, secret or good.secret)
    if desk.kind == "in-process":
        raise NotInClient("the adapter has no keys")
    if desk.kind == "ccxt":
        client: Any = CcxtClient("alpha", bad, desk.arena.url, desk.arena.stream_url)
    else:
        client = PybitDemoClient("alpha", bad, endpoint=desk.arena.url)
    with pytest.raises(HaltTrading) as refused:
        await (client.wallet() if desk.kind == "pybit" else client.account_info())
    assert refused.value.code == code
    await client.close()


@pytest.mark.parametrize("direction", [1, -1])
async def test_a_clock_far_off_is_refused_before_execution(desk: Any, direction: int) -> None:
    if desk.kind != "pybit":
        raise NotInClient("one client over the wire is enough to skew")
    skew = {"kind": "clock_skew", "path": "/v5/order/create", "delay_ms": direction * 30_000}
    desk.arena.world.faults.add([skew])
    with pytest.raises(Exception, match="10002"):
        await desk.exchange.place(spot("co-1", BUY, "100"))
    assert not (await desk.exchange.find_order(Market.SPOT, "co-1")).found


async def test_the_books_balance_after_a_day_of_everything(desk: Any) -> None:
    for number in range(5):
        await desk.exchange.place(spot(f"co-{number}", BUY, str(100 + number)))
        await desk.exchange.place(perp(f"tr-{number}", BUY if number % 2 else SELL, "0.01"))
        desk.arena.step(hours=3)
        desk.arena.price("BTCUSDT", str(50_000 + 300 * number))
    assert desk.arena.world.venue.audit() == ()
    assert isinstance(desk.arena, Arena)


async def test_d6_our_client_never_runs_into_the_limit(desk: Any) -> None:
    if desk.kind != "pybit":
        raise NotInClient("waiting for turns is our own client's")
    assert desk.arena.world.limits.enforced
    before = clock.monotonic()
    await asyncio.gather(*(desk.exchange.place(perp(f"tr-{number}", BUY, "0.01")) for number in range(25)))
    assert clock.monotonic() - before > 2
    assert (await desk.exchange.positions("BTCUSDT"))[0].qty == Decimal("0.25")


async def test_d6_beyond_the_limit_the_exchange_refuses_and_executes_nothing(desk: Any) -> None:
    if desk.kind == "in-process":
        raise NotInClient("the adapter has no rate limits")
    if desk.kind == "pybit":
        desk.exchange._caller._throttle._lanes[EndpointClass.PERP_ORDER].limit = 1_000
    else:
        await desk.exchange._symbol(Market.PERP, "BTCUSDT")
    orders = [desk.exchange.place(perp(f"tr-{number}", BUY, "0.01")) for number in range(16)]
    results = await asyncio.gather(*orders, return_exceptions=True)
    refused = [result for result in results if isinstance(result, RateLimited)]
    taken = [result for result in results if isinstance(result, OrderAck)]
    assert len(refused) + len(taken) == 16
    assert refused
    assert all(error.code == 10006 for error in refused)
    if desk.kind == "pybit":
        assert all(error.reset_at is not None for error in refused)
    assert (await desk.exchange.positions("BTCUSDT"))[0].qty == Decimal("0.01") * len(taken)


async def test_isolated_margin_is_set_and_setting_it_again_is_no_error(desk: Any) -> None:
    await desk.exchange.set_margin_mode(MarginMode.ISOLATED)
    await desk.exchange.set_margin_mode(MarginMode.ISOLATED)
    assert (await desk.exchange.account_info()).margin_mode is MarginMode.ISOLATED


async def test_the_margin_mode_stays_while_a_position_is_open(desk: Any) -> None:
    await desk.exchange.place(perp("tr-1", BUY, "0.1"))
    with pytest.raises(RejectedForGood) as refused:
        await desk.exchange.set_margin_mode(MarginMode.ISOLATED)
    assert refused.value.code == 3400045
    assert (await desk.exchange.account_info()).margin_mode is MarginMode.CROSS
    if desk.kind != "ccxt":
        await desk.exchange.set_margin_mode(MarginMode.CROSS)


@pytest.mark.arena(demo=True)
async def test_the_demo_keeps_cross_margin_and_says_so(desk: Any) -> None:
    if desk.kind == "ccxt":
        raise NotInClient("ccxt knows no capabilities")
    with pytest.raises(Unsupported, match="cross margin is kept"):
        await desk.exchange.set_margin_mode(MarginMode.ISOLATED)
    assert (await desk.exchange.account_info()).margin_mode is MarginMode.CROSS


async def test_an_isolated_position_loses_its_margin_and_no_more(desk: Any) -> None:
    await desk.exchange.set_margin_mode(MarginMode.ISOLATED)
    await desk.exchange.set_leverage("BTCUSDT", Decimal(2))
    before = await usdt(desk)
    await desk.exchange.place(perp("tr-1", BUY, "1"))
    desk.arena.price("BTCUSDT", "20000")
    assert await desk.exchange.positions() == ()
    # Half of 50,025 and the fee of the way in.
    assert before - await usdt(desk) == Decimal(50025) / 2 + Decimal(50025) * Decimal("0.00055")


async def test_one_way_mode_is_kept_beside_an_open_position(desk: Any) -> None:
    await desk.exchange.require_one_way("BTCUSDT")
    await desk.exchange.place(perp("tr-1", BUY, "0.1"))
    if desk.kind != "ccxt":
        await desk.exchange.require_one_way("BTCUSDT")
    assert [row.position_idx for row in await desk.exchange.positions("BTCUSDT")] == [0]


async def test_hedge_mode_without_positions_is_ended(desk: Any) -> None:
    desk.arena.world.venue.switch_mode(desk.arena.uids["alpha"], "BTCUSDT", hedge=True)
    await desk.exchange.require_one_way("BTCUSDT")
    assert [row.position_idx for row in await desk.exchange.positions("BTCUSDT")] == [0]
    await desk.exchange.place(perp("tr-1", BUY, "0.1"))


@pytest.mark.parametrize(("kind", "code"), [("Market", 110024), ("Limit", 110028)])
async def test_hedge_mode_with_something_open_is_refused_in_words(desk: Any, kind: str, code: int) -> None:
    venue, uid = desk.arena.world.venue, desk.arena.uids["alpha"]
    venue.switch_mode(uid, "BTCUSDT", hedge=True)
    price = None if kind == "Market" else Decimal(49_900)
    order: Any = VenueOrder("linear", "BTCUSDT", "Buy", kind, Decimal("0.1"), price=price, position_idx=1)
    venue.create_order(uid, order)
    with pytest.raises(RejectedForGood) as refused:
        await desk.exchange.require_one_way("BTCUSDT")
    assert refused.value.code == code
    if desk.kind != "ccxt":
        assert "BTCUSDT is in hedge mode" in str(refused.value)
        assert "close the positions and orders" in str(refused.value)
