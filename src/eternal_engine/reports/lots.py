"""Tax lots: what each sale had cost, first in first out or at the average, from the entries of the books.

The books themselves say how much each entry adds or takes (fees in coin, corrections, turned-over perps); this module
only remembers which coins came when. By the average method the sum of gains is the books' realised result at any
moment; by FIFO it is whenever nothing is held, and in between the difference is in the cost of what is held.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from eternal_engine.ledger.book import Book
from eternal_engine.ledger.books import BookKey, Books
from eternal_engine.model.event import BookEntry, Corrected, Deposited, Filled
from eternal_engine.model.ids import Symbol
from eternal_engine.model.instrument import Market
from eternal_engine.model.money import ZERO, exact_arithmetic, share_of
from eternal_engine.model.position import PositionSide
from eternal_engine.model.trade import ClosedPart


class Method(StrEnum):
    """Name how the cost of a sale is found."""

    FIFO = "fifo"
    AVERAGE = "average"


@dataclass(frozen=True, slots=True)
class Disposal:
    """Hold coins that went: when they came, what they had cost, what they brought. Amounts in USDT.

    For a short `proceeds_usdt` is the value of the entry and `cost_usdt` that of the exit. `fees_usdt` are those of
    both sides. `kind` is sale, withdrawal or correction; a correction has no gain. By the average method
    `acquired_at` is when the position was opened.
    """

    account: str
    unassigned: bool
    symbol: Symbol
    market: Market
    position_side: PositionSide
    kind: str
    reference: str
    qty: Decimal
    acquired_at: datetime
    disposed_at: datetime
    cost_usdt: Decimal
    proceeds_usdt: Decimal
    fees_usdt: Decimal

    @property
    def gain_usdt(self) -> Decimal:
        """Give the gain before fees."""
        with exact_arithmetic():
            return self.proceeds_usdt - self.cost_usdt

    @property
    def net_usdt(self) -> Decimal:
        """Give the gain after fees."""
        with exact_arithmetic():
            return self.gain_usdt - self.fees_usdt


@dataclass(frozen=True, slots=True)
class Lot:
    """Hold coins that are still there; `entry_usdt` is what they were bought (a short: sold) for."""

    account: str
    unassigned: bool
    symbol: Symbol
    market: Market
    position_side: PositionSide
    acquired_at: datetime
    qty: Decimal
    entry_usdt: Decimal
    fees_usdt: Decimal


@dataclass(frozen=True, slots=True)
class Lots:
    """Hold what went and what is still there, in the order of booking."""

    disposals: tuple[Disposal, ...]
    held: tuple[Lot, ...]


class _Row(NamedTuple):
    """Hold one holding or position without its sign."""

    side: PositionSide
    qty: Decimal
    entry_usdt: Decimal
    fees_usdt: Decimal
    opened_at: datetime


class _Place(NamedTuple):
    key: BookKey
    symbol: Symbol
    market: Market


class _Exit(NamedTuple):
    """Hold what coins brought; None: their own cost."""

    kind: str
    reference: str
    at: datetime
    value_usdt: Decimal | None
    fee_usdt: Decimal


@dataclass(slots=True)
class _Shelf:
    """Hold the lots of one place, oldest first."""

    lots: deque[Lot] = field(default_factory=deque)


def tax_lots(entries: Iterable[BookEntry], method: Method) -> Lots:
    """Make the lots of all accounts from entries in the order of booking. Raises BookError where one is missing."""
    books = Books()
    shelves: dict[_Place, _Shelf] = {}
    gone: list[Disposal] = []
    for entry in entries:
        after = books.apply(entry)
        part = next((closed for closed in after.closed if closed.qty), None)
        if isinstance(entry, Filled | Deposited | Corrected):
            for key in after.touched:
                before_book = books.of(key.account, unassigned=key.unassigned)
                after_book = after.books.of(key.account, unassigned=key.unassigned)
                gone += _moved(shelves, key, before_book, after_book, entry, part, method)
        books = after.books
    held = tuple(lot for shelf in shelves.values() for lot in shelf.lots)
    return Lots(tuple(gone), held)


def _moved(
    shelves: dict[_Place, _Shelf],
    key: BookKey,
    before: Book,
    after: Book,
    entry: Filled | Deposited | Corrected,
    part: ClosedPart | None,
    method: Method,
) -> Iterator[Disposal]:
    """Compare a book before and after one entry, and bring the difference onto the shelves."""
    for market, symbol in _changed(before, after):
        place = _Place(key, symbol, market)
        shelf = shelves.setdefault(place, _Shelf())
        old, new = _row(before, market, symbol), _row(after, market, symbol)
        turned = old is not None and new is not None and old.side is not new.side
        if old is not None and (new is None or turned or new.qty < old.qty):
            stays = None if turned else new
            yield from _take(place, shelf, old, stays, _exit_of(entry, part, old, stays), method)
        base = None if turned else old
        if new is not None and (base is None or new.qty > base.qty):
            _put(place, shelf, base, new, _acquired_at(entry), method)


def _take(place: _Place, shelf: _Shelf, old: _Row, stays: _Row | None, left: _Exit, method: Method) -> list[Disposal]:
    gone = []
    with exact_arithmetic():
        qty = old.qty - (stays.qty if stays else ZERO)
        taken = _share(place, shelf, old, stays) if method is Method.AVERAGE else list(_first_out(shelf, qty))
        value_left, fee_left, qty_left = left.value_usdt, left.fee_usdt, qty
        for lot in taken:
            value = lot.entry_usdt if value_left is None else share_of(value_left, lot.qty, qty_left)
            fee = share_of(fee_left, lot.qty, qty_left)
            gone.append(_disposal(lot, left, value, fee))
            value_left = None if value_left is None else value_left - value
            fee_left, qty_left = fee_left - fee, qty_left - lot.qty
    return gone


def _share(place: _Place, shelf: _Shelf, old: _Row, stays: _Row | None) -> list[Lot]:
    """Take a share of everything, as the book did."""
    if stays is None:
        shelf.lots.clear()
        return [_whole(place, old)]
    shelf.lots = deque([_whole(place, stays)])
    return [
        Lot(
            *_owner(place),
            old.side,
            old.opened_at,
            old.qty - stays.qty,
            old.entry_usdt - stays.entry_usdt,
            old.fees_usdt - stays.fees_usdt,
        )
    ]


def _whole(place: _Place, row: _Row) -> Lot:
    return Lot(*_owner(place), row.side, row.opened_at, row.qty, row.entry_usdt, row.fees_usdt)


def _disposal(lot: Lot, left: _Exit, exit_usdt: Decimal, exit_fee: Decimal) -> Disposal:
    is_long = lot.position_side is PositionSide.LONG
    return Disposal(
        account=lot.account,
        unassigned=lot.unassigned,
        symbol=lot.symbol,
        market=lot.market,
        position_side=lot.position_side,
        kind=left.kind,
        reference=left.reference,
        qty=lot.qty,
        acquired_at=lot.acquired_at,
        disposed_at=left.at,
        cost_usdt=lot.entry_usdt if is_long else exit_usdt,
        proceeds_usdt=exit_usdt if is_long else lot.entry_usdt,
        fees_usdt=lot.fees_usdt + exit_fee,
    )


def _first_out(shelf: _Shelf, qty: Decimal) -> Iterator[Lot]:
    """Take the oldest coins; the last lot is cut, and what stays of it keeps the remainder."""
    while qty > ZERO:
        lot = shelf.lots.popleft()
        if lot.qty <= qty:
            qty -= lot.qty
            yield lot
            continue
        entry_usdt, fees = share_of(lot.entry_usdt, qty, lot.qty), share_of(lot.fees_usdt, qty, lot.qty)
        shelf.lots.appendleft(
            replace(lot, qty=lot.qty - qty, entry_usdt=lot.entry_usdt - entry_usdt, fees_usdt=lot.fees_usdt - fees)
        )
        yield replace(lot, qty=qty, entry_usdt=entry_usdt, fees_usdt=fees)
        return


def _put(place: _Place, shelf: _Shelf, base: _Row | None, new: _Row, at: datetime, method: Method) -> None:
    if method is Method.AVERAGE:
        shelf.lots = deque([_whole(place, new)])
        return
    with exact_arithmetic():
        shelf.lots.append(
            Lot(
                *_owner(place),
                new.side,
                at,
                new.qty - (base.qty if base else ZERO),
                new.entry_usdt - (base.entry_usdt if base else ZERO),
                new.fees_usdt - (base.fees_usdt if base else ZERO),
            )
        )


def _owner(place: _Place) -> tuple[str, bool, Symbol, Market]:
    return place.key.account.value, place.key.unassigned, place.symbol, place.market


def _changed(before: Book, after: Book) -> Iterator[tuple[Market, Symbol]]:
    for symbol in sorted({*before.spot, *after.spot}):
        if before.spot.get(symbol) != after.spot.get(symbol):
            yield Market.SPOT, symbol
    for symbol in sorted({*before.perp, *after.perp}):
        if before.perp.get(symbol) != after.perp.get(symbol):
            yield Market.PERP, symbol


def _row(book: Book, market: Market, symbol: Symbol) -> _Row | None:
    if market is Market.SPOT:
        held = book.spot.get(symbol)
        if held is None:
            return None
        return _Row(PositionSide.LONG, held.qty, held.cost_usdt, held.fees_usdt, held.opened_at)
    position = book.perp.get(symbol)
    if position is None:
        return None
    return _Row(position.side, abs(position.qty), abs(position.cost_usdt), position.fees_usdt, position.opened_at)


def _exit_of(entry: Filled | Deposited | Corrected, part: ClosedPart | None, old: _Row, stays: _Row | None) -> _Exit:
    if isinstance(entry, Filled) and part is not None:
        with exact_arithmetic():
            entry_fees = old.fees_usdt - (stays.fees_usdt if stays else ZERO)
            exit_fee = part.fees_usdt - entry_fees
        return _Exit("sale", str(part.execution_id), part.closed_at, part.exit_usdt, exit_fee)
    if isinstance(entry, Deposited):
        return _Exit("withdrawal", str(entry.record_id), entry.recorded_at, -entry.value_usdt, ZERO)
    reference = entry.correction_id if isinstance(entry, Corrected) else entry.fill.execution_id
    return _Exit("correction", str(reference), entry.at, None, ZERO)


def _acquired_at(entry: Filled | Deposited | Corrected) -> datetime:
    if isinstance(entry, Filled):
        return entry.fill.executed_at
    return entry.recorded_at if isinstance(entry, Deposited) else entry.at
