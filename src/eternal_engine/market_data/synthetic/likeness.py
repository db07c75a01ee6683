"""Say how like a crypto market a history is: figures of a real market, each with a band it must lie in."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from eternal_engine.market_data.history import HOUR_MS, Float64Array, MarketHistory
from eternal_engine.model.errors import DataError

HOURS_A_YEAR = 8760.0


class Band(NamedTuple):
    """Give the range a figure of `measure` must lie in, and say what it is; "alt" is the median of all but BTC."""

    low: float
    high: float
    meaning: str


# Chosen around the figures of ten real coins in 2020-2024; measured values stand in docs/synthetic-market.md.
BANDS: dict[str, Band] = {
    "btc_volatility": Band(0.5, 0.9, "standard deviation of hourly log returns, a year"),
    "btc_kurtosis_1h": Band(10, 120, "fourth moment of hourly log returns; 3 is normal"),
    "btc_kurtosis_1d": Band(5, 90, "the same of daily returns"),
    "btc_beyond_4_sigma_1h": Band(0.004, 0.012, "share of hourly returns beyond 4 sigma; a normal law has 0.00006"),
    "btc_beyond_4_sigma_1d": Band(0.001, 0.012, "share of daily returns beyond 4 sigma"),
    "btc_size_memory_1h": Band(0.2, 0.45, "autocorrelation of absolute hourly returns, 1 hour"),
    "btc_size_memory_24h": Band(0.09, 0.3, "the same, 24 hours"),
    "btc_size_memory_168h": Band(0.05, 0.22, "the same, one week"),
    "btc_size_memory_1d": Band(0.08, 0.35, "autocorrelation of absolute daily returns, 1 day"),
    "btc_size_memory_7d": Band(0.03, 0.27, "the same, 7 days"),
    "btc_return_memory_1h": Band(-0.06, 0.05, "autocorrelation of hourly returns, 1 hour: nearly none"),
    "btc_return_memory_1d": Band(-0.16, 0.06, "autocorrelation of daily returns, 1 day: nearly none"),
    "btc_max_drawdown": Band(0.48, 0.96, "deepest fall of a close from the highest close before"),
    "btc_above_sma200": Band(0.28, 0.82, "share of days whose close is above its mean of 200 days"),
    "btc_span_to_body": Band(
        2.02, 2.3, "mean log(high/low) over mean size of log(close/open); a finely watched walk has 2.0"
    ),
    "btc_volume_with_span": Band(0.2, 0.9, "correlation of log volume with log(high/low)"),
    "btc_volume_memory_1h": Band(0.7, 0.97, "autocorrelation of log volume, 1 hour"),
    "btc_volume_memory_24h": Band(0.45, 0.92, "the same, 24 hours"),
    "btc_volume_spread": Band(0.7, 1.9, "standard deviation of log volume"),
    "alt_volatility": Band(0.85, 1.4, "standard deviation of hourly log returns, a year"),
    "alt_kurtosis_1h": Band(12, 120, "fourth moment of hourly log returns; 3 is normal"),
    "alt_kurtosis_1d": Band(5.5, 90, "the same of daily returns"),
    "alt_beyond_4_sigma_1h": Band(0.004, 0.012, "share of hourly returns beyond 4 sigma; a normal law has 0.00006"),
    "alt_beyond_4_sigma_1d": Band(0.003, 0.012, "share of daily returns beyond 4 sigma"),
    "alt_size_memory_1h": Band(0.22, 0.45, "autocorrelation of absolute hourly returns, 1 hour"),
    "alt_size_memory_24h": Band(0.1, 0.3, "the same, 24 hours"),
    "alt_size_memory_168h": Band(0.06, 0.2, "the same, one week"),
    "alt_size_memory_1d": Band(0.13, 0.35, "autocorrelation of absolute daily returns, 1 day"),
    "alt_size_memory_7d": Band(0.04, 0.25, "the same, 7 days"),
    "alt_return_memory_1h": Band(-0.06, 0.03, "autocorrelation of hourly returns, 1 hour: nearly none"),
    "alt_return_memory_1d": Band(-0.16, 0.06, "autocorrelation of daily returns, 1 day: nearly none"),
    "alt_max_drawdown": Band(0.65, 0.99, "deepest fall of a close from the highest close before"),
    "alt_above_sma200": Band(0.3, 0.82, "share of days whose close is above its mean of 200 days"),
    "alt_span_to_body": Band(
        2.02, 2.25, "mean log(high/low) over mean size of log(close/open); a finely watched walk has 2.0"
    ),
    "alt_volume_with_span": Band(0.2, 0.9, "correlation of log volume with log(high/low)"),
    "alt_volume_memory_1h": Band(0.72, 0.97, "autocorrelation of log volume, 1 hour"),
    "alt_volume_memory_24h": Band(0.5, 0.92, "the same, 24 hours"),
    "alt_volume_spread": Band(0.75, 1.9, "standard deviation of log volume"),
    "correlation_with_btc": Band(0.5, 0.75, "correlation of daily returns with BTC, median of the others"),
    "correlation_with_btc_least": Band(0.3, 0.65, "the same, the least"),
    "correlation_with_btc_most": Band(0.7, 0.92, "the same, the most"),
    "correlation_among_alts": Band(0.42, 0.7, "correlation of daily returns between two others, median"),
    "funding_mean": Band(0.05, 0.35, "mean funding rate, a year, median of the coins"),
    "funding_median": Band(0.1, 0.12, "median funding rate, a year: the interest part of the formula"),
    "funding_positive": Band(0.75, 0.95, "share of settlements at which longs pay"),
    "funding_rich": Band(0.08, 0.33, "share of settlements whose last five rates make more than 19 % a year (FUND-E1)"),
    "funding_memory_1": Band(0.65, 0.93, "autocorrelation of rates, one settlement"),
    "funding_memory_21": Band(0.22, 0.6, "the same, 21 settlements (a week of 8 h)"),
    "funding_p99_bps": Band(11, 25, "the rate that one settlement in a hundred exceeds, bps"),
    "basis_mean_bps": Band(-2, 4, "mean of perpetual / spot - 1 at hourly closes, bps"),
    "basis_spread_bps": Band(5, 13, "its standard deviation, bps"),
    "basis_p01_bps": Band(-20, -10, "its 1 % quantile, bps"),
    "basis_p99_bps": Band(13, 32, "its 99 % quantile, bps"),
    "basis_memory_1h": Band(0.72, 0.93, "its autocorrelation, 1 hour"),
    "basis_memory_24h": Band(0.5, 0.8, "the same, 24 hours"),
    "basis_with_momentum": Band(0.22, 0.45, "its correlation with the return of the week before"),
    "sentiment_mean": Band(38, 60, "mean fear-and-greed value"),
    "sentiment_spread": Band(16, 25, "its standard deviation"),
    "sentiment_fear": Band(0.02, 0.2, "share of days at 20 or lower (TACT-E2)"),
    "sentiment_memory_1d": Band(0.93, 0.98, "its autocorrelation, 1 day"),
    "sentiment_memory_30d": Band(0.2, 0.65, "the same, 30 days"),
    "sentiment_with_month": Band(0.65, 0.9, "its correlation with BTC's return of the 30 days before"),
}


def measure(history: MarketHistory) -> dict[str, float]:
    """Compute all figures of a history whose first coin is BTC; a figure without data is left out or NaN.

    Raises DataError if there are under three coins or 300 days: nothing can be said of so little.
    """
    if len(history.symbols) < 3 or history.hours < 300 * 24:
        raise DataError(
            f"{len(history.symbols)} coins over {history.hours // 24} days are too little to measure",
            where=history.source,
            mend="give three coins or more, BTC first, and 300 days or more (bands: ten coins, five years)",
        )
    closes = history.spot.close
    by_coin = [_price_figures(history, row) for row in range(len(history.symbols))]
    figures = {f"btc_{name}": value for name, value in by_coin[0].items()}
    for name in by_coin[0]:
        figures[f"alt_{name}"] = float(np.nanmedian([coin[name] for coin in by_coin[1:]]))
    figures |= _correlation_figures(_daily_returns(closes, history.start_ms))
    figures |= _perp_figures(history)
    figures |= _sentiment_figures(history)
    return figures


def misfits(figures: dict[str, float]) -> tuple[str, ...]:
    """List the figures outside their bands, as sentences; a missing figure is a misfit."""
    out = []
    for name, band in BANDS.items():
        value = figures.get(name, float("nan"))
        if not band.low <= value <= band.high:
            out.append(f"{name} is {value:.4g}, not within {band.low:g} to {band.high:g}: {band.meaning}")
    return tuple(out)


def autocorrelation(x: Float64Array, lag: int) -> float:
    """Correlate a series with itself `lag` steps later, over the pairs where both are known."""
    return correlation(x[:-lag], x[lag:])


def correlation(a: Float64Array, b: Float64Array) -> float:
    """Correlate two series over the entries where both are known."""
    both = np.isfinite(a) & np.isfinite(b)
    return float(np.corrcoef(a[both], b[both])[0, 1]) if both.sum() > 2 else float("nan")


def _daily_returns(closes: Float64Array, start_ms: int) -> Float64Array:
    offset = int(-(start_ms // HOUR_MS) % 24)
    return np.asarray(np.diff(np.log(closes[:, offset + 23 :: 24]), axis=1))


def _kurtosis(x: Float64Array) -> float:
    known = x[np.isfinite(x)]
    centred = known - known.mean()
    return float((centred**4).mean() / (centred**2).mean() ** 2)


def _beyond(x: Float64Array, sigmas: float) -> float:
    known = x[np.isfinite(x)]
    return float((np.abs(known - known.mean()) > sigmas * known.std()).mean())


def _drawdown(closes: Float64Array) -> float:
    known = closes[np.isfinite(closes)]
    return float((1.0 - known / np.maximum.accumulate(known)).max())


def _above_sma(daily_closes: Float64Array) -> float:
    known = daily_closes[np.isfinite(daily_closes)]
    sums = np.cumsum(known)
    mean = (sums[200:] - sums[:-200]) / 200.0
    return float((known[200:] > mean).mean())


def _price_figures(history: MarketHistory, row: int) -> dict[str, float]:
    bars = history.spot
    closes = bars.close[row]
    hourly = np.diff(np.log(closes))
    daily = _daily_returns(closes[None, :], history.start_ms)[0]
    size, daily_size = np.abs(hourly), np.abs(daily)
    with np.errstate(divide="ignore", invalid="ignore"):
        span = np.log(bars.high[row] / bars.low[row])
        body = np.abs(np.log(bars.close[row] / bars.open[row]))
        log_volume, log_span = np.log(bars.volume[row]), np.log(span)
    log_volume[np.isinf(log_volume)] = np.nan
    log_span[np.isinf(log_span)] = np.nan
    return {
        "volatility": float(np.nanstd(hourly) * np.sqrt(HOURS_A_YEAR)),
        "kurtosis_1h": _kurtosis(hourly),
        "kurtosis_1d": _kurtosis(daily),
        "beyond_4_sigma_1h": _beyond(hourly, 4.0),
        "beyond_4_sigma_1d": _beyond(daily, 4.0),
        "size_memory_1h": autocorrelation(size, 1),
        "size_memory_24h": autocorrelation(size, 24),
        "size_memory_168h": autocorrelation(size, 168),
        "size_memory_1d": autocorrelation(daily_size, 1),
        "size_memory_7d": autocorrelation(daily_size, 7),
        "return_memory_1h": autocorrelation(hourly, 1),
        "return_memory_1d": autocorrelation(daily, 1),
        "max_drawdown": _drawdown(closes),
        "above_sma200": _above_sma(closes[23::24]),
        "span_to_body": float(np.nanmean(span) / np.nanmean(body)),
        "volume_with_span": correlation(log_volume, log_span),
        "volume_memory_1h": autocorrelation(log_volume, 1),
        "volume_memory_24h": autocorrelation(log_volume, 24),
        "volume_spread": float(np.nanstd(log_volume)),
    }


def _correlation_figures(daily: Float64Array) -> dict[str, float]:
    coins = daily.shape[0]
    with_btc = [correlation(daily[0], daily[row]) for row in range(1, coins)]
    among = [correlation(daily[a], daily[b]) for a in range(1, coins) for b in range(a + 1, coins)]
    return {
        "correlation_with_btc": float(np.nanmedian(with_btc)),
        "correlation_with_btc_least": float(np.nanmin(with_btc)),
        "correlation_with_btc_most": float(np.nanmax(with_btc)),
        "correlation_among_alts": float(np.nanmedian(among)),
    }


def _perp_figures(history: MarketHistory) -> dict[str, float]:
    figures: dict[str, list[float]] = {}
    for row, paid in enumerate(history.funding):
        if paid.rate.size < 100:
            continue
        real = np.where(history.perp_stand_in[row], np.nan, history.perp.close[row])
        basis_bps = (real / history.spot.close[row] - 1.0) * 1e4
        momentum = np.full(basis_bps.size, np.nan)
        momentum[168:] = np.log(history.spot.close[row][168:] / history.spot.close[row][:-168])
        annual = paid.rate * HOURS_A_YEAR / paid.interval_h
        last_five = np.convolve(annual, np.full(5, 0.2), "valid")
        known = basis_bps[np.isfinite(basis_bps)]
        low, high = np.quantile(known, (0.01, 0.99)) if known.size else (np.nan, np.nan)
        for name, value in {
            "funding_mean": float(np.clip(annual, -2.0, 2.0).mean()),
            "funding_median": float(np.median(annual)),
            "funding_positive": float((paid.rate > 0).mean()),
            "funding_rich": float((last_five > 0.19).mean()),
            "funding_memory_1": autocorrelation(paid.rate, 1),
            "funding_memory_21": autocorrelation(paid.rate, 21),
            "funding_p99_bps": float(np.quantile(paid.rate, 0.99) * 1e4),
            "basis_mean_bps": float(known.mean()) if known.size else float("nan"),
            "basis_spread_bps": float(known.std()) if known.size else float("nan"),
            "basis_p01_bps": float(low),
            "basis_p99_bps": float(high),
            "basis_memory_1h": autocorrelation(basis_bps, 1),
            "basis_memory_24h": autocorrelation(basis_bps, 24),
            "basis_with_momentum": correlation(basis_bps, momentum),
        }.items():
            figures.setdefault(name, []).append(value)
    return {name: float(np.nanmedian(values)) for name, values in figures.items()}


def _sentiment_figures(history: MarketHistory) -> dict[str, float]:
    day, value = history.sentiment.day_ms, history.sentiment.value
    closes = history.spot.close[0]
    hour = (day - history.start_ms) // HOUR_MS
    usable = (hour > 30 * 24) & (hour < history.hours)
    if usable.sum() < 100:
        return {}
    past = np.log(closes[hour[usable] - 1] / closes[hour[usable] - 1 - 30 * 24])
    return {
        "sentiment_mean": float(value.mean()),
        "sentiment_spread": float(value.std()),
        "sentiment_fear": float((value <= 20).mean()),
        "sentiment_memory_1d": autocorrelation(value, 1),
        "sentiment_memory_30d": autocorrelation(value, 30),
        "sentiment_with_month": correlation(value[usable], past),
    }
