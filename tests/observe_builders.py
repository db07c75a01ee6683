"""Build what observers read."""

from __future__ import annotations

import json
from typing import Any


def a_memory(**changes: Any) -> str:
    """Build the parts of the daemon's saved memory that are shown: week 3 of 12, a stop in ETHUSDT, level 0."""
    risk = {"level": 0, "high_usdt": 40_000.0, "halted": False, "day_block_h": 0, "week_block_h": 0}
    core = {"phase": 1, "plan_weeks": 12, "weeks_remaining": 9, "due_h": 474_000, "rebalance_week": 0}
    found: dict[str, Any] = {"symbols": ["BTCUSDT", "ETHUSDT"], "halted": 0, "paused": [], "stops": [[1, "1900.5"]]}
    return json.dumps({**found, "states": {"risk": risk, "core": core}, **changes})
