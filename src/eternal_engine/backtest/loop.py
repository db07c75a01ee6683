"""The backtest's loop over hourly bars, in the order of U-8. Runs compiled or as plain Python, with equal results."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from eternal_engine.backtest import tape as records
from eternal_engine.backtest.cruise import cruise, has_bars, operator_due_h, quiet_until
from eternal_engine.backtest.days import all_clear, pass_days, passes_days
from eternal_engine.backtest.fills import (
    Lots,
    Market,
    delist,
    fill_intent,
    liquidate_funding,
    run_stops,
)
from eternal_engine.backtest.settlements import (
    NEVER_H,
    count_settled,
    next_payment,
    pay_funding,
    take_close,
    take_closes,
)
from eternal_engine.backtest.tape import BARS, HOURLY, ORDERS, PERIOD, ROW_HOURS, Tape, open_row, write_event
from eternal_engine.backtest.worth import Ahead, nothing_ahead
from eternal_engine.model import reason
from eternal_engine.model.rule import Rule
from eternal_engine.portfolio.breaker_hour import risk_after, scope_usdt
from eternal_engine.portfolio.flows import FlowState, funding_share_usdt, month_of, peak_after_usdt
from eternal_engine.portfolio.hour import decide_all
from eternal_engine.portfolio.params import (
    BookView,
    Decision,
    Equities,
    Features,
    Intent,
    Marks,
    Params,
    States,
    no_decisions,
    no_intents,
)
from eternal_engine.portfolio.valuation import count_active, equities, free_usdt, prices_known
from eternal_engine.risk import breaker
from eternal_engine.strategies import core_hodl, trend
from eternal_engine.strategies.base import CORE_HODL, FUNDING, HOURS_PER_DAY, TACTICAL, TREND

Int8Array = npt.NDArray[np.int8]
Int64Array = npt.NDArray[np.int64]

RULES = (
    Rule(
        "U-4",
        "A settlement is known to the decision at its stamp, and never before.",
        (),
        ("tests/property/test_no_look_ahead.py::test_j3_noise_after_t_changes_no_decision_up_to_t",),
    ),
    Rule(
        "U-5",
        "What is decided on a close fills at the next existing bar's open.",
        (),
        ("tests/unit/backtest/test_loop.py::test_u_5_decided_on_a_close_and_filled_at_the_next_open",),
    ),
    Rule(
        "U-8",
        "At each instant: funding, fills, stops inside the bar, mark, limits, rolls, breaker, decisions by engine.",
        (),
        ("tests/unit/portfolio/test_hour.py::test_u_8_engines_decide_in_order",),
    ),
    Rule(
        "U-10",
        "A missing bar decides nothing, an hour without any advances nothing; perps trade from their first funding.",
        (),
        ("tests/unit/backtest/test_loop.py::test_u_10_hours_without_any_bar_advance_nothing",),
    ),
)

# What a bar brought of the symbols priced before it.
NO_BARS: Final = 0
SOME_BARS: Final = 1
ALL_BARS: Final = 2


def run(  # noqa: C901 (one hour from top to bottom, in the order of U-8)
    params: Params,
    features: Features,
    market: Market,
    book: BookView,
    lots: Lots,
    marks: Marks,
    states: States,
    tape: Tape,
    first_bar: int,
    last_bar: int,
    deposit_weekly_usdt: float,
) -> States:
    """Run bars [first_bar, last_bar) and write everything on the tape; books and marks are changed in place.

    The state at `first_bar`'s open is bar 0 of the tape: first decisions are taken there (U-2).
    """
    start_h = market.first_h + first_bar
    paid = np.zeros(len(marks.spot), np.int64)
    settled = np.zeros(len(marks.spot), np.int64)
    count_settled(features, settled, start_h, True)
    pending = no_intents()
    decisions = no_decisions()
    flows = FlowState(0.0, month_of(start_h))
    next_deposit_h = start_h + params.core.interval_h if deposit_weekly_usdt > 0.0 else NEVER_H
    count_active(book)
    if first_bar > 0 and prime_marks(market, marks, first_bar):
        states, flows = close_bar(
            params, features, book, marks, states, flows, tape, pending, decisions, settled, start_h, 0.0, True, True
        )
    else:
        equity = equities(book, marks, True)
        write_bar(tape, book, equity, states, start_h)
    calendar = trend.calendar(params.trend, features.trend)
    next_payment_h = next_payment(features, book, paid, start_h)
    next_delisting_h = next_end(market, start_h)
    ahead = nothing_ahead(len(marks.spot))
    # From here on TREND's state changes in place.
    states = states._replace(trend=trend.copied(states.trend))
    trend_alone = params.trend.enabled and not (
        params.core.enabled or params.funding.enabled or params.tactical.enabled
    )
    active = book.active
    bar = first_bar
    marked = first_bar
    while bar < last_bar:
        now_h = market.first_h + bar
        if now_h >= next_payment_h:
            next_payment_h = pay_funding(features, market, book, tape, lots, marks, paid, bar, bar + 1, marked)
        if len(pending) == 0:
            reached, next_payment_h, states = travel(
                params, features, calendar, ahead, market, book, lots, marks, states, tape, paid, settled, flows.month,
                marked, bar, last_bar, min(next_delisting_h, next_deposit_h - 1), next_payment_h,
            )  # fmt: skip
            if reached > bar:
                bar = reached
                now_h = market.first_h + bar
                if now_h % HOURS_PER_DAY == 0:
                    continue
                # What the journey stopped at inside a day goes through the whole procedure.
                if now_h >= next_payment_h:
                    next_payment_h = pay_funding(features, market, book, tape, lots, marks, paid, bar, bar + 1, marked)
        if params.funding.enabled or (now_h + 1) % HOURS_PER_DAY == 0:
            count_settled(features, settled, now_h + 1, params.funding.enabled)
        if now_h >= next_delisting_h:
            take_closes(market, marks, marked, bar)
            marked = bar
        if active[FUNDING] > 0:
            price_pairs(market, book, marks, marked, bar)
        row, period = tape.counts[BARS], tape.layout[PERIOD]
        open_row(tape, now_h)
        bar += 1
        if len(pending) > 0 or active[TREND] > 0 or active[FUNDING] > 0 or now_h >= next_delisting_h:
            orders = tape.counts[ORDERS]
            states = trade_bar(params, market, book, tape, lots, marks, states, pending, bar - 1)
            if tape.counts[ORDERS] != orders or now_h >= next_delisting_h:
                count_active(book)
                next_delisting_h = next_end(market, now_h + 1)
                next_payment_h = next_payment(features, book, paid, now_h)
        if trend_alone and mark_seen(features, calendar, market, book, marks, bar - 1):
            found = ALL_BARS
        else:
            found = update_marks(market, marks, marked, bar - 1)
            marked = bar
        if found == NO_BARS:
            tape.counts[BARS], tape.layout[PERIOD] = row, period
            continue
        now_h += 1
        deposit = 0.0
        if bar < last_bar:
            deposit, next_deposit_h = deposits_due(params, deposit_weekly_usdt, next_deposit_h, now_h)
        known = found == ALL_BARS or prices_known(book, marks, now_h - 1, params.risk.stale_bars)
        states, flows = close_bar(
            params, features, book, marks, states, flows, tape, pending, decisions, settled, now_h, deposit, known,
            bar < last_bar,
        )  # fmt: skip
    tape.counts[BARS] += 1
    return states


def travel(
    params: Params,
    features: Features,
    calendar: Int8Array,
    ahead: Ahead,
    market: Market,
    book: BookView,
    lots: Lots,
    marks: Marks,
    states: States,
    tape: Tape,
    paid: Int64Array,
    settled: Int64Array,
    month: int,
    marked: int,
    bar: int,
    last_bar: int,
    until_h: int,
    next_payment_h: int,
) -> tuple[int, int, States]:
    """Pass what is quiet from `bar` on, whole days or hours of one; give the first bar left over, as `cruise` does."""
    if passes_days(params, market, tape):
        end_bar = min(last_bar - 1, min(until_h, operator_due_h(params, states) - 1) - market.first_h)
        bar, next_payment_h, states, wakes = pass_days(
            params, features, calendar, market, book, lots, marks, states, tape, paid, marked, bar, end_bar,
            next_payment_h,
        )  # fmt: skip
        if wakes:
            return bar, next_payment_h, states
    end_bar = quiet_until(params, states, market, bar, last_bar, until_h)
    return cruise(
        params, features, calendar, ahead, market, book, lots, marks, states, tape, paid, settled, month, marked, bar,
        end_bar, next_payment_h,
    )  # fmt: skip


def deposits_due(params: Params, weekly_usdt: float, next_deposit_h: int, now_h: int) -> tuple[float, int]:
    """Sum the weekly deposits due by `now_h`, of which there are several after an outage; give the next one's hour."""
    deposit = 0.0
    while now_h >= next_deposit_h:
        deposit += weekly_usdt
        next_deposit_h += params.core.interval_h
    return deposit, next_deposit_h


