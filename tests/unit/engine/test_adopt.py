"""Opening books the journal knows nothing of: a first start, and a lost database (C3 to C5, D13, CORE-12)."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from contract_arena import SYMBOLS
from eternal_engine.engine.adopt import held_back
from eternal_engine.engine.snapshot import take_prices
from eternal_engine.engine.timing import hour_of
from eternal_engine.exchange.terms import Market, Side
from eternal_engine.model.event import Deposited
from eternal_engine.model.ids import Account, Engine, Leg, Symbol
from eternal_engine.model.money import ZERO
from eternal_engine.storage.projection import Projection
from reconcile_bench import Bench, hand_id, our_id, trade

BUY, SELL, SPOT, PERP = Side.BUY, Side.SELL, Market.SPOT, Market.PERP
BTC, ETH, SOL = (Symbol(name) for name in SYMBOLS)
TREND, TACTICAL, CORE, FUNDING = Account.TREND, Account.TACTICAL, Account.CORE_HODL, Account.FUNDING
WEEK_H = 168


async def lose_database(bench: Bench) -> None:
    """Forget the journal, and open the books from what the exchange says."""
    bench.projection = Projection()
    bench.journal.clear()
    await bench.open()
    for account in Account:
        assert bench.differences(account) == {}
        assert (await bench.reconcile(account)).events == (), "what was opened is not found again"
    assert bench.projection.books.imbalance_usdt == ZERO


async def waits(bench: Bench) -> dict[str, int]:
    """Give the hours from now that CORE_HODL holds coins back."""
    prices = await take_prices(bench.client(CORE), SYMBOLS)
    snapshot = await bench.snapshot(CORE, bench.now - timedelta(days=30))
    rows = held_back(snapshot, bench.projection.books, prices, SYMBOLS, WEEK_H)
    return {SYMBOLS[index]: until_h - hour_of(bench.now) for index, until_h in rows}


async def test_c3_a_fresh_account_opens_with_its_money_and_holds_nothing_back() -> None:
    bench = Bench.make()
    await lose_database(bench)
    names = {event.record_id for event in bench.journal if isinstance(event, Deposited)}
    assert names == {f"opening:{account.value}:USDT" for account in Account}
    assert await waits(bench) == {}


async def test_c4_all_coins_held_are_bought_an_interval_after_their_last_fill() -> None:
    bench = Bench.make()
    for symbol, hours in zip(SYMBOLS, (3, 2, 0), strict=True):
        await trade(bench.client(CORE), our_id(Engine.CORE_HODL, bench.now, symbol), SPOT, BUY, "1000", symbol)
        bench.pass_time(hours=hours)
    await lose_database(bench)
    assert await waits(bench) == {"BTCUSDT": WEEK_H - 5, "ETHUSDT": WEEK_H - 2, "SOLUSDT": WEEK_H}


async def test_c4_a_fill_inside_an_hour_is_waited_for_to_the_second() -> None:
    bench = Bench.make()
    bench.pass_time(seconds=3)
    await trade(bench.client(CORE), our_id(Engine.CORE_HODL, bench.now), SPOT, BUY, "1000")
    await lose_database(bench)
    assert await waits(bench) == {"BTCUSDT": WEEK_H + 1}


async def test_c5_only_the_coins_not_held_are_bought_now() -> None:
    bench = Bench.make()
    await trade(bench.client(CORE), our_id(Engine.CORE_HODL, bench.now), SPOT, BUY, "1000")
    bench.pass_time(hours=24)
    bench.deposit(CORE, "ETH", "1")
    await lose_database(bench)
    # ETH has no purchase in history: it waits one interval from now.
    assert await waits(bench) == {"BTCUSDT": WEEK_H - 24, "ETHUSDT": WEEK_H}
    assert set(bench.book(CORE).spot) == {BTC, ETH}


async def test_core_12_a_purchase_older_than_an_interval_is_no_purchase_in_history() -> None:
    bench = Bench.make()
    await trade(bench.client(CORE), our_id(Engine.CORE_HODL, bench.now), SPOT, BUY, "1000")
    bench.pass_time(hours=WEEK_H)
    await lose_database(bench)
    assert await waits(bench) == {"BTCUSDT": WEEK_H}


@pytest.mark.parametrize(("sol", "waiting"), [("0.0099", False), ("0.01", True)])
async def test_ord_5_dust_holds_nothing_back(sol: str, waiting: bool) -> None:
    bench = Bench.make()
    bench.deposit(CORE, "SOL", sol)
    await lose_database(bench)
    assert (SOL in await waits(bench)) is waiting


async def test_core_hodls_coins_come_back_at_their_cost_from_history() -> None:
    bench = Bench.make()
    await trade(bench.client(CORE), our_id(Engine.CORE_HODL, bench.now), SPOT, BUY, "1000")
    await trade(bench.client(CORE), hand_id(), SPOT, BUY, "500")
    bench.price("BTCUSDT", "90000")
    await lose_database(bench)
    held = bench.book(CORE).spot[BTC]
    assert Decimal(50_000) < held.average_price < Decimal(50_050)
    assert not bench.book(CORE, unassigned=True).spot


async def test_d13_what_nothing_explains_is_unassigned_and_told() -> None:
    bench = Bench.make()
    bench.deposit(TREND, "ETH", "0.5")
    await trade(bench.client(TREND), hand_id(), PERP, BUY, "0.1")
    opening = await bench.opening(TREND)
    assert len(opening.alerts) == 2
    assert opening.reassigned == ()
    await lose_database(bench)
    left = bench.book(TREND, unassigned=True)
    assert left.perp[BTC].average_price == Decimal("50025.0")
    assert left.spot[ETH].qty == Decimal("0.5")
    assert not bench.book(TREND).perp
    assert not bench.book(TREND).spot


async def test_0090_a_position_all_of_whose_orders_are_the_engines_is_the_engines_again() -> None:
    bench = Bench.make()
    client, at = bench.client(TREND), bench.now
    await trade(client, our_id(Engine.TREND, at, leg=Leg.ENTRY), PERP, BUY, "0.3")
    await trade(client, our_id(Engine.TREND, at, leg=Leg.EXIT), PERP, SELL, "0.3", reduce_only=True)
    bench.pass_time(hours=30)
    await trade(client, our_id(Engine.TREND, bench.now, leg=Leg.ENTRY), PERP, BUY, "0.2")
    await client.set_stop("BTCUSDT", Decimal(45_000))
    bench.pass_time(hours=30)
    await trade(client, our_id(Engine.TREND, bench.now, leg=Leg.BREAKER_CUT), PERP, SELL, "0.05", reduce_only=True)
    opening = await bench.opening(TREND)
    assert [fill.qty for fill in opening.reassigned] == [Decimal("0.2"), Decimal("0.05")]
    await lose_database(bench)
    position = bench.book(TREND).perp[BTC]
    assert position.qty == Decimal("0.15")
    assert position.opened_at == at + timedelta(hours=30)
    assert position.funding_usdt != ZERO, "its settlements came back too"
    assert not bench.book(TREND, unassigned=True).perp
    assert (await bench.compare(TREND)).stops == {BTC: Decimal(45_000)}


async def test_0090_one_trade_by_hand_in_the_chain_leaves_the_position_to_a_person() -> None:
    bench = Bench.make()
    client = bench.client(TREND)
    await trade(client, our_id(Engine.TREND, bench.now, leg=Leg.ENTRY), PERP, BUY, "0.2")
    await trade(client, hand_id(), PERP, BUY, "0.1")
    await lose_database(bench)
    assert bench.book(TREND, unassigned=True).perp[BTC].qty == Decimal("0.3")
    assert not bench.book(TREND).perp


async def test_0090_a_history_that_does_not_add_up_leaves_the_position_to_a_person() -> None:
    bench = Bench.make()
    for qty in ("0.2", "0.1"):
        await trade(bench.client(TREND), our_id(Engine.TREND, bench.now, leg=Leg.ENTRY), PERP, BUY, qty)
        bench.pass_time(days=8)
    await lose_database(bench)
    assert bench.book(TREND, unassigned=True).perp[BTC].qty == Decimal("0.3")


async def test_0090_another_engines_id_is_no_id_of_this_engine() -> None:
    bench = Bench.make()
    await trade(bench.client(TREND), our_id(Engine.FUNDING, bench.now, leg=Leg.PERP_OPEN), PERP, SELL, "0.2")
    await lose_database(bench)
    assert bench.book(TREND, unassigned=True).perp[BTC].qty == Decimal("-0.2")


async def test_0090_both_legs_of_a_pair_come_back() -> None:
    bench = Bench.make()
    client, at = bench.client(FUNDING), bench.now
    await trade(client, our_id(Engine.FUNDING, at, leg=Leg.SPOT_OPEN), SPOT, BUY, "5005")
    await trade(client, our_id(Engine.FUNDING, at, leg=Leg.PERP_OPEN), PERP, SELL, "0.1")
    bench.pass_time(hours=50)
    await lose_database(bench)
    book = bench.book(FUNDING)
    assert book.perp[BTC].qty == Decimal("-0.1")
    assert Decimal("0.0999") < book.spot[BTC].qty < Decimal("0.1001")
    assert book.spot[BTC].opened_at == at


async def test_0090_what_was_bought_and_sold_in_one_instant_comes_back_in_its_order() -> None:
    bench = Bench.make()
    for attempt in range(1, 8):
        leg, side, qty = (Leg.SPOT_OPEN, BUY, "2000") if attempt % 2 else (Leg.SPOT_UNWIND, SELL, "0.25")
        await trade(bench.client(FUNDING), our_id(Engine.FUNDING, bench.now, ETH, leg, attempt), SPOT, side, qty, ETH)
    await lose_database(bench)
    assert ETH in bench.book(FUNDING).spot


async def test_opening_twice_changes_nothing() -> None:
    bench = Bench.make()
    bench.deposit(TACTICAL, "ETH", "0.5")
    opening = await bench.opening(TACTICAL)
    bench.write(opening.events)
    rows, books = len(bench.journal), bench.projection.books
    bench.write(event for event in opening.events if type(event).__name__ not in ("Reconciled", "StateSaved"))
    assert (len(bench.journal), bench.projection.books) == (rows, books)


async def test_what_happens_at_the_very_instant_of_opening_is_found_afterwards() -> None:
    """In a simulation time stands still while orders are sent: the first hour's trades carry the opening's time."""
    bench = Bench.make()
    await bench.open()
    await trade(bench.client(CORE), our_id(Engine.CORE_HODL, bench.now), SPOT, BUY, "1000")
    bench.deposit(CORE, "USDT", "77")
    found = await bench.reconcile(CORE)
    assert len(found.booked) == 2
    assert found.corrections == ()
    assert bench.differences(CORE) == {}
