"""Hourly log returns: a market factor, an alt factor and each coin's own part, all with volatility that clusters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eternal_engine.market_data.history import Float64Array
from eternal_engine.market_data.synthetic.coins import Coin
from eternal_engine.market_data.synthetic.draws import Draws, decay, exp, memory, squash, wander
from eternal_engine.market_data.synthetic.regimes import Mood, MoodPath

HOURS_A_YEAR = 8760
MARKET_VOL = 0.42
ALT_VOL = 0.275
PRICE_MEMORY_H = 24 * 700
LOUDEST_LOG_VOL = 1.7
LOUDEST_OWN_LOG_VOL = 2.3
REBOUND_FRAC = 0.18
REBOUND_H = 9

# Mean absolute return of BTC by UTC hour and by weekday (Monday first) against its mean, 2020-2024, rounded.
HOUR_SHAPE = np.array(
    [
        [1.16, 1.03, 0.92, 0.84, 0.76, 0.80, 0.81, 0.88, 0.96, 0.89, 0.92, 0.91],
        [1.07, 1.16, 1.35, 1.24, 1.13, 1.03, 1.02, 1.03, 1.07, 1.02, 0.99, 1.00],
    ]
).ravel()
DAY_SHAPE = np.array([1.12, 1.07, 1.10, 1.08, 1.08, 0.72, 0.83])
EPOCH_WEEKDAY = 6


@dataclass(frozen=True)
class MarketShocks:
    """Hold what moves all coins: log returns by hour, and the log volatility around its mean."""

    market: Float64Array
    market_sigma: Float64Array
    alt: Float64Array
    alt_sigma: Float64Array
    log_vol: Float64Array


@dataclass(frozen=True)
class CoinShocks:
    """Hold one coin's log price relative to its price at the epoch, its hourly sigma and its own jumps."""

    level: Float64Array
    sigma: Float64Array
    jumps: Float64Array
    log_vol: Float64Array


def season(hours: int) -> Float64Array:
    """Give the volatility's factor by hour of the day and day of the week, from the epoch on."""
    hour = np.arange(hours)
    return np.asarray(HOUR_SHAPE[hour % 24] * DAY_SHAPE[(hour // 24 + EPOCH_WEEKDAY) % 7], dtype=np.float64)


def _burst(jumps: Float64Array) -> Float64Array:
    """Give the log volatility that jumps leave behind: strong for hours, weak for days."""
    size = np.abs(jumps)
    return 1.5 * squash(8.0 * decay(size, memory(10)) + 3.0 * decay(size, memory(96)))


def _jumps(
    seed: int, name: str, hours: int, *, per_year: float, smallest: float, excess: float, down: float
) -> Float64Array:
    """Draw rare jumps as log returns: `smallest` plus an exponential excess, downwards with chance `down`.

    Each ingredient has a stream of its own: three draws from one would depend on how many hours were asked.
    """
    luck = Draws(seed, name, "jumps", "luck").uniform(hours)
    sign = np.where(Draws(seed, name, "jumps", "side").uniform(hours) < down, -1.0, 1.0)
    size = smallest + excess * Draws(seed, name, "jumps", "size").exponential(hours)
    return np.where(luck < per_year / HOURS_A_YEAR, sign * size, 0.0)


def _crashes(draws: Draws, moods: tuple[Mood, ...], hours: int) -> Float64Array:
    """Give each crisis a crash within its first day: 10 % and more over three hours."""
    out = np.zeros(hours + 24)
    for day in range(1, len(moods)):
        if moods[day] is Mood.CRISIS and moods[day - 1] is not Mood.CRISIS:
            at = 24 * day + int(draws.uniform(1)[0] * 20)
            size = 0.10 + 0.09 * float(draws.exponential(1)[0])
            out[at : at + 3] -= np.array([0.45, 0.35, 0.20]) * size
    return out[:hours]


def market_shocks(seed: int, moods: MoodPath, hours: int) -> MarketShocks:
    """Draw the market factor and the factor common to all coins but BTC."""
    jumps = _jumps(seed, "market", hours, per_year=10.0, smallest=0.015, excess=0.03, down=0.6)
    jumps += _crashes(Draws(seed, "market", "crashes"), moods.moods, hours)
    log_vol = moods.log_vol + _burst(jumps)
    for hours_kept, spread in ((24 * 30, 0.38), (24 * 2.5, 0.26), (7, 0.38)):
        log_vol += wander(Draws(seed, "market", "volatility", str(hours_kept)), hours, hours_kept, spread)
    log_vol = np.minimum(log_vol, LOUDEST_LOG_VOL)
    shape = season(hours)
    sigma = MARKET_VOL / float(np.sqrt(HOURS_A_YEAR)) * shape * exp(log_vol)
    market = moods.drift + sigma * Draws(seed, "market", "returns").normal(hours) + jumps
    alt_log_vol = 0.9 * log_vol + wander(Draws(seed, "alt", "volatility"), hours, 24 * 20, 0.35)
    alt_sigma = ALT_VOL / float(np.sqrt(HOURS_A_YEAR)) * shape * exp(alt_log_vol)
    alt = alt_sigma * Draws(seed, "alt", "returns").normal(hours)
    return MarketShocks(market, sigma, alt, alt_sigma, log_vol)


def _rebounding(returns: Float64Array) -> Float64Array:
    """Take back a part of every move within the next hours, as real prices do after a rush."""
    past = decay(returns, memory(REBOUND_H))
    out = returns.copy()
    out[1:] -= REBOUND_FRAC / REBOUND_H * past[:-1]
    return out


def coin_shocks(seed: int, coin: Coin, common: MarketShocks) -> CoinShocks:
    """Draw one coin's path: its beta of the market, its load of the alt factor, and its own moves."""
    hours = common.market.size
    jumps = _jumps(seed, coin.symbol, hours, per_year=coin.jumps_per_year, smallest=0.05, excess=0.06, down=0.42)
    log_vol = 0.75 * common.log_vol + _burst(jumps)
    for hours_kept, spread in ((24 * 40, 0.52), (24 * 3.5, 0.40), (7, 0.30)):
        log_vol += wander(Draws(seed, coin.symbol, "volatility", str(hours_kept)), hours, hours_kept, spread)
    own_sigma = (
        coin.own_vol / float(np.sqrt(HOURS_A_YEAR)) * season(hours) * exp(np.minimum(log_vol, LOUDEST_OWN_LOG_VOL))
    )
    own = own_sigma * Draws(seed, coin.symbol, "returns").normal(hours) + jumps
    returns = coin.beta * common.market + coin.alt_load * common.alt + own
    level = decay(_rebounding(returns), memory(PRICE_MEMORY_H)) + coin.growth * np.arange(hours) / HOURS_A_YEAR
    parts = (coin.beta * common.market_sigma, coin.alt_load * common.alt_sigma, own_sigma)
    sigma = np.sqrt(sum(part * part for part in parts))
    return CoinShocks(level, sigma, jumps, common.log_vol + log_vol)
