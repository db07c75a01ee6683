"""One order: its intent, and its life as a table (ORD-1, ORD-2, ORD-4)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from eternal_engine.model.errors import ModelError, UnknownTransition
from eternal_engine.model.fill import Fill
from eternal_engine.model.ids import ClientOrderId, ExecutionId, OrderKey, RuleId, VenueOrderId
from eternal_engine.model.instrument import Market, Side
from eternal_engine.model.money import ZERO, exact_arithmetic, ratio
from eternal_engine.model.rule import Rule

RULES: tuple[Rule, ...] = (
    Rule(
        "ORD-2",
        "An order whose outcome is unknown stays unknown until it is looked up by its id; only `found` and `not_found` "
        "lead out of that state, never a failure.",
        (),
        ("tests/unit/model/test_order.py::test_ord2_unknown_is_left_only_by_looking_up",),
    ),
    Rule(
        "ORD-4",
        "What an order has filled is the sum of its executions, each counted once by its execution id; the status of "
        "the exchange never moves a quantity.",
        (),
        (
            "tests/unit/model/test_order.py::test_ord4_an_execution_counts_once",
            "tests/unit/model/test_order.py::test_d2_a_cancelled_order_keeps_what_it_filled",
        ),
    ),
)


class OrderKind(StrEnum):
    """Name how an order is executed."""

    MARKET = "market"
    LIMIT = "limit"
    STOP_MARKET = "stop_market"  # rests untriggered at the exchange, triggered by the mark price (U-11)


class OrderState(StrEnum):
    """Name the states of an order's life."""

    PLANNED = "planned"  # the intent is committed, nothing was sent
    SENT = "sent"  # on the wire, no answer yet
    UNKNOWN = "unknown"  # no usable answer: look it up
    OPEN = "open"  # accepted, nothing or a part filled
    FILLED = "filled"
    CANCELLED = "cancelled"  # closed before all was filled; what was filled stays
    REJECTED = "rejected"
    ABANDONED = "abandoned"  # given up before anything was sent

    @property
    def is_closed(self) -> bool:
        """Tell whether nothing more is expected of the order."""
        return self in _CLOSED


class Trigger(StrEnum):
    """Name what moves an order from state to state."""

    SEND = "send"
    ACCEPT = "accept"
    REJECT = "reject"
    LOSE_REPLY = "lose_reply"
    FOUND_OPEN = "found_open"
    FOUND_FILLED = "found_filled"
    FOUND_CANCELLED = "found_cancelled"
    FOUND_REJECTED = "found_rejected"
    NOT_FOUND = "not_found"  # by all look-ups, and too late to be accepted: the same id may be sent again
    FILL_PART = "fill_part"
    FILL_ALL = "fill_all"
    CANCEL = "cancel"  # the exchange says that it is cancelled, by whomever
    ABANDON = "abandon"


_CLOSED = frozenset({OrderState.FILLED, OrderState.CANCELLED, OrderState.REJECTED, OrderState.ABANDONED})

