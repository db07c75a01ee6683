"""All parameters of the pure core in one frozen place, and what the hourly procedure passes around."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from eternal_engine.risk.breaker import RiskState
from eternal_engine.risk.manager import RiskParams
from eternal_engine.risk.sizing import Instruments
from eternal_engine.strategies.core_hodl import CoreParams, CoreState
from eternal_engine.strategies.funding import FundingFeatures, FundingParams, FundingState
from eternal_engine.strategies.tactical import TacticalFeatures, TacticalParams, TacticalState
from eternal_engine.strategies.trend import TrendFeatures, TrendParams, TrendState

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]

# Beside the engines in `BookView.active` and `held`: symbols of which any engine holds a perp.
PERPS: Final = 4


class Params(NamedTuple):
    """Hold every parameter of strategies, risk, instruments and costs; `approval_delay_h` is BRK-5's operator."""

    core: CoreParams
    trend: TrendParams
    funding: FundingParams
    tactical: TacticalParams
    risk: RiskParams
    instruments: Instruments
    approval_delay_h: int


class Features(NamedTuple):
    """Hold the vectorised features of all strategies; `first_day` is the epoch day of row 0 of daily arrays."""

    trend: TrendFeatures
    funding: FundingFeatures
    tactical: TacticalFeatures
    first_day: int


class Marks(NamedTuple):
    """Hold, per symbol, the last closes (USDT, NaN before the first) and the hours their bars opened."""

    spot: Float64Array
    perp: Float64Array
    spot_h: Int64Array
    perp_h: Int64Array


class BookView(NamedTuple):
    """Hold the books as floats: cash [4]; per engine and symbol [4, S] spot coins, cost, signed perp coins, entry.

    `realised` [4] net results of closed and cut parts; `open_costs` [4, S] funding less fees of open positions,
    `trade` [4, S] all results of the open position so far; `trend_pnls` ring buffer of TREND's closed trades and
    `trend_closed` [1] their count;
    `active` [5] how many symbols each engine holds, and at PERPS how many are held as a perp by any; `held` [5, S]
    begins with these symbols, in their order. Both are kept by `valuation.count_active`.
    """

    cash: Float64Array
    spot_qty: Float64Array
    spot_cost: Float64Array
    perp_qty: Float64Array
    perp_entry: Float64Array
    realised: Float64Array
    open_costs: Float64Array
    trade: Float64Array
    trend_pnls: Float64Array
    trend_closed: Int64Array
    active: Int64Array
    held: Int64Array


class Equities(NamedTuple):
    """Hold the engines' equities in USDT at one mark, and the gross notional of the two that hold perps.

    `known` is false when a needed price is not (U-6).
    """

    core: float
    trend: float
    funding: float
    tactical: float
    trend_notional: float
    funding_notional: float
    known: bool


class States(NamedTuple):
    """Hold the state of every rule that must survive a restart."""

    risk: RiskState
    core: CoreState
    trend: TrendState
    funding: FundingState
    tactical: TacticalState


class Intent(NamedTuple):
    """One approved order, in whole steps of its instrument.

    `qty_steps` base steps (PAIR: perp steps) or `quote_steps` for spot purchases sized in USDT; the other is 0.
    `reduces` never opens or grows a position. `rule` says what resized it, `stop_distance` and `atr` go with TREND.
    `unit` is the size of one step when it was decided, base coins or USDT: the exchange may change its steps meanwhile;
    0 stands for the present one.
    """

    engine: int
    symbol: int
    market: int
    side: int
    reduces: bool
    qty_steps: int
    quote_steps: int
    price: float
    reason: int
    rule: int
    decided_h: int
    stop_distance: float
    atr: float
    plan_usdt: float
    level: int
    unit: float


class Decision(NamedTuple):
    """One reviewed signal, for journal, report and `why`: what was asked, if it passed, the rule that spoke.

    `asked_usdt` is the notional before any limit, at the price of the decision.
    """

    now_h: int
    engine: int
    symbol: int
    reason: int
    approved: bool
    rule: int
    asked_usdt: float


NO_INTENT = Intent(0, 0, 0, 0, False, 0, 0, 0.0, 0, 0, 0, 0.0, 0.0, 0.0, 0, 0.0)
NO_DECISION = Decision(0, 0, 0, 0, False, 0, 0.0)


def no_intents() -> list[Intent]:
    """Give an empty list of intents whose element type a compiler can see."""
    intents = [NO_INTENT]
    intents.pop()
    return intents


def no_decisions() -> list[Decision]:
    """Give an empty list of decisions whose element type a compiler can see."""
    decisions = [NO_DECISION]
    decisions.pop()
    return decisions


def empty_book(symbols: int, kelly_window: int) -> BookView:
    """Give books without money."""
    return BookView(
        cash=np.zeros(4),
        spot_qty=np.zeros((4, symbols)),
        spot_cost=np.zeros((4, symbols)),
        perp_qty=np.zeros((4, symbols)),
        perp_entry=np.zeros((4, symbols)),
        realised=np.zeros(4),
        open_costs=np.zeros((4, symbols)),
        trade=np.zeros((4, symbols)),
        trend_pnls=np.zeros(kelly_window),
        trend_closed=np.zeros(1, np.int64),
        active=np.zeros(5, np.int64),
        held=np.zeros((5, symbols), np.int64),
    )


def empty_marks(symbols: int) -> Marks:
    """Give marks before any bar."""
    return Marks(
        spot=np.full(symbols, np.nan),
        perp=np.full(symbols, np.nan),
        spot_h=np.full(symbols, -1, np.int64),
        perp_h=np.full(symbols, -1, np.int64),
    )
