"""Closed parts, read back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from builders import a_fill
from eternal_engine.ledger.pnl import closed_trades, net_usdt
from eternal_engine.model.event import Filled, FundingSettled
from eternal_engine.model.ids import Account, ExecutionId, Symbol
from eternal_engine.model.instrument import Market, Side
from eternal_engine.storage.chain import Head
from eternal_engine.storage.database import reading_engine
from eternal_engine.storage.history import Paid, read_closed_parts, read_funding_since
from eternal_engine.storage.store import Store

AT = datetime(2024, 1, 1, tzinfo=UTC)


async def test_risk7_closed_parts_read_back_as_they_were_booked(written: tuple[Path, Head]) -> None:
    database, _ = written
    store = await Store.open(database)
    sells = [
        Filled(AT, a_fill(f"z{n}", market=Market.PERP, side=Side.SELL, qty=qty, price="72000", order=f"o{n}"))
        for n, qty in enumerate(("0.2", "0.5"))
    ]
    closed = (await store.append(*sells)).closed
    await store.close()
    engine = reading_engine(database)
    with engine.connect() as connection:
        parts = read_closed_parts(connection, Account.TREND)
        assert read_closed_parts(connection, Account.FUNDING) == ()
    engine.dispose()
    assert parts[1:] == closed
    assert net_usdt(parts) == store.projection.books.of(Account.TREND).totals.closed_net_usdt
    (trade,) = closed_trades(parts)
    assert trade.qty == Decimal("1.0")


async def test_u_8_funding_of_an_instant_and_later_is_read_apart_from_the_rest(written: tuple[Path, Head]) -> None:
    database, _ = written
    store = await Store.open(database)
    times = [AT + timedelta(days=900, hours=hours) for hours in (-1, 0, 8)]
    size = (Decimal(1), Decimal(1), Decimal(1))
    await store.append(
        *(
            FundingSettled(at, Account.TREND, Symbol("BTCUSDT"), ExecutionId(f"later{n}"), *size, Decimal(n), at)
            for n, at in enumerate(times)
        )
    )
    await store.close()
    engine = reading_engine(database)
    with engine.connect() as connection:
        found = read_funding_since(connection, times[0])
    engine.dispose()
    assert sorted(found) == [Paid(Account.TREND, times[1], Decimal(1)), Paid(Account.TREND, times[2], Decimal(2))]
