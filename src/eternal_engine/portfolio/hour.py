"""One completed hour of the whole portfolio, in the order of U-8: risk, then each engine's decisions, then review.

The daemon calls these functions as plain Python; the backtest runs the same functions inside its compiled loop.
Nothing here reads a clock, waits or logs; orders come out as Intents appended to `pending`, reviewed signals as
Decisions appended to `decisions`.
"""

from __future__ import annotations

import math

import numpy as np

from eternal_engine.model import reason
from eternal_engine.model.codes import EPSILON
from eternal_engine.model.rule import Rule
from eternal_engine.model.steps import whole_steps
from eternal_engine.portfolio.params import (
    BookView,
    Decision,
    Equities,
    Features,
    Intent,
    Marks,
    Params,
    States,
)
from eternal_engine.portfolio.valuation import (
    engine_usdt,
    exposure_usdt,
    free_usdt,
    is_busy,
    perp_exposure_usdt,
    perp_notional_usdt,
    portfolio_usdt,
    position_usdt,
    unrealised_usdt,
)
from eternal_engine.risk import breaker, manager, sizing
from eternal_engine.risk.verdict import Exposure
from eternal_engine.strategies import core_hodl, funding, tactical, trend
from eternal_engine.strategies.base import (
    BUY,
    CORE_HODL,
    DUST_USDT,
    FUNDING,
    HOURS_PER_DAY,
    PAIR,
    PERP,
    SELL,
    SPOT,
    TACTICAL,
    TREND,
    Signal,
)

RULES = (
    Rule(
        "U-7",
        "Decisions, risk and breaker advance only when an hourly bar completes.",
        (),
        ("tests/unit/backtest/test_loop.py::test_u_10_hours_without_any_bar_advance_nothing",),
    ),
    Rule(
        "BRK-4",
        "A breaker's cuts and closes are reduce-only orders of the same hour, asked for until nothing is left.",
        (),
        ("tests/unit/portfolio/test_hour.py::test_brk_4_closing_orders_exist_within_one_loop",),
    ),
    Rule(
        "BRK-6",
        "No level of the breaker sells spot of CORE_HODL or TACTICAL.",
        (),
        ("tests/unit/portfolio/test_hour.py::test_brk_6_no_level_sells_spot_of_core_or_tactical",),
    ),
)


def scope_usdt(params: Params, equity: Equities) -> float:
    """Give the equity the breaker and the loss limits watch (section 7)."""
    if params.risk.breaker.scope == breaker.SCOPE_PORTFOLIO:
        return portfolio_usdt(equity)
    return equity.trend + equity.funding + equity.tactical


def _held_trend_positions(book: BookView) -> int:
    """Count TREND's symbols held; one whose exit has not filled still counts (TREND-E1)."""
    count = 0
    for s in range(book.perp_qty.shape[1]):
        if book.perp_qty[TREND, s] != 0.0:
            count += 1
    return count


def _open_trend_positions(book: BookView, pending: list[Intent]) -> int:
    """Count TREND's symbols held or being entered."""
    count = _held_trend_positions(book)
    for intent in pending:
        if intent.engine == TREND and not intent.reduces:
            count += 1
    return count


def _trend_correlation(
    params: Params, features: Features, book: BookView, pending: list[Intent], symbol: int, day: int
) -> float:
    """Give the largest correlation of a symbol with TREND's open or pending ones; -1 without any (RISK-11)."""
    largest = -1.0
    for s in range(book.perp_qty.shape[1]):
        held = book.perp_qty[TREND, s] != 0.0 or is_busy(pending, TREND, s)
        if s == symbol or not held:
            continue
        found = manager.correlation(
            features.trend.close[symbol], features.trend.close[s], day, params.risk.correlation_days
        )
        if math.isnan(found):
            return math.nan
        largest = max(largest, found)
    return largest


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
    open_count = _open_trend_positions(book, pending) if engine == TREND else 0
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


def trend_refusal(params: Params, book: BookView, states: States, now_h: int) -> int:
    """Give what refuses every entry of TREND now, or NONE: known equity, no operator halt, nothing on its way."""
    seen = Exposure(
        now_h=now_h,
        state=states.risk,
        known=True,
        halted=False,
        stale_bars=0,
        portfolio_usdt=0.0,
        engine_usdt=0.0,
        free_usdt=0.0,
        position_usdt=0.0,
        perp_usdt=0.0,
        open_count=_held_trend_positions(book),
        correlation=-1.0,
        kelly_frac=math.inf,
        orders_last_minute=0,
        exposure_usdt=0.0,
        mark=0.0,
    )
    return manager.standing_refusal(params.risk, TREND, seen)


