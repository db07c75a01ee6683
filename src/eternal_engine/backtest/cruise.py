"""Fast travel through the hours in which nothing can happen: the backtest's one shortcut, never a rule of its own.

Most bars trade nothing and decide nothing. `cruise` marks a stretch of such bars at once, symbol by symbol, and stops
before the first one that might do more; that one goes through the whole procedure. Every check here is narrower than
the rule it stands for, so stopping too early costs time and nothing else; what does advance (a day's roll, a trail, a
count of refusals) is advanced by the rules' own functions. A test runs with and without it and compares hashes.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from eternal_engine.backtest.fills import Lots, Market, liquidation_price, liquidation_reach
from eternal_engine.backtest.pairs import clear_of_margin, pairs_at_rest_until
from eternal_engine.backtest.settlements import NEVER_H, pay_funding
from eternal_engine.backtest.tape import BARS, HOURLY, PERIOD, ROW_HOURS, Tape, row_of
from eternal_engine.backtest.worth import Ahead, add_cash, mark_bars
from eternal_engine.model import reason
from eternal_engine.portfolio.breaker_hour import advance_risk
from eternal_engine.portfolio.flows import month_of
from eternal_engine.portfolio.params import BookView, Equities, Features, Marks, Params, States
from eternal_engine.portfolio.review import held_trend_positions
from eternal_engine.portfolio.trend_hour import trend_refusal
from eternal_engine.risk import breaker
from eternal_engine.strategies import core_hodl, tactical, trend
from eternal_engine.strategies.base import BUY, CORE_HODL, FUNDING, HOURS_PER_DAY, SELL, TACTICAL, TREND

Int8Array = npt.NDArray[np.int8]
Int64Array = npt.NDArray[np.int64]
Float64Array = npt.NDArray[np.float64]

# The day is not at rest: somebody has something to decide at its close.
RESTLESS: Final = -1
NOT_ASKED: Final = -1


def quiet_until(params: Params, states: States, market: Market, first_bar: int, last_bar: int, until_h: int) -> int:
    """Give the bar before whose close something is due by the clock: a cycle, a review, `until_h`; at most a day's end.

    The bar that closes the day is included.
    """
    now_h = market.first_h + first_bar
    end_h = min(until_h, (now_h // HOURS_PER_DAY + 1) * HOURS_PER_DAY, operator_due_h(params, states) - 1)
    if params.core.enabled:
        if states.core.settling or states.core.phase == core_hodl.NEW:
            return first_bar
        end_h = min(end_h, states.core.due_h - 1)
    if params.funding.enabled:
        opened_h, review_h = states.funding.opened_h, states.funding.review_h
        for s in range(len(opened_h)):
            if opened_h[s] > 0:
                end_h = min(end_h, review_h[s] - 1)
    return int(min(last_bar - 1, end_h - market.first_h))


def operator_due_h(params: Params, states: States) -> int:
    """Give the hour from which on a backtest's operator would approve (BRK-5)."""
    return states.risk.changed_h + params.approval_delay_h if states.risk.level >= breaker.WARNING else NEVER_H


