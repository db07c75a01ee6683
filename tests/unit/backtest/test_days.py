"""Whole days are passed only where their extremes prove them quiet; what a sweep finds is in `test_sweep`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from core_builders import CAPITAL, QUICK_TREND, THREE, a_random_history, only
from eternal_engine.backtest import days, loop
from eternal_engine.backtest.prepare import day_ranges_of, features_of, market_of
from eternal_engine.backtest.simulate import Simulation, plain_run, simulate, tape_for
from eternal_engine.backtest.tape import BARS, DAILY, ORDERS
from eternal_engine.market_data.history import HOUR_MS, MarketHistory
from eternal_engine.portfolio.params import Params, States
from eternal_engine.strategies.base import TREND


def patient(**ladder: float) -> Params:
    trend = {**QUICK_TREND, "adx_min": 1.0, "stop_atr": 6.0, "trail_start_atr": 9.0, "shorts": True}
    # One slot: whoever else would enter is refused, which leaves a day at rest.
    return only("trend", THREE, trend=trend, risk={"max_positions_trend": 1}, ladder=ladder)


def run_daily(history: MarketHistory, params: Params, ranges: bool) -> Simulation:
    market = market_of(history, day_ranges_of(history) if ranges else None)
    return simulate(
        plain_run, params, features_of(params, history), market,
        first_bar=0, last_bar=history.hours, capital=CAPITAL, tape=tape_for(3, history.hours, DAILY),
    )  # fmt: skip


def counted_days(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    passed: list[int] = []
    honest = days.write_passed_day

    def counted(*given: Any) -> None:
        passed.append(int(given[-1]))
        honest(*given)

    monkeypatch.setattr(days, "write_passed_day", counted)
    return passed


@pytest.mark.parametrize("seed", range(6))
def test_passed_days_leave_what_walked_ones_leave(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    history = a_random_history(seed, days=60, holes=(0, 9)[seed % 2], vol=(0.001, 0.002, 0.004)[seed % 3])
    params = patient(daily_loss_frac=0.3, weekly_loss_frac=0.5) if seed % 2 else patient()
    walked = run_daily(history, params, False)
    passed = counted_days(monkeypatch)
    fast = run_daily(history, params, True)
    assert len(passed) > 5
    assert fast.tape.counts.tolist() == walked.tape.counts.tolist()
    rows, orders = int(fast.tape.counts[BARS]), int(fast.tape.counts[ORDERS])
    for name in ("close_h", "level"):
        assert np.array_equal(getattr(fast.tape, name)[:rows], getattr(walked.tape, name)[:rows]), name
    for name in ("equity", "exposure", "fees", "slippage", "funding"):
        assert np.array_equal(getattr(fast.tape, name)[:, :rows], getattr(walked.tape, name)[:, :rows]), name
    assert np.array_equal(fast.tape.order_f[:orders], walked.tape.order_f[:orders])
    assert np.array_equal(fast.tape.denials, walked.tape.denials)
    assert fast.states.risk == walked.states.risk
    for mine, theirs in zip(fast.states.trend, walked.states.trend, strict=True):
        assert np.array_equal(mine, theirs)
    assert np.array_equal(fast.book.cash, walked.book.cash)


def test_days_are_passed_with_positions_held_and_funding_paid(monkeypatch: pytest.MonkeyPatch) -> None:
    history = a_random_history(1, days=60, vol=0.002)
    passed = counted_days(monkeypatch)
    done = run_daily(history, patient(daily_loss_frac=0.3, weekly_loss_frac=0.5), True)
    rows = [int(np.searchsorted(done.tape.close_h[: done.tape.counts[BARS]], close_h)) for close_h in passed]
    held = [row for row in rows if done.tape.exposure[TREND, row] > 0.0]
    assert len(held) > 3
    assert all(done.tape.funding[TREND, row] != 0.0 for row in held)


def test_the_extremes_of_a_day_are_those_of_its_hours() -> None:
    history = a_random_history(4, days=12, symbols=3)
    history.perp.low[1, 50] = np.nan
    ranges = day_ranges_of(history)
    spot, perp = history.spot, history.perp
    for s in range(3):
        for day in range(12):
            hours = slice(24 * day, 24 * day + 24)
            row = ranges[s, day]
            if (s, day) == (1, 2):
                assert np.isnan(row[days.LOW_MARK])
                continue
            assert row[days.LOW_MARK] == np.maximum(spot.low[s, hours], perp.low[s, hours]).min()
            assert row[days.HIGH_MARK] == np.minimum(spot.high[s, hours], perp.high[s, hours]).max()
            assert row[days.LOW_CLOSE] == perp.close[s, hours].min()
            assert row[days.HIGH_CLOSE] == perp.close[s, hours].max()
            assert row[days.LAST_CLOSE] == perp.close[s, 24 * day + 23]
            stamps = history.funding[s].stamp_ms // HOUR_MS - history.start_ms // HOUR_MS
            paid = [
                abs(perp.open[s, at] * rate)
                for at, rate in zip(stamps.tolist(), history.funding[s].rate.tolist(), strict=True)
                if at // 24 == day
            ]
            assert row[days.PAYMENTS] == pytest.approx(sum(paid))


def test_a_day_that_touches_the_stop_or_the_corridor_is_walked(monkeypatch: pytest.MonkeyPatch) -> None:
    history = a_random_history(2, days=60, vol=0.002)
    params = patient()
    features, market = features_of(params, history), market_of(history, day_ranges_of(history))
    seen: list[tuple[bool, bool, bool]] = []
    honest = loop.pass_days

    def watched(*given: Any) -> Any:
        book, states, bar = given[4], given[7], given[13]
        close_h, day = market.first_h + bar + 24, bar // 24

        def is_quiet(changed: States) -> bool:
            return days.day_is_quiet(params, features, market, book, changed, close_h)

        for s in np.flatnonzero(book.perp_qty[TREND]) if day < market.days.shape[1] else ():
            stop = states.trend.stop.copy()
            stop[s] = market.days[s, day, days.LOW_MARK if book.perp_qty[TREND, s] > 0.0 else days.HIGH_MARK]
            touched = states._replace(trend=states.trend._replace(stop=stop))
            fallen = states._replace(risk=states.risk._replace(high_usdt=1.2 * states.risk.high_usdt))
            seen.append((is_quiet(states), is_quiet(touched), is_quiet(fallen)))
        return honest(*given)

    monkeypatch.setattr(loop, "pass_days", watched)
    run_daily(history, params, True)
    assert sum(quiet for quiet, _, _ in seen) > 3
    assert not any(touched or fallen for _, touched, fallen in seen)
