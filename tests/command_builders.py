"""Build what an operator command meets: a memory, books, marks and a context of two coins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np

from core_builders import TWO, some_params
from eternal_engine.engine.command import CommandContext, Outcome
from eternal_engine.engine.command_desk import CommandDesk
from eternal_engine.engine.commands import apply
from eternal_engine.engine.hour import mark
from eternal_engine.engine.memory import Memory, fresh_memory
from eternal_engine.engine.recorder import Recorder
from eternal_engine.engine.timing import hour_of
from eternal_engine.engine.view import book_view
from eternal_engine.model.event import CommandApplied, Deposited, Event
from eternal_engine.model.ids import Account, Coin, CommandId, RecordId
from eternal_engine.portfolio.params import Marks, Params
from eternal_engine.storage.inbox import Command
from eternal_engine.storage.projection import Projection, step
from eternal_engine.storage.store import Store
from eternal_engine.strategies import core_hodl

# A Wednesday; the hour has been running for twenty minutes.
NOW = datetime(2024, 1, 10, 12, 20, tzinfo=UTC)
HOUR = timedelta(hours=1)
SHARES = {
    Account.CORE_HODL: Decimal("0.60"),
    Account.TREND: Decimal("0.20"),
    Account.FUNDING: Decimal("0.15"),
    Account.TACTICAL: Decimal("0.05"),
}
PRICES = (50_000.0, 2_500.0)
CAPITAL = {Account.CORE_HODL: 60_000, Account.TREND: 20_000, Account.FUNDING: 15_000, Account.TACTICAL: 5_000}


def a_projection(*events: Event, capital: Mapping[Account, int] = CAPITAL) -> Projection:
    """Give the books of a portfolio that was opened with its capital, and what further events make of them."""
    usdt, day = Coin("USDT"), NOW - timedelta(days=30)
    opening = [
        Deposited(day, RecordId(f"opening:{account.value}"), account, usdt, Decimal(sum_), Decimal(sum_), day)
        for account, sum_ in capital.items()
    ]
    return after(Projection(), *opening, *events)


def after(projection: Projection, *events: Event) -> Projection:
    """Apply events to a projection."""
    for seq, event in enumerate(events, start=1):
        projection = step(projection, event, seq).projection
    return projection


def a_memory(params: Params | None = None, *, anchor: datetime = NOW - timedelta(days=24, hours=4)) -> Memory:
    """Give a memory in the third week of a deployment plan: cycles since `anchor`, the next one at its next anchor."""
    params = params or some_params(TWO)
    memory = fresh_memory(params, TWO, 24_288)
    anchor_h, now_h = hour_of(anchor), hour_of(NOW)
    due_h = anchor_h + ((now_h - anchor_h) // params.core.interval_h + 1) * params.core.interval_h
    core = memory.states.core._replace(
        phase=core_hodl.DEPLOYING,
        anchor_h=anchor_h,
        due_h=due_h,
        weeks_remaining=8,
        plan_weeks=12,
        target_usdt=60_000.0,
        plan=np.array([core_hodl.MAIN_PLAN, core_hodl.MAIN_PLAN], np.int64),
        gap_usdt=np.array([20_000.0, 400.0]),
    )
    return with_states(memory, core=core)


def with_states(memory: Memory, **parts: Any) -> Memory:
    """Replace parts of the rules' states."""
    return replace(memory, states=memory.states._replace(**parts))


def at_level(memory: Memory, level: int, **changes: Any) -> Memory:
    """Put the breaker to a level, begun an hour ago."""
    risk = memory.states.risk._replace(level=level, changed_h=hour_of(NOW) - 1, high_usdt=40_000.0, **changes)
    return with_states(memory, risk=risk)


def a_context(
    projection: Projection,
    *,
    params: Params | None = None,
    now: datetime = NOW,
    prices: tuple[float, float] = PRICES,
) -> CommandContext:
    """Give the context of a portfolio whose coins all closed at `prices` an hour ago."""
    params = params or some_params(TWO)
    hours = np.full(len(TWO), hour_of(now) - 1, np.int64)
    marks = Marks(np.array(prices), np.array(prices), hours, hours.copy())
    book = book_view(projection.books, TWO, params.risk.kelly_window, ())
    return CommandContext(now, params, book, marks, mark(params, book, marks, hour_of(now)), SHARES, "c0ffee")


def a_command(verb: str, identifier: str = "k1", **arguments: str) -> Command:
    """Build a command that was just left."""
    return Command(CommandId(identifier), verb, arguments, NOW, NOW + timedelta(minutes=5))


def carried_out(
    verb: str, memory: Memory | None = None, projection: Projection | None = None, **arguments: str
) -> Outcome:
    """Apply one command to a portfolio at rest, or to the given one."""
    books = a_projection() if projection is None else projection
    return apply(a_command(verb, **arguments), memory or a_memory(), books, a_context(books))


def audit_of(outcome: Outcome) -> CommandApplied:
    """Give the one audit entry of an outcome."""
    (entry,) = [event for event in outcome.events if isinstance(event, CommandApplied)]
    return entry


class FixedClock:
    """Stand still at the hour of the tests."""

    def now(self) -> datetime:
        """Give the one instant there is."""
        return NOW

    async def sleep(self, seconds: float) -> None:
        """Take no time."""

    async def sleep_until(self, at: datetime) -> None:
        """Take no time."""


class Desk:
    """Put a command desk over a real database, and count what it wakes."""

    def __init__(self, store: Store, memory: Memory | None = None) -> None:
        params = some_params(TWO)
        marks = a_context(store.projection, params=params).marks
        self.recorder = Recorder(store, params, memory or a_memory(params), FixedClock(), marks=marks, is_new=True)
        self.woken = 0
        self.reconciled = 0
        self.desk = CommandDesk(self.recorder, FixedClock(), SHARES, lambda: "c0ffee", self._wake, self._reconcile)

    def _wake(self) -> None:
        self.woken += 1

    def _reconcile(self) -> None:
        self.reconciled += 1
