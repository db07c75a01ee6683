"""What has been: closed parts of positions, and funding that was paid."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from sqlalchemy import Connection, select

from eternal_engine.model.ids import Account, ClientOrderId, ExecutionId, Symbol
from eternal_engine.model.instrument import Market
from eternal_engine.model.position import PositionSide
from eternal_engine.model.trade import ClosedPart
from eternal_engine.storage.schema import CLOSED_PARTS, FUNDING_PAYMENTS


def read_closed_parts(connection: Connection, account: Account) -> tuple[ClosedPart, ...]:
    """Read an account's closed parts in the order in which they were booked: what `ledger.pnl` makes trades of."""
    rows = connection.execute(
        select(CLOSED_PARTS).where(CLOSED_PARTS.c.account == account.value).order_by(CLOSED_PARTS.c.seq)
    ).mappings()
    return tuple(
        ClosedPart(
            account=Account(row["account"]),
            symbol=Symbol(row["symbol"]),
            market=Market(row["market"]),
            position_side=PositionSide(row["position_side"]),
            execution_id=ExecutionId(row["execution_id"]),
            client_order_id=None if row["client_order_id"] is None else ClientOrderId(row["client_order_id"]),
            qty=row["qty"],
            entry_usdt=row["entry_usdt"],
            exit_usdt=row["exit_usdt"],
            fees_usdt=row["fees_usdt"],
            funding_usdt=row["funding_usdt"],
            opened_at=row["opened_at"],
            closed_at=row["closed_at"],
            is_last=bool(row["is_last"]),
        )
        for row in rows
    )


class Paid(NamedTuple):
    """Hold one funding payment: when it was settled, and USDT, above zero where they were received."""

    account: Account
    settled_at: datetime
    amount_usdt: Decimal


def read_funding_since(connection: Connection, since: datetime) -> tuple[Paid, ...]:
    """Read the funding that was settled after an instant."""
    paid = FUNDING_PAYMENTS.c
    rows = connection.execute(select(paid.account, paid.settled_at, paid.amount_usdt).where(paid.settled_at > since))
    return tuple(Paid(Account(account), settled_at, amount) for account, settled_at, amount in rows)
