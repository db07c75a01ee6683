"""Two levels that one fall fires at once: from when on their coins count as held, and what is left armed (TACT-2)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pytest

from builders import a_fill, an_intent
from core_builders import TWO, some_params
from eternal_engine.engine.outcome import after_books, after_intent, after_late_fill
from eternal_engine.engine.timing import hour_start
from eternal_engine.engine.work import Done, LegDone
from eternal_engine.ledger.book import Book
from eternal_engine.ledger.books import BookKey, Books
from eternal_engine.model.ids import Account, Engine, Leg, Symbol
from eternal_engine.model.instrument import Market
from eternal_engine.model.order import Order, OrderState
from eternal_engine.model.position import SpotHolding
from eternal_engine.portfolio.beginning import initial_states
from eternal_engine.portfolio.params import NO_INTENT, Intent, Marks, States
from eternal_engine.strategies.base import BUY, SPOT, TACTICAL

AT = datetime(2024, 1, 2, tzinfo=UTC)
PARAMS = some_params(TWO)
BTC = Symbol(TWO[0])
MARKS = Marks(np.array([40_000.0, 2_000.0]), np.array([40_000.0, 2_000.0]), np.zeros(2, int), np.zeros(2, int))
FALLEN = MARKS._replace(spot=np.array([1.0, 1.0]))
NO_MARKS = MARKS._replace(spot=np.array([np.nan, np.nan]))
FALL_H = 482_000
LEVELS = tuple(
    NO_INTENT._replace(
        engine=TACTICAL, market=SPOT, side=BUY, quote_steps=10**9, price=40_000.0, level=level, decided_h=FALL_H
    )
    for level in (0, 1)
)


def holding(qty: str) -> Book:
    held = SpotHolding(BTC, Decimal(qty), Decimal(qty) * 40_000, Decimal(0), AT)
    return replace(Book(Account.TACTICAL), spot={BTC: held})


def books(*rows: Book) -> Books:
    return Books({BookKey(row.account): row for row in rows})


def dated(hour: int) -> States:
    states = initial_states(PARAMS, 2)
    return states._replace(tactical=states.tactical._replace(first_buy_h=np.array([hour, hour])))


def filled(leg: Leg) -> Done:
    return Done((LegDone(leg, Market.SPOT, Decimal("0.05"), Decimal(2_000), True),))


def test_tact_x1_two_levels_that_fill_side_by_side_are_held_since_their_own_hour() -> None:
    states, both = dated(0), holding("0.0999")
    for intent, leg in zip(LEVELS, (Leg.LEVEL_1, Leg.LEVEL_2), strict=True):
        # Over the wire both orders are sent at once, and both fills are in the book before either intent is over.
        states = after_intent(PARAMS, states, intent, filled(leg), both, TWO, FALL_H)
        states = after_books(PARAMS, states, books(both), TWO, MARKS)
    assert states.tactical.first_buy_h[0] == FALL_H


@pytest.mark.parametrize("marks", [MARKS, NO_MARKS], ids=["priced", "without a price"])
@pytest.mark.parametrize("left", [(), (holding("0.0000009"),)], ids=["nothing", "dust"])
def test_tact_x1_coins_that_are_sold_take_their_date_with_them(left: tuple[Book, ...], marks: Marks) -> None:
    states = after_books(PARAMS, dated(400_000), books(*left), TWO, marks)
    assert states.tactical.first_buy_h.tolist() == [0, 0]
    again = holding("0.0999")
    for intent, leg in zip(LEVELS, (Leg.LEVEL_1, Leg.LEVEL_2), strict=True):
        states = after_intent(PARAMS, states, intent, filled(leg), again, TWO, FALL_H)
    assert states.tactical.first_buy_h[0] == FALL_H


@pytest.mark.parametrize("marks", [MARKS, NO_MARKS, FALLEN], ids=["priced", "without a price", "worth dust"])
def test_tact_x1_coins_that_are_held_keep_their_date(marks: Marks) -> None:
    states = dated(400_000)
    held = books(holding("0.05"))
    assert after_books(PARAMS, states, held, TWO, marks).tactical.first_buy_h[0] == 400_000
    later = after_intent(PARAMS, states, LEVELS[1], filled(Leg.LEVEL_2), holding("0.0999"), TWO, FALL_H)
    assert later.tactical.first_buy_h[0] == 400_000


@pytest.mark.parametrize(("pending", "left"), [(LEVELS[1:], 0.0), (LEVELS, 2_000.0)], ids=["over", "under way"])
def test_tact_2_a_late_fill_of_one_level_counts_though_the_other_level_is_under_way(
    pending: tuple[Intent, ...], left: float
) -> None:
    states = dated(0)
    armed = states.tactical.armed_usdt.copy()
    armed[0, 0] = 2_000.0
    states = states._replace(tactical=states.tactical._replace(armed_usdt=armed))
    intent = an_intent(
        engine=Engine.TACTICAL,
        leg=Leg.LEVEL_1,
        at=hour_start(FALL_H),
        market=Market.SPOT,
        qty=None,
        amount_usdt="2000",
    )
    order = Order(intent, OrderState.REJECTED)
    fill = a_fill(account=Account.TACTICAL, qty="0.05", price="40000", order=intent.client_order_id)
    after = after_late_fill(states, fill, order, pending, TWO)
    # Counted here once its own intent is over, else by `after_intent`: never twice, never not at all.
    assert after.tactical.armed_usdt[0, 0] == left
