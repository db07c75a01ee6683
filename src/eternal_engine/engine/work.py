"""One approved intent and the orders it takes: what to send next follows from what is durable, and from nothing else.

So a crash needs no recovery of its own: after a start the same question has the same answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from eternal_engine.engine.timing import HOUR, hour_start
from eternal_engine.engine.view import ENGINES
from eternal_engine.ledger.book import Book
from eternal_engine.model import reason
from eternal_engine.model.conversion import exact_from_float
from eternal_engine.model.errors import ModelError
from eternal_engine.model.ids import ClientOrderId, CommandId, Leg, OrderKey, RuleId, Symbol
from eternal_engine.model.instrument import InstrumentRules, Market, Side
from eternal_engine.model.money import ZERO, exact_arithmetic
from eternal_engine.model.order import Order, OrderIntent, OrderKind, OrderState
from eternal_engine.model.rule import Rule
from eternal_engine.model.steps import steps_up
from eternal_engine.portfolio.params import Intent
from eternal_engine.storage.projection import StoredOrder
from eternal_engine.strategies.base import BUY, CORE_HODL, PAIR, PERP, SPOT, TACTICAL

RULES: tuple[Rule, ...] = (
    Rule(
        "FUND-3",
        "A pair is one recoverable procedure: spot first, then the perp over what was bought; a second leg that fails "
        "unwinds the first, and a crash between them goes on from the orders on record. How long and with how much one "
        "leg stood alone is journaled with each pair.",
        ("funding.leg_timeout_s",),
        (
            "tests/unit/engine/test_second_leg.py::test_fund_3_each_pair_journals_how_long_one_leg_stood_alone",
            "tests/unit/engine/test_work.py::test_fund_3_the_second_leg_covers_what_the_first_bought",
            "tests/unit/engine/test_work.py::test_fund_3_a_failed_second_leg_unwinds_the_first",
        ),
    ),
)

BY_HAND: Final = frozenset({reason.MANUAL, reason.FLATTENED})
PAIR_LEGS: Final = (
    Leg.SPOT_OPEN, Leg.PERP_OPEN, Leg.SPOT_UNWIND, Leg.PERP_UNWIND, Leg.SPOT_CLOSE, Leg.PERP_CLOSE, Leg.SPOT_CUT,
    Leg.PERP_CUT,
)  # fmt: skip
# A part-filled or cancelled order's rest is tried again so often; then the intent ends with what it has (ORD-4).
MAX_TRIES: Final = 4
# Attempts have two digits in an order's id; what takes more orders is far beyond any account.
MAX_ORDERS: Final = 99
# Prices may be this much lower by the time a sum is spent, before its coins exceed the instrument's maximum (RISK-12).
FALL_FRAC: Final = Decimal("0.95")


@dataclass(frozen=True, slots=True)
class PlanOrder:
    """Ask for an order: journal its intent, then send it."""

    order: OrderIntent


@dataclass(frozen=True, slots=True)
class Wait:
    """Say that an order is under way."""

    client_order_id: ClientOrderId


@dataclass(frozen=True, slots=True)
class LegDone:
    """Hold what all orders of one leg have filled: base coins before fees, USDT; `complete` when nothing is missing."""

    leg: Leg
    market: Market
    qty: Decimal
    usdt: Decimal
    complete: bool


@dataclass(frozen=True, slots=True)
class Done:
    """Say that an intent is over, with what each of its legs has filled."""

    legs: tuple[LegDone, ...]

    def of(self, *names: Leg) -> LegDone | None:
        """Find the first of the named legs."""
        return next((leg for leg in self.legs if leg.leg in names), None)


Step = PlanOrder | Wait | Done


@dataclass(frozen=True, slots=True)
class Scene:
    """Hold what a step is decided from: orders on record, the engine's book, the instrument's rules, USDT fee of spot.

    `late`: the hour in which the intent was decided is over; entries are not begun any more, nor topped up.
    """

    symbols: tuple[str, ...]
    orders: Mapping[ClientOrderId, StoredOrder]
    book: Book
    spot: InstrumentRules
    perp: InstrumentRules
    spot_fee_frac: Decimal
    late: bool


def next_step(intent: Intent, scene: Scene) -> Step:
    """Say what an intent needs now (ORD-4, FUND-3)."""
    if intent.market == PAIR:
        return _close_pair(intent, scene) if intent.reduces else _open_pair(intent, scene)
    if is_closed_meanwhile(intent, scene):
        # To top it up would open anew what the stop has just closed.
        scene = replace(scene, late=True)
    found = _single(intent, scene, _leg_of(intent))
    return Done((found,)) if isinstance(found, LegDone) else found


def is_closed_meanwhile(intent: Intent, scene: Scene) -> bool:
    """Tell whether less is held of a perp entry than it has bought: its stop, or somebody, was faster (TREND-X3)."""
    if intent.reduces or intent.market != PERP:
        return False
    with exact_arithmetic():
        filled = sum((order.filled_qty for order in orders_of(intent, scene, _leg_of(intent))), ZERO)
    return _held(scene.book, scene.perp, Side.SELL if intent.side == BUY else Side.BUY) < filled


def key_of(intent: Intent, symbols: tuple[str, ...], leg: Leg, attempt: int = 1) -> OrderKey:
    """Give the identity of one order of an intent (ORD-1)."""
    return OrderKey(ENGINES[intent.engine], decided_at(intent), Symbol(symbols[intent.symbol]), leg, attempt)


def decided_at(intent: Intent) -> datetime:
    """Give the time an intent's ids carry: its hour, and the command's own millisecond of it for orders by hand."""
    by_hand = intent.reason in BY_HAND
    return hour_start(intent.decided_h) + timedelta(milliseconds=intent.level if by_hand else 0)


def command_ms(command_id: CommandId) -> int:
    """Give the millisecond of the hour that stands for a command in the ids of its orders, `level` of its intents.

    Derived from the command's id: the same command has the same ids, two commands of an hour have others.
    """
    digest = hashlib.sha256(command_id.encode()).digest()
    return 1 + int.from_bytes(digest[:8], "big") % (HOUR // timedelta(milliseconds=1) - 1)


def first_id(intent: Intent, symbols: tuple[str, ...]) -> ClientOrderId:
    """Give the id of the first order of an intent of one leg: where it is on record, the intent was tried before."""
    return key_of(intent, symbols, _leg_of(intent)).client_order_id


def pair_name(intent: Intent, symbols: tuple[str, ...]) -> str:
    """Give what the ids of all orders of a pair's intent begin with."""
    return key_of(intent, symbols, Leg.SPOT_OPEN).client_order_id.removesuffix(f"-{Leg.SPOT_OPEN.value}-1")


