"""Events and model values as rows of their tables."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeAlias

from eternal_engine.model.event import (
    BreakerChanged,
    CommandApplied,
    Corrected,
    Deposited,
    Filled,
    FundingSettled,
    PhaseChanged,
    StateSaved,
    TransferPlanned,
    Transferred,
)
from eternal_engine.model.ids import Account, ClientOrderId, Coin
from eternal_engine.model.order import Order
from eternal_engine.model.trade import ClosedPart

Row: TypeAlias = dict[str, Any]

BREAKER_NAME = "breaker"  # the table has one row


def order_row(
    identifier: ClientOrderId, order: Order, account: Account, base: Coin, quote: Coin, planned_at: datetime
) -> Row:
    """Make the row of an order."""
    intent = order.intent
    return {
        "client_order_id": identifier,
        "account": account.value,
        "engine": intent.key.engine.value,
        "decided_at": intent.key.decided_at,
        "symbol": intent.key.symbol,
        "leg": intent.key.leg.value,
        "attempt": intent.key.attempt,
        "market": intent.market.value,
        "side": intent.side.value,
        "kind": intent.kind.value,
        "price_usdt": intent.price_usdt,
        "reason": intent.reason,
        "qty": intent.qty,
        "amount_usdt": intent.amount_usdt,
        "limit_price": intent.limit_price,
        "trigger_price": intent.trigger_price,
        "reduce_only": intent.reduce_only,
        "base": base,
        "quote": quote,
        "state": order.state.value,
        "venue_order_id": order.venue_order_id,
        "filled_qty": order.filled_qty,
        "filled_usdt": order.filled_usdt,
        "sends": order.sends,
        "planned_at": planned_at,
        "updated_at": order.updated_at,
        "note": order.note,
    }


def fill_row(event: Filled) -> Row:
    """Make the row of an execution."""
    fill = event.fill
    return {
        "account": fill.account.value,
        "execution_id": fill.execution_id,
        "unassigned": event.unassigned,
        "symbol": fill.symbol,
        "market": fill.market.value,
        "side": fill.side.value,
        "qty": fill.qty,
        "price": fill.price,
        "fee": fill.fee,
        "fee_coin": fill.fee_coin,
        "base": fill.base,
        "quote": fill.quote,
        "executed_at": fill.executed_at,
        "client_order_id": fill.client_order_id,
        "venue_order_id": fill.venue_order_id,
        "is_maker": fill.is_maker,
        "kind": fill.kind.value,
    }


def closed_part_row(part: ClosedPart, seq: int) -> Row:
    """Make the row of a closed part; `seq` keeps the order in which parts were booked."""
    return {
        "account": part.account.value,
        "execution_id": part.execution_id,
        "symbol": part.symbol,
        "market": part.market.value,
        "position_side": part.position_side.value,
        "client_order_id": part.client_order_id,
        "qty": part.qty,
        "entry_usdt": part.entry_usdt,
        "exit_usdt": part.exit_usdt,
        "fees_usdt": part.fees_usdt,
        "funding_usdt": part.funding_usdt,
        "opened_at": part.opened_at,
        "closed_at": part.closed_at,
        "is_last": part.is_last,
        "seq": seq,
    }


def funding_row(event: FundingSettled) -> Row:
    """Make the row of a funding payment."""
    return {
        "account": event.account.value,
        "execution_id": event.execution_id,
        "symbol": event.symbol,
        "qty": event.qty,
        "mark_price": event.mark_price,
        "rate": event.rate,
        "amount_usdt": event.amount_usdt,
        "settled_at": event.settled_at,
    }


def deposit_row(event: Deposited) -> Row:
    """Make the row of a deposit or withdrawal."""
    return {
        "account": event.account.value,
        "record_id": event.record_id,
        "coin": event.coin,
        "amount": event.amount,
        "value_usdt": event.value_usdt,
        "recorded_at": event.recorded_at,
    }


def correction_row(event: Corrected) -> Row:
    """Make the row of a correction."""
    return {
        "account": event.account.value,
        "unassigned": event.unassigned,
        "correction_id": event.correction_id,
        "symbol": event.symbol,
        "coin": event.coin,
        "market": event.market.value,
        "qty": event.qty,
        "price_usdt": event.price_usdt,
        "reason": event.reason.value,
        "detail": event.detail,
        "corrected_at": event.at,
    }


def transfer_row(event: TransferPlanned | Transferred, planned_at: datetime | None, moved_at: datetime | None) -> Row:
    """Make the row of a transfer; without `moved_at` it is pending."""
    return {
        "transfer_id": event.transfer_id,
        "source": event.source.value,
        "target": event.target.value,
        "coin": event.coin,
        "amount": event.amount,
        "rule": event.rule,
        "planned_at": planned_at,
        "moved_at": moved_at,
    }


def state_row(event: StateSaved) -> Row:
    """Make the row of an engine's state."""
    return {
        "owner": event.owner,
        "schema_version": event.schema_version,
        "document": event.document,
        "saved_at": event.at,
    }


def breaker_row(event: BreakerChanged) -> Row:
    """Make the row of the breaker."""
    return {
        "name": BREAKER_NAME,
        "level": event.level,
        "previous": event.previous,
        "equity_usdt": event.equity_usdt,
        "high_usdt": event.high_usdt,
        "rule": event.rule,
        "detail": event.detail,
        "changed_at": event.at,
    }


def phase_row(event: PhaseChanged) -> Row:
    """Make the row of an engine's phase."""
    return {
        "engine": event.engine.value,
        "previous": event.previous,
        "phase": event.phase,
        "rule": event.rule,
        "detail": event.detail,
        "since": event.at,
    }


def command_row(event: CommandApplied) -> Row:
    """Make the row of an operator's command."""
    return {
        "command_id": event.command_id,
        "verb": event.verb,
        "arguments": event.arguments,
        "answer": event.answer,
        "accepted": event.accepted,
        "applied_at": event.at,
    }
