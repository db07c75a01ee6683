"""Comparing an account with a real venue: what is missed is booked, what is unexplained is adopted or corrected."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from contract_arena import SYMBOLS
from eternal_engine.engine.reconcile import compare, reconcile
from eternal_engine.engine.snapshot import horizon_of, saved_horizon, take_prices
from eternal_engine.exchange.terms import Market, Side
from eternal_engine.ledger.equity import Prices
from eternal_engine.ledger.transfers import attempt_id, plan_transfer
from eternal_engine.model.event import (
    Corrected,
    Deposited,
    Filled,
    FundingSettled,
    Mismatch,
    OrderMoved,
    OrderPlanned,
    Transferred,
)
from eternal_engine.model.ids import Account, Coin, Engine, Leg, OrderKey, RuleId, Symbol
from eternal_engine.model.money import ZERO
from eternal_engine.model.order import OrderIntent, OrderKind, Trigger
from reconcile_bench import Bench, hand_id, our_id, trade

BUY, SELL, SPOT, PERP = Side.BUY, Side.SELL, Market.SPOT, Market.PERP
BTC, ETH = Symbol("BTCUSDT"), Symbol("ETHUSDT")
TREND, TACTICAL, CORE, FUNDING, MASTER = (
    Account.TREND,
    Account.TACTICAL,
    Account.CORE_HODL,
    Account.FUNDING,
    Account.MASTER,
)


@pytest.fixture
async def bench() -> Bench:
    """Give a venue with all books opened."""
    made = Bench.make()
    await made.open()
    return made


def of_kind(bench: Bench, kind: type) -> list:
    return [event for event in bench.journal if isinstance(event, kind)]


async def test_ord_7_nothing_happened_nothing_is_found(bench: Bench) -> None:
    for account in Account:
        found = await bench.reconcile(account)
        assert found.is_clean
        assert found.events == ()
        assert found.alerts == ()
        assert bench.differences(account) == {}


@pytest.mark.parametrize("hours", [0, 3, 200])
async def test_ord_4_a_lost_execution_is_booked_from_the_exchange_once(bench: Bench, hours: int) -> None:
    client = bench.client(TREND)
    await trade(client, our_id(Engine.TREND, bench.now, leg=Leg.ENTRY), PERP, BUY, "0.1")
    bench.pass_time(hours=hours)
    found = await bench.reconcile(TREND)
    assert found.differences >= 1
    assert found.corrections == ()
    assert found.alerts == ()
    assert not found.pause
    assert bench.book(TREND).perp[BTC].qty == Decimal("0.1")
    assert len(of_kind(bench, Filled)) == 1
    assert len(of_kind(bench, FundingSettled)) == (hours + 5) // 8
    assert bench.differences(TREND) == {}
    assert (await bench.reconcile(TREND)).events == ()


async def test_c9_an_order_known_to_the_journal_gets_its_missing_fill_and_is_looked_up(bench: Bench) -> None:
    identifier = await planned(bench, CORE, Engine.CORE_HODL, amount="1000")
    await trade(bench.client(CORE), identifier, SPOT, BUY, "1000")
    found = await bench.reconcile(CORE)
    assert [row.client_order_id for row in found.look_up] == [identifier]
    order = bench.projection.orders[identifier].order  # type: ignore[index]
    assert order.filled_usdt > 990
    assert bench.differences(CORE) == {}


async def test_ord_7_an_order_under_way_gives_no_false_alarm(bench: Bench) -> None:
    identifier = await planned(bench, TACTICAL, Engine.TACTICAL, amount="1000")
    await trade(bench.client(TACTICAL), identifier, SPOT, BUY, "1000")
    snapshot = await bench.snapshot(TACTICAL)
    prices = await take_prices(bench.client(TACTICAL), SYMBOLS)
    # The list of executions lags behind the wallet.
    late = replace(snapshot, executions=())
    found = compare(late, bench.projection, await bench.rules(), prices)
    assert found.corrections == ()
    assert found.deferred == {"BTCUSDT", "cash"}
    assert not found.pause


async def test_ord_7_a_snapshot_in_which_something_moved_corrects_nothing(bench: Bench) -> None:
    bench.deposit(TREND, "ETH", "1")
    snapshot = replace(await bench.snapshot(TREND), ledger=(), is_settled=False)
    found = compare(snapshot, bench.projection, await bench.rules(), await take_prices(bench.client(TREND), SYMBOLS))
    assert found.corrections == ()
    assert found.deferred == {"everything"}


async def test_d12_a_wrong_size_is_corrected_on_record_and_pauses_the_symbol(bench: Bench) -> None:
    """The journal says 1 BTC, the exchange has 0.2: alarm, pause, and only a recorded correction sets the book."""
    await trade(bench.client(TACTICAL), our_id(Engine.TACTICAL, bench.now), SPOT, BUY, "10000")
    await bench.reconcile(TACTICAL)
    held, rule = bench.book(TACTICAL).spot[BTC].qty, Mismatch.WRONG_SIZE
    bench.write([correction(bench, TACTICAL, "0.8")])
    assert bench.book(TACTICAL).spot[BTC].qty == held + Decimal("0.8")
    found = await bench.reconcile(TACTICAL)
    assert [(row.qty, row.reason, row.unassigned) for row in found.corrections] == [(Decimal("-0.8"), rule, False)]
    assert found.pause == {BTC}
    assert "corrected on record" in found.alerts[0].what
    assert bench.book(TACTICAL).spot[BTC].qty == held
    assert (await bench.reconcile(TACTICAL)).events == ()


async def test_d12_a_perp_that_is_smaller_than_the_journal_says_is_cut(bench: Bench) -> None:
    bench.write([correction(bench, TREND, "0.3", PERP)])
    await trade(bench.client(TREND), our_id(Engine.TREND, bench.now, leg=Leg.ENTRY), PERP, BUY, "0.1")
    found = await bench.reconcile(TREND)
    assert bench.book(TREND).perp[BTC].qty == Decimal("0.1")
    assert found.pause == {BTC}
    assert bench.differences(TREND) == {}


async def test_ord_7_a_perp_that_is_larger_than_the_journal_says_leaves_the_engine_what_it_knows(bench: Bench) -> None:
    await trade(bench.client(TREND), our_id(Engine.TREND, bench.now, leg=Leg.ENTRY), PERP, BUY, "0.3")
    await bench.reconcile(TREND)
    bench.write([correction(bench, TREND, "-0.2", PERP)])
    found = await bench.reconcile(TREND)
    assert [(row.qty, row.unassigned) for row in found.corrections] == [(Decimal("0.2"), True)]
    assert bench.book(TREND).perp[BTC].qty == Decimal("0.1")
    assert found.pause == {BTC}


async def test_ord_7_a_correction_that_two_looks_do_not_agree_on_waits(bench: Bench) -> None:
    """The wallet is ahead of the list of executions, which catches up between the looks, but not wholly."""
    for symbol in ("BTCUSDT", "ETHUSDT"):
        await trade(bench.client(TACTICAL), our_id(Engine.TACTICAL, bench.now, symbol), SPOT, BUY, "1000", symbol)
    client, shown = bench.client(TACTICAL), [0]
    everything = client.executions

    async def late(market: Market, *span: object) -> tuple:
        return (await everything(market, *span))[: shown[0]]  # type: ignore[arg-type]

    async def sleep(seconds: float) -> None:
        bench.pass_time(seconds=seconds)
        shown[0] += 1

    client.executions = late  # type: ignore[method-assign]
    prices, rules = await take_prices(client, SYMBOLS), await bench.rules()
    looks = []
    for _ in range(2):
        found = await reconcile(client, TACTICAL, lambda: bench.projection, rules, prices, lambda: bench.now, sleep)
        bench.write(found.events)
        looks.append((len(found.booked), len(found.corrections), "cash" in found.deferred))
    assert looks == [(1, 0, True), (1, 0, False)]
    assert bench.differences(TACTICAL) == {}


async def test_ord_7_a_horizon_that_a_wrong_clock_put_into_the_future_hides_nothing(bench: Bench) -> None:
    horizon = horizon_of(bench.projection, TREND)
    assert horizon is not None
    ahead = replace(horizon, checked_to=bench.now + timedelta(days=3))
    bench.write([saved_horizon(TREND, ahead, bench.now)])
    await trade(bench.client(TREND), our_id(Engine.TREND, bench.now, leg=Leg.ENTRY), PERP, BUY, "0.1")
    bench.pass_time(hours=5)
    found = await bench.reconcile(TREND)
    assert (found.corrections, len(of_kind(bench, Filled))) == ((), 1)
    assert bench.differences(TREND) == {}
    mended = horizon_of(bench.projection, TREND)
    assert mended is not None
    assert mended.checked_to <= bench.now


@pytest.mark.parametrize("account", [CORE, TACTICAL])
async def test_ord_7_a_delisted_coin_that_was_taken_away_leaves_the_books_at_its_cost(
    bench: Bench, account: Account
) -> None:
    engine = Engine(account.value)
    await trade(bench.client(account), our_id(engine, bench.now, "ETHUSDT"), SPOT, BUY, "1000", "ETHUSDT")
    await bench.reconcile(account)
    held = bench.book(account).spot[ETH]
    bench.deposit(account, "ETH", str(-held.qty))
    prices = await take_prices(bench.client(account), SYMBOLS)
    nameless = Prices({BTC: prices.spot[BTC]}, prices.mark)
    found = compare(await bench.snapshot(account), bench.projection, await bench.rules(), nameless)
    bench.write(found.events)
    (left,) = [event for event in found.booked if isinstance(event, Deposited)]
    assert (left.amount, left.value_usdt) == (-held.qty, -held.qty * held.average_price)
    assert bench.differences(account) == {}
    assert found.alerts == ()


@pytest.mark.parametrize("market", [SPOT, PERP])
async def test_d12_what_is_gone_and_has_no_price_is_corrected_at_its_cost(bench: Bench, market: Market) -> None:
    bench.write([replace(correction(bench, TREND, "0.5", market), symbol=ETH, coin=Coin("ETH"))])
    prices = await take_prices(bench.client(TREND), SYMBOLS)
    nameless = Prices({BTC: prices.spot[BTC]}, {BTC: prices.mark[BTC]})
    found = compare(await bench.snapshot(TREND), bench.projection, await bench.rules(), nameless)
    (row,) = [row for row in found.corrections if row.symbol == ETH]
    assert (row.qty, row.market) == (Decimal("-0.5"), market)
    bench.write(found.events)
    assert bench.differences(TREND) == {}


async def test_d13_an_orphan_is_adopted_unassigned_at_its_cost_from_history(bench: Bench) -> None:
    await trade(bench.client(TREND), hand_id(), SPOT, BUY, "1250", "ETHUSDT")
    bench.price("ETHUSDT", "3000")
    bench.pass_time(hours=1)
    found = await bench.reconcile(TREND)
    orphan = bench.book(TREND, unassigned=True).spot[ETH]
    assert Decimal("0.49") < orphan.qty < Decimal("0.5")
    assert Decimal(2500) < orphan.average_price < Decimal(2505)
    assert ETH not in bench.book(TREND).spot
    assert len(found.alerts) == 1
    assert bench.differences(TREND) == {}
    assert bench.book(TREND, unassigned=True).cash_usdt == ZERO, "the money left the engine's cash"
    assert (await bench.reconcile(TREND)).events == ()


async def test_d13_an_orphan_without_history_is_adopted_at_the_market(bench: Bench) -> None:
    bench.deposit(TREND, "ETH", "0.5")
    horizon = horizon_of(bench.projection, TREND)
    assert horizon is not None
    found = await bench.reconcile(TREND)
    assert bench.book(TREND, unassigned=True).spot[ETH].average_price == 2500
    assert not found.pause, "coins beside the engine's do not stand in its way"
    assert all(event.unassigned for event in found.events if isinstance(event, Corrected))
    assert bench.differences(TREND) == {}


@pytest.mark.parametrize(("usdt", "adopted"), [("0.99", False), ("1.00", True)])
async def test_d11_dust_ends_at_one_usdt(bench: Bench, usdt: str, adopted: bool) -> None:
    snapshot = await bench.snapshot(TACTICAL)
    qty = Decimal(usdt) / 2_500
    coin = replace(snapshot.wallet.coins[0], coin="ETH", wallet_qty=qty)
    wallet = replace(snapshot.wallet, coins=(*snapshot.wallet.coins, coin))
    found = compare(
        replace(snapshot, wallet=wallet),
        bench.projection,
        await bench.rules(),
        await take_prices(bench.client(TACTICAL), SYMBOLS),
    )
    assert bool(found.corrections) is adopted
    assert bool(found.alerts) is adopted


async def test_ord_7_the_ten_coins_in_core_hodls_account_are_its_holdings(bench: Bench) -> None:
    await trade(bench.client(CORE), hand_id(), SPOT, BUY, "500", "ETHUSDT")
    bench.deposit(CORE, "SOL", "3")
    await bench.reconcile(CORE)
    assert set(bench.book(CORE).spot) == {ETH, Symbol("SOLUSDT")}
    assert not bench.book(CORE, unassigned=True).spot
    assert bench.differences(CORE) == {}


async def test_ord_7_coins_that_left_in_a_row_before_the_one_that_brought_them_are_booked(bench: Bench) -> None:
    bench.deposit(CORE, "BTC", "0.5")
    bench.deposit(CORE, "BTC", "-0.2")
    snapshot = await bench.snapshot(CORE)
    prices = await take_prices(bench.client(CORE), SYMBOLS)
    found = compare(replace(snapshot, ledger=snapshot.ledger[::-1]), bench.projection, await bench.rules(), prices)
    assert [entry.amount for entry in found.booked if isinstance(entry, Deposited)] == [Decimal("0.5"), Decimal("-0.2")]
    assert (found.corrections, found.alerts) == ((), ())


async def test_ord_7_a_row_that_a_correction_has_explained_is_not_booked_on_top_of_it(bench: Bench) -> None:
    bench.deposit(CORE, "BTC", "0.5")
    bench.deposit(CORE, "BTC", "-0.2")
    snapshot = await bench.snapshot(CORE)
    left = replace(snapshot, ledger=tuple(row for row in snapshot.ledger if row.change < ZERO))
    rules, prices = await bench.rules(), await take_prices(bench.client(CORE), SYMBOLS)
    found = compare(left, bench.projection, rules, prices)
    assert [alert.what for alert in found.alerts if "cannot be booked" in alert.what]
    bench.write(found.events)
    assert bench.book(CORE).spot[BTC].qty == Decimal("0.3")
    assert compare(left, bench.projection, rules, prices).events == ()


async def test_a_sale_by_hand_takes_what_is_a_hands_first_then_the_engines(bench: Bench) -> None:
    client = bench.client(TACTICAL)
    await trade(client, our_id(Engine.TACTICAL, bench.now), SPOT, BUY, "5000")
    await trade(client, hand_id(), SPOT, BUY, "2500")
    await bench.reconcile(TACTICAL)
    ours, left = bench.book(TACTICAL).spot[BTC].qty, bench.book(TACTICAL, unassigned=True).spot[BTC].qty
    assert ours > left > ZERO
    await trade(client, hand_id(), SPOT, SELL, "0.08")
    found = await bench.reconcile(TACTICAL)
    assert BTC not in bench.book(TACTICAL, unassigned=True).spot
    assert bench.book(TACTICAL).spot[BTC].qty == ours + left - Decimal("0.08")
    assert bench.differences(TACTICAL) == {}
    assert found.alerts
    assert bench.projection.books.imbalance_usdt == ZERO


@pytest.mark.parametrize(
    ("sold", "own_left", "by_hand_left"), [("0.05", "0.0499", "0.04995"), ("0.12", "0", "0.02985")]
)
async def test_a_sale_of_the_engine_takes_its_own_coins_first(
    bench: Bench, sold: str, own_left: str, by_hand_left: str
) -> None:
    client = bench.client(TACTICAL)
    await trade(client, our_id(Engine.TACTICAL, bench.now), SPOT, BUY, "0.1", price="50100")
    await trade(client, hand_id(), SPOT, BUY, "0.05", price="50100")
    await bench.reconcile(TACTICAL)
    await trade(client, our_id(Engine.TACTICAL, bench.now, leg=Leg.EXIT), SPOT, SELL, sold)
    await bench.reconcile(TACTICAL)
    sides = (bench.book(TACTICAL).spot, bench.book(TACTICAL, unassigned=True).spot)
    held = [side[BTC].qty if BTC in side else ZERO for side in sides]
    assert held == [Decimal(own_left), Decimal(by_hand_left)]
    assert bench.differences(TACTICAL) == {}


async def test_ord_7_what_a_list_shows_too_late_is_still_found(bench: Bench) -> None:
    identifier = await planned(bench, TACTICAL, Engine.TACTICAL, amount="1000")
    await trade(bench.client(TACTICAL), identifier, SPOT, BUY, "1000")
    bench.deposit(TACTICAL, "USDT", "5")
    bench.pass_time(minutes=5)
    snapshot = await bench.snapshot(TACTICAL)
    prices = await take_prices(bench.client(TACTICAL), SYMBOLS)
    early = compare(replace(snapshot, executions=()), bench.projection, await bench.rules(), prices)
    assert early.horizon is not None
    bench.write(early.events)
    assert len((await bench.reconcile(TACTICAL)).booked) == 1
    assert bench.differences(TACTICAL) == {}


@pytest.mark.parametrize(
    ("by_hand", "own", "left"), [("0.1", "0.2", "0.1"), ("-0.1", "0.1", "0"), ("-0.5", "0", "-0.3")]
)
async def test_a_perp_by_hand_never_makes_the_engine_own_more_or_turns_it(
    bench: Bench, by_hand: str, own: str, left: str
) -> None:
    client, qty = bench.client(TREND), Decimal(by_hand)
    await trade(client, our_id(Engine.TREND, bench.now, leg=Leg.ENTRY), PERP, BUY, "0.2")
    bench.price("BTCUSDT", "51000")
    await trade(client, hand_id(), PERP, BUY if qty > 0 else SELL, str(abs(qty)))
    found = await bench.reconcile(TREND)
    sides = (bench.book(TREND).perp, bench.book(TREND, unassigned=True).perp)
    assert [side[BTC].qty if BTC in side else ZERO for side in sides] == [Decimal(own), Decimal(left)]
    assert bench.differences(TREND) == {}
    assert found.pause == {BTC}
    assert found.corrections == ()
    assert (await bench.reconcile(TREND)).events == ()


async def test_trend_x2_the_stop_at_the_exchange_closes_the_engines_position(bench: Bench) -> None:
    client = bench.client(TREND)
    await trade(client, our_id(Engine.TREND, bench.now, leg=Leg.ENTRY), PERP, BUY, "0.1")
    await client.set_stop("BTCUSDT", Decimal(49_000))
    assert (await bench.reconcile(TREND)).stops == {BTC: Decimal(49_000)}
    bench.price("BTCUSDT", "48900")
    found = await bench.reconcile(TREND)
    assert not bench.book(TREND).perp
    assert not bench.book(TREND, unassigned=True).perp
    assert found.alerts == ()
    assert not found.pause
    assert bench.differences(TREND) == {}


async def test_trend_x3_a_position_whose_stop_was_taken_away_is_named(bench: Bench) -> None:
    client = bench.client(TREND)
    await trade(client, our_id(Engine.TREND, bench.now, leg=Leg.ENTRY), PERP, BUY, "0.1")
    assert (await bench.compare(TREND)).stops == {BTC: None}


async def test_a13_a_deposit_counts_once_and_only_by_the_ledger(bench: Bench) -> None:
    bench.deposit(CORE, "USDT", "30000")
    bench.price("BTCUSDT", "80000")
    for _ in range(10):
        await bench.reconcile(CORE)
        bench.pass_time(minutes=7)
    deposits = [event for event in of_kind(bench, Deposited) if not event.record_id.startswith("opening")]
    assert [event.amount for event in deposits] == [30_000]
    assert bench.differences(CORE) == {}


async def test_cap_4_a_deposit_into_master_and_a_withdrawal_are_booked_where_they_happened(bench: Bench) -> None:
    bench.deposit(MASTER, "USDT", "500")
    bench.deposit(FUNDING, "USDT", "-250")
    for account in Account:
        await bench.reconcile(account)
        assert bench.differences(account) == {}
    assert bench.book(MASTER).totals.deposits_usdt == 100_500
    assert bench.book(FUNDING).totals.deposits_usdt == 99_750


async def test_cap_2_a_transfer_of_ours_is_completed_and_is_no_deposit(bench: Bench) -> None:
    plan = plan_transfer(TACTICAL, CORE, Decimal(123), bench.now, RuleId("CAP-2"))
    assert plan is not None
    bench.write([plan])
    uids = (str(bench.uids[TACTICAL]), str(bench.uids[CORE]))
    await bench.client(MASTER).transfer(plan.transfer_id, "USDT", plan.amount, *uids)
    for account in (CORE, TACTICAL, CORE):
        await bench.reconcile(account)
        assert bench.differences(account) == {}
    assert len(of_kind(bench, Transferred)) == 1
    assert not bench.projection.pending_transfers
    assert bench.book(CORE).totals.deposits_usdt == 100_000


async def test_a_transfer_by_hand_is_a_deposit_on_both_sides(bench: Bench) -> None:
    uids = (str(bench.uids[MASTER]), str(bench.uids[CORE]))
    await bench.client(MASTER).transfer("0a66cd40-30c5-4ed5-b0b8-5ac4f6d1ad0d", "USDT", Decimal(7_000), *uids)
    for account in (MASTER, CORE):
        await bench.reconcile(account)
        assert bench.differences(account) == {}
    assert bench.book(CORE).totals.deposits_usdt == 107_000


async def test_cap_2_a_booked_transfer_under_an_id_of_the_exchanges_own_is_not_booked_again(bench: Bench) -> None:
    """The exchange's log need not carry our id: the wallet shows that the money is in the books already."""
    plan = plan_transfer(TACTICAL, CORE, Decimal(123), bench.now, RuleId("CAP-2"))
    assert plan is not None
    other_id = "5b1d8a5e-6f3c-4c39-8a5e-2b8f7f0f4a11"
    uids = (str(bench.uids[TACTICAL]), str(bench.uids[CORE]))
    await bench.client(MASTER).transfer(other_id, "USDT", plan.amount, *uids)
    bench.write([plan, Transferred(bench.now, plan.transfer_id, TACTICAL, CORE, Coin("USDT"), plan.amount, plan.rule)])
    for account in (CORE, TACTICAL):
        assert (await bench.reconcile(account)).events == ()
        assert bench.differences(account) == {}


