"""Plain rows: one moment, exact texts, and money moved after a time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from eternal_engine.model.errors import StorageError
from eternal_engine.model.event import Deposited, EquityMarked, Noted, Transferred
from eternal_engine.model.ids import Account, Coin, RecordId, RuleId, TransferId
from eternal_engine.storage.store import Store
from eternal_engine.storage.times import time_text
from eternal_engine.storage.views import last_closes, open_view

AT = datetime(2024, 1, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
USDT = Coin("USDT")


async def test_a_view_sees_one_moment_whatever_is_written_meanwhile(database: Path) -> None:
    store = await Store.open(database)
    await store.append(Noted(AT, RuleId("U-1"), "before"))
    with open_view(database) as view:
        assert [row["body"]["detail"] for row in view.events("Noted", limit=9)] == ["before"]
        await store.append(Noted(AT, RuleId("U-1"), "meanwhile"))
        assert [row["body"]["detail"] for row in view.events("Noted", limit=9)] == ["before"]
    with open_view(database) as view:
        assert [row["body"]["detail"] for row in view.events(limit=9)] == ["meanwhile", "before"]
        assert [row["seq"] for row in view.events_after(1)] == [2]
        assert view.events("Noted", limit=9, holding=('"detail":"before"',))[0]["seq"] == 1
    await store.close()


async def test_marks_are_found_by_time_and_unknown_equity_stays_unknown(database: Path) -> None:
    store = await Store.open(database)
    await store.append(
        EquityMarked(AT, Account.TREND, Decimal("100.10")),
        EquityMarked(AT + HOUR, Account.TREND, None, "no price"),
    )
    await store.close()
    with open_view(database) as view:
        newest = view.mark("trend")
        assert newest is not None
        assert (newest["equity_usdt"], newest["reason"]) == (None, "no price")
        earlier = view.mark("trend", time_text(AT))
        assert earlier is not None
        assert earlier["equity_usdt"] == "100.10"
        assert view.first_mark_in("trend", time_text(AT - HOUR), time_text(AT - HOUR / 2)) is None
        assert view.first_mark_in("trend", time_text(AT), time_text(AT + HOUR)) == earlier


async def test_core10_a_deposit_counts_from_when_it_was_booked_and_transfers_have_a_sign(database: Path) -> None:
    heard_late = Deposited(AT + HOUR, RecordId("d1"), Account.TREND, USDT, Decimal(5), Decimal(5), AT - HOUR)
    before = Deposited(AT - HOUR, RecordId("d0"), Account.TREND, USDT, Decimal(7), Decimal(7), AT - HOUR)
    moved = Transferred(
        AT + HOUR, TransferId("t1"), Account.TREND, Account.TACTICAL, USDT, Decimal(3), RuleId("CAP-2")
    )  # fmt: skip
    store = await Store.open(database)
    await store.append(before, heard_late, moved)
    await store.close()
    with open_view(database) as view:
        flows = [Decimal(row["value_usdt"]) * row["sign"] for row in view.flows_after("trend", time_text(AT))]
        assert sorted(flows) == [Decimal(-3), Decimal(5)]
        assert [row["sign"] for row in view.flows_after("tactical", time_text(AT))] == [1]


async def test_core10_money_that_a_mark_holds_already_does_not_count_again_whatever_the_seconds_say(
    database: Path,
) -> None:
    second = timedelta(seconds=1)
    store = await Store.open(database)
    await store.append(
        Deposited(AT + 2 * second, RecordId("d0"), Account.TREND, USDT, Decimal(7), Decimal(7), AT + second),
        Transferred(AT + second, TransferId("t0"), Account.TACTICAL, Account.TREND, USDT, Decimal(1), RuleId("CAP-2")),
        EquityMarked(AT, Account.TREND, Decimal(8)),
        Deposited(AT - HOUR, RecordId("d1"), Account.TREND, USDT, Decimal(5), Decimal(5), AT - HOUR),
    )
    await store.close()
    with open_view(database) as view:
        assert [row["value_usdt"] for row in view.flows_after("trend", time_text(AT))] == ["5"]


def test_a_directory_in_the_files_place_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "eternal.db").mkdir()
    with pytest.raises(StorageError, match="cannot be read"), open_view(tmp_path / "eternal.db"):
        pass


def test_without_a_file_of_bars_no_close_is_known(tmp_path: Path) -> None:
    assert last_closes(tmp_path / "market.db", [("spot", "BTCUSDT")]) == {}
