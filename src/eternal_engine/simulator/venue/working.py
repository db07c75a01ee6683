"""Matching an accepted order: take what the market offers, then rest, finish or be cancelled."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from eternal_engine.simulator.venue.checks import linear_need, reducible
from eternal_engine.simulator.venue.entities import ZERO, Order, Quote
from eternal_engine.simulator.venue.filling import apply_fill
from eternal_engine.simulator.venue.holding import as_request, lock, spent_coin
from eternal_engine.simulator.venue.instruments import LINEAR, SPOT, Instrument
from eternal_engine.simulator.venue.lifecycle import finish, finish_unfilled, follow_position
from eternal_engine.simulator.venue.margin import free_of
from eternal_engine.simulator.venue.matching import Take, band, crosses, floor_to, plan_taker, tick_against
from eternal_engine.simulator.venue.state import VenueState
from eternal_engine.simulator.venue.stops import attach_stops


def work(state: VenueState, order: Order) -> None:
    """Match an accepted order against the current quote, then rest, cancel or finish it."""
    instrument = state.instruments[order.category, order.symbol]
    quote = state.quote(order.category, order.symbol)
    order.live_ms = 0
    if quote is None or instrument.status not in {"Trading", "ReduceOnly"}:
        finish(state, order, "Rejected", reason="EC_SecurityStatus")
        return
    if order.reduce_only and not _cut_to_position(state, order):
        finish_unfilled(state, order, cancel="CancelByReduceOnly")
        return
    if order.order_type == "Market":
        _work_market(state, order, instrument, quote)
    else:
        _work_limit(state, order, instrument, quote)
    follow_position(state, order)


def rest_fill(state: VenueState, order: Order, instrument: Instrument) -> None:
    """Fill a resting limit order that the market has reached, as maker, up to the depth of one level."""
    if order.reduce_only and not _cut_to_position(state, order):
        finish_unfilled(state, order, cancel="CancelByReduceOnly")
        return
    depth = state.config.shape.depth_usdt
    room = order.leaves_qty if depth is None else floor_to(depth / order.price, instrument.qty_step)
    apply_fill(state, order, Take(order.price, min(order.leaves_qty, max(room, instrument.qty_step))), is_maker=True)
    if order.leaves_qty:
        state.note_order(order)
    else:
        finish(state, order, "Filled")
        attach_stops(state, order)
    follow_position(state, order)


def trigger(state: VenueState, order: Order, base: Decimal) -> None:
    """Turn a conditional order into a live one, with the market standing at `base`."""
    key = (order.category, order.symbol)
    before = state.quotes[key]
    # Mark and index stand there too: the band must not be that of a price the bar has left behind.
    state.quotes[key] = Quote.flat(base)
    order.status = "New"
    if _affords_trigger(state, order, base):
        work(state, order)
    else:
        finish(state, order, "Rejected", reason="EC_InsufficientBalance")
    state.quotes[key] = before


def _affords_trigger(state: VenueState, order: Order, base: Decimal) -> bool:
    if order.category == LINEAR:
        need = ZERO if order.reduce_only else linear_need(state, order.uid, as_request(order), base)
        return need <= ZERO or need <= free_of(state, order.uid, "USDT")
    if order.locked:
        return True
    lock(state, order, state.quotes[order.category, order.symbol])
    coin = spent_coin(order, state.instruments[order.category, order.symbol])
    return free_of(state, order.uid, coin) >= ZERO


def _cut_to_position(state: VenueState, order: Order) -> bool:
    """Cut a reduce-only order to what the position still has; False when there is nothing to reduce."""
    room = reducible(state, order.uid, replace(as_request(order), reduce_only=True)) or ZERO
    if room <= ZERO:
        return False
    if order.leaves_qty > room:
        order.qty = order.cum_qty + room
        order.leaves_qty = room
    return True


def _work_market(state: VenueState, order: Order, instrument: Instrument, quote: Quote) -> None:
    edge = _market_edge(order, instrument, quote)
    shape = state.config.shape
    if order.in_quote:
        pieces = plan_taker(order.side, quote, instrument, shape, budget=order.qty, band_limit=edge)
    else:
        pieces = plan_taker(order.side, quote, instrument, shape, qty=order.leaves_qty, band_limit=edge)
    for planned in pieces:
        piece = _affordable(state, order, instrument, planned) if order.category == SPOT else planned
        if piece.qty <= ZERO:
            break
        apply_fill(state, order, piece, is_maker=False)
        if planned is not pieces[-1]:
            state.note_order(order)
    if order.status == "Filled" or (order.in_quote and order.cum_qty and not order.leaves_value):
        finish(state, order, "Filled")
    elif order.cum_qty:
        finish_unfilled(state, order, reason="EC_CancelForNoFullFill")
    else:
        finish_unfilled(state, order, reason="EC_NoImmediateQtyToFill")
    attach_stops(state, order)


def _market_edge(order: Order, instrument: Instrument, quote: Quote) -> Decimal:
    """Give the worst price a market order may trade at: the band, or nearer by its own slippage tolerance.

    The band ends at a tick, outward: one coarser than the band must not keep a cheap coin from being traded at all.
    """
    far_above, far_below = band(instrument, quote)
    highest, lowest = tick_against(far_above, instrument.tick, "Buy"), tick_against(far_below, instrument.tick, "Sell")
    best = quote.ask if order.side == "Buy" else quote.bid
    away = best * (order.slippage_frac or ZERO) + (order.slippage_ticks or 0) * instrument.tick
    if not away:
        return highest if order.side == "Buy" else lowest
    return min(highest, best + away) if order.side == "Buy" else max(lowest, best - away)


def _affordable(state: VenueState, order: Order, instrument: Instrument, piece: Take) -> Take:
    """Cut a spot piece to what the wallet really holds: a delayed or slipping order must not overdraw it."""
    held = free_of(state, order.uid, spent_coin(order, instrument)) + order.locked
    most = held if order.side == "Sell" else held / piece.price
    if piece.qty <= most:
        return piece
    return Take(piece.price, max(ZERO, floor_to(most, instrument.qty_step)))


def _work_limit(state: VenueState, order: Order, instrument: Instrument, quote: Quote) -> None:
    if crosses(order.side, order.price, quote):
        if order.time_in_force == "PostOnly":
            finish_unfilled(state, order, reason="EC_PostOnlyWillTakeLiquidity")
            return
        shape = state.config.shape
        pieces = plan_taker(order.side, quote, instrument, shape, qty=order.leaves_qty, limit=order.price)
        whole = sum((piece.qty for piece in pieces), ZERO) >= order.leaves_qty
        if order.time_in_force == "FOK" and not whole:
            finish_unfilled(state, order, reason="EC_NoEnoughQtyToFill")
            return
        for piece in pieces:
            apply_fill(state, order, piece, is_maker=False)
    if order.status == "Filled":
        finish(state, order, "Filled")
        attach_stops(state, order)
    elif order.time_in_force in {"IOC", "FOK"}:
        finish_unfilled(state, order, reason="EC_CancelForNoFullFill" if order.cum_qty else "EC_NoImmediateQtyToFill")
        attach_stops(state, order)
    else:
        state.note_order(order)
