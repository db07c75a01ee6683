"""One engine's intents, carried out order by order until nothing is left to do (ORD-1, ORD-4, FUND-3, TREND-X3)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Final

from eternal_engine.engine import exits, order_breaker, outcome, work
from eternal_engine.engine.ending import ending
from eternal_engine.engine.memory import Memory
from eternal_engine.engine.price_look import PriceLook
from eternal_engine.engine.recorder import Recorder
from eternal_engine.engine.sender import RETRY_WAITS_S, Sender, Waiting
from eternal_engine.engine.stop_keeper import StopKeeper, on_tick
from eternal_engine.engine.timing import Clock, hour_of, hour_start
from eternal_engine.engine.view import ENGINES
from eternal_engine.engine.work import Done, PlanOrder, Scene
from eternal_engine.model import reason
from eternal_engine.model.conversion import exact_from_float
from eternal_engine.model.errors import EternalError, ExchangeError, HaltTrading, RateLimited, Retry
from eternal_engine.model.event import ErrorOccurred, Event, OrderPlanned
from eternal_engine.model.ids import ClientOrderId, Engine, Leg
from eternal_engine.model.instrument import Market
from eternal_engine.model.order import Order, OrderIntent, OrderState
from eternal_engine.model.rule import Rule
from eternal_engine.portfolio.params import Intent, Params
from eternal_engine.storage.projection import Projection
from eternal_engine.strategies import trend
from eternal_engine.strategies.base import TREND

RULES: tuple[Rule, ...] = (
    Rule(
        "TREND-X3",
        "The protective stop rests at the exchange, triggered by the mark price, from the fill on; leverage is set "
        "before the first order in a symbol.",
        ("trend.leverage",),
        (
            "tests/unit/engine/test_order_manager.py::test_g8_the_stop_rests_at_the_exchange",
            "tests/unit/engine/test_order_manager.py::test_trend_x3_an_entry_of_unknown_fate_brings_its_stop_along",
            "tests/unit/engine/test_order_manager.py::test_trend_x3_a_stop_between_two_orders_of_an_entry_gives_the_rest_up",
        ),
    ),
)

# Legs that protect, undo or complete: they go on however late it is, and while the daemon ends (FUND-3).
_URGENT: Final = frozenset({Leg.PERP_OPEN, Leg.SPOT_UNWIND, Leg.PERP_UNWIND, Leg.PERP_CLOSE, Leg.PERP_CUT})
# Leverage is there before a pair's first leg: a second leg that has to wait for it would be no hedge.
_LEVERED: Final = frozenset({Leg.SPOT_OPEN, Leg.PERP_OPEN})
LEG_TIMEOUT_S: Final = 30.0
# Each takes half a minute of looking for it.
SENDS_IN_A_ROUND: Final = 10


class OrderManager:
    """Carry out one engine's intents in its own sub-account.

    While `may_send` denies it (the daemon ends, the line is down) no order is sent but those of `_URGENT`: orders stay
    planned, and what is under way is followed (ORD-6, ORD-9).
    """

    def __init__(self, sender: Sender, recorder: Recorder, params: Params, clock: Clock, waiting: Waiting) -> None:
        self.sender = sender
        self.params = params
        self._number = ENGINES.index(sender.engine)
        self._recorder = recorder
        self._clock = clock
        self._waiting = waiting
        self._levered: set[str] = set()
        self._levered_at = self._leverage()
        self._stops = StopKeeper(sender, recorder, clock, waiting, self._desk)
        self._stops_turn = asyncio.Lock()
        self._deadlines: dict[ClientOrderId, datetime] = {}
        self._refused_h: dict[ClientOrderId, int] = {}
        self._look = PriceLook(sender.exchange, clock, recorder.memory.symbols)
        self.leg_timeout_s = LEG_TIMEOUT_S
        self.may_send: Callable[[], bool] = lambda: True

    @property
    def engine(self) -> Engine:
        """Give the engine."""
        return self.sender.engine

    async def run(self) -> None:
        """Carry every intent as far as it goes now; what waits for the market stays pending.

        Raises HaltTrading when the exchange refuses the key.
        """
        await self.sender.hear()
        own = [intent for intent in self._recorder.memory.pending if intent.engine == self._number]
        try:
            await in_turn_or_together([partial(self._carry, intent) for intent in own], together=self.sender.is_wired)
        except HaltTrading:
            # An exit that is refused round after round keeps no other position from its stop.
            await self._tend()
            raise
        await self._tend()

    async def _tend(self) -> None:
        await self._close_strays()
        if self.engine is Engine.TREND:
            await self.keep_stops()

    def first_orders(self, intents: Sequence[Intent], memory: Memory, projection: Projection) -> list[Event]:
        """Plan the first order of each new intent, to be journaled with the decision itself (ORD-1).

        What can leave at once is put on record as sent in the same go: one commit before the wire, not two (0135).
        """
        events: list[Event] = []
        for intent in intents:
            if intent.engine == self._number:
                step = work.next_step(intent, self._scene(intent, projection, memory))
                if isinstance(step, PlanOrder):
                    planned = self._planned(step)
                    events.append(planned)
                    # What an id has filled already counts with its plan: then it is no planned order.
                    has_filled = step.order.client_order_id in projection.unplanned_fills
                    if not has_filled and self._leaves_at_once(intent, step.order, memory):
                        events.append(self.sender.sending(step.order, planned.at, self._first_stop(intent)))
        return events

    def _leaves_at_once(self, intent: Intent, order: OrderIntent, memory: Memory) -> bool:
        """Tell whether nothing has to be asked before a first order goes; inside one process all go in turn."""
        if not self.sender.is_wired or not self.may_send():
            return False
        if intent.reduces:
            return True
        if self._is_halted(memory) or self._is_late(intent) or self._look.is_due(hour_start(intent.decided_h)):
            return False
        return not _needs_leverage(intent, order) or self._is_levered(order.key.symbol)

    async def _carry(self, intent: Intent) -> None:
        sends: Counter[ClientOrderId] = Counter()
        while True:
            memory, projection = self._recorder.memory, self._recorder.projection
            step = work.next_step(intent, self._scene(intent, projection, memory))
            if isinstance(step, Done):
                await self._finish(intent, step)
                return
            if isinstance(step, PlanOrder):
                await self._recorder.append(self._planned(step))
                identifier = step.order.client_order_id
            else:
                identifier = step.client_order_id
            before = self.sender.order(identifier)
            deadline = self._deadline(before)
            if before.state is OrderState.PLANNED:
                refusal = await self._refusal(intent, before, deadline)
                if refusal is None:
                    return
                if refusal:
                    await self.sender.abandon(identifier, refusal)
                    continue
                # An exchange that swallows every request must not keep the hour from ending: the next round goes on.
                if sends[identifier] == SENDS_IN_A_ROUND or not await self._may_go(intent, before):
                    return
                sends[identifier] += 1
            over = partial(self._over, intent, before, deadline)
            try:
                await self.sender.advance(identifier, over, self._first_stop(intent))
            except HaltTrading as error:
                await self._note_refused(intent, identifier, error)
                raise
            after = self.sender.order(identifier)
            if after == before or after.state is before.state is OrderState.PLANNED:
                return  # nothing new, or put off

    async def _refusal(self, intent: Intent, order: Order, deadline: datetime | None) -> str | None:
        """Say why a planned order must not be sent any more; "" lets it go on, None puts it off."""
        key = order.intent.key
        over = self._over(intent, order, deadline)
        if over:
            return over
        if key.leg is Leg.PERP_OPEN and not await self._lever(key.symbol):
            return "no leverage could be set: the first leg is undone"
        if intent.reduces or key.leg in _URGENT:
            return ""
        try:
            return await self._look.denial(order, hour_start(intent.decided_h), self.params.risk.price_deviation_frac)
        except HaltTrading:
            raise
        except ExchangeError as error:
            at, where = self._clock.now(), f"reading the price for order {order.client_order_id}"
            await self._recorder.append(ErrorOccurred(at, error.message, where, error.mend, self.engine))
            return None

    def _over(self, intent: Intent, order: Order, deadline: datetime | None) -> str:
        """Say what ends an order that was not taken in yet, before its first try and before each further one."""
        key = order.intent.key
        if self._is_halted(self._recorder.memory) and not intent.reduces and key.leg not in _URGENT:
            return "the engine was halted"
        if self._too_late(intent, key.leg):
            return "the hour it was decided in is over"
        if work.is_closed_meanwhile(intent, self._scene(intent, self._recorder.projection, self._recorder.memory)):
            return "the position was closed meanwhile: the rest of the entry is not bought"
        if deadline is not None and self._waiting.now() >= deadline:
            return "the second leg took too long: the first is undone"
        return ""

    async def _may_go(self, intent: Intent, order: Order) -> bool:
        """Tell whether a planned order may be sent now; one that reduces waits for no leverage (RISK-0)."""
        key = order.intent.key
        if key.leg not in _URGENT and not self.may_send():
            return False
        was_refused = self._refused_h.get(order.client_order_id) == hour_of(self._clock.now())
        if was_refused and self._is_halted(self._recorder.memory):
            # A key that is refused is asked again once an hour, or when the operator has resumed the engine (D5).
            return False
        return not _needs_leverage(intent, order.intent) or await self._lever(key.symbol)

    async def _note_refused(self, intent: Intent, identifier: ClientOrderId, error: HaltTrading) -> None:
        """Remember that a refused key holds an order up; of an exit it is said, once, for it has to wait."""
        is_known = identifier in self._refused_h
        self._refused_h[identifier] = hour_of(self._clock.now())
        if intent.reduces and not is_known:
            what = f"an exit waits, because the exchange refuses the key: {error.message}"
            mend = (
                "close it at the exchange if it cannot wait; it is tried again every hour, and after `eternal resume`"
            )
            await self._recorder.append(
                ErrorOccurred(self._clock.now(), what, f"order {identifier}", mend, self.engine)
            )

    def _deadline(self, order: Order) -> datetime | None:
        """Give when a pair's second leg must have been taken in, else None; a new start has its own time (FUND-3).

        All orders of the leg share it: the first leg stands alone no longer because the second comes in parts.
        """
        key = order.intent.key
        if key.leg is not Leg.PERP_OPEN:
            return None
        patience = timedelta(seconds=self.leg_timeout_s)
        return self._deadlines.setdefault(replace(key, attempt=1).client_order_id, self._waiting.now() + patience)

    def _first_stop(self, intent: Intent) -> Decimal | None:
        """Give the stop that travels with an entry of TREND: its fate may stay unknown for a while (TREND-S1).

        It is reckoned from the price of the decision; when the fill is known, the exact one replaces it.
        """
        if intent.engine != TREND or intent.reduces or intent.atr <= 0.0:
            return None
        tick = self.sender.rules(Market.PERP, self._recorder.memory.symbols[intent.symbol]).tick
        price = trend.stop_price(self.params.trend, intent.side, intent.price, intent.atr, float(tick))
        return on_tick(price, tick) if price > 0.0 else None

    def _planned(self, step: PlanOrder) -> OrderPlanned:
        rules = self.sender.rules(step.order.market, step.order.key.symbol)
        return OrderPlanned(self._clock.now(), self.sender.account, step.order, rules.base, rules.quote)

    def _scene(self, intent: Intent, projection: Projection, memory: Memory) -> Scene:
        symbol = memory.symbols[intent.symbol]
        return Scene(
            symbols=memory.symbols,
            orders=projection.orders,
            book=projection.books.of(self.sender.account),
            spot=self.sender.rules(Market.SPOT, symbol),
            perp=self.sender.rules(Market.PERP, symbol),
            spot_fee_frac=exact_from_float(self.params.risk.spot_fee_frac),
            late=self._is_late(intent),
        )

    def _is_late(self, intent: Intent) -> bool:
        return hour_of(self._clock.now()) > intent.decided_h

    def _too_late(self, intent: Intent, leg: Leg) -> bool:
        return self._is_late(intent) and not intent.reduces and leg not in _URGENT

    async def _lever(self, symbol: str) -> bool:
        """Set the leverage before the first order in a symbol; False when that failed and the order must wait."""
        leverage = self._leverage()
        if self._is_levered(symbol):
            return True
        for wait_s in (*RETRY_WAITS_S[:3], None):
            try:
                await self.sender.exchange.set_leverage(symbol, exact_from_float(leverage))
                break
            except HaltTrading:
                raise
            except ExchangeError as error:
                if wait_s is not None and isinstance(error, Retry | RateLimited):
                    await self._waiting.sleep(wait_s)
                    continue
                at, where = self._clock.now(), f"setting the leverage of {symbol}"
                await self._recorder.append(ErrorOccurred(at, error.message, where, error.mend, self.engine))
                return False
        self._levered.add(symbol)
        return True

    def _is_levered(self, symbol: str) -> bool:
        """Tell whether the leverage in force stands at the exchange."""
        leverage = self._leverage()
        if leverage != self._levered_at:
            # Another configuration is in force since (SIGHUP): what stands at the exchange is the old one's.
            self._levered.clear()
            self._levered_at = leverage
        return symbol in self._levered

    async def lever_ahead(self, symbols: Sequence[str]) -> None:
        """Set the leverage of what is flat before anything is decided: the first orders would wait for it.

        What is held keeps its leverage, and what cannot be set now is set before its first order, or said then. Inside
        one process nothing waits.
        """
        if not self.sender.is_wired or self.engine not in (Engine.TREND, Engine.FUNDING):
            return
        leverage = exact_from_float(self._leverage())
        with suppress(ExchangeError):
            held = {row.symbol for row in await self.sender.exchange.positions() if row.qty}
            flat = [symbol for symbol in symbols if symbol not in held | self._levered]
            tried = (self.sender.exchange.set_leverage(symbol, leverage) for symbol in flat)
            answers = await asyncio.gather(*tried, return_exceptions=True)
            self._levered |= {symbol for symbol, answer in zip(flat, answers, strict=True) if answer is None}

    def _leverage(self) -> float:
        return self.params.trend.leverage if self.engine is Engine.TREND else self.params.funding.leverage

    async def _finish(self, intent: Intent, done: Done) -> None:
        """Take a finished intent off the list, in one go with what follows from it."""

        def make(memory: Memory, projection: Projection) -> tuple[Memory, list[Event]]:
            book = projection.books.of(self.sender.account)
            now_h = hour_of(self._clock.now())
            states = outcome.after_intent(self.params, memory.states, intent, done, book, memory.symbols, now_h)
            states = outcome.after_books(self.params, states, projection.books, memory.symbols, self._recorder.marks)
            scene, at = self._scene(intent, projection, memory), self._clock.now()
            parts = self._recorder.parts_of(self.sender.account) if self.engine is Engine.TACTICAL else ()
            after, events = replace(memory.without(intent), states=states), ending(intent, done, scene, parts, at)
            if intent.reduces or self._is_halted(memory):
                return after, events
            newest_first = reversed(tuple(projection.orders.values()))
            if order_breaker.keeps_failing(self.engine, newest_first, memory.resumed_ms[self._number]):
                after = replace(after, halted=after.halted | 1 << self._number)
                events.append(order_breaker.opened(self.engine, at))
            return after, events

        await self._recorder.commit(make)
        if self.engine is Engine.TREND:
            # A filled entry is unprotected until its stop rests; it does not wait for other orders.
            await self.keep_stops()

    def _is_halted(self, memory: Memory) -> bool:
        return bool(memory.halted & 1 << self._number)

    # Protective stops ------------------------------------------------------------------------------------------

    async def keep_stops(self) -> None:
        """Make the exchange hold the stops of TREND; a position whose stop cannot rest is left at once (TREND-X2)."""
        async with self._stops_turn:
            before = self._recorder.memory.pending
            await self._stops.keep()
            leaving = [intent for intent in self._recorder.memory.pending if intent not in before and _is_stop(intent)]
        for intent in leaving:
            await self._carry(intent)

    # What no rule knows of ------------------------------------------------------------------------------------

    async def _close_strays(self) -> None:
        """Close what an order that was given up has opened all the same: no stop and no rule tends it (ORD-4)."""
        if not self._strays(self._recorder.memory, self._recorder.projection):
            return
        asked: list[Intent] = []

        def make(memory: Memory, projection: Projection) -> tuple[Memory, list[Event]]:
            desk, events = self._desk(projection), list[Event]()
            for intent in self._strays(memory, projection):
                asked.append(intent)
                symbol, where = memory.symbols[intent.symbol], f"{self.engine.value} {memory.symbols[intent.symbol]}"
                words = exits.stray_words(self.engine, symbol)
                detail = f"{reason.words(intent.reason)}: {words}"
                events.append(ErrorOccurred(desk.now, words, where, "`eternal fills` shows how it came about"))
                events += exits.explained(desk, memory, intent, detail, {"stray": symbol})
            return replace(memory, pending=(*memory.pending, *asked)), events

        await self._recorder.commit(make)
        for intent in asked:
            await self._carry(intent)

    def _strays(self, memory: Memory, projection: Projection) -> list[Intent]:
        found = exits.strays(self._desk(projection), self.engine, memory, projection.books.of(self.sender.account))
        return [intent for intent in found if work.first_id(intent, memory.symbols) not in projection.orders]

    def _desk(self, projection: Projection) -> exits.Desk:
        config_hash = projection.run.config_hash if projection.run else ""
        return exits.Desk(self.params, self.sender.table, self._recorder.marks, self._clock.now(), config_hash)


async def in_turn_or_together(jobs: Sequence[Callable[[], Awaitable[None]]], *, together: bool) -> None:
    """Do jobs side by side where each waits for a wire, else one after the other, which is the same every time.

    One that fails does not interrupt the others; the first failure is raised when all have ended.
    """
    if not together:
        failed: EternalError | None = None
        for job in jobs:
            try:
                await job()
            except EternalError as error:
                failed = failed or error
        if failed is not None:
            raise failed
        return
    for ended in await asyncio.gather(*(job() for job in jobs), return_exceptions=True):
        if isinstance(ended, BaseException):
            raise ended


def _needs_leverage(intent: Intent, order: OrderIntent) -> bool:
    """Tell whether leverage must stand before an order; one that reduces waits for none (RISK-0)."""
    return not intent.reduces and (order.market is Market.PERP or order.key.leg in _LEVERED)


def _is_stop(intent: Intent) -> bool:
    return intent.engine == TREND and intent.reason in (reason.TREND_STOP, reason.TREND_TRAIL)
