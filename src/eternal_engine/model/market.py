"""What the market shows: one finished bar, one ticker (U-2, U-6)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from eternal_engine.model.errors import DataError
from eternal_engine.model.ids import Symbol
from eternal_engine.model.instrument import Market
from eternal_engine.model.money import ZERO
from eternal_engine.model.rule import Rule

RULES: tuple[Rule, ...] = (
    Rule(
        "U-2",
        "A bar is named by its open time and may be used only once its interval is over.",
        (),
        ("tests/unit/model/test_market.py::test_u2_a_bar_is_usable_from_its_close_on",),
    ),
)


@dataclass(frozen=True, slots=True)
class Bar:
    """Hold one bar. Prices in USDT, `volume` in base coins, `open_time` aware UTC. A crooked bar raises DataError."""

    symbol: Symbol
    market: Market
    open_time: datetime
    interval: timedelta
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal

    def __post_init__(self) -> None:
        inside = self.low <= min(self.open, self.close) and self.high >= max(self.open, self.close)
        if not (self.low > ZERO and inside and self.volume >= ZERO):
            raise DataError(
                f"bar prices do not fit: {self.open} {self.high} {self.low} {self.close}, volume {self.volume}",
                where=f"{self.market.value} {self.symbol} {self.open_time.isoformat()}",
                mend="fetch the bar again",
            )

    @property
    def close_time(self) -> datetime:
        """Give the instant from which the bar may be used."""
        return self.open_time + self.interval

    def is_closed(self, now: datetime) -> bool:
        """Tell whether the bar may be used at `now` (U-2)."""
        return self.close_time <= now


@dataclass(frozen=True, slots=True)
class Ticker:
    """Hold the latest prices of one symbol, USDT; None is not known (spot has no mark, streams may lack a side).

    `funding_rate` is the prediction for `next_funding_at`, a fraction: status may show it, decisions may not (U-4).
    """

    symbol: Symbol
    market: Market
    at: datetime
    last: Decimal
    mark: Decimal | None = None
    index: Decimal | None = None
    bid: Decimal | None = None
    ask: Decimal | None = None
    funding_rate: Decimal | None = None
    next_funding_at: datetime | None = None
