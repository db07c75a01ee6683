"""Aligning: whatever rows are missing, each stored row lies at its hour and each hole is named (U-10)."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from eternal_engine.market_data.datasets import CANDLE_COLUMNS, FUNDING, PERP, SPOT, Dataset, Series
from eternal_engine.market_data.history import DAY_MS, HOUR_MS
from eternal_engine.market_data.load import load_history
from eternal_engine.market_data.store import write_series, writing

START_MS = 1_577_836_800_000
HOURS = 72

held = st.sets(st.integers(0, HOURS - 1), min_size=1)


def candles(dataset: Dataset, hours: set[int], base: float) -> Series:
    stamps = START_MS + np.array(sorted(hours), np.int64) * HOUR_MS
    close = base + (stamps - START_MS) / HOUR_MS
    values = {"open": close - 0.5, "high": close + 1, "low": close - 1, "close": close, "volume": close * 0}
    assert tuple(values) == CANDLE_COLUMNS
    return Series(dataset, "BTCUSDT", stamps, values)


@settings(max_examples=40, deadline=None)
@given(spot=held, perp=held, first=st.integers(0, HOURS - 1), cut=st.integers(1, HOURS))
def test_u10_every_row_keeps_its_hour_and_every_hole_is_a_gap_or_a_stand_in(spot, perp, first, cut):
    with TemporaryDirectory() as folder:
        store = Path(folder)
        funding = Series(
            FUNDING,
            "BTCUSDT",
            np.array([START_MS + first * HOUR_MS]),
            {"rate": np.array([0.0001]), "interval_hours": np.array([8.0])},
        )
        with writing(store):
            for series in (candles(SPOT, spot, 100), candles(PERP, perp, 500), funding):
                write_series(store, series, source="a property")
        visible = {hour for hour in spot if hour < cut}
        if not visible:
            return
        history = load_history(store, ("BTCUSDT",), end_ms=START_MS + cut * HOUR_MS)
    shift = (history.start_ms - START_MS) // HOUR_MS
    assert history.start_ms % DAY_MS == 0
    assert history.hours == max(visible) + 1 - shift
    gaps = [(gap.start_ms, gap.end_ms) for gap in history.gaps if gap.dataset == "spot_1h"]
    for column in range(history.hours):
        hour, stamp = column + shift, history.open_ms(column)
        has_spot, has_perp = hour in spot, hour in perp and hour >= first
        # Only before the perp's own first bar: a later hole stays a hole.
        stands_in = has_spot and first <= hour < min((h for h in perp if h >= first and h < cut), default=HOURS)
        assert np.isnan(history.spot.close[0, column]) == (not has_spot)
        if has_spot:
            assert history.spot.close[0, column] == 100 + hour
        assert history.perp_stand_in[0, column] == stands_in
        expected = 500 + hour if has_perp else 100 + hour if stands_in else np.nan
        assert np.array_equal(history.perp.close[0, column], expected, equal_nan=True)
        in_gap = any(start <= stamp < end for start, end in gaps)
        assert in_gap == (not has_spot and hour > min(visible))
