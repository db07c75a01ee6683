"""The one conversion from exact books to floats: whose coins count, and in which order trades are remembered (U-3)."""

from __future__ import annotations

from decimal import Decimal

from builders import a_fill
from core_builders import TWO
from engine_bench import AT
from eternal_engine.engine.view import ENGINES, BookViews, book_view, flowed_usdt
from eternal_engine.ledger.books import Books
from eternal_engine.model.event import Corrected, Deposited, Filled, Mismatch
from eternal_engine.model.ids import Account, Coin, RecordId, Symbol
from eternal_engine.model.instrument import Market
from eternal_engine.strategies.base import CORE_HODL, FUNDING, TACTICAL, TREND

D = Decimal


def orphan(unassigned: bool) -> Corrected:
    return Corrected(
        AT, RecordId("c1"), Account.TREND, Symbol("BTCUSDT"), Coin("BTC"), Market.PERP, D("0.5"), D(40_000),
        Mismatch.ORPHAN_POSITION, unassigned=unassigned,
    )  # fmt: skip


def test_ord_7_an_adopted_orphan_is_in_no_engines_view() -> None:
    seen = book_view(Books().apply(orphan(unassigned=True)).books, TWO, 5, ())
    assert not seen.perp_qty.any()
    assert not seen.active.any()
    own = book_view(Books().apply(orphan(unassigned=False)).books, TWO, 5, ())
    assert (own.perp_qty[TREND, 0], own.perp_entry[TREND, 0], own.active[TREND]) == (0.5, 40_000.0, 1)


def test_cap_1_each_engine_sees_its_own_row_and_a_fee_in_coin_is_part_of_the_cost() -> None:
    books = Books()
    for number, account in enumerate((Account.CORE_HODL, Account.TACTICAL)):
        fill = a_fill(f"e{number}", account=account, qty="0.5", price="40000", fee="0.0005", fee_coin="BTC")
        books = books.apply(Filled(AT, fill)).books
    seen = book_view(books, TWO, 5, ())
    assert seen.spot_qty[:, 0].tolist() == [0.4995, 0.0, 0.0, 0.4995]
    assert seen.spot_cost[:, 0].tolist() == [20_000.0, 0.0, 0.0, 20_000.0]
    assert seen.cash.tolist() == [-20_000.0, 0.0, 0.0, -20_000.0]


def test_risk_7_the_newest_trades_stand_where_the_backtests_ring_has_them() -> None:
    seen = book_view(Books(), TWO, 3, [D(n) for n in range(1, 6)])
    assert seen.trend_pnls.tolist() == [4.0, 5.0, 3.0]
    assert seen.trend_closed[0] == 5


def test_risk_4_what_a_hand_brought_or_took_is_a_flow_and_no_result() -> None:
    books = Books().apply(Deposited(AT, RecordId("d"), Account.FUNDING, Coin("USDT"), D(100), D(100), AT)).books
    taken = Corrected(
        AT, RecordId("c"), Account.FUNDING, None, Coin("USDT"), Market.SPOT, D(-30), D(1), Mismatch.WRONG_BALANCE
    )
    assert flowed_usdt(books.apply(taken).books) == (D(0), D(0), D(70), D(0))


def test_the_numbers_of_the_engines_are_those_of_the_kernels() -> None:
    assert [engine.value for engine in ENGINES] == ["core_hodl", "trend", "funding", "tactical"]
    numbers = (CORE_HODL, TREND, FUNDING, TACTICAL)
    assert [ENGINES[number].account.value for number in numbers] == ["core_hodl", "trend", "funding", "tactical"]


def test_a_view_is_made_anew_only_for_other_books_and_never_shared() -> None:
    views, books, pnls = BookViews(), Books(), (Decimal(3), Decimal(-1))
    first = views.view(books, TWO, 20, pnls)
    first.cash[0] = 1.0
    again = views.view(books, TWO, 20, pnls)
    assert again.cash[0] == 0.0
    assert again.trend_closed[0] == 2
    paid = books.apply(Deposited(AT, RecordId("d"), Account.TREND, Coin("USDT"), Decimal(50), Decimal(50), AT)).books
    assert views.view(paid, TWO, 20, pnls).cash.tolist() == [0.0, 50.0, 0.0, 0.0]
    assert views.view(paid, TWO, 20, (*pnls, Decimal(1))).trend_closed[0] == 3
