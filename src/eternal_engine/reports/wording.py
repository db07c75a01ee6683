"""Write numbers, days and instants as people and scripts read them."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

NOTHING = "–"

ENGINE_TITLES = {"core_hodl": "CORE_HODL", "trend": "TREND", "funding": "FUNDING", "tactical": "TACTICAL"}


def instant(at_ms: int) -> str:
    """Write an instant as ISO 8601 with Z, to the second."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def day(at_ms: int) -> str:
    """Write the UTC day of an instant as YYYY-MM-DD."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%d")


def decimal_text(number: float) -> str:
    """Write a number as plain decimal text, without an exponent: 1e-05 is 0.00001.

    15 significant digits are what every float64 keeps: 0.1 * 3 steps is 0.3 again, not 0.30000000000000004.
    """
    text = format(Decimal(f"{float(number):.15g}"), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def percent(fraction: float | None, digits: int = 1, sign: bool = False) -> str:
    """Write a fraction as a percentage: 0.0512 is 5.1 %."""
    if fraction is None:
        return NOTHING
    value = round(fraction * 100, digits) + 0.0
    return f"{value:{'+' if sign and value else ''},.{digits}f} %"


def usdt(amount: float | None, digits: int = 0, sign: bool = False) -> str:
    """Write an amount of USDT with thousands separators, without the unit."""
    if amount is None:
        return NOTHING
    value = round(amount, digits) + 0.0
    return f"{value:{'+' if sign and value else ''},.{digits}f}"


def ratio(value: float | None, digits: int = 2) -> str:
    """Write a ratio."""
    return NOTHING if value is None else f"{round(value, digits) + 0.0:.{digits}f}"


def quantity(number: float) -> str:
    """Write a price or a quantity with about six significant digits, as a table needs it."""
    if number == 0:
        return "0"
    digits = 2 if abs(number) >= 1000 else 4 if abs(number) >= 1 else 6
    text = f"{number:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def engine_title(name: str) -> str:
    """Give an engine's printed name."""
    return ENGINE_TITLES.get(name, name)
