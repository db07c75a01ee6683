"""Write a report as one self-contained HTML file: plots, tables and their script inside, no network needed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from eternal_engine.model.errors import UsageError
from eternal_engine.reports.figures import figures
from eternal_engine.reports.report import EventLine, Report
from eternal_engine.reports.tables import (
    MONTHS,
    Table,
    breaker_table,
    cost_table,
    denial_table,
    drawdown_table,
    engine_table,
    performance_table,
    position_table,
    range_lines,
    reason_table,
    regime_table,
    year_table,
)
from eternal_engine.reports.wording import NOTHING, engine_title, percent, quantity, ratio, usdt

# Beyond this a month's colour is full: crypto portfolios rarely move more, and small months must stay readable.
FULL_COLOUR_FRAC = 0.20


@dataclass(frozen=True)
class Card:
    """One headline figure with what to hold it against."""

    label: str
    value: str
    beside: str
    tone: str = ""


@dataclass(frozen=True)
class HeatCell:
    """One month or year of the heatmap."""

    text: str
    colour: str
    title: str


def to_html(report: Report) -> str:
    """Write the page; UsageError when the report has no daily series (it was made without detail)."""
    if report.detail is None:
        raise UsageError(
            "this run was stored without its daily series",
            where=report.result_hash[:12],
            mend="store it with `eternal backtest run --save FILE`",
        )
    from jinja2 import Environment, StrictUndefined
    from plotly.offline import get_plotlyjs

    page = files("eternal_engine.reports") / "page"
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((page / "report.html.j2").read_text(encoding="utf-8"))
    return template.render(
        report=report,
        mark=report.data.mark,
        title=f"Backtest {report.data.start} to {report.data.end}",
        range_lines=range_lines(report),
        cards=_cards(report),
        tables=_tables(report),
        heat_columns=(*MONTHS, "Year"),
        heat_rows=_heat_rows(report),
        trades=_trades(report),
        events=_events(report),
        engine_title=engine_title,
        css=_inside((page / "page.css").read_text(encoding="utf-8")),
        script=_inside((page / "page.js").read_text(encoding="utf-8")),
        plotly=_inside(get_plotlyjs()),
        data=_inside(_page_data(report)),
    )


def _inside(text: str) -> str:
    """Keep our own script, style and data, which the template inserts as they are, from closing their tags."""
    return text.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _page_data(report: Report) -> str:
    if report.detail is None:
        return "{}"
    series = report.detail.series
    drawn = {"days": series.days, "figures": figures(report, series)}
    return json.dumps(drawn, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _cards(report: Report) -> tuple[Card, ...]:
    metrics = report.metrics
    hold = report.benchmarks["btc_hold"]
    paid = metrics.fees_usdt + metrics.slippage_usdt
    deposits = f", {usdt(metrics.deposits_usdt)} deposited" if metrics.deposits_usdt else ""
    return (
        Card(
            "Final equity",
            f"{usdt(metrics.final_equity_usdt)} USDT",
            f"from {usdt(metrics.start_equity_usdt)}{deposits}",
        ),
        Card(
            "Total return",
            percent(metrics.total_return_frac, sign=True),
            f"BTC hold {percent(hold.total_return_frac, sign=True)}",
            _tone(metrics.total_return_frac),
        ),
        Card(
            "CAGR",
            percent(metrics.cagr_frac, sign=True),
            f"{report.data.years:.2f} years; BTC {percent(hold.cagr_frac, sign=True)}",
            _tone(metrics.cagr_frac),
        ),
        Card(
            "Max drawdown",
            percent(metrics.max_drawdown_frac),
            f"hourly {percent(report.max_drawdown_hourly_frac)}; BTC {percent(hold.max_drawdown_frac)}",
        ),
        Card("Sharpe", ratio(metrics.sharpe), f"BTC {ratio(hold.sharpe)}; Sortino {ratio(metrics.sortino)}"),
        Card("Calmar", ratio(metrics.calmar), f"BTC {ratio(hold.calmar)}"),
        Card("Volatility", percent(metrics.volatility_frac), f"BTC {percent(hold.volatility_frac)}"),
        Card("Fees and slippage, USDT", usdt(paid), f"funding {usdt(metrics.funding_usdt, sign=True)}"),
    )


def _tone(value: float | None) -> str:
    if not value:
        return ""
    return "gain" if value > 0 else "loss"


def _tables(report: Report) -> dict[str, Table]:
    gaps = Table(
        "Gaps in the data",
        ("Dataset", "Symbol", "From", "Until", "Bars missing"),
        tuple((gap.dataset, gap.symbol, gap.start, gap.end, str(gap.bars)) for gap in report.data.gaps),
        note="Nothing is decided on a missing bar.",
        left=frozenset(range(4)),
    )
    return {
        "performance": performance_table(report),
        "years": year_table(report),
        "engines": engine_table(report),
        "drawdowns": drawdown_table(report),
        "regimes": regime_table(report),
        "costs": cost_table(report),
        "breaker": breaker_table(report),
        "reasons": reason_table(report),
        "denials": denial_table(report),
        "positions": position_table(report),
        "gaps": gaps,
    }


def _heat_rows(report: Report) -> tuple[tuple[str, tuple[HeatCell, ...]], ...]:
    months = {(line.year, line.month): line for line in report.months}
    rows = []
    for year in report.years:
        cells = []
        for number in range(1, 13):
            line = months.get((year.year, number))
            if line is None:
                cells.append(HeatCell("", "transparent", "not run"))
                continue
            title = f"{year.year}-{number:02d}: {percent(line.return_frac, 2, sign=True)}, {line.days} days"
            cells.append(HeatCell(percent(line.return_frac).removesuffix(" %"), _heat(line.return_frac), title))
        title = f"{year.year}: {percent(year.return_frac, 2, sign=True)}, {year.days} days"
        cells.append(HeatCell(percent(year.return_frac).removesuffix(" %"), _heat(year.return_frac / 3), title))
        rows.append((str(year.year), tuple(cells)))
    return tuple(rows)


def _heat(fraction: float) -> str:
    strength = min(abs(fraction) / FULL_COLOUR_FRAC, 1.0) * 0.6
    return f"rgba({'18,128,92' if fraction >= 0 else '192,57,43'},{strength:.2f})"


@dataclass(frozen=True)
class TradeCells:
    """One trade as texts, with the plain numbers to sort by."""

    engine: str
    cells: tuple[tuple[str, str | float], ...]
    tone: str


TRADE_COLUMNS = (
    "Opened",
    "Engine",
    "Symbol",
    "Side",
    "Opened by",
    "Closed by",
    "Profit",
    "Days",
    "Entry",
    "Exit",
    "Quantity",
    "Fees",
    "Funding",
    "Closed",
)


def _trades(report: Report) -> dict[str, Any]:
    rows = []
    for trade in report.detail.trades if report.detail else ():
        cells: tuple[tuple[str, str | float], ...] = (
            (_minute(trade.opened_at), trade.opened_at),
            (engine_title(trade.engine), trade.engine),
            (trade.symbol, trade.symbol),
            (trade.position_side, trade.position_side),
            (trade.entry_reason, trade.entry_reason),
            (trade.exit_reason, trade.exit_reason),
            (usdt(trade.pnl_usdt, 2, sign=True), trade.pnl_usdt),
            (f"{trade.days:.1f}", trade.days),
            (quantity(trade.entry_price), trade.entry_price),
            (quantity(trade.exit_price), trade.exit_price),
            (quantity(trade.qty), trade.qty),
            (usdt(trade.fees_usdt, 2), trade.fees_usdt),
            (usdt(trade.funding_usdt, 2, sign=True), trade.funding_usdt),
            (_minute(trade.closed_at), trade.closed_at),
        )
        rows.append(TradeCells(trade.engine, cells, _tone(trade.pnl_usdt)))
    return {"columns": TRADE_COLUMNS, "left": frozenset({0, 1, 2, 3, 4, 5, 13}), "profit": 6, "rows": tuple(rows)}


def _events(report: Report) -> Table:
    """Lay the timeline out; what an engine repeats without anything else of its kind in between becomes one line."""
    runs: list[list[EventLine]] = []
    latest: dict[tuple[str, str, str], list[EventLine]] = {}
    for event in report.detail.events if report.detail else ():
        kind = (event.kind, event.engine, event.symbol)
        run = latest.get(kind)
        if run and not event.amount_usdt and (run[-1].rule, run[-1].detail) == (event.rule, event.detail):
            run.append(event)
            continue
        latest[kind] = [event]
        runs.append(latest[kind])
    columns = ("At (UTC)", "Kind", "Engine", "Symbol", "Rule", "What", "USDT")
    return Table("Timeline", columns, tuple(_event_cells(run) for run in runs), left=frozenset(range(6)))


def _event_cells(run: list[EventLine]) -> tuple[str, ...]:
    event = run[0]
    again = f" ({len(run)} times, until {_minute(run[-1].at)})" if len(run) > 1 else ""
    return (
        _minute(event.at),
        event.kind.replace("_", " "),
        engine_title(event.engine) if event.engine else NOTHING,
        event.symbol or NOTHING,
        event.rule,
        event.detail + again,
        usdt(event.amount_usdt, 2) if event.amount_usdt else NOTHING,
    )


def _minute(at: str) -> str:
    return at[:16].replace("T", " ")
