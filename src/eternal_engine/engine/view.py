"""The one conversion from exact books to the floats that rules compute with (U-3)."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from eternal_engine.ledger.book import Book
from eternal_engine.ledger.books import Books
from eternal_engine.model.ids import Engine, Symbol
from eternal_engine.model.money import ZERO, exact_arithmetic
from eternal_engine.portfolio.params import BookView, empty_book
from eternal_engine.portfolio.valuation import count_active
from eternal_engine.storage.history import Paid

ENGINES: tuple[Engine, ...] = tuple(Engine)


class BookViews:
    """Give views of books; in the many hours in which nothing trades the last one still holds."""

    def __init__(self) -> None:
        self._of: tuple[object, ...] = ()
        self._last: BookView | None = None

    def view(self, books: Books, symbols: Sequence[str], kelly_window: int, trend_pnls: Sequence[Decimal]) -> BookView:
        """Convert as `book_view` does; the arrays are the caller's own."""
        of = (*(books.of(engine.account) for engine in ENGINES), symbols, kelly_window, trend_pnls)
        # Books are frozen, and the same object is the same book; comparing their contents would cost more.
        is_same = len(self._of) == len(of) and all(old is new for old, new in zip(self._of, of, strict=True))
        if self._last is None or not is_same:
            self._of, self._last = of, book_view(books, symbols, kelly_window, trend_pnls)
        return BookView._make(part.copy() for part in self._last)


def without_paid(view: BookView, books: Books, paid: Sequence[Paid]) -> BookView:
    """Give a view of books as they were before some funding was paid, in the arrays of `view`."""
    for number, engine in enumerate(ENGINES):
        amounts = [one.amount_usdt for one in paid if one.account is engine.account]
        if amounts:
            with exact_arithmetic():
                view.cash[number] = float(books.of(engine.account).cash_usdt - sum(amounts, ZERO))
    return view


def book_view(books: Books, symbols: Sequence[str], kelly_window: int, trend_pnls: Sequence[Decimal]) -> BookView:
    """Convert the engines' own books; adopted orphans are in none of them (ORD-7).

    `trend_pnls` are the net results of TREND's closed trades, oldest first (RISK-7).
    """
    view = empty_book(len(symbols), kelly_window)
    for number, engine in enumerate(ENGINES):
        _fill(view, number, books.of(engine.account), symbols)
    closed = len(trend_pnls)
    for number in range(max(0, closed - kelly_window), closed):
        view.trend_pnls[number % kelly_window] = float(trend_pnls[number])
    view.trend_closed[0] = closed
    count_active(view)
    return view


def _fill(view: BookView, engine: int, book: Book, symbols: Sequence[str]) -> None:
    view.cash[engine] = float(book.cash_usdt)
    view.realised[engine] = float(book.totals.closed_net_usdt)
    if not (book.spot or book.perp):
        return
    for s, symbol in enumerate(symbols):
        held = book.spot.get(Symbol(symbol))
        if held is not None:
            view.spot_qty[engine, s] = float(held.qty)
            with exact_arithmetic():
                view.spot_cost[engine, s] = float(held.cost_usdt + held.fees_usdt)
        position = book.perp.get(Symbol(symbol))
        if position is not None:
            view.perp_qty[engine, s] = float(position.qty)
            view.perp_entry[engine, s] = float(position.average_price)


def flowed_usdt(books: Books) -> tuple[Decimal, Decimal, Decimal, Decimal]:
    """Sum, per engine, all money that ever came in or went out: what is neither gain nor loss."""
    core, trend, funding, tactical = (_flowed(books.of(engine.account)) for engine in ENGINES)
    return core, trend, funding, tactical


def _flowed(book: Book) -> Decimal:
    with exact_arithmetic():
        # What a hand at the exchange took or brought is no result of the rules either.
        return book.totals.deposits_usdt + book.totals.transfers_usdt + book.totals.corrections_usdt
