"""A restart goes on with the day: its orders, its fills and its result are those of the whole day, not of one run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from builders import a_history, an_intent
from eternal_engine.model import event as ev
from eternal_engine.model.ids import Account, Coin, Engine, RecordId
from eternal_engine.observe.picture import Counts, Picture, grown, summary_lines
from eternal_engine.observe.seeding import stored_picture
from eternal_engine.storage.store import Store

MIDNIGHT = datetime(2024, 3, 4, tzinfo=UTC)
NOON = MIDNIGHT + timedelta(hours=12)
TREND = Account.TREND


def marked(at: datetime, equity: str) -> list[ev.Event]:
    return [ev.EquityMarked(at, engine.account, Decimal(equity)) for engine in Engine]


def deposit(at: datetime, name: str, usdt: str) -> ev.Deposited:
    return ev.Deposited(at, RecordId(name), TREND, Coin("USDT"), Decimal(usdt), Decimal(usdt), at)


def planned(at: datetime, symbol: str) -> ev.OrderPlanned:
    intent = an_intent(engine=Engine.TREND, at=MIDNIGHT, symbol=symbol)
    return ev.OrderPlanned(at, TREND, intent, Coin("BTC"), Coin("USDT"))


def a_day() -> list[ev.Event]:
    """Yesterday 1,000 were paid in and an order was made; today the result was 20 at 00:00 and is 75 at noon."""
    yesterday = MIDNIGHT - timedelta(hours=5)
    return [
        deposit(yesterday, "first", "1000"),
        planned(yesterday, "SOLUSDT"),
        *marked(yesterday, "1000"),
        *marked(MIDNIGHT, "1020"),
        ev.ErrorOccurred(NOON, "a thing broke", "there", "mend it"),
        planned(NOON, "BTCUSDT"),
        planned(NOON, "ETHUSDT"),
        deposit(NOON, "second", "500"),
        *marked(NOON, "1575"),
    ]


async def stored(folder: Path, events: list[ev.Event]) -> Picture:
    store = await Store.open(folder / "eternal.db")
    await store.append(*events)
    await store.close()
    return stored_picture(folder / "eternal.db")


async def test_a_restart_goes_on_with_the_days_orders_and_result(tmp_path: Path) -> None:
    found, expected = await stored(tmp_path, a_day()), grown(Picture(), a_day())
    assert found.day == expected.day == MIDNIGHT.date()
    assert found.counts == expected.counts == Counts(orders=2, fills=0, problems=1)
    for account in (TREND, Account.FUNDING):
        assert found.worth(account).today_usdt == expected.worth(account).today_usdt
    assert found.worth(TREND).today_usdt == Decimal(55)
    later = [planned(NOON + timedelta(hours=1), "SOLUSDT"), *marked(NOON + timedelta(hours=1), "1600")]
    assert grown(found, later).counts.orders == 3
    assert grown(found, later).worth(TREND).today_usdt == Decimal(80)


async def test_a_restart_after_midnight_begins_a_new_day_and_sums_up_the_old_one(tmp_path: Path) -> None:
    found = await stored(tmp_path, a_day())
    tomorrow = MIDNIGHT + timedelta(days=1, hours=2)
    new = grown(found, [planned(tomorrow, "SOLUSDT")])
    assert (new.counts.orders, new.yesterday, new.yesterdays_counts.orders) == (1, MIDNIGHT.date(), 2)
    assert new.is_yesterday_closed
    # Not marked yet on the new day: what the last mark says is the old day's.
    assert any(line.startswith("TREND") and "that day +55.00" in line for line in summary_lines(new))
    rolled = grown(new, marked(tomorrow, "1585"))
    assert any(line.startswith("TREND") and "that day +65.00" in line for line in summary_lines(rolled))


async def test_a_summary_of_a_day_long_ago_claims_no_result_for_it(tmp_path: Path) -> None:
    found = await stored(tmp_path, a_day())
    days_later = MIDNIGHT + timedelta(days=5, hours=2)
    new = grown(found, marked(days_later, "1585"))
    assert new.yesterday == MIDNIGHT.date()
    assert not any("that day" in line for line in summary_lines(new))


async def test_the_days_fills_count_too(tmp_path: Path) -> None:
    events = a_history(NOON)
    found, expected = await stored(tmp_path, events), grown(Picture(), events)
    assert found.counts == expected.counts
    assert expected.counts.fills > 0
