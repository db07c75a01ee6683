"""What the venue knows, in the exchange's words: almost every number a string, "" for no value."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from eternal_engine.simulator.venue import (
    LINEAR,
    SPOT,
    ClosedPnl,
    Execution,
    LogRow,
    Order,
    Position,
    Venue,
)
from eternal_engine.simulator.venue.entities import ATOM, ZERO
from eternal_engine.simulator.venue.margin import (
    initial,
    leverage_of,
    liquidation_price,
    locked_of,
    maintenance,
    margin_of,
    mark_of,
    order_margin,
    unrealised,
)

Json = dict[str, Any]


def text(number: Decimal) -> str:
    """Write a number plainly: no exponent, no trailing zeros."""
    shown = number if number == number.quantize(ATOM) else number.quantize(ATOM)
    written = format(shown, "f")
    return written.rstrip("0").rstrip(".") or "0" if "." in written else written


def padded(number: Decimal, step: Decimal) -> str:
    """Write a number with the decimals of its step."""
    return format(number.quantize(step), "f") if number % step == 0 else text(number)


def order_row(venue: Venue, order: Order) -> Json:
    """Write one order as realtime, history and the order stream show it."""
    instrument = venue.state.instruments[order.category, order.symbol]
    qty_step = instrument.quote_step if order.in_quote else instrument.qty_step
    average = order.avg_price
    row: Json = {
        "orderId": order.order_id,
        "orderLinkId": order.link_id,
        "blockTradeId": "",
        "symbol": order.symbol,
        "price": padded(order.price, instrument.tick),
        "qty": padded(order.qty, qty_step),
        "side": order.side,
        "isLeverage": "0" if order.category == SPOT else "",
        "positionIdx": order.position_idx,
        "orderStatus": order.status,
        "cancelType": order.cancel_type,
        "rejectReason": order.reject_reason,
        "avgPrice": "" if average is None else text(average.quantize(Decimal("1e-8"))),
        "leavesQty": padded(order.leaves_qty, instrument.qty_step),
        "leavesValue": text(order.leaves_value),
        "cumExecQty": padded(order.cum_qty, instrument.qty_step),
        "cumExecValue": text(order.cum_value),
        "cumExecFee": text(sum(order.fees.values(), ZERO)),
        "cumFeeDetail": {coin: text(paid) for coin, paid in order.fees.items()},
        "timeInForce": order.time_in_force,
        "orderType": order.order_type,
        "stopOrderType": order.stop_order_type,
        "orderIv": "",
        "marketUnit": order.market_unit,
        "triggerPrice": "" if order.trigger_price is None else padded(order.trigger_price, instrument.tick),
        "takeProfit": text(order.take_profit) if order.take_profit else "",
        "stopLoss": text(order.stop_loss) if order.stop_loss else "",
        "tpslMode": "Full" if order.take_profit or order.stop_loss else "",
        "ocoTriggerBy": "",
        "tpLimitPrice": "",
        "slLimitPrice": "",
        "tpTriggerBy": order.tp_trigger_by if order.take_profit else "",
        "slTriggerBy": order.sl_trigger_by if order.stop_loss else "",
        "triggerDirection": order.trigger_direction,
        "triggerBy": order.trigger_by,
        "reduceOnly": order.reduce_only,
        "closeOnTrigger": order.close_on_trigger,
        "placeType": "",
        "smpType": "None",
        "smpGroup": 0,
        "smpOrderId": "",
        "slippageToleranceType": "UNKNOWN",
        "slippageTolerance": "",
        "extraFees": "",
        "createdTime": str(order.created_ms),
        "updatedTime": str(order.updated_ms),
    }
    if order.category == SPOT:
        row["basePrice"] = padded(order.last_on_created, instrument.tick)
        row["feeCurrency"] = next(iter(order.fees), "")
    else:
        row["lastPriceOnCreated"] = padded(order.last_on_created, instrument.tick)
        row["createType"] = order.create_type
    return row


def execution_row(venue: Venue, row: Execution) -> Json:
    """Write one execution as the list and the execution stream show it."""
    step = venue.state.instruments[row.category, row.symbol].qty_step
    return {
        "symbol": row.symbol,
        "orderId": row.order_id,
        "orderLinkId": row.link_id,
        "side": row.side,
        "orderPrice": text(row.order_price),
        "orderQty": padded(row.order_qty, step),
        "leavesQty": padded(row.leaves_qty, step),
        "createType": row.create_type if row.category == LINEAR else "",
        "orderType": row.order_type,
        "stopOrderType": row.stop_order_type,
        "execFee": text(row.fee),
        "execId": row.exec_id,
        "execPrice": text(row.price),
        "execQty": padded(row.qty, step),
        "execType": row.exec_type,
        "execValue": text(row.value),
        "execTime": str(row.time_ms),
        "feeCurrency": row.fee_coin if row.category == SPOT or row.fee_coin != "USDT" else "",
        "isMaker": row.is_maker,
        "feeRate": text(row.fee_rate),
        "tradeIv": "",
        "markIv": "",
        "markPrice": text(row.mark),
        "indexPrice": "",
        "underlyingPrice": "",
        "blockTradeId": "",
        "closedSize": text(row.closed_qty) if row.category == LINEAR else "",
        "extraFees": "",
        "seq": row.seq,
    }


def position_row(venue: Venue, row: Position) -> Json:
    """Write one position; a flat one has an empty side and zero size."""
    state = venue.state
    mark = mark_of(state, row)
    liquidation = liquidation_price(state, row)
    mm, im = maintenance(state, row), initial(state, row)
    instrument = state.instruments[LINEAR, row.symbol]
    return {
        "positionIdx": row.idx,
        "riskId": 1,
        "riskLimitValue": "2000000",
        "symbol": row.symbol,
        "side": "Buy" if row.size > ZERO else "Sell" if row.size < ZERO else "",
        "size": padded(abs(row.size), instrument.qty_step),
        "avgPrice": text(row.avg_price.quantize(Decimal("1e-8"))),
        "positionValue": text(abs(row.cost)) if row.size else "",
        "tradeMode": 0,
        "positionStatus": "Normal",
        "autoAddMargin": 0,
        "adlRankIndicator": 2 if row.size else 0,
        "leverage": text(leverage_of(state, row.uid, row.symbol)),
        "breakEvenPrice": text(row.avg_price.quantize(Decimal("1e-8"))) if row.size else "",
        "positionBalance": "0",
        "markPrice": text(mark),
        "liqPrice": "" if liquidation is None else text(liquidation.quantize(instrument.tick)),
        "bustPrice": "",
        "positionMM": text(mm),
        "positionMMByMp": text(mm),
        "positionIM": text(im),
        "positionIMByMp": text(im),
        "tpslMode": "Full",
        "takeProfit": text(row.take_profit) if row.take_profit else "",
        "stopLoss": text(row.stop_loss) if row.stop_loss else "",
        "trailingStop": text(row.trailing_stop),
        "sessionAvgPrice": "",
        "unrealisedPnl": text(unrealised(state, row)) if row.size else "",
        "curRealisedPnl": text(row.realised),
        "cumRealisedPnl": text(row.realised_total),
        "seq": row.seq,
        "isReduceOnly": False,
        "mmrSysUpdatedTime": "",
        "leverageSysUpdatedTime": "",
        "createdTime": str(row.created_ms),
        "openTime": row.opened_ms,
        "updatedTime": str(row.updated_ms),
    }


def wallet_row(venue: Venue, uid: int, coins: set[str] | None = None) -> Json:
    """Write an account's unified wallet; without `coins` only those that are not zero."""
    state = venue.state
    isolated = state.accounts[uid].margin_mode == "ISOLATED_MARGIN"
    figures = margin_of(state, uid)
    rows = []
    wallet_usd = ZERO
    for coin, balance in state.books.coins(uid):
        wallet_usd += balance * usd_price(venue, coin)
        if coins is None and not balance and not (coin == "USDT" and state.positions_of(uid)):
            continue
        if coins is None or coin in coins:
            rows.append(_coin_row(venue, uid, coin, balance))
    missing = sorted((coins or set()) - {row["coin"] for row in rows})
    rows += [_coin_row(venue, uid, coin, ZERO) for coin in missing]
    margin_balance = figures.equity
    rates = (figures.position_im + figures.order_im, figures.position_mm)
    im_rate, mm_rate = (rate / margin_balance if margin_balance > ZERO else ZERO for rate in rates)
    blank = "" if isolated else None
    return {
        "accountType": "UNIFIED",
        "accountLTV": "0",
        "accountIMRate": blank if blank is not None else text(im_rate),
        "accountIMRateByMp": blank if blank is not None else text(im_rate),
        "accountMMRate": blank if blank is not None else text(mm_rate),
        "accountMMRateByMp": blank if blank is not None else text(mm_rate),
        "totalEquity": text(wallet_usd + figures.upl),
        "totalWalletBalance": text(wallet_usd),
        "totalMarginBalance": blank if blank is not None else text(margin_balance),
        "totalAvailableBalance": blank if blank is not None else text(max(ZERO, figures.available)),
        "totalPerpUPL": text(figures.upl),
        "totalInitialMargin": blank if blank is not None else text(rates[0]),
        "totalInitialMarginByMp": blank if blank is not None else text(rates[0]),
        "totalMaintenanceMargin": blank if blank is not None else text(rates[1]),
        "totalMaintenanceMarginByMp": blank if blank is not None else text(rates[1]),
        "coin": rows,
    }


