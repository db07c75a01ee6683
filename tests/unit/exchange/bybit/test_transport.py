"""One request goes out, once, whatever comes back; and what comes back becomes exactly one of our errors."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator

import pytest
from pybit.unified_trading import HTTP

from eternal_engine.exchange.bybit.errors import Verb
from eternal_engine.exchange.bybit.sessions import NO_RETRY_CODES, Access, new_http
from eternal_engine.exchange.bybit.transport import Transport, TransportSettings
from eternal_engine.model.errors import (
    BadReply,
    ExchangeError,
    HaltTrading,
    RateLimited,
    RejectedForGood,
    Retry,
    UnknownOutcome,
)
from scripted_server import NOW_MS, Said, ScriptedServer, ok, refusal

ORDER = {"category": "spot", "symbol": "BTCUSDT", "qty": "0.001", "orderLinkId": "co-1"}
FAST = TransportSettings(connect_timeout_s=2, read_timeout_s=1.0, deadline_s=6.0)


@pytest.fixture
async def transport(server: ScriptedServer) -> AsyncIterator[Transport]:
    made = Transport(server.url, "key", "secret", FAST)
    yield made
    made.close()


async def place(transport: Transport) -> None:
    await transport.call(HTTP.place_order, ORDER, verb=Verb.PLACE, where="t")


async def read(transport: Transport) -> None:
    await transport.call(HTTP.get_positions, {"category": "linear"}, verb=Verb.READ, where="t")


ODD = {
    "html 200": (Said(b"<html>maintenance</html>"), UnknownOutcome, Retry),
    "html 502": (Said(b"<html>bad gateway</html>", 502), UnknownOutcome, Retry),
    "empty 200": (Said(b""), UnknownOutcome, Retry),
    "truncated": (Said(b'{"retCode":0,"retM', breaks="truncate"), UnknownOutcome, Retry),
    "half json": (Said(b'{"retCode":0,"retM'), UnknownOutcome, Retry),
    "list": (Said(b"[]"), UnknownOutcome, Retry),
    "null": (Said(b"null"), UnknownOutcome, Retry),
    "text": (Said(b'"retCode"'), UnknownOutcome, Retry),
    "number": (Said(b"5"), UnknownOutcome, Retry),
    "no retCode": (Said(b'{"result":{}}'), UnknownOutcome, BadReply),
    "retCode text 0": (Said(b'{"retCode":"0","retMsg":"OK","result":{}}'), UnknownOutcome, BadReply),
    "retCode text": (Said(b'{"retCode":"10001","retMsg":"no","result":{}}'), UnknownOutcome, BadReply),
    "retCode float": (Said(b'{"retCode":0.0,"retMsg":"OK","result":{}}'), UnknownOutcome, BadReply),
    "retCode null": (Said(b'{"retCode":null,"retMsg":"OK","result":{}}'), UnknownOutcome, BadReply),
    "retCode true": (Said(b'{"retCode":true,"retMsg":"OK","result":{}}'), UnknownOutcome, BadReply),
    "no retMsg": (Said(b'{"retCode":10001}'), UnknownOutcome, Retry),
    "result list": (Said(b'{"retCode":0,"retMsg":"OK","result":[]}'), UnknownOutcome, BadReply),
    "deep": (Said(b"[" * 100_000), UnknownOutcome, Retry),
    "not utf-8": (Said(b"\xff\xfe{}"), UnknownOutcome, Retry),
    "reset": (Said(breaks="reset"), UnknownOutcome, Retry),
    "silence": (Said(b"{}", wait_s=1.6), UnknownOutcome, Retry),
    "redirect": (Said(status=307, headers={"Location": "/v5/order/create"}), UnknownOutcome, Retry),
    "429": (Said(b"slow down", 429), UnknownOutcome, RateLimited),
    "403": (Said(b"access too frequent", 403), UnknownOutcome, RateLimited),
    "401": (Said(b"", 401), HaltTrading, HaltTrading),
    "404": (Said(b"", 404), RejectedForGood, RejectedForGood),
    "10016": (refusal(10016), UnknownOutcome, Retry),
    "10002": (refusal(10002), Retry, Retry),
    "10001": (refusal(10001), RejectedForGood, RejectedForGood),
}


@pytest.mark.parametrize("name", ODD)
async def test_ord2_an_odd_answer_to_an_order_is_sent_once_and_has_one_class(
    name: str, server: ScriptedServer, transport: Transport
) -> None:
    said, on_place, _ = ODD[name]
    server.default = lambda _: said
    with pytest.raises(ExchangeError) as caught:
        await place(transport)
    assert type(caught.value) is on_place
    assert len(server.seen) == 1


@pytest.mark.parametrize("name", ODD)
async def test_an_odd_answer_to_a_read_has_one_class(name: str, server: ScriptedServer, transport: Transport) -> None:
    said, _, on_read = ODD[name]
    server.default = lambda _: said
    with pytest.raises(ExchangeError) as caught:
        await read(transport)
    assert type(caught.value) is on_read
    assert len(server.seen) == 1


async def test_fact6_a_read_time_out_never_resends(server: ScriptedServer, transport: Transport) -> None:
    server.default = lambda _: Said(b"{}", wait_s=1.3)
    with pytest.raises(UnknownOutcome):
        await place(transport)
    await asyncio.sleep(0.6)
    assert len(server.seen) == 1


async def test_fact7_the_code_of_a_rate_limit_is_kept(server: ScriptedServer, transport: Transport) -> None:
    server.default = lambda _: refusal(10006, headers={"X-Bapi-Limit-Reset-Timestamp": str(NOW_MS)})
    with pytest.raises(RateLimited) as caught:
        await place(transport)
    assert caught.value.code == 10006
    assert caught.value.reset_at is not None
    assert len(server.seen) == 1


@pytest.mark.parametrize("reset", ["1", str(NOW_MS - 10_000), "9999999999999", "soon", None])
async def test_fact8_no_reset_header_breaks_or_blocks(
    reset: str | None, server: ScriptedServer, transport: Transport
) -> None:
    headers = {"X-Bapi-Limit-Reset-Timestamp": reset} if reset else {}
    server.default = lambda _: refusal(10006, headers=headers)
    with pytest.raises(RateLimited):
        await asyncio.wait_for(place(transport), 5)


async def test_a_refused_connection_was_never_sent() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    transport = Transport(f"http://127.0.0.1:{port}", "key", "secret", FAST)
    with pytest.raises(Retry):
        await place(transport)
    transport.close()


async def test_the_deadline_covers_an_answer_that_drips(server: ScriptedServer) -> None:
    transport = Transport(server.url, "k", "s", TransportSettings(read_timeout_s=5, deadline_s=0.2))
    server.default = lambda _: Said(b"{}", wait_s=0.6)
    with pytest.raises(UnknownOutcome, match="no answer within"):
        await place(transport)
    transport.close()


async def test_a_call_that_waited_too_long_for_a_thread_is_never_sent(server: ScriptedServer) -> None:
    transport = Transport(server.url, "k", "s", TransportSettings(workers=1, read_timeout_s=5, deadline_s=0.3))
    server.script.append(Said(b"{}", wait_s=0.8))
    results = await asyncio.gather(place(transport), place(transport), return_exceptions=True)
    assert all(isinstance(result, ExchangeError) for result in results)
    await asyncio.sleep(0.8)
    assert len(server.seen) == 1
    transport.close()


async def test_a_good_answer_keeps_headers_and_times(server: ScriptedServer, transport: Transport) -> None:
    server.default = lambda _: ok({"a": 1}, X_Bapi_Limit="10")
    reply = await transport.call(HTTP.place_order, ORDER, verb=Verb.PLACE, where="t")
    assert reply.answer.result == {"a": 1}
    assert reply.headers["X-Bapi-Limit"] == "10"
    assert reply.sent_ms <= reply.received_ms


async def test_an_order_is_signed_over_the_very_bytes_sent(server: ScriptedServer, transport: Transport) -> None:
    server.default = lambda _: ok()
    await place(transport)
    seen = server.seen[0]
    assert (seen.method, seen.path, seen.body) == ("POST", "/v5/order/create", ORDER)
    assert seen.headers["X-BAPI-RECV-WINDOW"] == "5000"
    assert len(seen.headers["X-BAPI-SIGN"]) == 64


def test_fact6_nothing_of_pybit_sends_or_waits_by_itself() -> None:
    session = new_http(Access("http://127.0.0.1:1", "k", "s", 1.0, 1.0, 5_000))
    assert (session.force_retry, session.max_retries, session.retry_codes) == (False, 1, NO_RETRY_CODES)
    assert session.client.max_redirects == 0
    adapter = session.client.get_adapter("https://")
    assert adapter.max_retries.total == 0


def test_fact6_the_dummy_retry_code_is_not_empty_and_not_a_real_code() -> None:
    assert NO_RETRY_CODES
    assert not NO_RETRY_CODES & {10002, 10006, -1}


async def test_no_secret_reaches_an_error_or_a_log(server: ScriptedServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    transport = Transport(server.url, "the-key", "the-secret", FAST)
    server.default = lambda _: refusal(10004, "error sign! origin_string[...]")
    with pytest.raises(HaltTrading) as caught:
        await place(transport)
    assert "the-secret" not in str(caught.value) + repr(caught.value.__cause__) + caplog.text
    transport.close()


async def test_a_loopback_endpoint_ignores_a_proxy_of_the_environment(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    transport = Transport(server.url, "k", "s", FAST)
    server.default = lambda _: Said(json.dumps({"retCode": 0, "retMsg": "", "result": {}}).encode())
    await place(transport)
    assert len(server.seen) == 1
    transport.close()
