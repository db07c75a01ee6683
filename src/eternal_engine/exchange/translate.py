"""Between the port's records and the model's nouns: instrument rules, order intents, fills, funding, order fates."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from eternal_engine.exchange.market import Instrument
from eternal_engine.exchange.orders import Execution, OrderReport, OrderRequest
from eternal_engine.exchange.terms import ExecutionKind, Market, OrderStatus, QtyUnit, Side, TriggerBy
from eternal_engine.exchange.terms import OrderKind as WireKind
from eternal_engine.model.errors import BadReply
from eternal_engine.model.event import FundingSettled
from eternal_engine.model.fill import Fill, FillKind
from eternal_engine.model.ids import Account, ClientOrderId, Coin, ExecutionId, Symbol, VenueOrderId
from eternal_engine.model.instrument import InstrumentRules
from eternal_engine.model.money import ONE, ZERO
from eternal_engine.model.order import OrderIntent, OrderKind, Trigger

_FILL_KINDS = {
    ExecutionKind.TRADE: FillKind.TRADE,
    ExecutionKind.BUST: FillKind.LIQUIDATION,
    ExecutionKind.ADL: FillKind.ADL,
    ExecutionKind.DELIVERY: FillKind.DELIVERY,
}


# The last level taken may be dearer than the average price: within two per cent one step is still one step.
_LAST_LEVEL = Decimal("1.02")


def rules_of(instrument: Instrument) -> InstrumentRules:
    """Make the model's rules of an instrument; spot's minimum quantity is no longer checked and so is zero (1.2)."""
    is_perp = instrument.market is Market.PERP
    return InstrumentRules(
        symbol=Symbol(instrument.symbol),
        market=instrument.market,
        base=Coin(instrument.base_coin),
        quote=Coin(instrument.quote_coin),
        tick=instrument.price_tick,
        qty_step=instrument.qty_step,
        quote_step=instrument.quote_step,
        min_qty=(instrument.min_qty or ZERO) if is_perp else ZERO,
        min_amount=instrument.min_value_usdt or ZERO,
        max_limit_qty=instrument.max_limit_qty,
        max_market_qty=instrument.max_market_qty,
        max_leverage=instrument.max_leverage or ONE,
        funding_interval_min=instrument.funding_interval_min,
        band_x=instrument.price_limit_x_frac,
        band_y=instrument.price_limit_y_frac,
    )


def request_of(intent: OrderIntent) -> OrderRequest:
    """Make the request of an intent; the mark price wakes a stop (U-11), by its fall for a sell, its rise for a buy."""
    is_stop = intent.kind is OrderKind.STOP_MARKET
    size = intent.qty if intent.qty is not None else intent.amount_usdt
    return OrderRequest(
        client_order_id=intent.client_order_id,
        market=intent.market,
        symbol=intent.key.symbol,
        side=intent.side,
        kind=WireKind.LIMIT if intent.kind is OrderKind.LIMIT else WireKind.MARKET,
        qty=size if size is not None else ZERO,
        qty_unit=QtyUnit.BASE if intent.qty is not None else QtyUnit.QUOTE,
        price=intent.limit_price,
        reduce_only=intent.reduce_only,
        trigger_price=intent.trigger_price,
        trigger_rises=intent.side is Side.BUY if is_stop and intent.market is Market.PERP else None,
        trigger_by=TriggerBy.MARK if is_stop and intent.market is Market.PERP else None,
    )


def fill_of(execution: Execution, account: Account, rules: InstrumentRules) -> Fill | None:
    """Make the fill of an execution, None for one that moves no quantity (funding, session settlement).

    Raises BadReply for a kind that the ledger has no entry for: a position would change without it.
    """
    if not execution.kind.is_fill:
        return None
    kind = _FILL_KINDS.get(execution.kind)
    if kind is None:
        raise BadReply(
            f"the ledger has no entry for an execution of kind {execution.kind.value}",
            field="execType",
            value=execution.kind.value,
            where=f"execution {execution.execution_id}",
            mend="reconcile the position by hand and record the correction",
        )
    return Fill(
        execution_id=ExecutionId(execution.execution_id),
        account=account,
        symbol=Symbol(execution.symbol),
        market=execution.market,
        side=execution.side,
        qty=execution.qty,
        price=execution.price,
        fee=execution.fee,
        fee_coin=Coin(execution.fee_coin) if execution.fee_coin else _native_fee_coin(execution, rules),
        base=rules.base,
        quote=rules.quote,
        executed_at=execution.at,
        client_order_id=ClientOrderId(execution.client_order_id) if execution.client_order_id else None,
        venue_order_id=VenueOrderId(execution.venue_order_id) if execution.venue_order_id else None,
        is_maker=execution.is_maker,
        kind=kind,
    )


def _native_fee_coin(execution: Execution, rules: InstrumentRules) -> Coin:
    """Name the coin in which a fee without a stated coin is taken (2.4): a rebate comes in the other one."""
    if execution.market is Market.PERP:
        return rules.quote
    takes_base = (execution.side is Side.BUY) == (execution.fee >= 0)
    return rules.base if takes_base else rules.quote


def funding_of(execution: Execution, account: Account, at: datetime) -> FundingSettled | None:
    """Make the event of a funding execution, None for any other; `at` is when it was learnt.

    An execution's fee above zero was paid (fact 18); the event's amount above zero was received. The side of the row
    is the side of the position.
    """
    if execution.kind is not ExecutionKind.FUNDING:
        return None
    signed = execution.qty if execution.side is Side.BUY else -execution.qty
    return FundingSettled(
        at=at,
        account=account,
        symbol=Symbol(execution.symbol),
        execution_id=ExecutionId(execution.execution_id),
        qty=signed,
        mark_price=execution.mark_price or execution.price,
        rate=execution.fee_rate if execution.fee_rate is not None else Decimal(0),
        amount_usdt=-execution.fee,
        settled_at=execution.at,
    )


def fate_of(report: OrderReport, rules: InstrumentRules) -> Trigger:
    """Say what a look-up found of an order.

    A fill is read from quantities: a quote-sized buy that spent what whole steps allow ends "partially filled,
    cancelled" and is filled all the same (fact 1).
    """
    if report.status.is_open:
        return Trigger.FOUND_OPEN
    if report.filled_qty == 0:
        return Trigger.FOUND_REJECTED if report.status is OrderStatus.REJECTED else Trigger.FOUND_CANCELLED
    if report.status is OrderStatus.FILLED or _is_spent(report, rules):
        return Trigger.FOUND_FILLED
    sized_in_coins = report.qty_unit is QtyUnit.BASE or report.market is Market.PERP
    return Trigger.FOUND_FILLED if sized_in_coins and report.filled_qty >= report.qty else Trigger.FOUND_CANCELLED


def _is_spent(report: OrderReport, rules: InstrumentRules) -> bool:
    """Tell whether a quote-sized order could not have bought one more step with what it left."""
    if report.qty_unit is not QtyUnit.QUOTE or report.leaves_value_usdt is None or report.avg_price is None:
        return False
    return report.leaves_value_usdt < report.avg_price * rules.qty_step * _LAST_LEVEL
