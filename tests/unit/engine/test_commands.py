"""Operator commands, one by one: what changes, what is journaled, what is refused and why."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from builders import a_fill, an_intent
from command_builders import (
    HOUR,
    NOW,
    a_command,
    a_context,
    a_memory,
    a_projection,
    after,
    at_level,
    audit_of,
    carried_out,
    with_states,
)
from core_builders import TWO, some_params
from eternal_engine.engine.commands import VERBS, apply
from eternal_engine.engine.memory import Memory, load, saves, write
from eternal_engine.engine.timing import hour_of
from eternal_engine.model.event import Filled, OrderPlanned
from eternal_engine.model.ids import Account, Coin, Engine, Leg
from eternal_engine.model.instrument import Market
from eternal_engine.portfolio.core_hour import decide_core
from eternal_engine.portfolio.params import no_decisions, no_intents
from eternal_engine.portfolio.review import review
from eternal_engine.risk import breaker
from eternal_engine.storage.projection import Projection, SavedState
from eternal_engine.strategies import core_hodl
from eternal_engine.strategies.base import PERP, TREND, Signal

NOW_H = hour_of(NOW)
WEEK_H = 168


def test_the_audit_entry_holds_verb_arguments_and_answer() -> None:
    outcome = carried_out("halt", engines="trend")
    entry = audit_of(outcome)
    assert (entry.verb, entry.arguments, entry.accepted) == ("halt", '{"engines":"trend"}', True)
    assert entry.answer == outcome.answer
    assert "trend" in outcome.answer


@pytest.mark.parametrize(
    ("verb", "arguments", "said"),
    [
        ("dance", {}, "unknown command dance"),
        ("halt", {"engine": "trend"}, "unknown argument engine"),
        ("halt", {"engines": "trent"}, "no engine trent"),
        ("reconcile", {"now": "yes"}, "the arguments are none"),
        ("dca-fix-missed", {"execute": "maybe"}, "say yes or no"),
    ],
)
def test_a_command_that_is_not_understood_is_refused_and_journaled(verb, arguments, said) -> None:
    memory = a_memory()
    outcome = carried_out(verb, memory, **arguments)
    assert not outcome.accepted
    assert outcome.memory is memory
    assert said in outcome.answer
    assert not audit_of(outcome).accepted


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_a_command_that_the_journal_holds_is_not_applied_again(verb: str) -> None:
    memory = a_memory()
    first = carried_out("halt", memory)
    known = after(a_projection(), *first.events)
    again = apply(a_command(verb), memory, known, a_context(known))
    assert (again.events, again.is_new, again.reply) == ((), False, None)
    assert again.memory is memory


# RISK-1: halts


@pytest.mark.parametrize(
    ("before", "engines", "mask"),
    [(0, "", 0b1111), (0, "trend", 0b0010), (0b0010, "funding,core_hodl", 0b0111), (0b1111, "tactical", 0b1111)],
)
def test_risk_1_a_halt_adds_the_named_engines_or_all(before: int, engines: str, mask: int) -> None:
    outcome = carried_out("halt", replace(a_memory(), halted=before), engines=engines)
    assert outcome.accepted
    assert outcome.memory.halted == mask


def test_risk_1_a_halt_that_holds_already_says_so() -> None:
    memory = replace(a_memory(), halted=0b0010)
    outcome = carried_out("halt", memory, engines="trend")
    assert "already halted" in outcome.answer
    assert outcome.memory is memory


@pytest.mark.parametrize(("engines", "left"), [("", 0), ("trend", 0b0100), ("tactical", 0b0110)])
def test_risk_1_a_resume_lifts_the_named_halts_or_all(engines: str, left: int) -> None:
    outcome = carried_out("resume", replace(a_memory(), halted=0b0110), engines=engines)
    assert outcome.memory.halted == left
    # ORD-3: the order breaker counts anew for what was lifted, and for nothing else.
    lifted = 0b0110 & ~left
    now_ms = int(NOW.timestamp() * 1000)
    assert outcome.memory.resumed_ms == tuple(now_ms if lifted >> place & 1 else 0 for place in range(4))
    assert ("still halted" in outcome.answer) == bool(left)


def test_risk_1_a_plain_resume_leaves_the_emergency_stop_and_says_how_to_lift_it() -> None:
    memory = a_memory()
    stopped = with_states(memory, risk=memory.states.risk._replace(halted=True, halted_h=NOW_H - 2))
    outcome = carried_out("resume", stopped)
    assert outcome.memory.states.risk.halted
    assert "resume --emergency" in outcome.answer


@pytest.mark.parametrize(
    ("arguments", "stopped", "lifted"),
    [
        ({"emergency": "RESUME"}, True, True),
        ({"emergency": "yes"}, True, False),
        ({"emergency": "RESUME", "engines": "trend"}, True, False),
        ({"emergency": "RESUME"}, False, False),
    ],
)
def test_risk_1_the_emergency_stop_is_lifted_by_its_word_alone(arguments, stopped, lifted) -> None:
    memory = a_memory()
    held = with_states(memory, risk=memory.states.risk._replace(halted=stopped, halted_h=NOW_H - 2))
    outcome = carried_out("resume", held, **arguments)
    assert outcome.accepted is lifted
    assert outcome.memory.states.risk.halted is (stopped and not lifted)


def test_resume_names_the_breaker_that_still_waits() -> None:
    assert "eternal approve" in carried_out("resume", at_level(a_memory(), breaker.WARNING)).answer


def test_c11_a_cycle_that_was_halted_at_its_due_time_is_bought_when_released() -> None:
    params = some_params(TWO)
    memory = a_memory()
    memory = with_states(memory, core=memory.states.core._replace(due_h=NOW_H))
    halted = carried_out("halt", memory, engines="core_hodl").memory
    assert _bought_legs(params, halted) == 0
    released = carried_out("resume", halted).memory
    assert released.states.core.due_h == NOW_H
    assert _bought_legs(params, released) == 2


def _bought_legs(params, memory: Memory) -> int:
    seen = a_context(a_projection(), params=params)
    pending = no_intents()
    decide_core(
        params, seen.book, seen.marks, pending, no_decisions(), seen.equity, memory.states, NOW_H, bool(memory.halted)
    )
    return len(pending)


# BRK-3, F11, F12, F20: approvals


def test_f11_a_level_of_two_stays_without_approval_and_denies_entries() -> None:
    params = some_params(TWO)
    state = breaker.initial_state()._replace(high_usdt=40_000.0, day=breaker.day_of(NOW_H), week=breaker.week_of(NOW_H))
    for hour, drawdown in enumerate((0.15, 0.12, 0.04)):
        state = breaker.advance(params.risk.breaker, state, NOW_H + hour, 40_000.0 * (1.0 - drawdown))
    assert state.level == breaker.WARNING
    assert not _trend_entry_passes(params, with_states(a_memory(), risk=state), NOW_H + 3)


def _trend_entry_passes(params, memory: Memory, now_h: int) -> bool:
    seen = a_context(a_projection(), params=params, now=NOW + (now_h - NOW_H) * HOUR)
    wish = Signal(TREND, 0, PERP, 1, False, 0.02, 0.0, 50_000.0, 5, 1_000.0, 500.0, 0.0, 0)
    found = no_decisions()
    review(params, seen.book, seen.marks, no_intents(), found, seen.equity, memory.states, wish, now_h, False, -1.0)
    return found[0].approved


def _approved(memory: Memory, **arguments: str):
    return carried_out("approve", memory, **arguments)


def test_f12_an_approval_at_71_h_is_recorded_and_counts_at_72_h_at_half_size_for_14_days() -> None:
    params = some_params(TWO)
    ladder = params.risk.breaker
    memory = at_level(a_memory(), breaker.WARNING)
    memory = with_states(memory, risk=memory.states.risk._replace(changed_h=NOW_H - 71))
    outcome = _approved(memory, level="2", confirmation="APPROVE")
    assert outcome.accepted
    assert "72 h after the last change of level" in outcome.answer
    early = breaker.release(ladder, outcome.memory.states.risk, NOW_H, 35_000.0)
    assert early.level == breaker.WARNING
    free = breaker.release(ladder, outcome.memory.states.risk, NOW_H + 1, 35_000.0)
    assert (free.level, free.high_usdt) == (breaker.NORMAL, 35_000.0)
    assert breaker.size_factor(ladder, free, NOW_H + 1, is_trend=False) == 0.5
    assert breaker.size_factor(ladder, free, NOW_H + 1 + 14 * 24, is_trend=False) == 1.0


def test_f12_after_72_h_without_approval_nothing_is_released() -> None:
    risk = at_level(a_memory(), breaker.WARNING).states.risk._replace(changed_h=NOW_H - 100)
    assert breaker.release(some_params(TWO).risk.breaker, risk, NOW_H, 39_000.0).level == breaker.WARNING


@pytest.mark.parametrize(
    ("level", "arguments", "said"),
    [
        (0, {"level": "0", "confirmation": "APPROVE"}, "nothing waits"),
        (1, {"level": "1", "confirmation": "APPROVE"}, "nothing waits"),
        (2, {"level": "2"}, "needs confirmation"),
        (2, {"level": "2", "confirmation": "approve"}, "needs confirmation"),
        (3, {"level": "2", "confirmation": "APPROVE"}, "the breaker is at level 3"),
        (2, {"confirmation": "APPROVE"}, "the breaker is at level 2"),
    ],
)
def test_f20_an_approval_needs_the_level_that_was_seen_and_its_word(level, arguments, said) -> None:
    memory = at_level(a_memory(), level)
    outcome = _approved(memory, **arguments)
    assert not outcome.accepted
    assert said in outcome.answer
    assert outcome.memory is memory


def test_f20_level_4_needs_the_second_confirmation() -> None:
    memory = at_level(a_memory(), breaker.EMERGENCY)
    once = _approved(memory, level="4", confirmation="APPROVE")
    assert not once.accepted
    assert "second confirmation" in once.answer
    twice = _approved(memory, level="4", confirmation="APPROVE", second_confirmation="LEVEL 4")
    assert twice.accepted
    assert twice.memory.states.risk.approved


def test_f20_an_approval_acts_on_the_persisted_state_and_is_read_back_by_a_restart() -> None:
    params = some_params(TWO)
    memory = at_level(a_memory(params), breaker.ALERT)
    stored = _as_stored(memory)
    persisted = load(stored, params)
    assert persisted is not None
    outcome = _approved(persisted, level="3", confirmation="APPROVE")
    restarted = load(_as_stored(outcome.memory), params)
    assert restarted is not None
    assert write(restarted) == write(outcome.memory)
    assert restarted.states.risk.approved
    next_hour = breaker.advance(params.risk.breaker, restarted.states.risk, NOW_H + 1, 31_000.0)
    assert (next_hour.level, next_hour.high_usdt, next_hour.reduced_frac) == (breaker.NORMAL, 31_000.0, 0.25)


def _as_stored(memory: Memory) -> dict[str, SavedState]:
    return {
        event.owner: SavedState(event.schema_version, event.document, event.at) for event in saves(memory, None, NOW)
    }


def test_an_approval_said_twice_is_counted_once() -> None:
    once = _approved(at_level(a_memory(), breaker.ALERT), level="3", confirmation="APPROVE")
    twice = carried_out("approve", once.memory, level="3", confirmation="APPROVE")
    assert twice.accepted
    assert twice.memory.states.risk.approvals == 1
    assert "approved before" in twice.answer


# CORE-13: a missed cycle


def _bought(decided_h: int, leg: Leg = Leg.BUY, *, filled: bool = True) -> Projection:
    at = NOW - (NOW_H - decided_h) * HOUR - timedelta(minutes=20)
    intent = an_intent(
        engine=Engine.CORE_HODL, leg=leg, at=at, market=Market.SPOT, qty=None, amount_usdt="500", symbol="BTCUSDT"
    )
    planned = OrderPlanned(at, Account.CORE_HODL, intent, Coin("BTC"), Coin("USDT"))
    fill = a_fill("b1", account=Account.CORE_HODL, qty="0.01", price="50000", order=intent.client_order_id, at=at)
    return a_projection(planned, *((Filled(at, fill),) if filled else ()))


def _last_anchor(memory: Memory) -> int:
    return memory.states.core.due_h - WEEK_H


def test_core_13_a_missed_cycle_falls_due_again_at_its_anchor() -> None:
    memory = a_memory()
    outcome = carried_out("dca-fix-missed", memory, execute="yes")
    assert outcome.accepted
    core = outcome.memory.states.core
    assert (core.due_h, core.anchor_h) == (_last_anchor(memory), memory.states.core.anchor_h)
    assert core.due_h <= NOW_H
    assert core_hodl.is_due(core, NOW_H)


def test_core_13_setting_a_due_time_back_is_a_dry_run_by_default() -> None:
    memory = a_memory()
    outcome = carried_out("dca-fix-missed", memory)
    assert outcome.accepted
    assert outcome.memory is memory
    assert outcome.answer.startswith("dry run")


@pytest.mark.parametrize("filled", [True, False])
def test_core_13_a_cycle_that_was_bought_or_is_under_way_is_not_bought_again(filled: bool) -> None:
    memory = a_memory()
    outcome = carried_out("dca-fix-missed", memory, _bought(_last_anchor(memory), filled=filled), execute="yes")
    assert not outcome.accepted
    assert "was bought" in outcome.answer
    assert outcome.memory is memory


def test_core_13_neither_the_cycle_before_nor_a_manual_purchase_counts_as_this_cycle() -> None:
    memory = a_memory()
    for projection in (_bought(_last_anchor(memory) - 1), _bought(_last_anchor(memory), Leg.MANUAL)):
        assert carried_out("dca-fix-missed", memory, projection, execute="yes").accepted


def test_core_13_a_lost_rhythm_is_set_back_to_its_date() -> None:
    memory = a_memory()
    date = NOW - timedelta(days=10)
    moved = carried_out("dca-fix-missed", memory, date=date.strftime("%Y-%m-%dT%H:%M"), execute="yes")
    assert moved.accepted
    assert moved.memory.states.core.due_h == hour_of(date) + WEEK_H
    bought = carried_out(
        "dca-fix-missed", memory, _bought(hour_of(date) + WEEK_H + 1), date=date.isoformat(), execute="yes"
    )
    assert bought.memory.states.core.due_h == hour_of(date) + 2 * WEEK_H


def test_core_13_a_due_cycle_a_new_plan_and_a_strange_date_are_refused() -> None:
    memory = a_memory()
    due = with_states(memory, core=memory.states.core._replace(due_h=_last_anchor(memory)))
    assert "due already" in carried_out("dca-fix-missed", due, execute="yes").answer
    new = with_states(memory, core=memory.states.core._replace(phase=core_hodl.NEW))
    assert not carried_out("dca-fix-missed", new, execute="yes").accepted
    assert "is not a date" in carried_out("dca-fix-missed", memory, date="soon", execute="yes").answer


def test_core_13_the_cycle_set_back_is_bought_once_and_the_next_is_due_at_the_next_anchor() -> None:
    params = some_params(TWO)
    memory = carried_out("dca-fix-missed", a_memory(), execute="yes").memory
    seen = a_context(a_projection(), params=params)
    pending = no_intents()
    states, _ = decide_core(
        params, seen.book, seen.marks, pending, no_decisions(), seen.equity, memory.states, NOW_H, False
    )
    assert len(pending) == 2
    assert states.core.due_h == a_memory().states.core.due_h
    assert np.array_equal(states.core.gap_usdt, memory.states.core.gap_usdt)


def test_ord_7_reconcile_asks_for_a_comparison() -> None:
    memory = a_memory()
    outcome = carried_out("reconcile", memory)
    assert outcome.reconcile
    assert outcome.memory is memory
