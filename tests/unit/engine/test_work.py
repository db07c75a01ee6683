"""What an intent needs next, from durable facts alone (ORD-1, ORD-4, FUND-2, FUND-3)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from eternal_engine.engine.timing import hour_of
from eternal_engine.engine.work import Done, PlanOrder, Scene, Wait, key_of, next_step
from eternal_engine.ledger.book import Book
from eternal_engine.model import reason
from eternal_engine.model.fill import Fill
from eternal_engine.model.ids import Account, ClientOrderId, Coin, ExecutionId, Leg, Symbol
from eternal_engine.model.instrument import BYBIT_2025, Market, Side
from eternal_engine.model.order import Order, OrderState, Trigger
from eternal_engine.model.position import PerpPosition, SpotHolding
from eternal_engine.portfolio.params import NO_INTENT, Intent
from eternal_engine.storage.projection import StoredOrder
from eternal_engine.strategies.base import BUY, CORE_HODL, FUNDING, PAIR, PERP, SELL, SPOT, TREND

AT = datetime(2024, 1, 2, tzinfo=UTC)
HOUR = hour_of(AT)
BTC = Symbol("BTCUSDT")
SPOT_RULES = BYBIT_2025.rules(BTC, Market.SPOT)
PERP_RULES = BYBIT_2025.rules(BTC, Market.PERP)
PRICE = Decimal(40_000)

CYCLE = NO_INTENT._replace(
    engine=CORE_HODL, market=SPOT, side=BUY, quote_steps=1_000_000_000, price=40_000.0, reason=reason.CORE_PLAN,
    decided_h=HOUR,
)  # fmt: skip
ENTRY = NO_INTENT._replace(
    engine=TREND, market=PERP, side=BUY, qty_steps=100, price=40_000.0, reason=reason.TREND_ENTRY, decided_h=HOUR
)
EXIT = ENTRY._replace(side=SELL, reduces=True, reason=reason.TREND_EXIT)
PAIR_IN = NO_INTENT._replace(
    engine=FUNDING, market=PAIR, side=BUY, qty_steps=50, price=40_000.0, reason=reason.FUND_ENTRY, decided_h=HOUR
)
PAIR_OUT = PAIR_IN._replace(side=SELL, reduces=True, reason=reason.FUND_EXIT)


class Case:
    """Play the exchange: every planned order is answered as the test says."""

    def __init__(self, intent: Intent, book: Book | None = None, *, late: bool = False) -> None:
        self.intent = intent
        self.orders: dict[ClientOrderId, StoredOrder] = {}
        self.scene = Scene(
            ("BTCUSDT",), self.orders, book or Book(Account.FUNDING), SPOT_RULES, PERP_RULES, Decimal("0.001"), late
        )

    def ask(self) -> PlanOrder | Wait | Done:
        return next_step(self.intent, self.scene)

    def planned(self) -> PlanOrder:
        step = self.ask()
        assert isinstance(step, PlanOrder)
        return step

    def put(self, step: PlanOrder, *triggers: Trigger, filled: Decimal = Decimal(0)) -> Order:
        order = Order(step.order)
        for trigger in triggers:
            order = order.after(trigger, AT)
        if filled:
            fill = Fill(
                ExecutionId(f"x{len(self.orders)}"), Account.FUNDING, BTC, step.order.market, step.order.side, filled,
                PRICE, Decimal(0), Coin("USDT"), Coin("BTC"), Coin("USDT"), AT,
            )  # fmt: skip
            order = order.with_fill(fill)
        self.orders[order.client_order_id] = StoredOrder(order, Account.FUNDING, Coin("BTC"), Coin("USDT"), AT)
        return order

    def fill(self, step: PlanOrder) -> None:
        """Fill an order wholly."""
        wanted = step.order.qty
        assert wanted is not None
        self.put(step, Trigger.SEND, Trigger.ACCEPT, filled=wanted)

    def part(self, step: PlanOrder, qty: str) -> None:
        """Fill a part and cancel the rest."""
        order = self.put(step, Trigger.SEND, Trigger.ACCEPT, filled=Decimal(qty))
        ended = replace(order, state=OrderState.CANCELLED)
        stored = self.orders[order.client_order_id]
        self.orders[order.client_order_id] = replace(stored, order=ended)

    def hold(self, spot: str = "0", perp: str = "0") -> None:
        """Set the engine's book."""
        book = self.scene.book
        if Decimal(spot):
            book = replace(book, spot={BTC: SpotHolding(BTC, Decimal(spot), PRICE, Decimal(0), AT)})
        if Decimal(perp):
            row = PerpPosition(BTC, Decimal(perp), Decimal(perp) * PRICE, Decimal(0), Decimal(0), AT)
            book = replace(book, perp={BTC: row})
        self.scene = replace(self.scene, book=book)


