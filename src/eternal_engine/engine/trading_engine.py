"""The daemon's heart: one completed hour after the other, from bars to decisions to orders (U-2, U-7, U-8)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Final

from eternal_engine.engine.bank import Bank, without_promised
from eternal_engine.engine.decision_events import HALTED, decision_events, unpriced_said
from eternal_engine.engine.hour import ALL_HALTED, Decided, decide_hour, mark
from eternal_engine.engine.lockout import Lockouts
from eternal_engine.engine.market_watch import MarketWatch
from eternal_engine.engine.memory import Memory
from eternal_engine.engine.order_manager import OrderManager, in_turn_or_together
from eternal_engine.engine.recorder import Recorder
from eternal_engine.engine.sender import stamp_hour
from eternal_engine.engine.timing import Clock, hour_of, hour_start
from eternal_engine.engine.view import ENGINES, BookViews, flowed_usdt, without_paid
from eternal_engine.ledger.transfers import TRANSFER_STEP, funding_profit
from eternal_engine.model.conversion import exact_from_float
from eternal_engine.model.event import EquityMarked, Event
from eternal_engine.model.ids import Account, Engine, RuleId
from eternal_engine.model.money import ZERO, floor_to
from eternal_engine.model.rule import Rule
from eternal_engine.portfolio.flows import FlowState, funding_share_usdt, month_of, peak_after_usdt
from eternal_engine.portfolio.params import BookView, Equities, Params
from eternal_engine.portfolio.valuation import engine_usdt, free_usdt
from eternal_engine.storage.history import Paid
from eternal_engine.storage.projection import Projection
from eternal_engine.strategies.base import FUNDING, HOURS_PER_DAY

RULES: tuple[Rule, ...] = (
    Rule(
        "U-7",
        "Live, too, decisions, risk and breaker advance only when an hourly bar completes; hours missed while the "
        "daemon was down are lived through in order, without entries.",
        (),
        ("tests/unit/engine/test_trading_engine.py::test_u_7_missed_hours_make_no_entries",),
    ),
)

NOTHING_HALTED: Final = 0


@dataclass(frozen=True, slots=True)
class Setup:
    """Hold what a run is told: parameters, their hash for the journal, and what halts entries (bits per engine).

    `halted_by` names the rule of it. `operator_delay_h`: approvals come by themselves after so many hours, None where a
    person gives them (BRK-5).
    """

    params: Params
    config_hash: str
    entries_halted: Callable[[datetime], int] = lambda _: NOTHING_HALTED
    operator_delay_h: int | None = None
    halted_by: Callable[[], RuleId] = lambda: HALTED


class TradingEngine:
    """Run four strategy engines over one market, hour by hour."""

    def __init__(
        self,
        setup: Setup,
        recorder: Recorder,
        managers: Mapping[Engine, OrderManager],
        watch: MarketWatch,
        bank: Bank,
        clock: Clock,
    ) -> None:
        self.setup = setup
        self.recorder = recorder
        self.watch = watch
        self._managers = tuple(managers[engine] for engine in ENGINES if engine in managers)
        self._bank = bank
        self._clock = clock
        self._views = BookViews()
        self.equity: Equities | None = None
        self._unpriced: tuple[int, ...] = ()
        # Funding that an earlier life has booked, though the hour of its settlement is not decided yet.
        self.paid_before: Sequence[Paid] = ()
        self.lockouts = Lockouts(recorder, clock)

    @property
    def params(self) -> Params:
        """Give the parameters in force."""
        return self.setup.params

    async def prepare(self) -> None:
        """Read the market; decides and sends nothing."""
        # An exchange of this process may have forgotten time in which nothing happened: it comes again, and what was
        # decided is not sent into the prices of an hour before.
        await self._clock.sleep_until(hour_start(self.recorder.memory.cycle_h))
        now_h = hour_of(self._clock.now())
        first_h = self.recorder.memory.cycle_h or now_h
        await self.watch.start(min(first_h, now_h))
        self.recorder.marks = self.watch.marks

    async def start(self) -> None:
        """Read the market, and finish what an earlier run left under way; decides nothing."""
        await self.prepare()
        await self.work()

    async def work(self) -> None:
        """Carry pending intents and transfers as far as they go now."""
        wired = any(manager.sender.is_wired for manager in self._managers)
        guarded = self.lockouts.run
        jobs = [partial(guarded, manager.sender.account, manager.run) for manager in self._managers]
        await in_turn_or_together(jobs, together=wired)
        await guarded(Account.MASTER, self._bank.run)

    async def live_through(self, until_h: int, *, decides_last: bool = True) -> int:
        """Decide every hour up to `until_h` that is not decided yet; only the newest makes entries (U-7).

        Without `decides_last` the last hour is marked and decides nothing: the run ends there, and a run that goes on
        from there decides it. Gives how many hours were decided.
        """
        memory = self.recorder.memory
        hour = memory.cycle_h + 1 if memory.cycle_h else until_h
        decided = 0
        while hour <= until_h:
            newest = hour == until_h
            await self._hour(hour, entries=newest, decides=decides_last or not newest)
            decided += decides_last or not newest
            hour += 1
        return decided

    async def _hour(self, now_h: int, *, entries: bool, decides: bool) -> None:
        for manager in self._managers:
            await manager.sender.hear()
            await manager.sender.settle_funding(now_h - 1)
        found = await self.watch.see(now_h)
        self.recorder.marks = self.watch.marks
        if not found:
            await self.recorder.commit(lambda memory, _: (replace(memory, cycle_h=now_h), ()))
        elif not decides:
            await self._mark_only(now_h)
        else:
            await self._decide(now_h, entries=entries)
        for manager in self._managers:
            await manager.sender.settle_funding(now_h)
        if decides:
            await self.work()

    async def _mark_only(self, now_h: int) -> None:
        at = hour_start(now_h)

        def make(memory: Memory, projection: Projection) -> tuple[Memory, list[Event]]:
            equity = mark(self.params, self._view(projection, memory, now_h), self.watch.marks, now_h)
            self.equity = equity
            marked: list[Event] = [
                EquityMarked(at, engine.account, exact_from_float(engine_usdt(equity, number)))
                for number, engine in enumerate(ENGINES)
                if equity.known
            ]
            # The hour stays undecided: a daemon that goes on must not miss the decisions of a midnight.
            return memory, marked

        await self.recorder.commit(make)

    async def _decide(self, now_h: int, *, entries: bool) -> None:
        if month_of(now_h) != self.recorder.memory.flows.month:
            await self.recorder.commit(lambda memory, projection: self._share(memory, projection, now_h))
            await self.lockouts.run(Account.MASTER, self._bank.run)
        features = self.watch.features()
        settled = self.watch.settled(now_h)
        halted = self.setup.entries_halted(self._clock.now()) if entries else ALL_HALTED
        written: list[Event] = []

        def make(memory: Memory, projection: Projection) -> tuple[Memory, list[Event]]:
            book = self._view(projection, memory, now_h)
            decided = decide_hour(
                self.params,
                features,
                memory,
                book,
                self.watch.marks,
                settled,
                now_h,
                flowed_usdt(projection.books),
                halted=halted,
                operator_delay_h=self.setup.operator_delay_h,
                spendable=without_promised(book, projection.pending_transfers.values()),
            )
            self.equity = decided.equity
            written[:] = self._events(decided, memory, projection, now_h)
            return decided.memory, written

        await self.recorder.commit(make)
        for manager in self._managers:
            manager.sender.decided(written)

    def _events(self, decided: Decided, before: Memory, projection: Projection, now_h: int) -> list[Event]:
        at = self._clock.now()
        events = decision_events(
            self.params, decided, before, self.watch.features(), self.watch.marks, now_h, at, self.setup.config_hash,
            self.setup.halted_by(),
        )  # fmt: skip
        if decided.unpriced and (decided.unpriced != self._unpriced or now_h % HOURS_PER_DAY == 0):
            events.append(unpriced_said(decided, at))
        self._unpriced = decided.unpriced
        for manager in self._managers:
            events += manager.first_orders(decided.intents, decided.memory, projection)
        for manager in self._managers:
            # A commit of its own would keep the orders waiting.
            events += manager.sender.due_funding(now_h)
        return events

    def _view(self, projection: Projection, memory: Memory, now_h: int) -> BookView:
        """Convert the books as an hour is decided on them: with the funding of the hours before, not its own (U-8).

        A run that was told to end has booked its last instant's, or its books would not be the exchange's.
        """
        window = self.params.risk.kelly_window
        view = self._views.view(projection.books, memory.symbols, window, self.recorder.trend_pnls)
        self.paid_before = [paid for paid in self.paid_before if stamp_hour(paid.settled_at) >= now_h]
        return without_paid(view, projection.books, self.paid_before)

    def _share(self, memory: Memory, projection: Projection, now_h: int) -> tuple[Memory, list[Event]]:
        """Plan FUNDING's monthly share of new profit for TACTICAL (CAP-2)."""
        view = without_promised(self._view(projection, memory, now_h), projection.pending_transfers.values())
        peak, share = memory.flows.funding_peak_usdt, self.params.funding.profit_share_frac
        free = free_usdt(self.params, view, self.watch.marks, list(memory.pending), FUNDING)
        moved = funding_share_usdt(float(view.realised[FUNDING]), peak, share, free)
        amount = floor_to(exact_from_float(moved), TRANSFER_STEP) if moved > 0.0 else ZERO
        planned = funding_profit(amount, hour_start(now_h))
        if planned is None:
            return replace(memory, flows=FlowState(peak, month_of(now_h))), []
        flows = FlowState(peak_after_usdt(peak, moved, share), month_of(now_h))
        return replace(memory, flows=flows), [replace(planned, at=self._clock.now())]
