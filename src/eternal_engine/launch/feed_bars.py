"""Market data of an exchange inside this process for the symbols that are traded, however far the history is made."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from eternal_engine.launch.world_bars import WorldBars
from eternal_engine.market_data.bar_store import HourBar, SettledRate
from eternal_engine.market_data.history import MarketHistory
from eternal_engine.portfolio.features import Moods
from eternal_engine.strategies.indicators import DailyBars


class FeedBars:
    """Implement `engine.market_watch.BarSource` over a feed whose history may grow while it runs."""

    def __init__(
        self, history: Callable[[], MarketHistory], symbols: Sequence[str], *, with_volume: bool = False
    ) -> None:
        self._history = history
        self._symbols = tuple(symbols)
        self._with_volume = with_volume
        self._world: WorldBars | None = None

    async def hours(self, start_h: int, end_h: int) -> list[HourBar]:
        """Return all completed hourly bars that open in [start_h, end_h)."""
        bars = await self._bars().hours(start_h, end_h)
        return (
            bars if self._symbols == self._history().symbols else [bar for bar in bars if bar.symbol in self._symbols]
        )

    async def days(self, end_h: int) -> tuple[int, DailyBars]:
        """Return the first epoch day and the daily spot bars of all days complete by hour `end_h`."""
        first_day, days = await self._bars().days(end_h)
        known = self._history().symbols
        if self._symbols == known:
            return first_day, days
        rows = [known.index(symbol) for symbol in self._symbols]
        high, low, close, volume = (part[rows] for part in (days.high, days.low, days.close, days.volume))
        return first_day, DailyBars(high, low, close, volume, days.bars[rows])

    async def rates(self, start_h: int, end_h: int) -> list[SettledRate]:
        """Return the rates settled in (start_h, end_h] of all symbols, oldest first."""
        return [rate for rate in await self._bars().rates(start_h, end_h) if rate.symbol in self._symbols]

    async def moods(self, end_h: int) -> Moods:
        """Return the fear-and-greed values of the days that have begun by hour `end_h`."""
        return await self._bars().moods(end_h)

    def _bars(self) -> WorldBars:
        history = self._history()
        if self._world is None or self._world.history is not history:
            self._world = WorldBars(history, with_volume=self._with_volume)
        return self._world
