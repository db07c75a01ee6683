"""The report computed from a run."""

from __future__ import annotations

import numpy as np
import pytest

from builders import a_backtest_result
from eternal_engine.market_data.history import DAY_MS
from eternal_engine.reports.assemble import build_report, day_regimes, known_prices
from eternal_engine.reports.market_regime import Regime, regimes
from eternal_engine.reports.run_metrics import measure_run


def test_j11_a_month_of_a_half_up_and_a_half_down_is_a_quarter_lost() -> None:
    hours = 24 * 31 + 1
    total = np.full(hours, 100.0)
    total[24:] = 150.0
    total[48:] = 75.0
    equity = np.zeros((4, hours))
    equity[0] = total
    report = build_report(a_backtest_result(days=31, equity=equity, exposure=equity * 0))
    assert [(line.year, line.month, line.days) for line in report.months] == [(2020, 1, 31)]
    assert report.months[0].return_frac == pytest.approx(-0.25)


def test_months_and_years_compound_to_the_total() -> None:
    report = build_report(a_backtest_result(days=800))
    whole = 1 + report.metrics.total_return_frac
    assert np.prod([1 + line.return_frac for line in report.months]) == pytest.approx(whole)
    assert np.prod([1 + line.return_frac for line in report.years]) == pytest.approx(whole)
    assert sum(line.days for line in report.months) == 800


def test_j16_regime_returns_compound_to_the_portfolios_total() -> None:
    report = build_report(a_backtest_result(days=500))
    assert np.prod([1 + line.return_frac for line in report.regimes]) == pytest.approx(
        1 + report.metrics.total_return_frac
    )
    assert sum(line.days for line in report.regimes) == 500


def test_j16_the_regime_of_a_day_does_not_depend_on_that_day() -> None:
    run = a_backtest_result(days=300)
    rows = measure_run(run).grid.row
    crashed = run.btc_close.copy()
    crashed[rows[250] + 1 :] *= 0.5
    other = a_backtest_result(days=300, btc_close=crashed)
    before, after = day_regimes(run, rows), day_regimes(other, rows)
    assert np.array_equal(after[:251], before[:251])
    assert before[250] != Regime.CRISIS
    assert after[251] == Regime.CRISIS


def test_closes_before_the_start_warm_the_regimes_up() -> None:
    before = 20_000 * 0.995 ** np.arange(300)
    run = a_backtest_result(days=10, btc_daily_before=before)
    rows = measure_run(run).grid.row
    whole = np.concatenate((before[:-1], run.btc_close[rows]))
    assert day_regimes(run, rows).tolist() == regimes(whole)[-11:-1].tolist()
    assert set(day_regimes(run, rows)) != {2}


def test_prices_not_known_yet_do_not_move() -> None:
    assert known_prices(np.array([np.nan, 5.0, 6.0])).tolist() == [5.0, 5.0, 6.0]
    assert known_prices(np.array([np.nan, np.nan])).tolist() == [1.0, 1.0]
    report = build_report(a_backtest_result(days=40, btc_close=np.full(961, np.nan)))
    assert {line.regime: line.days for line in report.regimes}["sideways"] == 40


def test_j15_a_run_shorter_than_asked_says_so() -> None:
    run = a_backtest_result(days=100)
    asked = a_backtest_result(days=100, requested_start_ms=run.requested_start_ms - 365 * DAY_MS)
    assert not build_report(run).data.shortened
    data = build_report(asked).data
    assert data.shortened
    assert (data.requested_start, data.start, data.end, data.days) == ("2019-01-01", "2020-01-01", "2020-04-09", 100)


def test_a_synthetic_run_is_marked() -> None:
    assert build_report(a_backtest_result(days=5, synthetic=True)).data.mark == "SYNTHETIC DATA"
    assert build_report(a_backtest_result(days=5)).data.mark == ""


def test_orders_and_denials_are_counted_by_rule() -> None:
    report = build_report(a_backtest_result(days=30))
    assert sum(line.orders for line in report.orders_by_reason) == report.orders == 2000
    assert {line.reason for line in report.orders_by_reason} == {"CORE-3", "TREND-E1", "FUND-E1", "TACT-E1"}
    first = report.denials[0]
    assert (first.engine, first.rule, first.count) == ("trend", "RISK-8", 41)


def test_days_at_a_breaker_level_sum_to_the_run() -> None:
    breaker = build_report(a_backtest_result(days=1000)).breaker
    assert breaker.days_at_level["1"] == pytest.approx(400 / 24, abs=0.01)
    assert sum(breaker.days_at_level.values()) == pytest.approx(1000, abs=0.05)


def test_daily_series_have_one_value_a_day_and_name_the_day_they_close() -> None:
    report = build_report(a_backtest_result(days=50), detail=True)
    assert report.detail is not None
    series = report.detail.series
    assert (series.days[0], series.days[1], series.days[-1]) == ("2019-12-31", "2020-01-01", "2020-02-19")
    lengths = {len(values) for group in (series.equity, series.index, series.exposure) for values in group.values()}
    assert lengths | {len(series.btc_close), len(series.regime), len(series.breaker_level), len(series.days)} == {51}


def test_a_run_of_a_single_hour_still_has_a_report() -> None:
    report = build_report(a_backtest_result(days=1), detail=True)
    assert (report.metrics.days, report.metrics.sharpe) == (1, None)
