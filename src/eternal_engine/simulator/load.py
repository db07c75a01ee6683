"""Measure a running exchange from outside: orders per second, and how long each takes."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from eternal_engine import clock
from eternal_engine.simulator.venue import Account

ORDER = {"category": "spot", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Market", "qty": "10"}
PATH = "/v5/order/create"
WINDOW_MS = "20000"
Send = Callable[[], bool]
Maker = Callable[[str, Account], Send]


@dataclass(frozen=True, slots=True)
class Figures:
    """Hold one measurement; times are of single order creates, in milliseconds."""

    client: str
    accounts: int
    orders: int
    failed: int
    per_second: float
    p50_ms: float
    p99_ms: float


def measure(client: str, make: Maker, url: str, accounts: list[Account], orders: int) -> Figures:
    """Send `orders` creates from each account at once, each account from a thread of its own.

    `make` turns the address and an account into the function that sends one order and says whether it was accepted.
    """
    senders = [make(url, account) for account in accounts]
    times_s: list[float] = []
    failed: list[int] = []

    def work(send: Send) -> None:
        for _ in range(orders):
            began = clock.monotonic()
            if not send():
                failed.append(1)
            times_s.append(clock.monotonic() - began)

    threads = [threading.Thread(target=work, args=(send,)) for send in senders]
    began = clock.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took_s = clock.monotonic() - began
    ranked = sorted(times_s)
    return Figures(
        client=client,
        accounts=len(accounts),
        orders=len(ranked),
        failed=len(failed),
        per_second=round(len(ranked) / took_s, 1),
        p50_ms=round(ranked[len(ranked) // 2] * 1000, 2),
        p99_ms=round(ranked[int(len(ranked) * 0.99)] * 1000, 2),
    )


def bare_sender(url: str, account: Account) -> Send:
    """Send over one kept-alive connection of the standard library: the least a client can cost."""
    at = urlsplit(url)
    connection = http.client.HTTPConnection(at.hostname or "", at.port, timeout=10)
    body = json.dumps(ORDER)

    def send() -> bool:
        stamp = str(clock.now_ms())
        text = f"{stamp}{account.api_key}{WINDOW_MS}{body}"
        headers = {
            "Content-Type": "application/json",
            "X-BAPI-API-KEY": account.api_key,
            "X-BAPI-TIMESTAMP": stamp,
            "X-BAPI-RECV-WINDOW": WINDOW_MS,
            "X-BAPI-SIGN": hmac.new(account.api_secret.encode(), text.encode(), hashlib.sha256).hexdigest(),
        }
        connection.request("POST", PATH, body, headers)
        return bool(json.loads(connection.getresponse().read())["retCode"] == 0)

    return send
