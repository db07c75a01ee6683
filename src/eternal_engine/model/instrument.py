"""The rules of one instrument: steps, minimums and maximums, all Decimal (U-9, RISK-10)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from eternal_engine.model.errors import DataError
from eternal_engine.model.ids import Coin, Symbol
from eternal_engine.model.money import ONE, ZERO, ceil_to, exact_arithmetic, floor_to, is_multiple
from eternal_engine.model.rule import Rule

RULES: tuple[Rule, ...] = (
    Rule(
        "U-9",
        "A fill's price is rounded to the tick against us; a spot buy sized in USDT brings floor(quote / price) coins "
        "in base steps and what is not spent stays cash.",
        ("costs.slippage_bps", "costs.spot_fee_bps", "costs.perp_fee_bps"),
        (
            "tests/unit/model/test_instrument.py::test_u9_the_price_is_rounded_to_the_tick_against_us",
            "tests/unit/model/test_instrument.py::test_u9_a_quote_sized_buy_brings_whole_base_steps",
        ),
    ),
)


class Market(StrEnum):
    """Name the two markets of a symbol."""

    SPOT = "spot"
    PERP = "perp"


class Side(StrEnum):
    """Name the side of an order or a fill."""

    BUY = "buy"
    SELL = "sell"

    @property
    def sign(self) -> int:
        """Give +1 for a buy, -1 for a sell."""
        return 1 if self is Side.BUY else -1

    @property
    def opposite(self) -> Side:
        """Give the other side."""
        return Side.SELL if self is Side.BUY else Side.BUY


class SizeDenial(StrEnum):
    """Say why a size cannot be sent; the values are stable and appear in logs and reports."""

    BELOW_MIN_QTY = "below_min_qty"
    BELOW_MIN_AMOUNT = "below_min_amount"
    ABOVE_MAX_QTY = "above_max_qty"
    NOT_A_STEP = "not_a_step"
    NOT_POSITIVE = "not_positive"


@dataclass(frozen=True, slots=True)
class InstrumentRules:
    """Hold what the exchange demands of orders in one instrument.

    `tick` USDT per coin; `qty_step` in base coins; `quote_step` in USDT, only for spot buys sized in USDT (None on
    perps); `min_amount` in USDT (spot: minOrderAmt, perp: minNotionalValue); `min_qty` in base coins (zero on spot,
    where it is no longer checked). A maximum of None is not known. `funding_interval_min` is None on spot.
    """

    symbol: Symbol
    market: Market
    base: Coin
    quote: Coin
    tick: Decimal
    qty_step: Decimal
    quote_step: Decimal | None
    min_qty: Decimal
    min_amount: Decimal
    max_limit_qty: Decimal | None = None
    max_market_qty: Decimal | None = None
    max_leverage: Decimal = ONE
    funding_interval_min: int | None = None
    band_x: Decimal | None = None  # price band ratios, fractions; None: not known
    band_y: Decimal | None = None

    def price_against(self, side: Side, price: Decimal) -> Decimal:
        """Round a fill price to the tick against us: up for a buy, down for a sell (U-9)."""
        return ceil_to(price, self.tick) if side is Side.BUY else floor_to(price, self.tick)

    def fill_price(self, side: Side, price: Decimal, slippage_bps: Decimal) -> Decimal:
        """Estimate a market fill: price worsened by the slippage, then to the tick against us (U-9)."""
        with exact_arithmetic():
            worse = price * (ONE + side.sign * slippage_bps * Decimal("0.0001"))
        return self.price_against(side, worse)

    def qty_down(self, qty: Decimal) -> Decimal:
        """Cut a quantity to whole steps."""
        return floor_to(qty, self.qty_step)

    def qty_up(self, qty: Decimal) -> Decimal:
        """Raise a quantity to whole steps (FUNDING's spot leg)."""
        return ceil_to(qty, self.qty_step)

    def quote_down(self, amount_usdt: Decimal) -> Decimal:
        """Cut the USDT of a spot buy to the quote step; perps are not sized in USDT and keep the amount."""
        return amount_usdt if self.quote_step is None else floor_to(amount_usdt, self.quote_step)

    def coins_for(self, amount_usdt: Decimal, price: Decimal) -> Decimal:
        """Count the base coins that a USDT amount brings at a fill price, before any fee (U-9)."""
        with exact_arithmetic():
            return amount_usdt // (price * self.qty_step) * self.qty_step

    def size_denial(self, qty: Decimal, price: Decimal, *, market_order: bool = True) -> SizeDenial | None:
        """Say why a base quantity cannot be sent at about this price, or None if it can."""
        maximum = self.max_market_qty if market_order else self.max_limit_qty
        if qty <= ZERO:
            return SizeDenial.NOT_POSITIVE
        if not is_multiple(qty, self.qty_step):
            return SizeDenial.NOT_A_STEP
        if qty < self.min_qty:
            return SizeDenial.BELOW_MIN_QTY
        if qty * price < self.min_amount:
            return SizeDenial.BELOW_MIN_AMOUNT
        if maximum is not None and qty > maximum:
            return SizeDenial.ABOVE_MAX_QTY
        return None


@dataclass(frozen=True, slots=True)
class InstrumentTable:
    """Hold the instruments of one date under a name that reports quote (U-9)."""

    name: str
    spot: Mapping[Symbol, InstrumentRules]
    perp: Mapping[Symbol, InstrumentRules]

    def rules(self, symbol: Symbol, market: Market) -> InstrumentRules:
        """Find an instrument. Raises DataError for one that the table does not hold."""
        found = (self.spot if market is Market.SPOT else self.perp).get(symbol)
        if found is None:
            raise DataError(
                f"no {market.value} instrument {symbol}",
                where=f"instrument table {self.name}",
                mend="take the symbol out of the configuration or refresh the table from the exchange",
            )
        return found


def _spot(
    base: str, tick: str, qty_step: str, quote_step: str, maxima: tuple[str, str] | None, band: str
) -> InstrumentRules:
    x, _, y = band.partition("/")
    return InstrumentRules(
        symbol=Symbol(f"{base}USDT"),
        market=Market.SPOT,
        base=Coin(base),
        quote=Coin("USDT"),
        tick=Decimal(tick),
        qty_step=Decimal(qty_step),
        quote_step=Decimal(quote_step),
        min_qty=ZERO,
        min_amount=Decimal(5),
        max_limit_qty=Decimal(maxima[0]) if maxima else None,
        max_market_qty=Decimal(maxima[1]) if maxima else None,
        band_x=Decimal(x) if x else None,
        band_y=Decimal(y) if y else None,
    )


def _perp(
    base: str, tick: str, qty_step: str, maxima: tuple[str, str] | None, max_leverage: str, band: str
) -> InstrumentRules:
    x, _, y = band.partition("/")
    return InstrumentRules(
        symbol=Symbol(f"{base}USDT"),
        market=Market.PERP,
        base=Coin(base),
        quote=Coin("USDT"),
        tick=Decimal(tick),
        qty_step=Decimal(qty_step),
        quote_step=None,
        min_qty=Decimal(qty_step),
        min_amount=Decimal(5),
        max_limit_qty=Decimal(maxima[0]) if maxima else None,
        max_market_qty=Decimal(maxima[1]) if maxima else None,
        max_leverage=Decimal(max_leverage),
        funding_interval_min=480,
        band_x=Decimal(x) if x else None,
        band_y=Decimal(y) if y else None,
    )


def _by_symbol(*rows: InstrumentRules) -> Mapping[Symbol, InstrumentRules]:
    return {row.symbol: row for row in rows}


# Values recorded from the exchange around 2025; decision 0070 says which came from where and what was filled in.
BYBIT_2025 = InstrumentTable(
    name="bybit-2025",
    spot=_by_symbol(
        _spot("BTC", "0.1", "0.000001", "0.0000001", ("83", "41.5"), "0.005/0.01"),
        _spot("ETH", "0.01", "0.00001", "0.0000001", None, "0.01/0.03"),
        _spot("SOL", "0.01", "0.001", "0.00001", None, ""),
        _spot("XRP", "0.0001", "0.01", "0.000001", None, "0.02/0.06"),
        _spot("BNB", "0.1", "0.0001", "0.00001", None, ""),
        _spot("DOGE", "0.00001", "0.1", "0.000001", None, "0.03/0.06"),
        _spot("ADA", "0.0001", "0.01", "0.000001", None, "0.05/0.1"),
        _spot("TRX", "0.0001", "0.01", "0.000001", None, "0.03/0.06"),
        _spot("AVAX", "0.01", "0.001", "0.00001", None, ""),
        _spot("LINK", "0.01", "0.001", "0.00001", None, ""),
    ),
    perp=_by_symbol(
        _perp("BTC", "0.1", "0.001", ("1190", "119"), "100", "0.01/0.02"),
        _perp("ETH", "0.01", "0.01", ("7240", "724"), "100", "0.02/0.04"),
        _perp("SOL", "0.01", "0.1", ("79770", "11740"), "100", "0.05/0.1"),
        _perp("XRP", "0.0001", "1", ("10965300", "2467800"), "75", "0.05/0.1"),
        _perp("BNB", "0.1", "0.01", None, "50", ""),
        _perp("DOGE", "0.00001", "1", ("43678900", "5991100"), "75", "0.05/0.1"),
        _perp("ADA", "0.0001", "1", ("6315500", "1109600"), "75", "0.05/0.1"),
        _perp("TRX", "0.00001", "1", ("5417800", "1356000"), "75", "0.05/0.1"),
        _perp("AVAX", "0.001", "0.1", None, "50", ""),
        _perp("LINK", "0.001", "0.1", None, "50", ""),
    ),
)