def _to_intent(signal: Signal, qty_steps: int, quote_steps: int, rule: int, now_h: int) -> Intent:
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
    )


def _reduce(params: Params, signal: Signal, now_h: int, pending: list[Intent], decisions: list[Decision]) -> None:
    """Pass a reducing signal on in whole steps (RISK-0); only an unsellable remainder is refused (RISK-10)."""
    s = signal.symbol
    if signal.market == SPOT:
        steps = whole_steps(signal.qty, params.instruments.spot_step[s])
        enough = steps * params.instruments.spot_step[s] * signal.price >= params.instruments.spot_min_usdt[s]
    else:
        steps = whole_steps(signal.qty, params.instruments.perp_step[s])
        enough = steps > 0 or signal.market == PAIR
    rule = reason.NONE if enough else reason.RISK_10_CASH
    decisions.append(Decision(now_h, signal.engine, s, signal.reason, enough, rule))
    if enough:
        pending.append(_to_intent(signal, steps, 0, rule, now_h))


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
        _reduce(params, signal, now_h, pending, decisions)
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
    approved = verdict.approved and enough
    rule = verdict.rule if verdict.rule != reason.NONE or enough else reason.RISK_10_CASH
    if verdict.approved and not enough:
        rule = reason.RISK_10_CASH if verdict.rule == reason.NONE else verdict.rule
    decisions.append(Decision(now_h, signal.engine, s, signal.reason, approved, rule))
    if approved:
        pending.append(_to_intent(signal, qty_steps, quote_steps, verdict.rule, now_h))


def advance_risk(params: Params, states: States, now_h: int, equity: Equities) -> States:
    """Advance loss limits, bases and breaker by one hour; an unknown equity advances nothing (U-6)."""
    if not equity.known:
        return states
    return states._replace(risk=breaker.advance(params.risk.breaker, states.risk, now_h, scope_usdt(params, equity)))


def breaker_orders(
    params: Params,
    states: States,
    level_before: int,
    book: BookView,
    marks: Marks,
    pending: list[Intent],
    decisions: list[Decision],
    now_h: int,
) -> None:
    """Cut TREND when level 1 or 2 begins, keep closing TREND and FUNDING from level 3 on (BRK-4)."""
    level = states.risk.level
    if level == breaker.NORMAL:
        return
    ladder = params.risk.breaker
    for s in range(len(marks.perp)):
        held = book.perp_qty[TREND, s]
        if held != 0.0 and not is_busy(pending, TREND, s):
            side = SELL if held > 0.0 else BUY
            qty = abs(held)
            if level >= breaker.ALERT:
                _reduce(
                    params, _shrink(TREND, s, PERP, side, qty, marks, reason.BREAKER_CLOSE), now_h, pending, decisions
                )
            elif level > level_before:
                target = (1.0 - ladder.caution_cut_frac) * qty
                if level == breaker.WARNING:
                    target = (1.0 - ladder.warning_cut_frac) * states.trend.base_qty[s]
                if qty - target > 0.0:
                    cut = _shrink(TREND, s, PERP, side, qty - target, marks, reason.BREAKER_CUT)
                    _reduce(params, cut, now_h, pending, decisions)
    if level >= breaker.ALERT:
        for s in range(len(marks.perp)):
            if pair_is_open(book, marks, s) and not is_busy(pending, FUNDING, s):
                qty = abs(book.perp_qty[FUNDING, s])
                close = _shrink(FUNDING, s, PAIR, SELL, qty, marks, reason.BREAKER_CLOSE)
                _reduce(params, close, now_h, pending, decisions)


def _shrink(engine: int, symbol: int, market: int, side: int, qty: float, marks: Marks, why: int) -> Signal:
    price = marks.spot[symbol] if market == SPOT else marks.perp[symbol]
    return Signal(engine, symbol, market, side, True, qty, 0.0, price, why, 0.0, 0.0, 0.0, 0)


def pair_is_open(book: BookView, marks: Marks, symbol: int) -> bool:
    """Tell whether FUNDING holds either leg beyond dust (ORD-5)."""
    spot = book.spot_qty[FUNDING, symbol]
    return bool(book.perp_qty[FUNDING, symbol] != 0.0 or (spot > 0.0 and spot * marks.spot[symbol] >= DUST_USDT))