_S, _T = OrderState, Trigger
# Streams and replies race each other: a fill may come before its acceptance, and a cancel may cross a fill.
TRANSITIONS: dict[tuple[OrderState, Trigger], OrderState] = {
    (_S.PLANNED, _T.SEND): _S.SENT,
    (_S.PLANNED, _T.ABANDON): _S.ABANDONED,
    (_S.PLANNED, _T.LOSE_REPLY): _S.UNKNOWN,  # after a crash nobody knows whether it was sent
    (_S.PLANNED, _T.FILL_PART): _S.OPEN,  # after such a crash a stream may be faster than the look-up
    (_S.PLANNED, _T.FILL_ALL): _S.FILLED,
    (_S.SENT, _T.ACCEPT): _S.OPEN,
    (_S.SENT, _T.REJECT): _S.REJECTED,
    (_S.SENT, _T.LOSE_REPLY): _S.UNKNOWN,
    (_S.SENT, _T.FILL_PART): _S.OPEN,
    (_S.SENT, _T.FILL_ALL): _S.FILLED,
    (_S.SENT, _T.CANCEL): _S.CANCELLED,
    (_S.UNKNOWN, _T.LOSE_REPLY): _S.UNKNOWN,
    (_S.UNKNOWN, _T.FOUND_OPEN): _S.OPEN,
    (_S.UNKNOWN, _T.FOUND_FILLED): _S.FILLED,
    (_S.UNKNOWN, _T.FOUND_CANCELLED): _S.CANCELLED,
    (_S.UNKNOWN, _T.FOUND_REJECTED): _S.REJECTED,
    (_S.UNKNOWN, _T.NOT_FOUND): _S.PLANNED,
    (_S.UNKNOWN, _T.FILL_PART): _S.OPEN,  # an execution is a look-up that succeeded
    (_S.UNKNOWN, _T.FILL_ALL): _S.FILLED,
    (_S.UNKNOWN, _T.CANCEL): _S.CANCELLED,
    (_S.OPEN, _T.ACCEPT): _S.OPEN,
    (_S.OPEN, _T.LOSE_REPLY): _S.OPEN,  # the stream was faster than the reply that got lost
    (_S.OPEN, _T.FOUND_OPEN): _S.OPEN,
    (_S.OPEN, _T.FOUND_FILLED): _S.FILLED,
    (_S.OPEN, _T.FOUND_CANCELLED): _S.CANCELLED,
    (_S.OPEN, _T.FOUND_REJECTED): _S.REJECTED,  # accepted for processing, then rejected
    (_S.OPEN, _T.REJECT): _S.REJECTED,
    (_S.OPEN, _T.FILL_PART): _S.OPEN,
    (_S.OPEN, _T.FILL_ALL): _S.FILLED,
    (_S.OPEN, _T.CANCEL): _S.CANCELLED,
    (_S.FILLED, _T.ACCEPT): _S.FILLED,
    (_S.FILLED, _T.LOSE_REPLY): _S.FILLED,
    (_S.FILLED, _T.FOUND_FILLED): _S.FILLED,
    (_S.FILLED, _T.FILL_PART): _S.FILLED,  # the order message overtook its executions
    (_S.FILLED, _T.FILL_ALL): _S.FILLED,
    (_S.FILLED, _T.CANCEL): _S.FILLED,  # a cancel that lost the race
    (_S.CANCELLED, _T.ACCEPT): _S.CANCELLED,
    (_S.CANCELLED, _T.LOSE_REPLY): _S.CANCELLED,
    (_S.CANCELLED, _T.FOUND_CANCELLED): _S.CANCELLED,
    (_S.CANCELLED, _T.FILL_PART): _S.CANCELLED,  # executions of a cancelled order may arrive after the cancel
    (_S.CANCELLED, _T.FILL_ALL): _S.FILLED,
    (_S.CANCELLED, _T.CANCEL): _S.CANCELLED,
    (_S.REJECTED, _T.REJECT): _S.REJECTED,
    (_S.REJECTED, _T.FOUND_REJECTED): _S.REJECTED,
    (_S.REJECTED, _T.LOSE_REPLY): _S.REJECTED,
    (_S.REJECTED, _T.CANCEL): _S.REJECTED,
    # An execution is the truth whatever was believed before: a journal that could not take it would never start again.
    (_S.REJECTED, _T.FILL_PART): _S.CANCELLED,
    (_S.REJECTED, _T.FILL_ALL): _S.FILLED,
    (_S.ABANDONED, _T.FILL_PART): _S.CANCELLED,
    (_S.ABANDONED, _T.FILL_ALL): _S.FILLED,
}


def next_state(state: OrderState, trigger: Trigger) -> OrderState:
    """Look a transition up. Raises UnknownTransition for a pair that the table does not know."""
    found = TRANSITIONS.get((state, trigger))
    if found is None:
        raise UnknownTransition(
            f"an order that is {state.value} cannot get {trigger.value}",
            mend="look the order up at the exchange and reconcile",
        )
    return found


