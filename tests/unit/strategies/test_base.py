"""A signal says all that it is, and a limit holds within rounding (rules RISK-0 and U-3)."""

from __future__ import annotations

from eternal_engine.model import reason
from eternal_engine.strategies import base
from eternal_engine.strategies.base import BUY, PERP, SELL, SPOT, TACTICAL, TREND, Signal


def test_risk_0_a_reduction_is_of_coins_alone() -> None:
    found = base.reduce_signal(TREND, 3, PERP, SELL, 0.5, 40_000.0, reason.TREND_EXIT)
    assert found == Signal(
        engine=TREND, symbol=3, market=PERP, side=SELL, reduces=True, qty=0.5, quote_usdt=0.0, price=40_000.0,
        reason=reason.TREND_EXIT, stop_distance=0.0, atr=0.0, plan_usdt=0.0, level=0,
    )  # fmt: skip


def test_u_9_a_purchase_in_usdt_is_of_money_alone() -> None:
    found = base.buy_quote_signal(TACTICAL, 3, 50.0, 40_000.0, reason.TACT_FEAR, 7.0, -1)
    assert found == Signal(
        engine=TACTICAL, symbol=3, market=SPOT, side=BUY, reduces=False, qty=0.0, quote_usdt=50.0, price=40_000.0,
        reason=reason.TACT_FEAR, stop_distance=0.0, atr=0.0, plan_usdt=7.0, level=-1,
    )  # fmt: skip


def test_u_3_a_value_at_its_limit_is_within_it_whatever_its_size() -> None:
    for limit in (0.1, 5.0, 4e6):
        assert not base.exceeded(limit, limit)
        assert base.reached(limit, limit)
        assert base.exceeded(limit * (1 + 1e-9), limit)
        assert not base.reached(limit * (1 - 1e-9), limit)
