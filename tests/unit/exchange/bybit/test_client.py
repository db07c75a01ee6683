"""What the client asks for, and what it makes of the answers: scopes, pages, windows, look-ups, refusals."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from eternal_engine import clock
from eternal_engine.exchange.bybit.client import Credentials, PybitDemoClient, PybitLiveClient
from eternal_engine.exchange.bybit.transport import TransportSettings
from eternal_engine.exchange.capability import CAPABILITIES, Capability, Environment
from eternal_engine.exchange.orders import OrderRequest
from eternal_engine.exchange.terms import ExecutionKind, Market, OrderKind, OrderStatus, QtyUnit, Side, TriggerBy
from eternal_engine.model.errors import (
    AlreadyDone,
    BadReply,
    RateLimited,
    RejectedForGood,
    UnknownOutcome,
    Unsupported,
)
from scripted_server import NOW_MS, Said, ScriptedServer, Seen, ok, refusal
from wire_messages import POSITION

NOW = datetime.fromtimestamp(NOW_MS / 1000, UTC)
FAST = TransportSettings(connect_timeout_s=5, read_timeout_s=5, deadline_s=10)
BUY = OrderRequest("co-1", Market.SPOT, "BTCUSDT", Side.BUY, OrderKind.MARKET, Decimal("100.5"), qty_unit=QtyUnit.QUOTE)
SHORT = OrderRequest("fu-1", Market.PERP, "ETHUSDT", Side.SELL, OrderKind.MARKET, Decimal("0.00000001"))


@pytest.fixture
async def client(server: ScriptedServer) -> AsyncIterator[PybitDemoClient]:
    made = PybitDemoClient(
        "trend", Credentials("key", "secret"), endpoint=server.url, environment=Environment.PAPER, settings=FAST
    )
    yield made
    await made.close()


def order_row(**changes: Any) -> dict[str, Any]:
    return {
        "orderId": "v-1", "orderLinkId": "co-1", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Market",
        "qty": "10.000000", "marketUnit": "quoteCoin", "price": "0", "timeInForce": "IOC",
        "orderStatus": "PartiallyFilledCanceled", "cumExecQty": "0.000306", "cumExecValue": "9.98631000",
        "avgPrice": "32635", "leavesQty": "0.000000", "leavesValue": "0.01369000",
        "cumFeeDetail": {"BTC": "0.000000306"}, "cumExecFee": "0.000000306",
        "rejectReason": "EC_CancelForNoFullFill", "positionIdx": 0, "reduceOnly": False,
        "closeOnTrigger": False, "triggerPrice": "", "triggerDirection": 0, "createdTime": str(NOW_MS),
        "updatedTime": str(NOW_MS),
    } | changes  # fmt: skip


def execution_row(**changes: Any) -> dict[str, Any]:
    return {
        "execId": "e-1", "orderId": "v-1", "orderLinkId": "co-1", "symbol": "BTCUSDT", "side": "Buy",
        "execType": "Trade", "execPrice": "32635.00", "execQty": "0.000306", "execValue": "9.98631000",
        "execFee": "0.000000306", "feeCurrency": "BTC", "feeRate": "0.001", "isMaker": False, "closedSize": "",
        "leavesQty": "0.000000", "orderQty": "0.000000", "orderPrice": "0", "orderType": "Market",
        "markPrice": "", "execTime": str(NOW_MS), "seq": 1,
    } | changes  # fmt: skip


def listed(*rows: dict[str, Any], cursor: str = "") -> Said:
    return ok({"list": list(rows), "nextPageCursor": cursor, "category": "spot"})


ACK = ok({"orderId": "v-1", "orderLinkId": "co-1"})


async def test_fact2_d14_a_spot_buy_says_its_unit_and_a_plain_decimal(
    server: ScriptedServer, client: PybitDemoClient
) -> None:
    server.script.append(ACK)
    ack = await client.place(BUY)
    assert ack.venue_order_id == "v-1"
    assert server.seen[0].body == {
        "category": "spot",
        "symbol": "BTCUSDT",
        "side": "Buy",
        "orderType": "Market",
        "qty": "100.5",
        "marketUnit": "quoteCoin",
        "isLeverage": 0,
        "orderLinkId": "co-1",
    }


async def test_d15_a_perp_order_goes_to_linear_in_one_way_mode(server: ScriptedServer, client: PybitDemoClient) -> None:
    server.script.append(ok({"orderId": "v-2", "orderLinkId": "fu-1"}))
    await client.place(replace(SHORT, reduce_only=True))
    body = server.seen[0].body
    assert (body["category"], body["positionIdx"], body["reduceOnly"]) == ("linear", 0, True)
    assert body["qty"] == "0.00000001"
    assert "marketUnit" not in body


async def test_a_conditional_order_says_price_direction_and_mark(
    server: ScriptedServer, client: PybitDemoClient
) -> None:
    server.script.append(ok({"orderId": "v-2", "orderLinkId": "fu-1"}))
    stop = replace(SHORT, trigger_price=Decimal("1500.10"), trigger_rises=False, trigger_by=TriggerBy.MARK)
    await client.place(stop)
    body = server.seen[0].body
    assert (body["triggerPrice"], body["triggerDirection"], body["triggerBy"]) == ("1500.10", 2, "MarkPrice")


@pytest.mark.parametrize(
    "request_",
    [
        replace(BUY, client_order_id=""),
        replace(BUY, client_order_id="x" * 37),
        replace(BUY, client_order_id="a b"),
        replace(BUY, qty=Decimal(0)),
        replace(BUY, qty=Decimal(-1)),
        replace(BUY, price=Decimal(1)),
        replace(BUY, kind=OrderKind.LIMIT),
        replace(BUY, kind=OrderKind.LIMIT, price=Decimal(1)),
        replace(BUY, reduce_only=True),
        replace(SHORT, qty_unit=QtyUnit.QUOTE),
        replace(SHORT, trigger_price=Decimal(1)),
        replace(SHORT, trigger_rises=True),
    ],
)
async def test_d5_a_request_that_contradicts_itself_is_never_sent(
    request_: OrderRequest, server: ScriptedServer, client: PybitDemoClient
) -> None:
    with pytest.raises(RejectedForGood):
        await client.place(request_)
    assert server.seen == []


@pytest.mark.parametrize("result", [{}, {"orderId": "v-1"}, {"orderId": "", "orderLinkId": "co-1"}, {"orderId": 7}])
async def test_ord2_an_acknowledgement_that_cannot_be_read_is_unknown(
    result: dict[str, Any], server: ScriptedServer, client: PybitDemoClient
) -> None:
    server.script.append(ok(result))
    with pytest.raises(UnknownOutcome):
        await client.place(BUY)


async def test_ord2_an_acknowledgement_of_another_order_is_unknown(
    server: ScriptedServer, client: PybitDemoClient
) -> None:
    server.script.append(ok({"orderId": "v-1", "orderLinkId": "co-2"}))
    with pytest.raises(UnknownOutcome, match="co-2"):
        await client.place(BUY)


async def test_a_cancel_of_a_gone_order_is_already_done(server: ScriptedServer, client: PybitDemoClient) -> None:
    server.script.append(refusal(110001))
    with pytest.raises(AlreadyDone):
        await client.cancel(Market.PERP, "ETHUSDT", "fu-1")
    assert server.seen[0].body == {"category": "linear", "symbol": "ETHUSDT", "orderLinkId": "fu-1"}


async def test_cancelling_all_of_spot_includes_conditional_orders(
    server: ScriptedServer, client: PybitDemoClient
) -> None:
    server.default = lambda _: ok({"list": [], "success": "1"})
    await client.cancel_all(Market.SPOT)
    assert [seen.body["orderFilter"] for seen in server.seen] == ["Order", "StopOrder", "tpslOrder"]
    await client.cancel_all(Market.PERP)
    assert server.seen[-1].body == {"category": "linear", "settleCoin": "USDT"}


async def test_fact15_every_page_is_read_and_the_cursor_goes_back_unchanged(
    server: ScriptedServer, client: PybitDemoClient
) -> None:
    cursor = "132766%3A2%2C132766%3A2"
    server.script.extend(
        [
            listed(order_row(orderId="a", orderStatus="New", cumExecQty="0", cumExecValue="0"), cursor=cursor),
            listed(order_row(orderId="b", orderStatus="New", cumExecQty="0", cumExecValue="0")),
        ]
    )
    orders = await client.open_orders(Market.SPOT)
    assert [order.venue_order_id for order in orders] == ["a", "b"]
    assert server.seen[0].query["limit"] == "50"
    assert server.seen[1].query["cursor"] == "132766:2,132766:2"  # the server decodes what was sent unchanged


async def test_an_empty_page_is_the_end_whatever_its_cursor(server: ScriptedServer, client: PybitDemoClient) -> None:
    row = order_row(orderStatus="New", cumExecQty="0", cumExecValue="0")
    server.script.extend([listed(row, cursor="a"), listed(cursor="a")])
    assert len(await client.open_orders(Market.SPOT)) == 1
    assert len(server.seen) == 2


async def test_pages_that_never_end_are_an_error_not_a_partial_list(
    server: ScriptedServer, client: PybitDemoClient
) -> None:
    server.default = lambda _: listed(order_row(), cursor="again")
    with pytest.raises(BadReply, match="do not end"):
        await client.open_orders(Market.SPOT)


async def test_perp_lists_name_the_settle_coin_and_symbols_win(server: ScriptedServer, client: PybitDemoClient) -> None:
    server.default = lambda _: listed()
    await client.positions()
    await client.positions("BTCUSDT")
    await client.open_orders(Market.PERP)
    assert server.seen[0].query == {"category": "linear", "limit": "200", "settleCoin": "USDT"}
    assert server.seen[1].query == {"category": "linear", "limit": "200", "symbol": "BTCUSDT"}
    assert server.seen[2].query["settleCoin"] == "USDT"


async def test_a_blank_row_behind_a_position_s_cursor_neither_hides_nor_repeats_it(
    server: ScriptedServer, client: PybitDemoClient
) -> None:
    blank = {"side": "", "size": "0", "avgPrice": "", "stopLoss": "", "positionStatus": "", "createdTime": "",
             "updatedTime": "", "positionValue": "", "markPrice": ""}  # fmt: skip
    server.script.extend([listed(POSITION, cursor="next"), listed(POSITION | blank)])
    (held,) = await client.positions("ETHUSDT")
    assert (held.qty, held.stop_loss) == (Decimal("1.25"), Decimal(3500))
    # Of a symbol that was never held nothing else may be told.
    server.script.extend([listed(POSITION | blank, cursor="next"), listed(POSITION | blank)])
    (flat,) = await client.positions("ETHUSDT")
    assert (flat.side, flat.qty, flat.status) == (None, 0, "")


async def test_executions_cut_a_long_span_into_weeks_and_count_each_id_once(
    server: ScriptedServer, client: PybitDemoClient
) -> None:
    server.default = lambda _: listed(execution_row(), execution_row(execId="e-0"))
    found = await client.executions(Market.SPOT, NOW - timedelta(days=20), NOW)
    assert [row.execution_id for row in found] == ["e-0", "e-1"]
    spans = [int(seen.query["endTime"]) - int(seen.query["startTime"]) for seen in server.seen]
    assert len(spans) == 3
    assert max(spans) <= 7 * 86_400_000
    assert int(server.seen[0].query["startTime"]) == NOW_MS - 20 * 86_400_000
    assert int(server.seen[-1].query["endTime"]) == NOW_MS


async def test_fact1_fact3_a_quote_buy_is_read_from_its_quantities_not_its_status(
    server: ScriptedServer, client: PybitDemoClient
) -> None:
    server.script.extend([listed(order_row()), listed(execution_row())])
    lookup = await client.find_order(Market.SPOT, "co-1")
    assert lookup.report is not None
    assert lookup.report.status is OrderStatus.PARTIALLY_FILLED_CANCELLED
    assert lookup.report.filled_qty == Decimal("0.000306")
    assert lookup.report.fees == (("BTC", Decimal("0.000000306")),)
    assert lookup.executions[0].fee_coin == "BTC"
    assert lookup.executions[0].qty - lookup.executions[0].fee == Decimal("0.000305694")


async def test_fact14_an_order_missing_from_realtime_is_looked_for_in_history_and_executions(
    server: ScriptedServer, client: PybitDemoClient
) -> None:
    server.script.extend([listed(), listed(), listed(execution_row(), execution_row(execId="x", orderLinkId="other"))])
    lookup = await client.find_order(Market.SPOT, "co-1")
    assert [seen.path for seen in server.seen] == ["/v5/order/realtime", "/v5/order/history", "/v5/execution/list"]
    assert all(seen.query["orderLinkId"] == "co-1" for seen in server.seen)
    assert lookup.report is None
    assert lookup.found
    assert [row.execution_id for row in lookup.executions] == ["e-1"]


async def test_a_look_up_that_fails_half_way_answers_nothing(server: ScriptedServer, client: PybitDemoClient) -> None:
    server.script.extend([listed(), Said(b"<html>", 502)])
    with pytest.raises(Exception, match="502"):
        await client.find_order(Market.SPOT, "co-1")


@pytest.mark.parametrize("code", [10001, 110001, 170213, 10032, 181017])
@pytest.mark.parametrize("step", range(3))
async def test_ord2_a_refused_look_up_is_not_the_fate_of_the_order(
    code: int, step: int, server: ScriptedServer, client: PybitDemoClient
) -> None:
    server.script.extend([listed()] * step + [refusal(code)])
    with pytest.raises(UnknownOutcome, match="look-up was refused"):
        await client.find_order(Market.SPOT, "co-1")


def kline_page(seen: Seen) -> Said:
    start, end = int(seen.query["start"]), int(seen.query["end"])
    first = -(-start // 3_600_000) * 3_600_000
    rows = [[str(at), "1", "2", "0.5", "1.5", "10", "15"] for at in range(first, end + 1, 3_600_000)]
    return ok({"symbol": "BTCUSDT", "category": "spot", "list": rows[::-1][:1000]})


async def test_fact16_candles_come_oldest_first_over_pages_and_the_open_one_is_marked(
    server: ScriptedServer, client: PybitDemoClient
) -> None:
    server.default = kline_page
    start = NOW - timedelta(hours=2_500)
    candles = await client.candles(Market.SPOT, "BTCUSDT", timedelta(hours=1), start, NOW + timedelta(hours=1))
    assert len(candles) == 2_501
    assert len(server.seen) == 3
    assert [candle.opened_at for candle in candles] == [start + timedelta(hours=hour) for hour in range(2_501)]
    assert [candle.closed for candle in candles[-2:]] == [True, False]


async def test_funding_rates_walk_back_by_their_end(server: ScriptedServer, client: PybitDemoClient) -> None:
    def page(seen: Seen) -> Said:
        start, end = int(seen.query["startTime"]), int(seen.query["endTime"])
        stamps = [at for at in range(NOW_MS - 300 * 28_800_000, NOW_MS, 28_800_000) if start <= at <= end]
        rows = [{"symbol": "X", "fundingRate": "-0.0001", "fundingRateTimestamp": str(at)} for at in stamps]
        return ok({"list": rows[::-1][:200]})

    server.default = page
    rates = await client.funding_rates("X", NOW - timedelta(hours=8 * 300), NOW)
    assert len(rates) == 300
    assert len(server.seen) == 2
    assert rates == tuple(sorted(rates, key=lambda rate: rate.settled_at))
    assert rates[0].rate == Decimal("-0.0001")


async def test_unchanged_leverage_and_stop_are_success(server: ScriptedServer, client: PybitDemoClient) -> None:
    server.script.extend([refusal(110043), refusal(34040), ok()])
    await client.set_leverage("BTCUSDT", Decimal(2))
    await client.set_stop("BTCUSDT", Decimal("90000.50"))
    await client.set_stop("BTCUSDT", None)
    assert server.seen[0].body["buyLeverage"] == server.seen[0].body["sellLeverage"] == "2"
    assert server.seen[1].body["stopLoss"] == "90000.50"
    assert server.seen[1].body["slTriggerBy"] == "MarkPrice"
    assert server.seen[2].body["stopLoss"] == "0"


async def test_the_demo_is_not_asked_for_what_it_lacks(server: ScriptedServer) -> None:
    demo = PybitDemoClient("core_hodl", Credentials("k", "s"), endpoint=server.url)
    with pytest.raises(Unsupported, match="configured fees"):
        await demo.fee_rates(Market.SPOT)
    with pytest.raises(Unsupported, match="ledger only"):
        await demo.transfer("id", "USDT", Decimal(1), "1", "2")
    assert not demo.capabilities.has(Capability.SUB_ACCOUNTS)
    assert server.seen == []
    await demo.close()


async def test_without_a_key_public_calls_work_and_signed_ones_say_so(server: ScriptedServer) -> None:
    paper = PybitLiveClient("public", endpoint=server.url, settings=FAST)
    server.default = lambda _: ok({"timeSecond": "1735689600", "timeNano": "1735689600123456789"})
    assert await paper.server_time() == NOW + timedelta(microseconds=123456)
    with pytest.raises(RejectedForGood, match="needs an API key"):
        await paper.wallet()
    assert "X-BAPI-SIGN" not in server.seen[0].headers
    await paper.close()


async def test_a_ban_of_the_address_stops_every_further_call(server: ScriptedServer, client: PybitDemoClient) -> None:
    server.script.append(Said(b"access too frequent", 403))
    with pytest.raises(RateLimited):
        await client.wallet()
    with pytest.raises(UnknownOutcome, match="banned"):
        await client.place(BUY)
    with pytest.raises(RateLimited, match="banned") as caught:
        await client.server_time()
    assert caught.value.reset_at is not None
    assert 590 < (caught.value.reset_at - clock.now()).total_seconds() <= 600
    assert len(server.seen) == 1


async def test_d6_after_a_rate_limit_the_class_waits_for_its_reset(
    server: ScriptedServer, client: PybitDemoClient
) -> None:
    server.script.append(refusal(10006))
    with pytest.raises(RateLimited):
        await client.place(BUY)
    server.script.append(ACK)
    before = clock.monotonic()
    await client.place(BUY)
    assert clock.monotonic() - before >= 1.0


async def test_the_clock_offset_is_watched(server: ScriptedServer, client: PybitDemoClient) -> None:
    assert client.clock_offset_ms is None
    server.default = lambda _: ok({"timeSecond": "1", "timeNano": "1735689600123456789"}, time_ms=NOW_MS)
    await client.server_time()
    assert client.clock_offset_ms is not None
    assert client.silent_s is not None
    assert client.silent_s < 5


async def test_a_transfer_is_named_by_its_own_id(server: ScriptedServer, client: PybitDemoClient) -> None:
    server.script.append(ok({"transferId": "t-1", "status": "SUCCESS"}))
    assert await client.transfer("t-1", "USDT", Decimal("12.50"), "101", "102") == "SUCCESS"
    assert server.seen[0].body["amount"] == "12.50"
    assert server.seen[0].body["fromMemberId"] == 101
    server.script.append(refusal(131214))
    with pytest.raises(UnknownOutcome):
        await client.transfer("t-1", "USDT", Decimal("12.50"), "101", "102")
    server.script.append(listed({"transferId": "t-1", "status": "SUCCESS"}))
    assert await client.transfer_status("t-1") == "SUCCESS"


async def test_a_funding_execution_is_no_fill(server: ScriptedServer, client: PybitDemoClient) -> None:
    row = execution_row(execType="Funding", orderType="UNKNOWN", orderLinkId="", execFee="-0.01")
    server.script.append(listed(row))
    (found,) = await client.executions(Market.PERP, NOW - timedelta(days=1), NOW)
    assert found.kind is ExecutionKind.FUNDING
    assert not found.kind.is_fill
    assert found.fee < 0  # received (fact 18)


def test_the_secret_of_a_key_pair_never_shows() -> None:
    assert "secret-text" not in repr(Credentials("key-text", "secret-text"))


@pytest.mark.parametrize(
    ("environment", "count"), [(Environment.LIVE, 7), (Environment.DEMO, 2), (Environment.PAPER, 8)]
)
def test_each_environment_has_its_capabilities(environment: Environment, count: int) -> None:
    table = CAPABILITIES[environment]
    assert len(table.offered) == count
    assert all(table.instead(capability) for capability in Capability)
