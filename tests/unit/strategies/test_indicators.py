"""Daily bars from hourly ones, and Wilder's indicators against their own definition (U-10, G3)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from eternal_engine.strategies import indicators
from eternal_engine.strategies.indicators import DailyBars

Array = npt.NDArray[np.float64]


def daily(high: Array, low: Array, close: Array, volume: Array | None = None) -> DailyBars:
    """Wrap one symbol's daily arrays."""
    traded = np.ones_like(close) if volume is None else volume
    return DailyBars(high[None], low[None], close[None], traded[None], np.full((1, len(close)), 24))


def a_walk(rng: np.random.Generator, days: int, intraday: int = 24) -> DailyBars:
    """Draw a driftless walk of days, each of `intraday` steps."""
    path = 100 * np.exp(np.cumsum(rng.normal(0, 0.03 / intraday**0.5, days * intraday))).reshape(days, intraday)
    opens = np.concatenate(([100.0], path[:-1, -1]))
    return daily(np.maximum(path.max(axis=1), opens), np.minimum(path.min(axis=1), opens), path[:, -1])


def wilder_adx(high: Array, low: Array, close: Array, n: int) -> Array:
    """Compute ADX step by step as Wilder does: sums, then smoothing by 1/n; the first ADX is a mean of n DX."""
    up, down = np.diff(high), -np.diff(low)
    plus = np.where((up > down) & (up > 0), up, 0.0)
    minus = np.where((down > up) & (down > 0), down, 0.0)
    ranges = np.maximum(high[1:], close[:-1]) - np.minimum(low[1:], close[:-1])
    out = np.full(len(close), np.nan)
    smoothed = np.array([plus[: n - 1].sum(), minus[: n - 1].sum(), ranges[: n - 1].sum()])
    dx: list[float] = []
    for k in range(n - 1, len(ranges)):
        smoothed = smoothed - smoothed / n + np.array([plus[k], minus[k], ranges[k]])
        di = smoothed[:2] / smoothed[2]
        dx.append(100 * abs(di[0] - di[1]) / (di[0] + di[1]))
        if len(dx) == n:
            out[k + 1] = np.mean(dx)
        elif len(dx) > n:
            out[k + 1] = (out[k] * (n - 1) + dx[-1]) / n
    return out


@pytest.mark.parametrize("days", [14, 7])
def test_g3_adx_is_wilders(days: int) -> None:
    bars = a_walk(np.random.default_rng(11), 300)
    found = indicators.adx(bars, days)[0]
    expected = wilder_adx(bars.high[0], bars.low[0], bars.close[0], days)
    assert np.isnan(found[: 2 * days - 1]).all()
    np.testing.assert_allclose(found[2 * days - 1 :], expected[2 * days - 1 :], rtol=0, atol=1e-6)


def test_g3_driftless_walks_seldom_look_like_trends() -> None:
    rng = np.random.default_rng(20)
    strong = 0
    for _ in range(300):
        close = 100 * np.exp(np.cumsum(rng.normal(0, 0.02, 120)))
        wicks = np.abs(rng.normal(0, 0.008, (2, 120)))
        strong += indicators.adx(daily(close * (1 + wicks[0]), close * (1 - wicks[1]), close), 14)[0, -1] > 25
    assert 0.15 <= strong / 300 <= 0.33


def test_atr_is_wilders() -> None:
    bars = a_walk(np.random.default_rng(12), 200)
    high, low, close = bars.high[0], bars.low[0], bars.close[0]
    ranges = np.maximum(high[1:], close[:-1]) - np.minimum(low[1:], close[:-1])
    expected = ranges[:14].mean()
    found = indicators.atr(bars, 14)[0]
    assert found[14] == pytest.approx(expected)
    for k in range(14, 199):
        expected = (expected * 13 + ranges[k]) / 14
        assert found[k + 1] == pytest.approx(expected)


def test_sma_and_ema_follow_their_definitions() -> None:
    bars = a_walk(np.random.default_rng(13), 260)
    close = bars.close[0]
    assert indicators.sma(bars, 200)[0, 199] == pytest.approx(close[:200].mean())
    assert indicators.sma(bars, 200)[0, 259] == pytest.approx(close[60:].mean())
    assert np.isnan(indicators.sma(bars, 200)[0, 198])
    expected = close[:50].mean()
    for price in close[50:]:
        expected += 2 / 51 * (price - expected)
    assert indicators.ema(bars, 50)[0, -1] == pytest.approx(expected)


def test_volume_mean_is_over_days_with_bars() -> None:
    bars = a_walk(np.random.default_rng(14), 30)._replace(volume=np.arange(30.0)[None])
    assert indicators.volume_mean(bars, 20)[0, 29] == pytest.approx(np.arange(10, 30).mean())


def test_missing_days_are_passed_over() -> None:
    whole = a_walk(np.random.default_rng(15), 60)
    at = np.delete(np.arange(62), [20, 41])
    shape = (1, 62)
    holed = DailyBars(
        *(np.full(shape, np.nan) for _ in range(3)), volume=np.zeros(shape), bars=np.zeros(shape, np.int64)
    )
    for name in ("high", "low", "close"):
        getattr(holed, name)[0, at] = getattr(whole, name)[0]
    for indicator in (indicators.sma, indicators.ema, indicators.adx, indicators.atr):
        found = indicator(holed, 10)[0]
        assert np.isnan(found[[20, 41]]).all()
        np.testing.assert_array_equal(found[at], indicator(whole, 10)[0])


