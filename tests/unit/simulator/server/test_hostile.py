"""An outsider who wants to break it: odd numbers, odd bytes, hands on prices, a full disk, floods."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from eternal_engine.model.errors import StorageError
from eternal_engine.simulator.server.app import Server
from eternal_engine.simulator.store import VenueStore
from eternal_engine.simulator.venue import Venue

NUMBERS = (
    "1E+9999999",
    "1e-9999999",
    "0E-9999999",
    "1e999",
    "١٢",
    "1_0",
    "+-5",
    " 5",
    "NaN",
    "-Infinity",
    "0x10",
    "9" * 41,
)
BUY = {"category": "linear", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Market", "qty": "0.1"}


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("field", ["qty", "triggerPrice", "slippageTolerance"])
async def test_no_number_breaks_an_order_call(wire: Any, field: str, number: str) -> None:
    status, said, _ = await wire.post("/v5/order/create", {**BUY, field: number})
    assert (status, said["retCode"]) == (200, 10001)


@pytest.mark.parametrize("body", ['{"category":"linear","qty":1e9999999}', '{"qty":NaN}', '{"qty":' + "9" * 5000 + "}"])
async def test_no_json_number_breaks_an_order_call(wire: Any, body: str) -> None:
    status, said, _ = await wire.post("/v5/order/create", body)
    assert (status, said["retCode"]) == (200, 10001)


@pytest.mark.parametrize("name", ["X-BAPI-TIMESTAMP", "X-BAPI-RECV-WINDOW", "X-BAPI-SIGN", "X-BAPI-API-KEY"])
@pytest.mark.parametrize("value", ["²", "١٢", "ключ", "9" * 30, "-1"])
async def test_no_header_breaks_a_signed_call(wire: Any, name: str, value: str) -> None:
    status, said, _ = await wire.get("/v5/account/info", "", **{name: value})
    assert status in {200, 401}
    assert said["retCode"] in {10001, 10002, 10003, 10004} or (name, value) == ("X-BAPI-RECV-WINDOW", "9" * 30)


@pytest.mark.parametrize("cursor", ["²:1", "1:²", "9" * 400 + ":1", "%", "-1:1", "a"])
async def test_no_cursor_breaks_a_list(wire: Any, cursor: str) -> None:
    from urllib.parse import quote

    status, said, _ = await wire.get("/v5/execution/list", f"category=linear&cursor={quote(cursor)}")
    assert (status, said["retCode"]) == (200, 10001)


async def test_a_negative_cursor_of_positions_begins_at_the_first(wire: Any) -> None:
    await wire.order(**BUY)
    said = (await wire.get("/v5/position/list", "category=linear&settleCoin=USDT&cursor=-5"))[1]
    assert [row["symbol"] for row in said["result"]["list"]] == ["BTCUSDT"]


@pytest.mark.parametrize(
    ("verb", "fields"),
    [
        ("quote", {"category": "linear", "symbol": "BTCUSDT", "last": "0"}),
        ("quote", {"category": "linear", "symbol": "BTCUSDT", "last": "-1"}),
        ("quote", {"category": "linear", "symbol": "BTCUSDT", "last": "40000", "mark": "-1"}),
        ("quote", {"category": "linear", "symbol": "NOSUCHUSDT", "last": "1"}),
        ("instrument", {"category": "spot", "symbol": "BTCUSDT", "tick": "0"}),
        ("instrument", {"category": "spot", "symbol": "BTCUSDT", "qty_step": "-1"}),
        ("instrument", {"category": "spot", "symbol": "BTCUSDT", "status": "Sleeping"}),
        ("deposit", {"account": "MASTER", "coin": "us dt", "amount": "5"}),
        ("deposit", {"account": "MASTER", "coin": "USDT", "amount": "100000000000000"}),
        ("advance", {"to_ms": 99_999_999_999_999}),
        ("advance", {"hours": 1e9}),
        ("advance", {"hours": -1}),
    ],
)
async def test_the_maintenance_path_refuses_what_would_break_the_market(wire: Any, verb: str, fields: Any) -> None:
    assert "error" in await wire.maintain(verb, **fields)
    for category in ("spot", "linear"):
        status, said, _ = await wire.get("/v5/market/tickers", f"category={category}")
        assert (status, said["retCode"]) == (200, 0)
    assert wire.server.world.venue.audit() == ()


async def test_a_transfer_reaches_no_account_of_another_family(wire: Any) -> None:
    venue = wire.server.world.venue
    stranger = venue.open_account("STRANGER")
    fields = {"coin": "USDT", "amount": "5", "fromAccountType": "UNIFIED", "toAccountType": "UNIFIED"}
    mine = wire.account.uid
    for source, target in ((mine, stranger.uid), (stranger.uid, mine)):
        doc = {**fields, "transferId": f"t-{source}", "fromMemberId": source, "toMemberId": target}
        assert (await wire.post("/v5/asset/transfer/universal-transfer", doc))[1]["retCode"] == 131206
    assert venue.balance(stranger.uid, "USDT") == 0


async def test_an_answer_that_cannot_be_made_durable_is_not_given_and_nothing_is_lost(
    wire: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = wire.server.world
    world.store = VenueStore(tmp_path / "venue.db")
    told: list[Any] = []
    world.listeners.append(told.extend)
    world.settle()
    told.clear()
    world.store._db.execute("PRAGMA query_only=1")
    for number in range(2):
        status, said, _ = await wire.post("/v5/order/create", {**BUY, "orderLinkId": f"full-{number}"})
        assert (status, said) == (500, "the answer could not be made durable")
    assert told == []
    assert capsys.readouterr().err.count("cannot write its state") == 1
    world.store._db.execute("PRAGMA query_only=0")
    found = (await wire.get("/v5/order/realtime", "category=linear&orderLinkId=full-1"))[1]["result"]["list"]
    assert [row["orderStatus"] for row in found] == ["Filled"]
    assert len([event for event in told if event.kind == "execution"]) == 2
    world.store.close()
    again, read = VenueStore(tmp_path / "venue.db"), Venue(now_ms=world.venue.state.now_ms)
    again.load(read)
    again.close()
    assert read.state.books.balances == world.venue.state.books.balances
    assert read.state.executions == world.venue.state.executions
    assert read.audit() == ()
    world.store = None


async def test_a_running_clock_outlives_a_full_disk(wire: Any, tmp_path: Path) -> None:
    world = wire.server.world
    world.store = VenueStore(tmp_path / "venue.db")
    world.store._db.execute("PRAGMA query_only=1")
    await wire.order(**BUY)
    with pytest.raises(StorageError, match="make room on the disk"):
        world.settle()
    for _ in range(3):
        wire.server._live_on()
    world.store._db.execute("PRAGMA query_only=0")
    wire.server._live_on()
    assert world.store.size()["execution"] == 1
    world.store.close()
    world.store = None


@pytest.mark.parametrize("expires", ["²", "١٧", "", "9" * 30])
async def test_no_authentication_breaks_a_stream(wire: Any, expires: str) -> None:
    async with wire.http.ws_connect(f"{wire.url}/v5/private") as socket:
        for sign in ("ключ", "\ud800", "0"):
            await socket.send_str(json.dumps({"op": "auth", "args": [wire.account.api_key, expires, sign]}))
            assert json.loads(await socket.receive_str())["success"] is False
        await socket.send_str('{"op":"ping"}')
        assert json.loads(await socket.receive_str())["op"] == "pong"


async def test_a_client_that_floods_and_never_reads_is_cut_off_and_others_are_served(wire: Any) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", wire.server.port)
    writer.write(
        b"GET /v5/public/linear HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    await reader.readuntil(b"\r\n\r\n")
    ping = b'{"op":"ping","req_id":"' + b"x" * 60 + b'"}'
    frame = b"\x81" + bytes([0x80 | len(ping)]) + b"\0\0\0\0" + ping
    slowest_s = 0.0
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(30):
            while True:
                writer.write(frame * 2_000)
                await asyncio.wait_for(writer.drain(), 2)
                began = loop.time()
                assert (await wire.get("/v5/market/time"))[1]["retCode"] == 0
                slowest_s = max(slowest_s, loop.time() - began)
    except (ConnectionError, TimeoutError):
        pass
    assert slowest_s < 5
    writer.close()
    for _ in range(200):
        if not wire.server.connections:
            break
        await asyncio.sleep(0.02)
    assert not wire.server.connections
    assert (await wire.order(**BUY))["retCode"] == 0


async def test_many_streams_that_come_and_go_leave_nothing_behind(wire: Any) -> None:
    server: Server = wire.server
    for _ in range(5):
        sockets = await asyncio.gather(*(wire.http.ws_connect(f"{wire.url}/v5/public/linear") for _ in range(40)))
        for socket in sockets:
            await socket.send_json({"op": "subscribe", "args": ["tickers.BTCUSDT", "kline.60.BTCUSDT"]})
        await asyncio.gather(*(socket.receive() for socket in sockets))
        await asyncio.gather(*(socket.close() for socket in sockets))
    for _ in range(100):
        if not server.connections:
            break
        await asyncio.sleep(0.02)
    assert not server.connections
