"""One run of the daemon, from the locked database to the summary: place, books, duties, end."""

from __future__ import annotations

import asyncio
import math
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from importlib.metadata import version
from typing import Final

import structlog

from eternal_engine import clock as wall
from eternal_engine.bootstrap import instruments_of, params_of
from eternal_engine.config import Mode, Settings
from eternal_engine.engine.command import Reply
from eternal_engine.engine.command_desk import CommandDesk
from eternal_engine.engine.decision_events import HALTED
from eternal_engine.engine.findings import Alert
from eternal_engine.engine.hour import ALL_HALTED
from eternal_engine.engine.inbox_service import serve_inbox
from eternal_engine.engine.notify import Notifier
from eternal_engine.engine.recorder import Observer
from eternal_engine.engine.sender import Sender
from eternal_engine.engine.supervisor import Duty, Ending, Supervisor, Trouble, Weight
from eternal_engine.engine.timing import hour_of, hour_start
from eternal_engine.exchange.capability import Environment
from eternal_engine.exchange.events import ExecutionSeen, OrderUpdated
from eternal_engine.launch.account_setup import set_up_accounts
from eternal_engine.launch.assembly import (
    Crew,
    Orders,
    assemble,
    read_uids,
    shares_by_account,
    use,
    use_table,
)
from eternal_engine.launch.caretaker import Caretaker
from eternal_engine.launch.collector import settle
from eternal_engine.launch.files import ARMING_FILE, BARS_FILE, DATABASE_FILE, INBOX_FILE, SEGMENTS_FOLDER
from eternal_engine.launch.hours import HourLoop
from eternal_engine.launch.housekeeping import archive_old_rows
from eternal_engine.launch.live import shares_of
from eternal_engine.launch.opening import open_books, owners_of
from eternal_engine.launch.paper import divide
from eternal_engine.launch.place import Place, Stream, read_table
from eternal_engine.launch.summary import Summary, ledger_differences, tally
from eternal_engine.launch.untended import untended
from eternal_engine.market_data.bar_store import BarStore
from eternal_engine.model.conversion import exact_from_float
from eternal_engine.model.errors import EternalError, ExchangeError
from eternal_engine.model.event import DaemonStarted, DaemonStopped, ErrorOccurred, Event, Noted
from eternal_engine.model.ids import Account, Engine, RuleId
from eternal_engine.storage.inbox import Command, Inbox
from eternal_engine.storage.lock import DatabaseLock
from eternal_engine.storage.store import Store

PACKAGE: Final = "eternal-engine"
# No hour takes so long: whoever is busy longer is stuck, and systemd starts the daemon anew.
STUCK_S: Final = 900.0
NOTHING_HALTED: Final = 0
WAIT: Final = "wait: it is tried again by itself"
# The rules by which entries wait though no operator has halted them.
NO_LINE: Final = RuleId("RISK-3")
NOT_ARMED: Final = RuleId("RISK-13")
UNHURRIED_S: Final = 60.0
HURRIED_S: Final = 1.0
# How long an ending daemon waits for what runs beside its duties; ten seconds are all it has (ORD-9).
BESIDE_S: Final = 0.2

OpenPlace = Callable[[Store], Awaitable[Place]]


@dataclass(frozen=True)
class Plan:
    """Hold what one run was asked to do.

    `until` is exchange time. `cap_usdt` gives the armed cap of live (RISK-13), `entries_halted` a bit per engine whose
    entries wait (an arming that ended), `not_armed` the reasons for it. `observers` are offered each committed event,
    `say` tells the operator, `reload` answers SIGHUP.
    """

    mode: Mode
    settings: Settings
    say: Callable[[str], None]
    until: datetime | None = None
    cap_usdt: Callable[[], float] = lambda: math.inf
    entries_halted: Callable[[datetime], int] = lambda _: NOTHING_HALTED
    not_armed: Callable[[], tuple[str, ...]] = tuple
    observers: Sequence[Observer] = ()
    notifier: Notifier = field(default_factory=Notifier)
    watchdog_s: float | None = None
    handles_signals: bool = True
    reload: Callable[[Crew, datetime], Awaitable[None]] | None = None