def trade_bar(
    params: Params,
    market: Market,
    book: BookView,
    tape: Tape,
    lots: Lots,
    marks: Marks,
    states: States,
    pending: list[Intent],
    bar: int,
) -> States:
    """Do what happens at a bar's open and inside it: fills, then stops, liquidation and delistings (U-8)."""
    if len(pending) > 0:
        states = fill_pending(params, market, book, tape, lots, states, pending, bar)
    if not all_clear(params, market, book, states.trend.stop, bar):
        states = run_stops(params, market, book, tape, lots, states, bar)
    if params.funding.enabled:
        liquidate_funding(params, market, book, tape, lots, marks, bar)
    return delist(params, market, book, tape, lots, marks, states, bar)


def price_pairs(market: Market, book: BookView, marks: Marks, marked: int, bar: int) -> None:
    """Take the last known closes of open pairs whose bar is missing: their margin is counted with them (FUND-2)."""
    for s in range(len(marks.perp)):
        if book.perp_qty[FUNDING, s] != 0.0 and math.isnan(market.perp_open[s, bar]):
            take_close(market, marks, s, marked, bar)


def next_end(market: Market, from_h: int) -> int:
    """Give the hour of the first delisting at or after `from_h`."""
    earliest = NEVER_H
    for s in range(len(market.delisted_h)):
        if market.delisted_h[s] >= from_h:
            earliest = min(earliest, market.delisted_h[s])
    return earliest


