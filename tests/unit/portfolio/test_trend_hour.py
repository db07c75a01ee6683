"""TREND's hour: candidates by rank and correlation, and the exits before them (RISK-8, RISK-11, TREND-X1)."""

from __future__ import annotations

import numpy as np
import pytest

from core_builders import THREE, TWO, some_params
from eternal_engine.model import reason
from eternal_engine.portfolio import trend_hour
from eternal_engine.portfolio.params import NO_INTENT
from eternal_engine.portfolio.trend_hour import _left_after
from eternal_engine.strategies import funding
from eternal_engine.strategies.base import TREND
from portfolio_desk import NOW_H, Desk, a_trending

TREND_ONLY = {"core": {"enabled": False}, "funding": {"enabled": False}, "tactical": {"enabled": False}}


def test_risk_8_a_refused_candidate_leaves_its_slot_to_the_next() -> None:
    params = some_params(
        THREE,
        **TREND_ONLY,
        risk={"max_positions_trend": 2, "correlation_days": 5, "correlation_deny": 9.0, "correlation_halve": 9.0},
    )
    desk = Desk(params)
    assert [i.symbol for i in desk.decide(a_trending(desk))] == [2, 0]
    assert desk.decisions[-1].rule == reason.RISK_8_SLOTS
    desk = Desk(params)
    desk.marks.perp_h[2] = NOW_H - 2  # the strongest has no bar
    assert [i.symbol for i in desk.decide(a_trending(desk))] == [0, 1]


def test_risk_11_correlation_with_open_and_pending_positions() -> None:
    params = some_params(THREE, **TREND_ONLY, risk={"correlation_days": 5, "max_positions_trend": 3})
    desk = Desk(params)
    features = a_trending(desk)
    features.trend.close[0] = 2.0 * features.trend.close[2]  # moves exactly as the strongest one
    intents = desk.decide(features)
    assert 0 not in [i.symbol for i in intents]
    assert {(d.symbol, d.rule) for d in desk.decisions if not d.approved} >= {(0, reason.RISK_11_CORRELATION)}
    # Held instead of pending: the same.
    held = Desk(params)
    held.hold_trend(2, 10.0)
    assert 0 not in [i.symbol for i in held.decide(features)]
    # An unknown correlation denies too (thirty days asked of ten).
    unknown = Desk(some_params(THREE, **TREND_ONLY))
    assert [i.symbol for i in unknown.decide(a_trending(unknown))] == [2]


def test_u_10_a_perp_is_tradable_from_its_first_settlement_on() -> None:
    desk = Desk(some_params(THREE, **TREND_ONLY, risk={"correlation_days": 5, "correlation_deny": 9.0}))
    features = a_trending(desk)
    features.funding.stamp_h[2] = funding.NEVER_H
    desk.settled[:] = (31, 31, 0)
    desk.states = trend_hour.decide_trend(
        desk.params, features, desk.book, desk.marks, desk.pending, desk.decisions, desk.equity, desk.states, NOW_H,
        desk.settled, False,
    )  # fmt: skip
    assert 2 not in [i.symbol for i in desk.pending]
    assert desk.pending


def test_trend_x1_an_exit_of_the_same_hour_sells_what_a_cut_leaves() -> None:
    desk = Desk(some_params(THREE, **TREND_ONLY))
    desk.hold_trend(0, 0.1)
    desk.risk(level=1)
    features = a_trending(desk)
    features.trend.close[0] = 0.5
    found = [(i.symbol, i.qty_steps, i.reason) for i in desk.decide(features) if i.symbol == 0]
    assert found == [(0, 25, reason.BREAKER_CUT), (0, 75, reason.TREND_EXIT)]


def test_trend_x1_an_exit_on_its_way_counts_in_the_steps_it_was_decided_in() -> None:
    params = some_params(TWO)
    # Decided in thousandths; since then the exchange's step is a hundredth.
    exit_ = NO_INTENT._replace(engine=TREND, symbol=0, reduces=True, qty_steps=100, unit=0.001)
    table = params.instruments._replace(perp_step=np.full(2, 0.01))
    coarse = params._replace(instruments=table)
    assert _left_after(coarse, [exit_], 0, 0.3) == pytest.approx(0.2)
    assert _left_after(coarse, [exit_], 0, 0.1) == 0.0
