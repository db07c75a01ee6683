"""Describe the report's plots as plain data in Plotly's figure format: nothing here draws or imports Plotly.

`"x": "days"` stands for the report's list of days, which the page holds once. A test validates every figure with
Plotly's own schema.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from eternal_engine.reports.market_regime import Regime
from eternal_engine.reports.report import Report, Series
from eternal_engine.reports.wording import engine_title

Figure = dict[str, Any]

INK, GRID = "#1d2733", "#e6eaee"
# Plotly writes the 2 and 5 between powers of ten without their zeros; these name every tick in full.
LOG_AXIS = {"type": "log", "tickvals": [digit * 10**power for power in range(-2, 9) for digit in (1, 2, 5)]}
LINE_COLOURS = {
    "portfolio": "#0b5cad",
    "btc_hold": "#e08a00",
    "dca_btc_eth_67_33": "#8a4fbf",
    "cash": "#8c98a4",
}
ENGINE_COLOURS = {"core_hodl": "#0b5cad", "trend": "#12805c", "funding": "#d07a00", "tactical": "#8a4fbf"}
REGIME_COLOURS = {
    Regime.BULL.label: "#cfeedd",
    Regime.BEAR.label: "#f9d9d5",
    Regime.SIDEWAYS.label: "#eef1f4",
    Regime.HIGH_VOLATILITY.label: "#fdeac2",
    Regime.CRISIS.label: "#efb3ab",
}


def figures(report: Report, series: Series) -> dict[str, Figure]:
    """Give every plot by the id of its place in the page."""
    return {
        "growth": growth_figure(report, series),
        "engine-equity": engine_equity_figure(series),
        "engine-growth": engine_growth_figure(series),
        "contribution": contribution_figure(report),
        "regimes": regime_figure(series),
        "exposure": exposure_figure(series),
        "costs": cost_figure(report),
        "breaker": breaker_figure(report, series),
    }


def growth_figure(report: Report, series: Series) -> Figure:
    """Draw what 100 USDT became, and below it the distance from the last high."""
    titles = {"portfolio": "Portfolio"} | {name: rival.title for name, rival in report.benchmarks.items()}
    traces = []
    for name, index in series.index.items():
        line = {"color": LINE_COLOURS[name], "width": 2.4 if name == "portfolio" else 1.3}
        grown = [round(100 * value, 2) for value in index]
        traces.append(_line(titles[name], grown, line, "%{y:,.1f} USDT") | {"legendgroup": name})
        if name == "cash":
            continue
        fall = {"fill": "tozeroy", "fillcolor": "rgba(11,92,173,0.12)"} if name == "portfolio" else {}
        traces.append(
            _line(titles[name], _drawdown(index), line, "%{y:.1%}")
            | {"yaxis": "y2", "showlegend": False, "legendgroup": name}
            | fall
        )
    layout = _layout(height=520)
    layout["yaxis"] |= {"domain": [0.36, 1]} | LOG_AXIS
    layout["yaxis2"] = _axis() | {"domain": [0, 0.28], "tickformat": ".0%"}
    layout["xaxis"] |= {"anchor": "y2"}
    return {"data": traces, "layout": layout}


def engine_equity_figure(series: Series) -> Figure:
    """Stack the engines' equity to the portfolio's."""
    traces = [
        _line(engine_title(name), equity, {"color": ENGINE_COLOURS[name], "width": 0.8}, "%{y:,.0f} USDT")
        | {"stackgroup": "one", "fillcolor": ENGINE_COLOURS[name] + "59"}
        for name, equity in series.equity.items()
    ]
    return {"data": traces, "layout": _layout()}


def engine_growth_figure(series: Series) -> Figure:
    """Draw what 100 USDT became in each engine, without flows."""
    traces = [
        _line(
            engine_title(name),
            [round(100 * value, 2) for value in index],
            {"color": ENGINE_COLOURS[name], "width": 1.6},
            "%{y:,.1f} USDT",
        )
        for name, index in series.engine_index.items()
    ]
    layout = _layout()
    layout["yaxis"] |= LOG_AXIS
    return {"data": traces, "layout": layout}


def contribution_figure(report: Report) -> Figure:
    """Draw each engine's profit without flows."""
    names = list(report.engines)
    profits = [round(one.profit_usdt, 2) for one in report.engines.values()]
    trace = {
        "type": "bar",
        "x": [engine_title(name) for name in names],
        "y": profits,
        "marker": {"color": [ENGINE_COLOURS[name] for name in names]},
        "text": [f"{profit:+,.0f}" for profit in profits],
        "textposition": "auto",
        "hovertemplate": "%{x}: %{y:+,.2f} USDT<extra></extra>",
    }
    layout = _layout(height=280)
    layout |= {"showlegend": False, "hovermode": "closest"}
    layout["xaxis"] = {"fixedrange": True, "type": "category", "automargin": True}
    return {"data": [trace], "layout": layout}


