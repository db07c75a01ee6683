"""One completed hour of the portfolio: breaker orders, halts, the order of the engines (U-8, BRK-4)."""

from __future__ import annotations

import numpy as np
import pytest

from core_builders import THREE, some_params
from eternal_engine.model import reason
from eternal_engine.portfolio import breaker_hour
from eternal_engine.risk import breaker
from eternal_engine.strategies.base import (
    BUY,
    CORE_HODL,
    FUNDING,
    PAIR,
    PERP,
    SELL,
    TACTICAL,
    TREND,
)
from portfolio_desk import NOW_H, Desk


@pytest.mark.parametrize(("coins", "sold"), [(0.1, 0.025), (0.104, 0.026), (-0.1, 0.025), (0.002, 0.0)])
def test_f14_level_one_cuts_a_quarter_in_whole_steps(coins: float, sold: float) -> None:
    desk = Desk()
    desk.hold_trend(0, coins)
    intents = desk.breaker(breaker.CAUTION, breaker.NORMAL)
    step = desk.params.instruments.perp_step[0]
    assert [i.qty_steps * step for i in intents] == ([pytest.approx(sold)] if sold else [])
    for intent in intents:
        assert (intent.market, intent.reduces, intent.reason) == (PERP, True, reason.BREAKER_CUT)
        assert intent.side == (SELL if coins > 0 else BUY)


@pytest.mark.parametrize(("left", "sold"), [(0.1, 0.05), (0.075, 0.025), (0.05, 0.0), (0.04, 0.0)])
def test_level_two_cuts_to_half_of_the_quantity_before_any_cut(left: float, sold: float) -> None:
    desk = Desk()
    desk.hold_trend(0, 0.1)
    desk.book.perp_qty[TREND, 0] = left
    intents = desk.breaker(breaker.WARNING, breaker.CAUTION)
    assert sum(i.qty_steps for i in intents) == round(sold / 0.001)


@pytest.mark.parametrize("level", [breaker.CAUTION, breaker.WARNING])
def test_cuts_are_made_once_when_the_level_begins(level: int) -> None:
    desk = Desk()
    desk.hold_trend(0, 0.1)
    assert desk.breaker(level, level) == []


@pytest.mark.parametrize("level", [breaker.ALERT, breaker.EMERGENCY])
@pytest.mark.parametrize("before", [breaker.NORMAL, breaker.WARNING, breaker.ALERT])
def test_brk_4_closing_orders_exist_within_one_loop(level: int, before: int) -> None:
    # F13: reduce-only orders for all of TREND and both legs of FUNDING; spot of CORE_HODL and TACTICAL is not sold.
    desk = Desk()
    desk.hold_trend(0, 0.1)
    desk.hold_trend(2, -30.0)
    desk.hold_pair(1, 2.0)
    for engine in (CORE_HODL, TACTICAL):
        desk.book.spot_qty[engine, 0] = 0.5
    intents = desk.breaker(level, before)
    assert [(i.engine, i.symbol, i.market, i.side) for i in intents] == [
        (TREND, 0, PERP, SELL),
        (TREND, 2, PERP, BUY),
        (FUNDING, 1, PAIR, SELL),
    ]
    assert [i.qty_steps for i in intents] == [100, 300, 200]
    assert all(i.reduces and i.reason == reason.BREAKER_CLOSE for i in intents)
    # What is on its way is not asked for twice.
    assert len(desk.breaker(level, level)) == 3


def test_brk_4_a_leftover_leg_is_closed_as_well() -> None:
    desk = Desk()
    desk.hold_pair(1, 2.0)
    desk.book.perp_qty[FUNDING, 1] = 0.0
    assert [(i.engine, i.market) for i in desk.breaker(breaker.ALERT, breaker.ALERT)] == [(FUNDING, PAIR)]
    dust = Desk()
    dust.hold_pair(1, 0.0004)
    dust.book.perp_qty[FUNDING, 1] = 0.0
    assert dust.breaker(breaker.ALERT, breaker.ALERT) == []


def test_brk_4_a_crumb_that_cannot_be_sold_is_asked_nothing() -> None:
    desk = Desk()
    desk.book.spot_qty[FUNDING, 1] = 0.002  # 4 USDT
    assert desk.breaker(3, 3) == []


