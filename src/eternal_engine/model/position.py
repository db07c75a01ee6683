"""What a book holds: coins, and one-way perp positions (D7, D8, ORD-5)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from eternal_engine.model.ids import Symbol
from eternal_engine.model.money import ZERO, exact_arithmetic, is_dust, ratio


class PositionSide(StrEnum):
    """Name the side of a perp position."""

    LONG = "long"
    SHORT = "short"


@dataclass(frozen=True, slots=True)
class SpotHolding:
    """Hold coins of one symbol: `qty` net of fees in coin, `cost_usdt` at fill prices, `fees_usdt` paid to get them."""

    symbol: Symbol
    qty: Decimal
    cost_usdt: Decimal
    fees_usdt: Decimal
    opened_at: datetime  # time of the first fill

    @property
    def average_price(self) -> Decimal:
        """Give cost per coin, USDT, rounded for showing and comparing."""
        return ratio(self.cost_usdt, self.qty)

    def value_usdt(self, price: Decimal) -> Decimal:
        """Give the market value."""
        with exact_arithmetic():
            return self.qty * price

    def is_dust(self, price: Decimal) -> bool:
        """Tell whether rules ignore the holding: worth less than 1 USDT (ORD-5)."""
        return is_dust(self.qty, price)


@dataclass(frozen=True, slots=True)
class PerpPosition:
    """Hold a one-way perp position: `qty` signed (long above zero), `cost_usdt` = qty x average entry, same sign.

    `fees_usdt` were paid to open it, `funding_usdt` was received since (negative: paid).
    """

    symbol: Symbol
    qty: Decimal
    cost_usdt: Decimal
    fees_usdt: Decimal
    funding_usdt: Decimal
    opened_at: datetime

    @property
    def side(self) -> PositionSide:
        """Give long or short."""
        return PositionSide.LONG if self.qty > ZERO else PositionSide.SHORT

    @property
    def average_price(self) -> Decimal:
        """Give the average entry price, USDT, rounded for showing and comparing."""
        return ratio(self.cost_usdt, self.qty)

    def unrealised_usdt(self, mark: Decimal) -> Decimal:
        """Give the profit not yet taken at a mark price; negative for a loss."""
        with exact_arithmetic():
            return self.qty * mark - self.cost_usdt

    def notional_usdt(self, mark: Decimal) -> Decimal:
        """Give the size of the exposure, never negative."""
        with exact_arithmetic():
            return abs(self.qty) * mark
