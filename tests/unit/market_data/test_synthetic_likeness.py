"""The bands of the synthetic market: real files and every seed lie inside, a random walk and shuffled hours do not."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from eternal_engine.market_data.history import DAY_MS, Float64Array, FundingRates, MarketHistory, Ohlcv, Sentiment
from eternal_engine.market_data.load import load_history
from eternal_engine.market_data.synthetic import SYMBOLS, synthesize
from eternal_engine.market_data.synthetic.likeness import BANDS, measure, misfits
from eternal_engine.model.errors import DataError

ROOT = Path(__file__).parents[3]
REAL = Path(os.environ.get("ETERNAL_SHARED_DATA", str(ROOT.parent / "shared" / "data"))) / "market"
START_MS = int(datetime(2020, 1, 1, tzinfo=UTC).timestamp()) * 1000
END_MS = int(datetime(2025, 1, 1, tzinfo=UTC).timestamp()) * 1000


@pytest.fixture(scope="module")
def market() -> MarketHistory:
    return synthesize(1, start_ms=START_MS, end_ms=END_MS)


def misfit_names(history: MarketHistory) -> set[str]:
    return {sentence.split(" is ")[0] for sentence in misfits(measure(history))}


def with_hourly_returns(history: MarketHistory, returns: Float64Array, sigma: Float64Array) -> MarketHistory:
    """Rebuild spot from returns [S, H] as bars of Brownian motion with `sigma` [S, 1]; perps keep their basis."""
    rng = np.random.default_rng(5)
    closes = 100.0 * np.exp(np.cumsum(returns, axis=1))
    opens = closes * np.exp(-returns)
    bridge = 2.0 * sigma * sigma * rng.exponential(size=(2, *returns.shape))
    high = opens * np.exp(0.5 * (returns + np.sqrt(returns**2 + bridge[0])))
    low = opens * np.exp(0.5 * (returns - np.sqrt(returns**2 + bridge[1])))
    spot = Ohlcv(opens, high, low, closes, history.spot.volume)
    ratio = closes / history.spot.close
    old = history.perp
    perp = Ohlcv(old.open * ratio, old.high * ratio, old.low * ratio, old.close * ratio, old.volume)
    return replace(history, spot=spot, perp=perp)


def hourly_returns(history: MarketHistory) -> Float64Array:
    closes = history.spot.close
    returns = np.diff(np.log(closes), axis=1, prepend=np.nan)
    return np.asarray(np.nan_to_num(returns, nan=0.0))


@pytest.mark.parametrize("seed", [1, 7, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (2, 3, 4, 5, 6))])
def test_every_seed_lies_in_all_bands(seed: int) -> None:
    assert misfits(measure(synthesize(seed, start_ms=START_MS, end_ms=END_MS))) == ()


def test_the_real_files_lie_in_all_bands() -> None:
    if not REAL.is_dir():
        pytest.skip("the shared real data is not here (ETERNAL_SHARED_DATA)")
    assert misfits(measure(load_history(REAL, SYMBOLS, start_ms=START_MS, end_ms=END_MS))) == ()


def test_a_random_walk_of_equal_volatility_and_correlation_is_found_out(market: MarketHistory) -> None:
    returns = hourly_returns(market)
    factor = np.linalg.cholesky(np.cov(returns))
    walk = factor @ np.random.default_rng(3).standard_normal(returns.shape)
    names = misfit_names(with_hourly_returns(market, walk, returns.std(axis=1, keepdims=True)))
    for who in ("btc", "alt"):
        assert {f"{who}_kurtosis_1h", f"{who}_beyond_4_sigma_1h", f"{who}_size_memory_1h"} <= names
        assert {f"{who}_size_memory_24h", f"{who}_size_memory_168h", f"{who}_size_memory_1d"} <= names
    assert not {"btc_volatility", "correlation_with_btc", "correlation_among_alts"} & names


def test_shuffled_hours_keep_the_tails_and_lose_the_memory(market: MarketHistory) -> None:
    returns = hourly_returns(market)
    shuffled = returns[:, np.random.default_rng(3).permutation(returns.shape[1])]
    names = misfit_names(with_hourly_returns(market, shuffled, returns.std(axis=1, keepdims=True)))
    assert {"btc_size_memory_1h", "alt_size_memory_24h", "alt_size_memory_168h"} <= names
    assert not {"btc_kurtosis_1h", "alt_kurtosis_1h", "btc_beyond_4_sigma_1h", "btc_volatility"} & names


def test_a_market_without_its_common_factor_is_found_out(market: MarketHistory) -> None:
    returns = hourly_returns(market)
    apart = np.stack([np.roll(row, 1000 * index) for index, row in enumerate(returns)])
    names = misfit_names(with_hourly_returns(market, apart, returns.std(axis=1, keepdims=True)))
    assert {"correlation_with_btc", "correlation_with_btc_most", "correlation_among_alts"} <= names


def test_funding_that_ignores_the_mood_is_found_out(market: MarketHistory) -> None:
    flat = tuple(replace(paid, rate=np.full(paid.rate.size, 1e-4)) for paid in market.funding)
    with np.errstate(invalid="ignore"):
        names = misfit_names(replace(market, funding=flat))
    assert {"funding_rich", "funding_positive", "funding_memory_1", "funding_p99_bps"} <= names


def test_a_market_without_perpetuals_and_sentiment_misses_their_figures(market: MarketHistory) -> None:
    nothing = np.empty(0, np.float64)
    unpaid = FundingRates(np.empty(0, np.int64), nothing, nothing)
    spot_only = replace(
        market,
        funding=(unpaid,) * len(market.symbols),
        sentiment=Sentiment(np.empty(0, np.int64), nothing),
    )
    names = misfit_names(spot_only)
    assert names == {name for name in BANDS if name.startswith(("funding_", "basis_", "sentiment_"))}


@pytest.mark.parametrize(("days", "coins"), [(299, 3), (400, 2)])
def test_too_little_is_not_measured(days: int, coins: int) -> None:
    little = synthesize(1, end_ms=START_MS, start_ms=START_MS - days * DAY_MS, symbols=SYMBOLS[:coins])
    with pytest.raises(DataError, match="too little"):
        measure(little)


def test_the_table_in_the_document_is_the_table_of_the_code() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| (\S+) to (\S+) \|",
        (ROOT / "docs/synthetic-market.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    assert {name: (float(low), float(high)) for name, low, high in rows} == {
        name: (band.low, band.high) for name, band in BANDS.items()
    }
