"""Refuse a request that the exchange would have to refuse, before anything is sent."""

from __future__ import annotations

import re

from eternal_engine.exchange.orders import OrderRequest
from eternal_engine.exchange.terms import Market, OrderKind, QtyUnit
from eternal_engine.model.errors import RejectedForGood

_CLIENT_ID = re.compile(r"[A-Za-z0-9_-]{1,36}")


def check_client_id(client_order_id: str) -> None:
    """Raise RejectedForGood for an id that the exchange would not take."""
    if not _CLIENT_ID.fullmatch(client_order_id):
        raise RejectedForGood(
            f"client order id {client_order_id!r} is not 1 to 36 of letters, digits, - and _",
            where="order",
            mend="derive it from the order key",
        )


def check_request(request: OrderRequest) -> None:
    """Raise RejectedForGood for a request that contradicts itself."""
    check_client_id(request.client_order_id)
    complaint = _request_complaint(request)
    if complaint:
        raise RejectedForGood(
            complaint, where=f"order {request.client_order_id}", mend="nothing was sent; mend the request"
        )


def _request_complaint(request: OrderRequest) -> str:
    closes_all = request.qty == 0 and request.reduce_only and request.close_on_trigger
    if request.qty <= 0 and not closes_all:
        return f"a quantity must be above 0, not {request.qty}"
    if (request.kind is OrderKind.LIMIT) != (request.price is not None):
        return "a limit order has a price, a market order has none"
    if request.qty_unit is QtyUnit.QUOTE and not (request.market is Market.SPOT and request.kind is OrderKind.MARKET):
        return "only a spot market order is sized in quote coin"
    if request.market is Market.SPOT and (request.reduce_only or request.close_on_trigger):
        return "spot knows no reduce-only"
    if request.market is Market.PERP and (request.trigger_price is None) != (request.trigger_rises is None):
        return "a perpetual's trigger price needs its direction"
    if request.stop_loss is not None and (request.market is Market.SPOT or request.reduce_only):
        return "only an order that opens a perpetual's position brings a stop"
    return ""
