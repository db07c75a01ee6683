"""One decision code: the compiled loop and the plain one write the same tape, to the bit (J17)."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core_builders import (
    CAPITAL,
    QUICK_TREND,
    TEN,
    THREE,
    a_random_history,
    only,
    orders_on,
    play,
    some_params,
    wild_params,
    written,
)
from eternal_engine.backtest.prepare import daily_bars_of, features_of
from eternal_engine.backtest.simulate import Simulation, plain_run
from eternal_engine.backtest.sweep import sweep_trend
from eternal_engine.backtest.tape import EVENTS, ORDERS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.xdist_group("compiled")]
SHARED = Path(os.environ.get("ETERNAL_SHARED_DATA", Path(__file__).parents[4] / "shared" / "data")) / "market"


@pytest.fixture(scope="session")
def compiled() -> Callable[..., Any]:
    """Compile once; the cache of the user is used, since it is named by the hash of the sources."""
    from eternal_engine.backtest.kernels import compiled_run

    return compiled_run(None)


def assert_equal_tapes(plain: Simulation, fast: Simulation) -> None:
    for name in plain.tape._fields:
        assert written(plain.tape, name).tobytes() == written(fast.tape, name).tobytes(), f"tape.{name}"
    for name in plain.book._fields:
        assert getattr(plain.book, name).tobytes() == getattr(fast.book, name).tobytes(), f"book.{name}"
    for part in plain.states._fields:
        for name in getattr(plain.states, part)._fields:
            one, two = getattr(getattr(plain.states, part), name), getattr(getattr(fast.states, part), name)
            assert np.asarray(one).tobytes() == np.asarray(two, dtype=np.asarray(one).dtype).tobytes(), f"{part}.{name}"


@pytest.mark.parametrize("seed", range(12))
def test_j17_compiled_equals_plain_over_wild_markets(compiled: Callable[..., Any], seed: int) -> None:
    history = a_random_history(seed, days=40, holes=30 * (seed % 2), vol=0.05 if seed % 3 else 0.015)
    deposits = 100.0 * (seed % 2)
    plain = play(history, wild_params(seed), deposit_weekly_usdt=deposits, first_bar=24 * (seed % 3))
    fast = play(history, wild_params(seed), deposit_weekly_usdt=deposits, first_bar=24 * (seed % 3), runner=compiled)
    assert min(plain.tape.counts[ORDERS], plain.tape.counts[EVENTS]) > 0
    assert_equal_tapes(plain, fast)


@pytest.mark.parametrize("seed", range(3))
def test_j17_a_compiled_sweep_gives_the_rows_of_a_plain_one(compiled: Callable[..., Any], seed: int) -> None:
    history = a_random_history(seed, days=50, holes=25 * (seed % 2), vol=0.015)
    params = only(
        "trend", THREE, trend={**QUICK_TREND, "adx_min": 5.0, "shorts": True}, ladder={"daily_loss_frac": 0.3}
    )
    daily = daily_bars_of(history)
    features = features_of(params, history, daily)
    variants = [
        params.trend._replace(sma_days=sma, ema_days=ema, stop_atr=stop, risk_frac=risk, leverage=leverage)
        for sma, ema, stop, risk, leverage in ((6, 3, 1.0, 0.2, 2.0), (4, 5, 0.5, 5.0, 9.0), (8, 3, 2.0, 0.1, 2.0))
    ]
    plain, fast = (
        sweep_trend(
            run, params, history, daily, features, variants, first_bar=0, last_bar=history.hours, capital=CAPITAL
        )
        for run in (plain_run, compiled)
    )
    assert max(row.orders for row in plain) > 8
    assert fast == plain


def test_j17_compiled_equals_plain_over_a_synthetic_year(compiled: Callable[..., Any]) -> None:
    from eternal_engine.market_data.synthetic.market import synthesize

    history = synthesize(7, end_ms=1_640_995_200_000)
    first = history.hours - 365 * 24
    params = some_params(TEN)
    plain = play(history, params, first_bar=first, deposit_weekly_usdt=200.0)
    fast = play(history, params, first_bar=first, deposit_weekly_usdt=200.0, runner=compiled)
    assert {order.engine for order in orders_on(plain)} >= {0, 1}
    assert_equal_tapes(plain, fast)


def test_j17_compiled_equals_plain_over_a_real_year(compiled: Callable[..., Any]) -> None:
    if not SHARED.is_dir():
        pytest.skip("the shared real data are not on this machine (ETERNAL_SHARED_DATA)")
    from eternal_engine.market_data.load import load_history

    history = load_history(SHARED, TEN)
    for year in (2021, 2022):
        first = int((np.datetime64(f"{year}-01-01") - np.datetime64("1970-01-01")) / np.timedelta64(1, "h"))
        first -= history.start_ms // 3_600_000
        plain = play(history, some_params(TEN), first_bar=first, last_bar=first + 8760)
        fast = play(history, some_params(TEN), first_bar=first, last_bar=first + 8760, runner=compiled)
        assert {order.engine for order in orders_on(plain)} >= {0, 1}
        assert_equal_tapes(plain, fast)