def prime_marks(market: Market, marks: Marks, first_bar: int) -> bool:
    """Set the marks to the last bars before the start; say whether the bar just closed exists at all."""
    for s in range(len(marks.spot)):
        if market.delisted_h[s] <= market.first_h + first_bar:
            continue
        oldest = max(market.listed_h[s] - market.first_h, 0)
        for bar in range(first_bar - 1, oldest - 1, -1):
            if not math.isnan(market.spot_close[s, bar]):
                marks.spot[s] = market.spot_close[s, bar]
                marks.spot_h[s] = market.first_h + bar
                break
        for bar in range(first_bar - 1, oldest - 1, -1):
            if not math.isnan(market.perp_close[s, bar]):
                marks.perp[s] = market.perp_close[s, bar]
                marks.perp_h[s] = market.first_h + bar
                break
    newest = -1
    for s in range(len(marks.spot)):
        newest = max(newest, marks.spot_h[s], marks.perp_h[s])
    return newest == market.first_h + first_bar - 1


def update_marks(market: Market, marks: Marks, marked: int, bar: int) -> int:
    """Take over the closes of one bar: ALL_BARS if nothing priced before lacks one, NO_BARS if all do (U-7).

    What lacks one takes its last close since `marked`, the first bar whose closes the marks have not taken.
    """
    spot_close, perp_close = market.spot_close, market.perp_close
    spot, perp, spot_h, perp_h = marks.spot, marks.perp, marks.spot_h, marks.perp_h
    listed_h, delisted_h = market.listed_h, market.delisted_h
    found = 0
    missing = 0
    at_h = market.first_h + bar
    for s in range(len(spot)):
        inside = at_h >= listed_h[s] and at_h < delisted_h[s]
        spot_price = spot_close[s, bar] if inside else math.nan
        perp_price = perp_close[s, bar] if inside else math.nan
        if math.isnan(spot_price) or math.isnan(perp_price):
            take_close(market, marks, s, marked, bar)
        if not math.isnan(spot_price):
            spot[s] = spot_price
            spot_h[s] = at_h
            found += 1
        elif inside and spot_h[s] >= 0:
            missing += 1
        if not math.isnan(perp_price):
            perp[s] = perp_price
            perp_h[s] = at_h
            found += 1
        elif inside and perp_h[s] >= 0:
            missing += 1
    if found == 0:
        return NO_BARS
    return ALL_BARS if missing == 0 else SOME_BARS


