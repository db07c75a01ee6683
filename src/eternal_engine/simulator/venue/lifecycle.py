"""The end of an order: finished, cancelled, or swept away with the position it protected."""

from __future__ import annotations

from eternal_engine.simulator.venue.entities import ZERO, Order, Position, VenueReject
from eternal_engine.simulator.venue.instruments import LINEAR, SPOT
from eternal_engine.simulator.venue.state import VenueState

STOP_LOSS, TAKE_PROFIT = "CreateByStopLoss", "CreateByTakeProfit"
POSITION_STOPS = frozenset({STOP_LOSS, TAKE_PROFIT})


def finish(
    state: VenueState, order: Order, status: str, *, reason: str = "EC_NoError", cancel: str = "UNKNOWN"
) -> None:
    """Close an order with a status and release what it held."""
    order.status = status
    order.reject_reason = reason
    order.cancel_type = cancel
    order.locked = ZERO
    if status != "Filled":
        order.leaves_qty = ZERO
    if order.in_quote:
        order.leaves_value = order.qty - order.cum_value
    state.note_order(order)
    if order.create_type in POSITION_STOPS:
        _unset_stop(state, order)


def _unset_stop(state: VenueState, order: Order) -> None:
    """Let a position no longer show a stop that does not rest any more."""
    position = state.positions.get((order.uid, order.symbol, order.position_idx))
    if position is None:
        return
    shown = position.stop_loss if order.create_type == STOP_LOSS else position.take_profit
    trails = order.create_type == STOP_LOSS and order.cancel_type == "CancelByUser" and position.trailing_stop
    if trails:
        position.trailing_stop = position.trailing_active = position.trailing_best = ZERO
    if shown == order.trigger_price:
        if order.create_type == STOP_LOSS:
            position.stop_loss = ZERO
        else:
            position.take_profit = ZERO
    elif not trails:
        return
    state.note_position(position)


def finish_unfilled(state: VenueState, order: Order, *, cancel: str = "UNKNOWN", reason: str = "EC_NoError") -> None:
    """Close an order whose rest will not trade, with the status its category uses."""
    partly = order.category == SPOT and order.cum_qty > ZERO
    finish(state, order, "PartiallyFilledCanceled" if partly else "Cancelled", reason=reason, cancel=cancel)


def cancel(state: VenueState, uid: int, order: Order) -> None:
    """Cancel an open order for its owner; raise VenueReject when it is too late."""
    if order.uid != uid or not order.is_open:
        raise too_late(order.category, order)
    finish_unfilled(state, order, cancel="CancelByUser", reason="EC_PerCancelRequest")


def too_late(category: str, order: Order | None = None) -> VenueReject:
    """Make the refusal for an order that is unknown or already done."""
    if category == SPOT:
        if order is not None and order.status == "Filled":
            return VenueReject(170139, "Order has been filled.")
        if order is not None:
            return VenueReject(170142, "Order has been canceled.")
        return VenueReject(170213, "Order does not exist.")
    return VenueReject(110001, "order not exists or too late to cancel")


def follow_position(state: VenueState, order: Order) -> None:
    """Let what belongs to a position follow a fill of it: gone when it is flat, of its size when it is not."""
    if order.category != LINEAR:
        return
    position = state.positions.get((order.uid, order.symbol, order.position_idx))
    if position is None or position.seq < 0:
        return
    if not position.size:
        drop_children(state, position, but=order)
        return
    for child in state.opens(order.uid):
        if _is_stop_of(child, position) and child.order_id != order.order_id and child.qty != abs(position.size):
            # A stop of the whole position closes what is held when it is touched, not what was held when it was set.
            child.qty = child.leaves_qty = abs(position.size)
            state.note_order(child)


def drop_children(state: VenueState, position: Position, *, but: Order) -> None:
    """Cancel the stop and reduce-only orders of a position that is flat or has turned, except the order that did it."""
    if position.take_profit or position.stop_loss or position.trailing_stop:
        position.take_profit = position.stop_loss = position.trailing_stop = ZERO
        position.trailing_active = position.trailing_best = ZERO
        state.note_position(position)
    for other in state.opens(position.uid):
        same = other.category == LINEAR and (other.symbol, other.position_idx) == (position.symbol, position.idx)
        if same and other.reduce_only and other.order_id != but.order_id:
            child = other.create_type != "CreateByUser"
            finish_unfilled(state, other, cancel="CancelByTpSlTsClear" if child else "CancelByReduceOnly")


def _is_stop_of(order: Order, position: Position) -> bool:
    same = order.category == LINEAR and (order.symbol, order.position_idx) == (position.symbol, position.idx)
    return same and order.status == "Untriggered" and order.create_type in POSITION_STOPS
