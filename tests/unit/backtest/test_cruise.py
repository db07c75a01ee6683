"""The shortcut through quiet hours changes nothing: runs with and without it write the same tapes (decision 0011)."""

from __future__ import annotations

import numpy as np
import pytest

from core_builders import QUICK_TREND, THREE, a_random_history, only, play, some_params
from eternal_engine.backtest import cruise, loop
from eternal_engine.backtest.simulate import Simulation
from eternal_engine.backtest.tape import BARS, EVENTS, ORDERS, TRADES
from eternal_engine.market_data.history import MarketHistory
from eternal_engine.model import reason
from eternal_engine.portfolio.params import Params
from eternal_engine.strategies.base import TREND


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
    assert np.array_equal(fast.tape.denials, slow.tape.denials)
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


def assert_same_states(fast: Simulation, slow: Simulation) -> None:
    for part in fast.states._fields:
        mine, theirs = getattr(fast.states, part), getattr(slow.states, part)
        for name in mine._fields:
            assert np.array_equal(getattr(mine, name), getattr(theirs, name)), f"{part}.{name}"


@pytest.mark.parametrize("seed", range(4))
def test_days_at_rest_count_refusals_move_trails_and_roll_limits(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    history = a_random_history(seed, days=60, symbols=3, vol=0.004)
    for bars in (history.spot, history.perp):
        # A rise that every coin shares: candidates each day, and one slot.
        for prices in (bars.open, bars.high, bars.low, bars.close):
            prices *= np.exp(0.0008 * np.arange(prices.shape[1]))
    trend = {**QUICK_TREND, "adx_min": 1.0, "stop_atr": 4.0, "trail_start_atr": 0.5, "trail_atr": 4.0}
    params = only("trend", THREE, trend=trend, risk={"max_positions_trend": 1})
    closed: list[int] = []
    honest = cruise.close_day

    def counted(*given: object) -> object:
        closed.append(1)
        return honest(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(cruise, "close_day", counted)
    fast, slow = both_ways(history, params, monkeypatch)
    assert_same_tape(fast, slow)
    assert_same_states(fast, slow)
    assert len(closed) > 30
    assert fast.tape.denials[TREND, reason.RISK_8_SLOTS] > 30
    assert fast.states.trend.trailing.any()
