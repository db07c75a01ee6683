"""A synthetic market in a store: read back it is the same, and it never mixes with real files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eternal_engine.market_data.history import DAY_MS
from eternal_engine.market_data.load import load_history
from eternal_engine.market_data.synthetic import EPOCH_MS, synthesize
from eternal_engine.market_data.synthetic.storing import store_history
from eternal_engine.model.errors import RefusedError

SYMBOLS = ("BTCUSDT", "SOLUSDT", "AVAXUSDT")
START_MS, END_MS = EPOCH_MS, EPOCH_MS + 1100 * DAY_MS


def test_a_stored_market_loads_as_the_same_market(tmp_path: Path) -> None:
    made = synthesize(4, start_ms=START_MS, end_ms=END_MS, symbols=SYMBOLS)
    store_history(made, tmp_path / "store")
    loaded = load_history(tmp_path / "store", SYMBOLS)
    assert loaded.fingerprint == made.fingerprint
    assert loaded.synthetic
    assert loaded.source == "synthetic seed 4"
    assert loaded.gaps == made.gaps
    assert not any("hindsight" in note for note in loaded.notes)
    later_ms = START_MS + 1000 * DAY_MS
    window = load_history(tmp_path / "store", SYMBOLS, start_ms=later_ms)
    assert window.fingerprint == synthesize(4, start_ms=later_ms, end_ms=END_MS, symbols=SYMBOLS).fingerprint


def test_every_manifest_says_synthetic(tmp_path: Path) -> None:
    store_history(synthesize(4, start_ms=START_MS, end_ms=END_MS, symbols=SYMBOLS), tmp_path)
    manifests = [json.loads(path.read_text()) for path in tmp_path.rglob("*.manifest.json")]
    assert len(manifests) == 3 * len(SYMBOLS) + 1
    assert all(entry["synthetic"] and "SYNTHETIC" in entry["note"] for entry in manifests)


def test_a_synthetic_store_may_be_replaced_by_another_seed(tmp_path: Path) -> None:
    store_history(synthesize(4, start_ms=START_MS, end_ms=END_MS, symbols=SYMBOLS), tmp_path)
    other = synthesize(5, start_ms=START_MS, end_ms=END_MS, symbols=SYMBOLS)
    store_history(other, tmp_path)
    assert load_history(tmp_path, SYMBOLS).fingerprint == other.fingerprint


def test_real_files_are_never_mixed_with_or_replaced_by_synthetic_ones(tmp_path: Path) -> None:
    real = tmp_path / "spot_1h" / "ETHUSDT.parquet"
    real.parent.mkdir()
    real.write_bytes(b"somebody's file")
    with pytest.raises(RefusedError, match="ETHUSDT, which is not synthetic"):
        store_history(synthesize(4, start_ms=START_MS, end_ms=END_MS, symbols=SYMBOLS), tmp_path)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["ETHUSDT.parquet"]