def usd_price(venue: Venue, coin: str) -> Decimal:
    """Value one coin in USD: USDT and USDC are one, an unknown coin is nothing."""
    if coin in {"USDT", "USDC"}:
        return Decimal(1)
    quote = venue.state.quote(SPOT, f"{coin}USDT")
    return ZERO if quote is None else quote.last


def log_row(row: LogRow) -> Json:
    """Write one line of the transaction log."""
    settled = row.kind == "SETTLEMENT"
    return {
        "id": row.row_id,
        "symbol": row.symbol,
        "side": row.side,
        "funding": text(row.funding) if settled else "",
        "orderLinkId": row.link_id,
        "orderId": row.order_id,
        "fee": text(row.fee),
        "change": text(row.change),
        "cashFlow": text(row.cash_flow),
        "transactionTime": str(row.time_ms),
        "type": row.kind,
        "transSubType": "",
        "feeRate": text(row.fee_rate),
        "bonusChange": "",
        "size": text(row.size),
        "qty": text(row.qty),
        "cashBalance": text(row.balance),
        "currency": row.coin,
        "category": row.category,
        "tradePrice": text(row.price),
        "tradeId": row.trade_id,
        "extraFees": "",
    }


def closed_pnl_row(row: ClosedPnl) -> Json:
    """Write the result of one closing order."""
    return {
        "symbol": row.symbol,
        "orderId": row.order_id,
        "side": row.side,
        "orderType": row.order_type,
        "execType": row.exec_type,
        "qty": text(row.qty),
        "orderPrice": text(row.order_price),
        "closedSize": text(row.closed_qty),
        "cumEntryValue": text(row.entry_value),
        "avgEntryPrice": text((row.entry_value / row.closed_qty).quantize(Decimal("1e-8"))),
        "cumExitValue": text(row.exit_value),
        "avgExitPrice": text((row.exit_value / row.closed_qty).quantize(Decimal("1e-8"))),
        "closedPnl": text(row.pnl),
        "fillCount": str(row.fills),
        "leverage": text(row.leverage),
        "createdTime": str(row.created_ms),
        "updatedTime": str(row.updated_ms),
    }