def core_observation(
    params: Params, book: BookView, marks: Marks, equity: Equities, now_h: int
) -> core_hodl.CoreObservation:
    """Gather what CORE_HODL may see."""
    symbols = len(marks.spot)
    fresh = np.zeros(symbols, np.bool_)
    listed = np.zeros(symbols, np.bool_)
    held = np.zeros(symbols)
    for s in range(symbols):
        fresh[s] = marks.spot_h[s] == now_h - 1
        listed[s] = marks.spot_h[s] >= 0
        if book.spot_qty[CORE_HODL, s] > 0.0:
            held[s] = book.spot_qty[CORE_HODL, s] * marks.spot[s]
    return core_hodl.CoreObservation(
        now_h=now_h,
        cash_usdt=book.cash[CORE_HODL],
        equity_usdt=equity.core,
        portfolio_usdt=portfolio_usdt(equity),
        price=marks.spot.copy(),
        fresh=fresh,
        listed=listed,
        held_usdt=held,
        min_usdt=params.instruments.spot_min_usdt,
    )


def decide_core(
    params: Params,
    book: BookView,
    marks: Marks,
    pending: list[Intent],
    decisions: list[Decision],
    equity: Equities,
    states: States,
    now_h: int,
    halted: bool,
) -> tuple[States, int]:
    """Settle the last cycle once its legs are done, and run the cycle that is due, if it may trade (CORE-6)."""
    state = states.core
    due = core_hodl.is_due(state, now_h)
    if not due and not state.settling:
        return states, 0
    if _engine_is_busy(pending, CORE_HODL):
        return states, 0
    seen = core_observation(params, book, marks, equity, now_h)
    if state.settling:
        state = core_hodl.settle(params.core, state, seen)
        states = states._replace(core=state)
    stopped = halted or states.risk.halted or states.risk.level >= breaker.EMERGENCY or not equity.known
    if not due or stopped:
        return states, 0
    state, signals, notes = core_hodl.decide(params.core, state, seen)
    states = states._replace(core=state)
    for signal in signals:
        review(params, book, marks, pending, decisions, equity, states, signal, now_h, halted, -1.0)
    return states, notes


def decide_trend(
    params: Params,
    features: Features,
    book: BookView,
    marks: Marks,
    pending: list[Intent],
    decisions: list[Decision],
    equity: Equities,
    states: States,
    now_h: int,
    settled: np.ndarray[tuple[int], np.dtype[np.int64]],
    halted: bool,
) -> States:
    """Decide TREND on a completed day: exits and trails first, then candidates by ADX (TREND-E1, RISK-8)."""
    symbols = len(marks.spot)
    day = now_h // HOURS_PER_DAY - 1 - features.first_day
    tradable = np.zeros(symbols, np.bool_)
    busy = np.zeros(symbols, np.bool_)
    held = book.perp_qty[TREND].copy()
    for s in range(symbols):
        tradable[s] = marks.spot_h[s] == now_h - 1 and marks.perp_h[s] == now_h - 1 and settled[s] > 0
        # What a breaker's cut leaves may still exit; a symbol whose whole position is leaving may not re-enter.
        left = _left_after(params, pending, s, held[s])
        busy[s] = is_busy(pending, TREND, s) and left == 0.0
        held[s] = left
    seen = trend.TrendObservation(
        day=day,
        engine_usdt=equity.trend,
        price=marks.perp.copy(),
        tradable=tradable,
        busy=busy,
        held_qty=held,
        tick=params.instruments.perp_tick,
    )
    state, exits, candidates = trend.decide(params.trend, features.trend, states.trend, seen)
    states = states._replace(trend=state)
    for signal in exits:
        _reduce(params, signal, now_h, pending, decisions)
    for signal in candidates:
        # Without a free slot a candidate is refused before anybody looks at its correlation (RISK-8).
        correlation = -1.0
        if _open_trend_positions(book, pending) < params.risk.max_positions_trend:
            correlation = _trend_correlation(params, features, book, pending, signal.symbol, day)
        review(params, book, marks, pending, decisions, equity, states, signal, now_h, halted, correlation)
    return states


def _left_after(params: Params, pending: list[Intent], symbol: int, held: float) -> float:
    """Give TREND's signed coins in a symbol once the reducing orders on their way have filled."""
    left = abs(held)
    step = params.instruments.perp_step[symbol]
    for intent in pending:
        if intent.engine == TREND and intent.symbol == symbol and intent.reduces:
            left -= intent.qty_steps * step
    if left < 0.5 * step:
        return 0.0
    return left if held > 0.0 else -left


