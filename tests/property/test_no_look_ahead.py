"""No look-ahead, by proof: what is known at t does not change with what comes after t (J3)."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core_builders import (
    QUICK_TREND,
    TEN,
    THREE,
    Order,
    a_random_history,
    cut,
    equity_on,
    orders_on,
    play,
    some_params,
    with_noise_after,
)
from eternal_engine.backtest.prepare import features_of
from eternal_engine.market_data.history import HOUR_MS, MarketHistory, Sentiment
from eternal_engine.model import reason
from eternal_engine.portfolio.features import stamp_hours
from eternal_engine.portfolio.params import Features, Params
from eternal_engine.strategies import trend

SHARED = Path(os.environ.get("ETERNAL_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data")) / "market"
# What happens inside a bar is decided by that bar.
INSIDE = {
    reason.TREND_STOP,
    reason.TREND_TRAIL,
    reason.TREND_LIQUIDATION,
    reason.FUND_LIQUIDATION,
    reason.DELISTED,
}


def lively(symbols: tuple[str, ...] = THREE) -> Params:
    """Give parameters under which every engine trades in a month, all options on."""
    return some_params(
        symbols,
        trend={**QUICK_TREND, "adx_min": 5.0, "shorts": True, "volume_filter": True, "volume_days": 3},
        tactical={
            "level_drawdown": np.array([0.05, 0.15]),
            "take_profit_frac": 0.1,
            "fear_enabled": True,
            "capitulation_enabled": True,
            "trigger_cooldown_days": 3,
        },
        core={"interval_h": 24},
    )


def with_fear(history: MarketHistory, seed: int) -> MarketHistory:
    rng = np.random.default_rng(seed)
    days = np.arange(history.hours // 24, dtype=np.int64)
    kept = days[rng.random(len(days)) > 0.1]
    return replace(history, sentiment=Sentiment(history.start_ms + kept * 24 * HOUR_MS, rng.uniform(5, 60, len(kept))))


def assert_same_bits(earlier: np.ndarray, whole: np.ndarray, what: str) -> None:
    """Compare bit by bit, NaN included."""
    assert earlier.tobytes() == np.ascontiguousarray(whole).tobytes(), f"{what} changed with later bars"


def assert_causal(params: Params, history: MarketHistory, hours: int) -> None:
    """Assert that features over a prefix are, to the bit, the prefix of the features over everything."""
    whole, known = features_of(params, history), features_of(params, cut(history, hours))
    days = hours // 24
    for engine in ("trend", "tactical"):
        for name in getattr(whole, engine)._fields:
            long, short = getattr(getattr(whole, engine), name), getattr(getattr(known, engine), name)
            if long.shape[-1] == history.hours // 24:
                assert_same_bits(short, long[..., :days], f"{engine}.{name}")
    at_h = history.start_ms // HOUR_MS + hours
    for s, rates in enumerate(history.funding):
        settled = int((stamp_hours(rates.stamp_ms) <= at_h).sum())
        for name in ("stamp_h", "rate", "interval_h", "mean_rate", "positive", "pays"):
            long, short = getattr(whole.funding, name)[s], getattr(known.funding, name)[s]
            assert_same_bits(short[:settled], long[:settled], f"funding.{name}")


def decided(orders: list[Order], until_h: int) -> list[tuple[int, ...]]:
    return sorted(
        (o.decided_h, o.engine, o.symbol, o.market, o.side, o.why, o.rule)
        for o in orders
        if o.decided_h <= until_h and o.why not in INSIDE
    )


def assert_decisions_know_nothing_later(params: Params, history: MarketHistory, hours: int, seed: int) -> int:
    """Assert that noise from bar `hours` on changes no decision, fill or equity up to its open; count the orders."""
    first, second = play(history, params), play(with_noise_after(history, hours, seed), params)
    at_h = history.start_ms // HOUR_MS + hours
    one, two = orders_on(first), orders_on(second)
    assert [o for o in one if o.filled_h < at_h] == [o for o in two if o.filled_h < at_h]
    assert decided(one, at_h) == decided(two, at_h)
    rows = [int((run.tape.close_h[: run.tape.counts[0]] <= at_h).sum()) for run in (first, second)]
    assert rows[0] == rows[1]
    assert_same_bits(np.ascontiguousarray(equity_on(first)[:, : rows[0]]), equity_on(second)[:, : rows[0]], "equity")
    return len(decided(one, at_h))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), hours=st.integers(1, 40 * 24), holes=st.sampled_from([0, 3, 60]))
def test_j3_features_of_a_prefix_are_the_prefix_of_the_features(seed: int, hours: int, holes: int) -> None:
    assert_causal(lively(), with_fear(a_random_history(seed, days=40, holes=holes), seed), hours)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10**6), hours=st.integers(48, 24 * 24), holes=st.sampled_from([0, 30]))
def test_j3_noise_after_t_changes_no_decision_up_to_t(seed: int, hours: int, holes: int) -> None:
    history = with_fear(a_random_history(seed, days=25, holes=holes), seed)
    assert assert_decisions_know_nothing_later(lively(), history, hours, seed + 1) > 0


@pytest.mark.parametrize("peeking", ["sma", "ema", "adx", "atr"])
def test_j3_the_check_finds_an_index_shifted_by_one_day(peeking: str, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = getattr(trend, peeking)

    def shifted(*given: object) -> np.ndarray:
        return np.roll(honest(*given), -1, axis=1)

    history = with_fear(a_random_history(5, days=40), 5)
    assert_causal(lively(), history, 20 * 24)
    monkeypatch.setattr(trend, peeking, shifted)
    with pytest.raises(AssertionError, match=rf"trend\.{peeking} changed"):
        assert_causal(lively(), history, 20 * 24)


def test_j3_the_check_finds_decisions_that_peek(monkeypatch: pytest.MonkeyPatch) -> None:
    import core_builders

    def peeking(params: Params, history: MarketHistory) -> Features:
        honest = features_of(params, history)
        tomorrow = {name: np.roll(getattr(honest.trend, name), -1, axis=1) for name in ("close", "sma", "ema", "adx")}
        return honest._replace(
            trend=honest.trend._replace(**tomorrow),
            tactical=honest.tactical._replace(close=np.roll(honest.tactical.close, -1, axis=1)),
        )

    history = with_fear(a_random_history(5, days=18), 5)
    spots = range(9 * 24, 17 * 24, 24)

    def check() -> None:
        for hours in spots:
            assert_decisions_know_nothing_later(lively(), history, hours, 1)

    check()
    monkeypatch.setattr(core_builders, "features_of", peeking)
    with pytest.raises(AssertionError):
        check()


@pytest.fixture(scope="module")
def real_history() -> MarketHistory:
    if not SHARED.is_dir():
        pytest.skip("the shared real data are not on this machine (ETERNAL_SHARED_DATA)")
    from eternal_engine.market_data.load import load_history

    return load_history(SHARED, TEN)


@pytest.mark.parametrize("share", [0.31, 0.5003, 0.77, 0.99])
def test_j3_features_over_real_data_are_causal(real_history: MarketHistory, share: float) -> None:
    assert_causal(some_params(TEN), real_history, int(share * real_history.hours))


@pytest.mark.slow
def test_j3_noise_after_t_changes_no_decision_on_real_data(real_history: MarketHistory) -> None:
    history = cut(real_history, 500 * 24)
    params = some_params(TEN)
    for hours in (300 * 24 + 5, 460 * 24):
        assert assert_decisions_know_nothing_later(params, history, hours, hours) > 50
