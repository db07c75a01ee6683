"""Where the operator's commands meet the running daemon: one commit each, then an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from eternal_engine.engine.bank import without_promised
from eternal_engine.engine.command import CommandContext, Outcome, Reply
from eternal_engine.engine.commands import apply
from eternal_engine.engine.decision_events import HALTED
from eternal_engine.engine.hour import mark
from eternal_engine.engine.memory import Memory
from eternal_engine.engine.recorder import Recorder
from eternal_engine.engine.timing import Clock, hour_of
from eternal_engine.engine.view import ENGINES, book_view
from eternal_engine.model.event import Event
from eternal_engine.model.ids import Account, Engine, RuleId
from eternal_engine.storage.inbox import Command
from eternal_engine.storage.projection import Projection


@dataclass(frozen=True, slots=True)
class CommandDesk:
    """Apply commands through the recorder; `apply_command` is what `serve_inbox` calls.

    `managed` are the engines whose orders this daemon can send, `halts` what makes entries wait beside the operator:
    bits per engine, and the rule. After the commit, `wake` is called when there are new intents or transfers to carry
    out, or a halt was lifted that may have held an exit up, and `reconcile` when a comparison with the exchange was
    asked for; both only set a flag.
    """

    recorder: Recorder
    clock: Clock
    shares: Mapping[Account, Decimal]
    config_hash: Callable[[], str]
    wake: Callable[[], None]
    reconcile: Callable[[], None]
    managed: tuple[Engine, ...] = ENGINES
    halts: Callable[[datetime], tuple[int, RuleId]] = lambda _: (0, HALTED)

    async def apply_command(self, command: Command) -> Reply | None:
        """Journal and apply one command; None where the journal holds it already. Raises as `Recorder.commit`."""
        made: list[tuple[Outcome, int]] = []

        def make(memory: Memory, projection: Projection) -> tuple[Memory, tuple[Event, ...]]:
            outcome = apply(command, memory, projection, self._context(memory, projection))
            made.append((outcome, memory.halted & ~outcome.memory.halted))
            return outcome.memory, outcome.events

        await self.recorder.commit(make)
        outcome, lifted = made[0]
        if outcome.intents or len(outcome.events) > 1 or lifted:
            self.wake()
        if outcome.reconcile:
            self.reconcile()
        return outcome.reply

    def _context(self, memory: Memory, projection: Projection) -> CommandContext:
        now, params, marks = self.clock.now(), self.recorder.params, self.recorder.marks
        book = book_view(projection.books, memory.symbols, params.risk.kelly_window, self.recorder.trend_pnls)
        equity = mark(params, book, marks, hour_of(now))
        free = without_promised(book, projection.pending_transfers.values())
        halted, by = self.halts(now)
        return CommandContext(
            now, params, free, marks, equity, self.shares, self.config_hash(), self.managed, halted, by
        )
