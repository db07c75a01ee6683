"""The ladder, the loss limits and the operator (rules BRK-1 to BRK-7, RISK-4, RISK-5; acceptance F)."""

from __future__ import annotations

import numpy as np
import pytest

from core_builders import START_H, some_params
from eternal_engine.risk import breaker
from eternal_engine.risk.breaker import ALERT, CAUTION, EMERGENCY, NORMAL, WARNING, RiskState

LADDER = some_params().risk.breaker
# A Monday, 00:00 UTC.
MONDAY_H = START_H + 5 * 24


def at_high(high: float = 40_000.0, now_h: int = MONDAY_H) -> RiskState:
    return breaker.advance(LADDER, breaker.initial_state(), now_h, high)


def lived(state: RiskState, hours: dict[int, float]) -> RiskState:
    """Advance hour by hour from Monday on; an hour that is not named keeps the last equity."""
    equity = state.high_usdt
    for h in range(1, max(hours) + 1):
        equity = hours.get(h, equity)
        state = breaker.advance(LADDER, state, MONDAY_H + h, equity)
    return state


@pytest.mark.parametrize(
    ("equity", "level"),
    [
        (40_000.0, NORMAL),
        (36_000.40, NORMAL),
        (36_000.0, CAUTION),
        (34_000.01, CAUTION),
        (34_000.0, WARNING),
        (32_000.01, WARNING),
        (32_000.0, ALERT),
        (30_000.01, ALERT),
        (30_000.0, EMERGENCY),
        (29_600.0, EMERGENCY),  # F17: -26 % in one bar
        (0.0, EMERGENCY),
    ],
)
@pytest.mark.parametrize("scale", [1.0, 2.5, 1 / 3])
def test_brk_1_ladder_and_gap(equity: float, level: int, scale: float) -> None:
    before = at_high(40_000.0 * scale)
    after = breaker.advance(LADDER, before, MONDAY_H + 1, equity * scale)
    assert after.level == level
    assert after.events == (level != NORMAL)
    assert after.changed_h == (MONDAY_H + 1 if level else 0)
    assert after.high_usdt == 40_000.0 * scale


def test_brk_1_an_hour_that_ends_the_first_level_at_a_new_high_keeps_that_high() -> None:
    state = breaker.advance_level(LADDER, at_high(), MONDAY_H + 1, 36_000.0)
    assert state.level == CAUTION
    state = breaker.advance_level(LADDER, state, MONDAY_H + 2, 42_000.0)
    assert (state.level, state.high_usdt) == (NORMAL, 42_000.0)


def test_brk_1_levels_only_rise_but_for_the_first() -> None:
    state = at_high()
    levels = []
    for h, equity in enumerate((36_000, 37_999, 38_000, 34_000, 35_200, 39_600, 41_000, 30_000, 40_000), start=1):
        state = breaker.advance_level(LADDER, state, MONDAY_H + h, equity)
        levels.append(state.level)
    # F11: level 2 stays at -12 %, at -1 % and above its old high; F16: level 1 ends at exactly -5 %.
    assert levels == [1, 1, 0, 2, 2, 2, 2, 4, 4]
    assert state.events == 4


def test_brk_1_each_rise_is_one_event() -> None:
    state = at_high()
    for h in range(1, 50):
        state = breaker.advance_level(LADDER, state, MONDAY_H + h, 33_000.0)
    assert (state.level, state.events, state.changed_h) == (WARNING, 1, MONDAY_H + 1)
    state = breaker.advance_level(LADDER, state, MONDAY_H + 50, 31_000.0)
    assert (state.level, state.events, state.changed_h) == (ALERT, 2, MONDAY_H + 50)


def test_brk_1_a_new_high_moves_the_ladder() -> None:
    state = at_high()
    state = breaker.advance_level(LADDER, state, MONDAY_H + 1, 50_000.0)
    assert breaker.advance_level(LADDER, state, MONDAY_H + 2, 45_000.0).level == CAUTION
    assert breaker.advance_level(LADDER, state, MONDAY_H + 2, 45_000.1).level == NORMAL


