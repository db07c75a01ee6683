"""All books of the portfolio, one row per sub-account, moved by journal events (CAP-1, D16)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from eternal_engine.ledger.book import Book, Booked
from eternal_engine.ledger.fills import book_fill
from eternal_engine.ledger.flows import book_correction, book_deposit, book_funding, book_transfer
from eternal_engine.model.errors import BookError
from eternal_engine.model.event import BookEntry, Corrected, Deposited, Filled, FundingSettled, Transferred
from eternal_engine.model.ids import Account
from eternal_engine.model.money import ZERO, exact_arithmetic
from eternal_engine.model.rule import Rule
from eternal_engine.model.trade import ClosedPart

RULES: tuple[Rule, ...] = (
    Rule(
        "CAP-1",
        "Each engine has a sub-account and a book of its own; the same symbol in two engines is two rows, and closing "
        "one leaves the other.",
        ("shares",),
        (
            "tests/unit/ledger/test_books.py::test_d16_one_symbol_in_two_engines_is_two_rows",
            "tests/unit/ledger/test_transfers.py::test_cap1_the_shares_sum_to_the_capital_exactly",
        ),
    ),
)


class BookKey(NamedTuple):
    """Name a book: an engine's own, or the unassigned one of the same sub-account."""

    account: Account
    unassigned: bool = False


class BooksAfter(NamedTuple):
    """Give all books after an entry, the books it touched, the parts it closed, and whether it was new."""

    books: Books
    touched: tuple[BookKey, ...]
    closed: tuple[ClosedPart, ...]
    is_new: bool


@dataclass(frozen=True, slots=True)
class Books:
    """Hold every book; one that was never touched is empty."""

    rows: Mapping[BookKey, Book] = field(default_factory=dict)

    def of(self, account: Account, *, unassigned: bool = False) -> Book:
        """Find a book; an untouched one comes empty."""
        found = self.rows.get(BookKey(account, unassigned))
        return Book(account, unassigned) if found is None else found

    def all(self) -> Iterable[Book]:
        """Give every touched book."""
        return self.rows.values()

    @property
    def imbalance_usdt(self) -> Decimal:
        """Give the sum of all imbalances and of all transfers: zero, always, or money was created."""
        with exact_arithmetic():
            crooked = sum((abs(book.imbalance_usdt) for book in self.rows.values()), ZERO)
            return crooked + abs(sum((book.totals.transfers_usdt for book in self.rows.values()), ZERO))

    def apply(self, entry: BookEntry) -> BooksAfter:
        """Book one journal event. The same event again, by its id, changes nothing. Raises BookError."""
        match entry:
            case Filled(fill=fill, unassigned=unassigned):
                # Whoever owns the coins: one execution moves one book.
                if f"exec:{fill.execution_id}" in self.of(fill.account, unassigned=not unassigned).seen:
                    return BooksAfter(self, (), (), is_new=False)
                return self._one(BookKey(fill.account, unassigned), lambda book: book_fill(book, fill))
            case FundingSettled(account=account):
                return self._one(BookKey(account), lambda book: book_funding(book, entry))
            case Transferred():
                return self._transfer(entry)
            case Deposited(account=account):
                return self._one(BookKey(account), lambda book: book_deposit(book, entry))
            case Corrected(account=account, unassigned=unassigned):
                return self._one(BookKey(account, unassigned), lambda book: book_correction(book, entry))

    def _one(self, key: BookKey, change: Callable[[Book], Booked]) -> BooksAfter:
        after = change(self.of(key.account, unassigned=key.unassigned))
        if not after.is_new:
            return BooksAfter(self, (), (), is_new=False)
        return BooksAfter(Books({**self.rows, key: after.book}), (key,), after.closed, is_new=True)

    def _transfer(self, moved: Transferred) -> BooksAfter:
        """Book both sides or none, so that no state exists in which money is under way."""
        source = book_transfer(self.of(moved.source), moved)
        target = book_transfer(self.of(moved.target), moved)
        if not source.is_new and not target.is_new:
            return BooksAfter(self, (), (), is_new=False)
        if source.is_new != target.is_new:
            raise BookError(
                f"only one of {moved.source.value} and {moved.target.value} knows this transfer",
                where=f"transfer {moved.transfer_id}",
                mend="give every transfer an id of its own",
            )
        keys = (BookKey(moved.source), BookKey(moved.target))
        rows = {**self.rows, keys[0]: source.book, keys[1]: target.book}
        return BooksAfter(Books(rows), keys, (), is_new=True)
