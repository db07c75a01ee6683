"""Compute the report of a run from its rows and arrays."""

from __future__ import annotations

from dataclasses import asdict, fields

import numpy as np

from eternal_engine.market_data.history import DAY_MS, HOUR_MS
from eternal_engine.reports.benchmarks import Benchmark, PurchaseCost, benchmarks
from eternal_engine.reports.daily import returns_of
from eternal_engine.reports.drawdown import drawdown, falls
from eternal_engine.reports.market_regime import Regime, regimes, returns_by_regime
from eternal_engine.reports.metrics import Metrics, measure
from eternal_engine.reports.report import (
    SCHEMA,
    SYNTHETIC_MARK,
    BenchmarkReport,
    BreakerLine,
    DataLine,
    DenialLine,
    Detail,
    EventLine,
    FallLine,
    GapLine,
    MonthLine,
    PositionLine,
    ReasonLine,
    Report,
    Series,
    TradeLine,
    YearLine,
)
from eternal_engine.reports.result import ENGINES, BacktestResult, Float64Array, Int64Array
from eternal_engine.reports.run_metrics import Measured, hourly_drawdown, measure_run
from eternal_engine.reports.wording import day, instant

# Shallower falls are daily noise, and a table of them hides the ones that hurt.
FALLS_SHOWN = 10
FALL_AT_LEAST_FRAC = 0.01


def build_report(result: BacktestResult, trials: int = 1, detail: bool = False) -> Report:
    """Compute everything a report shows. `detail` adds daily series, trades and events for plots and saved runs."""
    measured = measure_run(result, trials)
    rivals = benchmarks(
        result.close_ms,
        result.btc_close,
        result.eth_close,
        result.external_flow,
        float(result.equity[:, 0].sum()),
        PurchaseCost(result.spot_fee_frac, result.slippage_frac),
    )
    daily = measured.index
    returns = returns_of(daily)
    named = day_regimes(result, measured.grid.row)
    btc = known_prices(result.btc_close[measured.grid.row])
    return Report(
        schema=SCHEMA,
        result_hash=result.result_hash,
        config_hash=result.config_hash,
        seed=result.seed,
        capital_usdt=result.capital_usdt,
        deposit_weekly_usdt=result.deposit_weekly_usdt,
        symbols=result.symbols,
        data=_data_line(result, measured),
        metrics=measured.portfolio,
        max_drawdown_hourly_frac=hourly_drawdown(result),
        engines=measured.engines,
        orders=len(result.orders),
        breaker=_breaker_line(result),
        benchmarks={rival.name: _benchmark_report(rival, measured, trials) for rival in rivals},
        drawdowns=_fall_lines(daily, measured),
        years=_year_lines(returns, rivals, measured),
        months=_month_lines(returns, measured.grid.day_ms[1:]),
        regimes=returns_by_regime(named, returns, returns_of(btc)),
        orders_by_reason=_reason_lines(result),
        denials=_denial_lines(result.denials),
        open_positions=tuple(PositionLine(**asdict(row)) for row in result.open_positions),
        timing_ms=result.timing_ms,
        detail=_detail(result, measured, rivals, named) if detail else None,
    )


def day_regimes(result: BacktestResult, rows: Int64Array) -> Int64Array:
    """Name the regime of each day of the run [D], from the closes before that day only."""
    before = result.btc_daily_before
    inside = known_prices(result.btc_close[rows])
    closes = np.concatenate((before[:-1], inside)) if len(before) else inside
    return regimes(closes)[len(closes) - len(inside) : -1]


def known_prices(closes: Float64Array) -> Float64Array:
    """Fill prices that are not known yet with the first known one, or 1 when there is none: they then do not move."""
    known = np.flatnonzero(np.isfinite(closes))
    filled = closes.copy()
    filled[: known[0] if len(known) else len(closes)] = closes[known[0]] if len(known) else 1.0
    return filled


def _data_line(result: BacktestResult, measured: Measured) -> DataLine:
    start, end = int(result.close_ms[0]), int(result.close_ms[-1])
    return DataLine(
        source=result.source,
        synthetic=result.synthetic,
        mark=SYNTHETIC_MARK if result.synthetic else "",
        start=day(start),
        end=day(end - 1),
        start_at=instant(start),
        end_at=instant(end),
        requested_start=day(result.requested_start_ms),
        requested_end=day(result.requested_end_ms - 1),
        history_start=day(result.history_start_ms),
        days=measured.grid.days,
        years=measured.years,
        shortened=start > result.requested_start_ms or end < result.requested_end_ms,
        gaps=tuple(
            GapLine(
                dataset=gap.dataset,
                symbol=gap.symbol,
                start=instant(gap.start_ms),
                end=instant(gap.end_ms),
                bars=gap.bars,
            )
            for gap in result.gaps
        ),
        fingerprint=result.fingerprint,
        instrument_table=result.instrument_table,
        notes=result.notes,
    )


def _breaker_line(result: BacktestResult) -> BreakerLine:
    hours = np.diff(result.close_ms) / HOUR_MS
    levels = result.breaker_level[1:]
    return BreakerLine(
        events=result.breaker_events,
        approvals=result.approvals,
        last_level=int(result.breaker_level[-1]),
        days_at_level={str(level): round(float(hours[levels == level].sum()) / 24, 2) for level in range(5)},
    )


def _benchmark_report(rival: Benchmark, measured: Measured, trials: int) -> BenchmarkReport:
    figures = measure(rival.index[measured.grid.row], measured.years, trials, measured.name_of)
    return BenchmarkReport(
        **{field.name: getattr(figures, field.name) for field in fields(Metrics)},
        title=rival.title,
        final_equity_usdt=float(rival.equity[-1]),
    )


