"""Statements for people and tax: trades, lots, funding and money moved, as CSV with exact numbers and UTC times."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, TextIO, TypeAlias

from eternal_engine.ledger.pnl import ClosedTrade
from eternal_engine.model.event import BookEntry, Deposited, FundingSettled, Transferred
from eternal_engine.model.money import ratio, short_text
from eternal_engine.reports.lots import Disposal, Lot

Row: TypeAlias = Mapping[str, Any]

TRADES = (
    "engine", "symbol", "market", "position_side", "opened_at", "closed_at", "qty", "entry_price_usdt",
    "exit_price_usdt", "gross_usdt", "fees_usdt", "funding_usdt", "net_usdt",
)  # fmt: skip
DISPOSALS = (
    "engine", "symbol", "market", "position_side", "kind", "reference", "qty", "acquired_at", "disposed_at",
    "held_days", "cost_usdt", "proceeds_usdt", "gain_usdt", "fees_usdt", "net_usdt", "unassigned",
)  # fmt: skip
HELD = (
    "engine", "symbol", "market", "position_side", "acquired_at", "qty", "entry_usdt", "entry_price_usdt", "fees_usdt",
    "unassigned",
)  # fmt: skip
FUNDING = ("engine", "symbol", "settled_at", "qty", "mark_price_usdt", "rate", "amount_usdt", "execution_id")
TRANSFERS = ("kind", "at", "source", "target", "coin", "amount", "value_usdt", "rule", "id")


def trade_rows(trades: Iterable[ClosedTrade], year: int | None) -> list[Row]:
    """Give one row per closed position, of those closed in a year (None: all)."""
    return [
        {
            "engine": trade.account.value,
            "symbol": trade.symbol,
            "market": trade.market.value,
            "position_side": trade.position_side.value,
            "opened_at": trade.opened_at,
            "closed_at": trade.closed_at,
            "qty": trade.qty,
            "entry_price_usdt": trade.entry_price,
            "exit_price_usdt": trade.exit_price,
            "gross_usdt": trade.gross_usdt,
            "fees_usdt": trade.fees_usdt,
            "funding_usdt": trade.funding_usdt,
            "net_usdt": trade.net_usdt,
        }
        for trade in trades
        if _is_in(trade.closed_at, year)
    ]


def disposal_rows(disposals: Iterable[Disposal], year: int | None) -> list[Row]:
    """Give one row per lot that went, of those that went in a year (None: all)."""
    return [
        {
            "engine": gone.account,
            "symbol": gone.symbol,
            "market": gone.market.value,
            "position_side": gone.position_side.value,
            "kind": gone.kind,
            "reference": gone.reference,
            "qty": gone.qty,
            "acquired_at": gone.acquired_at,
            "disposed_at": gone.disposed_at,
            "held_days": (gone.disposed_at - gone.acquired_at).days,
            "cost_usdt": gone.cost_usdt,
            "proceeds_usdt": gone.proceeds_usdt,
            "gain_usdt": gone.gain_usdt,
            "fees_usdt": gone.fees_usdt,
            "net_usdt": gone.net_usdt,
            "unassigned": gone.unassigned,
        }
        for gone in disposals
        if _is_in(gone.disposed_at, year)
    ]


def held_rows(lots: Iterable[Lot]) -> list[Row]:
    """Give one row per lot that is still there."""
    return [
        {
            "engine": lot.account,
            "symbol": lot.symbol,
            "market": lot.market.value,
            "position_side": lot.position_side.value,
            "acquired_at": lot.acquired_at,
            "qty": lot.qty,
            "entry_usdt": lot.entry_usdt,
            "entry_price_usdt": ratio(lot.entry_usdt, lot.qty),
            "fees_usdt": lot.fees_usdt,
            "unassigned": lot.unassigned,
        }
        for lot in lots
    ]


def funding_rows(entries: Iterable[BookEntry], year: int | None) -> list[Row]:
    """Give one row per funding payment; received is above zero."""
    return [
        {
            "engine": entry.account.value,
            "symbol": entry.symbol,
            "settled_at": entry.settled_at,
            "qty": entry.qty,
            "mark_price_usdt": entry.mark_price,
            "rate": entry.rate,
            "amount_usdt": entry.amount_usdt,
            "execution_id": entry.execution_id,
        }
        for entry in entries
        if isinstance(entry, FundingSettled) and _is_in(entry.settled_at, year)
    ]


def transfer_rows(entries: Iterable[BookEntry], year: int | None) -> list[Row]:
    """Give one row per movement of money: between sub-accounts, from outside, and to it."""
    rows = [_movement(entry) for entry in entries if isinstance(entry, Transferred | Deposited)]
    return [row for row in rows if _is_in(row["at"], year)]


def _movement(entry: Transferred | Deposited) -> Row:
    if isinstance(entry, Transferred):
        return {
            "kind": "transfer",
            "at": entry.at,
            "source": entry.source.value,
            "target": entry.target.value,
            "coin": entry.coin,
            "amount": entry.amount,
            "value_usdt": entry.amount,
            "rule": entry.rule,
            "id": entry.transfer_id,
        }
    comes = entry.amount > 0
    return {
        "kind": "deposit" if comes else "withdrawal",
        "at": entry.recorded_at,
        "source": "outside" if comes else entry.account.value,
        "target": entry.account.value if comes else "outside",
        "coin": entry.coin,
        "amount": abs(entry.amount),
        "value_usdt": abs(entry.value_usdt),
        "rule": "",
        "id": entry.record_id,
    }


def write_csv(columns: Sequence[str], rows: Iterable[Row], file: TextIO) -> None:
    """Write a header and the rows; numbers without exponent, times ISO UTC, unknown values empty."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row[column]) for column in columns])


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Decimal):
        return short_text(value)
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return str(value)


def _is_in(at: datetime, year: int | None) -> bool:
    return year is None or at.year == year