@dataclass(frozen=True)
class Outcome:
    """Hold how a run ended, and what it came to."""

    ending: Ending
    summary: Summary


async def run_daemon(plan: Plan, open_place: OpenPlace, lock: DatabaseLock | None = None) -> Outcome:
    """Run until it is stopped, its time has come, or a failure ends it.

    The database is locked before anything else is touched (ORD-8); `lock` is one that is held already. Raises
    LockHeld, SchemaError, JournalBroken, UsageError, DataError, RefusedError or ExchangeError before anything is
    traded; later failures are in the outcome.
    """
    state_dir = plan.settings.paths.state_dir
    async with AsyncExitStack() as stack:
        store = await Store.open(state_dir / DATABASE_FILE, lock)
        stack.push_async_callback(store.close)
        place = await open_place(store)
        stack.push_async_callback(place.close)
        bars = BarStore(state_dir / BARS_FILE)
        stack.callback(bars.close)
        crew = await take_up(plan, place, store, bars)
        return await _Run(plan, place, crew).run()


async def take_up(plan: Plan, place: Place, store: Store, bars: BarStore) -> Crew:
    """Divide the money (paper, first start), put the crew together, journal the start, open books that are not open."""
    settings = plan.settings
    if place.environment is Environment.PAPER and store.projection.run is None:
        await divide(place.ports, shares_of(settings), settings.capital_usdt)
    for words in await set_up_accounts(place.ports, settings.symbols):
        plan.say(words)
    params = params_of(settings, place.table)
    params = params._replace(risk=params.risk._replace(cap_usdt=plan.cap_usdt()))
    orders = Orders(
        params,
        tuple(settings.symbols),
        settings.hash(),
        plan.entries_halted,
        owners_of(place, settings.core_hodl.weights),
        plan.observers,
        operator_delay_h=settings.backtest.approval_delay_h if place.is_fast else None,
        leg_timeout_s=settings.funding.leg_timeout_s,
    )
    crew = assemble(place, store, place.bars(bars), bars, await read_uids(place), orders)
    ahead = _ahead(crew, place)
    started = DaemonStarted(place.clock.now(), version(PACKAGE), plan.mode, settings.hash(), place.market)
    await crew.recorder.append(started)
    alerts = await open_books(place, crew.recorder, orders.owners, orders.symbols, settings.core_hodl.interval_h)
    alerts = (*ahead, *alerts, *untended(settings, crew.recorder.memory, crew.recorder.projection.books))
    await crew.recorder.append(*(_told(alert, place.clock.now()) for alert in alerts))
    for alert in alerts:
        plan.say(f"{alert.what} ({alert.where}); to mend: {alert.mend}")
    return crew


