"""Terminal, Markdown and comparison tables say the same, and say what kind of data it was."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from builders import a_backtest_result
from eternal_engine.reports.assemble import build_report
from eternal_engine.reports.comparison import comparison_json, comparison_table, periods_table
from eternal_engine.reports.markdown import to_markdown
from eternal_engine.reports.report import Report
from eternal_engine.reports.result import PositionRow
from eternal_engine.reports.tables import summary_tables
from eternal_engine.reports.terminal import print_report, print_table
from eternal_engine.reports.wording import ENGINE_TITLES


def printed(report: Report, width: int = 130) -> str:
    out = io.StringIO()
    print_report(report, Console(file=out, width=width))
    return out.getvalue()


@pytest.fixture(scope="module")
def report() -> Report:
    return build_report(a_backtest_result(days=400), trials=20)


def test_every_table_is_in_the_terminal_and_in_markdown(report: Report) -> None:
    terminal, markdown = printed(report), to_markdown(report)
    assert len(summary_tables(report)) >= 8
    for table in summary_tables(report):
        assert table.title in terminal
        assert f"## {table.title}" in markdown


def test_j18_the_benchmarks_stand_beside_the_portfolio(report: Report) -> None:
    for title in ("BTC hold", "BTC/ETH 67/33 DCA", "Cash"):
        assert title in printed(report)
        assert title in to_markdown(report)


def test_j12_an_engine_without_sells_prints_no_closed_trades(report: Report) -> None:
    assert "no closed trades" in printed(report)
    assert "0 % won" not in printed(report)


def test_j14_the_hindsight_note_and_the_gaps_are_told(report: Report) -> None:
    markdown = to_markdown(report)
    assert "hindsight" in markdown
    assert "2020-01-03T00:00:00Z" in markdown
    assert "hindsight" in printed(report)


def test_j15_asked_and_run_ranges_are_always_printed(report: Report) -> None:
    assert "asked 2020-01-01 to 2021-02-03; run 2020-01-01 to 2021-02-03: 400 days, 1.10 years" in printed(report)
    early = build_report(a_backtest_result(days=400, requested_start_ms=1_546_300_800_000))
    assert "does not cover what was asked" in printed(early)
    assert "asked 2019-01-01" in to_markdown(early)


def test_a_synthetic_run_is_marked_in_every_heading() -> None:
    report = build_report(a_backtest_result(days=60, synthetic=True))
    headings = [line for line in to_markdown(report).splitlines() if line.startswith("#")]
    assert len(headings) > 8
    assert all("SYNTHETIC DATA" in line for line in headings)
    terminal = printed(report)
    assert terminal.startswith("SYNTHETIC DATA")
    assert terminal.count("[SYNTHETIC DATA]") == len(summary_tables(report))


def test_a_real_run_is_not_marked_synthetic(report: Report) -> None:
    assert "SYNTHETIC" not in to_markdown(report)


def test_the_trials_behind_the_deflated_ratio_are_told(report: Report) -> None:
    assert "20 trials" in printed(report, 400)


def test_positions_open_at_the_end_are_listed() -> None:
    row = PositionRow("core_hodl", "BTCUSDT", "spot", 0.5, 7000.0, 8000.0, 4000.0, 500.0)
    text = to_markdown(build_report(a_backtest_result(days=10, open_positions=(row,))))
    assert "| CORE_HODL | BTCUSDT | spot | 0.5 | 7,000 | 8,000 | 4,000 | +500 |" in text


def test_deposits_are_shown_when_there_are_some() -> None:
    flow = a_backtest_result(days=30).external_flow.copy()
    flow[200] = 300.0
    report = build_report(a_backtest_result(days=30, external_flow=flow))
    assert "of it deposits" in printed(report)


def test_reports_are_set_side_by_side(report: Report) -> None:
    other = build_report(a_backtest_result(days=100, synthetic=True))
    table = comparison_table({"a": report, "b": other})
    assert table.columns == ("", "a", "b")
    assert ("Data", "made up", "SYNTHETIC DATA") in table.rows
    periods = periods_table({"a": report, "b": other})
    assert [row[0] for row in periods.rows] == ["a", "b [SYNTHETIC DATA]"]
    out = io.StringIO()
    print_table(table, Console(file=out, width=120))
    assert "Comparison" in out.getvalue()


def test_a_comparison_is_json(report: Report) -> None:
    found = json.loads(json.dumps(comparison_json({"a": report}), default=vars, allow_nan=False))
    assert found["a"]["metrics"]["sharpe"] == report.metrics.sharpe
    assert found["a"]["data"]["gaps"][0]["bars"] == 3


def test_an_empty_table_says_none() -> None:
    out = io.StringIO()
    report = build_report(a_backtest_result(days=3, orders=(), trades=(), denials={}))
    print_report(report, Console(file=out, width=120))
    assert "Orders by reason\nnone" in out.getvalue()


def test_money_of_engines_that_are_off_is_named_idle() -> None:
    run = a_backtest_result(days=10, engines=("trend", "funding"), trades=())
    assert "65,000 USDT belong to engines that are switched off" in to_markdown(build_report(run))


def test_a_report_without_gaps_and_notes_has_no_such_sections() -> None:
    markdown = to_markdown(build_report(a_backtest_result(days=10, gaps=(), notes=(), denials={})))
    assert "Gaps" not in markdown
    assert "Notes" not in markdown
    assert "Denied" not in markdown


def test_an_engine_has_in_reports_the_name_that_is_typed_and_shown_elsewhere() -> None:
    assert all(title.lower() == name for name, title in ENGINE_TITLES.items())
