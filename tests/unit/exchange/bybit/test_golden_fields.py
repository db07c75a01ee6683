"""Each number of a message goes to the attribute of its meaning: two keys changed for each other survive a round trip.

Also what an order says beside its size, where leaving it out would mean something else.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from eternal_engine.exchange.bybit import wire
from eternal_engine.exchange.bybit.checks import check_request
from eternal_engine.exchange.bybit.wire.shape import Shape
from eternal_engine.exchange.orders import OrderRequest
from eternal_engine.exchange.terms import Market, OrderKind, QtyUnit, Side
from eternal_engine.exchange.translate import rules_of
from eternal_engine.model.errors import RejectedForGood
from wire_messages import CANDLE, COIN, EXECUTION, KEY, LEDGER_ROW, ORDER, PERP, PERP_TICKER, POSITION, SPOT, T0

# No two values of a message are alike where they could be taken for each other.
ORDER_NUMBERS = ORDER | {"takeProfit": "4000", "triggerPrice": "2950.5"}
POSITION_NUMBERS = POSITION | {"liqPrice": "4100.5", "takeProfit": "2800", "trailingStop": "77", "size": "1.26"}
STREAMED = {key: value for key, value in POSITION_NUMBERS.items() if key != "avgPrice"} | {"entryPrice": "3301.5"}
COIN_NUMBERS = COIN | {"spotBorrow": "7", "accruedInterest": "0.5", "totalOrderIM": "31", "totalPositionIM": "2063"}
LEDGER_NUMBERS = LEDGER_ROW | {"fee": "0.25", "cashFlow": "1.5", "change": "1.6625"}
EXECUTION_NUMBERS = EXECUTION | {"orderPrice": "3311", "closedSize": "0.1"}
EXPECTED: list[tuple[Shape[Any], dict[str, Any], dict[str, str]]] = [
    (
        wire.ORDER,
        ORDER_NUMBERS,
        {
            "qty": "0.50", "price": "3300.10", "filled_qty": "0.20", "filled_value_usdt": "660.020",
            "avg_price": "3300.1", "leaves_qty": "0.30", "leaves_value_usdt": "990.03", "fee_total": "0.363011",
            "stop_loss": "2900.00", "take_profit": "4000", "trigger_price": "2950.5",
        },
    ),
    (
        wire.EXECUTION,
        EXECUTION_NUMBERS,
        {
            "price": "3300.10", "qty": "0.20", "value_usdt": "660.020", "fee": "0.363011", "fee_rate": "0.00055",
            "closed_qty": "0.1", "leaves_qty": "0.30", "order_qty": "0.50", "order_price": "3311",
            "mark_price": "3300.00",
        },
    ),
    *(
        (
            shape,
            message,
            {
                "qty": "1.26", "entry_price": "3301.5", "mark_price": "3299.00", "liquidation_price": "4100.5",
                "value_usdt": "4126.875", "leverage": "2", "initial_margin_usdt": "2063.4",
                "maintenance_margin_usdt": "20.6", "unrealised_pnl_usdt": "3.125", "realised_pnl_usdt": "-2.26",
                "realised_pnl_total_usdt": "-12.5", "stop_loss": "3500", "take_profit": "2800", "trailing_stop": "77",
            },
        )
        for shape, message in ((wire.POSITION, POSITION_NUMBERS), (wire.STREAM_POSITION, STREAMED))
    ),
    (
        wire.COIN,
        COIN_NUMBERS,
        {
            "wallet_qty": "10250.5", "equity_qty": "10253.625", "locked_qty": "100", "borrowed_qty": "7",
            "interest_qty": "0.5", "order_margin": "31", "position_margin": "2063", "unrealised_pnl": "3.125",
            "realised_pnl_total": "-12.5", "usd_value": "10251.1",
        },
    ),
    (
        wire.PERP_INSTRUMENT,
        PERP | {"lotSizeFilter": PERP["lotSizeFilter"] | {"minOrderQty": "0.03"}},
        {
            "price_tick": "0.01", "qty_step": "0.01", "min_qty": "0.03", "min_value_usdt": "5",
            "max_limit_qty": "7240.00", "max_market_qty": "724.00", "min_price": "0.01", "max_price": "199999.98",
            "min_leverage": "1", "max_leverage": "100.00", "leverage_step": "0.01", "max_funding_frac": "0.005",
            "min_funding_frac": "-0.005", "price_limit_x_frac": "0.02", "price_limit_y_frac": "0.04",
            "funding_interval_min": "480",
        },
    ),
    (
        wire.SPOT_INSTRUMENT,
        SPOT,
        {
            "price_tick": "0.1", "qty_step": "0.000001", "quote_step": "0.0000001", "min_qty": "0.000011",
            "min_value_usdt": "5", "max_limit_qty": "83", "max_market_qty": "41.5", "price_limit_x_frac": "0.005",
            "price_limit_y_frac": "0.01",
        },
    ),
    (
        wire.PERP_TICKER,
        PERP_TICKER,
        {
            "last_price": "3300.10", "mark_price": "3300.00", "index_price": "3301.55", "bid_price": "3300.09",
            "bid_qty": "12.4", "ask_price": "3300.10", "ask_qty": "3", "funding_rate": "-0.000125",
            "funding_interval_h": "8",
        },
    ),
    (
        wire.CANDLE,
        CANDLE,
        {
            "open": "93400", "high": "93600.5", "low": "93350", "close": "93500.1", "volume_qty": "120.5",
            "turnover_usdt": "11266800.2",
        },
    ),
    (
        wire.FEE_RATE,
        {"symbol": "ETHUSDT", "takerFeeRate": "0.00055", "makerFeeRate": "-0.0001"},
        {"taker_frac": "0.00055", "maker_frac": "-0.0001"},
    ),
    (
        wire.LEDGER_ROW,
        LEDGER_NUMBERS,
        {
            "funding": "0.4125", "fee": "0.25", "cash_flow": "1.5", "change": "1.6625", "balance": "10250.5",
            "qty": "1.25", "price": "3300",
        },
    ),
]  # fmt: skip
ENTRY = OrderRequest(
    "tr-1", Market.PERP, "ETHUSDT", Side.BUY, OrderKind.MARKET, Decimal("0.5"), stop_loss=Decimal("2900.50")
)


@pytest.mark.parametrize(("shape", "message", "numbers"), EXPECTED, ids=lambda part: getattr(part, "name", ""))
def test_each_number_goes_to_the_attribute_of_its_meaning(
    shape: Shape[Any], message: dict[str, Any], numbers: dict[str, str]
) -> None:
    record = shape.parse(message)
    assert {name: Decimal(getattr(record, name)) for name in numbers} == {n: Decimal(v) for n, v in numbers.items()}


def test_an_order_keeps_its_two_times_apart() -> None:
    order = wire.ORDER.parse(ORDER)
    assert order.created_at == datetime.fromtimestamp(T0 / 1000, UTC)
    assert order.updated_at > order.created_at


def test_a_key_that_is_bound_to_addresses_does_not_end() -> None:
    assert wire.KEY_INFO.parse(KEY | {"expiredAt": "1970-01-01T00:00:00Z", "deadlineDay": -2}).expires_at is None
    assert wire.KEY_INFO.parse(KEY).expires_at == datetime(2026, 1, 1, tzinfo=UTC)


def test_u_11_the_stop_that_travels_with_an_entry_is_woken_by_the_mark_price_and_protects_the_whole_position() -> None:
    body = wire.dump_request(ENTRY)
    # Left out, Bybit triggers by the last price, whose wicks reach far beyond the market.
    assert (body["stopLoss"], body["slTriggerBy"], body["tpslMode"]) == ("2900.50", "MarkPrice", "Full")
    assert not {"stopLoss", "slTriggerBy", "tpslMode"} & set(wire.dump_request(replace(ENTRY, stop_loss=None)))


def test_fact_2_every_spot_market_order_says_its_unit_sells_too() -> None:
    sale = OrderRequest("fu-1", Market.SPOT, "ETHUSDT", Side.SELL, OrderKind.MARKET, Decimal("0.5"))
    assert wire.dump_request(sale)["marketUnit"] == "baseCoin"
    assert wire.dump_request(replace(sale, side=Side.BUY))["marketUnit"] == "baseCoin"
    assert wire.dump_request(replace(sale, side=Side.BUY, qty_unit=QtyUnit.QUOTE))["marketUnit"] == "quoteCoin"


@pytest.mark.parametrize("wrong", [{"market": Market.SPOT}, {"reduce_only": True}], ids=["spot", "reduce-only"])
def test_a_stop_travels_only_with_an_entry_of_a_perpetual(wrong: dict[str, Any]) -> None:
    check_request(ENTRY)
    with pytest.raises(RejectedForGood, match="brings a stop"):
        check_request(replace(ENTRY, **wrong))


def test_spot_s_least_quantity_is_no_longer_checked_and_a_perpetual_s_is() -> None:
    spot, perp = rules_of(wire.parse_instrument(SPOT, "spot")), rules_of(wire.parse_instrument(PERP, "linear"))
    assert (spot.min_qty, spot.min_amount) == (Decimal(0), Decimal(5))
    assert (perp.min_qty, perp.min_amount) == (Decimal("0.01"), Decimal(5))
    assert (perp.max_limit_qty, perp.max_market_qty) == (Decimal("7240.00"), Decimal("724.00"))
    assert (spot.max_limit_qty, spot.max_market_qty) == (Decimal(83), Decimal("41.5"))
