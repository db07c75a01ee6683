"""Begin a picture with what is stored, so that a restart shows at once what was there before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from eternal_engine.ledger.book import Book, Totals
from eternal_engine.ledger.books import BookKey, Books
from eternal_engine.ledger.equity import Prices
from eternal_engine.model.event import BreakerChanged
from eternal_engine.model.ids import Account, Coin, Engine, RuleId, Symbol
from eternal_engine.model.instrument import Market
from eternal_engine.model.money import ZERO, exact_arithmetic
from eternal_engine.model.position import PerpPosition, SpotHolding
from eternal_engine.observe.picture import MEMORY_OWNER, Counts, Picture, Worth, counted, paid_in_usdt
from eternal_engine.storage.codec import decode_event
from eternal_engine.storage.times import read_time, time_text
from eternal_engine.storage.views import View, last_closes, open_view

_TOTALS = tuple(Totals.__dataclass_fields__)
_DAY: Final = timedelta(days=1)
# Documents of kilobytes, hour by hour, of which none is counted, are left out.
_EVENTS_SINCE: Final = (
    "SELECT kind, body FROM journal WHERE at >= ? AND kind NOT IN ('StateSaved', 'Decided') ORDER BY seq"
)


def stored_picture(database: Path) -> Picture:
    """Read what a daemon left behind, an empty picture where none has run; nothing is locked.

    Read it before the daemon opens the database: what is in here is not offered as an event again. Raises StorageError
    or SchemaError.
    """
    if not database.is_file():
        return Picture()
    with open_view(database) as view:
        books = _books(view)
        saved = view.state(MEMORY_OWNER)
        midnight = _last_midnight(view)
        return Picture(
            day=None if midnight is None else midnight.date(),
            counts=Counts() if midnight is None else _counts_since(view, midnight),
            worths={engine.account: _worth(view, books, engine.account, midnight) for engine in Engine},
            books=books,
            breaker=_breaker(view),
            memory="" if saved is None else saved["document"],
        )


def last_prices(bars: Path, books: Books) -> Prices:
    """Read the last closes of what is held from the daemon's file of bars. Raises StorageError."""
    held = {(market, symbol) for book in books.all() for market, rows in _held(book) for symbol in rows}
    closes = last_closes(bars, sorted((market.value, symbol) for market, symbol in held))
    prices = {key: close for key, (_, close) in closes.items()}

    def of(market: Market) -> Mapping[Symbol, Decimal]:
        return {Symbol(symbol): price for (name, symbol), price in prices.items() if name == market.value}

    return Prices(spot=of(Market.SPOT), mark=of(Market.PERP))


def _held(book: Book) -> tuple[tuple[Market, Mapping[Symbol, Any]], ...]:
    return (Market.SPOT, book.spot), (Market.PERP, book.perp)


def _last_midnight(view: View) -> datetime | None:
    """Give the beginning of the last day on record: a start on that day goes on counting it."""
    last = view.last_entry()
    return None if last is None else read_time(last["at"]).replace(hour=0, minute=0, second=0, microsecond=0)


def _counts_since(view: View, midnight: datetime) -> Counts:
    counts = Counts()
    for row in view.rows(_EVENTS_SINCE, time_text(midnight)):
        counts = counted(counts, decode_event(row["kind"], row["body"]))
    return counts


def _worth(view: View, books: Books, account: Account, midnight: datetime | None) -> Worth:
    mark = view.mark(account.value)
    worth = Worth(paid_in_usdt=paid_in_usdt(books.of(account)))
    if mark is None:
        return worth
    equity = mark["equity_usdt"]
    worth = replace(worth, equity_usdt=None if equity is None else Decimal(equity), why_unknown=mark["reason"])
    return worth if midnight is None else _with_day(view, worth, account, midnight)


def _with_day(view: View, worth: Worth, account: Account, midnight: datetime) -> Worth:
    """Add the result at which the day began: at its first mark, without the money that came after it."""
    first = view.first_mark_in(account.value, time_text(midnight), time_text(midnight + _DAY))
    if first is None or first["equity_usdt"] is None:
        return worth
    with exact_arithmetic():
        came = (Decimal(row["value_usdt"]) * row["sign"] for row in view.flows_after(account.value, first["at"]))
        began = Decimal(first["equity_usdt"]) - (worth.paid_in_usdt - sum(came, ZERO))
    return replace(worth, day=midnight.date(), day_pnl_usdt=began)


def _breaker(view: View) -> BreakerChanged | None:
    row = view.breaker()
    if row is None:
        return None
    return BreakerChanged(
        at=read_time(row["changed_at"]),
        previous=row["previous"],
        level=row["level"],
        equity_usdt=Decimal(row["equity_usdt"]),
        high_usdt=Decimal(row["high_usdt"]),
        rule=RuleId(row["rule"]),
        detail=row["detail"],
    )


def _books(view: View) -> Books:
    books = {
        (row["account"], bool(row["unassigned"])): Book(
            account=Account(row["account"]),
            unassigned=bool(row["unassigned"]),
            totals=Totals(**{name: Decimal(row[name]) for name in _TOTALS}),
        )
        for row in view.books()
    }
    for row in view.cash():
        key = (row["account"], bool(row["unassigned"]))
        cash = {**books[key].cash, Coin(row["coin"]): Decimal(row["amount"])}
        books[key] = replace(books[key], cash=cash)
    for row in view.positions():
        key = (row["account"], bool(row["unassigned"]))
        books[key] = _with_position(books[key], row)
    return Books({BookKey(Account(account), unassigned): book for (account, unassigned), book in books.items()})


def _with_position(book: Book, row: Mapping[str, Any]) -> Book:
    symbol, opened_at = Symbol(row["symbol"]), _time(row["opened_at"])
    qty, cost, fees = (Decimal(row[name]) for name in ("qty", "cost_usdt", "fees_usdt"))
    if row["market"] == Market.SPOT.value:
        return replace(book, spot={**book.spot, symbol: SpotHolding(symbol, qty, cost, fees, opened_at)})
    position = PerpPosition(symbol, qty, cost, fees, Decimal(row["funding_usdt"]), opened_at)
    return replace(book, perp={**book.perp, symbol: position})


def _time(text: str) -> datetime:
    return read_time(text)
