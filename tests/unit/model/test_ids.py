"""Identifiers and the client order id."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest

from eternal_engine.model.errors import ModelError
from eternal_engine.model.ids import Account, Engine, Leg, OrderKey, ReadOrderId, Symbol, read_client_order_id

MIDNIGHT = datetime(2024, 1, 31, tzinfo=UTC)
BTC = Symbol("BTCUSDT")


def a_key(
    engine: Engine = Engine.TREND,
    at: datetime = MIDNIGHT,
    symbol: str = "BTCUSDT",
    leg: Leg = Leg.ENTRY,
    attempt: int = 1,
) -> OrderKey:
    return OrderKey(engine, at, Symbol(symbol), leg, attempt)


def test_ord1_the_same_intent_always_has_the_same_id() -> None:
    assert a_key().client_order_id == a_key().client_order_id == "tr-2401310000-BTCUSDT-in-1"


@pytest.mark.parametrize(
    ("key", "written"),
    [
        (a_key(Engine.CORE_HODL, leg=Leg.BUY), "co-2401310000-BTCUSDT-buy-1"),
        (a_key(Engine.FUNDING, leg=Leg.SPOT_OPEN, symbol="SOLUSDT"), "fu-2401310000-SOLUSDT-so-1"),
        (a_key(Engine.TACTICAL, leg=Leg.LEVEL_2, attempt=12), "ta-2401310000-BTCUSDT-l2-12"),
        (a_key(at=MIDNIGHT + timedelta(milliseconds=1)), "tr-24013100000001-BTCUSDT-in-1"),
        (a_key(at=MIDNIGHT + timedelta(hours=13, minutes=5, seconds=59.999)), "tr-24013113051aan-BTCUSDT-in-1"),
    ],
)
def test_ord1_an_id_reads_back_to_its_intent(key: OrderKey, written: str) -> None:
    assert key.client_order_id == written
    assert read_client_order_id(written) == ReadOrderId(key.engine, key.decided_at, key.symbol, key.leg, key.attempt)


def test_ord1_a_long_symbol_is_hashed_into_the_36_characters() -> None:
    late = MIDNIGHT + timedelta(seconds=59.999)
    written = a_key(at=late, symbol="1000000BABYDOGEUSDT", leg=Leg.STOP, attempt=99).client_order_id
    assert len(written) == 36
    assert re.fullmatch(r"tr-24013100001aan-h[0-9a-f]{9}-stop-99", written)
    assert read_client_order_id(written) == ReadOrderId(Engine.TREND, late, None, Leg.STOP, 99)
    assert written != a_key(at=late, symbol="1000000BABYDOGEUSD", leg=Leg.STOP, attempt=99).client_order_id


def test_ord1_a_symbol_that_just_fits_is_not_hashed() -> None:
    fits = a_key(symbol="A" * 15, leg=Leg.STOP).client_order_id
    assert len(fits) == 36
    assert "A" * 15 in fits
    assert "-h" in a_key(symbol="A" * 16, leg=Leg.STOP).client_order_id


@pytest.mark.parametrize(
    "written",
    [
        "",
        "8c065341-7b52-4ca9-ac2c-37e31ac55c94",
        "xx-2401310000-BTCUSDT-in-1",
        "tr-2401310000-BTCUSDT-zz-1",
        "tr-2401310000-BTCUSDT-in-0",
        "tr-2401310000-BTCUSDT-in-100",
        "tr-2402300000-BTCUSDT-in-1",
        "tr-24013100000000-BTCUSDT-in-1",
        "tr-24013100001aao-BTCUSDT-in-1",
        "tr-2401310000-btcusdt-in-1",
        "tr-2401310000-BTCUSDT-in-1 ",
    ],
)
def test_ord1_an_id_that_is_not_ours_reads_as_none(written: str) -> None:
    assert read_client_order_id(written) is None


def test_ord4_the_rest_is_sent_under_the_next_attempt() -> None:
    assert a_key().again() == a_key(attempt=2)
    assert a_key().again().client_order_id.endswith("-2")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"at": datetime(2024, 1, 31)}, "whole UTC milliseconds"),
        ({"at": datetime(2024, 1, 31, tzinfo=timezone(timedelta(hours=1)))}, "whole UTC milliseconds"),
        ({"at": MIDNIGHT + timedelta(microseconds=1)}, "whole UTC milliseconds"),
        ({"at": datetime(1999, 12, 31, tzinfo=UTC)}, "outside 2000-2099"),
        ({"at": datetime(2100, 1, 1, tzinfo=UTC)}, "outside 2000-2099"),
        ({"symbol": "btcusdt"}, "upper-case"),
        ({"symbol": "B"}, "upper-case"),
        ({"symbol": "A" * 25}, "upper-case"),
        ({"attempt": 0}, "outside 1-99"),
        ({"attempt": 100}, "outside 1-99"),
    ],
)
def test_ord1_a_key_that_could_not_be_read_back_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ModelError, match=f"{message}.*; to mend: [a-z]"):
        a_key(**change)  # type: ignore[arg-type]


@pytest.mark.parametrize("at", [datetime(2000, 1, 1, tzinfo=UTC), datetime(2099, 12, 31, 23, 59, tzinfo=UTC)])
def test_ord1_the_edges_of_the_century_read_back(at: datetime) -> None:
    read = read_client_order_id(a_key(at=at, attempt=99).client_order_id)
    assert read is not None
    assert read.decided_at == at


def test_cap1_each_engine_has_its_own_account_and_legs_fit_the_id() -> None:
    assert [engine.account for engine in Engine] == [a for a in Account if a is not Account.MASTER]
    assert all(2 <= len(leg.value) <= 4 for leg in Leg)
