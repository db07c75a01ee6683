"""`eternal export`: the CSV files people hand to others."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from eternal_engine.cli import run


def exported(capsys: pytest.CaptureFixture[str], state_dir: Path, *arguments: str) -> list[dict[str, str]]:
    assert run(["export", *arguments, "--state-dir", str(state_dir)]) == 0
    return list(csv.DictReader(io.StringIO(capsys.readouterr().out)))


def test_lots_by_both_methods_are_exact_and_name_the_execution(
    state_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (fifo,) = exported(capsys, state_dir, "lots")
    (average,) = exported(capsys, state_dir, "lots", "--method", "average")
    # 0.4 at 70,000 and 0.6 at 70,100.1 were bought, 0.3 sold at 71,000.
    assert (fifo["qty"], fifo["cost_usdt"], fifo["gain_usdt"]) == ("0.3", "21000", "300")
    assert average["cost_usdt"] == "21018.018"
    assert fifo["reference"] == average["reference"] == "p3"
    assert fifo["acquired_at"] == "2024-01-01T00:00:00Z"
    held = exported(capsys, state_dir, "lots", "--held")
    assert sum(row["market"] == "perp" for row in held) == 2
    assert any(row["unassigned"] == "yes" and row["symbol"] == "ETHUSDT" for row in held)


def test_funding_transfers_and_trades_have_their_columns(state_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (paid,) = exported(capsys, state_dir, "funding")
    assert (paid["amount_usdt"], paid["rate"]) == ("-7", "0.0001")
    moved = exported(capsys, state_dir, "transfers")
    assert [(row["kind"], row["source"], row["target"], row["amount"]) for row in moved] == [
        ("deposit", "outside", "master", "100000"),
        ("transfer", "master", "trend", "20000"),
    ]
    assert exported(capsys, state_dir, "trades") == []  # 0.7 are still held


def test_a_year_leaves_out_the_others_and_a_file_can_be_named(
    state_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exported(capsys, state_dir, "funding", "--year", "2023") == []
    assert len(exported(capsys, state_dir, "lots", "--year", "2024")) == 1
    target = state_dir / "lots.csv"
    assert run(["export", "lots", "--state-dir", str(state_dir), "-o", str(target)]) == 0
    assert target.read_text().startswith("engine,symbol,market,position_side,kind,reference,qty,")
    assert run(["export", "lots", "--held", "--year", "2024", "--state-dir", str(state_dir)]) == 2
