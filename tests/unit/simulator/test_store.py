"""The state file: what was committed comes back exactly."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from eternal_engine.model.errors import DataError, RefusedError
from eternal_engine.simulator.soak import Soak
from eternal_engine.simulator.store import VenueStore, wipe
from eternal_engine.simulator.venue import OrderRequest, Venue
from eternal_engine.simulator.venue.matching import floor_to


def test_a_venue_read_back_is_the_venue_that_was_committed(tmp_path: Path) -> None:
    soak = Soak(1)
    store = VenueStore(tmp_path / "venue.db")
    for _ in range(30):
        for _ in range(40):
            soak.step()
        store.commit(soak.venue, venue_ms=soak.venue.state.now_ms)
    store.close()
    again = VenueStore(tmp_path / "venue.db")
    state = soak.venue.state
    read = Venue(state.config, now_ms=int(again.meta()["venue_ms"]), instruments=state.instruments)
    again.load(read)
    again.close()
    assert read.audit() == ()
    assert read.state.now_ms == state.now_ms
    for name in ("accounts", "books", "orders", "links", "positions", "executions", "logs", "closed_pnl", "transfers"):
        mine, theirs = getattr(state, name), getattr(read.state, name)
        if name == "books":
            mine, theirs = (mine.balances, mine.declared), (theirs.balances, theirs.declared)
        if name == "positions":
            mine = {key: row for key, row in mine.items() if row.seq >= 0}
            theirs = {key: row for key, row in theirs.items() if row.seq >= 0}
        assert theirs == mine, name
    assert read.state.counter == state.counter
    assert {uid: list(rows) for uid, rows in read.state.open_orders.items() if rows} == {
        uid: list(rows) for uid, rows in state.open_orders.items() if rows
    }
    closed = {uid: sorted(order.order_id for order in rows) for uid, rows in state.closed.items()}
    assert {uid: sorted(order.order_id for order in rows) for uid, rows in read.state.closed.items()} == closed


def test_decimals_come_back_with_every_digit(tmp_path: Path) -> None:
    venue = Venue(now_ms=0)
    uid = venue.open_account("MASTER").uid
    venue.deposit(uid, "USDT", Decimal("12345678.123456789012"))
    store = VenueStore(tmp_path / "venue.db")
    store.commit(venue)
    read = Venue(now_ms=0)
    store.load(read)
    store.close()
    assert str(read.balance(uid, "USDT")) == "12345678.123456789012"


def test_changed_trading_rules_outlive_a_restart(tmp_path: Path) -> None:
    venue = Venue(now_ms=0)
    rules = replace(venue.state.instruments["spot", "BTCUSDT"], min_value=Decimal(25))
    venue.change_instrument(rules)
    store = VenueStore(tmp_path / "venue.db")
    store.commit(venue)
    read = Venue(now_ms=0)
    store.load(read)
    store.close()
    assert read.state.instruments == venue.state.instruments


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "venue.db"
    store = VenueStore(path)
    with pytest.raises(RefusedError, match="another process"):
        VenueStore(path)
    with pytest.raises(RefusedError, match="another process"):
        wipe(path)
    store.close()
    wipe(path)
    assert not path.exists()


def test_a_file_of_another_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "venue.db"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version=99")
    with pytest.raises(DataError, match="schema 99"):
        VenueStore(path)


def test_what_is_older_than_two_years_leaves_the_file_and_the_books_still_balance(tmp_path: Path) -> None:
    year_ms = 365 * 86_400_000
    soak = Soak(1)
    venue, state = soak.venue, soak.venue.state
    for _ in range(600):
        soak.step()
    store = VenueStore(tmp_path / "venue.db")
    patient = venue.open_account("patient").uid
    venue.deposit(patient, "USDT", Decimal(100))
    far = OrderRequest(
        "spot", "BTCUSDT", "Buy", "Limit", Decimal("0.01"), price=floor_to(soak.prices["BTCUSDT"], Decimal("0.1")),
        trigger_price=Decimal(900_000), order_filter="StopOrder",
    )  # fmt: skip
    waiting = venue.create_order(patient, far)
    edge_ms = state.now_ms
    venue.advance(state.now_ms + year_ms)
    for _ in range(300):
        soak.step()
    venue.advance(edge_ms + 2 * year_ms)
    store.commit(venue, venue_ms=state.now_ms)
    before = store.size()
    store.close()
    store = VenueStore(tmp_path / "venue.db")
    read = Venue(state.config, now_ms=state.now_ms, instruments=state.instruments)
    store.load(read)
    after = store.size()
    store.close()
    assert read.audit() == ()
    assert read.state.books.balances == state.books.balances
    assert read.state.transfers == state.transfers
    old = [row for rows in state.executions.values() for row in rows if row.time_ms < edge_ms]
    kept = {row.exec_id: row for rows in read.state.executions.values() for row in rows}
    assert len(old) > 100
    young = [row for rows in state.executions.values() for row in rows if row.time_ms >= edge_ms]
    assert kept == {row.exec_id: row for row in young}
    assert {order.order_id for orders in read.state.open_orders.values() for order in orders.values()} == {
        order.order_id for uid in state.accounts for order in state.opens(uid)
    }
    assert read.state.opens(patient) == [waiting]
    assert after["order"] < before["order"]
    assert after["log"] < before["log"]
    assert after["closed_pnl"] < before["closed_pnl"]
    assert {
        kind: count for kind, count in after.items() if kind not in {"order", "log", "closed_pnl", "execution"}
    } == {kind: count for kind, count in before.items() if kind not in {"order", "log", "closed_pnl", "execution"}}


def test_a_file_that_is_no_database_is_named_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "venue.db"
    path.write_text("a letter to a friend, and not a database at all\n" * 20)
    with pytest.raises(DataError, match=r"cannot be read.*--fresh"):
        VenueStore(path)
    assert path.read_text().startswith("a letter")
    wipe(path)
    VenueStore(path).close()


def test_a_database_of_another_program_is_refused_untouched(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE journal (seq INTEGER)")
    before = path.read_bytes()
    with pytest.raises(DataError, match="another program"):
        VenueStore(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "row", [("order", "x", "{"), ("order", "x", "{}"), ("nonsense", "x", "{}"), ("order", "x", '{"uid":1,"zzz":2}')]
)
def test_a_damaged_row_is_said_and_not_guessed(tmp_path: Path, row: tuple[str, str, str]) -> None:
    path = tmp_path / "venue.db"
    VenueStore(path).close()
    with sqlite3.connect(path) as db:
        db.execute("INSERT INTO entity (kind, key, doc) VALUES (?, ?, ?)", row)
    store = VenueStore(path)
    with pytest.raises(DataError, match=r"cannot be read.*restore it"):
        store.load(Venue(now_ms=0))
    store.close()
