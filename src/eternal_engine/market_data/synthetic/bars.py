"""Candles of one coin, spot and perpetual, and the funding that their difference brings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eternal_engine.market_data.history import BoolArray, Float64Array, Int64Array
from eternal_engine.market_data.synthetic.coins import Coin, hour_of
from eternal_engine.market_data.synthetic.draws import Draws, decay, exp, memory, squash, wander
from eternal_engine.market_data.synthetic.regimes import MoodPath
from eternal_engine.market_data.synthetic.shocks import CoinShocks, season

INTEREST_8H = 1.0e-4
CLAMP = 5.0e-4
SQUEEZE_PREMIUM = -60.0e-4
VOLUME_STEPS = 1000.0
USUAL_SPAN = 0.012


@dataclass(frozen=True)
class Candles:
    """Hold hourly candles from the epoch on, prices in USDT, volume in coins; NaN before the listing."""

    open: Float64Array
    high: Float64Array
    low: Float64Array
    close: Float64Array
    volume: Float64Array


@dataclass(frozen=True)
class Settlements:
    """Hold funding settlements: the hour (from the epoch) at whose start each is paid, its rate and interval."""

    hour: Int64Array
    rate: Float64Array
    interval_h: Float64Array


def _rounded(price: Float64Array, decimals: int) -> Float64Array:
    scale = 10.0**decimals
    return np.maximum(np.rint(price * scale), 1.0) / scale


def _candles(
    opens: Float64Array, highs: Float64Array, lows: Float64Array, closes: Float64Array, volume: Float64Array, coin: Coin
) -> Candles:
    open_, close = _rounded(opens, coin.decimals), _rounded(closes, coin.decimals)
    high = np.maximum(_rounded(highs, coin.decimals), np.maximum(open_, close))
    low = np.minimum(_rounded(lows, coin.decimals), np.minimum(open_, close))
    return Candles(open_, high, low, close, np.rint(volume * VOLUME_STEPS) / VOLUME_STEPS)


def _before(path: Float64Array) -> Float64Array:
    return np.concatenate((path[:1], path[:-1]))


def _turnover(seed: int, coin: Coin, shocks: CoinShocks, kind: str, span: Float64Array) -> Float64Array:
    """Draw the USDT traded in each hour: it follows volatility, the bar's span, the clock and a mood of its own."""
    hours = span.size
    mood = wander(Draws(seed, coin.symbol, kind, "attention"), hours, 24 * 40, 0.33)
    noise = Draws(seed, coin.symbol, kind, "trades").normal(hours) * 0.25
    calm = coin.turnover_usdt * season(hours) * exp(0.08 * shocks.log_vol + mood + noise)
    root = np.sqrt(span / USUAL_SPAN)
    return calm * root * np.sqrt(root)


def spot_candles(seed: int, coin: Coin, shocks: CoinShocks) -> Candles:
    """Make the spot candles: extremes are those of a Brownian path between open and close with the hour's sigma.

    An open differs from the close before it by a fraction of a basis point (BTC) to some (small coins), as on an
    exchange: so whoever confuses the two is found out.
    """
    hours = shocks.level.size
    first = hour_of(coin.listed)
    base = shocks.level[first] if first < hours else 0.0
    before = _before(shocks.level)
    step = shocks.level - before
    spread = 2.35 * shocks.sigma * shocks.sigma
    up = Draws(seed, coin.symbol, "high").exponential(hours)
    down = Draws(seed, coin.symbol, "low").exponential(hours)
    start = coin.start_price * exp(before - base)
    high = start * exp(0.5 * (step + np.sqrt(step * step + spread * up)))
    low = start * exp(0.5 * (step - np.sqrt(step * step + spread * down)))
    close = coin.start_price * exp(shocks.level - base)
    hop = Draws(seed, coin.symbol, "open").normal(hours) * 0.02 * shocks.sigma
    volume = _turnover(seed, coin, shocks, "spot", (high - low) / start) / close
    candles = _candles(start * (1.0 + hop), high, low, close, volume, coin)
    blank(candles, slice(0, first))
    return candles


def blank(candles: Candles, hours: slice | BoolArray) -> None:
    """Remove the bars of some hours, in place: before a listing, during an outage."""
    for column in (candles.open, candles.high, candles.low, candles.close, candles.volume):
        column[hours] = np.nan


