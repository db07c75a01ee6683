"""What the exchange refuses before it accepts an order, in its own codes and texts."""

from __future__ import annotations

import re
from decimal import Decimal

from eternal_engine.simulator.venue.entities import ZERO, OrderRequest, Quote, VenueReject
from eternal_engine.simulator.venue.instruments import LINEAR, SPOT, Instrument
from eternal_engine.simulator.venue.margin import free_of, leverage_of, margin_of
from eternal_engine.simulator.venue.matching import band, is_multiple, tick_against
from eternal_engine.simulator.venue.state import VenueState

LINK_ID = re.compile(r"[A-Za-z0-9_-]{1,36}")
MAX_ACTIVE = 500
MAX_CONDITIONAL_LINEAR = 10
MAX_CONDITIONAL_SPOT = 30


def instrument_of(state: VenueState, request: OrderRequest) -> Instrument:
    """Find a tradable instrument."""
    found = state.instruments.get((request.category, request.symbol))
    if found is None:
        raise (
            VenueReject(170121, "Invalid symbol.")
            if request.category == SPOT
            else VenueReject(10001, "params error: symbol invalid")
        )
    if found.status != "Trading" and not (request.reduce_only and found.status == "ReduceOnly"):
        if request.category == SPOT:
            raise VenueReject(170151, "This trading pair is not available.")
        if found.status in {"Delivering", "ReduceOnly"}:
            raise VenueReject(30228, "New positions are not allowed during delisting.")
        raise VenueReject(110074, "This contract is not live")
    return found


def quote_of(state: VenueState, request: OrderRequest) -> Quote:
    """Find the current quote; a symbol the price source is silent about cannot trade."""
    found = state.quote(request.category, request.symbol)
    if found is None:
        if request.category == SPOT:
            raise VenueReject(170157, "The trading pair is not available for api trading")
        raise VenueReject(110066, "Trading is currently not allowed.")
    return found


def check_identity(state: VenueState, uid: int, request: OrderRequest) -> None:
    """Check the client's order id and the number of orders already open."""
    if request.link_id:
        if not LINK_ID.fullmatch(request.link_id):
            raise VenueReject(10001, "params error: orderLinkId must be 1 to 36 letters, digits, - or _")
        if (uid, request.link_id) in state.links:
            if request.category == SPOT:
                raise VenueReject(170141, "Duplicate clientOrderId")
            raise VenueReject(110072, "OrderLinkedID is duplicate")
    same = [order for order in state.opens(uid) if order.category == request.category]
    if request.category == LINEAR:
        same = [order for order in same if order.symbol == request.symbol]
    if len(same) >= MAX_ACTIVE:
        if request.category == SPOT:
            raise VenueReject(170810, "The number of active orders has reached the limit of 500.")
        raise VenueReject(110020, "You can't have more than 500 active orders.")
    if request.trigger_price is not None:
        waiting = sum(1 for order in same if order.status == "Untriggered")
        if request.category == LINEAR and waiting >= MAX_CONDITIONAL_LINEAR:
            raise VenueReject(110009, "The number of stop orders exceeds the maximum allowable limit.")
        if request.category == SPOT and waiting >= MAX_CONDITIONAL_SPOT:
            raise VenueReject(170810, "The number of conditional orders has reached the limit of 30.")


def check_trigger(request: OrderRequest, instrument: Instrument, quote: Quote) -> None:
    """Check that a trigger lies on the side of the market that its direction says."""
    price = request.trigger_price
    if price is None:
        return
    if price <= ZERO or not is_multiple(price, instrument.tick):
        raise VenueReject(170134 if request.category == SPOT else 10001, "trigger price is not a multiple of the tick")
    if request.category == SPOT:
        return
    current = {"LastPrice": quote.last, "MarkPrice": quote.mark, "IndexPrice": quote.index}[request.trigger_by]
    if request.trigger_direction not in {1, 2}:
        raise VenueReject(10001, "TriggerDirection invalid")
    if request.trigger_direction == 1 and price <= current:
        raise VenueReject(110092, f"expect Rising, but trigger_price[{price:f}] <= current[{current:f}]")
    if request.trigger_direction == 2 and price >= current:
        raise VenueReject(110093, f"expect Falling, but trigger_price[{price:f}] >= current[{current:f}]")


def check_spot(state: VenueState, uid: int, request: OrderRequest, instrument: Instrument, quote: Quote) -> None:
    """Check steps, minimums, maximums, price band and funds of a spot order."""
    market = request.order_type == "Market"
    in_quote = request.market_unit == "quoteCoin"
    price = quote.last if market else _spot_price(request, instrument, quote)
    if request.qty <= ZERO:
        raise VenueReject(170130, "Data sent for parameter 'qty' is not valid.")
    if in_quote:
        if not is_multiple(request.qty, instrument.quote_step):
            raise VenueReject(170148, "Market order amount decimal too long.")
    elif not is_multiple(request.qty, instrument.qty_step):
        raise VenueReject(170137, "Order quantity has too many decimals.")
    value = request.qty if in_quote else request.qty * price
    if value < instrument.min_value:
        raise VenueReject(170140, "Order value exceeded lower limit.")
    qty = request.qty / price if in_quote else request.qty
    if market and qty > instrument.max_market_qty:
        raise VenueReject(170382, "Order quantity exceeded the market order upper limit.")
    if not market and qty > instrument.max_limit_qty:
        raise VenueReject(170381, "Order quantity exceeded the limit order upper limit.")
    if request.order_filter != "StopOrder":
        _check_spot_funds(state, uid, request, instrument, price)


