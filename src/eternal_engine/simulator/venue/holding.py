"""What open orders set aside so that it cannot be spent twice."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from eternal_engine.simulator.venue.checks import linear_need
from eternal_engine.simulator.venue.entities import ATOM, Order, OrderRequest, Quote, VenueReject
from eternal_engine.simulator.venue.instruments import SPOT, Instrument
from eternal_engine.simulator.venue.margin import free_of
from eternal_engine.simulator.venue.state import VenueState


def lock(state: VenueState, order: Order, quote: Quote) -> None:
    """Set aside what an order may come to spend: coins on spot, margin and fee for a linear one that rests or waits."""
    if order.category == SPOT:
        if order.status == "Untriggered" and order.order_filter == "StopOrder":
            return
        price = order.price or quote.last
        if order.side == "Sell":
            order.locked = order.qty / price if order.in_quote else order.qty
        else:
            order.locked = order.qty if order.in_quote else order.qty * price
        order.locked = order.locked.quantize(ATOM)
    elif (order.order_type == "Limit" or order.live_ms) and not order.reduce_only and order.trigger_price is None:
        # A market order that waits for a price must not leave its margin to the next one.
        order.locked = linear_need(state, order.uid, as_request(order), order.price or quote.last).quantize(ATOM)


def relock(state: VenueState, order: Order, instrument: Instrument, qty: Decimal, price: Decimal) -> None:
    """Set aside anew for a changed order, or refuse when the account cannot."""
    if not order.locked:
        return
    left = qty - order.cum_qty
    if order.category == SPOT:
        need = left if order.side == "Sell" else left * price
        if need > free_of(state, order.uid, spent_coin(order, instrument)) + order.locked:
            raise VenueReject(170131, "Insufficient balance.")
    else:
        need = linear_need(state, order.uid, replace(as_request(order), qty=left), price)
        if need > free_of(state, order.uid, "USDT") + order.locked:
            raise VenueReject(110007, "ab not enough for new order")
    order.locked = need.quantize(ATOM)


def as_request(order: Order) -> OrderRequest:
    """Read what is left of an order as a request, for the checks."""
    return OrderRequest(
        category=order.category,
        symbol=order.symbol,
        side=order.side,
        order_type=order.order_type,
        qty=order.leaves_qty,
        price=order.price or None,
        position_idx=order.position_idx,
        reduce_only=order.reduce_only,
    )


def spent_coin(order: Order, instrument: Instrument) -> str:
    """Name the coin a spot order gives away."""
    return instrument.quote if order.side == "Buy" else instrument.base
