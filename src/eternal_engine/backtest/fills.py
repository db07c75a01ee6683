"""The backtest's float book: how intents, stops, funding and liquidation change it (U-9, U-11, TREND-X2, FUND-2)."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from eternal_engine.backtest.tape import DELISTING, LIQUIDATION, TRANSFER, Tape, write_event, write_order, write_trade
from eternal_engine.model import reason
from eternal_engine.model.rule import Rule
from eternal_engine.model.steps import steps_up, whole_steps
from eternal_engine.portfolio.params import BookView, Intent, Marks, Params, States
from eternal_engine.portfolio.valuation import coins_are_a_pair
from eternal_engine.risk.sizing import fill_price
from eternal_engine.strategies import core_hodl, funding, tactical, trend
from eternal_engine.strategies.base import BUY, CORE_HODL, DUST_USDT, FUNDING, PAIR, PERP, SELL, SPOT, TACTICAL, TREND

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]

RULES = (
    Rule(
        "U-11",
        "Stops and liquidation look at the mark: the higher of the lows, the lower of the highs of spot and perp.",
        (),
        ("tests/unit/backtest/test_fills.py::test_u_11_a_wick_of_the_perp_alone_triggers_nothing",),
    ),
    Rule(
        "TREND-F1",
        "Perps pay and receive funding at each settlement; a liquidation never loses more than the margin.",
        ("trend.leverage", "trend.maintenance_frac"),
        ("tests/unit/backtest/test_fills.py::test_g5_a_long_pays_a_positive_rate",),
    ),
)


class Market(NamedTuple):
    """Hold hourly arrays [S, H] of USDT prices, NaN where a bar is missing; bar i opens at hour `first_h` + i.

    A symbol can be traded in the hours [`listed_h`, `delisted_h`) [S]. `days` [S, D, 8] holds the extremes of whole
    days (columns in `days`), `settle_open` [S, K] the perp's open at each settlement: both empty where nobody has
    computed them for many runs.
    """

    first_h: int
    spot_open: Float64Array
    spot_high: Float64Array
    spot_low: Float64Array
    spot_close: Float64Array
    perp_open: Float64Array
    perp_high: Float64Array
    perp_low: Float64Array
    perp_close: Float64Array
    listed_h: Int64Array
    delisted_h: Int64Array
    days: Float64Array
    settle_open: Float64Array


class Lots(NamedTuple):
    """Hold, per engine and symbol [4, S], how the open position came to be, for its row when it closes."""

    opened_h: Int64Array
    entry_reason: Int64Array
    qty: Float64Array
    entry: Float64Array
    fees: Float64Array
    funding: Float64Array


def empty_lots(symbols: int) -> Lots:
    """Give lots of a book without positions."""
    return Lots(
        opened_h=np.zeros((4, symbols), np.int64),
        entry_reason=np.zeros((4, symbols), np.int64),
        qty=np.zeros((4, symbols)),
        entry=np.zeros((4, symbols)),
        fees=np.zeros((4, symbols)),
        funding=np.zeros((4, symbols)),
    )


def _open_lot(lots: Lots, engine: int, symbol: int, filled_h: int, why: int, qty: float, price: float) -> None:
    """Begin or widen the record of a position with its average entry."""
    if lots.qty[engine, symbol] == 0.0:
        lots.opened_h[engine, symbol] = filled_h
        lots.entry_reason[engine, symbol] = why
        lots.fees[engine, symbol] = 0.0
        lots.funding[engine, symbol] = 0.0
        lots.entry[engine, symbol] = 0.0
    held = lots.qty[engine, symbol]
    lots.entry[engine, symbol] = (lots.entry[engine, symbol] * held + price * qty) / (held + qty)
    lots.qty[engine, symbol] = held + qty


def _close_lot(
    tape: Tape, book: BookView, lots: Lots, engine: int, symbol: int, side: int, closed_h: int, why: int, price: float
) -> None:
    """Write the row of a position that is flat again and forget it."""
    pnl = book.trade[engine, symbol]
    write_trade(
        tape, engine, symbol, side, lots.opened_h[engine, symbol], closed_h, lots.entry_reason[engine, symbol], why,
        lots.qty[engine, symbol], lots.entry[engine, symbol], price, pnl, lots.fees[engine, symbol],
        lots.funding[engine, symbol],
    )  # fmt: skip
    if engine == TREND:
        book.trend_pnls[book.trend_closed[0] % len(book.trend_pnls)] = pnl
        book.trend_closed[0] += 1
    book.trade[engine, symbol] = 0.0
    book.open_costs[engine, symbol] = 0.0
    lots.qty[engine, symbol] = 0.0


def buy_spot(
    params: Params, book: BookView, tape: Tape, lots: Lots, intent: Intent, coins: float, open_: float, filled_h: int
) -> float:
    """Buy `coins` of spot at the open; the fee is taken in coin (U-9). Give the USDT spent."""
    e, s = intent.engine, intent.symbol
    price = fill_price(open_, BUY, params.risk.slippage_frac, params.instruments.spot_tick[s])
    spent = coins * price
    fee_coins = coins * params.risk.spot_fee_frac
    fee = fee_coins * price
    book.cash[e] -= spent
    book.spot_qty[e, s] += coins - fee_coins
    book.spot_cost[e, s] += spent
    slipped = coins * (price - open_)
    write_order(
        tape, intent.decided_h, filled_h, e, s, SPOT, BUY, intent.reason, intent.rule, coins, price, fee, slipped
    )
    if e != CORE_HODL:
        _open_lot(lots, e, s, filled_h, intent.reason, coins - fee_coins, price)
        lots.fees[e, s] += fee
    return spent


def sell_spot(
    params: Params, book: BookView, tape: Tape, lots: Lots, intent: Intent, coins: float, open_: float, filled_h: int
) -> float:
    """Sell `coins` of spot at the open, fee in USDT. Give the profit over average cost, net of fees."""
    e, s = intent.engine, intent.symbol
    price = fill_price(open_, SELL, params.risk.slippage_frac, params.instruments.spot_tick[s])
    proceeds = coins * price
    fee = proceeds * params.risk.spot_fee_frac
    cost = float(book.spot_cost[e, s] * (coins / book.spot_qty[e, s]))
    book.cash[e] += proceeds - fee
    book.spot_qty[e, s] -= coins
    book.spot_cost[e, s] -= cost
    profit = proceeds - fee - cost
    book.realised[e] += profit
    book.trade[e, s] += profit
    lots.fees[e, s] += fee
    slipped = coins * (open_ - price)
    write_order(
        tape, intent.decided_h, filled_h, e, s, SPOT, SELL, intent.reason, intent.rule, coins, price, fee, slipped
    )
    return profit


def open_perp(
    params: Params,
    book: BookView,
    tape: Tape,
    lots: Lots,
    intent: Intent,
    side: int,
    coins: float,
    open_: float,
    filled_h: int,
) -> float:
    """Open or add to a perp position at the open. Give the fill price."""
    e, s = intent.engine, intent.symbol
    price: float = fill_price(open_, side, params.risk.slippage_frac, params.instruments.perp_tick[s])
    fee = coins * price * params.risk.perp_fee_frac
    held = abs(book.perp_qty[e, s])
    book.perp_entry[e, s] = (book.perp_entry[e, s] * held + price * coins) / (held + coins)
    book.perp_qty[e, s] += side * coins
    book.cash[e] -= fee
    book.open_costs[e, s] -= fee
    book.trade[e, s] -= fee
    slipped = coins * abs(price - open_)
    write_order(
        tape, intent.decided_h, filled_h, e, s, PERP, side, intent.reason, intent.rule, coins, price, fee, slipped
    )
    if e == TREND:
        _open_lot(lots, e, s, filled_h, intent.reason, coins, price)
    lots.fees[e, s] += fee
    return price


def close_perp(
    params: Params,
    book: BookView,
    tape: Tape,
    lots: Lots,
    engine: int,
    symbol: int,
    coins: float,
    price: float,
    open_: float,
    fee_frac: float,
    decided_h: int,
    filled_h: int,
    why: int,
    rule: int,
) -> None:
    """Close `coins` of a perp position at `price`; realises the result and its share of fees and funding."""
    e, s = engine, symbol
    held = book.perp_qty[e, s]
    side = SELL if held > 0.0 else BUY
    fee = coins * price * fee_frac
    gain = -side * coins * (price - book.perp_entry[e, s])
    share = book.open_costs[e, s] * (coins / abs(held))
    book.cash[e] += gain - fee
    book.open_costs[e, s] -= share
    book.realised[e] += gain - fee + share
    book.trade[e, s] += gain - fee
    lots.fees[e, s] += fee
    left = abs(held) - coins
    # Whole steps in floats leave dust of the size of rounding errors: less than half a step is flat.
    book.perp_qty[e, s] = 0.0 if left < 0.5 * params.instruments.perp_step[s] else -side * left
    if book.perp_qty[e, s] == 0.0:
        book.perp_entry[e, s] = 0.0
    slipped = coins * abs(price - open_)
    write_order(tape, decided_h, filled_h, e, s, PERP, side, why, rule, coins, price, fee, slipped)  # fmt: skip


def fill_intent(
    params: Params,
    market: Market,
    book: BookView,
    tape: Tape,
    lots: Lots,
    states: States,
    intent: Intent,
    bar: int,
) -> tuple[bool, States]:
    """Fill one intent at the open of bar `bar`, if the bars it needs exist (U-5); say whether it is done."""
    s = intent.symbol
    spot = market.spot_open[s, bar]
    perp = market.perp_open[s, bar]
    filled_h = market.first_h + bar
    if intent.market == SPOT:
        if math.isnan(spot):
            return False, states
        return True, _fill_spot(params, book, tape, lots, states, intent, spot, filled_h)
    if math.isnan(perp) or (intent.market == PAIR and math.isnan(spot)):
        return False, states
    if intent.market == PAIR:
        return True, _fill_pair(params, book, tape, lots, states, intent, spot, perp, filled_h)
    return True, _fill_perp(params, book, tape, lots, states, intent, perp, filled_h)  # fmt: skip


def _fill_spot(
    params: Params,
    book: BookView,
    tape: Tape,
    lots: Lots,
    states: States,
    intent: Intent,
    open_: float,
    filled_h: int,
) -> States:
    e, s = intent.engine, intent.symbol
    table = params.instruments
    step = table.spot_step[s]
    if intent.side == SELL:
        coins = min(intent.qty_steps, whole_steps(book.spot_qty[e, s], step)) * step
        if coins > 0.0:
            profit = sell_spot(params, book, tape, lots, intent, coins, open_, filled_h)
            if e == TACTICAL and profit > 0.0:
                _hand_over(book, tape, profit, filled_h)
                states = states._replace(core=core_hodl.on_deposit(params.core, states.core, profit))
            states = _after_spot_sale(params, book, tape, lots, states, intent, open_, filled_h)
        return states
    quote = intent.quote_steps * table.quote_step[s]
    price = fill_price(open_, BUY, params.risk.slippage_frac, table.spot_tick[s])
    coins = whole_steps(quote / price, step) * step
    if coins <= 0.0:
        return states
    was_flat = book.spot_qty[e, s] * open_ < DUST_USDT
    spent = buy_spot(params, book, tape, lots, intent, coins, open_, filled_h)
    if e == CORE_HODL:
        return states._replace(core=core_hodl.on_fill(states.core, s, spent, intent.plan_usdt))
    state = tactical.on_buy(states.tactical, s, intent.level, quote, filled_h, was_flat)
    return states._replace(tactical=state)  # fmt: skip


def _hand_over(book: BookView, tape: Tape, profit: float, at_h: int) -> None:
    """Move the profit of a profitable TACTICAL exit to CORE_HODL (CAP-2)."""
    bar = tape.counts[0]
    book.cash[TACTICAL] -= profit
    book.cash[CORE_HODL] += profit
    tape.engine_flow[TACTICAL, bar] -= profit
    tape.engine_flow[CORE_HODL, bar] += profit
    write_event(tape, at_h, TRANSFER, TACTICAL, -1, CORE_HODL, profit)


def _after_spot_sale(
    params: Params,
    book: BookView,
    tape: Tape,
    lots: Lots,
    states: States,
    intent: Intent,
    open_: float,
    filled_h: int,
) -> States:
    e, s = intent.engine, intent.symbol
    if e == FUNDING:
        return _forget_pair(params, book, tape, lots, states, intent, open_, filled_h)
    if book.spot_qty[e, s] * open_ < DUST_USDT:
        _close_lot(tape, book, lots, e, s, BUY, filled_h, intent.reason, open_)
    return states


def _forget_pair(
    params: Params,
    book: BookView,
    tape: Tape,
    lots: Lots,
    states: States,
    intent: Intent,
    spot: float,
    filled_h: int,
) -> States:
    """Close the record of a pair of which nothing is left that could be sold."""
    s = intent.symbol
    if book.perp_qty[FUNDING, s] != 0.0:
        return states
    if coins_are_a_pair(params.instruments, s, book.spot_qty[FUNDING, s], spot):
        return states
    _close_lot(tape, book, lots, FUNDING, s, 0, filled_h, intent.reason, spot)
    return states._replace(funding=funding.closed(states.funding, s))


def _fill_pair(
    params: Params,
    book: BookView,
    tape: Tape,
    lots: Lots,
    states: States,
    intent: Intent,
    spot: float,
    perp: float,
    filled_h: int,
) -> States:
    """Fill both legs of a pair at the same instant, spot first (FUND-3)."""
    e, s = intent.engine, intent.symbol
    table = params.instruments
    coins = intent.qty_steps * table.perp_step[s]
    if not intent.reduces:
        gross = steps_up(coins / (1.0 - params.risk.spot_fee_frac), table.spot_step[s]) * table.spot_step[s]
        buy_spot(params, book, tape, lots, intent, gross, spot, filled_h)
        open_perp(params, book, tape, lots, intent, SELL, coins, perp, filled_h)
        return states._replace(funding=funding.opened(params.funding, states.funding, s, filled_h))
    held = abs(book.perp_qty[e, s])
    whole = coins > held - 0.5 * table.perp_step[s]
    wanted = book.spot_qty[e, s] if whole else coins
    sold = whole_steps(min(wanted, book.spot_qty[e, s]), table.spot_step[s]) * table.spot_step[s]
    if sold > 0.0:
        sell_spot(params, book, tape, lots, intent, sold, spot, filled_h)
    bought = min(coins, held)
    if bought > 0.0:
        price = fill_price(perp, BUY, params.risk.slippage_frac, table.perp_tick[s])
        close_perp(
            params,
            book,
            tape,
            lots,
            e,
            s,
            bought,
            price,
            perp,
            params.risk.perp_fee_frac,
            intent.decided_h,
            filled_h,
            intent.reason,
            intent.rule,
        )
    return _forget_pair(params, book, tape, lots, states, intent, spot, filled_h)


def _fill_perp(
    params: Params, book: BookView, tape: Tape, lots: Lots, states: States, intent: Intent, open_: float, filled_h: int
) -> States:
    e, s = intent.engine, intent.symbol
    table = params.instruments
    coins = intent.qty_steps * table.perp_step[s]
    if not intent.reduces:
        price = open_perp(params, book, tape, lots, intent, intent.side, coins, open_, filled_h)
        stop = trend.stop_price(params.trend, intent.side, price, intent.atr, table.perp_tick[s])
        trend.open_in_place(states.trend, s, intent.side, price, intent.atr, stop, coins)
        return states
    held = book.perp_qty[e, s]
    coins = min(coins, abs(held))
    if coins <= 0.0:
        return states
    price = fill_price(open_, intent.side, params.risk.slippage_frac, table.perp_tick[s])
    close_perp(
        params,
        book,
        tape,
        lots,
        e,
        s,
        coins,
        price,
        open_,
        params.risk.perp_fee_frac,
        intent.decided_h,
        filled_h,
        intent.reason,
        intent.rule,
    )
    return _after_perp_close(book, tape, lots, states, e, s, -intent.side, filled_h, intent.reason, price)  # fmt: skip


def _after_perp_close(
    book: BookView,
    tape: Tape,
    lots: Lots,
    states: States,
    engine: int,
    symbol: int,
    side: int,
    closed_h: int,
    why: int,
    price: float,
) -> States:
    if engine == TREND and book.perp_qty[engine, symbol] == 0.0:
        _close_lot(tape, book, lots, engine, symbol, side, closed_h, why, price)
        trend.close_in_place(states.trend, symbol)
    return states


def mark_low(market: Market, symbol: int, bar: int) -> float:
    """Give the lowest mark price of a bar: the higher of the two lows, so a wick of one market alone is none (U-11)."""
    spot = market.spot_low[symbol, bar]
    perp = market.perp_low[symbol, bar]
    if math.isnan(spot):
        return float(perp)
    return float(max(spot, perp))


def mark_high(market: Market, symbol: int, bar: int) -> float:
    """Give the highest mark price of a bar: the lower of the two highs (U-11)."""
    spot = market.spot_high[symbol, bar]
    perp = market.perp_high[symbol, bar]
    if math.isnan(spot):
        return float(perp)
    return float(min(spot, perp))


def liquidation_reach(params: Params) -> float:
    """Give how far, as a fraction of entry, an isolated TREND position may move against us (TREND-F1)."""
    return 1.0 / params.trend.leverage - params.trend.maintenance_frac


def liquidation_price(reach_frac: float, side: int, entry: float) -> float:
    """Give the mark price at which an isolated TREND position is liquidated (TREND-F1)."""
    return entry * (1.0 - side * reach_frac)


def run_stops(
    params: Params, market: Market, book: BookView, tape: Tape, lots: Lots, states: States, bar: int
) -> States:
    """Trigger TREND's stops and liquidations inside one bar (TREND-X2, TREND-F1)."""
    at_h = market.first_h + bar
    tick = params.instruments.perp_tick
    contracts, opens = book.perp_qty, market.perp_open
    for s in range(contracts.shape[1]):
        held = contracts[TREND, s]
        if held == 0.0:
            continue
        open_ = opens[s, bar]
        if math.isnan(open_):
            continue
        side = BUY if held > 0.0 else SELL
        entry = book.perp_entry[TREND, s]
        stop = states.trend.stop[s]
        ruin = liquidation_price(liquidation_reach(params), side, entry)
        # Mirrored prices let one comparison serve longs and shorts.
        worst = mark_low(market, s, bar) if side > 0 else -mark_high(market, s, bar)
        if worst > max(side * stop, side * ruin):
            continue
        if side * open_ <= side * ruin or side * stop <= side * ruin:
            price = entry * (1.0 - side / params.trend.leverage)
            touched, fee_frac, why = price, 0.0, reason.TREND_LIQUIDATION
            write_event(tape, at_h, LIQUIDATION, TREND, s, 0, abs(held) * entry / params.trend.leverage)
        else:
            touched = side * min(side * open_, side * stop)
            price = fill_price(touched, -side, params.risk.slippage_frac, tick[s])
            fee_frac = params.risk.perp_fee_frac
            why = reason.TREND_TRAIL if states.trend.trailing[s] else reason.TREND_STOP
        close_perp(
            params, book, tape, lots, TREND, s, abs(held), price, touched, fee_frac, at_h, at_h, why, reason.NONE
        )
        states = _after_perp_close(book, tape, lots, states, TREND, s, side, at_h, why, price)
    return states


