"""The figures of a daily index, by hand, by edge case and against an independent library."""

from __future__ import annotations

import math

import numpy as np
import pytest

from eternal_engine.market_data.history import HOUR_MS
from eternal_engine.reports.daily import day_grid
from eternal_engine.reports.metrics import annual_growth, measure, measure_all


def index_of(returns: np.ndarray) -> np.ndarray:
    return np.concatenate(([1.0], np.cumprod(1.0 + returns)))


ALTERNATING = np.tile([0.01, -0.005], 100)


def test_j7_sharpe_and_sortino_of_alternating_days() -> None:
    found = measure(index_of(ALTERNATING))
    assert found.sharpe == pytest.approx(6.352, abs=5e-4)
    assert found.sortino == pytest.approx(13.509, abs=5e-4)


def test_j7_hourly_input_gives_the_numbers_of_its_daily_resample() -> None:
    rng = np.random.default_rng(5)
    hourly = np.concatenate(([1.0], np.exp(np.cumsum(rng.normal(0, 0.004, 24 * 90)))))
    grid = day_grid(1_577_836_800_000 + np.arange(len(hourly)) * HOUR_MS)
    assert measure(hourly[grid.row]) == measure(hourly[::24])


def test_j8_equal_losses_do_not_give_a_sortino_of_zero() -> None:
    losing = measure(index_of(np.full(50, -0.01)))
    assert losing.sortino == pytest.approx(-math.sqrt(365))
    assert losing.sharpe is None


def test_j9_calmar_is_cagr_over_drawdown() -> None:
    days = 3 * 365
    index = np.full(days + 1, 100.0)
    index[1], index[-1] = 70.0, 300.0
    found = measure(index)
    assert found.cagr_frac == pytest.approx(3 ** (1 / 3) - 1)
    assert found.calmar == pytest.approx(1.474, abs=5e-4)


def test_j9_a_loss_gives_a_negative_calmar() -> None:
    found = measure(np.array([100.0, 60.0, 80.0]))
    assert found.calmar is not None
    assert found.calmar < 0


def test_j10_the_drawdown_carries_names_of_its_days() -> None:
    names = ["a", "b", "c", "d", "e"]
    found = measure(np.array([100.0, 120.0, 90.0, 110.0, 130.0]), name_of=names.__getitem__)
    assert found.max_drawdown_frac == pytest.approx(-0.25)
    assert (found.max_drawdown_peak, found.max_drawdown_trough, found.max_drawdown_recovery) == ("b", "c", "e")
    assert found.max_drawdown_days == 3


def test_j15_growth_is_annualised_by_the_years_given() -> None:
    assert measure(np.array([1.0, 2.0]), years=2.0).cagr_frac == pytest.approx(math.sqrt(2) - 1)


def test_no_volatility_gives_no_ratio_instead_of_infinity() -> None:
    flat = measure(np.ones(100))
    assert (flat.sharpe, flat.sortino, flat.calmar, flat.tail_ratio, flat.skew) == (None,) * 5
    assert (flat.total_return_frac, flat.volatility_frac, flat.max_drawdown_frac) == (0.0, 0.0, 0.0)


def test_one_day_has_a_return_and_no_ratio() -> None:
    one = measure(np.array([1.0, 1.02]))
    assert one.total_return_frac == pytest.approx(0.02)
    assert (one.days, one.sharpe, one.volatility_frac, one.best_day_frac) == (1, None, None, pytest.approx(0.02))


def test_no_day_at_all_has_no_figures() -> None:
    none = measure(np.array([1.0]))
    assert (none.days, none.cagr_frac, none.best_day_frac, none.sortino, none.tail_ratio) == (0, None, None, None, None)


def test_a_total_loss_is_told_as_such() -> None:
    lost = measure(np.array([1.0, 0.5, 0.0, 0.0]))
    assert (lost.total_return_frac, lost.cagr_frac, lost.max_drawdown_frac) == (-1.0, -1.0, -1.0)


def test_growth_that_cannot_be_annualised_is_none() -> None:
    assert annual_growth(10.0, 0.0) is None
    assert annual_growth(1e6, 1 / 365 / 24) is None


@pytest.mark.parametrize("seed", range(6))
def test_the_figures_agree_with_an_independent_library(seed: int) -> None:
    empyrical = pytest.importorskip("empyrical")
    rng = np.random.default_rng(seed)
    returns = rng.standard_t(4, 1500) * 0.02 + 0.0007
    found = measure(index_of(returns))
    year = {"annualization": 365}
    assert found.total_return_frac == pytest.approx(empyrical.cum_returns_final(returns), rel=1e-9)
    assert found.cagr_frac == pytest.approx(empyrical.annual_return(returns, **year), rel=1e-9)
    assert found.volatility_frac == pytest.approx(empyrical.annual_volatility(returns, **year), rel=1e-9)
    assert found.sharpe == pytest.approx(empyrical.sharpe_ratio(returns, **year), rel=1e-9)
    assert found.sortino == pytest.approx(empyrical.sortino_ratio(returns, **year), rel=1e-9)
    assert found.calmar == pytest.approx(empyrical.calmar_ratio(returns, **year), rel=1e-9)
    assert found.max_drawdown_frac == pytest.approx(empyrical.max_drawdown(returns), rel=1e-9)
    assert found.tail_ratio == pytest.approx(empyrical.tail_ratio(returns), rel=1e-9)


def test_skew_and_kurtosis_agree_with_an_independent_library() -> None:
    stats = pytest.importorskip("scipy.stats")
    returns = np.random.default_rng(9).standard_t(5, 900) * 0.01
    found = measure(index_of(returns))
    assert found.skew == pytest.approx(stats.skew(returns), rel=1e-9)
    assert found.kurtosis == pytest.approx(stats.kurtosis(returns), rel=1e-9)


def test_the_ulcer_index_is_the_root_mean_square_of_drawdowns() -> None:
    found = measure(np.array([1.0, 0.9, 0.8, 1.0]))
    assert found.ulcer_frac == pytest.approx(math.sqrt((0.1**2 + 0.2**2) / 4))


@pytest.mark.parametrize("days", [0, 1, 2, 7, 8, 129, 1_827])
def test_many_indices_are_measured_to_the_last_bit_as_each_alone(days: int) -> None:
    rng = np.random.default_rng(days)
    indices = np.exp(np.cumsum(rng.standard_t(4, (9, days + 1)) * 0.02, axis=1))
    indices[3] = 1.0  # nothing ever happens
    indices[5, days // 2 + 1 :] = 0.0  # all is lost
    indices[7] = np.linspace(1.0, 2.0, days + 1)  # never falls
    assert measure_all(indices, trials=9) == [measure(index, trials=9) for index in indices]
    assert measure_all(np.ascontiguousarray(indices[::-1]), trials=9) == measure_all(indices, trials=9)[::-1]
