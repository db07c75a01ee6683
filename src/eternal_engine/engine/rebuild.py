"""Let the rules' states learn of orders whose journal was lost: what was bought counts, and is not bought again.

A database restored from an old backup, or none at all, meets executions under this engine's order ids. The books take
them as they are (`reconcile`, `adopt`); the states behind the rules are rebuilt here from what the ids say: engine,
hour, symbol and leg. docs/decisions/0090.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Final

import numpy as np

from eternal_engine.engine.memory import Memory
from eternal_engine.engine.outcome import core_paid
from eternal_engine.engine.timing import hour_of
from eternal_engine.ledger.books import Books
from eternal_engine.model.event import Event, Noted, StateSaved
from eternal_engine.model.fill import Fill
from eternal_engine.model.ids import Account, Engine, Leg, RuleId, Symbol, read_client_order_id
from eternal_engine.model.instrument import Side
from eternal_engine.model.money import ZERO, exact_arithmetic, ratio
from eternal_engine.portfolio.params import Features, Params, States
from eternal_engine.storage.projection import Projection
from eternal_engine.strategies import core_hodl, funding, tactical, trend
from eternal_engine.strategies.base import HOURS_PER_DAY

OWNER: Final = "rebuild"
VERSION: Final = 1
_LEVELS: Final = {Leg.LEVEL_1: 0, Leg.LEVEL_2: 1}
_OPTIONS: Final = {Leg.FEAR_GREED: tactical.FEAR, Leg.CAPITULATION: tactical.CAPITULATION}
_PAIR_OPENS: Final = frozenset({Leg.SPOT_OPEN, Leg.PERP_OPEN})


@dataclass(frozen=True, slots=True)
class Bought:
    """Hold what one order id says of its fills together: `usdt` spent on `qty` coins, decided at hour `decided_h`."""

    engine: Engine
    symbol: int
    leg: Leg
    side: Side
    decided_h: int
    filled_h: int
    qty: Decimal
    usdt: Decimal


def catch_up(
    memory: Memory,
    projection: Projection,
    params: Params,
    features: Features,
    stops: Mapping[Symbol, Decimal | None],
    at: datetime,
) -> tuple[Memory, tuple[Event, ...]]:
    """Give the memory that knows of all fills nothing on record explains, and the event that says so.

    A maker for `Recorder.commit`, for every start once features are there: each fill counts once, whatever crashes.
    """
    fills = owed_fills(projection)
    if not fills:
        return memory, ()
    states = caught_up(params, memory.states, fills, projection.books, memory.symbols, features, stops)
    done = sorted({*_done(projection), *(fill.execution_id for fill in fills)})
    saved = StateSaved(at, OWNER, VERSION, json.dumps(done, separators=(",", ":")))
    words = f"{len(fills)} executions whose journal was lost count for the rules again"
    return replace(memory, states=states), (Noted(at, RuleId("CORE-12"), words), saved)


def owed_fills(projection: Projection) -> tuple[Fill, ...]:
    """Give the booked fills under our ids that no order on record explains and no state has counted, oldest first."""
    done = _done(projection)
    fills = [
        fill
        for identifier, group in projection.unplanned_fills.items()
        if read_client_order_id(identifier) is not None
        for fill in group
        if fill.execution_id not in done and _is_own(fill)
    ]
    return tuple(sorted(fills, key=lambda fill: (fill.executed_at, fill.execution_id)))


def _done(projection: Projection) -> frozenset[str]:
    saved = projection.states.get(OWNER)
    return frozenset() if saved is None else frozenset(json.loads(saved.document))


def _is_own(fill: Fill) -> bool:
    """Tell whether a fill happened in the account of the engine its id names."""
    read = read_client_order_id(fill.client_order_id or "")
    return read is not None and read.engine.account is fill.account


def caught_up(
    params: Params,
    states: States,
    fills: Sequence[Fill],
    books: Books,
    symbols: Sequence[str],
    features: Features,
    stops: Mapping[Symbol, Decimal | None],
) -> States:
    """Give the states as they follow from lost fills; `books` hold these already, `stops` rest at the exchange.

    What is closed again leaves no state.
    """
    for bought in _together(fills, symbols):
        match bought.engine:
            case Engine.CORE_HODL:
                states = states._replace(core=_core(states.core, bought))
            case Engine.TACTICAL:
                states = states._replace(tactical=_tactical(states.tactical, bought, features))
            case Engine.FUNDING:
                states = states._replace(funding=_funding(params, states.funding, bought, books, symbols))
            case Engine.TREND:
                states = states._replace(trend=_trend(params, states.trend, bought, books, symbols, features, stops))
    return states._replace(core=_cycled(params, states.core, fills))


def _together(fills: Sequence[Fill], symbols: Sequence[str]) -> list[Bought]:
    """Sum fills up by engine, symbol, leg and decision, whatever the attempt; oldest decision first."""
    groups: dict[tuple[datetime, Engine, str, Leg], list[Fill]] = {}
    for fill in fills:
        read = read_client_order_id(fill.client_order_id or "")
        if read is not None and fill.symbol in symbols:
            groups.setdefault((read.decided_at, read.engine, fill.symbol, read.leg), []).append(fill)
    found = []
    with exact_arithmetic():
        for (decided_at, engine, symbol, leg), group in sorted(groups.items(), key=lambda item: item[0][0]):
            found.append(
                Bought(
                    engine=engine,
                    symbol=list(symbols).index(symbol),
                    leg=leg,
                    side=group[0].side,
                    decided_h=hour_of(decided_at),
                    filled_h=max(hour_of(fill.executed_at) for fill in group),
                    qty=sum((fill.qty for fill in group), ZERO),
                    usdt=sum((fill.value_usdt for fill in group), ZERO),
                )
            )
    return found


def _core(state: core_hodl.CoreState, bought: Bought) -> core_hodl.CoreState:
    """Take the money off the coin's plan (CORE-3); before the first decision nothing is planned yet."""
    if state.phase == core_hodl.NEW or bought.side is not Side.BUY:
        return state
    return core_paid(state, bought.symbol, bought.leg, float(bought.usdt))


