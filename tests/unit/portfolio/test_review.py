"""One signal through the risk manager: whole steps, limits, pending orders (U-3, RISK-3 to RISK-13)."""

from __future__ import annotations

import math

import numpy as np
import pytest

from core_builders import THREE, TWO, an_exposure, some_params
from eternal_engine.model import reason
from eternal_engine.portfolio import valuation
from eternal_engine.portfolio.params import (
    Decision,
)
from eternal_engine.risk import breaker
from eternal_engine.strategies.base import (
    CORE_HODL,
    FUNDING,
    TACTICAL,
    TREND,
    Signal,
)
from portfolio_desk import NOW_H, Desk, a_buy, an_entry


def test_u_3_reviews_give_whole_steps() -> None:
    desk = Desk()
    asked = 123.456789123
    passed = Decision(NOW_H, 0, 0, reason.CORE_PLAN, True, reason.NONE, asked)
    assert desk.review(a_buy(CORE_HODL, asked)) == passed
    assert desk.review(an_entry(TREND, 0.0509)).approved
    assert desk.review(an_entry(FUNDING, 0.0509)).approved
    assert [(i.qty_steps, i.quote_steps) for i in desk.pending] == [(0, 1_234_567_891), (50, 0), (50, 0)]
    assert [i.unit for i in desk.pending] == [1e-7, 0.001, 0.001]
    assert desk.pending[1].stop_distance == 1_000.0


@pytest.mark.parametrize(
    ("signal", "approved"),
    [
        (a_buy(CORE_HODL, 5.0), True),
        (a_buy(CORE_HODL, 4.99), False),
        (an_entry(TREND, 0.001), True),
        (an_entry(TREND, 0.0009), False),
        (an_entry(TREND, 0.05, symbol=2), False),  # under one step of 0.1
        (an_entry(FUNDING, 0.1, symbol=2), True),
    ],
)
def test_risk_10_minimum_order(signal: Signal, approved: bool) -> None:
    desk = Desk()
    decision = desk.review(signal)
    assert (decision.approved, decision.rule) == (approved, reason.NONE if approved else reason.RISK_10_ORDER)
    assert len(desk.pending) == approved


def test_risk_10_minimum_value_of_a_perp() -> None:
    desk = Desk()
    desk.params.instruments.perp_min_usdt[2]
    table = desk.params.instruments._replace(perp_min_usdt=np.full(3, 50.0), spot_min_usdt=np.array([5.0, 5.0, 80.0]))
    desk.params = desk.params._replace(instruments=table)
    assert desk.review(an_entry(TREND, 0.4, symbol=2)).rule == reason.RISK_10_ORDER
    assert desk.review(an_entry(TREND, 0.5, symbol=2)).approved
    # A pair must satisfy both markets.
    assert not desk.review(an_entry(FUNDING, 0.7, symbol=2)).approved
    assert desk.review(an_entry(FUNDING, 0.8, symbol=2)).approved


def test_risk_10_instrument_maximum() -> None:
    desk = Desk(some_params(THREE, risk={"max_position_frac": 1.0, "trend_max_own_frac": 2.0}))
    table = desk.params.instruments._replace(perp_max_qty=np.full(3, 0.2), spot_max_qty=np.full(3, 0.1))
    desk.params = desk.params._replace(instruments=table)
    desk.review(an_entry(TREND, 0.9))
    desk.review(a_buy(CORE_HODL, 50_000.0))
    assert desk.pending[0].qty_steps == 200
    assert desk.pending[1].quote_steps * 1e-7 == pytest.approx(4_000.0)


def test_risk_6_pending_orders_count_as_held() -> None:
    desk = Desk()
    desk.review(a_buy(TACTICAL, 4_000.0))
    decision = desk.review(a_buy(TACTICAL, 2_500.0))
    assert (decision.approved, decision.rule) == (True, reason.RISK_6_SIZE)
    assert desk.pending[1].quote_steps * 1e-7 == pytest.approx(1_000.0)
    desk.review(an_entry(TREND, 0.1))
    assert desk.review(an_entry(TREND, 0.1)).rule == reason.RISK_6_SIZE
    assert desk.pending[-1].qty_steps == 25


