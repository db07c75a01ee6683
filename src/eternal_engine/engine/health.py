"""Ask the exchange for its time every few seconds, and pause the engines while it does not answer (ORD-6)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from eternal_engine.engine.downtime import (
    PING_EVERY_S,
    Change,
    Line,
    Lost,
    Restored,
    Skew,
    after_check,
    after_success,
    judge_skew,
)
from eternal_engine.exchange.port import MarketSource
from eternal_engine.model.errors import ExchangeError
from eternal_engine.model.event import ConnectionLost, ConnectionRestored, ErrorOccurred, Event
from eternal_engine.model.ids import Account

PING_TIMEOUT_S: Final = 8.0
_MILLISECOND: Final = timedelta(milliseconds=1)

Tell = Callable[[Event], Awaitable[None]]


class Health:
    """Watch the line to the exchange and this machine's clock.

    `is_down` pauses all engines: no new orders, exits included; what is in flight is still followed (E6). It stays
    true after the exchange answers again until `recover`, which must reconcile every account, has returned; what the
    operator or the breaker has halted is kept elsewhere and not touched here (E2). `tell` journals an event, in the
    time that `now` gives: a recorded market's own, and the exchange's where the money is real. `machine` is this
    machine's clock, None where nothing depends on it.
    """

    def __init__(
        self,
        exchange: MarketSource,
        tell: Tell,
        recover: Callable[[], Awaitable[None]],
        *,
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
        machine: Callable[[], datetime] | None,
        account: Account = Account.MASTER,
        ping_every_s: float = PING_EVERY_S,
    ) -> None:
        self._exchange = exchange
        self._tell = tell
        self._recover = recover
        self._now = now
        self._monotonic = monotonic
        self._account = account
        self._machine = machine
        self._ping_every_s = ping_every_s
        self._line = Line(monotonic())
        self._owed: Restored | None = None
        self._mend = ""
        self._heard_at = now()
        self.offset_ms: int | None = None
        self.skew = Skew.FINE

    @property
    def is_down(self) -> bool:
        """Tell whether all engines are paused."""
        return self._line.is_down or self._owed is not None

    @property
    def entries_wait(self) -> bool:
        """Tell whether entries must wait: no line, or a clock that fails signed calls."""
        return self.is_down or self.skew is Skew.WAIT

    def heard(self) -> None:
        """Note any other call that succeeded while the line is up: it need not be a ping."""
        if not self.is_down:
            self._line, _ = after_success(self._line, self._monotonic())
            self._heard_at = self._now()

    async def check(self) -> None:
        """Ping once and act on it. Raises only what `tell` and, with another error than ExchangeError, `recover` do."""
        detail = mend = ""
        try:
            await self._ask()
        except ExchangeError as error:
            detail, mend = error.message, error.mend
        except TimeoutError:
            detail = f"no answer in {PING_TIMEOUT_S:g} s"
        if detail:
            self._line, change = after_check(self._line, self._monotonic())
        else:
            self._line, change = after_success(self._line, self._monotonic())
            self._heard_at = self._now()
        await self._act(change, detail)
        await self._tell_reason(detail, mend, is_told=change is not None)

    async def see_clock(self) -> None:
        """Ask for the time alone, so that it is known before an hour is decided; silence is `check`'s to judge."""
        with suppress(ExchangeError, TimeoutError):
            await self._ask()

    async def run(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Check every `ping_every_s`, for ever."""
        while True:
            await self.check()
            await sleep(self._ping_every_s)

    async def _act(self, change: Change, detail: str) -> None:
        if isinstance(change, Lost) and self._owed is None:
            await self._tell(ConnectionLost(self._now(), self._account, self._heard_at, detail))
        elif isinstance(change, Restored):
            before = self._owed.downtime_s if self._owed else 0.0
            self._owed = Restored(before + change.downtime_s)
        if self._owed is not None and not self._line.is_down:
            await self._resume(self._owed)

    async def _tell_reason(self, detail: str, mend: str, *, is_told: bool) -> None:
        """Say it when the line stays down for another reason than the one said before: what helps is another thing."""
        if not detail or not self._line.is_down:
            self._mend = ""
            return
        if is_told or not mend or mend == self._mend:
            self._mend = mend or self._mend
            return
        self._mend = mend
        await self._tell(ErrorOccurred(self._now(), detail, "line", mend))

    async def _resume(self, restored: Restored) -> None:
        try:
            await self._recover()
        except ExchangeError:
            return  # still owed: the next successful ping tries again
        self._owed = None
        lasted = Decimal(round(restored.downtime_s * 1000)).scaleb(-3)
        await self._tell(ConnectionRestored(self._now(), self._account, lasted))

    async def _ask(self) -> None:
        """Ask the exchange for its time, and hold this machine's against it."""
        read = self._machine or self._now
        sent = read()
        server = await asyncio.wait_for(self._exchange.server_time(), PING_TIMEOUT_S)
        if self._machine is not None:
            await self._see_clock(server, sent, read())

    async def _see_clock(self, server: datetime, sent: datetime, received: datetime) -> None:
        middle = sent + (received - sent) / 2
        if received - sent > timedelta(seconds=1) and self.offset_ms is not None:
            return  # a slow answer says little about the clock
        self.offset_ms = (server - middle) // _MILLISECOND
        before, self.skew = self.skew, judge_skew(self.offset_ms)
        if self.skew is not before and self.skew is not Skew.FINE:
            waits = "; entries wait" if self.skew is Skew.WAIT else ""
            side = "behind" if self.offset_ms > 0 else "ahead of"
            await self._tell(
                ErrorOccurred(
                    self._now(),
                    f"this machine's clock is {abs(self.offset_ms)} ms {side} the exchange's{waits}",
                    "clock",
                    "set the clock by NTP: timedatectl set-ntp true",
                )
            )
