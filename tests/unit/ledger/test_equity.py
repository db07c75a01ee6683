"""Marking books to market."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from builders import a_fill
from eternal_engine.ledger.book import Book
from eternal_engine.ledger.books import Books
from eternal_engine.ledger.equity import (
    Equity,
    Prices,
    add_equities,
    mark_accounts,
    mark_book,
)
from eternal_engine.ledger.fills import book_fill
from eternal_engine.model.event import Deposited, Filled
from eternal_engine.model.ids import Account, Coin, RecordId, Symbol
from eternal_engine.model.instrument import Market, Side

D = Decimal
AT = datetime(2024, 1, 1, tzinfo=UTC)
BTC, ETH = Symbol("BTCUSDT"), Symbol("ETHUSDT")


def deposited(amount: str, account: Account = Account.CORE_HODL, record_id: str = "d1") -> Deposited:
    return Deposited(AT, RecordId(record_id), account, Coin("USDT"), D(amount), D(amount), AT)


def spot_book(qty: str = "1", price: str = "100") -> Book:
    return book_fill(Book(Account.TREND), a_fill(qty=qty, price=price)).book


def test_f1_equity_is_marked_not_cash() -> None:
    books = Books().apply(deposited("163865")).books
    coins = D("14174.32") / 20_000
    fill = a_fill(account=Account.CORE_HODL, qty=str(coins), price="20000", fee=str(coins * D("0.001")), fee_coin="BTC")
    books = books.apply(Filled(AT, fill)).books
    equity = mark_accounts(books, Prices(spot={BTC: D(20_000)}))
    assert equity.total_usdt == D(163_865) - D("14.17432")
    assert equity.usable_usdt == equity.total_usdt
    assert equity.why_unknown == ""


def test_u6_perps_add_their_unrealised_profit_and_their_notional_exposure() -> None:
    book = book_fill(spot_book("2", "100"), a_fill("e2", market=Market.PERP, side=Side.SELL, qty="1", price="100")).book
    equity = mark_book(book, Prices({BTC: D(110)}, {BTC: D(120)}))
    assert (equity.cash_usdt, equity.spot_usdt, equity.unrealised_usdt) == (-200, 220, -20)
    assert equity.exposure_usdt == 340
    assert equity.total_usdt == 0


@pytest.mark.parametrize(
    "prices", [Prices(), Prices(spot={BTC: D(0)}), Prices(spot={BTC: D(-1)}), Prices(mark={BTC: D(1)})]
)
def test_u6_an_unknown_price_makes_equity_unknown(prices: Prices) -> None:
    equity = mark_book(spot_book(), prices)
    assert (equity.total_usdt, equity.usable_usdt) == (None, None)
    assert equity.why_unknown == "no price of spot BTCUSDT"


def test_u6_an_unknown_mark_makes_equity_unknown() -> None:
    book = book_fill(Book(Account.TREND), a_fill(market=Market.PERP)).book
    equity = mark_book(book, Prices(spot={BTC: D(1)}))
    assert equity.total_usdt is None
    assert equity.why_unknown == "no price of perp BTCUSDT"


def test_u6_every_holding_and_every_position_counts() -> None:
    book = spot_book("2", "100")
    for n, (symbol, market) in enumerate(
        (("ETHUSDT", Market.SPOT), ("BTCUSDT", Market.PERP), ("ETHUSDT", Market.PERP))
    ):
        book = book_fill(book, a_fill(f"x{n}", symbol=symbol, market=market, qty="1", price="10")).book
    equity = mark_book(book, Prices({BTC: D(110), ETH: D(11)}, {BTC: D(12), ETH: D(13)}))
    assert equity == Equity(D(-210), D(231), D(5), D(256))
    assert mark_book(book, Prices()).missing == ("spot BTCUSDT", "spot ETHUSDT", "perp BTCUSDT", "perp ETHUSDT")


@pytest.mark.parametrize(("cost", "known"), [("0.99", True), ("1", False)])
def test_ord5_dust_without_a_price_does_not_stop_everything(cost: str, known: bool) -> None:
    equity = mark_book(spot_book("1", cost), Prices())
    assert (equity.total_usdt is not None) is known


def test_f18_equity_of_zero_is_unknown() -> None:
    nothing = mark_book(Book(Account.TREND), Prices())
    assert (nothing.total_usdt, nothing.usable_usdt, nothing.why_unknown) == (0, None, "equity is 0")
    assert Equity(cash_usdt=D(-1)).usable_usdt is None
    assert Equity(cash_usdt=D("0.01")).usable_usdt == D("0.01")


def test_u6_the_sum_of_equities_misses_what_any_part_misses() -> None:
    parts = (
        Equity(D(1), D(2), D(3), D(4), ("spot A",)),
        Equity(D(10), D(20), D(30), D(40), ("spot A", "perp B")),
    )
    assert add_equities(parts) == Equity(D(11), D(22), D(33), D(44), ("spot A", "perp B"))
    assert add_equities(()) == Equity()


def test_accounts_are_marked_together() -> None:
    books = Books()
    for n, account in enumerate(Account):
        books = books.apply(deposited(str(10**n), account, f"d{n}")).books
    assert mark_accounts(books, Prices()).total_usdt == 11_111
    active = (Account.TREND, Account.FUNDING, Account.TACTICAL)
    assert mark_accounts(books, Prices(), active).total_usdt == 11_100


def test_d13_orphans_belong_to_the_accounts_equity() -> None:
    books = Books().apply(deposited("100", Account.TREND)).books
    books = books.apply(Filled(AT, a_fill(qty="1", price="50"), unassigned=True)).books
    assert mark_accounts(books, Prices(spot={BTC: D(60)}), (Account.TREND,)).total_usdt == 110
