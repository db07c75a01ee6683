"""A look at the present price before an entry is sent that was held up since it was decided (RISK-12, U-7)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Final

from eternal_engine.engine.snapshot import take_prices
from eternal_engine.engine.timing import Clock
from eternal_engine.exchange.port import Exchange
from eternal_engine.exchange.terms import Market
from eternal_engine.ledger.equity import Prices
from eternal_engine.model.conversion import exact_from_float
from eternal_engine.model.money import exact_arithmetic, short_text
from eternal_engine.model.order import Order
from eternal_engine.model.rule import Rule

RULES: tuple[Rule, ...] = (
    Rule(
        "RISK-12",
        "An entry that goes out minutes after its hour, because the line was down or a person asked for it, is refused "
        "where the price is further than 5 % from the one it was decided at.",
        ("risk.price_deviation_frac",),
        (
            "tests/unit/engine/test_price_look.py::test_risk_12_an_entry_held_up_by_a_lost_line_is_refused_where_its_price_has_gone",
        ),
    ),
)

# What is sent so soon after its hour has the price of the bar that has just closed; late bars are waited for meanwhile.
AT_ONCE: Final = timedelta(minutes=2)


class PriceLook:
    """Compare the price an entry was decided at with the present one; prices are read once for many orders."""

    def __init__(self, exchange: Exchange, clock: Clock, symbols: tuple[str, ...]) -> None:
        self._exchange = exchange
        self._clock = clock
        self._symbols = symbols
        self._prices = Prices()
        self._read_at = datetime.min.replace(tzinfo=UTC)
        self._turn = asyncio.Lock()

    def is_due(self, decided_at: datetime) -> bool:
        """Tell whether a price has to be asked for before an entry of that time goes out."""
        return self._clock.now() - decided_at >= AT_ONCE

    async def denial(self, order: Order, decided_at: datetime, most_frac: float) -> str:
        """Say why an entry must not be sent at the present price, "" where it may.

        Raises the exchange branch of the error tree while nobody tells a price.
        """
        if not self.is_due(decided_at):
            return ""
        async with self._turn:
            if self._clock.now() - self._read_at >= AT_ONCE:
                self._prices = await take_prices(self._exchange, self._symbols)
                self._read_at = self._clock.now()
        intent = order.intent
        symbol, wanted = intent.key.symbol, intent.price_usdt
        price = (self._prices.spot if intent.market is Market.SPOT else self._prices.mark).get(symbol)
        if price is None:
            return f"RISK-12: nobody tells a price of {symbol} now, and the one it was decided at is old"
        with exact_arithmetic():
            if abs(price - wanted) <= exact_from_float(most_frac) * wanted:
                return ""
        was, now = short_text(wanted), short_text(price)
        return f"RISK-12: {symbol} is at {now}, too far from {was}, at which it was decided"
