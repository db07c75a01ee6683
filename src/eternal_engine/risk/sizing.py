"""From wishes to whole steps of an instrument (U-3), and the two size rules of TREND (TREND-S1, RISK-7)."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from eternal_engine.model.rule import Rule
from eternal_engine.model.steps import steps_up, whole_steps

Float64Array = npt.NDArray[np.float64]

RULES = (
    Rule(
        "U-3",
        "Kernels return whole instrument steps, floor(x / step + 1e-6); the shell multiplies by the Decimal step.",
        (),
        ("tests/unit/risk/test_sizing.py::test_u_3_whole_steps",),
    ),
    Rule(
        "U-9",
        "A fill is the open plus or minus slippage, rounded to the tick against us.",
        ("costs.slippage_bps",),
        ("tests/unit/risk/test_sizing.py::test_u_9_price_rounds_against_us",),
    ),
    Rule(
        "RISK-7",
        "From 30 closed trades TREND's notional is capped by an eighth of Kelly, never under half its risk size.",
        ("risk.kelly.min_trades", "risk.kelly.window", "risk.kelly.divisor", "risk.kelly.floor_frac"),
        ("tests/unit/risk/test_sizing.py::test_risk_7_kelly_fraction",),
    ),
)


class Instruments(NamedTuple):
    """Hold the trading rules per symbol as floats: ticks and minimums in USDT, steps and maxima in base coins."""

    spot_tick: Float64Array
    spot_step: Float64Array
    quote_step: Float64Array
    spot_min_usdt: Float64Array
    spot_max_qty: Float64Array
    perp_tick: Float64Array
    perp_step: Float64Array
    perp_min_qty: Float64Array
    perp_min_usdt: Float64Array
    perp_max_qty: Float64Array


def fill_price(price: float, side: int, slippage_frac: float, tick: float) -> float:
    """Give the price of a market fill: slipped and rounded to the tick against the taker (U-9)."""
    slipped = price * (1.0 + side * slippage_frac)
    if side > 0:
        return steps_up(slipped, tick) * tick
    return whole_steps(slipped, tick) * tick


def kelly_frac(pnls: Float64Array, count: int, window: int, divisor: float) -> float:
    """Give the capped Kelly fraction of engine equity over the last trades; negative means no edge (RISK-7).

    `pnls` is a ring buffer of net results in USDT of at least `window` slots, `count` the trades closed so far.
    """
    trades = min(count, window)
    wins = 0
    losses = 0
    won = 0.0
    lost = 0.0
    slot = (count - 1) % len(pnls)
    for _ in range(trades):
        pnl = pnls[slot]
        slot = slot - 1 if slot > 0 else len(pnls) - 1
        if pnl > 0.0:
            wins += 1
            won += pnl
        elif pnl < 0.0:
            losses += 1
            lost -= pnl
    win_rate = wins / trades
    if losses == 0:
        return win_rate / divisor
    if wins == 0:
        return -math.inf
    ratio = (won / wins) / (lost / losses)
    return (win_rate - (1.0 - win_rate) / ratio) / divisor
