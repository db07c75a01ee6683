"""One execution at the exchange: the increment by which positions move (ORD-4, ORD-5)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from eternal_engine.model.errors import ModelError
from eternal_engine.model.ids import Account, ClientOrderId, Coin, ExecutionId, Symbol, VenueOrderId
from eternal_engine.model.instrument import Market, Side
from eternal_engine.model.money import ZERO, exact_arithmetic


class FillKind(StrEnum):
    """Name who caused the execution."""

    TRADE = "trade"
    LIQUIDATION = "liquidation"
    ADL = "adl"
    DELIVERY = "delivery"


@dataclass(frozen=True, slots=True)
class Fill:
    """Hold one execution. `qty` base coins before any fee in coin, `price` USDT per coin, `fee` in `fee_coin`.

    A negative fee is a rebate. `client_order_id` is None for what the exchange did by itself.
    """

    execution_id: ExecutionId
    account: Account
    symbol: Symbol
    market: Market
    side: Side
    qty: Decimal
    price: Decimal
    fee: Decimal
    fee_coin: Coin
    base: Coin
    quote: Coin
    executed_at: datetime
    client_order_id: ClientOrderId | None = None
    venue_order_id: VenueOrderId | None = None
    is_maker: bool = False
    kind: FillKind = FillKind.TRADE

    def __post_init__(self) -> None:
        if not (self.qty > ZERO and self.price > ZERO):
            raise ModelError(
                f"a fill needs a quantity and a price above zero, not {self.qty} at {self.price}",
                where=f"execution {self.execution_id}",
                mend="filter funding and settlement rows before they become fills",
            )

    @property
    def value_usdt(self) -> Decimal:
        """Give qty x price."""
        with exact_arithmetic():
            return self.qty * self.price
