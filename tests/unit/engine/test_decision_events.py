"""What a decided hour says of itself: equity, breaker, losses, phases, verdicts, inputs that a person can check."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from core_builders import OFF, TWO, some_params
from eternal_engine.engine.decision_events import HALTED, decision_events
from eternal_engine.engine.timing import hour_start
from eternal_engine.engine.view import ENGINES
from eternal_engine.model.event import BreakerChanged, EquityMarked, LossLimitHit, Noted, PhaseChanged, Reviewed
from eternal_engine.model.event import Decided as DecidedEvent
from eternal_engine.model.ids import Engine, RuleId
from eternal_engine.risk import breaker
from eternal_engine.storage.codec import decode_event, encode_event
from eternal_engine.strategies import core_hodl
from eternal_engine.strategies.base import CORE_HODL, FUNDING, TREND
from hour_scene import CAPITAL, NOW_H, Scene, flowed

RICH = 0.002  # a funding rate at which FUNDING enters


def said(scene: Scene, money: Any = None, halted_by: RuleId = HALTED, **how: Any) -> list[Any]:
    """Decide, and list the events; each must go into a journal and come back the same."""
    before = scene.memory
    decided = scene.decide(money, **how)
    at = hour_start(scene.now_h) + timedelta(seconds=5)
    events = decision_events(
        scene.params, decided, before, scene.features, scene.marks, scene.now_h, at, "c0ffee", halted_by
    )
    for event in events:
        assert decode_event(type(event).__name__, encode_event(event)) == event
    scene.go_on(decided)
    return events


def of(events: list[Any], kind: type) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def notes(events: list[Any]) -> list[tuple[str, str]]:
    return [(event.rule, event.detail) for event in of(events, Noted)]


def quiet(**how: Any) -> Scene:
    scene = Scene(some_params(TWO, trend=OFF, tactical=OFF, **how))
    scene.core_rests()
    return scene


def lost(scene: Scene, frac: float) -> None:
    scene.book.cash[TREND] = 20_000.0 - frac * 40_000.0


def test_u_6_equity_is_marked_per_account_at_the_bars_close() -> None:
    events = of(said(quiet()), EquityMarked)
    assert [event.account for event in events] == [engine.account for engine in ENGINES]
    assert [event.equity_usdt for event in events] == [Decimal(sum_) for sum_ in CAPITAL]
    assert {event.at for event in events} == {hour_start(NOW_H)}


def test_u_6_an_unknown_price_is_said_and_is_no_number() -> None:
    scene = quiet()
    scene.hold_trend(0, 0.1)
    scene.marks.perp_h[0] = NOW_H - 9
    events = of(said(scene), EquityMarked)
    assert [event.equity_usdt for event in events] == [None] * 4
    assert all(event.reason for event in events)


@pytest.mark.parametrize(("frac", "level"), [(0.11, 1), (0.151, 2), (0.2, 3), (0.3, 4)])
def test_brk_1_a_change_of_level_is_one_event_with_the_high_it_fell_from(frac: float, level: int) -> None:
    scene = quiet()
    lost(scene, frac)
    (event,) = of(said(scene), BreakerChanged)
    assert (event.previous, event.level, event.rule) == (0, level, "BRK-1")
    assert event.equity_usdt == pytest.approx(Decimal(str(40_000 * (1 - frac))))
    assert event.high_usdt == 40_000
    assert breaker.LEVELS[level] in event.detail
    assert of(said(scene), BreakerChanged) == []


def test_brk_1_the_high_that_is_said_counts_money_that_left() -> None:
    scene = quiet()
    scene.book.cash[TREND] = 20_000.0 - 10_000.0 - 4_500.0
    (event,) = of(said(scene, flowed(trend_=10_000)), BreakerChanged)
    # 35,500 of 40,000 were left before 10,000 of them went: the same 11.25 % below the high.
    assert event.level == breaker.CAUTION
    assert float(event.high_usdt) == pytest.approx(40_000 * 25_500 / 35_500)


def test_brk_3_a_release_says_the_new_high() -> None:
    scene = quiet()
    lost(scene, 0.2)
    scene.risk(level=breaker.ALERT, changed_h=NOW_H - 5, approved=True, approvals=1)
    (event,) = of(said(scene), BreakerChanged)
    assert (event.previous, event.level, event.high_usdt) == (breaker.ALERT, breaker.NORMAL, 32_000)


@pytest.mark.parametrize(("scope", "told"), [(breaker.SCOPE_ACTIVE, 1), (breaker.SCOPE_PORTFOLIO, 0)])
def test_brk_1_the_whole_portfolios_fall_is_said_where_the_breaker_does_not_act_on_it(scope: int, told: int) -> None:
    scene = quiet()
    ladder = scene.params.risk.breaker._replace(scope=scope)
    scene.params = scene.params._replace(risk=scene.params.risk._replace(breaker=ladder))
    said(scene)
    scene.book.cash[CORE_HODL] -= 22_000.0
    found = [detail for rule, detail in notes(said(scene)) if rule == "BRK-1"]
    assert found == ["the whole portfolio is 0.2200 below its high, as deep as ALERT; only said"] * told


def test_brk_5_the_approval_of_the_paper_operator_is_said() -> None:
    scene = quiet()
    lost(scene, 0.2)
    scene.risk(level=breaker.ALERT, changed_h=NOW_H - 72)
    assert [rule for rule, _ in notes(said(scene, operator_delay_h=72)) if rule == "BRK-5"] == ["BRK-5"]
    assert of(said(scene, operator_delay_h=72), BreakerChanged) == []


def test_risk_4_the_first_breach_of_a_day_says_the_loss_and_until_when_entries_wait() -> None:
    scene = quiet()
    scene.now_h += 3
    scene.go_on(scene.decide(), 0)
    lost(scene, 0.03)
    (event,) = of(said(scene), LossLimitHit)
    assert (event.rule, float(event.loss_frac)) == ("RISK-4", pytest.approx(0.03))
    assert event.until == hour_start(NOW_H + 3 + 24)
    assert of(said(scene), LossLimitHit) == []


def test_risk_4_a_breach_at_midnight_says_the_loss_of_the_day_that_ended() -> None:
    scene = quiet()
    scene.risk(day=NOW_H // 24 - 1)
    lost(scene, 0.03)
    (event,) = of(said(scene), LossLimitHit)
    assert float(event.loss_frac) == pytest.approx(0.03)


def test_risk_4_a_breach_in_an_hour_of_transfers_says_the_loss_net_of_them() -> None:
    scene = quiet()
    scene.book.cash[TREND] = 20_000.0 + 10_000.0 - 1_500.0
    (event,) = of(said(scene, flowed(trend_=30_000)), LossLimitHit)
    assert float(event.loss_frac) == pytest.approx(1_500 / 40_000)


def test_risk_5_a_weeks_breach_is_its_own_event() -> None:
    scene = quiet()
    scene.risk(week_base_usdt=42_000.0)
    lost(scene, 0.01)
    (event,) = of(said(scene), LossLimitHit)
    assert (event.rule, event.until) == ("RISK-5", hour_start(NOW_H + 168))
    assert float(event.loss_frac) == pytest.approx(1 - 39_600 / 42_000)


def test_risk_4_a_warning_comes_once_before_the_limit() -> None:
    scene = quiet()
    lost(scene, 0.017)
    assert notes(said(scene)) == [("RISK-4", "warning: a loss of 1.70 % since 00:00 UTC, near the daily limit")]
    assert notes(said(scene)) == []


def test_risk_1_an_emergency_stop_is_said_once() -> None:
    scene = quiet(ladder={"on_breach": breaker.EMERGENCY_STOP})
    lost(scene, 0.03)
    assert "RISK-1" in [rule for rule, _ in notes(said(scene))]
    assert "RISK-1" not in [rule for rule, _ in notes(said(scene))]


def test_core_7_a_new_phase_is_said_by_name() -> None:
    (event,) = of(said(Scene(some_params(TWO, trend=OFF, tactical=OFF))), PhaseChanged)
    assert (event.engine, event.phase) == (Engine.CORE_HODL, core_hodl.PHASES[core_hodl.DEPLOYING])
    assert event.previous != event.phase


def test_core_9_a_cycle_without_cash_says_so() -> None:
    scene = quiet()
    core = scene.memory.states.core._replace(due_h=NOW_H)
    scene.memory = replace(scene.memory, states=scene.memory.states._replace(core=core))
    scene.book.cash[0] = 1.0
    assert ("CORE-9", "NO_CASH: the cycle counts and buys nothing") in notes(said(scene))


def test_every_verdict_names_a_rule_and_what_it_allowed() -> None:
    scene = Scene(rate=RICH)
    rows = of(said(scene), Reviewed)
    assert len(rows) == 4
    for row in rows:
        assert row.rule
        assert row.decided_at == hour_start(NOW_H)
        assert row.detail.startswith(("CORE-3", "FUND-E1"))
        assert row.allowed > 0
    assert {row.verdict for row in rows} <= {"approved", "resized"}


def test_risk_1_a_denial_names_its_rule_and_allows_nothing() -> None:
    scene = Scene(rate=RICH)
    rows = of(said(scene, halted=0b1111), Reviewed)
    assert rows
    assert {(row.verdict, row.rule, row.allowed) for row in rows} == {("denied", "RISK-1", 0)}
    assert all("RISK-1 halted" in row.detail for row in rows)


@pytest.mark.parametrize(("rule", "words"), [("RISK-13", "the arming"), ("RISK-3", "no line")])
def test_risk_13_a_denial_names_what_else_than_the_operator_halts(rule: str, words: str) -> None:
    rows = of(said(Scene(rate=RICH), halted=0b1111, halted_by=RuleId(rule)), Reviewed)
    assert {(row.engine, row.verdict, row.rule) for row in rows} == {(Engine.FUNDING, "denied", rule)}
    assert all(f"by {rule} {words}" in row.detail for row in rows)
    own = Scene(rate=RICH)
    own.memory = replace(own.memory, halted=1 << FUNDING)
    assert {row.rule for row in of(said(own, halted=0b1111, halted_by=RuleId(rule)), Reviewed)} == {"RISK-1"}
    stopped = Scene(rate=RICH)
    stopped.risk(halted=True)
    rows = of(said(stopped, halted=0b1111, halted_by=RuleId(rule)), Reviewed)
    assert {row.rule for row in rows if row.verdict == "denied"} == {"RISK-1"}


@pytest.mark.parametrize(
    ("change", "rule"),
    [({"paused": frozenset({"ETHUSDT"})}, "ORD-7"), ({"held_back": ((1, NOW_H + 9),)}, "CORE-12")],
)
def test_ord_7_core_12_a_held_back_entry_is_said_as_denied(change: dict[str, Any], rule: str) -> None:
    scene = Scene()
    scene.memory = replace(scene.memory, **change)
    events = said(scene)
    rows = {row.symbol: row for row in of(events, Reviewed)}
    assert (rows["ETHUSDT"].verdict, rows["ETHUSDT"].rule, rows["ETHUSDT"].allowed) == ("denied", rule, 0)
    assert rows["ETHUSDT"].asked > 0
    assert rule in rows["ETHUSDT"].detail
    assert rows["BTCUSDT"].verdict in ("approved", "resized")
    decided = {event.engine: event for event in of(events, DecidedEvent)}[Engine.CORE_HODL]
    assert [signal["symbol"] for signal in json.loads(decided.signals)] == ["BTCUSDT"]


def test_risk_10_a_verdict_says_what_was_asked_and_what_was_allowed() -> None:
    poor = Scene()
    poor.book.cash[0] = 500.0
    rows = of(said(poor), Reviewed)
    (cut,) = [row for row in rows if row.verdict == "resized"]
    assert (cut.rule, cut.asked > 2_000, 0 < cut.allowed <= 500) == ("RISK-10", True, True)
    denied = [row for row in rows if row.verdict == "denied"]
    assert all(row.asked > 0 and row.allowed == 0 for row in denied)
    whole = [row for row in of(said(Scene()), Reviewed) if row.verdict == "approved"]
    assert whole
    assert all(row.allowed == row.asked for row in whole)


def test_tact_e1_two_levels_of_one_coin_say_their_own_sums() -> None:
    # A fall to 72 % below the high fires both levels at once.
    high = np.array([36_000.0] + [10_000.0] * 9)

    class Fallen(Scene):
        @property
        def features(self) -> Any:
            found = super().features
            return found._replace(tactical=found.tactical._replace(btc_high=np.maximum.accumulate(high)))

    params = some_params(TWO, core=OFF, trend=OFF, funding=OFF, tactical={"level_budget": np.array([0.3, 0.7])})
    fallen = Fallen(params, closes=(10_000.0, 500.0))
    fallen.marks.spot[:] = fallen.marks.perp[:] = (10_000.0, 500.0)
    events = said(fallen)
    rows = [row for row in of(events, Reviewed) if row.symbol == "BTCUSDT"]
    assert [row.verdict for row in rows] == ["approved", "approved"]
    signals = [one for one in json.loads(of(events, DecidedEvent)[0].signals) if one["symbol"] == "BTCUSDT"]
    step = params.instruments.quote_step[0]
    assert [float(row.allowed) for row in rows] == [signal["quote_steps"] * step for signal in signals]
    assert [float(row.allowed) for row in rows] == [1_200.0, 2_800.0]


def test_decided_inputs_are_plain_json_that_names_what_was_looked_at() -> None:
    scene = Scene(rate=RICH)
    scene.marks.spot[1] = math.nan  # never priced: no NaN may reach the document
    scene.marks.spot_h[1] = -1
    events = {event.engine: event for event in of(said(scene), DecidedEvent)}
    assert set(events) == {Engine.CORE_HODL, Engine.TREND, Engine.FUNDING}
    for event in events.values():
        inputs = json.loads(event.inputs, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
        assert event.inputs == json.dumps(inputs, sort_keys=True, separators=(",", ":"))
        assert event.config_hash == "c0ffee"
        assert inputs["breaker_level"] == 0
        assert inputs["equity_usdt"] > 0
        assert set(inputs["symbols"]) <= set(TWO)
        for signal in json.loads(event.signals):
            assert signal["reason"].split()[0] in ("CORE-3", "FUND-E1")
    core = json.loads(events[Engine.CORE_HODL].inputs)
    assert core["symbols"]["ETHUSDT"]["price"] is None
    assert core["phase"] == "DEPLOYING"
    trend = json.loads(events[Engine.TREND].inputs)
    assert set(trend["symbols"]["BTCUSDT"]) == {"close", "sma", "ema", "adx", "atr", "stop"}
    assert json.loads(events[Engine.FUNDING].inputs)["symbols"]["BTCUSDT"]["mean_rate"] == pytest.approx(RICH)


def test_u_10_a_coin_that_lacks_the_newest_bar_is_named_once() -> None:
    scene = quiet()
    assert [note for note in notes(said(scene)) if note[0] == "U-10"] == []
    scene.marks.spot_h[1] = scene.marks.perp_h[1] = scene.now_h - 2
    (found,) = (detail for rule, detail in notes(said(scene)) if rule == "U-10")
    second = scene.memory.symbols[1]
    assert found == (
        f"no bar of the hour that just closed: {second} spot, {second} perp; "
        "until there is one nothing is decided there"
    )
    scene.marks.spot_h[1] = scene.marks.perp_h[1] = scene.now_h - 3
    assert [note for note in notes(said(scene)) if note[0] == "U-10"] == []


def test_u_7_an_hour_that_decides_nothing_leaves_marks_alone() -> None:
    scene = quiet()
    scene.now_h += 1
    scene.go_on(scene.decide(), 0)
    assert {type(event) for event in said(scene)} == {EquityMarked}
