"""The daemon and its exchange over real files in one process, with a knife at every journal write and exchange call."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Final

from crash_market import Scenario, ms_of
from eternal_engine.bootstrap import params_of
from eternal_engine.engine.market_watch import BarSource
from eternal_engine.engine.memory import CLOCK_OWNER, load, write
from eternal_engine.engine.notify import Notifier
from eternal_engine.engine.timing import hour_start
from eternal_engine.exchange.bybit.local import LocalClient, LocalFeed
from eternal_engine.exchange.capability import Environment
from eternal_engine.launch.clocks import VirtualClock
from eternal_engine.launch.daemon import Plan, run_daemon
from eternal_engine.launch.place import Place, Pump, Stream
from eternal_engine.launch.port_bars import PortBars
from eternal_engine.launch.summary import ledger_differences
from eternal_engine.launch.world_bars import WorldBars
from eternal_engine.market_data.bar_store import BarStore, HourBar
from eternal_engine.market_data.history import HOUR_MS, MarketHistory, Ohlcv
from eternal_engine.model.ids import Account
from eternal_engine.model.instrument import BYBIT_2025
from eternal_engine.portfolio.params import Params
from eternal_engine.simulator.adapter import Door
from eternal_engine.simulator.faults import FaultPlan
from eternal_engine.simulator.feeds import HistoryFeed
from eternal_engine.simulator.opening import ACCOUNT_NAMES
from eternal_engine.simulator.server.call import Json
from eternal_engine.simulator.server.limits import Limits
from eternal_engine.simulator.server.routes import ROUTES
from eternal_engine.simulator.server.world import VenueClock, World
from eternal_engine.simulator.store import VenueStore
from eternal_engine.simulator.venue import Venue, VenueConfig
from eternal_engine.storage.store import Store


@dataclass
class Knife:
    """Count the points a process passes, and kill it by SIGKILL at one of them (0: at none).

    `images` tells, for each point, how many writes the disk has seen: between two writes a crash leaves the same disk.
    With `folder` that is not only counted: `prints` holds, for each point, a hash of all that lies in it.
    """

    at: int = 0
    folder: Path | None = None
    passed: int = 0
    writes: int = 0
    names: list[str] = field(default_factory=list)
    images: list[int] = field(default_factory=list)
    prints: list[str] = field(default_factory=list)
    sheathed: bool = False
    files: dict[bytes, bytes] = field(default_factory=dict)

    def sheathe(self) -> None:
        """Count no further: what follows only looks."""
        self.sheathed = True

    def point(self, name: str, *, wrote: bool = False) -> None:
        """Pass one point; `wrote`: something is on the disk that was not there at the point before."""
        if self.sheathed:
            return
        self.passed += 1
        self.writes += wrote
        self.names.append(name)
        self.images.append(self.writes)
        if self.folder is not None:
            self.prints.append(disk_print(self.folder, self.files))
        if self.passed == self.at:
            os.kill(os.getpid(), signal.SIGKILL)


OWN_TABLES: Final = (
    "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
)


def disk_print(folder: Path, files: dict[bytes, bytes]) -> str:
    """Hash every row of every table of all databases in a directory, as a process would find them after a crash.

    A read makes the exchange write the time down again, so the bytes of its file change, but nothing that is in it:
    only SQLite's own counter of rows, by which new ones are put in order. `files` remembers what is in files of the
    same bytes: at most points most files are as they were, and reading all their rows takes the longest.
    """
    seen = hashlib.blake2b(digest_size=16)
    for path in sorted(folder.rglob("*.db")):
        log = path.with_name(f"{path.name}-wal")
        whole = hashlib.blake2b(f"{path.relative_to(folder)} {path.stat().st_size} ".encode() + path.read_bytes())
        whole.update(log.read_bytes() if log.exists() else b"")
        known = whole.digest()
        if known not in files:
            files[known] = rows_print(path)
        seen.update(files[known])
    return seen.hexdigest()


def rows_print(path: Path) -> bytes:
    """Hash every row of every table of one database."""
    seen = hashlib.blake2b(digest_size=16)
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        tables = connection.execute(OWN_TABLES)
        for name, sql in tables.fetchall():
            seen.update(f"{path.name} {name} {sql}".encode())
            rows = sorted(map(repr, connection.execute(f'SELECT * FROM "{name}"')))
            seen.update("\n".join(rows).encode())
    return seen.digest()


@dataclass(eq=False)
class SharpDoor(Door):
    """Answer as the exchange does; the venue has committed when `knife` strikes the second time."""

    knife: Knife

    def answer(self, path: str, fields: Mapping[str, object]) -> Json:
        """Answer one call."""
        self.knife.point(f"before {path}")
        answer = super().answer(path, fields)
        self.knife.point(f"after {path}", wrote=ROUTES[path].method == "POST")
        return answer

    def connect(self, feed: LocalFeed) -> None:
        """Be told of the feed that hears what this door lets out."""


# An exchange whose lists lag: an order shows after 0.7 s, its history after 1.5 s.
QUICK: Final = VenueConfig(salt="crash")
SLOW: Final = VenueConfig(salt="crash", visible_delay_ms=700, history_delay_ms=1500)


def open_world(
    path: Path,
    history: MarketHistory,
    start_ms: int,
    faults: FaultPlan | None = None,
    config: VenueConfig = QUICK,
) -> World:
    """Open the embedded exchange over a hand-made market, as `simulator.opening` does over its own."""
    store = VenueStore(path)
    known = store.meta()
    feed = HistoryFeed(history)
    now_ms = int(known.get("venue_ms", start_ms))
    venue = Venue(config, now_ms=now_ms)
    store.load(venue)
    venue.state.started_ms = now_ms
    feed.open_market(venue)
    if not venue.state.accounts:
        master = venue.open_account(ACCOUNT_NAMES[0])
        for name in ACCOUNT_NAMES[1:]:
            venue.open_account(name, parent_uid=master.uid)
        venue.deposit(master.uid, "USDT", Decimal(100_000))
    world = World(
        venue=venue,
        feed=feed,
        clock=VenueClock(0, now_ms),
        store=store,
        faults=faults or FaultPlan(),
        limits=Limits(enforced=False),
    )
    venue.take_events()
    store.commit(venue, venue_ms=venue.state.now_ms)
    return world


class KeptBars(WorldBars):
    """Read bars from a history that never changes, each but once for all lives of a process."""

    _kept: ClassVar[dict[int, KeptBars]] = {}

    def __init__(self, history: MarketHistory) -> None:
        super().__init__(history)
        self._hours: dict[tuple[str, int], list[HourBar]] = {}

    @classmethod
    def of(cls, history: MarketHistory) -> KeptBars:
        """Give the bars of a history, which lives as long as its bars are kept."""
        return cls._kept.setdefault(id(history), cls(history))

    def _bars(self, market: str, table: Ohlcv, hour: int) -> list[HourBar]:
        known = self._hours.get((market, hour))
        if known is None:
            known = self._hours[market, hour] = super()._bars(market, table, hour)
        return known


MakeDoor = Callable[[World, int, Knife], SharpDoor]


def open_place(
    world: World,
    history: MarketHistory,
    knife: Knife,
    make_door: MakeDoor = SharpDoor,
    *,
    asks_for_bars: bool = False,
    is_wired: bool = False,
) -> Place:
    """Put sharp doors before every account.

    `asks_for_bars`: market data come through one of them, as over a wire. `is_wired`: private messages come by streams
    with tasks of their own, orders leave side by side, and leverage is set ahead, as in demo and live.
    """
    ports: dict[Account, LocalClient] = {}
    pumps: dict[Account, Pump] = {}
    streams: dict[Account, Stream] = {}

    def listening(account: Account, door: SharpDoor) -> LocalFeed:
        feed = LocalFeed(ports[account], door)
        door.connect(feed)
        return feed

    for row in world.venue.state.accounts.values():
        account, door = Account(row.name.lower()), make_door(world, row.uid, knife)
        ports[account] = LocalClient(account.value, door)
        if is_wired:
            streams[account] = partial(listening, account, door)
        else:
            pumps[account] = listening(account, door).drain

    async def audit() -> tuple[str, ...]:
        return tuple(world.venue.audit())

    def bars(store: BarStore) -> BarSource:
        if not asks_for_bars:
            return KeptBars.of(history)
        return PortBars(ports[Account.MASTER], history.symbols, store, {}, grace_s=0.0)

    clock = VirtualClock(world)
    return Place(
        environment=Environment.PAPER,
        market="hand-made",
        clock=clock,
        waiting=clock,
        ports=ports,
        table=BYBIT_2025,
        bars=bars,
        pumps=pumps,
        streams=streams,
        audit=audit,
    )


def sharpen_journal(store: Store, knife: Knife) -> None:
    """Let the knife strike before and after every commit of the journal."""
    commit = store._commit

    async def around(batch: Any) -> None:
        kinds = "+".join(sorted({row["kind"] for row in batch.rows}))
        knife.point(f"before journal {kinds}")
        await commit(batch)
        knife.point(f"after journal {kinds}", wrote=True)
        if "DaemonStopped" in kinds:
            knife.sheathe()

    store._commit = around  # type: ignore[method-assign]


def sharpen_time(world: World, knife: Knife) -> None:
    """Let the knife strike after the venue has moved in time and committed, before the daemon hears of it."""
    step_to = world.step_to

    def moved(venue_ms: int, **how: Any) -> None:
        step_to(venue_ms, **how)
        knife.point("after time passed", wrote=True)

    world.step_to = moved  # type: ignore[method-assign]


@dataclass(frozen=True)
class Scene:
    """Hold the parts of a running daemon that somebody who watches it looks at."""

    world: World
    place: Place
    store: Store
    params: Params


EachHour = Callable[[Scene], Awaitable[None]]


class Pulse(Notifier):
    """Call `each_hour` whenever the daemon tells its service manager that an hour is decided."""

    def __init__(self, scene: Callable[[], Scene], each_hour: EachHour) -> None:
        super().__init__()
        self._scene = scene
        self._each_hour = each_hour
        self._tasks: list[asyncio.Task[None]] = []

    def status(self, text: str) -> None:
        """Note that an hour is decided."""
        del text
        self._tasks.append(asyncio.ensure_future(self._each_hour(self._scene())))

    async def end(self) -> None:
        """Raise what went wrong in any hour: a defect of who watches, never an error of the daemon's."""
        looks = await asyncio.gather(*self._tasks, return_exceptions=True)
        failed = [found for found in looks if isinstance(found, Exception)]
        if failed:
            raise RuntimeError("a look at the daemon failed") from failed[0]

    async def leave(self) -> None:
        """Look no longer at a daemon that has failed."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def live(
    state: Path,
    scenario: Scenario,
    history: MarketHistory,
    until: int,
    knife: Knife,
    *,
    faults: FaultPlan | None = None,
    config: VenueConfig = QUICK,
    watch: Callable[[World, Knife], None] = lambda *_: None,
    make_door: MakeDoor = SharpDoor,
    each_hour: EachHour | None = None,
    is_wired: bool = False,
) -> dict[str, Any]:
    """Run the daemon on a state directory until an hour of the market; give what there is then.

    `watch` is called with the exchange before the daemon meets it, `each_hour` after each decided hour.
    """
    kept: list[Scene] = []
    settings = scenario.settings(state)

    async def open_here(store: Store) -> Place:
        world = open_world(state / "venue.db", history, ms_of(scenario.first), faults, config)
        sharpen_journal(store, knife)
        sharpen_time(world, knife)
        watch(world, knife)
        place = open_place(world, history, knife, make_door, asks_for_bars=scenario.asks_for_bars, is_wired=is_wired)
        kept.append(Scene(world, place, store, params_of(settings)))
        return place

    pulse = None if each_hour is None else Pulse(lambda: kept[0], each_hour)
    plan = Plan(
        "paper",
        settings,
        say=lambda _: None,
        until=hour_start(ms_of(until) // HOUR_MS),
        handles_signals=False,
        notifier=pulse or Notifier(),
    )
    try:
        ended = await run_daemon(plan, open_here)
        if pulse is not None:
            await pulse.end()
        (scene,) = kept
        # What is judged now must not be struck by a fault that came too late for the daemon.
        scene.world.faults.clear()
        return {**await outcome(scene), "ending": [ended.ending.exit_code, ended.ending.reason]}
    finally:
        if pulse is not None:
            await pulse.leave()
        for scene in kept:
            assert scene.world.store is not None
            scene.world.store.close()


async def outcome(scene: Scene) -> dict[str, Any]:
    """Write down what the venue's own ledger holds, and whether the books say the same."""
    differences = await ledger_differences(scene.place, scene.store.projection.books)
    return {**standing(scene), "differences": list(differences)}


