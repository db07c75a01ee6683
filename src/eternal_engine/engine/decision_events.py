"""What a decided hour leaves in the journal: equities, changes, verdicts, and what the engines looked at."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from eternal_engine.engine import hour
from eternal_engine.engine.hour import Decided
from eternal_engine.engine.idle_triggers import idle_triggers
from eternal_engine.engine.memory import Memory
from eternal_engine.engine.missing_bars import missing_bars
from eternal_engine.engine.timing import hour_start
from eternal_engine.engine.view import ENGINES
from eternal_engine.engine.warm_up import warming_up
from eternal_engine.model import reason
from eternal_engine.model.conversion import exact_from_float
from eternal_engine.model.event import (
    BreakerChanged,
    EquityMarked,
    ErrorOccurred,
    Event,
    LossLimitHit,
    Noted,
    PhaseChanged,
    Reviewed,
)
from eternal_engine.model.event import Decided as DecidedEvent
from eternal_engine.model.ids import Engine, RuleId, Symbol
from eternal_engine.model.money import ZERO
from eternal_engine.portfolio.params import Decision, Features, Intent, Marks, Params
from eternal_engine.portfolio.valuation import engine_usdt, intent_notional_usdt, portfolio_usdt
from eternal_engine.risk.breaker import LEVELS, SCOPE_PORTFOLIO, RiskState, loss_frac
from eternal_engine.strategies import core_hodl
from eternal_engine.strategies.base import CORE_HODL, FUNDING, HOURS_PER_DAY, TACTICAL, TREND
from eternal_engine.strategies.core_hodl import PHASES

CENT: Final = Decimal("0.01")
HALTED: Final = RuleId("RISK-1")
# What else than the operator or an emergency stop makes entries wait, and the words for it.
HALT_WORDS: Final = {
    HALTED: "halted",
    RuleId("RISK-3"): "no line to the exchange, or a clock that is wrong",
    RuleId("RISK-13"): "the arming of live trading does not hold",
}
HELD_WORDS: Final = {
    hour.UNDER_REVIEW: "the symbol waits for the operator's review",
    hour.BOUGHT_BEFORE: "bought before the database was lost, not due again yet",
}


def decision_events(
    params: Params,
    decided: Decided,
    memory_before: Memory,
    features: Features,
    marks: Marks,
    now_h: int,
    at: datetime,
    config_hash: str,
    halted_by: RuleId = HALTED,
) -> list[Event]:
    """List the events of one decided hour, without its orders.

    `halted_by` is the rule that makes entries wait where neither the operator nor an emergency stop does.
    """
    events: list[Event] = list(_equities(decided, now_h))
    events += _risk_events(decided, at)
    if params.risk.breaker.scope != SCOPE_PORTFOLIO:
        events += _portfolio_events(decided, memory_before, at)
    events += _core_events(decided, memory_before, at)
    events += idle_triggers(params, features, now_h, at)
    events += warming_up(params, features, decided.memory.symbols, now_h, at)
    events += missing_bars(marks, decided.memory.symbols, now_h, at)
    verdicts = _with_intents(decided)
    for number, engine in enumerate(ENGINES):
        own = [(decision, intent) for decision, intent in verdicts if decision.engine == number]
        intents = [intent for intent in decided.intents if intent.engine == number]
        daily = number == TREND and now_h % HOURS_PER_DAY == 0 and params.trend.enabled
        if own or intents or daily:
            seen = _inputs(params, decided, features, marks, number, now_h)
            signals = [_signal(intent, decided.memory.symbols) for intent in intents]
            events.append(DecidedEvent(at, engine, hour_start(now_h), _json(seen), _json(signals), config_hash))
        for decision, intent in own:
            held_by = None if intent is None else hour.held_by(memory_before, intent, now_h)
            symbol = Symbol(decided.memory.symbols[decision.symbol])
            by = HALTED if is_halted(memory_before, decided.memory.states.risk, number) else halted_by
            events.append(_review(params, decision, intent, held_by, symbol, engine, now_h, at, by))
    return events


def is_halted(memory: Memory, risk: RiskState, engine: int) -> bool:
    """Tell whether an operator's halt or an emergency stop holds an engine's entries (RISK-1)."""
    return bool(memory.halted >> engine & 1) or bool(risk.halted)


def denied_by(rule: int, halted_by: RuleId) -> tuple[RuleId, str]:
    """Name the rule behind a verdict, and its words: a halt is of the rule that asks for it."""
    if rule == reason.RISK_1_HALT:
        return halted_by, f"{halted_by} {HALT_WORDS[halted_by]}"
    return RuleId(reason.rule_id(rule)), reason.words(rule)


def unpriced_said(decided: Decided, at: datetime) -> ErrorOccurred:
    """Say which held coins have no price: nobody is to find it out from entries that stay away (U-6)."""
    names = ", ".join(decided.memory.symbols[s] for s in decided.unpriced)
    what = f"no price of {names}, which is held: equity is unknown, all entries wait, and the breaker stands still"
    mend = "wait while the exchange has only halted it; else sell it or move it away there: the daemon books that"
    return ErrorOccurred(at, what, "equity", mend)


def _with_intents(decided: Decided) -> list[tuple[Decision, Intent | None]]:
    """Put each verdict beside the intent it allowed: they come in the same order."""
    asked = iter(decided.asked)
    return [(decision, next(asked) if decision.approved else None) for decision in decided.decisions]


def _equities(decided: Decided, now_h: int) -> list[EquityMarked]:
    at = hour_start(now_h)
    why = "" if decided.equity.known else "a price is missing"
    return [
        EquityMarked(
            at, engine.account, _money(engine_usdt(decided.equity, number)) if decided.equity.known else None, why
        )
        for number, engine in enumerate(ENGINES)
    ]


def _risk_events(decided: Decided, at: datetime) -> list[Event]:
    before, after = decided.risk_before, decided.memory.states.risk
    events: list[Event] = []
    if after.level != before.level:
        words = f"{LEVELS[before.level]} -> {LEVELS[after.level]}"
        high = before.high_usdt if after.level > before.level else after.high_usdt
        events.append(
            BreakerChanged(
                at, before.level, after.level, _money(decided.scope_usdt), _money(high), RuleId("BRK-1"), words
            )
        )
    events += _losses(before, after, decided.scope_usdt, at)
    if after.approvals != before.approvals:
        events.append(Noted(at, RuleId("BRK-5"), "approved by the operator that fast paper trading brings along"))
    if after.halted and not before.halted:
        events.append(Noted(at, RuleId("RISK-1"), "emergency stop: all engines wait for the operator"))
    return events


def _portfolio_events(decided: Decided, before: Memory, at: datetime) -> list[Event]:
    """Say that the whole portfolio has fallen to another level of the ladder; nothing acts on it (section 7)."""
    after = decided.memory
    if after.portfolio_level <= before.portfolio_level:
        return []
    fall = 1.0 - portfolio_usdt(decided.equity) / after.portfolio_high_usdt
    words = f"the whole portfolio is {fall:.4f} below its high, as deep as {LEVELS[after.portfolio_level]}; only said"
    return [Noted(at, RuleId("BRK-1"), words)]


def _losses(before: RiskState, after: RiskState, scope_usdt: float, at: datetime) -> list[Event]:
    """Say the losses by the bases they were checked against: at 00:00 the new day has begun since (U-8)."""
    events: list[Event] = []
    rows = (
        ("RISK-4", before.day_block_h, after.day_block_h, before.day_base_usdt, after.day_warned > before.day_warned),
        (
            "RISK-5",
            before.week_block_h,
            after.week_block_h,
            before.week_base_usdt,
            after.week_warned > before.week_warned,
        ),
    )
    for rule, was_h, now_h, base, warned in rows:
        lost = loss_frac(base, scope_usdt)
        if now_h != was_h:
            events.append(LossLimitHit(at, RuleId(rule), _money(lost), hour_start(now_h)))
        elif warned:
            near = "00:00 UTC, near the daily limit" if rule == "RISK-4" else "Monday 00:00 UTC, near the weekly limit"
            events.append(Noted(at, RuleId(rule), f"warning: a loss of {lost * 100:.2f} % since {near}"))
    return events


def _core_events(decided: Decided, before: Memory, at: datetime) -> list[Event]:
    old, new = before.states.core, decided.memory.states.core
    events: list[Event] = []
    if old.phase != new.phase:
        events.append(PhaseChanged(at, Engine.CORE_HODL, PHASES[old.phase], PHASES[new.phase], RuleId("CORE-7")))
    notes = (
        (core_hodl.NOTE_EXTENDED, "CORE-4", f"the plan grows by one week, to {new.weeks_remaining}"),
        (core_hodl.NOTE_NO_CASH, "CORE-9", "NO_CASH: the cycle counts and buys nothing"),
        (core_hodl.NOTE_STILL_OFF, "CORE-8", f"BTC/ETH still off, {new.weeks_needed:.0f} weeks needed at this flow"),
    )
    events += [Noted(at, RuleId(rule), words, Engine.CORE_HODL) for flag, rule, words in notes if decided.notes & flag]
    return events


def _review(
    params: Params,
    decision: Decision,
    intent: Intent | None,
    held_by: RuleId | None,
    symbol: Symbol,
    engine: Engine,
    now_h: int,
    at: datetime,
    halted_by: RuleId,
) -> Reviewed:
    """Say one verdict; an approved entry that is held back is denied by what holds it."""
    asked = _money(decision.asked_usdt).quantize(CENT) if math.isfinite(decision.asked_usdt) else ZERO
    allowed = ZERO if intent is None else _money(intent_notional_usdt(params, intent)).quantize(CENT)
    verdict = "denied"
    if decision.approved and held_by is None:
        verdict = "approved" if decision.rule == reason.NONE else "resized"
    rule, words = denied_by(decision.rule if decision.rule != reason.NONE else decision.reason, halted_by)
    why = f", by {words}" if decision.rule != reason.NONE else ""
    if held_by is not None:
        rule, why = held_by, f", by {held_by} {HELD_WORDS[held_by]}"
    return Reviewed(
        at=at,
        engine=engine,
        symbol=symbol,
        decided_at=hour_start(now_h),
        verdict=verdict,
        rule=rule,
        detail=f"{reason.words(decision.reason)}{why}",
        asked=asked,
        allowed=allowed if held_by is None else ZERO,
    )


def _signal(intent: Intent, symbols: Sequence[str]) -> dict[str, Any]:
    return {
        "symbol": symbols[intent.symbol],
        "side": "buy" if intent.side > 0 else "sell",
        "reduces": bool(intent.reduces),
        "reason": reason.words(intent.reason),
        "resized_by": reason.words(intent.rule),
        "qty_steps": int(intent.qty_steps),
        "quote_steps": int(intent.quote_steps),
        "price_usdt": _number(intent.price),
    }


def _inputs(
    params: Params, decided: Decided, features: Features, marks: Marks, engine: int, now_h: int
) -> dict[str, Any]:
    """Gather what an engine looked at, in numbers a person can check."""
    symbols = decided.memory.symbols
    states = decided.memory.states
    common: dict[str, Any] = {
        "equity_usdt": _number(engine_usdt(decided.equity, engine)),
        "breaker_level": int(states.risk.level),
    }
    day = now_h // HOURS_PER_DAY - 1 - features.first_day
    rows: dict[str, dict[str, Any]] = {}
    for s, symbol in enumerate(symbols):
        if engine == CORE_HODL:
            rows[symbol] = {"price": marks.spot[s], "gap_usdt": states.core.gap_usdt[s]}
        elif engine == TREND and 0 <= day < features.trend.close.shape[1]:
            rows[symbol] = {
                "close": features.trend.close[s, day],
                "sma": features.trend.sma[s, day],
                "ema": features.trend.ema[s, day],
                "adx": features.trend.adx[s, day],
                "atr": features.trend.atr[s, day],
                "stop": states.trend.stop[s],
            }
        elif engine == FUNDING and params.funding.weights[s] > 0.0:
            known = features.funding.stamp_h[s] <= now_h
            count = int(known.sum())
            rows[symbol] = {
                "spot": marks.spot[s],
                "perp": marks.perp[s],
                "mean_rate": features.funding.mean_rate[s, count - 1] if count else math.nan,
            }
        elif engine == TACTICAL and 0 <= day < features.tactical.close.shape[1]:
            rows[symbol] = {"close": features.tactical.close[s, day], "price": marks.spot[s]}
    if engine == CORE_HODL:
        # The gap is the one before this cycle's fills, the weeks are those after it: gap / (weeks + 1) is the leg.
        common |= {"phase": PHASES[states.core.phase], "weeks_left_after": int(states.core.weeks_remaining)}
    if engine == TACTICAL and 0 <= day < len(features.tactical.btc_high):
        common["btc_high"] = _number(features.tactical.btc_high[day])
    common["symbols"] = {symbol: {name: _number(value) for name, value in row.items()} for symbol, row in rows.items()}
    return common


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _money(value: float) -> Decimal:
    return exact_from_float(value) if math.isfinite(value) else ZERO


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
