"""The contracts the venue lists: steps, minimums, bands and caps, with the recorded values of 2025 as defaults."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

Category = Literal["spot", "linear"]

SPOT: Category = "spot"
LINEAR: Category = "linear"


@dataclass(frozen=True, slots=True)
class Instrument:
    """Hold the trading rules of one symbol in one category; quantities in base coins, values in the quote coin.

    `quote_step`, `min_value` are what spot checks on amounts; `max_leverage`, `mmr` (maintenance margin as a
    fraction of value), `funding_interval_min` and `funding_cap` matter for linear only.
    """

    category: Category
    symbol: str
    base: str
    quote: str
    tick: Decimal
    qty_step: Decimal
    quote_step: Decimal
    min_qty: Decimal
    min_value: Decimal
    max_limit_qty: Decimal
    max_market_qty: Decimal
    band_x: Decimal
    band_y: Decimal
    status: str = "Trading"
    max_leverage: Decimal = Decimal(1)
    mmr: Decimal = Decimal("0.005")
    funding_interval_min: int = 480
    funding_cap: Decimal = Decimal("0.005")
    launch_ms: int = 1_584_230_400_000
    symbol_id: int = 0
    delivery_ms: int = 0


# A maximum of 1000000000 was not found in any record: it refuses nothing.
# base | base step | quote step | min qty (no longer checked) | tick | X | Y | max limit | max market
_SPOT_ROWS = """
BTC  0.000001 0.0000001 0.000011 0.1     0.005 0.01 83         41.5
ETH  0.00001  0.0000001 0.00029  0.01    0.01  0.03 1000000000 1000000000
SOL  0.001    0.00001   0.006    0.01    0.02  0.06 1000000000 1000000000
XRP  0.01     0.000001  0.44     0.0001  0.02  0.06 1000000000 1000000000
BNB  0.0001   0.00001   0.0019   0.1     0.02  0.06 1000000000 1000000000
DOGE 0.1      0.000001  3        0.00001 0.03  0.06 1000000000 1000000000
ADA  0.01     0.000001  1.07     0.0001  0.05  0.1  1000000000 1000000000
TRX  0.01     0.000001  3.91     0.0001  0.03  0.06 1000000000 1000000000
AVAX 0.001    0.00001   0.06     0.01    0.03  0.06 1000000000 1000000000
LINK 0.001    0.00001   0.04     0.01    0.03  0.06 1000000000 1000000000
"""

# base | tick | min qty = step | max limit | max market | max leverage | funding cap | X | Y
_LINEAR_ROWS = """
BTC  0.10    0.001 1190       119        100 0.005  0.01 0.02
ETH  0.01    0.01  7240       724        100 0.005  0.02 0.04
SOL  0.010   0.1   79770      11740      100 0.005  0.05 0.1
XRP  0.0001  1     10965300   2467800    75  0.0058 0.05 0.1
BNB  0.10    0.01  1000000000 1000000000 50  0.005  0.05 0.1
DOGE 0.00001 1     43678900   5991100    75  0.0058 0.05 0.1
ADA  0.0001  1     6315500    1109600    75  0.0058 0.05 0.1
TRX  0.00001 1     5417800    1356000    75  0.0058 0.05 0.1
AVAX 0.001   0.1   1000000000 1000000000 50  0.0058 0.05 0.1
LINK 0.001   0.1   1000000000 1000000000 50  0.0058 0.05 0.1
"""


def _spot(position: int, row: str) -> Instrument:
    base, step, quote_step, min_qty, tick, band_x, band_y, max_limit, max_market = row.split()
    return Instrument(
        category=SPOT,
        symbol=f"{base}USDT",
        base=base,
        quote="USDT",
        tick=Decimal(tick),
        qty_step=Decimal(step),
        quote_step=Decimal(quote_step),
        min_qty=Decimal(min_qty),
        min_value=Decimal(5),
        max_limit_qty=Decimal(max_limit),
        max_market_qty=Decimal(max_market),
        band_x=Decimal(band_x),
        band_y=Decimal(band_y),
        symbol_id=100 + position,
    )


def _linear(position: int, row: str) -> Instrument:
    base, tick, step, max_limit, max_market, max_leverage, cap, band_x, band_y = row.split()
    return Instrument(
        category=LINEAR,
        symbol=f"{base}USDT",
        base=base,
        quote="USDT",
        tick=Decimal(tick),
        qty_step=Decimal(step),
        quote_step=Decimal("0.0001"),
        min_qty=Decimal(step),
        min_value=Decimal(5),
        max_limit_qty=Decimal(max_limit),
        max_market_qty=Decimal(max_market),
        band_x=Decimal(band_x),
        band_y=Decimal(band_y),
        max_leverage=Decimal(max_leverage),
        funding_cap=Decimal(cap),
        symbol_id=5 + position,
    )


def default_instruments(symbols: Iterable[str] | None = None) -> dict[tuple[Category, str], Instrument]:
    """List the ten coins as spot and linear; `symbols` (such as "BTCUSDT") keeps only those.

    Source: recorded instruments-info answers of 2024 and 2025, gaps filled from public symbol property tables.
    """
    spot = [_spot(number, row) for number, row in enumerate(_SPOT_ROWS.strip().splitlines())]
    linear = [_linear(number, row) for number, row in enumerate(_LINEAR_ROWS.strip().splitlines())]
    kept = None if symbols is None else set(symbols)
    return {(item.category, item.symbol): item for item in (*spot, *linear) if kept is None or item.symbol in kept}
