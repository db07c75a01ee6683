"""Funding settlements in the loop: which are known to decisions (U-4), and paying those of the positions held (U-8)."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from eternal_engine.backtest.fills import Lots, Market
from eternal_engine.backtest.tape import Tape, row_of
from eternal_engine.portfolio.params import PERPS, BookView, Features, Marks
from eternal_engine.strategies.base import FUNDING, TREND

Int64Array = npt.NDArray[np.int64]

NEVER_H: Final = 1 << 40
STRIDE: Final = 8


def count_settled(features: Features, settled: Int64Array, now_h: int, all_of_them: bool) -> None:
    """Advance, per symbol, the count of settlements stamped up to `now_h` (U-4).

    Not `all_of_them`: a symbol that has had its first one is left alone, since only FUNDING asks for more.
    """
    stamps = features.funding.stamp_h
    for s in range(len(settled)):
        if settled[s] == 0 or all_of_them:
            settled[s] = stamped_until(stamps, s, settled[s], now_h)


def next_payment(features: Features, book: BookView, paid: Int64Array, now_h: int) -> int:
    """Give the hour of the next settlement of a perp that is held, once all up to `now_h` are paid.

    To be called whenever positions may have changed: settlements before an entry are passed over.
    """
    stamps, held = features.funding.stamp_h, book.held[PERPS]
    last = stamps.shape[1]
    earliest = NEVER_H
    for i in range(book.active[PERPS]):
        s = held[i]
        k = stamped_until(stamps, s, paid[s], now_h)
        paid[s] = k
        if k < last:
            earliest = min(earliest, stamps[s, k])
    return earliest


def stamped_until(stamps: Int64Array, symbol: int, first: int, now_h: int) -> int:
    """Count a symbol's settlements stamped up to `now_h`, of which there are at least `first`."""
    last = stamps.shape[1]
    k = first
    # After weeks in which nobody looked, by steps first.
    while k + STRIDE < last and stamps[symbol, k + STRIDE] <= now_h:
        k += STRIDE
    while k < last and stamps[symbol, k] <= now_h:
        k += 1
    return k


def pay_funding(
    features: Features,
    market: Market,
    book: BookView,
    tape: Tape,
    lots: Lots,
    marks: Marks,
    paid: Int64Array,
    first_bar: int,
    end_bar: int,
    marked: int,
) -> int:
    """Settle every contract stamped before `end_bar`'s open on the positions held before it (U-8), hour by hour.

    Each is settled at the open of its bar, those from before `first_bar` at the open of that one. All these bars belong
    to one row of the tape and change no position. `marked` is the first bar whose closes the marks have not taken yet.
    Gives the hour of the next payment.
    """
    stamps, rates, held, opens = features.funding.stamp_h, features.funding.rate, book.held[PERPS], market.settle_open
    # Looked up once: what is written in between might be the tuples, for all the compiler knows.
    cash, contracts, costs, results = book.cash, book.perp_qty, book.open_costs, book.trade
    of_lots, of_rows = lots.funding, tape.funding
    end_engine = FUNDING + 1 if book.active[FUNDING] > 0 else FUNDING
    last = stamps.shape[1]
    count = book.active[PERPS]
    now_h = market.first_h + first_bar
    end_h = market.first_h + end_bar
    row = row_of(tape, now_h)
    while now_h < end_h:
        earliest = NEVER_H
        for i in range(count):
            s = held[i]
            k = paid[s]
            while k < last and stamps[s, k] <= now_h:
                # Of the marks at hand eight lie in the memory that one hourly open would touch.
                at_hand = k < opens.shape[1] and stamps[s, k] == now_h
                mark = opens[s, k] if at_hand else market.perp_open[s, now_h - market.first_h]
                if math.isnan(mark):
                    take_closes(market, marks, marked, now_h - market.first_h)
                    mark = marks.perp[s]
                for engine in range(TREND, end_engine):
                    qty = contracts[engine, s]
                    if qty != 0.0:
                        # A long position pays a positive rate (TREND-F1).
                        received = -qty * mark * rates[s, k]
                        cash[engine] += received
                        costs[engine, s] += received
                        results[engine, s] += received
                        of_lots[engine, s] += received
                        of_rows[engine, row] += received
                k += 1
            paid[s] = k
            if k < last:
                earliest = min(earliest, stamps[s, k])
        now_h = earliest
    return now_h


def take_closes(market: Market, marks: Marks, first_bar: int, end_bar: int) -> None:
    """Take the last known closes of bars [first_bar, end_bar) into the marks, as bar by bar would have."""
    for s in range(len(marks.spot)):
        take_close(market, marks, s, first_bar, end_bar)


def take_close(market: Market, marks: Marks, symbol: int, first_bar: int, end_bar: int) -> None:
    """Take one symbol's last known closes of bars [first_bar, end_bar) into the marks."""
    s = symbol
    spot_close, perp_close = market.spot_close, market.perp_close
    first = max(first_bar, market.listed_h[s] - market.first_h)
    end = min(end_bar, market.delisted_h[s] - market.first_h)
    for bar in range(end - 1, first - 1, -1):
        if not math.isnan(spot_close[s, bar]):
            marks.spot[s] = spot_close[s, bar]
            marks.spot_h[s] = market.first_h + bar
            break
    for bar in range(end - 1, first - 1, -1):
        if not math.isnan(perp_close[s, bar]):
            marks.perp[s] = perp_close[s, bar]
            marks.perp_h[s] = market.first_h + bar
            break
