"""pybit's own objects, one to a call at a time: made when they are needed, kept with their open connections."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from pybit.unified_trading import HTTP

from eternal_engine import clock
from eternal_engine.exchange.bybit.lean import LeanSession

# pybit reads an empty set as "use the defaults", so a code that nobody sends switches its retries off (5.4).
NO_RETRY_CODES = {-999999}
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class Access:
    """Say whom the objects of one account talk to, with which key, and how long they wait (seconds, milliseconds)."""

    endpoint: str
    key: str = field(repr=False)
    secret: str = field(repr=False)
    connect_timeout_s: float
    read_timeout_s: float
    recv_window_ms: int


@dataclass(slots=True, eq=False)
class Lent:
    """Hold one of pybit's objects, and when its connection was last used (monotonic seconds)."""

    http: HTTP
    used_s: float


class Sessions:
    """Lend pybit's objects to threads; one is with one thread at a time, as a requests session is not safe to share.

    The one that was used last is lent first: as few connections as possible are open, and those are warm.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self._free: deque[Lent] = deque()
        self._made: list[Lent] = []

    def take(self) -> Lent:
        """Lend the warmest object, a new one when all are with others."""
        try:
            return self._free.pop()
        except IndexError:
            return self._new()

    def cold(self, most: int, older_than_s: float) -> list[Lent]:
        """Lend those that nobody has used for so long, and new ones until there are `most` of all."""
        edge_s = clock.monotonic() - older_than_s
        found = []
        while (one := self._unused()) is not None and one.used_s < edge_s:
            found.append(one)
        if one is not None:
            self._free.appendleft(one)
        return found + [self._new() for _ in range(most - len(self._made))]

    def give_back(self, lent: Lent) -> None:
        """Take an object back with its connection."""
        lent.used_s = clock.monotonic()
        self._free.append(lent)

    def close(self) -> None:
        """Close all connections."""
        for lent in self._made:
            lent.http.client.close()

    def _unused(self) -> Lent | None:
        try:
            return self._free.popleft()
        except IndexError:  # all are with others
            return None

    def _new(self) -> Lent:
        made = Lent(new_http(self._access), clock.monotonic())
        self._made.append(made)
        return made


def new_http(access: Access) -> HTTP:
    """Make one of pybit's objects that sends each request once, and reads the environment once."""
    http = HTTP(
        api_key=access.key or None,
        api_secret=access.secret or None,
        timeout=(access.connect_timeout_s, access.read_timeout_s),
        recv_window=access.recv_window_ms,
        force_retry=False,
        retry_codes=NO_RETRY_CODES,
        max_retries=1,
        return_response_headers=True,
    )
    http.endpoint = access.endpoint
    lean = LeanSession(access.endpoint, trusts_environment=urlsplit(access.endpoint).hostname not in LOOPBACK)
    lean.headers.update(http.client.headers)
    http.client = lean
    return http