def mark_seen(features: Features, calendar: Int8Array, market: Market, book: BookView, marks: Marks, bar: int) -> bool:
    """Take over only those closes of one bar that TREND alone looks at: of what it holds, or might enter at its close.

    Give False where one of them is missing, or nothing says that the hour has any bar: then all are to be taken.
    """
    at_h = market.first_h + bar
    day = -1
    if (at_h + 1) % HOURS_PER_DAY == 0:
        # Row of the day that ends.
        day = at_h // HOURS_PER_DAY - features.first_day
    found = False
    for i in range(book.active[TREND]):
        if not mark_symbol(market, marks, book.held[TREND, i], bar):
            return False
        found = True
    if day >= 0:
        for s in range(len(marks.spot)):
            if calendar[day, s] & trend.ENTERS:
                if not mark_symbol(market, marks, s, bar):
                    return False
                found = True
    return found or has_bars(market, 0, bar)


def mark_symbol(market: Market, marks: Marks, symbol: int, bar: int) -> bool:
    """Take over one symbol's closes of a bar, if it has both."""
    if not has_bars(market, symbol, bar):
        return False
    marks.spot[symbol] = market.spot_close[symbol, bar]
    marks.perp[symbol] = market.perp_close[symbol, bar]
    marks.spot_h[symbol] = market.first_h + bar
    marks.perp_h[symbol] = market.first_h + bar
    return True


def fill_pending(
    params: Params,
    market: Market,
    book: BookView,
    tape: Tape,
    lots: Lots,
    states: States,
    pending: list[Intent],
    bar: int,
) -> States:
    """Fill what can be filled at this bar's open; the rest waits for its next bar (U-5)."""
    waiting = 0
    for k in range(len(pending)):
        intent = pending[k]
        done, states = fill_intent(params, market, book, tape, lots, states, intent, bar)
        if not done and market.first_h + bar < market.delisted_h[intent.symbol]:
            pending[waiting] = intent
            waiting += 1
    while len(pending) > waiting:
        pending.pop()
    return states


def close_bar(
    params: Params,
    features: Features,
    book: BookView,
    marks: Marks,
    states: States,
    flows: FlowState,
    tape: Tape,
    pending: list[Intent],
    decisions: list[Decision],
    settled: Int64Array,
    now_h: int,
    deposit_usdt: float,
    known: bool,
    decides: bool,
) -> tuple[States, FlowState]:
    """Close one bar: flows, mark, limits, breaker, decisions (U-8). Without `decides` the run ends here.

    `known` says whether every held position has a price (U-6).
    """
    bar = tape.counts[BARS]
    if deposit_usdt > 0.0:
        book.cash[CORE_HODL] += deposit_usdt
        tape.engine_flow[CORE_HODL, bar] += deposit_usdt
        tape.external[bar] += deposit_usdt
        write_event(tape, now_h, records.DEPOSIT, CORE_HODL, -1, 0, deposit_usdt)
        if params.core.enabled:
            states = states._replace(core=core_hodl.on_deposit(params.core, states.core, deposit_usdt))
    if decides and params.funding.enabled:
        flows = share_funding_profit(params, book, marks, flows, tape, pending, now_h)
    equity = equities(book, marks, known)
    scope = scope_usdt(params, equity)
    flow = tape.external[bar]
    if params.risk.breaker.scope == breaker.SCOPE_ACTIVE:
        flow = tape.engine_flow[TREND, bar] + tape.engine_flow[FUNDING, bar] + tape.engine_flow[TACTICAL, bar]
    before = states.risk
    band = breaker.corridor(params.risk.breaker, before)
    inside = scope > band.low_usdt and scope <= band.high_usdt
    # The operator whom a level waits for comes by the clock.
    if flow != 0.0 or not inside or before.level >= breaker.WARNING or breaker.day_of(now_h) != before.day:
        risk = risk_after(params, breaker.with_flow(before, scope - flow, flow), now_h, equity)
        risk = operate(params, risk, tape, now_h, scope, known)
        states = states._replace(risk=risk)
        write_risk_events(tape, before, risk, now_h, scope)
    if decides:
        phase = states.core.phase
        states, notes = decide_all(
            params, features, book, marks, pending, decisions, equity, states, now_h, settled, before.level, 0
        )
        if notes != 0 or phase != states.core.phase:
            write_core_events(tape, states.core, phase, notes, now_h)
        for decision in decisions:
            if decision.rule != reason.NONE:
                tape.denials[decision.engine, decision.rule] += 1
        decisions.clear()
    write_bar(tape, book, equity, states, now_h)
    return states, flows


