"""Everything the venue knows, and the bookkeeping of what changed since the last look."""

from __future__ import annotations

import hashlib
import uuid
from collections import deque
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from eternal_engine.simulator.venue.books import Books
from eternal_engine.simulator.venue.entities import (
    ZERO,
    Account,
    ClosedPnl,
    Execution,
    LogRow,
    Order,
    Position,
    Quote,
    Transfer,
    VenueEvent,
    VenueReject,
)
from eternal_engine.simulator.venue.instruments import LINEAR, Category, Instrument, default_instruments
from eternal_engine.simulator.venue.matching import MarketShape

Key = tuple[Category, str]


@dataclass(frozen=True, slots=True)
class FeeRates:
    """Hold fee rates as fractions of value: VIP 0 of the global site."""

    spot_taker: Decimal = Decimal("0.001")
    spot_maker: Decimal = Decimal("0.001")
    linear_taker: Decimal = Decimal("0.00055")
    linear_maker: Decimal = Decimal("0.0002")

    def of(self, category: Category, *, maker: bool) -> Decimal:
        """Give the rate of one fill."""
        if category == LINEAR:
            return self.linear_maker if maker else self.linear_taker
        return self.spot_maker if maker else self.spot_taker


@dataclass(frozen=True, slots=True)
class VenueConfig:
    """Hold the choices of one venue; the delays are in venue milliseconds, and zero means within the same call.

    `keep_rows` bounds every history in memory per account, `keep_links` how many client order ids are remembered
    against repetition; the store keeps them all.
    """

    shape: MarketShape = field(default_factory=MarketShape)
    fees: FeeRates = field(default_factory=FeeRates)
    match_delay_ms: int = 0
    visible_delay_ms: int = 0
    history_delay_ms: int = 0
    salt: str = "0"
    first_uid: int = 100_000_001
    keep_rows: int = 10_000
    keep_links: int = 50_000
    demo: bool = False
    mnt_discount_frac: Decimal = Decimal("0.25")


