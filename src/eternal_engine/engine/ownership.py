"""Whose an execution is: the engine's own book, or the unassigned one beside it (ORD-7, D13).

The order desk and the reconciliation both book by these functions, so an execution enters the same book whoever hears
of it first. The money of an account is one wallet: what a manual trade spends leaves the engine's cash, not the
unassigned book's, or the engine would order with money that is gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Final, NamedTuple

from eternal_engine.exchange.orders import Execution
from eternal_engine.exchange.terms import Market, Side
from eternal_engine.exchange.translate import fill_of, funding_of
from eternal_engine.ledger.book import Book
from eternal_engine.ledger.books import Books
from eternal_engine.ledger.fills import book_fill
from eternal_engine.model.event import BookEntry, Corrected, Filled, Mismatch
from eternal_engine.model.fill import Fill
from eternal_engine.model.ids import Account, Coin, ExecutionId, RecordId, Symbol, read_client_order_id
from eternal_engine.model.instrument import InstrumentRules
from eternal_engine.model.money import CASH_COINS, ONE, ZERO, exact_arithmetic, share_of

USER_MADE: Final = frozenset({"", "CreateByUser"})
_LEFT: Final = "~left"
RuleTable = Mapping[tuple[Market, str], InstrumentRules]


class Owned(NamedTuple):
    """Give the entries that book one execution (none if it is known), and whether a person or stranger traded."""

    entries: tuple[BookEntry, ...]
    is_foreign: bool


@dataclass(frozen=True, slots=True)
class Owners:
    """Hold what decides ownership: the instrument rules, and the symbols that are CORE_HODL's holdings by rule."""

    rules: RuleTable
    core_symbols: frozenset[str]

    def is_core(self, account: Account, symbol: str) -> bool:
        """Tell whether coins of a symbol are holdings of this account whoever bought them (ORD-7)."""
        return account is Account.CORE_HODL and symbol in self.core_symbols


def is_booked(books: Books, account: Account, execution_id: str) -> bool:
    """Tell whether an execution is in the books already."""
    sides = (books.of(account), books.of(account, unassigned=True))
    names = (f"exec:{execution_id}", f"exec:{execution_id}{_LEFT}", f"correction:{_record(execution_id)}")
    return any(name in side.seen for side in sides for name in names)


def is_ours(execution: Execution, account: Account) -> bool:
    """Tell whether an execution carries an order id of this account's engine."""
    read = read_client_order_id(execution.client_order_id)
    return read is not None and read.engine.account is account


def book_execution(execution: Execution, account: Account, owners: Owners, books: Books, at: datetime) -> Owned:
    """Find the entries for one execution; `at` is when it was learnt.

    Raises BadReply for a kind that the ledger has no entry for; its position is corrected by comparison.
    """
    if is_booked(books, account, execution.execution_id):
        return Owned((), is_foreign=False)
    funding = funding_of(execution, account, at)
    if funding is not None:
        return Owned((funding,), is_foreign=False)
    foreign = not is_ours(execution, account) and execution.create_type in USER_MADE
    rules = owners.rules.get((execution.market, execution.symbol))
    if rules is None:
        return Owned(_stranger(execution, account, at), is_foreign=True)
    fill = fill_of(execution, account, rules)
    if fill is None:
        return Owned((), is_foreign=False)
    own, left = _parts(execution, fill, owners, books)
    return Owned(tuple(_entries(fill, own, left, books, at)), foreign)


def _parts(execution: Execution, fill: Fill, owners: Owners, books: Books) -> tuple[Decimal, Decimal]:
    """Split the quantity of a fill between the engine's book and the unassigned one."""
    account, qty = fill.account, fill.qty
    ours = is_ours(execution, account)
    if fill.market is Market.SPOT and fill.side is Side.BUY:
        return (qty, ZERO) if ours or owners.is_core(account, fill.symbol) else (ZERO, qty)
    if fill.market is Market.PERP and ours:
        return qty, ZERO
    own_can = _closable(books.of(account), fill)
    left_can = _closable(books.of(account, unassigned=True), fill)
    # The exchange acts on the engine's stop or margin; a person who sells by hand sells what is a person's first.
    own_first = ours or execution.create_type not in USER_MADE
    own = min(qty, own_can) if own_first else min(own_can, qty - min(qty, left_can))
    return own, qty - own


