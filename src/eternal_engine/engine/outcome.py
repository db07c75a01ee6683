"""What a finished intent, or an execution that nobody ordered, does to the state of the rules (TACT-2, TREND-S1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from math import isfinite
from typing import Final

from eternal_engine.engine.timing import hour_of
from eternal_engine.engine.view import ENGINES
from eternal_engine.engine.work import Done, LegDone, first_id
from eternal_engine.ledger.book import Book
from eternal_engine.ledger.books import Books
from eternal_engine.model.conversion import exact_from_float
from eternal_engine.model.fill import Fill
from eternal_engine.model.ids import Account, Leg, Symbol
from eternal_engine.model.instrument import Market, Side
from eternal_engine.model.money import DUST_USDT, ONE, ZERO, exact_arithmetic, is_dust, ratio
from eternal_engine.model.order import Order
from eternal_engine.model.rule import Rule
from eternal_engine.portfolio.params import Intent, Marks, Params, States
from eternal_engine.portfolio.valuation import coins_are_a_pair, step_of
from eternal_engine.strategies import core_hodl, funding, tactical, trend
from eternal_engine.strategies.base import CORE_HODL, FUNDING, PAIR, TACTICAL, TREND

RULES: tuple[Rule, ...] = (
    Rule(
        "TACT-2",
        "Entry price and time, and the money a level or a plan has spent, come from executions; what was refused or "
        "cut stays armed or in the plan.",
        (),
        (
            "tests/unit/engine/test_outcome.py::test_i8_a_refused_deployment_leaves_its_level_armed",
            "tests/unit/engine/test_outcome.py::test_core_3_a_plan_pays_what_was_spent",
        ),
    ),
)

_NEVER: Final = datetime.min.replace(tzinfo=UTC)
_LEVELS: Final = {Leg.LEVEL_1: 0, Leg.LEVEL_2: 1}
# CORE_HODL's purchases, by itself and by hand, take the place of what its plan would buy (CORE-3, CORE-13).
_PAYING_A_PLAN: Final = frozenset({Leg.BUY, Leg.MANUAL})


def after_intent(
    params: Params, states: States, intent: Intent, done: Done, book: Book, symbols: Sequence[str], now_h: int
) -> States:
    """Fold a finished intent into the states; `book` is the engine's after all its fills, `now_h` the hour of fills."""
    s = intent.symbol
    if intent.engine == FUNDING and intent.market == PAIR and not intent.reduces:
        second, back = done.of(Leg.PERP_OPEN), done.of(Leg.PERP_UNWIND)
        if second is not None and second.qty > (back.qty if back is not None else ZERO):
            return states._replace(funding=funding.opened(params.funding, states.funding, s, now_h))
        return states
    leg = done.legs[0]
    if leg.qty == ZERO:
        return states
    if intent.engine == CORE_HODL and not intent.reduces:
        spent = float(leg.usdt)
        return states._replace(core=core_hodl.on_fill(states.core, s, spent, intent.plan_usdt))
    if intent.engine == TACTICAL and not intent.reduces:
        # It filled in the hour it was decided in, or not at all; a crash may let it be learnt of hours later.
        return states._replace(tactical=_bought(params, states, intent, leg, book, symbols[s], intent.decided_h))
    if intent.engine == TREND and not intent.reduces:
        price = float(ratio(leg.usdt, leg.qty))
        stop = trend.stop_price(params.trend, intent.side, price, intent.atr, params.instruments.perp_tick[s])
        opened = trend.opened(states.trend, s, intent.side, price, intent.atr, stop, float(leg.qty))
        return states._replace(trend=opened)
    return states


def after_late_fill(
    states: States, fill: Fill, order: Order, pending: Sequence[Intent], symbols: Sequence[str]
) -> States:
    """Count coins that an order bought after its intent was over, so that no rule buys them again (CORE-3, TACT-2).

    While the intent is pending, `after_intent` counts them with all the others.
    """
    key = order.intent.key
    number, decided_h = ENGINES.index(key.engine), hour_of(key.decided_at)
    if number not in (CORE_HODL, TACTICAL) or fill.side is not Side.BUY or key.symbol not in symbols:
        return states
    s = list(symbols).index(key.symbol)
    # Two intents of an engine, hour and symbol never share a leg: TACTICAL's levels fall side by side.
    own = replace(key, attempt=1).client_order_id
    if any(one.engine == number and first_id(one, tuple(symbols)) == own for one in pending):
        return states
    spent = float(fill.value_usdt)
    if number == TACTICAL:
        level = _LEVELS.get(key.leg, tactical.NO_LEVEL)
        was_flat = bool(states.tactical.first_buy_h[s] == 0)
        return states._replace(tactical=tactical.on_buy(states.tactical, s, level, spent, decided_h, was_flat))
    return states._replace(core=core_paid(states.core, s, key.leg, spent))


