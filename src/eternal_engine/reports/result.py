"""What one backtest run hands to metrics and reports: plain arrays and frozen rows, nothing computed yet."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from eternal_engine.market_data.history import Gap

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]

ENGINES = ("core_hodl", "trend", "funding", "tactical")


@dataclass(frozen=True)
class OrderRow:
    """One executed order. `decided_ms` is the close of the deciding bar (a touched stop: the open time of its bar).

    qty in base coins before any fee in coin, price in USDT after slippage and tick, `reason` a rule id.
    """

    decided_ms: int
    filled_ms: int
    engine: str
    symbol: str
    market: str  # "spot" | "perp"
    side: str  # "buy" | "sell"
    qty: float
    price: float
    fee_usdt: float
    slippage_usdt: float
    reason: str


@dataclass(frozen=True)
class TradeRow:
    """One closed position of TREND, FUNDING or TACTICAL; FUNDING's row is the whole pair. PnL is net of all costs."""

    engine: str
    symbol: str
    position_side: str  # "long" | "short" | "pair"
    opened_ms: int
    closed_ms: int
    qty: float
    entry_price: float
    exit_price: float
    pnl_usdt: float
    fees_usdt: float
    funding_usdt: float  # positive = received
    entry_reason: str
    exit_reason: str


@dataclass(frozen=True)
class EventRow:
    """One thing that happened beside orders: breaker changes, approvals, loss limits, phases, transfers, notes.

    `kind`: breaker | approval | loss_limit | phase | plan | transfer | deposit | liquidation | note | delisting.
    """

    at_ms: int
    kind: str
    engine: str  # "" = all
    symbol: str  # "" = none
    rule: str
    detail: str
    amount_usdt: float


@dataclass(frozen=True)
class PositionRow:
    """One position still open at the end, marked at the last close (J12). `value_usdt` is its notional."""

    engine: str
    symbol: str
    market: str  # "spot" | "perp"
    qty: float  # negative = short
    entry_price: float
    mark_price: float
    value_usdt: float
    unrealised_usdt: float


def _no_floats() -> Float64Array:
    return np.empty(0, dtype=np.float64)


@dataclass(frozen=True)
class BacktestResult:
    """Hold one run. Arrays run over the N processed bar closes; engines are in the order of `ENGINES`.

    close_ms [N]: instants at which bars closed. equity [4, N]: USDT per engine, marked at that close, after flows.
    external_flow [N]: deposits into the portfolio in the bar (USDT). engine_flow [4, N]: all transfers and deposits
    in and out of each engine. exposure [4, N]: gross notional. fees, slippage, funding [4, N]: paid (fees, slippage)
    or received (funding) by each engine in the bar. breaker_level [N].
    The first element is the state at `start`, before anything traded.

    The last fields have defaults: `btc_daily_before` [B] holds BTC's daily closes of the B days that end at
    close_ms[0], oldest first, the last one being that of the day that ends there (regimes need what came before the
    start; empty: they warm up inside the run).
    """

    engines: tuple[str, ...]  # the engines that were switched on
    symbols: tuple[str, ...]
    capital_usdt: float
    deposit_weekly_usdt: float
    seed: int | None
    requested_start_ms: int
    requested_end_ms: int
    close_ms: Int64Array
    equity: Float64Array
    external_flow: Float64Array
    engine_flow: Float64Array
    exposure: Float64Array
    fees: Float64Array
    slippage: Float64Array
    funding: Float64Array
    breaker_level: Int64Array
    orders: tuple[OrderRow, ...]
    trades: tuple[TradeRow, ...]
    events: tuple[EventRow, ...]
    denials: dict[str, int]  # "engine:rule" -> how often
    breaker_events: int
    approvals: int
    # spot closes of the benchmark coins at close_ms (forward-filled), USDT
    btc_close: Float64Array
    eth_close: Float64Array
    source: str
    synthetic: bool
    fingerprint: str
    history_start_ms: int
    gaps: tuple[Gap, ...]
    notes: tuple[str, ...]
    instrument_table: str
    config_hash: str
    result_hash: str
    timing_ms: dict[str, float]
    btc_daily_before: Float64Array = field(default_factory=_no_floats)
    open_positions: tuple[PositionRow, ...] = ()
    spot_fee_frac: float = 0.001
    slippage_frac: float = 0.0005
