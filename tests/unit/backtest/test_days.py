"""Whole days are passed only where their extremes prove them quiet; what a sweep finds is in `test_sweep`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from core_builders import CAPITAL, QUICK_TREND, THREE, a_random_history, only, play
from eternal_engine.backtest import days, loop
from eternal_engine.backtest.prepare import day_ranges_of, features_of, market_of, settle_opens_of
from eternal_engine.backtest.simulate import Simulation, plain_run, simulate, tape_for
from eternal_engine.backtest.tape import BARS, DAILY, EVENTS, ORDERS
from eternal_engine.market_data.history import HOUR_MS, MarketHistory
from eternal_engine.portfolio.params import Params, States
from eternal_engine.risk import breaker
from eternal_engine.strategies.base import FUNDING, TACTICAL, TREND


def patient(**ladder: float) -> Params:
    trend = {**QUICK_TREND, "adx_min": 1.0, "stop_atr": 6.0, "trail_start_atr": 9.0, "shorts": True}
    # One slot: whoever else would enter is refused, which leaves a day at rest.
    return only("trend", THREE, trend=trend, risk={"max_positions_trend": 1}, ladder=ladder)


def run_daily(history: MarketHistory, params: Params, ranges: bool) -> Simulation:
    market = market_of(history, day_ranges_of(history), settle_opens_of(history)) if ranges else market_of(history)
    return simulate(
        plain_run, params, features_of(params, history), market,
        first_bar=0, last_bar=history.hours, capital=CAPITAL, tape=tape_for(3, history.hours, DAILY),
    )  # fmt: skip


def counted_days(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    passed: list[int] = []
    honest = days.write_passed_day

    def counted(*given: Any) -> float:
        passed.append(int(given[-1]))
        return honest(*given)

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
    # Of a day passed at once its tape does not tell whom something standing has refused.
    assert (fast.tape.denials <= walked.tape.denials).all()
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


def rising(history: MarketHistory) -> MarketHistory:
    """Let every coin rise steadily, so that equity is often at its high."""
    for bars in (history.spot, history.perp):
        for prices in (bars.open, bars.high, bars.low, bars.close):
            prices *= np.exp(0.0004 * np.arange(prices.shape[1]))
    return history


@pytest.mark.parametrize("seed", range(3))
def test_a_new_high_within_a_passed_day_is_the_highest_close_of_its_hours(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = rising(a_random_history(seed, days=60, vol=0.001))
    params = patient(daily_loss_frac=0.3, weekly_loss_frac=0.5)
    hourly = play(history, params)
    assert hourly.states.risk.events == 0
    # What the breaker watches, in its own order of sums; the idle engines are their cash.
    scope = (hourly.tape.equity[TREND] + CAPITAL[FUNDING]) + CAPITAL[TACTICAL]
    reached: list[tuple[float, float]] = []
    inside: list[bool] = []
    rose: list[float] = []
    honest_pass, honest_roll, honest_high = loop.pass_days, breaker.roll, days.highest_usdt

    def passing(*given: Any) -> Any:
        inside.append(True)
        bar, payment_h, states, wakes = honest_pass(*given)
        inside.pop()
        if bar > given[11]:
            reached.append((states.risk.high_usdt, scope[1 : bar + 1].max()))
        return bar, payment_h, states, wakes

    def rolling(state: Any, now_h: int, equity_usdt: float) -> Any:
        if inside:
            reached.append((state.high_usdt, scope[1 : now_h - history.start_ms // HOUR_MS + 1].max()))
        return honest_roll(state, now_h, equity_usdt)

    def counted(*given: Any) -> float:
        high_usdt = honest_high(*given)
        if high_usdt > given[-1]:
            rose.append(high_usdt)
        return high_usdt

    monkeypatch.setattr(loop, "pass_days", passing)
    monkeypatch.setattr(breaker, "roll", rolling)
    monkeypatch.setattr(days, "highest_usdt", counted)
    run_daily(history, params, True)
    assert min(len(rose), len(reached)) > 20
    assert [mine for mine, _ in reached] == [theirs for _, theirs in reached]


@pytest.mark.parametrize("seed", range(3))
def test_brk_5_waiting_for_the_operator_is_passed_up_to_the_hour_of_his_word(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = a_random_history(seed, days=60, vol=0.002)
    params = patient(
        daily_loss_frac=0.3, weekly_loss_frac=0.5, caution_frac=0.001, warning_frac=0.002, recover_frac=0.0
    )
    # An hour that is no multiple of a day.
    params = params._replace(approval_delay_h=77)
    whole: list[int] = []
    honest = loop.open_row

    def opened(tape: Any, opens_h: int) -> None:
        whole.append(opens_h)
        honest(tape, opens_h)

    monkeypatch.setattr(loop, "open_row", opened)
    passed = run_daily(history, params, True)
    walked = play(history, params)
    assert len(whole) < 60 * 24 / 2
    monkeypatch.setattr(loop, "quiet_until", lambda *given: given[3])
    slow = play(history, params)
    assert slow.states.risk.approvals > 1
    events = int(slow.tape.counts[EVENTS])
    assert np.array_equal(walked.tape.denials, slow.tape.denials)
    for fast in (passed, walked):
        assert fast.states.risk == slow.states.risk
        assert fast.tape.event_i[: fast.tape.counts[EVENTS]].tolist() == slow.tape.event_i[:events].tolist()
        assert (
            fast.tape.equity[TREND, fast.tape.counts[BARS] - 1] == slow.tape.equity[TREND, slow.tape.counts[BARS] - 1]
        )


@pytest.mark.parametrize("seed", range(4))
def test_the_rest_of_a_day_is_passed_after_its_fills_and_up_to_its_last_bar(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = a_random_history(seed, days=60, vol=0.003)
    params = patient(daily_loss_frac=0.3, weekly_loss_frac=0.5)
    whole: list[int] = []
    honest = loop.open_row

    def opened(tape: Any, opens_h: int) -> None:
        whole.append(opens_h % 24)
        honest(tape, opens_h)

    monkeypatch.setattr(loop, "open_row", opened)
    done = run_daily(history, params, True)
    # After a fill at midnight nothing but the day's last bar goes through the whole procedure, if that.
    assert whole.count(0) > 2
    inside = sum(0 < hour < 23 for hour in whole)
    assert inside < len(whole) / 3
    assert len(whole) < 24 * 60 / 8
    assert int(done.tape.counts[BARS]) == 61


def test_the_opens_at_settlements_are_those_of_the_hours() -> None:
    history = a_random_history(4, days=12, symbols=3)
    opens = settle_opens_of(history)
    for s in range(3):
        at = history.funding[s].stamp_ms // HOUR_MS - history.start_ms // HOUR_MS
        inside = at < history.hours
        assert inside.sum() > 20
        assert opens[s, : len(at)][inside].tolist() == history.perp.open[s, at[inside]].tolist()
        assert np.isnan(opens[s, len(at) :]).all()


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
    market = market_of(history, day_ranges_of(history))
    seen: list[tuple[bool, bool, bool]] = []
    honest = loop.pass_days

    def watched(*given: Any) -> Any:
        book, states, bar = given[4], given[7], given[11]
        day = bar // 24

        def is_quiet(changed: States) -> bool:
            return days.kind_of_day(params, market, book, changed.risk, changed.trend.stop, day) != days.RESTLESS

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