def test_brk_2_a_restart_far_below_the_high_acts_at_once() -> None:
    # F15: the stored high is what counts.
    stored = breaker.initial_state()._replace(high_usdt=40_000.0, day=0, week=0)
    assert breaker.advance(LADDER, stored, MONDAY_H, 30_400.0).level == ALERT


@pytest.mark.parametrize(("level", "equity"), [(WARNING, 34_000.0), (ALERT, 31_000.0), (EMERGENCY, 22_000.0)])
def test_brk_3_approval_rebases_the_high(level: int, equity: float) -> None:
    state = breaker.advance_level(LADDER, at_high(), MONDAY_H, equity)
    assert state.level == level
    state = breaker.release(LADDER, breaker.approve(state), MONDAY_H + 100, equity)
    assert (state.level, state.high_usdt, state.approved, state.approvals) == (NORMAL, equity, False, 1)
    assert state.changed_h == MONDAY_H + 100
    assert breaker.advance_level(LADDER, state, MONDAY_H + 101, 0.9 * equity).level == CAUTION


@pytest.mark.parametrize(
    ("approve_h", "checks"),
    [(71, {70: WARNING, 71: WARNING, 72: NORMAL}), (80, {72: WARNING, 79: WARNING, 80: NORMAL}), (0, {71: 2, 72: 0})],
)
def test_brk_3_level_two_needs_time_and_approval(approve_h: int, checks: dict[int, int]) -> None:
    state = breaker.advance_level(LADDER, at_high(), MONDAY_H, 34_000.0)
    for h in range(max(checks) + 1):
        if h == approve_h:
            state = breaker.approve(state)
        state = breaker.release(LADDER, state, MONDAY_H + h, 34_000.0)
        assert state.level == checks.get(h, state.level)


def test_brk_3_a_higher_level_voids_an_approval_that_waits() -> None:
    state = breaker.approve(breaker.advance_level(LADDER, at_high(), MONDAY_H, 34_000.0))
    state = breaker.advance_level(LADDER, state, MONDAY_H + 10, 31_000.0)
    assert (state.level, state.approved) == (ALERT, False)
    assert breaker.release(LADDER, state, MONDAY_H + 99, 31_000.0).level == ALERT


def test_brk_3_level_one_needs_no_approval_and_takes_none() -> None:
    state = breaker.approve(breaker.advance_level(LADDER, at_high(), MONDAY_H, 36_000.0))
    assert breaker.release(LADDER, state, MONDAY_H + 99, 36_000.0) is state


@pytest.mark.parametrize("delay", [0, 24, 72, 100])
def test_brk_5_operator_delay(delay: int) -> None:
    state = breaker.advance_level(LADDER, at_high(), MONDAY_H, 31_000.0)
    due = [h for h in range(120) if breaker.operator_is_due(state, MONDAY_H + h, delay)]
    assert due[0] == delay
    assert not breaker.operator_is_due(breaker.approve(state), MONDAY_H + 119, delay)
    assert not breaker.operator_is_due(at_high(), MONDAY_H + 119, delay)
    caution = breaker.advance_level(LADDER, at_high(), MONDAY_H, 36_000.0)
    assert not breaker.operator_is_due(caution, MONDAY_H + 119, delay)


@pytest.mark.parametrize(("level", "equity", "factor"), [(2, 34_000.0, 0.5), (3, 31_000.0, 0.25), (4, 29_000.0, 0.25)])
def test_brk_7_reduced_size_for_fourteen_days(level: int, equity: float, factor: float) -> None:
    state = breaker.advance_level(LADDER, at_high(), MONDAY_H, equity)
    assert state.level == level
    state = breaker.release(LADDER, breaker.approve(state), MONDAY_H + 72, equity)
    released = MONDAY_H + 72
    for is_trend in (True, False):
        sizes = [breaker.size_factor(LADDER, state, released + h, is_trend) for h in (0, 14 * 24 - 1, 14 * 24)]
        assert sizes == [factor, factor, 1.0]


