"""What the journal adds up to: one pure step per event, giving the new state and the rows that change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, NamedTuple

from eternal_engine.ledger.books import Books
from eternal_engine.model.errors import ModelError
from eternal_engine.model.event import (
    BreakerChanged,
    CommandApplied,
    Corrected,
    DaemonStarted,
    DaemonStopped,
    Deposited,
    EquityMarked,
    Event,
    Filled,
    FundingSettled,
    OrderMoved,
    OrderPlanned,
    PhaseChanged,
    StateSaved,
    TransferPlanned,
    Transferred,
)
from eternal_engine.model.fill import Fill
from eternal_engine.model.ids import Account, ClientOrderId, Coin, CommandId, TransferId
from eternal_engine.model.order import Order
from eternal_engine.model.trade import ClosedPart
from eternal_engine.storage import schema
from eternal_engine.storage.book_rows import book_changes
from eternal_engine.storage.change import Change, upsert
from eternal_engine.storage.rows import (
    breaker_row,
    closed_part_row,
    command_row,
    correction_row,
    deposit_row,
    fill_row,
    funding_row,
    order_row,
    phase_row,
    state_row,
    transfer_row,
)

# What `step` changes the projection by; of all others the journal alone knows, and the marks' own table.
MOVING: Final = (
    BreakerChanged,
    CommandApplied,
    Corrected,
    DaemonStarted,
    Deposited,
    Filled,
    FundingSettled,
    OrderMoved,
    OrderPlanned,
    PhaseChanged,
    StateSaved,
    TransferPlanned,
    Transferred,
)
# Of these, what does not merely say what an order is to be, or is: its amounts add up with others'.
ADDING: Final = tuple(kind for kind in MOVING if kind not in (OrderMoved, OrderPlanned))


@dataclass(frozen=True, slots=True)
class StoredOrder:
    """Hold an order with the account and the coins it was planned for."""

    order: Order
    account: Account
    base: Coin
    quote: Coin
    planned_at: datetime


@dataclass(frozen=True, slots=True)
class SavedState:
    """Hold an engine's or the risk manager's state: an opaque document under its schema's version."""

    schema_version: int
    document: str
    saved_at: datetime


@dataclass(frozen=True, slots=True)
class Projection:
    """Hold what later events need to know: books, orders, states, transfers, commands."""

    books: Books = field(default_factory=Books)
    orders: Mapping[ClientOrderId, StoredOrder] = field(default_factory=dict)
    # Executions under an order id that no intent of ours explains (yet): a database restored from an old backup
    # learns of the fill before the engine decides the same order again.
    unplanned_fills: Mapping[ClientOrderId, tuple[Fill, ...]] = field(default_factory=dict)
    states: Mapping[str, SavedState] = field(default_factory=dict)
    pending_transfers: Mapping[TransferId, TransferPlanned] = field(default_factory=dict)
    breaker: BreakerChanged | None = None
    phases: Mapping[str, PhaseChanged] = field(default_factory=dict)
    commands: frozenset[CommandId] = frozenset()
    run: DaemonStarted | None = None

    @property
    def open_orders(self) -> tuple[StoredOrder, ...]:
        """Give the orders of which more is expected, in the order in which they were planned."""
        return tuple(stored for stored in self.orders.values() if not stored.order.state.is_closed)


class Step(NamedTuple):
    """Give the projection after an event, the rows that change, the parts closed, and whether it was new."""

    projection: Projection
    changes: tuple[Change, ...]
    closed: tuple[ClosedPart, ...] = ()
    is_new: bool = True


def step(now: Projection, event: Event, seq: int) -> Step:
    """Apply one event, row `seq` of the journal.

    Raises ModelError where the event cannot follow. What was seen before (an execution, a transfer, a deposit, a
    command, by id) is not new and changes nothing: it is not to be journaled.
    """
    match event:
        case Filled():
            return _fill(now, event, seq)
        case FundingSettled() | Transferred() | Deposited() | Corrected():
            return _flow(now, event, seq)
        case OrderPlanned():
            return _plan(now, event)
        case OrderMoved():
            return _move(now, event)
        case TransferPlanned():
            return _plan_transfer(now, event)
        case CommandApplied():
            if event.command_id in now.commands:
                return _unchanged(now)
            known = replace(now, commands=now.commands | {event.command_id})
            return Step(known, (upsert(schema.COMMANDS, command_row(event)),))
        case _:
            return _note(now, event)


def _note(now: Projection, event: Event) -> Step:
    """Apply an event of which the last one counts; all others live in the journal only."""
    match event:
        case StateSaved(owner=owner):
            saved = SavedState(event.schema_version, event.document, event.at)
            changed = replace(now, states={**now.states, owner: saved})
            return Step(changed, (upsert(schema.ENGINE_STATES, state_row(event)),))
        case BreakerChanged():
            return Step(replace(now, breaker=event), (upsert(schema.BREAKER, breaker_row(event)),))
        case PhaseChanged(engine=engine):
            changed = replace(now, phases={**now.phases, engine.value: event})
            return Step(changed, (upsert(schema.PHASES, phase_row(event)),))
        case EquityMarked():
            row = {"account": event.account.value, "at": event.at, "equity_usdt": event.equity_usdt}
            return Step(now, (upsert(schema.EQUITY_MARKS, {**row, "reason": event.reason}),))
        case DaemonStarted():
            return Step(replace(now, run=event), (upsert(schema.RUNS, _run_row(event)),))
        case DaemonStopped() if now.run is not None:
            row = {**_run_row(now.run), "stopped_at": event.at, "stop_reason": event.reason}
            return Step(now, (upsert(schema.RUNS, row),))
        case _:
            return Step(now, ())


