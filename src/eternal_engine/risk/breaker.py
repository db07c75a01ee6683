"""The four-level circuit breaker and the loss limits: one small state machine (BRK-1 to BRK-7, RISK-4, RISK-5)."""

from __future__ import annotations

from typing import Final, NamedTuple

from eternal_engine.model.codes import EPSILON, HOURS_PER_DAY, HOURS_PER_WEEK
from eternal_engine.model.rule import Rule

NORMAL: Final = 0
CAUTION: Final = 1
WARNING: Final = 2
ALERT: Final = 3
EMERGENCY: Final = 4
LEVELS: Final = ("NORMAL", "CAUTION", "WARNING", "ALERT", "EMERGENCY")

SCOPE_ACTIVE: Final = 0
SCOPE_PORTFOLIO: Final = 1

BLOCK: Final = 0
EMERGENCY_STOP: Final = 1

# 1970-01-01 was a Thursday: hours since the epoch are shifted so that a week starts on Monday 00:00 UTC.
MONDAY_SHIFT_H: Final = 72
# Farther from a limit than any rounding: the exact check is made where it could matter.
CLEARLY_ABOVE: Final = 1.0 + 1e-9

RULES = (
    Rule(
        "RISK-4",
        "A loss of 2 % since 00:00 UTC stops TREND and FUNDING entries for 24 hours, once a day.",
        ("risk.daily_loss_frac", "risk.daily_block_h", "risk.warn_frac", "risk.on_breach"),
        ("tests/unit/risk/test_breaker.py::test_risk_4_daily_loss_blocks_for_24_hours",),
    ),
    Rule(
        "RISK-5",
        "A loss of 5 % since Monday 00:00 UTC stops TREND and FUNDING entries for seven days, once a week.",
        ("risk.weekly_loss_frac", "risk.weekly_block_h"),
        ("tests/unit/risk/test_breaker.py::test_risk_5_weekly_loss_blocks_for_seven_days",),
    ),
    Rule(
        "BRK-1",
        "Levels rise by themselves and straight to the gap's level; only level 1 falls back alone.",
        ("risk.breaker.caution_frac", "risk.breaker.warning_frac", "risk.breaker.alert_frac")
        + ("risk.breaker.emergency_frac", "risk.breaker.recover_frac", "risk.breaker.scope"),
        ("tests/unit/risk/test_breaker.py::test_brk_1_ladder_and_gap",),
    ),
    Rule(
        "BRK-2",
        "Level, high, timers and approvals are one value that survives restarts and acts at once.",
        (),
        ("tests/unit/risk/test_breaker.py::test_brk_2_a_restart_far_below_the_high_acts_at_once",),
    ),
    Rule(
        "BRK-3",
        "An approval re-bases the high to the current equity.",
        (),
        ("tests/unit/risk/test_breaker.py::test_brk_3_approval_rebases_the_high",),
    ),
    Rule(
        "BRK-5",
        "In a backtest the operator approves after a configured delay, and the report counts it.",
        ("backtest.approval_delay_h",),
        ("tests/unit/risk/test_breaker.py::test_brk_5_operator_delay",),
    ),
    Rule(
        "BRK-7",
        "After an approval TREND and FUNDING sizes stay reduced for 14 days.",
        ("risk.breaker.warning_size_frac", "risk.breaker.alert_size_frac", "risk.breaker.reduced_days")
        + ("risk.breaker.caution_size_frac", "risk.breaker.warning_wait_h"),
        ("tests/unit/risk/test_breaker.py::test_brk_7_reduced_size_for_fourteen_days",),
    ),
)


class BreakerParams(NamedTuple):
    """Hold the ladder and the loss limits; `_frac` of the scope's equity, `_h` hours."""

    scope: int
    caution_frac: float
    warning_frac: float
    alert_frac: float
    emergency_frac: float
    recover_frac: float
    caution_cut_frac: float
    caution_size_frac: float
    warning_cut_frac: float
    warning_wait_h: int
    reduced_h: int
    warning_size_frac: float
    alert_size_frac: float
    daily_loss_frac: float
    weekly_loss_frac: float
    daily_block_h: int
    weekly_block_h: int
    warn_frac: float
    on_breach: int


class RiskState(NamedTuple):
    """Hold what must survive a restart (BRK-2). Equities in USDT net of flows, times in hours since the epoch.

    `approved` an operator's word that still waits for level 2's time; `halted` an emergency stop (RISK-1).
    """

    level: int
    changed_h: int
    approved: bool
    high_usdt: float
    day_base_usdt: float
    week_base_usdt: float
    day: int
    week: int
    day_breached: bool
    week_breached: bool
    day_warned: bool
    week_warned: bool
    day_block_h: int
    week_block_h: int
    reduced_until_h: int
    reduced_frac: float
    halted: bool
    halted_h: int
    events: int
    approvals: int


