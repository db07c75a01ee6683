"""Doors in which those faults strike, too, that need time or a stream: slow answers, lost and doubled messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from crash_daemon import SharpDoor
from eternal_engine.exchange.bybit.local import LocalFeed
from eternal_engine.exchange.bybit.transport import TransportSettings
from eternal_engine.exchange.door import AnswerLost
from eternal_engine.model.errors import ExchangeError
from eternal_engine.simulator.faults import FaultKind, FaultPlan
from eternal_engine.simulator.server.call import Json
from eternal_engine.simulator.server.streams import STREAM_FAULTS

PATIENCE_MS: Final = int(TransportSettings().read_timeout_s * 1000)
# A private topic carries no number, so nobody misses what is not there.
UNNOTICED: Final = frozenset({FaultKind.WS_DROP, FaultKind.WS_GAP, FaultKind.WS_SILENT})
BREAKING: Final = frozenset({FaultKind.WS_CLOSE, FaultKind.WS_RESET})
# A fault strikes eight times in a row at most; a line over the wire connects anew within seconds.
MENDS_IN_A_ROW: Final = 12


@dataclass
class Wires:
    """Hold what all doors of one life share: the plan of slow answers, the streams, and who looks on.

    `heard` is told each stream message: topic, account, and the message itself.
    """

    slow: FaultPlan = field(default_factory=FaultPlan)
    lines: list[Line] = field(default_factory=list)
    heard: Callable[[str, str, Json], None] = lambda *_: None

    async def mend(self) -> None:
        """Connect broken streams again: they catch up by asking, as over the wire."""
        for line in self.lines:
            await line.mend()


@dataclass(eq=False)
class Line:
    """Pass one account's private messages on as faults leave them; a broken line is deaf until it is mended."""

    wires: Wires
    account: str
    faults: FaultPlan
    hear: Callable[[Json], None]
    feed: LocalFeed | None = None
    refused: set[str] = field(default_factory=set)
    held: Json | None = None
    is_deaf: bool = False
    must_catch_up: bool = False

    def tell(self, message: Json) -> None:
        """Pass one message on."""
        topic = str(message["topic"])
        self.wires.heard(topic, self.account, message)
        kinds = {fault.kind for fault in self.faults.hits(topic, self.account, STREAM_FAULTS)}
        if FaultKind.WS_REFUSE in kinds:
            self.refused.add(topic)
        if kinds & BREAKING:
            self.is_deaf = self.must_catch_up = True
        if kinds & UNNOTICED or self.is_deaf or topic in self.refused:
            return
        # A frame that is no JSON has the client ask for everything again.
        self.must_catch_up |= FaultKind.WS_GARBAGE in kinds
        if FaultKind.WS_SWAP in kinds and self.held is None:
            self.held = message
            return
        self.hear(message)
        if FaultKind.WS_DUPLICATE in kinds:
            self.hear(message)
        if self.held is not None:
            late, self.held = self.held, None
            self.hear(late)

    async def mend(self) -> None:
        """Hear again, and catch up on what was missed; where asking fails, connect anew, as a socket does.

        What fails more often than a line connects anew in a row is asked for at the next hour.
        """
        for _ in range(MENDS_IN_A_ROW):
            if not self.must_catch_up or self.feed is None:
                return
            self.is_deaf = self.must_catch_up = False
            try:
                await self.feed._desk.catch_up()
            except ExchangeError:
                self.is_deaf = self.must_catch_up = True


@dataclass(eq=False)
class FaultyDoor(SharpDoor):
    """Answer as the exchange does, slowly where the plan says so."""

    wires: Wires = field(default_factory=Wires)

    def answer(self, path: str, fields: Mapping[str, object]) -> Json:
        """Answer one call. Time passes meanwhile; a client that has lost patience gets no answer.

        What comes later than a client waits for is too old for the exchange, which takes in only fresh signatures.
        """
        for fault in self.wires.slow.hits(path, self.world.venue.state.account(self.uid).name):
            now_ms = self.world.venue.state.now_ms
            self.world.step_to(now_ms + min(fault.delay_ms, PATIENCE_MS))
            if fault.delay_ms > PATIENCE_MS:
                # The plan of the world counts this call, too: faults behind it strike where they would have.
                self.world.faults.hits(path, self.world.venue.state.account(self.uid).name)
                raise AnswerLost
        return super().answer(path, fields)

    def listen(self, hear: Callable[[Json], None]) -> Callable[[], None]:
        """Hand every private message to `hear`, as faults leave it."""
        account = self.world.venue.state.account(self.uid).name
        line = Line(self.wires, account, self.world.faults, hear)
        self.wires.lines.append(line)
        return super().listen(line.tell)

    def connect(self, feed: LocalFeed) -> None:
        """Tell the newest line which feed it serves."""
        self.wires.lines[-1].feed = feed
