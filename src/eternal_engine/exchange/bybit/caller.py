"""The way out for one account: its turn in the throttle, one call, and what every answer teaches (clock, limits)."""

from __future__ import annotations

from collections.abc import Mapping

from eternal_engine import clock
from eternal_engine.exchange.bybit import wire
from eternal_engine.exchange.bybit.clockwatch import ClockWatch
from eternal_engine.exchange.bybit.errors import Verb
from eternal_engine.exchange.bybit.paging import Fetch, Params
from eternal_engine.exchange.bybit.throttle import EndpointClass, Throttle
from eternal_engine.exchange.bybit.transport import Method, Reply, Transport
from eternal_engine.exchange.bybit.wire.fields import bad
from eternal_engine.exchange.capability import Capabilities, Capability
from eternal_engine.model.errors import AlreadyDone, HaltTrading, RateLimited, RejectedForGood, Unsupported

_FORBIDDEN = 403


class Caller:
    """Send calls for one account and remember when the exchange last answered."""

    def __init__(
        self, account: str, transport: Transport, throttle: Throttle, capabilities: Capabilities, *, has_key: bool
    ) -> None:
        self.account = account
        self.capabilities = capabilities
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

    def need(self, capability: Capability, where: str) -> None:
        """Raise Unsupported, with what is done instead, where the environment lacks a call."""
        if not self.capabilities.has(capability):
            raise Unsupported(
                f"{self.capabilities.environment} does not offer {capability}",
                where=where,
                mend=self.capabilities.instead(capability),
            )

    async def public(self, where: str, method: Method, params: Params) -> Reply:
        """Make one unsigned call."""
        return await self.call(where, method, EndpointClass.MARKET, params, Verb.READ, signed=False)

    async def read(self, where: str, method: Method, kind: EndpointClass, params: Params) -> Reply:
        """Make one signed call that changes nothing."""
        return await self.call(where, method, kind, params, Verb.READ)

    async def change(self, where: str, method: Method, kind: EndpointClass, params: Params, verb: Verb) -> Reply:
        """Make one signed call that changes something; it is sent once."""
        return await self.call(where, method, kind, params, verb)

    async def set_value(self, where: str, method: Method, kind: EndpointClass, params: Params) -> None:
        """Set a value; finding it already set is success."""
        try:
            await self.call(where, method, kind, params, Verb.SET)
        except AlreadyDone:
            return

    def fetcher(self, where: str, method: Method, kind: EndpointClass, *, signed: bool = True) -> Fetch:
        """Return a function that reads one page."""

        async def fetch(params: Params) -> Mapping[str, object]:
            reply = await self.call(where, method, kind, params, Verb.READ, signed=signed)
            return reply.answer.result

        return fetch

    async def call(
        self, where: str, method: Method, kind: EndpointClass, params: Params, verb: Verb, *, signed: bool = True
    ) -> Reply:
        """Wait for a turn, send one request, learn from its answer.

        Raises the exchange branch of the error tree only.
        """
        place = f"{self.account}: {where}"
        if signed and not self._has_key:
            raise RejectedForGood("this call needs an API key", where=place, mend="set the key of this account")
        await self._throttle.turn(kind)
        try:
            reply = await self._transport.call(method, params, verb=verb, where=place)
        except RateLimited as error:
            reset_ms = None if error.reset_at is None else wire.to_ms(error.reset_at)
            self._throttle.refused(kind, reset_ms, self._server_now_ms())
            raise
        except HaltTrading as error:
            if error.code == _FORBIDDEN:
                self._throttle.address.ban()
            raise
        self._learn(kind, reply)
        return reply

    def _learn(self, kind: EndpointClass, reply: Reply) -> None:
        self._last_success_s = clock.monotonic()
        if reply.answer.at is not None:
            server_ms = wire.to_ms(reply.answer.at)
            self.clock.see(reply.sent_ms, server_ms, reply.received_ms)
            self._throttle.learn(kind, reply.headers, server_ms)

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