def check_linear(state: VenueState, uid: int, request: OrderRequest, instrument: Instrument, quote: Quote) -> None:
    """Check steps, minimums, maximums, position mode, reduce-only and margin of a linear order."""
    check_position_idx(state, uid, request.symbol, request.position_idx)
    market = request.order_type == "Market"
    price = quote.last if market else request.price
    if price is None or price <= ZERO:
        raise VenueReject(10001, "params error: price invalid")
    if not market and not is_multiple(price, instrument.tick):
        raise VenueReject(10001, "params error: price is not a multiple of the tick size")
    room = reducible(state, uid, request)
    if request.reduce_only and room is not None and room <= ZERO:
        _refuse_reduce(state, uid, request)
    if request.qty == ZERO and request.reduce_only and request.close_on_trigger:
        return
    if request.qty < instrument.min_qty:
        raise VenueReject(10001, "The number of contracts exceeds minimum limit allowed")
    if not is_multiple(request.qty, instrument.qty_step):
        raise VenueReject(10001, "params error: qty is not a multiple of the qty step")
    most = instrument.max_market_qty if market else instrument.max_limit_qty
    if request.qty > most and not request.reduce_only:
        raise VenueReject(
            10001,
            "The number of contracts exceeds maximum limit allowed: too large, "
            f"order_qty:{request.qty:f} > max_qty:{most:f}",
        )
    if request.qty * price < instrument.min_value and not request.reduce_only:
        raise VenueReject(110094, f"Order does not meet minimum order value {instrument.min_value:f}USDT")
    if request.stop_loss:
        _check_stop(request, request.stop_loss, instrument, quote.mark if market else price)
    if not request.reduce_only and request.trigger_price is None:
        _check_linear_funds(state, uid, request, price)


def _check_stop(request: OrderRequest, stop: Decimal, instrument: Instrument, base: Decimal) -> None:
    """Refuse a stop that comes with an order and would be touched at once."""
    if not is_multiple(stop, instrument.tick):
        raise VenueReject(10001, "StopLoss is not a multiple of the tick size")
    if (stop >= base) if request.side == "Buy" else (stop <= base):
        side = "lower" if request.side == "Buy" else "higher"
        raise VenueReject(
            10001,
            f"StopLoss:{stop:f} set for {request.side} position should be {side} than base_price:{base:f}",
        )


def check_position_idx(state: VenueState, uid: int, symbol: str, idx: int) -> None:
    """Check a position index against the account's mode for the symbol."""
    hedge = symbol in state.accounts[uid].hedge_symbols
    if (hedge and idx not in {1, 2}) or (not hedge and idx != 0):
        raise VenueReject(10001, "position idx not match position mode")


def reducible(state: VenueState, uid: int, request: OrderRequest) -> Decimal | None:
    """Give how many coins a reduce-only order may close, None for other orders."""
    if not request.reduce_only:
        return None
    size = state.position(uid, request.symbol, request.position_idx).size
    sign = 1 if request.side == "Buy" else -1
    return max(ZERO, -size * sign)


def banded_price(request: OrderRequest, instrument: Instrument, quote: Quote) -> Decimal:
    """Move a linear limit price into the band, as the exchange does without saying (lpaPerp=false)."""
    price = request.price or ZERO
    highest, lowest = band(instrument, quote)
    if request.side == "Buy" and price > highest:
        return tick_against(highest, instrument.tick, "Sell")
    if request.side == "Sell" and price < lowest:
        return tick_against(lowest, instrument.tick, "Buy")
    return price


def _spot_price(request: OrderRequest, instrument: Instrument, quote: Quote) -> Decimal:
    price = request.price
    if price is None or price <= ZERO:
        raise VenueReject(170130, "Data sent for parameter 'price' is not valid.")
    if not is_multiple(price, instrument.tick):
        raise VenueReject(170134, "Order price has too many decimals.")
    highest, lowest = band(instrument, quote)
    if request.side == "Buy" and price > highest:
        raise VenueReject(170372, f"Order price cannot be higher than {highest.normalize():f}, the price limitation")
    if request.side == "Sell" and price < lowest:
        raise VenueReject(170371, f"Order price cannot be lower than {lowest.normalize():f}, the price limitation.")
    return price


def _check_spot_funds(
    state: VenueState, uid: int, request: OrderRequest, instrument: Instrument, price: Decimal
) -> None:
    if request.side == "Sell":
        need = request.qty / price if request.market_unit == "quoteCoin" else request.qty
        coin = instrument.base
    else:
        need = request.qty if request.market_unit == "quoteCoin" else request.qty * price
        coin = instrument.quote
    if need > free_of(state, uid, coin):
        raise VenueReject(170131, "Insufficient balance.")


def _check_linear_funds(state: VenueState, uid: int, request: OrderRequest, price: Decimal) -> None:
    need = linear_need(state, uid, request, price)
    if need > ZERO and need > margin_of(state, uid).available:
        raise VenueReject(110007, "ab not enough for new order")


def linear_need(state: VenueState, uid: int, request: OrderRequest, price: Decimal) -> Decimal:
    """Give the margin and taker fee that the exposure-raising part of an order asks for."""
    size = state.position(uid, request.symbol, request.position_idx).size
    sign = 1 if request.side == "Buy" else -1
    opening = request.qty - min(request.qty, max(ZERO, -size * sign))
    if opening <= ZERO:
        return ZERO
    leverage = leverage_of(state, uid, request.symbol)
    return opening * price / leverage + request.qty * price * state.config.fees.linear_taker


def _refuse_reduce(state: VenueState, uid: int, request: OrderRequest) -> None:
    size = state.position(uid, request.symbol, request.position_idx).size
    if not size:
        raise VenueReject(110017, "current position is zero, cannot fix reduce-only order qty")
    raise VenueReject(110017, "reduce-only order has same side with current position")