def orders_of(intent: Intent, scene: Scene, leg: Leg) -> list[Order]:
    """List the orders on record of one leg, by attempt."""
    found: list[Order] = []
    key = key_of(intent, scene.symbols, leg)
    while (stored := scene.orders.get(key.client_order_id)) is not None:
        found.append(stored.order)
        if len(found) == MAX_ORDERS:
            break
        key = key.again()
    return found


_REASON_LEGS: Final = {
    reason.BREAKER_CUT: Leg.BREAKER_CUT,
    reason.TREND_STOP: Leg.STOP,
    reason.TREND_TRAIL: Leg.STOP,
    reason.TACT_FEAR: Leg.FEAR_GREED,
    reason.TACT_CAPITULATION: Leg.CAPITULATION,
    reason.MANUAL: Leg.MANUAL,
    reason.FLATTENED: Leg.FLATTEN,
}
_LEVEL_LEGS: Final = (Leg.LEVEL_1, Leg.LEVEL_2)


def _leg_of(intent: Intent) -> Leg:
    """Name the leg of an intent of one order; two intents of an engine, hour and symbol never share one."""
    if intent.reason == reason.FUND_HEDGE:
        return Leg.SPOT_HEDGE if intent.market == SPOT else Leg.PERP_HEDGE
    if intent.reason in _REASON_LEGS:
        return _REASON_LEGS[intent.reason]
    if intent.reduces:
        return Leg.EXIT
    if intent.engine == CORE_HODL:
        return Leg.BUY
    if intent.engine == TACTICAL:
        if not 0 <= intent.level < len(_LEVEL_LEGS):
            raise ModelError(
                f"no order leg for level {intent.level + 1} of TACTICAL",
                where="tactical.levels",
                mend="configure at most two levels",
            )
        return _LEVEL_LEGS[intent.level]
    return Leg.ENTRY


