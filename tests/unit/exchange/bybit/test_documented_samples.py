"""The answers that the exchange's documents show, and some that were recorded, are read as what they are.

They lie in the shared data, which not every machine has.
"""

from __future__ import annotations

import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from eternal_engine.exchange.bybit import wire
from eternal_engine.exchange.bybit.errors import CATALOGUE, Verb, from_code
from eternal_engine.exchange.bybit.wire.shape import Shape
from eternal_engine.model.errors import UnknownOutcome

SHARED = Path(os.environ.get("ETERNAL_SHARED_DATA", Path(__file__).parents[5] / "shared" / "data"))
SAMPLES = SHARED / "bybit_v5_samples"
LISTS: list[tuple[str, Shape[Any]]] = [
    ("docs_account_wallet-balance_1", wire.WALLET),
    ("docs_account_transaction-log_1", wire.LEDGER_ROW),
    ("docs_account_fee-rate_1", wire.FEE_RATE),
    ("docs_order_open-order_1", wire.ORDER),
    ("docs_order_order-list_1", wire.ORDER),
    ("docs_order_execution_1", wire.EXECUTION),
    ("docs_position_position_1", wire.POSITION),
    ("docs_market_history-fund-rate_1", wire.FUNDING_RATE),
]
STREAMED: list[tuple[str, Shape[Any]]] = [
    ("docs_websocket_private_execution_2", wire.EXECUTION),
    ("docs_websocket_private_position_2", wire.STREAM_POSITION),
    ("docs_websocket_private_wallet_2", wire.WALLET),
]

pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason="the shared samples are not on this machine")


def sample(name: str) -> Any:
    return json.loads((SAMPLES / f"{name}.json").read_text())


@pytest.mark.parametrize(("name", "shape"), LISTS, ids=[name for name, _ in LISTS])
def test_a_documented_answer_is_read(name: str, shape: Shape[Any]) -> None:
    result = sample(name)["result"]
    assert wire.parse_list(shape, result["list"], name, {"category": result.get("category", "linear")})


@pytest.mark.parametrize(("name", "shape"), STREAMED, ids=[name for name, _ in STREAMED])
def test_a_documented_frame_is_read(name: str, shape: Shape[Any]) -> None:
    assert [shape.parse(row, name) for row in sample(name)["data"]]


def test_settings_and_instruments_are_read() -> None:
    assert wire.ACCOUNT_INFO.parse(sample("docs_account_account-info_1")["result"]).unified_status == 4
    (captured,) = sample("linear_instruments_info_BTCUSDT_captured_2026-09-14")["result"]["list"]
    instrument = wire.parse_instrument(captured, "linear")
    assert (instrument.symbol, instrument.min_value_usdt) == ("BTCUSDT", Decimal(5))
    assert instrument.max_limit_qty is not None
    assert instrument.max_market_qty is not None
    assert instrument.max_market_qty < instrument.max_limit_qty


def test_fact_18_funding_of_the_transaction_log_is_paid_below_zero_and_is_the_change() -> None:
    rows = wire.parse_list(wire.LEDGER_ROW, sample("docs_account_transaction-log_1")["result"]["list"], "log")
    row = next(row for row in rows if row.kind == "SETTLEMENT" and row.funding)
    assert (row.kind, row.funding, row.change) == ("SETTLEMENT", Decimal("-0.003676"), Decimal("-0.003676"))


def test_a_key_that_is_bound_to_addresses_has_no_end() -> None:
    key = wire.KEY_INFO.parse(sample("docs_user_apikey-info_1")["result"])
    # The exchange writes the epoch and -2 days for "never".
    assert key.ips
    assert key.expires_at is None


def test_a_recorded_refusal_that_the_catalogue_lacks_leaves_an_order_unknown_and_never_failed() -> None:
    unlisted = [int(code) for code in sample("error_responses_by_code") if int(code) not in CATALOGUE]
    assert unlisted
    for code in unlisted:
        assert isinstance(from_code(code, "", verb=Verb.PLACE, where="t"), UnknownOutcome)
