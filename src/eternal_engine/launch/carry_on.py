"""What each mode asks for before it trades, in one place; `start` has locked, chosen the market and come here."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import cast

from eternal_engine import clock
from eternal_engine.config import Settings
from eternal_engine.config.keys import all_keys, value_at
from eternal_engine.engine.hour import ALL_HALTED
from eternal_engine.launch.arming import Armed, Facts, machine_id, verify
from eternal_engine.launch.daemon import NOTHING_HALTED, Outcome, Plan, run_daemon
from eternal_engine.launch.files import ARMING_FILE, BARS_FILE, DATABASE_FILE
from eternal_engine.launch.keys import Venue
from eternal_engine.launch.live import MARKETS, answered_preflight, close_accounts, open_accounts, open_live
from eternal_engine.launch.markets import Market, MarketKind
from eternal_engine.launch.paper import open_paper
from eternal_engine.launch.place import Place
from eternal_engine.launch.preflight import Severity, refuse_errors
from eternal_engine.launch.reload import Reloader
from eternal_engine.launch.start import Beginning, Request
from eternal_engine.model.errors import LockHeld, RefusedError
from eternal_engine.model.instrument import BYBIT_2025, InstrumentTable
from eternal_engine.observe.live_view import Banner
from eternal_engine.observe.log import FILE_NAME
from eternal_engine.observe.watching import Watch, Wishes, watching
from eternal_engine.storage.backup import read_database_id
from eternal_engine.storage.store import Store


async def carry_on(request: Request, beginning: Beginning) -> Outcome:
    """Put the daemon together and run it until the end; see `run_daemon` for what it raises."""
    this = _Start(request, beginning)
    async with watching(_wishes(request, beginning.market, this.arming_ends)) as watch:
        with this.locks:
            return await this.run(watch)


def _wishes(request: Request, market: Market | None, arming_ends: Callable[[], datetime | None]) -> Wishes:
    settings = request.settings
    state_dir, urls = settings.paths.state_dir, settings.alerts.urls
    banner = Banner(
        mode=request.mode,
        market=MARKETS[request.mode] if market is None else market.sentence,
        is_synthetic=market is not None and market.kind is MarketKind.SYNTHETIC,
        speed=1.0 if market is None else market.speed,
        config_hash=settings.hash(),
        log_file=str(settings.paths.log_dir / FILE_NAME),
    )
    return Wishes(
        banner=banner,
        database=state_dir / DATABASE_FILE,
        bars=state_dir / BARS_FILE,
        log_dir=settings.paths.log_dir,
        level=settings.log.level,
        max_mb=settings.log.max_mb,
        files=settings.log.files,
        secrets=_secrets_of(settings),
        alert_urls="" if urls is None else urls.get_secret_value(),
        most_per_hour=settings.alerts.most_per_hour,
        daily_summary=settings.alerts.daily_summary,
        view=request.view,
        console=request.console,
        arming_ends=arming_ends,
    )


def _secrets_of(settings: Settings) -> list[str]:
    values = (value_at(settings, path) for path, entry in all_keys().items() if entry.secret)
    return [value.get_secret_value() for value in values if value is not None]


class _Start:
    """Carry what the parts of one start need of each other."""

    def __init__(self, request: Request, beginning: Beginning) -> None:
        self.request = request
        self.beginning = beginning
        self.market = beginning.market
        self.locks = ExitStack()
        self.armed: Armed | None = None
        self.table: InstrumentTable = BYBIT_2025
        self.say: Callable[[str], None] = lambda _: None
        self.warn: Callable[[str, str], None] = lambda *_: None

    async def run(self, watch: Watch) -> Outcome:
        request, self.say, self.warn = self.request, watch.say, watch.say
        reloader = Reloader(request.settings, request.read_settings, lambda: self.table, self.refuses, watch.say)
        plan = Plan(
            mode=request.mode,
            settings=request.settings,
            until=request.until,
            cap_usdt=self.cap_usdt,
            entries_halted=self.entries_halted,
            not_armed=self.not_armed,
            say=watch.say,
            observers=(watch.offer,),
            notifier=request.notifier,
            watchdog_s=request.watchdog_s,
            handles_signals=request.handles_signals,
            reload=reloader,
        )
        return await run_daemon(plan, self.open_place, self.beginning.lock)

    async def open_place(self, store: Store) -> Place:
        if self.market is None:
            place = await self.open_real(store)
        else:
            self.say(f"Paper trading on {self.market.sentence}.")
            place = await open_paper(self.market, self.request.settings, self.say, self.beginning.child)
        self.table = place.table
        return place

    def say_waiting(self, text: str) -> None:
        """Warn that a start waits for the exchange."""
        self.warn(text, Severity.WARNING.value)

    def arming_ends(self) -> datetime | None:
        record = None if self.armed is None else self.armed.record()
        return None if record is None else record.expires_at

    async def open_real(self, store: Store) -> Place:
        request = self.request
        venue = cast("Venue", request.mode)
        ports = open_accounts(request.settings, venue, request.hosts)
        try:
            looked = await answered_preflight(ports, request.settings, clock.now, self.say_waiting)
            for finding in looked.findings:
                self.warn(f"{finding.what}; to mend: {finding.mend}", finding.severity.value)
            refuse_errors(looked.findings)
            for uid in looked.uids.values():
                self.locks.enter_context(account_lock(venue, uid))
            if venue == "live":
                self.take_arming(store, looked.uids)
            place = await open_live(ports, request.settings, venue, request.hosts, say=self.say)
        except BaseException:
            await close_accounts(ports)
            raise
        return place

    def take_arming(self, store: Store, uids: Mapping[str, str]) -> None:
        """Refuse (exit 4) unless this very daemon is armed (RISK-13)."""
        path = self.request.settings.paths.state_dir / ARMING_FILE
        self.armed = Armed(path, facts_of(self.request.settings, store.path, uids))
        now = clock.now()
        reasons = self.armed.reasons(now)
        if reasons:
            raise RefusedError(
                "live trading is not armed: " + "; ".join(reasons),
                where=str(path),
                mend="read `eternal check --mode live`, then arm on a terminal with `eternal arm --cap USDT`",
            )

    def cap_usdt(self) -> float:
        return float("inf") if self.armed is None else float(self.armed.cap_usdt(clock.now()))

    def entries_halted(self, _: datetime) -> int:
        """Halt all entries while an arming that held at the start holds no longer; exits and stops go on."""
        return ALL_HALTED if self.not_armed() else NOTHING_HALTED

    def not_armed(self) -> tuple[str, ...]:
        """List why the arming of live trading does not hold now; other modes need none."""
        return () if self.armed is None else self.armed.reasons(clock.now())

    def refuses(self, config_hash: str, _: datetime) -> tuple[str, ...]:
        """List why a changed configuration may not be used: in live it must have been armed before."""
        if self.armed is None:
            return ()
        facts = Facts(self.armed.facts.accounts, config_hash, self.armed.facts.machine_id, self.armed.facts.database_id)
        reasons = verify(self.armed.record(), facts, clock.now())
        if not reasons:
            self.armed.facts = facts
        return reasons


def facts_of(settings: Settings, database: Path, uids: Mapping[str, str]) -> Facts:
    """Gather what an arming is bound to."""
    return Facts(dict(uids), settings.hash(), machine_id(), read_database_id(database))


def account_lock(venue: Venue, uid: str) -> socket.socket:
    """Hold one account for this process (ORD-8), whatever its state directory: a name that the kernel frees.

    Raises LockHeld while another daemon of this machine trades in the account.
    """
    lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    try:
        lock.bind(f"\0eternal-engine/{venue}/{uid}")
    except OSError:
        lock.close()
        raise LockHeld(
            f"another daemon of this machine trades in the {venue} account {uid}",
            where=f"account {uid}",
            mend="stop it first, or use keys of other sub-accounts",
        ) from None
    return lock