def cruise(  # noqa: C901 (ifs up here, loops below: each helper is one loop)
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
    first_bar: int,
    end_bar: int,
    next_payment_h: int,
) -> tuple[int, int, States]:
    """Mark bars from `first_bar` on while nothing can happen, at most up to `end_bar`; give the first bar left over.

    To be called with no order on its way and everything paid, for bars of one day; `calendar` is TREND's, `month` the
    one that flows have looked at, `marked` the first bar whose closes the marks have not taken. Writes the marked bars
    on the tape; their closes are left to `take_closes`. Gives the hour of the next payment, too.
    """
    now_h = market.first_h + first_bar
    if first_bar >= end_bar or breaker.day_of(now_h) != states.risk.day:
        return first_bar, next_payment_h, states
    if params.funding.enabled:
        end_bar = pairs_at_rest_until(params, features, market, book, states, paid, settled, first_bar, end_bar)
        if end_bar <= first_bar:
            return first_bar, next_payment_h, states
    refused = 0
    if (market.first_h + end_bar) % HOURS_PER_DAY == 0:
        refused = refusals_at_rest(params, features, calendar, market, book, states, settled, month, end_bar - 1)
        if refused == RESTLESS:
            end_bar -= 1
    end_bar = clear_bars(params, features, market, book, states, ahead, paid, first_bar, end_bar)
    if end_bar <= first_bar:
        return first_bar, next_payment_h, states
    hourly = tape.layout[ROW_HOURS] == HOURLY
    at = row_of(tape, now_h) if hourly else 0
    equity = tape.equity if hourly else tape.draft_equity
    exposure = tape.exposure if hourly else tape.draft_exposure
    mark_bars(market, book, ahead, equity, exposure, at, first_bar, end_bar)
    band = breaker.corridor(params.risk.breaker, states.risk)
    level = states.risk.level
    bar = first_bar
    while bar < end_bar:
        if market.first_h + bar >= next_payment_h:
            next_payment_h = pay_funding(features, market, book, tape, lots, marks, paid, bar, bar + 1, marked)
        stretch_end = min(end_bar, next_payment_h - market.first_h)
        column = at + bar - first_bar
        add_cash(equity[TREND], book.cash[TREND], column, stretch_end - bar)
        add_cash(equity[FUNDING], book.cash[FUNDING], column, stretch_end - bar)
        count, band = inside_corridor(params, level, band, equity, column, stretch_end - bar)
        if hourly:
            write_rows(tape, column, count, market.first_h + bar, level)
        else:
            write_day(tape, column, count, market.first_h + bar, level)
        bar += count
        if bar < stretch_end:
            break
    if bar > first_bar and band.high_usdt > states.risk.high_usdt and states.risk.level == breaker.NORMAL:
        states = states._replace(risk=states.risk._replace(high_usdt=band.high_usdt))
    if bar > first_bar and (market.first_h + bar) % HOURS_PER_DAY == 0:
        states = close_day(params, features, calendar, book, states, tape, market.first_h + bar)
        if refused > 0:
            tape.denials[TREND, refusal_at_rest(params, book, states.risk, market.first_h + bar)] += refused
    return bar, next_payment_h, states


def refusals_at_rest(
    params: Params,
    features: Features,
    calendar: Int8Array,
    market: Market,
    book: BookView,
    states: States,
    settled: Int64Array,
    month: int,
    bar: int,
) -> int:
    """Count TREND's candidates at the day's end that `bar` brings, all of which are refused; else RESTLESS.

    Trails may move on such a day; nothing else does.
    """
    now_h = market.first_h + bar + 1
    day = now_h // HOURS_PER_DAY - 1 - features.first_day
    # Without FUNDING nobody shares profit at the turn of a month.
    if params.funding.enabled and month_of(now_h) != month:
        return RESTLESS
    if day < 0:
        return 0
    refused = 0
    if params.trend.enabled:
        refused = trend_refusals(params, calendar[day], market, book, states.trend.side, states.risk, settled, bar)
        if refused == RESTLESS:
            return RESTLESS
    if params.tactical.enabled and not tactical.at_rest(
        params.tactical,
        features.tactical,
        states.tactical,
        day,
        now_h,
        book.spot_qty[TACTICAL],
        book.spot_cost[TACTICAL],
        params.instruments.spot_min_usdt,
    ):
        return RESTLESS
    return refused


def trend_refusals(
    params: Params,
    bits: Int8Array,
    market: Market,
    book: BookView,
    side: Int64Array,
    risk: breaker.RiskState,
    settled: Int64Array,
    bar: int,
) -> int:
    """Count TREND's candidates at the close of a day's last bar, all of which are refused; else RESTLESS.

    `bits` are the day's of its calendar, `side` its positions' [S].
    """
    if ends_any(bits, book, side):
        return RESTLESS
    refused = 0
    refusal = NOT_ASKED
    for s in range(len(bits)):
        if bits[s] & trend.ENTERS and book.perp_qty[TREND, s] == 0.0:
            if refusal == NOT_ASKED:
                refusal = refusal_at_rest(params, book, risk, market.first_h + bar + 1)
            if refusal == reason.NONE or settled[s] == 0 or not has_bars(market, s, bar):
                return RESTLESS
            refused += 1
    return refused


