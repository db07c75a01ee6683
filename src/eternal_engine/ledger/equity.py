"""Mark books to market. A price that is not known makes equity unknown, never smaller (U-6, F18)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from eternal_engine.ledger.book import Book
from eternal_engine.ledger.books import Books
from eternal_engine.model.ids import Account, Symbol
from eternal_engine.model.money import DUST_USDT, ZERO, exact_arithmetic
from eternal_engine.model.rule import Rule

RULES: tuple[Rule, ...] = (
    Rule(
        "U-6",
        "Equity is cash + spot value + unrealised profit over all sub-accounts; one unknown price, or equity at or "
        "below zero, makes it unknown, and entries stop.",
        (),
        (
            "tests/unit/ledger/test_equity.py::test_f1_equity_is_marked_not_cash",
            "tests/unit/ledger/test_equity.py::test_u6_an_unknown_price_makes_equity_unknown",
            "tests/unit/ledger/test_equity.py::test_f18_equity_of_zero_is_unknown",
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Prices:
    """Hold the prices to mark with, USDT a coin: last price on spot, mark price on perps. Absent is not known."""

    spot: Mapping[Symbol, Decimal] = field(default_factory=dict)
    mark: Mapping[Symbol, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Equity:
    """Hold the parts of an equity, USDT, and the names of the prices that were missing."""

    cash_usdt: Decimal = ZERO
    spot_usdt: Decimal = ZERO
    unrealised_usdt: Decimal = ZERO
    exposure_usdt: Decimal = ZERO  # spot value + perp notional, never negative
    missing: tuple[str, ...] = ()

    @property
    def total_usdt(self) -> Decimal | None:
        """Give the equity, None while a price is missing."""
        if self.missing:
            return None
        with exact_arithmetic():
            return self.cash_usdt + self.spot_usdt + self.unrealised_usdt

    @property
    def usable_usdt(self) -> Decimal | None:
        """Give the equity that rules may divide by: known and above zero, else None."""
        total = self.total_usdt
        return total if total is not None and total > ZERO else None

    @property
    def why_unknown(self) -> str:
        """Say why `usable_usdt` is None; empty if it is not."""
        if self.missing:
            return "no price of " + ", ".join(self.missing)
        return "" if self.usable_usdt is not None else f"equity is {self.total_usdt}"


def mark_book(book: Book, prices: Prices) -> Equity:
    """Mark one book to market."""
    spot, unrealised, exposure = ZERO, ZERO, ZERO
    missing: list[str] = []
    with exact_arithmetic():
        for symbol, holding in book.spot.items():
            price = _known(prices.spot, symbol)
            if price is not None:
                spot += holding.qty * price
                exposure += holding.qty * price
            elif holding.cost_usdt >= DUST_USDT:  # a delisted coin's dust must not stop all trading for ever
                missing.append(f"spot {symbol}")
        for symbol, position in book.perp.items():
            mark = _known(prices.mark, symbol)
            if mark is not None:
                unrealised += position.unrealised_usdt(mark)
                exposure += position.notional_usdt(mark)
            else:
                missing.append(f"perp {symbol}")
    return Equity(book.cash_usdt, spot, unrealised, exposure, tuple(missing))


def add_equities(parts: Iterable[Equity]) -> Equity:
    """Add equities up; what is missing in one is missing in the sum."""
    total = Equity()
    with exact_arithmetic():
        for part in parts:
            total = Equity(
                total.cash_usdt + part.cash_usdt,
                total.spot_usdt + part.spot_usdt,
                total.unrealised_usdt + part.unrealised_usdt,
                total.exposure_usdt + part.exposure_usdt,
                total.missing + tuple(name for name in part.missing if name not in total.missing),
            )
    return total


def mark_accounts(books: Books, prices: Prices, accounts: Iterable[Account] = tuple(Account)) -> Equity:
    """Mark several accounts together, adopted orphans included: the portfolio, or the breaker's active scope."""
    wanted = frozenset(accounts)
    return add_equities(mark_book(book, prices) for book in books.all() if book.account in wanted)


def _known(prices: Mapping[Symbol, Decimal], symbol: Symbol) -> Decimal | None:
    price = prices.get(symbol)
    return price if price is not None and price > ZERO else None
