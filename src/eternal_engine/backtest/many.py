"""Many parameter sets of TREND alone in a single call: between two runs Python has nothing to do."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from eternal_engine.backtest.fills import Lots, Market
from eternal_engine.backtest.lending import lend, refer
from eternal_engine.backtest.loop import run
from eternal_engine.backtest.tape import BARS, Tape, rewind_alone
from eternal_engine.portfolio.params import BookView, Features, Marks, Params, States
from eternal_engine.strategies.base import TREND
from eternal_engine.strategies.trend import TrendFeatures, TrendParams

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]


class Sets(NamedTuple):
    """Hold N parameter sets of TREND and what becomes of them.

    `numbers` [N, 17] are the fields of TrendParams; `which` [N, 4] says which of the indicators `sma`, `ema`, `adx` and
    `atr` [K, S, D] each set looks at; `cash` [4] is what every run begins with (USDT). Results: `equity` [N, rows] is
    TREND's by row of the tape, `counts` [N, 5] the tape's and `lowest` [N] TREND's lowest equity, as on the tape.
    """

    numbers: Float64Array
    which: Int64Array
    sma: Float64Array
    ema: Float64Array
    adx: Float64Array
    atr: Float64Array
    cash: Float64Array
    equity: Float64Array
    counts: Int64Array
    lowest: Float64Array


def no_sets() -> Sets:
    """Give what stands for a single run."""
    return Sets(
        numbers=np.empty((0, 0)),
        which=np.empty((0, 0), np.int64),
        sma=np.empty((0, 0, 0)),
        ema=np.empty((0, 0, 0)),
        adx=np.empty((0, 0, 0)),
        atr=np.empty((0, 0, 0)),
        cash=np.empty(0),
        equity=np.empty((0, 0)),
        counts=np.empty((0, 0), np.int64),
        lowest=np.empty(0),
    )


def run_sets(
    params: Params,
    features: Features,
    market: Market,
    book: BookView,
    lots: Lots,
    marks: Marks,
    states: States,
    tape: Tape,
    first_bar: int,
    last_bar: int,
    sets: Sets,
) -> None:
    """Run bars [first_bar, last_bar) once per set, each from the same `states` and cash, on the same books and tape."""
    for n in range(len(sets.numbers)):
        chosen = Params(
            params.core, trend_params(sets.numbers[n]), params.funding, params.tactical, params.risk,
            params.instruments, params.approval_delay_h,
        )  # fmt: skip
        seen = Features(
            trend_features(features.trend, sets, n), features.funding, features.tactical, features.first_day
        )
        begin_anew(book, lots, marks, sets.cash)
        rewind_alone(tape, TREND)
        run(
            lend(chosen), lend(seen), lend(market), lend(book), lend(lots), lend(marks), refer(states), lend(tape),
            first_bar, last_bar, 0.0,
        )  # fmt: skip
        rows = tape.counts[BARS]
        sets.equity[n, :rows] = tape.equity[TREND, :rows]
        sets.counts[n, :] = tape.counts
        sets.lowest[n] = tape.lowest[0]


def trend_params(numbers: Float64Array) -> TrendParams:
    """Give a set's parameters from their numbers, in the order of their fields."""
    return TrendParams(
        bool(numbers[0]), int(numbers[1]), int(numbers[2]), int(numbers[3]), float(numbers[4]), int(numbers[5]),
        int(numbers[6]), float(numbers[7]), float(numbers[8]), float(numbers[9]), float(numbers[10]),
        float(numbers[11]), bool(numbers[12]), int(numbers[13]), bool(numbers[14]), float(numbers[15]),
        float(numbers[16]),
    )  # fmt: skip


def trend_features(rows: TrendFeatures, sets: Sets, n: int) -> TrendFeatures:
    """Give TREND's features with the indicators of one set."""
    which = sets.which[n]
    return TrendFeatures(
        rows.close, sets.sma[which[0]], sets.ema[which[1]], sets.adx[which[2]], sets.atr[which[3]], rows.volume,
        rows.volume_mean, rows.days_known, rows.bars,
    )  # fmt: skip


def begin_anew(book: BookView, lots: Lots, marks: Marks, cash: Float64Array) -> None:
    """Empty books and marks that an earlier run has filled, and pay in the cash."""
    book.cash[:] = cash
    book.spot_qty[:] = 0.0
    book.spot_cost[:] = 0.0
    book.perp_qty[:] = 0.0
    book.perp_entry[:] = 0.0
    book.realised[:] = 0.0
    book.open_costs[:] = 0.0
    book.trade[:] = 0.0
    book.trend_pnls[:] = 0.0
    book.trend_closed[:] = 0
    book.active[:] = 0
    book.held[:] = 0
    lots.opened_h[:] = 0
    lots.entry_reason[:] = 0
    lots.qty[:] = 0.0
    lots.entry[:] = 0.0
    lots.fees[:] = 0.0
    lots.funding[:] = 0.0
    marks.spot[:] = math.nan
    marks.perp[:] = math.nan
    marks.spot_h[:] = -1
    marks.perp_h[:] = -1
