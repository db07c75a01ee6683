"""Measure a whole run: the portfolio and each engine, with what they traded and paid."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any

import numpy as np

from eternal_engine.market_data.history import DAY_MS
from eternal_engine.reports.daily import DayGrid, day_grid, growth_index
from eternal_engine.reports.drawdown import drawdown
from eternal_engine.reports.metrics import DAYS_A_YEAR, Metrics, measure
from eternal_engine.reports.report import EngineReport, RunMetrics
from eternal_engine.reports.result import ENGINES, BacktestResult, Float64Array, TradeRow
from eternal_engine.reports.wording import day

_METRIC_NAMES = tuple(field.name for field in fields(Metrics))


@dataclass(frozen=True)
class Measured:
    """Hold a run's metrics and the time-weighted daily indices [D+1] of portfolio and engines they came from."""

    grid: DayGrid
    years: float
    index: Float64Array
    engine_index: dict[str, Float64Array]
    portfolio: RunMetrics
    engines: dict[str, EngineReport]
    name_of: Callable[[int], str]


@dataclass(frozen=True)
class _Book:
    """One book to measure, the portfolio or an engine: hourly arrays [N], exposure at daily closes, sums and rows."""

    equity: Float64Array
    flow: Float64Array
    exposure: Float64Array
    fees_usdt: float
    slippage_usdt: float
    funding_usdt: float
    notional_usdt: float
    trades: Sequence[TradeRow]


def measure_run(result: BacktestResult, trials: int = 1) -> Measured:
    """Compute all metrics of a run; `trials` is how many variants were tried before this one (deflated Sharpe)."""
    grid = day_grid(result.close_ms)
    years = float(result.close_ms[-1] - result.close_ms[0]) / DAY_MS / DAYS_A_YEAR

    def name_of(point: int) -> str:
        return day(int(grid.day_ms[point]))

    def measured(book: _Book) -> tuple[dict[str, Any], Float64Array]:
        index = growth_index(book.equity, book.flow, grid.row)
        daily = measure(index, years, trials, name_of)
        return {name: getattr(daily, name) for name in _METRIC_NAMES} | _money(book, grid, years), index

    books, orders = _engine_books(result, grid)
    whole, index = measured(_portfolio_book(result, grid, list(books.values())))
    portfolio = RunMetrics(**whole)
    engines: dict[str, EngineReport] = {}
    engine_index: dict[str, Float64Array] = {}
    for name, book in books.items():
        figures, engine_index[name] = measured(book)
        engines[name] = EngineReport(
            **figures,
            contribution_frac=_share(figures["profit_usdt"], portfolio.start_equity_usdt),
            flows_usdt=figures["deposits_usdt"],
            orders=orders[name],
        )
    return Measured(grid, years, index, engine_index, portfolio, engines, name_of)


def _engine_books(result: BacktestResult, grid: DayGrid) -> tuple[dict[str, _Book], dict[str, int]]:
    orders = dict.fromkeys(ENGINES, 0)
    notional = dict.fromkeys(ENGINES, 0.0)
    for engine, qty, price in map(attrgetter("engine", "qty", "price"), result.orders):
        orders[engine] += 1
        notional[engine] += qty * price
    fees, slippage, funding = (paid.sum(axis=1).tolist() for paid in (result.fees, result.slippage, result.funding))
    books = {}
    for name in result.engines:
        row = ENGINES.index(name)
        books[name] = _Book(
            equity=result.equity[row],
            flow=result.engine_flow[row],
            exposure=result.exposure[row][grid.row],
            fees_usdt=fees[row],
            slippage_usdt=slippage[row],
            funding_usdt=funding[row],
            notional_usdt=notional[name],
            trades=[trade for trade in result.trades if trade.engine == name],
        )
    return books, orders


def _portfolio_book(result: BacktestResult, grid: DayGrid, books: Sequence[_Book]) -> _Book:
    return _Book(
        equity=result.equity.sum(axis=0),
        flow=result.external_flow,
        exposure=result.exposure[:, grid.row].sum(axis=0),
        fees_usdt=sum(book.fees_usdt for book in books),
        slippage_usdt=sum(book.slippage_usdt for book in books),
        funding_usdt=sum(book.funding_usdt for book in books),
        notional_usdt=sum(book.notional_usdt for book in books),
        trades=[trade for book in books for trade in book.trades],
    )


def hourly_drawdown(result: BacktestResult) -> float:
    """Give the portfolio's deepest drawdown marked at every bar's close, a negative fraction."""
    return float(drawdown(growth_index(result.equity.sum(axis=0), result.external_flow)).min())


def _money(book: _Book, grid: DayGrid, years: float) -> dict[str, Any]:
    start, final = float(book.equity[0]), float(book.equity[-1])
    deposits = float(book.flow[1:].sum())
    equity, exposure = book.equity[grid.row], book.exposure
    mean_equity = float(equity.mean())
    share = np.divide(exposure, equity, out=np.zeros_like(equity), where=equity > 0)
    return {
        "start_equity_usdt": start,
        "deposits_usdt": deposits,
        "final_equity_usdt": final,
        "profit_usdt": final - start - deposits,
        "exposure_mean_frac": float(share.mean()),
        "exposure_max_frac": float(share.max()),
        "time_in_market_frac": float(np.count_nonzero(exposure)) / len(exposure),
        "turnover_per_year": book.notional_usdt / years / mean_equity if years > 0 and mean_equity > 0 else None,
        "fees_usdt": book.fees_usdt,
        "slippage_usdt": book.slippage_usdt,
        "funding_usdt": book.funding_usdt,
        "closed_trades": len(book.trades),
        "win_rate_frac": win_rate(book.trades),
        "profit_factor": profit_factor(book.trades),
    }


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 0.0


def win_rate(trades: Sequence[TradeRow]) -> float | None:
    """Give the share of closed trades that earned something after costs; None without closed trades (J12)."""
    return sum(row.pnl_usdt > 0 for row in trades) / len(trades) if trades else None


def profit_factor(trades: Iterable[TradeRow]) -> float | None:
    """Give gains over losses of closed trades; None when nothing was lost or nothing was closed."""
    gains = losses = 0.0
    for row in trades:
        if row.pnl_usdt > 0:
            gains += row.pnl_usdt
        else:
            losses -= row.pnl_usdt
    return gains / losses if losses > 0 else None
