"""`eternal data`: what it prints, where, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from eternal_engine import cli
from eternal_engine.market_data.datasets import SPOT, Series
from eternal_engine.market_data.store import write_series, writing

HOUR_MS = 3_600_000
START_MS = 1_577_836_800_000


@pytest.fixture
def store(tmp_path) -> Path:
    stamps = START_MS + np.array([0, 1, 2, 5], np.int64) * HOUR_MS
    ones = np.ones(4)
    path = tmp_path / "store"
    with writing(path):
        for symbol, synthetic in (("AAAUSDT", False), ("BBBUSDT", True)):
            series = Series(SPOT, symbol, stamps, dict.fromkeys(SPOT.columns, ones))
            write_series(path, series, source="a test", synthetic=synthetic)
    partial = path / ".partial/spot_1h/CCCUSDT.bybit.jsonl"
    partial.parent.mkdir(parents=True)
    partial.write_text("{}\n")
    return path


def test_list_names_range_rows_gaps_synthetic_files_and_begun_downloads(store, capsys):
    assert cli.run(["data", "list", str(store)]) == 0
    printed = capsys.readouterr().out
    lines = [line.split() for line in printed.splitlines()]
    assert ["spot_1h", "AAAUSDT", "2020-01-01", "2020-01-01", "4", "1", "2", "a", "test"] in lines
    assert "SYNTHETIC: a" in printed
    assert "begun, not ended: spot_1h/CCCUSDT.bybit.jsonl" in printed.replace("\n", " ")
    assert "2 files, 0 bad" in printed


def test_verify_ends_with_0_when_all_is_good_and_says_so_in_json(store, capsys):
    assert cli.run(["data", "verify", str(store), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["good"] is True


def test_verify_names_every_bad_file_and_ends_with_3(store, capsys):
    for symbol in ("AAAUSDT", "BBBUSDT"):
        (store / f"spot_1h/{symbol}.parquet").write_bytes(b"nothing")
    (store / "universe.csv").write_text("?")
    assert cli.run(["data", "verify", str(store), "--json"]) == 3
    printed = capsys.readouterr()
    assert json.loads(printed.out)["good"] is False
    assert "3 of 3 files are bad" in printed.err
    for name in ("AAAUSDT.parquet", "BBBUSDT.parquet", "universe.csv"):
        assert name in printed.err


def test_without_a_folder_the_configured_store_is_meant_and_named_when_absent(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for verb in ("list", "verify"):
        assert cli.run(["data", verb]) == 3
        assert "data/market" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--start", "soon"], "'soon' is not a day"),
        (["--end", "2024-13-01"], "'2024-13-01' is not a day"),
        (["--symbols", "../etc"], "is not a symbol"),
        (["--symbols", "BTCUSDT", "--exchange", "mtgox"], "no download from 'mtgox'"),
    ],
)
def test_a_wrong_option_of_download_ends_with_2_before_anything_is_asked(args, message, tmp_path, capsys):
    assert cli.run(["data", "download", *args, "--to", str(tmp_path / "store"), "--fallback", "none"]) == 2
    assert message in capsys.readouterr().err
