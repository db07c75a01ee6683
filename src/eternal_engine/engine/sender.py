"""One account's orders on the wire: sent once, followed to their end, looked up when nobody knows (ORD-1 to ORD-4)."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, Protocol

from eternal_engine.engine.ownership import Owners, book_execution
from eternal_engine.engine.recorder import Recorder
from eternal_engine.engine.snapshot import horizon_of
from eternal_engine.engine.timing import Clock
from eternal_engine.exchange.events import ExecutionSeen, OrderUpdated, StreamEvent
from eternal_engine.exchange.lookup import Resolution, resolve
from eternal_engine.exchange.orders import Execution, OrderLookup, OrderReport
from eternal_engine.exchange.port import Exchange
from eternal_engine.exchange.translate import fate_of, request_of
from eternal_engine.model.errors import (
    AlreadyDone,
    BadReply,
    ExchangeError,
    HaltTrading,
    RateLimited,
    RejectedForGood,
    Retry,
    UnknownOutcome,
    UnknownTransition,
    Unsupported,
)
from eternal_engine.model.event import BookEntry, ErrorOccurred, Event, Filled, FundingSettled, OrderMoved
from eternal_engine.model.ids import Account, ClientOrderId, Engine, Symbol, VenueOrderId
from eternal_engine.model.instrument import InstrumentRules, InstrumentTable, Market, Side
from eternal_engine.model.money import short_text
from eternal_engine.model.order import Order, OrderIntent, OrderState, Trigger
from eternal_engine.model.rule import Rule
from eternal_engine.portfolio.features import HOUR_MS, LATE_STAMP_MS

RULES: tuple[Rule, ...] = (
    Rule(
        "ORD-3",
        "Retries after 1, 2, 4, 8, 16 s with jitter, at most 5, under the same id; a rejection for good is never "
        "repeated, a rate limit waits for its reset and does not count. What reduces is not given up after them, nor "
        "for a refused key, but put off to the next round.",
        (),
        (
            "tests/unit/engine/test_sender.py::test_d4_retries_wait_and_end",
            "tests/unit/engine/test_sender.py::test_d6_a_rate_limit_waits_and_does_not_count",
            "tests/unit/engine/test_flat_orders.py::test_ord_3_an_exit_that_could_not_be_sent_is_put_off_and_not_dropped",
            "tests/unit/engine/test_flat_orders.py::test_d5_an_exit_that_a_refused_key_held_up_goes_on_when_the_key_is_taken_again",
        ),
    ),
)

RETRY_WAITS_S: Final = (1.0, 2.0, 4.0, 8.0, 16.0)
JITTER_FRAC: Final = 0.2
# A rate limit that never ends is a fault of its own.
RATE_WAITS: Final = 60
RATE_WAIT_S: Final = 1.0
# Each would undo what somebody else has learnt of the order since: sent again, a found order would be there twice.
_ONLY_FROM: Final = {Trigger.SEND: OrderState.PLANNED, Trigger.NOT_FOUND: OrderState.UNKNOWN}
# Bybit lists refused and cancelled orders without fills for a day; executions stay, and are compared at every start.
FORGOTTEN_AFTER: Final = timedelta(hours=26)
# The order list and the execution list may be seconds apart; a minute is no lag any more.
EXECUTIONS_LATE_AFTER: Final = timedelta(minutes=1)
THEY_STAY_AWAY: Final = "traded by the exchange's order list, and not by its executions"
# What is put on record as sent leaves within a moment, or it is looked up first, as after a crash (0135).
LEAVES_WITHIN: Final = timedelta(seconds=3)
# How long an order is followed over the wire before it is left for the next round: the market may be silent.
FOLLOW_WAITS_S: Final = (0.2, 0.3, 0.5, 1.0, 2.0, 4.0)


class Waiting(Protocol):
    """Wait in the time of the wire: the wall's, unless the exchange lives in this process."""

    def now(self) -> datetime:
        """Return the time by which requests are signed and may still arrive."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait in that time."""
        ...


