"""Say what must never be after a fault, whatever it was: doubled, lost, unexplained, unprotected, untold."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from crash_forks import naked
from eternal_engine.model.ids import Leg

# Legs that unwind a pair's surplus, make its two sides equal again, or close what no stop protects.
MENDING: Final = frozenset(
    leg.value for leg in (Leg.SPOT_UNWIND, Leg.PERP_UNWIND, Leg.SPOT_HEDGE, Leg.PERP_HEDGE, Leg.STOP)
)
Intent = tuple[str, ...]
TELLING: Final = ("ErrorOccurred", "Mismatch", "Corrected", "TradingPaused")


@dataclass(frozen=True)
class Said:
    """Hold what the journal says went wrong."""

    lines: tuple[str, ...]


def read_said(database: Path) -> Said:
    """Read what the journal says went wrong."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        rows = connection.execute("SELECT kind, body FROM journal ORDER BY seq").fetchall()
    return Said(tuple(f"{kind}: {body[:300]}" for kind, body in rows if kind in TELLING))


def judge(wanted: dict[str, Any], found: dict[str, Any], said: Said, ended: str) -> Iterable[str]:
    """Name what must never be: an order twice, books apart from the exchange, work left over, hours not decided, more
    traded than was wanted, a naked position, a difference that nobody explains.
    """
    for name, times in Counter(row[1] for row in found["orders"] if row[1]).items():
        if times > 1:
            yield f"order {name} stands {times} times at the exchange"
    for row in found["differences"]:
        yield f"books and exchange differ: {row}"
    for part in ("pending", "open", "undone_transfers"):
        if found[part] and found[part] != wanted[part]:
            yield f"{part} at the end: {found[part]}"
    if found["hour"] != wanted["hour"]:
        yield f"the last decided hour is {found['hour']}, not {wanted['hour']}"
    yield from _traded_too_much(wanted, found)
    yield from naked(found)
    if _differs(wanted, found) and not said.lines and not ended:
        yield f"{_traded(found)} instead of {_traded(wanted)}, and nobody says why"


def _traded_too_much(wanted: dict[str, Any], found: dict[str, Any]) -> Iterable[str]:
    """Name what was traded beyond what was wanted: in its hour, or at another without having failed in its own."""
    bought, meant = _traded(found), _traded(wanted)
    for key, qty in bought.items():
        if key[3] in MENDING and key not in meant:
            continue
        if qty > meant.get(key, Decimal(0)) * Decimal("1.001") and (key in meant or not _is_owed(key, bought, meant)):
            yield f"{' '.join(key)} traded {qty}, wanted {meant.get(key, 0)}"


def _is_owed(key: Intent, bought: dict[Intent, Decimal], meant: dict[Intent, Decimal]) -> bool:
    """Tell whether the same was wanted at another hour and has failed then, or was undone: it is decided again."""
    engine, _, symbol, *rest = key
    for other, qty in meant.items():
        if (other[0], *other[2:]) == (engine, symbol, *rest) and bought.get(other, Decimal(0)) < qty:
            return True
    return any((one[0], one[2]) == (engine, symbol) and one[3] in MENDING and one not in meant for one in bought)


def _differs(wanted: dict[str, Any], found: dict[str, Any]) -> bool:
    """Tell whether anything that lasts is otherwise than in the undisturbed life."""
    if _traded(found) != _traded(wanted) or _stops(found) != _stops(wanted):
        return True
    held = [json.loads(end["memory"]) for end in (wanted, found)]
    return any(held[0].get(name) != held[1].get(name) for name in ("halted", "paused"))


def _traded(found: dict[str, Any]) -> dict[Intent, Decimal]:
    """Sum what the orders of each intent have executed: by engine, hour, symbol, leg and side."""
    sums: dict[Intent, Decimal] = defaultdict(Decimal)
    for _, name, _, _, side, qty, _, kind in found["executions"]:
        if kind == "Trade" and name:
            sums[(*name.split("-")[:-1], side)] += Decimal(qty)
    return dict(sums)


def _stops(found: dict[str, Any]) -> list[Any]:
    return sorted([row[0], row[1], row[4]] for row in found["positions"] if row[0] == "TREND")