def _coin_row(venue: Venue, uid: int, coin: str, balance: Decimal) -> Json:
    state = venue.state
    usdt = coin == "USDT"
    upl = margin_of(state, uid).upl if usdt else ZERO
    positions = state.positions_of(uid) if usdt else []
    realised = sum((row.realised_total for (owner, _, _), row in state.positions.items() if owner == uid), ZERO)
    return {
        "coin": coin,
        "equity": text(balance + upl),
        "usdValue": text((balance + upl) * usd_price(venue, coin)),
        "walletBalance": text(balance),
        "free": "",
        "locked": text(locked_of(state, uid, coin)),
        "borrowAmount": text(-balance) if balance < ZERO else "0",
        "spotBorrow": "0",
        "availableToBorrow": "",
        "availableToWithdraw": "",
        "accruedInterest": "0",
        "totalOrderIM": text(order_margin(state, uid)) if usdt else "0",
        "totalPositionIM": text(sum((initial(state, row) for row in positions), ZERO)),
        "totalPositionMM": text(sum((maintenance(state, row) for row in positions), ZERO)),
        "unrealisedPnl": text(upl),
        "cumRealisedPnl": text(realised) if usdt else "0",
        "bonus": "0",
        "marginCollateral": True,
        "collateralSwitch": usdt or coin == "USDC",
        "spotHedgingQty": "0",
    }
