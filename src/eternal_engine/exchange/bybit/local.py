"""The same client in front of a venue inside this process: no sockets, no threads, one virtual clock."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Any

from eternal_engine.exchange.bybit import errors, wire
from eternal_engine.exchange.bybit.caller import Caller
from eternal_engine.exchange.bybit.client import Client
from eternal_engine.exchange.bybit.endpoints import Endpoint
from eternal_engine.exchange.bybit.paging import Params
from eternal_engine.exchange.bybit.stream.feed import PublicPlan
from eternal_engine.exchange.bybit.stream.mailbox import Mailbox
from eternal_engine.exchange.bybit.stream.private import PrivateDesk
from eternal_engine.exchange.bybit.transport import Reply
from eternal_engine.exchange.bybit.wire import parse_answer, to_ms
from eternal_engine.exchange.capability import CAPABILITIES, Environment
from eternal_engine.exchange.door import AnswerLost, Door
from eternal_engine.exchange.events import CandleClosed, StreamEvent, StreamState, StreamStateChanged
from eternal_engine.exchange.terms import Market
from eternal_engine.model.errors import BadReply


class LocalCaller(Caller):
    """Call the door directly; every error goes through the same table as over the wire."""

    def __init__(self, account: str, door: Door, environment: Environment = Environment.PAPER) -> None:
        super().__init__(account, CAPABILITIES[environment])
        self._door = door

    def now(self) -> datetime:
        """Return venue time."""
        return self._door.now()

    def close(self) -> None:
        """Do nothing: the venue belongs to whoever made it."""

    async def call(self, endpoint: Endpoint, params: Params, where: str = "") -> Reply:
        """Make one call at once."""
        place = f"{self.account}: {where or endpoint.name}"
        try:
            answer = parse_answer(self._door.answer(endpoint.path, params), place)
        except AnswerLost as error:
            if error.status is None:
                raise errors.lost(str(error), verb=endpoint.verb, where=place) from error
            raise errors.from_status(error.status, verb=endpoint.verb, where=place) from error
        except BadReply as error:
            raise errors.unreadable(error, verb=endpoint.verb, where=place) from error
        if answer.code:
            raise errors.from_code(answer.code, answer.text, verb=endpoint.verb, where=place)
        now_ms = to_ms(self.now())
        return Reply(answer, {}, now_ms, now_ms)


class LocalClient(Client):
    """Implement `exchange.port.Exchange` over a door."""

    def __init__(self, account: str, door: Door, environment: Environment = Environment.PAPER) -> None:
        super().__init__(LocalCaller(account, door, environment))


class _DoorFeed:
    """Hand on what a door tells: live from the first moment, never broken. Its end is set by who listens."""

    _end: Callable[[], None]

    def __init__(self, name: str, door: Door, bound: int) -> None:
        self._name = name
        self._mailbox = Mailbox(bound)
        self._now = door.now
        self._mailbox.offer(StreamStateChanged(name, StreamState.LIVE, "in this process", door.now()))

    def drain(self) -> list[StreamEvent]:
        """Return at once what has been heard since the last time."""
        return self._mailbox.drain()

    async def events(self) -> AsyncIterator[StreamEvent]:
        """Iterate over events until `stop`."""
        while (event := await self._mailbox.take()) is not None:
            yield event

    async def stop(self) -> None:
        """Stop listening and end the iteration."""
        self._end()
        self._mailbox.offer(StreamStateChanged(self._name, StreamState.STOPPED, "stopped", self._now()))
        self._mailbox.close()


class LocalFeed(_DoorFeed):
    """Implement `exchange.port.EventSource` for one account over a door."""

    def __init__(self, client: LocalClient, door: Door, bound: int = 100_000) -> None:
        super().__init__(f"private {client.account}", door, bound)
        self._desk = PrivateDesk(self._mailbox, client, since=door.now(), now=door.now)
        self._end = door.listen(self._desk.take)


class LocalMarketFeed(_DoorFeed):
    """Implement `exchange.port.EventSource` for completed candles over a door; any account's door will do.

    A candle is told once, when the venue's clock comes to its end, after the private events of that instant: drain the
    private feeds first. A silent market has none. `plan.known` is not used: what closed before is read by `candles`.
    """

    def __init__(self, door: Door, plan: PublicPlan, bound: int = 100_000) -> None:
        super().__init__("public", door, bound)
        self._interval = wire.INTERVAL_WORD[plan.interval]
        asked = [(Market.SPOT, symbol) for symbol in plan.spot] + [(Market.PERP, symbol) for symbol in plan.perp]
        self._end = door.follow(
            [(wire.CATEGORY_OF[market], self._interval, symbol) for market, symbol in asked], self._take
        )

    def _take(self, message: dict[str, Any]) -> None:
        symbol = message["topic"].rpartition(".")[2]
        for row in message["data"]:
            named = {"category": message["category"], "symbol": symbol}
            self._mailbox.offer(CandleClosed(wire.CANDLE.parse({**row, **named}, message["topic"])))