def test_brk_7_of_several_factors_the_smallest_counts() -> None:
    caution = at_high()._replace(level=CAUTION)
    assert breaker.size_factor(LADDER, caution, MONDAY_H, True) == 0.75
    assert breaker.size_factor(LADDER, caution, MONDAY_H, False) == 1.0
    both = caution._replace(reduced_until_h=MONDAY_H + 1, reduced_frac=0.5)
    assert breaker.size_factor(LADDER, both, MONDAY_H, True) == 0.5
    assert breaker.size_factor(LADDER, both._replace(reduced_frac=0.9), MONDAY_H, True) == 0.75
    assert breaker.size_factor(LADDER, both, MONDAY_H + 1, True) == 0.75


@pytest.mark.parametrize(("loss", "blocked"), [(0.0012, False), (0.0199, False), (0.02, True), (0.5, True)])
@pytest.mark.parametrize("base", [40_000.0, 12_345.67])
def test_risk_4_daily_loss_blocks_for_24_hours(base: float, loss: float, blocked: bool) -> None:
    state = lived(at_high(base), {5: base * (1 - loss)})
    assert state.day_breached == blocked
    assert state.day_block_h == (MONDAY_H + 5 + 24 if blocked else 0)


def test_risk_4_only_the_first_breach_of_a_day_starts_the_wait() -> None:
    state = lived(at_high(), {3: 39_100.0, 6: 39_900.0, 9: 38_000.0})
    assert state.day_block_h == MONDAY_H + 3 + 24


def test_risk_4_the_hour_that_closes_a_day_belongs_to_it() -> None:
    # A breach at 00:00 is Monday's; Tuesday starts from there with a new base and can breach again.
    state = lived(at_high(), {24: 39_200.0})
    assert state.day_block_h == MONDAY_H + 48
    assert (state.day_base_usdt, state.day_breached) == (39_200.0, False)
    state = breaker.advance(LADDER, state, MONDAY_H + 25, 38_416.0)
    assert state.day_block_h == MONDAY_H + 25 + 24


def test_risk_4_a_loss_over_two_days_is_not_a_daily_loss() -> None:
    state = lived(at_high(), {20: 39_400.0, 30: 38_800.0})
    assert state.day_block_h == 0


@pytest.mark.parametrize(("loss", "blocked"), [(0.0499, False), (0.05, True)])
def test_risk_5_weekly_loss_blocks_for_seven_days(loss: float, blocked: bool) -> None:
    equity = 40_000.0
    steps = {}
    for day in range(5):
        equity -= 40_000.0 * loss / 5
        steps[24 * day + 12] = equity
    state = lived(at_high(), steps)
    assert state.week_breached == blocked
    assert state.week_block_h == (MONDAY_H + 4 * 24 + 12 + 168 if blocked else 0)
    assert state.day_block_h == 0


def test_risk_5_the_week_begins_on_monday() -> None:
    sunday = MONDAY_H + 6 * 24 + 23
    assert breaker.week_of(sunday) == breaker.week_of(MONDAY_H)
    assert breaker.week_of(sunday + 1) == breaker.week_of(MONDAY_H) + 1
    state = lived(at_high(), {100: 38_500.0, 168: 38_500.0})
    assert (state.week_base_usdt, state.week_breached) == (38_500.0, False)
    state = lived(at_high(), {100: 38_500.0, 144: 38_500.0})
    assert (state.day_base_usdt, state.week_base_usdt) == (38_500.0, 40_000.0)


def test_risk_5_a_new_day_does_not_reset_the_week() -> None:
    state = lived(at_high(), {10: 37_900.0, 30: 37_800.0, 60: 37_700.0})
    assert state.week_block_h == MONDAY_H + 10 + 168


@pytest.mark.parametrize("flow", [20_000.0, -3_000.0, -39_000.0])
def test_risk_5_flows_are_neither_gain_nor_loss(flow: float) -> None:
    # F3: high and bases move with the money.
    before = lived(at_high(100_000.0), {3: 99_000.0})
    state = breaker.with_flow(before, 99_000.0, flow)
    equity = 99_000.0 + flow
    for name in ("high_usdt", "day_base_usdt", "week_base_usdt"):
        assert breaker.loss_frac(getattr(state, name), equity) == pytest.approx(0.01)
    assert breaker.with_flow(before, 99_000.0, 0.0) is before
    assert breaker.with_flow(before, 0.0, flow) is before


