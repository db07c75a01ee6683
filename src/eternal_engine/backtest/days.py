"""Whole days of TREND alone, passed at once where their extremes prove that nothing happens: what makes sweeps fast.

The extremes of a day's prices belong to the market and are shared by all parameter sets. They prove, for what is held,
that no stop is touched and that equity stays in the breaker's corridor in every hour; the day's row then needs its last
close only. Where they prove nothing, `cruise` walks the hours. What a day at rest brings is done by the same functions.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from eternal_engine.backtest.cruise import RESTLESS, trail_positions, trend_refusals
from eternal_engine.backtest.fills import Lots, Market, liquidation_price, liquidation_reach
from eternal_engine.backtest.settlements import pay_funding
from eternal_engine.backtest.tape import BARS, HOURLY, PERIOD, ROW_HOURS, Tape, row_of
from eternal_engine.backtest.worth import mark_perps
from eternal_engine.portfolio.breaker_hour import scope_usdt
from eternal_engine.portfolio.params import BookView, Equities, Features, Marks, Params, States
from eternal_engine.portfolio.trend_hour import trend_refusal
from eternal_engine.risk import breaker
from eternal_engine.strategies import trend
from eternal_engine.strategies.base import BUY, CORE_HODL, FUNDING, HOURS_PER_DAY, SELL, TACTICAL, TREND

Float64Array = npt.NDArray[np.float64]
Int8Array = npt.NDArray[np.int8]
Int64Array = npt.NDArray[np.int64]

# Columns of `Market.days`.
LOW_MARK: Final = 0
HIGH_MARK: Final = 1
LOW_CLOSE: Final = 2
HIGH_CLOSE: Final = 3
LAST_CLOSE: Final = 4
PAYMENTS: Final = 5
# A full line of the processor's memory.
COLUMNS: Final = 8

# What `kind_of_day` finds, or RESTLESS.
QUIET: Final = 0
RISING: Final = 1

# More than any rounding, as a fraction of a position.
CLEAR: Final = 1e-9


class Range(NamedTuple):
    """Hold the equities in USDT between which an engine stays over a day; NaN when something is not known."""

    low_usdt: float
    high_usdt: float


def passes_days(params: Params, market: Market, tape: Tape) -> bool:
    """Tell whether a run may pass whole days: their extremes are at hand, rows are days, and TREND is alone."""
    others = params.core.enabled or params.funding.enabled or params.tactical.enabled
    return params.trend.enabled and not others and market.days.shape[1] > 0 and tape.layout[ROW_HOURS] != HOURLY


def pass_days(
    params: Params,
    features: Features,
    calendar: Int8Array,
    market: Market,
    book: BookView,
    lots: Lots,
    marks: Marks,
    states: States,
    tape: Tape,
    paid: Int64Array,
    settled: Int64Array,
    marked: int,
    first_bar: int,
    end_bar: int,
    next_payment_h: int,
) -> tuple[int, int, States, bool]:
    """Pass what is left of the day of `first_bar` and the days after it, while they are at rest, all before `end_bar`.

    Of a day whose close is not at rest the last bar is left over: the fourth result says that it was reached so.
    Otherwise as `cruise`.
    """
    bar = first_bar
    wakes = False
    state, risk = states.trend, states.risk
    gains, notional, cash = tape.draft_equity[TREND], tape.draft_exposure[TREND], book.cash
    while breaker.day_of(market.first_h + bar) == risk.day:
        close_h = (risk.day + 1) * HOURS_PER_DAY
        last_bar = close_h - 1 - market.first_h
        day = risk.day - features.first_day
        # With a bar of the first symbol the hour counts.
        if last_bar >= end_bar or day < 0 or not calendar[day, 0] & trend.WHOLE:
            break
        kind = kind_of_day(params, market, book, risk, state.stop, day)
        if kind == RESTLESS:
            break
        refused = trend_refusals(params, calendar[day], market, book, state.side, risk, settled, last_bar)
        wakes = refused == RESTLESS
        hours = last_bar - bar if wakes else last_bar - bar + 1
        if kind == RISING:
            mark_perps(market, book, gains[:hours], notional[:hours], bar)
        high_usdt = risk.high_usdt
        at = 0
        while next_payment_h < market.first_h + bar + hours:
            until = max(next_payment_h - market.first_h - bar, 0)
            if kind == RISING:
                high_usdt = highest_usdt(params, cash, gains, at, until, high_usdt)
            at = until
            next_payment_h = pay_funding(features, market, book, tape, lots, marks, paid, bar + at, marked)
        if kind == RISING:
            high_usdt = highest_usdt(params, cash, gains, at, hours, high_usdt)
            if high_usdt > risk.high_usdt:
                risk = risk._replace(high_usdt=high_usdt)
        if wakes:
            bar = last_bar
            break
        usdt = write_passed_day(market, book, tape, risk.level, day, close_h)
        risk = breaker.advance(params.risk.breaker, risk, close_h, in_scope_usdt(params, cash, usdt))
        trail_positions(params, features, calendar, book, state, day)
        if refused > 0:
            tape.denials[TREND, trend_refusal(params, book, risk, close_h)] += refused
        bar = last_bar + 1
    return bar, next_payment_h, states._replace(risk=risk), wakes


def in_scope_usdt(params: Params, cash: Float64Array, trend_usdt: float) -> float:
    """Give what the breaker watches while TREND alone holds anything, from its equity and everybody's `cash` [4]."""
    equity = Equities(cash[CORE_HODL], trend_usdt, cash[FUNDING], cash[TACTICAL], 0.0, 0.0, True)
    return scope_usdt(params, equity)