class VenueState:
    """Hold accounts, books, orders, positions, quotes and histories; changes are noted in `dirty` and `events`."""

    def __init__(self, config: VenueConfig, now_ms: int, instruments: dict[Key, Instrument] | None = None) -> None:
        self.config = config
        self.now_ms = now_ms
        self.instruments = default_instruments() if instruments is None else dict(instruments)
        self.books = Books()
        self.accounts: dict[int, Account] = {}
        self.uid_of_key: dict[str, int] = {}
        self.quotes: dict[Key, Quote] = {}
        self.halted: set[Key] = set()
        self.orders: dict[str, Order] = {}
        self.open_orders: dict[int, dict[str, Order]] = {}
        self.links: dict[tuple[int, str], str] = {}
        self.positions: dict[tuple[int, str, int], Position] = {}
        self.closed: dict[int, deque[Order]] = {}
        self.executions: dict[int, deque[Execution]] = {}
        self.logs: dict[int, deque[LogRow]] = {}
        self.closed_pnl: dict[int, dict[str, ClosedPnl]] = {}
        self.transfers: dict[str, Transfer] = {}
        self.checks: dict[str, Decimal] = {}
        self.counter = 0
        self.started_ms = now_ms
        self.doomed = 0
        self.events: list[VenueEvent] = []
        self.dirty: dict[tuple[str, str], Any] = {}

    # --- identifiers -------------------------------------------------------------------------------------------

    def next_number(self) -> int:
        """Count up; the only source of order, execution and log identifiers."""
        self.counter += 1
        self.dirty["meta", "counter"] = self.counter
        return self.counter

    def new_uuid(self, purpose: str) -> str:
        """Make an identifier that the same inputs make again."""
        text = f"{self.config.salt}:{purpose}:{self.next_number()}"
        return str(uuid.UUID(bytes=hashlib.blake2b(text.encode(), digest_size=16).digest(), version=4))

    def new_order_id(self, category: Category) -> str:
        """Make an order id: decimal digits on spot, a UUID on linear, as the exchange does."""
        if category == LINEAR:
            return self.new_uuid("order")
        salt = int.from_bytes(hashlib.blake2b(self.config.salt.encode(), digest_size=3).digest(), "big")
        return str(1_000_000_000_000_000_000 + salt * 10_000_000_000 + self.next_number())

    # --- look-ups ----------------------------------------------------------------------------------------------

    def account(self, uid: int) -> Account:
        """Find an account or refuse with the exchange's code for an unknown key."""
        found = self.accounts.get(uid)
        if found is None:
            raise VenueReject(10003, "API key is invalid.")
        return found

    def quote(self, category: Category, symbol: str) -> Quote | None:
        """Read the current quote, None before the price source has spoken."""
        return self.quotes.get((category, symbol))

    def opens(self, uid: int) -> list[Order]:
        """List an account's open orders, oldest first."""
        return list(self.open_orders.get(uid, {}).values())

    def position(self, uid: int, symbol: str, idx: int) -> Position:
        """Find or make the row of one position."""
        key = (uid, symbol, idx)
        found = self.positions.get(key)
        if found is None:
            found = self.positions[key] = Position(uid, symbol, idx)
        return found

    def positions_of(self, uid: int) -> list[Position]:
        """List an account's positions that are not flat, by symbol."""
        held = [row for (owner, _, _), row in self.positions.items() if owner == uid and row.size]
        return sorted(held, key=lambda row: (row.symbol, row.idx))

    def held(self) -> list[Position]:
        """List all positions that are not flat, by account and symbol: ids must not hang on what came first."""
        return [self.positions[key] for key in sorted(self.positions) if self.positions[key].size]

    # --- changes -----------------------------------------------------------------------------------------------

    def note_order(self, order: Order) -> None:
        """Record that an order changed: index it, move it to the closed ones when done, announce a copy."""
        order.updated_ms = self.now_ms
        opens = self.open_orders.setdefault(order.uid, {})
        if order.is_open:
            opens[order.order_id] = order
        elif opens.pop(order.order_id, None) is not None or order.order_id not in self.orders:
            self._close(order)
        self.orders[order.order_id] = order
        if order.link_id:
            self.links[order.uid, order.link_id] = order.order_id
        self.dirty["order", order.order_id] = order
        self.events.append(VenueEvent("order", order.uid, self.now_ms, replace(order, fees=dict(order.fees))))

    def note_execution(self, execution: Execution) -> None:
        """Append an execution and announce it."""
        self.executions.setdefault(execution.uid, deque(maxlen=self.config.keep_rows)).append(execution)
        self.dirty["execution", execution.exec_id] = execution
        self.events.append(VenueEvent("execution", execution.uid, self.now_ms, execution))

    def note_position(self, position: Position) -> None:
        """Record that a position changed and announce a copy."""
        position.updated_ms = self.now_ms
        self.dirty["position", f"{position.uid}:{position.symbol}:{position.idx}"] = position
        self.events.append(VenueEvent("position", position.uid, self.now_ms, replace(position)))

    def note_wallet(self, uid: int) -> None:
        """Announce that an account's balances changed."""
        self.events.append(VenueEvent("wallet", uid, self.now_ms, None))

    def note_account(self, account: Account) -> None:
        """Record that an account's settings changed."""
        self.accounts[account.uid] = account
        self.uid_of_key[account.api_key] = account.uid
        self.dirty["account", str(account.uid)] = account

    def note_log(self, row: LogRow) -> None:
        """Append a line to the transaction log and to the running sum that the audit compares with the wallet."""
        self.logs.setdefault(row.uid, deque(maxlen=self.config.keep_rows)).append(row)
        self.dirty["log", row.row_id] = row
        self.add_check(f"log:{row.uid}:{row.coin}", row.change)

    def note_closed_pnl(self, row: ClosedPnl) -> None:
        """Record the result of a closing order, replacing its earlier parts."""
        rows = self.closed_pnl.setdefault(row.uid, {})
        rows[row.order_id] = row
        while len(rows) > self.config.keep_rows:
            rows.pop(next(iter(rows)))
        self.dirty["closed_pnl", row.order_id] = row

    def note_transfer(self, row: Transfer) -> None:
        """Record a transfer under its client's id."""
        self.transfers[row.transfer_id] = row
        self.dirty["transfer", row.transfer_id] = row

    def add_check(self, name: str, amount: Decimal) -> None:
        """Add to one of the audit's own running sums."""
        self.checks[name] = self.checks.get(name, ZERO) + amount
        self.dirty["check", name] = self.checks[name]

    def take_events(self) -> list[VenueEvent]:
        """Hand over the announcements since the last call."""
        taken, self.events = self.events, []
        return taken

    def take_dirty(self) -> list[tuple[str, str, Any]]:
        """Hand over what a store must write since the last call, as (kind, key, value)."""
        for holder, coin in self.books.dirty:
            self.dirty["balance", f"{holder}:{coin}"] = self.books.balances[holder, coin]
        for coin in {coin for _, coin in self.books.dirty if coin in self.books.declared}:
            self.dirty["declared", coin] = self.books.declared[coin]
        self.books.dirty.clear()
        taken = [(kind, key, value) for (kind, key), value in self.dirty.items()]
        self.dirty = {}
        return taken

    def _close(self, order: Order) -> None:
        self.closed.setdefault(order.uid, deque()).append(order)
        self.forget(order.uid)

    def forget(self, uid: int) -> None:
        """Drop the oldest closed orders beyond the bound; their client ids stay taken for much longer."""
        rows = self.closed.get(uid, deque())
        while len(rows) > self.config.keep_rows:
            self.orders.pop(rows.popleft().order_id, None)
        while len(self.links) > self.config.keep_links:
            self.links.pop(next(iter(self.links)))
