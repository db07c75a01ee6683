"""Orders, their reports and executions, as the port carries them: Decimals, aware UTC times, None for "not known"."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from eternal_engine.exchange.terms import (
    ExecutionKind,
    Market,
    OrderKind,
    OrderStatus,
    QtyUnit,
    Side,
    TimeInForce,
    TriggerBy,
)


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """Ask for one order.

    `qty` counts base coins, or USDT when `qty_unit` is QUOTE (spot market orders only). `trigger_rises` belongs to
    `trigger_price`: True wakes the order when the trigger price is reached from below, False from above. `stop_loss`
    protects the whole position from this order's first fill on, triggered by the mark price (perpetuals, USDT).
    """

    client_order_id: str
    market: Market
    symbol: str
    side: Side
    kind: OrderKind
    qty: Decimal
    qty_unit: QtyUnit = QtyUnit.BASE
    price: Decimal | None = None
    time_in_force: TimeInForce | None = None
    reduce_only: bool = False
    close_on_trigger: bool = False
    trigger_price: Decimal | None = None
    trigger_rises: bool | None = None
    trigger_by: TriggerBy | None = None
    stop_loss: Decimal | None = None


@dataclass(frozen=True, slots=True)
class OrderAck:
    """Hold what an accepted request returns: the order was taken in, and nothing more is known of it (fact 5)."""

    client_order_id: str
    venue_order_id: str


@dataclass(frozen=True, slots=True)
class OrderReport:
    """Hold one order as the exchange describes it at `updated_at`.

    `qty` is in the unit of `qty_unit`; `filled_qty` always in base coins, `filled_value_usdt` in the quote coin.
    `fees` maps coin to amount over the whole order and is empty when the exchange gave no detail. `avg_price` is None
    while nothing is filled. Never derive the fill from `status`: a quote-sized spot buy that did all it should ends
    as PARTIALLY_FILLED_CANCELLED (fact 1).
    """

    venue_order_id: str
    client_order_id: str
    market: Market
    symbol: str
    side: Side
    kind: OrderKind
    qty: Decimal
    qty_unit: QtyUnit | None
    price: Decimal | None
    time_in_force: TimeInForce
    status: OrderStatus
    filled_qty: Decimal
    filled_value_usdt: Decimal
    avg_price: Decimal | None
    leaves_qty: Decimal | None
    leaves_value_usdt: Decimal | None
    fees: tuple[tuple[str, Decimal], ...]
    fee_total: Decimal | None
    reject_reason: str
    cancel_type: str
    create_type: str
    position_idx: int
    reduce_only: bool
    close_on_trigger: bool
    trigger_price: Decimal | None
    trigger_direction: int
    trigger_by: str
    stop_order_type: str
    take_profit: Decimal | None
    stop_loss: Decimal | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Execution:
    """Hold one execution: a fill, or a funding payment, as `kind` says.

    `qty` in base coins, `price` and `value_usdt` in the quote coin. `fee` > 0 was paid, < 0 was received, in
    `fee_coin`; None there means that the exchange left it out (perpetuals: the settle coin). `execution_id` is the
    key for de-duplication. `client_order_id` is "" on orders the exchange made itself.
    """

    execution_id: str
    venue_order_id: str
    client_order_id: str
    market: Market
    symbol: str
    side: Side
    kind: ExecutionKind
    price: Decimal
    qty: Decimal
    value_usdt: Decimal
    fee: Decimal
    fee_coin: str | None
    fee_rate: Decimal | None
    is_maker: bool
    closed_qty: Decimal | None
    leaves_qty: Decimal | None
    order_qty: Decimal | None
    order_price: Decimal | None
    order_type: str
    create_type: str
    mark_price: Decimal | None
    at: datetime
    seq: int | None


@dataclass(frozen=True, slots=True)
class OrderLookup:
    """Hold what a look-up by client order id found (bybit-v5 3.4).

    `report` None and `executions` empty means "seen nowhere", which proves nothing before `may_resend_after`.
    """

    client_order_id: str
    report: OrderReport | None
    executions: tuple[Execution, ...]
    looked_at: datetime

    @property
    def found(self) -> bool:
        """Tell whether the exchange knows this id at all."""
        return self.report is not None or bool(self.executions)
