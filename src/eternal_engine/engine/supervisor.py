"""Keep the daemon's tasks alive or end it: which failure does which is one declared table, `POLICY`.

The one broad `except` of the program is here, and it ends in a restart or a halt, never in silence.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from eternal_engine import clock
from eternal_engine.engine.notify import Notifier
from eternal_engine.model.errors import (
    DataError,
    EternalError,
    ExchangeError,
    HaltTrading,
    JournalBroken,
    ModelError,
    RefusedError,
    SchemaError,
    StorageError,
    UsageError,
)
from eternal_engine.model.rule import Rule

RULES: tuple[Rule, ...] = (
    Rule(
        "ORD-9",
        "SIGTERM: no new orders, what is under way is journaled, the process ends within 10 s; resting stops stay.",
        (),
        (
            "tests/unit/engine/test_supervisor.py::test_ord_9_a_stop_lets_duties_end_by_themselves",
            "tests/unit/engine/test_supervisor.py::test_ord_9_a_duty_that_does_not_end_is_cut_off_in_time",
        ),
    ),
)

# Together below the ten seconds of ORD-9: calls to the exchange end on their own time-outs meanwhile.
GRACE_S: Final = 4.0
CUT_OFF_S: Final = 2.5
BACKOFF_FIRST_S: Final = 1.0
BACKOFF_MOST_S: Final = 60.0
# A task that lived so long starts its waits anew.
SETTLED_S: Final = 300.0
WATCHDOG_FAR_S: Final = 30.0


class Remedy(StrEnum):
    """Name what the supervisor does about a failure."""

    RESTART = "restart"
    HALT = "halt"


@dataclass(frozen=True, slots=True)
class Line:
    """Hold one line of the table: a failure, and what is done when it ends a duty; an observer always restarts."""

    failure: type[BaseException]
    remedy: Remedy
    exit_code: int
    reason: str


# The first line that fits counts. Exit codes 2 and 4 tell systemd not to start again: only a person can mend those.
POLICY: Final[tuple[Line, ...]] = (
    Line(UsageError, Remedy.HALT, 2, "a person must mend the configuration"),
    Line(RefusedError, Remedy.HALT, 4, "stopped for safety"),
    Line(DataError, Remedy.HALT, 3, "the data is missing or bad"),
    Line(SchemaError, Remedy.HALT, 4, "the database belongs to another program version"),
    Line(JournalBroken, Remedy.HALT, 4, "the journal was changed by somebody else"),
    Line(StorageError, Remedy.HALT, 1, "what is on the disk is unknown: a new start reads it"),
    Line(ModelError, Remedy.HALT, 1, "state and events do not fit: a new start reads and compares with the exchange"),
    # A refused account halts its engine (lockout.py); what comes here concerns all, and may end without us.
    Line(HaltTrading, Remedy.RESTART, 0, "the exchange refuses us: tried again; look at keys, address and region"),
    Line(ExchangeError, Remedy.RESTART, 0, "the exchange does not answer as it should"),
    Line(EternalError, Remedy.HALT, 1, "a defect: a new start reads the state anew"),
    Line(ConnectionError, Remedy.RESTART, 0, "a connection broke"),
    Line(TimeoutError, Remedy.RESTART, 0, "something took too long"),
    Line(Exception, Remedy.HALT, 1, "a defect: a new start reads the state anew"),
)


class Weight(StrEnum):
    """Name what a duty means to the daemon.

    A VITAL one ends the daemon when it ends, and the table decides about its failures. A BOOKING one writes the
    journal too: the table decides, but its end is no reason to stop. An OBSERVER may fail for ever.
    """

    VITAL = "vital"
    BOOKING = "booking"
    OBSERVER = "observer"


@dataclass(frozen=True, slots=True)
class Duty:
    """Name one task; `done` says what it means that a vital one has ended by itself."""

    name: str
    run: Callable[[], Awaitable[None]]
    weight: Weight = Weight.OBSERVER
    done: str = ""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Say what ended a duty and what is done about it; `wait_s` until it starts again."""

    duty: str
    error: BaseException
    line: Line
    wait_s: float


@dataclass(frozen=True, slots=True)
class Ending:
    """Say how the daemon ended."""

    exit_code: int
    reason: str
    error: BaseException | None = None


