"""A sweep takes shortcuts that nobody can tell from outside: each result is that of a full run of the same set."""

from __future__ import annotations

import numpy as np
import pytest

from core_builders import CAPITAL, QUICK_TREND, THREE, a_random_history, only, some_params
from eternal_engine.backtest.prepare import daily_bars_of, features_of, market_of
from eternal_engine.backtest.simulate import plain_run, simulate, tape_for
from eternal_engine.backtest.sweep import SweepRow, sweep_trend
from eternal_engine.backtest.tape import BARS, DAILY, ORDERS
from eternal_engine.market_data.history import HOUR_MS, MarketHistory
from eternal_engine.portfolio.params import Params
from eternal_engine.reports.daily import day_grid, growth_index
from eternal_engine.reports.metrics import measure
from eternal_engine.strategies.base import TREND
from eternal_engine.strategies.trend import TrendParams


def lively(**changes: object) -> Params:
    trend = {**QUICK_TREND, "adx_min": 5.0, "shorts": True, "risk_frac": 0.2, "stop_atr": 1.0, **changes}
    return only(
        "trend",
        THREE,
        trend=trend,
        risk={"max_position_frac": 0.9, "trend_max_own_frac": 2.0, "correlation_deny": 1.1},
        ladder={"daily_loss_frac": 0.3, "weekly_loss_frac": 0.5},
    )


def full_run(history: MarketHistory, params: Params, variant: TrendParams, trials: int, first_bar: int) -> SweepRow:
    chosen = params._replace(trend=variant)
    done = simulate(
        plain_run,
        chosen,
        features_of(chosen, history),
        market_of(history),
        first_bar=first_bar,
        last_bar=history.hours,
        capital=CAPITAL,
    )
    bars = int(done.tape.counts[BARS])
    grid = day_grid(done.tape.close_h[:bars] * HOUR_MS)
    equity = done.tape.equity[TREND, :bars]
    index = growth_index(equity, done.tape.engine_flow[TREND, :bars], grid.row)
    return SweepRow(variant, int(done.tape.counts[ORDERS]), float(equity[-1]), measure(index, trials=trials))


@pytest.mark.parametrize("seed", range(6))
def test_each_row_of_a_sweep_is_the_full_run_of_its_set(seed: int) -> None:
    history = a_random_history(seed, days=50, holes=(0, 25)[seed % 2], vol=(0.006, 0.015, 0.04)[seed % 3])
    # A ruin within the run, too: everything on one card.
    params = lively(risk_frac=5.0, leverage=9.0) if seed == 5 else lively()
    first_bar = (0, 24, 31)[seed % 3]
    variants = [
        params.trend._replace(sma_days=sma, adx_min=adx, stop_atr=stop)
        for sma, adx, stop in ((6, 5.0, 1.0), (4, 20.0, 0.5), (8, 0.0, 2.0))
    ]
    daily = daily_bars_of(history)
    features = features_of(params, history, daily)
    rows = sweep_trend(
        plain_run, params, history, daily, features, variants,
        first_bar=first_bar, last_bar=history.hours, capital=CAPITAL,
    )  # fmt: skip
    assert rows == [full_run(history, params, variant, len(variants), first_bar) for variant in variants]
    assert max(row.orders for row in rows) > 8


def test_rows_of_a_daily_tape_are_the_last_rows_of_the_days() -> None:
    history = a_random_history(3, days=40, vol=0.02)
    params = lively()
    tapes = [tape_for(3, history.hours), tape_for(3, history.hours, DAILY)]
    for tape in tapes:
        simulate(
            plain_run, params, features_of(params, history), market_of(history),
            first_bar=0, last_bar=history.hours, capital=CAPITAL, tape=tape,
        )  # fmt: skip
    hourly, daily = tapes
    count = int(hourly.counts[BARS])
    rows = day_grid(hourly.close_h[:count] * HOUR_MS).row
    assert int(daily.counts[BARS]) == len(rows) == 41
    for name in ("close_h", "level"):
        assert getattr(daily, name)[: len(rows)].tolist() == getattr(hourly, name)[rows].tolist(), name
    for name in ("equity", "exposure"):
        assert np.array_equal(getattr(daily, name)[:, : len(rows)], getattr(hourly, name)[:, rows]), name
    for name in ("fees", "slippage", "funding"):
        assert getattr(daily, name).sum() == pytest.approx(getattr(hourly, name).sum()), name
    assert daily.lowest[0] == hourly.equity[TREND, :count].min() < 20_000.0


def test_a_daily_tape_refuses_engines_that_move_money() -> None:
    history = a_random_history(0, days=12)
    params = some_params(THREE)
    with pytest.raises(ValueError, match="flows of one bar"):
        simulate(
            plain_run, params, features_of(params, history), market_of(history),
            first_bar=0, last_bar=history.hours, capital=CAPITAL, tape=tape_for(3, history.hours, DAILY),
        )  # fmt: skip
