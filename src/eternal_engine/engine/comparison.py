"""One comparison of one account at work: what explains itself is booked, what is left is corrected (ORD-7)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final, TypeAlias

from eternal_engine.engine.external_money import external_entries
from eternal_engine.engine.findings import Alert, Findings, Lookup
from eternal_engine.engine.ownership import USER_MADE, Owners, book_execution, symbol_of
from eternal_engine.engine.snapshot import STALE_AFTER, Horizon, Snapshot, row_key, saved_horizon
from eternal_engine.exchange.account import LedgerRow, Position
from eternal_engine.exchange.orders import OrderReport
from eternal_engine.exchange.terms import Market, PositionSide
from eternal_engine.ledger.books import Books
from eternal_engine.ledger.equity import Prices
from eternal_engine.model.errors import BadReply
from eternal_engine.model.event import BookEntry, Corrected, FundingSettled, Mismatch, StateSaved
from eternal_engine.model.ids import ClientOrderId, Coin, RecordId, Symbol, read_client_order_id
from eternal_engine.model.money import CASH_COINS, DUST_USDT, ONE, ZERO, exact_arithmetic, short_text
from eternal_engine.storage.projection import Projection, StoredOrder

# Wallets are rounded where executions are not: a cent of cash is no difference.
CASH_TOLERANCE_USDT: Final = Decimal("0.01")
CASH: Final = "cash"
EVERYTHING: Final = "everything"
_POSITION_STOPS: Final = frozenset({"StopLoss", "TakeProfit", "TrailingStop", "PartialStopLoss", "PartialTakeProfit"})
IsDue: TypeAlias = Callable[[FundingSettled], bool]


@dataclass
class Comparison:
    """Gather findings on the way; `books` are the books as they would be after them."""

    snapshot: Snapshot
    projection: Projection
    owners: Owners
    prices: Prices
    books: Books
    is_due: IsDue
    later: list[FundingSettled] = field(default_factory=list)
    booked: list[BookEntry] = field(default_factory=list)
    corrections: list[Corrected] = field(default_factory=list)
    look_up: list[Lookup] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    pause: set[str] = field(default_factory=set)
    unvalued: tuple[LedgerRow, ...] = ()
    equal: set[Symbol] = field(default_factory=set)
    differences: int = 0

    def __post_init__(self) -> None:
        self.account = self.snapshot.account
        self.at = self.snapshot.taken_at
        self.open = {
            stored.order.client_order_id: stored
            for stored in self.projection.open_orders
            if stored.account is self.account
        }
        self.busy = {(stored.order.intent.market, stored.order.intent.key.symbol) for stored in self.open.values()}

    def book(self, entries: Iterable[BookEntry]) -> None:
        """Book entries that are not in the books yet."""
        for entry in entries:
            after = self.books.apply(entry)
            if after.is_new:
                self.books = after.books
                self.booked.append(entry)

    def book_executions(self, horizon: Horizon) -> None:
        """Book every execution since the horizon that the books lack, funding included."""
        for execution in self.snapshot.executions:
            if not horizon.counts(execution.execution_id, execution.at):
                continue
            try:
                owned = book_execution(execution, self.account, self.owners, self.books, self.at)
            except BadReply as error:
                self.tell(f"kind:{execution.execution_id}", error.message, execution.symbol, error.mend)
                continue
            if self.waits(owned.entries):
                continue
            self.book(owned.entries)
            self.differences += bool(owned.entries)
            if owned.entries and owned.is_foreign:
                self.tell_foreign(execution.execution_id, execution.symbol, execution.market, execution.side.value)

    def waits(self, entries: tuple[BookEntry, ...]) -> bool:
        """Set funding of an undecided hour aside: the wallet has it, the journal gets it with its hour."""
        early = [row for row in entries if isinstance(row, FundingSettled) and not self.is_due(row)]
        for row in early:
            self.books = self.books.apply(row).books
        self.later += early
        return bool(early)

    def tell_foreign(self, execution_id: str, symbol: str, market: Market, side: str) -> None:
        """Say that somebody else traded; in a perp entries wait for a review."""
        self.tell(
            f"manual:{execution_id}",
            f"{side} of {symbol} {market.value} by hand or by a stranger",
            symbol,
            "it is kept apart from the engine as unassigned; trade on another account",
        )
        if market is Market.PERP:
            self.pause.add(symbol)

    def book_outside(self, horizon: Horizon) -> None:
        """Book deposits, withdrawals and transfers that the books lack."""
        found = external_entries(self.snapshot, horizon, self.projection, self.books, self.owners, self.prices)
        self.book(found.entries)
        self.unvalued = found.unvalued
        for row in found.unvalued:
            self.tell(
                f"row:{row.row_id}",
                f"{row.kind.lower()} of {short_text(row.change)} {row.coin} cannot be booked",
                row.coin,
                "the daemon has no price or no holding for it; move such coins on another account",
            )

    def compare_orders(self) -> None:
        """Find orders of which one side knows what the other does not."""
        at_exchange: dict[str, OrderReport] = {}
        for report in self.snapshot.open_orders:
            if report.create_type not in USER_MADE or report.stop_order_type in _POSITION_STOPS:
                continue
            read = read_client_order_id(report.client_order_id)
            if read is None or read.engine.account is not self.account:
                self.differences += 1
                self.tell_order(report)
                continue
            at_exchange[report.client_order_id] = report
        for identifier, stored in self.open.items():
            if identifier not in at_exchange:
                self.look_up.append(_lookup(stored))
        for name, report in at_exchange.items():
            if ClientOrderId(name) not in self.open:
                self.differences += 1
                self.look_up.append(Lookup(report.market, Symbol(report.symbol), ClientOrderId(name)))
                self.busy.add((report.market, Symbol(report.symbol)))

    def tell_order(self, report: OrderReport) -> None:
        """Say that an open order is nobody's of ours."""
        self.tell(
            f"order:{report.venue_order_id}",
            f"an open {report.side.value} order in {report.symbol} {report.market.value} is not the daemon's",
            report.symbol,
            "cancel it, or leave it: what it fills is kept apart as unassigned",
        )

    def compare_holdings(self) -> None:
        """Compare what is left once all that explains itself is booked."""
        if not self.snapshot.is_settled:
            return
        self.compare_coins()
        self.compare_positions()
        if not self.busy:
            self.compare_cash()

    def compare_coins(self) -> None:
        """Correct the books to the coins in the wallet, symbols with an order under way left out."""
        own, left = self.books.of(self.account), self.books.of(self.account, unassigned=True)
        wallet = {symbol_of(row.coin): row for row in self.snapshot.wallet.coins if row.coin not in CASH_COINS}
        for symbol in sorted({*wallet, *own.spot, *left.spot}):
            rules = self.owners.rules.get((Market.SPOT, symbol))
            if (Market.SPOT, symbol) in self.busy:
                continue
            have = wallet[symbol].wallet_qty if symbol in wallet else ZERO
            own_qty = own.spot[symbol].qty if symbol in own.spot else ZERO
            left_qty = left.spot[symbol].qty if symbol in left.spot else ZERO
            step = rules.qty_step if rules else ZERO
            diff = have - own_qty - left_qty
            price = self.prices.spot.get(symbol)
            if abs(diff) <= step:
                self.equal.add(symbol)
                continue
            if price is None and diff < ZERO:
                # Nobody prices a delisted coin any more, and once it is gone the books must let go of it, too.
                price = (own.spot.get(symbol) or left.spot[symbol]).average_price
            if price is None or rules is None:
                self.tell_unpriced(symbol, have, wallet[symbol].usd_value if symbol in wallet else None)
                continue
            is_small = abs(diff) * price < DUST_USDT
            if is_small and diff > ZERO and not own_qty:
                continue
            new_left = min(left_qty, have) if self.owners.is_core(self.account, symbol) else max(have - own_qty, ZERO)
            changes = (have - new_left - own_qty, new_left - left_qty)
            is_orphan = not own_qty and not left_qty and bool(changes[1])
            self.correct(symbol, rules.base, Market.SPOT, changes, price, is_orphan)
            self.equal.add(symbol)
            if not is_small:
                self.tell_size(symbol, Market.SPOT, have, own_qty + left_qty, is_orphan)

    def compare_positions(self) -> None:
        """Correct the books to the perps held, symbols with an order under way left out."""
        own, left = self.books.of(self.account), self.books.of(self.account, unassigned=True)
        held = _positions(self.snapshot.positions)
        for symbol in sorted({*held, *own.perp, *left.perp}):
            if (Market.PERP, symbol) in self.busy:
                continue
            have, entry = held.get(symbol, (ZERO, None))
            own_qty = own.perp[symbol].qty if symbol in own.perp else ZERO
            left_qty = left.perp[symbol].qty if symbol in left.perp else ZERO
            if have == own_qty + left_qty:
                continue
            price = entry or self.prices.mark.get(symbol)
            if price is None and not have:
                price = (own.perp.get(symbol) or left.perp[symbol]).average_price
            if price is None:
                self.tell_unpriced(symbol, have, None)
                continue
            new_own = _kept(own_qty, have)
            changes = (new_own - own_qty, have - new_own - left_qty)
            is_orphan = not own_qty and not left_qty
            rules = self.owners.rules.get((Market.PERP, symbol))
            base = rules.base if rules else Coin(symbol.removesuffix("USDT"))
            self.correct(symbol, base, Market.PERP, changes, price, is_orphan)
            self.tell_size(symbol, Market.PERP, have, own_qty + left_qty, is_orphan)

    def correct(
        self,
        symbol: Symbol,
        base: Coin,
        market: Market,
        changes: tuple[Decimal, Decimal],
        price: Decimal,
        is_orphan: bool,
    ) -> None:
        """Set the engine's and the unassigned book to what the exchange holds together."""
        reason = Mismatch.ORPHAN_POSITION if is_orphan else Mismatch.WRONG_SIZE
        self.differences += 1
        for unassigned, qty in zip((False, True), changes, strict=True):
            if qty:
                name = f"{symbol}:{market.value}:{'left' if unassigned else 'own'}"
                self.add(
                    Corrected(
                        self.at, self.record(name, qty), self.account, symbol, base, market, qty, price, reason,
                        "the exchange holds it" if qty > ZERO else "the exchange does not hold it", unassigned,
                    )
                )  # fmt: skip

    def compare_cash(self) -> None:
        """Correct the cash to the wallet's, beyond a cent."""
        own, left = self.books.of(self.account), self.books.of(self.account, unassigned=True)
        for coin in sorted(CASH_COINS):
            row = self.snapshot.wallet.coin(coin)
            have = row.wallet_qty if row else ZERO
            with exact_arithmetic():
                diff = have - own.cash.get(Coin(coin), ZERO) - left.cash.get(Coin(coin), ZERO)
            if abs(diff) <= CASH_TOLERANCE_USDT:
                continue
            self.differences += 1
            self.add(
                Corrected(
                    self.at, self.record(coin, diff), self.account, None, Coin(coin), Market.SPOT, diff, ONE,
                    Mismatch.WRONG_BALANCE, f"the exchange has {short_text(have)}",
                )
            )  # fmt: skip
            self.tell(
                f"cash:{coin}:{self.at.isoformat()}",
                f"{coin} differed by {short_text(diff)} and was set to what the exchange has",
                coin,
                "look through the exchange's transaction log for interest, fees or a deduction",
            )

    def add(self, correction: Corrected) -> None:
        """Take a correction over into the books as they would be."""
        self.books = self.books.apply(correction).books
        self.corrections.append(correction)

    def record(self, name: str, qty: Decimal) -> RecordId:
        """Name a correction: another one of the same instant has another size."""
        stamp = self.at.isoformat(timespec="milliseconds")
        seen = self.books.of(self.account).seen, self.books.of(self.account, unassigned=True).seen
        made, n = f"{name}:{stamp}:{qty.normalize():f}", 1
        while any(f"correction:{made}#{n}" in ids for ids in seen):
            n += 1
        return RecordId(f"{made}#{n}")

    def tell(self, key: str, what: str, where: str, mend: str) -> None:
        """Say something once per key."""
        self.alerts.append(Alert(f"{self.account.value}:{key}", what, f"{self.account.value} {where}", mend))

    def tell_unpriced(self, symbol: Symbol, have: Decimal, usd_value: Decimal | None) -> None:
        """Say that coins worth more than dust cannot be compared."""
        if usd_value is None or usd_value >= DUST_USDT:
            self.tell(
                f"unpriced:{symbol}",
                f"{short_text(have)} of {symbol} cannot be compared: the daemon has no rules or no price of it",
                symbol,
                "hold such coins on another account",
            )

    def tell_size(self, symbol: Symbol, market: Market, have: Decimal, booked: Decimal, is_orphan: bool) -> None:
        """Say what was corrected or adopted, and let entries in the symbol wait."""
        key = f"size:{symbol}:{market.value}:{self.at.isoformat()}"
        if is_orphan:
            what = f"{short_text(have)} {symbol} {market.value} belongs to no order and was adopted as unassigned"
            self.tell(key, what, symbol, "sell it or move it away by hand; no engine uses it until then")
        else:
            what = (
                f"{symbol} {market.value} is {short_text(have)} at the exchange, the journal had {short_text(booked)}"
            )
            self.tell(key, f"{what}; corrected on record", symbol, "review the account, then resume the symbol")
        if market is Market.PERP or not is_orphan:
            self.pause.add(symbol)

    def findings(self, horizon: Horizon) -> Findings:
        """Give all that was gathered."""
        deferred = {symbol for _, symbol in self.busy} | ({CASH} if self.busy else set())
        if not self.snapshot.is_settled:
            deferred.add(EVERYTHING)
        return Findings(
            account=self.account,
            at=self.at,
            booked=tuple(self.booked),
            later=tuple(self.later),
            corrections=tuple(self.corrections),
            horizon=self.moved_horizon(horizon),
            look_up=tuple(self.look_up),
            pause=frozenset(self.pause),
            alerts=tuple(self.alerts),
            stops={Symbol(row.symbol): row.stop_loss or None for row in self.snapshot.positions if row.qty},
            deferred=frozenset(deferred),
            differences=self.differences,
        )

    def moved_horizon(self, horizon: Horizon) -> StateSaved | None:
        """Give the new horizon where something was found or the old one is far behind, else None."""
        is_stale = self.at - horizon.checked_to >= STALE_AFTER
        # The wallet has what such rows brought or took, and the books are as the wallet: booked later they would count
        # twice.
        explained = {row_key(row) for row in self.unvalued if symbol_of(row.coin) in self.equal}
        is_new = self.at > horizon.checked_to and (self.booked or self.corrections or is_stale)
        if not is_new and not explained and not horizon.is_ahead(self.at):
            return None
        # What is set aside must be found again after a crash.
        reach = min((self.at, *(row.settled_at for row in self.later)))
        known = horizon.known | explained
        return saved_horizon(self.account, replace(horizon, checked_to=reach, known=known), self.at)


def _positions(rows: Iterable[Position]) -> dict[Symbol, tuple[Decimal, Decimal | None]]:
    """Give the signed coins and the entry price of each perp held, both sides of a hedge summed."""
    held: dict[Symbol, tuple[Decimal, Decimal | None]] = {}
    for row in rows:
        if not row.qty:
            continue
        symbol = Symbol(row.symbol)
        signed = row.qty if row.side is PositionSide.LONG else -row.qty
        before = held.get(symbol, (ZERO, None))
        held[symbol] = (before[0] + signed, row.entry_price or before[1])
    return held


def _kept(own: Decimal, have: Decimal) -> Decimal:
    """Give what stays of an engine's position when the account holds `have`: never more, never turned over."""
    if not have or (own > ZERO) != (have > ZERO):
        return ZERO
    return own if abs(own) <= abs(have) else have


def _lookup(stored: StoredOrder) -> Lookup:
    intent = stored.order.intent
    return Lookup(intent.market, intent.key.symbol, intent.client_order_id)
