"""Paper trading: the embedded exchange in this process and moved by hand (`--speed max`), or as a child process."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Final

from eternal_engine.engine.supervisor import Duty
from eternal_engine.engine.timing import Clock
from eternal_engine.exchange.bybit.client import Client, Credentials, PybitDemoClient
from eternal_engine.exchange.bybit.stream.feed import private_feed
from eternal_engine.exchange.bybit.throttle import AddressThrottle, Throttle
from eternal_engine.exchange.capability import Environment
from eternal_engine.launch.child import ChildExchange, Greeting
from eternal_engine.launch.clocks import FollowingClock, SteppingClock, VirtualClock, WallClock, from_ms, to_ms
from eternal_engine.launch.feed_bars import FeedBars
from eternal_engine.launch.files import VENUE_FILE
from eternal_engine.launch.markets import Market, MarketKind
from eternal_engine.launch.moods import PublishedMoods
from eternal_engine.launch.place import Place, Pump, Stream, port_bars, read_table
from eternal_engine.ledger.transfers import split_capital
from eternal_engine.market_data.history import MarketHistory
from eternal_engine.model.errors import DataError
from eternal_engine.model.ids import Account, Engine
from eternal_engine.model.instrument import BYBIT_2025

if TYPE_CHECKING:
    from eternal_engine.config import Settings
    from eternal_engine.simulator.feeds import Feed
    from eternal_engine.simulator.opening import Opening

WAIT_FOR_LIVE_S: Final = 15.0
_TRANSFERS: Final = uuid.UUID("8f1f7c1e-6f0c-5d36-9a8b-1f6f0a5f1c01")
Say = Callable[[str], None]


async def open_paper(market: Market, settings: Settings, say: Say, child: ChildExchange | None) -> Place:
    """Open the embedded exchange on a market: `child` is its process, None where its speed asks for none."""
    if child is None:
        return open_in_process(market, settings)
    return await open_child(market, settings, say, child)


def open_in_process(market: Market, settings: Settings) -> Place:
    """Open the exchange in this process; its time moves only when the daemon waits for it."""
    from eternal_engine.exchange.bybit.local import LocalClient, LocalFeed
    from eternal_engine.simulator.adapter import Door
    from eternal_engine.simulator.opening import accounts_of, open_world

    world = open_world(_opening(market, settings))
    ports: dict[Account, Client] = {}
    pumps: dict[Account, Pump] = {}
    for row in accounts_of(world):
        account, door = Account(row.name.lower()), Door(world, row.uid)
        client = LocalClient(account.value, door)
        ports[account], pumps[account] = client, LocalFeed(client, door).drain

    async def audit() -> tuple[str, ...]:
        return tuple(world.venue.audit())

    async def stop() -> None:
        if world.store is not None:
            world.settle()
            world.store.close()

    its_time = VirtualClock(world)
    return Place(
        environment=Environment.PAPER,
        market=market.sentence,
        clock=its_time,
        waiting=its_time,
        bars=lambda _: FeedBars(
            lambda: _history_of(world.feed), settings.symbols, with_volume=settings.trend.volume_filter
        ),
        ports=ports,
        table=BYBIT_2025,
        pumps=pumps,
        opened_at=from_ms(min(row.created_ms for row in accounts_of(world))),
        ends_at=from_ms(world.feed.end_ms) if market.kind is MarketKind.RECORDED else None,
        is_fast=True,
        audit=audit,
        stop=stop,
    )


async def open_child(market: Market, settings: Settings, say: Say, child: ChildExchange) -> Place:
    """Open the exchange as a child process, and the production client in front of it."""
    greeting = await _started(child, market, say)
    address = AddressThrottle()
    ports: dict[Account, Client] = {}
    pairs: dict[Account, Credentials] = {}
    for name, (key, secret) in greeting.keys.items():
        account = Account(name.lower())
        pairs[account] = Credentials(key, secret)
        ports[account] = PybitDemoClient(
            account.value,
            pairs[account],
            endpoint=greeting.rest_url,
            environment=Environment.PAPER,
            throttle=Throttle(address),
        )
    waiting = WallClock()
    its_time = _clock_of(market, child, waiting)
    streams: dict[Account, Stream] = {
        account: partial(private_feed, ports[account], pairs[account], url=greeting.private_url, now=its_time.now)
        for account in pairs
        if account is not Account.MASTER
    }
    master, is_live = ports[Account.MASTER], market.kind is MarketKind.LIVE
    table = await read_table(master, settings.symbols, "the live exchange") if is_live else BYBIT_2025
    return Place(
        environment=Environment.PAPER,
        market=market.sentence,
        clock=its_time,
        waiting=waiting,
        ports=ports,
        table=table,
        bars=port_bars(
            master, settings, table, PublishedMoods(say) if is_live else child.moods, until_followed=is_live
        ),
        streams=streams,
        opened_at=greeting.opened_at,
        ends_at=from_ms(await child.ends_ms()) if market.kind is MarketKind.RECORDED else None,
        is_fast=market.speed != 1,
        duties=(Duty("embedded exchange", child.keep),),
        audit=child.audit,
        stop=child.stop,
    )


def _clock_of(market: Market, child: ChildExchange, waiting: WallClock) -> Clock:
    first_ms = to_ms(child.greeting.venue_time)
    if market.speed != 1:
        return SteppingClock(child.advance, first_ms, market.speed)
    began_now = market.start_ms is None and market.kind is not MarketKind.RECORDED
    return waiting if began_now else FollowingClock(child.look, first_ms, market.speed)


def _history_of(feed: Feed) -> MarketHistory:
    from eternal_engine.simulator.feeds import HistoryFeed

    assert isinstance(feed, HistoryFeed), "only recorded and synthetic markets move by hand"
    return feed.history


async def divide(ports: Mapping[Account, Client], shares: Mapping[Engine, Decimal], capital_usdt: Decimal) -> None:
    """Divide MASTER's money over the engines to the last digit (CAP-1); only in paper, only at the first start.

    Each transfer has an id of its own for ever, so a start that was killed in between goes on where it stopped.
    """
    master = ports[Account.MASTER]
    own = str((await master.key_info()).user_id)
    parts = split_capital(capital_usdt, {engine.account: share for engine, share in shares.items()})
    for engine in shares:
        amount = parts[engine.account]
        if amount > 0 and await master.transfer_status(_transfer_id(engine)) is None:
            target = str((await ports[engine.account].key_info()).user_id)
            await master.transfer(_transfer_id(engine), "USDT", amount, own, target)


def _transfer_id(engine: Engine) -> str:
    return str(uuid.uuid5(_TRANSFERS, f"CAP-1 {engine.value}"))


def _opening(market: Market, settings: Settings) -> Opening:
    from eternal_engine.simulator.opening import Opening, fees_of
    from eternal_engine.simulator.venue import MarketShape

    costs = settings.costs
    return Opening(
        market=market.name,
        start_ms=market.start_ms,
        speed=0,
        seed=market.seed,
        state=settings.paths.state_dir / VENUE_FILE,
        deposit_usdt=settings.capital_usdt,
        shape=MarketShape(slippage_bps=costs.slippage_bps),
        fees=fees_of(costs.spot_fee_bps, costs.perp_fee_bps),
    )


async def _started(
    child: ChildExchange,
    market: Market,
    say: Say,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Greeting:
    """Start the child; with live prices wait until they can be reached, and never take another market instead."""
    while True:
        try:
            return await child.start()
        except DataError as error:
            if market.kind is not MarketKind.LIVE:
                raise
            say(f"waiting for live prices: {error.message}; trying again in {WAIT_FOR_LIVE_S:g} s")
            await sleep(WAIT_FOR_LIVE_S)
