"""J16: regimes on daily closes, past data only, one a day."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eternal_engine.reports.market_regime import Regime, regimes, returns_by_regime


def walk(seed: int, days: int, year_vol: float = 0.7) -> np.ndarray:
    return 100 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, year_vol / 365**0.5, days)))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 450), st.integers(0, 300))
def test_j16_later_closes_never_change_an_earlier_regime(seed: int, known: int, later: int) -> None:
    closes = walk(seed, known + later)
    assert np.array_equal(regimes(closes[:known]), regimes(closes)[:known])


def test_j16_a_regime_looks_at_no_close_after_its_own() -> None:
    closes = walk(1, 400)
    noise = closes.copy()
    noise[250:] = walk(99, 150) * 3
    assert np.array_equal(regimes(noise)[:250], regimes(closes)[:250])


def test_j16_every_day_has_exactly_one_regime_and_their_returns_compound_to_the_total() -> None:
    closes = walk(2, 1500)
    named = regimes(closes)[:-1]
    btc = closes[1:] / closes[:-1] - 1
    mine = np.random.default_rng(5).normal(0.001, 0.01, len(btc))
    rows = returns_by_regime(named, mine, btc)
    assert [row.regime for row in rows] == ["bull", "bear", "sideways", "high_volatility", "crisis"]
    assert sum(row.days for row in rows) == len(btc)
    assert sum(row.share_frac for row in rows) == pytest.approx(1.0)
    assert np.prod([1 + row.return_frac for row in rows]) == pytest.approx(np.prod(1 + mine))
    assert np.prod([1 + row.btc_return_frac for row in rows]) == pytest.approx(closes[-1] / closes[0])


def test_j16_a_walk_of_70_percent_volatility_is_not_all_one_regime() -> None:
    counts = np.bincount(regimes(walk(3, 3000)), minlength=5) / 3000
    assert counts.max() < 0.7
    assert counts[Regime.HIGH_VOLATILITY] < 0.2


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (np.full(300, 100.0), Regime.SIDEWAYS),
        (100 * 1.003 ** np.arange(300), Regime.BULL),
        (100 * 0.997 ** np.arange(300), Regime.BEAR),
        (np.concatenate((np.full(299, 100.0), [69.9])), Regime.CRISIS),
        (100 * np.tile([1.0, 1.06], 150), Regime.HIGH_VOLATILITY),
    ],
)
def test_each_regime_is_named_by_its_rule(path: np.ndarray, expected: Regime) -> None:
    assert regimes(path)[-1] == expected


def test_the_first_month_of_a_history_is_sideways() -> None:
    named = regimes(100 * 1.05 ** np.arange(60))
    assert set(named[:29]) == {Regime.SIDEWAYS}
    assert named[29] != Regime.SIDEWAYS


def test_no_closes_no_regimes() -> None:
    assert len(regimes(np.empty(0))) == 0


def test_real_bitcoin_years_get_the_names_people_give_them() -> None:
    folder = Path(os.environ.get("ETERNAL_SHARED_DATA") or Path(__file__).parents[4] / "shared" / "data")
    file = folder / "market" / "spot_1d" / "BTCUSDT.parquet"
    if not file.exists():
        pytest.skip("the shared market data is not here")
    from pyarrow import parquet

    table = parquet.read_table(file)
    closes = table["close"].to_numpy()
    days = table["timestamp"].to_numpy().astype("datetime64[D]")
    named = regimes(closes)

    def regime_after(day: str) -> Regime:
        return Regime(int(named[np.flatnonzero(days == np.datetime64(day))[0]]))

    assert regime_after("2020-03-13") == Regime.CRISIS
    assert regime_after("2020-11-20") == Regime.BULL
    assert regime_after("2022-06-18") == Regime.CRISIS
    assert regime_after("2022-09-15") == Regime.BEAR
    assert regime_after("2024-03-01") == Regime.BULL
