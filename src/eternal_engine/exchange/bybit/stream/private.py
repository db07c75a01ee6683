"""Private topics of one account: executions once per id, orders never backwards, positions and wallet as they come."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from eternal_engine import clock
from eternal_engine.exchange.bybit import wire
from eternal_engine.exchange.bybit.stream.mailbox import Mailbox
from eternal_engine.exchange.bybit.wire.fields import NAME, bad
from eternal_engine.exchange.events import ExecutionSeen, OrderUpdated, PositionUpdated, StreamEvent, WalletUpdated
from eternal_engine.exchange.orders import Execution, OrderReport
from eternal_engine.exchange.port import TradingAccount
from eternal_engine.exchange.terms import Market

# Executions may show late in the list; asking for too much costs nothing, ids are counted once.
OVERLAP = timedelta(minutes=10)
REMEMBERED = 50_000
# A report takes about 2 kB; a forgotten one is only told again.
REMEMBERED_ORDERS = 5_000
CATEGORIES = frozenset(wire.CATEGORY_OF.values())

_Remember = Callable[[], None]

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """Remember the newest entries, at most `bound`; the oldest are forgotten first."""

    def __init__(self, bound: int = REMEMBERED) -> None:
        self._bound = bound
        self._entries: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        """Return what is remembered of a key."""
        return self._entries.get(key)

    def put(self, key: K, value: V) -> None:
        """Remember an entry as the newest."""
        self._entries[key] = value
        self._entries.move_to_end(key)
        if len(self._entries) > self._bound:
            self._entries.popitem(last=False)

    def __len__(self) -> int:
        """Return how many are remembered."""
        return len(self._entries)


class PrivateDesk:
    """Turn private frames into events.

    `since` is the time from which the first catch-up reads executions; `now` is the market's clock, another one than
    the wall's where the embedded exchange runs fast.
    """

    def __init__(
        self,
        mailbox: Mailbox,
        account: TradingAccount,
        *,
        since: datetime | None = None,
        now: Callable[[], datetime] = clock.now,
    ) -> None:
        self._mailbox = mailbox
        self._account = account
        self._now = now
        self._seen_until = since or now()
        self._executions: Recent[tuple[str, str], bool] = Recent()
        self._orders: Recent[str, OrderReport] = Recent(REMEMBERED_ORDERS)

    @property
    def topics(self) -> tuple[str, ...]:
        """Return what to subscribe to."""
        return ("order", "execution", "position", "wallet")

    def begin(self) -> None:
        """Do nothing: what was seen stays seen over reconnects."""

    def take(self, message: Mapping[str, object]) -> None:
        """Use one frame; rows of other categories (options, inverse) are not ours.

        Raises BadReply for one that cannot be used.
        """
        topic = wire.read_field(message, "topic", NAME, "private stream")
        rows = message.get("data")
        if not isinstance(rows, list):
            raise bad("data", rows, "a list", topic)
        for row in rows:
            if not isinstance(row, Mapping):
                raise bad("data", row, "an object", topic)
            for event, remember in self._read(topic, row):
                self._mailbox.offer(event)
                remember()

    def _read(self, topic: str, row: Mapping[str, object]) -> list[tuple[StreamEvent, _Remember]]:
        where = f"{topic} stream"
        if topic == "wallet":
            return [(WalletUpdated(wire.WALLET.parse(row, where)), _nothing)]
        if wire.read_field(row, "category", NAME, where) not in CATEGORIES:
            return []
        match topic:
            case "execution":
                return self._execution(wire.EXECUTION.parse(row, where), caught_up=False)
            case "order":
                return self._order(wire.ORDER.parse(row, where), caught_up=False)
            case "position":
                return [(PositionUpdated(wire.STREAM_POSITION.parse(row, where)), _nothing)]
            case _:
                raise bad("topic", topic, "a topic that was subscribed", where)

    def _execution(self, execution: Execution, *, caught_up: bool) -> list[tuple[StreamEvent, _Remember]]:
        key = (execution.market, execution.execution_id)
        if self._executions.get(key):
            return []

        def remember() -> None:
            self._executions.put(key, True)
            self._seen_until = max(self._seen_until, execution.at)

        return [(ExecutionSeen(execution, caught_up), remember)]

    def _order(self, report: OrderReport, *, caught_up: bool) -> list[tuple[StreamEvent, _Remember]]:
        last = self._orders.get(report.venue_order_id)
        if last is not None and not _is_newer(report, last):
            return []
        return [(OrderUpdated(report, caught_up), lambda: self._orders.put(report.venue_order_id, report))]

    def behind(self) -> str:
        """Return "": without a sequence number nothing tells that a private message is missing."""
        return ""

    async def catch_up(self) -> None:
        """Read executions, orders, positions and the wallet; executions first, so that fills lead their orders."""
        since = self._seen_until - OVERLAP
        until = max(self._now(), self._seen_until) + OVERLAP
        for market in Market:
            for execution in await self._account.executions(market, since, until):
                await self._put(self._execution(execution, caught_up=True))
        for market in Market:
            reports = {r.venue_order_id: r for r in await self._account.order_history(market, since, until)}
            reports |= {r.venue_order_id: r for r in await self._account.open_orders(market)}
            for report in reports.values():
                await self._put(self._order(report, caught_up=True))
        for position in await self._account.positions():
            await self._mailbox.put(PositionUpdated(position, caught_up=True))
        await self._mailbox.put(WalletUpdated(await self._account.wallet(), caught_up=True))

    async def _put(self, events: list[tuple[StreamEvent, _Remember]]) -> None:
        for event, remember in events:
            await self._mailbox.put(event)
            remember()


def _nothing() -> None:
    return


def _is_newer(report: OrderReport, last: OrderReport) -> bool:
    """Tell whether a report says more than the last one: messages may come late, twice and out of order (5.2)."""
    if report.filled_qty != last.filled_qty:
        return report.filled_qty > last.filled_qty
    if not last.status.is_open:
        return False
    return not report.status.is_open or (report.updated_at >= last.updated_at and report != last)
