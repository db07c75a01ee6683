"""Put an exchange together from what the user asked for: market, clock, accounts, state file."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from eternal_engine import clock
from eternal_engine.market_data.history import DAY_MS, HOUR_MS, MarketHistory
from eternal_engine.market_data.synthetic import DEFAULT_END_MS, EPOCH_MS, SYMBOLS, synthesize
from eternal_engine.model.errors import RefusedError, UsageError
from eternal_engine.simulator.faults import FaultPlan
from eternal_engine.simulator.feeds import Feed, HistoryFeed
from eternal_engine.simulator.hosts import PUBLIC_URL
from eternal_engine.simulator.live import LiveFeed
from eternal_engine.simulator.server.limits import Limits
from eternal_engine.simulator.server.world import VenueClock, World
from eternal_engine.simulator.store import VenueStore
from eternal_engine.simulator.venue import FeeRates, MarketShape, Venue, VenueConfig
from eternal_engine.simulator.venue.entities import Account

ACCOUNT_NAMES = ("MASTER", "CORE_HODL", "TREND", "FUNDING", "TACTICAL")
AHEAD_MS = 400 * DAY_MS
# Client order ids are remembered longer than the orders they belong to.
LINKS_PER_ROW = 5


@dataclass(frozen=True, slots=True)
class Opening:
    """Hold what was asked for. `start_ms` None means now in real time, else a year before the data ends.

    `keep_rows` bounds each history in memory, per account and kind.
    """

    market: str = "synthetic"
    start_ms: int | None = None
    speed: float = 1.0
    seed: int = 7
    state: Path | None = None
    faults: FaultPlan = field(default_factory=FaultPlan)
    demo: bool = False
    limits: bool = True
    deposit_usdt: Decimal = Decimal(100_000)
    shape: MarketShape = field(default_factory=MarketShape)
    fees: FeeRates = field(default_factory=FeeRates)
    match_delay_ms: int = 0
    visible_delay_ms: int = 0
    spread_bps: Decimal = Decimal(0)
    live_url: str = PUBLIC_URL
    keep_rows: int = 10_000


class SyntheticFeed(HistoryFeed):
    """Drive a venue through the synthetic market, which is made further whenever its end comes near."""

    def __init__(self, seed: int, end_ms: int, *, spread_bps: Decimal = Decimal(0)) -> None:
        self._seed, self._spread_bps = seed, spread_bps
        super().__init__(
            synthesize(seed, start_ms=EPOCH_MS, end_ms=end_ms, with_fingerprint=False), spread_bps=spread_bps
        )

    def advance(self, venue: Venue, to_ms: int) -> None:
        """Move the venue to an instant, making more of the market first when it would run out."""
        if to_ms > self.end_ms - HOUR_MS:
            whole_days = (to_ms + AHEAD_MS) // DAY_MS * DAY_MS
            self._use(synthesize(self._seed, start_ms=EPOCH_MS, end_ms=whole_days, with_fingerprint=False))
        super().advance(venue, to_ms)

    def _use(self, history: MarketHistory) -> None:
        super().__init__(history, spread_bps=self._spread_bps)


def open_world(asked: Opening) -> World:
    """Open an exchange: load its state file when it has one, else make the accounts and deposit into the master."""
    store = None if asked.state is None else VenueStore(asked.state)
    known = {} if store is None else store.meta()
    _check_same_market(asked, known)
    feed, start_ms = _market(asked)
    stored_ms = known.get("venue_ms")
    real_time = asked.speed == 1 and asked.start_ms is None and asked.market in {"synthetic", "live"}
    began_ms = start_ms if stored_ms is None else int(stored_ms)
    salt = known.get("salt") or (str(asked.seed) if not asked.speed else f"{asked.seed}:{clock.now_ms()}")
    config = VenueConfig(
        shape=asked.shape,
        fees=asked.fees,
        match_delay_ms=asked.match_delay_ms,
        visible_delay_ms=asked.visible_delay_ms,
        salt=salt,
        demo=asked.demo,
        keep_rows=asked.keep_rows,
        keep_links=LINKS_PER_ROW * asked.keep_rows,
    )
    venue = Venue(config, now_ms=began_ms)
    if store is not None:
        store.load(venue)
    venue.state.started_ms = began_ms
    feed.open_market(venue)
    if not venue.state.accounts:
        _open_accounts(venue, asked.deposit_usdt)
    now_ms = max(began_ms, clock.now_ms()) if real_time else began_ms
    world = World(
        venue=venue,
        feed=feed,
        clock=VenueClock(asked.speed, now_ms),
        store=store,
        faults=asked.faults,
        limits=Limits(enforced=asked.limits),
        demo=asked.demo,
    )
    venue.take_events()
    world.catch_up()
    if store is not None:
        store.commit(venue, salt=salt, market=_market_name(asked), venue_ms=venue.state.now_ms)
    return world


def fees_of(spot_bps: Decimal, perp_bps: Decimal) -> FeeRates:
    """Give the fees of an exchange whose takers pay these basis points; a maker never pays more than a taker."""
    usual, bps = FeeRates(), Decimal("0.0001")
    spot, perp = spot_bps * bps, perp_bps * bps
    return FeeRates(spot, min(usual.spot_maker, spot), perp, min(usual.linear_maker, perp))


def accounts_of(world: World) -> list[Account]:
    """List the accounts in the order they were opened."""
    return list(world.venue.state.accounts.values())


def require_loopback(host: str) -> None:
    """Refuse to listen anywhere but on this machine: the exchange has no other protection."""
    try:
        local = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    if not local:
        raise RefusedError(
            "the embedded exchange listens on loopback only", where=f"--host {host}", mend="use --host 127.0.0.1"
        )


def _open_accounts(venue: Venue, deposit_usdt: Decimal) -> None:
    master = venue.open_account(ACCOUNT_NAMES[0])
    for name in ACCOUNT_NAMES[1:]:
        venue.open_account(name, parent_uid=master.uid)
    if deposit_usdt:
        venue.deposit(master.uid, "USDT", deposit_usdt)


def _market(asked: Opening) -> tuple[Feed, int]:
    if asked.market == "synthetic":
        return _synthetic(asked)
    if asked.market == "live":
        return _live(asked)
    # Reading files takes libraries that a made-up market does without, and its exchange is waited for.
    from eternal_engine.market_data.datasets import SPOT
    from eternal_engine.market_data.folder import open_folder
    from eternal_engine.market_data.load import load_history

    # A folder need not have every coin that the exchange knows: it trades what there is.
    has = open_folder(Path(asked.market)).symbols(SPOT)
    history = load_history(Path(asked.market), tuple(symbol for symbol in SYMBOLS if symbol in has))
    start_ms = history.end_ms - 365 * DAY_MS if asked.start_ms is None else asked.start_ms
    start_ms = max(history.start_ms, start_ms)
    if start_ms >= history.end_ms:
        raise UsageError("the start lies behind the end of the data", where="--start", mend="name an earlier day")
    return HistoryFeed(history, spread_bps=asked.spread_bps), start_ms


def _live(asked: Opening) -> tuple[Feed, int]:
    if asked.speed != 1 or asked.start_ms is not None:
        raise UsageError("live prices come at their own time", where="--market live", mend="leave out --speed, --start")
    return LiveFeed(SYMBOLS, asked.live_url), clock.now_ms()


def _synthetic(asked: Opening) -> tuple[Feed, int]:
    if asked.start_ms is not None:
        start_ms = asked.start_ms
    else:
        start_ms = clock.now_ms() if asked.speed == 1 else DEFAULT_END_MS - 365 * DAY_MS
    if start_ms < EPOCH_MS:
        raise UsageError("the synthetic market begins in 2017", where="--start", mend="name a later day")
    end_ms = max(DEFAULT_END_MS, (start_ms + AHEAD_MS) // DAY_MS * DAY_MS)
    return SyntheticFeed(asked.seed, end_ms, spread_bps=asked.spread_bps), start_ms


def _market_name(asked: Opening) -> str:
    if asked.market == "synthetic":
        return f"synthetic seed {asked.seed}"
    return asked.market if asked.market == "live" else str(Path(asked.market).resolve())


def _check_same_market(asked: Opening, known: dict[str, object]) -> None:
    before = known.get("market")
    if before is not None and before != _market_name(asked):
        raise RefusedError(
            f"the state file belongs to the market {before!r}, asked for is {_market_name(asked)!r}",
            where=str(asked.state),
            mend="name another file with --state, or start over with --fresh",
        )
