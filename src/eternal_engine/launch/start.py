"""Start a daemon in a mode: first what takes long elsewhere, the exchange's process, which starts while we import."""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from eternal_engine import clock
from eternal_engine.engine.notify import Notifier
from eternal_engine.launch.child import ChildExchange, child_of
from eternal_engine.launch.collector import no_collection
from eternal_engine.launch.files import DATABASE_FILE
from eternal_engine.launch.keys import refuse_committed_keys
from eternal_engine.launch.markets import Market, Surroundings, Wish, choose_market, live_prices_answer
from eternal_engine.storage.lock import DatabaseLock

if TYPE_CHECKING:
    from eternal_engine.config import Mode, Settings
    from eternal_engine.launch.daemon import Outcome
    from eternal_engine.launch.live import Hosts

MARKET_FOLDER: Final = "market"


@dataclass(frozen=True)
class Request:
    """Hold what one start was asked to do.

    `directory` holds the .env files. `read_settings` reads the configuration again (SIGHUP). `hosts` is for tests:
    they put the embedded exchange in the place of the real one. `view` and `console` say what stderr and stdout are.
    """

    mode: Mode
    settings: Settings
    directory: Path
    read_settings: Callable[[], Settings]
    wish: Wish = field(default_factory=Wish)
    until: datetime | None = None
    hosts: Hosts | None = None
    view: bool = False
    console: bool = True
    notifier: Notifier = field(default_factory=Notifier)
    watchdog_s: float | None = None
    handles_signals: bool = True


@dataclass(frozen=True)
class Beginning:
    """Hold what was done before anything slow: the database is ours (ORD-8), the market is chosen (None: not paper's).

    `child` is the exchange's process, on its way already where the market has one.
    """

    lock: DatabaseLock
    market: Market | None
    child: ChildExchange | None


async def start(request: Request) -> Outcome:
    """Start and run until the end; see `run_daemon` for what it raises."""
    refuse_committed_keys(request.directory)
    async with AsyncExitStack() as stack:
        beginning = await _begin(request, stack)
        with no_collection():
            # These imports take longer than everything before them.
            from eternal_engine.launch.carry_on import carry_on
        if request.handles_signals:
            # The process is ours, and what is there by now stays until its end: it is not looked through again.
            gc.freeze()

        return await carry_on(request, beginning)


async def _begin(request: Request, stack: AsyncExitStack) -> Beginning:
    market = await _market_of(request) if request.mode == "paper" else None
    lock = DatabaseLock(request.settings.paths.state_dir / DATABASE_FILE)
    lock.path.parent.mkdir(parents=True, exist_ok=True)
    stack.enter_context(lock)
    if market is None or market.speed == 0:
        return Beginning(lock, market, None)
    child = child_of(market, request.settings)
    stack.push_async_callback(child.stop)
    await child.launch()
    return Beginning(lock, market, child)


async def _market_of(request: Request) -> Market:
    paths, hours = request.settings.paths, request.settings.daemon
    around = Surroundings(
        recorded=paths.data_dir / MARKET_FOLDER,
        symbols=request.settings.symbols,
        seed=request.settings.backtest.seed,
        speed=hours.paper_speed,
        probe=partial(live_prices_answer, hours.probe_timeout_s),
    )
    return await choose_market(paths.state_dir, request.wish, around, clock.now())
