"""The closed vocabularies of the port, in this program's words and not in any exchange's."""

from __future__ import annotations

from enum import StrEnum

from eternal_engine.model.instrument import Market, Side
from eternal_engine.model.position import PositionSide

__all__ = [
    "ExecutionKind",
    "MarginMode",
    "Market",
    "OrderKind",
    "OrderStatus",
    "PositionSide",
    "QtyUnit",
    "Side",
    "TimeInForce",
    "TriggerBy",
]


class OrderKind(StrEnum):
    """Name how an order is priced."""

    MARKET = "market"
    LIMIT = "limit"


class QtyUnit(StrEnum):
    """Name what `qty` counts: coins of the base, or the money of the quote (spot market orders only)."""

    BASE = "base"
    QUOTE = "quote"


class TimeInForce(StrEnum):
    """Name how long an order may rest."""

    GTC = "gtc"
    IOC = "ioc"
    FOK = "fok"
    POST_ONLY = "post_only"
    RPI = "rpi"


class TriggerBy(StrEnum):
    """Name the price that wakes a conditional order or a stop."""

    LAST = "last"
    INDEX = "index"
    MARK = "mark"


class OrderStatus(StrEnum):
    """Name where an order stands. How much of it was filled is told by `filled_qty` alone, never by the status."""

    NEW = "new"
    PARTIALLY_FILLED = "partially_filled"
    UNTRIGGERED = "untriggered"
    TRIGGERED = "triggered"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    PARTIALLY_FILLED_CANCELLED = "partially_filled_cancelled"
    DEACTIVATED = "deactivated"

    @property
    def is_open(self) -> bool:
        """Tell whether the order can still be filled."""
        return self in _OPEN


_OPEN = frozenset(
    {OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED, OrderStatus.UNTRIGGERED, OrderStatus.TRIGGERED},
)


class ExecutionKind(StrEnum):
    """Name why an execution happened. Only some kinds are fills; see `is_fill`."""

    TRADE = "trade"
    FUNDING = "funding"
    ADL = "adl"
    BUST = "bust"
    DELIVERY = "delivery"
    SETTLE = "settle"
    BLOCK_TRADE = "block_trade"
    MOVE_POSITION = "move_position"
    FUTURE_SPREAD = "future_spread"
    CORPORATE_ACTION = "corporate_action"

    @property
    def is_fill(self) -> bool:
        """Tell whether the execution changed a quantity held; a funding payment does not."""
        return self not in (ExecutionKind.FUNDING, ExecutionKind.SETTLE)


class MarginMode(StrEnum):
    """Name how margin is shared between the positions of one account."""

    CROSS = "cross"
    ISOLATED = "isolated"
    PORTFOLIO = "portfolio"
