"""Exits that no hourly decision asks for: a stop that cannot rest, and holdings that no rule knows of (TREND-X2).

An order that was given up may trade all the same. What it opened is not in the state of any rule: it has no stop, no
exit, no second leg. It is closed at once, under an id of the running hour, so at most once an hour (decision 0110).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from eternal_engine.engine.memory import Memory
from eternal_engine.engine.timing import hour_of, hour_start
from eternal_engine.engine.view import ENGINES
from eternal_engine.ledger.book import Book
from eternal_engine.model import reason
from eternal_engine.model.conversion import exact_from_float
from eternal_engine.model.event import Decided, Event, Reviewed
from eternal_engine.model.ids import Engine, RuleId, Symbol
from eternal_engine.model.instrument import InstrumentTable, Market
from eternal_engine.model.money import ZERO, exact_arithmetic
from eternal_engine.model.steps import whole_steps
from eternal_engine.portfolio.params import NO_INTENT, Intent, Marks, Params
from eternal_engine.portfolio.valuation import intent_notional_usdt, is_busy
from eternal_engine.strategies import funding
from eternal_engine.strategies.base import BUY, FUNDING, PERP, SELL, SPOT, TREND


@dataclass(frozen=True, slots=True)
class Desk:
    """Hold what exits are found from, besides memory and books."""

    params: Params
    table: InstrumentTable
    marks: Marks
    now: datetime
    config_hash: str


def position_exit(desk: Desk, memory: Memory, book: Book, symbol: int) -> Intent | None:
    """Close TREND's whole position in a symbol; None when there is none, or an order is under way already."""
    position = book.perp.get(Symbol(memory.symbols[symbol]))
    if position is None or is_busy(list(memory.pending), TREND, symbol):
        return None
    why = reason.TREND_TRAIL if memory.states.trend.trailing[symbol] else reason.TREND_STOP
    mark = float(desk.marks.perp[symbol])
    # An exit waits for no price: what the position was bought at will do for the record.
    price = float(position.average_price) if math.isnan(mark) else mark
    return _exit(desk, memory, TREND, symbol, PERP, -position.qty, price, why)


def strays(desk: Desk, engine: Engine, memory: Memory, book: Book) -> list[Intent]:
    """List the exits of what an engine holds and no rule of it knows of.

    TREND: a position without the state of one. FUNDING: coins of one leg beyond the other's, as FUND-4 corrects them.
    """
    found: list[Intent | None] = []
    if not (book.perp or (engine is Engine.FUNDING and book.spot)):
        return []
    for s in range(len(memory.symbols)):
        if engine is Engine.TREND and memory.states.trend.side[s] == 0:
            found.append(position_exit(desk, memory, book, s))
        elif engine is Engine.FUNDING:
            found.append(_leg_exit(desk, memory, book, s))
    return [intent for intent in found if intent is not None]


def stray_words(engine: Engine, symbol: str) -> str:
    """Say why a stray is closed: of a pair's bare leg many things may be the cause, the exchange among them."""
    if engine is Engine.FUNDING:
        return f"one leg of {symbol} stands alone and is closed: the other was given up, or closed elsewhere"
    return f"a holding of {symbol} that no rule knows of is closed: an order given up has traded after all"


def _leg_exit(desk: Desk, memory: Memory, book: Book, s: int) -> Intent | None:
    symbol = Symbol(memory.symbols[s])
    holding, position = book.spot.get(symbol), book.perp.get(symbol)
    if (holding is None and position is None) or is_busy(list(memory.pending), FUNDING, s):
        return None
    coins, short = holding.qty if holding else ZERO, -position.qty if position else ZERO
    drift = funding.hedge_drift_qty(desk.params.funding, float(coins), float(short))
    if drift == 0.0 or math.isnan(desk.marks.spot[s]):
        return None
    market = Market.SPOT if drift > 0.0 else Market.PERP
    rules = desk.table.rules(symbol, market)
    price = float(desk.marks.spot[s])
    worth = exact_from_float(price)
    with exact_arithmetic():
        # The perp is bought back to no more than the coins beside it: what is left over of these covers nothing.
        qty = rules.qty_down(coins - short) if drift > 0.0 else min(rules.qty_up(short - coins), short)
        if qty <= ZERO or (market is Market.SPOT and rules.size_denial(qty, worth, market_order=False) is not None):
            return None
    signed = -qty if market is Market.SPOT else qty
    return _exit(desk, memory, FUNDING, s, SPOT if market is Market.SPOT else PERP, signed, price, reason.FUND_HEDGE)


def _exit(
    desk: Desk, memory: Memory, engine: int, symbol: int, market: int, signed: Decimal, price: float, why: int
) -> Intent:
    """Make the intent of a reducing order; `signed` coins are above zero for a buy."""
    rules = desk.table.rules(Symbol(memory.symbols[symbol]), Market.SPOT if market == SPOT else Market.PERP)
    return NO_INTENT._replace(
        engine=engine,
        symbol=symbol,
        market=market,
        side=BUY if signed > ZERO else SELL,
        reduces=True,
        qty_steps=whole_steps(float(abs(signed)), float(rules.qty_step)),
        price=price,
        reason=why,
        decided_h=hour_of(desk.now),
        unit=float(rules.qty_step),
    )


def explained(desk: Desk, memory: Memory, intent: Intent, detail: str, seen: Mapping[str, Any]) -> tuple[Event, ...]:
    """Journal the decision and the verdict that an exit between two hours follows from."""
    at, decided_at, symbol = desk.now, hour_start(intent.decided_h), memory.symbols[intent.symbol]
    engine, why = ENGINES[intent.engine], reason.words(intent.reason)
    signal = {
        "symbol": symbol,
        "side": "buy" if intent.side == BUY else "sell",
        "reduces": True,
        "reason": why,
        "qty_steps": intent.qty_steps,
    }
    decided = Decided(at, engine, decided_at, json.dumps(seen), json.dumps([signal]), desk.config_hash)
    worth = exact_from_float(intent_notional_usdt(desk.params, intent))
    rule = RuleId(reason.rule_id(intent.reason))
    return decided, Reviewed(at, engine, Symbol(symbol), decided_at, "approved", rule, detail, worth, worth)
