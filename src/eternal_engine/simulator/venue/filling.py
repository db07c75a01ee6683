"""Booking one fill: coins and cash change hands, fees are paid in the right coin, positions and logs follow."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from eternal_engine.simulator.venue.books import FEES, MARKET
from eternal_engine.simulator.venue.entities import (
    ATOM,
    ZERO,
    ClosedPnl,
    Execution,
    LogRow,
    Order,
    Position,
    Side,
)
from eternal_engine.simulator.venue.instruments import SPOT, Instrument
from eternal_engine.simulator.venue.lifecycle import drop_children
from eternal_engine.simulator.venue.margin import leverage_of
from eternal_engine.simulator.venue.matching import Take
from eternal_engine.simulator.venue.state import VenueState


@dataclass(frozen=True, slots=True)
class Fee:
    """Hold what one fill costs: the amount and coin really paid, and the rate it was worked out with."""

    amount: Decimal
    coin: str
    rate: Decimal


@dataclass(frozen=True, slots=True)
class Closing:
    """Hold the closing part of a fill: how many coins, their entry value, and the result before fees."""

    qty: Decimal
    entry_value: Decimal
    pnl: Decimal


NOTHING_CLOSED = Closing(ZERO, ZERO, ZERO)


def apply_fill(
    state: VenueState, order: Order, take: Take, *, is_maker: bool, exec_type: str = "Trade", free: bool = False
) -> Execution:
    """Book a fill of an order and announce it; `free` fills carry no fee (liquidation at the bankruptcy price)."""
    instrument = state.instruments[order.category, order.symbol]
    value = take.price * take.qty
    rate = ZERO if free else state.config.fees.of(order.category, maker=is_maker)
    fee = _fee(state, order, instrument, take, rate)
    if order.category == SPOT:
        closing = NOTHING_CLOSED
        _settle_spot(state, order, instrument, take, fee)
    else:
        closing = _settle_linear(state, order, take, fee)
    _advance_order(order, take, value, fee, closing)
    execution = _execution(state, order, take, fee, closing, is_maker=is_maker, exec_type=exec_type)
    state.note_execution(execution)
    if closing.qty:
        _record_closed(state, order, execution, closing)
    state.note_wallet(order.uid)
    return execution


def move_position(position: Position, side: Side, qty: Decimal, price: Decimal, now_ms: int) -> Closing:
    """Change a position by a fill: close what is opposite first, open with the rest.

    The closed part takes its share of the entry cost, rounded to the books' smallest unit; what is left keeps the
    exact remainder, so that cost is never lost.
    """
    sign = Decimal(1) if side == "Buy" else Decimal(-1)
    closing = NOTHING_CLOSED
    left = qty
    if position.size * sign < ZERO:
        closed = min(qty, abs(position.size))
        whole = closed == abs(position.size)
        entry = position.cost if whole else (position.cost * closed / abs(position.size)).quantize(ATOM)
        pnl = -sign * closed * price - entry
        closing = Closing(closed, abs(entry), pnl)
        position.cost -= entry
        position.size += sign * closed
        left -= closed
    if left > ZERO:
        if not position.size:
            position.opened_ms = now_ms
            position.realised = ZERO
        position.created_ms = position.created_ms or now_ms
        position.size += sign * left
        position.cost += sign * left * price
    return closing


def _fee(state: VenueState, order: Order, instrument: Instrument, take: Take, rate: Decimal) -> Fee:
    value = take.price * take.qty
    in_base = order.category == SPOT and order.side == "Buy"
    native = Fee(take.qty * rate, instrument.base, rate) if in_base else Fee(value * rate, instrument.quote, rate)
    if not state.accounts[order.uid].fees_in_mnt or not rate:
        return native
    mnt = state.quote(SPOT, "MNTUSDT")
    if mnt is None:
        return native
    amount = (value * rate * (1 - state.config.mnt_discount_frac) / mnt.last).quantize(ATOM)
    return Fee(amount, "MNT", rate) if state.books.balance(order.uid, "MNT") >= amount else native


def _settle_spot(state: VenueState, order: Order, instrument: Instrument, take: Take, fee: Fee) -> None:
    buying = order.side == "Buy"
    value = take.price * take.qty
    got, got_coin = (take.qty, instrument.base) if buying else (value, instrument.quote)
    gave, gave_coin = (value, instrument.quote) if buying else (take.qty, instrument.base)
    state.books.move(MARKET, order.uid, got_coin, got)
    state.books.move(order.uid, MARKET, gave_coin, gave)
    state.books.move(order.uid, FEES, fee.coin, fee.amount)
    _release(order, take)
    flows = {got_coin: got, gave_coin: -gave}
    flows.setdefault(fee.coin, ZERO)
    for coin, flow in flows.items():
        _log_trade(state, order, take, fee, coin, flow, ZERO)


def _release(order: Order, take: Take) -> None:
    if not order.locked:
        return
    if order.side == "Sell":
        used = take.qty
    elif order.in_quote or order.order_type == "Market":
        used = take.price * take.qty
    else:
        used = order.price * take.qty
    order.locked = max(ZERO, order.locked - used)


def _settle_linear(state: VenueState, order: Order, take: Take, fee: Fee) -> Closing:
    position = state.position(order.uid, order.symbol, order.position_idx)
    size_before, was_long = abs(position.size), position.size > ZERO
    closing = move_position(position, order.side, take.qty, take.price, state.now_ms)
    opened = take.qty - closing.qty
    leverage = leverage_of(state, order.uid, order.symbol)
    if closing.qty:
        kept = ZERO if closing.qty >= size_before else 1 - closing.qty / size_before
        position.margin = (position.margin * kept).quantize(ATOM)
        state.books.move(MARKET, order.uid, "USDT", closing.pnl)
    if opened > ZERO:
        position.margin += (opened * take.price / leverage).quantize(ATOM)
    state.books.move(order.uid, FEES, fee.coin, fee.amount)
    paid = fee.amount if fee.coin == "USDT" else ZERO
    position.realised += closing.pnl - paid
    position.realised_total += closing.pnl - paid
    if order.locked and order.leaves_qty:
        order.locked = (order.locked * (1 - take.qty / order.leaves_qty)).quantize(ATOM) if order.leaves_qty else ZERO
    sign = 1 if order.side == "Buy" else -1
    name = f"{order.uid}:{order.symbol}:{order.position_idx}"
    state.add_check(f"size:{name}", sign * take.qty)
    state.add_check(f"value:{name}", sign * take.qty * take.price)
    state.add_check(f"pnl:{name}", closing.pnl)
    _log_trade(state, order, take, fee, "USDT", closing.pnl, position.size)
    if fee.coin != "USDT":
        _log_trade(state, order, take, fee, fee.coin, ZERO, position.size)
    position.seq = state.counter
    if size_before and position.size and (position.size > ZERO) != was_long:
        drop_children(state, position, but=order)
    state.note_position(position)
    return closing


def _log_trade(state: VenueState, order: Order, take: Take, fee: Fee, coin: str, flow: Decimal, size: Decimal) -> None:
    flow = flow.quantize(ATOM)
    paid = fee.amount.quantize(ATOM) if fee.coin == coin else ZERO
    state.note_log(
        LogRow(
            uid=order.uid,
            row_id=f"{order.uid}_{order.symbol}_{state.next_number()}",
            kind="TRADE",
            category=order.category,
            symbol=order.symbol,
            side=order.side,
            coin=coin,
            qty=take.qty,
            size=size,
            price=take.price,
            funding=ZERO,
            fee=paid,
            fee_rate=fee.rate,
            cash_flow=flow,
            change=flow - paid,
            balance=state.books.balance(order.uid, coin),
            order_id=order.order_id,
            link_id=order.link_id,
            trade_id=f"{order.order_id}:{state.counter}",
            time_ms=state.now_ms,
        )
    )


def _advance_order(order: Order, take: Take, value: Decimal, fee: Fee, closing: Closing) -> None:
    order.cum_qty += take.qty
    order.cum_value += value
    order.fees[fee.coin] = order.fees.get(fee.coin, ZERO) + fee.amount
    order.closed_pnl += closing.pnl
    if order.in_quote:
        order.leaves_value = order.qty - order.cum_value
    else:
        order.leaves_qty = order.qty - order.cum_qty
        order.leaves_value = order.leaves_qty * order.price
    order.status = "Filled" if not order.in_quote and not order.leaves_qty else "PartiallyFilled"


def _execution(
    state: VenueState,
    order: Order,
    take: Take,
    fee: Fee,
    closing: Closing,
    *,
    is_maker: bool,
    exec_type: str,
) -> Execution:
    quote = state.quote(order.category, order.symbol)
    return Execution(
        uid=order.uid,
        exec_id=state.new_uuid("execution"),
        order_id=order.order_id,
        link_id=order.link_id,
        category=order.category,
        symbol=order.symbol,
        side=order.side,
        exec_type=exec_type,
        price=take.price,
        qty=take.qty,
        value=take.price * take.qty,
        fee=fee.amount,
        fee_rate=fee.rate,
        fee_coin=fee.coin,
        is_maker=is_maker,
        closed_qty=closing.qty,
        leaves_qty=ZERO if order.in_quote else order.leaves_qty,
        order_price=order.price,
        order_qty=ZERO if order.in_quote else order.qty,
        order_type=order.order_type,
        stop_order_type=order.stop_order_type,
        create_type=order.create_type,
        mark=take.price if quote is None else quote.mark,
        pnl=closing.pnl,
        time_ms=state.now_ms,
        seq=state.counter,
    )


def _record_closed(state: VenueState, order: Order, execution: Execution, closing: Closing) -> None:
    paid = execution.fee if execution.fee_coin == "USDT" else ZERO
    earlier = state.closed_pnl.get(order.uid, {}).get(order.order_id)
    fresh = ClosedPnl(
        uid=order.uid,
        symbol=order.symbol,
        order_id=order.order_id,
        side=order.side,
        order_type=order.order_type,
        exec_type=execution.exec_type,
        qty=order.qty,
        order_price=order.price,
        closed_qty=closing.qty,
        entry_value=closing.entry_value,
        exit_value=closing.qty * execution.price,
        pnl=closing.pnl - paid,
        leverage=leverage_of(state, order.uid, order.symbol),
        fills=1,
        created_ms=order.created_ms,
        updated_ms=state.now_ms,
    )
    if earlier is not None:
        fresh = replace(
            fresh,
            closed_qty=fresh.closed_qty + earlier.closed_qty,
            entry_value=fresh.entry_value + earlier.entry_value,
            exit_value=fresh.exit_value + earlier.exit_value,
            pnl=fresh.pnl + earlier.pnl,
            fills=earlier.fills + 1,
        )
    state.note_closed_pnl(fresh)