class Sender:
    """Send, follow and book the orders of one sub-account."""

    def __init__(
        self,
        engine: Engine,
        exchange: Exchange,
        recorder: Recorder,
        table: InstrumentTable,
        owners: Owners,
        clock: Clock,
        waiting: Waiting,
        *,
        pump: Callable[[], Sequence[StreamEvent]] | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.engine = engine
        self.account: Account = engine.account
        self.exchange = exchange
        self.table = table
        self._owners = owners
        self._recorder = recorder
        self._clock = clock
        self._waiting = waiting
        self._pump = pump
        self._jitter = jitter
        self._began = waiting.now()
        self._sent_at: dict[ClientOrderId, datetime] = {}
        # Whose sending a decision has put on record, and when: their requests follow at once.
        self._leaving: dict[ClientOrderId, datetime] = {}
        self._late_funding: list[FundingSettled] = []
        # Since when an order has been found with fewer executions than it has traded.
        self._lacking: dict[ClientOrderId, datetime] = {}

    @property
    def is_wired(self) -> bool:
        """Tell whether the exchange is reached over a wire, so that calls take time."""
        return self._pump is None

    def order(self, identifier: ClientOrderId) -> Order:
        """Give an order as it is on record."""
        return self._recorder.projection.orders[identifier].order

    def rules(self, market: Market, symbol: str) -> InstrumentRules:
        """Give the exact rules of an instrument."""
        return self.table.rules(Symbol(symbol), market)

    async def hear(self) -> None:
        """Book what an exchange inside this process has said meanwhile; over the wire the stream's task does so."""
        if self._pump is not None:
            await self.take(*self._pump())

    async def take(self, *events: StreamEvent) -> None:
        """Book stream events: executions first, so that fills lead their orders."""
        executions = [event.execution for event in events if isinstance(event, ExecutionSeen)]
        if executions:
            await self._recorder.append(*self._entries(executions))
        for event in events:
            if isinstance(event, OrderUpdated) and not event.report.status.is_open:
                await self._end(event.report)

    async def settle_funding(self, until_h: int) -> None:
        """Book the funding of settlements up to hour `until_h`: later ones belong to the next decision (U-8)."""
        due = self.due_funding(until_h)
        if due:
            self._forget(due)
            await self._recorder.append(*due)

    def due_funding(self, until_h: int) -> list[FundingSettled]:
        """List the funding of settlements up to hour `until_h`, for a decision that is written together with it."""
        return [event for event in self._late_funding if stamp_hour(event.settled_at) <= until_h]

    def sending(self, intent: OrderIntent, at: datetime, stop: Decimal | None) -> OrderMoved:
        """Make the event that puts an order's sending on record together with its plan; see `advance` for `stop`."""
        return OrderMoved(at, intent.client_order_id, Trigger.SEND, detail=_words_of(stop))

    def decided(self, events: Sequence[Event]) -> None:
        """Take note of what a decision has put on record: orders whose requests follow, and funding."""
        own = self._recorder.projection.orders
        for event in events:
            if isinstance(event, OrderMoved) and own[event.client_order_id].account is self.account:
                self._leaving[event.client_order_id] = self._waiting.now()
        self._forget([event for event in events if isinstance(event, FundingSettled)])

    def _forget(self, booked: Sequence[FundingSettled]) -> None:
        self._late_funding = [event for event in self._late_funding if event not in booked]

    async def advance(
        self, identifier: ClientOrderId, over: Callable[[], str] = lambda: "", stop: Decimal | None = None
    ) -> None:
        """Take an order one step on, by the state it is in.

        `over` says why one that was not taken in yet is not to be tried again, "" while it is. `stop` (USDT) goes with
        an order that opens a position: it rests at the exchange from the first fill on. Raises HaltTrading when the
        key is refused.
        """
        order = self.order(identifier)
        if order.state is OrderState.PLANNED:
            # Unless the exchange has shown meanwhile that it has it, or somebody else sends it.
            if await self._move(order, Trigger.SEND, detail=_words_of(stop)):
                await self._send(order, over, stop)
        elif order.state is OrderState.SENT and self._may_leave(identifier):
            await self._send(order, over, stop)
        elif order.state is OrderState.SENT:
            # Only a crash leaves an order so: nobody knows whether it arrived.
            await self._move(order, Trigger.LOSE_REPLY, detail="no answer on record")
        elif order.state is OrderState.UNKNOWN:
            await self._resolve(order)
        elif not order.state.is_closed:
            await self._follow(order)

    async def abandon(self, identifier: ClientOrderId, why: str) -> None:
        """Give up an order of which nothing was sent."""
        await self._move(self.order(identifier), Trigger.ABANDON, detail=why)

    # Sending ---------------------------------------------------------------------------------------------------

    def _may_leave(self, identifier: ClientOrderId) -> bool:
        """Tell, once, whether an order's sending was put on record a moment ago and its request was not made yet."""
        noted = self._leaving.pop(identifier, None)
        return noted is not None and self._waiting.now() - noted < LEAVES_WITHIN

    async def _send(self, order: Order, over: Callable[[], str], stop: Decimal | None) -> None:
        """Make the request of an order whose sending is on record."""
        request = replace(request_of(order.intent), stop_loss=stop)
        retries = limits = 0
        while True:
            self._sent_at[order.client_order_id] = self._waiting.now()
            try:
                ack = await self.exchange.place(request)
            except RateLimited as limit:
                limits += 1
                words = f"the rate limit did not end in {limits} waits" if limits > RATE_WAITS else ""
                if await self._has_ended(order, limit, over, words, self._until(limit.reset_at)):
                    return
            except Retry as error:
                is_last = retries == len(RETRY_WAITS_S)
                words = f"given up after {retries} retries" if is_last else ""
                wait_s = 0.0 if is_last else RETRY_WAITS_S[retries] * (1.0 + JITTER_FRAC * self._jitter())
                if await self._has_ended(order, error, over, words, wait_s):
                    return
                retries += 1
            except (RejectedForGood, AlreadyDone, Unsupported) as error:
                # Already done: a reduce-only order found nothing to reduce. It was not taken in, and never will be.
                await self._move(order, Trigger.REJECT, code=error.code, detail=error.message)
                return
            except HaltTrading as error:
                await self._reject_or_put_off(order, error, error.message)
                raise
            except (UnknownOutcome, BadReply) as error:
                await self._move(order, Trigger.LOSE_REPLY, code=error.code, detail=error.message)
                return
            else:
                # In one process the fill may have been heard before the acknowledgement returned.
                await self._move(order, Trigger.ACCEPT, venue_order_id=VenueOrderId(ack.venue_order_id))
                await self.hear()
                return

    async def _has_ended(
        self, order: Order, error: ExchangeError, over: Callable[[], str], words: str, wait_s: float
    ) -> bool:
        """Wait for the next try; True when there is none: for `words`, or for what `over` says before or after."""
        if not words and not (words := over()):
            await self._waiting.sleep(wait_s)
            await self.hear()
            words = over()
        if words:
            await self._give_up(order, error, words)
        return bool(words)

    async def _give_up(self, order: Order, error: ExchangeError, words: str) -> None:
        """End an order that the exchange has refused to take in until now, and say so."""
        at, identifier, detail = self._clock.now(), order.client_order_id, f"{words}: {error.message}"
        await self._recorder.append(ErrorOccurred(at, detail, f"order {identifier}", error.mend, self.engine))
        await self._reject_or_put_off(order, error, detail)

    async def _reject_or_put_off(self, order: Order, error: ExchangeError, detail: str) -> None:
        """End an order that was not taken in; what reduces is planned again, for the next round under its own id.

        An exit of a day that a minute's outage or a refused key dropped would be decided a day later.
        """
        if not _reduces(order):
            await self._move(order, Trigger.REJECT, code=error.code, detail=detail)
            return
        await self._move(order, Trigger.LOSE_REPLY, code=error.code, detail=detail)
        await self._move(order, Trigger.NOT_FOUND, detail="put off")

    def _until(self, reset_at: datetime | None) -> float:
        if reset_at is None:
            return RATE_WAIT_S
        return min(max((reset_at - self._waiting.now()).total_seconds(), 0.05), 10.0)

    # Finding out -----------------------------------------------------------------------------------------------

    async def _resolve(self, order: Order) -> None:
        """Look an unknown order up; only when it can arrive no more is it planned again, under the same id (ORD-2)."""
        identifier = order.client_order_id
        found = await self._looked_up(order)
        if found is None:
            return
        if found.lookup.found:
            await self._adopt(found.lookup)
        elif found.may_resend:
            await self._move(self.order(identifier), Trigger.NOT_FOUND, detail="nowhere, and too late to arrive")

    async def _looked_up(self, order: Order) -> Resolution | None:
        """Look up, and again when the look-up fails: a short outage must not leave an order unknown for the hour."""
        identifier = order.client_order_id
        for wait_s in (*RETRY_WAITS_S, None):
            try:
                return await resolve(
                    self.exchange,
                    order.intent.market,
                    identifier,
                    sent_at=self._sent_at.get(identifier, self._began),
                    sleep=self._waiting.sleep,
                    now=self._waiting.now,
                )
            except HaltTrading:
                raise
            except ExchangeError as error:
                if wait_s is None:
                    await self._problem(order, error)
                else:
                    await self._waiting.sleep(wait_s)
        return None

    async def _follow(self, order: Order) -> None:
        """Wait for an accepted order's end: by the stream, and by asking when the stream stays silent."""
        identifier = order.client_order_id
        for wait_s in (0.0,) if self._pump is not None else FOLLOW_WAITS_S:
            if wait_s:
                await self._waiting.sleep(wait_s)
            await self.hear()
            if self.order(identifier).state.is_closed:
                return
            try:
                lookup = await self.exchange.find_order(order.intent.market, identifier)
            except HaltTrading:
                raise
            except ExchangeError as error:
                await self._problem(order, error)
                continue
            await self._adopt(lookup)
            if self.order(identifier).state.is_closed:
                return
            if not lookup.found and self._is_forgotten(self.order(identifier)):
                said = "nowhere to be found after a day: refused or cancelled without a fill"
                await self._move(order, Trigger.CANCEL, detail=said)
                return

    def _is_forgotten(self, order: Order) -> bool:
        """Tell whether the exchange lists an order without fills no more: it forgets these after a day (fact 14)."""
        at = order.updated_at
        return order.filled_qty == 0 and at is not None and self._clock.now() - at > FORGOTTEN_AFTER

    async def _problem(self, order: Order, error: ExchangeError) -> None:
        at = self._clock.now()
        where = f"looking up order {order.client_order_id}"
        await self._recorder.append(ErrorOccurred(at, error.message, where, error.mend, self.engine))

    async def _adopt(self, lookup: OrderLookup) -> None:
        """Take over what a look-up found: executions first, then the order's end."""
        if lookup.executions:
            await self._recorder.append(*self._entries(lookup.executions))
        if lookup.report is not None:
            await self._end(lookup.report, asked=True)

    async def _end(self, report: OrderReport, *, asked: bool = False) -> None:
        """Journal an order's end as the exchange reports it, once all it has filled is booked."""
        stored = self._recorder.projection.orders.get(ClientOrderId(report.client_order_id))
        if stored is None or stored.account is not self.account:
            return
        order = stored.order
        if order.state.is_closed:
            return
        if order.state in (OrderState.PLANNED, OrderState.SENT):
            # A stream may be faster than the reply; what was looked up was left so by a crash.
            streamed = order.state is OrderState.SENT and not asked
            trigger = Trigger.ACCEPT if streamed else Trigger.LOSE_REPLY
            await self._move(order, trigger, detail="" if streamed else "found at the exchange")
            order = self.order(order.client_order_id)
        if order.filled_qty < report.filled_qty:
            # Its executions are on their way; until they are booked the order is not over.
            if asked:
                await self._await_executions(order, report.filled_qty)
            return
        self._lacking.pop(order.client_order_id, None)
        fate = fate_of(report, self.rules(order.intent.market, order.intent.key.symbol))
        if fate is Trigger.FOUND_OPEN and order.state is OrderState.OPEN:
            return
        await self._move(order, fate, venue_order_id=VenueOrderId(report.venue_order_id), detail=report.reject_reason)

    async def _await_executions(self, order: Order, traded: Decimal) -> None:
        """Say once that an order's executions stay away: until they come its symbol waits, and nothing else would."""
        identifier, now = order.client_order_id, self._waiting.now()
        if order.note == THEY_STAY_AWAY or now - self._lacking.setdefault(identifier, now) < EXECUTIONS_LATE_AFTER:
            return
        shown, symbol = short_text(order.filled_qty), order.intent.key.symbol
        what = f"order {identifier} has traded {short_text(traded)} by the exchange's order list, its executions show"
        mend = (
            f"{self.engine.value} waits in {symbol} until they come, and goes on by itself; "
            "compare the trade history on the exchange's site, and ask its support when it shows none"
        )
        at = self._clock.now()
        with suppress(UnknownTransition):  # they have come meanwhile
            await self._recorder.append(
                ErrorOccurred(at, f"{what} {shown}", f"order {identifier}", mend, self.engine),
                # With the order it is remembered beyond a restart that this was said.
                OrderMoved(at, identifier, Trigger.FOUND_OPEN, detail=THEY_STAY_AWAY),
            )

    # Booking ---------------------------------------------------------------------------------------------------

    def hold(self, settled: Sequence[FundingSettled]) -> None:
        """Keep funding that somebody else has found until its hour is decided."""
        self._late_funding += settled

    def _entries(self, executions: Sequence[Execution]) -> list[Event]:
        """Make book entries of executions; funding of an hour that is not decided yet waits for it (U-8).

        A trade that no order of ours explains is booked as what it is, and said (ORD-7).
        """
        events: list[Event] = []
        at, books = self._clock.now(), self._recorder.projection.books
        horizon = horizon_of(self._recorder.projection, self.account)
        for execution in executions:
            if horizon is not None and not horizon.counts(execution.execution_id, execution.at):
                continue  # part of the balances with which the books were opened; a stream reaches back a little
            try:
                owned = book_execution(execution, self.account, self._owners, books, at)
            except BadReply as error:
                events.append(ErrorOccurred(at, error.message, error.where, error.mend, self.engine))
                continue
            for entry in owned.entries:
                if isinstance(entry, FundingSettled) and stamp_hour(entry.settled_at) > self._recorder.memory.cycle_h:
                    self._late_funding.append(entry)
                    continue
                events.append(entry)
                books = books.apply(entry).books
                events += self._belated(entry, at)
            if owned.is_foreign:
                what = f"{execution.side.value} {execution.qty} {execution.symbol} was traded by hand"
                mend = "eternal review assigns or ignores what it left"
                events.append(ErrorOccurred(at, what, f"account {self.account.value}", mend, self.engine))
        return events

    def _belated(self, entry: BookEntry, at: datetime) -> list[Event]:
        """Say that an order traded which was held for refused or never sent."""
        stored = self._recorder.projection.orders.get(_order_id(entry))
        if stored is None or stored.order.state not in (OrderState.REJECTED, OrderState.ABANDONED):
            return []
        identifier, state = stored.order.client_order_id, stored.order.state.value
        what = f"order {identifier} has traded although it was {state}"
        mend = "coins bought for keeping stay and count as bought; a position that no rule knows of is closed at once"
        return [ErrorOccurred(at, what, f"account {self.account.value}", mend, self.engine)]

    async def _move(
        self,
        order: Order,
        trigger: Trigger,
        *,
        venue_order_id: VenueOrderId | None = None,
        code: int | None = None,
        detail: str = "",
    ) -> bool:
        """Move an order on; what somebody else has closed, found or sent meanwhile stays as it is, and False comes."""
        identifier = order.client_order_id
        state = self.order(identifier).state
        if state.is_closed or state is not _ONLY_FROM.get(trigger, state):
            return False
        try:
            await self._recorder.append(
                OrderMoved(self._clock.now(), identifier, trigger, venue_order_id, code, detail)
            )
        except UnknownTransition:
            if self.order(identifier).state is state:
                raise
            return False
        return True


def _reduces(order: Order) -> bool:
    """Tell whether an order can only shrink what is held: nobody here sells coins that he has not."""
    intent = order.intent
    return intent.reduce_only or (intent.market is Market.SPOT and intent.side is Side.SELL)


def _words_of(stop: Decimal | None) -> str:
    return "" if stop is None else f"with a stop at {stop}"


def _order_id(entry: BookEntry) -> ClientOrderId:
    own = entry.fill.client_order_id if isinstance(entry, Filled) else None
    return own or ClientOrderId("")


def stamp_hour(at: datetime) -> int:
    """Give the hour a settlement belongs to; a minute late is on time, as for the features."""
    stamp_ms = int(at.timestamp() * 1000)
    return -((LATE_STAMP_MS - stamp_ms) // HOUR_MS)
