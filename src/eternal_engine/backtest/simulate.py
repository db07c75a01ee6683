"""One run of the loop over prepared arrays: fresh books in, a filled tape out. What bench, sweeps and tests call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from eternal_engine.backtest import loop
from eternal_engine.backtest.fills import Lots, Market, empty_lots
from eternal_engine.backtest.tape import HOURLY, OVERFLOW, ROW_HOURS, Tape, new_tape, rewind
from eternal_engine.model import reason
from eternal_engine.model.errors import EternalError
from eternal_engine.portfolio.beginning import initial_states
from eternal_engine.portfolio.params import BookView, Features, Marks, Params, States, empty_book, empty_marks

Int64Array = npt.NDArray[np.int64]

# Room on the tape per year and symbol, several times what the busiest engine has ever used.
ORDERS_PER_SYMBOL_YEAR = 600
EVENTS_PER_YEAR = 4_000


@dataclass(frozen=True)
class Simulation:
    """Hold what a run leaves behind: its tape and the final books, marks and states."""

    tape: Tape
    book: BookView
    lots: Lots
    marks: Marks
    states: States


def tape_for(symbols: int, bars: int, row_hours: int = HOURLY) -> Tape:
    """Make a tape with room for a run of so many bars; one with DAILY rows only for runs without moved money."""
    years = bars / 8760.0 + 1.0
    orders = int(ORDERS_PER_SYMBOL_YEAR * symbols * years)
    return new_tape(
        bars // row_hours + 2, orders, orders, int(EVENTS_PER_YEAR * years), reason.COUNT, row_hours=row_hours
    )


def simulate(
    run: Callable[..., Any],
    params: Params,
    features: Features,
    market: Market,
    *,
    first_bar: int,
    last_bar: int,
    capital: tuple[float, float, float, float],
    deposit_weekly_usdt: float = 0.0,
    tape: Tape | None = None,
) -> Simulation:
    """Run bars [first_bar, last_bar) with `capital` USDT per engine; `run` is `loop.run`, plain or compiled.

    `tape` may be one with rows of days, or one that an earlier run of the same bars has filled.
    """
    symbols = market.spot_close.shape[0]
    if tape is None:
        tape = tape_for(symbols, last_bar - first_bar)
    else:
        rewind(tape)
    moves_money = params.funding.enabled or params.tactical.enabled or deposit_weekly_usdt > 0.0
    if tape.layout[ROW_HOURS] != HOURLY and moves_money:
        raise ValueError("the breaker reads the flows of one bar, which a row of many bars does not tell")
    book = empty_book(symbols, params.risk.kelly_window)
    for engine, amount in enumerate(capital):
        book.cash[engine] = amount
    lots = empty_lots(symbols)
    marks = empty_marks(symbols)
    states = run(
        params,
        features,
        market,
        book,
        lots,
        marks,
        initial_states(params, symbols),
        tape,
        first_bar,
        last_bar,
        float(deposit_weekly_usdt),
    )
    refuse_overflow(tape.counts)
    return Simulation(tape, book, lots, marks, states)


def refuse_overflow(counts: Int64Array) -> None:
    """Raise EternalError where a tape's `counts` [5] say that it had no room."""
    if counts[OVERFLOW]:
        raise EternalError(
            "the run made more orders than its tape has room for",
            where="backtest",
            mend="look at the orders of a shorter period: a rule is trading in circles",
        )


plain_run = loop.run
