"""The venue's door: a request is checked, made into an order, and changed while it is open."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from eternal_engine.simulator.venue.checks import (
    banded_price,
    check_identity,
    check_linear,
    check_spot,
    check_trigger,
    instrument_of,
    quote_of,
    reducible,
)
from eternal_engine.simulator.venue.entities import ZERO, Order, OrderRequest, Quote, VenueReject
from eternal_engine.simulator.venue.holding import lock, relock
from eternal_engine.simulator.venue.instruments import LINEAR, SPOT, Instrument
from eternal_engine.simulator.venue.lifecycle import finish, too_late
from eternal_engine.simulator.venue.matching import is_multiple
from eternal_engine.simulator.venue.state import VenueState
from eternal_engine.simulator.venue.working import work


def create(state: VenueState, uid: int, request: OrderRequest) -> Order:
    """Accept an order or raise VenueReject; with no matching delay it is worked before this returns."""
    if state.account(uid).read_only:
        raise VenueReject(10005, "Permission denied, please check your API key permissions.")
    request = _settled(request)
    instrument = instrument_of(state, request)
    quote = quote_of(state, request)
    check_identity(state, uid, request)
    check_trigger(request, instrument, quote)
    if request.category == SPOT:
        check_spot(state, uid, request, instrument, quote)
    else:
        check_linear(state, uid, request, instrument, quote)
    order = _make(state, uid, request, instrument, quote)
    lock(state, order, quote)
    if state.doomed:
        state.doomed -= 1
        finish(state, order, "Rejected", reason="EC_Others")
    elif order.status == "Untriggered" or order.live_ms:
        state.note_order(order)
    else:
        work(state, order)
    return order


def amend(
    state: VenueState,
    uid: int,
    order: Order,
    *,
    qty: Decimal | None = None,
    price: Decimal | None = None,
    trigger_price: Decimal | None = None,
    take_profit: Decimal | None = None,
    stop_loss: Decimal | None = None,
) -> None:
    """Change an open order, checked like a new one; raise VenueReject when it is too late."""
    if order.uid != uid or not order.is_open:
        raise too_late(order.category, order)
    instrument = state.instruments[order.category, order.symbol]
    new_qty = order.qty if qty is None else qty
    new_price = order.price if price is None else price
    if new_qty <= order.cum_qty or not is_multiple(new_qty, instrument.qty_step):
        raise VenueReject(170137 if order.category == SPOT else 10001, "params error: qty invalid")
    if price is not None and (price <= ZERO or not is_multiple(price, instrument.tick)):
        raise VenueReject(170134 if order.category == SPOT else 10001, "params error: price invalid")
    relock(state, order, instrument, new_qty, new_price)
    order.qty, order.price = new_qty, new_price
    order.leaves_qty = new_qty - order.cum_qty
    order.leaves_value = order.leaves_qty * new_price
    order.trigger_price = order.trigger_price if trigger_price is None else trigger_price
    order.take_profit = order.take_profit if take_profit is None else take_profit
    order.stop_loss = order.stop_loss if stop_loss is None else stop_loss
    if order.status != "Untriggered" and order.order_type == "Limit" and not order.live_ms:
        work(state, order)
    else:
        state.note_order(order)


def _settled(request: OrderRequest) -> OrderRequest:
    """Fill in what the exchange assumes: market orders are IOC, spot market buys are sized in quote."""
    if request.order_type != "Market":
        return replace(request, market_unit="")
    if request.category == LINEAR:
        return replace(request, market_unit="", time_in_force="IOC", price=None)
    unit = request.market_unit or ("quoteCoin" if request.side == "Buy" else "baseCoin")
    return replace(request, market_unit=unit, time_in_force="IOC", price=None)


def _make(state: VenueState, uid: int, request: OrderRequest, instrument: Instrument, quote: Quote) -> Order:
    price = request.price or ZERO
    if request.category == LINEAR and request.order_type == "Limit":
        price = banded_price(request, instrument, quote)
    qty = request.qty
    room = reducible(state, uid, request)
    if room is not None:
        qty = min(qty or instrument.max_market_qty, room)
    in_quote = request.market_unit == "quoteCoin"
    conditional = request.trigger_price is not None
    waits = not conditional and (
        state.config.match_delay_ms > 0 or (instrument.category, request.symbol) in state.halted
    )
    number = state.next_number()
    return Order(
        uid=uid,
        order_id=state.new_order_id(request.category),
        link_id=request.link_id,
        category=request.category,
        symbol=request.symbol,
        side=request.side,
        order_type=request.order_type,
        qty=qty,
        price=price,
        time_in_force=request.time_in_force,
        created_ms=state.now_ms,
        updated_ms=state.now_ms,
        number=number,
        status="Untriggered" if conditional else "New",
        market_unit=request.market_unit,
        position_idx=request.position_idx,
        reduce_only=request.reduce_only,
        close_on_trigger=request.close_on_trigger,
        trigger_price=request.trigger_price,
        trigger_direction=request.trigger_direction or _spot_direction(request, quote),
        trigger_by=request.trigger_by if conditional else "",
        stop_order_type=_stop_type(request),
        order_filter=request.order_filter,
        take_profit=request.take_profit or ZERO,
        stop_loss=request.stop_loss or ZERO,
        tp_trigger_by=request.tp_trigger_by,
        sl_trigger_by=request.sl_trigger_by,
        slippage_frac=request.slippage_frac,
        slippage_ticks=request.slippage_ticks,
        leaves_qty=ZERO if in_quote else qty,
        leaves_value=qty if in_quote else qty * price,
        last_on_created=quote.last,
        visible_ms=state.now_ms + state.config.visible_delay_ms,
        live_ms=state.now_ms + state.config.match_delay_ms if waits else 0,
    )


def _stop_type(request: OrderRequest) -> str:
    if request.trigger_price is None:
        return ""
    return "tpslOrder" if request.order_filter == "tpslOrder" else "Stop"


def _spot_direction(request: OrderRequest, quote: Quote) -> int:
    if request.trigger_price is None:
        return 0
    return 1 if request.trigger_price > quote.last else 2