def refusal_at_rest(params: Params, book: BookView, risk: breaker.RiskState, now_h: int) -> int:
    """Give what refuses every entry of TREND, or NONE: equity is known, nobody halts, nothing is on its way."""
    return trend_refusal(params, risk, True, False, held_trend_positions(book), now_h)


def ends_any(bits: Int8Array, book: BookView, side: Int64Array) -> bool:
    """Tell whether a day's close ends any position of TREND (TREND-X1); `bits` are the day's of its calendar."""
    held = book.held[TREND]
    for i in range(book.active[TREND]):
        if bits[held[i]] & (trend.ENDS_LONG if side[held[i]] > 0 else trend.ENDS_SHORT):
            return True
    return False


def has_bars(market: Market, symbol: int, bar: int) -> bool:
    """Tell whether a symbol is listed and has both its bars."""
    at_h = market.first_h + bar
    if at_h < market.listed_h[symbol] or at_h >= market.delisted_h[symbol]:
        return False
    return not (math.isnan(market.spot_close[symbol, bar]) or math.isnan(market.perp_close[symbol, bar]))


def clear_bars(
    params: Params,
    features: Features,
    market: Market,
    book: BookView,
    states: States,
    ahead: Ahead,
    paid: Int64Array,
    first_bar: int,
    end_bar: int,
) -> int:
    """Give the first bar in which a price might trigger something, or `end_bar`."""
    closes = market.spot_close
    day = (market.first_h + first_bar) // HOURS_PER_DAY - features.first_day
    # With a bar of the first symbol the hour counts.
    if day >= features.trend.bars.shape[1] or features.trend.bars[0, day] < HOURS_PER_DAY:
        for bar in range(first_bar, end_bar):
            if math.isnan(closes[0, bar]):
                end_bar = bar
                break
    if book.active[TREND] > 0:
        end_bar = clear_of_stops(params, market, book, states, first_bar, end_bar)
    if book.active[FUNDING] > 0:
        end_bar = clear_of_margin(params, features, market, book, ahead, paid, first_bar, end_bar)
    return end_bar


def clear_of_stops(params: Params, market: Market, book: BookView, states: States, first_bar: int, end_bar: int) -> int:
    """Give the first bar in which TREND's stops or liquidation might be touched, or a bar is missing (U-11)."""
    contracts, entry, stops = book.perp_qty, book.perp_entry, states.trend.stop
    reach = liquidation_reach(params)
    for i in range(book.active[TREND]):
        s = book.held[TREND, i]
        held = contracts[TREND, s]
        if held > 0.0:
            limit = max(stops[s], liquidation_price(reach, BUY, entry[TREND, s]))
            spot, perp = market.spot_low[s, first_bar:end_bar], market.perp_low[s, first_bar:end_bar]
            for k in range(len(spot)):
                # Clear when both lows are known and the mark, the higher one, is above the limit.
                if not (spot[k] > limit and perp[k] > -math.inf) and not (perp[k] > limit and spot[k] > -math.inf):
                    end_bar = first_bar + k
                    break
        elif held < 0.0:
            limit = min(stops[s], liquidation_price(reach, SELL, entry[TREND, s]))
            spot, perp = market.spot_high[s, first_bar:end_bar], market.perp_high[s, first_bar:end_bar]
            for k in range(len(spot)):
                if not (spot[k] < limit and perp[k] < math.inf) and not (perp[k] < limit and spot[k] < math.inf):
                    end_bar = first_bar + k
                    break
    return end_bar


