"""What the passing market does by itself: triggers, resting fills, liquidation, funding, delisting."""

from __future__ import annotations

from decimal import Decimal

from eternal_engine.simulator.venue.books import FUNDING, INSURANCE
from eternal_engine.simulator.venue.cash_log import log_cash
from eternal_engine.simulator.venue.entities import ATOM, ZERO, Execution, LogRow, Order, Position, Range
from eternal_engine.simulator.venue.filling import apply_fill
from eternal_engine.simulator.venue.instruments import LINEAR, Category
from eternal_engine.simulator.venue.lifecycle import finish_unfilled, follow_position
from eternal_engine.simulator.venue.margin import liquidation_price, maintenance, unrealised
from eternal_engine.simulator.venue.matching import Take, tick_against
from eternal_engine.simulator.venue.state import Key, VenueState
from eternal_engine.simulator.venue.stops import set_position_stop
from eternal_engine.simulator.venue.working import rest_fill, trigger

ONE = Decimal(1)
RATE_STEP = Decimal("1e-8")


def sweep(state: VenueState, ranges: dict[Key, Range]) -> None:
    """Let a stretch of market pass: stops first, then resting limits, then liquidations at the worst marks.

    Stops come before liquidation because they lie nearer to the market; an isolated position that no stop guards
    in time (a gap through its liquidation price, or a stop behind it) is liquidated before them.
    """
    for position in state.held():
        if state.accounts[position.uid].margin_mode == "ISOLATED_MARGIN" and not _guarded(state, position, ranges):
            _liquidate_isolated(state, position, ranges.get((LINEAR, position.symbol)))
    for order in _touchable(state, ranges):
        if order.status == "Untriggered":
            _try_trigger(state, order, ranges[order.category, order.symbol])
    for order in _touchable(state, ranges):
        if order.status in {"New", "PartiallyFilled"} and order.order_type == "Limit":
            _try_rest(state, order, ranges[order.category, order.symbol])
    _trail(state, ranges)
    for uid in sorted({uid for (uid, _, _), row in state.positions.items() if row.size}):
        _liquidate_if_due(state, uid, ranges)


def settle_funding(state: VenueState, symbol: str, rate: Decimal, mark: Decimal, stamp_ms: int) -> None:
    """Exchange funding between holders of a perpetual: size x mark x rate, longs pay a positive rate."""
    rate = rate.quantize(RATE_STEP)
    for (uid, name, _), position in sorted(state.positions.items()):
        if name != symbol or not position.size:
            continue
        payment = (position.size * mark * rate).quantize(ATOM)
        state.books.move(uid, FUNDING, "USDT", payment)
        position.realised -= payment
        position.realised_total -= payment
        _record_funding(state, position, rate, mark, payment, stamp_ms)
        state.note_position(position)
        state.note_wallet(uid)


def delist(state: VenueState, category: Category, symbol: str) -> None:
    """Take a symbol off the market: cancel its orders, close its perpetual positions at the last mark."""
    for uid in list(state.accounts):
        for order in state.opens(uid):
            if (order.category, order.symbol) == (category, symbol):
                finish_unfilled(state, order, cancel="CancelByAdmin")
    if category != LINEAR:
        return
    for position in [row for (_, name, _), row in sorted(state.positions.items()) if name == symbol and row.size]:
        quote = state.quote(LINEAR, symbol)
        price = position.avg_price if quote is None else quote.mark
        _close_forced(state, position, price, exec_type="Settle", create="CreateBySettle", free=False)


def _touchable(state: VenueState, ranges: dict[Key, Range]) -> list[Order]:
    found = [order for orders in state.open_orders.values() for order in orders.values()]
    return sorted(
        (order for order in found if (order.category, order.symbol) in ranges and not order.live_ms),
        key=lambda order: order.number,
    )


