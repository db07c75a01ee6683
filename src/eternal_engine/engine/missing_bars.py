"""What the journal says of a coin without the bar that just closed: nothing is decided about it (U-10)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from eternal_engine.model.event import Noted
from eternal_engine.model.ids import RuleId
from eternal_engine.portfolio.params import Marks


def missing_bars(marks: Marks, symbols: Sequence[str], now_h: int, at: datetime) -> list[Noted]:
    """Note the coins that had the bar before and lack the newest: once for each hole, however long it lasts."""
    lacking = [
        f"{symbol} {market}"
        for market, hours in (("spot", marks.spot_h), ("perp", marks.perp_h))
        for s, symbol in enumerate(symbols)
        if hours[s] == now_h - 2  # named by their open: the newest opened an hour ago
    ]
    if not lacking:
        return []
    words = f"no bar of the hour that just closed: {', '.join(lacking)}; until there is one nothing is decided there"
    return [Noted(at, RuleId("U-10"), words)]
