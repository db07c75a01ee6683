"""Keep under the exchange's limits: one rolling second per account and endpoint class, five seconds for the address.

The limits start at the documented values (bybit-v5 3.2) and follow the headers of every answer. The exchange counts
arrivals, which lie somewhere between sending and answer: a request counts from its sending until a second after its
answer, so that no delay on the way can squeeze two seconds' requests into one. Turns are taken before signing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum

from eternal_engine import clock

Sleep = Callable[[float], Awaitable[None]]

WINDOW_S = 1.0
# Room for the exchange's coarser clock.
GUARD_S = 0.05
IP_WINDOW_S = 5.0
IP_LIMIT = 600
IP_SHARE = 0.8
BAN_S = 600.0
MAX_RESET_S = 60.0


class EndpointClass(Enum):
    """Name a group of calls that share one limit, with its documented requests per second."""

    MARKET = ("market", 0)
    PERP_ORDER = ("perp order", 10)
    SPOT_ORDER = ("spot order", 20)
    PERP_CANCEL = ("perp cancel", 10)
    SPOT_CANCEL = ("spot cancel", 20)
    CANCEL_ALL = ("cancel all", 10)
    OPEN_ORDERS = ("open orders", 50)
    ORDER_HISTORY = ("order history", 50)
    EXECUTIONS = ("executions", 50)
    POSITIONS = ("positions", 50)
    WALLET = ("wallet", 50)
    ACCOUNT = ("account", 50)
    LEVERAGE = ("leverage", 10)
    MARGIN_MODE = ("margin mode", 5)
    POSITION_MODE = ("position mode", 10)
    STOP = ("trading stop", 10)
    FEE_RATE = ("fee rate", 5)
    LEDGER = ("transaction log", 25)
    KEY = ("key", 10)
    TRANSFER = ("transfer", 5)
    TRANSFER_LIST = ("transfer list", 5)

    def __init__(self, label: str, per_s: int) -> None:
        self.label = label
        self.per_s = per_s


@dataclass
class _Lane:
    limit: int
    in_flight: int = 0
    answered: deque[float] = field(default_factory=deque)
    closed_until: float = 0.0
    gate: asyncio.Lock = field(default_factory=asyncio.Lock)
    freed: asyncio.Event = field(default_factory=asyncio.Event)

    def is_full(self) -> bool:
        return self.limit > 0 and self.in_flight + len(self.answered) >= self.limit


class AddressBanned(Exception):
    """Say that nothing may leave this address before `until`; the caller translates it for its kind of call."""

    def __init__(self, words: str, until: datetime, mend: str) -> None:
        super().__init__(words)
        self.until = until
        self.mend = mend


class AddressThrottle:
    """Count the requests of this machine's address over all accounts; one object per process.

    A breach is answered with HTTP 403 and ten minutes of silence: `ban` starts them, and every turn raises until then.
    A refused region is answered alike, so it is tried again after every such silence, and called what it must be.
    """

    def __init__(self, limit: int = int(IP_LIMIT * IP_SHARE), now: Callable[[], float] = clock.monotonic) -> None:
        self._limit = limit
        self._now = now
        self._sent: deque[float] = deque()
        self._banned_until = float("-inf")
        self._refusals = 0

    def ban(self, seconds: float = BAN_S) -> None:
        """Stop everything for a while; what is refused while that lasts was on its way already."""
        if self._now() >= self._banned_until:
            self._banned_until = self._now() + seconds
            self._refusals += 1

    def heard(self) -> None:
        """Note that the exchange has answered: the next refusal is the first of its kind."""
        self._refusals = 0

    def wait_s(self) -> float:
        """Return how long the next request must wait, 0 when it may go now.

        Raises AddressBanned while the address is banned.
        """
        now = self._now()
        if now < self._banned_until:
            left_s = self._banned_until - now
            raise self._banned(left_s, clock.now() + timedelta(seconds=left_s))
        while self._sent and self._sent[0] <= now - IP_WINDOW_S:
            self._sent.popleft()
        return 0.0 if len(self._sent) < self._limit else self._sent[0] + IP_WINDOW_S - now

    def count(self) -> None:
        """Note that a request goes out now."""
        self._sent.append(self._now())

    def _banned(self, left_s: float, until: datetime) -> AddressBanned:
        if self._refusals > 1:
            what = f"the exchange has refused this address {self._refusals} times in a row (HTTP 403)"
            mend = "look whether it serves this country and provider; the daemon goes on by itself once it answers"
            return AddressBanned(f"{what}: no mere limit; next try in {left_s:.0f} s", until, mend)
        mend = "wait; look for other programs that use the same address"
        return AddressBanned(f"the exchange has banned this address for another {left_s:.0f} s (HTTP 403)", until, mend)


class Throttle:
    """Hold the limits of one account; share `address` between all accounts of the process."""

    def __init__(
        self,
        address: AddressThrottle | None = None,
        now: Callable[[], float] = clock.monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._now = now
        self._sleep = sleep
        self._address = address or AddressThrottle(now=now)
        self._lanes = {kind: _Lane(kind.per_s) for kind in EndpointClass}

    @property
    def address(self) -> AddressThrottle:
        """Return the shared counter of the address."""
        return self._address

    @asynccontextmanager
    async def turn(self, kind: EndpointClass) -> AsyncIterator[None]:
        """Wait until one request of this class may go, and count it until it is answered. First come, first served.

        Raises AddressBanned while the address is banned.
        """
        lane = self._lanes[kind]
        async with lane.gate:
            while (wait := max(self._lane_wait_s(lane), self._address.wait_s())) > 0 or lane.is_full():
                if wait > 0:
                    await self._sleep(wait)
                else:
                    lane.freed.clear()
                    await lane.freed.wait()
            lane.in_flight += 1
            self._address.count()
        try:
            yield
        finally:
            lane.in_flight -= 1
            lane.answered.append(self._now())
            lane.freed.set()

    def limit_of(self, kind: EndpointClass) -> int:
        """Return the requests per second in force for a class; 0 means only the address limit."""
        return self._lanes[kind].limit

    def learn(self, kind: EndpointClass, headers: Mapping[str, str], server_ms: int | None) -> None:
        """Follow the limit headers of an answer; `server_ms` is the exchange's clock beside them."""
        lane = self._lanes[kind]
        limit = _whole(headers.get("X-Bapi-Limit"))
        if limit and kind.per_s:
            lane.limit = limit
        if _whole(headers.get("X-Bapi-Limit-Status")) == 0:
            reset_ms = _whole(headers.get("X-Bapi-Limit-Reset-Timestamp"))
            self._close(lane, reset_ms, server_ms)

    def refused(self, kind: EndpointClass, reset_ms: int | None, server_ms: int | None) -> None:
        """Close a class after "too many visits" until its reset, for a second when the answer named none."""
        lane = self._lanes[kind]
        if reset_ms is None or server_ms is None or reset_ms <= server_ms:
            # A reset in the past or missing (fact 8) still means that this second is full.
            lane.closed_until = max(lane.closed_until, self._now() + WINDOW_S + GUARD_S)
        else:
            self._close(lane, reset_ms, server_ms)

    def _close(self, lane: _Lane, reset_ms: int | None, server_ms: int | None) -> None:
        if reset_ms is None or server_ms is None:
            return
        # A reset far ahead is a clock gone wrong, not a limit: wait a bounded time (5.4).
        wait = min(max(0.0, (reset_ms - server_ms) / 1000), MAX_RESET_S)
        lane.closed_until = max(lane.closed_until, self._now() + wait)

    def _lane_wait_s(self, lane: _Lane) -> float:
        """Return how long until the lane may open; 0 while it is full of unanswered requests only."""
        now = self._now()
        while lane.answered and lane.answered[0] <= now - WINDOW_S - GUARD_S:
            lane.answered.popleft()
        must_age = lane.is_full() and lane.answered
        room_in = lane.answered[0] + WINDOW_S + GUARD_S - now if must_age else 0.0
        return max(0.0, room_in, lane.closed_until - now)


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 19 else None
