"""A whole trading engine over a real store: four scripted accounts, a market made by a test, a clock moved by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from core_builders import TWO
from engine_bench import OWNERS, HandClock, ScriptedExchange
from eternal_engine.engine.bank import Bank
from eternal_engine.engine.market_watch import BarSource, MarketWatch
from eternal_engine.engine.memory import fresh_memory, load
from eternal_engine.engine.order_manager import OrderManager
from eternal_engine.engine.recorder import Recorder
from eternal_engine.engine.sender import Sender
from eternal_engine.engine.timing import hour_of, hour_start
from eternal_engine.engine.trading_engine import Setup, TradingEngine
from eternal_engine.exchange.capability import CAPABILITIES, Capabilities, Environment
from eternal_engine.launch.world_bars import WorldBars
from eternal_engine.market_data.history import HOUR_MS, MarketHistory
from eternal_engine.model.event import Deposited, Event
from eternal_engine.model.ids import Account, Coin, Engine, RecordId
from eternal_engine.model.instrument import BYBIT_2025
from eternal_engine.portfolio.flows import month_of
from eternal_engine.portfolio.params import Params, empty_marks
from eternal_engine.storage.store import Store

CAPITAL = {Engine.CORE_HODL: 60_000, Engine.TREND: 20_000, Engine.FUNDING: 15_000, Engine.TACTICAL: 5_000}
UIDS = {account: account.value for account in Account}


@dataclass
class ScriptedTeller:
    """Move money as the script says: a status is returned, an error raised; without a line it succeeds.

    An error after "moved" is raised once the money is on its way. The same id moves nothing twice.
    """

    environment: Environment = Environment.PAPER
    script: list[object] = field(default_factory=list)
    known: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    status_asked: list[str] = field(default_factory=list)
    moved: dict[str, tuple[str, str, Decimal]] = field(default_factory=dict)

    @property
    def capabilities(self) -> Capabilities:
        return CAPABILITIES[self.environment]

    async def transfer(self, transfer_id: str, coin: str, amount: Decimal, from_uid: str, to_uid: str) -> str:
        self.asked.append(transfer_id)
        line = self.script.pop(0) if self.script else "SUCCESS"
        if isinstance(line, Exception):
            raise line
        if isinstance(line, tuple):
            self._move(transfer_id, "SUCCESS", amount, from_uid, to_uid)
            raise line[1]
        self._move(transfer_id, str(line), amount, from_uid, to_uid)
        return str(line)

    async def transfer_status(self, transfer_id: str) -> str | None:
        self.status_asked.append(transfer_id)
        return self.known.get(transfer_id)

    def _move(self, transfer_id: str, status: str, amount: Decimal, from_uid: str, to_uid: str) -> None:
        self.known[transfer_id] = status
        if status == "SUCCESS":
            assert transfer_id not in self.moved, "the same money moved twice"
            self.moved[transfer_id] = (from_uid, to_uid, amount)


@dataclass
class World:
    """Hold what outlives the daemon: the market, the accounts at the exchange, exchange time."""

    history: MarketHistory
    clock: HandClock = field(default_factory=HandClock)
    exchanges: dict[Engine, ScriptedExchange] = field(default_factory=dict)
    teller: ScriptedTeller = field(default_factory=ScriptedTeller)

    def __post_init__(self) -> None:
        self.clock.at = hour_start(self.first_h)
        self.exchanges = {engine: ScriptedExchange(self.clock) for engine in Engine}

    @property
    def first_h(self) -> int:
        """Give the hour in which the first bar opens."""
        return self.history.start_ms // HOUR_MS

    def placed(self, engine: Engine) -> list[str]:
        """List the ids of an engine's orders as they were sent."""
        return [request.client_order_id for request in self.exchanges[engine].placed]


@dataclass
class Daemon:
    """Hold one life of the daemon; `told` are the events its observers saw."""

    world: World
    recorder: Recorder
    engine: TradingEngine
    told: list[Event]

    async def live(self, until_h: int, *, decides_last: bool = True) -> None:
        """Let the clock reach an hour and live up to it, as after a wait or a pause."""
        self.world.clock.at = max(self.world.clock.at, hour_start(until_h))
        await self.engine.live_through(until_h, decides_last=decides_last)

    async def each(self, first_h: int, last_h: int) -> None:
        """Live hour by hour without a miss."""
        for hour in range(first_h, last_h + 1):
            await self.live(hour)


@asynccontextmanager
async def a_daemon(
    folder: Path,
    world: World,
    params: Params,
    *,
    at_h: int | None = None,
    source: BarSource | None = None,
    halted: Callable[[datetime], int] = lambda _: 0,
    prepares: bool = True,
) -> AsyncIterator[Daemon]:
    """Start a daemon in a state directory, new or not; leaving it is a clean end."""
    if at_h is not None:
        world.clock.at = max(world.clock.at, hour_start(at_h))
    store = await Store.open(folder / "eternal.db")
    try:
        known = load(store.projection.states, params)
        memory = known or fresh_memory(params, TWO, month_of(hour_of(world.clock.now())))
        told: list[Event] = []
        recorder = Recorder(
            store,
            params,
            memory,
            world.clock,
            marks=empty_marks(len(TWO)),
            is_new=known is None,
            observers=(told.append,),
        )
        if known is None:
            await recorder.append(*(_deposit(world.clock.at, engine, sum_) for engine, sum_ in CAPITAL.items()))
        managers = {}
        for engine, exchange in world.exchanges.items():
            sender = Sender(engine, exchange, recorder, BYBIT_2025, OWNERS, world.clock, world.clock)  # type: ignore[arg-type]
            managers[engine] = OrderManager(sender, recorder, params, world.clock, world.clock)
        watch = MarketWatch(params, TWO, source or WorldBars(world.history), None)
        bank = Bank(world.teller, UIDS, recorder, world.clock)
        engine_ = TradingEngine(Setup(params, "c" * 64, halted), recorder, managers, watch, bank, world.clock)
        if prepares:
            await engine_.prepare()
        yield Daemon(world, recorder, engine_, told)
    finally:
        await store.close()


def _deposit(at: datetime, engine: Engine, amount_usdt: int) -> Deposited:
    money = Decimal(amount_usdt)
    return Deposited(at, RecordId(f"opening {engine.value}"), engine.account, Coin("USDT"), money, money, at)
