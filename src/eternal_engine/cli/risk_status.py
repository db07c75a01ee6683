"""What the risk manager holds back at this moment, in words: breaker, loss limits, halts."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from eternal_engine.cli.remembered import Remembered, at_hour, hour_text, number_text
from eternal_engine.model.money import ZERO
from eternal_engine.risk.breaker import ALERT, CAUTION, EMERGENCY, LEVELS, WARNING, loss_frac
from eternal_engine.storage.times import time_text
from eternal_engine.storage.views import Record, View

if TYPE_CHECKING:
    from eternal_engine.config import Settings

Document = dict[str, Any]
Marks = Mapping[str, Decimal | None]


def breaker_status(
    memory: Remembered, settings: Settings | None, changed: Record | None, marks: Marks, *, may_be_fast: bool = False
) -> Document:
    """Say the breaker's level, how far below its high the equity in scope is, and what it waits for.

    `may_be_fast`: a market that can run faster than people, where approvals come by themselves (decision 0132).
    """
    risk = memory.risk
    level = risk["level"]
    equity = scope_equity(settings, marks)
    high = float(risk["high_usdt"])
    reduced = risk["reduced_until_h"] > memory.cycle_h
    return {
        "level": level,
        "name": LEVELS[level],
        "since": hour_text(risk["changed_h"]),
        "why": None if changed is None else changed["detail"] or changed["rule"],
        "scope": None if settings is None else settings.risk.breaker.scope,
        "equity_usdt": None if equity is None else number_text(equity),
        "high_usdt": number_text(high),
        "drawdown_frac": None if equity is None else number_text(max(loss_frac(high, equity), 0.0)),
        "approved": bool(risk["approved"]),
        "waits_for": waits_for(memory, settings) + (_by_itself(memory, settings) if may_be_fast else ""),
        "reduced_frac": number_text(risk["reduced_frac"]) if reduced else None,
        "reduced_until": hour_text(risk["reduced_until_h"]) if reduced else None,
    }


def _by_itself(memory: Remembered, settings: Settings | None) -> str:
    if memory.risk["level"] < WARNING or memory.risk["approved"] or settings is None:
        return ""
    return f"; faster than real time it is approved by itself after {settings.backtest.approval_delay_h} h"


def waits_for(memory: Remembered, settings: Settings | None) -> str:
    """Say what leads out of the present level; empty when nothing is held back."""
    risk = memory.risk
    level = risk["level"]
    if level == CAUTION:
        limit = "its recovery limit" if settings is None else f"{settings.risk.breaker.recover_frac:%}"
        return f"a drawdown of at most {limit}; it ends by itself"
    if level == WARNING:
        until = ""
        if settings is not None:
            over = at_hour(risk["changed_h"] + settings.risk.breaker.warning_wait_h)
            until = f"{over:%Y-%m-%d %H:%M} UTC"
        if risk["approved"]:
            return f"the end of its waiting time, {until}; it is approved".replace(", ;", ";")
        return f"the operator (`eternal approve`), and {until or 'the end of its waiting time'}"
    if level == ALERT:
        return "the operator (`eternal approve`)"
    if level == EMERGENCY:
        return "the operator (`eternal approve`, confirmed twice)"
    return ""


def limits_status(memory: Remembered, settings: Settings | None, marks: Marks) -> Document:
    """Say how much of the daily and the weekly loss limit is used, and until when entries wait."""
    equity = scope_equity(settings, marks)
    limits = None if settings is None else settings.risk
    return {
        "day": _limit(memory, "day", equity, None if limits is None else limits.daily_loss_frac),
        "week": _limit(memory, "week", equity, None if limits is None else limits.weekly_loss_frac),
    }


def _limit(memory: Remembered, name: str, equity: float | None, limit: Decimal | None) -> Document:
    base = float(memory.risk[f"{name}_base_usdt"])
    loss = None if equity is None else max(loss_frac(base, equity), 0.0)
    blocked_h = memory.risk[f"{name}_block_h"]
    return {
        "base_usdt": number_text(base),
        "loss_frac": None if loss is None else number_text(loss),
        "limit_frac": None if limit is None else str(limit),
        "used_frac": None if loss is None or not limit else number_text(loss / float(limit)),
        "blocked_until": hour_text(blocked_h) if blocked_h > memory.cycle_h else None,
    }


def scope_equity(settings: Settings | None, marks: Marks) -> float | None:
    """Add up the equity that breaker and loss limits watch; None while a part is unknown or the scope is."""
    if settings is None:
        return None
    active = ("trend", "funding", "tactical")
    names = active if settings.risk.breaker.scope == "active" else ("core_hodl", *active)
    parts = [marks.get(name) for name in names]
    known = [part for part in parts if part is not None]
    return float(sum(known, ZERO)) if len(known) == len(parts) else None


def halts(view: View, memory: Remembered | None, arming: Document | None = None) -> list[Document]:
    """List all that keeps entries back now: who, why, until when, and how it ends. `arming` is that of live trading."""
    found = [] if memory is None else [*_engine_halts(view, memory), *_loss_halts(memory), *_symbol_halts(memory)]
    return _arming_halts(arming) + found + _connection_halts(view) + _waits(view)


def _arming_halts(arming: Document | None) -> list[Document]:
    if arming is None or arming["armed"]:
        return []
    why = "; ".join(arming["void_because"])
    return [_halt("all engines", f"the arming does not hold: {why}", "RISK-13", "`eternal arm`")]


def _halt(who: str, why: str, rule: str, ends: str, until: str | None = None) -> Document:
    return {"who": who, "why": why, "rule": rule, "until": until, "ends": ends}


def _engine_halts(view: View, memory: Remembered) -> list[Document]:
    found = [_engine_halt(view, name) for name in sorted(memory.halted)]
    if memory.risk["halted"]:
        found.append(
            _halt("all engines", "emergency stop after a loss limit", "RISK-1", "`eternal resume --emergency`")
        )
    if memory.risk["level"] >= WARNING:
        why = f"breaker level {memory.risk['level']} ({LEVELS[memory.risk['level']]})"
        who = "all engines" if memory.risk["level"] >= EMERGENCY else "trend, funding"
        found.append(_halt(who, why, "RISK-2", "see breaker"))
    return found


def _engine_halt(view: View, name: str) -> Document:
    """Say who halted an engine: its refused key, its order breaker, or, if none came after the last word, a person."""
    said = [
        (row["seq"], rule, why)
        for kind, words, rule, why in (
            ("ErrorOccurred", f"refuses the key of {name}", "ORD-3", "the exchange refused its key"),
            ("Noted", "order breaker", "ORD-3", "order breaker: one entry after the other was refused"),
        )
        for row in view.events(kind, limit=1, holding=(words, f'"engine":"{name}"'))
    ]
    commands = view.events("CommandApplied", limit=20, holding=('"accepted":true',))
    asked = next((row["seq"] for row in commands if row["body"]["verb"] in ("halt", "flatten")), 0)
    _, rule, why = max(said, default=(0, "", ""))
    if not why or max(said)[0] < asked:
        rule, why = "RISK-1", "halted by the operator"
    return _halt(name, why, rule, f"`eternal resume {name}`")


def _loss_halts(memory: Remembered) -> list[Document]:
    found = []
    for name, words, rule in (("day", "daily loss limit", "RISK-4"), ("week", "weekly loss limit", "RISK-5")):
        until_h = memory.risk[f"{name}_block_h"]
        if until_h > memory.cycle_h:
            found.append(_halt("trend, funding", words, rule, "by itself", time_text(at_hour(until_h))))
    return found


def _symbol_halts(memory: Remembered) -> list[Document]:
    paused = [
        _halt(symbol, "what the exchange holds differs from our book", "ORD-7", "`eternal review`")
        for symbol in memory.paused
    ]
    held_back = [
        _halt(
            f"core_hodl {symbol}",
            "held when the database was lost",
            "CORE-12",
            "by itself",
            time_text(at_hour(until_h)),
        )
        for symbol, until_h in memory.held_back.items()
        if until_h > memory.cycle_h
    ]
    return paused + held_back


def _connection_halts(view: View) -> list[Document]:
    newest: dict[str, Record] = {}
    for row in view.events("ConnectionLost", "ConnectionRestored", "DaemonStarted", limit=20):
        if row["kind"] == "DaemonStarted":
            break
        newest.setdefault(row["body"]["account"], row)
    return [
        _halt(account, f"no connection since {row['body']['since']}", "ORD-6", "by itself")
        for account, row in sorted(newest.items())
        if row["kind"] == "ConnectionLost"
    ]


def _waits(view: View) -> list[Document]:
    """Say what the engine's own loop (the duty `engine`) waits for since the last hour it finished."""
    errors = (row for row in view.events("ErrorOccurred", limit=20) if row["body"]["what"].startswith("engine: "))
    newest = next(errors, None)
    went_on = view.events("EquityMarked", "DaemonStarted", limit=1)
    if newest is None or (went_on and went_on[0]["seq"] > newest["seq"]):
        return []
    body = newest["body"]
    return [_halt("all engines", f"{body['what'].removeprefix('engine: ')} ({body['where']})", "ORD-6", "by itself")]
