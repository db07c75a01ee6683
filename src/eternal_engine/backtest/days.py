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

from eternal_engine.backtest.cruise import RESTLESS, ends_any, refusal_at_rest, trail_positions
from eternal_engine.backtest.fills import Lots, Market, liquidation_price, liquidation_reach
from eternal_engine.backtest.lending import refer, spread
from eternal_engine.backtest.settlements import pay_funding
from eternal_engine.backtest.tape import BARS, HOURLY, PERIOD, ROW_HOURS, Tape, row_of
from eternal_engine.backtest.worth import mark_perps
from eternal_engine.model import reason
from eternal_engine.portfolio.breaker_hour import scope_usdt
from eternal_engine.portfolio.params import BookView, Equities, Features, Marks, Params, States
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
    # A new one each day: as a plain tuple it needs no memory of its own.
    state, risk = states.trend, spread(states.risk)
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
        wakes = not close_rests(params, calendar[day], book, state.side, risk, close_h)
        end = last_bar if wakes else last_bar + 1
        if kind == RISING:
            mark_perps(market, book, gains[: end - bar], notional[: end - bar], bar)
            high_usdt = risk.high_usdt
            at = bar
            while next_payment_h < market.first_h + end:
                until = max(next_payment_h - market.first_h, bar)
                high_usdt = highest_usdt(params, cash, gains, at - bar, until - bar, high_usdt)
                at = until
                next_payment_h = pay_funding(features, market, book, tape, lots, marks, paid, at, at + 1, marked)
            high_usdt = highest_usdt(params, cash, gains, at - bar, end - bar, high_usdt)
            if high_usdt > risk.high_usdt:
                risk = risk._replace(high_usdt=high_usdt)
        elif next_payment_h < market.first_h + end:
            next_payment_h = pay_funding(features, market, book, tape, lots, marks, paid, bar, end, marked)
        bar = end
        if wakes:
            break
        usdt = write_passed_day(market, book, tape, risk.level, day, close_h)
        # Within the corridor an hour brings nothing else, and the high has been seen to.
        risk = breaker.roll(risk, close_h, in_scope_usdt(params, cash, usdt))
        trail_positions(params, features, calendar, book, state, day)
    return bar, next_payment_h, states._replace(risk=refer(risk)), wakes


def close_rests(
    params: Params, bits: Int8Array, book: BookView, side: Int64Array, risk: breaker.RiskState, close_h: int
) -> bool:
    """Tell whether a day's close ends no position of TREND and nobody may enter; `bits` are the day's of its calendar.

    Candidates whom something refuses, whoever they are, are not counted.
    """
    if ends_any(bits, book, side):
        return False
    for s in range(len(bits)):
        if bits[s] & trend.ENTERS and book.perp_qty[TREND, s] == 0.0:
            return refusal_at_rest(params, book, risk, close_h) != reason.NONE
    return True


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
    low = book.cash[TREND]
    high = low
    for i in range(book.active[TREND]):
        s = book.held[TREND, i]
        if not is_clear(params, market, book, stops, s, day):
            return Range(math.nan, math.nan)
        held, entry = contracts[TREND, s], entries[TREND, s]
        # Whatever is settled within the day is taken as paid for the one bound and as received for the other.
        apart = abs(held) * (days[s, day, PAYMENTS] + CLEAR * days[s, day, HIGH_CLOSE])
        if held > 0.0:
            low += held * (days[s, day, LOW_CLOSE] - entry) - apart
            high += held * (days[s, day, HIGH_CLOSE] - entry) + apart
        else:
            low += held * (days[s, day, HIGH_CLOSE] - entry) - apart
            high += held * (days[s, day, LOW_CLOSE] - entry) + apart
    return Range(low, high)


def is_clear(params: Params, market: Market, book: BookView, stops: Float64Array, symbol: int, day: int) -> bool:
    """Tell whether a day's extremes prove that one position's stop and liquidation are not touched in it (U-11)."""
    entry = book.perp_entry[TREND, symbol]
    reach = liquidation_reach(params)
    if book.perp_qty[TREND, symbol] > 0.0:
        limit = max(stops[symbol], liquidation_price(reach, BUY, entry))
        return bool(market.days[symbol, day, LOW_MARK] > limit)
    limit = min(stops[symbol], liquidation_price(reach, SELL, entry))
    return bool(market.days[symbol, day, HIGH_MARK] < limit)


def all_clear(params: Params, market: Market, book: BookView, stops: Float64Array, bar: int) -> bool:
    """Tell whether the extremes of a bar's day are at hand and prove that it touches no stop of TREND."""
    day = bar // HOURS_PER_DAY
    if day >= market.days.shape[1]:
        return False
    for s in range(len(stops)):
        if book.perp_qty[TREND, s] != 0.0 and not is_clear(params, market, book, stops, s, day):
            return False
    return True


def write_passed_day(market: Market, book: BookView, tape: Tape, level: int, day: int, close_h: int) -> float:
    """Keep the state at the last bar of a passed day as its row, summed in the order of `equities`; give TREND's."""
    row = row_of(tape, close_h - 1)
    for engine in range(4):
        tape.equity[engine, row] = book.cash[engine]
        tape.exposure[engine, row] = 0.0
    gain = 0.0
    notional = 0.0
    for i in range(book.active[TREND]):
        s = book.held[TREND, i]
        held = book.perp_qty[TREND, s]
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
