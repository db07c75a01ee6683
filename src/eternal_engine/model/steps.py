"""Whole steps of an instrument's grid, the one rounding rule of all kernels (U-3)."""

from __future__ import annotations

import math
from typing import Final

# floor(x / step + SLACK): a product that is one ulp short of a whole step counts as whole (U-3).
SLACK: Final = 1e-6


def whole_steps(amount: float, step: float) -> int:
    """Count the whole steps in `amount` (U-3)."""
    return math.floor(amount / step + SLACK)


def steps_up(amount: float, step: float) -> int:
    """Count the steps that cover `amount` (U-9, FUND-2)."""
    return math.ceil(amount / step - SLACK)
