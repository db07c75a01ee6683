"""Take-profit and stop-loss orders that belong to a position."""

from __future__ import annotations

from decimal import Decimal

from eternal_engine.simulator.venue.entities import ZERO, Order
from eternal_engine.simulator.venue.instruments import LINEAR
from eternal_engine.simulator.venue.lifecycle import finish_unfilled
from eternal_engine.simulator.venue.state import VenueState


def attach_stops(state: VenueState, order: Order) -> None:
    """Rest the take-profit and stop-loss that came with a linear order, once it has traded."""
    if order.category != LINEAR or not order.cum_qty or not (order.take_profit or order.stop_loss):
        return
    position = state.position(order.uid, order.symbol, order.position_idx)
    if not position.size:
        return
    for kind, price, by in (
        ("TakeProfit", order.take_profit, order.tp_trigger_by),
        ("StopLoss", order.stop_loss, order.sl_trigger_by),
    ):
        if price:
            set_position_stop(state, order.uid, order.symbol, order.position_idx, kind=kind, price=price, by=by)


def set_position_stop(
    state: VenueState, uid: int, symbol: str, idx: int, *, kind: str, price: Decimal, by: str
) -> bool:
    """Set (or with zero remove) a position's take-profit or stop-loss; False when nothing changes."""
    position = state.position(uid, symbol, idx)
    before = position.take_profit if kind == "TakeProfit" else position.stop_loss
    if before == price:
        return False
    for other in state.opens(uid):
        if (other.symbol, other.position_idx, other.create_type) == (symbol, idx, f"CreateBy{kind}"):
            finish_unfilled(state, other, cancel="CancelByTpSlTsClear")
    if kind == "TakeProfit":
        position.take_profit = price
    else:
        position.stop_loss = price
    if price:
        _place(state, uid, symbol, idx, kind=kind, price=price, by=by, size=position.size)
    state.note_position(position)
    return True


def _place(
    state: VenueState, uid: int, symbol: str, idx: int, *, kind: str, price: Decimal, by: str, size: Decimal
) -> None:
    long = size > ZERO
    falls = long == (kind != "TakeProfit")
    number = state.next_number()
    state.note_order(
        Order(
            uid=uid,
            order_id=state.new_order_id(LINEAR),
            link_id="",
            category=LINEAR,
            symbol=symbol,
            side="Sell" if long else "Buy",
            order_type="Market",
            qty=abs(size),
            price=ZERO,
            time_in_force="IOC",
            created_ms=state.now_ms,
            updated_ms=state.now_ms,
            number=number,
            status="Untriggered",
            position_idx=idx,
            reduce_only=True,
            close_on_trigger=True,
            trigger_price=price,
            trigger_direction=2 if falls else 1,
            trigger_by=by,
            stop_order_type=kind,
            create_type=f"CreateBy{kind}",
            leaves_qty=abs(size),
            visible_ms=state.now_ms,
        )
    )
