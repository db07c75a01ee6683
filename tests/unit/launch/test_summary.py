"""What a run came to: the hash of its trades, and the comparison with the venue's own ledger."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from eternal_engine.launch.summary import Summary, Tally, hash_of

AT = datetime(2024, 1, 1, tzinfo=UTC)
ROWS = [
    (AT, "trend", "BTCUSDT", "perp", "buy", Decimal("0.010"), Decimal("42000.5"), "tr-1", AT, "TREND-E1"),
    (AT, "trend", "ETHUSDT", "perp", "buy", Decimal("0.2"), Decimal(2300), "tr-2", AT, "TREND-E1"),
    (AT, "funding", "BTCUSDT", "perp", "sell", Decimal("0.1"), Decimal(42000), None, None, None),
]


def test_the_hash_does_not_depend_on_the_order_of_rows_or_on_written_zeros() -> None:
    shuffled = random.Random(1).sample(ROWS, len(ROWS))
    assert hash_of(shuffled) == hash_of(ROWS)
    rewritten = [(*ROWS[0][:5], Decimal("0.01"), *ROWS[0][6:]), *ROWS[1:]]
    assert hash_of(rewritten) == hash_of(ROWS)


@pytest.mark.parametrize("field", range(10))
def test_the_hash_changes_with_every_field(field: int) -> None:
    row = list(ROWS[0])
    row[field] = "another"
    assert hash_of([tuple(row), *ROWS[1:]]) != hash_of(ROWS)


def test_a_trade_twice_is_another_hash() -> None:
    assert hash_of([*ROWS, ROWS[0]]) != hash_of(ROWS)


def a_summary(**changes: object) -> Summary:
    values: dict[str, object] = {
        "mode": "paper",
        "market": "SYNTHETIC DATA",
        "engines": ("trend",),
        "started_at": AT,
        "ended_at": AT,
        "reason": "SIGTERM",
        "hours": 3,
        "tally": Tally(5, 4, "abc"),
        "equity_usdt": {"core_hodl": Decimal("60000.1"), "trend": Decimal(20000)},
        "differences": (),
        "config_hash": "c",
        "head": "h",
    }
    made: Summary = Summary(**{**values, **changes})  # type: ignore[arg-type]
    return made


def test_the_document_has_what_scripts_rely_on() -> None:
    found = a_summary().document()
    assert (found["orders"], found["fills"], found["result_hash"]) == (5, 4, "abc")
    assert found["equity_usdt"] == {"core_hodl": "60000.1", "trend": "20000", "portfolio": "80000.1"}
    assert found["venue_ledger_matches"] is True


def test_u_6_an_unknown_equity_makes_the_sum_unknown_and_no_answer_is_no_match() -> None:
    found = a_summary(equity_usdt={"core_hodl": None, "trend": Decimal(1)}, differences=None).document()
    assert found["equity_usdt"] == {"core_hodl": None, "trend": "1", "portfolio": None}
    assert found["venue_ledger_matches"] is None
    assert a_summary(differences=("trend USDT: 1, 2",)).document()["venue_ledger_matches"] is False
