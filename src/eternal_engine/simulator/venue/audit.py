"""The venue's own audit: books that must balance, compared with sums that were kept separately."""

from __future__ import annotations

from decimal import Decimal

from eternal_engine.simulator.venue.books import HOUSE_NAMES, OUTSIDE
from eternal_engine.simulator.venue.entities import ZERO
from eternal_engine.simulator.venue.instruments import SPOT
from eternal_engine.simulator.venue.margin import locked_of
from eternal_engine.simulator.venue.state import VenueState


def audit(state: VenueState) -> tuple[str, ...]:
    """Check every identity of the books and return what does not hold, empty when all is well.

    Conservation: wallets plus house holders equal the declared deposits, per coin. Logs: each wallet equals the sum
    of its transaction log. Positions: size and cost follow from the fills. Locks: nothing closed holds anything.
    """
    return (
        *_conservation(state),
        *_wallets_follow_logs(state),
        *_positions_follow_fills(state),
        *_spot_never_negative(state),
        *_locks_are_covered(state),
        *_orders_add_up(state),
    )


def _conservation(state: VenueState) -> list[str]:
    coins = sorted({coin for _, coin in state.books.balances})
    wrong = []
    for coin in coins:
        total, declared = state.books.total(coin), state.books.declared.get(coin, ZERO)
        if total != declared:
            wrong.append(f"{coin}: all holders together have {total}, deposits declared are {declared}")
    return wrong


def _wallets_follow_logs(state: VenueState) -> list[str]:
    wrong = []
    for (holder, coin), balance in state.books.balances.items():
        logged = state.checks.get(f"log:{holder}:{coin}", ZERO)
        if holder > 0 and balance != logged:
            wrong.append(f"account {holder} {coin}: wallet {balance}, sum of its log {logged}")
    return wrong


def _positions_follow_fills(state: VenueState) -> list[str]:
    wrong = []
    for (uid, symbol, idx), position in state.positions.items():
        name = f"{uid}:{symbol}:{idx}"
        size = state.checks.get(f"size:{name}", ZERO)
        # What was paid for the position in all, plus what closing parts earned, is what the rest has cost.
        cost = state.checks.get(f"value:{name}", ZERO) + state.checks.get(f"pnl:{name}", ZERO)
        if position.size != size:
            wrong.append(f"position {name}: size {position.size}, its fills add up to {size}")
        if position.cost != cost:
            wrong.append(f"position {name}: cost {position.cost}, its fills say {cost}")
        if not position.size and (position.cost or position.margin):
            wrong.append(f"position {name}: flat, yet cost {position.cost} and margin {position.margin} are left")
    return wrong


def _spot_never_negative(state: VenueState) -> list[str]:
    return [
        f"account {holder} {coin}: balance {balance} is below zero"
        for (holder, coin), balance in state.books.balances.items()
        if holder > 0 and coin != "USDT" and balance < ZERO
    ]


def _locks_are_covered(state: VenueState) -> list[str]:
    """USDT is left out: a perpetual's loss may eat into what a resting order had set aside."""
    wrong = []
    for (holder, coin), balance in state.books.balances.items():
        if holder > 0 and coin != "USDT":
            locked = locked_of(state, holder, coin)
            if locked > balance:
                wrong.append(f"account {holder} {coin}: {locked} is locked, {balance} is there")
    return wrong


def _orders_add_up(state: VenueState) -> list[str]:
    wrong = []
    for uid, orders in state.open_orders.items():
        for order in orders.values():
            if not order.is_open:
                wrong.append(f"order {order.order_id} of {uid}: {order.status} among the open ones")
            if not order.in_quote and order.cum_qty + order.leaves_qty != order.qty:
                wrong.append(f"order {order.order_id} of {uid}: filled and left do not add up to {order.qty}")
            if order.category == SPOT and order.locked < ZERO:
                wrong.append(f"order {order.order_id} of {uid}: locks {order.locked}")
    return wrong


def totals(state: VenueState) -> dict[str, dict[str, Decimal]]:
    """Sum up per coin: accounts, each house holder, and the declared deposits."""
    table: dict[str, dict[str, Decimal]] = {}
    for (holder, coin), balance in sorted(state.books.balances.items()):
        if holder == OUTSIDE:
            continue
        row = table.setdefault(coin, {"declared": state.books.declared.get(coin, ZERO)})
        name = HOUSE_NAMES.get(holder, "accounts")
        row[name] = row.get(name, ZERO) + balance
    return table