def test_risk_1_on_breach_stops_until_the_operator_resumes() -> None:
    stopping = LADDER._replace(on_breach=breaker.EMERGENCY_STOP)
    state = breaker.check_losses(stopping, at_high(), MONDAY_H + 3, 39_000.0)
    assert (state.halted, state.halted_h) == (True, MONDAY_H + 3)
    again = breaker.check_losses(stopping, state, MONDAY_H + 9, 37_000.0)
    assert (again.halted_h, again.week_breached) == (MONDAY_H + 3, True)
    assert [breaker.resume_is_due(state, MONDAY_H + h, 72) for h in (74, 75)] == [False, True]
    resumed = breaker.resume(state)
    assert (resumed.halted, resumed.approvals) == (False, 1)
    assert not breaker.resume_is_due(resumed, MONDAY_H + 99, 72)
    assert not breaker.check_losses(LADDER, at_high(), MONDAY_H + 3, 39_000.0).halted


def test_u_8_a_first_mark_is_neither_loss_nor_drawdown() -> None:
    state = breaker.advance(LADDER, breaker.initial_state(), MONDAY_H + 7, 123.0)
    assert (state.level, state.day_breached, state.week_breached) == (NORMAL, False, False)
    assert (state.high_usdt, state.day_base_usdt, state.week_base_usdt) == (123.0, 123.0, 123.0)


def test_u_7_hours_inside_the_corridor_change_nothing() -> None:
    rng = np.random.default_rng(1)
    quiet = 0
    for _ in range(60):
        state = at_high()
        equity = 40_000.0
        for h in range(1, 400):
            equity *= 1 + rng.normal(0, rng.choice([0.0005, 0.004]))
            after = breaker.advance(LADDER, state, MONDAY_H + h, equity)
            band = breaker.corridor(LADDER, state)
            same_day = breaker.day_of(MONDAY_H + h) == state.day
            if same_day and band.low_usdt < equity <= band.high_usdt:
                quiet += 1
                assert after == state
            state = after if rng.random() > 0.01 else breaker.approve(after)
    assert quiet > 1_000


def test_brk_2_nothing_is_known_before_the_first_mark() -> None:
    fresh = breaker.initial_state()
    assert (fresh.level, fresh.day, fresh.week, fresh.reduced_frac) == (NORMAL, -1, -1, 1.0)
    assert (fresh.high_usdt, fresh.day_base_usdt, fresh.week_base_usdt) == (0.0, 0.0, 0.0)
    flags = [fresh.approved, fresh.halted, fresh.day_breached, fresh.week_breached, fresh.day_warned, fresh.week_warned]
    assert flags == [False] * 6
    assert {type(flag) for flag in flags} == {bool}
    assert (fresh.changed_h, fresh.halted_h, fresh.reduced_until_h) == (0, 0, 0)
    assert (fresh.events, fresh.approvals) == (0, 0)


def test_section_7_small_accounts_have_losses_and_flows_too() -> None:
    assert breaker.loss_frac(0.8, 0.6) == pytest.approx(0.25)
    state = breaker.with_flow(at_high(0.8), 0.8, 0.4)
    assert state.high_usdt == pytest.approx(1.2)


@pytest.mark.parametrize(("level", "equity"), [(WARNING, 34_000.0), (ALERT, 32_000.0)])
def test_brk_5_every_level_from_two_on_waits_for_the_operator(level: int, equity: float) -> None:
    state = breaker.advance_level(LADDER, at_high(), MONDAY_H, equity)
    assert state.level == level
    assert breaker.operator_is_due(state, MONDAY_H + 72, 72)


def test_brk_1_each_change_is_one_event_and_says_when() -> None:
    state = breaker.advance_level(LADDER, at_high(), MONDAY_H + 1, 36_000.0)
    state = breaker.advance_level(LADDER, state, MONDAY_H + 9, 38_500.0)
    assert (state.level, state.changed_h, state.events, state.high_usdt) == (NORMAL, MONDAY_H + 9, 2, 40_000.0)
    state = breaker.advance_level(LADDER, state, MONDAY_H + 10, 31_000.0)
    state = breaker.release(LADDER, breaker.approve(state), MONDAY_H + 20, 31_000.0)
    assert (state.level, state.events) == (NORMAL, 4)


