"""CORE_HODL over random lives: it never sells, never overdraws, and its plan always ends (CORE-3, 4, 7, 11)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core_builders import CoreLife, some_params
from eternal_engine.portfolio.params import Params
from eternal_engine.strategies import core_hodl
from eternal_engine.strategies.base import BUY, SELL, SPOT

SYMBOLS = 3


@lru_cache(maxsize=1)
def params() -> Params:
    return some_params(("BTCUSDT", "ETHUSDT", "SOLUSDT"), core={"weights": np.array([0.5, 0.3, 0.2])})


weeks = st.lists(
    st.tuples(
        st.lists(st.floats(-0.6, 0.8), min_size=SYMBOLS, max_size=SYMBOLS),  # price moves
        st.sampled_from([0.0, 0.0, 0.0, 50.0, 900.0, 40_000.0]),  # deposits
        st.sets(st.integers(0, SYMBOLS - 1), max_size=2),  # refused legs
        st.sets(st.integers(0, SYMBOLS - 1), max_size=2),  # coins without a bar
        st.sampled_from([168, 168, 169, 400]),  # hours until the next look
    ),
    min_size=1,
    max_size=9,
)


@settings(max_examples=1000, deadline=None)
@given(portfolio=st.sampled_from([3.0, 800.0, 30_000.0, 163_865.0]), late=st.sets(st.integers(0, 2)), life=weeks)
def test_core_11_never_sells(
    portfolio: float, late: set[int], life: list[tuple[list[float], float, set[int], set[int], int]]
) -> None:
    core = CoreLife(params(), portfolio_usdt=portfolio, unlisted=set(late))
    for number, (moves, deposit, refused, stale, hours) in enumerate(life):
        core.held *= 1 + np.array(moves)
        core.refused, core.stale = refused, stale
        if number == 5:
            core.unlisted = set()
        if deposit:
            core.deposit(deposit)
        before = core.state.weeks_remaining
        core.cycle(hours=hours)
        for signal in core.signals:
            assert (signal.side, signal.market, signal.reduces) == (BUY, SPOT, False)
            assert signal.quote_usdt >= core.min_usdt - 1e-9
            assert signal.symbol not in core.stale | core.unlisted
        assert core.cash >= -1e-9
        assert (core.state.gap_usdt >= 0).all()
        assert core.state.weeks_remaining >= max(before - 1, 0) or core.state.phase != core_hodl.DEPLOYING


@settings(max_examples=60, deadline=None)
@given(portfolio=st.floats(10.0, 1e6), cap_frac=st.floats(0.01, 1.0))
def test_core_4_a_plan_spends_its_whole_gap_whatever_the_caps(portfolio: float, cap_frac: float) -> None:
    life = CoreLife(params(), portfolio_usdt=portfolio, cap_usdt=max(cap_frac * portfolio, 5.0))
    cycles = 0
    while life.state.phase in (core_hodl.NEW, core_hodl.DEPLOYING):
        life.cycle()
        cycles += 1
        assert cycles < 200
    # What is left is less than a minimum order per coin.
    assert life.cash <= SYMBOLS * life.min_usdt


def test_the_check_against_sells_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    planted = core_hodl.buy_quote_signal

    def selling(*given: object) -> object:
        return planted(*given)._replace(side=SELL)  # type: ignore[arg-type]

    monkeypatch.setattr(core_hodl, "buy_quote_signal", selling)
    with pytest.raises(AssertionError):
        test_core_11_never_sells.hypothesis.inner_test(800.0, set(), [([0.0] * 3, 0.0, set(), set(), 168)])
