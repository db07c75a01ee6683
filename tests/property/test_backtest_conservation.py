"""Money is neither made nor lost: an independent ledger over the tape finds the same equity at every bar (J6)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core_builders import (
    CAPITAL,
    QUICK_TREND,
    THREE,
    a_random_history,
    equity_on,
    orders_on,
    play,
    replayed_equity,
    some_params,
    written,
)
from eternal_engine.backtest import loop
from eternal_engine.backtest.fills import Market
from eternal_engine.backtest.simulate import Simulation
from eternal_engine.backtest.tape import BARS, EVENTS, ORDERS, TRADES
from eternal_engine.market_data.history import MarketHistory
from eternal_engine.portfolio.params import BookView, Features, Params


def wild(shorts: bool = False) -> Params:
    """Give parameters with wide limits, so that stops, liquidations, cuts and breakers all happen."""
    return some_params(
        THREE,
        core={"interval_h": 24},
        trend={**QUICK_TREND, "adx_min": 5.0, "shorts": shorts, "risk_frac": 0.5, "stop_atr": 1.0},
        tactical={"level_drawdown": np.array([0.05, 0.2]), "take_profit_frac": 0.1, "max_hold_days": 4},
        risk={"max_position_frac": 0.5, "trend_max_own_frac": 2.0, "correlation_deny": 1.1},
        ladder={"daily_loss_frac": 0.2, "weekly_loss_frac": 0.4},
    )


def assert_reconciles(history: MarketHistory, params: Params, deposits: float = 0.0, first_bar: int = 0) -> Simulation:
    done = play(history, params, deposit_weekly_usdt=deposits, first_bar=first_bar)
    equity = equity_on(done)
    expected = replayed_equity(done, history, params, CAPITAL)
    np.testing.assert_allclose(equity, expected, rtol=1e-9, atol=1e-6)
    assert equity[:, 0].tolist() == list(CAPITAL)
    moved = done.tape.engine_flow.sum(axis=0) - done.tape.external
    np.testing.assert_allclose(moved, 0.0, atol=1e-9)
    return done


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    holes=st.sampled_from([0, 40]),
    vol=st.sampled_from([0.008, 0.02, 0.05]),
    deposits=st.sampled_from([0.0, 300.0]),
    shorts=st.booleans(),
)
def test_j6_engines_sum_to_the_portfolio_at_every_bar(
    seed: int, holes: int, vol: float, deposits: float, shorts: bool
) -> None:
    history = a_random_history(seed, days=25, holes=holes, vol=vol)
    assert len(orders_on(assert_reconciles(history, wild(shorts), deposits))) > 0


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10**6), gone=st.integers(10 * 24, 24 * 24))
def test_j6_delistings_and_late_listings_reconcile(seed: int, gone: int) -> None:
    history = a_random_history(seed, days=25)
    start, hour = history.start_ms, 3_600_000
    listed = np.array([start, start, start + 120 * hour])
    history = replace(history, listed_ms=listed, delisted_ms=np.array([-1, start + gone * hour, -1]))
    done = assert_reconciles(history, wild(), first_bar=24)
    assert not [o for o in orders_on(done) if o.symbol == 1 and o.filled_h > start // hour + gone]
    assert not [o for o in orders_on(done) if o.symbol == 2 and o.decided_h <= start // hour + 120]


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6), holes=st.sampled_from([0, 40]), vol=st.sampled_from([0.01, 0.03]))
def test_u_8_fast_travel_is_only_a_shortcut(seed: int, holes: int, vol: float) -> None:
    history = a_random_history(seed, days=25, holes=holes, vol=vol)
    quick = play(history, wild(), deposit_weekly_usdt=100.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "quiet_until", lambda params, states, market, first_bar, *given: first_bar)
        long = play(history, wild(), deposit_weekly_usdt=100.0)
    assert quick.tape.counts.tolist() == long.tape.counts.tolist()
    for name in quick.tape._fields:
        assert np.array_equal(written(quick.tape, name), written(long.tape, name)), name


def test_j6_the_replay_notices_a_fee_that_is_not_paid(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = loop.pay_funding

    def generous(features: Features, market: Market, book: BookView, *given: Any) -> int:
        book.cash[2] += 0.01
        return honest(features, market, book, *given)

    history = a_random_history(3, days=25)
    assert_reconciles(history, wild())
    monkeypatch.setattr(loop, "pay_funding", generous)
    with pytest.raises(AssertionError):
        assert_reconciles(history, wild())


def test_the_wild_runs_reach_every_corner() -> None:
    """Show that the markets above do contain stops, liquidations, cuts and breakers: a proof over nothing is none."""
    reasons: set[int] = set()
    kinds: set[int] = set()
    for seed in range(14):
        done = play(a_random_history(seed, days=25, vol=0.05 if seed % 2 else 0.02), wild(shorts=seed % 3 == 0))
        reasons |= {order.why for order in orders_on(done)}
        kinds |= set(done.tape.event_i[: done.tape.counts[EVENTS], 1].tolist())
        assert done.tape.counts[BARS] > 0
        assert min(done.tape.counts[ORDERS], done.tape.counts[TRADES]) > 0
    from eternal_engine.backtest import tape as records
    from eternal_engine.model import reason as r

    assert reasons >= {r.CORE_PLAN, r.TREND_ENTRY, r.TREND_EXIT, r.TREND_STOP, r.FUND_ENTRY, r.FUND_EXIT, r.TACT_LEVEL}
    assert reasons >= {r.TREND_TRAIL, r.TACT_AGE, r.TACT_PROFIT, r.BREAKER_CLOSE, r.FUND_CUT}
    assert kinds >= {records.BREAKER, records.APPROVAL, records.DAY_LOSS, records.PHASE}
