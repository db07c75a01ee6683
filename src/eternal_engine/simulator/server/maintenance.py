"""The maintenance path, never part of Bybit's API: the ledger as JSON, a hand on the clock, deposits, faults."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, replace
from decimal import Decimal
from typing import Any

from eternal_engine.market_data.history import DAY_MS, HOUR_MS
from eternal_engine.model.errors import UsageError
from eternal_engine.simulator.feeds import HistoryFeed
from eternal_engine.simulator.server.call import Json
from eternal_engine.simulator.server.params import Params
from eternal_engine.simulator.server.render import text
from eternal_engine.simulator.server.world import World
from eternal_engine.simulator.venue import Account, Quote, VenueReject
from eternal_engine.simulator.venue.audit import totals
from eternal_engine.simulator.venue.instruments import Category

# A year takes about two seconds, in which nobody else is answered.
LONGEST_STEP_MS = 3653 * DAY_MS
COIN = re.compile(r"[A-Z0-9]{1,20}", re.ASCII)
STATUSES = ("PreLaunch", "Trading", "ReduceOnly", "Delivering", "Closed", "Delisted")
Verb = Callable[[World, Params], Json]


def ledger(world: World, params: Params) -> Json:
    """Show every account (or one, by `account`): balances, positions, orders, executions, log."""
    wanted = params.text("account")
    state = world.venue.state
    return {
        "now_ms": state.now_ms,
        "accounts": [
            {
                "name": account.name,
                "uid": account.uid,
                "parent_uid": account.parent_uid,
                "balances": {coin: text(held) for coin, held in state.books.coins(account.uid)},
                "positions": [plain(row) for row in state.positions_of(account.uid)],
                "open_orders": [plain(row) for row in state.opens(account.uid)],
                "closed_orders": [plain(row) for row in state.closed.get(account.uid, ())],
                "executions": [plain(row) for row in state.executions.get(account.uid, ())],
                "log": [plain(row) for row in state.logs.get(account.uid, ())],
            }
            for account in state.accounts.values()
            if not wanted or wanted in {account.name, str(account.uid)}
        ],
    }


def audit(world: World, _params: Params) -> Json:
    """Check the books now: `wrong` is empty when they balance exactly."""
    return {
        "wrong": list(world.venue.audit()),
        "totals": {
            coin: {name: text(held) for name, held in row.items()} for coin, row in totals(world.venue.state).items()
        },
    }


def show_clock(world: World, _params: Params) -> Json:
    """Show venue time, its speed, and the range the prices cover."""
    return {
        "now_ms": world.venue.state.now_ms,
        "speed": world.clock.speed,
        "market_start_ms": world.feed.start_ms,
        "market_end_ms": world.feed.end_ms,
    }


def show_sentiment(world: World, _params: Params) -> Json:
    """Show the market's own fear-and-greed index, `[day_ms, value]` of each day begun; live prices have none."""
    feed, now_ms = world.feed, world.venue.state.now_ms
    if not isinstance(feed, HistoryFeed):
        return {"days": []}
    known = feed.history.sentiment
    rows = zip(known.day_ms.tolist(), known.value.tolist(), strict=True)
    return {"days": [[day_ms, value] for day_ms, value in rows if day_ms <= now_ms]}


def advance(world: World, params: Params) -> Json:
    """Move a stepped clock: `to_ms`, or `hours` and `ms` from now."""
    if world.clock.speed:
        raise VenueReject(400, "only a stepped clock can be advanced: start with --speed 0")
    now_ms = world.venue.state.now_ms
    step = (params.decimal("hours") or Decimal(0)) * HOUR_MS + (params.integer("ms") or 0)
    to_ms = params.integer("to_ms") or now_ms + int(step)
    if to_ms < now_ms:
        raise VenueReject(400, f"the clock stands at {now_ms} and cannot go back to {to_ms}")
    if to_ms > now_ms + LONGEST_STEP_MS:
        raise VenueReject(400, f"one step is at most {LONGEST_STEP_MS // DAY_MS} days: advance in several")
    world.step_to(to_ms)
    return show_clock(world, params)