async def test_cap_2_a_later_attempt_at_a_booked_transfer_is_no_deposit_beside_money_sent_by_hand(bench: Bench) -> None:
    plan = plan_transfer(TACTICAL, CORE, Decimal(123), bench.now, RuleId("CAP-2"))
    assert plan is not None
    uids = (str(bench.uids[TACTICAL]), str(bench.uids[CORE]))
    await bench.client(MASTER).transfer(attempt_id(plan.transfer_id, 3), "USDT", plan.amount, *uids)
    by_hand = (str(bench.uids[MASTER]), str(bench.uids[CORE]))
    await bench.client(MASTER).transfer("0a66cd40-30c5-4ed5-b0b8-5ac4f6d1ad0d", "USDT", Decimal(7_000), *by_hand)
    bench.write([plan, Transferred(bench.now, plan.transfer_id, TACTICAL, CORE, Coin("USDT"), plan.amount, plan.rule)])
    for account in (CORE, TACTICAL, MASTER):
        await bench.reconcile(account)
        assert bench.differences(account) == {}
    assert bench.book(CORE).totals.deposits_usdt == 107_000


async def test_an_unexplained_balance_is_corrected_on_record(bench: Bench) -> None:
    bench.write([correction(bench, TREND, "-12.5", symbol=None)])
    found = await bench.reconcile(TREND)
    assert [(row.qty, row.reason) for row in found.corrections] == [(Decimal("12.5"), Mismatch.WRONG_BALANCE)]
    assert "USDT differed by 12.5" in found.alerts[0].what
    assert bench.differences(TREND) == {}


