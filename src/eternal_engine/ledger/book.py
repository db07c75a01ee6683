"""The book of one sub-account: money, coins, positions and what they cost, exact to the last digit.

At every moment, with USDC counted as USDT:

    cash = deposits + transfers + corrections + realised + funding - fees - cost of spot holdings

`Book.imbalance_usdt` computes the difference of the two sides; anything but zero is a bug of this package.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import NamedTuple, TypeVar

from eternal_engine.ledger.id_set import IdSet
from eternal_engine.model.errors import BookError
from eternal_engine.model.ids import Account, Coin, Symbol
from eternal_engine.model.money import CASH_COINS, ZERO, exact_arithmetic, share_of
from eternal_engine.model.position import PerpPosition, SpotHolding
from eternal_engine.model.rule import Rule
from eternal_engine.model.trade import ClosedPart

RULES: tuple[Rule, ...] = (
    Rule(
        "ORD-4",
        "Positions move by executions only, each booked once by its execution id.",
        (),
        (
            "tests/unit/ledger/test_fills.py::test_d1_three_increments_make_one_position",
            "tests/unit/ledger/test_fills.py::test_ord4_the_same_execution_again_changes_nothing",
        ),
    ),
    Rule(
        "ORD-5",
        "A fee paid in coin reduces the holding; what is worth less than 1 USDT stays in the book as dust that rules "
        "ignore; USDT and USDC are cash.",
        (),
        (
            "tests/unit/ledger/test_fills.py::test_d10_a_fee_in_coin_reduces_the_holding",
            "tests/unit/ledger/test_fills.py::test_d11_a_trade_is_over_when_only_dust_is_left",
            "tests/unit/ledger/test_flows.py::test_ord5_usdc_is_cash",
        ),
    ),
    Rule(
        "CORE-10",
        "A deposit is a record of the exchange, booked once by its id; the value of the account is never asked.",
        (),
        ("tests/unit/ledger/test_flows.py::test_a13_a_deposit_seen_ten_times_counts_once",),
    ),
)

Row = TypeVar("Row", SpotHolding, PerpPosition)


@dataclass(frozen=True, slots=True)
class Totals:
    """Sum up what has happened to a book, all USDT.

    `realised_usdt` is the price profit of closed parts before costs; `closed_net_usdt` the same after their fees and
    funding; `fees_usdt` and `funding_usdt` (received) count open positions too. Fees in a third coin stand in `Book`.
    """

    deposits_usdt: Decimal = ZERO
    transfers_usdt: Decimal = ZERO
    corrections_usdt: Decimal = ZERO
    realised_usdt: Decimal = ZERO
    fees_usdt: Decimal = ZERO
    funding_usdt: Decimal = ZERO
    closed_net_usdt: Decimal = ZERO


class Booked(NamedTuple):
    """Give the book after an entry, the parts of positions that it closed, and whether it was new."""

    book: Book
    closed: tuple[ClosedPart, ...] = ()
    is_new: bool = True


@dataclass(frozen=True, slots=True)
class Book:
    """Hold one sub-account. `unassigned` marks the book of adopted orphans beside an engine's own (ORD-7)."""

    account: Account
    unassigned: bool = False
    cash: Mapping[Coin, Decimal] = field(default_factory=dict)
    spot: Mapping[Symbol, SpotHolding] = field(default_factory=dict)
    perp: Mapping[Symbol, PerpPosition] = field(default_factory=dict)
    totals: Totals = Totals()
    other_fees: Mapping[Coin, Decimal] = field(default_factory=dict)
    seen: IdSet = field(default_factory=IdSet)

    @property
    def cash_usdt(self) -> Decimal:
        """Give all cash, USDC counted as USDT (ORD-5)."""
        with exact_arithmetic():
            return sum(self.cash.values(), ZERO)

    @property
    def imbalance_usdt(self) -> Decimal:
        """Give cash minus what the totals say it must be: zero, always."""
        t = self.totals
        with exact_arithmetic():
            held = sum((holding.cost_usdt for holding in self.spot.values()), ZERO)
            flows = t.deposits_usdt + t.transfers_usdt + t.corrections_usdt
            return self.cash_usdt - (flows + t.realised_usdt + t.funding_usdt - t.fees_usdt - held)


def remembering(book: Book, key: str) -> Book:
    """Give the book that knows an entry's id."""
    return replace(book, seen=book.seen.adding(key))


def held_coins(book: Book, symbol: Symbol, qty: Decimal, where: str) -> SpotHolding:
    """Find a holding of at least `qty` coins. Raises BookError if there is none."""
    held = book.spot.get(symbol)
    if held is None or held.qty < qty:
        raise BookError(
            f"{qty} {symbol} left a book that holds {held.qty if held else ZERO}",
            where=f"{where}, {book.account.value}",
            mend="reconcile the account: record the missing fill, or a correction, first",
        )
    return held


def take_coins(held: SpotHolding, qty: Decimal) -> tuple[Decimal, Decimal, SpotHolding | None]:
    """Give the cost and the entry fees of the coins taken, and what stays (None: nothing)."""
    cost = share_of(held.cost_usdt, qty, held.qty)
    fees = share_of(held.fees_usdt, qty, held.qty)
    if qty == held.qty:
        return cost, fees, None
    return (
        cost,
        fees,
        replace(held, qty=held.qty - qty, cost_usdt=held.cost_usdt - cost, fees_usdt=held.fees_usdt - fees),
    )


def with_cash(book: Book, coin: Coin, amount: Decimal) -> Book:
    """Add to one coin of cash, without a lower bound: what the exchange reports has happened."""
    if coin not in CASH_COINS:
        raise BookError(
            f"{coin} is not cash", where=f"book of {book.account.value}", mend="trade symbols quoted in USDT or USDC"
        )
    return replace(book, cash={**book.cash, coin: book.cash.get(coin, ZERO) + amount})


def with_totals(book: Book, **amounts: Decimal) -> Book:
    """Add to the named totals."""
    changed = {name: getattr(book.totals, name) + amount for name, amount in amounts.items()}
    return replace(book, totals=replace(book.totals, **changed))


def with_row(rows: Mapping[Symbol, Row], symbol: Symbol, row: Row | None) -> Mapping[Symbol, Row]:
    """Set one row, or take it out when it is None."""
    others = {key: value for key, value in rows.items() if key != symbol}
    return others if row is None else {**others, symbol: row}