def regime_figure(series: Series) -> Figure:
    """Draw BTC's price over bands of the regime of each day."""
    trace = _line("BTC", list(series.btc_close), {"color": INK, "width": 1.3}, "%{y:,.0f} USDT")
    trace["customdata"] = [regime.replace("_", " ") for regime in series.regime]
    trace["hovertemplate"] = "%{y:,.0f} USDT, %{customdata}<extra></extra>"
    keys = [
        {
            "type": "scatter",
            "mode": "markers",
            "x": [None],
            "y": [None],
            "name": label.replace("_", " "),
            "marker": {"symbol": "square", "size": 12, "color": colour},
            "hoverinfo": "skip",
        }
        for label, colour in REGIME_COLOURS.items()
    ]
    layout = _layout(height=380)
    layout["yaxis"] |= LOG_AXIS
    layout["shapes"] = _bands(series)
    return {"data": [trace, *keys], "layout": layout}


def exposure_figure(series: Series) -> Figure:
    """Stack the engines' gross notional as a share of the portfolio's equity."""
    traces = [
        _line(engine_title(name), share, {"color": ENGINE_COLOURS[name], "width": 0.6}, "%{y:.1%}")
        | {"stackgroup": "one", "fillcolor": ENGINE_COLOURS[name] + "59"}
        for name, share in series.exposure.items()
    ]
    layout = _layout()
    layout["yaxis"] |= {"tickformat": ".0%", "rangemode": "tozero"}
    return {"data": traces, "layout": layout}


def cost_figure(report: Report) -> Figure:
    """Draw fees, slippage and funding of each engine; what was paid points down."""
    names = [engine_title(name) for name in report.engines]
    kinds = (
        ("Fees", "#c0392b", [-one.fees_usdt for one in report.engines.values()]),
        ("Slippage", "#e08a00", [-one.slippage_usdt for one in report.engines.values()]),
        ("Funding", "#12805c", [one.funding_usdt for one in report.engines.values()]),
    )
    traces = [
        {
            "type": "bar",
            "name": kind,
            "x": names,
            "y": [round(amount, 2) for amount in amounts],
            "marker": {"color": colour},
            "hovertemplate": f"{kind}: %{{y:+,.2f}} USDT<extra></extra>",
        }
        for kind, colour, amounts in kinds
    ]
    layout = _layout(height=320)
    layout["xaxis"] = {"fixedrange": True, "type": "category", "automargin": True}
    layout["barmode"] = "group"
    return {"data": traces, "layout": layout}


def breaker_figure(report: Report, series: Series) -> Figure:
    """Draw the breaker's level over time, with the operator's approvals as marks."""
    level = _line("Level", list(series.breaker_level), {"color": "#c0392b", "width": 1.6, "shape": "hv"}, "level %{y}")
    level |= {"fill": "tozeroy", "fillcolor": "rgba(192,57,43,0.15)"}
    events = [event for event in report.detail.events if event.kind == "approval"] if report.detail else []
    approvals = {
        "type": "scatter",
        "mode": "markers",
        "name": "Approval",
        "x": [event.at for event in events],
        "y": [0.15 for _ in events],
        "text": [event.detail for event in events],
        "marker": {"symbol": "triangle-up", "size": 11, "color": "#12805c"},
        "hovertemplate": "%{x|%Y-%m-%d %H:%M}: %{text}<extra></extra>",
    }
    layout = _layout(height=240)
    layout["yaxis"] |= {"range": [0, 4.3], "dtick": 1, "tickformat": "d"}
    return {"data": [level, approvals], "layout": layout}


def _line(name: str, values: Sequence[float | int | None], line: dict[str, Any], hover: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": "days",
        "y": list(values),
        "line": line,
        "hovertemplate": f"{name}: {hover}<extra></extra>",
    }


def _drawdown(index: Sequence[float]) -> list[float]:
    high, under = 0.0, []
    for value in index:
        high = max(high, value)
        under.append(round(value / high - 1.0, 4) if high > 0 else 0.0)
    return under


def _axis() -> dict[str, Any]:
    return {
        "gridcolor": GRID,
        "zerolinecolor": "#c3ccd4",
        "fixedrange": True,
        "automargin": True,
    }


def _layout(height: int = 340) -> dict[str, Any]:
    return {
        "height": height,
        "margin": {"l": 8, "r": 8, "t": 34, "b": 28},
        "font": {"family": "system-ui, sans-serif", "size": 12, "color": INK},
        "paper_bgcolor": "#ffffff",
        "plot_bgcolor": "#ffffff",
        "hovermode": "x unified",
        "showlegend": True,
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "traceorder": "normal"},
        "xaxis": {
            "type": "date",
            "gridcolor": GRID,
            "automargin": True,
            "hoverformat": "%a %Y-%m-%d",
            "ticks": "outside",
            "ticklen": 6,
            "tickcolor": "#ffffff",
        },
        "yaxis": _axis(),
    }


def _bands(series: Series) -> list[dict[str, Any]]:
    """Give one rectangle for each run of days of one regime."""
    shapes = []
    first = 0
    for regime, run in groupby(series.regime):
        last = first + sum(1 for _ in run)
        shapes.append(
            {
                "type": "rect",
                "xref": "x",
                "yref": "paper",
                "x0": series.days[first],
                "x1": series.days[min(last, len(series.days) - 1)],
                "y0": 0,
                "y1": 1,
                "fillcolor": REGIME_COLOURS[regime],
                "line": {"width": 0},
                "layer": "below",
            }
        )
        first = last
    return shapes