@dataclass(frozen=True, slots=True)
class OrderIntent:
    """Say what shall be sent. Exactly one of `qty` (base coins) and `amount_usdt` (spot market buys) is given.

    `price_usdt` is the price the size was computed from; `trigger_price` belongs to stops only; `reason` is a rule id.
    """

    key: OrderKey
    market: Market
    side: Side
    kind: OrderKind
    price_usdt: Decimal
    reason: RuleId
    qty: Decimal | None = None
    amount_usdt: Decimal | None = None
    limit_price: Decimal | None = None
    trigger_price: Decimal | None = None
    reduce_only: bool = False

    def __post_init__(self) -> None:
        problem = self._problem()
        if problem:
            raise ModelError(
                problem, where=f"intent {self.client_order_id}", mend="build the intent from its rule again"
            )

    @property
    def client_order_id(self) -> ClientOrderId:
        """Compute the id under which this intent is sent, whatever happens (ORD-1)."""
        return self.key.client_order_id

    def _problem(self) -> str:
        if (self.qty is None) == (self.amount_usdt is None):
            return "an intent has either a quantity or an amount"
        size = self.qty if self.qty is not None else self.amount_usdt
        if size is None or size <= ZERO:
            return f"a size must be above zero, not {size}"
        if self.amount_usdt is not None and not (
            self.market is Market.SPOT and self.side is Side.BUY and self.kind is OrderKind.MARKET
        ):
            return "only a spot market buy is sized in USDT"
        if (self.kind is OrderKind.STOP_MARKET) != (self.trigger_price is not None):
            return "a stop has a trigger price, and nothing else has"
        if (self.kind is OrderKind.LIMIT) != (self.limit_price is not None):
            return "a limit order has a limit price, and nothing else has"
        if self.reduce_only and self.market is Market.SPOT:
            return "the exchange knows no reduce-only on spot"
        return ""


@dataclass(frozen=True, slots=True)
class Order:
    """Hold an order's present: intent, state and what its executions add up to."""

    intent: OrderIntent
    state: OrderState = OrderState.PLANNED
    venue_order_id: VenueOrderId | None = None
    filled_qty: Decimal = ZERO
    filled_usdt: Decimal = ZERO
    executions: frozenset[ExecutionId] = frozenset()
    sends: int = 0
    updated_at: datetime | None = None
    note: str = ""

    @property
    def client_order_id(self) -> ClientOrderId:
        """Give the id under which this order is sent."""
        return self.intent.client_order_id

    @property
    def average_price(self) -> Decimal | None:
        """Give the mean price of the executions, None before the first (D9)."""
        return ratio(self.filled_usdt, self.filled_qty) if self.filled_qty else None

    def after(
        self, trigger: Trigger, at: datetime, *, venue_order_id: VenueOrderId | None = None, note: str = ""
    ) -> Order:
        """Move to the next state. Raises UnknownTransition."""
        return replace(
            self,
            state=next_state(self.state, trigger),
            venue_order_id=venue_order_id or self.venue_order_id,
            sends=self.sends + (trigger is Trigger.SEND),
            updated_at=at,
            note=note or self.note,
        )

    def with_fill(self, fill: Fill) -> Order:
        """Add one execution; the same execution id again changes nothing (ORD-4).

        An order sized in coins is filled when its coins are; one sized in USDT is closed by the exchange's word only,
        because it almost never spends its last cent.
        """
        if fill.execution_id in self.executions:
            return self
        with exact_arithmetic():
            qty = self.filled_qty + fill.qty
            usdt = self.filled_usdt + fill.value_usdt
        trigger = Trigger.FILL_ALL if self.intent.qty is not None and qty >= self.intent.qty else Trigger.FILL_PART
        moved = self.after(trigger, fill.executed_at, venue_order_id=fill.venue_order_id)
        return replace(moved, filled_qty=qty, filled_usdt=usdt, executions=self.executions | {fill.execution_id})
