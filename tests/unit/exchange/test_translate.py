"""Records become the model's nouns without losing a sign, a coin or a step."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from eternal_engine.exchange.bybit import wire
from eternal_engine.exchange.orders import OrderReport
from eternal_engine.exchange.terms import (
    ExecutionKind,
    Market,
    OrderStatus,
    QtyUnit,
    Side,
    TriggerBy,
)
from eternal_engine.exchange.terms import (
    OrderKind as WireKind,
)
from eternal_engine.exchange.translate import fate_of, fill_of, funding_of, request_of, rules_of
from eternal_engine.model.errors import BadReply
from eternal_engine.model.fill import FillKind
from eternal_engine.model.ids import Account, Engine, Leg, OrderKey, RuleId, Symbol
from eternal_engine.model.order import OrderIntent, OrderKind, Trigger
from wire_messages import EXECUTION, ORDER, PERP, SPOT

AT = datetime(2025, 1, 1, tzinfo=UTC)
FILL = wire.EXECUTION.parse(EXECUTION)
PERP_RULES = rules_of(wire.parse_instrument(PERP, "linear"))
SPOT_RULES = rules_of(wire.parse_instrument(SPOT, "spot"))
REPORT = wire.ORDER.parse(ORDER)
QUOTE_BUY = replace(
    REPORT,
    market=Market.SPOT,
    kind=WireKind.MARKET,
    qty=Decimal(10),
    qty_unit=QtyUnit.QUOTE,
    status=OrderStatus.PARTIALLY_FILLED_CANCELLED,
    reject_reason="EC_CancelForNoFullFill",
    filled_qty=Decimal("0.000306"),
    filled_value_usdt=Decimal("9.98631"),
    avg_price=Decimal(32635),
    leaves_value_usdt=Decimal("0.01369"),
)


def intent(**changes: Any) -> OrderIntent:
    values: dict[str, Any] = {
        "key": OrderKey(Engine.TREND, AT, Symbol("ETHUSDT"), Leg.ENTRY),
        "market": Market.PERP,
        "side": Side.BUY,
        "kind": OrderKind.MARKET,
        "price_usdt": Decimal(3300),
        "reason": RuleId("TREND-E1"),
        "qty": Decimal("0.5"),
    }
    return OrderIntent(**(values | changes))


def test_ord1_a_request_carries_the_intent_s_own_id() -> None:
    made = request_of(intent())
    assert made.client_order_id == intent().client_order_id
    assert (made.market, made.symbol, made.side, made.qty) == (Market.PERP, "ETHUSDT", Side.BUY, Decimal("0.5"))
    assert (made.kind, made.qty_unit, made.price) == (WireKind.MARKET, QtyUnit.BASE, None)


def test_d14_an_amount_in_usdt_becomes_a_quote_sized_order() -> None:
    made = request_of(intent(market=Market.SPOT, qty=None, amount_usdt=Decimal("100.5")))
    assert (made.qty, made.qty_unit) == (Decimal("100.5"), QtyUnit.QUOTE)


@pytest.mark.parametrize(("side", "rises"), [(Side.SELL, False), (Side.BUY, True)])
def test_u11_a_stop_is_woken_by_the_mark_price(side: Side, rises: bool) -> None:
    made = request_of(intent(kind=OrderKind.STOP_MARKET, side=side, trigger_price=Decimal(3000), reduce_only=True))
    assert (made.trigger_price, made.trigger_rises, made.trigger_by) == (Decimal(3000), rises, TriggerBy.MARK)
    assert made.reduce_only
    assert made.kind is WireKind.MARKET


def test_a_limit_intent_keeps_its_price() -> None:
    made = request_of(intent(kind=OrderKind.LIMIT, limit_price=Decimal("3299.99")))
    assert (made.kind, made.price) == (WireKind.LIMIT, Decimal("3299.99"))


def test_a_fill_keeps_every_number() -> None:
    made = fill_of(FILL, Account.TREND, PERP_RULES)
    assert made is not None
    assert (made.qty, made.price, made.fee, made.fee_coin) == (FILL.qty, FILL.price, FILL.fee, "USDT")
    assert (made.execution_id, made.client_order_id, made.kind) == ("ex-77", FILL.client_order_id, FillKind.TRADE)
    assert (made.base, made.quote, made.executed_at) == ("ETH", "USDT", FILL.at)


@pytest.mark.parametrize(
    ("market", "side", "fee", "coin"),
    [
        (Market.PERP, Side.BUY, "1", "USDT"),
        (Market.PERP, Side.SELL, "-1", "USDT"),
        (Market.SPOT, Side.BUY, "1", "BTC"),
        (Market.SPOT, Side.SELL, "1", "USDT"),
        (Market.SPOT, Side.BUY, "-1", "USDT"),
        (Market.SPOT, Side.SELL, "-1", "BTC"),
    ],
)
def test_ord5_a_fee_without_a_stated_coin_is_in_the_native_one(market: Market, side: Side, fee: str, coin: str) -> None:
    rules = PERP_RULES if market is Market.PERP else SPOT_RULES
    made = fill_of(replace(FILL, market=market, side=side, fee=Decimal(fee), fee_coin=None), Account.TREND, rules)
    assert made is not None
    assert made.fee_coin == coin


@pytest.mark.parametrize(
    ("kind", "fill"),
    [
        (ExecutionKind.BUST, FillKind.LIQUIDATION),
        (ExecutionKind.ADL, FillKind.ADL),
        (ExecutionKind.DELIVERY, FillKind.DELIVERY),
    ],
)
def test_what_the_exchange_did_itself_is_named(kind: ExecutionKind, fill: FillKind) -> None:
    made = fill_of(replace(FILL, kind=kind, client_order_id=""), Account.TREND, PERP_RULES)
    assert made is not None
    assert (made.kind, made.client_order_id) == (fill, None)


@pytest.mark.parametrize("kind", [ExecutionKind.BLOCK_TRADE, ExecutionKind.MOVE_POSITION, ExecutionKind.FUTURE_SPREAD])
def test_a_kind_without_a_ledger_entry_is_an_error_not_a_silence(kind: ExecutionKind) -> None:
    with pytest.raises(BadReply, match=kind.value):
        fill_of(replace(FILL, kind=kind), Account.TREND, PERP_RULES)


@pytest.mark.parametrize(("side", "signed"), [(Side.BUY, "0.20"), (Side.SELL, "-0.20")])
def test_fact18_funding_paid_is_negative_in_the_ledger(side: Side, signed: str) -> None:
    row = replace(FILL, kind=ExecutionKind.FUNDING, side=side, fee=Decimal("0.066"), fee_rate=Decimal("0.0001"))
    assert fill_of(row, Account.FUNDING, PERP_RULES) is None
    made = funding_of(row, Account.FUNDING, AT)
    assert made is not None
    assert (made.qty, made.amount_usdt, made.rate) == (Decimal(signed), Decimal("-0.066"), Decimal("0.0001"))
    assert made.settled_at == row.at
    assert funding_of(FILL, Account.FUNDING, AT) is None


@pytest.mark.parametrize(
    ("report", "fate"),
    [
        (replace(REPORT, status=OrderStatus.NEW), Trigger.FOUND_OPEN),
        (replace(REPORT, status=OrderStatus.UNTRIGGERED, filled_qty=Decimal(0)), Trigger.FOUND_OPEN),
        (replace(REPORT, status=OrderStatus.FILLED), Trigger.FOUND_FILLED),
        (replace(REPORT, status=OrderStatus.CANCELLED), Trigger.FOUND_CANCELLED),
        (replace(REPORT, status=OrderStatus.CANCELLED, filled_qty=REPORT.qty), Trigger.FOUND_FILLED),
        (replace(REPORT, status=OrderStatus.CANCELLED, filled_qty=Decimal(0)), Trigger.FOUND_CANCELLED),
        (replace(REPORT, status=OrderStatus.REJECTED, filled_qty=Decimal(0)), Trigger.FOUND_REJECTED),
        (replace(REPORT, status=OrderStatus.REJECTED), Trigger.FOUND_CANCELLED),
        (QUOTE_BUY, Trigger.FOUND_FILLED),
        (replace(QUOTE_BUY, leaves_value_usdt=Decimal(5)), Trigger.FOUND_CANCELLED),
        (replace(QUOTE_BUY, leaves_value_usdt=None), Trigger.FOUND_CANCELLED),
        (replace(QUOTE_BUY, status=OrderStatus.FILLED), Trigger.FOUND_FILLED),
    ],
)
def test_fact1_d2_the_fate_of_an_order_is_read_from_its_quantities(report: OrderReport, fate: Trigger) -> None:
    rules = SPOT_RULES if report.market is Market.SPOT else PERP_RULES
    assert fate_of(report, rules) is fate


@pytest.mark.parametrize(
    ("left_steps", "fate"),
    [("0.6", Trigger.FOUND_FILLED), ("1.01", Trigger.FOUND_FILLED), ("1.03", Trigger.FOUND_CANCELLED)],
)
def test_fact1_a_sum_is_spent_when_less_than_one_more_step_could_be_bought_of_it(
    left_steps: str, fate: Trigger
) -> None:
    one_step = QUOTE_BUY.avg_price * SPOT_RULES.qty_step
    assert fate_of(replace(QUOTE_BUY, leaves_value_usdt=one_step * Decimal(left_steps)), SPOT_RULES) is fate