def premium(seed: int, coin: Coin, shocks: CoinShocks, moods: MoodPath) -> Float64Array:
    """Give the perpetual's premium over spot at each hour's close, as a fraction.

    It follows the appetite for leverage (mood and momentum), bends upwards where all are bullish, leads in fast
    moves and falls for days after a crash of the coin's own.
    """
    hours = shocks.level.size
    returns = shocks.level - _before(shocks.level)
    momentum = squash(5.0 * decay(returns, memory(24 * 15)))
    appetite = 0.50 * moods.appetite + 0.8 * momentum + wander(Draws(seed, "market", "leverage"), hours, 24 * 14, 0.40)
    appetite += wander(Draws(seed, coin.symbol, "leverage"), hours, 24 * 10, 0.35)
    eager = 1.6 * squash(np.maximum(appetite - 0.35, 0.0) / 1.6)
    shy = np.maximum(-appetite - 0.9, 0.0)
    bps = -1.8 + 2.2 * appetite + 15.5 * eager * eager - 2.0 * shy * shy
    bps += wander(Draws(seed, coin.symbol, "basis", "slow"), hours, 20, 1.7)
    bps += wander(Draws(seed, coin.symbol, "basis", "fast"), hours, 1.6, 2.9)
    bps += 200.0 * decay(returns, memory(1.7))
    crash = np.where(shocks.jumps < -0.15, shocks.jumps, 0.0)
    return (bps + 700.0 * decay(crash, memory(60))) * 1.0e-4


def perp_candles(seed: int, coin: Coin, shocks: CoinShocks, spot: Candles, gap: Float64Array) -> Candles:
    """Make the perpetual's candles from spot and the premium `gap`, with wicks of their own."""
    hours = gap.size
    before = _before(gap)
    wick = 0.06 * shocks.sigma
    above = np.maximum(gap, before) + wick * Draws(seed, coin.symbol, "perp", "high").exponential(hours)
    below = np.minimum(gap, before) - wick * Draws(seed, coin.symbol, "perp", "low").exponential(hours)
    volume = 4.0 * _turnover(seed, coin, shocks, "perp", (spot.high - spot.low) / spot.open) / spot.close
    return _candles(
        spot.open * (1.0 + before),
        spot.high * (1.0 + above),
        spot.low * (1.0 + below),
        spot.close * (1.0 + gap),
        volume,
        coin,
    )


def _mean_of(values: Float64Array, width: int) -> Float64Array:
    """Average each whole run of `width` hours, adding in a fixed order."""
    runs = values.size // width
    total = values[0 : runs * width : width].copy()
    for offset in range(1, width):
        total += values[offset : runs * width : width]
    return total / width


def settlements(coin: Coin, gap: Float64Array) -> Settlements:
    """Settle funding every 8 hours (AVAX 4), every 2 hours on days after a squeeze, from the mean premium P before it.

    Rate = (P + clamp(interest - P, +-0.05 %)) x interval/8 h, capped, rounded to 1e-8: the formula of the exchanges.
    """
    first = hour_of(coin.perp_listed)
    by_day = _mean_of(gap, 24)
    squeezed = np.concatenate(([False], by_day < SQUEEZE_PREMIUM))
    hours: list[Int64Array] = []
    rates: list[Float64Array] = []
    widths: list[Float64Array] = []
    for width in sorted({coin.funding_interval_h, 2}):
        mean = _mean_of(gap, width)
        rate = (mean + np.clip(INTEREST_8H - mean, -CLAMP, CLAMP)) * (width / 8.0)
        rate = np.rint(np.clip(rate, -coin.funding_cap, coin.funding_cap) * 1e8) / 1e8
        stamp = np.arange(1, mean.size + 1, dtype=np.int64) * width
        chosen = (squeezed[(stamp - 1) // 24] == (width == 2)) & (stamp > first)
        hours.append(stamp[chosen])
        rates.append(rate[chosen])
        widths.append(np.full(int(chosen.sum()), float(width)))
    order = np.argsort(np.concatenate(hours), kind="stable")
    return Settlements(np.concatenate(hours)[order], np.concatenate(rates)[order], np.concatenate(widths)[order])
