"""Demo and live: the exchange's own hosts, which are constants here and in no configuration."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Final

from eternal_engine.config import Settings
from eternal_engine.exchange.bybit.client import (
    DEMO_ENDPOINT,
    LIVE_ENDPOINT,
    Client,
    Credentials,
    PybitDemoClient,
    PybitLiveClient,
)
from eternal_engine.exchange.bybit.stream.feed import DEMO_PRIVATE_URL, LIVE_PRIVATE_URL, private_feed
from eternal_engine.exchange.bybit.throttle import AddressThrottle, Throttle
from eternal_engine.exchange.capability import Environment
from eternal_engine.launch.clocks import WallClock
from eternal_engine.launch.keys import Venue, engines_on, need_credentials
from eternal_engine.launch.moods import PublishedMoods
from eternal_engine.launch.place import Place, Stream, port_bars, read_table
from eternal_engine.launch.preflight import Finding, gather, judge, only_silence
from eternal_engine.model.ids import Account, Engine


@dataclass(frozen=True, slots=True)
class Hosts:
    """Name where an environment lives. Tests hand in the embedded exchange's; nothing else may."""

    rest: str
    private: str


DEMO_HOSTS: Final = Hosts(DEMO_ENDPOINT, DEMO_PRIVATE_URL)
LIVE_HOSTS: Final = Hosts(LIVE_ENDPOINT, LIVE_PRIVATE_URL)
WAIT_FOR_ANSWER_S: Final = 15.0
MARKETS: Final = {"demo": "Bybit's demo, play money at real prices", "live": "REAL MONEY at Bybit"}


@dataclass(frozen=True, slots=True)
class Looked:
    """Hold what a preflight found, and the uids of the accounts by name, for the arming."""

    findings: tuple[Finding, ...]
    uids: Mapping[str, str]


def open_accounts(settings: Settings, venue: Venue, hosts: Hosts | None = None) -> dict[Account, Client]:
    """Make one client per account whose key is needed.

    Raises UsageError for missing keys and RefusedError for one key in two accounts; sends nothing.
    """
    pairs = need_credentials(settings, venue)
    return _clients(pairs, venue, hosts or _hosts_of(venue))


async def preflight(ports: Mapping[Account, Client], settings: Settings, now: datetime) -> Looked:
    """Look at the accounts (CAP-1, K5); judge with `preflight.refuse_errors`."""
    seen = await gather(ports)
    findings = judge(seen, engines_on(settings), shares_of(settings), now)
    uids = {row.account.value: str(row.key.user_id) for row in seen if row.key is not None}
    return Looked(findings, uids)


async def answered_preflight(
    ports: Mapping[Account, Client],
    settings: Settings,
    now: Callable[[], datetime],
    say: Callable[[str], None],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Looked:
    """Look at the accounts, again and again while nothing but the exchange's silence stands against a start.

    A server that comes up during an outage must not stay down after it: a refusal is for what a person has to mend.
    """
    while True:
        looked = await preflight(ports, settings, now())
        silent = only_silence(looked.findings)
        if not silent:
            return looked
        say(f"waiting for the exchange: {silent[0].what}; trying again in {WAIT_FOR_ANSWER_S:g} s")
        await sleep(WAIT_FOR_ANSWER_S)


async def open_live(
    ports: Mapping[Account, Client],
    settings: Settings,
    venue: Venue,
    hosts: Hosts | None = None,
    *,
    say: Callable[[str], None],
) -> Place:
    """Make the place to trade at of accounts that passed the preflight."""
    where = hosts or _hosts_of(venue)
    pairs = need_credentials(settings, venue)
    first = next(iter(ports.values()))
    its_time = WallClock(lambda: _offset_ms(ports))
    streams: dict[Account, Stream] = {
        account: partial(private_feed, ports[account], pairs[account], url=where.private)
        for account in ports
        if account is not Account.MASTER
    }
    environment = Environment.LIVE if venue == "live" else Environment.DEMO
    table = await read_table(first, settings.symbols, "the exchange")
    return Place(
        environment=environment,
        market=MARKETS[venue],
        clock=its_time,
        waiting=its_time,
        ports=ports,
        table=table,
        bars=port_bars(first, settings, table, PublishedMoods(say), until_followed=True),
        streams=streams,
    )


async def close_accounts(ports: Mapping[Account, Client]) -> None:
    """Give back threads and connections."""
    await asyncio.gather(*(port.close() for port in ports.values()))


def shares_of(settings: Settings) -> dict[Engine, Decimal]:
    """Give the shares of the portfolio by engine (CAP-1)."""
    return {engine: getattr(settings.shares, engine.value) for engine in Engine}


def _hosts_of(venue: Venue) -> Hosts:
    return LIVE_HOSTS if venue == "live" else DEMO_HOSTS


def _clients(pairs: Mapping[Account, Credentials], venue: Venue, hosts: Hosts) -> dict[Account, Client]:
    kind = PybitLiveClient if venue == "live" else PybitDemoClient
    address = AddressThrottle()
    return {
        account: kind(account.value, pair, endpoint=hosts.rest, throttle=Throttle(address))
        for account, pair in pairs.items()
    }


def _offset_ms(ports: Mapping[Account, Client]) -> int | None:
    offsets = (getattr(port, "clock_offset_ms", None) for port in ports.values())
    return next((offset for offset in offsets if offset is not None), None)
