"""What the engines are worth at the closes of a stretch of quiet bars, marked symbol by symbol."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from eternal_engine.backtest.fills import Market
from eternal_engine.portfolio.params import BookView
from eternal_engine.strategies.base import FUNDING, HOURS_PER_DAY, TREND

Int64Array = npt.NDArray[np.int64]
Float64Array = npt.NDArray[np.float64]

# Bars whose coins are valued at once: three weeks fit the processor's nearest memory.
AHEAD_BARS: Final = 504


class Ahead(NamedTuple):
    """Hold what an engine's coins are worth at the next closes, while it holds the same ones.

    Per engine: `coins` [4, S] they were, `first_bar` [4] and `worth` [4, AHEAD_BARS] in USDT. `sums` [4, 24] is room
    for the bars of a day at work.
    """

    coins: Float64Array
    first_bar: Int64Array
    worth: Float64Array
    sums: Float64Array


def nothing_ahead(symbols: int) -> Ahead:
    """Give the value of coins before any was looked at."""
    return Ahead(
        np.full((4, symbols), np.nan),
        np.full(4, -AHEAD_BARS),
        np.zeros((4, AHEAD_BARS)),
        np.zeros((4, HOURS_PER_DAY)),
    )


def add_cash(usdt: Float64Array, cash: float, column: int, count: int) -> None:
    """Add an engine's cash to the results of its perps in `count` columns."""
    part = usdt[column : column + count]
    for k in range(len(part)):
        part[k] += cash


def mark_bars(
    market: Market,
    book: BookView,
    ahead: Ahead,
    equity: Float64Array,
    exposures: Float64Array,
    at: int,
    first_bar: int,
    end_bar: int,
) -> None:
    """Write equities and exposures [4, K] of the bars into columns from `at` on, summed in the order of `equities`.

    TREND's and FUNDING's equities lack their cash, which payments change on the way.
    """
    end = at + end_bar - first_bar
    for engine in range(4):
        usdt, exposure = equity[engine, at:end], exposures[engine, at:end]
        cash = 0.0 if engine in (TREND, FUNDING) else book.cash[engine]
        if book.active[engine] == 0:
            for k in range(len(usdt)):
                usdt[k] = cash
            for k in range(len(exposure)):
                exposure[k] = 0.0
        elif engine == TREND:
            mark_perps(market, book, usdt, exposure, first_bar)
        elif engine == FUNDING:
            mark_pairs(market, book, ahead, usdt, exposure, first_bar)
        else:
            value_coins(market, book.spot_qty[engine], ahead, engine, first_bar, end_bar)
            worth = ahead.worth[engine, first_bar - ahead.first_bar[engine] :]
            for k in range(len(usdt)):
                usdt[k] = cash + worth[k]
            for k in range(len(usdt)):
                exposure[k] = usdt[k] - cash


def value_coins(market: Market, coins: Float64Array, ahead: Ahead, engine: int, first_bar: int, end_bar: int) -> None:
    """Have an engine's coins valued ahead for at least the bars [first_bar, end_bar), one coin after the other."""
    known = ahead.coins[engine]
    same = ahead.first_bar[engine] <= first_bar and end_bar <= ahead.first_bar[engine] + AHEAD_BARS
    for s in range(len(coins)):
        same = same and coins[s] == known[s]
    if same:
        return
    ahead.first_bar[engine] = first_bar
    worth = ahead.worth[engine]
    worth[:] = 0.0
    for s in range(len(coins)):
        held = coins[s]
        known[s] = held
        if held != 0.0:
            prices = market.spot_close[s, first_bar : first_bar + AHEAD_BARS]
            for k in range(len(prices)):
                worth[k] += held * prices[k]


def mark_perps(market: Market, book: BookView, usdt: Float64Array, exposure: Float64Array, first_bar: int) -> None:
    """Write the results of TREND's perps and their notional [K] for the K bars from `first_bar` on."""
    closes = market.perp_close
    usdt[:] = 0.0
    exposure[:] = 0.0
    for i in range(book.active[TREND]):
        s = book.held[TREND, i]
        held = book.perp_qty[TREND, s]
        entry = book.perp_entry[TREND, s]
        prices = closes[s, first_bar : first_bar + len(usdt)]
        for k in range(len(usdt)):
            usdt[k] += held * (prices[k] - entry)
            exposure[k] += abs(held) * prices[k]


def mark_pairs(
    market: Market, book: BookView, ahead: Ahead, usdt: Float64Array, exposure: Float64Array, first_bar: int
) -> None:
    """Write FUNDING's coins and results of its perps, and its exposure [K], for the K bars from `first_bar` on."""
    coins, contracts, entry = book.spot_qty, book.perp_qty, book.perp_entry
    ahead.sums[:] = 0.0
    carried, gain, notional = ahead.sums[0], ahead.sums[1], ahead.sums[2]
    for s in range(contracts.shape[1]):
        held = coins[FUNDING, s]
        if held != 0.0:
            prices = market.spot_close[s, first_bar : first_bar + len(usdt)]
            for k in range(len(prices)):
                carried[k] += held * prices[k]
        held = contracts[FUNDING, s]
        if held != 0.0:
            opened_at = entry[FUNDING, s]
            prices = market.perp_close[s, first_bar : first_bar + len(usdt)]
            for k in range(len(prices)):
                gain[k] += held * (prices[k] - opened_at)
                notional[k] += abs(held) * prices[k]
    for k in range(len(usdt)):
        usdt[k] = carried[k] + gain[k]
    for k in range(len(exposure)):
        exposure[k] = carried[k] + notional[k]
