"""One running exchange: venue, feed, clock and state file, and the order in which they are used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from eternal_engine import clock
from eternal_engine.market_data.history import DAY_MS, HOUR_MS
from eternal_engine.simulator.bars import Candle
from eternal_engine.simulator.faults import FaultPlan
from eternal_engine.simulator.feeds import Feed
from eternal_engine.simulator.server.limits import Limits
from eternal_engine.simulator.store import VenueStore
from eternal_engine.simulator.venue import Venue, VenueEvent
from eternal_engine.simulator.venue.instruments import Category

MINUTE_MS = 60_000
Listener = Callable[[list[VenueEvent]], None]
MarketListener = Callable[[int], None]


@dataclass
class VenueClock:
    """Turn wall time into venue time: `speed` venue seconds per second, 0 stands still until it is moved."""

    speed: float
    venue_ms: int
    wall_ms: int = field(default_factory=clock.now_ms)

    def now_ms(self) -> int:
        """Give the venue's present instant."""
        if not self.speed:
            return self.venue_ms
        return self.venue_ms + int((clock.now_ms() - self.wall_ms) * self.speed)

    def jump(self, venue_ms: int) -> None:
        """Set the venue's present instant."""
        self.venue_ms = venue_ms
        self.wall_ms = clock.now_ms()


@dataclass
class World:
    """Hold one exchange at work. Every request runs `catch_up`, does its work, and runs `settle` before it answers.

    `listeners` hear of events of accounts, `market_listeners` that venue time has come to an instant (ms).
    """

    venue: Venue
    feed: Feed
    clock: VenueClock
    store: VenueStore | None = None
    faults: FaultPlan = field(default_factory=FaultPlan)
    limits: Limits = field(default_factory=Limits)
    demo: bool = False
    under_maintenance: bool = False
    listeners: list[Listener] = field(default_factory=list)
    market_listeners: list[MarketListener] = field(default_factory=list)
    _days: dict[tuple[Category, str], tuple[int, Candle | None]] = field(default_factory=dict)

    def catch_up(self) -> None:
        """Let the venue live through the time since the last look."""
        to_ms = self.clock.now_ms()
        if to_ms > self.venue.state.now_ms:
            self.feed.advance(self.venue, to_ms)

    def settle(self, *, quiet: bool = False) -> None:
        """Commit what changed, then tell the streams: nobody hears of what a kill could undo.

        A `quiet` settling leaves the file alone when only time has passed that comes again by itself: the wall's, or
        that of a driver inside this process. Raises StorageError when the file cannot be written; the next settling
        tries again with all of it.
        """
        if self.store is None:
            self.venue.state.take_dirty()
        else:
            self.store.commit(self.venue, quiet=quiet and self.clock.speed in {0, 1}, venue_ms=self.venue.state.now_ms)
        events = self.venue.take_events()
        if events:
            for listener in list(self.listeners):
                listener(events)
        for hear in list(self.market_listeners):
            hear(self.venue.state.now_ms)

    def day_of(self, category: Category, symbol: str) -> Candle | None:
        """Sum up the last 24 hours of a symbol, worked out anew once a venue minute: tickers ask ten times a second."""
        minute = self.venue.state.now_ms // MINUTE_MS
        known = self._days.get((category, symbol))
        if known is None or known[0] != minute:
            now_ms = self.venue.state.now_ms
            known = (minute, self.feed.candle(category, symbol, now_ms - DAY_MS, now_ms, now_ms))
            self._days[category, symbol] = known
        return known[1]

    def step_to(self, venue_ms: int, *, quiet: bool = False) -> None:
        """Move the venue's clock by hand, through everything that lies between.

        A `quiet` step need not survive a kill when nothing but prices and time has moved: who steps a venue of its own
        process takes the same step again.

        While somebody follows the market it stops at every hour on the way, so that they hear of the fills of an
        instant, then of the candles that closed with it, then of what came later.
        """
        now_ms = self.venue.state.now_ms
        if self.market_listeners:
            for hour_ms in range((now_ms // HOUR_MS + 1) * HOUR_MS, venue_ms, HOUR_MS):
                self._step_to(hour_ms, quiet)
        self._step_to(venue_ms, quiet)

    def _step_to(self, venue_ms: int, quiet: bool) -> None:
        self.feed.advance(self.venue, venue_ms)
        self.clock.jump(self.venue.state.now_ms)
        self.settle(quiet=quiet and venue_ms % DAY_MS != 0)
