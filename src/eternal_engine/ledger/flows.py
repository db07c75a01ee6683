"""Everything that moves a book and is no execution: funding, transfers, deposits, corrections."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from eternal_engine.ledger.book import (
    Book,
    Booked,
    held_coins,
    remembering,
    take_coins,
    with_cash,
    with_row,
    with_totals,
)
from eternal_engine.model.errors import BookError
from eternal_engine.model.event import Corrected, Deposited, FundingSettled, Transferred
from eternal_engine.model.ids import Coin, Symbol
from eternal_engine.model.instrument import Market
from eternal_engine.model.money import CASH_COINS, ZERO, exact_arithmetic, share_of
from eternal_engine.model.position import PerpPosition, PositionSide, SpotHolding
from eternal_engine.model.trade import ClosedPart


def book_funding(book: Book, settled: FundingSettled) -> Booked:
    """Book a funding payment and remember it on the position, if that is still there."""
    key = f"exec:{settled.execution_id}"
    if key in book.seen:
        return Booked(book, is_new=False)
    amount = settled.amount_usdt
    with exact_arithmetic():
        book = with_cash(remembering(book, key), Coin("USDT"), amount)
        book = with_totals(book, funding_usdt=amount)
        position = book.perp.get(settled.symbol)
        if position is None:
            late = _late_funding(book, settled)
            return Booked(with_totals(book, closed_net_usdt=amount), (late,))
        grown = replace(position, funding_usdt=position.funding_usdt + amount)
        return Booked(replace(book, perp={**book.perp, settled.symbol: grown}))


def book_transfer(book: Book, moved: Transferred) -> Booked:
    """Book this account's side of a transfer between sub-accounts (CAP-2)."""
    key = f"transfer:{moved.transfer_id}"
    if key in book.seen:
        return Booked(book, is_new=False)
    if moved.coin not in CASH_COINS or moved.amount <= ZERO or moved.source is moved.target:
        raise BookError(
            f"cannot move {moved.amount} {moved.coin} from {moved.source.value} to {moved.target.value}",
            where=f"transfer {moved.transfer_id}",
            mend="move an amount above zero of USDT or USDC between two accounts",
        )
    if book.account not in (moved.source, moved.target):
        raise BookError(
            f"a transfer from {moved.source.value} to {moved.target.value} came to the book of {book.account.value}",
            where=f"transfer {moved.transfer_id}",
            mend="book a transfer in its source and its target only",
        )
    amount = moved.amount if book.account is moved.target else -moved.amount
    with exact_arithmetic():
        book = with_cash(remembering(book, key), moved.coin, amount)
        return Booked(with_totals(book, transfers_usdt=amount))


def book_deposit(book: Book, deposited: Deposited) -> Booked:
    """Book money from outside, or a withdrawal, once by its record id (CORE-10)."""
    key = f"deposit:{deposited.record_id}"
    if key in book.seen:
        return Booked(book, is_new=False)
    book = remembering(book, key)
    with exact_arithmetic():
        if deposited.coin in CASH_COINS:
            book = with_cash(book, deposited.coin, deposited.amount)
            return Booked(with_totals(book, deposits_usdt=deposited.amount))
        return Booked(_deposit_coins(book, deposited))


def book_correction(book: Book, corrected: Corrected) -> Booked:
    """Set the book to what the exchange holds, as a recorded correction (ORD-7, D12)."""
    key = f"correction:{corrected.correction_id}"
    if key in book.seen:
        return Booked(book, is_new=False)
    book = remembering(book, key)
    with exact_arithmetic():
        if corrected.symbol is None:
            book = with_cash(book, corrected.coin, corrected.qty)
            return Booked(with_totals(book, corrections_usdt=corrected.qty))
        if corrected.market is Market.PERP:
            return Booked(_correct_perp(book, corrected, corrected.symbol))
        return Booked(_correct_spot(book, corrected, corrected.symbol))


def _late_funding(book: Book, settled: FundingSettled) -> ClosedPart:
    """Make the payment for a position that was closed before its record came a closed part without coins."""
    return ClosedPart(
        account=book.account,
        symbol=settled.symbol,
        market=Market.PERP,
        position_side=PositionSide.LONG if settled.qty > ZERO else PositionSide.SHORT,
        execution_id=settled.execution_id,
        client_order_id=None,
        qty=ZERO,
        entry_usdt=ZERO,
        exit_usdt=ZERO,
        fees_usdt=ZERO,
        funding_usdt=settled.amount_usdt,
        opened_at=settled.settled_at,
        closed_at=settled.settled_at,
        is_last=True,
    )


def _deposit_coins(book: Book, deposited: Deposited) -> Book:
    symbol = Symbol(f"{deposited.coin}USDT")
    book = with_totals(book, deposits_usdt=deposited.value_usdt)
    if deposited.amount > ZERO:
        return _add_coins(book, symbol, deposited.amount, deposited.value_usdt, deposited)
    taken = -deposited.amount
    held = held_coins(book, symbol, taken, f"withdrawal {deposited.record_id}")
    cost, _, rest = take_coins(held, taken)
    # Coins leave at their market value; what that is above their cost was earned here.
    book = with_totals(book, realised_usdt=-deposited.value_usdt - cost)
    return replace(book, spot=with_row(book.spot, symbol, rest))


def _correct_spot(book: Book, corrected: Corrected, symbol: Symbol) -> Book:
    if corrected.qty > ZERO:
        value = corrected.qty * corrected.price_usdt
        book = with_totals(book, corrections_usdt=value)
        return _add_coins(book, symbol, corrected.qty, value, corrected)
    held = held_coins(book, symbol, -corrected.qty, f"correction {corrected.correction_id}")
    cost, _, rest = take_coins(held, -corrected.qty)
    book = with_totals(book, corrections_usdt=-cost)
    return replace(book, spot=with_row(book.spot, symbol, rest))


def _correct_perp(book: Book, corrected: Corrected, symbol: Symbol) -> Book:
    position = book.perp.get(symbol)
    qty = corrected.qty + (position.qty if position else ZERO)
    if position is None or (position.qty > ZERO) != (qty > ZERO):
        # From nothing, to nothing, or to the other side: only the corrected price is known.
        new = PerpPosition(symbol, qty, qty * corrected.price_usdt, ZERO, ZERO, corrected.at)
    elif abs(qty) > abs(position.qty):
        new = replace(position, qty=qty, cost_usdt=position.cost_usdt + corrected.qty * corrected.price_usdt)
    else:
        new = replace(position, qty=qty, cost_usdt=share_of(position.cost_usdt, qty, position.qty))
    return replace(book, perp=with_row(book.perp, symbol, new if qty else None))


def _add_coins(book: Book, symbol: Symbol, qty: Decimal, cost: Decimal, entry: Deposited | Corrected) -> Book:
    held = book.spot.get(symbol) or SpotHolding(symbol, ZERO, ZERO, ZERO, entry.at)
    grown = replace(held, qty=held.qty + qty, cost_usdt=held.cost_usdt + cost)
    return replace(book, spot={**book.spot, symbol: grown})
