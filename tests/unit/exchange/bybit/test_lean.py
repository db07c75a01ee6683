"""What pybit sends through is requests without what no call needs: same bytes, no redirects, no second try."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import requests
from pybit.exceptions import FailedRequestError
from pybit.unified_trading import HTTP
from urllib3.connection import HTTPConnection, HTTPSConnection

from eternal_engine.exchange.bybit import lean
from eternal_engine.exchange.bybit.lean import LeanSession
from eternal_engine.exchange.bybit.sessions import Access, new_http
from scripted_server import Said, ScriptedServer, ok


@pytest.fixture
def http(server: ScriptedServer) -> Iterator[HTTP]:
    made = new_http(Access(server.url, "key", "secret", 2.0, 2.0, 5_000))
    yield made
    made.client.close()


def prepared(session: requests.Session, request: requests.Request) -> tuple[object, ...]:
    made = session.prepare_request(request)
    body = made.body.decode() if isinstance(made.body, bytes) else made.body
    return made.method, made.url, dict(made.headers), body


@pytest.mark.parametrize(
    "request_",
    [
        requests.Request("POST", "https://h.example/v5/order/create", data='{"a": "1"}', headers={"X-BAPI-SIGN": "s"}),
        requests.Request("POST", "https://h.example/v5/x", data="{}", headers={"Content-Type": "application/json"}),
        requests.Request("GET", "https://h.example/v5/position/list?category=linear&cursor=a%2Cb:c d|e", headers={}),
        requests.Request("GET", "https://h.example/v5/market/time", data="", headers={}),
    ],
    ids=["signed order", "own type", "odd query", "bare"],
)
def test_a_prepared_request_is_what_requests_itself_prepares(request_: requests.Request) -> None:
    usual, lean = requests.Session(), LeanSession("https://h.example", trusts_environment=False)
    usual.trust_env = False
    assert prepared(lean, request_) == prepared(usual, request_)
    assert prepared(lean, request_) == prepared(usual, request_), "an address that was seen before"


def test_addresses_with_a_query_are_not_remembered() -> None:
    session = LeanSession("https://h.example", trusts_environment=False)
    for number in range(50):
        session.prepare_request(requests.Request("GET", f"https://h.example/v5/market/kline?start={number}"))
        session.prepare_request(requests.Request("POST", "https://h.example/v5/order/create", data="{}"))
    assert list(session._urls) == ["https://h.example/v5/order/create"]


def test_a_redirect_is_an_error_and_is_not_followed(server: ScriptedServer, http: HTTP) -> None:
    server.default = lambda _: Said(b"", 307, {"Location": "/v5/elsewhere"})
    with pytest.raises(requests.exceptions.TooManyRedirects):
        http.place_order(category="spot", symbol="BTCUSDT", qty="1")
    assert [seen.path for seen in server.seen] == ["/v5/order/create"]


def test_the_connection_is_used_again_and_cookies_go_along(server: ScriptedServer, http: HTTP) -> None:
    server.default = lambda _: ok(Set_Cookie="lane=7; Path=/")
    for _ in range(3):
        message, elapsed, headers = http.place_order(category="spot", symbol="BTCUSDT", qty="1")
        assert message["retCode"] == 0
        assert elapsed.total_seconds() > 0
        assert "Content-Length" in headers
    assert [seen.headers.get("Cookie") for seen in server.seen] == [None, "lane=7", "lane=7"]
    again = http.client.prepare_request(requests.Request("GET", f"{server.url}/v5/market/time", headers={}))
    pool = http.client.get_adapter(server.url).get_connection_with_tls_context(again, True)
    assert (pool.num_connections, pool.num_requests) == (1, 3)


@pytest.mark.parametrize(("scheme", "kind"), [("http", HTTPConnection), ("https", HTTPSConnection)])
def test_both_kinds_of_connection_let_the_other_orders_leave_first(
    scheme: str, kind: type[HTTPConnection], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = LeanSession(f"{scheme}://h.example", trusts_environment=False)
    request = session.prepare_request(requests.Request("POST", f"{scheme}://h.example/v5/order/create", data="{}"))
    pool = session.get_adapter(str(request.url)).get_connection_with_tls_context(request, True)
    assert issubclass(pool.ConnectionCls, kind)
    done: list[str] = []
    monkeypatch.setattr(lean.DEPARTURES, "left", lambda: done.append("left"))
    monkeypatch.setattr(lean.DEPARTURES, "wait", lambda: done.append("waited"))
    monkeypatch.setattr(HTTPConnection, "getresponse", lambda _: done.append("read"))
    pool.ConnectionCls("h.example").getresponse()
    assert done == ["left", "waited", "read"]


def test_a_status_that_is_not_200_is_pybits_own_error(server: ScriptedServer, http: HTTP) -> None:
    server.default = lambda _: Said(json.dumps({}).encode(), 503)
    with pytest.raises(FailedRequestError) as caught:
        http.place_order(category="spot", symbol="BTCUSDT", qty="1")
    assert caught.value.status_code == 503


def test_proxy_and_certificates_of_the_environment_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/somewhere/ca.pem")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    session = LeanSession("https://api.example", trusts_environment=True)
    monkeypatch.delenv("HTTPS_PROXY")
    assert session.proxies["https"] == "http://proxy.example:3128"
    assert session.verify == "/somewhere/ca.pem"
    assert session.trust_env is False
    assert LeanSession("https://api.example", trusts_environment=False).proxies == {}