async def test_unknown_order_a_resting_order_by_hand_is_told_and_left_alone(bench: Bench) -> None:
    await trade(bench.client(TREND), hand_id(), PERP, BUY, "0.1", price="40000")
    found = await bench.reconcile(TREND)
    assert found.differences == 1
    assert "is not the daemon's" in found.alerts[0].what
    assert not found.look_up
    assert len(await bench.client(TREND).open_orders(PERP)) == 1


async def test_ord_2_an_open_order_of_ours_that_the_journal_lost_is_to_be_looked_up(bench: Bench) -> None:
    name = our_id(Engine.TREND, bench.now, leg=Leg.ENTRY)
    await trade(bench.client(TREND), name, PERP, BUY, "0.1", price="40000")
    found = await bench.reconcile(TREND)
    assert [row.client_order_id for row in found.look_up] == [name]
    assert found.differences == 1


async def test_a_coin_the_daemon_does_not_know_moves_only_the_money(bench: Bench) -> None:
    rules = await bench.rules()
    bench.owners = replace(rules, rules={key: row for key, row in rules.rules.items() if key[1] != "SOLUSDT"})
    await trade(bench.client(TACTICAL), hand_id(), SPOT, BUY, "700", "SOLUSDT")
    found = await bench.reconcile(TACTICAL)
    assert set(bench.differences(TACTICAL)) == {"SOL"}
    assert found.alerts
    assert (await bench.reconcile(TACTICAL)).events == ()


