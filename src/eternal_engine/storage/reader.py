"""A projection read back from its tables: what a start begins with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar

from eternal_engine.model.event import BreakerChanged, DaemonStarted, PhaseChanged, TransferPlanned
from eternal_engine.model.fill import Fill, FillKind
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
from eternal_engine.storage.projection import Projection, SavedState, StoredOrder, in_order

# What grows with every hour is not read at a start: nothing that is decided follows from it.
START_TABLES: Final = tuple(
    table for table in schema.PROJECTIONS if table not in (schema.EQUITY_MARKS, schema.CLOSED_PARTS)
)
AnyRow = Mapping[str, Any]
Id = TypeVar("Id", bound=str)


def read_projection(rows: TableRows) -> Projection:
    """Build a projection from the rows of the projection tables (`START_TABLES` are enough), by table name."""
    fills: dict[ClientOrderId, list[Fill]] = {}
    for row in rows[schema.FILLS.name]:
        if row["client_order_id"] is not None:
            fills.setdefault(ClientOrderId(row["client_order_id"]), []).append(read_fill(row))
    orders = sorted(rows[schema.ORDERS.name], key=lambda row: (row["planned_at"], row["client_order_id"]))
    breakers = [_breaker(row) for row in rows[schema.BREAKER.name]]
    return Projection(
        books=read_books(rows),
        orders={
            ClientOrderId(row["client_order_id"]): _order(row, fills.pop(row["client_order_id"], ())) for row in orders
        },
        unplanned_fills={identifier: in_order(left) for identifier, left in fills.items()},
        states={row["owner"]: _state(row) for row in rows[schema.ENGINE_STATES.name]},
        pending_transfers={TransferId(row["transfer_id"]): _transfer(row) for row in _pending(rows)},
        breaker=breakers[0] if breakers else None,
        phases={row["engine"]: _phase(row) for row in rows[schema.PHASES.name]},
        commands=frozenset(CommandId(row["command_id"]) for row in rows[schema.COMMANDS.name]),
        run=_last_run(rows[schema.RUNS.name]),
    )


def read_fill(row: AnyRow) -> Fill:
    """Build an execution from its row."""
    return Fill(
        execution_id=ExecutionId(row["execution_id"]),
        account=Account(row["account"]),
        symbol=Symbol(row["symbol"]),
        market=Market(row["market"]),
        side=Side(row["side"]),
        qty=row["qty"],
        price=row["price"],
        fee=row["fee"],
        fee_coin=Coin(row["fee_coin"]),
        base=Coin(row["base"]),
        quote=Coin(row["quote"]),
        executed_at=row["executed_at"],
        client_order_id=_optional(ClientOrderId, row["client_order_id"]),
        venue_order_id=_optional(VenueOrderId, row["venue_order_id"]),
        is_maker=bool(row["is_maker"]),
        kind=FillKind(row["kind"]),
    )


def _optional(make: Callable[[str], Id], value: str | None) -> Id | None:
    return None if value is None else make(value)


def _order(row: AnyRow, fills: Iterable[Fill]) -> StoredOrder:
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
        venue_order_id=_optional(VenueOrderId, row["venue_order_id"]),
        filled_qty=row["filled_qty"],
        filled_usdt=row["filled_usdt"],
        executions=frozenset(fill.execution_id for fill in fills),
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