def test_ord_1_the_same_question_has_the_same_answer_and_the_same_id() -> None:
    case = Case(CYCLE)
    first, again = case.planned(), case.planned()
    assert first == again
    assert first.order.client_order_id == key_of(CYCLE, ("BTCUSDT",), Leg.BUY).client_order_id
    assert first.order.amount_usdt == Decimal("100.0000000")
    case.put(first)
    assert case.ask() == Wait(first.order.client_order_id)


@pytest.mark.parametrize("state", [OrderState.SENT, OrderState.UNKNOWN, OrderState.OPEN])
def test_ord_2_nothing_is_sent_beside_an_order_that_is_not_over(state: OrderState) -> None:
    case = Case(ENTRY)
    order = case.put(case.planned())
    stored = case.orders[order.client_order_id]
    case.orders[order.client_order_id] = replace(stored, order=replace(order, state=state))
    assert case.ask() == Wait(order.client_order_id)


def test_ord_4_the_rest_of_a_partial_fill_goes_under_the_next_attempt() -> None:
    case = Case(ENTRY)
    case.part(case.planned(), "0.04")
    case.hold(perp="0.04")
    second = case.planned()
    assert second.order.key.attempt == 2
    assert second.order.qty == Decimal("0.060")
    case.fill(second)
    done = case.ask()
    assert isinstance(done, Done)
    assert done.legs[0].qty == Decimal("0.1")
    assert done.legs[0].complete


def test_ord_4_tries_are_bounded() -> None:
    case = Case(ENTRY)
    for attempt in range(1, 5):
        step = case.planned()
        assert step.order.key.attempt == attempt
        case.part(step, "0.001")
        case.hold(perp=f"0.00{attempt}")
    done = case.ask()
    assert isinstance(done, Done)
    assert not done.legs[0].complete


@pytest.mark.parametrize(("side", "left"), [(BUY, ""), (BUY, "0.01"), (SELL, ""), (SELL, "-0.01"), (BUY, "-0.04")])
def test_trend_x3_the_rest_of_an_entry_is_given_up_when_its_position_was_closed_meanwhile(side: int, left: str) -> None:
    case = Case(ENTRY._replace(side=side))
    case.part(case.planned(), "0.04")
    # The stop that came with the first order has triggered, and taken off all of it or a part.
    case.hold(perp=left or "0")
    done = case.ask()
    assert isinstance(done, Done)
    assert (done.legs[0].qty, done.legs[0].complete) == (Decimal("0.04"), False)


def test_trend_x3_an_entry_of_which_nothing_filled_yet_goes_on() -> None:
    case = Case(ENTRY)
    order = case.put(case.planned(), Trigger.SEND, Trigger.ACCEPT)
    case.orders[order.client_order_id] = replace(
        case.orders[order.client_order_id], order=replace(order, state=OrderState.CANCELLED)
    )
    assert case.planned().order.qty == Decimal("0.1")


def test_ord_4_a_rejected_order_ends_its_intent() -> None:
    case = Case(ENTRY)
    case.put(case.planned(), Trigger.SEND, Trigger.REJECT)
    assert isinstance(case.ask(), Done)


def test_an_entry_of_a_past_hour_is_not_begun_but_an_exit_is() -> None:
    assert isinstance(Case(ENTRY, late=True).ask(), Done)
    late = Case(EXIT, late=True)
    late.hold(perp="0.1")
    assert isinstance(late.ask(), PlanOrder)


