"""Probabilistic and deflated Sharpe ratio against published and simulated numbers."""

from __future__ import annotations

import numpy as np
import pytest

from eternal_engine.reports.significance import best_of_luck, deflated_sharpe, probabilistic_sharpe


def test_the_published_example_of_the_deflated_ratio_is_met() -> None:
    # Bailey and Lopez de Prado (2014), "The Deflated Sharpe Ratio", numerical example: annual ratio 2.5 over 1250 days
    # of 250, skew -3, kurtosis 10, 100 trials whose annual ratios vary by 1/2: expected best 0.1132, result 0.9004.
    daily = 2.5 / 250**0.5
    variance = 0.5 / 250
    assert best_of_luck(100, variance) == pytest.approx(0.1132, abs=1e-4)
    assert deflated_sharpe(daily, 1250, -3.0, 7.0, 100, variance) == pytest.approx(0.9004, abs=1e-4)


def test_a_ratio_equal_to_the_benchmark_is_a_coin_toss() -> None:
    assert probabilistic_sharpe(0.05, 500, 0.3, 2.0, benchmark=0.05) == pytest.approx(0.5)


def test_one_trial_deflates_nothing() -> None:
    assert best_of_luck(1, 0.01) == 0.0
    assert deflated_sharpe(0.05, 500, 0.0, 0.0, 1) == probabilistic_sharpe(0.05, 500, 0.0, 0.0)


def test_more_trials_make_the_same_ratio_less_sure() -> None:
    sure = [deflated_sharpe(0.08, 1000, 0.0, 3.0, trials) for trials in (1, 2, 10, 100, 1000)]
    assert all(value is not None for value in sure)
    assert sure == sorted(sure, key=lambda value: -(value or 0.0))


def test_the_expected_best_of_luck_is_what_a_simulation_finds() -> None:
    days, trials = 500, 50
    noise = np.random.default_rng(4).normal(size=(400, trials, days))
    best = (noise.mean(axis=2) / noise.std(axis=2, ddof=1)).max(axis=1).mean()
    assert best_of_luck(trials, 1 / (days - 1)) == pytest.approx(best, rel=0.03)


@pytest.mark.parametrize(("observations", "skew"), [(1, 0.0), (100, float("nan")), (100, 1000.0)])
def test_too_little_to_say_is_none(observations: int, skew: float) -> None:
    assert probabilistic_sharpe(0.1, observations, skew, 0.0) is None


def test_no_observations_deflate_to_none() -> None:
    assert deflated_sharpe(0.1, 1, 0.0, 0.0, 5) is None
