"""A part of a position that was taken off: what realised profit is made of (H7, TACT-X1, RISK-7)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from eternal_engine.model.ids import Account, ClientOrderId, ExecutionId, Symbol
from eternal_engine.model.instrument import Market
from eternal_engine.model.money import exact_arithmetic
from eternal_engine.model.position import PositionSide


@dataclass(frozen=True, slots=True)
class ClosedPart:
    """Hold one closing execution's share of its position. All amounts in USDT.

    `entry_usdt` and `exit_usdt` are the traded values of the part, `fees_usdt` its share of the entry fees plus the
    exit fee, `funding_usdt` its share of the funding received (negative: paid). `is_last`: nothing but dust is left.
    """

    account: Account
    symbol: Symbol
    market: Market
    position_side: PositionSide
    execution_id: ExecutionId
    client_order_id: ClientOrderId | None
    qty: Decimal
    entry_usdt: Decimal
    exit_usdt: Decimal
    fees_usdt: Decimal
    funding_usdt: Decimal
    opened_at: datetime
    closed_at: datetime
    is_last: bool

    @property
    def gross_usdt(self) -> Decimal:
        """Give the profit of the price move alone."""
        with exact_arithmetic():
            move = self.exit_usdt - self.entry_usdt
            return move if self.position_side is PositionSide.LONG else -move

    @property
    def net_usdt(self) -> Decimal:
        """Give gross + funding - fees."""
        with exact_arithmetic():
            return self.gross_usdt + self.funding_usdt - self.fees_usdt