def _closable(book: Book, fill: Fill) -> Decimal:
    """Give how much of a fill would shrink what a book holds."""
    if fill.market is Market.SPOT:
        held = book.spot.get(fill.symbol)
        return held.qty if held else ZERO
    position = book.perp.get(fill.symbol)
    if position is None or (position.qty > ZERO) == (fill.side is Side.BUY):
        return ZERO
    return abs(position.qty)


def _entries(fill: Fill, own: Decimal, left: Decimal, books: Books, at: datetime) -> Iterable[BookEntry]:
    if not left:
        yield Filled(at, fill)
        return
    rest = fill
    if own:
        fee = share_of(fill.fee, left, fill.qty)
        rest = replace(fill, execution_id=ExecutionId(f"{fill.execution_id}{_LEFT}"), qty=left, fee=fee)
        with exact_arithmetic():
            yield Filled(at, replace(fill, qty=own, fee=fill.fee - fee))
    book = books.of(fill.account, unassigned=True)
    missing = left - _closable(book, fill) if fill.market is Market.SPOT and fill.side is Side.SELL else ZERO
    if missing > ZERO:
        # Coins nobody knew of (dust that grew, an old holding) were sold: they enter the book to leave it.
        yield Corrected(
            at, _record(fill.execution_id), fill.account, fill.symbol, fill.base, Market.SPOT, missing,
            fill.price, Mismatch.ORPHAN_POSITION, "sold by hand", unassigned=True,
        )  # fmt: skip
    yield Filled(at, rest, unassigned=True)
    yield from _cash_moved(rest, book, at)


def _cash_moved(rest: Fill, book: Book, at: datetime) -> Iterable[BookEntry]:
    """Let the engine's cash pay for, or receive, what the unassigned book traded."""
    moved = _cash_of(rest, book)
    if moved:
        for unassigned, amount in ((True, -moved), (False, moved)):
            yield Corrected(
                at, RecordId(f"{_record(rest.execution_id)}:cash"), rest.account, None, rest.quote, Market.SPOT,
                amount, ONE, Mismatch.UNKNOWN_ORDER, "money of an unassigned trade", unassigned,
            )  # fmt: skip


def _cash_of(rest: Fill, book: Book) -> Decimal:
    """Compute what a fill does to the cash of the unassigned book."""
    if rest.market is Market.PERP:
        with exact_arithmetic():
            return book_fill(book, rest).book.cash_usdt - book.cash_usdt
    with exact_arithmetic():
        fee = rest.fee if rest.fee_coin == rest.quote else ZERO
        return -rest.side.sign * rest.value_usdt - fee


def _stranger(execution: Execution, account: Account, at: datetime) -> tuple[BookEntry, ...]:
    """Book the money of a trade in a symbol that the daemon does not know; its coins are nobody's to value."""
    quote = next((coin for coin in sorted(CASH_COINS) if execution.symbol.endswith(coin)), None)
    if quote is None or not execution.kind.is_fill:
        return ()
    with exact_arithmetic():
        money = ZERO if execution.market is Market.PERP else -execution.side.sign * execution.value_usdt
        if execution.fee_coin == quote or (execution.fee_coin is None and execution.market is Market.PERP):
            money -= execution.fee
    return (
        Corrected(
            at, _record(execution.execution_id), account, None, Coin(quote), Market.SPOT, money, ONE,
            Mismatch.UNKNOWN_ORDER, f"traded by hand in {execution.symbol}",
        ),
    )  # fmt: skip


def _record(execution_id: str) -> RecordId:
    return RecordId(f"exec:{execution_id}")


def symbol_of(coin: str) -> Symbol:
    """Name the spot symbol under which a coin is booked."""
    return Symbol(f"{coin}USDT")