def _try_trigger(state: VenueState, order: Order, path: Range) -> None:
    if order.trigger_price is None:
        return
    lows = {"LastPrice": path.low, "MarkPrice": path.mark_low, "IndexPrice": path.index_low}
    highs = {"LastPrice": path.high, "MarkPrice": path.mark_high, "IndexPrice": path.index_high}
    by = order.trigger_by or "LastPrice"
    if order.trigger_direction == 2:
        if lows[by] > order.trigger_price:
            return
        base = min(path.open, order.trigger_price)
    else:
        if highs[by] < order.trigger_price:
            return
        base = max(path.open, order.trigger_price)
    trigger(state, order, min(max(base, path.low), path.high))


def _try_rest(state: VenueState, order: Order, path: Range) -> None:
    reached = path.low <= order.price if order.side == "Buy" else path.high >= order.price
    if reached:
        rest_fill(state, order, state.instruments[order.category, order.symbol])


def _trail(state: VenueState, ranges: dict[Key, Range]) -> None:
    """Move trailing stops along the last price; a new level counts from the next stretch of market on."""
    for position in state.held():
        symbol, idx = position.symbol, position.idx
        path = ranges.get((LINEAR, symbol))
        if path is None or not position.trailing_stop:
            continue
        long = position.size > ZERO
        best = path.high if long else path.low
        active = position.trailing_active
        if active and (best < active if long else best > active):
            continue
        further = not position.trailing_best or (
            best > position.trailing_best if long else best < position.trailing_best
        )
        if not further:
            continue
        position.trailing_best = best
        stop = best - position.trailing_stop if long else best + position.trailing_stop
        instrument = state.instruments[LINEAR, symbol]
        stop = tick_against(stop, instrument.tick, "Sell" if long else "Buy")
        if stop > ZERO:
            set_position_stop(state, position.uid, symbol, idx, kind="StopLoss", price=stop, by="LastPrice")


def _liquidate_if_due(state: VenueState, uid: int, ranges: dict[Key, Range]) -> None:
    positions = state.positions_of(uid)
    if state.accounts[uid].margin_mode == "ISOLATED_MARGIN":
        for position in positions:
            _liquidate_isolated(state, position, ranges.get((LINEAR, position.symbol)))
        return
    if not any((LINEAR, position.symbol) in ranges for position in positions):
        return
    marks = {id(position): _worst_mark(state, position, ranges) for position in positions}
    if _cushion(state, positions, state.books.balance(uid, "USDT"), marks) > ZERO:
        return
    _cancel_before_liquidation(state, uid)
    for position in positions:
        price = marks[id(position)]
        _close_forced(state, position, price, exec_type="BustTrade", create="CreateByLiq", free=False)
    _cover_debt(state, uid)


def _liquidate_isolated(state: VenueState, position: Position, path: Range | None) -> None:
    if path is None or not position.size:
        return
    at = liquidation_price(state, position)
    long = position.size > ZERO
    if at is None or (path.mark_low > at if long else path.mark_high < at):
        return
    bust = (position.cost - position.margin) / position.size
    for order in state.opens(position.uid):
        if order.category == LINEAR and order.symbol == position.symbol:
            finish_unfilled(state, order, cancel="CancelByPrepareLiq")
    _close_forced(state, position, bust.quantize(RATE_STEP), exec_type="BustTrade", create="CreateByLiq", free=True)


def _guarded(state: VenueState, position: Position, ranges: dict[Key, Range]) -> bool:
    """Tell whether a stop would close an isolated position before its liquidation price is reached."""
    path, at = ranges.get((LINEAR, position.symbol)), liquidation_price(state, position)
    if path is None or at is None:
        return True
    sign = 1 if position.size > ZERO else -1
    if sign * path.open <= sign * at:
        return False
    return any(
        order.status == "Untriggered"
        and order.reduce_only
        and (order.symbol, order.position_idx) == (position.symbol, position.idx)
        and order.trigger_price is not None
        and order.trigger_direction == (2 if sign > 0 else 1)
        and sign * order.trigger_price > sign * at
        for order in state.opens(position.uid)
    )


