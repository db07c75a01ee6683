"""Equity, margin and free cash of the engines from books and marks (U-6, FUND-2, RISK-10)."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from eternal_engine.model.steps import whole_steps
from eternal_engine.portfolio.params import PERPS, BookView, Equities, Intent, Marks, Params
from eternal_engine.risk.sizing import Instruments
from eternal_engine.strategies.base import CORE_HODL, DUST_USDT, FUNDING, PAIR, PERP, SPOT, TACTICAL, TREND

Float64Array = npt.NDArray[np.float64]


def count_active(book: BookView) -> None:
    """List and count anew which symbols each engine holds; to be called whenever fills have changed the books."""
    coins, contracts, active, held = book.spot_qty, book.perp_qty, book.active, book.held
    # Each symbol is written and the next one over it unless it counts: no branch that a processor would guess wrong.
    for e in range(4):
        count = 0
        for s in range(coins.shape[1]):
            held[e, count] = s
            count += (coins[e, s] != 0.0) | (contracts[e, s] != 0.0)
        active[e] = count
    count = 0
    for s in range(coins.shape[1]):
        held[PERPS, count] = s
        count += (contracts[TREND, s] != 0.0) | (contracts[FUNDING, s] != 0.0)
    active[PERPS] = count


def spot_value_usdt(book: BookView, marks: Marks, engine: int) -> float:
    """Sum an engine's coins at their last closes; coins never priced make it NaN."""
    coins, prices = book.spot_qty, marks.spot
    total = 0.0
    for s in range(len(prices)):
        if coins[engine, s] != 0.0:
            total += coins[engine, s] * prices[s]
    return total


def unrealised_usdt(book: BookView, marks: Marks, engine: int) -> float:
    """Sum the unrealised result of an engine's perps at their last closes."""
    contracts, entry, prices = book.perp_qty, book.perp_entry, marks.perp
    total = 0.0
    for s in range(len(prices)):
        if contracts[engine, s] != 0.0:
            total += contracts[engine, s] * (prices[s] - entry[engine, s])
    return total


def perp_notional_usdt(book: BookView, marks: Marks, engine: int) -> float:
    """Sum the absolute notional of an engine's perps at their last closes."""
    contracts, prices = book.perp_qty, marks.perp
    total = 0.0
    for s in range(len(prices)):
        if contracts[engine, s] != 0.0:
            total += abs(contracts[engine, s]) * prices[s]
    return total


def prices_known(book: BookView, marks: Marks, bar_h: int, stale_bars: int) -> bool:
    """Tell whether every position beyond dust has a price younger than `stale_bars` bars (U-6, RISK-3, ORD-5)."""
    for s in range(len(marks.spot)):
        spot = book.spot_qty[CORE_HODL, s] + book.spot_qty[FUNDING, s] + book.spot_qty[TACTICAL, s]
        if spot > 0.0 and spot * marks.spot[s] >= DUST_USDT and bar_h - marks.spot_h[s] >= stale_bars:
            return False
        if (book.perp_qty[1, s] != 0.0 or book.perp_qty[2, s] != 0.0) and bar_h - marks.perp_h[s] >= stale_bars:
            return False
    return True


def equities(book: BookView, marks: Marks, known: bool) -> Equities:
    """Mark all four engines to market (U-6); engines without positions are their cash."""
    cash, active = book.cash, book.active
    core, trend, funding, tactical = cash[CORE_HODL], cash[TREND], cash[FUNDING], cash[TACTICAL]
    trend_notional = 0.0
    funding_notional = 0.0
    if active[CORE_HODL] > 0:
        core += spot_value_usdt(book, marks, CORE_HODL)
    if active[TACTICAL] > 0:
        tactical += spot_value_usdt(book, marks, TACTICAL)
    if active[TREND] > 0:
        trend += unrealised_usdt(book, marks, TREND)
        trend_notional = perp_notional_usdt(book, marks, TREND)
    if active[FUNDING] > 0:
        coins = spot_value_usdt(book, marks, FUNDING)
        funding += coins + unrealised_usdt(book, marks, FUNDING)
        funding_notional = coins + perp_notional_usdt(book, marks, FUNDING)
    return Equities(core, trend, funding, tactical, trend_notional, funding_notional, known)


def portfolio_usdt(equity: Equities) -> float:
    """Sum the engines' equities."""
    return equity.core + equity.trend + equity.funding + equity.tactical


def engine_usdt(equity: Equities, engine: int) -> float:
    """Pick one engine's equity."""
    if engine == CORE_HODL:
        return equity.core
    if engine == TREND:
        return equity.trend
    if engine == FUNDING:
        return equity.funding
    return equity.tactical


def pending_usdt(params: Params, pending: list[Intent], engine: int) -> float:
    """Sum the cash that an engine's entries on their way will bind (RISK-10)."""
    total = 0.0
    for intent in pending:
        if intent.engine != engine or intent.reduces:
            continue
        if intent.quote_steps > 0:
            total += intent.quote_steps * step_of(params, intent)
        else:
            total += intent_notional_usdt(params, intent) / intent.price * _unit_need(params, intent)
    return total