def initial_state() -> RiskState:
    """Give the state before the first mark."""
    return RiskState(
        level=NORMAL,
        changed_h=0,
        approved=False,
        high_usdt=0.0,
        day_base_usdt=0.0,
        week_base_usdt=0.0,
        day=-1,
        week=-1,
        day_breached=False,
        week_breached=False,
        day_warned=False,
        week_warned=False,
        day_block_h=0,
        week_block_h=0,
        reduced_until_h=0,
        reduced_frac=1.0,
        halted=False,
        halted_h=0,
        events=0,
        approvals=0,
    )


def with_flow(state: RiskState, before_usdt: float, flow_usdt: float) -> RiskState:
    """Scale high and bases by (E + F) / E, so that moved money is neither gain nor loss."""
    if flow_usdt == 0.0 or before_usdt <= 0.0:
        return state
    scale = (before_usdt + flow_usdt) / before_usdt
    return state._replace(
        high_usdt=state.high_usdt * scale,
        day_base_usdt=state.day_base_usdt * scale,
        week_base_usdt=state.week_base_usdt * scale,
    )


def loss_frac(base_usdt: float, equity_usdt: float) -> float:
    """Give the loss since a base as a fraction; a gain is negative, an unknown base is no loss yet."""
    return 1.0 - equity_usdt / base_usdt if base_usdt > 0.0 else 0.0


def level_for(params: BreakerParams, drawdown_frac: float) -> int:
    """Give the ladder's level of a drawdown (BRK-1)."""
    if drawdown_frac >= params.emergency_frac - EPSILON:
        return EMERGENCY
    if drawdown_frac >= params.alert_frac - EPSILON:
        return ALERT
    if drawdown_frac >= params.warning_frac - EPSILON:
        return WARNING
    if drawdown_frac >= params.caution_frac - EPSILON:
        return CAUTION
    return NORMAL


def day_of(now_h: int) -> int:
    """Number the UTC day that begins at or before `now_h`."""
    return now_h // HOURS_PER_DAY


def week_of(now_h: int) -> int:
    """Number the week that begins on the Monday 00:00 UTC at or before `now_h`."""
    return (now_h + MONDAY_SHIFT_H) // HOURS_PER_WEEK


def check_losses(params: BreakerParams, state: RiskState, now_h: int, equity_usdt: float) -> RiskState:
    """Warn near a limit and start the waits of RISK-4 and RISK-5; only the first of a day and of a week counts."""
    day_loss = loss_frac(state.day_base_usdt, equity_usdt)
    week_loss = loss_frac(state.week_base_usdt, equity_usdt)
    day_near = day_loss >= params.warn_frac * params.daily_loss_frac - EPSILON
    week_near = week_loss >= params.warn_frac * params.weekly_loss_frac - EPSILON
    if (day_near and not state.day_warned) or (week_near and not state.week_warned):
        state = state._replace(day_warned=state.day_warned or day_near, week_warned=state.week_warned or week_near)
    day_hit = day_loss >= params.daily_loss_frac - EPSILON
    week_hit = week_loss >= params.weekly_loss_frac - EPSILON
    new_day_hit = day_hit and not state.day_breached
    new_week_hit = week_hit and not state.week_breached
    if not new_day_hit and not new_week_hit:
        return state
    stop = params.on_breach == EMERGENCY_STOP
    return state._replace(
        day_breached=state.day_breached or day_hit,
        week_breached=state.week_breached or week_hit,
        day_block_h=now_h + params.daily_block_h if new_day_hit else state.day_block_h,
        week_block_h=now_h + params.weekly_block_h if new_week_hit else state.week_block_h,
        halted=state.halted or stop,
        halted_h=now_h if stop and not state.halted else state.halted_h,
    )


def roll(state: RiskState, now_h: int, equity_usdt: float) -> RiskState:
    """Begin a new day and a new week with the current equity as their base."""
    day = day_of(now_h)
    week = week_of(now_h)
    if day == state.day:
        return state
    new_week = week != state.week
    return state._replace(
        day=day,
        week=week,
        day_base_usdt=equity_usdt,
        week_base_usdt=equity_usdt if new_week else state.week_base_usdt,
        day_breached=False,
        week_breached=False if new_week else state.week_breached,
        day_warned=False,
        week_warned=False if new_week else state.week_warned,
    )


def advance_level(params: BreakerParams, state: RiskState, now_h: int, equity_usdt: float) -> RiskState:
    """Move the high and the level by one hour's equity; each change of level is one event (BRK-1)."""
    high = max(state.high_usdt, equity_usdt)
    drawdown = loss_frac(high, equity_usdt)
    level = level_for(params, drawdown)
    if level > state.level:
        return state._replace(level=level, changed_h=now_h, approved=False, high_usdt=high, events=state.events + 1)
    if state.level == CAUTION and drawdown <= params.recover_frac + EPSILON:
        return state._replace(level=NORMAL, changed_h=now_h, high_usdt=high, events=state.events + 1)
    if high != state.high_usdt:
        return state._replace(high_usdt=high)
    return state