def test_an_exit_above_the_maximum_is_split() -> None:
    rules = replace(PERP_RULES, max_market_qty=Decimal("0.03"))
    case = Case(EXIT)
    case.hold(perp="0.1")
    sent = []
    for left in ("0.1", "0.07", "0.04", "0.01"):
        case.hold(perp=left)
        case.scene = replace(case.scene, perp=rules)
        step = case.planned()
        sent.append(step.order.qty)
        case.fill(step)
    assert sent == [Decimal("0.030"), Decimal("0.030"), Decimal("0.030"), Decimal("0.010")]
    assert isinstance(case.ask(), Done)


def test_u_9_a_sum_above_the_maximum_is_spent_by_several_orders_with_ids_of_their_own() -> None:
    case = Case(CYCLE)
    case.scene = replace(case.scene, spot=replace(SPOT_RULES, max_market_qty=Decimal("0.001")))
    sums = []
    for attempt in (1, 2, 3):
        step = case.planned()
        assert step == case.planned()
        assert step.order.key.attempt == attempt
        sums.append(step.order.amount_usdt)
        order = case.put(step, Trigger.SEND, Trigger.ACCEPT, filled=Decimal("0.0009"))
        ended = replace(order, state=OrderState.FILLED)
        case.orders[order.client_order_id] = replace(case.orders[order.client_order_id], order=ended)
    # 0.001 BTC are worth 40 USDT; the last two share what is left so that neither is below the minimum of 5.
    assert sums == [Decimal(38), Decimal(38), Decimal(24)]
    done = case.ask()
    assert isinstance(done, Done)
    assert done.legs[0].complete
    assert done.legs[0].usdt == 3 * Decimal("0.0009") * PRICE


def test_u_9_the_last_of_several_orders_is_not_below_the_minimum() -> None:
    case = Case(CYCLE._replace(quote_steps=400_000_000))
    case.scene = replace(case.scene, spot=replace(SPOT_RULES, max_market_qty=Decimal("0.001")))
    first = case.planned()
    assert first.order.amount_usdt == Decimal(35)
    order = case.put(first, Trigger.SEND, Trigger.ACCEPT, filled=Decimal("0.0008"))
    stored = case.orders[order.client_order_id]
    case.orders[order.client_order_id] = replace(stored, order=replace(order, state=OrderState.FILLED))
    assert case.planned().order.amount_usdt == Decimal(5)


def test_ord_4_a_refused_order_of_several_ends_the_sum_with_what_it_has() -> None:
    case = Case(CYCLE)
    case.scene = replace(case.scene, spot=replace(SPOT_RULES, max_market_qty=Decimal("0.001")))
    case.put(case.planned(), Trigger.SEND, Trigger.REJECT)
    done = case.ask()
    assert isinstance(done, Done)
    assert not done.legs[0].complete


def test_ord_4_the_rest_of_an_order_is_the_same_when_the_exchange_changes_its_steps() -> None:
    case = Case(ENTRY._replace(unit=0.001))
    case.part(case.planned(), "0.04")
    case.hold(perp="0.04")
    case.scene = replace(case.scene, perp=replace(PERP_RULES, qty_step=Decimal("0.01"), min_qty=Decimal("0.01")))
    assert case.planned().order.qty == Decimal("0.06")
    case.scene = replace(case.scene, perp=replace(PERP_RULES, qty_step=Decimal("0.05"), min_qty=Decimal("0.05")))
    assert case.planned().order.qty == Decimal("0.05")


def test_fund_2_a_pair_keeps_its_size_when_the_exchange_changes_its_steps() -> None:
    case = Case(PAIR_IN._replace(unit=0.001))
    case.fill(case.planned())
    case.scene = replace(case.scene, perp=replace(PERP_RULES, qty_step=Decimal("0.01")))
    assert case.planned().order.qty == Decimal("0.05")
    leaving = Case(PAIR_OUT._replace(unit=0.001, qty_steps=20, reason=reason.FUND_CUT))
    leaving.scene = replace(leaving.scene, perp=replace(PERP_RULES, qty_step=Decimal("0.01")))
    leaving.hold(spot="0.06", perp="-0.06")
    assert leaving.planned().order.qty == Decimal("0.02")