def test_brk_3_an_hour_lets_an_approval_take_effect_at_its_own_time_and_equity() -> None:
    state = breaker.approve(lived(at_high(), {1: 31_000.0}))
    state = breaker.advance(LADDER, state, MONDAY_H + 2, 31_500.0)
    assert (state.level, state.high_usdt, state.changed_h) == (NORMAL, 31_500.0, MONDAY_H + 2)
    assert state.reduced_until_h == MONDAY_H + 2 + 14 * 24


def test_risk_4_a_daily_breach_does_not_start_the_weeks_wait() -> None:
    state = lived(at_high(), {5: 39_000.0})
    assert (state.day_block_h, state.week_block_h) == (MONDAY_H + 29, 0)


def test_risk_5_the_first_breach_of_the_next_week_counts_again() -> None:
    state = lived(at_high(), {10: 37_900.0, 168: 37_900.0})
    assert (state.week_breached, state.day_breached) == (False, False)
    state = breaker.advance(LADDER, state, MONDAY_H + 170, 35_900.0)
    assert state.week_breached
    assert state.week_block_h == MONDAY_H + 170 + 168


@pytest.mark.parametrize("changes", [{"level": ALERT}, {"level": EMERGENCY}, {"approved": True}, {"halted": True}])
def test_u_7_no_corridor_where_somebody_waits(changes: dict[str, object]) -> None:
    band = breaker.corridor(LADDER, at_high()._replace(**changes))
    assert band.low_usdt > band.high_usdt


@pytest.mark.parametrize(
    ("changes", "low", "high"),
    [
        ({}, 39_360.0, 40_000.0),  # the warning of the daily limit is the nearest
        ({"day_warned": True}, 39_200.0, 40_000.0),
        ({"day_breached": True}, 38_400.0, 40_000.0),
        ({"day_breached": True, "week_warned": True}, 38_000.0, 40_000.0),
        ({"day_breached": True, "week_breached": True}, 36_000.0, 40_000.0),
        ({"level": CAUTION, "day_breached": True, "week_breached": True}, 34_000.0, 38_000.0),
        ({"level": WARNING, "day_breached": True, "week_breached": True}, 32_000.0, 40_000.0),
        ({"level": CAUTION, "day_base_usdt": 37_000.0, "week_breached": True}, 36_408.0, 38_000.0),
    ],
)
def test_u_7_the_corridor_ends_just_inside_the_nearest_limit(
    changes: dict[str, object], low: float, high: float
) -> None:
    state = at_high()._replace(**changes)
    band = breaker.corridor(LADDER, state)
    assert low < band.low_usdt < low * (1 + 3e-9)
    assert high * (1 - 3e-9) < band.high_usdt <= high
    assert (band.high_usdt < high) == (state.level == CAUTION)
    assert breaker.corridor_floor(LADDER, 40_000.0) == pytest.approx(36_000.0, rel=1e-8)
    assert breaker.corridor_floor(LADDER, 40_000.0) > 36_000.0


@pytest.mark.parametrize(("loss", "warned"), [(0.0159, False), (0.016, True), (0.0199, True), (0.02, True)])
def test_risk_4_warns_once_a_day_from_80_percent_of_the_limit_on(loss: float, warned: bool) -> None:
    # F2: 1.99 % warns and blocks nothing.
    state = lived(at_high(), {5: 40_000.0 * (1 - loss)})
    assert (state.day_warned, state.week_warned) == (warned, False)
    assert (state.day_block_h > 0) == (loss >= 0.02)
    tomorrow = breaker.roll(state, MONDAY_H + 24, 39_000.0)
    assert not tomorrow.day_warned


@pytest.mark.parametrize(("equity", "warned"), [(38_401.0, False), (38_400.0, True)])
def test_risk_5_warns_once_a_week_from_80_percent_of_the_limit_on(equity: float, warned: bool) -> None:
    state = lived(at_high(), {30: 39_400.0, 55: 38_900.0, 80: equity})
    assert (state.week_warned, state.week_breached) == (warned, False)
    assert breaker.roll(state, MONDAY_H + 96, equity).week_warned == warned
    assert not breaker.roll(state, MONDAY_H + 168, equity).week_warned
