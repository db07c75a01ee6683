"""The wire's own rules: signatures, clocks, limits, paging, bad input, faults."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from eternal_engine import clock

BUY = {"category": "spot", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Market", "qty": "1000"}


async def test_a_signed_order_is_taken_in_and_its_coins_are_there(wire: Any) -> None:
    made = await wire.order(**BUY, orderLinkId="mine-1")
    assert (made["retCode"], made["result"]["orderLinkId"]) == (0, "mine-1")
    _, wallet, headers = await wire.get("/v5/account/wallet-balance", "accountType=UNIFIED&coin=BTC")
    assert wallet["result"]["list"][0]["coin"][0]["walletBalance"] == "0.024962013"
    assert headers["X-Bapi-Limit"] == "50"


async def test_the_signature_is_checked_over_the_raw_bytes(wire: Any) -> None:
    spaced = json.dumps(BUY, separators=(" , ", " : "))
    assert (await wire.post("/v5/order/create", spaced))[1]["retCode"] == 0
    _, reply, _ = await wire.post("/v5/order/create", BUY, **wire.sign("{}"))
    assert reply["retCode"] == 10004
    assert "origin_string[" in reply["retMsg"]
    # The order of a query's fields is the client's affair.
    _, reply, _ = await wire.get("/v5/order/realtime", "symbol=BTCUSDT&category=linear")
    assert reply["retCode"] == 0


@pytest.mark.parametrize(("offset_ms", "code"), [(0, 0), (-4_900, 0), (-5_200, 10002), (900, 0), (1_200, 10002)])
async def test_a_timestamp_must_lie_in_its_window(wire: Any, offset_ms: int, code: int) -> None:
    query = "accountType=UNIFIED"
    headers = wire.sign(query, stamp=clock.now_ms() + offset_ms)
    _, reply, _ = await wire.get("/v5/account/wallet-balance", query, **headers)
    assert reply["retCode"] == code
    if code:
        assert "server_timestamp[" in reply["retMsg"]


async def test_unknown_and_missing_keys(wire: Any) -> None:
    _, reply, _ = await wire.get("/v5/account/info", **wire.sign("", key="nobody"))
    assert reply["retCode"] == 10003
    async with wire.http.get(f"{wire.url}/v5/account/info") as bare:
        assert bare.status == 401


async def test_too_many_requests_in_a_second_are_refused_with_a_reset_time(limited: Any) -> None:
    replies = [await limited.get("/v5/user/query-api") for _ in range(11)]
    codes = [reply["retCode"] for _, reply, _ in replies]
    assert codes.count(0) == 10
    assert codes[-1] == 10006
    headers = replies[-1][2]
    assert headers["X-Bapi-Limit-Status"] == "0"
    assert 0 < int(headers["X-Bapi-Limit-Reset-Timestamp"]) - clock.now_ms() <= 1000


async def test_600_requests_in_five_seconds_ban_the_address(limited: Any) -> None:
    async def ask() -> int:
        async with limited.http.get(f"{limited.url}/v5/market/time") as reply:
            return int(reply.status)

    statuses = await asyncio.gather(*(ask() for _ in range(605)))
    assert sorted(set(statuses)) == [200, 403]
    assert await ask() == 403


async def test_fact_15_lists_page_by_their_real_defaults(wire: Any) -> None:
    order = {"category": "spot", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit", "qty": "0.001"}
    sent = [(await wire.order(**order, price=str(30000 + n)))["result"]["orderId"] for n in range(45)]
    seen: list[str] = []
    cursor, sizes = "", []
    while True:
        query = "category=spot" + (f"&cursor={cursor}" if cursor else "")
        _, reply, _ = await wire.get("/v5/order/realtime", query)
        rows = reply["result"]["list"]
        sizes.append(len(rows))
        seen += [row["orderId"] for row in rows]
        cursor = reply["result"]["nextPageCursor"]
        if not cursor:
            break
        assert "%3A" in cursor
    assert sizes == [20, 20, 5]
    assert seen == sent[::-1]


async def test_pages_stay_right_while_new_rows_arrive(wire: Any) -> None:
    for _ in range(60):
        await wire.order(**{**BUY, "qty": "10"})
    _, first, _ = await wire.get("/v5/execution/list", "category=spot")
    await wire.order(**{**BUY, "qty": "10"})
    cursor = first["result"]["nextPageCursor"]
    _, second, _ = await wire.get("/v5/execution/list", f"category=spot&cursor={cursor}")
    ids = [row["execId"] for row in first["result"]["list"] + second["result"]["list"]]
    assert len(ids) == len(set(ids)) == 60


async def test_fact_16_candles_come_newest_first_and_the_first_is_still_open(wire: Any) -> None:
    await wire.maintain("advance", ms=600_000)
    _, reply, _ = await wire.get("/v5/market/kline", "category=spot&symbol=BTCUSDT&interval=60&limit=3")
    opens = [int(row[0]) for row in reply["result"]["list"]]
    assert opens == sorted(opens, reverse=True)
    assert opens[0] + 3_600_000 > wire.server.world.venue.state.now_ms
    assert len(reply["result"]["list"][0]) == 7


async def test_funding_history_wants_an_end_with_its_start(wire: Any) -> None:
    base = "category=linear&symbol=BTCUSDT"
    assert (await wire.get("/v5/market/funding/history", f"{base}&startTime=1"))[1]["retCode"] == 10001
    _, reply, _ = await wire.get("/v5/market/funding/history", f"{base}&limit=2")
    stamps = [int(row["fundingRateTimestamp"]) for row in reply["result"]["list"]]
    assert stamps[0] - stamps[1] == 8 * 3_600_000


async def test_windows_are_seven_days_at_most(wire: Any) -> None:
    query = f"category=spot&startTime=0&endTime={8 * 86_400_000}"
    assert (await wire.get("/v5/order/history", query))[1]["retCode"] == 10001
    assert (await wire.get("/v5/order/history", "category=spot&orderStatus=New"))[1]["retCode"] == 181017


async def test_the_demo_refuses_what_it_lacks(demo: Any) -> None:
    assert (await demo.get("/v5/account/fee-rate", "category=spot"))[1]["retCode"] == 10032
    assert (await demo.get("/v5/user/query-api"))[1]["retCode"] == 0
    assert (await demo.post("/v5/account/demo-apply-money", {}))[1]["retCode"] == 0
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await demo.http.ws_connect(f"{demo.url}/v5/public/linear")
    assert caught.value.status == 404


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("not json", 10001),
        ("[]", 10001),
        ("{}", 10001),
        ("[" * 50_000, 10001),
        ('{"category": {}}', 10001),
        ('{"category": "spot", "symbol": "btcusdt", "side": "Buy", "orderType": "Market", "qty": "10"}', 170121),
        ('{"category": "spot", "symbol": "BTCUSDT", "side": "buy", "orderType": "Market", "qty": "10"}', 10001),
        ('{"category": "spot", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Market", "qty": "NaN"}', 10001),
        ('{"category": "spot", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Market", "qty": "1e999999"}', 10001),
        ('{"category": "spot", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Market", "qty": "-5"}', 170130),
        ('{"category": "spot", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Market", "qty": [1]}', 10001),
        ('{"category": "inverse", "symbol": "BTCUSD", "side": "Buy", "orderType": "Market", "qty": "1"}', 10001),
        ('{"category": "linear", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit", "qty": "1"}', 10001),
        ('{"category": "linear", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Market", "positionIdx": 9}', 10001),
    ],
)
async def test_bad_bodies_are_answered_as_the_exchange_would(wire: Any, body: str, code: int) -> None:
    status, reply, _ = await wire.post("/v5/order/create", body)
    assert (status, reply["retCode"]) == (200, code)
    assert wire.server.world.venue.balance(wire.account.uid, "USDT") == 100_000


async def test_paths_methods_and_bodies_that_do_not_belong(wire: Any) -> None:
    assert (await wire.get("/v5/nothing/here"))[0] == 404
    assert (await wire.get("/"))[0] == 404
    assert (await wire.get("/v5/order/create"))[0] == 400
    async with wire.http.get(f"{wire.url}/v5/market/time", json={}) as reply:
        assert reply.status == 403
    async with wire.http.post(f"{wire.url}/v5/order/create", data=b"x" * 2_000_000) as reply:
        assert reply.status in {413, 400}
    assert (await wire.get("/v5/market/time"))[1]["retCode"] == 0


async def test_a_hundred_connections_that_never_finish_do_not_stop_the_others(wire: Any) -> None:
    writers = []
    for _ in range(100):
        _, writer = await asyncio.open_connection("127.0.0.1", wire.server.port)
        writer.write(b"POST /v5/order/create HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
        await writer.drain()
        writers.append(writer)
    assert (await wire.order(**BUY))["retCode"] == 0
    for writer in writers:
        writer.close()


async def test_fact_6_a_reply_lost_after_execution_leaves_exactly_one_order(wire: Any) -> None:
    await wire.maintain("faults", faults=[{"kind": "lose_reply", "path": "/v5/order/create"}])
    with pytest.raises(aiohttp.ClientError):
        await wire.order(**BUY, orderLinkId="once")
    again = await wire.order(**BUY, orderLinkId="once")
    assert again["retCode"] == 170141
    _, found, _ = await wire.get("/v5/order/realtime", "category=spot&orderLinkId=once")
    assert len(found["result"]["list"]) == 1
    assert len(wire.server.world.venue.state.executions[wire.account.uid]) == 1


@pytest.mark.parametrize(
    ("fault", "status", "code", "executed"),
    [
        ({"kind": "code", "code": 10016}, 200, 10016, False),
        ({"kind": "code_after", "code": 10016}, 200, 10016, True),
        ({"kind": "http", "status": 403}, 403, None, False),
        ({"kind": "http", "status": 429}, 429, None, False),
        ({"kind": "html", "status": 502}, 502, None, True),
        ({"kind": "truncate"}, 200, None, True),
        ({"kind": "rate_limit_past"}, 200, 10006, False),
        ({"kind": "rate_limit_future"}, 200, 10006, False),
        ({"kind": "rate_limit_bare"}, 200, 10006, False),
        ({"kind": "clock_skew", "delay_ms": 60000}, 200, 10002, False),
        ({"kind": "duplicate"}, 200, 0, True),
        ({"kind": "delay", "delay_ms": 10}, 200, 0, True),
        ({"kind": "missing_field", "field": "orderId"}, 200, 0, True),
    ],
)
async def test_each_fault_does_what_it_says(
    wire: Any, fault: dict[str, Any], status: int, code: int | None, executed: bool
) -> None:
    await wire.maintain("faults", faults=[{"path": "/v5/order/create", **fault}])
    got, reply, headers = await wire.post("/v5/order/create", {**BUY, "orderLinkId": "f"})
    assert got == status
    if code is not None:
        assert reply["retCode"] == code
    if fault["kind"].startswith("rate_limit") and fault["kind"] != "rate_limit_bare":
        ahead = int(headers["X-Bapi-Limit-Reset-Timestamp"]) > clock.now_ms()
        assert ahead == (fault["kind"] == "rate_limit_future")
    if fault["kind"] == "missing_field":
        assert "orderId" not in reply["result"]
    fills = len(wire.server.world.venue.state.executions.get(wire.account.uid, ()))
    assert fills == (1 if executed else 0)
    assert (await wire.get("/v5/account/info"))[1]["retCode"] == 0


async def test_fact_5_an_accepted_order_may_be_rejected_later(wire: Any) -> None:
    await wire.maintain("faults", faults=[{"kind": "reject_later", "path": "/v5/order/create"}])
    assert (await wire.order(**BUY, orderLinkId="doomed"))["retCode"] == 0
    _, reply, _ = await wire.get("/v5/order/realtime", "category=spot&orderLinkId=doomed")
    assert [row["orderStatus"] for row in reply["result"]["list"]] == ["Rejected"]
    assert (await wire.order(**BUY))["retCode"] == 0
    assert len(wire.server.world.venue.state.executions[wire.account.uid]) == 1


async def test_faults_that_make_no_sense_are_refused_by_name(wire: Any) -> None:
    assert "explode" in (await wire.maintain("faults", faults=[{"kind": "explode"}]))["error"]
    assert "colour" in (await wire.maintain("faults", faults=[{"kind": "delay", "colour": 1}]))["error"]


async def test_maintenance_closes_the_private_paths_only(wire: Any) -> None:
    await wire.maintain("closed", on=True)
    assert (await wire.order(**BUY))["retCode"] == 10016
    assert (await wire.get("/v5/market/time"))[1]["retCode"] == 0
    await wire.maintain("closed", on=False)
    assert (await wire.order(**BUY))["retCode"] == 0


async def test_the_maintenance_path_shows_the_ledger_and_moves_the_clock(wire: Any) -> None:
    await wire.order(**{**BUY, "category": "linear", "qty": "0.5", "side": "Sell"})
    before = wire.server.world.venue.state.now_ms
    moved = await wire.maintain("advance", hours=8)
    assert moved["now_ms"] == before + 8 * 3_600_000
    async with wire.http.get(f"{wire.url}/maintenance/ledger?account=MASTER") as reply:
        (row,) = (await reply.json())["accounts"]
    assert [fill["exec_type"] for fill in row["executions"]] == ["Trade", "Funding"]
    assert row["executions"][-1]["fee"] == "-2"
    assert row["positions"][0]["size"] == "-0.5"
    async with wire.http.get(f"{wire.url}/maintenance/audit") as reply:
        assert (await reply.json())["wrong"] == []


async def test_a_transfer_happens_once_and_only_within_the_family(wire: Any) -> None:
    master, sub = wire.server.world.venue.state.accounts.values()
    doc = {"transferId": "t-1", "coin": "USDT", "amount": "2500.5", "fromAccountType": "UNIFIED"}
    doc |= {"toAccountType": "UNIFIED", "fromMemberId": master.uid, "toMemberId": sub.uid}
    path = "/v5/asset/transfer/universal-transfer"
    assert (await wire.post(path, doc))[1]["result"]["status"] == "SUCCESS"
    assert (await wire.post(path, doc))[1]["retCode"] == 131214
    assert str(wire.server.world.venue.balance(sub.uid, "USDT").normalize()) == "2500.5"
    assert (await wire.post(path, {**doc, "transferId": "t-2", "amount": "1000000"}))[1]["retCode"] == 131212
    wire.account = sub
    assert (await wire.post(path, {**doc, "transferId": "t-3"}))[1]["retCode"] == 131206
