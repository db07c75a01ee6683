"""Everybody who watches one run of the daemon, put together: log, alerts, live view, behind one bus."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import structlog

from eternal_engine.ledger.equity import Prices
from eternal_engine.model.errors import EternalError, StorageError
from eternal_engine.model.event import Event
from eternal_engine.observe.alerts import Alerts, addresses_in, apprise_sender
from eternal_engine.observe.bus import Bus, Observer
from eternal_engine.observe.fields import INFO
from eternal_engine.observe.live_view import Banner, LiveView
from eternal_engine.observe.log import EventLog, Log, configure
from eternal_engine.observe.picture import Picture
from eternal_engine.observe.seeding import last_prices, stored_picture

PRICES_S: Final = 5.0
# An hour's orders are on the wire by then, also those that a busy machine holds up: words about them can wait.
REST_S: Final = 0.25
_LOG = structlog.get_logger("eternal.daemon")


@dataclass(frozen=True, slots=True)
class Wishes:
    """Hold what one run wants watched. `secrets` are all configured keys, `alert_urls` the setting as it is written.

    `view` draws the live view; without it `console` writes log lines to stderr. `arming_ends` gives when live trading
    must be armed again, None for never.
    """

    banner: Banner
    database: Path
    bars: Path
    log_dir: Path
    level: str = "info"
    max_mb: int = 20
    files: int = 10
    secrets: Sequence[str] = field(default=(), repr=False)
    alert_urls: str = field(default="", repr=False)
    most_per_hour: int = 20
    daily_summary: bool = True
    view: bool = False
    console: bool = False
    arming_ends: Callable[[], datetime | None] = lambda: None


class Watch:
    """Take what the engine offers, and what the daemon says in words; neither ever waits."""

    def __init__(self, bus: Bus, log: Log) -> None:
        self._bus = bus
        self.log = log

    def offer(self, event: Event) -> None:
        """Hand one committed event to all observers."""
        self._bus.offer(event)

    def say(self, text: str, level: str = INFO) -> None:
        """Write one line for people, at a level of the log."""
        getattr(_LOG, level)("daemon_said", text=text)


@asynccontextmanager
async def watching(wishes: Wishes) -> AsyncIterator[Watch]:
    """Watch one run: enter before the database is opened, leave after the last event was journaled.

    Raises UsageError for an alert address that cannot be read. Whatever else goes wrong costs a log line.
    """
    addresses = addresses_in(wishes.alert_urls)
    log = configure(
        wishes.log_dir,
        level=wishes.level,
        secrets=(*wishes.secrets, *addresses),
        console=wishes.console and not wishes.view,
        max_bytes=wishes.max_mb * 1_000_000,
        files=wishes.files,
    )
    try:
        send = await asyncio.to_thread(apprise_sender, addresses)
        picture = await asyncio.to_thread(_stored, wishes.database)
        alerts = Alerts(send, picture=picture, most_per_hour=wishes.most_per_hour, summaries=wishes.daily_summary)
        observers: list[Observer] = [EventLog(wishes.level), alerts]
        helpers: list[Coroutine[Any, Any, None]] = [alerts.remind(wishes.arming_ends)]
        if wishes.view:
            prices = _Prices(wishes.bars)
            view = LiveView(wishes.banner, picture=picture, prices=prices, missed_events=lambda: bus.dropped)
            observers.append(view)
            helpers += [view.show(), prices.follow(view)]
        bus = Bus(observers, rest_s=REST_S)
        running = asyncio.create_task(bus.run(), name="observers")
        helping = [asyncio.create_task(helper) for helper in helpers]
        try:
            yield Watch(bus, log)
        except EternalError as error:
            # The terminal says it too; a service's reader may only have this file.
            _LOG.error("run_failed", text=error.message, where=error.where, mend=error.mend)
            raise
        finally:
            await bus.close(running)
            for task in helping:
                task.cancel()
            for outcome in await asyncio.gather(*helping, return_exceptions=True):
                if isinstance(outcome, Exception):
                    _LOG.warning("observer_failed", problem=f"{type(outcome).__name__}: {outcome}")
    finally:
        log.close()


class _Prices:
    """Give the last closes of what is held, read from the daemon's file of bars now and then."""

    def __init__(self, bars: Path) -> None:
        self._bars = bars
        self._last = Prices()

    def __call__(self) -> Prices:
        return self._last

    async def follow(self, view: LiveView) -> None:
        while True:
            with suppress(StorageError):  # the bars are the engine's business; the view shows positions without values
                self._last = await asyncio.to_thread(last_prices, self._bars, view.picture.books)
            await asyncio.sleep(PRICES_S)


def _stored(database: Path) -> Picture:
    try:
        return stored_picture(database)
    except EternalError as problem:
        # The daemon itself will say what is wrong with its database, and refuse to start.
        _LOG.warning("picture_not_read", problem=str(problem))
        return Picture()