class _Run:
    """Hold one run's supervisor and loop together."""

    def __init__(self, plan: Plan, place: Place, crew: Crew) -> None:
        self.plan = plan
        self.place = place
        self.crew = crew
        self.table = place.table
        ends = [at for at in (plan.until, place.ends_at) if at is not None]
        until = min(ends, default=None)
        owners = owners_of(place, plan.settings.core_hodl.weights)
        self.caretaker = Caretaker(place, crew, owners, plan.say, plan.settings.daemon)
        self.loop = HourLoop(
            crew.engine,
            place.clock,
            until=until,
            before_hour=self.before_hour,
            after_hour=self.after_hour,
            take_up=self.caretaker.take_up,
            compare=self.caretaker.compare,
            is_paused=lambda: self.caretaker.is_paused,
            beat=self.beat,
        )
        crew.engine.setup = replace(crew.engine.setup, entries_halted=self.entries_halted, halted_by=self.halted_by)
        self.supervisor = Supervisor(self.report, lambda _: self.loop.stop(), notifier=plan.notifier)
        for manager in crew.managers.values():
            manager.may_send = self.may_send
        self.started_at = place.clock.now()
        self.background: set[asyncio.Future[None]] = set()
        self.told_not_armed: tuple[str, ...] = ()
        self.is_settled = False

    async def run(self) -> Outcome:
        self.listen_to_signals()
        self.plan.notifier.ready(f"{self.plan.mode}: {self.place.market}")
        self.beside(self.get_ready())
        ending = await self.supervisor.run(self.duties())
        await self.end_all_beside()
        ended_at = self.place.clock.now()
        with suppress(EternalError):  # what ended it may be the journal itself
            await self.crew.recorder.append(DaemonStopped(ended_at, ending.reason))
        return Outcome(ending, await self.sum_up(ending, ended_at))

    def duties(self) -> list[Duty]:
        own = [
            Duty("engine", self.loop.run, Weight.VITAL, done="the time given by --until is reached"),
            Duty("inbox", self.serve, Weight.BOOKING),
            Duty("watchdog", lambda: self.supervisor.watch(self.plan.watchdog_s, self.is_healthy)),
        ]
        own += [
            Duty(
                f"stream {engine.value}",
                partial(self.hear, self.place.streams[engine.account], manager.sender),
                Weight.BOOKING,
            )
            for engine, manager in self.crew.managers.items()
            if engine.account in self.place.streams
        ]
        return [*own, *self.caretaker.duties(self.loop.compare, self.loop.wake), *self.place.duties]

    def entries_halted(self, at: datetime) -> int:
        """Halt entries while the arming is void, the line is down or the clock is wrong."""
        return ALL_HALTED if self.caretaker.entries_wait else self.plan.entries_halted(at)

    def halted_by(self) -> RuleId:
        """Name the rule that halts entries now, beside the operator's own halts."""
        if self.caretaker.entries_wait:
            return NO_LINE
        return NOT_ARMED if self.plan.not_armed() else HALTED

    def may_send(self) -> bool:
        """Deny new orders while the daemon ends (ORD-9) or the line is down (ORD-6)."""
        return not (self.supervisor.is_stopping or self.caretaker.is_paused)

    async def hear(self, make: Stream, sender: Sender) -> None:
        """Book what an account's private stream says, and wake the engine when something was filled or ended."""
        stream = make()
        try:
            async for event in stream.events():
                await sender.take(event)
                if isinstance(event, ExecutionSeen | OrderUpdated):
                    self.loop.wake()
        finally:
            await stream.stop()

    async def serve(self) -> None:
        settings = self.plan.settings
        desk = CommandDesk(
            recorder=self.crew.recorder,
            clock=self.place.clock,
            shares=shares_by_account(shares_of(settings)),
            config_hash=lambda: self.crew.engine.setup.config_hash,
            wake=self.loop.wake,
            reconcile=self.compare_soon,
            managed=tuple(self.crew.managers),
            halts=lambda at: (self.entries_halted(at), self.halted_by()),
        )

        async def apply(command: Command) -> Reply | None:
            # A purchase by hand is decided now, by the arming of now.
            self.renew_cap()
            return await desk.apply_command(command)

        folder = settings.paths.state_dir
        await serve_inbox(
            Inbox(folder / INBOX_FILE),
            apply,
            database=folder / DATABASE_FILE,
            wall=wall.now,
            report=lambda problem: self.plan.say(f"the command inbox: {problem}"),
        )

    def compare_soon(self) -> None:
        """Have the accounts compared as soon as the engine is between two pieces of work."""
        self.beside(self.compare_for_command())

    async def compare_for_command(self) -> None:
        try:
            await self.loop.compare()
        except EternalError as error:
            what = f"the comparison that was asked for failed: {error.message}"
            await self.note(ErrorOccurred(self.place.clock.now(), what, error.where, error.mend))

    def listen_to_signals(self) -> None:
        if not self.plan.handles_signals:
            return
        events = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            events.add_signal_handler(number, self.supervisor.stop, signal.Signals(number).name)
        events.add_signal_handler(signal.SIGHUP, self.reload)

    def reload(self) -> None:
        if self.plan.reload is not None:
            self.beside(self.plan.reload(self.crew, self.place.clock.now()))

    def beat(self, now_h: int) -> None:
        equity = self.crew.engine.equity
        total = sum(equity[:4]) if equity is not None and equity.known else None
        money = "equity unknown" if total is None else f"equity {total:,.2f} USDT"
        self.plan.notifier.status(f"{self.plan.mode}, decided {hour_start(now_h):%Y-%m-%d %H:%M} UTC, {money}")

    async def get_ready(self) -> None:
        """Do ahead of the first decision what its orders would wait for."""
        symbols = tuple(self.plan.settings.symbols)
        ahead = (manager.lever_ahead(symbols) for manager in self.crew.managers.values())
        await asyncio.gather(self.warm(), *ahead)

    async def warm(self) -> None:
        """Open connections before the orders of an hour need them; MASTER's are used all the time."""
        ports = self.place.ports.items()
        await asyncio.gather(*(port.warm() for account, port in ports if account is not Account.MASTER))

    async def before_hour(self) -> None:
        """Bring what a decision stands on up to date."""
        await self.caretaker.see_clock()
        await self.tell_arming()
        if not self.place.pumps:
            self.beside(self.warm())
        self.renew_cap()
        await self.renew_rules()

    async def after_hour(self) -> None:
        """Keep the database small, and the collector's work: most of the hour is free now."""
        if self.plan.handles_signals and not self.is_settled:
            # The process is ours, and what is there after its first hour stays until its end (0125).
            self.is_settled = True
            settle()
        folder = self.plan.settings.paths.state_dir / SEGMENTS_FOLDER
        await archive_old_rows(self.crew.recorder, folder, self.place.clock.now())

    async def tell_arming(self) -> None:
        """Say once why the arming of live trading no longer holds, and when it does again (RISK-13)."""
        reasons = self.plan.not_armed()
        if reasons == self.told_not_armed:
            return
        self.told_not_armed, at = reasons, self.place.clock.now()
        if reasons:
            what = f"live trading is not armed any more: {'; '.join(reasons)}; entries stop, exits and stops go on"
            mend = "`eternal arm` on a terminal, no restart is needed"
            await self.note(ErrorOccurred(at, what, str(self.plan.settings.paths.state_dir / ARMING_FILE), mend))
        else:
            await self.note(Noted(at, RuleId("RISK-13"), "live trading is armed again, entries go on"))

    async def renew_rules(self) -> None:
        """Read the instruments again: maxima change twice a month, and symbols come and go (bybit-v5 1.2)."""
        if self.place.is_fast:
            return
        settings, port = self.plan.settings, next(iter(self.place.ports.values()))
        try:
            table = await read_table(port, settings.symbols, self.place.table.name, self.table)
        except ExchangeError as error:
            where = "reading the instruments again"
            await self.note(ErrorOccurred(self.place.clock.now(), error.message, where, error.mend))
            return
        if table == self.table:
            return
        self.table = table
        instruments = instruments_of(table, tuple(settings.symbols))
        use_table(self.crew, self.crew.engine.params._replace(instruments=instruments), table)
        await self.note(Noted(self.place.clock.now(), RuleId("RISK-10"), "the exchange has changed instrument rules"))

    def renew_cap(self) -> None:
        """Take over the cap of a new arming; an arming that ended leaves the cap, and halts entries (RISK-13)."""
        params, cap_usdt = self.crew.engine.params, self.plan.cap_usdt()
        if cap_usdt not in (0.0, params.risk.cap_usdt):
            use(
                self.crew,
                params._replace(risk=params.risk._replace(cap_usdt=cap_usdt)),
                self.crew.engine.setup.config_hash,
            )

    def is_healthy(self) -> bool:
        busy_s = self.loop.busy_s
        return busy_s is None or busy_s < STUCK_S

    def report(self, trouble: Trouble) -> None:
        """Say and journal what ended a duty; the journal itself may be what is broken."""
        error = trouble.error
        known = error if isinstance(error, EternalError) else None
        what = f"{trouble.duty}: {known.message if known else repr(error)}; {trouble.line.reason}"
        mend = (known.mend if known else "") or (WAIT if isinstance(error, ExchangeError) else "see the log")
        self.plan.say(f"{what}; to mend: {mend}")
        if known is None:
            # A defect of the program: whoever mends it needs to see where it happened.
            structlog.get_logger("eternal.daemon").error("duty_failed", duty=trouble.duty, exc_info=error)
        event = ErrorOccurred(self.place.clock.now(), what, known.where if known else trouble.duty, mend)
        self.beside(self.note(event))

    def beside(self, work: Awaitable[None]) -> None:
        """Do something beside the duties; a defect in it is said, not lost with its task."""
        task = asyncio.ensure_future(work)
        self.background.add(task)
        task.add_done_callback(self.end_beside)

    def end_beside(self, task: asyncio.Future[None]) -> None:
        """Take leave of a task."""
        self.background.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.plan.say(f"a defect beside the duties: {error!r}; to mend: see the log, and report it")
            structlog.get_logger("eternal.daemon").error("task_failed", exc_info=error)

    async def end_all_beside(self) -> None:
        """End what runs beside: the connections and the database that it works with are closed next."""
        running = set(self.background)
        if running:
            _, unfinished = await asyncio.wait(running, timeout=BESIDE_S)
            for task in unfinished:
                task.cancel()
            await asyncio.wait(running, timeout=BESIDE_S)

    async def note(self, event: Event) -> None:
        with suppress(EternalError):
            await self.crew.recorder.append(event)

    async def sum_up(self, ending: Ending, ended_at: datetime) -> Summary:
        recorder, equity = self.crew.recorder, self.crew.engine.equity
        differences = await self.differences()
        amounts = {
            engine.value: exact_from_float(equity[number]) if equity is not None and equity.known else None
            for number, engine in enumerate(Engine)
        }
        return Summary(
            mode=self.plan.mode,
            market=self.place.market,
            engines=tuple(engine.value for engine in Engine if getattr(self.plan.settings, engine.value).enabled),
            started_at=self.started_at,
            ended_at=ended_at,
            reason=ending.reason,
            hours=self.loop.hours,
            tally=await asyncio.to_thread(tally, recorder.store.path),
            equity_usdt=amounts,
            differences=differences,
            config_hash=self.crew.engine.setup.config_hash,
            head=recorder.store.head.hash,
        )

    async def differences(self) -> tuple[str, ...] | None:
        """Compare with the venue's ledger; None: not asked, or nobody answered.

        Told to stop, a daemon asks only its own exchange, and not for long: a call that hangs holds it up (ORD-9).
        """
        if not self.loop.is_done and self.place.environment is not Environment.PAPER:
            return None
        try:
            async with asyncio.timeout(UNHURRIED_S if self.loop.is_done else HURRIED_S):
                return await ledger_differences(self.place, self.crew.recorder.projection.books)
        except (ExchangeError, ConnectionError, TimeoutError):
            return None


def _ahead(crew: Crew, place: Place) -> tuple[Alert, ...]:
    """Say it when hours are on record that have not come at the exchange: nothing is decided until they have.

    An exchange of ours may have forgotten hours in which nothing happened; they come again at once.
    """
    last_h, now = crew.recorder.memory.cycle_h, place.clock.now()
    if place.environment is Environment.PAPER or last_h <= hour_of(now):
        return ()
    decided = f"{hour_start(last_h):%Y-%m-%d %H:%M}"
    what = f"hours up to {decided} UTC are on record as decided, and it is {now:%Y-%m-%d %H:%M}"
    mend = "this machine's clock was wrong: mend it (NTP); restore a backup of before to decide again at once"
    return (Alert("ahead", f"{what}: nothing is decided until then, stops rest", "clock", mend),)


def _told(alert: Alert, at: datetime) -> ErrorOccurred:
    return ErrorOccurred(at, alert.what, alert.where, alert.mend)
