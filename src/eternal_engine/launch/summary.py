"""What a run came to, in one JSON object, and the proof of it: a hash over all fills, and the venue's own ledger."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from eternal_engine.exchange.port import Exchange
from eternal_engine.exchange.terms import PositionSide
from eternal_engine.launch.place import Place
from eternal_engine.ledger.books import Books
from eternal_engine.model.ids import Account
from eternal_engine.model.money import CASH_COINS, ZERO, exact_arithmetic
from eternal_engine.storage.database import reading_engine, translated
from eternal_engine.storage.schema import FILLS, ORDERS
from eternal_engine.storage.times import time_text


@dataclass(frozen=True, slots=True)
class Tally:
    """Count orders and fills on record, and hash the fills: time, engine, symbol, side, qty, price, reason."""

    orders: int
    fills: int
    result_hash: str


def tally(database: Path) -> Tally:
    """Read the tally of a database, beside a running daemon or after it."""
    query = select(
        FILLS.c.executed_at,
        FILLS.c.account,
        FILLS.c.symbol,
        FILLS.c.market,
        FILLS.c.side,
        FILLS.c.qty,
        FILLS.c.price,
        FILLS.c.client_order_id,
        ORDERS.c.decided_at,
        ORDERS.c.reason,
    ).select_from(FILLS.outerjoin(ORDERS, FILLS.c.client_order_id == ORDERS.c.client_order_id))
    reading = reading_engine(database)
    try:
        with translated(str(database)), reading.connect() as connection:
            orders = connection.scalar(select(func.count()).select_from(ORDERS)) or 0
            rows = [tuple(row) for row in connection.execute(query)]
    finally:
        reading.dispose()
    return Tally(int(orders), len(rows), hash_of(rows))


def hash_of(rows: Iterable[tuple[Any, ...]]) -> str:
    """Hash rows whatever their order was; the same trades give the same text on every machine."""
    lines = sorted(json.dumps([_plain(value) for value in row]) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _plain(value: Any) -> str | None:
    if isinstance(value, datetime):
        return time_text(value)
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    return None if value is None else str(value)


async def ledger_differences(place: Place, books: Books) -> tuple[str, ...]:
    """Compare the daemon's books with the venue's own ledger, coin by coin, to the last unit; list what differs.

    The venue is asked over the same client as always; an embedded one also whether its own books balance.
    """
    found = [f"the exchange's own audit: {row}" for row in await place.audit()]
    for account, port in place.ports.items():
        found += await _differences(account, port, books)
    return tuple(found)


async def _differences(account: Account, port: Exchange, books: Books) -> list[str]:
    wallet, positions = await port.wallet(), await port.positions()
    theirs = {row.coin: row.wallet_qty for row in wallet.coins if row.wallet_qty}
    for row in positions:
        if row.qty:
            theirs[f"{row.symbol} perp"] = row.qty if row.side is PositionSide.LONG else -row.qty
    ours = _held(account, books)
    with exact_arithmetic():
        return [
            f"{account.value} {name}: the books say {ours.get(name, ZERO)}, the exchange {theirs.get(name, ZERO)}"
            for name in sorted({*ours, *theirs})
            if ours.get(name, ZERO) != theirs.get(name, ZERO)
        ]


def _held(account: Account, books: Books) -> dict[str, Decimal]:
    held: dict[str, Decimal] = {}
    with exact_arithmetic():
        for unassigned in (False, True):
            book = books.of(account, unassigned=unassigned)
            rows: list[tuple[str, Decimal]] = [(coin, amount) for coin, amount in book.cash.items()]
            rows += [(symbol.removesuffix("USDT"), row.qty) for symbol, row in book.spot.items()]
            rows += [(f"{symbol} perp", position.qty) for symbol, position in book.perp.items()]
            for name, amount in rows:
                held[name] = held.get(name, ZERO) + amount
    return {name: amount for name, amount in held.items() if amount or name in CASH_COINS}


@dataclass(frozen=True, slots=True)
class Summary:
    """Hold what `run --json` prints at the end."""

    mode: str
    market: str
    engines: tuple[str, ...]
    started_at: datetime
    ended_at: datetime
    reason: str
    hours: int
    tally: Tally
    equity_usdt: Mapping[str, Decimal | None]
    differences: tuple[str, ...] | None
    config_hash: str
    head: str

    def document(self) -> dict[str, Any]:
        """Give the JSON object; amounts are texts, an equity that is unknown is null (U-6)."""
        known = [value for value in self.equity_usdt.values() if value is not None]
        total = sum(known, ZERO) if len(known) == len(self.equity_usdt) else None
        return {
            "mode": self.mode,
            "market": self.market,
            "engines": list(self.engines),
            "started_at": self.started_at.isoformat(),
            "ended_at": self.ended_at.isoformat(),
            "reason": self.reason,
            "hours": self.hours,
            "orders": self.tally.orders,
            "fills": self.tally.fills,
            "equity_usdt": {
                **{name: None if value is None else str(value) for name, value in self.equity_usdt.items()},
                "portfolio": None if total is None else str(total),
            },
            "venue_ledger_matches": None if self.differences is None else not self.differences,
            "differences": list(self.differences or ()),
            "result_hash": self.tally.result_hash,
            "config_hash": self.config_hash,
            "journal_head": self.head,
        }