def test_brk_6_no_level_sells_spot_of_core_or_tactical() -> None:
    for level in range(5):
        desk = Desk()
        desk.book.spot_qty[CORE_HODL] = desk.book.spot_qty[TACTICAL] = 1.0
        assert desk.breaker(level, 0) == []


def test_normal_orders_nothing() -> None:
    desk = Desk()
    desk.hold_trend(0, 0.1)
    assert desk.breaker(breaker.NORMAL, breaker.CAUTION) == []


def test_section_7_scope_is_the_active_engines_or_the_portfolio() -> None:
    desk = Desk()
    assert breaker_hour.scope_usdt(desk.params, desk.equity) == 40_000.0
    wide = some_params(THREE, ladder={"scope": breaker.SCOPE_PORTFOLIO})
    assert breaker_hour.scope_usdt(wide, desk.equity) == 100_000.0
    states = breaker_hour.advance_risk(wide, desk.states, NOW_H, desk.equity)
    assert states.risk.high_usdt == 100_000.0


@pytest.mark.parametrize(("engine", "bit"), [(CORE_HODL, 1), (TREND, 2), (FUNDING, 4), (TACTICAL, 8)])
def test_risk_1_an_operator_halts_one_engine(engine: int, bit: int) -> None:
    params = some_params(THREE, trend={"sma_days": 3, "ema_days": 2, "adx_days": 2, "atr_days": 2, "warmup_days": 5})
    for halted in (0, bit, 15 - bit):
        desk = Desk(params)
        features = desk.features(rate=0.001)
        rising = features.trend._replace(
            close=np.full((3, 10), 3.0), sma=np.full((3, 10), 1.0), ema=np.full((3, 10), 2.0),
            adx=np.full((3, 10), 50.0), atr=np.full((3, 10), 0.1), days_known=np.full((3, 10), 10),
        )  # fmt: skip
        fallen = features.tactical._replace(btc_high=np.full(10, 90_000.0))
        desk.params = desk.params._replace(risk=desk.params.risk._replace(correlation_deny=2.0, correlation_halve=2.0))
        rising.close[:] += np.random.default_rng(1).normal(0, 0.1, (3, 10))
        desk.params = desk.params._replace(risk=desk.params.risk._replace(correlation_days=5))
        asked = {i.engine for i in desk.decide(features._replace(trend=rising, tactical=fallen), halted)}
        expected = {e for e in range(4) if not halted >> e & 1}
        assert asked == expected, halted


def test_core_6_level_four_and_halts_keep_a_cycle_due() -> None:
    for change in ({"level": 4}, {"halted": True}):
        desk = Desk(
            some_params(THREE, trend={"enabled": False}, funding={"enabled": False}, tactical={"enabled": False})
        )
        desk.risk(**change)
        features = desk.features()
        assert desk.decide(features) == []
        assert desk.states.core.phase == 0
        desk.risk(level=0, halted=False)
        assert {i.engine for i in desk.decide(features)} == {CORE_HODL}
        assert desk.states.core.due_h == NOW_H + 168


def test_core_6_level_three_does_not_stop_core() -> None:
    desk = Desk(some_params(THREE, trend={"enabled": False}, funding={"enabled": False}, tactical={"enabled": False}))
    desk.risk(level=3)
    assert {i.engine for i in desk.decide(desk.features())} == {CORE_HODL}


def test_u_8_engines_decide_in_order() -> None:
    desk = Desk()
    desk.hold_trend(2, 3.0)
    desk.risk(level=3)
    features = desk.features()
    fallen = features.tactical._replace(btc_high=np.full(10, 90_000.0))
    engines = [i.engine for i in desk.decide(features._replace(tactical=fallen))]
    assert engines == [TREND, CORE_HODL, CORE_HODL, TACTICAL, TACTICAL]


def test_daily_engines_wait_for_the_day_to_close() -> None:
    desk = Desk(some_params(THREE, core={"enabled": False}, funding={"enabled": False}))
    features = desk.features()
    fallen = features._replace(tactical=features.tactical._replace(btc_high=np.full(10, 90_000.0)))
    desk.marks.spot_h[:] = desk.marks.perp_h[:] = NOW_H - 2
    assert desk.decide(fallen, now_h=NOW_H - 1) == []
    desk.marks.spot_h[:] = desk.marks.perp_h[:] = NOW_H - 1
    assert {i.engine for i in desk.decide(fallen)} == {TACTICAL}
