"""Keep under the exchange's limits: one rolling second per account and endpoint class, five seconds for the address.

The limits start at the documented values (bybit-v5 3.2) and follow the headers of every answer. A wait never sends
anything later than it was allowed to: callers hold their turn before the request is signed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from eternal_engine import clock
from eternal_engine.model.errors import HaltTrading

Sleep = Callable[[float], Awaitable[None]]

WINDOW_S = 1.0
# The exchange counts arrivals, not departures: two requests a window apart here may arrive closer together.
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
    STOP = ("trading stop", 10)
    FEE_RATE = ("fee rate", 5)
    LEDGER = ("transaction log", 25)
    KEY = ("key", 10)
    TRANSFER = ("transfer", 5)

    def __init__(self, label: str, per_s: int) -> None:
        self.label = label
        self.per_s = per_s


@dataclass
class _Lane:
    limit: int
    sent: deque[float] = field(default_factory=deque)
    closed_until: float = 0.0
    gate: asyncio.Lock = field(default_factory=asyncio.Lock)


class AddressThrottle:
    """Count the requests of this machine's address over all accounts; one object per process.

    A breach is answered with HTTP 403 and ten minutes of silence: `ban` starts them, and every turn raises until then.
    """

    def __init__(self, limit: int = int(IP_LIMIT * IP_SHARE), now: Callable[[], float] = clock.monotonic) -> None:
        self._limit = limit
        self._now = now
        self._sent: deque[float] = deque()
        self._banned_until = float("-inf")

    def ban(self, seconds: float = BAN_S) -> None:
        """Stop everything for a while."""
        self._banned_until = self._now() + seconds

    def wait_s(self) -> float:
        """Return how long the next request must wait, 0 when it may go now.

        Raises HaltTrading while the address is banned.
        """
        now = self._now()
        if now < self._banned_until:
            raise HaltTrading(
                f"the exchange has banned this address for another {self._banned_until - now:.0f} s",
                where="address limit",
                mend="wait; look for other programs that use the same address",
            )
        while self._sent and self._sent[0] <= now - IP_WINDOW_S:
            self._sent.popleft()
        return 0.0 if len(self._sent) < self._limit else self._sent[0] + IP_WINDOW_S - now

    def count(self) -> None:
        """Note that a request goes out now."""
        self._sent.append(self._now())


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

    async def turn(self, kind: EndpointClass) -> None:
        """Wait until one request of this class may go, and count it. First come, first served."""
        lane = self._lanes[kind]
        async with lane.gate:
            while (wait := max(self._lane_wait_s(lane), self._address.wait_s())) > 0:
                await self._sleep(wait)
            lane.sent.append(self._now())
            self._address.count()

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
        now = self._now()
        while lane.sent and lane.sent[0] <= now - WINDOW_S - GUARD_S:
            lane.sent.popleft()
        full = lane.limit > 0 and len(lane.sent) >= lane.limit
        room_in = lane.sent[0] + WINDOW_S + GUARD_S - now if full else 0.0
        return max(0.0, room_in, lane.closed_until - now)


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 19 else None