async def test_a_restored_old_database_learns_what_it_missed_under_our_ids(bench: Bench) -> None:
    """Positions are right and a decision taken again meets its own order: nothing is bought twice."""
    backup, rows = bench.projection, len(bench.journal)
    bench.pass_time(hours=2)
    at, client = bench.now, bench.client(CORE)
    await trade(client, our_id(Engine.CORE_HODL, at), SPOT, BUY, "1000")
    await trade(client, our_id(Engine.CORE_HODL, at, "ETHUSDT"), SPOT, BUY, "500", "ETHUSDT")
    bench.pass_time(days=30)
    bench.projection = backup
    del bench.journal[rows:]
    found = await bench.reconcile(CORE)
    assert bench.differences(CORE) == {}
    assert len(found.booked) == 2
    name = await planned(bench, CORE, Engine.CORE_HODL, amount="1000", at=at)
    order = bench.projection.orders[name].order  # type: ignore[index]
    assert order.filled_qty == bench.projection.books.of(CORE).spot[BTC].qty / Decimal("0.999")
    assert order.state.value != "planned"


async def test_the_horizon_moves_only_when_something_was_booked_or_a_day_has_passed(bench: Bench) -> None:
    before = horizon_of(bench.projection, TREND)
    bench.pass_time(hours=23)
    assert (await bench.reconcile(TREND)).events == ()
    assert horizon_of(bench.projection, TREND) == before
    bench.pass_time(hours=1)
    assert len((await bench.reconcile(TREND)).events) == 1
    after = horizon_of(bench.projection, TREND)
    assert before is not None
    assert after is not None
    assert after.checked_to - before.checked_to == timedelta(hours=24)


