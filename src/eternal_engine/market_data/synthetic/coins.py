"""The ten coins of the synthetic market: when they list, what they cost then, and how they move with the market."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

EPOCH = datetime(2017, 1, 1, tzinfo=UTC)
EPOCH_MS = int(EPOCH.timestamp()) * 1000


@dataclass(frozen=True)
class Coin:
    """Describe one coin; prices in USDT, `*_vol` are annual fractions, growth is the log trend per year.

    `beta` is the share of the market's move, `alt_load` that of the movement common to all coins but BTC.
    `decimals` is the price resolution. `jumps_per_year` counts the coin's own jumps.
    """

    symbol: str
    listed: str
    perp_listed: str
    start_price: float
    decimals: int
    growth: float
    beta: float
    alt_load: float
    own_vol: float
    jumps_per_year: float
    turnover_usdt: float
    funding_interval_h: int = 8
    funding_cap: float = 0.02


_TABLE = (
    Coin("BTCUSDT", "2017-01-01", "2017-07-01", 2_400.0, 1, 0.35, 1.00, 0.00, 0.04, 0.0, 6.0e7, 8, 0.003),
    Coin("ETHUSDT", "2017-01-01", "2017-08-01", 150.0, 2, 0.32, 1.06, 0.65, 0.17, 1.5, 2.8e7, 8, 0.003),
    Coin("SOLUSDT", "2019-03-15", "2019-06-01", 3.0, 3, 0.40, 1.12, 1.15, 0.43, 5.0, 6.5e6),
    Coin("XRPUSDT", "2017-01-01", "2018-01-06", 0.20, 5, 0.18, 0.92, 1.05, 0.34, 6.0, 6.0e6),
    Coin("BNBUSDT", "2017-08-10", "2018-02-10", 8.0, 3, 0.35, 0.94, 0.85, 0.23, 3.5, 5.0e6),
    Coin("DOGEUSDT", "2018-02-05", "2018-07-10", 0.015, 6, 0.25, 1.02, 1.05, 0.47, 9.0, 2.6e6),
    Coin("ADAUSDT", "2017-06-01", "2018-01-31", 0.06, 5, 0.22, 1.04, 1.20, 0.28, 3.5, 2.3e6),
    Coin("TRXUSDT", "2017-09-20", "2018-01-15", 0.02, 6, 0.25, 0.80, 0.80, 0.27, 4.5, 1.5e6),
    Coin("AVAXUSDT", "2019-07-22", "2019-09-22", 6.0, 3, 0.20, 1.14, 1.20, 0.42, 4.5, 2.0e6, 4),
    Coin("LINKUSDT", "2017-10-16", "2018-01-17", 0.5, 4, 0.30, 1.10, 1.15, 0.33, 3.5, 2.2e6),
)

COINS: dict[str, Coin] = {coin.symbol: coin for coin in _TABLE}


def hour_of(day: str) -> int:
    """Count the hours from the market's epoch to 00:00 UTC of an ISO day."""
    return int((datetime.fromisoformat(day).replace(tzinfo=UTC) - EPOCH).total_seconds()) // 3600