def write_rows(tape: Tape, row: int, count: int, now_h: int, level: int) -> None:
    """Keep `count` marked bars as rows from `row` on; the first of them opens at `now_h`."""
    if count > 0:
        close_h, levels = tape.close_h, tape.level
        for k in range(count):
            close_h[row + k] = now_h + k + 1
            levels[row + k] = level
        tape.counts[BARS] = row + count - 1
        tape.layout[PERIOD] = now_h + count - 1


def write_day(tape: Tape, column: int, count: int, now_h: int, level: int) -> None:
    """Keep the last of `count` bars on the draft, from `column` on, as the state of the day so far."""
    if count > 0:
        row = row_of(tape, now_h)
        drafts, lowest = tape.draft_equity, tape.lowest
        for engine in range(4):
            tape.equity[engine, row] = drafts[engine, column + count - 1]
            tape.exposure[engine, row] = tape.draft_exposure[engine, column + count - 1]
        for k in range(column, column + count):
            lowest[0] = min(lowest[0], drafts[TREND, k])
        tape.close_h[row] = now_h + count
        tape.level[row] = level
        tape.counts[BARS] = row
        tape.layout[PERIOD] = now_h // tape.layout[ROW_HOURS]


def inside_corridor(
    params: Params, level: int, band: breaker.Corridor, equity: Float64Array, at: int, count: int
) -> tuple[int, breaker.Corridor]:
    """Count the marked bars in columns `at` to `at` + `count` in which neither limits nor breaker move.

    A new high at level NORMAL moves nothing but the corridor, which is given anew.
    """
    low_usdt, high_usdt = band.low_usdt, band.high_usdt
    whole = params.risk.breaker.scope == breaker.SCOPE_PORTFOLIO
    may_rise = level == breaker.NORMAL and high_usdt > low_usdt
    core, trend_, funding_, tactical_ = equity[CORE_HODL], equity[TREND], equity[FUNDING], equity[TACTICAL]
    inside = count
    for k in range(count):
        scope = trend_[at + k] + funding_[at + k] + tactical_[at + k]
        if whole:
            scope = core[at + k] + trend_[at + k] + funding_[at + k] + tactical_[at + k]
        # NaN, of a holding without a bar, fails these comparisons as it should.
        if not (scope > low_usdt and core[at + k] > -math.inf and (scope <= high_usdt or may_rise)):
            inside = k
            break
        if scope > high_usdt:
            high_usdt = scope
            low_usdt = max(low_usdt, breaker.corridor_floor(params.risk.breaker, scope))
    return inside, breaker.Corridor(low_usdt, high_usdt)


def close_day(
    params: Params, features: Features, calendar: Int8Array, book: BookView, states: States, tape: Tape, now_h: int
) -> States:
    """Do what a day at rest still brings: the roll of the loss limits and TREND's trails."""
    at = tape.counts[BARS]
    usdt, exposure = tape.equity, tape.exposure
    equity = Equities(
        usdt[CORE_HODL, at], usdt[TREND, at], usdt[FUNDING, at], usdt[TACTICAL, at],
        exposure[TREND, at], exposure[FUNDING, at], True,
    )  # fmt: skip
    states = advance_risk(params, states, now_h, equity)
    day = now_h // HOURS_PER_DAY - 1 - features.first_day
    if params.trend.enabled and book.active[TREND] > 0 and day >= 0:
        trail_positions(params, features, calendar, book, states.trend, day)
    return states


def trail_positions(
    params: Params, features: Features, calendar: Int8Array, book: BookView, state: trend.TrendState, day: int
) -> None:
    """Advance the trails of TREND's positions by a day's close, in place (TREND-S2)."""
    ticks, closes, held, side = params.instruments.perp_tick, features.trend.close, book.held[TREND], state.side
    trailing, best = state.trailing, state.best_close
    for i in range(book.active[TREND]):
        s = held[i]
        if side[s] != 0 and calendar[day, s] & trend.DECIDES:
            # A trail that follows already moves with a new best close only.
            if trailing[s] and side[s] * closes[s, day] <= side[s] * best[s]:
                continue
            trend.trail_in_place(params.trend, state, s, closes[s, day], ticks[s])
