"""A projection read back from its tables: what a start begins with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from eternal_engine.model.event import BreakerChanged, DaemonStarted, PhaseChanged, TransferPlanned
from eternal_engine.model.ids import (
    Account,
    ClientOrderId,
    Coin,
    CommandId,
    Engine,
    ExecutionId,
    Leg,
    OrderKey,
    RuleId,
    Symbol,
    TransferId,
    VenueOrderId,
)
from eternal_engine.model.instrument import Market, Side
from eternal_engine.model.order import Order, OrderIntent, OrderKind, OrderState
from eternal_engine.storage import schema
from eternal_engine.storage.book_rows import TableRows, read_books
from eternal_engine.storage.projection import Projection, SavedState, StoredOrder

AnyRow = Mapping[str, Any]


def read_projection(rows: TableRows) -> Projection:
    """Build a projection from the rows of all projection tables, by table name."""
    executions: dict[str, set[ExecutionId]] = {}
    for row in rows[schema.FILLS.name]:
        if row["client_order_id"]:
            executions.setdefault(row["client_order_id"], set()).add(ExecutionId(row["execution_id"]))
    orders = sorted(rows[schema.ORDERS.name], key=lambda row: (row["planned_at"], row["client_order_id"]))
    breakers = [_breaker(row) for row in rows[schema.BREAKER.name]]
    return Projection(
        books=read_books(rows),
        orders={
            ClientOrderId(row["client_order_id"]): _order(row, executions.get(row["client_order_id"], set()))
            for row in orders
        },
        states={row["owner"]: _state(row) for row in rows[schema.ENGINE_STATES.name]},
        pending_transfers={TransferId(row["transfer_id"]): _transfer(row) for row in _pending(rows)},
        breaker=breakers[0] if breakers else None,
        phases={row["engine"]: _phase(row) for row in rows[schema.PHASES.name]},
        commands=frozenset(CommandId(row["command_id"]) for row in rows[schema.COMMANDS.name]),
        run=_last_run(rows[schema.RUNS.name]),
    )


def _order(row: AnyRow, executions: Iterable[ExecutionId]) -> StoredOrder:
    key = OrderKey(
        Engine(row["engine"]), row["decided_at"], Symbol(row["symbol"]), Leg(row["leg"]), int(row["attempt"])
    )
    intent = OrderIntent(
        key=key,
        market=Market(row["market"]),
        side=Side(row["side"]),
        kind=OrderKind(row["kind"]),
        price_usdt=row["price_usdt"],
        reason=RuleId(row["reason"]),
        qty=row["qty"],
        amount_usdt=row["amount_usdt"],
        limit_price=row["limit_price"],
        trigger_price=row["trigger_price"],
        reduce_only=bool(row["reduce_only"]),
    )
    order = Order(
        intent=intent,
        state=OrderState(row["state"]),
        venue_order_id=VenueOrderId(row["venue_order_id"]) if row["venue_order_id"] else None,
        filled_qty=row["filled_qty"],
        filled_usdt=row["filled_usdt"],
        executions=frozenset(executions),
        sends=row["sends"],
        updated_at=row["updated_at"],
        note=row["note"],
    )
    return StoredOrder(order, Account(row["account"]), Coin(row["base"]), Coin(row["quote"]), row["planned_at"])


def _state(row: AnyRow) -> SavedState:
    return SavedState(row["schema_version"], row["document"], row["saved_at"])


def _pending(rows: TableRows) -> list[AnyRow]:
    pending = [row for row in rows[schema.TRANSFERS.name] if row["moved_at"] is None]
    return sorted(pending, key=lambda row: (row["planned_at"], row["transfer_id"]))


def _transfer(row: AnyRow) -> TransferPlanned:
    return TransferPlanned(
        at=row["planned_at"],
        transfer_id=TransferId(row["transfer_id"]),
        source=Account(row["source"]),
        target=Account(row["target"]),
        coin=Coin(row["coin"]),
        amount=row["amount"],
        rule=RuleId(row["rule"]),
    )


def _breaker(row: AnyRow) -> BreakerChanged:
    return BreakerChanged(
        at=row["changed_at"],
        previous=row["previous"],
        level=row["level"],
        equity_usdt=row["equity_usdt"],
        high_usdt=row["high_usdt"],
        rule=RuleId(row["rule"]),
        detail=row["detail"],
    )


def _phase(row: AnyRow) -> PhaseChanged:
    return PhaseChanged(
        at=row["since"],
        engine=Engine(row["engine"]),
        previous=row["previous"],
        phase=row["phase"],
        rule=RuleId(row["rule"]),
        detail=row["detail"],
    )


def _last_run(rows: Iterable[AnyRow]) -> DaemonStarted | None:
    runs = sorted(rows, key=lambda row: row["started_at"])
    if not runs:
        return None
    row = runs[-1]
    return DaemonStarted(row["started_at"], row["version"], row["mode"], row["config_hash"], row["market"])
