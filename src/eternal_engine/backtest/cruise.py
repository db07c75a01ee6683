"""Fast travel through the hours in which nothing can happen: the backtest's one shortcut, never a rule of its own.

Most bars trade nothing and decide nothing. `cruise` marks such bars in a tight loop and stops before the first one
that might do more; that one goes through the whole procedure. Every check here is narrower than the rule it stands
for, so stopping too early costs time and nothing else. A test runs with and without it and compares hashes.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from eternal_engine.backtest.fills import Market, liquidation_price, liquidation_reach
from eternal_engine.backtest.tape import BARS, Tape
from eternal_engine.portfolio.hour import pair_is_open
from eternal_engine.portfolio.params import BookView, Features, Marks, Params, States
from eternal_engine.risk import breaker
from eternal_engine.strategies import core_hodl, funding
from eternal_engine.strategies.base import BUY, CORE_HODL, FUNDING, HOURS_PER_DAY, SELL, TACTICAL, TREND

Int64Array = npt.NDArray[np.int64]
Float64Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

# A price this close to a limit leaves the decision to the exact check.
NEAR: Final = 1e-9


def quiet_until(params: Params, states: States, market: Market, first_bar: int, last_bar: int, until_h: int) -> int:
    """Give the bar before whose close something is due by the clock: a day's end, a cycle, a review, `until_h`."""
    now_h = market.first_h + first_bar
    # A bar that closes at midnight rolls bases and brings daily decisions.
    end_h = min(until_h, (now_h // HOURS_PER_DAY + 1) * HOURS_PER_DAY - 1)
    if params.core.enabled:
        if states.core.settling or states.core.phase == core_hodl.NEW:
            return first_bar
        end_h = min(end_h, states.core.due_h - 1)
    for s in range(len(states.funding.opened_h)):
        if states.funding.opened_h[s] > 0:
            end_h = min(end_h, states.funding.review_h[s] - 1)
    return int(min(last_bar - 1, end_h - market.first_h))


def pairs_at_rest(
    params: Params, features: Features, book: BookView, marks: Marks, states: States, settled: Int64Array, now_h: int
) -> bool:
    """Tell whether no pair has a reason to leave, grow or be mended that does not depend on the next prices.

    `now_h` is the close of the next bar.
    """
    stamps = features.funding.stamp_h
    for s in range(len(marks.spot)):
        if not pair_is_open(book, marks, s):
            continue
        short = -book.perp_qty[FUNDING, s]
        if funding.expected_income_frac(params.funding, features.funding, s, settled[s]) < 0.0:
            return False
        if funding.hedge_drift_qty(params.funding, book.spot_qty[FUNDING, s], short) != 0.0:
            return False
        if now_h >= states.funding.review_h[s] or states.funding.opened_h[s] == 0:
            return False
        if states.funding.cut[s] and stamps[s, settled[s] - 1] == now_h:
            return False
    return True


def cruise(  # noqa: C901 (one flat loop: every call in it would cost more than its work)
    params: Params,
    features: Features,
    market: Market,
    book: BookView,
    marks: Marks,
    states: States,
    tape: Tape,
    settled: Int64Array,
    first_bar: int,
    end_bar: int,
) -> tuple[int, States]:
    """Mark bars from `first_bar` on while nothing can happen, at most up to `end_bar`; give the first bar left over.

    To be called with no order on its way. Writes the marked bars on the tape and takes their closes into the marks;
    all that the states may learn on the way is a new high of the scope.
    """
    risk = states.risk
    active = book.active
    band = breaker.corridor(params.risk.breaker, risk)
    portfolio_scope = params.risk.breaker.scope == breaker.SCOPE_PORTFOLIO
    own = params.funding
    enter_basis, exit_basis = own.entry_basis_frac + NEAR, own.exit_basis_frac - NEAR
    min_margin, maintenance = own.min_margin_frac + NEAR, own.maintenance_frac + NEAR
    weights, pays, funding_on = own.weights, features.funding.pays, own.enabled
    if breaker.day_of(market.first_h + first_bar + 1) != risk.day:
        return first_bar, states
    if first_bar >= end_bar:
        return first_bar, states
    if active[FUNDING] > 0 and not pairs_at_rest(
        params, features, book, marks, states, settled, market.first_h + first_bar + 1
    ):
        return first_bar, states
    low_usdt, high_usdt = band.low_usdt, band.high_usdt
    may_rise = risk.level == breaker.NORMAL and high_usdt > low_usdt
    spot_close, perp_close, perp_open = market.spot_close, market.perp_close, market.perp_open
    spot_low, spot_high, perp_low, perp_high = market.spot_low, market.spot_high, market.perp_low, market.perp_high
    coins, contracts, entry, cash = book.spot_qty, book.perp_qty, book.perp_entry, book.cash
    stops = states.trend.stop
    rows, exposure, close_h, levels = tape.equity, tape.exposure, tape.close_h, tape.level
    watched = watch_list(book, weights, pays, settled, funding_on)
    reach = liquidation_reach(params)
    bar = first_bar
    while bar < end_bar:
        if math.isnan(spot_close[0, bar]):
            break
        quiet = True
        core = 0.0
        tactical = 0.0
        carried = 0.0
        trend_gain = 0.0
        trend_notional = 0.0
        pair_gain = 0.0
        pair_notional = 0.0
        high_margin = cash[FUNDING]
        high_notional = 0.0
        for s in watched:
            spot = spot_close[s, bar]
            perp = perp_close[s, bar]
            held = contracts[TREND, s]
            if held != 0.0:
                side = BUY if held > 0.0 else SELL
                ruin = liquidation_price(reach, side, entry[TREND, s])
                worst = (
                    max(spot_low[s, bar], perp_low[s, bar]) if held > 0.0 else min(spot_high[s, bar], perp_high[s, bar])
                )
                # A missing bar makes `worst` NaN, which is not clear of anything.
                clear = side * worst > max(side * stops[s], side * ruin) and side * perp_open[s, bar] > side * stops[s]
                if math.isnan(spot) or not clear:
                    quiet = False
                    break
                trend_gain += held * (perp - entry[TREND, s])
                trend_notional += abs(held) * perp
            if active[CORE_HODL] > 0 and coins[CORE_HODL, s] != 0.0:
                core += coins[CORE_HODL, s] * spot
            if active[TACTICAL] > 0 and coins[TACTICAL, s] != 0.0:
                tactical += coins[TACTICAL, s] * spot
            if active[FUNDING] > 0:
                if coins[FUNDING, s] != 0.0:
                    carried += coins[FUNDING, s] * spot
                held = contracts[FUNDING, s]
                if held != 0.0:
                    top = min(spot_high[s, bar], perp_high[s, bar])
                    pair_gain += held * (perp - entry[FUNDING, s])
                    pair_notional += abs(held) * perp
                    high_margin += held * (top - entry[FUNDING, s])
                    high_notional += abs(held) * top
                    # NaN prices fail this comparison as they should.
                    if not abs(perp / spot - 1.0) < exit_basis:
                        quiet = False
                        break
            tempted = funding_on and weights[s] > 0.0 and settled[s] > 0 and contracts[FUNDING, s] == 0.0
            if tempted and pays[s, settled[s] - 1] and not abs(perp / spot - 1.0) > enter_basis:
                quiet = False
                break
        if not quiet:
            break
        core_usdt = cash[CORE_HODL] + core if active[CORE_HODL] > 0 else cash[CORE_HODL]
        tactical_usdt = cash[TACTICAL] + tactical if active[TACTICAL] > 0 else cash[TACTICAL]
        trend_usdt = cash[TREND] + trend_gain if active[TREND] > 0 else cash[TREND]
        funding_usdt = cash[FUNDING] + (carried + pair_gain) if active[FUNDING] > 0 else cash[FUNDING]
        scope = trend_usdt + funding_usdt + tactical_usdt
        if portfolio_scope:
            scope = core_usdt + trend_usdt + funding_usdt + tactical_usdt
        # NaN, of a holding without a bar, fails these comparisons as it should.
        if not (scope > low_usdt and core_usdt > -math.inf and (scope <= high_usdt or may_rise)):
            break
        if pair_notional > 0.0 and not cash[FUNDING] + pair_gain > min_margin * pair_notional:
            break
        if high_notional > 0.0 and not high_margin > maintenance * high_notional:
            break
        if scope > high_usdt:
            high_usdt = scope
            low_usdt = max(low_usdt, breaker.corridor_floor(params.risk.breaker, scope))
        at = tape.counts[BARS] + 1
        tape.counts[BARS] = at
        close_h[at] = market.first_h + bar + 1
        levels[at] = risk.level
        rows[CORE_HODL, at] = core_usdt
        rows[TREND, at] = trend_usdt
        rows[FUNDING, at] = funding_usdt
        rows[TACTICAL, at] = tactical_usdt
        exposure[CORE_HODL, at] = core_usdt - cash[CORE_HODL]
        exposure[TREND, at] = trend_notional
        exposure[FUNDING, at] = carried + pair_notional
        exposure[TACTICAL, at] = tactical_usdt - cash[TACTICAL]
        bar += 1
    if bar > first_bar:
        take_closes(market, marks, first_bar, bar)
    if may_rise and high_usdt > risk.high_usdt:
        states = states._replace(risk=risk._replace(high_usdt=high_usdt))
    return bar, states


def watch_list(
    book: BookView, weights: Float64Array, pays: BoolArray, settled: Int64Array, funding_on: bool
) -> Int64Array:
    """List the symbols that are held, or that FUNDING might enter at the right basis."""
    coins, contracts = book.spot_qty, book.perp_qty
    found = np.empty(len(weights), np.int64)
    count = 0
    for s in range(len(weights)):
        held = contracts[TREND, s] != 0.0 or contracts[FUNDING, s] != 0.0
        for e in range(coins.shape[0]):
            held = held or coins[e, s] != 0.0
        if held or (funding_on and weights[s] > 0.0 and settled[s] > 0 and pays[s, settled[s] - 1]):
            found[count] = s
            count += 1
    return found[:count]


def take_closes(market: Market, marks: Marks, first_bar: int, end_bar: int) -> None:
    """Take the last known closes of bars [first_bar, end_bar) into the marks, as bar by bar would have."""
    spot_close, perp_close = market.spot_close, market.perp_close
    spot, perp, spot_h, perp_h = marks.spot, marks.perp, marks.spot_h, marks.perp_h
    for s in range(len(spot)):
        first = max(first_bar, market.listed_h[s] - market.first_h)
        end = min(end_bar, market.delisted_h[s] - market.first_h)
        for bar in range(end - 1, first - 1, -1):
            if not math.isnan(spot_close[s, bar]):
                spot[s] = spot_close[s, bar]
                spot_h[s] = market.first_h + bar
                break
        for bar in range(end - 1, first - 1, -1):
            if not math.isnan(perp_close[s, bar]):
                perp[s] = perp_close[s, bar]
                perp_h[s] = market.first_h + bar
                break
