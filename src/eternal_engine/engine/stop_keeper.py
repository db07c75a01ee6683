"""The protective stops of TREND's positions, which rest at the exchange (TREND-X3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

from eternal_engine.engine import exits, outcome, work
from eternal_engine.engine.memory import Memory
from eternal_engine.engine.recorder import Recorder
from eternal_engine.engine.sender import RETRY_WAITS_S, Sender, Waiting
from eternal_engine.engine.timing import Clock
from eternal_engine.model import reason
from eternal_engine.model.errors import ExchangeError, HaltTrading, RejectedForGood
from eternal_engine.model.event import ErrorOccurred, Event, Noted
from eternal_engine.model.ids import Account, Engine, RuleId, Symbol
from eternal_engine.model.instrument import Market
from eternal_engine.model.money import exact_arithmetic
from eternal_engine.storage.projection import Projection


class StopKeeper:
    """Make the exchange hold the stop that the rules want in every position of TREND.

    Setting a stop again changes nothing, so it is simply repeated until it is confirmed. Where it cannot rest an exit
    is asked for, which is pending then. `desk` gives what exits are found from.
    """

    def __init__(
        self,
        sender: Sender,
        recorder: Recorder,
        clock: Clock,
        waiting: Waiting,
        desk: Callable[[Projection], exits.Desk],
    ) -> None:
        self._sender = sender
        self._recorder = recorder
        self._clock = clock
        self._waiting = waiting
        self._desk = desk

    async def keep(self) -> None:
        """Look at each symbol once. Raises HaltTrading when the key is refused."""
        memory = self._recorder.memory
        for s, symbol in enumerate(memory.symbols):
            wanted = outcome.stop_wanted(memory.states, self._recorder.projection.books, memory.symbols, s)
            known = memory.stop_of(s)
            if wanted is None:
                if known is not None:
                    await self._recorder.commit(lambda now, _, s=s: (now.with_stop(s, None), ()))  # type: ignore[misc]
                continue
            tick = self._sender.rules(Market.PERP, symbol).tick
            price = on_tick(wanted, tick)
            if price != known:
                await self._set(s, symbol, price)

    async def _set(self, s: int, symbol: str, price: Decimal) -> None:
        for wait_s in (*RETRY_WAITS_S, None):
            try:
                await self._sender.exchange.set_stop(symbol, price)
            except HaltTrading:
                raise
            except RejectedForGood as error:
                await self._leave(s, error)
                return
            except ExchangeError as error:
                if wait_s is None:
                    where = f"setting the stop of {symbol} at {price}"
                    await self._recorder.append(
                        ErrorOccurred(self._clock.now(), error.message, where, error.mend, Engine.TREND)
                    )
                    return
                await self._waiting.sleep(wait_s)
            else:
                await self._confirm(s, symbol, price)
                return

    async def _confirm(self, s: int, symbol: str, price: Decimal) -> None:
        note = Noted(self._clock.now(), RuleId("TREND-X3"), f"stop rests at {price}", Engine.TREND, Symbol(symbol))
        await self._recorder.commit(lambda memory, _: (memory.with_stop(s, price), (note,)))

    async def _leave(self, s: int, refused: RejectedForGood) -> None:
        """Ask for an exit at once: the stop cannot rest, mostly because the market is beyond it already (TREND-X2)."""

        def make(memory: Memory, projection: Projection) -> tuple[Memory, tuple[Event, ...]]:
            desk = self._desk(projection)
            intent = exits.position_exit(desk, memory, projection.books.of(Account.TREND), s)
            if intent is None or work.first_id(intent, memory.symbols) in projection.orders:
                # What was tried in this hour already has ended; the next hour has an id of its own.
                return memory, ()
            symbol, stop = memory.symbols[s], float(memory.states.trend.stop[s])
            words = f"the stop of {symbol} at {stop:g} cannot rest, so the position is closed: {refused.message}"
            detail = f"{reason.words(intent.reason)}: the exchange takes no stop at {stop:g}: {refused.message}"
            seen = {"symbols": {symbol: {"stop": stop}}, "stop_refused": refused.message}
            said = ErrorOccurred(desk.now, words, f"trend {symbol}", refused.mend, Engine.TREND)
            told = (said, *exits.explained(desk, memory, intent, detail, seen))
            return replace(memory, pending=(*memory.pending, intent)), told

        await self._recorder.commit(make)


def on_tick(price: float, tick: Decimal) -> Decimal:
    """Give a price of the kernels, which is a multiple of the tick already, as the exact one."""
    with exact_arithmetic():
        return round(price / float(tick)) * tick
