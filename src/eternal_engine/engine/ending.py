"""What follows from an intent that is over, besides the state of the rules: a profit moves on, faults are said."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from eternal_engine.engine import outcome, work
from eternal_engine.engine.view import ENGINES
from eternal_engine.engine.work import Done, Scene
from eternal_engine.ledger.transfers import tactical_profit
from eternal_engine.model.event import ErrorOccurred, Event, Noted
from eternal_engine.model.ids import Engine, Leg, RuleId, Symbol
from eternal_engine.model.money import ZERO, exact_arithmetic
from eternal_engine.model.trade import ClosedPart
from eternal_engine.portfolio.params import Intent
from eternal_engine.strategies.base import PAIR


def ending(intent: Intent, done: Done, scene: Scene, parts: Iterable[ClosedPart], at: datetime) -> list[Event]:
    """Plan the transfer of TACTICAL's profit (CAP-2), and say what was not done.

    `parts` are the closed parts of the engine's account so far.
    """
    events: list[Event] = []
    engine, symbol = ENGINES[intent.engine], Symbol(scene.symbols[intent.symbol])
    if engine is Engine.TACTICAL and intent.reduces:
        subject = f"{symbol} {done.legs[0].leg.value}"
        planned = tactical_profit(_earned(intent, scene, parts), work.decided_at(intent), subject)
        if planned is not None:
            events.append(replace(planned, at=at))
    if intent.market == PAIR:
        events += _measured(intent, scene, at)
    for leg in done.legs:
        if not leg.complete and leg.leg is not Leg.SPOT_UNWIND:
            what, orders = leg.leg.name.lower().replace("_", " "), work.orders_of(intent, scene, leg.leg)
            words = f"{what} of {symbol} ended with {leg.qty} coins filled, not all that was wanted"
            # Its last order tells why, and is told of together with this.
            where = f"order {orders[-1].client_order_id}" if orders else f"{engine.value} {symbol}"
            events.append(ErrorOccurred(at, words, where, _mend(intent), engine))
    return events


def _earned(intent: Intent, scene: Scene, parts: Iterable[ClosedPart]) -> Decimal:
    own = {order.client_order_id for leg in (Leg.EXIT, Leg.FLATTEN) for order in work.orders_of(intent, scene, leg)}
    with exact_arithmetic():
        return sum((part.net_usdt for part in parts if part.client_order_id in own), ZERO)


def _measured(intent: Intent, scene: Scene, at: datetime) -> list[Event]:
    """Journal how long and with how much one leg of a pair stood alone (FUND-3)."""
    orders = [order for leg in work.PAIR_LEGS for order in work.orders_of(intent, scene, leg)]
    if not any(order.filled_qty for order in orders):
        return []
    usdt_s, seconds = outcome.alone(orders, scene.spot_fee_frac)
    name = work.pair_name(intent, scene.symbols)
    words = f"{name}: one leg stood alone for {seconds:.3f} s, {usdt_s:.0f} USDT x s"
    return [Noted(at, RuleId("FUND-3"), words, ENGINES[intent.engine], Symbol(scene.symbols[intent.symbol]))]


def _mend(intent: Intent) -> str:
    if intent.reduces:
        return "look at the position at the exchange; eternal flatten closes what is left"
    return "nothing is lost: the money stays free, and the next decision sees it"