def _cut_pairs(
    params: Params,
    states: States,
    book: BookView,
    marks: Marks,
    pending: list[Intent],
    decisions: list[Decision],
    now_h: int,
) -> States:
    """Cut every pair by a third when the margin ratio is low (FUND-X2)."""
    for s in range(len(marks.perp)):
        held = abs(book.perp_qty[FUNDING, s])
        step = params.instruments.perp_step[s]
        if held > 0.0 and marks.spot_h[s] == now_h - 1 and marks.perp_h[s] == now_h - 1:
            steps = whole_steps(held * params.funding.cut_frac, step)
            if steps > 0:
                cut = _shrink(FUNDING, s, PAIR, SELL, steps * step, marks, reason.FUND_CUT)
                _reduce(params, cut, now_h, pending, decisions)
                states = states._replace(funding=funding.was_cut(states.funding, s, now_h))
    return states


def _correct_hedge(
    params: Params,
    marks: Marks,
    pending: list[Intent],
    decisions: list[Decision],
    symbol: int,
    drift: float,
    now_h: int,
) -> None:
    """Shrink the larger leg to the smaller one (FUND-4): a correction never opens anything."""
    if drift > 0.0:
        signal = _shrink(FUNDING, symbol, SPOT, SELL, drift, marks, reason.FUND_HEDGE)
    else:
        signal = _shrink(FUNDING, symbol, PERP, BUY, -drift, marks, reason.FUND_HEDGE)
    _reduce(params, signal, now_h, pending, decisions)


def decide_funding(
    params: Params,
    features: Features,
    book: BookView,
    marks: Marks,
    pending: list[Intent],
    decisions: list[Decision],
    equity: Equities,
    states: States,
    now_h: int,
    settled: np.ndarray[tuple[int], np.dtype[np.int64]],
    halted: bool,
) -> States:
    """Decide FUNDING on a completed hour: each pair's exit, hedge, growth or entry; then the margin (FUND-X2)."""
    own, rows = params.funding, features.funding
    weights, pays, stamps = own.weights, rows.pays, rows.stamp_h
    spot_h, perp_h = marks.spot_h, marks.perp_h
    margin_low = False
    if equity.funding_notional > 0.0:
        margin = book.cash[FUNDING] + unrealised_usdt(book, marks, FUNDING)
        margin_low = funding.margin_is_low(own, margin, perp_notional_usdt(book, marks, FUNDING))
    for s in range(len(weights)):
        if weights[s] <= 0.0 or settled[s] < 1 or spot_h[s] != now_h - 1 or perp_h[s] != now_h - 1:
            continue
        held = pair_is_open(book, marks, s)
        if not held and (margin_low or not pays[s, settled[s] - 1]):
            continue
        if len(pending) > 0 and is_busy(pending, FUNDING, s):
            continue
        seen = funding.PairObservation(
            now_h=now_h,
            settled=settled[s],
            settles_now=stamps[s, settled[s] - 1] == now_h,
            spot=marks.spot[s],
            perp=marks.perp[s],
            engine_usdt=equity.funding,
            spot_qty=book.spot_qty[FUNDING, s],
            perp_qty=-book.perp_qty[FUNDING, s],
        )
        if held:
            states = _tend_pair(
                params, features, book, marks, pending, decisions, equity, states, s, seen, halted, margin_low
            )
        elif funding.wants_entry(own, rows, s, seen):
            _enter_pair(params, book, marks, pending, decisions, equity, states, s, seen, reason.FUND_ENTRY, halted)
    if margin_low and not _engine_is_busy(pending, FUNDING):
        states = _cut_pairs(params, states, book, marks, pending, decisions, now_h)
    return states


def _engine_is_busy(pending: list[Intent], engine: int) -> bool:
    for intent in pending:
        if intent.engine == engine:
            return True
    return False


