"""The one writer: journal and tables together, exactly, durably, once."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from builders import a_fill, a_history, an_intent
from eternal_engine.model.errors import BookError, LockHeld, ModelError, StorageError, UnknownTransition
from eternal_engine.model.event import CommandApplied, Deposited, Filled, Noted, OrderMoved, OrderPlanned, Transferred
from eternal_engine.model.ids import Account, Coin, CommandId, Engine, Leg, OrderKey, RecordId, RuleId, Symbol
from eternal_engine.model.instrument import Market, Side
from eternal_engine.model.order import OrderIntent, OrderKind, OrderState, Trigger
from eternal_engine.storage.chain import GENESIS, Head
from eternal_engine.storage.database import reading_engine
from eternal_engine.storage.store import Store
from eternal_engine.storage.verify import projection_difference, rebuild, verify

AT = datetime(2024, 1, 1, tzinfo=UTC)
D = Decimal
NOTE = Noted(AT, RuleId("CORE-4"), "extended")


async def write(database: Path, *, each: bool = False) -> Store:
    """Open a store and write the history, in one commit or in one for each event."""
    store = await Store.open(database)
    history = a_history()
    for batch in [[event] for event in history] if each else [history]:
        appended = await store.append(*batch)
        assert all(appended.new)
    return store


def rows(database: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(sql).fetchall()


async def test_c6_a_restart_reads_back_exactly_what_was_there(database: Path) -> None:
    store = await write(database)
    before, head = store.projection, store.head
    await store.close()
    again = await Store.open(database)
    assert again.projection == before
    assert again.head == head == Head(len(a_history()), head.hash)
    assert (await again.append(NOTE)).head.seq == head.seq + 1
    await again.close()


async def test_c6_the_tables_equal_a_rebuild_from_the_journal(database: Path) -> None:
    store = await write(database, each=True)
    await store.close()
    engine = reading_engine(database)
    with engine.connect() as connection:
        assert projection_difference(connection) == ""
        assert rebuild(connection).projection == store.projection
    engine.dispose()


async def test_one_commit_and_many_commits_leave_the_same_rows(database: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.sqlite"
    one, many = await write(database), await write(other, each=True)
    assert one.projection == many.projection
    assert one.head == many.head
    await one.close()
    await many.close()


async def test_what_is_kept_can_be_read_as_plain_tables(database: Path) -> None:
    await (await write(database)).close()
    assert rows(database, "SELECT weeks FROM (SELECT document AS weeks FROM engine_states)") == [
        ('{"weeks_remaining":11}',)
    ]
    assert rows(database, "SELECT level, high_usdt FROM breaker") == [(2, "40000")]
    assert rows(database, "SELECT qty, cost_usdt FROM perp_positions") == [("0.7", "49042.042000000000")]
    assert rows(database, "SELECT state, filled_qty FROM orders ORDER BY engine DESC") == [
        ("filled", "1.0"),
        ("cancelled", "0.070227"),
    ]
    assert rows(database, "SELECT symbol FROM spot_holdings WHERE unassigned = 1") == [("ETHUSDT",)]
    assert rows(database, "SELECT transfer_id, moved_at IS NULL FROM transfers ORDER BY 1") == [("t1", 0), ("t2", 1)]
    assert rows(database, "SELECT account, equity_usdt FROM equity_marks ORDER BY 1") == [
        ("funding", None),
        ("trend", "20001.5"),
    ]
    assert rows(database, "SELECT stop_reason FROM runs") == [("SIGTERM",)]


async def test_the_projection_answers_what_the_daemon_asks(database: Path) -> None:
    store = await write(database)
    projection = store.projection
    assert list(projection.pending_transfers) == ["t2"]
    assert projection.states["core_hodl"].document == '{"weeks_remaining":11}'
    assert projection.states["core_hodl"].schema_version == 1
    assert projection.breaker is not None
    assert projection.breaker.level == 2
    assert projection.phases["core_hodl"].phase == "DEPLOYING"
    assert projection.commands == {"k1"}
    assert projection.run is not None
    assert projection.run.mode == "paper"
    assert projection.open_orders == ()
    await store.append(OrderPlanned(AT, Account.TREND, an_intent(attempt=2), Coin("BTC"), Coin("USDT")))
    (planned,) = store.projection.open_orders
    assert (planned.order.state, planned.account) == (OrderState.PLANNED, Account.TREND)
    await store.close()


async def test_ord4_what_was_seen_before_is_not_journaled_again(database: Path) -> None:
    store = await write(database)
    head = store.head
    repeated = [e for e in a_history() if isinstance(e, (Filled, Transferred, Deposited, CommandApplied, OrderPlanned))]
    again = await store.append(*repeated)
    assert again.new == (False,) * len(repeated)
    assert (again.head, store.head, again.closed) == (head, head, ())
    await store.close()


async def test_a_batch_says_what_it_closed(database: Path) -> None:
    store = await write(database)
    sell = a_fill("p9", market=Market.PERP, side=Side.SELL, qty="0.7", price="80000")
    appended = await store.append(NOTE, Filled(AT, sell), Filled(AT, sell))
    assert appended.new == (True, True, False)
    (part,) = appended.closed
    assert (part.qty, part.is_last) == (D("0.7"), True)
    await store.close()
    assert rows(database, "SELECT count(*) FROM perp_positions") == [(0,)]
    verify(database)


async def test_ord1_an_intent_cannot_take_the_id_of_another(database: Path) -> None:
    store = await write(database)
    other = OrderPlanned(AT, Account.TREND, replace(an_intent(), qty=D(2)), Coin("BTC"), Coin("USDT"))
    with pytest.raises(ModelError, match="another intent has this client order id"):
        await store.append(other)
    await store.close()


async def test_an_event_that_cannot_follow_leaves_nothing_and_the_store_goes_on(database: Path) -> None:
    store = await write(database)
    head, projection = store.head, store.projection
    order = an_intent().client_order_id
    with pytest.raises(UnknownTransition, match="filled cannot get send"):
        await store.append(NOTE, OrderMoved(AT, order, Trigger.SEND))
    with pytest.raises(BookError, match="left a book that holds"):
        await store.append(NOTE, Filled(AT, a_fill("z1", side=Side.SELL, qty="99")))
    with pytest.raises(ModelError, match=r"no order for accept .*order tr-2401010000-BTCUSDT-in-9"):
        await store.append(OrderMoved(AT, an_intent(attempt=9).client_order_id, Trigger.ACCEPT))
    assert (store.head, store.projection) == (head, projection)
    assert (await store.append(NOTE)).head.seq == head.seq + 1
    await store.close()
    assert verify(database).rows == head.seq + 1


async def test_d19_a_float_is_refused_before_anything_is_written(database: Path) -> None:
    store = await Store.open(database)
    with pytest.raises(StorageError, match="cannot store a float"):
        await store.append(NOTE, replace(NOTE, amount_usdt=0.5))  # type: ignore[arg-type]
    assert store.head == Head(0, GENESIS)
    await store.append(NOTE)
    await store.close()


async def test_appending_nothing_changes_nothing(database: Path) -> None:
    store = await Store.open(database)
    appended = await store.append()
    assert (appended.head, appended.new, appended.closed) == (Head(0, GENESIS), (), ())
    await store.close()


async def test_many_writers_in_one_process_take_turns(database: Path) -> None:
    store = await Store.open(database)
    await asyncio.gather(*(store.append(replace(NOTE, detail=str(n))) for n in range(20)))
    await store.close()
    assert verify(database).rows == 20


async def test_a_reader_beside_the_writer_sees_whole_commits(database: Path) -> None:
    store = await Store.open(database)

    async def write_on() -> None:
        for n in range(30):
            await store.append(Filled(AT, a_fill(f"e{n}")), NOTE)

    writing = asyncio.ensure_future(write_on())
    seen = []
    while not writing.done():
        seen.append((await asyncio.to_thread(verify, database)).rows)
        await asyncio.sleep(0)
    await writing
    await store.close()
    assert all(rows_seen % 2 == 0 for rows_seen in seen)
    assert verify(database).rows == 60


async def test_a_cancelled_caller_does_not_tear_a_commit(database: Path) -> None:
    store = await Store.open(database)
    for n in range(10):
        task = asyncio.ensure_future(store.append(replace(NOTE, detail=str(n)), NOTE))
        for _ in range(n):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await store.append(NOTE)
    head = store.head
    await store.close()
    assert verify(database).head == head
    assert head.seq % 2 == 1


async def test_a_failed_write_closes_the_store(database: Path) -> None:
    store = await write(database)
    head = store.head
    with closing(sqlite3.connect(database)) as other:
        other.execute("DROP TABLE spot_holdings")
    with pytest.raises(StorageError, match=r"the database failed.*spot_holdings"):
        await store.append(NOTE, Filled(AT, a_fill("z1")))
    with pytest.raises(StorageError, match="a write failed before"):
        await store.append(NOTE)
    await store.close()
    assert rows(database, "SELECT max(seq) FROM journal") == [(head.seq,)]


async def test_a_closed_store_refuses(database: Path) -> None:
    store = await Store.open(database)
    await store.close()
    with pytest.raises(StorageError, match="the store is closed"):
        await store.append(NOTE)


async def test_ord8_one_database_has_one_store(database: Path) -> None:
    store = await Store.open(database)
    with pytest.raises(LockHeld, match=r"another daemon .* uses this database"):
        await Store.open(database)
    await store.close()
    await (await Store.open(database)).close()


async def test_the_files_belong_to_their_owner_alone(database: Path) -> None:
    await (await write(database)).close()
    for path in database.parent.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


async def test_commits_are_durable_by_the_settings_that_make_them_so(database: Path) -> None:
    store = await Store.open(database)
    pragmas = [f"PRAGMA {name}" for name in ("journal_mode", "synchronous")]
    answers = [[row[0] for row in await store._writer.execute_fetchall(pragma)] for pragma in pragmas]
    assert answers == [["wal"], [2]]
    assert store._writer.isolation_level == "IMMEDIATE"
    await store.close()


async def test_equal_numbers_written_differently_do_not_count_as_a_difference(database: Path) -> None:
    store = await Store.open(database)
    for n, amount in enumerate(("1.0", "0.00", "2.500", "-1.5")):
        await store.append(Deposited(AT, RecordId(f"d{n}"), Account.TREND, Coin("USDT"), D(amount), D(amount), AT))
        await store.close()
        store = await Store.open(database)
    await store.close()
    verify(database)
    assert store.projection.books.of(Account.TREND).cash_usdt == 2


async def test_a_command_is_applied_once(database: Path) -> None:
    store = await Store.open(database)
    command = CommandApplied(AT, CommandId("k1"), "halt", "{}", "halted", accepted=True)
    later = replace(command, at=AT + timedelta(minutes=1), answer="again")
    assert (await store.append(command)).new == (True,)
    assert (await store.append(later)).new == (False,)
    await store.close()
    assert rows(database, "SELECT answer FROM commands") == [("halted",)]


async def test_ord1_an_order_decided_again_after_its_fill_was_learned_is_never_sent(database: Path) -> None:
    """A database restored from an old backup learns the fill from the exchange, then the engine decides anew."""
    store = await Store.open(database)
    intent = an_intent()
    for execution, qty in (("p2", "0.6"), ("p1", "0.4")):
        fill = a_fill(execution, market=Market.PERP, qty=qty, order=intent.client_order_id)
        await store.append(Filled(AT, fill))
    assert list(store.projection.unplanned_fills) == [intent.client_order_id]
    await store.close()
    store = await Store.open(database)
    await store.append(OrderPlanned(AT, Account.TREND, intent, Coin("BTC"), Coin("USDT")))
    stored = store.projection.orders[intent.client_order_id]
    assert (stored.order.state, stored.order.filled_qty) == (OrderState.FILLED, 1)
    assert store.projection.unplanned_fills == {}
    with pytest.raises(UnknownTransition):
        await store.append(OrderMoved(AT, intent.client_order_id, Trigger.SEND))
    await store.close()
    verify(database)


async def test_core_12_an_order_is_the_same_read_back_or_not(tmp_path: Path) -> None:
    key = OrderKey(Engine.TREND, AT, Symbol("BTCUSDT"), Leg.ENTRY)
    size, price = Decimal("1.500"), Decimal("4E+4")
    intent = OrderIntent(key, Market.PERP, Side.BUY, OrderKind.MARKET, price, RuleId("TREND-E1"), qty=size)
    planned = OrderPlanned(AT, Account.TREND, intent, Coin("BTC"), Coin("USDT"))
    path = tmp_path / "eternal.db"
    store = await Store.open(path)
    await store.append(planned, OrderMoved(AT, intent.client_order_id, Trigger.SEND, detail="with a stop at 4E+4"))
    alive, head = store.projection, store.head
    await store.close()
    store = await Store.open(path)
    assert store.projection == alive
    assert store.head == head
    await store.close()
