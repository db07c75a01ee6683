"""The place a daemon trades at: one account per engine, their streams, the clock; built for a mode, used by all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from eternal_engine.config import Settings
from eternal_engine.engine.market_watch import BarSource
from eternal_engine.engine.sender import Waiting
from eternal_engine.engine.supervisor import Duty
from eternal_engine.engine.timing import Clock
from eternal_engine.exchange.bybit.client import Client
from eternal_engine.exchange.capability import Environment
from eternal_engine.exchange.events import StreamEvent
from eternal_engine.exchange.market import Instrument
from eternal_engine.exchange.port import EventSource, Exchange, MarketSource
from eternal_engine.exchange.translate import rules_of
from eternal_engine.launch.moods import MoodSource, no_moods
from eternal_engine.launch.port_bars import PortBars
from eternal_engine.market_data.bar_store import BarStore
from eternal_engine.model.ids import Account, Symbol
from eternal_engine.model.instrument import BYBIT_2025, InstrumentRules, InstrumentTable, Market

Pump = Callable[[], Sequence[StreamEvent]]
Stream = Callable[[], EventSource]
TRADING: Final = "Trading"


async def _all_is_well() -> tuple[str, ...]:
    return ()


async def _nothing() -> None:
    return


@dataclass(frozen=True)
class Place:
    """Hold where a daemon trades. Accounts that are switched off or have no key are left out of the mappings.

    `bars` makes the source of market data over the daemon's own store of bars. `streams` make the private streams over
    a wire; `pumps` hand out what an exchange of this process has said since the last time. `opened_at` is since when
    the accounts of an embedded exchange exist, None where nobody knows; `ends_at` is where the prices end, None where
    they do not. `is_fast`: time runs faster than people, so nobody can be asked. `audit` asks an embedded exchange
    whether its own books balance and lists what is wrong. `duties` keep the place alive (the child process) and are
    supervised.
    """

    environment: Environment
    market: str
    clock: Clock
    waiting: Waiting
    ports: Mapping[Account, Client]
    table: InstrumentTable
    bars: Callable[[BarStore], BarSource]
    streams: Mapping[Account, Stream] = field(default_factory=dict)
    pumps: Mapping[Account, Pump] = field(default_factory=dict)
    opened_at: datetime | None = None
    ends_at: datetime | None = None
    is_fast: bool = False
    duties: tuple[Duty, ...] = ()
    audit: Callable[[], Awaitable[tuple[str, ...]]] = _all_is_well
    stop: Callable[[], Awaitable[None]] = _nothing

    async def close(self) -> None:
        """Let go of connections and of the embedded exchange."""
        for port in self.ports.values():
            await port.close()
        await self.stop()


def port_bars(
    port: MarketSource,
    settings: Settings,
    table: InstrumentTable,
    moods: MoodSource,
    *,
    until_followed: bool = False,
) -> Callable[[BarStore], BarSource]:
    """Make market data come over the wire, with the contracts' own funding intervals.

    `moods` is asked for the fear-and-greed index only where the configuration uses it. `until_followed`: the prices are
    made by people, so an hour's close counts once the next hour has begun.
    """
    intervals_h = {
        str(symbol): rules.funding_interval_min / 60
        for symbol, rules in table.perp.items()
        if rules.funding_interval_min
    }

    async def is_listed(market: Market, symbol: str) -> bool:
        return bool(await _listed(port, market, (symbol,)))

    def make(store: BarStore) -> BarSource:
        return PortBars(
            port,
            settings.symbols,
            store,
            intervals_h,
            grace_s=settings.daemon.late_bar_grace_s,
            until_followed=until_followed,
            with_volume=settings.trend.volume_filter,
            moods=moods if settings.tactical.fear_greed.enabled else no_moods,
            is_listed=is_listed,
        )

    return make


async def read_table(
    port: Exchange, symbols: Sequence[str], name: str, known: InstrumentTable = BYBIT_2025
) -> InstrumentTable:
    """Read the instruments of an exchange as they are now.

    A symbol that is not listed keeps the rules that are `known`: its orders are refused, and the others trade on.
    """
    spot, perp = await asyncio.gather(
        _rules(port, Market.SPOT, symbols, known.spot), _rules(port, Market.PERP, symbols, known.perp)
    )
    return InstrumentTable(name, spot, perp)


async def _listed(port: MarketSource, market: Market, symbols: Sequence[str]) -> list[Instrument]:
    return [row for row in await port.instruments(market, symbols) if row.status == TRADING]


async def _rules(
    port: Exchange, market: Market, symbols: Sequence[str], known: Mapping[Symbol, InstrumentRules]
) -> dict[Symbol, InstrumentRules]:
    kept = {symbol: rules for symbol, rules in known.items() if symbol in symbols}
    return kept | {Symbol(row.symbol): rules_of(row) for row in await _listed(port, market, symbols)}
