"""Executions in the book: spot bought and sold, perps opened, closed and turned over (ORD-4, ORD-5)."""

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
from eternal_engine.model.fill import Fill
from eternal_engine.model.instrument import Market, Side
from eternal_engine.model.money import ZERO, exact_arithmetic, is_dust, share_of
from eternal_engine.model.position import PerpPosition, PositionSide, SpotHolding
from eternal_engine.model.trade import ClosedPart


def book_fill(book: Book, fill: Fill) -> Booked:
    """Book one execution. Raises BookError for a sale of coins that are not there."""
    key = f"exec:{fill.execution_id}"
    if key in book.seen:
        return Booked(book, is_new=False)
    if fill.account is not book.account:
        raise BookError(
            f"a fill of {fill.account.value} came to the book of {book.account.value}",
            where=f"execution {fill.execution_id}",
            mend="route each account's stream to its own book",
        )
    book = remembering(book, key)
    with exact_arithmetic():
        if fill.market is Market.PERP:
            return _fill_perp(book, fill)
        return _buy_spot(book, fill) if fill.side is Side.BUY else _sell_spot(book, fill)


def _buy_spot(book: Book, fill: Fill) -> Booked:
    fee_coins, fee_usdt, book = _split_fee(book, fill)
    received = fill.qty - fee_coins
    if received <= ZERO:
        raise BookError(
            f"the fee {fill.fee} eats the whole fill of {fill.qty} {fill.base}",
            where=f"execution {fill.execution_id}",
            mend="check the fee of the execution at the exchange",
        )
    cost = received * fill.price
    book = with_cash(book, fill.quote, -(cost + fee_usdt))
    book = with_totals(book, fees_usdt=fee_usdt)
    held = book.spot.get(fill.symbol)
    if held is None:
        holding = SpotHolding(fill.symbol, received, cost, fee_usdt, fill.executed_at)
    else:
        holding = SpotHolding(
            fill.symbol,
            held.qty + received,
            held.cost_usdt + cost,
            held.fees_usdt + fee_usdt,
            # A position bought on top of dust is a new one: its age counts from now.
            fill.executed_at if held.is_dust(fill.price) else held.opened_at,
        )
    return Booked(replace(book, spot={**book.spot, fill.symbol: holding}))


def _sell_spot(book: Book, fill: Fill) -> Booked:
    fee_coins, fee_usdt, book = _split_fee(book, fill)
    sold = fill.qty + fee_coins
    proceeds = sold * fill.price
    held = held_coins(book, fill.symbol, sold, f"execution {fill.execution_id}")
    cost, entry_fees, rest = take_coins(held, sold)
    book = with_cash(book, fill.quote, proceeds - fee_usdt)
    part = ClosedPart(
        account=book.account,
        symbol=fill.symbol,
        market=Market.SPOT,
        position_side=PositionSide.LONG,
        execution_id=fill.execution_id,
        client_order_id=fill.client_order_id,
        qty=sold,
        entry_usdt=cost,
        exit_usdt=proceeds,
        fees_usdt=entry_fees + fee_usdt,
        funding_usdt=ZERO,
        opened_at=held.opened_at,
        closed_at=fill.executed_at,
        is_last=rest is None or is_dust(rest.qty, fill.price),
    )
    book = with_totals(book, realised_usdt=proceeds - cost, fees_usdt=fee_usdt, closed_net_usdt=part.net_usdt)
    return Booked(replace(book, spot=with_row(book.spot, fill.symbol, rest)), (part,))


def _fill_perp(book: Book, fill: Fill) -> Booked:
    """Close what the fill closes, then open what is left of it; its fee is shared by quantity."""
    _, fee_usdt, book = _split_fee(book, fill)
    book = with_cash(book, fill.quote, -fee_usdt)
    book = with_totals(book, fees_usdt=fee_usdt)
    position = book.perp.get(fill.symbol)
    signed = fill.side.sign * fill.qty
    if position is None or (position.qty > ZERO) == (signed > ZERO):
        return Booked(_grow_perp(book, fill, position, signed, fee_usdt))
    closed_qty = min(abs(position.qty), fill.qty)
    exit_fee = share_of(fee_usdt, closed_qty, fill.qty)
    book, part = _shrink_perp(book, fill, position, closed_qty, exit_fee)
    opened = fill.qty - closed_qty
    if opened:
        book = _grow_perp(book, fill, None, fill.side.sign * opened, fee_usdt - exit_fee)
    return Booked(book, (part,))


def _grow_perp(book: Book, fill: Fill, position: PerpPosition | None, signed: Decimal, fee_usdt: Decimal) -> Book:
    cost = signed * fill.price
    if position is None:
        grown = PerpPosition(fill.symbol, signed, cost, fee_usdt, ZERO, fill.executed_at)
    else:
        grown = replace(
            position,
            qty=position.qty + signed,
            cost_usdt=position.cost_usdt + cost,
            fees_usdt=position.fees_usdt + fee_usdt,
        )
    return replace(book, perp={**book.perp, fill.symbol: grown})


def _shrink_perp(
    book: Book, fill: Fill, position: PerpPosition, closed_qty: Decimal, exit_fee: Decimal
) -> tuple[Book, ClosedPart]:
    signed = closed_qty if position.qty > ZERO else -closed_qty
    cost = share_of(position.cost_usdt, closed_qty, abs(position.qty))
    entry_fees = share_of(position.fees_usdt, closed_qty, abs(position.qty))
    funding = share_of(position.funding_usdt, closed_qty, abs(position.qty))
    realised = signed * fill.price - cost
    rest = replace(
        position,
        qty=position.qty - signed,
        cost_usdt=position.cost_usdt - cost,
        fees_usdt=position.fees_usdt - entry_fees,
        funding_usdt=position.funding_usdt - funding,
    )
    part = ClosedPart(
        account=book.account,
        symbol=fill.symbol,
        market=Market.PERP,
        position_side=position.side,
        execution_id=fill.execution_id,
        client_order_id=fill.client_order_id,
        qty=closed_qty,
        entry_usdt=abs(cost),
        exit_usdt=closed_qty * fill.price,
        fees_usdt=entry_fees + exit_fee,
        funding_usdt=funding,
        opened_at=position.opened_at,
        closed_at=fill.executed_at,
        is_last=not rest.qty,
    )
    book = with_cash(book, fill.quote, realised)
    book = with_totals(book, realised_usdt=realised, closed_net_usdt=part.net_usdt)
    return replace(book, perp=with_row(book.perp, fill.symbol, rest if rest.qty else None)), part


def _split_fee(book: Book, fill: Fill) -> tuple[Decimal, Decimal, Book]:
    """Give the fee in base coins and in USDT; a fee in a third coin only counts in `other_fees`."""
    if fill.fee_coin == fill.quote:
        return ZERO, fill.fee, book
    if fill.fee_coin == fill.base and fill.market is Market.SPOT:
        return fill.fee, fill.fee * fill.price, book
    paid = book.other_fees.get(fill.fee_coin, ZERO) + fill.fee
    return ZERO, ZERO, replace(book, other_fees={**book.other_fees, fill.fee_coin: paid})
