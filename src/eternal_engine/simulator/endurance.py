"""A long run against a served exchange: does its memory stay flat, do its handles, while clients come and go?"""

from __future__ import annotations

import asyncio
import csv
import hashlib
import hmac
import itertools
import json
import os
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from decimal import Decimal
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlencode

import aiohttp

from eternal_engine import clock

SYMBOL = "BTCUSDT"
WINDOW_MS = "20000"
STREAM_LIFE_S = 60.0
READ_EVERY_S = 2.0
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PUBLIC = ("tickers.BTCUSDT", "tickers.ETHUSDT", "tickers.SOLUSDT", "kline.60.BTCUSDT", "orderbook.50.BTCUSDT")
PRIVATE = ("order", "execution", "position", "wallet")


@dataclass(frozen=True, slots=True)
class Sample:
    """Hold what one look at the server's process found; counts are since the start of the run."""

    minute: float
    rss_kb: int
    handles: int
    cpu_s: float
    venue_h: float
    orders: int
    heard: int
    state_kb: int


@dataclass(slots=True)
class Endurance:
    """Trade, read and stream at a steady rate against one served exchange, and look at its process each minute.

    `greeting` is what `simulator serve --json` printed; `pid` its process; `per_s` orders per second from all accounts
    together. Samples are also written to `csv_file` as they are taken, so that a run cut short still tells something.
    """

    greeting: dict[str, Any]
    pid: int
    per_s: float = 20.0
    csv_file: IO[str] | None = None
    samples: list[Sample] = field(default_factory=list)
    answers: Counter[int] = field(default_factory=Counter)
    heard: int = 0
    orders: int = 0

    async def run(self, minutes: float, every_s: float = 60.0) -> None:
        """Keep at it for so many minutes of real time, then leave; samples lie `every_s` apart."""
        until = clock.monotonic() + minutes * 60
        accounts = self.greeting["accounts"][:2]
        async with aiohttp.ClientSession() as session:
            await self._deposit(session, accounts)
            tasks = [
                *(
                    asyncio.create_task(self._trade(session, account, len(accounts) / self.per_s))
                    for account in accounts
                ),
                asyncio.create_task(self._read(session, accounts[0])),
                asyncio.create_task(self._stream(session, "private", accounts[0])),
                asyncio.create_task(self._stream(session, "linear", None)),
            ]
            try:
                await self._sample(session, until, every_s, tasks)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    def report(self) -> dict[str, Any]:
        """Sum the run up: memory first, last, most and its slope, over all samples and over their second half."""
        later = self.samples[len(self.samples) // 2 :]
        first, last = self.samples[0], self.samples[-1]
        return {
            "minutes": last.minute,
            "venue_hours": last.venue_h,
            "orders": last.orders,
            "stream_messages": last.heard,
            "answers": {str(code): count for code, count in sorted(self.answers.items())},
            "rss_mb": {
                "first": _mb(first.rss_kb),
                "last": _mb(last.rss_kb),
                "most": _mb(max(sample.rss_kb for sample in self.samples)),
            },
            "rss_kb_per_minute": slope([(sample.minute, sample.rss_kb) for sample in self.samples]),
            "rss_kb_per_minute_second_half": slope([(sample.minute, sample.rss_kb) for sample in later]),
            "handles": {"first": first.handles, "last": last.handles, "most": max(s.handles for s in self.samples)},
            "cpu_frac": round((last.cpu_s - first.cpu_s) / max(1.0, (last.minute - first.minute) * 60), 3),
            "state_mb": _mb(last.state_kb),
        }

    async def _sample(
        self, session: aiohttp.ClientSession, until: float, every_s: float, tasks: Sequence[asyncio.Task[None]]
    ) -> None:
        began = clock.monotonic()
        clock_url = f"{self.greeting['rest_url']}/maintenance/clock"
        venue_began_ms = (await _get(session, clock_url))["now_ms"]
        writer = None if self.csv_file is None else csv.writer(self.csv_file)
        if writer is not None:
            writer.writerow([row.name for row in fields(Sample)])
        while True:
            venue_ms = (await _get(session, clock_url))["now_ms"]
            rss_kb, handles, cpu_s = look(self.pid)
            self.samples.append(
                Sample(
                    minute=round((clock.monotonic() - began) / 60, 2),
                    rss_kb=rss_kb,
                    handles=handles,
                    cpu_s=cpu_s,
                    venue_h=round((venue_ms - venue_began_ms) / 3_600_000, 1),
                    orders=self.orders,
                    heard=self.heard,
                    state_kb=_size_kb(self.greeting["state"]),
                )
            )
            if writer is not None and self.csv_file is not None:
                writer.writerow([getattr(self.samples[-1], row.name) for row in fields(Sample)])
                self.csv_file.flush()
            left_s = until - clock.monotonic()
            if left_s <= 0:
                return
            done, _ = await asyncio.wait(tasks, timeout=min(every_s, left_s), return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()

    async def _deposit(self, session: aiohttp.ClientSession, accounts: Sequence[dict[str, Any]]) -> None:
        for account in accounts:
            sent = {"account": account["name"], "coin": "USDT", "amount": "10000000"}
            async with session.post(f"{self.greeting['rest_url']}/maintenance/deposit", json=sent) as answer:
                answer.raise_for_status()

    async def _trade(self, session: aiohttp.ClientSession, account: dict[str, Any], period_s: float) -> None:
        """Send orders of all kinds round robin, each with a client id, on a schedule that does not drift."""
        due = clock.monotonic()
        for number in itertools.count():
            for order in _round(f"endure-{account['uid']}-{number}", Decimal(await self._last(session))):
                if "cancel" in order:
                    await self._signed(session, account, "POST", "/v5/order/cancel", order["cancel"])
                    continue
                await self._signed(session, account, "POST", "/v5/order/create", order)
                self.orders += 1
                due += period_s
                await asyncio.sleep(max(0.0, due - clock.monotonic()))

    async def _last(self, session: aiohttp.ClientSession) -> str:
        url = f"{self.greeting['rest_url']}/v5/market/tickers?category=linear&symbol={SYMBOL}"
        return str((await _get(session, url))["result"]["list"][0]["lastPrice"])

    async def _read(self, session: aiohttp.ClientSession, account: dict[str, Any]) -> None:
        reads: tuple[tuple[str, dict[str, Any]], ...] = (
            ("/v5/account/wallet-balance", {"accountType": "UNIFIED"}),
            ("/v5/position/list", {"category": "linear", "settleCoin": "USDT"}),
            ("/v5/order/realtime", {"category": "linear", "settleCoin": "USDT"}),
            ("/v5/execution/list", {"category": "spot"}),
            ("/v5/account/transaction-log", {}),
        )
        for path, params in itertools.cycle(reads):
            await self._signed(session, account, "GET", path, params)
            await asyncio.sleep(READ_EVERY_S)

    async def _stream(self, session: aiohttp.ClientSession, channel: str, account: dict[str, Any] | None) -> None:
        """Listen for a minute, leave, come back: connections that end must leave nothing behind."""
        kind = "ws_private_url" if account is not None else "ws_public_url"
        url = self.greeting[kind] + ("" if account is not None else f"/{channel}")
        while True:
            async with session.ws_connect(url, heartbeat=20) as socket:
                if account is not None:
                    expires = str(clock.now_ms() + 10_000)
                    sign = _hmac(account["api_secret"], f"GET/realtime{expires}")
                    await socket.send_json({"op": "auth", "args": [account["api_key"], expires, sign]})
                    await socket.receive_str()
                await socket.send_json({"op": "subscribe", "args": list(PRIVATE if account else PUBLIC)})
                with suppress(TimeoutError):
                    async with asyncio.timeout(STREAM_LIFE_S):
                        async for _ in socket:
                            self.heard += 1

    async def _signed(
        self, session: aiohttp.ClientSession, account: dict[str, Any], method: str, path: str, params: dict[str, Any]
    ) -> None:
        stamp = str(clock.now_ms())
        text = json.dumps(params) if method == "POST" else urlencode(params)
        headers = {
            "Content-Type": "application/json",
            "X-BAPI-API-KEY": account["api_key"],
            "X-BAPI-TIMESTAMP": stamp,
            "X-BAPI-RECV-WINDOW": WINDOW_MS,
            "X-BAPI-SIGN": _hmac(account["api_secret"], f"{stamp}{account['api_key']}{WINDOW_MS}{text}"),
        }
        url = self.greeting["rest_url"] + path + (f"?{text}" if method == "GET" and text else "")
        body = text if method == "POST" else None
        async with session.request(method, url, data=body, headers=headers) as answer:
            self.answers[int((await answer.json())["retCode"])] += 1


def look(pid: int) -> tuple[int, int, float]:
    """Read a process of this machine: resident memory in kB, open handles, CPU seconds. Linux only."""
    process = Path("/proc") / str(pid)
    pages = int((process / "statm").read_text(encoding="ascii").split()[1])
    spent = (process / "stat").read_text(encoding="ascii").rpartition(")")[2].split()
    handles = sum(1 for _ in (process / "fd").iterdir())
    return pages * PAGE_BYTES // 1024, handles, (int(spent[11]) + int(spent[12])) / TICKS_PER_S


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Fit a line by least squares and give its rise per unit; zero for fewer than two points."""
    if len(points) < 2:
        return 0.0
    middle_x = sum(x for x, _ in points) / len(points)
    middle_y = sum(y for _, y in points) / len(points)
    spread = sum((x - middle_x) ** 2 for x, _ in points)
    rise = sum((x - middle_x) * (y - middle_y) for x, y in points)
    return round(rise / spread, 2) if spread else 0.0


def _round(link: str, last: Decimal) -> list[dict[str, Any]]:
    """List one round of orders: a spot buy and sale, a perpetual opened and closed, one that rests and is cancelled."""
    spot = {"category": "spot", "symbol": SYMBOL, "orderType": "Market", "marketUnit": "quoteCoin"}
    perp = {"category": "linear", "symbol": SYMBOL, "qty": "0.001", "orderType": "Market"}
    rest = {**perp, "orderType": "Limit", "side": "Buy", "price": f"{last * Decimal('0.9'):.1f}"}
    return [
        {**spot, "side": "Buy", "qty": "50", "orderLinkId": f"{link}-a"},
        {**spot, "side": "Sell", "qty": "40", "orderLinkId": f"{link}-b"},
        {**perp, "side": "Buy", "orderLinkId": f"{link}-c"},
        {**perp, "side": "Sell", "reduceOnly": True, "orderLinkId": f"{link}-d"},
        {**rest, "orderLinkId": f"{link}-e"},
        {"cancel": {"category": "linear", "symbol": SYMBOL, "orderLinkId": f"{link}-e"}},
    ]


async def _get(session: aiohttp.ClientSession, url: str) -> Any:
    async with session.get(url) as answer:
        return await answer.json()


def _hmac(secret: str, text: str) -> str:
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


def _size_kb(path: str | None) -> int:
    if path is None:
        return 0
    return (
        sum(Path(f"{path}{suffix}").stat().st_size for suffix in ("", "-wal") if Path(f"{path}{suffix}").exists())
        // 1024
    )


def _mb(kb: int) -> float:
    return round(kb / 1024, 1)
