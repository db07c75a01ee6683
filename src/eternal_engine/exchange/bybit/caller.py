"""The way out for one account: how a call is made, and over the wire its turn, its one request and its lessons."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import datetime

from eternal_engine import clock
from eternal_engine.exchange.bybit import errors, wire
from eternal_engine.exchange.bybit.clockwatch import ClockWatch
from eternal_engine.exchange.bybit.endpoints import TIME, Endpoint
from eternal_engine.exchange.bybit.paging import Fetch, Params
from eternal_engine.exchange.bybit.throttle import AddressBanned, Throttle
from eternal_engine.exchange.bybit.transport import Reply, Transport
from eternal_engine.exchange.bybit.wire.fields import bad
from eternal_engine.exchange.capability import Capabilities, Capability
from eternal_engine.model.errors import AlreadyDone, ExchangeError, RateLimited, RejectedForGood, Unsupported


class Caller(ABC):
    """Say for one account how a call is made; subclasses make it. Holds what all of them share."""

    def __init__(self, account: str, capabilities: Capabilities) -> None:
        self.account = account
        self.capabilities = capabilities

    def now(self) -> datetime:
        """Return the time at which things are looked at."""
        return clock.now()

    @abstractmethod
    def close(self) -> None:
        """Give back what the calls use."""

    @abstractmethod
    async def call(self, endpoint: Endpoint, params: Params, where: str = "") -> Reply:
        """Make one call, once.

        Raises the exchange branch of the error tree only; `where` names the call in its messages.
        """

    async def set_value(self, endpoint: Endpoint, params: Params, where: str = "") -> None:
        """Set a value; finding it already set is success."""
        try:
            await self.call(endpoint, params, where)
        except AlreadyDone:
            return

    def fetcher(self, endpoint: Endpoint, where: str = "") -> Fetch:
        """Return a function that reads one page."""

        async def fetch(params: Params) -> Mapping[str, object]:
            reply = await self.call(endpoint, params, where)
            return reply.answer.result

        return fetch

    def need(self, capability: Capability, where: str) -> None:
        """Raise Unsupported, with what is done instead, where the environment lacks a call."""
        if not self.capabilities.has(capability):
            raise Unsupported(
                f"{self.capabilities.environment} does not offer {capability}",
                where=where,
                mend=self.capabilities.instead(capability),
            )


class WireCaller(Caller):
    """Send calls over pybit, each after its turn in the throttle, and learn from every answer (clock, limits)."""

    def __init__(
        self, account: str, transport: Transport, throttle: Throttle, capabilities: Capabilities, *, has_key: bool
    ) -> None:
        super().__init__(account, capabilities)
        self.clock = ClockWatch()
        self._transport = transport
        self._throttle = throttle
        self._has_key = has_key
        self._last_success_s: float | None = None

    @property
    def silent_s(self) -> float | None:
        """Return the seconds since the last answered call (ORD-6), None before the first."""
        return None if self._last_success_s is None else clock.monotonic() - self._last_success_s

    def close(self) -> None:
        """Give back threads and connections."""
        self._transport.close()

    async def warm(self) -> None:
        """Open connections ahead, unless the address has to be quiet just now."""
        address = self._throttle.address
        try:
            if address.wait_s() > 0:
                return
        except AddressBanned:
            return
        for _ in range(await self._transport.warm(TIME.method)):
            address.count()

    async def call(self, endpoint: Endpoint, params: Params, where: str = "") -> Reply:
        """Wait for a turn, send one request, learn from its answer."""
        place = f"{self.account}: {where or endpoint.name}"
        if endpoint.signed and not self._has_key:
            raise RejectedForGood("this call needs an API key", where=place, mend="set the key of this account")
        try:
            async with self._throttle.turn(endpoint.lane):
                reply = await self._transport.call(endpoint.method, params, verb=endpoint.verb, where=place)
        except AddressBanned as banned:
            raise errors.forbidden(
                str(banned), verb=endpoint.verb, where=place, reset_at=banned.until, mend=banned.mend
            ) from None
        except ExchangeError as error:
            if error.code == errors.FORBIDDEN:
                self._throttle.address.ban()
            elif isinstance(error, RateLimited):
                reset_ms = None if error.reset_at is None else wire.to_ms(error.reset_at)
                self._throttle.refused(endpoint.lane, reset_ms, self._server_now_ms())
            raise
        self._learn(endpoint, reply)
        return reply

    def _learn(self, endpoint: Endpoint, reply: Reply) -> None:
        self._last_success_s = clock.monotonic()
        self._throttle.address.heard()
        if reply.answer.at is None:
            return
        server_ms = wire.to_ms(reply.answer.at)
        if endpoint.signed or endpoint is TIME:
            # Market data of the embedded exchange carries the market's own time, which may run fast.
            self.clock.see(reply.sent_ms, server_ms, reply.received_ms)
        self._throttle.learn(endpoint.lane, reply.headers, server_ms)

    def _server_now_ms(self) -> int:
        return clock.now_ms() + (self.clock.offset_ms or 0)


def rows_of(result: Mapping[str, object], where: str) -> list[Mapping[str, object]]:
    """Return the list of objects in an answer, or raise BadReply."""
    rows = result.get("list")
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise bad("list", rows, "a list of objects", where)
    return rows


def server_ms(reply: Reply) -> int:
    """Return the exchange's time (ms) beside an answer, our own where it gave none."""
    return wire.to_ms(reply.answer.at) if reply.answer.at is not None else reply.received_ms
