"""One account whose key the exchange refuses: its engine halts and says why, the others trade on (D5)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from eternal_engine.engine.memory import Memory
from eternal_engine.engine.recorder import Recorder
from eternal_engine.engine.timing import Clock
from eternal_engine.engine.view import ENGINES
from eternal_engine.model.errors import HaltTrading
from eternal_engine.model.event import ErrorOccurred, Event
from eternal_engine.model.ids import Account, Engine
from eternal_engine.storage.projection import Projection

TRIES: Final = 2
_OWNERS: Final = {engine.account: engine for engine in ENGINES}


class Lockouts:
    """Remember which accounts the exchange refuses, and halt their engines until the operator resumes them.

    MASTER has no engine: while it is refused money waits, and everything trades on.
    """

    def __init__(self, recorder: Recorder, clock: Clock) -> None:
        self._recorder = recorder
        self._clock = clock
        self._refused: set[Account] = set()

    @property
    def refused(self) -> frozenset[Account]:
        """Give the accounts that were refused when they were last asked."""
        return frozenset(self._refused)

    async def run(self, account: Account, job: Callable[[], Awaitable[None]]) -> None:
        """Do a job of one account; a refused key ends it, and nothing else.

        It is begun once more under the halt: what undoes or reduces passes it (RISK-0), and must not wait for an hour.
        """
        for _ in range(TRIES):
            try:
                await job()
            except HaltTrading as error:
                await self.refuse(account, error)
            else:
                return

    async def refuse(self, account: Account, error: HaltTrading) -> None:
        """Halt the account's engine, and say it once: again only after it was accepted or resumed in between."""
        is_known = account in self._refused
        self._refused.add(account)
        engine = _OWNERS.get(account)

        def make(memory: Memory, _: Projection) -> tuple[Memory, tuple[Event, ...]]:
            bit = 0 if engine is None else 1 << ENGINES.index(engine)
            if is_known and memory.halted & bit == bit:
                return memory, ()
            told = ErrorOccurred(self._clock.now(), _words(account, engine, error), error.where, _mend(engine), engine)
            return replace(memory, halted=memory.halted | bit), (told,)

        await self._recorder.commit(make)

    def accept(self, account: Account) -> None:
        """Note that the exchange answers the account again; its engine stays halted until it is resumed."""
        self._refused.discard(account)


def _words(account: Account, engine: Engine | None, error: HaltTrading) -> str:
    what = "no money moves between accounts" if engine is None else f"{engine.value} is halted, the others trade on"
    return f"the exchange refuses the key of {account.value}: {error.message}; {what}"


def _mend(engine: Engine | None) -> str:
    mend = "look at the key on the exchange's site (rights, addresses, end); a new key needs a restart"
    return mend if engine is None else f"{mend}; then `eternal resume {engine.value}`"
