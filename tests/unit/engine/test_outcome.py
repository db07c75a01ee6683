"""What fills mean to the rules' state (CORE-3, TREND-S1, FUND-3, TACT-2, CAP-2)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from builders import a_fill, an_intent
from core_builders import TWO, some_params
from eternal_engine.engine.outcome import after_books, after_deposit, after_intent, after_late_fill, alone, stop_wanted
from eternal_engine.engine.work import Done, LegDone
from eternal_engine.ledger.book import Book
from eternal_engine.ledger.books import BookKey, Books
from eternal_engine.model import reason
from eternal_engine.model.ids import Account, Engine, Leg, Symbol
from eternal_engine.model.instrument import Market, Side
from eternal_engine.model.order import Order, OrderState
from eternal_engine.model.position import PerpPosition, SpotHolding
from eternal_engine.portfolio.beginning import initial_states
from eternal_engine.portfolio.params import NO_INTENT, Marks, States
from eternal_engine.strategies import core_hodl
from eternal_engine.strategies.base import BUY, CORE_HODL, FUNDING, PAIR, PERP, SELL, SPOT, TACTICAL, TREND

AT = datetime(2024, 1, 2, tzinfo=UTC)
PARAMS = some_params(TWO)
BTC, ETH = (Symbol(symbol) for symbol in TWO)
MARKS = Marks(np.array([40_000.0, 2_000.0]), np.array([40_000.0, 2_000.0]), np.zeros(2, int), np.zeros(2, int))


def fresh() -> States:
    return initial_states(PARAMS, 2)


def done(leg: Leg, qty: str, usdt: str, *, complete: bool = True, market: Market = Market.SPOT) -> Done:
    return Done((LegDone(leg, market, Decimal(qty), Decimal(usdt), complete),))


def spot(account: Account, qty: str) -> Book:
    held = SpotHolding(BTC, Decimal(qty), Decimal(1), Decimal(0), AT)
    return replace(Book(account), spot={BTC: held})


def perp(account: Account, qty: str) -> Book:
    row = PerpPosition(BTC, Decimal(qty), Decimal(qty) * 40_000, Decimal(0), Decimal(0), AT)
    return replace(Book(account), perp={BTC: row})


def books(*rows: Book) -> Books:
    return Books({BookKey(row.account): row for row in rows})


CYCLE = NO_INTENT._replace(engine=CORE_HODL, market=SPOT, side=BUY, quote_steps=1, plan_usdt=80.0)
LEVEL = NO_INTENT._replace(
    engine=TACTICAL, market=SPOT, side=BUY, quote_steps=10**9, price=40_000.0, level=0, decided_h=9
)
ENTRY = NO_INTENT._replace(engine=TREND, market=PERP, side=BUY, qty_steps=100, price=40_000.0, atr=1_000.0)


def test_core_3_a_plan_pays_what_was_spent() -> None:
    states = fresh()
    states = states._replace(core=states.core._replace(gap_usdt=np.array([500.0, 0.0])))
    after = after_intent(PARAMS, states, CYCLE, done(Leg.BUY, "0.001", "99.5"), Book(Account.CORE_HODL), TWO, 9)
    assert after.core.gap_usdt[0] == 420.0
    assert after.core.flow_spent_usdt == pytest.approx(19.5)
    assert after.core.spent_usdt[0] == 99.5


def test_core_4_a_refused_leg_leaves_its_money_in_the_plan() -> None:
    states = fresh()
    refused = done(Leg.BUY, "0", "0", complete=False)
    assert after_intent(PARAMS, states, CYCLE, refused, Book(Account.CORE_HODL), TWO, 9) is states


def armed() -> States:
    states = fresh()
    levels = states.tactical.armed_usdt.copy()
    levels[0, 0] = 2_000.0
    return states._replace(tactical=states.tactical._replace(armed_usdt=levels))


def test_tact_2_a_purchase_learnt_of_hours_later_still_dates_from_its_own_hour() -> None:
    book = spot(Account.TACTICAL, "0.05")
    after = after_intent(PARAMS, armed(), LEVEL, done(Leg.LEVEL_1, "0.05", "2000"), book, TWO, 12)
    assert after.tactical.first_buy_h[0] == 9


def test_i8_a_refused_deployment_leaves_its_level_armed() -> None:
    refused = done(Leg.LEVEL_1, "0", "0", complete=False)
    after = after_intent(PARAMS, armed(), LEVEL, refused, Book(Account.TACTICAL), TWO, 9)
    assert after.tactical.armed_usdt[0, 0] == 2_000.0
    assert after.tactical.first_buy_h[0] == 0


@pytest.mark.parametrize(("complete", "left"), [(True, 1_900.0), (False, 1_960.0)])
def test_tact_2_a_part_leaves_the_rest_armed_and_rounding_does_not(complete: bool, left: float) -> None:
    bought = done(Leg.LEVEL_1, "0.001", "40", complete=complete)
    step = PARAMS.instruments.quote_step[0]
    intent = LEVEL._replace(quote_steps=round(100 / step))
    after = after_intent(PARAMS, armed(), intent, bought, spot(Account.TACTICAL, "0.000999"), TWO, 9)
    assert after.tactical.armed_usdt[0, 0] == pytest.approx(left)
    assert after.tactical.first_buy_h[0] == 9


def test_tact_2_a_second_purchase_keeps_the_time_of_the_first() -> None:
    states = armed()
    states = states._replace(tactical=states.tactical._replace(first_buy_h=np.array([5, 0])))
    bought = done(Leg.LEVEL_1, "0.001", "40")
    after = after_intent(PARAMS, states, LEVEL, bought, spot(Account.TACTICAL, "0.5"), TWO, 9)
    assert after.tactical.first_buy_h[0] == 5


def test_trend_s1_the_stop_counts_from_the_average_fill() -> None:
    filled = done(Leg.ENTRY, "0.2", "8020", market=Market.PERP)
    after = after_intent(PARAMS, fresh(), ENTRY, filled, perp(Account.TREND, "0.2"), TWO, 9)
    assert after.trend.entry[0] == 40_100.0
    assert after.trend.stop[0] == pytest.approx(40_100.0 - PARAMS.trend.stop_atr * 1_000.0)
    assert after.trend.base_qty[0] == pytest.approx(0.2)


def test_fund_3_a_pair_is_open_only_with_its_second_leg() -> None:
    intent = NO_INTENT._replace(engine=FUNDING, market=PAIR, side=BUY, qty_steps=50)
    first = LegDone(Leg.SPOT_OPEN, Market.SPOT, Decimal("0.05"), Decimal(2_000), complete=True)
    failed = LegDone(Leg.PERP_OPEN, Market.PERP, Decimal(0), Decimal(0), complete=False)
    both = LegDone(Leg.PERP_OPEN, Market.PERP, Decimal("0.05"), Decimal(2_000), complete=True)
    book = Book(Account.FUNDING)
    assert after_intent(PARAMS, fresh(), intent, Done((first, failed)), book, TWO, 9).funding.opened_h[0] == 0
    assert after_intent(PARAMS, fresh(), intent, Done((first, both)), book, TWO, 9).funding.opened_h[0] == 9


def test_a_position_that_is_flat_is_forgotten_however_it_came_about() -> None:
    states = after_intent(PARAMS, fresh(), ENTRY, done(Leg.ENTRY, "0.2", "8000"), perp(Account.TREND, "0.2"), TWO, 9)
    held = after_books(PARAMS, states, books(perp(Account.TREND, "0.2")), TWO, MARKS)
    assert held.trend.side[0] == 1
    assert stop_wanted(held, books(perp(Account.TREND, "0.2")), TWO, 0) == pytest.approx(states.trend.stop[0])
    gone = after_books(PARAMS, states, books(Book(Account.TREND)), TWO, MARKS)
    assert gone.trend.side[0] == 0
    assert stop_wanted(gone, books(Book(Account.TREND)), TWO, 0) is None


@pytest.mark.parametrize(("coins", "opened_h"), [("0.00002", 0), ("0.0001", 0), ("0.001", 7)])
def test_fund_2_a_liquidated_pair_is_open_while_its_spot_can_be_sold(coins: str, opened_h: int) -> None:
    states = fresh()
    states = states._replace(funding=states.funding._replace(opened_h=np.array([7, 0])))
    after = after_books(PARAMS, states, books(spot(Account.FUNDING, coins)), TWO, MARKS)
    assert after.funding.opened_h[0] == opened_h
    # Before the first candle nobody knows.
    unpriced = MARKS._replace(spot=np.full(2, np.nan))
    assert after_books(PARAMS, states, books(spot(Account.FUNDING, coins)), TWO, unpriced).funding.opened_h[0] == 7


def test_core_10_money_that_comes_widens_a_plan_and_a_withdrawal_does_not() -> None:
    states = fresh()
    core = states.core._replace(
        phase=core_hodl.DEPLOYING, weeks_remaining=4, plan=np.array([core_hodl.MAIN_PLAN] * 2), target_usdt=100.0
    )
    states = states._replace(core=core)
    assert after_deposit(PARAMS, states, Decimal(50)).core.target_usdt == pytest.approx(150.0)
    assert after_deposit(PARAMS, states, Decimal(-50)) is states
    # Switched off it buys nothing; switched on again it must know of the money that came meanwhile.
    off = PARAMS._replace(core=PARAMS.core._replace(enabled=False))
    assert after_deposit(off, states, Decimal(50)).core.target_usdt == pytest.approx(150.0)


@pytest.mark.parametrize("leg", [Leg.BUY, Leg.MANUAL])
def test_core_13_what_is_bought_late_pays_the_plan_by_hand_as_by_itself(leg: Leg) -> None:
    states = fresh()
    plan, gap = np.array([core_hodl.MAIN_PLAN] * 2), np.array([5_000.0, 5_000.0])
    states = states._replace(core=states.core._replace(phase=core_hodl.DEPLOYING, plan=plan, gap_usdt=gap))
    wish = an_intent(engine=Engine.CORE_HODL, leg=leg, market=Market.SPOT, qty=None, amount_usdt="2000")
    fill = a_fill(account=Account.CORE_HODL, qty="0.05", price="40000", order=wish.client_order_id)
    core = after_late_fill(states, fill, Order(wish, OrderState.REJECTED), (), TWO).core
    assert (core.gap_usdt[0], core.flow_spent_usdt) == (3_000.0, 0.0)


def test_side_of_an_exit_changes_no_state_by_itself() -> None:
    states = fresh()
    exit_ = ENTRY._replace(side=SELL, reduces=True, reason=reason.TREND_EXIT)
    assert after_intent(PARAMS, states, exit_, done(Leg.EXIT, "0.2", "8000"), Book(Account.TREND), TWO, 9) is states


def an_order(market: Market, side: Side, qty: str, at_s: float, leg: Leg) -> Order:
    sized = an_intent(engine=Engine.FUNDING, at=AT, symbol="BTCUSDT", leg=leg, market=market, side=side, qty=qty)
    value = Decimal(qty) * 40_000
    return Order(
        sized, OrderState.FILLED, filled_qty=Decimal(qty), filled_usdt=value, updated_at=AT + timedelta(seconds=at_s)
    )


def test_fund_3_what_stood_alone_is_measured_in_usdt_times_seconds() -> None:
    bought = an_order(Market.SPOT, Side.BUY, "0.1", 1.0, Leg.SPOT_OPEN)
    hedged = an_order(Market.PERP, Side.SELL, "0.1", 3.5, Leg.PERP_OPEN)
    assert alone([hedged, bought], Decimal(0)) == (Decimal(4_000) * Decimal("2.5"), Decimal("2.5"))
    assert alone([bought], Decimal(0)) == (0, 0)
    part = an_order(Market.PERP, Side.SELL, "0.06", 3.0, Leg.PERP_OPEN)
    back = an_order(Market.SPOT, Side.SELL, "0.04", 13.0, Leg.SPOT_UNWIND)
    # Two seconds with 4,000 USDT, ten with the 1,600 that no perp covered.
    assert alone([bought, part, back], Decimal(0)) == (Decimal(8_000 + 16_000), Decimal(12))
    sold = an_order(Market.SPOT, Side.SELL, "0.1", 0.0, Leg.SPOT_CLOSE)
    closed = an_order(Market.PERP, Side.BUY, "0.1", 0.5, Leg.PERP_CLOSE)
    assert alone([sold, closed], Decimal("0.001")) == (Decimal(2_000), Decimal("0.5"))
