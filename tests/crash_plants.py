"""Bugs that a daemon like this one could have, planted one at a time: the crash suite must find each of them."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from eternal_engine.engine import bank, work
from eternal_engine.engine.bank import Bank
from eternal_engine.engine.sender import Sender
from eternal_engine.engine.stop_keeper import StopKeeper
from eternal_engine.launch.caretaker import Caretaker
from eternal_engine.ledger.transfers import attempt_id
from eternal_engine.model.ids import TransferId
from eternal_engine.model.order import Order, OrderState, Trigger


@dataclass(frozen=True)
class Plant:
    """Hold one bug: what it does wrong, the scenario that shows it, and how it is put in.

    `is_caught` is False where a second safeguard makes good what the bug spoils.
    """

    about: str
    scenario: str
    put_in: Callable[[], None]
    is_caught: bool = True


def _forgets_unknown_orders() -> None:
    """Take an order whose fate is not known for one that never was, and send the next attempt."""
    known = work._unfinished

    def careless(orders: list[Order]) -> Any:
        return known([order for order in orders if order.state not in (OrderState.SENT, OrderState.UNKNOWN)])

    work._unfinished = careless


def _confirms_stops_first() -> None:
    """Remember a stop as resting before the exchange was asked for it."""
    set_stop = StopKeeper._set

    async def hasty(self: StopKeeper, s: int, symbol: str, price: Decimal) -> None:
        await self._confirm(s, symbol, price)
        await set_stop(self, s, symbol, price)

    StopKeeper._set = hasty  # type: ignore[method-assign]


def _new_transfer_each_time() -> None:
    """Ask for a transfer under another id each time: here one that follows from all that was journaled before."""
    run = Bank.run
    head = 0

    async def noting(self: Bank) -> None:
        nonlocal head
        head = self._recorder.store.head.seq
        await run(self)

    def careless(planned: TransferId, attempt: int) -> TransferId:
        return TransferId(str(uuid.uuid5(uuid.NAMESPACE_OID, f"{attempt_id(planned, attempt)} {head}")))

    Bank.run = noting  # type: ignore[method-assign]
    vars(bank)["attempt_id"] = careless


def _gives_up_what_never_arrived() -> None:
    """Take an order that never reached the exchange for one that was refused."""
    move = Sender._move

    async def hasty(self: Sender, order: Order, trigger: Trigger, **rest: Any) -> bool:
        return await move(self, order, Trigger.FOUND_REJECTED if trigger is Trigger.NOT_FOUND else trigger, **rest)

    Sender._move = hasty  # type: ignore[method-assign]


def _starts_without_looking() -> None:
    """Compare nothing with the exchange at a start."""

    async def blind(self: Caretaker) -> None:
        return None

    Caretaker.take_up = blind  # type: ignore[method-assign]


def _sends_before_the_journal() -> None:
    """Journal that an order is sent only together with what came of it."""
    move = Sender._move
    held: set[str] = set()

    async def late(self: Sender, order: Order, trigger: Trigger, **rest: Any) -> bool:
        if trigger is Trigger.SEND:
            held.add(order.client_order_id)
            return True
        if order.client_order_id in held:
            held.remove(order.client_order_id)
            await move(self, order, Trigger.SEND)
        return await move(self, order, trigger, **rest)

    Sender._move = late  # type: ignore[method-assign]


PLANTS: Final = {
    "second_attempt": Plant("a new id after an unknown outcome", "trend_entry", _forgets_unknown_orders),
    "stop_forgotten": Plant("a stop on record that never rested", "trend_entry", _confirms_stops_first, False),
    "transfer_twice": Plant("a transfer id of its own for each try", "tactical_exit", _new_transfer_each_time),
    "order_lost": Plant("an order given up that never arrived", "funding_open", _gives_up_what_never_arrived),
    "send_first": Plant("an order sent before the journal says so", "trend_entry", _sends_before_the_journal, False),
    "blind_start": Plant("a start that does not look at the exchange", "trend_stop", _starts_without_looking),
}
