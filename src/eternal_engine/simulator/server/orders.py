"""Orders and executions: create, amend, cancel, and read back."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal, cast

from eternal_engine.simulator.server.call import Call, Json
from eternal_engine.simulator.server.paging import page
from eternal_engine.simulator.server.params import Params, wrong
from eternal_engine.simulator.server.render import execution_row, order_row
from eternal_engine.simulator.venue import SPOT, Order, OrderRequest, VenueReject, queries
from eternal_engine.simulator.venue.instruments import Category

By = Literal["LastPrice", "MarkPrice", "IndexPrice"]
TRIGGERS = ("LastPrice", "MarkPrice", "IndexPrice")
BATCH_MOST = 10


def create(call: Call) -> Json:
    """Accept an order: retCode 0 says no more than that."""
    order = call.venue.create_order(call.uid, read_request(call.params))
    return {"orderId": order.order_id, "orderLinkId": order.link_id}


def read_request(params: Params) -> OrderRequest:
    """Read an order request off the wire, typed and otherwise unchecked."""
    category = params.category()
    kind = params.choice("orderType", ("Market", "Limit"))
    tif = params.choice("timeInForce", ("GTC", "IOC", "FOK", "PostOnly", "RPI"), "GTC")
    unit = params.choice("marketUnit", ("", "baseCoin", "quoteCoin"))
    qty = params.decimal("qty")
    if qty is None or qty < 0:
        raise (
            VenueReject(10001, "params error: Qty invalid")
            if category == "linear"
            else VenueReject(170130, "Data sent for parameter 'qty' is not valid.")
        )
    price = params.decimal("price")
    if kind == "Limit" and (price is None or price <= 0):
        raise VenueReject(10001, "params error: price invalid")
    return OrderRequest(
        category=category,
        symbol=_symbol(params, category),
        side=params.side(),
        order_type=cast("Literal['Market', 'Limit']", kind),
        qty=qty,
        price=price if kind == "Limit" else None,
        time_in_force=cast("Any", "PostOnly" if tif == "RPI" else tif),
        market_unit=cast("Any", unit),
        link_id=_link(params),
        position_idx=_position_idx(params),
        reduce_only=params.flag("reduceOnly") if category == "linear" else False,
        close_on_trigger=params.flag("closeOnTrigger"),
        trigger_price=params.decimal("triggerPrice") or None,
        trigger_direction=params.integer("triggerDirection") or 0,
        trigger_by=_by(params, "triggerBy"),
        take_profit=params.decimal("takeProfit") or None,
        stop_loss=params.decimal("stopLoss") or None,
        tp_trigger_by=_by(params, "tpTriggerBy"),
        sl_trigger_by=_by(params, "slTriggerBy"),
        order_filter=params.choice("orderFilter", ("Order", "tpslOrder", "StopOrder"), "Order"),
        slippage_frac=_slippage_frac(params),
        slippage_ticks=_slippage_ticks(params),
        is_leverage=params.integer("isLeverage") or 0,
    )


def amend(call: Call) -> Json:
    """Change an open order."""
    params = call.params
    category, order_id, link_id = _identity(params)
    order = call.venue.amend_order(
        call.uid,
        category,
        order_id,
        link_id,
        qty=params.decimal("qty"),
        price=params.decimal("price"),
        trigger_price=params.decimal("triggerPrice"),
        take_profit=params.decimal("takeProfit"),
        stop_loss=params.decimal("stopLoss"),
    )
    return {"orderId": order.order_id, "orderLinkId": order.link_id}


def cancel(call: Call) -> Json:
    """Cancel one open order."""
    category, order_id, link_id = _identity(call.params)
    order = call.venue.cancel_order(call.uid, category, order_id, link_id)
    return {"orderId": order.order_id, "orderLinkId": order.link_id}


def cancel_all(call: Call) -> Json:
    """Cancel many open orders; linear needs to be told which."""
    params = call.params
    category = params.category()
    symbol, base, settle = params.text("symbol"), params.text("baseCoin"), params.text("settleCoin")
    _need_scope(category, symbol, base, settle)
    rows = call.venue.cancel_all(call.uid, category, symbol=symbol, base=base, order_filter=params.text("orderFilter"))
    shown = [{"orderId": order.order_id, "orderLinkId": order.link_id} for order in rows]
    return {"list": shown, "success": "1"}


def realtime(call: Call) -> Json:
    """List open orders (and on request recently closed ones), 20 a page by default."""
    params = call.params
    category = params.category()
    symbol, base, settle = params.text("symbol"), params.text("baseCoin"), params.text("settleCoin")
    order_id, link_id = params.text("orderId"), params.text("orderLinkId")
    if not (order_id or link_id):
        _need_scope(category, symbol, base, settle)
    rows = queries.realtime(
        call.venue.state,
        call.uid,
        category,
        symbol=symbol,
        base=base,
        order_id=order_id,
        link_id=link_id,
        closed_too=params.integer("openOnly") == 1,
        order_filter=params.text("orderFilter"),
    )
    return _order_page(call, category, rows)


def history(call: Call) -> Json:
    """List closed orders of at most seven days, 20 a page by default."""
    params = call.params
    category = params.category()
    rows = queries.history(
        call.venue.state,
        call.uid,
        category,
        symbol=params.text("symbol"),
        base=params.text("baseCoin"),
        order_id=params.text("orderId"),
        link_id=params.text("orderLinkId"),
        status=params.text("orderStatus"),
        window=queries.window_of(call.now_ms, params.integer("startTime"), params.integer("endTime")),
    )
    return _order_page(call, category, rows)


def executions(call: Call) -> Json:
    """List executions of at most seven days, 50 a page by default."""
    params = call.params
    category = params.category()
    rows = queries.executions(
        call.venue.state,
        call.uid,
        category,
        symbol=params.text("symbol"),
        base=params.text("baseCoin"),
        order_id=params.text("orderId"),
        link_id=params.text("orderLinkId"),
        exec_type=params.text("execType"),
        window=queries.window_of(call.now_ms, params.integer("startTime"), params.integer("endTime")),
    )
    shown, cursor = page(rows, lambda row: (row.time_ms, row.seq), params.text("cursor"), params.limit(50, 100))
    return {
        "nextPageCursor": cursor,
        "category": category,
        "list": [execution_row(call.venue, row) for row in shown],
    }


def create_batch(call: Call) -> Json:
    """Accept up to ten orders, each with its own verdict in `retExtInfo`."""
    category = call.params.category()
    rows = call.params.values.get("request")
    if not isinstance(rows, list) or not 1 <= len(rows) <= BATCH_MOST:
        raise wrong("request")
    results, verdicts = [], []
    for row in rows:
        code, said, order_id, link_id = 0, "OK", "", ""
        try:
            request = read_request(Params({**(row if isinstance(row, dict) else {}), "category": category}))
            link_id = request.link_id
            order_id = call.venue.create_order(call.uid, request).order_id
        except VenueReject as error:
            code, said = error.code, error.text
        symbol = str(row.get("symbol", "")) if isinstance(row, dict) else ""
        results.append(
            {
                "category": category,
                "symbol": symbol,
                "orderId": order_id,
                "orderLinkId": link_id,
                "createAt": str(call.now_ms) if not code else "",
            }
        )
        verdicts.append({"code": code, "msg": said})
    return {"list": results, "_ext": {"list": verdicts}}


def spot_borrow_check(call: Call) -> Json:
    """Tell what a spot order could use: base to four decimals, quote to eight; nothing is ever borrowed here."""
    symbol = call.params.need("symbol")
    instrument = call.venue.state.instruments.get((SPOT, symbol))
    quote = call.venue.state.quote(SPOT, symbol)
    if instrument is None or quote is None:
        raise VenueReject(170121, "Invalid symbol.")
    buying = call.params.side() == "Buy"
    free = call.venue.free(call.uid, instrument.quote if buying else instrument.base)
    free = max(free, Decimal(0))
    qty = (free / quote.last if buying else free).quantize(Decimal("1e-4"))
    amount = (free if buying else free * quote.last).quantize(Decimal("1e-8"))
    row = {"maxTradeQty": format(qty, "f"), "maxTradeAmount": format(amount, "f")}
    return {
        "symbol": symbol,
        "side": "Buy" if buying else "Sell",
        **row,
        "spotMaxTradeQty": row["maxTradeQty"],
        "spotMaxTradeAmount": row["maxTradeAmount"],
        "borrowCoin": "",
    }


def _order_page(call: Call, category: str, rows: list[Order]) -> Json:
    params = call.params
    shown, cursor = page(rows, lambda row: (row.created_ms, row.number), params.text("cursor"), params.limit(20, 50))
    return {"list": [order_row(call.venue, row) for row in shown], "nextPageCursor": cursor, "category": category}


def _need_scope(category: Category, symbol: str, base: str, settle: str) -> None:
    if category == "linear" and not (symbol or base or settle):
        raise VenueReject(10001, "params error: symbol, baseCoin or settleCoin is required")


def _identity(params: Params) -> tuple[Category, str, str]:
    category = params.category()
    _symbol(params, category)
    order_id, link_id = params.text("orderId"), params.text("orderLinkId")
    if not (order_id or link_id):
        raise VenueReject(10001, "params error: orderId or orderLinkId is required")
    return category, order_id, link_id


def _symbol(params: Params, category: Category) -> str:
    symbol = params.need("symbol")
    if symbol != symbol.upper():
        raise VenueReject(170121 if category == "spot" else 10001, "params error: symbol invalid")
    return symbol


def _link(params: Params) -> str:
    raw = params.values.get("orderLinkId")
    return params.text("orderLinkId") if raw is not None else ""


def _position_idx(params: Params) -> int:
    idx = params.integer("positionIdx") or 0
    if idx not in (0, 1, 2):
        raise VenueReject(10001, "position idx not match position mode")
    return idx


def _by(params: Params, name: str) -> By:
    return cast("By", params.choice(name, TRIGGERS, "LastPrice"))


def _slippage_frac(params: Params) -> Decimal | None:
    amount = params.decimal("slippageTolerance")
    if params.text("slippageToleranceType") != "Percent" or amount is None:
        return None
    if not Decimal("0.01") <= amount <= 10 or amount != amount.quantize(Decimal("0.01")):
        raise VenueReject(110109, "slippageTolerance must be within 0.01 and 10 percent")
    return amount / 100


def _slippage_ticks(params: Params) -> int | None:
    amount = params.decimal("slippageTolerance")
    if params.text("slippageToleranceType") != "TickSize" or amount is None:
        return None
    if amount != int(amount) or not 1 <= amount <= 10_000:
        raise VenueReject(110108, "slippageTolerance must be within 1 and 10000 ticks")
    return int(amount)
