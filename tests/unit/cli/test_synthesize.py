"""`eternal data synthesize` and `likeness`: what they write, print and refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eternal_engine.cli import run

WINDOW = ["--start", "2018-01-01", "--end", "2018-03-31", "--symbols", "BTCUSDT,ethusdt"]


def test_synthesize_writes_a_store_that_verify_accepts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = tmp_path / "store"
    assert run(["data", "synthesize", "--seed", "3", "--to", str(store), *WINDOW]) == 0
    assert "SYNTHETIC DATA, seed 3: 7 files" in capsys.readouterr().out
    assert run(["data", "verify", str(store)]) == 0


def test_synthesize_prints_one_json_object(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "synthesize", "--seed", "3", "--to", str(tmp_path), "--json", *WINDOW]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["synthetic"] is True
    assert {entry["symbol"] for entry in answer["written"]} == {"BTCUSDT", "ETHUSDT", "fear_greed"}
    days = [entry for entry in answer["written"] if entry["dataset"] == "spot_1h"]
    assert {(entry["first"][:10], entry["last"]) for entry in days} == {("2018-01-01", "2018-03-31T23:00Z")}


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["--start", "2016-01-01"], 2, "2017-01-01"),
        (["--start", "yesterday"], 2, "YYYY-MM-DD"),
        (["--end", "2016-12-31"], 2, "not after"),
        (["--symbols", "PEPEUSDT"], 2, "PEPEUSDT"),
    ],
)
def test_synthesize_refuses_and_says_the_mend(
    arguments: list[str], code: int, word: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "store"
    assert run(["data", "synthesize", "--seed", "1", "--to", str(store), *arguments]) == code
    said = capsys.readouterr().err
    assert word in said
    assert "mend" in said
    assert not store.exists()


def test_likeness_names_the_figures_outside_their_bands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    window = ["--start", "2018-01-01", "--end", "2018-12-31", "--symbols", "BTCUSDT,ETHUSDT,XRPUSDT,ADAUSDT"]
    assert run(["data", "likeness", "--seed", "3", *window]) == 3
    found = capsys.readouterr()
    assert "btc_kurtosis_1h" in found.out
    assert "outside their bands" in found.err


def test_likeness_of_a_seed_over_five_years_is_good(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "likeness", "--seed", "7", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["misfits"] == []
    assert answer["synthetic"] is True