def liquidate_funding(
    params: Params, market: Market, book: BookView, tape: Tape, lots: Lots, marks: Marks, bar: int
) -> None:
    """Liquidate FUNDING's perps when margin at the mark highs is used up (FUND-2); the spot legs stay."""
    margin = book.cash[FUNDING]
    notional = 0.0
    contracts = book.perp_qty
    for s in range(contracts.shape[1]):
        held = contracts[FUNDING, s]
        if held != 0.0:
            high = marks.perp[s] if math.isnan(market.perp_open[s, bar]) else mark_high(market, s, bar)
            margin += held * (high - book.perp_entry[FUNDING, s])
            notional += abs(held) * high
    if notional == 0.0 or margin > params.funding.maintenance_frac * notional:
        return
    at_h = market.first_h + bar
    for s in range(book.perp_qty.shape[1]):
        held = book.perp_qty[FUNDING, s]
        if held != 0.0:
            high = marks.perp[s] if math.isnan(market.perp_open[s, bar]) else mark_high(market, s, bar)
            write_event(tape, at_h, LIQUIDATION, FUNDING, s, 0, abs(held) * high)
            close_perp(
                params, book, tape, lots, FUNDING, s, abs(held), high, high, params.risk.perp_fee_frac, at_h, at_h,
                reason.FUND_LIQUIDATION, reason.NONE,
            )  # fmt: skip
    # The loss ends at the margin: the exchange's insurance takes the rest.
    if book.cash[FUNDING] < 0.0:
        book.trade[FUNDING, 0] -= book.cash[FUNDING]
        book.realised[FUNDING] -= book.cash[FUNDING]
        book.cash[FUNDING] = 0.0