def _tend_pair(
    params: Params,
    features: Features,
    book: BookView,
    marks: Marks,
    pending: list[Intent],
    decisions: list[Decision],
    equity: Equities,
    states: States,
    symbol: int,
    seen: funding.PairObservation,
    halted: bool,
    margin_low: bool,
) -> States:
    """Exit, correct, review or grow one open pair (FUND-X1, FUND-4, FUND-X2)."""
    why = funding.exit_reason(params.funding, features.funding, states.funding, symbol, seen)
    if why != reason.NONE:
        close = _shrink(FUNDING, symbol, PAIR, SELL, seen.perp_qty, marks, why)
        _reduce(params, close, seen.now_h, pending, decisions)
        return states
    drift = funding.hedge_drift_qty(params.funding, seen.spot_qty, seen.perp_qty)
    if drift != 0.0:
        _correct_hedge(params, marks, pending, decisions, symbol, drift, seen.now_h)
    elif (
        not margin_low
        and funding.may_grow(states.funding, symbol, seen)
        and funding.wants_entry(params.funding, features.funding, symbol, seen)
    ):
        _enter_pair(params, book, marks, pending, decisions, equity, states, symbol, seen, reason.FUND_GROW, halted)
    if seen.now_h >= states.funding.review_h[symbol] and states.funding.opened_h[symbol] > 0:
        states = states._replace(funding=funding.reviewed(params.funding, states.funding, symbol, seen.now_h))
    return states


def _enter_pair(
    params: Params,
    book: BookView,
    marks: Marks,
    pending: list[Intent],
    decisions: list[Decision],
    equity: Equities,
    states: States,
    symbol: int,
    seen: funding.PairObservation,
    why: int,
    halted: bool,
) -> None:
    """Ask for a pair up to its target, or for what is missing of one that was cut (FUND-2)."""
    wanted = funding.target_usdt(params.funding, symbol, seen.engine_usdt) / seen.spot - seen.perp_qty
    if wanted > 0.0:
        signal = Signal(FUNDING, symbol, PAIR, BUY, False, wanted, 0.0, seen.spot, why, 0.0, 0.0, 0.0, 0)
        review(params, book, marks, pending, decisions, equity, states, signal, seen.now_h, halted, -1.0)


def decide_tactical(
    params: Params,
    features: Features,
    book: BookView,
    marks: Marks,
    pending: list[Intent],
    decisions: list[Decision],
    equity: Equities,
    states: States,
    now_h: int,
    halted: bool,
) -> States:
    """Decide TACTICAL on a completed day: exits, then what the levels and options still ask for (TACT-E1)."""
    symbols = len(marks.spot)
    fresh = np.zeros(symbols, np.bool_)
    busy = np.zeros(symbols, np.bool_)
    for s in range(symbols):
        fresh[s] = marks.spot_h[s] == now_h - 1
        busy[s] = is_busy(pending, TACTICAL, s)
    seen = tactical.TacticalObservation(
        now_h=now_h,
        day=now_h // HOURS_PER_DAY - 1 - features.first_day,
        cash_usdt=book.cash[TACTICAL],
        price=marks.spot.copy(),
        fresh=fresh,
        busy=busy,
        held_qty=book.spot_qty[TACTICAL].copy(),
        cost_usdt=book.spot_cost[TACTICAL].copy(),
        min_usdt=params.instruments.spot_min_usdt,
    )
    state, exits, buys = tactical.decide(params.tactical, features.tactical, states.tactical, seen)
    states = states._replace(tactical=state)
    for signal in exits:
        _reduce(params, signal, now_h, pending, decisions)
    for signal in buys:
        review(params, book, marks, pending, decisions, equity, states, signal, now_h, halted, -1.0)
    return states


def decide_all(
    params: Params,
    features: Features,
    book: BookView,
    marks: Marks,
    pending: list[Intent],
    decisions: list[Decision],
    equity: Equities,
    states: States,
    now_h: int,
    settled: np.ndarray[tuple[int], np.dtype[np.int64]],
    level_before: int,
    halted: int,
) -> tuple[States, int]:
    """Decide one completed hour after risk has advanced: breaker orders, then the engines in the order of U-8.

    `halted` has bit e set when the operator halts engine e; the second result are CORE_HODL's NOTE_ flags.
    """
    breaker_orders(params, states, level_before, book, marks, pending, decisions, now_h)
    notes = 0
    if params.core.enabled:
        stop = halted & 1 != 0
        states, notes = decide_core(params, book, marks, pending, decisions, equity, states, now_h, stop)
    day_closed = now_h % HOURS_PER_DAY == 0 and now_h // HOURS_PER_DAY > features.first_day
    if params.trend.enabled and day_closed:
        stop = halted & 2 != 0
        states = decide_trend(params, features, book, marks, pending, decisions, equity, states, now_h, settled, stop)
    if params.funding.enabled:
        stop = halted & 4 != 0
        states = decide_funding(params, features, book, marks, pending, decisions, equity, states, now_h, settled, stop)
    if params.tactical.enabled and day_closed:
        stop = halted & 8 != 0
        states = decide_tactical(params, features, book, marks, pending, decisions, equity, states, now_h, stop)
    return states, notes
