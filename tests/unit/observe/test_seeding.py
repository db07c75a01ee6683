"""A restart shows at once what was there before it: money, positions, breaker and plan, exactly as they are stored."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from builders import a_history
from eternal_engine.ledger.equity import Prices
from eternal_engine.model import event as ev
from eternal_engine.model.errors import StorageError
from eternal_engine.model.ids import Account
from eternal_engine.observe.picture import Picture, grown, plan_of
from eternal_engine.observe.seeding import last_prices, stored_picture
from eternal_engine.storage.store import Store
from observe_builders import a_memory

AT = datetime(2024, 3, 4, 13, tzinfo=UTC)


async def test_what_is_stored_is_what_the_events_had_added_up_to(tmp_path: Path) -> None:
    database = tmp_path / "eternal.db"
    events = [*a_history(AT), ev.StateSaved(AT, "portfolio", 1, a_memory())]
    store = await Store.open(database)
    await store.append(*events)
    await store.close()
    found, expected = stored_picture(database), grown(Picture(), events)
    for account in Account:
        mine, theirs = found.books.of(account), expected.books.of(account)
        assert (mine.spot, mine.perp, mine.totals) == (theirs.spot, theirs.perp, theirs.totals)
        assert mine.cash_usdt == theirs.cash_usdt
    assert found.books.of(Account.TREND, unassigned=True).spot == expected.books.of(Account.TREND, unassigned=True).spot
    assert found.worth(Account.TREND).pnl_usdt == expected.worth(Account.TREND).pnl_usdt == Decimal("1.75")
    assert found.worth(Account.FUNDING).why_unknown == "no price of spot BTCUSDT"
    assert found.breaker == expected.breaker
    assert plan_of(found).core.startswith("DEPLOYING, 3 of 12")


def test_a_first_start_begins_with_nothing(tmp_path: Path) -> None:
    assert stored_picture(tmp_path / "eternal.db") == Picture()
    assert last_prices(tmp_path / "market.db", Picture().books) == Prices()


def test_a_file_that_is_no_database_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "eternal.db").write_text("nonsense " * 100)
    with pytest.raises(StorageError):
        stored_picture(tmp_path / "eternal.db")
