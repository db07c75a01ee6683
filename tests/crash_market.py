"""Hand-made markets in which one procedure of the daemon happens at a known hour, with prices that stand still inside
an hour: what an order pays then does not depend on how many seconds a crash has cost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from eternal_engine.config.settings import Settings
from eternal_engine.market_data.history import HOUR_MS, FundingRates, MarketHistory, Ohlcv, Sentiment
from eternal_engine.market_data.synthetic import SYMBOLS

FIRST = datetime(2024, 1, 1, tzinfo=UTC)  # a Monday
DAYS = 60
HOURS = DAYS * 24
BASES = (40_000.0, 2_000.0, 100.0, 0.5, 300.0, 0.1, 0.4, 0.1, 35.0, 15.0)
DECIMALS = (1, 2, 2, 4, 1, 5, 4, 5, 2, 2)
Float64Array = npt.NDArray[np.float64]
Tuned = dict[str, Any]


@dataclass(frozen=True)
class Scenario:
    """Hold one procedure: its market, what is tuned so that it happens within days, and its hours.

    Hours count from the market's first. The daemon starts at `first`, lives to `before` undisturbed, and the crashes
    hit between `before` and `until`; with `from_nothing` they hit the very first start. `orders` are how many orders
    of ours the undisturbed run sends meanwhile. With `asks_for_bars` market data come by calls to the exchange.
    """

    name: str
    about: str
    history: Callable[[], MarketHistory]
    tuned: Tuned
    first: int
    before: int
    until: int
    orders: int
    from_nothing: bool = False
    asks_for_bars: bool = False

    def settings(self, state: Path) -> Settings:
        """Give the settings of a run in a directory."""
        paths = {"state_dir": str(state), "log_dir": str(state / "logs")}
        return Settings.model_validate({**self.tuned, "paths": paths})


def ms_of(hour: int) -> int:
    """Give the venue time of an hour of these markets."""
    return int(FIRST.timestamp() * 1000) + hour * HOUR_MS


def market(multiple: Float64Array, rate: Callable[[int], float] = lambda _: 0.0001) -> MarketHistory:
    """Make the market in which every price is its base times `multiple` [hours], one price an hour.

    `rate` gives the funding rate settled at an hour. Coins sway a little apart, so that no two move alike.
    """
    hours = np.arange(HOURS)
    rows = []
    for s, (base, decimals) in enumerate(zip(BASES, DECIMALS, strict=True)):
        sway = 1.0 + 0.004 * np.sin(hours / (5.0 + s) + s)
        rows.append(np.round(base * multiple * sway, decimals))
    price = np.array(rows)
    bars = Ohlcv(price.copy(), price.copy(), price.copy(), price.copy(), np.full_like(price, 10.0))
    start_ms = ms_of(0)
    stamps = np.arange(start_ms, start_ms + HOURS * HOUR_MS, 8 * HOUR_MS, dtype=np.int64)
    rates = np.array([rate(8 * number) for number in range(len(stamps))])
    funding = FundingRates(stamps, rates, np.full(len(stamps), 8.0))
    nothing = np.zeros(0)
    count = len(SYMBOLS)
    return MarketHistory(
        symbols=SYMBOLS,
        start_ms=start_ms,
        spot=bars,
        perp=bars,
        perp_stand_in=np.zeros((count, HOURS), dtype=np.bool_),
        funding=(funding,) * count,
        first_funding_ms=np.full(count, start_ms, dtype=np.int64),
        listed_ms=np.full(count, start_ms, dtype=np.int64),
        delisted_ms=np.full(count, -1, dtype=np.int64),
        sentiment=Sentiment(nothing.astype(np.int64), nothing),
        source="hand-made",
        synthetic=True,
        fingerprint="hand-made",
    )


def path(*corners: tuple[int, float]) -> Float64Array:
    """Draw straight lines between (hour, multiple) corners; flat before the first and after the last."""
    return np.interp(np.arange(HOURS), [hour for hour, _ in corners], [multiple for _, multiple in corners])


def _only(*engines: str) -> Tuned:
    """Switch off every engine but the named ones."""
    return {name: {"enabled": name in engines} for name in ("core_hodl", "trend", "funding", "tactical")}


def _with(tuned: Tuned, **parts: Tuned) -> Tuned:
    return {name: {**tuned.get(name, {}), **parts.get(name, {})} for name in {*tuned, *parts}}


QUICK_TREND: Tuned = {"sma_days": 10, "ema_days": 5, "adx_min": 1.0, "warmup_days": 20, "max_stop_frac": "0.9"}
ANY_PAIR: Tuned = {"max_positions_trend": 2, "correlation": {"deny": "1", "halve": "0.9999"}}
STILL: Tuned = {"stop_atr": 6.0, "trail_start_atr": 20.0}
CLOSE: Tuned = {"stop_atr": 2.0, "trail_start_atr": 1.0}
WIDE: Tuned = {"stop_atr": 12.0, "trail_start_atr": 20.0}
THIN_LADDER: Tuned = {
    "daily_loss_frac": "0.9",
    "weekly_loss_frac": "0.9",
    "breaker": {
        "recover_frac": "0.001",
        "caution_frac": "0.002",
        "warning_frac": "0.004",
        "alert_frac": "0.006",
        "emergency_frac": "0.5",
    },
}
SHALLOW: Tuned = {
    "levels": [{"drawdown_frac": "0.1", "budget_frac": "0.5"}, {"drawdown_frac": "0.3", "budget_frac": "0.5"}],
    "take_profit_frac": "0.2",
}


def _calm() -> MarketHistory:
    return market(path((0, 1.0), (HOURS, 1.02)))


# Up for 45 days; what follows decides how TREND leaves.
_RISE = ((0, 1.0), (45 * 24, 1.45))


def _rise_and_sag() -> MarketHistory:
    return market(path(*_RISE, (45 * 24 + 1, 1.345), (HOURS, 1.345)))


def _rise_and_crash() -> MarketHistory:
    return market(path(*_RISE, (45 * 24 + 7, 1.45), (45 * 24 + 8, 0.9), (HOURS, 0.9)))


def _paid_then_charged() -> MarketHistory:
    return market(path((0, 1.0), (HOURS, 1.02)), lambda hour: 0.001 if hour < 20 * 24 else -0.002)


def _fall_and_recovery() -> MarketHistory:
    return market(path((0, 1.0), (20 * 24, 1.0), (20 * 24 + 6, 0.85), (25 * 24, 0.85), (25 * 24 + 6, 1.15)))


def _all_fall() -> MarketHistory:
    rises = path(*_RISE, (45 * 24 + 7, 1.45), (45 * 24 + 8, 1.38), (HOURS, 1.38))
    return market(rises, lambda _: 0.001)


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        "core_cycle",
        "a CORE_HODL cycle of ten legs",
        _calm,
        _only("core_hodl"),
        first=40 * 24 - 1,
        before=40 * 24 - 1,
        until=40 * 24 + 2,
        orders=10,
    ),
    Scenario(
        "first_start",
        "the very first start: capital divided over the accounts, books opened, the first decision",
        _calm,
        _only(),
        first=40 * 24,
        before=40 * 24,
        until=40 * 24 + 2,
        orders=0,
        from_nothing=True,
    ),
    Scenario(
        "trend_entry",
        "two TREND entries with their stops",
        _rise_and_sag,
        _with(_only("trend"), trend={**QUICK_TREND, **STILL}, risk=ANY_PAIR),
        first=40 * 24 - 1,
        before=40 * 24 - 1,
        until=40 * 24 + 2,
        orders=2,
    ),
    Scenario(
        "trend_exit",
        "two TREND exits below the mean",
        _rise_and_sag,
        _with(_only("trend"), trend={**QUICK_TREND, **STILL}, risk=ANY_PAIR),
        first=40 * 24 - 1,
        before=46 * 24 - 1,
        until=46 * 24 + 2,
        orders=2,
    ),
    Scenario(
        "trend_stop",
        "two TREND positions closed by the stops that rest at the exchange",
        _rise_and_crash,
        _with(_only("trend"), trend={**QUICK_TREND, **CLOSE}, risk=ANY_PAIR),
        first=40 * 24 - 1,
        before=45 * 24 - 1,
        until=45 * 24 + 11,
        orders=0,
    ),
    Scenario(
        "funding_open",
        "FUNDING opens three pairs",
        _paid_then_charged,
        _only("funding"),
        first=10 * 24 - 2,
        before=10 * 24 - 2,
        until=10 * 24 + 1,
        orders=6,
    ),
    Scenario(
        "funding_close",
        "FUNDING closes its pairs",
        _paid_then_charged,
        _only("funding"),
        first=10 * 24 - 1,
        before=20 * 24 + 7,
        until=20 * 24 + 10,
        orders=6,
    ),
    Scenario(
        "tactical_deploy",
        "TACTICAL buys the fall",
        _fall_and_recovery,
        _with(_only("tactical"), tactical=SHALLOW),
        first=20 * 24 - 1,
        before=21 * 24 - 1,
        until=21 * 24 + 1,
        orders=2,
    ),
    Scenario(
        "tactical_exit",
        "TACTICAL sells the recovery and its profit moves to CORE_HODL",
        _fall_and_recovery,
        _with(_only("tactical"), tactical=SHALLOW),
        first=20 * 24 - 1,
        before=26 * 24 - 1,
        until=26 * 24 + 2,
        orders=2,
    ),
    Scenario(
        "breaker_3",
        "a fall to breaker level 3 closes TREND and FUNDING",
        _all_fall,
        _with(_only("trend", "funding"), trend={**QUICK_TREND, **WIDE}, risk={**ANY_PAIR, **THIN_LADDER}),
        first=40 * 24 - 1,
        before=45 * 24 + 7,
        until=45 * 24 + 10,
        orders=8,
    ),
)


def scenario(name: str) -> Scenario:
    """Find a scenario by its name."""
    return next(row for row in SCENARIOS if row.name == name)