def _unchanged(now: Projection) -> Step:
    return Step(now, (), is_new=False)


def _fill(now: Projection, event: Filled, seq: int) -> Step:
    """Move the book, and the order if it is ours; both count the execution once."""
    after = now.books.apply(event)
    if not after.is_new:
        return _unchanged(now)
    changes = [upsert(schema.FILLS, fill_row(event))]
    changes += book_changes(now.books, after.books, after.touched)
    changes += [upsert(schema.CLOSED_PARTS, closed_part_row(part, seq)) for part in after.closed]
    projection = replace(now, books=after.books)
    identifier = event.fill.client_order_id
    if identifier is None:
        return Step(projection, tuple(changes), after.closed)
    stored = now.orders.get(identifier)
    if stored is not None:
        filled = replace(stored, order=stored.order.with_fill(event.fill))
        projection, change = _with_order(projection, identifier, filled)
        changes.append(change)
    else:
        waiting = in_order((*now.unplanned_fills.get(identifier, ()), event.fill))
        projection = replace(projection, unplanned_fills={**now.unplanned_fills, identifier: waiting})
    return Step(projection, tuple(changes), after.closed)


def in_order(fills: Iterable[Fill]) -> tuple[Fill, ...]:
    """Sort executions by their time, so that it does not matter in which order they were heard of."""
    return tuple(sorted(fills, key=lambda fill: (fill.executed_at, fill.execution_id)))


def _flow(now: Projection, event: FundingSettled | Transferred | Deposited | Corrected, seq: int) -> Step:
    after = now.books.apply(event)
    if not after.is_new:
        return _unchanged(now)
    projection = replace(now, books=after.books)
    changes = list(book_changes(now.books, after.books, after.touched))
    changes += [upsert(schema.CLOSED_PARTS, closed_part_row(part, seq)) for part in after.closed]
    if isinstance(event, FundingSettled):
        changes.append(upsert(schema.FUNDING_PAYMENTS, funding_row(event)))
    elif isinstance(event, Deposited):
        changes.append(upsert(schema.DEPOSITS, deposit_row(event)))
    elif isinstance(event, Corrected):
        changes.append(upsert(schema.CORRECTIONS, correction_row(event)))
    else:
        planned = now.pending_transfers.get(event.transfer_id)
        rest = {key: plan for key, plan in now.pending_transfers.items() if key != event.transfer_id}
        projection = replace(projection, pending_transfers=rest)
        changes.append(upsert(schema.TRANSFERS, transfer_row(event, planned.at if planned else None, event.at)))
    return Step(projection, tuple(changes), after.closed)


def _plan(now: Projection, event: OrderPlanned) -> Step:
    """Remember an intent. What its id has filled already counts: then it is not a planned order, and never sent."""
    identifier = event.intent.client_order_id
    known = now.orders.get(identifier)
    if known is not None:
        if known.order.intent == event.intent and known.account is event.account:
            return _unchanged(now)
        raise ModelError(
            "another intent has this client order id",
            where=f"order {identifier}",
            mend="send the rest of an order under its next attempt",
        )
    order = Order(event.intent)
    for fill in now.unplanned_fills.get(identifier, ()):
        order = order.with_fill(fill)
    if identifier in now.unplanned_fills:
        rest = {key: fills for key, fills in now.unplanned_fills.items() if key != identifier}
        now = replace(now, unplanned_fills=rest)
    stored = StoredOrder(order, event.account, event.base, event.quote, event.at)
    projection, change = _with_order(now, identifier, stored)
    return Step(projection, (change,))


def _move(now: Projection, event: OrderMoved) -> Step:
    stored = now.orders.get(event.client_order_id)
    if stored is None:
        raise ModelError(
            f"no order for {event.trigger.value}",
            where=f"order {event.client_order_id}",
            mend="journal the intent before anything is sent",
        )
    moved = stored.order.after(event.trigger, event.at, venue_order_id=event.venue_order_id, note=event.detail)
    projection, change = _with_order(now, event.client_order_id, replace(stored, order=moved))
    return Step(projection, (change,))


def _plan_transfer(now: Projection, event: TransferPlanned) -> Step:
    moved = any(f"transfer:{event.transfer_id}" in now.books.of(side).seen for side in (event.source, event.target))
    if moved or event.transfer_id in now.pending_transfers:
        return _unchanged(now)
    pending = {**now.pending_transfers, event.transfer_id: event}
    row = transfer_row(event, event.at, None)
    return Step(replace(now, pending_transfers=pending), (upsert(schema.TRANSFERS, row),))


def _with_order(now: Projection, identifier: ClientOrderId, stored: StoredOrder) -> tuple[Projection, Change]:
    row = order_row(identifier, stored.order, stored.account, stored.base, stored.quote, stored.planned_at)
    return replace(now, orders={**now.orders, identifier: stored}), upsert(schema.ORDERS, row)


def _run_row(event: DaemonStarted) -> dict[str, Any]:
    return {
        "started_at": event.at,
        "version": event.version,
        "mode": event.mode,
        "config_hash": event.config_hash,
        "market": event.market,
        "stopped_at": None,
        "stop_reason": None,
    }
