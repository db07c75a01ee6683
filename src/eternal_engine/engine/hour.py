"""One decided hour of the live portfolio, pure: what the backtest's loop does at a bar's close (U-8)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from eternal_engine.engine.memory import Memory
from eternal_engine.model.ids import RuleId
from eternal_engine.model.money import exact_arithmetic
from eternal_engine.portfolio.breaker_hour import advance_risk, scope_usdt
from eternal_engine.portfolio.hour import decide_all
from eternal_engine.portfolio.params import (
    BookView,
    Decision,
    Equities,
    Features,
    Intent,
    Marks,
    Params,
    no_decisions,
)
from eternal_engine.portfolio.valuation import equities, portfolio_usdt, prices_known
from eternal_engine.risk import breaker
from eternal_engine.risk.breaker import RiskState
from eternal_engine.strategies.base import CORE_HODL, DUST_USDT

Int64Array = npt.NDArray[np.int64]
ALL_HALTED = 0b1111
UNDER_REVIEW: Final = RuleId("ORD-7")
BOUGHT_BEFORE: Final = RuleId("CORE-12")


class Decided(NamedTuple):
    """Hold what an hour brought: the memory after it, equities, new intents, verdicts, CORE_HODL's NOTE_ flags.

    `unpriced` are the held symbols, by index, whose missing prices make the equity unknown.

    `asked` has one intent per approved verdict, in their order; `intents` are those of them that are not held back.
    `risk_before` is the risk state the hour found, with the money that has moved since taken into account.
    """

    memory: Memory
    equity: Equities
    intents: tuple[Intent, ...]
    decisions: tuple[Decision, ...]
    notes: int
    risk_before: RiskState
    scope_usdt: float
    asked: tuple[Intent, ...]
    unpriced: tuple[int, ...] = ()


def mark(params: Params, book: BookView, marks: Marks, now_h: int) -> Equities:
    """Mark all engines to the last closes; unknown when a held coin has no fresh price (U-6).

    One whose last price lies further back than a start reads has none at all, which no comparison with dust sees.
    """
    marks = _with_dust_at_nothing(book, marks)
    found = equities(book, marks, prices_known(book, marks, now_h - 1, params.risk.stale_bars))
    return found if math.isfinite(portfolio_usdt(found)) else found._replace(known=False)


def _with_dust_at_nothing(book: BookView, marks: Marks) -> Marks:
    """Let a remainder that nobody prices any more be worth nothing: dust must not stop everything for ever (ORD-5)."""
    held, cost = book.spot_qty.sum(axis=0) > 0.0, book.spot_cost.sum(axis=0)
    nothing = np.isnan(marks.spot) & held & (cost < DUST_USDT)
    return marks._replace(spot=np.where(nothing, 0.0, marks.spot)) if nothing.any() else marks


def unpriced(params: Params, book: BookView, marks: Marks, now_h: int) -> tuple[int, ...]:
    """List the held symbols without a fresh price, dust left out: while there are any the equity is unknown (U-6)."""
    oldest_h = now_h - 1 - params.risk.stale_bars
    found = []
    for s in range(len(marks.spot)):
        coins = float(book.spot_qty[:, s].sum())
        is_dust = coins * marks.spot[s] < DUST_USDT
        lacks_spot = coins > 0.0 and not is_dust and marks.spot_h[s] <= oldest_h
        lacks_perp = bool(book.perp_qty[:, s].any()) and marks.perp_h[s] <= oldest_h
        if lacks_spot or lacks_perp:
            found.append(s)
    return tuple(found)


def decide_hour(
    params: Params,
    features: Features,
    memory: Memory,
    book: BookView,
    marks: Marks,
    settled: Int64Array,
    now_h: int,
    flowed_usdt: tuple[Decimal, Decimal, Decimal, Decimal],
    *,
    halted: int = 0,
    operator_delay_h: int | None = None,
    spendable: BookView | None = None,
) -> Decided:
    """Decide hour `now_h` (the bar before it is complete): flows, mark, limits, breaker, engines.

    `flowed_usdt` is all money that ever moved into each engine; what is new in it scales high and bases. `halted` has
    bit e set for engines whose entries wait beside the operator's own halts. With `operator_delay_h` nobody is asked:
    approvals come by themselves after so many hours, as in a backtest (BRK-5). `spendable` are the books less the cash
    that planned transfers will take; None where nothing is planned.
    """
    marks = _with_dust_at_nothing(book, marks)
    equity = mark(params, book, marks, now_h)
    before = memory.states.risk
    scope = scope_usdt(params, equity)
    states = memory.states
    if equity.known:
        # High and bases were measured in the scope of then: what another one adds or leaves out is no gain and no loss.
        known = params if memory.scope is None else _in_scope(params, memory.scope)
        was, flow = scope_usdt(known, equity), float(_new_flow(known, memory.flowed_usdt, flowed_usdt))
        before = breaker.with_flow(before, was - flow, flow)
        before = breaker.with_flow(before, was, scope - was)
        states = states._replace(risk=before)
        states = advance_risk(params, states, now_h, equity)
        if operator_delay_h is not None:
            states = states._replace(risk=_operate(params, states.risk, now_h, scope, operator_delay_h))
    pending = list(memory.pending)
    decisions = no_decisions()
    stopped = memory.halted | halted
    free = book if spendable is None else spendable
    states, notes = decide_all(
        params, features, free, marks, pending, decisions, equity, states, now_h, settled, before.level, stopped
    )
    asked = tuple(_plain(intent) for intent in pending[len(memory.pending) :])
    fresh = tuple(intent for intent in asked if held_by(memory, intent, now_h) is None)
    after = replace(
        _with_portfolio(params, memory, equity, flowed_usdt) if equity.known else memory,
        states=states,
        cycle_h=now_h,
        started_h=memory.started_h or now_h,
        pending=(*memory.pending, *fresh),
        flowed_usdt=flowed_usdt if equity.known else memory.flowed_usdt,
        held_back=tuple(row for row in memory.held_back if row[1] > now_h),
        scope=params.risk.breaker.scope if equity.known else memory.scope,
    )
    lacking = () if equity.known else unpriced(params, book, marks, now_h)
    return Decided(after, equity, fresh, tuple(decisions), notes, before, scope, asked, lacking)


def _in_scope(params: Params, scope: int) -> Params:
    """Give the parameters under another scope of the breaker."""
    return params._replace(risk=params.risk._replace(breaker=params.risk.breaker._replace(scope=scope)))


def _operate(params: Params, state: RiskState, now_h: int, scope_usdt: float, delay_h: int) -> RiskState:
    """Play the operator where time runs too fast for one: approve and resume after the delay (BRK-5)."""
    if breaker.operator_is_due(state, now_h, delay_h):
        state = breaker.release(params.risk.breaker, breaker.approve(state), now_h, scope_usdt)
    if breaker.resume_is_due(state, now_h, delay_h):
        state = breaker.resume(state)
    return state


def _with_portfolio(params: Params, memory: Memory, equity: Equities, flowed_usdt: Sequence[Decimal]) -> Memory:
    """Follow the whole portfolio's high, net of flows, and the level of its drawdown: said, but acted on by nobody."""
    total = float(portfolio_usdt(equity))
    with exact_arithmetic():
        flow = float(sum(flowed_usdt, Decimal(0)) - sum(memory.flowed_usdt, Decimal(0)))
    high = memory.portfolio_high_usdt
    if total - flow > 0.0:
        high *= total / (total - flow)
    high = max(high, total)
    fall = 1.0 - total / high if high > 0.0 else 0.0
    ladder = params.risk.breaker
    level = breaker.level_for(ladder, fall)
    if level < memory.portfolio_level and fall > ladder.recover_frac:
        level = memory.portfolio_level
    return replace(memory, portfolio_high_usdt=high, portfolio_level=level)


def _new_flow(params: Params, before: Sequence[Decimal], after: Sequence[Decimal]) -> Decimal:
    """Sum what came into the breaker's scope since it was last told."""
    first = 0 if params.risk.breaker.scope == breaker.SCOPE_PORTFOLIO else CORE_HODL + 1
    with exact_arithmetic():
        return sum((new - old for new, old in zip(after[first:], before[first:], strict=True)), Decimal(0))


def _plain(intent: Intent) -> Intent:
    """Give an intent of Python's own numbers: kernels hand out numpy's, which are written otherwise."""
    return Intent._make(value.item() if isinstance(value, np.generic) else value for value in intent)


def held_by(memory: Memory, intent: Intent, now_h: int) -> RuleId | None:
    """Name the rule that holds an approved entry back: a review of its symbol, or a purchase before data was lost."""
    if intent.reduces:
        return None
    if memory.symbols[intent.symbol] in memory.paused:
        return UNDER_REVIEW
    if intent.engine != CORE_HODL:
        return None
    is_held = any(s == intent.symbol and now_h < until_h for s, until_h in memory.held_back)
    return BOUGHT_BEFORE if is_held else None
