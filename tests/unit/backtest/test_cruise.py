"""The shortcut through quiet hours changes nothing: runs with and without it write the same tapes (decision 0011)."""

from __future__ import annotations

import numpy as np
import pytest

from core_builders import QUICK_TREND, THREE, a_random_history, play, some_params
from eternal_engine.backtest import loop
from eternal_engine.backtest.simulate import Simulation
from eternal_engine.backtest.tape import BARS, EVENTS, ORDERS, TRADES
from eternal_engine.market_data.history import MarketHistory
from eternal_engine.portfolio.params import Params


def never_quiet(params: Params, states: object, market: object, first_bar: int, last_bar: int, until_h: int) -> int:
    """Stand in for `quiet_until`: every bar goes through the whole procedure."""
    return first_bar


def assert_same_tape(fast: Simulation, slow: Simulation) -> None:
    assert fast.tape.counts.tolist() == slow.tape.counts.tolist()
    counts = fast.tape.counts
    for name, rows in (("order", ORDERS), ("trade", TRADES), ("event", EVENTS)):
        for kind in ("i", "f"):
            mine = getattr(fast.tape, f"{name}_{kind}")[: counts[rows]]
            theirs = getattr(slow.tape, f"{name}_{kind}")[: counts[rows]]
            assert np.array_equal(mine, theirs, equal_nan=True), name
    bars = int(counts[BARS])
    for name in ("close_h", "level", "external"):
        assert np.array_equal(getattr(fast.tape, name)[:bars], getattr(slow.tape, name)[:bars]), name
    for name in ("equity", "exposure", "fees", "slippage", "funding", "engine_flow"):
        assert np.array_equal(getattr(fast.tape, name)[:, :bars], getattr(slow.tape, name)[:, :bars]), name


def both_ways(history: MarketHistory, params: Params, monkeypatch: pytest.MonkeyPatch) -> tuple[Simulation, Simulation]:
    fast = play(history, params, deposit_weekly_usdt=25.0)
    monkeypatch.setattr(loop, "quiet_until", never_quiet)
    return fast, play(history, params, deposit_weekly_usdt=25.0)


@pytest.mark.parametrize("seed", range(6))
def test_quiet_hours_change_nothing(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    history = a_random_history(seed, days=45, holes=(0, 12)[seed % 2], vol=(0.004, 0.012, 0.02)[seed % 3])
    params = some_params(THREE, trend=QUICK_TREND, core={"interval_h": 30})
    fast, slow = both_ways(history, params, monkeypatch)
    assert_same_tape(fast, slow)
    assert fast.tape.counts[ORDERS] > 20