def core_paid(state: core_hodl.CoreState, symbol: int, leg: Leg, spent_usdt: float) -> core_hodl.CoreState:
    """Take a purchase that is learnt of late off CORE_HODL's plan, as far as it goes (CORE-3)."""
    planned = leg in _PAYING_A_PLAN and state.plan[symbol] != core_hodl.NO_PLAN
    plan_usdt = min(spent_usdt, float(state.gap_usdt[symbol])) if planned else 0.0
    return core_hodl.on_fill(state, symbol, spent_usdt, plan_usdt)


def _bought(
    params: Params, states: States, intent: Intent, leg: LegDone, book: Book, symbol: str, filled_h: int
) -> tactical.TacticalState:
    s = intent.symbol
    # A purchase that is complete has used its sum up, the rounding included; a part leaves the rest armed.
    asked = intent.quote_steps * step_of(params, intent)
    quote = float(asked) if leg.complete else float(leg.usdt)
    held = book.spot.get(Symbol(symbol))
    with exact_arithmetic():
        before = (held.qty if held else ZERO) - leg.qty
    # A fall through both levels buys a coin twice at once: the other order's coins may be there before either is over.
    is_dated = states.tactical.first_buy_h[s] != 0
    was_flat = not is_dated or is_dust(before, exact_from_float(intent.price))
    return tactical.on_buy(states.tactical, s, intent.level, quote, filled_h, was_flat)


def alone(orders: Sequence[Order], spot_fee_frac: Decimal) -> tuple[Decimal, Decimal]:
    """Measure how long one leg of a pair stood without the other: USDT x seconds, and seconds (FUND-3).

    `orders` are all those of one pair's intent. An order counts from its end on: market orders fill in an instant.
    """
    filled = sorted((one for one in orders if one.filled_qty), key=lambda one: one.updated_at or _NEVER)
    usdt_s = seconds = bare = ZERO
    with exact_arithmetic():
        for order, following in pairwise(filled):
            is_coin = order.intent.market is Market.SPOT and order.intent.side is Side.BUY
            kept = 1 - spot_fee_frac if is_coin else ONE
            bare += order.intent.side.sign * order.filled_qty * kept
            lasted = Decimal(str(((following.updated_at or _NEVER) - (order.updated_at or _NEVER)).total_seconds()))
            seconds += lasted
            usdt_s += abs(bare) * (order.average_price or ZERO) * lasted
    return usdt_s, seconds


def after_books(params: Params, states: States, books: Books, symbols: Sequence[str], marks: Marks) -> States:
    """Forget positions that are flat, however that came about: exit, stop, liquidation, a hand at the exchange.

    Of TACTICAL's coins it is the date of the first purchase: the next one has another (TACT-X1).
    """
    trend_book, funding_book, table = books.of(Account.TREND), books.of(Account.FUNDING), params.instruments
    for s, symbol in enumerate(symbols):
        name = Symbol(symbol)
        if states.trend.side[s] != 0 and name not in trend_book.perp:
            states = states._replace(trend=trend.closed(states.trend, s))
        if states.funding.opened_h[s] != 0 and name not in funding_book.perp:
            held, price = funding_book.spot.get(name), float(marks.spot[s])
            if held is None or (isfinite(price) and not coins_are_a_pair(table, s, float(held.qty), price)):
                states = states._replace(funding=funding.closed(states.funding, s))
        if states.tactical.first_buy_h[s] != 0 and _is_sold(books.of(Account.TACTICAL), name):
            dates = states.tactical.first_buy_h.copy()
            dates[s] = 0
            states = states._replace(tactical=states.tactical._replace(first_buy_h=dates))
    return states


def _is_sold(book: Book, symbol: Symbol) -> bool:
    """Tell whether nothing of a coin is left but dust, by what it has cost (ORD-5): a fallen price sells nothing."""
    held = book.spot.get(symbol)
    return held is None or held.cost_usdt < DUST_USDT


def after_deposit(params: Params, states: States, amount_usdt: Decimal) -> States:
    """Tell CORE_HODL of money that came into its account (CORE-10, CAP-2)."""
    # While it is switched off, too: switched on again it would else never plan with that money.
    if amount_usdt <= ZERO:
        return states
    return states._replace(core=core_hodl.on_deposit(params.core, states.core, float(amount_usdt)))


def stop_wanted(states: States, books: Books, symbols: Sequence[str], symbol: int) -> float | None:
    """Give the protective stop that should rest at the exchange in a symbol, None when there is no position."""
    if states.trend.side[symbol] == 0 or Symbol(symbols[symbol]) not in books.of(Account.TREND).perp:
        return None
    return float(states.trend.stop[symbol])
