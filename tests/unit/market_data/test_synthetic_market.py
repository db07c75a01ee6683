"""The synthetic market: one endless market per seed, of which every call cuts a window."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from eternal_engine.market_data.history import DAY_MS, HOUR_MS, MarketHistory, Ohlcv
from eternal_engine.market_data.synthetic import COINS, EPOCH_MS, SYMBOLS, synthesize
from eternal_engine.market_data.synthetic.draws import Draws, decay, exp
from eternal_engine.model.errors import UsageError

START = EPOCH_MS + 1000 * DAY_MS
END = EPOCH_MS + 1400 * DAY_MS
TWO = ("BTCUSDT", "AVAXUSDT")
THREE = ("BTCUSDT", "AVAXUSDT", "LINKUSDT")
TWO_OLD = ("BTCUSDT", "ETHUSDT")
COLUMNS = ("open", "high", "low", "close", "volume")


@pytest.fixture(scope="module")
def market() -> MarketHistory:
    return synthesize(7, start_ms=START, end_ms=END, symbols=THREE)


def same_bars(a: Ohlcv, b: Ohlcv) -> bool:
    return all(np.array_equal(getattr(a, name), getattr(b, name), equal_nan=True) for name in COLUMNS)


def cut(bars: Ohlcv, rows: slice | list[int], hours: slice) -> Ohlcv:
    return Ohlcv(*(getattr(bars, name)[rows, hours] for name in COLUMNS))


def test_the_same_seed_gives_the_same_market_and_another_seed_another(market: MarketHistory) -> None:
    again = synthesize(7, start_ms=START, end_ms=END, symbols=THREE)
    assert again.fingerprint == market.fingerprint
    assert same_bars(again.spot, market.spot)
    assert synthesize(8, start_ms=START, end_ms=END, symbols=THREE).fingerprint != market.fingerprint


@pytest.mark.parametrize("longer_h", [1, 7, 24, 8760])
def test_a_later_end_changes_no_earlier_bar(market: MarketHistory, longer_h: int) -> None:
    longer = synthesize(7, start_ms=START, end_ms=END + longer_h * HOUR_MS, symbols=THREE)
    assert same_bars(cut(longer.spot, slice(None), slice(0, market.hours)), market.spot)
    assert same_bars(cut(longer.perp, slice(None), slice(0, market.hours)), market.perp)
    days = market.sentiment.day_ms.size
    assert np.array_equal(longer.sentiment.value[:days], market.sentiment.value)
    for long, short in zip(longer.funding, market.funding, strict=True):
        assert np.array_equal(long.stamp_ms[: short.stamp_ms.size], short.stamp_ms)
        assert np.array_equal(long.rate[: short.rate.size], short.rate)


def test_a_later_start_and_fewer_symbols_change_no_bar(market: MarketHistory) -> None:
    part = synthesize(7, start_ms=START + 31 * HOUR_MS, end_ms=END, symbols=TWO)
    rows = [market.symbols.index(symbol) for symbol in TWO]
    assert same_bars(part.spot, cut(market.spot, rows, slice(31, None)))
    assert same_bars(part.perp, cut(market.perp, rows, slice(31, None)))


def test_bars_are_consistent_and_on_the_coins_price_step(market: MarketHistory) -> None:
    for bars in (market.spot, market.perp):
        there = np.isfinite(bars.close)
        assert (bars.high[there] >= np.maximum(bars.open, bars.close)[there]).all()
        assert (bars.low[there] <= np.minimum(bars.open, bars.close)[there]).all()
        assert (bars.low[there] > 0).all()
        assert (bars.volume[there] >= 0).all()
        for row, symbol in enumerate(market.symbols):
            prices = bars.close[row][there[row]]
            assert np.array_equal(np.round(prices, COINS[symbol].decimals), prices)


def test_a_bar_opens_near_the_close_before_it_but_not_on_it(market: MarketHistory) -> None:
    hop = np.abs(np.log(market.spot.open[:, 1:] / market.spot.close[:, :-1]))
    assert 1e-6 < np.nanmean(hop[0]) < 1e-3
    assert np.nanmedian(hop) < 1e-3


def test_outages_hide_all_spot_bars_at_once_and_are_listed_as_gaps() -> None:
    years = synthesize(7, start_ms=START, end_ms=START + 1461 * DAY_MS, symbols=TWO)
    missing = np.isnan(years.spot.close)
    assert 2 <= missing[0].sum() <= 150
    assert np.array_equal(missing[0], missing[1])
    assert sum(gap.bars for gap in years.gaps if gap.symbol == "BTCUSDT") == missing[0].sum()
    first = years.gaps[0]
    assert missing[0, (first.start_ms - START) // HOUR_MS]
    assert not np.isnan(years.perp.close).any()


def test_coins_list_at_different_dates_and_their_perpetuals_later() -> None:
    whole = synthesize(3, end_ms=EPOCH_MS + 1200 * DAY_MS)
    assert whole.symbols == SYMBOLS
    assert len(set(whole.listed_ms.tolist())) >= 5
    for row, listed in enumerate(whole.listed_ms):
        first = int(np.flatnonzero(np.isfinite(whole.spot.close[row]))[0])
        assert whole.open_ms(first) == listed
        first_perp = int(np.flatnonzero(np.isfinite(whole.perp.close[row]))[0])
        assert listed < whole.open_ms(first_perp) == whole.first_funding_ms[row]


def test_a_coin_that_is_not_listed_yet_has_no_bar_and_no_funding() -> None:
    early = synthesize(3, end_ms=EPOCH_MS + 30 * DAY_MS, symbols=("BTCUSDT", "SOLUSDT"))
    assert np.isnan(early.spot.close[1]).all()
    assert early.funding[1].stamp_ms.size == 0
    assert early.first_funding_ms[1] == -1
    assert early.listed_ms[1] >= early.end_ms


def test_funding_settles_at_each_contracts_own_interval() -> None:
    years = synthesize(1, start_ms=START, end_ms=START + 1500 * DAY_MS)
    seen: dict[str, set[float]] = {}
    for symbol, paid in zip(years.symbols, years.funding, strict=True):
        steps = np.diff(paid.stamp_ms) // HOUR_MS
        assert np.isin(steps, [2, 4, 8]).all()
        assert np.array_equal(steps.astype(float), paid.interval_h[1:])
        assert (np.abs(paid.rate) <= COINS[symbol].funding_cap).all()
        seen[symbol] = set(paid.interval_h.tolist())
    assert seen["BTCUSDT"] == {8.0}
    assert 4.0 in seen["AVAXUSDT"]
    assert any(2.0 in intervals for intervals in seen.values())


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"symbols": ("PEPEUSDT",)}, "PEPEUSDT"),
        ({"symbols": ()}, "no symbol"),
        ({"start_ms": EPOCH_MS - HOUR_MS}, "2017"),
        ({"start_ms": END}, "not after"),
        ({"end_ms": END + 1}, "full UTC hours"),
    ],
)
def test_a_crooked_request_is_refused_with_its_mend(arguments: dict[str, Any], word: str) -> None:
    window: dict[str, Any] = {"start_ms": START, "end_ms": END, **arguments}
    with pytest.raises(UsageError, match=word) as refusal:
        synthesize(1, **window)
    assert refusal.value.mend


def test_the_market_of_seed_1_is_this_one_on_every_machine() -> None:
    """A new value means another market for everybody: change it only with the model (decision 0030)."""
    fingerprint = synthesize(1, end_ms=EPOCH_MS + 900 * DAY_MS).fingerprint
    assert fingerprint == "fd0ce14c3844c44a0470b9dbdb4e471823df9f3609906738462e9440705b36f5"


def test_processor_features_change_no_bit() -> None:
    program = (
        "from eternal_engine.market_data.synthetic import EPOCH_MS, synthesize;"
        "print(synthesize(1, end_ms=EPOCH_MS + 900 * 86_400_000, symbols=('BTCUSDT', 'ETHUSDT')).fingerprint)"
    )
    slow = "AVX2 FMA3 X86_V3 AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR X86_V4"
    environment = {**os.environ, "NPY_DISABLE_CPU_FEATURES": slow}
    found = subprocess.run([sys.executable, "-W", "ignore", "-c", program], env=environment, capture_output=True)
    assert found.stdout.decode().strip() == synthesize(1, end_ms=EPOCH_MS + 900 * DAY_MS, symbols=TWO_OLD).fingerprint


def test_exp_is_as_good_as_the_libraries() -> None:
    x = np.linspace(-40.0, 40.0, 100_001)
    assert np.max(np.abs(exp(x) / np.exp(x) - 1.0)) < 1e-15


def test_normal_draws_are_standard_normal_to_the_fourth_moment() -> None:
    z = Draws(1, "test").normal(1_000_000)
    assert abs(z.mean()) < 0.004
    assert abs(z.std() - 1.0) < 0.003
    assert abs((z**4).mean() - 2.9) < 0.03


def test_decay_is_the_plain_recursion() -> None:
    shocks = Draws(2, "test").normal(500)
    level, expected = 0.0, []
    for shock in shocks:
        level = shock + 0.9 * level
        expected.append(level)
    assert np.allclose(decay(shocks, 0.9), expected, rtol=1e-12, atol=1e-12)
