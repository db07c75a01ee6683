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

from eternal_engine.backtest.cruise import RESTLESS, close_day, refusals_at_rest
from eternal_engine.backtest.fills import Lots, Market, liquidation_price, liquidation_reach
from eternal_engine.backtest.settlements import pay_funding
from eternal_engine.backtest.tape import BARS, HOURLY, PERIOD, ROW_HOURS, Tape, row_of
from eternal_engine.portfolio.breaker_hour import scope_usdt
from eternal_engine.portfolio.params import BookView, Equities, Features, Marks, Params, States
from eternal_engine.portfolio.trend_hour import trend_refusal
from eternal_engine.risk import breaker
from eternal_engine.strategies.base import BUY, CORE_HODL, FUNDING, HOURS_PER_DAY, SELL, TACTICAL, TREND

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

# More than any rounding, as a fraction of a position.
CLEAR: Final = 1e-9


class Range(NamedTuple):
    """Hold the equities in USDT between which an engine stays over a day; NaN when something is not known."""

    low_usdt: float
    high_usdt: float


def passes_days(params: Params, market: Market, tape: Tape) -> bool:
    """Tell whether a run may pass whole days: their extremes are at hand, rows are days, and TREND is alone."""
    alone = not (params.core.enabled or params.funding.enabled or params.tactical.enabled)
    return alone and market.days.shape[1] > 0 and tape.layout[ROW_HOURS] != HOURLY


def pass_days(
    params: Params,
    features: Features,
    sides: Int64Array,
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
    first_bar: int,
    end_bar: int,
    next_payment_h: int,
) -> tuple[int, int, States]:
    """Pass whole days at rest from the one that begins with `first_bar`, all before `end_bar`; as `cruise` does."""
    bar = first_bar
    while bar + HOURS_PER_DAY <= end_bar and breaker.day_of(market.first_h + bar) == states.risk.day:
        close_h = market.first_h + bar + HOURS_PER_DAY
        last_bar = bar + HOURS_PER_DAY - 1
        refused = refusals_at_rest(params, features, sides, market, book, states, settled, month, last_bar)
        if refused == RESTLESS or not day_is_quiet(params, features, market, book, states, close_h):
            break
        while next_payment_h < close_h:
            paid_bar = max(next_payment_h - market.first_h, bar)
            next_payment_h = pay_funding(features, market, book, tape, lots, marks, paid, paid_bar, marked)
        write_passed_day(features, market, book, tape, states.risk.level, close_h)
        states = close_day(params, features, book, states, tape, close_h)
        if refused > 0:
            tape.denials[TREND, trend_refusal(params, book, states, close_h)] += refused
        bar += HOURS_PER_DAY
    return bar, next_payment_h, states


def day_is_quiet(
    params: Params, features: Features, market: Market, book: BookView, states: States, close_h: int
) -> bool:
    """Tell whether no stop is touched and equity stays in the corridor in every hour of the day that ends then."""
    day = close_h // HOURS_PER_DAY - 1 - features.first_day
    # With a bar of the first symbol the hour counts.
    if day < 0 or features.trend.bars[0, day] < HOURS_PER_DAY:
        return False
    held = day_range(params, market, book, states, day)
    cash = book.cash
    lowest = Equities(cash[CORE_HODL], held.low_usdt, cash[FUNDING], cash[TACTICAL], 0.0, 0.0, True)
    highest = Equities(cash[CORE_HODL], held.high_usdt, cash[FUNDING], cash[TACTICAL], 0.0, 0.0, True)
    band = breaker.corridor(params.risk.breaker, states.risk)
    # NaN fails these comparisons as it should.
    return bool(
        held.low_usdt > 0.0
        and scope_usdt(params, lowest) > band.low_usdt
        and scope_usdt(params, highest) <= band.high_usdt
    )


def day_range(params: Params, market: Market, book: BookView, states: States, day: int) -> Range:
    """Give the range of TREND's equity over a day: NaN where a stop or liquidation may be touched (U-11)."""
    days, contracts, entries, stops = market.days, book.perp_qty, book.perp_entry, states.trend.stop
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


def write_passed_day(features: Features, market: Market, book: BookView, tape: Tape, level: int, close_h: int) -> None:
    """Keep the state at the last bar of a passed day as its row, summed in the order of `equities`."""
    day = close_h // HOURS_PER_DAY - 1
    row = row_of(tape, close_h - 1)
    for engine in range(4):
        tape.equity[engine, row] = book.cash[engine]
        tape.exposure[engine, row] = 0.0
    gain = 0.0
    notional = 0.0
    for s in range(book.perp_qty.shape[1]):
        held = book.perp_qty[TREND, s]
        if held != 0.0:
            close = market.days[s, day - features.first_day, LAST_CLOSE]
            gain += held * (close - book.perp_entry[TREND, s])
            notional += abs(held) * close
    tape.equity[TREND, row] += gain
    tape.exposure[TREND, row] = notional
    tape.close_h[row] = close_h
    tape.level[row] = level
    tape.counts[BARS] = row
    tape.layout[PERIOD] = day
