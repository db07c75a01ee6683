"""Order records, executions and order requests on the wire (bybit-v5 2.1 to 2.3)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from eternal_engine.exchange.bybit.wire import fields as f
from eternal_engine.exchange.bybit.wire import words as w
from eternal_engine.exchange.bybit.wire.shape import Shape
from eternal_engine.exchange.orders import Execution, OrderAck, OrderReport, OrderRequest
from eternal_engine.exchange.terms import Market, OrderKind, QtyUnit


def _is_base_sized(order: OrderReport) -> bool:
    # A spot market buy without a stated unit is sized in quote (fact 2).
    unstated_buy = order.qty_unit is None and order.market is Market.SPOT and order.kind is OrderKind.MARKET
    return order.qty_unit is not QtyUnit.QUOTE and not unstated_buy


def _order_complaint(order: OrderReport) -> str:
    if (order.filled_qty == 0) != (order.filled_value_usdt == 0):
        return "an order whose cumExecQty and cumExecValue are both zero or both not"
    # A qty of 0 closes the whole position, however large it is (2.1).
    if _is_base_sized(order) and 0 < order.qty < order.filled_qty and not order.close_on_trigger:
        return "an order filled by at most its qty"
    return ""


ORDER: Shape[OrderReport] = Shape(
    "order",
    OrderReport,
    (
        ("venue_order_id", "orderId", f.NAME),
        ("client_order_id", "orderLinkId", f.TEXT),
        ("market", "category", w.MARKET),
        ("symbol", "symbol", f.NAME),
        ("side", "side", w.SIDE),
        ("kind", "orderType", w.KIND),
        ("qty", "qty", f.AMOUNT),
        ("qty_unit", "marketUnit", w.OPT_UNIT),
        ("price", "price", f.OPT_PRICE),
        ("time_in_force", "timeInForce", w.TIF),
        ("status", "orderStatus", w.STATUS),
        ("filled_qty", "cumExecQty", f.AMOUNT),
        ("filled_value_usdt", "cumExecValue", f.AMOUNT),
        ("avg_price", "avgPrice", f.OPT_PRICE),
        ("leaves_qty", "leavesQty", f.OPT_AMOUNT),
        ("leaves_value_usdt", "leavesValue", f.OPT_AMOUNT),
        ("fees", "cumFeeDetail", f.FEES),
        ("fee_total", "cumExecFee", f.OPT_NUMBER),
        ("reject_reason", "rejectReason", f.OPT_TEXT),
        ("cancel_type", "cancelType", f.OPT_TEXT),
        ("create_type", "createType", f.OPT_TEXT),
        ("position_idx", "positionIdx", f.INT),
        ("reduce_only", "reduceOnly", f.FLAG),
        ("close_on_trigger", "closeOnTrigger", f.FLAG),
        ("trigger_price", "triggerPrice", f.OPT_PRICE),
        ("trigger_direction", "triggerDirection", f.INT),
        ("trigger_by", "triggerBy", f.OPT_TEXT),
        ("stop_order_type", "stopOrderType", f.OPT_TEXT),
        ("take_profit", "takeProfit", f.OPT_PRICE),
        ("stop_loss", "stopLoss", f.OPT_PRICE),
        ("created_at", "createdTime", f.TIME),
        ("updated_at", "updatedTime", f.TIME),
    ),
    check=_order_complaint,
)


def _execution_complaint(execution: Execution) -> str:
    if not execution.kind.is_fill:
        return ""
    exact = execution.price * execution.qty
    # A cent, or a millionth, covers every rounding seen in recorded fills; more is another field's number.
    if abs(exact - execution.value_usdt) > max(Decimal("0.01"), exact / 1_000_000):
        return "an execution whose execValue is execPrice times execQty"
    return ""


EXECUTION: Shape[Execution] = Shape(
    "execution",
    Execution,
    (
        ("execution_id", "execId", f.NAME),
        ("venue_order_id", "orderId", f.TEXT),
        ("client_order_id", "orderLinkId", f.OPT_TEXT),
        ("market", "category", w.MARKET),
        ("symbol", "symbol", f.NAME),
        ("side", "side", w.SIDE),
        ("kind", "execType", w.EXECUTION_KIND),
        ("price", "execPrice", f.AMOUNT),
        ("qty", "execQty", f.AMOUNT),
        ("value_usdt", "execValue", f.AMOUNT),
        ("fee", "execFee", f.NUMBER),
        (
            "fee_coin",
            "feeCurrency",
            f.Codec("a text or empty", lambda v: f.OPT_TEXT.read(v) or None, lambda v: v or "", True),
        ),
        ("fee_rate", "feeRate", f.OPT_NUMBER),
        ("is_maker", "isMaker", f.FLAG),
        ("closed_qty", "closedSize", f.OPT_AMOUNT),
        ("leaves_qty", "leavesQty", f.OPT_AMOUNT),
        ("order_qty", "orderQty", f.OPT_AMOUNT),
        ("order_price", "orderPrice", f.OPT_AMOUNT),
        ("order_type", "orderType", f.OPT_TEXT),
        ("create_type", "createType", f.OPT_TEXT),
        ("mark_price", "markPrice", f.OPT_AMOUNT),
        ("at", "execTime", f.TIME),
        ("seq", "seq", f.OPT_INT),
    ),
    check=_execution_complaint,
)

ACK: Shape[OrderAck] = Shape(
    "order acknowledgement",
    OrderAck,
    (("client_order_id", "orderLinkId", f.TEXT), ("venue_order_id", "orderId", f.NAME)),
)

_WORD_OF_SIDE = {member: word for word, member in w.SIDE_WORDS.items()}
_WORD_OF_KIND = {member: word for word, member in w.KIND_WORDS.items()}
_WORD_OF_TIF = {member: word for word, member in w.TIF_WORDS.items()}
_WORD_OF_UNIT = {member: word for word, member in w.UNIT_WORDS.items()}
_WORD_OF_TRIGGER = {member: word for word, member in w.TRIGGER_WORDS.items()}


def dump_request(request: OrderRequest) -> dict[str, Any]:
    """Write an order request as the body of POST /v5/order/create; quantities as plain decimal strings (5.4)."""
    body: dict[str, Any] = {
        "category": w.CATEGORY_OF[request.market],
        "symbol": request.symbol,
        "side": _WORD_OF_SIDE[request.side],
        "orderType": _WORD_OF_KIND[request.kind],
        "qty": f.write_number(request.qty),
        "orderLinkId": request.client_order_id,
    }
    if request.kind is OrderKind.LIMIT and request.price is not None:
        body["price"] = f.write_number(request.price)
    if request.time_in_force is not None:
        body["timeInForce"] = _WORD_OF_TIF[request.time_in_force]
    if request.market is Market.SPOT:
        body |= {"isLeverage": 0}
        if request.kind is OrderKind.MARKET:
            # Left out, the unit is quote for buys and base for sells (fact 2): never leave it out.
            body["marketUnit"] = _WORD_OF_UNIT[request.qty_unit]
    else:
        body |= {"positionIdx": 0, "reduceOnly": request.reduce_only}
        if request.close_on_trigger:
            body["closeOnTrigger"] = True
        if request.stop_loss is not None:
            stop = f.write_number(request.stop_loss)
            body |= {"stopLoss": stop, "slTriggerBy": "MarkPrice", "tpslMode": "Full"}
    if request.trigger_price is not None:
        body |= _dump_trigger(request)
    return body


def _dump_trigger(request: OrderRequest) -> dict[str, Any]:
    if request.trigger_price is None:
        return {}
    trigger: dict[str, Any] = {"triggerPrice": f.write_number(request.trigger_price)}
    if request.market is Market.SPOT:
        return trigger | {"orderFilter": "StopOrder"}
    if request.trigger_rises is not None:
        trigger["triggerDirection"] = 1 if request.trigger_rises else 2
    if request.trigger_by is not None:
        trigger["triggerBy"] = _WORD_OF_TRIGGER[request.trigger_by]
    return trigger


def parse_request(body: Mapping[str, object]) -> OrderRequest:
    """Read the body of POST /v5/order/create back into a request; what is missing takes the exchange's default."""
    where = "order/create"
    market = f.read_field(body, "category", w.MARKET, where)
    side = f.read_field(body, "side", w.SIDE, where)
    kind = f.read_field(body, "orderType", w.KIND, where)
    unit = f.read_field(body, "marketUnit", w.OPT_UNIT, where)
    if unit is None:
        quote_sized = market is Market.SPOT and kind is OrderKind.MARKET and side is w.SIDE_WORDS["Buy"]
        unit = QtyUnit.QUOTE if quote_sized else QtyUnit.BASE
    direction = f.read_field(body, "triggerDirection", f.OPT_INT, where)
    return OrderRequest(
        client_order_id=f.read_field(body, "orderLinkId", f.OPT_TEXT, where),
        market=market,
        symbol=f.read_field(body, "symbol", f.NAME, where),
        side=side,
        kind=kind,
        qty=f.read_field(body, "qty", f.AMOUNT, where),
        qty_unit=unit,
        price=f.read_field(body, "price", f.OPT_PRICE, where),
        time_in_force=f.read_field(body, "timeInForce", f.optional_choice("timeInForce", w.TIF_WORDS), where),
        reduce_only=bool(f.read_field(body, "reduceOnly", f.OPT_FLAG, where)),
        close_on_trigger=bool(f.read_field(body, "closeOnTrigger", f.OPT_FLAG, where)),
        trigger_price=f.read_field(body, "triggerPrice", f.OPT_PRICE, where),
        trigger_rises=None if direction is None else direction == 1,
        trigger_by=f.read_field(body, "triggerBy", f.optional_choice("triggerBy", w.TRIGGER_WORDS), where),
        stop_loss=f.read_field(body, "stopLoss", f.OPT_PRICE, where),
    )
