"""What happened: the frozen, past-tense rows of the journal, one class per kind.

The name of a class is its kind in the journal, for ever: a field may be added with a default, never renamed. Times
are aware UTC; `at` is when the daemon wrote the event, other times are the exchange's. Documents (`inputs`,
`document`, ...) are canonical JSON texts whose shape belongs to their writer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import TypeAlias

from eternal_engine.model.fill import Fill
from eternal_engine.model.ids import (
    Account,
    ClientOrderId,
    Coin,
    CommandId,
    Engine,
    ExecutionId,
    RecordId,
    RuleId,
    Symbol,
    TransferId,
    VenueOrderId,
)
from eternal_engine.model.instrument import Market
from eternal_engine.model.money import ZERO
from eternal_engine.model.order import OrderIntent, Trigger


class Mismatch(StrEnum):
    """Name what a comparison with the exchange found (ORD-7)."""

    ORPHAN_POSITION = "orphan_position"
    WRONG_SIZE = "wrong_size"
    WRONG_BALANCE = "wrong_balance"
    UNKNOWN_ORDER = "unknown_order"
    MISSING_ORDER = "missing_order"


@dataclass(frozen=True, slots=True)
class DaemonStarted:
    """Record a start: what runs, in which mode, under which configuration."""

    at: datetime
    version: str
    mode: str
    config_hash: str
    market: str


@dataclass(frozen=True, slots=True)
class DaemonStopped:
    """Record an orderly end."""

    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class ConfigChanged:
    """Record a configuration change that was applied; `difference` is a document of key -> [old, new]."""

    at: datetime
    old_hash: str
    new_hash: str
    difference: str


@dataclass(frozen=True, slots=True)
class Decided:
    """Record one decision of one engine: what it looked at and what it wanted, for `why`."""

    at: datetime
    engine: Engine
    decided_at: datetime
    inputs: str
    signals: str
    config_hash: str


@dataclass(frozen=True, slots=True)
class Reviewed:
    """Record the risk manager's verdict on one signal: approved, resized or denied, with the rule that did it."""

    at: datetime
    engine: Engine
    symbol: Symbol
    decided_at: datetime
    verdict: str
    rule: RuleId
    detail: str
    asked: Decimal
    allowed: Decimal


@dataclass(frozen=True, slots=True)
class OrderPlanned:
    """Record an intent, before anything is sent (ORD-1)."""

    at: datetime
    account: Account
    intent: OrderIntent
    base: Coin
    quote: Coin


@dataclass(frozen=True, slots=True)
class OrderMoved:
    """Record a step in an order's life that is not an execution: sent, accepted, rejected, unknown, found..."""

    at: datetime
    client_order_id: ClientOrderId
    trigger: Trigger
    venue_order_id: VenueOrderId | None = None
    code: int | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Filled:
    """Record one execution (ORD-4). `unassigned`: it belongs to no order of ours."""

    at: datetime
    fill: Fill
    unassigned: bool = False


@dataclass(frozen=True, slots=True)
class FundingSettled:
    """Record a funding payment: `amount_usdt` above zero was received, below zero paid."""

    at: datetime
    account: Account
    symbol: Symbol
    execution_id: ExecutionId
    qty: Decimal  # signed position at the settlement
    mark_price: Decimal
    rate: Decimal
    amount_usdt: Decimal
    settled_at: datetime


@dataclass(frozen=True, slots=True)
class TransferPlanned:
    """Record money that shall move between sub-accounts (CAP-2); books do not move yet."""

    at: datetime
    transfer_id: TransferId
    source: Account
    target: Account
    coin: Coin
    amount: Decimal
    rule: RuleId


@dataclass(frozen=True, slots=True)
class Transferred:
    """Record money that has moved between sub-accounts; total equity keeps its value."""

    at: datetime
    transfer_id: TransferId
    source: Account
    target: Account
    coin: Coin
    amount: Decimal
    rule: RuleId