def _cycled(params: Params, state: core_hodl.CoreState, fills: Sequence[Fill]) -> core_hodl.CoreState:
    """Count the weekly cycles that lost purchases prove: the next is due at the next anchor (CORE-1, CORE-4)."""
    reads = (read_client_order_id(fill.client_order_id or "") for fill in fills)
    cycles = sorted({hour_of(r.decided_at) for r in reads if r and (r.engine, r.leg) == (Engine.CORE_HODL, Leg.BUY)})
    for cycle_h in cycles:
        if state.phase == core_hodl.NEW or cycle_h < state.due_h:
            continue
        passed = (cycle_h - state.anchor_h) // params.core.interval_h
        own_weeks = np.where(state.plan == core_hodl.OWN_PLAN, np.maximum(state.own_weeks - 1, 0), state.own_weeks)
        state = state._replace(
            due_h=state.anchor_h + (passed + 1) * params.core.interval_h,
            weeks_remaining=max(state.weeks_remaining - 1, 0) if state.phase == core_hodl.DEPLOYING else 0,
            rebalance_week=state.rebalance_week + 1 if state.phase == core_hodl.REBALANCING else 0,
            settling=True,
            own_weeks=own_weeks,
        )
    return state


def _tactical(state: tactical.TacticalState, bought: Bought, features: Features) -> tactical.TacticalState:
    """Let a level that has bought count as fired: what it left armed in the lost part is not spent (TACT-E1)."""
    if bought.side is not Side.BUY:
        # An exit sells all there is: what is bought afterwards is held since then (TACT-X1).
        dates = state.first_buy_h.copy()
        dates[bought.symbol] = 0
        return state._replace(first_buy_h=dates)
    level = _LEVELS.get(bought.leg, tactical.NO_LEVEL)
    if level != tactical.NO_LEVEL and not state.fired[level]:
        fired, armed = state.fired.copy(), state.armed_usdt.copy()
        fired[level] = True
        armed[level, :] = 0.0
        state = state._replace(fired=fired, armed_usdt=armed)
    high = _row(features.tactical.btc_high, features, bought.decided_h)
    if high > state.high:
        # Without it the next decision would take the lost high for a new one and fire every level again.
        state = state._replace(high=high)
    if bought.leg in _OPTIONS:
        trigger_h = state.trigger_h.copy()
        trigger_h[_OPTIONS[bought.leg]] = bought.decided_h
        state = state._replace(trigger_h=trigger_h)
    was_flat = state.first_buy_h[bought.symbol] == 0
    return tactical.on_buy(state, bought.symbol, level, float(bought.usdt), bought.filled_h, bool(was_flat))


def _funding(
    params: Params, state: funding.FundingState, bought: Bought, books: Books, symbols: Sequence[str]
) -> funding.FundingState:
    held = Symbol(symbols[bought.symbol]) in books.of(Account.FUNDING).perp
    if bought.leg not in _PAIR_OPENS or not held or state.opened_h[bought.symbol] != 0:
        return state
    return funding.opened(params.funding, state, bought.symbol, bought.decided_h)


def _trend(
    params: Params,
    state: trend.TrendState,
    bought: Bought,
    books: Books,
    symbols: Sequence[str],
    features: Features,
    stops: Mapping[Symbol, Decimal | None],
) -> trend.TrendState:
    """Take a lost entry over, with its day's volatility; a tighter stop at the exchange is the trail (TREND-S2)."""
    s, symbol = bought.symbol, Symbol(symbols[bought.symbol])
    position = books.of(Account.TREND).perp.get(symbol)
    side = bought.side.sign
    if bought.leg is not Leg.ENTRY or position is None or (position.qty > ZERO) != (side > 0) or state.side[s] != 0:
        return state
    entry, tick = float(ratio(bought.usdt, bought.qty)), float(params.instruments.perp_tick[s])
    resting = float(stops.get(symbol) or 0)
    atr = _row(features.trend.atr[s], features, bought.decided_h)
    if not math.isfinite(atr) or atr <= 0.0:
        # No bars of that day: the stop that rests tells the distance; without one the position gets none from us.
        if not 0.0 < side * (entry - resting) < entry:
            return state
        atr = side * (entry - resting) / params.trend.stop_atr
    first = trend.stop_price(params.trend, side, entry, atr, tick)
    state = trend.opened(state, s, side, entry, atr, first, float(bought.qty))
    # Where a trail begins at the least; what is nearer to the first stop is the one that came with the order.
    lowest = entry + side * (params.trend.trail_start_atr - params.trend.trail_atr) * atr
    if resting and side * (resting - first) > 0.5 * tick and side * (resting - lowest) > -1.5 * tick:
        stop, trailing = state.stop.copy(), state.trailing.copy()
        stop[s], trailing[s] = resting, True
        state = state._replace(stop=stop, trailing=trailing)
    return state


def _row(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]], features: Features, decided_h: int) -> float:
    """Read the daily value that a decision of that hour saw; NaN outside the features."""
    day = decided_h // HOURS_PER_DAY - 1 - features.first_day
    return float(values[day]) if 0 <= day < values.shape[-1] else math.nan
