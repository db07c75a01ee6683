"""What waits for the operator's judgement: a deposit in MASTER, a position nobody explains, a paused symbol."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal

from eternal_engine.engine.command import Asked, Done, Lines, without_pause
from eternal_engine.engine.manual_orders import amount_of
from eternal_engine.engine.memory import Memory
from eternal_engine.engine.timing import hour_of
from eternal_engine.engine.view import ENGINES
from eternal_engine.ledger.book import Book
from eternal_engine.ledger.transfers import USDT, plan_transfer, split_capital
from eternal_engine.model.conversion import exact_from_float
from eternal_engine.model.errors import RefusedError
from eternal_engine.model.event import Corrected, Event, Mismatch, TransferPlanned
from eternal_engine.model.ids import Account, Coin, Engine, RecordId, RuleId, Symbol
from eternal_engine.model.instrument import Market
from eternal_engine.model.money import ZERO, exact_arithmetic, floor_to, short_text
from eternal_engine.model.position import PerpPosition, SpotHolding
from eternal_engine.model.rule import Rule
from eternal_engine.strategies import funding, tactical, trend

RULES: tuple[Rule, ...] = (
    Rule(
        "ORD-7",
        "An adopted orphan is used by no engine until the operator assigns it to the engine of its account or leaves "
        "it aside; a paused symbol takes entries again after the review.",
        (),
        ("tests/unit/engine/test_reviews.py::test_ord_7_an_assigned_coin_moves_into_the_engines_book",),
    ),
)

BY_SHARES = "shares"
_CAP_4 = RuleId("CAP-4")
_PRICE_STEP = Decimal("0.00000001")


def assign_deposit(asked: Asked) -> Done:
    """Plan the transfers that move USDT waiting in MASTER to one engine, or to all by the shares (CAP-4).

    Without an amount all of it moves. On an account that cannot transfer they stay listed as pending (CAP-2).
    """
    book = asked.projection.books.of(Account.MASTER)
    planned = asked.projection.pending_transfers.values()
    promised = sum((row.amount for row in planned if row.source is Account.MASTER and row.coin == USDT), ZERO)
    waiting = book.cash.get(USDT, ZERO) - promised
    if waiting <= ZERO:
        raise RefusedError("no deposit waits in MASTER", where="assign", mend="`eternal status` shows what is where")
    amount = amount_of(asked, "amount_usdt") if asked.says("amount_usdt") else waiting
    if amount > waiting:
        raise RefusedError(
            f"only {short_text(waiting)} USDT wait in MASTER", where="assign", mend="assign that much, or less"
        )
    plans = []
    for account, part in _parts(asked, amount).items():
        plan = plan_transfer(Account.MASTER, account, part, asked.context.now, _CAP_4, asked.command_id)
        if plan is not None:
            plans.append(plan)
    return Done(asked.memory, "\n".join(map(_planned, plans)) or "nothing is left to move", tuple(plans))


def _parts(asked: Asked, amount: Decimal) -> dict[Account, Decimal]:
    target = asked.says("to").lower()
    if target == BY_SHARES:
        return dict(split_capital(amount, asked.context.shares))
    if target not in {engine.value for engine in ENGINES}:
        engines = ", ".join(engine.value for engine in ENGINES)
        raise RefusedError(
            f"{target!r} can get no deposit", where="assign", mend=f"say {BY_SHARES}, or one of {engines}"
        )
    return {Account(target): amount}


def _planned(plan: TransferPlanned) -> str:
    return f"{short_text(plan.amount)} USDT go from {plan.source.value} to {plan.target.value}"


def review(asked: Asked) -> Done:
    """Judge a symbol: take its entries up again, and assign or leave aside what was found in it (ORD-7, D13)."""
    symbol, action = asked.says("symbol").upper(), asked.says("action")
    if action not in ("", "assign", "ignore"):
        raise RefusedError(f"unknown action {action!r}", where="review", mend="say assign or ignore, or nothing")
    memory, lines = without_pause(asked.memory, Symbol(symbol)), Lines()
    orphan = _orphan_book(asked, symbol)
    if orphan is None:
        if symbol not in asked.memory.paused:
            raise RefusedError(
                f"{symbol or 'no symbol'} waits for no review", where="review", mend="see `eternal status`"
            )
        return Done(memory, f"{symbol}: entries go on")
    events: tuple[Event, ...] = ()
    if not action:
        raise RefusedError(
            f"{_held(orphan, symbol)} in the account of {orphan.account.value} belongs to nobody",
            where="review",
            mend="say --assign to give it to that engine, or --ignore to leave it aside",
        )
    if action == "ignore":
        lines.add(f"{_held(orphan, symbol)} stays unassigned: no engine uses it, it is not counted as equity")
    else:
        memory = _taken_over(asked, memory, orphan, symbol)
        events = _moves(asked, orphan, symbol)
        memory = _with_gain_from_outside(asked, memory, orphan.account, events)
        lines.add(f"{_held(orphan, symbol)} belongs to {orphan.account.value} from now on")
    lines.add(f"{symbol}: entries go on" if symbol in asked.memory.paused else "")
    return Done(memory if memory.paused != asked.memory.paused or events else asked.memory, lines.text(), events)


def _orphan_book(asked: Asked, symbol: str) -> Book | None:
    """Find the one unassigned book that holds a symbol. Refuses when there are two and none was named."""
    named = asked.says("account").lower()
    if named and named not in {account.value for account in Account}:
        known = ", ".join(account.value for account in Account)
        raise RefusedError(f"no account {named}", where="review", mend=f"the accounts are {known}")
    found = [
        book
        for book in asked.projection.books.all()
        if book.unassigned and (symbol in book.spot or symbol in book.perp) and named in ("", book.account.value)
    ]
    if len(found) > 1:
        where = ", ".join(book.account.value for book in found)
        raise RefusedError(f"{symbol} was found in {where}", where="review", mend="say which with --account")
    return found[0] if found else None


def _held(book: Book, symbol: str) -> str:
    spot, perp = book.spot.get(Symbol(symbol)), book.perp.get(Symbol(symbol))
    parts = [f"{short_text(spot.qty)} coins" if spot else "", f"{short_text(perp.qty)} perp" if perp else ""]
    return f"{symbol} ({', '.join(part for part in parts if part)})"


def _taken_over(asked: Asked, memory: Memory, orphan: Book, name: str) -> Memory:
    """Give the memory in which the engine of the account knows the position. Refuses what its rules cannot tend."""
    symbol = Symbol(name)
    place, own = asked.symbol_index(name), asked.projection.books.of(orphan.account)
    spot, perp = orphan.spot.get(symbol), orphan.perp.get(symbol)
    if orphan.account is Account.CORE_HODL and spot and not perp:
        return memory
    if orphan.account is Account.TACTICAL and spot and not perp:
        known, opened_h = memory.states.tactical, hour_of(spot.opened_at)
        # Dust of what was sold has no date, and must not lend one: the coins would be sold at the next daily close.
        is_first = symbol not in own.spot or known.first_buy_h[place] == 0
        state = tactical.on_buy(known, place, -1, 0.0, opened_h, bool(is_first))
        return replace(memory, states=memory.states._replace(tactical=state))
    if orphan.account is Account.TREND and perp and not spot and symbol not in own.perp:
        return replace(memory, states=memory.states._replace(trend=_opened_trend(asked, memory, perp, place)))
    if orphan.account is Account.FUNDING and spot and perp and _is_pair(asked, own, spot, perp, place):
        opened = funding.opened(asked.context.params.funding, memory.states.funding, place, asked.context.now_h)
        return replace(memory, states=memory.states._replace(funding=opened))
    raise RefusedError(
        f"{_held(orphan, name)} is no position that the rules of {orphan.account.value} could tend",
        where="review",
        mend="close it at the exchange, or say --ignore",
    )


def _with_gain_from_outside(asked: Asked, memory: Memory, account: Account, moves: Iterable[Event]) -> Memory:
    """Count what the holding is worth beyond its cost as money from outside, too: no rule has earned or lost it.

    Its cost is a flow by its entries. What was moved is compared with what the memory knows at the next decision, so
    taking the gain off there lets high and bases move by all of it (RISK-4). Refuses while there is no price.
    """
    gain = ZERO
    for row in moves:
        if not isinstance(row, Corrected) or row.unassigned or row.symbol is None:
            continue
        place, marks = asked.symbol_index(row.symbol), asked.context.marks
        price = float((marks.spot if row.market is Market.SPOT else marks.perp)[place])
        if not math.isfinite(price) or price <= 0.0:
            raise RefusedError(
                f"{row.symbol} has no price now, so nobody can say what it brings",
                where="review",
                mend="try again after the next completed hour, or say --ignore",
            )
        with exact_arithmetic():
            gain += row.qty * (exact_from_float(price) - row.price_usdt)
    known, number = list(memory.flowed_usdt), ENGINES.index(Engine(account.value))
    with exact_arithmetic():
        known[number] -= gain
    first, second, third, fourth = known
    return replace(memory, flowed_usdt=(first, second, third, fourth))


def _opened_trend(asked: Asked, memory: Memory, perp: PerpPosition, place: int) -> trend.TrendState:
    """Take a perp over with the operator's stop; its distance from the price stands for 2 ATR (TREND-S1, S2)."""
    params, price = asked.context.params, float(asked.context.marks.perp[place])
    side = 1 if perp.qty > ZERO else -1
    if side < 0 and not params.trend.shorts:
        raise RefusedError("TREND holds no shorts here", where="review", mend="close it at the exchange, or --ignore")
    stop = float(amount_of(asked, "stop_usdt")) if asked.says("stop_usdt") else 0.0
    if not stop or not side * (price - stop) > 0.0:
        raise RefusedError(
            f"TREND needs a stop {'below' if side > 0 else 'above'} the price, {price:g} USDT",
            where="review",
            mend="say --stop with the price at which the position is to be closed",
        )
    stop = trend.on_tick(stop, side, float(params.instruments.perp_tick[place]))
    atr = side * (price - stop) / params.trend.stop_atr
    entry, qty = float(perp.average_price), float(abs(perp.qty))
    return trend.opened(memory.states.trend, place, side, entry, atr, stop, qty)