def _fall_lines(daily: Float64Array, measured: Measured) -> tuple[FallLine, ...]:
    lines = []
    last = len(daily) - 1
    for fall in falls(drawdown(daily), FALL_AT_LEAST_FRAC)[:FALLS_SHOWN]:
        recovery = None if fall.recovery is None else measured.name_of(fall.recovery)
        lines.append(
            FallLine(
                peak=measured.name_of(fall.peak),
                trough=measured.name_of(fall.trough),
                recovery=recovery,
                depth_frac=fall.depth_frac,
                days_to_trough=fall.trough - fall.peak,
                days=(last if fall.recovery is None else fall.recovery) - fall.peak,
            )
        )
    return tuple(lines)


def _month_lines(returns: Float64Array, day_ms: Int64Array) -> tuple[MonthLine, ...]:
    month = day_ms.astype("datetime64[ms]").astype("datetime64[M]").astype(np.int64)
    return tuple(
        MonthLine(
            year=1970 + int(key) // 12,
            month=1 + int(key) % 12,
            days=int(np.count_nonzero(month == key)),
            return_frac=_compounded(returns[month == key]),
        )
        for key in np.unique(month)
    )


def _year_lines(returns: Float64Array, rivals: tuple[Benchmark, ...], measured: Measured) -> tuple[YearLine, ...]:
    year = measured.grid.day_ms[1:].astype("datetime64[ms]").astype("datetime64[Y]").astype(np.int64)
    beside = {rival.name: returns_of(rival.index[measured.grid.row]) for rival in rivals}
    return tuple(
        YearLine(
            year=1970 + int(key),
            days=int(np.count_nonzero(year == key)),
            return_frac=_compounded(returns[year == key]),
            benchmarks={name: _compounded(series[year == key]) for name, series in beside.items()},
        )
        for key in np.unique(year)
    )


def _compounded(returns: Float64Array) -> float:
    return float(np.prod(1.0 + returns)) - 1.0


def _reason_lines(result: BacktestResult) -> tuple[ReasonLine, ...]:
    sums: dict[tuple[int, str, str, str], list[float]] = {}
    for order in result.orders:
        key = (ENGINES.index(order.engine), order.engine, order.reason, order.side)
        line = sums.setdefault(key, [0.0, 0.0, 0.0])
        line[0] += 1
        line[1] += order.qty * order.price
        line[2] += order.fee_usdt
    return tuple(
        ReasonLine(
            engine=engine, reason=reason, side=side, orders=int(total[0]), notional_usdt=total[1], fees_usdt=total[2]
        )
        for (_, engine, reason, side), total in sorted(sums.items())
    )


def _denial_lines(denials: dict[str, int]) -> tuple[DenialLine, ...]:
    lines = []
    for key, count in sorted(denials.items(), key=lambda item: (-item[1], item[0])):
        engine, _, rule = key.partition(":")
        lines.append(DenialLine(engine=engine, rule=rule, count=count))
    return tuple(lines)


def _detail(result: BacktestResult, measured: Measured, rivals: tuple[Benchmark, ...], named: Int64Array) -> Detail:
    return Detail(
        series=_series(result, measured, rivals, named),
        trades=tuple(
            TradeLine(
                engine=row.engine,
                symbol=row.symbol,
                position_side=row.position_side,
                opened_at=instant(row.opened_ms),
                closed_at=instant(row.closed_ms),
                days=round((row.closed_ms - row.opened_ms) / DAY_MS, 2),
                qty=row.qty,
                entry_price=row.entry_price,
                exit_price=row.exit_price,
                pnl_usdt=row.pnl_usdt,
                fees_usdt=row.fees_usdt,
                funding_usdt=row.funding_usdt,
                entry_reason=row.entry_reason,
                exit_reason=row.exit_reason,
            )
            for row in result.trades
        ),
        events=tuple(
            EventLine(
                at=instant(row.at_ms),
                kind=row.kind,
                engine=row.engine,
                symbol=row.symbol,
                rule=row.rule,
                detail=row.detail,
                amount_usdt=row.amount_usdt,
            )
            for row in result.events
        ),
    )


def _series(result: BacktestResult, measured: Measured, rivals: tuple[Benchmark, ...], named: Int64Array) -> Series:
    rows = measured.grid.row
    total = result.equity.sum(axis=0)[rows]
    share = np.divide(result.exposure[:, rows], total, out=np.zeros((len(ENGINES), len(rows))), where=total > 0)
    first_regime = (
        regimes(result.btc_daily_before[:-1])[-1:] if len(result.btc_daily_before) > 1 else np.array([Regime.SIDEWAYS])
    )
    levels = np.maximum.reduceat(result.breaker_level, np.append(0, rows[:-1] + 1)[: len(rows)])
    index = {"portfolio": measured.index} | {rival.name: rival.index[rows] for rival in rivals}
    return Series(
        days=tuple(measured.name_of(point) for point in range(len(rows))),
        equity={name: _rounded(result.equity[ENGINES.index(name), rows], 2) for name in result.engines},
        engine_index={name: _rounded(measured.engine_index[name], 6) for name in result.engines},
        exposure={name: _rounded(share[ENGINES.index(name)], 4) for name in result.engines},
        index={name: _rounded(series, 6) for name, series in index.items()},
        btc_close=tuple(float(v) if np.isfinite(v) else None for v in result.btc_close[rows]),
        regime=tuple(Regime(int(number)).label for number in np.concatenate((first_regime, named))),
        breaker_level=tuple(int(level) for level in levels),
    )


def _rounded(values: Float64Array, digits: int) -> tuple[float, ...]:
    return tuple(np.round(values, digits).tolist())
