"""Orders that only the operator can ask for: flatten positions, buy coins by hand (BRK-6, CORE-13)."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Final

import numpy as np

from eternal_engine.engine.command import Asked, Done, Lines, halting, mask_of, names
from eternal_engine.engine.decision_events import HALTED, denied_by, is_halted
from eternal_engine.engine.timing import hour_of, hour_start
from eternal_engine.engine.view import ENGINES
from eternal_engine.engine.work import command_ms
from eternal_engine.model import reason
from eternal_engine.model.conversion import exact_from_float
from eternal_engine.model.errors import RefusedError
from eternal_engine.model.event import Decided, Event, Reviewed
from eternal_engine.model.ids import Engine, Leg, RuleId, Symbol
from eternal_engine.model.money import short_text
from eternal_engine.model.rule import Rule
from eternal_engine.portfolio.params import Decision, Intent, no_decisions
from eternal_engine.portfolio.review import review
from eternal_engine.portfolio.valuation import is_busy, pair_is_open
from eternal_engine.storage.codec import canonical
from eternal_engine.strategies import base, core_hodl
from eternal_engine.strategies.base import DUST_USDT, PAIR, PERP, SPOT, Signal, buy_quote_signal, reduce_signal

RULES: tuple[Rule, ...] = (
    Rule(
        "BRK-6",
        "Flatten closes TREND, FUNDING and TACTICAL; CORE_HODL is sold only when it is named and confirmed apart.",
        (),
        ("tests/unit/engine/test_manual_orders.py::test_brk_6_flatten_spares_core_hodl_unless_named_and_confirmed",),
    ),
)

FLATTEN: Final = "FLATTEN"
SELL_CORE: Final = "SELL CORE_HODL"
_SPARING: Final = (Engine.TREND, Engine.FUNDING, Engine.TACTICAL)


def flatten(asked: Asked) -> Done:
    """Close every position of the named engines and halt their entries; CORE_HODL only named and confirmed.

    The halt belongs to it: FUNDING would otherwise open the same pair again an hour later.
    """
    engines = asked.engines() or tuple(engine for engine in _SPARING if engine in asked.context.managed)
    asked.require_managed(engines)
    if asked.says("confirmation") != FLATTEN:
        raise RefusedError("flatten needs a confirmation", where="flatten", mend=f"type {FLATTEN} when asked for it")
    if Engine.CORE_HODL in engines and asked.says("core_confirmation") != SELL_CORE:
        raise RefusedError(
            "CORE_HODL's coins are sold only with a confirmation of their own",
            where="flatten",
            mend=f"type {SELL_CORE} when asked for it, or leave core_hodl out",
        )
    desk = _Desk(asked)
    for engine in engines:
        for place in range(len(asked.memory.symbols)):
            desk.close(engine, place)
    if not desk.lines.said:
        desk.lines.add(f"nothing is held by {names(engines)}")
    desk.lines.add(f"halted until `eternal resume`: {names(engines)}")
    memory = replace(halting(asked.memory, engines), pending=tuple(desk.pending))
    return Done(memory, desk.lines.text(), desk.events(), tuple(desk.new))


def trigger(asked: Asked) -> Done:
    """Buy coins for CORE_HODL by hand, `amount_usdt` of each symbol; a dry run unless told to execute (CORE-13).

    The purchase passes the risk manager like any other and pays the coin's plan, where one is running (CORE-3).
    """
    asked.require_managed((Engine.CORE_HODL,))
    symbols = [word.strip().upper() for word in asked.says("symbols").split(",") if word.strip()]
    if not symbols or len(set(symbols)) != len(symbols):
        raise RefusedError(
            "name each symbol once", where=asked.verb, mend="write --symbols BTCUSDT,ETHUSDT --amount 500"
        )
    amount = amount_of(asked, "amount_usdt")
    places = [asked.symbol_index(symbol) for symbol in symbols]
    desk = _Desk(asked)
    for place in places:
        desk.buy(place, amount)
    if desk.new:
        total = sum((desk.spent_usdt(intent) for intent in desk.new), Decimal(0))
        desk.lines.add(f"in all {short_text(total)} USDT in {len(desk.new)} orders, before fees")
    if not asked.wants("execute"):
        return Done(asked.memory, f"dry run, nothing was ordered:\n{desk.lines.text()}")
    if not desk.new:
        raise RefusedError(desk.lines.text(), where=asked.verb, mend="nothing was ordered")
    return Done(replace(asked.memory, pending=tuple(desk.pending)), desk.lines.text(), desk.events(), tuple(desk.new))


def amount_of(asked: Asked, name: str) -> Decimal:
    """Read an amount of USDT above zero. Refuses anything else."""
    written = asked.says(name)
    try:
        amount = Decimal(written)
    except InvalidOperation:
        amount = Decimal(0)
    if not amount.is_finite() or amount <= 0:
        raise RefusedError(f"{written!r} is no amount of USDT above zero", where=asked.verb, mend="write --amount 500")
    return amount


class _Desk:
    """Turn wishes into reviewed intents, and remember what was said about each."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.pending = list(asked.memory.pending)
        self.new: list[Intent] = []
        self.lines = Lines()
        self._decisions: list[Decision] = no_decisions()
        self._signals: list[Signal] = []
        # Two commands of an hour have orders of their own: their ids carry the command's (decision 0112).
        self.level = command_ms(asked.command_id)
        self.decided_at = hour_start(asked.context.now_h) + timedelta(milliseconds=self.level)

    def close(self, engine: Engine, place: int) -> None:
        """Ask for the whole position of an engine in a symbol to be closed, if there is one."""
        book, marks = self.asked.context.book, self.asked.context.marks
        number, symbol = ENGINES.index(engine), self.asked.memory.symbols[place]
        spot, perp = float(book.spot_qty[number, place]), float(book.perp_qty[number, place])
        if engine is Engine.TREND:
            held, price = perp != 0.0, float(marks.perp[place])
            wish = reduce_signal(
                number, place, PERP, base.SELL if perp > 0.0 else base.BUY, abs(perp), price, reason.FLATTENED
            )
        elif engine is Engine.FUNDING:
            table = self.asked.context.params.instruments
            held, price = pair_is_open(table, book, marks, place), float(marks.perp[place])
            wish = reduce_signal(number, place, PAIR, base.SELL, abs(perp), price, reason.FLATTENED)
        else:
            price = float(marks.spot[place])
            held = spot > 0.0 and not spot * price < DUST_USDT
            wish = reduce_signal(number, place, SPOT, base.SELL, spot, price, reason.FLATTENED)
        may_open = any(
            (one.engine, one.symbol, one.reduces) == (number, place, False) for one in self.asked.memory.pending
        )
        if not (held or may_open):
            return
        if is_busy(self.pending, number, place):
            self.lines.add(f"{engine.value} {symbol}: an order is under way; flatten again when it is done")
        elif self._has_its_ids(engine, symbol):
            self.lines.add(f"{engine.value} {symbol}: not closed; give the command again")
        else:
            self._review(engine, wish, price)

    def buy(self, place: int, amount_usdt: Decimal) -> None:
        """Ask for one manual purchase."""
        symbol, state = self.asked.memory.symbols[place], self.asked.memory.states.core
        price = float(self.asked.context.marks.spot[place])
        if symbol in self.asked.memory.paused:
            self.lines.add(f"{symbol}: entries wait for `eternal review {symbol}` (ORD-7)")
        elif is_busy(self.pending, base.CORE_HODL, place):
            self.lines.add(f"{symbol}: an order is under way; try again when it is done")
        elif self._was_bought(symbol) or self._has_its_ids(Engine.CORE_HODL, symbol):
            self.lines.add(f"{symbol}: was bought by hand in this hour; again with the next hour")
        else:
            planned = state.plan[place] in (core_hodl.MAIN_PLAN, core_hodl.OWN_PLAN)
            plan_usdt = min(float(state.gap_usdt[place]), float(amount_usdt)) if planned else 0.0
            wish = buy_quote_signal(
                base.CORE_HODL, place, float(amount_usdt), price, reason.MANUAL, float(plan_usdt), 0
            )
            self._review(Engine.CORE_HODL, wish, price)

    def events(self) -> tuple[Event, ...]:
        """Give what the journal says about the wishes: one Decided per engine, one Reviewed per wish."""
        context, made = self.asked.context, []
        at = self.decided_at
        for number, engine in enumerate(ENGINES):
            signals = [_shown(signal, self.asked.memory.symbols) for signal in self._signals if signal.engine == number]
            if signals:
                inputs = canonical({"command": self.asked.verb, "command_id": self.asked.command_id})
                made.append(Decided(context.now, engine, at, inputs, json.dumps(signals), context.config_hash))
        reviews = [self._reviewed(*pair) for pair in zip(self._signals, self._decisions, strict=True)]
        return (*made, *reviews)

    def spent_usdt(self, intent: Intent) -> Decimal:
        """Give the USDT of a purchase, in whole steps."""
        return intent.quote_steps * exact_from_float(self.asked.context.params.instruments.quote_step[intent.symbol])

    def _was_bought(self, symbol: str) -> bool:
        """Tell whether the hour has seen a purchase by hand: a command given twice by mistake must not buy twice."""
        for stored in self.asked.projection.orders.values():
            key, order = stored.order.intent.key, stored.order
            by_hand = key.engine is Engine.CORE_HODL and key.leg is Leg.MANUAL and key.symbol == symbol
            may_buy = order.filled_qty or not order.state.is_closed
            if by_hand and may_buy and hour_of(key.decided_at) == self.asked.context.now_h:
                return True
        return False

    def _has_its_ids(self, engine: Engine, symbol: str) -> bool:
        """Tell whether another command of this hour happens to have the same millisecond (ORD-1)."""
        keys = (stored.order.intent.key for stored in self.asked.projection.orders.values())
        return any(
            (key.engine, key.symbol, key.decided_at) == (engine, symbol, self.decided_at) and key.attempt == 1
            for key in keys
        )

    def _review(self, engine: Engine, wish: Signal, price: float) -> None:
        symbol, context = self.asked.memory.symbols[wish.symbol], self.asked.context
        if not np.isfinite(price):
            self.lines.add(f"{engine.value} {symbol}: no price is known yet")
            return
        halted = bool((self.asked.memory.halted | context.halted) & mask_of((engine,)))
        before = len(self.pending)
        review(
            context.params,
            context.book,
            context.marks,
            self.pending,
            self._decisions,
            context.equity,
            self.asked.memory.states,
            wish,
            context.now_h,
            halted,
            -1.0,
        )
        self._signals.append(wish)
        self.pending[before:] = [intent._replace(level=self.level) for intent in self.pending[before:]]
        self.new += self.pending[before:]
        self.lines.add(self._words(engine, symbol, wish))

    def _words(self, engine: Engine, symbol: str, wish: Signal) -> str:
        decision = self._decisions[-1]
        _, why = denied_by(decision.rule, self._halted_by(decision.engine))
        if not decision.approved:
            return f"{engine.value} {symbol}: refused by {why}"
        cut = f", cut by {why}" if decision.rule != reason.NONE else ""
        if wish.reduces:
            what = "the pair" if wish.market == PAIR else f"{wish.qty:g} coins"
            return f"{engine.value} {symbol}: closing {what} at about {wish.price:g} USDT{cut}"
        spent = self.spent_usdt(self.new[-1])
        coins = float(spent) / wish.price
        return f"{symbol}: {short_text(spent)} USDT at about {wish.price:g}, {coins:.8g} coins{cut}"

    def _halted_by(self, engine: int) -> RuleId:
        """Name the rule behind a halt: the operator's own, or what makes entries wait beside it (RISK-13)."""
        memory = self.asked.memory
        return HALTED if is_halted(memory, memory.states.risk, engine) else self.asked.context.halted_by

    def _reviewed(self, wish: Signal, decision: Decision) -> Reviewed:
        said_by = decision.rule if decision.rule != reason.NONE else wish.reason
        rule, words = denied_by(said_by, self._halted_by(wish.engine))
        verdict = ("approved" if decision.rule == reason.NONE else "resized") if decision.approved else "denied"
        passed = [i for i in self.new if i.engine == wish.engine and i.symbol == wish.symbol]
        allowed = Decimal(0)
        if decision.approved and wish.quote_usdt > 0.0:
            allowed = self.spent_usdt(passed[-1])
        elif decision.approved:
            table = self.asked.context.params.instruments
            steps = table.spot_step if wish.market == SPOT else table.perp_step
            allowed = passed[-1].qty_steps * exact_from_float(steps[wish.symbol])
        return Reviewed(
            at=self.asked.context.now,
            engine=ENGINES[wish.engine],
            symbol=Symbol(self.asked.memory.symbols[wish.symbol]),
            decided_at=self.decided_at,
            verdict=verdict,
            rule=rule,
            detail=words,
            asked=exact_from_float(wish.quote_usdt or wish.qty),
            allowed=allowed,
        )


def _shown(signal: Signal, symbols: tuple[str, ...]) -> dict[str, object]:
    return {
        "symbol": symbols[signal.symbol],
        "side": "buy" if signal.side == base.BUY else "sell",
        "reduces": bool(signal.reduces),
        "qty": float(signal.qty),
        "quote_usdt": float(signal.quote_usdt),
        "price": float(signal.price),
        "reason": reason.words(signal.reason),
    }
