"""Put a synthetic market together: draw it from its epoch on, cut out what was asked, cover the outages."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from eternal_engine.market_data.datasets import SPOT
from eternal_engine.market_data.fingerprint import fingerprint_of
from eternal_engine.market_data.history import (
    DAY_MS,
    HOUR_MS,
    BoolArray,
    FundingRates,
    Gap,
    Int64Array,
    MarketHistory,
    Ohlcv,
    Sentiment,
)
from eternal_engine.market_data.synthetic.bars import (
    Candles,
    Settlements,
    blank,
    perp_candles,
    premium,
    settlements,
    spot_candles,
)
from eternal_engine.market_data.synthetic.coins import COINS, EPOCH_MS, Coin, hour_of
from eternal_engine.market_data.synthetic.draws import Draws
from eternal_engine.market_data.synthetic.mood_index import fear_and_greed
from eternal_engine.market_data.synthetic.regimes import MoodPath, mood_path
from eternal_engine.market_data.synthetic.shocks import MarketShocks, coin_shocks, market_shocks
from eternal_engine.model.errors import UsageError

SYMBOLS = tuple(f"{name}USDT" for name in ("BTC", "ETH", "SOL", "XRP", "BNB", "DOGE", "ADA", "TRX", "AVAX", "LINK"))
DEFAULT_START_MS = EPOCH_MS
DEFAULT_END_MS = int(datetime(2025, 1, 1, tzinfo=UTC).timestamp()) * 1000
OUTAGES_PER_YEAR = 4.0
LONGEST_OUTAGE_H = 8
_COLUMNS = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True)
class _CoinMarket:
    spot: Candles
    perp: Candles
    funding: Settlements


def synthesize(
    seed: int,
    *,
    start_ms: int = DEFAULT_START_MS,
    end_ms: int = DEFAULT_END_MS,
    symbols: tuple[str, ...] = SYMBOLS,
    with_fingerprint: bool = True,
) -> MarketHistory:
    """Make the hourly market of `seed` in [start_ms, end_ms), full UTC hours in milliseconds, from 2017 on.

    Any window of one seed is a cut of the same endless market: neither the end, the start nor the other symbols
    change a bar. An exchange that nobody asks for a fingerprint does without, and starts the sooner. Raises UsageError
    for an unknown symbol, a start before 2017 or an empty or crooked window.
    """
    _check(start_ms, end_ms, symbols)
    first, hours = (start_ms - EPOCH_MS) // HOUR_MS, (end_ms - EPOCH_MS) // HOUR_MS
    moods = mood_path(seed, hours)
    common = market_shocks(seed, moods, hours)
    outage = outage_hours(seed, hours)
    coins = [_coin_market(seed, COINS[symbol], common, moods, outage) for symbol in symbols]
    spot, perp = _stack([c.spot for c in coins], first), _stack([c.perp for c in coins], first)
    funding = tuple(_funding(coin.funding, start_ms, end_ms) for coin in coins)
    sentiment = _sentiment(seed, common, end_ms)
    first_funding = np.array([_first_settlement(coin.funding) for coin in coins], dtype=np.int64)
    listed = np.array([EPOCH_MS + hour_of(COINS[symbol].listed) * HOUR_MS for symbol in symbols], dtype=np.int64)
    delisted = np.full(len(symbols), -1, dtype=np.int64)
    gaps = _gaps(outage, symbols, start_ms, first)
    seen = (symbols, start_ms, spot, perp, funding, first_funding, listed, delisted, sentiment)
    return MarketHistory(
        symbols=symbols,
        start_ms=start_ms,
        spot=spot,
        perp=perp,
        perp_stand_in=np.zeros(spot.close.shape, dtype=np.bool_),
        funding=funding,
        first_funding_ms=first_funding,
        listed_ms=listed,
        delisted_ms=delisted,
        sentiment=sentiment,
        source=f"synthetic seed {seed}",
        synthetic=True,
        fingerprint=fingerprint_of(*seen) if with_fingerprint else "",
        gaps=gaps,
        notes=_notes(seed, gaps),
    )


def _notes(seed: int, gaps: tuple[Gap, ...]) -> tuple[str, ...]:
    notes = [f"SYNTHETIC DATA (seed {seed}): nobody ever paid these prices; another seed gives another market"]
    if gaps:
        missing = sum(gap.bars for gap in gaps)
        notes.append(f"gaps: {len(gaps)} runs, {missing} missing hours; nothing is decided on a missing bar")
    return tuple(notes)


def _check(start_ms: int, end_ms: int, symbols: tuple[str, ...]) -> None:
    unknown = [symbol for symbol in symbols if symbol not in COINS]
    if unknown or not symbols:
        raise UsageError(
            f"the synthetic market has no {', '.join(unknown) or 'symbol to make'}",
            where="symbols",
            mend=f"choose from {', '.join(SYMBOLS)}",
        )
    if start_ms < EPOCH_MS:
        raise UsageError("the synthetic market begins on 2017-01-01", where="start", mend="start on or after that day")
    if end_ms <= start_ms:
        raise UsageError("the end is not after the start", where="end", mend="give an end after the start")
    if start_ms % HOUR_MS or end_ms % HOUR_MS:
        raise UsageError("start and end must be full UTC hours", where="start, end", mend="round them to hours")


def outage_hours(seed: int, hours: int) -> BoolArray:
    """Mark the hours in which the venue was down for all spot markets, a few times a year."""
    draws = Draws(seed, "market", "outages")
    luck, length = draws.uniform(2 * hours).reshape(hours, 2).T
    down = np.zeros(hours + LONGEST_OUTAGE_H, dtype=np.bool_)
    for start in np.flatnonzero(luck < OUTAGES_PER_YEAR / 8760):
        down[start : start + 1 + int(length[start] * length[start] * LONGEST_OUTAGE_H)] = True
    return down[:hours]


def _coin_market(seed: int, coin: Coin, common: MarketShocks, moods: MoodPath, outage: BoolArray) -> _CoinMarket:
    shocks = coin_shocks(seed, coin, common)
    spot = spot_candles(seed, coin, shocks)
    gap = premium(seed, coin, shocks, moods)
    paid = settlements(coin, gap)
    perp = perp_candles(seed, coin, shocks, spot, gap)
    blank(perp, slice(0, int(paid.hour[0]) if paid.hour.size else None))
    blank(spot, outage)
    return _CoinMarket(spot, perp, paid)


def _stack(candles: list[Candles], first: int) -> Ohlcv:
    return Ohlcv(*(np.stack([getattr(c, name)[first:] for c in candles]) for name in _COLUMNS))


def _funding(paid: Settlements, start_ms: int, end_ms: int) -> FundingRates:
    stamps = EPOCH_MS + paid.hour * HOUR_MS
    inside = (stamps >= start_ms) & (stamps < end_ms)
    return FundingRates(stamps[inside], paid.rate[inside], paid.interval_h[inside])


def _first_settlement(paid: Settlements) -> int:
    return EPOCH_MS + int(paid.hour[0]) * HOUR_MS if paid.hour.size else -1


def _sentiment(seed: int, common: MarketShocks, end_ms: int) -> Sentiment:
    value = fear_and_greed(seed, np.cumsum(common.market), common.log_vol)
    days: Int64Array = EPOCH_MS + (1 + np.arange(value.size, dtype=np.int64)) * DAY_MS
    inside = days < end_ms
    return Sentiment(days[inside], value[inside])


def _gaps(outage: BoolArray, symbols: tuple[str, ...], start_ms: int, first: int) -> tuple[Gap, ...]:
    down = np.concatenate(([False], outage[first:], [False])).astype(np.int8)
    begins, ends = np.flatnonzero(np.diff(down) == 1), np.flatnonzero(np.diff(down) == -1)
    return tuple(
        Gap(SPOT.folder, symbol, start_ms + int(begin) * HOUR_MS, start_ms + int(end) * HOUR_MS)
        for symbol in symbols
        for begin, end in zip(begins, ends, strict=True)
        if EPOCH_MS + hour_of(COINS[symbol].listed) * HOUR_MS < start_ms + int(begin) * HOUR_MS
    )
