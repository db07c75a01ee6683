"""Every field the daemon reads survives model -> wire -> JSON -> model, for any values the model can hold."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eternal_engine.exchange.bybit import wire
from eternal_engine.exchange.bybit.wire import account as account_wire
from eternal_engine.exchange.bybit.wire import fields as f
from eternal_engine.exchange.bybit.wire import market as market_wire
from eternal_engine.exchange.bybit.wire import words as w
from eternal_engine.exchange.bybit.wire.shape import Shape
from eternal_engine.exchange.orders import OrderRequest
from eternal_engine.exchange.terms import (
    ExecutionKind,
    MarginMode,
    Market,
    OrderKind,
    OrderStatus,
    PositionSide,
    QtyUnit,
    Side,
    TimeInForce,
    TriggerBy,
)
from wire_messages import CASES

AMOUNTS = st.decimals(0, 10**12, allow_nan=False, allow_infinity=False, places=10)
NUMBERS = st.decimals(-(10**12), 10**12, allow_nan=False, allow_infinity=False, places=10)
PRICES = AMOUNTS.filter(lambda value: value > 0)
TEXTS = st.text(max_size=40)
NAMES = st.text(min_size=1, max_size=40)
TIMES = st.integers(1_262_304_000_000, 4_102_444_800_000).map(
    lambda ms: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
)
WHOLE = st.integers(-(10**17), 10**17)


def opt(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


VALUES: dict[int, st.SearchStrategy[Any]] = {
    id(codec): strategy
    for codec, strategy in (
        (f.NUMBER, NUMBERS), (f.AMOUNT, AMOUNTS), (f.PRICE, PRICES), (f.OPT_NUMBER, opt(NUMBERS)),
        (f.OPT_AMOUNT, opt(AMOUNTS)), (f.OPT_PRICE, opt(PRICES)), (f.INT, WHOLE), (f.OPT_INT, opt(WHOLE)),
        (f.TEXT, TEXTS), (f.NAME, NAMES), (f.OPT_TEXT, TEXTS), (f.FLAG, st.booleans()),
        (f.OPT_FLAG, opt(st.booleans())), (f.TIME, TIMES), (f.TIME_NUMBER, TIMES), (f.OPT_TIME, opt(TIMES)),
        (f.FEES, st.dictionaries(NAMES, NUMBERS, max_size=3).map(lambda fees: tuple(fees.items()))),
        (w.MARKET, st.sampled_from(Market)), (w.SIDE, st.sampled_from(Side)), (w.KIND, st.sampled_from(OrderKind)),
        (w.TIF, st.sampled_from(TimeInForce)), (w.OPT_UNIT, opt(st.sampled_from(QtyUnit))),
        (w.STATUS, st.sampled_from(OrderStatus)), (w.EXECUTION_KIND, st.sampled_from(ExecutionKind)),
        (w.OPT_POSITION_SIDE, opt(st.sampled_from(PositionSide))), (w.MARGIN, st.sampled_from(MarginMode)),
        (account_wire.ON_OFF, opt(st.booleans())), (market_wire._NOTHING, st.none()),
        (market_wire._INTERVAL, st.sampled_from(list(wire.INTERVALS.values()))),
    )
}  # fmt: skip
SPECIAL: dict[str, st.SearchStrategy[Any]] = {
    "fee_coin": opt(NAMES),
    "read_only": st.booleans(),
    "permissions": st.dictionaries(NAMES, st.lists(NAMES, max_size=3).map(tuple), max_size=3).map(
        lambda groups: tuple(groups.items())
    ),
    "ips": st.lists(NAMES, max_size=3).map(tuple),
    "expires_at": opt(TIMES.map(lambda at: at.replace(microsecond=0))),
}


def agree(values: dict[str, Any]) -> dict[str, Any]:
    """Bend free values so that fields which must agree do."""
    if "filled_qty" in values:
        some = values["filled_qty"] > 0 and values["filled_value_usdt"] > 0
        values["filled_qty"] = min(values["filled_qty"], values["qty"]) if some else Decimal(0)
        values["filled_value_usdt"] = values["filled_value_usdt"] if values["filled_qty"] else Decimal(0)
    if "execution_id" in values:
        values["value_usdt"] = values["price"] * values["qty"]
    if "liquidation_price" in values:
        held = values["side"] is not None and values["qty"] > 0 and values["entry_price"] is not None
        values["side"] = values["side"] if held else None
        values["qty"] = values["qty"] if held else Decimal(0)
    if "opened_at" in values:
        four = sorted(values[key] for key in ("open", "high", "low", "close"))
        values |= {"low": four[0], "open": four[1], "close": four[2], "high": four[3]}
    return values


def records(shape: Shape[Any]) -> st.SearchStrategy[Any]:
    strategies: dict[str, st.SearchStrategy[Any]] = {}
    for attribute, _, codec in shape.rows:
        if attribute == "coins":
            strategies[attribute] = st.lists(records(wire.COIN), max_size=3, unique_by=lambda row: row.coin).map(tuple)
        else:
            strategies[attribute] = SPECIAL[attribute] if attribute in SPECIAL else VALUES[id(codec)]
    return st.fixed_dictionaries(strategies).map(lambda values: shape.record(**agree(values)))


SHAPES = [case.shape for case in CASES if case.shape is not None]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
@given(data=st.data())
def test_every_field_survives_the_wire(shape: Shape[Any], data: st.DataObject) -> None:
    record = data.draw(records(shape))
    message = json.loads(json.dumps(shape.dump(record)))
    assert shape.parse(message) == record
    assert shape.dump(shape.parse(message)) == shape.dump(record)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_a_shape_names_every_field_of_its_record_once(shape: Shape[Any]) -> None:
    named = [attribute for attribute, _, _ in shape.rows]
    assert sorted(named) == sorted(field.name for field in dataclasses.fields(shape.record))
    keys = [key for _, key, _ in shape.rows]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("case", [case for case in CASES if case.shape], ids=lambda case: case.name)
def test_every_key_of_a_golden_message_comes_back(case: Any) -> None:
    record = case.shape.parse(case.message)
    again = case.shape.dump(record)
    assert set(_leaves(case.message)) <= set(_leaves(again))
    assert case.shape.parse(again) == record


def _leaves(message: dict[str, Any], prefix: str = "") -> list[str]:
    found = []
    for key, value in message.items():
        found += _leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else [prefix + key]
    return found


requests = st.builds(
    OrderRequest,
    client_order_id=st.text("abc-_09", min_size=1, max_size=36),
    market=st.just(Market.PERP),
    symbol=NAMES,
    side=st.sampled_from(Side),
    kind=st.sampled_from(OrderKind),
    qty=PRICES,
    price=opt(PRICES),
    time_in_force=opt(st.sampled_from(TimeInForce)),
    reduce_only=st.booleans(),
    close_on_trigger=st.booleans(),
    trigger_price=opt(PRICES),
    trigger_rises=opt(st.booleans()),
    trigger_by=opt(st.sampled_from(TriggerBy)),
    stop_loss=opt(PRICES),
)


@given(requests, st.sampled_from(QtyUnit))
def test_a_request_survives_the_wire_on_both_markets(request_: OrderRequest, unit: QtyUnit) -> None:
    bare = {"trigger_rises": None, "trigger_by": None} if request_.trigger_price is None else {}
    limit = request_.kind is OrderKind.LIMIT
    perp = dataclasses.replace(request_, price=request_.price if limit else None, **bare)
    assert wire.parse_request(json.loads(json.dumps(wire.dump_request(perp)))) == perp
    spot = dataclasses.replace(
        perp,
        market=Market.SPOT,
        qty_unit=QtyUnit.BASE if limit else unit,
        reduce_only=False,
        close_on_trigger=False,
        trigger_rises=None,
        trigger_by=None,
        stop_loss=None,
    )
    assert wire.parse_request(json.loads(json.dumps(wire.dump_request(spot)))) == spot


@given(AMOUNTS | NUMBERS)
def test_a_number_is_written_without_exponent_and_read_back_exactly(value: Decimal) -> None:
    text = f.write_number(value)
    assert "E" not in text.upper()
    assert f.number(text) == value
