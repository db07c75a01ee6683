"""The operator's commands, pure: each is applied once, journaled with its answer, or refused with its mend."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final, NamedTuple

from eternal_engine.engine.command import (
    Asked,
    CommandContext,
    Done,
    Lines,
    Outcome,
    engines_of,
    halting,
    mask_of,
    names,
    resuming,
    shown_hour,
)
from eternal_engine.engine.manual_orders import flatten, trigger
from eternal_engine.engine.memory import Memory
from eternal_engine.engine.reviews import assign_deposit, review
from eternal_engine.engine.timing import hour_of
from eternal_engine.engine.view import ENGINES
from eternal_engine.model.errors import RefusedError
from eternal_engine.model.event import CommandApplied
from eternal_engine.model.ids import Engine, Leg
from eternal_engine.model.rule import Rule
from eternal_engine.risk import breaker
from eternal_engine.storage.codec import canonical
from eternal_engine.storage.inbox import Command
from eternal_engine.storage.projection import Projection
from eternal_engine.strategies import core_hodl

RULES: tuple[Rule, ...] = (
    Rule(
        "CORE-13",
        "A manual purchase and the setting back of a due time are operator commands: dry-run unless told otherwise, "
        "journaled with arguments and answer, and neither buys a cycle a second time.",
        ("core_hodl.interval_h",),
        (
            "tests/unit/engine/test_manual_orders.py::test_core_13_a_trigger_without_execute_changes_nothing",
            "tests/unit/engine/test_commands.py::test_core_13_a_missed_cycle_falls_due_again_at_its_anchor",
        ),
    ),
    Rule(
        "CAP-4",
        "A deposit waits in MASTER until the operator assigns it, to one engine or by the shares.",
        ("shares",),
        ("tests/unit/engine/test_reviews.py::test_cap_4_a_deposit_is_divided_by_the_shares",),
    ),
    Rule(
        "BRK-3",
        "The operator approves the level that was seen, level 4 with a second confirmation; the high is re-based when "
        "the approval takes effect.",
        (),
        ("tests/unit/engine/test_commands.py::test_f20_level_4_needs_the_second_confirmation",),
    ),
)

APPROVE: Final = "APPROVE"
APPROVE_LEVEL_4: Final = "LEVEL 4"
RESUME: Final = "RESUME"


class Verb(NamedTuple):
    """Hold what a verb does and which arguments it knows."""

    apply: Callable[[Asked], Done]
    arguments: tuple[str, ...] = ()


def apply(command: Command, memory: Memory, projection: Projection, context: CommandContext) -> Outcome:
    """Apply one command that has not expired: what is to be journaled, the new memory, and the answer.

    A refused command changes nothing and is journaled, too: delivered again, it is still refused.
    """
    if command.id in projection.commands:
        return Outcome(memory, "", accepted=False, is_new=False)
    asked = Asked(command.id, command.verb, command.arguments, memory, projection, context)
    accepted = True
    try:
        done = _verb(asked).apply(asked)
    except RefusedError as refusal:
        accepted, done = False, Done(memory, f"{refusal.message}; {refusal.mend}")
    applied = CommandApplied(
        context.now, command.id, command.verb, canonical(dict(command.arguments)), done.answer, accepted
    )
    return Outcome(done.memory, done.answer, accepted, (applied, *done.events), done.intents, done.reconcile)


def _verb(asked: Asked) -> Verb:
    verb = VERBS.get(asked.verb)
    if verb is None:
        raise RefusedError(f"unknown command {asked.verb}", mend=f"the commands are {', '.join(VERBS)}")
    strange = sorted(set(asked.arguments) - set(verb.arguments))
    if strange:
        raise RefusedError(
            f"unknown argument {', '.join(strange)}",
            where=asked.verb,
            mend=f"the arguments are {', '.join(verb.arguments) or 'none'}",
        )
    return verb


def _halt(asked: Asked) -> Done:
    """Stop the entries of the named engines, or of all; what shrinks a position goes on (RISK-0, RISK-1)."""
    wanted = asked.engines() or ENGINES
    before = asked.memory.halted
    if before | mask_of(wanted) == before:
        return Done(asked.memory, f"already halted: {names(wanted)}")
    answer = f"halted: {names(wanted)}; no entries until `eternal resume`, exits and stops go on"
    return Done(halting(asked.memory, wanted), answer)


def _resume(asked: Asked) -> Done:
    """Lift halts; the emergency stop of a loss limit only by its own confirmation (RISK-1, RISK-4)."""
    memory, lines = asked.memory, Lines()
    wanted = asked.engines()
    lifted = memory.halted & mask_of(wanted or ENGINES)
    if lifted:
        memory = resuming(memory, lifted, asked.context.now)
        lines.add(f"resumed: {names(engines_of(lifted))}")
    if memory.halted:
        lines.add(f"still halted: {names(engines_of(memory.halted))}")
    risk = memory.states.risk
    if asked.says("emergency"):
        if wanted:
            raise RefusedError("an emergency stop holds all engines", where="resume", mend="name no engine with it")
        if not risk.halted:
            raise RefusedError("there is no emergency stop", where="resume", mend="leave --emergency out")
        _require(asked, "emergency", RESUME)
        memory = replace(memory, states=memory.states._replace(risk=breaker.resume(risk)))
        lines.add(f"the emergency stop of {shown_hour(risk.halted_h)} is lifted")
    elif risk.halted:
        lines.add(f"the emergency stop of {shown_hour(risk.halted_h)} holds all engines: `eternal resume --emergency`")
    if risk.level >= breaker.WARNING:
        lines.add(f"the breaker is at level {risk.level}: it waits for `eternal approve`")
    lines.add("" if lines.said else "nothing was halted")
    return Done(memory, lines.text())


def _approve(asked: Asked) -> Done:
    """Take the operator's word for the level that was seen; it counts at the next completed hour (BRK-3, F12, F20)."""
    risk, ladder = asked.memory.states.risk, asked.context.params.risk.breaker
    if risk.level < breaker.WARNING:
        raise RefusedError(
            f"the breaker is at level {risk.level} {breaker.LEVELS[risk.level]}",
            where="approve",
            mend="nothing waits for an approval; level 1 ends by itself",
        )
    if asked.says("level") != str(risk.level):
        raise RefusedError(
            f"level {asked.says('level') or '?'} was approved, but the breaker is at level {risk.level}",
            where="approve",
            mend="look at `eternal status`, then approve what it shows",
        )
    _require(asked, "confirmation", APPROVE)
    if risk.level >= breaker.EMERGENCY:
        _require(asked, "second_confirmation", APPROVE_LEVEL_4)
    ready_h = risk.changed_h + ladder.warning_wait_h if risk.level == breaker.WARNING else 0
    now_h = asked.context.now_h
    when = "with the next completed hour"
    if ready_h > now_h:
        when = f"at {shown_hour(ready_h)}, {ladder.warning_wait_h} h after the last change of level"
    if risk.approved:
        return Done(asked.memory, f"level {risk.level} was approved before; the approval takes effect {when}")
    size = ladder.warning_size_frac if risk.level == breaker.WARNING else ladder.alert_size_frac
    memory = replace(asked.memory, states=asked.memory.states._replace(risk=breaker.approve(risk)))
    answer = (
        f"approval of level {risk.level} recorded; it takes effect {when}: then the high is re-based to the equity of "
        f"that hour, and TREND and FUNDING trade at {size:g} of their sizes for {ladder.reduced_h // 24} days"
    )
    return Done(memory, answer)