def _single(intent: Intent, scene: Scene, leg: Leg) -> PlanOrder | Wait | LegDone:
    if intent.quote_steps > 0:
        return _spend(intent, scene, leg)
    rules = scene.spot if intent.market == SPOT else scene.perp
    side = Side.BUY if intent.side == BUY else Side.SELL
    with exact_arithmetic():
        wanted = intent.qty_steps * _unit(intent, rules.qty_step)
    return _trade(intent, scene, leg, rules, side, wanted, reduces=intent.reduces)


def _spend(intent: Intent, scene: Scene, leg: Leg) -> PlanOrder | Wait | LegDone:
    """Buy spot for a sum of USDT (U-9); what exceeds the instrument's maximum goes under a new attempt.

    An order that was filled has used its sum up, the rounding included; of a cancelled one the rest is left.
    """
    done = orders_of(intent, scene, leg)
    if (state := _unfinished(done)) is not None:
        return state
    step = scene.spot.quote_step or Decimal("0.01")
    with exact_arithmetic():
        left = intent.quote_steps * _unit(intent, step) - sum((_used_usdt(order) for order in done), ZERO)
    left = scene.spot.quote_down(max(left, ZERO))
    tries = sum(1 for order in done if order.state is OrderState.CANCELLED)
    gone = bool(done) and done[-1].state in (OrderState.REJECTED, OrderState.ABANDONED)
    is_little = left < scene.spot.min_amount
    if gone or is_little or scene.late or tries >= MAX_TRIES or len(done) >= MAX_ORDERS:
        complete = is_little and bool(done) and done[-1].state is OrderState.FILLED
        return _sum(leg, Market.SPOT, done, complete=complete)
    key = key_of(intent, scene.symbols, leg, len(done) + 1)
    return PlanOrder(
        OrderIntent(
            key=key,
            market=Market.SPOT,
            side=Side.BUY,
            kind=OrderKind.MARKET,
            price_usdt=_price(intent),
            reason=RuleId(reason.rule_id(intent.reason)),
            amount_usdt=_one_sum(scene.spot, left, _price(intent)),
        )
    )


def _used_usdt(order: Order) -> Decimal:
    if order.state is OrderState.FILLED and order.intent.amount_usdt is not None:
        return order.intent.amount_usdt
    return order.filled_usdt


def _one_sum(rules: InstrumentRules, left_usdt: Decimal, price: Decimal) -> Decimal:
    """Cut a sum to what one order may buy; the last order is never left with less than the minimum."""
    if rules.max_market_qty is None:
        return left_usdt
    with exact_arithmetic():
        most = rules.quote_down(rules.max_market_qty * price * FALL_FRAC)
        if left_usdt <= most or most <= rules.min_amount:
            return left_usdt
        return min(most, rules.quote_down(left_usdt - rules.min_amount))


