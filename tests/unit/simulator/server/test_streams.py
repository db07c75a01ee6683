"""Streams: acks, pings, refusals, snapshots, private messages, faults."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from typing import Any

import aiohttp
import pytest

from eternal_engine import clock


async def hear(socket: Any, seconds: float = 1.0) -> Any:
    """Receive one message."""
    return json.loads((await asyncio.wait_for(socket.receive(), seconds)).data)


async def quiet(socket: Any, seconds: float = 0.25) -> bool:
    """Tell whether nothing arrives for a while."""
    try:
        await asyncio.wait_for(socket.receive(), seconds)
    except TimeoutError:
        return True
    return False


async def private(wire: Any, *topics: str) -> Any:
    """Open an authenticated private stream with subscriptions."""
    socket = await wire.http.ws_connect(f"{wire.url}/v5/private")
    expires = clock.now_ms() + 10_000
    sign = hmac.new(wire.account.api_secret.encode(), f"GET/realtime{expires}".encode(), hashlib.sha256).hexdigest()
    await socket.send_json({"op": "auth", "args": [wire.account.api_key, expires, sign]})
    assert (await hear(socket))["success"] is True
    if topics:
        await socket.send_json({"op": "subscribe", "req_id": "r1", "args": list(topics)})
        ack = await hear(socket)
        assert ack["success"] is True
        assert "req_id" not in ack
    return socket


async def public(wire: Any, category: str, *topics: str) -> Any:
    """Open a public stream with subscriptions."""
    socket = await wire.http.ws_connect(f"{wire.url}/v5/public/{category}")
    if topics:
        await socket.send_json({"op": "subscribe", "req_id": "r1", "args": list(topics)})
        ack = await hear(socket)
        assert (ack["success"], ack["req_id"]) == (True, "r1")
    return socket


BUY = {"category": "linear", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Market", "qty": "0.1"}


async def test_fact_12_a_subscription_is_acknowledged_after_20_ms_and_data_comes_after(wire: Any) -> None:
    socket = await wire.http.ws_connect(f"{wire.url}/v5/public/linear")
    began = clock.monotonic()
    await socket.send_json({"op": "subscribe", "req_id": "a", "args": ["tickers.BTCUSDT"]})
    ack = await hear(socket)
    assert clock.monotonic() - began >= 0.02
    assert ack["op"] == "subscribe"
    assert (await hear(socket))["type"] == "snapshot"


async def test_fact_20_one_unknown_topic_refuses_the_whole_request(wire: Any) -> None:
    socket = await public(wire, "linear")
    await socket.send_json({"op": "subscribe", "args": ["tickers.BTCUSDT", "tickers.NOPE"]})
    ack = await hear(socket)
    assert (ack["success"], ack["ret_msg"]) == (False, "error:handler not found,topic:tickers.NOPE")
    assert await quiet(socket)


@pytest.mark.parametrize(
    ("category", "args", "said"),
    [
        ("spot", ["tickers.BTCUSDT"] * 11, "args size >10"),
        ("linear", ["order"], "error:handler not found,topic:order"),
        ("linear", [], "error:invalid args"),
        ("linear", [5], "error:invalid args"),
        ("linear", ["kline.7.BTCUSDT"], "error:handler not found,topic:kline.7.BTCUSDT"),
    ],
)
async def test_bad_subscriptions_are_refused(wire: Any, category: str, args: list[Any], said: str) -> None:
    socket = await public(wire, category)
    await socket.send_json({"op": "subscribe", "args": args})
    assert (await hear(socket))["ret_msg"] == said


async def test_subscribing_twice_says_so_and_the_first_keeps_flowing(wire: Any) -> None:
    socket = await public(wire, "linear", "tickers.BTCUSDT")
    await hear(socket)
    await socket.send_json({"op": "subscribe", "args": ["tickers.BTCUSDT"]})
    assert "already subscribed" in (await hear(socket))["ret_msg"]
    await wire.maintain("quote", category="linear", symbol="BTCUSDT", last="40100")
    assert (await hear(socket))["data"]["lastPrice"] == "40100"


async def test_ticker_deltas_hold_changed_fields_only(wire: Any) -> None:
    socket = await public(wire, "linear", "tickers.BTCUSDT")
    assert "openInterest" in (await hear(socket))["data"]
    await wire.maintain("quote", category="linear", symbol="BTCUSDT", last="40100")
    delta = await hear(socket)
    assert delta["type"] == "delta"
    assert "lastPrice" in delta["data"]
    assert "openInterest" not in delta["data"]


async def test_spot_tickers_are_snapshots_without_a_book(wire: Any) -> None:
    socket = await public(wire, "spot", "tickers.BTCUSDT")
    message = await hear(socket)
    assert message["type"] == "snapshot"
    assert "bid1Price" not in message["data"]


async def test_a_closed_candle_is_confirmed_once(wire: Any) -> None:
    socket = await public(wire, "linear", "kline.60.BTCUSDT")
    assert (await hear(socket))["data"][0]["confirm"] is False
    await wire.maintain("advance", hours=2)
    rows = [(await hear(socket))["data"][0] for _ in range(3)]
    assert [row["confirm"] for row in rows] == [True, True, False]
    assert rows[0]["end"] == rows[0]["start"] + 3_599_999


async def test_a_confirmed_candle_is_not_repeated(wire: Any) -> None:
    socket = await public(wire, "linear", "kline.60.BTCUSDT")
    await hear(socket)
    await wire.maintain("advance", hours=1)
    assert [(await hear(socket))["data"][0]["confirm"] for _ in range(2)] == [True, False]
    assert await quiet(socket, 1.3)


async def test_the_pings_of_both_channels_are_answered(wire: Any) -> None:
    socket = await public(wire, "linear")
    await socket.send_json({"op": "ping", "req_id": "p"})
    assert (await hear(socket))["ret_msg"] == "pong"
    secret = await private(wire)
    await secret.send_json({"op": "ping"})
    assert (await hear(secret))["op"] == "pong"


@pytest.mark.parametrize("args", [["nobody", 99_999_999_999_999, "x"], [], ["k"], None])
async def test_a_bad_authentication_is_refused_and_topics_stay_closed(wire: Any, args: Any) -> None:
    socket = await wire.http.ws_connect(f"{wire.url}/v5/private")
    await socket.send_json({"op": "auth", "args": args})
    assert (await hear(socket))["success"] is False
    await socket.send_json({"op": "subscribe", "args": ["order"]})
    assert (await hear(socket))["success"] is False


async def test_an_order_is_told_on_all_four_private_topics(wire: Any) -> None:
    socket = await private(wire, "order", "execution", "position", "wallet")
    await wire.order(**BUY, orderLinkId="s1")
    heard = {}
    for _ in range(4):
        message = await hear(socket)
        heard[message["topic"]] = message["data"]
    assert heard["order"][-1]["orderStatus"] == "Filled"
    assert heard["execution"][0]["orderLinkId"] == "s1"
    assert heard["position"][0]["entryPrice"] == "40020"
    assert "avgPrice" not in heard["position"][0]
    assert heard["wallet"][0]["accountType"] == "UNIFIED"


async def test_categorised_topics_hear_their_category_only(wire: Any) -> None:
    socket = await private(wire, "order.spot")
    await wire.order(**BUY)
    assert await quiet(socket)
    await wire.order(**{**BUY, "category": "spot", "qty": "100"})
    assert (await hear(socket))["topic"] == "order.spot"


async def test_no_account_hears_of_another(wire: Any) -> None:
    owner = wire.account
    wire.account = list(wire.server.world.venue.state.accounts.values())[1]
    socket = await private(wire, "order", "wallet")
    wire.account = owner
    await wire.order(**BUY)
    assert await quiet(socket)


async def test_garbage_from_a_client_does_not_end_the_connection(wire: Any) -> None:
    socket = await public(wire, "linear")
    for text in ("{", "[]", '"x"', "{}", '{"op": 5}', "[" * 20_000):
        await socket.send_str(text)
        assert (await hear(socket))["success"] is False
    await socket.send_json({"op": "ping"})
    assert (await hear(socket))["ret_msg"] == "pong"


async def test_stream_faults_drop_double_and_close(wire: Any) -> None:
    socket = await private(wire, "execution")
    await wire.maintain("faults", faults=[{"kind": "ws_drop", "path": "execution"}])
    await wire.order(**BUY)
    assert await quiet(socket)
    await wire.maintain("faults", clear=True, faults=[{"kind": "ws_duplicate", "path": "execution"}])
    await wire.order(**BUY)
    assert (await hear(socket))["data"][0]["execId"] == (await hear(socket))["data"][0]["execId"]
    await wire.maintain("faults", clear=True, faults=[{"kind": "ws_close", "path": "execution"}])
    await wire.order(**BUY)
    assert (await asyncio.wait_for(socket.receive(), 1)).type.name in {"CLOSE", "CLOSED", "CLOSING"}


async def test_a_stream_can_be_refused_at_the_door(wire: Any) -> None:
    await wire.maintain("faults", faults=[{"kind": "http", "path": "/v5/private", "status": 502}])
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await wire.http.ws_connect(f"{wire.url}/v5/private")
    assert caught.value.status == 502
    await private(wire, "order")


async def test_a_swapped_pair_arrives_out_of_order(wire: Any) -> None:
    socket = await private(wire, "execution")
    await wire.maintain("faults", faults=[{"kind": "ws_swap", "path": "execution"}])
    await wire.order(**BUY, orderLinkId="first")
    await wire.order(**BUY, orderLinkId="second")
    links = [(await hear(socket))["data"][0]["orderLinkId"] for _ in range(2)]
    assert links == ["second", "first"]