def _worst_mark(state: VenueState, position: Position, ranges: dict[Key, Range]) -> Decimal:
    path = ranges.get((LINEAR, position.symbol))
    if path is not None:
        return path.mark_low if position.size > ZERO else path.mark_high
    quote = state.quote(LINEAR, position.symbol)
    return position.avg_price if quote is None else quote.mark


def _cushion(state: VenueState, positions: list[Position], cash: Decimal, marks: dict[int, Decimal]) -> Decimal:
    """Give equity less maintenance margin at the given marks; at zero and below the account is liquidated."""
    left = cash
    for position in positions:
        mark = marks[id(position)]
        left += unrealised(state, position, mark) - maintenance(state, position, mark)
    return left


def _cancel_before_liquidation(state: VenueState, uid: int) -> None:
    for order in state.opens(uid):
        if order.category == LINEAR:
            finish_unfilled(state, order, cancel="CancelAllBeforeLiq")


def _close_forced(
    state: VenueState, position: Position, price: Decimal, *, exec_type: str, create: str, free: bool
) -> None:
    order = Order(
        uid=position.uid,
        order_id=state.new_order_id(LINEAR),
        link_id="",
        category=LINEAR,
        symbol=position.symbol,
        side="Sell" if position.size > ZERO else "Buy",
        order_type="Market",
        qty=abs(position.size),
        price=ZERO,
        time_in_force="IOC",
        created_ms=state.now_ms,
        updated_ms=state.now_ms,
        number=state.next_number(),
        position_idx=position.idx,
        reduce_only=True,
        create_type=create,
        leaves_qty=abs(position.size),
        visible_ms=state.now_ms,
    )
    apply_fill(state, order, Take(price, order.qty), is_maker=False, exec_type=exec_type, free=free)
    state.note_order(order)
    follow_position(state, order)


def _cover_debt(state: VenueState, uid: int) -> None:
    """Let the insurance fund pay what a liquidation left below zero: a loss never exceeds the account."""
    debt = -state.books.balance(uid, "USDT")
    if debt <= ZERO:
        return
    state.books.move(INSURANCE, uid, "USDT", debt)
    log_cash(state, uid, "USDT", debt, "BONUS")


def _record_funding(
    state: VenueState, position: Position, rate: Decimal, mark: Decimal, payment: Decimal, stamp_ms: int
) -> None:
    size = abs(position.size)
    side = "Buy" if position.size > ZERO else "Sell"
    order_id = f"{stamp_ms // 1000}-{position.symbol}-{position.uid}-{position.idx}"
    execution = Execution(
        uid=position.uid,
        exec_id=state.new_uuid("funding"),
        order_id=order_id,
        link_id="",
        category=LINEAR,
        symbol=position.symbol,
        side="Buy" if side == "Buy" else "Sell",
        exec_type="Funding",
        price=mark,
        qty=size,
        value=size * mark,
        fee=payment,
        fee_rate=rate,
        fee_coin="USDT",
        is_maker=False,
        closed_qty=ZERO,
        leaves_qty=ZERO,
        order_price=ZERO,
        order_qty=ZERO,
        order_type="UNKNOWN",
        stop_order_type="UNKNOWN",
        create_type="",
        mark=mark,
        pnl=ZERO,
        time_ms=stamp_ms,
        seq=state.counter,
    )
    state.note_execution(execution)
    state.note_log(
        LogRow(
            uid=position.uid,
            row_id=f"{position.uid}_{position.symbol}_{state.next_number()}",
            kind="SETTLEMENT",
            category=LINEAR,
            symbol=position.symbol,
            side=side,
            coin="USDT",
            qty=size,
            size=position.size,
            price=mark,
            funding=-payment,
            fee=ZERO,
            fee_rate=rate if side == "Buy" else -rate,
            cash_flow=ZERO,
            change=-payment,
            balance=state.books.balance(position.uid, "USDT"),
            order_id=order_id,
            link_id="",
            trade_id=execution.exec_id,
            time_ms=stamp_ms,
        )
    )