def operate(
    params: Params, state: breaker.RiskState, tape: Tape, now_h: int, scope: float, known: bool
) -> breaker.RiskState:
    """Play the operator of a backtest: approve or resume after the configured delay (BRK-5)."""
    if known and breaker.operator_is_due(state, now_h, params.approval_delay_h):
        write_event(tape, now_h, records.APPROVAL, -1, -1, state.level, scope)
        state = breaker.release(params.risk.breaker, breaker.approve(state), now_h, scope)
    if breaker.resume_is_due(state, now_h, params.approval_delay_h):
        write_event(tape, now_h, records.RESUME, -1, -1, 0, scope)
        state = breaker.resume(state)
    return state


def write_risk_events(
    tape: Tape, before: breaker.RiskState, after: breaker.RiskState, now_h: int, scope: float
) -> None:
    """Write what changed in breaker and loss limits."""
    if after.events != before.events:
        write_event(tape, now_h, records.BREAKER, before.level, -1, after.level, scope)
    if after.day_block_h != before.day_block_h:
        write_event(tape, now_h, records.DAY_LOSS, -1, -1, 0, scope)
    elif after.day_warned and not before.day_warned:
        write_event(tape, now_h, records.DAY_WARNING, -1, -1, 0, scope)
    if after.week_block_h != before.week_block_h:
        write_event(tape, now_h, records.WEEK_LOSS, -1, -1, 0, scope)
    elif after.week_warned and not before.week_warned:
        write_event(tape, now_h, records.WEEK_WARNING, -1, -1, 0, scope)
    if after.halted and not before.halted:
        write_event(tape, now_h, records.STOP, -1, -1, 0, scope)


def write_core_events(tape: Tape, state: core_hodl.CoreState, phase_before: int, notes: int, now_h: int) -> None:
    """Write CORE_HODL's changes of phase and its notes."""
    if state.phase != phase_before:
        write_event(tape, now_h, records.PHASE, CORE_HODL, phase_before, state.phase, state.target_usdt)
    if notes & core_hodl.NOTE_EXTENDED:
        write_event(tape, now_h, records.EXTENDED, CORE_HODL, -1, state.weeks_remaining, 0.0)
    if notes & core_hodl.NOTE_NO_CASH:
        write_event(tape, now_h, records.NO_CASH, CORE_HODL, -1, 0, 0.0)
    if notes & core_hodl.NOTE_STILL_OFF:
        write_event(tape, now_h, records.STILL_OFF, CORE_HODL, -1, 0, state.weeks_needed)


def share_funding_profit(
    params: Params, book: BookView, marks: Marks, flows: FlowState, tape: Tape, pending: list[Intent], now_h: int
) -> FlowState:
    """Hand FUNDING's share of new realised profit to TACTICAL at the turn of a month (CAP-2)."""
    month = month_of(now_h)
    if month == flows.month:
        return flows
    free = free_usdt(params, book, marks, pending, FUNDING)
    peak = flows.funding_peak_usdt
    moved = funding_share_usdt(book.realised[FUNDING], peak, params.funding.profit_share_frac, free)
    if moved > 0.0:
        bar = tape.counts[BARS]
        book.cash[FUNDING] -= moved
        book.cash[TACTICAL] += moved
        tape.engine_flow[FUNDING, bar] -= moved
        tape.engine_flow[TACTICAL, bar] += moved
        write_event(tape, now_h, records.TRANSFER, FUNDING, -1, TACTICAL, moved)
        peak = peak_after_usdt(peak, moved, params.funding.profit_share_frac)
    return FlowState(peak, month)


def write_bar(tape: Tape, book: BookView, equity: Equities, states: States, now_h: int) -> None:
    """Write one bar's close: equities, exposure and level; the equity is the one its flows have already reached."""
    bar = tape.counts[BARS]
    rows, exposure, cash = tape.equity, tape.exposure, book.cash
    tape.close_h[bar] = now_h
    tape.level[bar] = states.risk.level
    rows[CORE_HODL, bar] = equity.core
    rows[TREND, bar] = equity.trend
    rows[FUNDING, bar] = equity.funding
    rows[TACTICAL, bar] = equity.tactical
    exposure[CORE_HODL, bar] = equity.core - cash[CORE_HODL]
    exposure[TREND, bar] = equity.trend_notional
    exposure[FUNDING, bar] = equity.funding_notional
    exposure[TACTICAL, bar] = equity.tactical - cash[TACTICAL]
    if tape.layout[ROW_HOURS] != HOURLY:
        tape.lowest[0] = min(tape.lowest[0], equity.trend)