def _trade(
    intent: Intent,
    scene: Scene,
    leg: Leg,
    rules: InstrumentRules,
    side: Side,
    wanted: Decimal,
    *,
    reduces: bool,
    urgent: bool = False,
) -> PlanOrder | Wait | LegDone:
    """Trade coins: the rest of a partial fill, and what exceeds the instrument's maximum, goes under a new attempt.

    `wanted` counts all orders of the leg together. `urgent` legs protect something and are never too late.
    """
    done = orders_of(intent, scene, leg)
    if (state := _unfinished(done)) is not None:
        return state
    with exact_arithmetic():
        filled = sum((order.filled_qty for order in done), ZERO)
        left = rules.qty_down(max(wanted - filled, ZERO))
    if reduces:
        left = min(left, _held(scene.book, rules, side))
    complete = left == ZERO
    gone = bool(done) and done[-1].state in (OrderState.REJECTED, OrderState.ABANDONED)
    tries = sum(1 for order in done if order.state is OrderState.CANCELLED)
    too_late = scene.late and not (reduces or urgent)
    spent = tries >= MAX_TRIES or len(done) >= MAX_ORDERS
    if complete or gone or spent or too_late or _too_small(rules, left, _price(intent), reduces):
        return _sum(leg, rules.market, done, complete=complete)
    qty = left if rules.max_market_qty is None else min(left, rules.qty_down(rules.max_market_qty))
    key = key_of(intent, scene.symbols, leg, len(done) + 1)
    return PlanOrder(
        OrderIntent(
            key=key,
            market=rules.market,
            side=side,
            kind=OrderKind.MARKET,
            price_usdt=_price(intent),
            reason=RuleId(reason.rule_id(intent.reason)),
            qty=qty,
            reduce_only=reduces and rules.market is Market.PERP,
        )
    )


def _too_small(rules: InstrumentRules, qty: Decimal, price: Decimal, reduces: bool) -> bool:
    if reduces and rules.market is Market.PERP:
        # A reduce-only close of a remainder below the minimum is worth the try.
        return qty <= ZERO
    with exact_arithmetic():
        return qty < rules.min_qty or qty * price < rules.min_amount


def _open_pair(intent: Intent, scene: Scene) -> Step:
    """Buy spot so that what stays after the fee in coin is the perp's quantity, then sell the perp (FUND-2, FUND-3)."""
    with exact_arithmetic():
        coins = scene.perp.qty_down(intent.qty_steps * _unit(intent, scene.perp.qty_step))
    gross_steps = steps_up(float(coins) / (1.0 - float(scene.spot_fee_frac)), float(scene.spot.qty_step))
    with exact_arithmetic():
        gross = gross_steps * scene.spot.qty_step
    first = _trade(intent, scene, Leg.SPOT_OPEN, scene.spot, Side.BUY, gross, reduces=False)
    if not isinstance(first, LegDone):
        return first
    if first.qty == ZERO:
        return Done((first,))
    with exact_arithmetic():
        net = first.qty * (1 - scene.spot_fee_frac)
    hedge = coins if first.complete else min(coins, scene.perp.qty_down(net))
    if hedge == ZERO:
        return _unwind(intent, scene, first, LegDone(Leg.PERP_OPEN, Market.PERP, ZERO, ZERO, complete=False), net)
    second = _trade(intent, scene, Leg.PERP_OPEN, scene.perp, Side.SELL, hedge, reduces=False, urgent=True)
    if not isinstance(second, LegDone):
        return second
    if second.complete and first.complete and not orders_of(intent, scene, Leg.SPOT_UNWIND):
        return Done((first, second))
    return _unwind(intent, scene, first, second, net)


def _unwind(intent: Intent, scene: Scene, first: LegDone, second: LegDone, net: Decimal) -> Step:
    """Sell again the spot coins that no perp covers (FUND-3, H6).

    A second leg that was given up may fill all the same while its first is sold: then the perp is bought back as far
    as no coins are left beside it.
    """
    with exact_arithmetic():
        surplus = scene.spot.qty_down(max(net - second.qty, ZERO))
    back = _trade(intent, scene, Leg.SPOT_UNWIND, scene.spot, Side.SELL, surplus, reduces=True)
    if not isinstance(back, LegDone):
        return back
    with exact_arithmetic():
        bare = max(second.qty - scene.perp.qty_down(max(net - back.qty, ZERO)), ZERO)
    if bare == ZERO and not orders_of(intent, scene, Leg.PERP_UNWIND):
        return Done((first, second, back))
    perp_back = _trade(intent, scene, Leg.PERP_UNWIND, scene.perp, Side.BUY, bare, reduces=True)
    return Done((first, second, back, perp_back)) if isinstance(perp_back, LegDone) else perp_back


