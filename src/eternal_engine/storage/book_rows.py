"""Books as rows: what changed between two books, and a book read back from its rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from typing import Any

from sqlalchemy import Table

from eternal_engine.ledger.book import Book, Totals
from eternal_engine.ledger.books import BookKey, Books
from eternal_engine.ledger.id_set import IdSet
from eternal_engine.model.ids import Account, Coin, Symbol
from eternal_engine.model.position import PerpPosition, SpotHolding
from eternal_engine.storage import schema
from eternal_engine.storage.change import Change, delete, upsert

TableRows = Mapping[str, Iterable[Mapping[str, Any]]]


def book_changes(before: Books, after: Books, touched: Iterable[BookKey]) -> Iterator[Change]:
    """Give the row changes that lead from one state of the touched books to the next."""
    for key in touched:
        old = before.of(key.account, unassigned=key.unassigned)
        new = after.of(key.account, unassigned=key.unassigned)
        owner = {"account": key.account.value, "unassigned": key.unassigned}
        totals = {field.name: getattr(new.totals, field.name) for field in fields(Totals)}
        yield upsert(schema.BOOKS, {**owner, **totals})
        yield from _amounts(schema.CASH, owner, old.cash, new.cash)
        yield from _amounts(schema.OTHER_FEES, owner, old.other_fees, new.other_fees)
        yield from _rows(schema.SPOT_HOLDINGS, owner, old.spot, new.spot)
        yield from _rows(schema.PERP_POSITIONS, owner, old.perp, new.perp)


def read_books(rows: TableRows) -> Books:
    """Build the books from the rows of their tables."""
    books: dict[BookKey, Book] = {}
    ids = _booked_ids(rows)
    for row in rows[schema.BOOKS.name]:
        key = _key(row)
        books[key] = Book(
            account=key.account,
            unassigned=key.unassigned,
            cash=_amounts_of(rows[schema.CASH.name], key),
            spot={h.symbol: h for h in (_holding(r) for r in rows[schema.SPOT_HOLDINGS.name] if _key(r) == key)},
            perp={p.symbol: p for p in (_position(r) for r in rows[schema.PERP_POSITIONS.name] if _key(r) == key)},
            totals=Totals(**{field.name: row[field.name] for field in fields(Totals)}),
            other_fees=_amounts_of(rows[schema.OTHER_FEES.name], key),
            seen=IdSet.of(ids.get(key, ())),
        )
    return Books(books)


def _booked_ids(rows: TableRows) -> dict[BookKey, list[str]]:
    """Gather what each book has seen from the tables that hold it."""
    ids: defaultdict[BookKey, list[str]] = defaultdict(list)
    for row in rows[schema.FILLS.name]:
        ids[_key(row)].append(f"exec:{row['execution_id']}")
    for row in rows[schema.FUNDING_PAYMENTS.name]:
        ids[BookKey(Account(row["account"]))].append(f"exec:{row['execution_id']}")
    for row in rows[schema.DEPOSITS.name]:
        ids[BookKey(Account(row["account"]))].append(f"deposit:{row['record_id']}")
    for row in rows[schema.CORRECTIONS.name]:
        ids[_key(row)].append(f"correction:{row['correction_id']}")
    for row in rows[schema.TRANSFERS.name]:
        if row["moved_at"] is not None:
            for side in (row["source"], row["target"]):
                ids[BookKey(Account(side))].append(f"transfer:{row['transfer_id']}")
    return ids


def _amounts(
    table: Table, owner: Mapping[str, Any], old: Mapping[Coin, Any], new: Mapping[Coin, Any]
) -> Iterator[Change]:
    for coin, amount in new.items():
        if old.get(coin) != amount:
            yield upsert(table, {**owner, "coin": coin, "amount": amount})


def _rows(
    table: Table, owner: Mapping[str, Any], old: Mapping[Symbol, Any], new: Mapping[Symbol, Any]
) -> Iterator[Change]:
    for symbol, row in new.items():
        if old.get(symbol) != row:
            yield upsert(table, {**owner, **{field.name: getattr(row, field.name) for field in fields(row)}})
    for symbol in old.keys() - new.keys():
        yield delete(table, {**owner, "symbol": symbol})


def _key(row: Mapping[str, Any]) -> BookKey:
    return BookKey(Account(row["account"]), bool(row["unassigned"]))


def _amounts_of(rows: Iterable[Mapping[str, Any]], key: BookKey) -> dict[Coin, Any]:
    return {Coin(row["coin"]): row["amount"] for row in rows if _key(row) == key}


def _holding(row: Mapping[str, Any]) -> SpotHolding:
    return SpotHolding(**{field.name: row[field.name] for field in fields(SpotHolding)})


def _position(row: Mapping[str, Any]) -> PerpPosition:
    return PerpPosition(**{field.name: row[field.name] for field in fields(PerpPosition)})
