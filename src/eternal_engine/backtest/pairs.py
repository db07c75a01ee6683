"""Proofs that FUNDING's hours are quiet: no pair can be entered, left, grown, mended or cut at a close.

As in `cruise`, every check is narrower than the rule it stands for; the rule itself decides where one fails.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from eternal_engine.backtest.fills import Market
from eternal_engine.backtest.worth import Ahead
from eternal_engine.portfolio.params import BookView, Features, Params, States
from eternal_engine.portfolio.valuation import coins_are_a_pair
from eternal_engine.strategies import funding
from eternal_engine.strategies.base import FUNDING

Int64Array = npt.NDArray[np.int64]

# A price this close to a limit leaves the decision to the exact check.
NEAR: Final = 1e-9


def pairs_at_rest_until(
    params: Params,
    features: Features,
    market: Market,
    book: BookView,
    states: States,
    paid: Int64Array,
    settled: Int64Array,
    first_bar: int,
    end_bar: int,
) -> int:
    """Give the first bar at whose close FUNDING might enter, leave, grow or mend a pair (FUND-E1, FUND-X1, FUND-4).

    Left out is what depends on the prices of open pairs alone: basis and margin. Counts the settlements known at the
    close of `first_bar` into `settled`.
    """
    for s in range(len(settled)):
        if params.funding.weights[s] > 0.0 and end_bar > first_bar:
            end_bar = pair_rests_until(params, features, market, book, states, paid, settled, s, first_bar, end_bar)
    return end_bar


def pair_rests_until(
    params: Params,
    features: Features,
    market: Market,
    book: BookView,
    states: States,
    paid: Int64Array,
    settled: Int64Array,
    symbol: int,
    first_bar: int,
    end_bar: int,
) -> int:
    """Give the first bar at whose close FUNDING might do something in one symbol, settlement by settlement."""
    stamps, pays, s = features.funding.stamp_h, features.funding.pays, symbol
    held = book.perp_qty[FUNDING, s] != 0.0
    if held:
        drift = funding.hedge_drift_qty(params.funding, book.spot_qty[FUNDING, s], -book.perp_qty[FUNDING, s])
        if drift != 0.0 or states.funding.opened_h[s] == 0:
            return first_bar
    elif book.spot_qty[FUNDING, s] != 0.0 and not stays_closed(params, market, book, s, first_bar, end_bar):
        return first_bar
    last = stamps.shape[1]
    k = settled[s]
    bar = first_bar
    while bar < end_bar:
        while k < last and stamps[s, k] <= market.first_h + bar + 1:
            k += 1
        if bar == first_bar:
            settled[s] = k
        until = end_bar if k == last else min(end_bar, stamps[s, k] - 1 - market.first_h)
        if k > 0 and held:
            if pair_may_move(params, features, market, book, states, paid, s, k, first_bar, bar):
                end_bar = bar
        elif k > 0 and pays[s, k - 1]:
            end_bar = clear_of_entry(params, market, s, bar, until, end_bar)
        bar = until
    return end_bar


def pair_may_move(
    params: Params,
    features: Features,
    market: Market,
    book: BookView,
    states: States,
    paid: Int64Array,
    symbol: int,
    settled: int,
    first_bar: int,
    bar: int,
) -> bool:
    """Tell whether an open pair may end for its income or grow back at the close of `bar` (FUND-X1, FUND-X2)."""
    rows, s = features.funding, symbol
    if funding.expected_income_frac(params.funding, rows, s, settled) < 0.0:
        return True
    settles_now = rows.stamp_h[s, settled - 1] == market.first_h + bar + 1
    if not states.funding.cut[s] or not settles_now or not rows.pays[s, settled - 1]:
        return False
    if clear_of_entry(params, market, s, bar, bar + 1, bar + 1) > bar:
        return False
    return lacks_coins(params, features, market, book, paid, s, first_bar, bar)


def lacks_coins(
    params: Params,
    features: Features,
    market: Market,
    book: BookView,
    paid: Int64Array,
    symbol: int,
    first_bar: int,
    bar: int,
) -> bool:
    """Tell whether a pair that was cut may be below its target at the close of `bar` (FUND-X2).

    The engine's equity is taken with all that it pays and receives from `first_bar` on as received.
    """
    most_usdt = book.cash[FUNDING]
    for s in range(len(paid)):
        coins, held = book.spot_qty[FUNDING, s], book.perp_qty[FUNDING, s]
        if coins != 0.0:
            most_usdt += coins * market.spot_close[s, bar]
        if held != 0.0:
            most_usdt += held * (market.perp_close[s, bar] - book.perp_entry[FUNDING, s])
            most_usdt += payable_usdt(features, market, held, paid[s], s, first_bar, bar + 1)
            most_usdt += payable_usdt(features, market, -held, paid[s], s, first_bar, bar + 1)
    target = funding.target_usdt(params.funding, symbol, most_usdt * (1.0 + NEAR)) / market.spot_close[symbol, bar]
    return not target * (1.0 + NEAR) < -book.perp_qty[FUNDING, symbol]


def stays_closed(params: Params, market: Market, book: BookView, symbol: int, first_bar: int, end_bar: int) -> bool:
    """Tell whether the coins that a closed pair has left are too few for a sale at every close (ORD-5, RISK-10)."""
    left = book.spot_qty[FUNDING, symbol]
    for bar in range(first_bar, end_bar):
        # A missing bar prices nothing, and nothing is decided on it.
        if coins_are_a_pair(params.instruments, symbol, left, market.spot_close[symbol, bar]):
            return False
    return True


def clear_of_entry(params: Params, market: Market, symbol: int, first_bar: int, until: int, end_bar: int) -> int:
    """Give the first bar before `until` at which a pair that pays has a narrow basis (FUND-E1), or `end_bar`."""
    enter_basis = params.funding.entry_basis_frac + NEAR
    for bar in range(first_bar, until):
        if not abs(market.perp_close[symbol, bar] / market.spot_close[symbol, bar] - 1.0) > enter_basis:
            return bar
    return end_bar


def clear_of_margin(
    params: Params,
    features: Features,
    market: Market,
    book: BookView,
    ahead: Ahead,
    paid: Int64Array,
    first_bar: int,
    end_bar: int,
) -> int:
    """Give the first bar in which a pair's basis or FUNDING's margin might ask for something (FUND-X1, FUND-X2).

    Whatever is paid until `end_bar` is taken as paid before, whatever is received as never received.
    """
    own = params.funding
    exit_basis = own.exit_basis_frac - NEAR
    min_margin, maintenance = own.min_margin_frac + NEAR, own.maintenance_frac + NEAR
    contracts, entry = book.perp_qty, book.perp_entry
    count = end_bar - first_bar
    gain, notional, high_gain, high_notional = ahead.sums[0], ahead.sums[1], ahead.sums[2], ahead.sums[3]
    ahead.sums[:] = 0.0
    cash = book.cash[FUNDING]
    for s in range(contracts.shape[1]):
        held = contracts[FUNDING, s]
        if held == 0.0:
            continue
        cash -= payable_usdt(features, market, held, paid[s], s, first_bar, end_bar)
        opened_at = entry[FUNDING, s]
        spot_close, perp_close = market.spot_close[s, first_bar:end_bar], market.perp_close[s, first_bar:end_bar]
        spot_high, perp_high = market.spot_high[s, first_bar:end_bar], market.perp_high[s, first_bar:end_bar]
        for k in range(count):
            perp = perp_close[k]
            top = min(spot_high[k], perp_high[k])
            gain[k] += held * (perp - opened_at)
            notional[k] += abs(held) * perp
            high_gain[k] += held * (top - opened_at)
            high_notional[k] += abs(held) * top
            # NaN prices fail these comparisons as they should.
            if not abs(perp / spot_close[k] - 1.0) < exit_basis:
                count = k
                break
    for k in range(count):
        if notional[k] > 0.0 and not cash + gain[k] > min_margin * notional[k]:
            return first_bar + k
        if high_notional[k] > 0.0 and not cash + high_gain[k] > maintenance * high_notional[k]:
            return first_bar + k
    return first_bar + count


def payable_usdt(
    features: Features, market: Market, held: float, paid: int, symbol: int, first_bar: int, end_bar: int
) -> float:
    """Sum what a perp position pays until `end_bar`, receipts left out; NaN when a settlement has no price."""
    stamps, rates = features.funding.stamp_h, features.funding.rate
    total = 0.0
    k = paid
    while k < stamps.shape[1] and stamps[symbol, k] < market.first_h + end_bar:
        bar = max(stamps[symbol, k] - market.first_h, first_bar)
        amount = held * market.perp_open[symbol, bar] * rates[symbol, k]
        if not amount <= 0.0:
            total += amount
        k += 1
    return total