def kind_of_day(
    params: Params, market: Market, book: BookView, risk: breaker.RiskState, stops: Float64Array, day: int
) -> int:
    """Tell whether no stop is touched and equity stays in the corridor in every hour of a day: QUIET.

    RISING is a day that is quiet but for a new high that may be reached in it; else RESTLESS.
    """
    held = day_range(params, market, book, stops, day)
    lowest = in_scope_usdt(params, book.cash, held.low_usdt)
    highest = in_scope_usdt(params, book.cash, held.high_usdt)
    band = breaker.corridor(params.risk.breaker, risk)
    # NaN fails these comparisons as it should.
    if not (held.low_usdt > 0.0 and lowest > band.low_usdt):
        return RESTLESS
    if highest <= band.high_usdt:
        return QUIET
    # As in `cruise` a new high moves only the corridor, whose floor rises at most to that of the highest one.
    may_rise = risk.level == breaker.NORMAL and band.high_usdt > band.low_usdt
    return RISING if may_rise and lowest > breaker.corridor_floor(params.risk.breaker, highest) else RESTLESS


def highest_usdt(
    params: Params, cash: Float64Array, gains: Float64Array, first: int, end: int, high_usdt: float
) -> float:
    """Give the highest equity in scope at the closes [`first`, `end`) of a day's `gains`, at least `high_usdt`."""
    for k in range(first, end):
        high_usdt = max(high_usdt, in_scope_usdt(params, cash, gains[k] + cash[TREND]))
    return high_usdt


def day_range(params: Params, market: Market, book: BookView, stops: Float64Array, day: int) -> Range:
    """Give the range of TREND's equity over a day: NaN where a stop or liquidation may be touched (U-11)."""
    days, contracts, entries = market.days, book.perp_qty, book.perp_entry
    reach = liquidation_reach(params)
    low = book.cash[TREND]
    high = low
    for s in range(contracts.shape[1]):
        held = contracts[TREND, s]
        if held == 0.0:
            continue
        entry = entries[TREND, s]
        # Whatever is settled within the day is taken as paid for the one bound and as received for the other.
        apart = abs(held) * (days[s, day, PAYMENTS] + CLEAR * days[s, day, HIGH_CLOSE])
        if held > 0.0:
            clear = days[s, day, LOW_MARK] > max(stops[s], liquidation_price(reach, BUY, entry))
            low += held * (days[s, day, LOW_CLOSE] - entry) - apart
            high += held * (days[s, day, HIGH_CLOSE] - entry) + apart
        else:
            clear = days[s, day, HIGH_MARK] < min(stops[s], liquidation_price(reach, SELL, entry))
            low += held * (days[s, day, HIGH_CLOSE] - entry) - apart
            high += held * (days[s, day, LOW_CLOSE] - entry) + apart
        if not clear:
            return Range(math.nan, math.nan)
    return Range(low, high)


def write_passed_day(market: Market, book: BookView, tape: Tape, level: int, day: int, close_h: int) -> float:
    """Keep the state at the last bar of a passed day as its row, summed in the order of `equities`; give TREND's."""
    row = row_of(tape, close_h - 1)
    for engine in range(4):
        tape.equity[engine, row] = book.cash[engine]
        tape.exposure[engine, row] = 0.0
    gain = 0.0
    notional = 0.0
    for s in range(book.perp_qty.shape[1]):
        held = book.perp_qty[TREND, s]
        if held != 0.0:
            close = market.days[s, day, LAST_CLOSE]
            gain += held * (close - book.perp_entry[TREND, s])
            notional += abs(held) * close
    usdt = float(book.cash[TREND] + gain)
    tape.equity[TREND, row] = usdt
    tape.exposure[TREND, row] = notional
    tape.close_h[row] = close_h
    tape.level[row] = level
    tape.counts[BARS] = row
    tape.layout[PERIOD] = close_h // HOURS_PER_DAY - 1
    return usdt