def test_days_known_counts_days_with_bars() -> None:
    close = np.array([[np.nan, 1.0, np.nan, 2.0, 3.0]])
    bars = DailyBars(close, close, close, close, np.zeros((1, 5), np.int64))
    assert indicators.days_known(bars).tolist() == [[0, 1, 1, 2, 3]]
    assert indicators.highest_high(bars)[0].tolist()[1:] == [1.0, 1.0, 2.0, 3.0]
    assert np.isnan(indicators.highest_high(bars)[0, 0])


def hourly(days: int) -> Array:
    return 100.0 + np.arange(days * 24, dtype=np.float64)[None]


def test_days_are_utc_days_of_24_bars() -> None:
    close = hourly(3)
    bars = indicators.daily_bars(close + 2, close - 3, close, np.ones_like(close))
    assert bars.close.tolist() == [[123.0, 147.0, 171.0]]
    assert bars.high.tolist() == [[125.0, 149.0, 173.0]]
    assert bars.low.tolist() == [[97.0, 121.0, 145.0]]
    assert bars.volume.tolist() == [[24.0] * 3]
    assert bars.bars.tolist() == [[24] * 3]


def test_a_day_that_is_not_over_is_no_day() -> None:
    close = hourly(2)[:, :47]
    assert indicators.daily_bars(close, close, close, np.ones_like(close)).close.shape == (1, 1)


@pytest.mark.parametrize("missing", [[0], [23], [5, 6, 7, 8], [0, 22, 23]])
def test_a_day_with_holes_uses_the_bars_it_has(missing: list[int]) -> None:
    close = hourly(3)
    close[0, 24 + np.array(missing)] = np.nan
    volume = np.where(np.isnan(close), np.nan, 2.0)
    bars = indicators.daily_bars(close, close, close, volume)
    kept = [h for h in range(24) if h not in missing]
    assert bars.bars[0, 1] == 24 - len(missing)
    assert bars.high[0, 1] == bars.close[0, 1] == 124 + kept[-1]
    assert bars.low[0, 1] == 124 + kept[0]
    assert bars.volume[0, 1] == 2.0 * len(kept)


def test_a_day_without_any_bar_is_unknown() -> None:
    close = hourly(3)
    close[0, 24:48] = np.nan
    bars = indicators.daily_bars(close, close, close, np.ones_like(close))
    assert np.isnan([bars.close[0, 1], bars.high[0, 1], bars.low[0, 1]]).all()
    assert bars.bars.tolist() == [[24, 0, 24]]
    assert bars.close[0, 2] == 171.0


def test_volume_that_nobody_asked_for_is_left_out() -> None:
    close = hourly(2)
    assert indicators.daily_bars(close, close, close, None).volume.tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("hole_share", [0.0, 0.01, 0.3])
def test_daily_bars_of_any_hours_are_those_counted_by_hand(hole_share: float) -> None:
    rng = np.random.default_rng(16)
    shape = (3, 40 * 24 + 7)
    close = rng.uniform(90.0, 110.0, shape)
    close[rng.random(shape) < hole_share] = np.nan
    close[1, 48:96] = np.nan if hole_share else close[1, 48:96]
    high, low, volume = close + rng.uniform(0, 5, shape), close - rng.uniform(0, 5, shape), 0.0 * close + 2.0
    found = indicators.daily_bars(high, low, close, volume)
    for s in range(3):
        for day in range(40):
            hours = slice(24 * day, 24 * day + 24)
            there = ~np.isnan(close[s, hours])
            assert found.bars[s, day] == there.sum()
            assert found.volume[s, day] == 2.0 * there.sum()
            expected = (
                (high[s, hours][there].max(), low[s, hours][there].min(), close[s, hours][there][-1])
                if there.any()
                else (np.nan, np.nan, np.nan)
            )
            given = (found.high[s, day], found.low[s, day], found.close[s, day])
            np.testing.assert_array_equal(given, expected)
    assert (found.bars.shape, found.bars.dtype) == ((3, 40), np.int64)


def test_a_symbol_has_the_indicators_it_has_alone() -> None:
    # Never listed, listed late, with holes, of a single day, whole.
    rng = np.random.default_rng(17)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0, 0.03, (5, 80)), axis=1))
    close[0] = np.nan
    close[1, :25] = np.nan
    close[2, [20, 30, 31, 50]] = np.nan
    close[3, 1:] = np.nan
    bars = DailyBars(close * 1.02, close * 0.97, close, 0.0 * close + 3.0, np.full(close.shape, 24))
    for indicator in (indicators.sma, indicators.ema, indicators.adx, indicators.atr, indicators.volume_mean):
        together = indicator(bars, 5)
        for s in range(5):
            there = ~np.isnan(close[s])
            alone = daily(*(rows[s][there] for rows in (bars.high, bars.low, bars.close, bars.volume)))
            if there.sum() > 1:
                np.testing.assert_array_equal(together[s, there], indicator(alone, 5)[0])
                assert not np.isnan(together[s, -1])
            assert np.isnan(together[s, ~there]).all()
        assert not np.array_equal(together[4], indicator(bars, 14)[4], equal_nan=True)
