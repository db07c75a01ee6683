"""Funding, transfers, deposits and corrections in the book."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from builders import a_fill
from eternal_engine.ledger.book import Book, Booked
from eternal_engine.ledger.fills import book_fill
from eternal_engine.ledger.flows import book_correction, book_deposit, book_funding, book_transfer
from eternal_engine.model.errors import BookError
from eternal_engine.model.event import Corrected, Deposited, FundingSettled, Mismatch, Transferred
from eternal_engine.model.ids import Account, Coin, ExecutionId, RecordId, RuleId, Symbol, TransferId
from eternal_engine.model.instrument import Market, Side
from eternal_engine.model.position import PerpPosition, PositionSide, SpotHolding

D = Decimal
BTC = Symbol("BTCUSDT")
USDT = Coin("USDT")
AT = datetime(2024, 1, 1, tzinfo=UTC)
LATER = AT + timedelta(hours=8)


def a_funding(execution_id: str = "f1", amount: str = "3.00", qty: str = "-0.5") -> FundingSettled:
    return FundingSettled(
        at=LATER,
        account=Account.FUNDING,
        symbol=BTC,
        execution_id=ExecutionId(execution_id),
        qty=D(qty),
        mark_price=D(60_000),
        rate=D("0.0001"),
        amount_usdt=D(amount),
        settled_at=AT,
    )


def a_deposit(record_id: str = "d1", amount: str = "30000", coin: str = "USDT", value: str | None = None) -> Deposited:
    return Deposited(LATER, RecordId(record_id), Account.CORE_HODL, Coin(coin), D(amount), D(value or amount), AT)


def a_transfer(
    transfer_id: str = "t1",
    source: Account = Account.FUNDING,
    target: Account = Account.TACTICAL,
    amount: str = "100",
    coin: str = "USDT",
) -> Transferred:
    return Transferred(AT, TransferId(transfer_id), source, target, Coin(coin), D(amount), RuleId("CAP-2"))


def a_correction(
    qty: str,
    price: str = "100",
    market: Market = Market.SPOT,
    symbol: Symbol | None = BTC,
    coin: str = "BTC",
    correction_id: str = "c1",
) -> Corrected:
    account = Account.TREND
    return Corrected(
        LATER, RecordId(correction_id), account, symbol, Coin(coin), market, D(qty), D(price), Mismatch.WRONG_SIZE
    )


def balanced(after: Booked) -> Book:
    assert after.is_new
    assert after.book.imbalance_usdt == 0
    return after.book


def a_short() -> Book:
    fill = a_fill("e1", account=Account.FUNDING, market=Market.PERP, side=Side.SELL, qty="0.5", price="60000")
    return balanced(book_fill(Book(Account.FUNDING), fill))


def test_h1_funding_received_by_a_short_stays_with_its_position() -> None:
    book = balanced(book_funding(a_short(), a_funding()))
    assert book.cash_usdt == book.totals.funding_usdt == 3
    assert book.perp[BTC].funding_usdt == 3
    assert book.totals.closed_net_usdt == 0
    again = book_funding(book, a_funding())
    assert (again.book is book, again.is_new) == (True, False)


def test_h7_a_cut_takes_its_share_of_the_funding() -> None:
    book = balanced(book_funding(balanced(book_funding(a_short(), a_funding())), a_funding("f2", "-1.00")))
    assert book.perp[BTC].funding_usdt == 2
    fill = a_fill("e2", account=Account.FUNDING, market=Market.PERP, qty="0.125", price="60000")
    after = book_fill(book, fill)
    assert after.closed[0].funding_usdt == D("0.5")
    assert after.book.perp[BTC].funding_usdt == D("1.5")
    assert after.book.totals.closed_net_usdt == D("0.5")


@pytest.mark.parametrize(("qty", "side"), [("-0.5", PositionSide.SHORT), ("0.5", PositionSide.LONG)])
def test_funding_that_comes_after_the_close_is_a_closed_part_without_coins(qty: str, side: PositionSide) -> None:
    after = book_funding(Book(Account.FUNDING), a_funding(qty=qty))
    book = balanced(after)
    (part,) = after.closed
    assert (part.qty, part.funding_usdt, part.net_usdt, part.is_last) == (0, 3, 3, True)
    assert (part.position_side, part.market, part.closed_at) == (side, Market.PERP, AT)
    assert (part.entry_usdt, part.exit_usdt, part.fees_usdt, part.opened_at) == (0, 0, 0, AT)
    assert (part.execution_id, part.client_order_id, part.account, part.symbol) == ("f1", None, Account.FUNDING, BTC)
    assert book.totals.closed_net_usdt == book.cash_usdt == 3


def test_a13_a_deposit_seen_ten_times_counts_once() -> None:
    book = Book(Account.CORE_HODL)
    for _ in range(10):
        book = book_deposit(book, a_deposit()).book
    assert book.totals.deposits_usdt == book.cash_usdt == 30_000
    assert not book_deposit(book, a_deposit()).is_new
    book = balanced(book_deposit(book, a_deposit("d2", "-3000")))
    assert book.totals.deposits_usdt == 27_000


def test_a14_a_rise_of_value_is_no_deposit() -> None:
    bought = a_fill(account=Account.CORE_HODL, qty="1", price="70000")
    assert balanced(book_fill(Book(Account.CORE_HODL), bought)).totals.deposits_usdt == 0


def test_ord5_usdc_is_cash() -> None:
    book = balanced(book_deposit(Book(Account.CORE_HODL), a_deposit(coin="USDC", amount="50")))
    book = balanced(book_deposit(book, a_deposit("d2", amount="5")))
    assert book.cash == {"USDC": 50, "USDT": 5}
    assert book.cash_usdt == 55
    assert book.spot == {}


def test_coins_deposited_are_held_at_their_value_and_withdrawn_at_it() -> None:
    book = balanced(book_deposit(Book(Account.CORE_HODL), a_deposit(coin="BTC", amount="2", value="100000")))
    assert (book.spot[BTC].qty, book.spot[BTC].average_price, book.cash_usdt) == (2, 50_000, 0)
    assert book.spot[BTC].opened_at == LATER
    assert book.totals.deposits_usdt == 100_000
    more = balanced(book_deposit(book, a_deposit("d2", coin="BTC", amount="2", value="140000")))
    assert (more.spot[BTC].qty, more.spot[BTC].cost_usdt) == (4, 240_000)
    less = balanced(book_deposit(more, a_deposit("d3", coin="BTC", amount="-1", value="-70000")))
    assert (less.spot[BTC].qty, less.spot[BTC].cost_usdt) == (3, 180_000)
    assert less.totals.realised_usdt == 10_000
    assert less.totals.deposits_usdt == 170_000
    assert less.totals.closed_net_usdt == 0
    with pytest.raises(BookError, match="withdrawal d4"):
        book_deposit(less, a_deposit("d4", coin="BTC", amount="-4", value="-1"))


def test_cap2_each_side_books_its_sign_once() -> None:
    source = balanced(book_transfer(Book(Account.FUNDING), a_transfer()))
    target = balanced(book_transfer(Book(Account.TACTICAL), a_transfer()))
    assert (source.cash_usdt, target.cash_usdt) == (-100, 100)
    assert source.totals.transfers_usdt + target.totals.transfers_usdt == 0
    assert not book_transfer(source, a_transfer()).is_new
    assert source.totals.deposits_usdt == 0


@pytest.mark.parametrize(
    ("moved", "message"),
    [
        (a_transfer(coin="BTC"), "cannot move 100 BTC from funding to tactical"),
        (a_transfer(amount="0"), "cannot move 0 USDT from funding to tactical"),
        (a_transfer(amount="-1"), "cannot move -1 USDT from funding to tactical"),
        (a_transfer(target=Account.FUNDING), "cannot move 100 USDT from funding to funding"),
        (a_transfer(source=Account.TREND), "a transfer from trend to tactical came to the book of funding"),
    ],
)
def test_cap2_a_transfer_that_makes_no_sense_is_refused(moved: Transferred, message: str) -> None:
    mend = "book a transfer in its source and its target only"
    if message.startswith("cannot"):
        mend = "move an amount above zero of USDT or USDC between two accounts"
    with pytest.raises(BookError) as caught:
        book_transfer(Book(Account.FUNDING), moved)
    assert str(caught.value) == f"{message} (at transfer t1); to mend: {mend}"


def test_cap2_two_transfers_are_two() -> None:
    book = balanced(book_transfer(Book(Account.FUNDING), a_transfer()))
    book = balanced(book_transfer(book, a_transfer("t2", amount="1")))
    assert book.cash_usdt == -101


def test_what_is_booked_again_gives_the_same_book() -> None:
    book = balanced(book_transfer(Book(Account.FUNDING), a_transfer()))
    assert book_transfer(book, a_transfer()) == (book, (), False)
    book = balanced(book_correction(Book(Account.TREND), a_correction("1")))
    assert book_correction(book, a_correction("1")) == (book, (), False)
    book = balanced(book_deposit(Book(Account.CORE_HODL), a_deposit()))
    assert book_deposit(book, a_deposit()) == (book, (), False)


def test_d12_a_holding_is_set_to_the_exchanges_by_a_recorded_correction() -> None:
    book = balanced(book_fill(Book(Account.TREND), a_fill(qty="1", price="100", fee="0.5")))
    less = balanced(book_correction(book, a_correction("-0.8")))
    assert (less.spot[BTC].qty, less.spot[BTC].cost_usdt, less.spot[BTC].fees_usdt) == (D("0.2"), 20, D("0.1"))
    assert (less.totals.corrections_usdt, less.totals.realised_usdt) == (-80, 0)
    assert not book_correction(less, a_correction("-0.8")).is_new
    more = balanced(book_correction(less, a_correction("0.3", "200", correction_id="c2")))
    assert (more.spot[BTC].qty, more.spot[BTC].cost_usdt, more.spot[BTC].opened_at) == (D("0.5"), 80, AT)
    assert more.totals.corrections_usdt == -20
    with pytest.raises(BookError, match=r"0\.6 BTCUSDT left a book that holds 0\.5"):
        book_correction(more, a_correction("-0.6", correction_id="c5"))
    gone = balanced(book_correction(more, a_correction("-0.5", correction_id="c3")))
    assert gone.spot == {}
    with pytest.raises(BookError, match="correction c4"):
        book_correction(gone, a_correction("-0.5", correction_id="c4"))


def test_d13_an_orphan_appears_at_the_corrections_price_and_time() -> None:
    book = balanced(book_correction(Book(Account.TREND, unassigned=True), a_correction("0.5", "2090")))
    assert book.spot == {BTC: SpotHolding(BTC, D("0.5"), D(1045), D(0), LATER)}
    assert book.unassigned
    assert book.cash_usdt == 0


def test_nothing_leaves_no_empty_row() -> None:
    with pytest.raises(BookError, match="0 BTCUSDT left a book that holds 0"):
        book_correction(Book(Account.TREND), a_correction("0"))
    with pytest.raises(BookError, match="0 BTCUSDT left a book that holds 0"):
        book_deposit(Book(Account.CORE_HODL), a_deposit(coin="BTC", amount="0", value="0"))
    assert balanced(book_correction(Book(Account.TREND), a_correction("0", market=Market.PERP))).perp == {}


def test_cash_is_corrected_in_its_own_coin() -> None:
    book = balanced(book_correction(Book(Account.TREND), a_correction("-12.5", "1", symbol=None, coin="USDT")))
    assert book.cash == {"USDT": D("-12.5")}
    assert book.totals.corrections_usdt == D("-12.5")


@pytest.mark.parametrize(
    ("held", "by", "qty", "cost", "opened_at"),
    [
        (None, "2", "2", "200", LATER),
        (None, "-2", "-2", "-200", LATER),
        ("4", "-1", "3", "150", AT),
        ("4", "1", "5", "300", AT),
        ("-4", "1", "-3", "-150", AT),
        ("-4", "-1", "-5", "-300", AT),
        ("4", "-6", "-2", "-200", LATER),
        ("-4", "6", "2", "200", LATER),
        ("4", "-4", None, None, None),
        ("-4", "4", None, None, None),
    ],
)
def test_d12_a_perp_is_set_to_the_exchanges_size(
    held: str | None, by: str, qty: str | None, cost: str | None, opened_at: datetime | None
) -> None:
    book = Book(Account.TREND)
    if held:
        side = Side.BUY if D(held) > 0 else Side.SELL
        book = balanced(book_fill(book, a_fill(market=Market.PERP, side=side, qty=str(abs(D(held))), price="50")))
    after = balanced(book_correction(book, a_correction(by, market=Market.PERP)))
    if qty is None or cost is None:
        assert after.perp == {}
    else:
        assert opened_at is not None
        assert after.perp == {BTC: PerpPosition(BTC, D(qty), D(cost), D(0), D(0), opened_at)}
    assert after.totals.realised_usdt == 0
    assert after.cash_usdt == 0
