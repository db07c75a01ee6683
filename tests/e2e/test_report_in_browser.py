"""The HTML report in a real browser: draws everything, loads nothing, sorts and filters, fits a phone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from builders import a_backtest_result
from eternal_engine.reports.assemble import build_report
from eternal_engine.reports.html import to_html

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed"),
]


@pytest.fixture(scope="module")
def report_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("report") / "report.html"
    file.write_text(to_html(build_report(a_backtest_result(days=500, synthetic=True), detail=True)), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as tool:
        opened = tool.chromium.launch(executable_path=BROWSER, args=FLAGS)
        yield opened
        opened.close()


def opened_page(browser: Any, file: Path, width: int) -> tuple[Any, list[str]]:
    """Open the report and scroll through it once, so that every plot is drawn; collect complaints and requests."""
    page = browser.new_page(viewport={"width": width, "height": 900})
    heard: list[str] = []
    page.on("console", lambda message: heard.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: heard.append(f"error: {error}"))
    page.on("request", lambda request: heard.append(request.url) if request.url.startswith("http") else None)
    page.goto(file.as_uri())
    for top in range(0, page.evaluate("document.body.scrollHeight"), 800):
        page.evaluate(f"window.scrollTo({{top: {top}, behavior: 'instant'}})")
        page.wait_for_timeout(40)
    page.wait_for_function("document.querySelectorAll('.plot .main-svg').length > 0")
    return page, heard


@pytest.mark.parametrize("width", [1280, 390])
def test_every_plot_is_drawn_without_complaint_or_network(browser: Any, report_file: Path, width: int) -> None:
    page, heard = opened_page(browser, report_file, width)
    undrawn = "[...document.querySelectorAll('.plot')].filter((p) => !p.querySelector('.main-svg')).length"
    page.wait_for_function(f"{undrawn} === 0", timeout=10_000)
    assert heard == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


def test_the_mark_stays_in_sight_while_scrolling(browser: Any, report_file: Path) -> None:
    page, _ = opened_page(browser, report_file, 390)
    mark = page.locator("nav .mark")
    assert mark.inner_text() == "SYNTHETIC DATA"
    assert page.evaluate("document.querySelector('nav .mark').getBoundingClientRect().top") < 60
    assert page.evaluate("window.scrollY") > 1000
    page.close()


def test_trades_can_be_filtered_and_sorted(browser: Any, report_file: Path) -> None:
    page, _ = opened_page(browser, report_file, 1280)
    shown = "[...document.querySelectorAll('#trade-table tbody tr')].filter((row) => !row.hidden)"
    page.fill("[data-for='trade-table'] input", "eth trend-x2")
    page.select_option("[data-for='trade-table'] select", "trend")
    rules = page.evaluate(f"{shown}.map((row) => row.textContent)")
    assert 0 < len(rules) < 180
    assert all("ETHUSDT" in text and "TREND-X2" in text for text in rules)
    page.fill("[data-for='trade-table'] input", "")
    page.click("#trade-table th:has-text('Profit')")
    profits = page.evaluate(f"{shown}.map((row) => Number(row.cells[6].dataset.key))")
    assert profits == sorted(profits)
    page.click("#trade-table th:has-text('Profit')")
    profits = page.evaluate(f"{shown}.map((row) => Number(row.cells[6].dataset.key))")
    assert profits == sorted(profits, reverse=True)
    page.close()


def test_the_scale_switch_changes_the_axis(browser: Any, report_file: Path) -> None:
    page, heard = opened_page(browser, report_file, 1280)
    page.click(".switch[data-for='growth'] button[data-scale='linear']")
    kind = "document.querySelector('[data-figure=growth]').layout.yaxis.type"
    page.wait_for_function(f"{kind} === 'linear'")
    page.click(".switch[data-for='growth'] button[data-scale='log']")
    page.wait_for_function(f"{kind} === 'log'")
    assert heard == []
    page.close()