def deposit(world: World, params: Params) -> Json:
    """Bring coins into an account (negative takes them out)."""
    account = find_account(world, params.need("account"))
    coin = params.text("coin", "USDT")
    if not COIN.fullmatch(coin):
        raise VenueReject(400, f"{coin!r} is not the name of a coin")
    held = world.venue.deposit(account.uid, coin, params.need_decimal("amount"))
    world.settle()
    return {"balance": text(held)}


def add_faults(world: World, params: Params) -> Json:
    """Add faults (`faults`: a list), after clearing all when `clear` is true."""
    if params.flag("clear"):
        world.faults.clear()
    rows = params.values.get("faults", [])
    if not isinstance(rows, list):
        raise VenueReject(400, "faults must be a list")
    try:
        world.faults.add(rows)
    except (UsageError, TypeError) as error:
        raise VenueReject(400, str(error)) from error
    return {"faults": [{**asdict(fault), "kind": str(fault.kind)} for fault in world.faults.faults]}


def set_quote(world: World, params: Params) -> Json:
    """Set the price of a symbol by hand, as a tick that touches what rests: for tests on a stepped clock."""
    category: Category = params.category()
    key = (category, params.need("symbol"))
    if key not in world.venue.state.instruments:
        raise VenueReject(400, f"there is no {key[0]} {key[1]}")
    last = params.need_decimal("last")
    mark, index = params.decimal("mark") or last, params.decimal("index") or last
    bid, ask = params.decimal("bid") or last, params.decimal("ask") or last
    if min(last, mark, index, bid, ask) <= 0:
        raise VenueReject(400, "a price is above zero")
    world.venue.tick({key: Quote(last, bid, ask, mark, index)})
    world.settle()
    return {}


def set_instrument(world: World, params: Params) -> Json:
    """Change a symbol's rules: `status`, `tick`, `qty_step`, `min_qty`, `min_value`, `max_market_qty`."""
    category, symbol = params.category(), params.need("symbol")
    item = world.venue.state.instruments.get((category, symbol))
    if item is None:
        raise VenueReject(400, f"there is no {category} {symbol}")
    changes: dict[str, Any] = {
        name: value
        for name in ("tick", "qty_step", "quote_step", "min_qty", "min_value", "max_market_qty", "max_limit_qty")
        if (value := params.decimal(name)) is not None
    }
    if any(changes[name] <= 0 for name in ("tick", "qty_step", "quote_step") if name in changes):
        raise VenueReject(400, "a step is above zero")
    if params.text("status"):
        changes["status"] = params.choice("status", STATUSES)
    world.venue.change_instrument(replace(item, **changes))
    world.settle()
    return {}


def set_maintenance(world: World, params: Params) -> Json:
    """Close the exchange for maintenance, or open it again (`on`)."""
    world.under_maintenance = params.flag("on")
    return {"on": world.under_maintenance}


VERBS: dict[tuple[str, str], Verb] = {
    ("GET", "/maintenance/ledger"): ledger,
    ("GET", "/maintenance/audit"): audit,
    ("GET", "/maintenance/clock"): show_clock,
    ("GET", "/maintenance/sentiment"): show_sentiment,
    ("POST", "/maintenance/advance"): advance,
    ("POST", "/maintenance/deposit"): deposit,
    ("POST", "/maintenance/faults"): add_faults,
    ("POST", "/maintenance/quote"): set_quote,
    ("POST", "/maintenance/instrument"): set_instrument,
    ("POST", "/maintenance/closed"): set_maintenance,
}


def find_account(world: World, name: str) -> Account:
    """Find an account by name or uid."""
    for account in world.venue.state.accounts.values():
        if name in {account.name, str(account.uid)}:
            return account
    raise VenueReject(400, f"there is no account {name!r}")


def plain(row: Any) -> Json:
    """Write a venue record as JSON: Decimals as text, None as null."""
    return {name: _value(value) for name, value in asdict(row).items()}


def _value(value: Any) -> Any:
    if isinstance(value, Decimal):
        return text(value)
    return {key: _value(child) for key, child in value.items()} if isinstance(value, dict) else value
