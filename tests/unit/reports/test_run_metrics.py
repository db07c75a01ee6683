"""The figures of a whole run: flows, costs, trades, engines."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from builders import a_backtest_result
from eternal_engine.reports.result import ENGINES
from eternal_engine.reports.run_metrics import hourly_drawdown, measure_run, profit_factor, win_rate


def test_j6_the_engines_profits_sum_to_the_portfolios() -> None:
    found = measure_run(a_backtest_result(days=60))
    assert sum(one.profit_usdt for one in found.engines.values()) == pytest.approx(found.portfolio.profit_usdt)
    assert sum(one.contribution_frac for one in found.engines.values()) == pytest.approx(
        found.portfolio.total_return_frac
    )
    assert sum(one.orders for one in found.engines.values()) == 2000


def test_a_transfer_between_engines_is_nobodys_return() -> None:
    plain = a_backtest_result(days=30)
    equity, flow = plain.equity.copy(), plain.engine_flow.copy()
    moved = 400.0
    growth_core = equity[0, 301:] / equity[0, 300]
    growth_tactical = equity[3, 301:] / equity[3, 300]
    equity[0, 300] += moved
    equity[3, 300] -= moved
    equity[0, 301:] = equity[0, 300] * growth_core
    equity[3, 301:] = equity[3, 300] * growth_tactical
    flow[0, 300], flow[3, 300] = moved, -moved
    with_transfer = measure_run(replace(plain, equity=equity, engine_flow=flow))
    without = measure_run(plain)
    for name in ("core_hodl", "tactical"):
        assert with_transfer.engines[name].total_return_frac == pytest.approx(without.engines[name].total_return_frac)
        assert with_transfer.engines[name].sharpe == pytest.approx(without.engines[name].sharpe)
    assert with_transfer.engines["core_hodl"].flows_usdt == moved
    assert with_transfer.engines["tactical"].flows_usdt == -moved


def test_weekly_deposits_do_not_count_as_growth() -> None:
    hours = 24 * 28 + 1
    flow = np.zeros(hours)
    flow[168::168] = 200.0
    equity = np.zeros((4, hours))
    equity[0] = 1000.0 + np.cumsum(flow)
    engine_flow = np.zeros((4, hours))
    engine_flow[0] = flow
    run = a_backtest_result(days=28, equity=equity, external_flow=flow, engine_flow=engine_flow, exposure=equity * 0)
    found = measure_run(run).portfolio
    assert found.total_return_frac == pytest.approx(0.0, abs=1e-12)
    assert found.deposits_usdt == 800.0
    assert found.profit_usdt == pytest.approx(0.0)
    assert found.max_drawdown_frac == 0.0


def test_costs_are_the_sums_of_the_bars() -> None:
    run = a_backtest_result(days=20)
    found = measure_run(run)
    for row, name in enumerate(ENGINES):
        assert found.engines[name].fees_usdt == pytest.approx(float(run.fees[row].sum()))
        assert found.engines[name].funding_usdt == pytest.approx(float(run.funding[row].sum()))
    assert found.portfolio.slippage_usdt == pytest.approx(float(run.slippage.sum()))


def test_turnover_is_traded_notional_a_year_over_mean_equity() -> None:
    run = a_backtest_result(days=365)
    notional = sum(order.qty * order.price for order in run.orders)
    mean = float(run.equity.sum(axis=0)[::24].mean())
    assert measure_run(run).portfolio.turnover_per_year == pytest.approx(notional / mean)


def test_j12_without_closed_trades_there_is_no_win_rate() -> None:
    found = measure_run(a_backtest_result(days=20))
    assert found.engines["core_hodl"].closed_trades == 0
    assert found.engines["core_hodl"].win_rate_frac is None
    assert found.engines["core_hodl"].profit_factor is None
    assert found.engines["trend"].win_rate_frac is not None


def test_win_rate_and_profit_factor_count_costs() -> None:
    row = a_backtest_result(days=2).trades[0]
    trades = [replace(row, pnl_usdt=pnl) for pnl in (30.0, -10.0, -5.0, 0.0)]
    assert win_rate(trades) == 0.25
    assert profit_factor(trades) == 2.0
    assert profit_factor(trades[:1]) is None


def test_exposure_is_over_the_books_own_equity() -> None:
    found = measure_run(a_backtest_result(days=20))
    assert found.engines["trend"].exposure_mean_frac == pytest.approx(0.4)
    assert found.engines["trend"].time_in_market_frac == 1.0


def test_an_engine_that_is_off_is_not_reported() -> None:
    run = a_backtest_result(days=20, engines=("trend",))
    run = replace(run, trades=tuple(t for t in run.trades if t.engine == "trend"))
    found = measure_run(run)
    assert list(found.engines) == ["trend"]
    assert found.portfolio.closed_trades == len(run.trades)


def test_j10_the_hourly_marked_drawdown_is_never_shallower_than_the_daily_one() -> None:
    run = a_backtest_result(days=200)
    assert hourly_drawdown(run) <= measure_run(run).portfolio.max_drawdown_frac


def test_j15_years_are_those_between_the_first_and_the_last_close() -> None:
    assert measure_run(a_backtest_result(days=730)).portfolio.years == pytest.approx(2.0)
