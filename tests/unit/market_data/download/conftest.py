"""A local HTTP server that answers as Bybit, Binance and the sentiment publisher do, faults included."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import ccxt
import pytest

from eternal_engine import clock
from eternal_engine.market_data.datasets import FUNDING
from eternal_engine.market_data.files import read_series

HOUR_MS = 3_600_000
SYMBOLS = {"BTCUSDT": "BTC", "ETHUSDT": "ETH"}


def candle(stamp_ms: int, symbol: str, category: str) -> list[str]:
    """Make the candle that the exchange has at a stamp, as a Bybit row; a function of its arguments alone."""
    hour = stamp_ms // HOUR_MS
    base = 100.0 + (hour % 97) + (7 if symbol == "ETHUSDT" else 0) + (0.5 if category == "linear" else 0)
    close = 100.0 + ((hour + 1) % 97) + (7 if symbol == "ETHUSDT" else 0)
    high, low = max(base, close) + 1, min(base, close) - 1
    return [str(stamp_ms), str(base), str(high), str(low), str(close), str(1 + hour % 5), "0"]


class Exchange:
    """Hold what the server knows and how it misbehaves.

    `faults` are taken one a request, oldest first: a name of `FAULTS`, or "" for a good answer. `begin_ms` is the
    listing, `missing` the hours without a candle, `doubled` the hours sent twice.
    """

    def __init__(self) -> None:
        self.now_ms: Callable[[], int] = clock.now_ms
        self.begin_ms = 0
        self.missing: set[int] = set()
        self.doubled: set[int] = set()
        self.contradicted: set[int] = set()
        self.interval_h: Callable[[int], int] = lambda stamp_ms: 8
        self.perps = set(SYMBOLS)
        self.faults: list[str] = []
        self.always: str = ""
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.url = ""

    def asked(self, path: str) -> list[dict[str, str]]:
        """List the queries that reached a path."""
        return [query for seen, query in self.requests if seen == path]

    def answer(self, path: str, query: dict[str, str]) -> Any:
        """Answer a good request."""
        known = {
            "/v5/market/instruments-info": self._instruments,
            "/v5/market/kline": self._kline,
            "/v5/market/funding/history": self._funding,
            "/api/v3/exchangeInfo": lambda _: self._binance_info(perp=False),
            "/fapi/v1/exchangeInfo": lambda _: self._binance_info(perp=True),
            "/api/v3/klines": lambda q: self._binance_klines(q, "spot"),
            "/fapi/v1/klines": lambda q: self._binance_klines(q, "linear"),
            "/fapi/v1/fundingRate": self._binance_funding,
            "/fng/": self._sentiment,
        }
        return known[path](query) if path in known else None

    def _instruments(self, query: dict[str, str]) -> Any:
        rows = []
        if query.get("status") != "PreLaunch":
            names = SYMBOLS if query["category"] == "spot" else {s: SYMBOLS[s] for s in SYMBOLS if s in self.perps}
            rows = [_instrument(symbol, base, query["category"]) for symbol, base in names.items()]
        return self._good({"category": query["category"], "list": rows, "nextPageCursor": ""})

    def _stamps(self, start_ms: int, end_ms: int) -> list[int]:
        first = max(-(-start_ms // HOUR_MS) * HOUR_MS, self.begin_ms)
        stamps = range(first, min(end_ms, self.now_ms()) + 1, HOUR_MS)
        return [stamp for stamp in stamps if stamp not in self.missing]

    def _kline(self, query: dict[str, str]) -> Any:
        limit = int(query.get("limit", 200))
        assert query["interval"] == "60"
        assert 1 <= limit <= 1000
        end_ms = int(query.get("end", self.now_ms()))
        stamps = self._stamps(int(query.get("start", end_ms - limit * HOUR_MS)), end_ms)[-limit:]
        rows = []
        for stamp in reversed(stamps):
            rows.append(candle(stamp, query["symbol"], query["category"]))
            if stamp in self.doubled:
                rows.append(list(rows[-1]))
            if stamp in self.contradicted:
                rows.append([*rows[-1][:5], "99", "0"])
        return self._good({"symbol": query["symbol"], "category": query["category"], "list": rows})

    def settlements(self, start_ms: int, end_ms: int) -> list[int]:
        """List the settlements in [start_ms, end_ms]."""
        stamps = range(max(-(-start_ms // HOUR_MS) * HOUR_MS, self.begin_ms), min(end_ms, self.now_ms()) + 1, HOUR_MS)
        return [s for s in stamps if s // HOUR_MS % self.interval_h(s) == 0 and s not in self.missing]

    def _funding(self, query: dict[str, str]) -> Any:
        if "startTime" in query and "endTime" not in query:
            return {"retCode": 10001, "retMsg": "Params error", "result": {}, "time": self.now_ms()}
        limit = int(query.get("limit", 200))
        assert 1 <= limit <= 200
        stamps = self.settlements(int(query.get("startTime", 0)), int(query.get("endTime", self.now_ms())))[-limit:]
        rows = [
            {"symbol": query["symbol"], "fundingRate": "0.0001", "fundingRateTimestamp": str(stamp)}
            for stamp in reversed(stamps)
        ]
        return self._good({"category": "linear", "list": rows})

    def _good(self, result: Any) -> Any:
        return {"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": self.now_ms()}

    def _sentiment(self, query: dict[str, str]) -> Any:
        assert query["limit"] == "0"
        day = self.now_ms() // 86_400_000 * 86_400
        rows = [{"value": str(10 + n), "timestamp": str(day - n * 86_400 + (3600 if n == 3 else 0))} for n in range(5)]
        return {"name": "Fear and Greed Index", "data": rows, "metadata": {"error": None}}

    def _binance_info(self, *, perp: bool) -> Any:
        rows = []
        for symbol, base in SYMBOLS.items():
            row = {
                "symbol": symbol,
                "status": "TRADING",
                "baseAsset": base,
                "quoteAsset": "USDT",
                "filters": [],
                "isSpotTradingAllowed": True,
                "permissions": ["SPOT"],
            }
            if perp:
                row |= {
                    "contractType": "PERPETUAL",
                    "marginAsset": "USDT",
                    "deliveryDate": 4133404800000,
                    "pair": symbol,
                }
            rows.append(row)
        return {"timezone": "UTC", "serverTime": self.now_ms(), "rateLimits": [], "symbols": rows}

    def _binance_klines(self, query: dict[str, str], category: str) -> Any:
        stamps = self._stamps(int(query["startTime"]), int(query.get("endTime", self.now_ms())))
        rows = []
        for stamp in stamps[: int(query.get("limit", 500))]:
            row = candle(stamp, query["symbol"], category)
            rows.append([stamp, *row[1:6], stamp + HOUR_MS - 1, "0", 1, "0", "0", "0"])
        return rows

    def _binance_funding(self, query: dict[str, str]) -> Any:
        stamps = self.settlements(int(query["startTime"]), int(query.get("endTime", self.now_ms())))
        return [
            {"symbol": query["symbol"], "fundingRate": "0.0002", "fundingTime": stamp + 3, "markPrice": "1"}
            for stamp in stamps[: int(query.get("limit", 100))]
        ]


def _instrument(symbol: str, base: str, category: str) -> dict[str, Any]:
    common = {"symbol": symbol, "baseCoin": base, "quoteCoin": "USDT", "status": "Trading"}
    if category == "spot":
        lot = {"basePrecision": "0.000001", "quotePrecision": "0.0000001", "minOrderQty": "0.00001", "minOrderAmt": "5"}
        return {**common, "marginTrading": "both", "lotSizeFilter": lot, "priceFilter": {"tickSize": "0.1"}}
    return {
        **common,
        "contractType": "LinearPerpetual",
        "settleCoin": "USDT",
        "launchTime": "1585526400000",
        "deliveryTime": "0",
        "priceScale": "2",
        "fundingInterval": 480,
        "leverageFilter": {"minLeverage": "1", "maxLeverage": "100", "leverageStep": "0.01"},
        "priceFilter": {"minPrice": "0.1", "maxPrice": "199999", "tickSize": "0.1"},
        "lotSizeFilter": {"minOrderQty": "0.001", "qtyStep": "0.001", "maxOrderQty": "100"},
    }


class _Handler(BaseHTTPRequestHandler):
    exchange: Exchange

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        exchange = self.exchange
        exchange.requests.append((parts.path, query))
        fault = exchange.faults.pop(0) if exchange.faults else exchange.always
        if not fault:
            body = exchange.answer(parts.path, query)
            self._send(404 if body is None else 200, json.dumps(body))
        elif fault == "10006":
            limited = {"retCode": 10006, "retMsg": "Too many visits!", "result": {}, "time": exchange.now_ms()}
            self._send(200, json.dumps(limited), {"X-Bapi-Limit-Reset-Timestamp": str(exchange.now_ms() - 5)})
        elif fault == "10016":
            self._send(200, '{"retCode": 10016, "retMsg": "Internal System Error.", "result": {}}')
        elif fault == "10001":
            self._send(200, '{"retCode": 10001, "retMsg": "params error: symbol invalid", "result": {}}')
        elif fault == "429":
            self._send(429, "slow down", {"Retry-After": "0"})
        elif fault == "html":
            self._send(200, "<html><body>maintenance</body></html>", kind="text/html")
        elif fault == "cut":
            self._send(200, '{"retCode": 0, "result": {"list": [["157')
        elif fault == "no list":
            self._send(200, '{"retCode": 0, "retMsg": "OK", "result": {}}')
        elif fault == "hang up":
            self.close_connection = True
            self.connection.close()
        else:
            self._send(int(fault), "<html>bad gateway</html>", kind="text/html")

    def _send(
        self, status: int, text: str, headers: dict[str, str] | None = None, kind: str = "application/json"
    ) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Keep the tests' output clean."""


@pytest.fixture
def exchange(monkeypatch: pytest.MonkeyPatch) -> Iterator[Exchange]:
    """Serve an exchange on a free loopback port, and let CCXT ask it as fast as it can."""
    monkeypatch.setattr(ccxt.Exchange, "throttle", lambda self, cost=None: None)
    made = Exchange()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"exchange": made}))
    made.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield made
    server.shutdown()
    server.server_close()
    thread.join(5)


@pytest.fixture
def real_funding() -> list[tuple[Any, Any]]:
    """Give stamps and printed intervals of the shared real funding files."""
    shared = Path(os.environ.get("ETERNAL_SHARED_DATA", Path(__file__).parents[5] / "shared" / "data")) / "market"
    if not (shared / "funding").is_dir():
        pytest.skip("the shared real data are not on this machine (ETERNAL_SHARED_DATA)")
    found = []
    for path in sorted((shared / "funding").glob("*.parquet")):
        series = read_series(path, FUNDING, path.stem)
        found.append((series.stamp_ms, series.values["interval_hours"]))
    return found