def approve(state: RiskState) -> RiskState:
    """Take the operator's approval; it counts once its level's conditions hold (F12, F20)."""
    return state._replace(approved=True, approvals=state.approvals + 1)


def release(params: BreakerParams, state: RiskState, now_h: int, equity_usdt: float) -> RiskState:
    """Return to normal when an approved level's conditions hold: re-base the high, start the reduced time."""
    if not state.approved or state.level < WARNING:
        return state
    if state.level == WARNING and now_h < state.changed_h + params.warning_wait_h:
        return state
    return state._replace(
        level=NORMAL,
        changed_h=now_h,
        approved=False,
        high_usdt=equity_usdt,
        reduced_until_h=now_h + params.reduced_h,
        reduced_frac=params.warning_size_frac if state.level == WARNING else params.alert_size_frac,
        events=state.events + 1,
    )


def operator_is_due(state: RiskState, now_h: int, delay_h: int) -> bool:
    """Tell whether a backtest's operator would approve now (BRK-5)."""
    return state.level >= WARNING and not state.approved and now_h >= state.changed_h + delay_h


def resume_is_due(state: RiskState, now_h: int, delay_h: int) -> bool:
    """Tell whether a backtest's operator would lift an emergency stop now (RISK-4, BRK-5)."""
    return state.halted and now_h >= state.halted_h + delay_h


def resume(state: RiskState) -> RiskState:
    """Lift an emergency stop by the operator's word (RISK-1)."""
    return state._replace(halted=False, approvals=state.approvals + 1)


def advance(params: BreakerParams, state: RiskState, now_h: int, equity_usdt: float) -> RiskState:
    """Do one completed hour in the order of U-8: loss limits, day and week roll, level, approval."""
    state = check_losses(params, state, now_h, equity_usdt)
    state = roll(state, now_h, equity_usdt)
    state = advance_level(params, state, now_h, equity_usdt)
    return release(params, state, now_h, equity_usdt)


class Corridor(NamedTuple):
    """Hold the equities in USDT between which `advance` changes nothing until the day is over: above `low`, to `high`.

    `low` above `high` means that there are none.
    """

    low_usdt: float
    high_usdt: float


def _next_loss_frac(params: BreakerParams, limit_frac: float, warned: bool, breached: bool) -> float:
    """Give the loss at which a limit has something to say next; 1 when it has said everything."""
    if breached:
        return 1.0
    return limit_frac if warned else params.warn_frac * limit_frac


def corridor_floor(params: BreakerParams, high_usdt: float) -> float:
    """Give the equity clearly above which level 1 does not begin at a high."""
    return (1.0 - params.caution_frac) * high_usdt * CLEARLY_ABOVE


def corridor(params: BreakerParams, state: RiskState) -> Corridor:
    """Give the band in which an hour leaves the state as it is, but for an operator's word; narrower is always safe.

    From level 3 on, where positions are closed until none is left, and with an approval or a stop every hour counts.
    """
    if state.level > WARNING or state.approved or state.halted:
        return Corridor(1.0, 0.0)
    high = state.high_usdt
    next_frac = params.caution_frac
    if state.level != NORMAL:
        next_frac = params.warning_frac if state.level == CAUTION else params.alert_frac
    low = (1.0 - next_frac) * high
    low = max(
        low,
        (1.0 - _next_loss_frac(params, params.daily_loss_frac, state.day_warned, state.day_breached))
        * state.day_base_usdt,
    )
    low = max(
        low,
        (1.0 - _next_loss_frac(params, params.weekly_loss_frac, state.week_warned, state.week_breached))
        * state.week_base_usdt,
    )
    if state.level == CAUTION:
        high = (1.0 - params.recover_frac) * high
        return Corridor(low * CLEARLY_ABOVE, high / CLEARLY_ABOVE)
    if state.level == WARNING:
        return Corridor(low * CLEARLY_ABOVE, high)
    return Corridor(max(low * CLEARLY_ABOVE, corridor_floor(params, high)), high)


def size_factor(params: BreakerParams, state: RiskState, now_h: int, is_trend: bool) -> float:
    """Give the factor on new TREND and FUNDING sizes: the smallest that counts (level 1, BRK-7)."""
    factor = 1.0
    if is_trend and state.level == CAUTION:
        factor = params.caution_size_frac
    if now_h < state.reduced_until_h:
        factor = min(factor, state.reduced_frac)
    return factor
