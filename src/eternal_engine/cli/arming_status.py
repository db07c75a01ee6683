"""What live trading is allowed at this moment: whether its arming holds, why not, and how much of the cap is used."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from eternal_engine.launch.arming import NEVER_ARMED, Arming, Facts, machine_id, read, verify
from eternal_engine.launch.files import ARMING_FILE, DATABASE_FILE
from eternal_engine.model.errors import EternalError
from eternal_engine.model.money import ZERO, exact_arithmetic, text
from eternal_engine.storage.backup import read_database_id
from eternal_engine.storage.times import time_text
from eternal_engine.storage.views import Record

Document = dict[str, Any]


def void_reasons(record: Arming, config_hash: str, directory: Path, now: datetime) -> tuple[str, ...]:
    """List why a record does not hold; the accounts are taken as they are, only a start asks the exchange."""
    database = directory / DATABASE_FILE
    identity = read_database_id(database) if database.is_file() else ""
    return verify(record, Facts(record.facts.accounts, config_hash, machine_id(), identity), now)


def arming_status(
    directory: Path, config_hash: str, positions: Sequence[Document], open_orders: Sequence[Record], now: datetime
) -> Document:
    """Say whether live trading is armed, up to which cap and until when, and what is exposed (RISK-13).

    `used_usdt` is null while a held coin has no price. `void_because` is empty where the arming holds.
    """
    try:
        record = read(directory / ARMING_FILE)
        reasons = (NEVER_ARMED,) if record is None else void_reasons(record, config_hash, directory, now)
    except EternalError as problem:
        record, reasons = None, (problem.message,)
    return {
        "armed": not reasons,
        "void_because": list(reasons),
        "cap_usdt": None if record is None else text(record.cap_usdt),
        "used_usdt": _exposed(positions, open_orders),
        "expires_at": None if record is None else time_text(record.expires_at),
    }


def _exposed(positions: Sequence[Document], open_orders: Sequence[Record]) -> str | None:
    values = [row["value_usdt"] for row in positions]
    if any(value is None for value in values):
        return None
    with exact_arithmetic():
        orders = sum((_size(row) for row in open_orders if not row["reduce_only"]), ZERO)
        return text(sum((Decimal(value) for value in values), orders))


def _size(order: Record) -> Decimal:
    """Give what an open order may still add, in USDT."""
    if order["qty"] is None:
        return Decimal(order["amount_usdt"]) - Decimal(order["filled_usdt"])
    price = order["limit_price"] or order["price_usdt"]
    return (Decimal(order["qty"]) - Decimal(order["filled_qty"])) * Decimal(price)
