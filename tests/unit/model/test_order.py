"""The intent and the order's life."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from builders import a_fill, an_intent
from eternal_engine.model.errors import ModelError, UnknownTransition
from eternal_engine.model.ids import VenueOrderId
from eternal_engine.model.instrument import Market, Side
from eternal_engine.model.order import TRANSITIONS, Order, OrderKind, OrderState, Trigger, next_state

AT = datetime(2024, 1, 1, tzinfo=UTC)
S, T = OrderState, Trigger
CLOSED = {S.FILLED, S.CANCELLED, S.REJECTED, S.ABANDONED}


def through(*triggers: Trigger, order: Order | None = None) -> Order:
    order = order or Order(an_intent())
    for trigger in triggers:
        order = order.after(trigger, AT)
    return order


@pytest.mark.parametrize(
    ("triggers", "state"),
    [
        ((T.SEND,), S.SENT),
        ((T.SEND, T.ACCEPT), S.OPEN),
        ((T.SEND, T.ACCEPT, T.FILL_PART, T.FILL_PART, T.FILL_ALL), S.FILLED),
        ((T.SEND, T.FILL_ALL, T.ACCEPT), S.FILLED),
        ((T.SEND, T.REJECT), S.REJECTED),
        ((T.SEND, T.ACCEPT, T.REJECT), S.REJECTED),
        ((T.SEND, T.ACCEPT, T.CANCEL), S.CANCELLED),
        ((T.SEND, T.ACCEPT, T.CANCEL, T.FILL_PART), S.CANCELLED),
        ((T.SEND, T.ACCEPT, T.FILL_ALL, T.CANCEL), S.FILLED),
        ((T.SEND, T.LOSE_REPLY), S.UNKNOWN),
        ((T.SEND, T.LOSE_REPLY, T.FOUND_OPEN), S.OPEN),
        ((T.SEND, T.LOSE_REPLY, T.FOUND_FILLED, T.FILL_ALL), S.FILLED),
        ((T.SEND, T.LOSE_REPLY, T.FOUND_CANCELLED), S.CANCELLED),
        ((T.SEND, T.LOSE_REPLY, T.FOUND_REJECTED), S.REJECTED),
        ((T.SEND, T.LOSE_REPLY, T.NOT_FOUND, T.SEND), S.SENT),
        ((T.ABANDON,), S.ABANDONED),
        ((T.ABANDON, T.FILL_PART), S.CANCELLED),
        ((T.SEND, T.REJECT, T.FILL_PART), S.CANCELLED),
        ((T.SEND, T.REJECT, T.FILL_ALL), S.FILLED),
        ((T.LOSE_REPLY, T.FOUND_OPEN), S.OPEN),
    ],
)
def test_ord2_the_usual_lives_end_where_they_should(triggers: tuple[Trigger, ...], state: OrderState) -> None:
    assert through(*triggers).state is state


def test_ord2_unknown_is_left_only_by_looking_up() -> None:
    leaving = {t: s for (state, t), s in TRANSITIONS.items() if state is S.UNKNOWN and s is not S.UNKNOWN}
    assert leaving == {
        T.FOUND_OPEN: S.OPEN,
        T.FOUND_FILLED: S.FILLED,
        T.FOUND_CANCELLED: S.CANCELLED,
        T.FOUND_REJECTED: S.REJECTED,
        T.NOT_FOUND: S.PLANNED,
        T.FILL_PART: S.OPEN,
        T.FILL_ALL: S.FILLED,
        T.CANCEL: S.CANCELLED,
    }
    for forbidden in (T.REJECT, T.SEND, T.ABANDON):
        with pytest.raises(UnknownTransition, match=f"unknown cannot get {forbidden.value}"):
            next_state(S.UNKNOWN, forbidden)


def test_ord1_only_a_planned_order_is_ever_sent_so_none_goes_out_twice() -> None:
    assert {state for (state, trigger) in TRANSITIONS if trigger is T.SEND} == {S.PLANNED}
    assert {state for (state, _), to in TRANSITIONS.items() if to is S.PLANNED} == {S.UNKNOWN}


def test_a_closed_order_never_opens_again() -> None:
    assert {state for state in S if state.is_closed} == CLOSED
    for (state, trigger), to in TRANSITIONS.items():
        if state in CLOSED:
            assert to in CLOSED, f"{state} --{trigger}--> {to}"
    assert {trigger for state, trigger in TRANSITIONS if state is S.ABANDONED} == {T.FILL_PART, T.FILL_ALL}


@pytest.mark.parametrize("state", list(S))
@pytest.mark.parametrize("trigger", list(T))
def test_every_pair_is_either_in_the_table_or_raises(state: OrderState, trigger: Trigger) -> None:
    if (state, trigger) in TRANSITIONS:
        assert next_state(state, trigger) is TRANSITIONS[state, trigger]
    else:
        with pytest.raises(UnknownTransition, match="look the order up"):
            next_state(state, trigger)


def test_a_step_keeps_what_it_does_not_change() -> None:
    order = through(T.SEND)
    assert (order.sends, order.venue_order_id, order.updated_at, order.note) == (1, None, AT, "")
    known = order.after(T.ACCEPT, AT, venue_order_id=VenueOrderId("v1"), note="first")
    assert (known.sends, known.venue_order_id, known.note) == (1, "v1", "first")
    later = known.after(T.CANCEL, AT)
    assert (later.venue_order_id, later.note) == ("v1", "first")
    assert order.client_order_id == "tr-2401010000-BTCUSDT-in-1"


def test_d1_three_increments_fill_an_order() -> None:
    order = through(T.SEND, T.ACCEPT)
    for n, qty in enumerate(("0.4", "0.3", "0.3")):
        assert order.state is S.OPEN
        order = order.with_fill(a_fill(f"e{n}", qty=qty))
    assert (order.state, order.filled_qty, order.filled_usdt) == (S.FILLED, 1, 70_000)
    assert len(order.executions) == 3


def test_ord4_an_execution_tells_when_it_happened_and_the_exchanges_id_of_its_order() -> None:
    fill = replace(a_fill("e1", qty="0.4"), venue_order_id=VenueOrderId("v-7"), executed_at=AT + timedelta(minutes=7))
    found = through(T.SEND).with_fill(fill)
    assert (found.updated_at, found.venue_order_id) == (AT + timedelta(minutes=7), "v-7")


def test_ord4_an_execution_counts_once() -> None:
    once = through(T.SEND).with_fill(a_fill("e1", qty="0.4"))
    assert once.with_fill(a_fill("e1", qty="0.4")) is once
    assert once.filled_qty == Decimal("0.4")


def test_d2_a_cancelled_order_keeps_what_it_filled() -> None:
    order = through(T.SEND, T.ACCEPT).with_fill(a_fill("e1", qty="0.4")).after(T.CANCEL, AT)
    assert (order.state, order.filled_qty) == (S.CANCELLED, Decimal("0.4"))
    late = order.with_fill(a_fill("e2", qty="0.1"))
    assert (late.state, late.filled_qty) == (S.CANCELLED, Decimal("0.5"))
    assert late.with_fill(a_fill("e3", qty="0.5")).state is S.FILLED


def test_d9_the_average_price_comes_from_executions() -> None:
    order = through(T.SEND, T.ACCEPT)
    assert order.average_price is None
    order = order.with_fill(a_fill("e1", qty="0.5", price="70000")).with_fill(a_fill("e2", qty="0.5", price="70100"))
    assert order.average_price == 70_050


def test_u9_an_order_sized_in_usdt_is_closed_by_the_exchange_only() -> None:
    intent = an_intent(market=Market.SPOT, qty=None, amount_usdt="100")
    order = through(T.SEND, T.ACCEPT, order=Order(intent)).with_fill(a_fill(qty="0.001", price="99000"))
    assert (order.state, order.filled_usdt) == (S.OPEN, 99)
    assert order.after(T.CANCEL, AT).filled_usdt == 99
    assert through(T.SEND, order=Order(intent)).with_fill(a_fill(qty="1", price="101")).state is S.OPEN


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"amount_usdt": "5"}, "either a quantity or an amount"),
        ({"qty": None}, "either a quantity or an amount"),
        ({"qty": "0"}, "above zero"),
        ({"qty": "-1"}, "above zero"),
        ({"qty": None, "amount_usdt": "5"}, "only a spot market buy"),
        ({"qty": None, "amount_usdt": "5", "market": Market.SPOT, "side": Side.SELL}, "only a spot market buy"),
        (
            {"qty": None, "amount_usdt": "5", "market": Market.SPOT, "kind": OrderKind.LIMIT, "limit_price": "1"},
            "only a spot market buy",
        ),
        ({"qty": None, "amount_usdt": "0", "market": Market.SPOT}, "above zero"),
        ({"kind": OrderKind.STOP_MARKET}, "a stop has a trigger price"),
        ({"trigger_price": "1"}, "a stop has a trigger price"),
        ({"kind": OrderKind.LIMIT}, "a limit order has a limit price"),
        ({"limit_price": "1"}, "a limit order has a limit price"),
        ({"reduce_only": True, "market": Market.SPOT}, "no reduce-only on spot"),
    ],
)
def test_an_intent_that_makes_no_sense_cannot_be_written(change: dict[str, object], message: str) -> None:
    with pytest.raises(ModelError, match=f"{message}.*intent tr-.*build the intent"):
        an_intent(**change)  # type: ignore[arg-type]


def test_intents_that_make_sense_can_be_written() -> None:
    assert an_intent(kind=OrderKind.STOP_MARKET, trigger_price="60000", side=Side.SELL, reduce_only=True).trigger_price
    assert an_intent(kind=OrderKind.LIMIT, limit_price="60000").limit_price == 60_000
    assert an_intent(market=Market.SPOT, qty=None, amount_usdt="5").amount_usdt == 5
    assert an_intent(market=Market.SPOT).qty == 1
