"""One account's door into a venue of this process: the server's own handlers without sockets, threads or signatures.

Faults strike here as they do on the wire, so that a whole run of accidents can be played from one seed.
`exchange.bybit.local` puts the same client in front of it that talks to the wire, so both are held to one contract.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from eternal_engine.exchange.door import AnswerLost
from eternal_engine.simulator.faults import Fault, FaultKind
from eternal_engine.simulator.server.call import Call, Json
from eternal_engine.simulator.server.market import candle_message, candle_rows, closed_between
from eternal_engine.simulator.server.params import Params
from eternal_engine.simulator.server.rest import AFTER, BEFORE, TIME_PATH, Answer, ConnectionLost, perform, suffer
from eternal_engine.simulator.server.routes import ROUTES, Route
from eternal_engine.simulator.server.streams import push_private
from eternal_engine.simulator.server.world import World
from eternal_engine.simulator.venue import LINEAR, SPOT, VenueEvent
from eternal_engine.simulator.venue.instruments import Category

PRIVATE_TOPICS = ("order", "execution", "position", "wallet")
HTTP_OK = 200
RATE_LIMITS = frozenset({FaultKind.RATE_LIMIT_PAST, FaultKind.RATE_LIMIT_FUTURE, FaultKind.RATE_LIMIT_BARE})
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
        account = self.world.venue.state.account(self.uid)
        faults = self.world.faults.hits(path, account.name, BEFORE | AFTER)
        made = _before(faults) or self._perform(path, route, fields, faults)
        if made.raw is not None:
            raise AnswerLost(made.status if made.status != HTTP_OK else None)
        return self._envelope(made.code, made.text, made.result)

    def _perform(self, path: str, route: Route, fields: Mapping[str, object], faults: list[Fault]) -> Answer:
        kinds = {fault.kind for fault in faults}
        if FaultKind.REJECT_LATER in kinds:
            self.world.venue.doom_next_order()
        caller = self.world.venue.state.account(self.uid) if route.limit_class else None
        sent = {name: value for name, value in fields.items() if value is not None}
        made = perform(self.world, route, Call(self.world, caller, Params(sent)))
        if FaultKind.DUPLICATE in kinds:
            perform(self.world, route, Call(self.world, caller, Params(sent)))
        if path == TIME_PATH:
            now_ms = self.world.venue.state.now_ms
            made.result = {"timeSecond": str(now_ms // 1000), "timeNano": str(now_ms * 1_000_000)}
        try:
            return suffer(made, faults)
        except ConnectionLost:
            raise AnswerLost from None

    def listen(self, hear: Callable[[Json], None]) -> Callable[[], None]:
        """Hand every private stream message of the account to `hear`; returns the function that ends it."""
        tap = Tap(self.world, self.uid, hear)
        self.world.listeners.append(tap.tell)
        return lambda: self.world.listeners.remove(tap.tell)

    def follow(self, candles: Collection[tuple[str, str, str]], hear: Callable[[Json], None]) -> Callable[[], None]:
        """Hand the confirmed candles of (category, interval, symbol) to `hear`, once each, from now on.

        They come by the end of the candle, then in the order asked for, and after every private message of the instant.
        Returns the function that ends it.
        """
        tap = CandleTap(self.world, candles, hear)
        self.world.market_listeners.append(tap.tell)
        return lambda: self.world.market_listeners.remove(tap.tell)

    def _envelope(self, code: int, words: str, result: Json) -> Json:
        now_ms = self.world.venue.state.now_ms
        return {"retCode": code, "retMsg": words, "result": result, "retExtInfo": {}, "time": now_ms}


def doors(world: World) -> dict[str, Door]:
    """Give the door of every account by its name."""
    return {account.name: Door(world, account.uid) for account in world.venue.state.accounts.values()}


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


class CandleTap:
    """Tell of candles as they close."""

    def __init__(self, world: World, candles: Collection[tuple[str, str, str]], hear: Callable[[Json], None]) -> None:
        self._world = world
        self._candles = [(_category(word), interval, symbol) for word, interval, symbol in candles]
        self._intervals = sorted({interval for _, interval, _ in self._candles})
        self._told_ms = world.venue.state.now_ms
        self._hear = hear
        for category, interval, symbol in self._candles:
            world.feed.watch(category, symbol, interval)

    def tell(self, now_ms: int) -> None:
        """Pass on what closed since the last time."""
        if now_ms <= self._told_ms:
            return
        told_ms, self._told_ms = self._told_ms, now_ms
        closed: list[tuple[int, int, Json]] = []
        call = Call(self._world, None, Params({}))
        for interval in self._intervals:
            opens = closed_between(told_ms, now_ms, interval)
            for place, (category, mine, symbol) in enumerate(self._candles):
                if mine != interval or not opens:
                    continue
                for candle, end_ms in candle_rows(call, category, symbol, interval, iter(opens)):
                    closed.append((end_ms, place, candle_message(candle, end_ms, symbol, interval, now_ms)))
        for _, place, message in sorted(closed, key=lambda row: row[:2]):
            self._hear({**message, "category": self._candles[place][0]})


def _category(word: str) -> Category:
    if word not in (SPOT, LINEAR):
        raise ValueError(f"there are no candles of {word!r}")
    return SPOT if word == SPOT else LINEAR


def _before(faults: list[Fault]) -> Answer | None:
    """Return the answer of a call that faults keep from the venue, None when it gets there; nothing waits here."""
    for fault in faults:
        if fault.kind is FaultKind.LOSE_REQUEST:
            raise AnswerLost
        if fault.kind is FaultKind.HTTP:
            raise AnswerLost(fault.status)
        if fault.kind is FaultKind.CODE:
            return Answer(code=fault.code, text=fault.text)
        if fault.kind is FaultKind.CLOCK_SKEW:
            return Answer(code=10002, text="invalid request, please check your server timestamp or recv_window param.")
        if fault.kind in RATE_LIMITS:
            return Answer(code=10006, text="Too many visits. Exceeded the API Rate Limit.")
    return None