def line_for(error: BaseException) -> Line:
    """Find the line of the table for a failure."""
    return next(line for line in POLICY if isinstance(error, line.failure))


class Supervisor:
    """Run duties until a vital one ends, a failure halts, or `stop` is called.

    `report` hears of every trouble (a log line, a journal event) and must not raise. `ask_to_stop` tells the vital
    duties to end by themselves: they have `GRACE_S`, then they are cancelled, and `run` returns in any case.
    """

    def __init__(
        self,
        report: Callable[[Trouble], None],
        ask_to_stop: Callable[[str], None],
        *,
        notifier: Notifier | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        grace_s: float = GRACE_S,
    ) -> None:
        self._report = report
        self._ask_to_stop = ask_to_stop
        self._notifier = notifier or Notifier()
        self._sleep = sleep
        self._grace_s = grace_s
        self._stopping = asyncio.Event()
        self._ending: Ending | None = None

    @property
    def is_stopping(self) -> bool:
        """Tell whether the daemon is ending."""
        return self._stopping.is_set()

    def stop(self, reason: str, exit_code: int = 0) -> None:
        """End the daemon in good order; the first reason counts."""
        self._end(Ending(exit_code, reason))

    async def run(self, duties: Sequence[Duty]) -> Ending:
        """Run all duties; give how it ended."""
        tasks = {asyncio.create_task(self._keep(duty), name=duty.name): duty for duty in duties}
        await self._stopping.wait()
        assert self._ending is not None
        self._notifier.stopping(self._ending.reason)
        self._ask_to_stop(self._ending.reason)
        vital = {task for task, duty in tasks.items() if duty.weight is Weight.VITAL}
        if vital:
            await asyncio.wait(vital, timeout=self._grace_s)
        for task in tasks:
            task.cancel()
        _, stuck = await asyncio.wait(tasks, timeout=CUT_OFF_S)
        if stuck:
            names = ", ".join(sorted(task.get_name() for task in stuck))
            code = self._ending.exit_code or int(bool(stuck & vital))
            return Ending(code, f"{self._ending.reason}; cut off: {names}", self._ending.error)
        return self._ending

    async def watch(self, interval_s: float | None, healthy: Callable[[], bool]) -> None:
        """Feed the service manager's watchdog as long as `healthy` holds; a duty for `run`."""
        while True:
            if interval_s is not None and healthy():
                self._notifier.watchdog()
            await self._sleep(WATCHDOG_FAR_S if interval_s is None else interval_s)

    async def _keep(self, duty: Duty) -> None:
        wait_s = BACKOFF_FIRST_S
        while not self.is_stopping:
            began_s = clock.monotonic()
            error = await _outcome(duty)
            if error is None:
                if duty.weight is Weight.VITAL:
                    self._end(Ending(0, duty.done or f"{duty.name} is done"))
                return
            if clock.monotonic() - began_s >= SETTLED_S:
                wait_s = BACKOFF_FIRST_S
            line = line_for(error)
            if duty.weight is not Weight.OBSERVER and line.remedy is Remedy.HALT:
                self._report(Trouble(duty.name, error, line, 0.0))
                self._end(Ending(line.exit_code, f"{duty.name}: {line.reason}", error))
                return
            self._report(Trouble(duty.name, error, line, wait_s))
            await self._rest(wait_s)
            wait_s = min(2 * wait_s, BACKOFF_MOST_S)

    async def _rest(self, wait_s: float) -> None:
        waits = [asyncio.ensure_future(self._sleep(wait_s)), asyncio.ensure_future(self._stopping.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.gather(*waits, return_exceptions=True)

    def _end(self, ending: Ending) -> None:
        if self._ending is None:
            self._ending = ending
            self._stopping.set()


async def _outcome(duty: Duty) -> Exception | None:
    try:
        await duty.run()
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        # Nobody has ended the duty: what it waited for was given up, by a defect elsewhere. It must not just vanish.
        return EternalError("what it waited for was given up", where=duty.name, mend="see the log for what broke first")
    except Exception as error:  # noqa: BLE001 - the one place; what follows is in the table
        return error
    return None