@dataclass(frozen=True, slots=True)
class Deposited:
    """Record money from outside (CORE-10); `amount` below zero is a withdrawal.

    `value_usdt` values coins that are not cash at their price then; for cash it equals the amount.
    """

    at: datetime
    record_id: RecordId
    account: Account
    coin: Coin
    amount: Decimal
    value_usdt: Decimal
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Corrected:
    """Record that a book was set to what the exchange holds (ORD-7): by `qty`, signed, at `price_usdt` a coin.

    For cash `symbol` is None, `market` spot and the price 1. `unassigned`: an adopted orphan, used by no engine.
    """

    at: datetime
    correction_id: RecordId
    account: Account
    symbol: Symbol | None
    coin: Coin
    market: Market
    qty: Decimal
    price_usdt: Decimal
    reason: Mismatch
    detail: str = ""
    unassigned: bool = False


@dataclass(frozen=True, slots=True)
class Reconciled:
    """Record a comparison with the exchange and how many differences it found."""

    at: datetime
    account: Account
    differences: int
    detail: str = ""


@dataclass(frozen=True, slots=True)
class PhaseChanged:
    """Record an engine's change of phase."""

    at: datetime
    engine: Engine
    previous: str
    phase: str
    rule: RuleId
    detail: str = ""


@dataclass(frozen=True, slots=True)
class StateSaved:
    """Record an engine's or the risk manager's state: an opaque document with its schema's version (CORE-12)."""

    at: datetime
    owner: str
    schema_version: int
    document: str


@dataclass(frozen=True, slots=True)
class BreakerChanged:
    """Record a change of breaker level (BRK-1): one event per change, a gap goes straight to its level."""

    at: datetime
    previous: int
    level: int
    equity_usdt: Decimal
    high_usdt: Decimal
    rule: RuleId
    detail: str = ""


@dataclass(frozen=True, slots=True)
class LossLimitHit:
    """Record the first breach of a day or week, and until when entries wait (RISK-4, RISK-5)."""

    at: datetime
    rule: RuleId
    loss_frac: Decimal
    until: datetime


@dataclass(frozen=True, slots=True)
class CommandApplied:
    """Record an operator's command, its arguments and its answer; a command is applied once."""

    at: datetime
    command_id: CommandId
    verb: str
    arguments: str
    answer: str
    accepted: bool


@dataclass(frozen=True, slots=True)
class ConnectionLost:
    """Record the start of a downtime (ORD-6)."""

    at: datetime
    account: Account
    since: datetime
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ConnectionRestored:
    """Record the end of a downtime and its length in seconds."""

    at: datetime
    account: Account
    downtime_s: Decimal


@dataclass(frozen=True, slots=True)
class EquityMarked:
    """Record equity per account at a bar's close; None where a price was unknown (U-6)."""

    at: datetime
    account: Account
    equity_usdt: Decimal | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Noted:
    """Record something a person may want to know later, under a rule id."""

    at: datetime
    rule: RuleId
    detail: str
    engine: Engine | None = None
    symbol: Symbol | None = None
    amount_usdt: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class ErrorOccurred:
    """Record an error that changed what the daemon does."""

    at: datetime
    what: str
    where: str
    mend: str
    engine: Engine | None = None


Event: TypeAlias = (
    DaemonStarted
    | DaemonStopped
    | ConfigChanged
    | Decided
    | Reviewed
    | OrderPlanned
    | OrderMoved
    | Filled
    | FundingSettled
    | TransferPlanned
    | Transferred
    | Deposited
    | Corrected
    | Reconciled
    | PhaseChanged
    | StateSaved
    | BreakerChanged
    | LossLimitHit
    | CommandApplied
    | ConnectionLost
    | ConnectionRestored
    | EquityMarked
    | Noted
    | ErrorOccurred
)

BookEntry: TypeAlias = Filled | FundingSettled | Transferred | Deposited | Corrected