def test_u_9_a_sum_is_the_same_when_the_exchange_changes_its_quote_step() -> None:
    case = Case(CYCLE._replace(unit=1e-7))
    case.scene = replace(case.scene, spot=replace(SPOT_RULES, quote_step=Decimal("0.01")))
    assert case.planned().order.amount_usdt == Decimal(100)


def test_an_exit_never_takes_more_than_is_held() -> None:
    case = Case(EXIT)
    case.hold(perp="0.04")
    assert case.planned().order.qty == Decimal("0.04")
    flat = Case(EXIT)
    assert isinstance(flat.ask(), Done)


def test_fund_2_the_spot_leg_pays_its_fee_in_coin() -> None:
    case = Case(PAIR_IN)
    first = case.planned()
    assert (first.order.key.leg, first.order.side) == (Leg.SPOT_OPEN, Side.BUY)
    gross = first.order.qty
    assert gross is not None
    assert gross * Decimal("0.999") >= Decimal("0.050") > (gross - SPOT_RULES.qty_step) * Decimal("0.999")
    case.fill(first)
    second = case.planned()
    assert (second.order.key.leg, second.order.side, second.order.qty) == (Leg.PERP_OPEN, Side.SELL, Decimal("0.050"))
    case.fill(second)
    assert isinstance(case.ask(), Done)


def test_fund_3_the_second_leg_covers_what_the_first_bought() -> None:
    case = Case(PAIR_IN)
    first = case.planned()
    case.part(first, "0.0302")
    rest = case.planned()
    assert rest.order.key.attempt == 2
    case.put(rest, Trigger.SEND, Trigger.REJECT)
    second = case.planned()
    assert (second.order.key.leg, second.order.qty) == (Leg.PERP_OPEN, Decimal("0.030"))


def test_fund_3_a_failed_second_leg_unwinds_the_first() -> None:
    case = Case(PAIR_IN)
    case.fill(case.planned())
    case.put(case.planned(), Trigger.SEND, Trigger.REJECT)
    case.hold(spot="0.0500005")
    back = case.planned()
    assert (back.order.key.leg, back.order.side) == (Leg.SPOT_UNWIND, Side.SELL)
    assert back.order.qty == Decimal("0.050000")
    case.fill(back)
    done = case.ask()
    assert isinstance(done, Done)
    assert [leg.leg for leg in done.legs] == [Leg.SPOT_OPEN, Leg.PERP_OPEN, Leg.SPOT_UNWIND]


def test_fund_3_a_second_leg_that_fills_while_its_first_is_sold_is_bought_back() -> None:
    case = Case(PAIR_IN)
    case.fill(case.planned())
    second = case.planned()
    given_up = case.put(second, Trigger.ABANDON)
    case.hold(spot="0.0500005")
    case.fill(case.planned())
    late = Fill(
        ExecutionId("late"), Account.FUNDING, BTC, Market.PERP, Side.SELL, Decimal("0.05"), PRICE, Decimal(0),
        Coin("USDT"), Coin("BTC"), Coin("USDT"), AT,
    )  # fmt: skip
    stored = case.orders[given_up.client_order_id]
    case.orders[given_up.client_order_id] = replace(stored, order=stored.order.with_fill(late))
    case.scene = replace(case.scene, book=Book(Account.FUNDING))
    case.hold(perp="-0.05")
    back = case.planned()
    assert (back.order.key.leg, back.order.side, back.order.qty, back.order.reduce_only) == (
        Leg.PERP_UNWIND, Side.BUY, Decimal("0.050"), True,
    )  # fmt: skip
    case.fill(back)
    case.scene = replace(case.scene, book=Book(Account.FUNDING))
    done = case.ask()
    assert isinstance(done, Done)
    assert [leg.leg for leg in done.legs] == [Leg.SPOT_OPEN, Leg.PERP_OPEN, Leg.SPOT_UNWIND, Leg.PERP_UNWIND]


