"""Fields that contradict each other make no record; what only looks odd does."""

from __future__ import annotations

from typing import Any

import pytest

from eternal_engine.exchange.bybit import wire
from eternal_engine.exchange.bybit.wire.shape import Shape
from eternal_engine.model.errors import BadReply
from wire_messages import CANDLE, COIN, EXECUTION, ORDER, POSITION, T0, WALLET

CROOKED: list[tuple[Shape[Any], dict[str, Any], dict[str, Any]]] = [
    (wire.EXECUTION, EXECUTION, {"execValue": "661.10"}),
    (wire.EXECUTION, EXECUTION, {"execQty": "2.0"}),
    (wire.EXECUTION, EXECUTION, {"execPrice": "330.010"}),
    (wire.ORDER, ORDER, {"cumExecQty": "0"}),
    (wire.ORDER, ORDER, {"cumExecValue": "0"}),
    (wire.ORDER, ORDER, {"cumExecQty": "0.51"}),
    (wire.POSITION, POSITION, {"side": ""}),
    (wire.POSITION, POSITION, {"size": "0"}),
    (wire.POSITION, POSITION, {"avgPrice": "0"}),
    (wire.WALLET, WALLET, {"coin": [COIN, COIN]}),
    (wire.CANDLE, CANDLE, {"low": "93401"}),
    (wire.CANDLE, CANDLE, {"high": "93499"}),
]
ODD: list[tuple[Shape[Any], dict[str, Any], dict[str, Any]]] = [
    (wire.EXECUTION, EXECUTION, {"execValue": "660.02000001"}),
    (wire.EXECUTION, EXECUTION, {"execType": "Funding", "execValue": "0"}),
    (wire.ORDER, ORDER, {"qty": "0", "closeOnTrigger": True}),
    (wire.ORDER, ORDER, {"qty": "0"}),
    (wire.ORDER, ORDER | {"category": "spot", "orderType": "Market", "marketUnit": ""}, {"cumExecQty": "900"}),
    (wire.ORDER, ORDER | {"category": "spot", "marketUnit": "quoteCoin"}, {"cumExecQty": "900"}),
    (wire.POSITION, POSITION, {"side": "", "size": "0", "avgPrice": "0"}),
    (wire.CANDLE, CANDLE, {"low": "93400", "high": "93500.1", "volume": "0", "turnover": "0"}),
]


@pytest.mark.parametrize(("shape", "message", "change"), CROOKED, ids=lambda part: str(part)[:40])
def test_contradicting_fields_make_no_record(
    shape: Shape[Any], message: dict[str, Any], change: dict[str, Any]
) -> None:
    shape.parse(message)
    with pytest.raises(BadReply, match="holds"):
        shape.parse(message | change)


@pytest.mark.parametrize(("shape", "message", "change"), ODD, ids=lambda part: str(part)[:40])
def test_odd_but_possible_fields_make_one(shape: Shape[Any], message: dict[str, Any], change: dict[str, Any]) -> None:
    assert shape.parse(message | change) != shape.parse(message)


@pytest.mark.parametrize(
    "value", [str(T0 // 1000), str(T0 * 1000), str(T0 * 10**6), "0", "", None, "now", T0 / 1.0, True]
)
def test_a_time_in_another_unit_is_refused(value: object) -> None:
    with pytest.raises(BadReply) as caught:
        wire.ORDER.parse(ORDER | {"createdTime": value})
    assert caught.value.field == "createdTime"


def test_an_error_names_the_field_its_value_and_the_place() -> None:
    with pytest.raises(BadReply) as caught:
        wire.parse_list(wire.ORDER, [ORDER, ORDER | {"qty": "1e5"}], "order/realtime linear")
    error = caught.value
    assert (error.field, error.value) == ("qty", "'1e5'")
    assert error.where == "order/realtime linear list[1]"
    assert "decimal string" in error.message


@pytest.mark.parametrize("rows", [None, {}, "x", [None], [[]], ["x"]])
def test_a_list_that_is_none_is_refused(rows: object) -> None:
    with pytest.raises(BadReply):
        wire.parse_list(wire.ORDER, rows, "t")
