"""A real venue in this process, the five accounts of a daemon, and a journal beside it: what reconciling is tried on.

The market stands still: BTC at 50,000, ETH at 2,500, SOL at 100, until a test moves it. A second client, "a hand",
trades beside the bot on the same accounts.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from contract_arena import NOW, SYMBOLS, history, perp, spot
from eternal_engine.engine.adopt import Opening, open_account
from eternal_engine.engine.findings import Findings
from eternal_engine.engine.ownership import Owners
from eternal_engine.engine.reconcile import compare, reconcile
from eternal_engine.engine.snapshot import Snapshot, horizon_of, take_prices, take_snapshot
from eternal_engine.exchange.bybit import wire
from eternal_engine.exchange.bybit.local import LocalClient
from eternal_engine.exchange.terms import Market, Side
from eternal_engine.exchange.translate import rules_of
from eternal_engine.ledger.book import Book
from eternal_engine.model.event import Event
from eternal_engine.model.ids import Account, Engine, Leg, OrderKey, Symbol
from eternal_engine.model.money import ZERO
from eternal_engine.simulator.adapter import Door
from eternal_engine.simulator.feeds import HistoryFeed
from eternal_engine.simulator.server.world import VenueClock, World
from eternal_engine.simulator.venue import Quote, Venue, VenueConfig
from eternal_engine.storage.projection import Projection, step

HISTORY = timedelta(days=14)


@dataclass
class Bench:
    """Hold one exchange, clients of its accounts, and the projection of a journal."""

    world: World
    uids: dict[Account, int]
    projection: Projection = field(default_factory=Projection)
    journal: list[Event] = field(default_factory=list)
    owners: Owners | None = None

    @classmethod
    def make(cls, *, money: str = "100000", **config: Any) -> Bench:
        """Open an exchange whose engine accounts hold `money` USDT each, and a journal that knows nothing."""
        venue = Venue(VenueConfig(**config), now_ms=wire.to_ms(NOW))
        master = venue.open_account("MASTER").uid
        uids = {Account.MASTER: master}
        for account in Account:
            if account is not Account.MASTER:
                uids[account] = venue.open_account(account.name, parent_uid=master).uid
        for uid in uids.values():
            venue.deposit(uid, "USDT", Decimal(money))
        feed = HistoryFeed(history())
        feed.open_market(venue)
        world = World(venue, feed, VenueClock(speed=0, venue_ms=wire.to_ms(NOW)))
        world.settle()
        world.step_to(wire.to_ms(NOW + timedelta(hours=1)))
        return cls(world, uids)

    @property
    def now(self) -> datetime:
        """Return venue time."""
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=self.world.venue.state.now_ms)

    def pass_time(self, **span: float) -> None:
        """Let venue time pass."""
        self.world.step_to(self.world.venue.state.now_ms + timedelta(**span) // timedelta(milliseconds=1))

    def price(self, symbol: str, last: str) -> None:
        """Set a price on both markets; it touches what rests."""
        for category in ("spot", "linear"):
            key: Any = (category, symbol)
            self.world.venue.tick({key: Quote.flat(Decimal(last))})
        self.world.settle()

    def client(self, account: Account) -> LocalClient:
        """Return the real client in front of an account."""
        return LocalClient(account.value, Door(self.world, self.uids[account]))

    def deposit(self, account: Account, coin: str, amount: str) -> None:
        """Bring coins in from outside, or take them out."""
        self.world.venue.deposit(self.uids[account], coin, Decimal(amount))
        self.world.settle()

    async def rules(self) -> Owners:
        """Return the rules of ownership, read from the exchange once."""
        if self.owners is None:
            client = self.client(Account.MASTER)
            found = {}
            for market in Market:
                for row in await client.instruments(market, SYMBOLS):
                    found[market, row.symbol] = rules_of(row)
            self.owners = Owners(found, frozenset(SYMBOLS))
        return self.owners

    async def snapshot(self, account: Account, since: datetime | None = None) -> Snapshot:
        """Read one account."""
        horizon = horizon_of(self.projection, account)
        since = since or (horizon.since if horizon else self.now - HISTORY)
        return await take_snapshot(self.client(account), account, since, self.now)

    async def opening(self, account: Account) -> Opening:
        """Find how the books of an account would be opened."""
        prices = await take_prices(self.client(account), SYMBOLS)
        return open_account(await self.snapshot(account), await self.rules(), prices)

    async def open(self, *accounts: Account) -> None:
        """Open the books of these accounts (default all)."""
        for account in accounts or tuple(Account):
            self.write((await self.opening(account)).events)

    async def compare(self, account: Account) -> Findings:
        """Compare one account, write nothing."""
        prices = await take_prices(self.client(account), SYMBOLS)
        return compare(await self.snapshot(account), self.projection, await self.rules(), prices)

    async def reconcile(self, account: Account) -> Findings:
        """Compare one account as the daemon does, and write what was found."""

        async def sleep(seconds: float) -> None:
            self.pass_time(seconds=seconds)

        client = self.client(account)
        prices = await take_prices(client, SYMBOLS)
        rules = await self.rules()
        found = await reconcile(client, account, lambda: self.projection, rules, prices, lambda: self.now, sleep)
        self.write(found.events)
        return found

    def write(self, events: Iterable[Event]) -> None:
        """Journal events."""
        for event in events:
            after = step(self.projection, event, len(self.journal) + 1)
            if after.is_new:
                self.journal.append(event)
                self.projection = after.projection

    def book(self, account: Account, *, unassigned: bool = False) -> Book:
        """Return a book of the journal."""
        return self.projection.books.of(account, unassigned=unassigned)

    def differences(self, account: Account) -> dict[str, Decimal]:
        """Compare both books of an account with the venue's own ledger, coin by coin and perp by perp; empty: equal."""
        state, uid = self.world.venue.state, self.uids[account]
        sides = (self.book(account), self.book(account, unassigned=True))
        found: dict[str, Decimal] = {}
        coins = {coin for coin, _ in state.books.coins(uid)} | {"USDT"}
        coins |= {symbol.removesuffix("USDT") for side in sides for symbol in side.spot}
        for coin in coins:
            held = state.books.balance(uid, coin)
            booked = sum((side.cash.get(coin, ZERO) for side in sides), ZERO)  # type: ignore[call-overload]
            for side in sides:
                if Symbol(f"{coin}USDT") in side.spot:
                    booked += side.spot[Symbol(f"{coin}USDT")].qty
            found[coin] = held - booked
        names = {row.symbol for row in state.positions_of(uid)} | {name for side in sides for name in side.perp}
        for name in names:
            size = sum((row.size for row in state.positions_of(uid) if row.symbol == name), ZERO)
            held_here = [side.perp[Symbol(name)].qty for side in sides if Symbol(name) in side.perp]
            found[f"{name} perp"] = size - sum(held_here, ZERO)
        return {name: diff for name, diff in found.items() if abs(diff) > Decimal("1e-9")}


_numbers = itertools.count(1)


def hand_id() -> str:
    """Make an order id such as a person or another program would."""
    return f"by-hand-{next(_numbers)}"


def our_id(engine: Engine, at: datetime, symbol: str = "BTCUSDT", leg: Leg = Leg.BUY, attempt: int = 1) -> str:
    """Make the id that the daemon would give an order."""
    return OrderKey(engine, at.replace(minute=0, second=0, microsecond=0), Symbol(symbol), leg, attempt).client_order_id


async def trade(
    client: LocalClient, name: str, market: Market, side: Side, qty: str, symbol: str = "BTCUSDT", **more: Any
) -> None:
    """Place an order at the exchange; the journal does not hear of it."""
    build = spot if market is Market.SPOT else perp
    await client.place(build(name, side, qty, symbol=symbol, **more))
