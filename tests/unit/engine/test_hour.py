"""One hour of the daemon, pure: flows, the operator of fast paper, halts, held-back entries, what is pending."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from decimal import Decimal

import pytest

from core_builders import TWO, some_params
from eternal_engine.engine.hour import ALL_HALTED, Decided, mark
from eternal_engine.engine.memory import read, write
from eternal_engine.model import reason
from eternal_engine.portfolio.params import NO_INTENT, Decision
from eternal_engine.risk import breaker
from eternal_engine.strategies.base import BUY, CORE_HODL, FUNDING, PAIR, TACTICAL, TREND
from hour_scene import NOW_H, Scene, flowed

RICH = 0.002  # a funding rate at which FUNDING enters


def verdicts(decided: Decided, engine: int) -> list[Decision]:
    return [row for row in decided.decisions if row.engine == engine]


# Flows ---------------------------------------------------------------------------------------------------------------


def test_risk_4_money_that_comes_scales_high_and_bases_once() -> None:
    scene = Scene()
    scene.core_rests()
    scene.risk(high_usdt=44_000.0, day_base_usdt=40_400.0, week_base_usdt=41_000.0)
    scene.book.cash[TREND] += 10_000.0
    first = scene.decide(flowed(trend_=30_000))
    risk = first.memory.states.risk
    assert risk.high_usdt == pytest.approx(44_000.0 * 50 / 40)
    assert risk.day_base_usdt == pytest.approx(40_400.0 * 50 / 40)
    assert risk.week_base_usdt == pytest.approx(41_000.0 * 50 / 40)
    assert risk.level == breaker.NORMAL
    assert first.risk_before.high_usdt == risk.high_usdt
    scene.go_on(first)
    again = scene.decide(flowed(trend_=30_000)).memory.states.risk
    assert (again.high_usdt, again.day_base_usdt) == (risk.high_usdt, risk.day_base_usdt)


def test_brk_1_money_that_leaves_is_no_drawdown() -> None:
    scene = Scene()
    scene.core_rests()
    scene.book.cash[FUNDING] -= 8_000.0
    after = scene.decide(flowed(funding_=7_000)).memory.states.risk
    assert (after.level, after.day_breached) == (breaker.NORMAL, False)
    assert after.high_usdt == pytest.approx(32_000.0)


def test_brk_1_money_of_core_hodl_is_outside_the_active_scope_and_inside_the_portfolios() -> None:
    scene = Scene()
    scene.core_rests()
    scene.book.cash[CORE_HODL] += 40_000.0
    assert scene.decide(flowed(core=100_000)).memory.states.risk.high_usdt == 40_000.0
    whole = Scene(some_params(TWO, ladder={"scope": breaker.SCOPE_PORTFOLIO}))
    whole.core_rests()
    whole.risk(high_usdt=110_000.0)
    whole.book.cash[CORE_HODL] += 40_000.0
    assert whole.decide(flowed(core=100_000)).memory.states.risk.high_usdt == pytest.approx(110_000.0 * 140 / 100)


@pytest.mark.parametrize("before", [breaker.SCOPE_PORTFOLIO, breaker.SCOPE_ACTIVE])
def test_brk_1_another_scope_is_no_loss_and_forgets_none(before: int) -> None:
    after = breaker.SCOPE_ACTIVE if before == breaker.SCOPE_PORTFOLIO else breaker.SCOPE_PORTFOLIO
    high, base = (100_000.0, 101_000.0) if before == breaker.SCOPE_PORTFOLIO else (40_000.0, 40_400.0)
    scene = Scene(some_params(TWO, ladder={"scope": before}))
    scene.core_rests()
    # A fall of 4 % from the high, 1 % of it today.
    scene.risk(high_usdt=high / 0.96, day_base_usdt=base, week_base_usdt=base)
    scene.go_on(scene.decide())
    scene.params = some_params(TWO, ladder={"scope": after})
    # Money that comes in the hour of the change is neither.
    scene.book.cash[TREND] += 10_000.0
    memory = scene.decide(flowed(trend_=30_000)).memory
    equity = 50_000.0 if after == breaker.SCOPE_ACTIVE else 110_000.0
    risk = memory.states.risk
    assert (risk.level, risk.day_breached, memory.scope) == (breaker.NORMAL, False, after)
    assert risk.high_usdt == pytest.approx(equity / 0.96)
    assert risk.day_base_usdt == pytest.approx(1.01 * equity)


def test_u_6_another_scope_is_taken_over_when_the_equity_is_known_again() -> None:
    scene = Scene(some_params(TWO, ladder={"scope": breaker.SCOPE_PORTFOLIO}))
    scene.core_rests()
    scene.hold_trend(0, 0.01)
    scene.risk(high_usdt=100_000.0, day_base_usdt=100_000.0, week_base_usdt=100_000.0)
    scene.go_on(scene.decide())
    scene.params = some_params(TWO)
    scene.marks.spot_h[0] = scene.marks.perp_h[0] = scene.now_h - 5
    unknown = scene.decide()
    assert unknown.memory.scope == breaker.SCOPE_PORTFOLIO
    scene.go_on(unknown)
    assert scene.decide().memory.states.risk.high_usdt == pytest.approx(40_000.0)


def test_u_6_a_flow_that_comes_while_equity_is_unknown_is_counted_later() -> None:
    scene = Scene()
    scene.core_rests()
    scene.hold_trend(0, 0.01)
    scene.marks.spot_h[0] = scene.marks.perp_h[0] = NOW_H - 5
    scene.book.cash[TREND] -= 15_000.0
    unknown = scene.decide(flowed(trend_=5_000))
    assert not unknown.equity.known
    assert unknown.memory.flowed_usdt == flowed()
    assert unknown.memory.states.risk == scene.memory.states.risk
    assert unknown.memory.cycle_h == NOW_H
    scene.go_on(unknown)
    known = scene.decide(flowed(trend_=5_000))
    assert known.equity.known
    assert known.memory.flowed_usdt == flowed(trend_=5_000)
    assert known.memory.states.risk.level == breaker.NORMAL
    assert known.memory.states.risk.high_usdt == pytest.approx(25_000.0)


def test_the_first_hour_takes_the_capital_as_the_high() -> None:
    scene = Scene()
    scene.memory = replace(scene.memory, flowed_usdt=(Decimal(0),) * 4, started_h=0, cycle_h=0)
    scene.risk(high_usdt=0.0, day_base_usdt=0.0, week_base_usdt=0.0, day=-1, week=-1)
    memory = scene.decide(flowed()).memory
    assert (memory.states.risk.high_usdt, memory.states.risk.day_base_usdt) == (40_000.0, 40_000.0)
    assert (memory.started_h, memory.cycle_h) == (NOW_H, NOW_H)
    assert memory.flowed_usdt == flowed()


# Unknown prices ------------------------------------------------------------------------------------------------------


def test_u_6_without_a_price_equity_is_unknown_and_entries_stop() -> None:
    scene = Scene(rate=RICH)
    scene.hold_trend(1, 1.0)
    scene.marks.perp_h[1] = NOW_H - 4
    decided = scene.decide()
    assert not mark(scene.params, scene.book, scene.marks, NOW_H).known
    assert decided.intents == ()
    assert {row.rule for row in decided.decisions} == {reason.UNKNOWN_EQUITY}


def test_u_6_a_coin_without_any_price_makes_equity_unknown_as_one_with_an_old_price_does() -> None:
    scene = Scene(rate=RICH)
    scene.book.spot_qty[CORE_HODL, 1], scene.book.spot_cost[CORE_HODL, 1] = 3.0, 6_000.0
    # A start looks a week back for the last price of a coin that was delisted long ago.
    scene.marks.spot[1], scene.marks.spot_h[1] = math.nan, -1
    decided = scene.decide()
    assert (decided.equity.known, decided.unpriced) == (False, (1,))
    assert decided.intents == ()
    scene.book.spot_qty[CORE_HODL, 1], scene.book.spot_cost[CORE_HODL, 1] = 0.0001, 0.2
    scene.go_on(decided)
    again = scene.decide()
    assert (again.equity.known, again.unpriced) == (True, ())
    assert math.isfinite(again.equity.core)


def test_u_6_what_lacks_a_price_is_named() -> None:
    scene = Scene()
    scene.hold_trend(1, 1.0)
    scene.marks.perp_h[1] = NOW_H - 4
    assert scene.decide().unpriced == (1,)
    scene.marks.perp_h[1] = NOW_H - 2
    assert scene.decide().unpriced == ()


def test_risk_3_the_last_price_counts_for_two_bars() -> None:
    scene = Scene()
    scene.hold_trend(1, 1.0)
    scene.marks.perp_h[1] = NOW_H - 2
    assert mark(scene.params, scene.book, scene.marks, NOW_H).known
    scene.marks.perp_h[1] = NOW_H - 3
    assert not mark(scene.params, scene.book, scene.marks, NOW_H).known


# The operator that fast paper trading brings along -------------------------------------------------------------------


def lost(scene: Scene, frac: float) -> None:
    scene.book.cash[TREND] = 20_000.0 - frac * 40_000.0


@pytest.mark.parametrize(("delay_h", "level"), [(None, breaker.ALERT), (72, breaker.NORMAL)])
def test_brk_5_the_paper_operator_approves_after_the_delay_and_a_person_is_waited_for(
    delay_h: int | None, level: int
) -> None:
    scene = Scene()
    scene.core_rests()
    lost(scene, 0.21)
    first = scene.decide(operator_delay_h=delay_h)
    assert first.memory.states.risk.level == breaker.ALERT
    scene.go_on(first, 71)
    early = scene.decide(operator_delay_h=delay_h)
    assert early.memory.states.risk.level == breaker.ALERT
    scene.go_on(early)
    late = scene.decide(operator_delay_h=delay_h).memory.states.risk
    assert late.level == level
    if delay_h is not None:
        assert (late.approvals, late.high_usdt) == (1, pytest.approx(31_600.0))
        assert late.reduced_frac == scene.params.risk.breaker.alert_size_frac


def test_risk_4_the_paper_operator_lifts_an_emergency_stop_after_the_delay() -> None:
    scene = Scene(some_params(TWO, ladder={"on_breach": breaker.EMERGENCY_STOP}))
    scene.core_rests()
    lost(scene, 0.03)
    first = scene.decide(operator_delay_h=10)
    assert first.memory.states.risk.halted
    scene.go_on(first, 9)
    second = scene.decide(operator_delay_h=10)
    assert second.memory.states.risk.halted
    scene.go_on(second)
    assert not scene.decide(operator_delay_h=10).memory.states.risk.halted
    assert scene.decide().memory.states.risk.halted


# Halts and entries that wait -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", [CORE_HODL, FUNDING])
@pytest.mark.parametrize("who", ["operator", "daemon"])
def test_risk_1_a_halt_has_one_bit_per_engine_whoever_gives_it(engine: int, who: str) -> None:
    scene, bit = Scene(rate=RICH), 1 << engine
    assert {intent.engine for intent in scene.decide().intents} == {CORE_HODL, FUNDING}
    if who == "operator":
        scene.memory = replace(scene.memory, halted=bit)
    decided = scene.decide(halted=0 if who == "operator" else bit)
    assert {intent.engine for intent in decided.intents} == {CORE_HODL, FUNDING} - {engine}
    assert all(row.rule == reason.RISK_1_HALT for row in verdicts(decided, engine))
    assert decided.memory.halted == scene.memory.halted


def test_core_6_a_halted_cycle_stays_due() -> None:
    scene = Scene()
    due = scene.decide().memory.states.core.due_h
    halted = scene.decide(halted=ALL_HALTED)
    assert halted.intents == ()
    assert halted.memory.states.core.due_h != due
    scene.go_on(halted, 3)
    assert [intent.engine for intent in scene.decide().intents] == [CORE_HODL] * 2


def test_risk_0_exits_pass_every_halt() -> None:
    scene = Scene()
    scene.core_rests()
    scene.hold_trend(0, 0.1)
    lost(scene, 0.22)
    scene.memory = replace(scene.memory, halted=ALL_HALTED, paused=frozenset(TWO))
    (out,) = scene.decide(halted=ALL_HALTED).intents
    assert (out.engine, out.reduces, out.reason) == (TREND, True, reason.BREAKER_CLOSE)


def test_ord_7_entries_in_a_paused_symbol_wait_in_every_engine() -> None:
    scene = Scene(rate=RICH)
    scene.memory = replace(scene.memory, paused=frozenset({"BTCUSDT"}))
    decided = scene.decide()
    assert {(intent.engine, intent.symbol) for intent in decided.intents} == {(CORE_HODL, 1), (FUNDING, 1)}
    assert {(intent.engine, intent.symbol) for intent in decided.asked} == {
        (CORE_HODL, 0), (CORE_HODL, 1), (FUNDING, 0), (FUNDING, 1),
    }  # fmt: skip
    assert decided.memory.pending == decided.intents
    # The cycle counts, the coin's money stays in the plan.
    assert decided.memory.states.core.spent_usdt[0] == 0.0


def test_core_12_a_held_back_coin_waits_for_its_hour_and_only_in_core_hodl() -> None:
    scene = Scene(rate=RICH)
    scene.memory = replace(scene.memory, held_back=((0, NOW_H + 1), (1, NOW_H)))
    decided = scene.decide()
    assert {(intent.engine, intent.symbol) for intent in decided.intents} == {
        (CORE_HODL, 1),
        (FUNDING, 0),
        (FUNDING, 1),
    }
    # What is over is forgotten, what is not stays remembered.
    assert decided.memory.held_back == ((0, NOW_H + 1),)
    scene.go_on(decided)
    assert scene.decide().memory.held_back == ()


# What is on its way --------------------------------------------------------------------------------------------------


def test_risk_10_cash_that_pending_orders_will_take_is_not_spent_twice() -> None:
    scene = Scene()
    scene.book.cash[CORE_HODL] = 6_000.0
    step = scene.params.instruments.quote_step[1]
    waiting = NO_INTENT._replace(
        engine=CORE_HODL,
        symbol=1,
        market=0,
        side=BUY,
        quote_steps=round(5_990.0 / step),
        price=2_000.0,
        decided_h=NOW_H,
    )
    scene.memory = replace(scene.memory, pending=(waiting,))
    decided = scene.decide()
    spent = sum(intent.quote_steps * step for intent in decided.intents if intent.engine == CORE_HODL)
    assert spent <= 10.0
    assert decided.memory.pending[0] == waiting
    assert decided.memory.pending[1:] == decided.intents


def test_fund_e1_a_pair_on_its_way_is_not_asked_for_again() -> None:
    scene = Scene(rate=RICH)
    first = scene.decide()
    assert [intent.symbol for intent in first.intents if intent.engine == FUNDING] == [0, 1]
    assert {intent.market for intent in first.intents if intent.engine == FUNDING} == {PAIR}
    scene.go_on(first)
    assert [intent for intent in scene.decide().intents if intent.engine == FUNDING] == []


def test_a_decision_is_made_of_pythons_own_numbers() -> None:
    scene = Scene(rate=RICH)
    decided = scene.decide()
    assert len(decided.intents) == 4
    for intent in decided.intents:
        assert all(type(value) in (int, float, bool) for value in intent)
    document = write(decided.memory)
    assert json.loads(document)["pending"]
    assert read(document, 1, scene.params).pending == decided.memory.pending


def test_u_8_verdicts_and_what_they_allow_come_in_the_same_order() -> None:
    scene = Scene(rate=RICH, closes=(40_000.0, 2_000.0))
    scene.memory = replace(scene.memory, paused=frozenset({"ETHUSDT"}))
    scene.hold_trend(0, 0.1)
    scene.risk(level=breaker.NORMAL, high_usdt=45_000.0)
    decided = scene.decide()
    passed = [row for row in decided.decisions if row.approved]
    assert [(row.engine, row.symbol, row.reason) for row in passed] == [
        (intent.engine, intent.symbol, intent.reason) for intent in decided.asked
    ]
    assert passed[0].reason == reason.BREAKER_CUT
    assert TACTICAL not in {row.engine for row in passed}
