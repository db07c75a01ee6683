"""Money from outside, as the exchange's own ledger tells it: never guessed from a balance (CORE-10, CAP-4)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from eternal_engine.engine.lost_share import lost_share
from eternal_engine.engine.ownership import Owners, symbol_of
from eternal_engine.engine.snapshot import Horizon, Snapshot, row_key
from eternal_engine.exchange.account import LedgerRow
from eternal_engine.exchange.terms import Market
from eternal_engine.ledger.book import Book
from eternal_engine.ledger.books import Books
from eternal_engine.ledger.equity import Prices
from eternal_engine.ledger.transfers import completed, possible_firsts
from eternal_engine.model.event import BookEntry, Corrected, Deposited, Mismatch, TransferPlanned
from eternal_engine.model.ids import Account, Coin, RecordId
from eternal_engine.model.money import CASH_COINS, ZERO, exact_arithmetic
from eternal_engine.storage.projection import Projection

TRANSFER_KINDS: Final = frozenset({"TRANSFER_IN", "TRANSFER_OUT"})
EXTERNAL_KINDS: Final = TRANSFER_KINDS | {"DEPOSIT", "WITHDRAW", "AIRDROP", "BONUS", "CASHBACK", "FEE_REFUND"}
# A transfer that the exchange shows before it was planned is another one; its clock may be a little off ours.
EARLY: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Outside:
    """Hold the entries for money from outside, and the rows that could not be valued."""

    entries: tuple[BookEntry, ...]
    unvalued: tuple[LedgerRow, ...]


def external_entries(
    snapshot: Snapshot, horizon: Horizon, projection: Projection, books: Books, owners: Owners, prices: Prices
) -> Outside:
    """Find the entries for rows of deposits, withdrawals and transfers that are not booked yet (A13).

    `books` hold all executions already. A transfer of ours is completed, not deposited; one that names no id of ours
    is taken for ours when the wallet shows that the books hold it already.
    """
    account, at = snapshot.account, snapshot.taken_at
    rows = [row for row in snapshot.ledger if _is_new(row, account, horizon, books)]
    entries: list[BookEntry] = []
    foreign: list[LedgerRow] = []
    for row in rows:
        planned = _planned(row, account, projection.pending_transfers.values())
        lost = lost_share(row, account, projection, at) if planned is None else None
        if planned is not None:
            entries.append(completed(planned, at))
        elif lost is not None:
            entries.append(lost)
        else:
            foreign.append(row)
    for entry in entries:
        books = books.apply(entry).books
    foreign = _really_foreign(foreign, snapshot, books)
    unvalued, tried = foreign, len(foreign) + 1
    # Rows of one instant come in any order: coins may leave in a row before the one that brought them.
    while len(unvalued) < tried:
        waiting, unvalued, tried = unvalued, [], len(unvalued)
        for row in waiting:
            entry_of_row = _entry(row, account, books, owners, prices, at)
            if entry_of_row is None:
                unvalued.append(row)
                continue
            entries.append(entry_of_row)
            books = books.apply(entry_of_row).books
    return Outside(tuple(entries), tuple(unvalued))


def _is_new(row: LedgerRow, account: Account, horizon: Horizon, books: Books) -> bool:
    if row.kind not in EXTERNAL_KINDS or not row.change or not horizon.counts(row_key(row), row.at):
        return False
    names = {f"deposit:{_record(row)}", f"correction:{_record(row)}"}
    names |= {f"transfer:{known}" for known in _transfers_of(row)}
    sides = (books.of(account), books.of(account, unassigned=True))
    return not any(name in side.seen for side in sides for name in names)


def _planned(row: LedgerRow, account: Account, pending: Iterable[TransferPlanned]) -> TransferPlanned | None:
    """Find the planned transfer that a row has carried out: by its id, else by account, coin, amount and time."""
    if row.kind not in TRANSFER_KINDS:
        return None
    like = None
    for planned in pending:
        if planned.transfer_id in _transfers_of(row):
            return planned
        sign = 1 if planned.target is account else -1 if planned.source is account else 0
        if sign and (planned.coin, sign * planned.amount) == (row.coin, row.change) and row.at >= planned.at - EARLY:
            like = like or planned
    return like


def _transfers_of(row: LedgerRow) -> tuple[str, ...]:
    """Name the transfers that a row may have carried out: it names the attempt, the books know the first."""
    return row.trade_id, row.row_id, *possible_firsts(row.trade_id), *possible_firsts(row.row_id)


def _really_foreign(rows: list[LedgerRow], snapshot: Snapshot, books: Books) -> list[LedgerRow]:
    """Leave out transfers under an id of the exchange's own that the books hold already."""
    kept = list(rows)
    for coin in {row.coin for row in rows if row.kind in TRANSFER_KINDS and row.coin in CASH_COINS}:
        doubtful = [row for row in kept if row.coin == coin and row.kind in TRANSFER_KINDS]
        held = snapshot.wallet.coin(coin)
        have = held.wallet_qty if held else ZERO
        others = sum((row.change for row in kept if row.coin == coin and row not in doubtful), ZERO)
        with exact_arithmetic():
            booked = _cash(books, snapshot.account, Coin(coin)) + others
            moved = sum((row.change for row in doubtful), ZERO)
        if abs(have - booked) < abs(have - booked - moved):
            kept = [row for row in kept if row not in doubtful]
    return kept


def _cash(books: Books, account: Account, coin: Coin) -> Decimal:
    sides: tuple[Book, Book] = (books.of(account), books.of(account, unassigned=True))
    return sum((side.cash.get(coin, ZERO) for side in sides), ZERO)


def _entry(
    row: LedgerRow, account: Account, books: Books, owners: Owners, prices: Prices, at: datetime
) -> BookEntry | None:
    """Book cash and CORE_HODL's coins as a deposit, other coins as nobody's; None: no price to value them with."""
    coin = Coin(row.coin)
    if row.coin in CASH_COINS:
        return Deposited(at, _record(row), account, coin, row.change, row.change, row.at)
    symbol = symbol_of(row.coin)
    own, left = books.of(account).spot.get(symbol), books.of(account, unassigned=True).spot.get(symbol)
    price = prices.spot.get(symbol)
    if price is None and row.change < ZERO and (held := own or left) is not None:
        price = held.average_price  # a delisted coin leaves at its cost: nobody prices it any more
    if price is None or (Market.SPOT, symbol) not in owners.rules:
        return None
    leaves_own = row.change < ZERO and own is not None and own.qty >= -row.change
    if owners.is_core(account, symbol) or leaves_own:
        if row.change < ZERO and not leaves_own:
            return None
        with exact_arithmetic():
            return Deposited(at, _record(row), account, coin, row.change, row.change * price, row.at)
    if row.change < ZERO and (left is None or left.qty < -row.change):
        return None
    return Corrected(
        at, _record(row), account, symbol, coin, Market.SPOT, row.change, price, Mismatch.ORPHAN_POSITION,
        row.kind.lower(), unassigned=True,
    )  # fmt: skip


def _record(row: LedgerRow) -> RecordId:
    return RecordId(row_key(row))
