"""The one door by which a number that the rules computed becomes exact (U-3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eternal_engine.model.money import exact

if TYPE_CHECKING:
    from decimal import Decimal


def exact_from_float(value: float, *, where: str = "") -> Decimal:
    """Give what the rules computed as the shortest decimal that means it; NaN or infinity raises ModelError (U-3)."""
    return exact(repr(float(value)), where=where)
