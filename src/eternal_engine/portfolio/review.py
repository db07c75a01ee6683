"""One signal through the risk manager: what it may see, and the whole steps it leaves with (U-3, RISK-0 to RISK-13)."""

from __future__ import annotations

import math

from eternal_engine.model import reason
from eternal_engine.model.codes import EPSILON
from eternal_engine.model.steps import whole_steps
from eternal_engine.portfolio.params import BookView, Decision, Equities, Intent, Marks, Params, States
from eternal_engine.portfolio.valuation import (
    engine_usdt,
    exposure_usdt,
    free_usdt,
    perp_exposure_usdt,
    portfolio_usdt,
    position_usdt,
)
from eternal_engine.risk import manager, sizing
from eternal_engine.risk.verdict import Exposure
from eternal_engine.strategies.base import PAIR, PERP, SPOT, TREND, Signal, reduce_signal


def review(
    params: Params,
    book: BookView,
    marks: Marks,
    pending: list[Intent],
    decisions: list[Decision],
    equity: Equities,
    states: States,
    signal: Signal,
    now_h: int,
    halted: bool,
    correlation: float,
) -> None:
    """Send one signal through the risk manager and append the resulting Intent and Decision."""
    if signal.reduces:
        pass_reduction(params, signal, now_h, pending, decisions)
        return
    seen = _exposure(params, book, marks, pending, equity, states, signal, now_h, halted, correlation)
    s = signal.symbol
    table = params.instruments
    if signal.quote_usdt > 0.0:
        verdict = manager.review_quote(params.risk, signal.engine, signal.quote_usdt, signal.price, seen)
        allowed = min(verdict.quote_usdt, table.spot_max_qty[s] * signal.price)
        steps = whole_steps(allowed, table.quote_step[s])
        enough = steps * table.quote_step[s] >= table.spot_min_usdt[s] - EPSILON
        qty_steps, quote_steps = 0, steps
        unit, wanted = table.quote_step[s], signal.quote_usdt
    else:
        verdict = manager.review_qty(params.risk, signal.engine, signal.market, signal.qty, signal.price, seen)
        allowed = min(verdict.qty, table.perp_max_qty[s])
        if signal.market == PAIR:
            # The spot leg is a little larger than the pair: it also pays the fee in coin.
            allowed = min(allowed, table.spot_max_qty[s] * (1.0 - params.risk.spot_fee_frac))
        steps = whole_steps(allowed, table.perp_step[s])
        coins = steps * table.perp_step[s]
        smallest = table.perp_min_usdt[s]
        if signal.market == PAIR:
            smallest = max(smallest, table.spot_min_usdt[s])
        enough = steps > 0 and coins >= table.perp_min_qty[s] - EPSILON and coins * signal.price >= smallest
        qty_steps, quote_steps = steps, 0
        unit, wanted = table.perp_step[s], signal.qty * signal.price
    approved = verdict.approved and enough
    # What another rule has cut below the smallest order is refused by that rule.
    rule = reason.RISK_10_ORDER if verdict.rule == reason.NONE and not enough else verdict.rule
    decisions.append(Decision(now_h, signal.engine, s, signal.reason, approved, rule, wanted))
    if approved:
        pending.append(_to_intent(signal, qty_steps, quote_steps, unit, verdict.rule, now_h))


def deny(signal: Signal, rule: int, now_h: int, decisions: list[Decision]) -> None:
    """Refuse an entry sized in coins by a rule that looks neither at its coin nor at its size."""
    wanted = signal.qty * signal.price
    decisions.append(Decision(now_h, signal.engine, signal.symbol, signal.reason, False, rule, wanted))


