"""One account's door into a venue of this process: the server's own handlers without sockets, threads or signatures.

`exchange.bybit.local` puts the same client in front of it that talks to the wire, so both are held to one contract.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from eternal_engine.simulator.server.call import Call, Json
from eternal_engine.simulator.server.params import Params
from eternal_engine.simulator.server.rest import TIME_PATH, perform
from eternal_engine.simulator.server.routes import ROUTES
from eternal_engine.simulator.server.streams import push_private
from eternal_engine.simulator.server.world import World
from eternal_engine.simulator.venue import VenueEvent

PRIVATE_TOPICS = ("order", "execution", "position", "wallet")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(eq=False)
class Door:
    """Answer calls of one account as the server would; every time in an answer is the venue's."""

    world: World
    uid: int

    def now(self) -> datetime:
        """Return venue time."""
        return _EPOCH + timedelta(milliseconds=self.world.venue.state.now_ms)

    def answer(self, path: str, fields: Mapping[str, object]) -> Json:
        """Return the whole envelope of one call; it is executed and, with a store, committed before this returns."""
        route = ROUTES.get(path)
        if route is None:
            return self._envelope(10017, "path not found", {})
        caller = self.world.venue.state.account(self.uid) if route.limit_class else None
        sent = {name: value for name, value in fields.items() if value is not None}
        made = perform(self.world, route, Call(self.world, caller, Params(sent)))
        if path == TIME_PATH:
            now_ms = self.world.venue.state.now_ms
            made.result = {"timeSecond": str(now_ms // 1000), "timeNano": str(now_ms * 1_000_000)}
        return self._envelope(made.code, made.text, made.result)

    def listen(self, hear: Callable[[Json], None]) -> Callable[[], None]:
        """Hand every private stream message of the account to `hear`; returns the function that ends it."""
        tap = Tap(self.world, self.uid, hear)
        self.world.listeners.append(tap.tell)
        return lambda: self.world.listeners.remove(tap.tell)

    def _envelope(self, code: int, words: str, result: Json) -> Json:
        now_ms = self.world.venue.state.now_ms
        return {"retCode": code, "retMsg": words, "result": result, "retExtInfo": {}, "time": now_ms}


class Tap:
    """Receive the private messages of one account without a connection."""

    def __init__(self, world: World, uid: int, hear: Callable[[Json], None]) -> None:
        self.world = world
        self.uid = uid
        self.topics = dict.fromkeys(PRIVATE_TOPICS, "")
        self._hear = hear

    def publish(self, topic: str, message: Json) -> None:
        """Pass one message on; its topic is written in it."""
        del topic
        self._hear(message)

    def tell(self, events: list[VenueEvent]) -> None:
        """Turn events into messages."""
        push_private(self, events)
