"""The breaker's hour: what it watches, how it advances, and what it cuts and closes (section 7, BRK-4)."""

from __future__ import annotations

from eternal_engine.model import reason
from eternal_engine.model.rule import Rule
from eternal_engine.portfolio.params import BookView, Decision, Equities, Intent, Marks, Params, States
from eternal_engine.portfolio.review import pass_reduction, reduction_at_mark
from eternal_engine.portfolio.valuation import is_busy, pair_is_open, portfolio_usdt
from eternal_engine.risk import breaker
from eternal_engine.strategies.base import BUY, FUNDING, PAIR, PERP, SELL, TREND

RULES = (
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


def advance_risk(params: Params, states: States, now_h: int, equity: Equities) -> States:
    """Advance loss limits, bases and breaker by one hour; an unknown equity advances nothing (U-6)."""
    return states._replace(risk=risk_after(params, states.risk, now_h, equity))


def risk_after(params: Params, risk: breaker.RiskState, now_h: int, equity: Equities) -> breaker.RiskState:
    """Give the state of limits and breaker after one hour; an unknown equity advances nothing (U-6)."""
    if not equity.known:
        return risk
    return breaker.advance(params.risk.breaker, risk, now_h, scope_usdt(params, equity))


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
                close = reduction_at_mark(TREND, s, PERP, side, qty, marks, reason.BREAKER_CLOSE)
                pass_reduction(params, close, now_h, pending, decisions)
            elif level > level_before:
                target = (1.0 - ladder.caution_cut_frac) * qty
                if level == breaker.WARNING:
                    target = (1.0 - ladder.warning_cut_frac) * states.trend.base_qty[s]
                if qty - target > 0.0:
                    cut = reduction_at_mark(TREND, s, PERP, side, qty - target, marks, reason.BREAKER_CUT)
                    pass_reduction(params, cut, now_h, pending, decisions)
    if level >= breaker.ALERT:
        for s in range(len(marks.perp)):
            if pair_is_open(params.instruments, book, marks, s) and not is_busy(pending, FUNDING, s):
                qty = abs(book.perp_qty[FUNDING, s])
                close = reduction_at_mark(FUNDING, s, PAIR, SELL, qty, marks, reason.BREAKER_CLOSE)
                pass_reduction(params, close, now_h, pending, decisions)
