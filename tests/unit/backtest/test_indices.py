"""Compiled code takes indices as they are: the plain loop on arrays that refuse to count from their end."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from core_builders import CAPITAL, QUICK_TREND, THREE, a_random_history, only, play, wild_params
from eternal_engine.backtest.loop import run
from eternal_engine.backtest.many import run_sets
from eternal_engine.backtest.prepare import daily_bars_of, features_of
from eternal_engine.backtest.sweep import sweep_trend
from eternal_engine.backtest.tape import ORDERS


class FromTheFront(np.ndarray[Any, Any]):
    """An array whose indices are never negative; slices may begin and end anywhere, as compiled ones do."""

    def __getitem__(self, index: Any) -> Any:
        refuse_negative(index)
        return super().__getitem__(index)

    def __setitem__(self, index: Any, value: Any) -> None:
        refuse_negative(index)
        super().__setitem__(index, value)


def refuse_negative(index: Any) -> None:
    """Fail on a negative number among the indices."""
    for part in index if isinstance(index, tuple) else (index,):
        if isinstance(part, int | np.integer) and part < 0:
            raise AssertionError(f"index {index} counts from the end: compiled code would read foreign memory")


def guarded(values: Any) -> Any:
    """Give a tuple of arrays and tuples with every array guarded."""
    if isinstance(values, np.ndarray):
        return values.view(FromTheFront)
    if isinstance(values, tuple) and hasattr(values, "_replace"):
        return type(values)(*(guarded(value) for value in values))
    return values


def guarded_run(*arguments: Any) -> Any:
    """Run the plain loop on guarded arrays."""
    return run(*(guarded(argument) for argument in arguments))


class GuardedSets:
    """What a sweep calls, on guarded arrays."""

    def run_sets(self, *arguments: Any) -> None:
        """Run the plain loop once per set."""
        run_sets(*(guarded(argument) for argument in arguments))


@pytest.mark.parametrize("index", [-1, np.int64(-1), (0, -2)])
def test_the_guard_refuses_an_index_from_the_end(index: Any) -> None:
    with pytest.raises(AssertionError, match="foreign memory"):
        guarded(np.zeros((3, 3)))[index]


@pytest.mark.parametrize("seed", range(6))
def test_no_index_of_the_loop_counts_from_the_end(seed: int) -> None:
    history = a_random_history(seed, days=40, holes=30 * (seed % 2), vol=0.05 if seed % 3 else 0.015)
    first_bar = 24 * (seed % 3) + 7 * (seed % 2)
    seen = play(
        history, wild_params(seed), deposit_weekly_usdt=100.0 * (seed % 2), first_bar=first_bar, runner=guarded_run
    )
    assert seen.tape.counts[ORDERS] > 0


@pytest.mark.parametrize("seed", range(3))
def test_no_index_of_a_sweep_counts_from_the_end(seed: int) -> None:
    params = only("trend", THREE, trend={**QUICK_TREND, "adx_min": 5.0, "shorts": True, "risk_frac": 0.2})
    history = a_random_history(seed, days=50, holes=25 * (seed % 2), vol=0.02)
    daily = daily_bars_of(history)
    rows = sweep_trend(
        GuardedSets(), params, history, daily, features_of(params, history, daily),
        [params.trend._replace(sma_days=days) for days in (4, 6)],
        first_bar=0, last_bar=history.hours, capital=CAPITAL,
    )  # fmt: skip
    assert min(row.orders for row in rows) > 0
