"""One supervised connection: connect, prove the key, subscribe, catch up, read; when anything breaks, begin again.

It never ends by itself. Every change of state is an event, and the wait between tries grows with jitter (bybit-v5
5.1, 5.3): pybit's own class gives up for good after some hundred milliseconds without a server, in silence.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from eternal_engine import clock
from eternal_engine.exchange.bybit.sessions import LOOPBACK
from eternal_engine.exchange.bybit.stream.desk import Desk
from eternal_engine.exchange.bybit.stream.mailbox import Mailbox, MailboxFull
from eternal_engine.exchange.events import StreamProblem, StreamState, StreamStateChanged
from eternal_engine.model.errors import BadReply, ExchangeError

ARGS_PER_REQUEST = 10  # spot refuses more (3.2)
MAX_FRAME_BYTES = 4 * 2**20
ALREADY = "already subscribed"
NO_HANDLER = "handler not found,topic:"


@dataclass(frozen=True, slots=True)
class SocketSettings:
    """Set the supervision of one connection, in seconds.

    `stale_s`: no frame at all, pongs included, for so long ends the connection. `data_stale_s`: the same for frames
    with data, None where silence is normal (private topics, a stepped market). `settled_s`: only a connection that
    lived so long makes the next wait short again, so that a flapping server cannot make us connect without end (3.2:
    500 connections in five minutes).
    """

    ping_s: float = 20.0
    stale_s: float = 30.0
    data_stale_s: float | None = None
    tick_s: float = 1.0
    open_timeout_s: float = 10.0
    answer_timeout_s: float = 10.0
    backoff_first_s: float = 1.0
    backoff_most_s: float = 60.0
    settled_s: float = 60.0
    jitter_frac: float = 0.2
    catch_up_pause_s: float = 5.0
    auth_expires_ms: int = 10_000


class _Lost(Exception):
    """Say why the connection is given up."""


class _Refused(Exception):
    """Say that the exchange does not let this key in."""


class Socket:
    """Run one connection for one desk until `stop`."""

    def __init__(
        self,
        name: str,
        url: str,
        desk: Desk,
        mailbox: Mailbox,
        *,
        credentials: tuple[str, str] | None = None,
        settings: SocketSettings | None = None,
        offset_ms: Callable[[], int] = lambda: 0,
        jitter: random.Random | None = None,
    ) -> None:
        self._name = name
        self._url = url
        self._desk = desk
        self._mailbox = mailbox
        self._credentials = credentials
        self._settings = settings or SocketSettings()
        self._offset_ms = offset_ms
        # Spread reconnects of several daemons; nothing secret hangs on it.
        self._jitter = jitter or random.Random()  # noqa: S311  # nosec B311
        self._dropped: set[str] = set()
        self._attempt = 0
        self._last_frame_s = 0.0
        self._last_data_s = 0.0
        self._problem = False
        self.state = StreamState.STOPPED

    async def run(self) -> None:
        """Keep the connection alive until this task is cancelled; then say STOPPED."""
        try:
            while True:
                self._attempt += 1
                self._say(StreamState.CONNECTING, self._url)
                await self._try_once()
                await asyncio.sleep(self._backoff_s())
        finally:
            self._say(StreamState.STOPPED, "stopped")

    async def _try_once(self) -> None:
        try:
            await self._session()
        except _Refused as error:
            self._say(StreamState.REFUSED, str(error))
        except (_Lost, MailboxFull, ExchangeError, OSError, TimeoutError, WebSocketException) as error:
            self._say(StreamState.DISCONNECTED, f"{type(error).__name__.strip('_')}: {error}"[:300])

    async def _session(self) -> None:
        proxy: Literal[True] | None = None if urlsplit(self._url).hostname in LOOPBACK else True
        async with connect(
            self._url,
            open_timeout=self._settings.open_timeout_s,
            close_timeout=1,
            ping_interval=None,
            max_size=MAX_FRAME_BYTES,
            proxy=proxy,
        ) as wire:
            self._last_frame_s = self._last_data_s = clock.monotonic()
            await self._authenticate(wire)
            early = await self._subscribe(wire)
            self._desk.begin()
            for message in early:
                self._use(message)
            await _first_of(self._read(wire), self._ping(wire), self._tend())

    async def _authenticate(self, wire: ClientConnection) -> None:
        if self._credentials is None:
            return
        key, secret = self._credentials
        expires = clock.now_ms() + self._offset_ms() + self._settings.auth_expires_ms
        signature = hmac.new(secret.encode(), f"GET/realtime{expires}".encode(), hashlib.sha256).hexdigest()
        await _send(wire, {"op": "auth", "args": [key, expires, signature]})
        answer, _ = await self._answer(wire, "auth")
        if answer.get("success") is not True:
            raise _Refused(f"authentication failed: {str(answer.get('ret_msg', ''))[:200]}")

    async def _subscribe(self, wire: ClientConnection) -> list[Mapping[str, object]]:
        """Subscribe to all topics and return the data frames that came between the answers.

        One request at a time, because a private answer names no request (5.1). A topic that the exchange does not
        know would have it refuse the whole request (fact 20): it is dropped with a notice and the rest asked again.
        """
        early: list[Mapping[str, object]] = []
        wanted = [topic for topic in self._desk.topics if topic not in self._dropped]
        while wanted:
            batch = wanted[:ARGS_PER_REQUEST]
            await _send(wire, {"op": "subscribe", "req_id": f"{self._name}-{len(wanted)}", "args": batch})
            answer, passed = await self._answer(wire, "subscribe")
            early.extend(passed)
            text = str(answer.get("ret_msg", ""))
            if answer.get("success") is True or ALREADY in text:
                wanted = wanted[ARGS_PER_REQUEST:]
                continue
            unknown = text.partition(NO_HANDLER)[2]
            if unknown not in batch:
                raise _Lost(f"subscription refused: {text[:200]}")
            self._dropped.add(unknown)
            self._report(f"the exchange does not know topic {unknown}; the others go on")
            wanted.remove(unknown)
        return early

    async def _answer(self, wire: ClientConnection, op: str) -> tuple[Mapping[str, object], list[Mapping[str, object]]]:
        """Wait for the answer to `op`; data frames on the way are handed back."""
        passed: list[Mapping[str, object]] = []
        async with asyncio.timeout(self._settings.answer_timeout_s):
            while True:
                frame = self._decode(await wire.recv())
                if frame is None:
                    continue
                if frame.get("op") == op:
                    return frame, passed
                if "topic" in frame:
                    passed.append(frame)
                elif frame.get("success") is False:
                    return frame, passed

    async def _read(self, wire: ClientConnection) -> None:
        while True:
            text = await wire.recv()
            self._last_frame_s = clock.monotonic()
            frame = self._decode(text)
            if frame is not None and "topic" in frame:
                self._last_data_s = self._last_frame_s
                self._use(frame)
            elif frame is not None and not _is_control(frame):
                self._report(f"a frame that is no topic and no answer: {str(dict(frame))[:200]}")

    def _decode(self, text: str | bytes) -> Mapping[str, object] | None:
        try:
            frame = json.loads(text)
        except (ValueError, RecursionError):
            frame = None
        if isinstance(frame, dict):
            return frame
        self._report(f"a frame that is no JSON object: {str(text)[:100]!r}")
        return None

    def _use(self, message: Mapping[str, object]) -> None:
        try:
            self._desk.take(message)
        except BadReply as error:
            self._report(str(error))

    async def _ping(self, wire: ClientConnection) -> None:
        number = 0
        while True:
            await asyncio.sleep(self._settings.ping_s)
            number += 1
            await _send(wire, {"op": "ping", "req_id": f"{self._name}-ping-{number}"})

    async def _tend(self) -> None:
        """Catch up first, then whenever the desk is behind or a message was unusable; give up a silent connection."""
        reason = "connected"
        live_since = 0.0
        settings = self._settings
        while True:
            if reason:
                self._problem = False
                self._say(StreamState.CATCHING_UP, reason)
                await self._desk.catch_up()
                self._say(StreamState.LIVE, reason)
                live_since = live_since or clock.monotonic()
                not_before = clock.monotonic() + settings.catch_up_pause_s
            await asyncio.sleep(settings.tick_s)
            now_s = clock.monotonic()
            if now_s - live_since >= settings.settled_s:
                self._attempt = 0
            self._check_age(now_s)
            reason = ""
            if now_s >= not_before:
                reason = "a message was unusable" if self._problem else self._desk.behind()

    def _check_age(self, now_s: float) -> None:
        settings = self._settings
        limits = ((self._last_frame_s, settings.stale_s, "frame"), (self._last_data_s, settings.data_stale_s, "data"))
        for last_s, limit_s, what in limits:
            if limit_s is not None and now_s - last_s > limit_s:
                self._say(StreamState.STALE, f"no {what} for {now_s - last_s:.1f} s")
                raise _Lost(f"no {what} for {now_s - last_s:.1f} s")

    def _backoff_s(self) -> float:
        doubled = self._settings.backoff_first_s * 2.0 ** min(max(self._attempt - 1, 0), 16)
        spread = 1 + self._settings.jitter_frac * self._jitter.uniform(-1, 1)
        return min(doubled, self._settings.backoff_most_s) * spread

    def _report(self, what: str) -> None:
        self._problem = True
        self._mailbox.offer(StreamProblem(self._name, what, clock.now()))

    def _say(self, state: StreamState, reason: str) -> None:
        self.state = state
        self._mailbox.offer(StreamStateChanged(self._name, state, reason, clock.now(), self._attempt))


def _is_control(frame: Mapping[str, object]) -> bool:
    return frame.get("op") in ("ping", "pong", "subscribe", "unsubscribe", "auth")


async def _send(wire: ClientConnection, message: Mapping[str, object]) -> None:
    await wire.send(json.dumps(message))


async def _first_of(*works: Awaitable[None]) -> None:
    """Run all until one ends, cancel the rest, and raise what ended it."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        # gather, not one await each: a cancellation of the caller must get through.
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