def _require(asked: Asked, name: str, word: str) -> None:
    if asked.says(name) != word:
        raise RefusedError(
            f"{asked.verb} needs {name.replace('_', ' ')}", where=asked.verb, mend=f"type {word} when asked for it"
        )


def _reconcile(asked: Asked) -> Done:
    """Ask for a comparison with the exchange at once (ORD-7)."""
    return Done(
        asked.memory, "comparing with the exchange now; `eternal status` shows what it finds", (), (), reconcile=True
    )


def _fix_missed(asked: Asked) -> Done:
    """Set CORE_HODL's due time back to its anchor, if nothing was bought for it (CORE-13, CORE-1)."""
    core, interval = asked.memory.states.core, asked.context.params.core.interval_h
    now_h = asked.context.now_h
    if core.phase == core_hodl.NEW:
        raise RefusedError("CORE_HODL has not decided yet", where=asked.verb, mend="its first cycle is due already")
    date = asked.says("date")
    anchor_h = _hour_of(date) if date else core.anchor_h
    last_h = anchor_h + (now_h - anchor_h) // interval * interval
    bought = _bought_since(asked.projection, last_h)
    due_h = last_h + interval if bought else last_h
    same_rhythm = (anchor_h - core.anchor_h) % interval == 0
    if same_rhythm and due_h >= core.due_h:
        why = f"the cycle of {shown_hour(last_h)} was bought ({bought} orders)" if bought else "it is due already"
        raise RefusedError(
            f"no cycle was missed: {why}, the next due time is {shown_hour(core.due_h)}",
            where=asked.verb,
            mend="`eternal dca trigger` buys beside the schedule",
        )
    what = f"the due time {shown_hour(core.due_h)} goes back to {shown_hour(due_h)}"
    if not same_rhythm:
        what = f"the schedule moves to every {interval} h from {shown_hour(last_h)}, next due {shown_hour(due_h)}"
    if due_h <= now_h:
        # One cycle, however many were missed (CORE-6).
        what += "; one cycle is bought with the next completed hour in which CORE_HODL may trade"
    if not asked.wants("execute"):
        return Done(asked.memory, f"dry run: {what}; nothing was changed")
    fixed = core._replace(anchor_h=core.anchor_h if same_rhythm else last_h, due_h=due_h)
    return Done(replace(asked.memory, states=asked.memory.states._replace(core=fixed)), what)


def _bought_since(projection: Projection, since_h: int) -> int:
    """Count the orders of CORE_HODL's cycles decided since an hour that have bought or still may."""
    count = 0
    for stored in projection.orders.values():
        key, order = stored.order.intent.key, stored.order
        ours = key.engine is Engine.CORE_HODL and key.leg is Leg.BUY
        if ours and hour_of(key.decided_at) >= since_h and (order.filled_qty or not order.state.is_closed):
            count += 1
    return count


def _hour_of(date: str) -> int:
    try:
        at = datetime.fromisoformat(date)
    except ValueError:
        raise RefusedError(
            f"{date!r} is not a date", where="dca fix-missed", mend="write 2026-02-22 or 2026-02-22T08:00, UTC"
        ) from None
    return hour_of(at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC))


VERBS: Final[dict[str, Verb]] = {
    "halt": Verb(_halt, ("engines",)),
    "resume": Verb(_resume, ("engines", "emergency")),
    "approve": Verb(_approve, ("level", "confirmation", "second_confirmation")),
    "flatten": Verb(flatten, ("engines", "confirmation", "core_confirmation")),
    "dca-trigger": Verb(trigger, ("symbols", "amount_usdt", "execute")),
    "dca-fix-missed": Verb(_fix_missed, ("date", "execute")),
    "reconcile": Verb(_reconcile),
    "assign": Verb(assign_deposit, ("to", "amount_usdt")),
    "review": Verb(review, ("symbol", "account", "action", "stop_usdt")),
}
