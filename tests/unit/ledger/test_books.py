"""All books together, moved by journal events."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from builders import a_fill
from eternal_engine.ledger.book import Totals
from eternal_engine.ledger.books import BookKey, Books
from eternal_engine.ledger.id_set import IdSet
from eternal_engine.model.errors import BookError
from eternal_engine.model.event import Corrected, Deposited, Filled, FundingSettled, Mismatch, Transferred
from eternal_engine.model.ids import Account, Coin, ExecutionId, RecordId, RuleId, Symbol, TransferId
from eternal_engine.model.instrument import Market, Side

D = Decimal
AT = datetime(2024, 1, 1, tzinfo=UTC)
BTC = Symbol("BTCUSDT")
MOVED = Transferred(AT, TransferId("t1"), Account.MASTER, Account.TREND, Coin("USDT"), D(20_000), RuleId("CAP-1"))


def filled(execution_id: str, account: Account, side: Side = Side.BUY, *, unassigned: bool = False) -> Filled:
    return Filled(AT, a_fill(execution_id, account=account, side=side, qty="1", price="100"), unassigned)


def test_d16_one_symbol_in_two_engines_is_two_rows() -> None:
    books = Books()
    for event in (
        filled("e1", Account.CORE_HODL),
        filled("e2", Account.TACTICAL),
        filled("e3", Account.TACTICAL, Side.SELL),
    ):
        books = books.apply(event).books
    assert books.of(Account.TACTICAL).spot == {}
    assert books.of(Account.CORE_HODL).spot[BTC].qty == 1
    assert books.imbalance_usdt == 0


def test_an_entry_says_what_it_touched_and_closed() -> None:
    bought = Books().apply(filled("e1", Account.TREND))
    assert (bought.touched, bought.closed, bought.is_new) == ((BookKey(Account.TREND),), (), True)
    sold = bought.books.apply(filled("e2", Account.TREND, Side.SELL))
    assert len(sold.closed) == 1
    again = sold.books.apply(filled("e2", Account.TREND, Side.SELL))
    assert (again.books is sold.books, again.touched, again.closed, again.is_new) == (True, (), (), False)


def test_cap2_a_transfer_books_both_sides_at_once() -> None:
    after = Books().apply(MOVED)
    assert after[1:] == ((BookKey(Account.MASTER), BookKey(Account.TREND)), (), True)
    assert after.books.of(Account.MASTER).cash_usdt == -20_000
    assert after.books.of(Account.TREND).cash_usdt == 20_000
    assert after.books.imbalance_usdt == 0
    again = after.books.apply(MOVED)
    assert (again.books is after.books, again.is_new, again.touched, again.closed) == (True, False, (), ())


@pytest.mark.parametrize("known", [Account.MASTER, Account.TREND])
def test_cap2_a_transfer_known_to_one_side_only_is_refused(known: Account) -> None:
    whole = Books().apply(MOVED).books
    half = Books({BookKey(known): whole.of(known)})
    assert half.imbalance_usdt == 20_000
    with pytest.raises(BookError) as caught:
        half.apply(MOVED)
    assert str(caught.value) == (
        "only one of master and trend knows this transfer (at transfer t1); "
        "to mend: give every transfer an id of its own"
    )


def test_d13_an_orphans_fill_stays_out_of_the_engines_book() -> None:
    books = Books().apply(filled("e1", Account.TREND, unassigned=True)).books
    assert books.of(Account.TREND).spot == {}
    assert books.of(Account.TREND, unassigned=True).spot[BTC].qty == 1
    corrected = Corrected(
        AT,
        RecordId("c1"),
        Account.TREND,
        BTC,
        Coin("BTC"),
        Market.SPOT,
        D(1),
        D(5),
        Mismatch.ORPHAN_POSITION,
        unassigned=True,
    )
    books = books.apply(corrected).books
    assert books.of(Account.TREND, unassigned=True).spot[BTC].qty == 2
    books = books.apply(replace(corrected, unassigned=False)).books
    assert books.of(Account.TREND).spot[BTC].qty == 1
    assert {(book.account, book.unassigned) for book in books.all()} == {(Account.TREND, True), (Account.TREND, False)}


def test_ord4_an_execution_moves_one_book_whoever_owns_the_coins() -> None:
    books = Books().apply(filled("e1", Account.TREND, unassigned=True)).books
    again = books.apply(filled("e1", Account.TREND))
    assert (again.books is books, again.is_new, again.touched, again.closed) == (True, False, (), ())
    assert books.apply(filled("e1", Account.FUNDING)).is_new


def test_deposits_and_funding_go_to_their_accounts() -> None:
    deposit = Deposited(AT, RecordId("d1"), Account.MASTER, Coin("USDT"), D(100), D(100), AT)
    funding = FundingSettled(AT, Account.FUNDING, BTC, ExecutionId("f1"), D(-1), D(1), D(1), D(7), AT)
    books = Books().apply(deposit).books.apply(funding).books
    assert books.of(Account.MASTER).totals == Totals(deposits_usdt=D(100))
    assert books.of(Account.FUNDING).totals == Totals(funding_usdt=D(7), closed_net_usdt=D(7))


def test_an_imbalance_is_seen() -> None:
    books = Books().apply(filled("e1", Account.TREND)).books
    book = books.of(Account.TREND)
    assert Books({BookKey(Account.TREND): replace(book, cash={})}).imbalance_usdt == 100
    assert Books({BookKey(Account.TREND): replace(book, cash={Coin("USDT"): D(-101)})}).imbalance_usdt == 1


def test_an_id_set_grows_without_changing_its_past() -> None:
    empty = IdSet()
    one = empty.adding("a")
    many = IdSet.of(f"id{n}" for n in range(1000))
    assert ("a" in empty, "a" in one, len(empty), len(one)) == (False, True, 0, 1)
    assert one.adding("a") == one
    assert sorted(many) == sorted(f"id{n}" for n in range(1000))
    assert "id999" in many
    assert "id1000" not in many
    assert many.adding("id1000") == IdSet.of(f"id{n}" for n in range(1001))