def _is_pair(asked: Asked, own: Book, spot: SpotHolding, perp: PerpPosition, place: int) -> bool:
    hedged = spot.qty > ZERO > perp.qty
    wanted = asked.context.params.funding.weights[place] > 0.0
    return bool(hedged and wanted and spot.symbol not in own.spot and perp.symbol not in own.perp)


def _moves(asked: Asked, orphan: Book, name: str) -> tuple[Event, ...]:
    """Move a symbol from the unassigned book to the engine's own, as two corrections a row.

    The cash that paid for it follows when nothing else is left in the unassigned book.
    """
    symbol, at = Symbol(name), asked.context.now
    events: list[Event] = []

    def move(of: Symbol | None, coin: Coin, market: Market, qty: Decimal, price: Decimal) -> None:
        for unassigned, change in ((True, -qty), (False, qty)):
            number = RecordId(f"{asked.command_id}:{len(events) + 1}")
            events.append(
                Corrected(
                    at,
                    number,
                    orphan.account,
                    of,
                    coin,
                    market,
                    change,
                    price,
                    Mismatch.ORPHAN_POSITION,
                    "assigned by the operator",
                    unassigned,
                )
            )

    base = Coin(name.removesuffix(USDT))
    spot, perp = orphan.spot.get(symbol), orphan.perp.get(symbol)
    if spot:
        move(symbol, base, Market.SPOT, spot.qty, floor_to(spot.average_price, _PRICE_STEP))
    if perp:
        move(symbol, base, Market.PERP, perp.qty, floor_to(perp.average_price, _PRICE_STEP))
    if not (set(orphan.spot) | set(orphan.perp)) - {symbol}:
        for coin, qty in sorted(orphan.cash.items()):
            if qty:
                move(None, coin, Market.SPOT, qty, Decimal(1))
    return tuple(events)
