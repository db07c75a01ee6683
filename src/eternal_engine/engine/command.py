"""What every operator command is made of: what it sees, what it changes, and how it is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Final

from eternal_engine.engine.decision_events import HALTED
from eternal_engine.engine.memory import Memory
from eternal_engine.engine.timing import hour_of, hour_start, ms_of
from eternal_engine.engine.view import ENGINES
from eternal_engine.model.errors import RefusedError
from eternal_engine.model.event import Event
from eternal_engine.model.ids import Account, CommandId, Engine, RuleId, Symbol
from eternal_engine.portfolio.params import BookView, Equities, Intent, Marks, Params
from eternal_engine.storage.projection import Projection

YES: Final = "yes"


@dataclass(frozen=True, slots=True)
class CommandContext:
    """Hold what a command may look at besides memory and journal.

    `now` is exchange time; books, marks and equity are those of the last completed hour, the books with all fills
    since and without the cash that planned transfers will take; `shares` divides a deposit (CAP-1), `config_hash` goes
    into the journal, `managed` are the engines whose orders this daemon can send. `halted` has bit e set for engines
    whose entries wait beside the operator's own halts, by the rule `halted_by`.
    """

    now: datetime
    params: Params
    book: BookView
    marks: Marks
    equity: Equities
    shares: Mapping[Account, Decimal]
    config_hash: str
    managed: tuple[Engine, ...] = ENGINES
    halted: int = 0
    halted_by: RuleId = HALTED

    @property
    def now_h(self) -> int:
        """Give the running hour, in whole hours since the epoch."""
        return hour_of(self.now)


@dataclass(frozen=True, slots=True)
class Asked:
    """Hold one command as its verb sees it."""

    command_id: CommandId
    verb: str
    arguments: Mapping[str, str]
    memory: Memory
    projection: Projection
    context: CommandContext

    def says(self, name: str) -> str:
        """Give an argument, empty when it was left out."""
        return self.arguments.get(name, "").strip()

    def wants(self, name: str) -> bool:
        """Tell whether a yes-or-no argument says yes. Refuses any other word."""
        word = self.says(name)
        if word not in ("", YES, "no"):
            raise RefusedError(f"{name} is {word!r}", where=self.verb, mend=f"say {YES} or no")
        return word == YES

    def engines(self, name: str = "engines") -> tuple[Engine, ...]:
        """Read a list of engines, empty when none was named. Refuses unknown names."""
        words = [word.strip().lower() for word in self.says(name).split(",") if word.strip()]
        known = {engine.value: engine for engine in ENGINES}
        unknown = [word for word in words if word not in known]
        if unknown:
            raise RefusedError(
                f"no engine {', '.join(unknown)}", where=self.verb, mend=f"the engines are {', '.join(known)}"
            )
        return tuple(engine for engine in ENGINES if engine.value in words)

    def require_managed(self, engines: tuple[Engine, ...]) -> None:
        """Refuse orders of engines that this daemon does not run: nobody would send them."""
        missing = tuple(engine for engine in engines if engine not in self.context.managed)
        if missing:
            raise RefusedError(
                f"this daemon does not run {names(missing)}", where=self.verb, mend="name other engines, or start it"
            )

    def symbol_index(self, symbol: str) -> int:
        """Find a symbol of the daemon. Refuses others."""
        if symbol not in self.memory.symbols:
            raise RefusedError(
                f"{symbol} is not traded here", where=self.verb, mend=f"one of {', '.join(self.memory.symbols)}"
            )
        return self.memory.symbols.index(symbol)


@dataclass(frozen=True, slots=True)
class Done:
    """Hold what a command changes, and what is said about it; `events` are the ones it causes itself."""

    memory: Memory
    answer: str
    events: tuple[Event, ...] = ()
    intents: tuple[Intent, ...] = ()
    reconcile: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """Hold the answer that goes back to the operator."""

    text: str
    accepted: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """Hold all that follows from one command: `events` and `memory` are committed together.

    `intents` are new and already in `memory.pending`. `reconcile` asks for a comparison with the exchange now.
    `is_new` is false for a command that the journal already holds: nothing follows, its first answer counts.
    """

    memory: Memory
    answer: str
    accepted: bool
    events: tuple[Event, ...] = ()
    intents: tuple[Intent, ...] = ()
    reconcile: bool = False
    is_new: bool = True

    @property
    def reply(self) -> Reply | None:
        """Give the answer, None where the journal holds it already."""
        return Reply(self.answer, self.accepted) if self.is_new else None


@dataclass(frozen=True, slots=True)
class Lines:
    """Collect what an answer says, line by line."""

    said: list[str] = field(default_factory=list)

    def add(self, line: str) -> None:
        """Say one more thing, unless it is empty."""
        if line:
            self.said.append(line)

    def text(self) -> str:
        """Give all of it."""
        return "\n".join(self.said)


def shown_hour(hour: int) -> str:
    """Write an hour since the epoch for people."""
    return hour_start(hour).strftime("%Y-%m-%d %H:%M UTC")


def names(engines: tuple[Engine, ...]) -> str:
    """List engines for people."""
    return ", ".join(engine.value for engine in engines)


def engines_of(mask: int) -> tuple[Engine, ...]:
    """Give the engines whose bits are set in `Memory.halted`."""
    return tuple(engine for place, engine in enumerate(ENGINES) if mask >> place & 1)


def mask_of(engines: tuple[Engine, ...]) -> int:
    """Give the bits of engines for `Memory.halted`."""
    return sum(1 << ENGINES.index(engine) for engine in engines)


def halting(memory: Memory, engines: tuple[Engine, ...]) -> Memory:
    """Give the memory in which the operator halts these engines, too (RISK-1)."""
    return replace(memory, halted=memory.halted | mask_of(engines))


def resuming(memory: Memory, mask: int, at: datetime) -> Memory:
    """Give the memory in which these engines are halted no more; what was refused them before `at` is forgiven."""
    lifted = memory.halted & mask
    first, second, third, fourth = (
        ms_of(at) if lifted >> place & 1 else known for place, known in enumerate(memory.resumed_ms)
    )
    return replace(memory, halted=memory.halted & ~lifted, resumed_ms=(first, second, third, fourth))


def without_pause(memory: Memory, symbol: Symbol) -> Memory:
    """Give the memory in which entries in a symbol no longer wait for a review (ORD-7)."""
    return replace(memory, paused=memory.paused - {symbol})
