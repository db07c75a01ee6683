"""Open the books of an account the journal knows nothing of: a first start, or a lost database (CORE-12, ORD-7).

What history explains comes back as if it had never been lost: positions all of whose executions carry this engine's
order ids are the engine's again. Everything else is opening balance, or adopted as unassigned. docs/decisions/0090.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from eternal_engine.engine.findings import Alert
from eternal_engine.engine.ownership import USER_MADE, Owners, is_ours, symbol_of
from eternal_engine.engine.snapshot import Snapshot, opened_horizon, saved_horizon
from eternal_engine.exchange.orders import Execution
from eternal_engine.exchange.terms import ExecutionKind, Market, PositionSide, Side
from eternal_engine.exchange.translate import fill_of, funding_of
from eternal_engine.ledger.books import Books
from eternal_engine.ledger.equity import Prices
from eternal_engine.model.event import (
    BookEntry,
    Corrected,
    Deposited,
    Event,
    Filled,
    FundingSettled,
    Mismatch,
    Reconciled,
)
from eternal_engine.model.fill import Fill
from eternal_engine.model.ids import Account, Coin, RecordId, Symbol
from eternal_engine.model.money import CASH_COINS, DUST_USDT, ZERO, exact_arithmetic, is_dust, short_text
from eternal_engine.model.rule import Rule

RULES: tuple[Rule, ...] = (
    Rule(
        "CORE-12",
        "With the database lost, coins bought within the last interval wait for one interval from their last fill, "
        "coins held without a purchase in history wait one interval from now, and only coins not held are bought now.",
        ("core_hodl.interval_h",),
        (
            "tests/unit/engine/test_adopt.py::test_c4_all_coins_held_are_bought_an_interval_after_their_last_fill",
            "tests/unit/engine/test_adopt.py::test_c5_only_the_coins_not_held_are_bought_now",
        ),
    ),
)

# How far back the history of an account without a database is read: costs and owners come from it.
LOOK_BACK: Final = timedelta(days=90)
# Executions that the ledger has an entry for.
_KNOWN_KINDS: Final = frozenset({ExecutionKind.TRADE, ExecutionKind.BUST, ExecutionKind.ADL, ExecutionKind.DELIVERY})
_HOUR: Final = timedelta(hours=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Opening:
    """Hold the events that open an account's books, to be appended in one transaction, and what a person must know.

    `reassigned` are the fills by which the engine got back what it holds: rules rebuild their states from them.
    """

    account: Account
    events: tuple[Event, ...]
    alerts: tuple[Alert, ...] = ()
    reassigned: tuple[Fill, ...] = ()


def open_account(snapshot: Snapshot, owners: Owners, prices: Prices) -> Opening:
    """Find the opening entries of one account; the snapshot must reach back to `LOOK_BACK` where there is history.

    Cash and CORE_HODL's coins become deposits under "opening:ACCOUNT:COIN", so CORE-10 never sees them again.
    """
    return _Opener(snapshot, owners, prices).opening()


def held_back(
    snapshot: Snapshot, books: Books, prices: Prices, symbols: Sequence[str], interval_h: int
) -> tuple[tuple[int, int], ...]:
    """Give (symbol index, hour) before which CORE_HODL buys no coin that it held when the database was lost (C4, C5).

    `books` are those after opening. Hours since the epoch; a dust holding holds nothing back (ORD-5).
    """
    book = books.of(Account.CORE_HODL)
    bought: dict[str, datetime] = {}
    for row in snapshot.executions:
        if row.market is Market.SPOT and row.side is Side.BUY and row.kind is ExecutionKind.TRADE:
            bought[row.symbol] = max(row.at, bought.get(row.symbol, row.at))
    rows = []
    for index, name in enumerate(symbols):
        held, price = book.spot.get(Symbol(name)), prices.spot.get(Symbol(name))
        if held is None or (price is not None and is_dust(held.qty, price)):
            continue
        last = bought.get(name)
        start = last if last is not None and last > snapshot.taken_at - interval_h * _HOUR else snapshot.taken_at
        rows.append((index, -((_EPOCH - start) // _HOUR) + interval_h))
    return tuple(rows)


class _Opener:
    """Gather opening entries; `books` are the account's books as they grow."""

    def __init__(self, snapshot: Snapshot, owners: Owners, prices: Prices) -> None:
        self.snapshot = snapshot
        self.account = snapshot.account
        self.at = snapshot.taken_at
        self.owners = owners
        self.prices = prices
        self.books = Books()
        self.entries: list[BookEntry] = []
        self.alerts: list[Alert] = []
        self.reassigned: list[Fill] = []
        self.orphans = 0

    def opening(self) -> Opening:
        self.explain()
        self.open_positions()
        self.open_coins()
        cash = self.cash_entries()
        horizon = saved_horizon(self.account, opened_horizon(self.snapshot), self.at)
        words = "books opened" + (f", {self.orphans} holdings adopted as unassigned" if self.orphans else "")
        summary = Reconciled(self.at, self.account, self.orphans, words)
        # Money first: a history that only shows purchases would else be read as debt.
        events = (*cash, *self.entries, summary, horizon)
        return Opening(self.account, events, tuple(self.alerts), tuple(self.reassigned))

    def book(self, entry: BookEntry) -> None:
        after = self.books.apply(entry)
        if after.is_new:
            self.books = after.books
            self.entries.append(entry)

    def explain(self) -> None:
        """Book the executions by which this engine came to what the account holds now."""
        spot = {symbol_of(row.coin): row.wallet_qty for row in self.snapshot.wallet.coins}
        perp = signed_positions(self.snapshot)
        chosen: list[Filled | FundingSettled] = []
        for (market, symbol), rules in self.owners.rules.items():
            name = Symbol(symbol)
            have = (spot if market is Market.SPOT else perp).get(name, ZERO)
            tolerance = rules.qty_step if market is Market.SPOT else ZERO
            if not have or (market is Market.SPOT and abs(have) <= tolerance):
                continue
            rows = [row for row in self.snapshot.executions if (row.market, row.symbol) == (market, symbol)]
            chain = explained(rows, have, tolerance, self.account, self.owners)
            if not chain:
                continue
            chosen += [Filled(self.at, fill) for fill in chain]
            if market is Market.PERP:
                payments = (funding_of(row, self.account, self.at) for row in rows if row.at > chain[0].executed_at)
                chosen += [payment for payment in payments if payment is not None]
            if market is Market.PERP or not self.owners.is_core(self.account, symbol):
                self.reassigned += chain
                self.tell_reassigned(name, market, have)
        for entry in sorted(chosen, key=_when):
            self.book(entry)

    def open_positions(self) -> None:
        entry_prices = {row.symbol: row.entry_price for row in self.snapshot.positions if row.qty}
        own = self.books.of(self.account)
        for symbol, have in signed_positions(self.snapshot).items():
            if symbol in own.perp:
                continue
            price = entry_prices[symbol] or self.prices.mark.get(symbol)
            if price is None:
                self.tell_unknown(symbol, have)
                continue
            self.adopt(symbol, Coin(symbol.removesuffix("USDT")), Market.PERP, have, price)

    def open_coins(self) -> None:
        for row in self.snapshot.wallet.coins:
            symbol = symbol_of(row.coin)
            if row.coin in CASH_COINS or not row.wallet_qty or symbol in self.books.of(self.account).spot:
                continue
            price = self.prices.spot.get(symbol)
            if price is None or (Market.SPOT, symbol) not in self.owners.rules:
                if row.usd_value is None or row.usd_value >= DUST_USDT:
                    self.tell_unknown(symbol, row.wallet_qty)
                continue
            if self.owners.is_core(self.account, symbol):
                with exact_arithmetic():
                    value = row.wallet_qty * price
                coin = Coin(row.coin)
                self.book(Deposited(self.at, self.record(coin), self.account, coin, row.wallet_qty, value, self.at))
            elif not is_dust(row.wallet_qty, price):
                cost = average_cost(self.snapshot.executions, symbol) or price
                self.adopt(symbol, Coin(row.coin), Market.SPOT, row.wallet_qty, cost)

    def cash_entries(self) -> list[BookEntry]:
        """Open with the money that, with the history booked, gives what the wallet holds."""
        found: list[BookEntry] = []
        book = self.books.of(self.account)
        for name in sorted(CASH_COINS):
            coin, row = Coin(name), self.snapshot.wallet.coin(name)
            with exact_arithmetic():
                amount = (row.wallet_qty if row else ZERO) - book.cash.get(coin, ZERO)
            if amount:
                found.append(Deposited(self.at, self.record(coin), self.account, coin, amount, amount, self.at))
        return found

    def adopt(self, symbol: Symbol, base: Coin, market: Market, qty: Decimal, price: Decimal) -> None:
        self.orphans += 1
        self.book(
            Corrected(
                self.at, RecordId(f"opening:{self.account.value}:{symbol}:{market.value}"), self.account, symbol, base,
                market, qty, price, Mismatch.ORPHAN_POSITION, "held when the books were opened", unassigned=True,
            )
        )  # fmt: skip
        self.tell(
            f"orphan:{symbol}:{market.value}",
            f"{short_text(qty)} {symbol} {market.value} was there when the books were opened, adopted as unassigned",
            symbol,
            "sell it or move it away by hand; no engine uses it until then",
        )

    def record(self, coin: Coin) -> RecordId:
        return RecordId(f"opening:{self.account.value}:{coin}")

    def tell_reassigned(self, symbol: Symbol, market: Market, have: Decimal) -> None:
        self.tell(
            f"reassigned:{symbol}:{market.value}",
            f"{short_text(have)} {symbol} {market.value} is the engine's again: all its orders carry the engine's ids",
            symbol,
            "compare its stop and its size with what you expect; halt the engine if in doubt",
        )

    def tell_unknown(self, symbol: Symbol, have: Decimal) -> None:
        self.tell(
            f"unpriced:{symbol}",
            f"{short_text(have)} of {symbol} has no price here and is in no book",
            symbol,
            "hold such coins on another account",
        )

    def tell(self, key: str, what: str, where: str, mend: str) -> None:
        self.alerts.append(Alert(f"{self.account.value}:{key}", what, f"{self.account.value} {where}", mend))


