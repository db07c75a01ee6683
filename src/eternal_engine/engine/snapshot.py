"""What the exchange says of one account at one moment, and up to when that has been compared (ORD-7).

A snapshot is several calls; something may trade between two of them. Executions and ledger rows are therefore read
before and after the rest, until nothing has moved in between: only such a snapshot may correct a book.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from eternal_engine.exchange.account import LedgerRow, Position, Wallet
from eternal_engine.exchange.orders import Execution, OrderReport
from eternal_engine.exchange.port import Exchange
from eternal_engine.exchange.terms import Market
from eternal_engine.ledger.equity import Prices
from eternal_engine.model.errors import StorageError
from eternal_engine.model.event import StateSaved
from eternal_engine.model.ids import Account, Symbol
from eternal_engine.storage.projection import Projection

TRIES: Final = 4
# The exchange's clock may be a little ahead of the caller's, and a list may lag behind a wallet.
AHEAD: Final = timedelta(seconds=10)
OVERLAP: Final = timedelta(minutes=10)
# A horizon is saved when something was booked, or once it is so far behind that reading it again would take long.
STALE_AFTER: Final = timedelta(hours=24)
# How far back is read when the horizon itself lies in the future.
DOUBTFUL: Final = timedelta(days=7)
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Hold what the exchange said of one account; `executions` and `ledger` from `since` on, oldest first.

    `is_settled` is False when something moved during every try: then sizes and balances prove nothing.
    """

    account: Account
    wallet: Wallet
    positions: tuple[Position, ...]
    open_orders: tuple[OrderReport, ...]
    executions: tuple[Execution, ...]
    ledger: tuple[LedgerRow, ...]
    since: datetime
    taken_at: datetime
    is_settled: bool = True


@dataclass(frozen=True, slots=True)
class Horizon:
    """Hold from when on an account's history counts, and up to when it has been compared.

    What happened before `opened_at` is part of the opening balances; so are the executions and ledger rows `known`,
    whose times are too close to it for two clocks to tell.
    """

    opened_at: datetime
    checked_to: datetime
    known: frozenset[str] = frozenset()

    @property
    def since(self) -> datetime:
        """Give the time from which a snapshot must read."""
        return max(self.checked_to - OVERLAP, self.opened_at - OVERLAP)

    def is_ahead(self, now: datetime) -> bool:
        """Tell whether it was compared up to a time that has not come: this machine's clock was wrong then."""
        return self.checked_to > now + AHEAD

    def since_at(self, now: datetime) -> datetime:
        """Give the time from which a snapshot of now must read; what a wrong clock has noted proves nothing."""
        return max(now - DOUBTFUL, self.opened_at - OVERLAP) if self.is_ahead(now) else self.since

    def counts(self, identifier: str, at: datetime) -> bool:
        """Tell whether an execution or ledger row came after the opening balances."""
        return at >= self.opened_at - OVERLAP and identifier not in self.known


async def take_snapshot(exchange: Exchange, account: Account, since: datetime, now: datetime) -> Snapshot:
    """Read one account; `now` is exchange time. Raises the exchange branch of the error tree."""
    until = now + AHEAD
    executions, ledger = await _moves(exchange, since, until)
    for _ in range(TRIES):
        wallet = await exchange.wallet()
        positions = await exchange.positions()
        spot, perp = [await exchange.open_orders(market) for market in Market]
        before = executions, ledger
        executions, ledger = await _moves(exchange, since, until)
        is_settled = before == (executions, ledger)
        if is_settled:
            break
    return Snapshot(account, wallet, positions, (*spot, *perp), executions, ledger, since, now, is_settled)


async def take_prices(exchange: Exchange, symbols: tuple[str, ...]) -> Prices:
    """Read the last prices of these symbols, to value what a comparison finds."""
    spot = await exchange.tickers(Market.SPOT, symbols)
    perp = await exchange.tickers(Market.PERP, symbols)
    return Prices(
        {Symbol(row.symbol): row.last_price for row in spot},
        {Symbol(row.symbol): row.mark_price or row.last_price for row in perp},
    )


def row_key(row: LedgerRow) -> str:
    """Name a ledger row: the exchange repeats neither the id nor the trade under it."""
    return row.row_id if row.trade_id in ("", row.row_id) else f"{row.row_id}/{row.trade_id}"


def horizon_of(projection: Projection, account: Account) -> Horizon | None:
    """Read an account's horizon; None: its books have never been opened.

    Raises StorageError for a document of another version.
    """
    saved = projection.states.get(_owner(account))
    if saved is None:
        return None
    if saved.schema_version != _VERSION:
        raise StorageError(
            f"the saved horizon has version {saved.schema_version}, this program reads {_VERSION}",
            where=f"state of {_owner(account)}",
            mend="start the program that wrote it, or restore a backup made by this one",
        )
    found = json.loads(saved.document)
    return Horizon(_time(found["opened_at"]), _time(found["checked_to"]), frozenset(found["known"]))


def saved_horizon(account: Account, horizon: Horizon, at: datetime) -> StateSaved:
    """Make the event that saves a horizon."""
    document = {
        "opened_at": horizon.opened_at.isoformat(),
        "checked_to": horizon.checked_to.isoformat(),
        "known": sorted(horizon.known),
    }
    return StateSaved(at, _owner(account), _VERSION, json.dumps(document, sort_keys=True, separators=(",", ":")))


def opened_horizon(snapshot: Snapshot) -> Horizon:
    """Give the horizon of books opened from a snapshot."""
    near = snapshot.taken_at - OVERLAP
    known = {row.execution_id for row in snapshot.executions if row.at >= near}
    known |= {row_key(row) for row in snapshot.ledger if row.at >= near}
    return Horizon(snapshot.taken_at, snapshot.taken_at, frozenset(known))


async def _moves(
    exchange: Exchange, since: datetime, until: datetime
) -> tuple[tuple[Execution, ...], tuple[LedgerRow, ...]]:
    spot = await exchange.executions(Market.SPOT, since, until)
    perp = await exchange.executions(Market.PERP, since, until)
    rows = sorted((*spot, *perp), key=lambda row: (row.at, row.seq or 0, row.execution_id))
    return tuple(rows), await exchange.ledger(since, until)


def _owner(account: Account) -> str:
    return f"reconcile:{account.value}"


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