def pass_reduction(
    params: Params, signal: Signal, now_h: int, pending: list[Intent], decisions: list[Decision]
) -> None:
    """Pass a reducing signal on in whole steps (RISK-0); only an unsellable remainder is refused (RISK-10)."""
    s = signal.symbol
    if signal.market == SPOT:
        unit = params.instruments.spot_step[s]
        steps = whole_steps(signal.qty, unit)
        enough = steps * unit * signal.price >= params.instruments.spot_min_usdt[s]
    else:
        unit = params.instruments.perp_step[s]
        steps = whole_steps(signal.qty, unit)
        enough = steps > 0 or signal.market == PAIR
    rule = reason.NONE if enough else reason.RISK_10_ORDER
    wanted = signal.qty * signal.price
    decisions.append(Decision(now_h, signal.engine, s, signal.reason, enough, rule, wanted))
    if enough:
        pending.append(_to_intent(signal, steps, 0, unit, rule, now_h))


def reduction_at_mark(engine: int, symbol: int, market: int, side: int, qty: float, marks: Marks, why: int) -> Signal:
    """Build the wish to shrink a position by `qty` coins, priced at its market's last close (a pair: the perp's)."""
    price = marks.spot[symbol] if market == SPOT else marks.perp[symbol]
    return reduce_signal(engine, symbol, market, side, qty, price, why)


def held_trend_positions(book: BookView) -> int:
    """Count TREND's symbols held; one whose exit has not filled still counts (TREND-E1)."""
    count = 0
    for s in range(book.perp_qty.shape[1]):
        if book.perp_qty[TREND, s] != 0.0:
            count += 1
    return count


def open_trend_positions(book: BookView, pending: list[Intent]) -> int:
    """Count TREND's symbols held or being entered."""
    count = held_trend_positions(book)
    for intent in pending:
        if intent.engine == TREND and not intent.reduces:
            count += 1
    return count


def _exposure(
    params: Params,
    book: BookView,
    marks: Marks,
    pending: list[Intent],
    equity: Equities,
    states: States,
    signal: Signal,
    now_h: int,
    halted: bool,
    correlation: float,
) -> Exposure:
    """Gather what the risk manager looks at for one signal."""
    engine = signal.engine
    symbol = signal.symbol
    kelly = math.inf
    if engine == TREND and book.trend_closed[0] >= params.risk.kelly_min_trades:
        kelly = sizing.kelly_frac(
            book.trend_pnls, book.trend_closed[0], params.risk.kelly_window, params.risk.kelly_divisor
        )
    recent = 0
    for intent in pending:
        if intent.engine == engine and intent.decided_h == now_h:
            recent += 1
    last_h = marks.spot_h[symbol]
    mark = marks.spot[symbol]
    if signal.market != SPOT:
        last_h = min(last_h, marks.perp_h[symbol])
        mark = marks.perp[symbol] if signal.market == PERP else mark
    # Conditions stand outside the call: the compiler takes no branches inside calls of many arguments.
    perp_usdt = perp_exposure_usdt(params, book, marks, pending, engine) if signal.market != SPOT else 0.0
    open_count = open_trend_positions(book, pending) if engine == TREND else 0
    return Exposure(
        now_h=now_h,
        state=states.risk,
        known=equity.known,
        halted=halted,
        stale_bars=now_h - 1 - last_h,
        portfolio_usdt=portfolio_usdt(equity),
        engine_usdt=engine_usdt(equity, engine),
        free_usdt=free_usdt(params, book, marks, pending, engine),
        position_usdt=position_usdt(params, book, marks, pending, engine, symbol),
        perp_usdt=perp_usdt,
        open_count=open_count,
        correlation=correlation,
        kelly_frac=kelly,
        orders_last_minute=recent,
        exposure_usdt=exposure_usdt(params, book, marks, pending),
        mark=mark,
    )


def _to_intent(signal: Signal, qty_steps: int, quote_steps: int, unit: float, rule: int, now_h: int) -> Intent:
    return Intent(
        engine=signal.engine,
        symbol=signal.symbol,
        market=signal.market,
        side=signal.side,
        reduces=signal.reduces,
        qty_steps=qty_steps,
        quote_steps=quote_steps,
        price=signal.price,
        reason=signal.reason,
        rule=rule,
        decided_h=now_h,
        stop_distance=signal.stop_distance,
        atr=signal.atr,
        plan_usdt=signal.plan_usdt,
        level=signal.level,
        unit=unit,
    )