def _close_pair(intent: Intent, scene: Scene) -> Step:
    """Sell the spot leg, then buy the perp back, by equal coins; a whole close takes all spot there is (FUND-X1).

    Coins that could not be sold keep their perp beside them until the next hour asks again. A cut for the margin's sake
    (FUND-X2) buys the perp back all the same: without it the whole perp may be liquidated.
    """
    cut = intent.reason == reason.FUND_CUT
    spot_leg, perp_leg = (Leg.SPOT_CUT, Leg.PERP_CUT) if cut else (Leg.SPOT_CLOSE, Leg.PERP_CLOSE)
    symbol = Symbol(scene.symbols[intent.symbol])
    position = scene.book.perp.get(symbol)
    perp_done = sum((order.filled_qty for order in orders_of(intent, scene, perp_leg)), ZERO)
    with exact_arithmetic():
        coins = intent.qty_steps * _unit(intent, scene.perp.qty_step)
        # What was held before this intent's own perp orders.
        held = (abs(position.qty) if position else ZERO) + perp_done
        spot_done = sum((order.filled_qty for order in orders_of(intent, scene, spot_leg)), ZERO)
        whole = coins > held - scene.perp.qty_step / 2
        holding = scene.book.spot.get(symbol)
        wanted = (holding.qty if holding else ZERO) + spot_done if whole else coins
    first = _trade(intent, scene, spot_leg, scene.spot, Side.SELL, wanted, reduces=True)
    if not isinstance(first, LegDone):
        return first
    free = held if first.complete or cut else max(held - _unsold(intent, scene), ZERO)
    second = _trade(intent, scene, perp_leg, scene.perp, Side.BUY, min(coins, free), reduces=True)
    return Done((first, second)) if isinstance(second, LegDone) else second


def _unsold(intent: Intent, scene: Scene) -> Decimal:
    """Give the coins of a pair's spot leg that need cover, in whole steps of the perp; too few to be sold need none."""
    left = _held(scene.book, scene.spot, Side.SELL)
    return ZERO if _too_small(scene.spot, left, _price(intent), reduces=True) else scene.perp.qty_down(left)


def _held(book: Book, rules: InstrumentRules, side: Side) -> Decimal:
    """Give what an order of this side can still take off: whole steps of the holding or the opposite position."""
    if rules.market is Market.SPOT:
        holding = book.spot.get(rules.symbol)
        return rules.qty_down(holding.qty) if holding else ZERO
    position = book.perp.get(rules.symbol)
    if position is None or (position.qty > ZERO) == (side is Side.BUY):
        return ZERO
    return abs(position.qty)


def _unfinished(orders: list[Order]) -> Wait | None:
    for order in orders:
        if not order.state.is_closed:
            return Wait(order.client_order_id)
    return None


def _sum(leg: Leg, market: Market, orders: list[Order], *, complete: bool) -> LegDone:
    with exact_arithmetic():
        qty = sum((order.filled_qty for order in orders), ZERO)
        usdt = sum((order.filled_usdt for order in orders), ZERO)
    return LegDone(leg, market, qty, usdt, complete)


def _price(intent: Intent) -> Decimal:
    return exact_from_float(intent.price, where="intent")


def _unit(intent: Intent, step: Decimal) -> Decimal:
    """Give the size of one step of an intent: the instrument's may have changed since it was decided."""
    return exact_from_float(intent.unit, where="intent") if intent.unit > 0.0 else step
