"""Set several reports side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from eternal_engine.reports.report import Report
from eternal_engine.reports.tables import Table, won
from eternal_engine.reports.wording import engine_title, percent, ratio, usdt

_ROWS: tuple[tuple[str, Callable[[Report], str]], ...] = (
    ("Asked", lambda r: f"{r.data.requested_start} to {r.data.requested_end}"),
    ("Run", lambda r: f"{r.data.start} to {r.data.end}"),
    ("Years run", lambda r: f"{r.data.years:.2f}"),
    ("Data", lambda r: r.data.mark or r.data.source),
    ("Engines", lambda r: ", ".join(engine_title(name) for name in r.engines)),
    ("Start equity, USDT", lambda r: usdt(r.metrics.start_equity_usdt)),
    ("Deposits, USDT", lambda r: usdt(r.metrics.deposits_usdt)),
    ("Final equity, USDT", lambda r: usdt(r.metrics.final_equity_usdt)),
    ("Total return", lambda r: percent(r.metrics.total_return_frac, sign=True)),
    ("CAGR", lambda r: percent(r.metrics.cagr_frac, sign=True)),
    ("Volatility", lambda r: percent(r.metrics.volatility_frac)),
    ("Sharpe", lambda r: ratio(r.metrics.sharpe)),
    ("Deflated Sharpe", lambda r: percent(r.metrics.deflated_sharpe)),
    ("Sortino", lambda r: ratio(r.metrics.sortino)),
    ("Calmar", lambda r: ratio(r.metrics.calmar)),
    ("Max drawdown", lambda r: percent(r.metrics.max_drawdown_frac)),
    ("Longest under a high", lambda r: f"{r.metrics.longest_drawdown_days} days"),
    ("Exposure", lambda r: percent(r.metrics.exposure_mean_frac, 0)),
    ("Orders", lambda r: f"{r.orders:,}"),
    ("Closed trades", lambda r: won(r.metrics)),
    ("Fees, USDT", lambda r: usdt(r.metrics.fees_usdt)),
    ("Slippage, USDT", lambda r: usdt(r.metrics.slippage_usdt)),
    ("Funding, USDT", lambda r: usdt(r.metrics.funding_usdt, sign=True)),
    ("Breaker changes", lambda r: f"{r.breaker.events}"),
    ("Approvals", lambda r: f"{r.breaker.approvals}"),
    ("BTC hold", lambda r: _rival(r, "btc_hold")),
    ("BTC/ETH 67/33 DCA", lambda r: _rival(r, "dca_btc_eth_67_33")),
    ("Result hash", lambda r: r.result_hash[:12]),
)


def comparison_table(reports: Mapping[str, Report]) -> Table:
    """Give one column a report, named by its key."""
    rows = tuple((label, *(write(report) for report in reports.values())) for label, write in _ROWS)
    return Table("Comparison", ("", *reports), rows, note="Benchmarks: total return on the same days.")


def periods_table(reports: Mapping[str, Report]) -> Table:
    """Give one row a report: the same engines over several periods, narrow enough for 80 columns."""
    columns = ("Period", "Years", "Return", "CAGR", "Sharpe", "Max DD", "BTC hold")
    # The title carries a mark that all rows share.
    mixed = len({report.data.mark for report in reports.values()}) > 1
    rows = tuple(
        (
            name
            + (f" [{report.data.mark}]" if mixed and report.data.mark else "")
            + (" *" if report.data.shortened else ""),
            f"{report.data.years:.2f}",
            percent(report.metrics.total_return_frac, sign=True),
            percent(report.metrics.cagr_frac, sign=True),
            ratio(report.metrics.sharpe),
            percent(report.metrics.max_drawdown_frac),
            _rival(report, "btc_hold"),
        )
        for name, report in reports.items()
    )
    ran = [f"{name} ran {r.data.start} to {r.data.end}" for name, r in reports.items() if r.data.shortened]
    shortened = f" * shortened, the data does not cover what was asked: {'; '.join(ran)}." if ran else ""
    return Table(
        "Periods",
        columns,
        rows,
        note="Each period starts afresh with the full capital; figures are annualised by the years run. "
        f"Benchmark: total return on the same days.{shortened}",
        left=frozenset({0}),
    )


def comparison_json(reports: Mapping[str, Report]) -> dict[str, Any]:
    """Give the figures of each report under its name, for scripts."""
    return {
        name: {
            "result_hash": report.result_hash,
            "data": vars(report.data) | {"gaps": [vars(gap) for gap in report.data.gaps]},
            "metrics": vars(report.metrics),
            "engines": {engine: vars(one) for engine, one in report.engines.items()},
            "orders": report.orders,
            "breaker": vars(report.breaker),
            "benchmarks": {rival: vars(one) for rival, one in report.benchmarks.items()},
        }
        for name, report in reports.items()
    }


def _rival(report: Report, name: str) -> str:
    rival = report.benchmarks.get(name)
    return percent(rival.total_return_frac if rival else None, sign=True)
