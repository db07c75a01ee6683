"""Reports and orders in files: exact, whole, and refused when damaged."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from builders import a_backtest_result
from eternal_engine.model.errors import DataError, UsageError
from eternal_engine.reports.assemble import build_report
from eternal_engine.reports.stored import ORDER_COLUMNS, load, orders_csv, save, to_json


def test_a_stored_run_reads_back_equal(tmp_path: Path) -> None:
    report = build_report(a_backtest_result(days=90), detail=True)
    save(report, tmp_path / "deep" / "run.json")
    assert load(tmp_path / "deep" / "run.json") == report


def test_the_json_has_the_keys_that_scripts_rely_on() -> None:
    found = json.loads(to_json(build_report(a_backtest_result(days=60, synthetic=True))))
    assert found["result_hash"] == "ab" * 32
    assert {"source", "synthetic", "start", "end", "gaps"} <= set(found["data"])
    assert found["data"]["synthetic"] is True
    assert found["data"]["mark"] == "SYNTHETIC DATA"
    wanted = {"total_return_frac", "cagr_frac", "sharpe", "sortino", "calmar", "max_drawdown_frac"}
    assert wanted <= set(found["metrics"])
    assert set(found["engines"]) == {"core_hodl", "trend", "funding", "tactical"}
    for one in found["engines"].values():
        assert {"final_equity_usdt", "orders", "fees_usdt", "funding_usdt"} <= set(one)
    assert found["orders"] == 2000
    assert found["breaker"] == {"events": 3, "approvals": 1} | {
        key: found["breaker"][key] for key in ("last_level", "days_at_level")
    }
    assert found["timing_ms"] == {"features": 7.1, "loop": 9.4}
    assert "detail" not in found


def test_the_printed_json_can_be_compared_but_has_no_series(tmp_path: Path) -> None:
    report = build_report(a_backtest_result(days=60), detail=True)
    (tmp_path / "run.json").write_text(to_json(report))
    again = load(tmp_path / "run.json")
    assert again.detail is None
    assert again.metrics == report.metrics


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[]", "not a stored run"),
        ('{"schema": 99}', "schema 99"),
        ('{"schema": 1}', "does not fit"),
    ],
)
def test_a_damaged_file_is_named_with_its_mend(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "run.json"
    file.write_text(text)
    with pytest.raises(DataError, match=says) as caught:
        load(file)
    assert caught.value.where == str(file)
    assert caught.value.mend


def test_a_missing_file_is_bad_data(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read"):
        load(tmp_path / "nowhere.json")


def test_a_report_without_detail_is_not_stored(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        save(build_report(a_backtest_result(days=5)), tmp_path / "run.json")
    assert list(tmp_path.iterdir()) == []


def test_orders_are_written_exactly() -> None:
    run = a_backtest_result(days=30)
    rows = list(csv.DictReader(orders_csv(run.orders).splitlines()))
    assert tuple(rows[0]) == ORDER_COLUMNS
    assert len(rows) == len(run.orders)
    assert rows[0]["decided_at"] == "2020-01-01T00:00:00Z"
    for row, order in zip(rows, run.orders, strict=True):
        assert float(row["qty"]) == pytest.approx(order.qty, rel=1e-14)
        assert float(row["price"]) == pytest.approx(order.price, rel=1e-14)
        assert "e" not in row["qty"].lower()