def delist(
    params: Params, market: Market, book: BookView, tape: Tape, lots: Lots, marks: Marks, states: States, bar: int
) -> States:
    """End what is held of symbols that cease to exist: perps settle at the last price, coins are written to zero."""
    at_h = market.first_h + bar
    for s in range(len(marks.spot)):
        if at_h != market.delisted_h[s]:
            continue
        for e in range(4):
            held = abs(book.perp_qty[e, s])
            if held > 0.0:
                side = BUY if book.perp_qty[e, s] > 0.0 else SELL
                price = marks.perp[s]
                close_perp(
                    params,
                    book,
                    tape,
                    lots,
                    e,
                    s,
                    held,
                    price,
                    price,
                    params.risk.perp_fee_frac,
                    at_h,
                    at_h,
                    reason.DELISTED,
                    reason.NONE,
                )
                states = _after_perp_close(book, tape, lots, states, e, s, side, at_h, reason.DELISTED, price)
            if book.spot_qty[e, s] > 0.0:
                write_event(tape, at_h, DELISTING, e, s, 0, book.spot_qty[e, s] * marks.spot[s])
                book.realised[e] -= book.spot_cost[e, s]
                book.spot_qty[e, s] = 0.0
                book.spot_cost[e, s] = 0.0
                if e == FUNDING:
                    states = states._replace(funding=funding.closed(states.funding, s))
        # From here on the coin is as one never listed: CORE_HODL takes its money out of the plan (CORE-2).
        marks.spot_h[s] = -1
        marks.perp_h[s] = -1
    return states
