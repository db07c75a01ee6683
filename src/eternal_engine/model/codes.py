"""The numbers by which rules, kernels and tapes name engines, markets and sides, and how near a limit counts (U-3)."""

from __future__ import annotations

from typing import Final

CORE_HODL: Final = 0
TREND: Final = 1
FUNDING: Final = 2
TACTICAL: Final = 3
ENGINE_COUNT: Final = 4

SPOT: Final = 0
PERP: Final = 1
PAIR: Final = 2  # FUNDING's two legs of equal coins, one recoverable procedure (FUND-3)

BUY: Final = 1
SELL: Final = -1

HOURS_PER_DAY: Final = 24
HOURS_PER_WEEK: Final = 168

# A limit counts as reached within this much (U-3).
EPSILON: Final = 1e-12
# A holding worth less than this is dust (ORD-5).
DUST_USDT: Final = 1.0