def test_risk_8_pending_entries_take_their_slots() -> None:
    desk = Desk(some_params(THREE, risk={"max_positions_trend": 2}))
    desk.hold_trend(0, 0.01)
    assert desk.review(an_entry(TREND, 0.5, symbol=1)).approved
    assert desk.review(an_entry(TREND, 1.0, symbol=2)).rule == reason.RISK_8_SLOTS


def test_risk_8_a_slot_is_free_when_its_exit_has_filled() -> None:
    desk = Desk(some_params(THREE, risk={"max_positions_trend": 1}))
    desk.hold_trend(0, 0.1)
    desk.breaker(breaker.ALERT, 0)
    desk.risk(level=0)
    assert desk.review(an_entry(TREND, 0.5, symbol=1)).rule == reason.RISK_8_SLOTS
    desk.pending.clear()
    desk.book.perp_qty[TREND, 0] = 0.0
    assert desk.review(an_entry(TREND, 0.5, symbol=1)).approved


def test_risk_10_pending_entries_bind_cash() -> None:
    desk = Desk(some_params(THREE, risk={"max_position_frac": 1.0}))
    desk.book.cash[TACTICAL] = 1_000.0
    desk.review(a_buy(TACTICAL, 700.0))
    decision = desk.review(a_buy(TACTICAL, 700.0, symbol=1))
    assert (decision.approved, decision.rule) == (True, reason.RISK_10_CASH)
    assert desk.pending[1].quote_steps * 1e-7 == pytest.approx(300.0)


def test_risk_12_orders_of_this_minute_count() -> None:
    desk = Desk(some_params(THREE, risk={"orders_per_minute": 3}))
    approved = [desk.review(a_buy(CORE_HODL, 50.0)).approved for _ in range(5)]
    assert approved == [True] * 3 + [False] * 2
    assert desk.review(a_buy(TACTICAL, 50.0)).approved


def test_risk_13_everything_held_and_pending_counts_against_the_cap() -> None:
    desk = Desk(some_params(THREE, risk={"cap_usdt": 10_000.0}))
    desk.book.spot_qty[CORE_HODL, 0] = 0.1
    desk.hold_trend(1, 1.0)
    assert valuation.exposure_usdt(desk.params, desk.book, desk.marks, desk.pending) == pytest.approx(6_000.0)
    desk.review(a_buy(TACTICAL, 1_000.0))
    desk.review(an_entry(TREND, 0.05))
    assert valuation.exposure_usdt(desk.params, desk.book, desk.marks, desk.pending) == pytest.approx(9_000.0)
    decision = desk.review(a_buy(CORE_HODL, 3_000.0))
    assert decision.rule == reason.RISK_13_CAP
    assert desk.pending[-1].quote_steps * 1e-7 == pytest.approx(1_000.0)
    assert valuation.exposure_usdt(some_params(THREE), desk.book, desk.marks, desk.pending) == 0.0


@pytest.mark.parametrize(("age", "approved"), [(0, True), (1, True), (2, False)])
def test_risk_3_the_age_of_the_last_price_of_both_markets_counts(age: int, approved: bool) -> None:
    desk = Desk()
    desk.marks.perp_h[0] = NOW_H - 1 - age
    assert desk.review(an_entry(TREND, 0.05)).approved == approved
    assert desk.review(an_entry(FUNDING, 0.05)).approved == approved
    assert desk.review(a_buy(CORE_HODL, 50.0)).approved
    desk.marks.spot_h[0] = NOW_H - 1 - age
    decision = desk.review(a_buy(CORE_HODL, 50.0))
    assert (decision.approved, decision.rule) == (approved, reason.NONE if approved else reason.RISK_3_STALE)


def test_risk_7_kelly_counts_from_thirty_closed_trades_on() -> None:
    for closed, steps in ((29, 100), (30, 50)):
        desk = Desk()
        desk.book.trend_closed[0] = closed
        desk.book.trend_pnls[:closed] = -10.0
        desk.review(an_entry(TREND, 0.1))
        assert desk.pending[0].qty_steps == steps


def test_an_exposure_is_healthy_by_default() -> None:
    assert math.isinf(an_exposure().kelly_frac)
    assert len(TWO) == 2