def decided_hour(scene: Scene) -> int:
    """Give the last hour that the daemon has decided, in hours since the epoch."""
    return int(json.loads(scene.store.projection.states[CLOCK_OWNER].document)["cycle_h"])


def holdings(scene: Scene) -> dict[str, Any]:
    """Write down what the venue's own ledger holds: balances, and positions with their stops."""
    state = scene.world.venue.state
    names = {uid: account.name for uid, account in state.accounts.items()}
    return {
        "balances": sorted(
            [names[uid], coin, _number(amount)] for (uid, coin), amount in state.books.balances.items() if uid in names
        ),
        "positions": sorted(
            [names[uid], symbol, *map(_number, (row.size, row.cost, row.stop_loss))]
            for (uid, symbol, _), row in state.positions.items()
            if row.size
        ),
    }


def standing(scene: Scene) -> dict[str, Any]:
    """Write down what the venue's own ledger holds, and what the daemon remembers."""
    state, store = scene.world.venue.state, scene.store
    names = {uid: account.name for uid, account in state.accounts.items()}
    memory = load(store.projection.states, scene.params)
    assert memory is not None
    return {
        "orders": sorted(_order(names[order.uid], order) for order in _orders(scene.world)),
        **holdings(scene),
        "executions": sorted(_execution(names[uid], row) for uid, rows in state.executions.items() for row in rows),
        "transfers": sorted([key, _number(row.amount)] for key, row in state.transfers.items()),
        "pending": [str(intent) for intent in memory.pending],
        "open": sorted(str(row.order.client_order_id) for row in store.projection.open_orders),
        "undone_transfers": sorted(store.projection.pending_transfers),
        "memory": write(replace(memory, stops=tuple((s, price.normalize()) for s, price in memory.stops))),
        "hour": memory.cycle_h,
        "books": sorted(row for account in Account for row in _held(store, account)),
    }


def _held(store: Store, account: Account) -> list[list[str]]:
    """Write down what the daemon's own books of an account hold."""
    book = store.projection.books.of(account)
    rows = [(str(coin), amount) for coin, amount in book.cash.items()]
    rows += [(str(symbol), holding.qty) for symbol, holding in book.spot.items()]
    rows += [(f"{symbol} perp", position.qty) for symbol, position in book.perp.items()]
    return [[account.value, name, _number(amount)] for name, amount in rows if amount]


def _orders(world: World) -> list[Any]:
    state = world.venue.state
    rows = [order for orders in state.open_orders.values() for order in orders.values()]
    return rows + [order for orders in state.closed.values() for order in orders]


def _order(account: str, order: Any) -> list[str]:
    size = (_number(order.qty), order.status, _number(order.trigger_price))
    return [account, order.link_id, order.symbol, order.category, order.side, *size]


def _number(value: Decimal | None) -> str:
    return "" if value is None else format(value.normalize(), "f")


def _execution(account: str, row: Any) -> list[str]:
    size = (_number(row.qty), _number(row.price), row.exec_type)
    return [account, row.link_id, row.symbol, row.category, row.side, *size]
