"""Try many parameter sets of TREND over one history; feature arrays are shared between sets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from eternal_engine.backtest.fills import Market, empty_lots
from eternal_engine.backtest.many import Sets, run_sets, trend_features
from eternal_engine.backtest.prepare import day_ranges_of, market_of, settle_opens_of
from eternal_engine.backtest.runner import switched
from eternal_engine.backtest.simulate import refuse_overflow, simulate, tape_for
from eternal_engine.backtest.tape import BARS, DAILY, ORDERS
from eternal_engine.market_data.history import HOUR_MS, MarketHistory
from eternal_engine.portfolio.beginning import initial_states
from eternal_engine.portfolio.params import Features, Params, empty_book, empty_marks
from eternal_engine.reports.daily import day_grid, growth_index
from eternal_engine.reports.metrics import Metrics, measure, measure_all
from eternal_engine.strategies import indicators
from eternal_engine.strategies.base import TREND
from eternal_engine.strategies.trend import TrendParams

Float64Array = npt.NDArray[np.float64]

# Sets of one call: few enough for a user's Ctrl-C to be heard within a second.
AT_ONCE = 200


@dataclass(frozen=True)
class SweepRow:
    """Hold the outcome of one parameter set: TREND's own metrics, with all sets counted as trials."""

    params: TrendParams
    orders: int
    final_equity_usdt: float
    metrics: Metrics


def sweep_trend(
    run: Callable[..., Any],
    params: Params,
    history: MarketHistory,
    daily: indicators.DailyBars,
    features: Features,
    variants: Iterable[TrendParams],
    *,
    first_bar: int,
    last_bar: int,
    capital: tuple[float, float, float, float],
) -> list[SweepRow]:
    """Run TREND alone once per variant over bars [first_bar, last_bar); `run` is `loop.run`, plain or compiled."""
    alone = switched(params, ("trend",))
    market = market_of(history, day_ranges_of(history), settle_opens_of(history))
    symbols = len(history.symbols)
    tape = tape_for(symbols, last_bar - first_bar, DAILY)
    book, lots, marks = empty_book(symbols, params.risk.kelly_window), empty_lots(symbols), empty_marks(symbols)
    beginning = initial_states(alone, symbols)
    tried = list(variants)
    rows = []
    for at in range(0, len(tried), AT_ONCE):
        some = tried[at : at + AT_ONCE]
        sets = _sets_of(some, daily, capital, len(tape.close_h))
        getattr(run, "run_sets", run_sets)(
            alone, features, market, book, lots, marks, beginning, tape, first_bar, last_bar, sets
        )
        refuse_overflow(sets.counts.max(axis=0))
        metrics = _metrics_of(sets, len(tried))
        for n, variant in enumerate(some):
            if n in metrics:
                orders, bars = int(sets.counts[n, ORDERS]), int(sets.counts[n, BARS])
                rows.append(SweepRow(variant, orders, float(sets.equity[n, bars - 1]), metrics[n]))
            else:
                chosen = alone._replace(trend=variant)
                seen = features._replace(trend=trend_features(features.trend, sets, n))
                rows.append(_ruined(run, chosen, seen, market, first_bar, last_bar, capital, len(tried)))
    return rows


def _metrics_of(sets: Sets, trials: int) -> dict[int, Metrics]:
    """Measure the sets, by number, whose equity never touched zero; nobody pays TREND alone anything in or out."""
    sound, bars = sets.lowest > 0.0, sets.counts[:, BARS]
    found: dict[int, Metrics] = {}
    # The rows of a tape are the market's: all sets have as many. Nothing here depends on it.
    for count in np.unique(bars[sound]):
        numbers = np.flatnonzero(sound & (bars == count))
        equity = sets.equity[numbers, :count]
        found |= zip(numbers.tolist(), measure_all(equity / equity[:, :1], trials=trials), strict=True)
    return found


def _sets_of(
    variants: Sequence[TrendParams], daily: indicators.DailyBars, capital: tuple[float, float, float, float], rows: int
) -> Sets:
    """Gather sets and every indicator that any of them asks for, and make room for `rows` of results each."""
    which = np.empty((len(variants), 4), np.int64)
    found = []
    for column, kind in enumerate(("sma", "ema", "adx", "atr")):
        asked = np.array([getattr(variant, f"{kind}_days") for variant in variants])
        days, which[:, column] = np.unique(asked, return_inverse=True)
        found.append(np.stack([getattr(indicators, kind)(daily, period) for period in days.tolist()]))
    sma, ema, adx, atr = found
    return Sets(
        numbers=np.array(variants, np.float64),
        which=which,
        sma=sma,
        ema=ema,
        adx=adx,
        atr=atr,
        cash=np.array(capital, np.float64),
        equity=np.empty((len(variants), rows)),
        counts=np.zeros((len(variants), 5), np.int64),
        lowest=np.empty(len(variants)),
    )


def _ruined(
    run: Callable[..., Any],
    params: Params,
    features: Features,
    market: Market,
    first_bar: int,
    last_bar: int,
    capital: tuple[float, float, float, float],
    trials: int,
) -> SweepRow:
    """Run a set again hour by hour: how a ruined book is measured depends on its hours."""
    done = simulate(run, params, features, market, first_bar=first_bar, last_bar=last_bar, capital=capital)
    count = int(done.tape.counts[BARS])
    equity, flow = done.tape.equity[TREND, :count], done.tape.engine_flow[TREND, :count]
    index = growth_index(equity, flow, day_grid(done.tape.close_h[:count] * HOUR_MS).row)
    return SweepRow(params.trend, int(done.tape.counts[ORDERS]), float(equity[-1]), measure(index, trials=trials))