def _unit_need(params: Params, intent: Intent) -> float:
    risk = params.risk
    if intent.market == PERP:
        return intent.price * (1.0 / risk.trend_leverage + risk.perp_fee_frac)
    spot = intent.price * (1.0 + risk.slippage_frac) / (1.0 - risk.spot_fee_frac)
    return spot + intent.price * (1.0 / risk.funding_leverage + risk.perp_fee_frac)


def intent_notional_usdt(params: Params, intent: Intent) -> float:
    """Give an intent's notional at the price it was sized with; a pair counts once (RISK-6)."""
    if intent.quote_steps > 0:
        return float(intent.quote_steps * step_of(params, intent))
    return float(intent.qty_steps * step_of(params, intent) * intent.price)


def step_of(params: Params, intent: Intent) -> float:
    """Give what one step of an intent stands for, base coins or USDT: as it was when the intent was decided."""
    if intent.unit > 0.0:
        return intent.unit
    s = intent.symbol
    if intent.quote_steps > 0:
        return float(params.instruments.quote_step[s])
    if intent.market == SPOT:
        return float(params.instruments.spot_step[s])
    return float(params.instruments.perp_step[s])


def margin_used_usdt(params: Params, book: BookView, marks: Marks, engine: int) -> float:
    """Give the initial margin of an engine's perps: on entry for TREND (isolated), on mark for FUNDING (cross)."""
    total = 0.0
    for s in range(len(marks.perp)):
        qty = book.perp_qty[engine, s]
        if qty != 0.0:
            if engine == TREND:
                total += abs(qty) * book.perp_entry[engine, s] / params.risk.trend_leverage
            else:
                total += abs(qty) * marks.perp[s] / params.risk.funding_leverage
    return total


def free_usdt(params: Params, book: BookView, marks: Marks, pending: list[Intent], engine: int) -> float:
    """Give the cash an engine may still bind: gains not yet realised do not count, losses do (RISK-10)."""
    free = book.cash[engine] - pending_usdt(params, pending, engine)
    if engine in (TREND, FUNDING):
        free -= margin_used_usdt(params, book, marks, engine)
        free += min(unrealised_usdt(book, marks, engine), 0.0)
    return float(free)


def position_usdt(
    params: Params, book: BookView, marks: Marks, pending: list[Intent], engine: int, symbol: int
) -> float:
    """Give the notional an engine holds or has on its way in a symbol; FUNDING's pair by its spot leg (RISK-6)."""
    if engine == TREND:
        held = abs(book.perp_qty[engine, symbol])
        total = held * marks.perp[symbol] if held > 0.0 else 0.0
    else:
        held = book.spot_qty[engine, symbol]
        total = held * marks.spot[symbol] if held > 0.0 else 0.0
    for intent in pending:
        if intent.engine == engine and intent.symbol == symbol and not intent.reduces:
            total += intent_notional_usdt(params, intent)
    return float(total)


def perp_exposure_usdt(params: Params, book: BookView, marks: Marks, pending: list[Intent], engine: int) -> float:
    """Give an engine's perp notional, held and on its way (RISK-9)."""
    total = perp_notional_usdt(book, marks, engine)
    for intent in pending:
        if intent.engine == engine and not intent.reduces and intent.market in (PERP, PAIR):
            total += intent_notional_usdt(params, intent)
    return total


def is_busy(pending: list[Intent], engine: int, symbol: int) -> bool:
    """Tell whether an order of an engine in a symbol is on its way."""
    for intent in pending:
        if intent.engine == engine and intent.symbol == symbol:
            return True
    return False


def engine_is_busy(pending: list[Intent], engine: int) -> bool:
    """Tell whether any order of an engine is on its way."""
    for intent in pending:
        if intent.engine == engine:
            return True
    return False


def pair_is_open(table: Instruments, book: BookView, marks: Marks, symbol: int) -> bool:
    """Tell whether FUNDING holds a pair or what is left of one: a perp, or coins that can be sold (ORD-5, RISK-10)."""
    if book.perp_qty[FUNDING, symbol] != 0.0:
        return True
    return coins_are_a_pair(table, symbol, book.spot_qty[FUNDING, symbol], marks.spot[symbol])


def coins_are_a_pair(table: Instruments, symbol: int, coins: float, price: float) -> bool:
    """Tell whether coins without a perp are still a pair: dust is not, nor what the exchange would not take (RISK-10).

    Else a crumb whose price rises would keep its symbol from entries for ever, and ask each hour for a sale that none
    may make. Coins without a price (NaN) are none.
    """
    sellable = whole_steps(coins, table.spot_step[symbol]) * table.spot_step[symbol]
    return bool(sellable * price >= max(DUST_USDT, table.spot_min_usdt[symbol]))


def exposure_usdt(params: Params, book: BookView, marks: Marks, pending: list[Intent]) -> float:
    """Sum the notional of everything held and on its way, for the armed cap (RISK-13); skipped without a cap."""
    if math.isinf(params.risk.cap_usdt):
        return 0.0
    total = 0.0
    for engine in range(4):
        total += spot_value_usdt(book, marks, engine) + perp_notional_usdt(book, marks, engine)
    for intent in pending:
        if not intent.reduces:
            total += intent_notional_usdt(params, intent)
    return total