def explained(
    rows: Iterable[Execution], have: Decimal, tolerance: Decimal, account: Account, owners: Owners
) -> tuple[Fill, ...]:
    """Give the executions since the holding was last flat, if they are this engine's and add up to it; else nothing.

    CORE_HODL's own coins need no ids: whoever bought them, they are its holdings. What the exchange did by itself (a
    stop, a liquidation) is the engine's too.
    """
    chain: list[Fill] = []
    held = ZERO
    for row in rows:
        rules = owners.rules[row.market, row.symbol]
        fill = fill_of(row, account, rules) if row.kind in _KNOWN_KINDS else None
        if fill is None:
            if row.kind.is_fill:
                return ()
            continue
        is_core = row.market is Market.SPOT and owners.is_core(account, row.symbol)
        if not (is_core or is_ours(row, account) or row.create_type not in USER_MADE):
            return ()
        with exact_arithmetic():
            fee = fill.fee if fill.fee_coin == fill.base and fill.market is Market.SPOT else ZERO
            held += fill.side.sign * fill.qty - fee
        if fill.market is Market.SPOT and held < -tolerance:
            return ()
        chain.append(fill)
        if abs(held) <= tolerance:
            chain, held = [], ZERO
    return tuple(chain) if abs(held - have) <= tolerance else ()


def signed_positions(snapshot: Snapshot) -> Mapping[Symbol, Decimal]:
    """Give the signed coins of each perp held."""
    held: dict[Symbol, Decimal] = {}
    for row in snapshot.positions:
        if row.qty:
            signed = row.qty if row.side is PositionSide.LONG else -row.qty
            held[Symbol(row.symbol)] = held.get(Symbol(row.symbol), ZERO) + signed
    return {symbol: qty for symbol, qty in held.items() if qty}


def average_cost(rows: Iterable[Execution], symbol: str) -> Decimal | None:
    """Give the mean price of the spot purchases of a symbol in history, None without any."""
    bought = [
        row
        for row in rows
        if (row.market, row.symbol, row.side) == (Market.SPOT, symbol, Side.BUY) and row.kind is ExecutionKind.TRADE
    ]
    qty = sum((row.qty for row in bought), ZERO)
    return sum((row.value_usdt for row in bought), ZERO) / qty if qty else None


def _when(entry: Filled | FundingSettled) -> datetime:
    """Give the time alone: within an instant the exchange's own order stays, in which nothing is sold unbought."""
    return entry.fill.executed_at if isinstance(entry, Filled) else entry.settled_at