async def test_u_8_funding_of_an_undecided_hour_is_no_difference_and_is_found_until_it_is_booked(bench: Bench) -> None:
    await trade(bench.client(TREND), our_id(Engine.TREND, bench.now, leg=Leg.ENTRY), PERP, BUY, "0.1")
    bench.pass_time(hours=20)
    snapshot, rules = await bench.snapshot(TREND), await bench.rules()
    prices = await take_prices(bench.client(TREND), SYMBOLS)
    first = bench.now - timedelta(hours=12)
    found = compare(snapshot, bench.projection, rules, prices, lambda row: row.settled_at < first)
    assert len(found.later) == 2
    assert found.corrections == ()
    bench.write(found.events)
    assert bench.differences(TREND) != {}
    again = await bench.reconcile(TREND)
    assert [row.execution_id for row in again.booked if isinstance(row, FundingSettled)] == [
        row.execution_id for row in found.later
    ]
    assert bench.differences(TREND) == {}


async def planned(
    bench: Bench, account: Account, engine: Engine, *, amount: str, at: object = None, leg: Leg = Leg.BUY
) -> str:
    """Journal an intent for a spot purchase of BTC, sent; give its id."""
    decided = (at or bench.now).replace(minute=0, second=0, microsecond=0)  # type: ignore[attr-defined]
    key = OrderKey(engine, decided, BTC, leg)
    intent = OrderIntent(
        key, SPOT, BUY, OrderKind.MARKET, Decimal(50_000), RuleId("CORE-3"), amount_usdt=Decimal(amount)
    )
    bench.write([OrderPlanned(bench.now, account, intent, Coin("BTC"), Coin("USDT"))])
    if bench.projection.orders[intent.client_order_id].order.state.value == "planned":
        bench.write([OrderMoved(bench.now, intent.client_order_id, Trigger.SEND)])
    return intent.client_order_id


def correction(
    bench: Bench, account: Account, qty: str, market: Market = SPOT, symbol: Symbol | None = BTC
) -> Corrected:
    """Make the books wrong by hand."""
    coin, price = (Coin("BTC"), Decimal(50_000)) if symbol else (Coin("USDT"), Decimal(1))
    number = len(bench.journal)
    return Corrected(
        bench.now,
        f"test-{number}",
        account,
        symbol,
        coin,
        market,
        Decimal(qty),
        price,
        Mismatch.WRONG_SIZE,  # type: ignore[arg-type]
    )
