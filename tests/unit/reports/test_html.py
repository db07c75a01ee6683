"""The HTML report: self-contained, valid plots, marked when synthetic, within its size."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from builders import a_backtest_result
from eternal_engine.model.errors import UsageError
from eternal_engine.reports.assemble import build_report
from eternal_engine.reports.figures import figures
from eternal_engine.reports.html import to_html
from eternal_engine.reports.report import Report
from eternal_engine.reports.result import EventRow

SECTIONS = (
    "performance",
    "engines",
    "months",
    "drawdowns",
    "regimes",
    "exposure",
    "costs",
    "risk",
    "trades",
    "orders",
    "data",
)


@pytest.fixture(scope="module")
def report() -> Report:
    return build_report(a_backtest_result(), detail=True)


@pytest.fixture(scope="module")
def page(report: Report) -> str:
    return to_html(report)


def own_part(page: str) -> str:
    """Leave out the plotting library, which is not ours."""
    start = page.index("<script>")
    return page[:start] + page[page.index("</script>", start) :]


def test_every_figure_is_valid_in_plotlys_own_schema(report: Report) -> None:
    graph_objects = pytest.importorskip("plotly.graph_objects")
    assert report.detail is not None
    drawn = figures(report, report.detail.series)
    assert len(drawn) == 8
    for figure in drawn.values():
        for trace in figure["data"]:
            if trace["x"] == "days":
                trace["x"] = report.detail.series.days
                assert len(trace["y"]) == len(trace["x"])
        graph_objects.Figure(figure)


def test_every_figure_has_its_place_in_the_page(report: Report, page: str) -> None:
    assert report.detail is not None
    places = re.findall(r'data-figure="([a-z-]+)"', page)
    assert sorted(places) == sorted(figures(report, report.detail.series))


def test_every_section_is_there_and_in_the_navigation(page: str) -> None:
    for name in SECTIONS:
        assert f'<section id="{name}">' in page
        assert f'href="#{name}"' in page


def test_the_page_loads_nothing_and_stays_small(page: str) -> None:
    ours = own_part(page)
    assert not re.search(r"(src|href)\s*=\s*[\"']?(https?:)?//", ours)
    assert "default-src 'none'" in ours
    assert len(page.encode()) <= 6_000_000


def test_the_page_data_is_json_that_cannot_end_its_script(page: str) -> None:
    found = re.search(r'<script id="data-json" type="application/json">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    assert len(json.loads(found.group(1))["days"]) == 1828


def test_text_from_outside_is_escaped() -> None:
    nasty = "<img src=x onerror=alert(1)></script><script>alert(2)</script>"
    run = a_backtest_result(days=30, source=nasty, notes=(nasty,), denials={f"trend:{nasty}": 1})
    events = tuple(replace(event, detail=nasty, kind="approval") for event in run.events)
    trades = tuple(replace(trade, entry_reason=nasty) for trade in run.trades[:3])
    page = to_html(build_report(replace(run, events=events, trades=trades), detail=True))
    assert "<img src=x" not in own_part(page)
    assert "<script>alert" not in own_part(page)


def test_a_synthetic_run_is_marked_in_every_section() -> None:
    page = own_part(to_html(build_report(a_backtest_result(days=60, synthetic=True), detail=True)))
    assert "<title>SYNTHETIC DATA: " in page
    for heading in re.findall(r"<h[123]>.*?</h[123]>", page, re.DOTALL):
        assert "SYNTHETIC DATA" in heading


def test_a_real_run_is_not_marked(page: str) -> None:
    assert "SYNTHETIC" not in own_part(page)


def test_trades_carry_their_rules(page: str) -> None:
    assert page.count('data-key="TREND-E1"') == 120
    assert page.count('data-key="FUND-X1"') == 60


def test_a_run_without_detail_is_refused_with_the_mend() -> None:
    with pytest.raises(UsageError) as caught:
        to_html(build_report(a_backtest_result(days=5)))
    assert "--save" in caught.value.mend


def test_a_run_without_trades_and_events_has_a_page() -> None:
    page = to_html(build_report(a_backtest_result(days=3, trades=(), events=(), orders=(), denials={}), detail=True))
    assert "No trade was closed." in page
    assert "Nothing happened beside orders." in page


def test_what_repeats_is_one_line_of_the_timeline() -> None:
    run = a_backtest_result(days=30)
    weekly = [
        EventRow(int(run.close_ms[24 * week]), "plan", "core_hodl", "", "CORE-9", "NO_CASH", 0.0) for week in range(5)
    ]
    other = EventRow(int(run.close_ms[30]), "breaker", "", "", "BRK-1", "NORMAL -> CAUTION", 0.0)
    events = (*weekly[:2], other, *weekly[2:])
    page = to_html(build_report(replace(run, events=events), detail=True))
    assert page.count("NO_CASH (5 times, until 2020-01-05 00:00)") == 1


def test_a_sign_that_is_neither_good_nor_bad_has_no_colour(page: str) -> None:
    row = re.search(r"<tr><td[^>]*>Excess kurtosis.*?</tr>", page)
    assert row is not None
    assert "loss" not in row.group()
    assert "gain" not in row.group()
