"""What a run writes down while it goes: fixed arrays that a compiled loop can fill and reports can read."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]

# Kinds of events.
BREAKER: Final = 0
APPROVAL: Final = 1
DAY_LOSS: Final = 2
WEEK_LOSS: Final = 3
PHASE: Final = 4
EXTENDED: Final = 5
NO_CASH: Final = 6
STILL_OFF: Final = 7
TRANSFER: Final = 8
DEPOSIT: Final = 9
LIQUIDATION: Final = 10
DELISTING: Final = 11
RESUME: Final = 12
STOP: Final = 13
DAY_WARNING: Final = 14
WEEK_WARNING: Final = 15

# Slots of `counts`.
BARS: Final = 0
ORDERS: Final = 1
TRADES: Final = 2
EVENTS: Final = 3
OVERFLOW: Final = 4

# Slots of `layout`.
ROW_HOURS: Final = 0
PERIOD: Final = 1

HOURLY: Final = 1
DAILY: Final = 24


class Tape(NamedTuple):
    """Hold the records of one run; `counts` [5] says how many of each are valid and whether one overflowed.

    Per row: `close_h` [N] hours, `equity`, `engine_flow`, `exposure`, `fees`, `slippage`, `funding` [4, N],
    `external` [N] and `level` [N]. Orders: `order_i` [M, 8] decided_h, filled_h, engine, symbol, market, side, reason,
    rule; `order_f` [M, 4] qty, price, fee, slippage. Trades: `trade_i` [K, 7] engine, symbol, side, opened_h,
    closed_h, entry and exit reason; `trade_f` [K, 6] qty, entry, exit, pnl, fees, funding. Events: `event_i` [L, 5]
    at_h, kind, engine, symbol, value; `event_f` [L] amount. `denials` [4, reasons], of which a daily tape leaves out
    those of whole days that were passed at once.

    A row is a bar, or on a daily tape a UTC day, which then holds the state at its last bar and the sums over it.
    `layout` [2] holds the hours a row covers and the number of the period that the last row is for. Only a daily tape
    uses `draft_equity` and `draft_exposure` [4, 24], for the bars of the day at work, and `lowest` [1], TREND's lowest
    equity at any bar that was looked at one by one; where whole days are passed it has been above zero.
    """

    counts: Int64Array
    layout: Int64Array
    lowest: Float64Array
    draft_equity: Float64Array
    draft_exposure: Float64Array
    close_h: Int64Array
    equity: Float64Array
    engine_flow: Float64Array
    exposure: Float64Array
    fees: Float64Array
    slippage: Float64Array
    funding: Float64Array
    external: Float64Array
    level: Int64Array
    order_i: Int64Array
    order_f: Float64Array
    trade_i: Int64Array
    trade_f: Float64Array
    event_i: Int64Array
    event_f: Float64Array
    denials: Int64Array


def new_tape(bars: int, orders: int, trades: int, events: int, reasons: int, row_hours: int = HOURLY) -> Tape:
    """Make an empty tape with room for so many records; a run that overflows says so in `counts`."""
    # One block of memory is cheaper to get than seven; marks are written before they are read and need no clearing.
    rows = np.empty((27, bars))
    rows[:19] = 0.0
    return Tape(
        counts=np.zeros(5, np.int64),
        layout=np.array([row_hours, -1]),
        lowest=np.full(1, np.inf),
        draft_equity=np.zeros((4, DAILY)),
        draft_exposure=np.zeros((4, DAILY)),
        close_h=rows[0].view(np.int64),
        level=rows[1].view(np.int64),
        external=rows[2],
        engine_flow=rows[3:7],
        fees=rows[7:11],
        slippage=rows[11:15],
        funding=rows[15:19],
        equity=rows[19:23],
        exposure=rows[23:27],
        order_i=np.empty((orders, 8), np.int64),
        order_f=np.empty((orders, 4)),
        trade_i=np.empty((trades, 7), np.int64),
        trade_f=np.empty((trades, 6)),
        event_i=np.empty((events, 5), np.int64),
        event_f=np.empty(events),
        denials=np.zeros((4, reasons), np.int64),
    )


def rewind(tape: Tape) -> None:
    """Make a filled tape ready for another run of the same bars: what a run only adds to goes back to its start."""
    for engine in range(4):
        rewind_alone(tape, engine)
    tape.engine_flow[:] = 0.0
    tape.external[:] = 0.0


def rewind_alone(tape: Tape, engine: int) -> None:
    """Rewind a tape on which one engine alone was run, without any money moved."""
    tape.counts[:] = 0
    tape.fees[engine] = 0.0
    tape.slippage[engine] = 0.0
    tape.funding[engine] = 0.0
    tape.denials[:] = 0
    tape.layout[PERIOD] = -1
    tape.lowest[:] = np.inf


def row_of(tape: Tape, opens_h: int) -> int:
    """Give the row of the bar that opens at `opens_h`: the last one, or the one after it when a period begins."""
    row: int = tape.counts[BARS]
    return row if opens_h // tape.layout[ROW_HOURS] == tape.layout[PERIOD] else row + 1


def open_row(tape: Tape, opens_h: int) -> None:
    """Make the row of the bar that opens at `opens_h` the last one."""
    tape.counts[BARS] = row_of(tape, opens_h)
    tape.layout[PERIOD] = opens_h // tape.layout[ROW_HOURS]


def write_order(
    tape: Tape,
    decided_h: int,
    filled_h: int,
    engine: int,
    symbol: int,
    market: int,
    side: int,
    why: int,
    rule: int,
    qty: float,
    price: float,
    fee_usdt: float,
    slippage_usdt: float,
) -> None:
    """Write one executed order and count its costs into the bar at work."""
    bar = tape.counts[BARS]
    tape.fees[engine, bar] += fee_usdt
    tape.slippage[engine, bar] += slippage_usdt
    row = tape.counts[ORDERS]
    if row >= len(tape.order_i):
        tape.counts[OVERFLOW] = 1
        return
    tape.order_i[row, 0] = decided_h
    tape.order_i[row, 1] = filled_h
    tape.order_i[row, 2] = engine
    tape.order_i[row, 3] = symbol
    tape.order_i[row, 4] = market
    tape.order_i[row, 5] = side
    tape.order_i[row, 6] = why
    tape.order_i[row, 7] = rule
    tape.order_f[row, 0] = qty
    tape.order_f[row, 1] = price
    tape.order_f[row, 2] = fee_usdt
    tape.order_f[row, 3] = slippage_usdt
    tape.counts[ORDERS] = row + 1


def write_trade(
    tape: Tape,
    engine: int,
    symbol: int,
    side: int,
    opened_h: int,
    closed_h: int,
    entry_reason: int,
    exit_reason: int,
    qty: float,
    entry: float,
    exit_: float,
    pnl_usdt: float,
    fees_usdt: float,
    funding_usdt: float,
) -> None:
    """Write one closed position."""
    row = tape.counts[TRADES]
    if row >= len(tape.trade_i):
        tape.counts[OVERFLOW] = 1
        return
    tape.trade_i[row, 0] = engine
    tape.trade_i[row, 1] = symbol
    tape.trade_i[row, 2] = side
    tape.trade_i[row, 3] = opened_h
    tape.trade_i[row, 4] = closed_h
    tape.trade_i[row, 5] = entry_reason
    tape.trade_i[row, 6] = exit_reason
    tape.trade_f[row, 0] = qty
    tape.trade_f[row, 1] = entry
    tape.trade_f[row, 2] = exit_
    tape.trade_f[row, 3] = pnl_usdt
    tape.trade_f[row, 4] = fees_usdt
    tape.trade_f[row, 5] = funding_usdt
    tape.counts[TRADES] = row + 1


def write_event(tape: Tape, at_h: int, kind: int, engine: int, symbol: int, value: int, amount: float) -> None:
    """Write one event; `value` depends on the kind (a level, a phase, a code)."""
    row = tape.counts[EVENTS]
    if row >= len(tape.event_i):
        tape.counts[OVERFLOW] = 1
        return
    tape.event_i[row, 0] = at_h
    tape.event_i[row, 1] = kind
    tape.event_i[row, 2] = engine
    tape.event_i[row, 3] = symbol
    tape.event_i[row, 4] = value
    tape.event_f[row] = amount
    tape.counts[EVENTS] = row + 1
