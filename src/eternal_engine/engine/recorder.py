"""The one hand that writes: events and the memory that follows from them go into the journal together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from decimal import Decimal

from eternal_engine.engine.memory import Memory, saves, written_after
from eternal_engine.engine.outcome import after_books, after_deposit, after_late_fill
from eternal_engine.engine.timing import Clock
from eternal_engine.ledger.pnl import closed_trades
from eternal_engine.model.errors import EternalError, ModelError
from eternal_engine.model.event import BookEntry, Corrected, Deposited, Event, Filled, FundingSettled, Transferred
from eternal_engine.model.ids import Account
from eternal_engine.model.money import CASH_COINS
from eternal_engine.model.trade import ClosedPart
from eternal_engine.portfolio.params import Marks, Params
from eternal_engine.storage.projection import Projection, StoredOrder
from eternal_engine.storage.store import Appended, Store

# Whose closed parts rules look at: TREND's trades (RISK-7), TACTICAL's profits (CAP-2).
REMEMBERED = (Account.TREND, Account.TACTICAL)
Observer = Callable[[Event], None]
Make = Callable[[Memory, Projection], tuple[Memory, Sequence[Event]]]
Queue = list[tuple[Sequence[Event], asyncio.Future[Appended]]]


class Recorder:
    """Hold store and memory of a running daemon; every change of either goes through `commit`."""

    def __init__(
        self,
        store: Store,
        params: Params,
        memory: Memory,
        clock: Clock,
        *,
        marks: Marks,
        parts: Iterable[ClosedPart] = (),
        is_new: bool = False,
        observers: Sequence[Observer] = (),
    ) -> None:
        self.store = store
        self.params = params
        self.memory = memory
        self.marks = marks
        self._clock = clock
        self._written = None if is_new else written_after(None, memory, ())
        self._observers = observers
        self._turn = asyncio.Lock()
        self._queue: Queue = []
        self._flushing: asyncio.Future[None] | None = None
        self._parts: dict[Account, list[ClosedPart]] = {account: [] for account in REMEMBERED}
        self._trend_pnls: list[Decimal] = []
        self._note_closed(list(parts))

    @property
    def projection(self) -> Projection:
        """Give what all committed events add up to."""
        return self.store.projection

    @property
    def trend_pnls(self) -> Sequence[Decimal]:
        """Give the net results of TREND's closed trades, oldest first (RISK-7)."""
        return self._trend_pnls

    async def append(self, *events: Event) -> Appended:
        """Commit events; book entries also move the memory they touch (stops, liquidations, deposits).

        What many tasks append while a commit runs goes into the next one together: the disk is asked once.
        """
        asked: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()
        self._queue.append((events, asked))
        if self._flushing is None:
            self._flushing = asyncio.ensure_future(self._flush())
        # A defect ends the writing, and so reaches all who wait for it.
        await asyncio.shield(self._flushing)
        return asked.result()

    async def _flush(self) -> None:
        """Write all that waits; what comes while that is written makes the next one."""
        async with self._turn:
            queue, self._queue, self._flushing = self._queue, [], None
            try:
                together = await self._write(lambda memory, _: (memory, [one for row, _ in queue for one in row]))
            except ModelError as error:
                if len(queue) == 1:
                    queue[0][1].set_exception(error)
                    return
                for row in queue:
                    await self._write_alone(*row)
            except EternalError as error:
                for _, waiting in queue:
                    waiting.set_exception(error)
            else:
                seen = 0
                for events, waiting in queue:
                    waiting.set_result(replace(together, new=together.new[seen : seen + len(events)]))
                    seen += len(events)

    async def _write_alone(self, events: Sequence[Event], waiting: asyncio.Future[Appended]) -> None:
        """Find out which of several was the one that cannot follow."""
        try:
            waiting.set_result(await self._write(lambda memory, _: (memory, events)))
        except EternalError as error:
            waiting.set_exception(error)

    async def commit(self, make: Make) -> Appended:
        """Let `make` say the next memory and events from the present ones, and write both as one.

        Only one maker at a time sees the present. Raises what `Store.append` raises; then nothing has changed. A
        cancelled caller does not interrupt a commit that has begun: memory and journal never part.
        """
        return await asyncio.shield(asyncio.ensure_future(self._commit(make)))

    async def _commit(self, make: Make) -> Appended:
        async with self._turn:
            return await self._write(make)

    async def _write(self, make: Make) -> Appended:
        memory, events = make(self.memory, self.projection)
        memory = self._followed(memory, events)
        is_same = memory is self.memory and self._written is not None
        saved = () if is_same else saves(memory, self._written, self._clock.now())
        batch = (*events, *saved)
        if not batch:
            return Appended(self.store.head, (), ())
        appended = await self.store.append_shielded(batch)
        self.memory, self._written = memory, written_after(self._written, memory, saved)
        self._note_closed(appended.closed)
        for event, is_new in zip(batch, appended.new, strict=True):
            if is_new:
                for observer in self._observers:
                    observer(event)
        return appended

    def _followed(self, memory: Memory, events: Sequence[Event]) -> Memory:
        """Let the states follow what the events book: flat positions are forgotten, deposits are planned with."""
        entries = [event for event in events if isinstance(event, BookEntry)]
        if not entries:
            return memory
        books, states = self.projection.books, memory.states
        for entry in entries:
            after = books.apply(entry)
            if not after.is_new:
                continue
            books = after.books
            states = after_deposit(self.params, states, _came_to_core(entry))
            if isinstance(entry, Filled) and (stored := self._ordered(entry)) is not None:
                states = after_late_fill(states, entry.fill, stored.order, memory.pending, memory.symbols)
        return replace(memory, states=after_books(self.params, states, books, memory.symbols, self.marks))

    def _ordered(self, entry: Filled) -> StoredOrder | None:
        identifier = entry.fill.client_order_id
        return None if identifier is None else self.projection.orders.get(identifier)

    def parts_of(self, account: Account) -> Sequence[ClosedPart]:
        """Give the closed parts of TREND or TACTICAL, in the order in which they were booked."""
        return self._parts[account]

    def _note_closed(self, closed: Sequence[ClosedPart]) -> None:
        fresh = [part for part in closed if part.account in REMEMBERED]
        for part in fresh:
            self._parts[part.account].append(part)
        if any(part.account is Account.TREND for part in fresh):
            self._trend_pnls = [trade.net_usdt for trade in closed_trades(self._parts[Account.TREND])]


def _came_to_core(entry: BookEntry) -> Decimal:
    """Give the USDT that an entry brings into CORE_HODL's account (CORE-10)."""
    match entry:
        case Transferred(target=Account.CORE_HODL, amount=amount):
            return amount
        case Deposited(account=Account.CORE_HODL, coin=coin, amount=amount) if coin in CASH_COINS:
            return amount
        case Filled() | FundingSettled() | Corrected() | Transferred() | Deposited():
            return Decimal(0)