def test_fund_3_a_second_leg_goes_on_however_late_it_is() -> None:
    case = Case(PAIR_IN)
    case.fill(case.planned())
    case.scene = replace(case.scene, late=True)
    assert case.planned().order.key.leg is Leg.PERP_OPEN


def test_fund_x1_a_whole_close_takes_all_spot_there_is() -> None:
    case = Case(PAIR_OUT)
    case.hold(spot="0.0512345", perp="-0.05")
    first = case.planned()
    assert (first.order.key.leg, first.order.qty) == (Leg.SPOT_CLOSE, Decimal("0.051234"))
    case.fill(first)
    case.scene = replace(case.scene, book=replace(case.scene.book, spot={}))
    second = case.planned()
    assert (second.order.key.leg, second.order.qty, second.order.reduce_only) == (
        Leg.PERP_CLOSE, Decimal("0.050"), True,
    )  # fmt: skip
    case.fill(second)
    case.scene = replace(case.scene, book=Book(Account.FUNDING))
    assert isinstance(case.ask(), Done)


@pytest.mark.parametrize(("sold", "left", "bought_back"), [("0", "0.0500005", None), ("0.03", "0.0200005", "0.030")])
def test_fund_3_coins_that_could_not_be_sold_keep_their_perp(sold: str, left: str, bought_back: str | None) -> None:
    case = Case(PAIR_OUT)
    case.hold(spot="0.0500005", perp="-0.05")
    first = case.planned()
    if Decimal(sold):
        case.part(first, sold)
        case.hold(spot=left)
        first = case.planned()
    case.put(first, Trigger.SEND, Trigger.REJECT)
    step = case.ask()
    if bought_back is None:
        assert isinstance(step, Done)
        assert [(leg.leg, leg.qty) for leg in step.legs] == [(Leg.SPOT_CLOSE, 0), (Leg.PERP_CLOSE, 0)]
        return
    assert isinstance(step, PlanOrder)
    assert (step.order.key.leg, step.order.qty) == (Leg.PERP_CLOSE, Decimal(bought_back))
    case.fill(step)
    case.hold(perp="-0.02")
    assert isinstance(case.ask(), Done)


def test_fund_x1_coins_too_few_to_be_sold_hold_no_perp_back() -> None:
    case = Case(PAIR_OUT)
    case.hold(spot="0.0001", perp="-0.05")
    step = case.planned()
    assert (step.order.key.leg, step.order.qty) == (Leg.PERP_CLOSE, Decimal("0.050"))


def test_fund_x2_a_cut_for_the_margin_buys_the_perp_back_though_the_coins_could_not_be_sold() -> None:
    case = Case(PAIR_OUT._replace(qty_steps=20, reason=reason.FUND_CUT))
    case.hold(spot="0.06", perp="-0.06")
    case.put(case.planned(), Trigger.SEND, Trigger.REJECT)
    assert (case.planned().order.key.leg, case.planned().order.qty) == (Leg.PERP_CUT, Decimal("0.020"))


def test_fund_x2_a_cut_takes_equal_coins() -> None:
    case = Case(PAIR_OUT._replace(qty_steps=20, reason=reason.FUND_CUT))
    case.hold(spot="0.06", perp="-0.06")
    first = case.planned()
    assert (first.order.key.leg, first.order.qty) == (Leg.SPOT_CUT, Decimal("0.020000"))
    case.fill(first)
    assert case.planned().order.qty == Decimal("0.020")


def test_legs_of_one_hour_never_share_an_id() -> None:
    later = AT + timedelta(hours=1)
    seen = set()
    for intent in (
        ENTRY, EXIT, EXIT._replace(reason=reason.BREAKER_CUT), EXIT._replace(reason=reason.TREND_STOP),
        ENTRY._replace(decided_h=hour_of(later)),
    ):  # fmt: skip
        case = Case(intent)
        case.hold(perp="0.1")
        seen.add(case.planned().order.client_order_id)
    assert len(seen) == 5
