"""Carry one call to the exchange through pybit in a worker thread, once, and translate whatever comes of it.

pybit stays because it is the exchange's own library; everything it does beyond one request is switched off (5.4):
no retries, no hidden waits, no redirects, its own time-outs replaced.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import requests
import urllib3
from pybit.exceptions import FailedRequestError, InvalidRequestError
from pybit.unified_trading import HTTP

from eternal_engine import clock
from eternal_engine.exchange.bybit import errors
from eternal_engine.exchange.bybit.departures import DEPARTURES, Departure
from eternal_engine.exchange.bybit.errors import Verb
from eternal_engine.exchange.bybit.sessions import Access, Lent, Sessions
from eternal_engine.exchange.bybit.wire import Answer, parse_answer
from eternal_engine.exchange.bybit.wire.fields import bad
from eternal_engine.model.errors import BadReply, ExchangeError, RateLimited

RESET_HEADER = "X-Bapi-Limit-Reset-Timestamp"
# Servers close what nobody uses, the embedded exchange after 75 s.
WARM_S = 30.0
UNREAD = (AttributeError, KeyError, TypeError, ValueError, RecursionError)
NOT_WARMED = (
    InvalidRequestError,
    FailedRequestError,
    requests.exceptions.RequestException,
    urllib3.exceptions.HTTPError,
    *UNREAD,
)

Method = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class TransportSettings:
    """Set how long a call may take, in seconds, and how many run at once.

    `deadline_s` covers waiting for a thread, sending and reading; after it the caller gets its error while the thread
    is left to finish alone. Connecting and reading together stay below the ten seconds in which the daemon must be able
    to exit (ORD-9): the interpreter waits for its threads. There are as many as CORE_HODL's plan has legs: with fewer
    the last orders of a purchase waited for the answers to the first.
    """

    connect_timeout_s: float = 2.0
    read_timeout_s: float = 6.0
    deadline_s: float = 9.0
    recv_window_ms: int = 5_000
    workers: int = 10


@dataclass(frozen=True, slots=True)
class Reply:
    """Hold a successful answer with its headers and the local times (ms) between which the server wrote it."""

    answer: Answer
    headers: Mapping[str, str]
    sent_ms: int
    received_ms: int


class Transport:
    """Own the worker threads and pybit objects of one account."""

    def __init__(self, endpoint: str, key: str, secret: str, settings: TransportSettings | None = None) -> None:
        own = self._settings = settings or TransportSettings()
        self._pool = ThreadPoolExecutor(own.workers, thread_name_prefix="exchange")
        access = Access(
            endpoint.rstrip("/"), key, secret, own.connect_timeout_s, own.read_timeout_s, own.recv_window_ms
        )
        self._sessions = Sessions(access)
        self._running = 0

    @property
    def settings(self) -> TransportSettings:
        """Return the time-outs in force."""
        return self._settings

    async def call(self, method: Method, params: Mapping[str, object], *, verb: Verb, where: str) -> Reply:
        """Send one request, once.

        Raises the exchange branch of the error tree only; `where` names the call in its messages.
        """
        start_by = clock.monotonic() + self._settings.deadline_s
        loop = asyncio.get_running_loop()
        # One that has to wait for a thread holds nobody up.
        places = verb is Verb.PLACE and self._running < self._settings.workers
        departure = DEPARTURES.expect() if places else None
        if departure is not None and departure.is_first:
            # In the next round of the loop, when everybody who sends now has handed his order over.
            loop.call_soon(DEPARTURES.wait)
        self._running += 1
        try:
            work = loop.run_in_executor(self._pool, self._send, method, dict(params), verb, where, start_by, departure)
            return await asyncio.wait_for(work, self._settings.deadline_s)
        except TimeoutError:
            raise errors.lost(f"no answer within {self._settings.deadline_s:g} s", verb=verb, where=where) from None
        finally:
            self._running -= 1
            if departure is not None:
                departure.over()

    async def warm(self, method: Method) -> int:
        """Have as many connections open as there are workers, so that orders wait for no handshake; count the calls.

        `method` is a read that anybody may make; one that fails leaves its connection to whoever needs it. Those that
        were used within `WARM_S` are left alone.
        """
        cold = self._sessions.cold(self._settings.workers, WARM_S)
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(loop.run_in_executor(self._pool, self._warm, method, one) for one in cold))
        return len(cold)

    def _warm(self, method: Method, lent: Lent) -> None:
        try:
            method(lent.http)
        except NOT_WARMED:
            return
        finally:
            self._sessions.give_back(lent)

    def close(self) -> None:
        """Close all connections; running calls are left to end on their own time-outs."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._sessions.close()

    def _send(
        self,
        method: Method,
        params: dict[str, object],
        verb: Verb,
        where: str,
        start_by: float,
        departure: Departure | None = None,
    ) -> Reply:
        if clock.monotonic() >= start_by:
            raise errors.never_sent("all worker threads were busy until the deadline", where=where)
        DEPARTURES.carry(departure)
        lent = self._sessions.take()
        try:
            return self._answered(method, lent.http, params, verb, where)
        finally:
            self._sessions.give_back(lent)
            DEPARTURES.left()

    def _answered(self, method: Method, http: HTTP, params: dict[str, object], verb: Verb, where: str) -> Reply:
        sent_ms = clock.now_ms()
        try:
            message, _, headers = method(http, **params)
        except InvalidRequestError as error:
            raise self._refused(error, verb, where) from error
        except FailedRequestError as error:
            raise _failed(error, verb, where) from error
        except requests.exceptions.RequestException as error:
            raise _network(error, verb, where) from error
        except urllib3.exceptions.HTTPError as error:
            raise errors.lost(_words(error), verb=verb, where=where) from error
        except UNREAD as error:
            # pybit looks into the answer before it knows that it is an object (5.4): a list, null, a missing retMsg.
            raise errors.lost(f"pybit could not read the answer: {_words(error)}", verb=verb, where=where) from error
        received_ms = clock.now_ms()
        try:
            answer = parse_answer(message, where)
        except BadReply as error:
            raise errors.unreadable(error, verb=verb, where=where) from error
        return Reply(answer, headers, sent_ms, received_ms)

    def _refused(self, error: InvalidRequestError, verb: Verb, where: str) -> ExchangeError:
        code = error.status_code
        if isinstance(code, bool) or not isinstance(code, int):
            return errors.unreadable(bad("retCode", code, "a whole number", where), verb=verb, where=where)
        found = errors.from_code(code, str(error.message), verb=verb, where=where)
        if isinstance(found, RateLimited):
            found.reset_at = errors.reset_time((error.resp_headers or {}).get(RESET_HEADER))
        return found


def _failed(error: FailedRequestError, verb: Verb, where: str) -> ExchangeError:
    # Without headers the status is pybit's own invention: 409 for text that is not JSON (5.4).
    if error.resp_headers is None or not isinstance(error.status_code, int):
        return errors.lost(f"unreadable answer: {error.message}", verb=verb, where=where)
    return errors.from_status(error.status_code, verb=verb, where=where)


def _network(error: requests.exceptions.RequestException, verb: Verb, where: str) -> ExchangeError:
    if isinstance(error, requests.exceptions.ConnectTimeout) or _was_refused(error):
        return errors.never_sent(_words(error), where=where)
    return errors.lost(_words(error), verb=verb, where=where)


def _was_refused(error: BaseException) -> bool:
    """Tell whether no connection came about at all: refused, unreachable, no such host."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(error, requests.exceptions.ConnectionError) and isinstance(
        reason, urllib3.exceptions.NewConnectionError
    )


def _words(error: BaseException) -> str:
    text = f"{type(error).__name__}: {error}"
    return text if len(text) <= 200 else text[:197] + "..."
