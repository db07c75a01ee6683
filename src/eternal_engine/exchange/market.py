"""What the market publishes: instruments, tickers, candles and settled funding rates."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from eternal_engine.exchange.terms import Market


@dataclass(frozen=True, slots=True)
class Instrument:
    """Hold the trading rules of one symbol as the exchange states them today (never compiled in).

    Steps and quantities in base coins, `quote_step`, prices and `min_value_usdt` in the quote coin. `min_qty` of spot
    is no longer checked by the exchange. Funding limits are fractions per settlement, `funding_interval_min` minutes.
    """

    market: Market
    symbol: str
    status: str
    base_coin: str
    quote_coin: str
    settle_coin: str | None
    price_tick: Decimal
    qty_step: Decimal
    quote_step: Decimal | None
    min_qty: Decimal | None
    min_value_usdt: Decimal | None
    max_limit_qty: Decimal | None
    max_market_qty: Decimal | None
    min_price: Decimal | None
    max_price: Decimal | None
    min_leverage: Decimal | None
    max_leverage: Decimal | None
    leverage_step: Decimal | None
    funding_interval_min: int | None
    max_funding_frac: Decimal | None
    min_funding_frac: Decimal | None
    price_limit_x_frac: Decimal | None
    price_limit_y_frac: Decimal | None
    contract_type: str
    is_pre_listing: bool | None
    launched_at: datetime | None
    delivers_at: datetime | None


@dataclass(frozen=True, slots=True)
class Ticker:
    """Hold the latest prices of one symbol at `at`; a spot ticker of the stream has no bid and no ask (1.3).

    `funding_rate` is the exchange's present prediction for `next_funding_at`, not a settled rate (U-4).
    """

    market: Market
    symbol: str
    last_price: Decimal
    mark_price: Decimal | None
    index_price: Decimal | None
    bid_price: Decimal | None
    bid_qty: Decimal | None
    ask_price: Decimal | None
    ask_qty: Decimal | None
    previous_day_price: Decimal | None
    high_day_price: Decimal | None
    low_day_price: Decimal | None
    volume_day_qty: Decimal | None
    turnover_day_usdt: Decimal | None
    open_interest_qty: Decimal | None
    funding_rate: Decimal | None
    next_funding_at: datetime | None
    funding_interval_h: Decimal | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Candle:
    """Hold one candle, named by its open time; only a `closed` one may be acted on (U-2)."""

    market: Market
    symbol: str
    interval: timedelta
    opened_at: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume_qty: Decimal
    turnover_usdt: Decimal
    closed: bool

    @property
    def closes_at(self) -> datetime:
        """Return the instant from which the candle may be used."""
        return self.opened_at + self.interval


@dataclass(frozen=True, slots=True)
class FundingRate:
    """Hold one settled funding rate, a fraction of the position's value; > 0: longs paid shorts."""

    symbol: str
    rate: Decimal
    settled_at: datetime
