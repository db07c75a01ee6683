"""Put the engine together at a place: recorder, order managers, market watch, bank, command desk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from eternal_engine.engine import memory as memories
from eternal_engine.engine.bank import Bank
from eternal_engine.engine.market_watch import BarSource, MarketWatch
from eternal_engine.engine.memory import Memory
from eternal_engine.engine.order_manager import LEG_TIMEOUT_S, OrderManager
from eternal_engine.engine.ownership import Owners
from eternal_engine.engine.recorder import REMEMBERED, Observer, Recorder
from eternal_engine.engine.sender import Sender
from eternal_engine.engine.timing import hour_of, hour_start
from eternal_engine.engine.trading_engine import Setup, TradingEngine
from eternal_engine.exchange.bybit.client import Client
from eternal_engine.launch.place import Place
from eternal_engine.market_data.bar_store import BarStore
from eternal_engine.model.errors import Unsupported, UsageError
from eternal_engine.model.ids import Account, Engine
from eternal_engine.model.instrument import InstrumentTable
from eternal_engine.model.trade import ClosedPart
from eternal_engine.portfolio.flows import month_of
from eternal_engine.portfolio.params import Params, empty_marks
from eternal_engine.storage.database import reading_engine, translated
from eternal_engine.storage.history import Paid, read_closed_parts, read_funding_since
from eternal_engine.storage.store import Store


@dataclass(frozen=True)
class Crew:
    """Hold the parts of a running daemon."""

    engine: TradingEngine
    recorder: Recorder
    managers: Mapping[Engine, OrderManager]
    bars: BarStore


@dataclass(frozen=True)
class Orders:
    """Hold what a crew is told: parameters, symbols, hash, what halts entries, whose holdings are whose, who watches.

    `operator_delay_h`: approvals come by themselves after so many hours, None where a person gives them (BRK-5).
    """

    params: Params
    symbols: tuple[str, ...]
    config_hash: str
    entries_halted: Callable[[datetime], int]
    owners: Owners
    observers: Sequence[Observer] = ()
    operator_delay_h: int | None = None
    leg_timeout_s: float = LEG_TIMEOUT_S


def assemble(
    place: Place, store: Store, source: BarSource, bars: BarStore, uids: Mapping[Account, str], orders: Orders
) -> Crew:
    """Put a crew together; nothing is sent and nothing is written yet."""
    known = memories.load(store.projection.states, orders.params)
    if known is not None and known.symbols != orders.symbols:
        raise UsageError(
            f"this state trades {', '.join(known.symbols)}; the configuration says {', '.join(orders.symbols)}",
            where="symbols",
            mend="set symbols back, or begin a new --state-dir",
        )
    memory = known or _fresh(place, orders)
    recorder = Recorder(
        store,
        orders.params,
        memory,
        place.clock,
        marks=empty_marks(len(orders.symbols)),
        parts=_closed_parts(store.path),
        is_new=known is None,
        observers=orders.observers,
    )
    managers = {
        engine: OrderManager(
            Sender(
                engine,
                place.ports[engine.account],
                recorder,
                place.table,
                orders.owners,
                place.clock,
                place.waiting,
                pump=place.pumps.get(engine.account),
            ),
            recorder,
            orders.params,
            place.clock,
            place.waiting,
        )
        for engine in Engine
        if engine.account in place.ports
    }
    for manager in managers.values():
        manager.leg_timeout_s = orders.leg_timeout_s
    watch = MarketWatch(orders.params, orders.symbols, source, bars)
    bank = Bank(place.ports.get(Account.MASTER), uids, recorder, place.clock)
    setup = Setup(orders.params, orders.config_hash, orders.entries_halted, orders.operator_delay_h)
    engine = TradingEngine(setup, recorder, managers, watch, bank, place.clock)
    engine.paid_before = _paid_since(store.path, hour_start(memory.cycle_h))
    return Crew(engine, recorder, managers, bars)


def use_table(crew: Crew, params: Params, table: InstrumentTable) -> None:
    """Let a running crew go on under the exchange's present rules; `params` hold them as floats."""
    for manager in crew.managers.values():
        manager.sender.table = table
    use(crew, params, crew.engine.setup.config_hash)


def use(crew: Crew, params: Params, config_hash: str) -> None:
    """Let a running crew go on under other parameters, from the next decision on."""
    crew.engine.setup = replace(crew.engine.setup, params=params, config_hash=config_hash)
    crew.engine.watch.use(params)
    crew.recorder.params = params
    for manager in crew.managers.values():
        manager.params = params


async def read_uids(place: Place) -> dict[Account, str]:
    """Ask every account for its uid; one that does not tell (the demo may not) is left out."""
    uids = await asyncio.gather(*(_uid(port) for port in place.ports.values()))
    return {account: uid for account, uid in zip(place.ports, uids, strict=True) if uid is not None}


async def _uid(port: Client) -> str | None:
    try:
        return str((await port.key_info()).user_id)
    except Unsupported:
        return None


def shares_by_account(shares: Mapping[Engine, Decimal]) -> dict[Account, Decimal]:
    """Give the shares under the accounts' names."""
    return {engine.account: share for engine, share in shares.items()}


def _fresh(place: Place, orders: Orders) -> Memory:
    return memories.fresh_memory(orders.params, orders.symbols, month_of(hour_of(place.clock.now())))


def _paid_since(database: Path, decided_until: datetime) -> tuple[Paid, ...]:
    reading = reading_engine(database)
    try:
        with translated(str(database)), reading.connect() as connection:
            return read_funding_since(connection, decided_until)
    finally:
        reading.dispose()


def _closed_parts(database: Path) -> list[ClosedPart]:
    reading = reading_engine(database)
    try:
        with translated(str(database)), reading.connect() as connection:
            return [part for account in REMEMBERED for part in read_closed_parts(connection, account)]
    finally:
        reading.dispose()
