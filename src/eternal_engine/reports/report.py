"""The computed report of one run: what terminal, JSON, Markdown and HTML all show, so that they cannot differ.

Its fields are the JSON's keys. Fractions are of 1, money is USDT, days are ISO dates of UTC days, instants end in Z.
"""

from __future__ import annotations

from dataclasses import dataclass

from eternal_engine.reports.market_regime import RegimeReturn
from eternal_engine.reports.metrics import Metrics

SCHEMA = 1
SYNTHETIC_MARK = "SYNTHETIC DATA"


@dataclass(frozen=True, kw_only=True)
class GapLine:
    """One run of missing hourly bars, from `start` until just before `end`."""

    dataset: str
    symbol: str
    start: str
    end: str
    bars: int


@dataclass(frozen=True, kw_only=True)
class DataLine:
    """Say what the run looked at, what was asked and what there was (J15)."""

    source: str
    synthetic: bool
    mark: str
    start: str
    end: str
    start_at: str
    end_at: str
    requested_start: str
    requested_end: str
    history_start: str
    days: int
    years: float
    shortened: bool
    gaps: tuple[GapLine, ...]
    fingerprint: str
    instrument_table: str
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class RunMetrics(Metrics):
    """Hold the portfolio's figures: those of its time-weighted daily index, and of its money.

    Exposure is gross notional over equity at daily closes, `time_in_market_frac` the share of them with any.
    `turnover_per_year` is traded notional a year over the mean equity of daily closes, both sides
    counted.
    """

    start_equity_usdt: float
    deposits_usdt: float
    final_equity_usdt: float
    profit_usdt: float
    exposure_mean_frac: float
    exposure_max_frac: float
    time_in_market_frac: float
    turnover_per_year: float | None
    fees_usdt: float
    slippage_usdt: float
    funding_usdt: float
    closed_trades: int
    win_rate_frac: float | None
    profit_factor: float | None


@dataclass(frozen=True, kw_only=True)
class EngineReport(RunMetrics):
    """Hold one engine's figures, flow-adjusted: transfers and deposits are not its earnings.

    `profit_usdt` is final equity minus start equity minus net flows; `contribution_frac` is it over the portfolio's
    start equity. `flows_usdt` are net transfers and deposits.
    """

    contribution_frac: float
    flows_usdt: float
    orders: int


@dataclass(frozen=True, kw_only=True)
class BenchmarkReport(Metrics):
    """Hold the figures of one alternative on the same days."""

    title: str
    final_equity_usdt: float


@dataclass(frozen=True, kw_only=True)
class BreakerLine:
    """Count what the breaker did. `days_at_level` is by level, in days of hourly closes."""

    events: int
    approvals: int
    last_level: int
    days_at_level: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class FallLine:
    """One drawdown of the portfolio on daily closes."""

    peak: str
    trough: str
    recovery: str | None
    depth_frac: float
    days_to_trough: int
    days: int


@dataclass(frozen=True, kw_only=True)
class MonthLine:
    """One calendar month's time-weighted return, of the days of it that were run."""

    year: int
    month: int
    days: int
    return_frac: float


@dataclass(frozen=True, kw_only=True)
class YearLine:
    """One calendar year's time-weighted returns beside the benchmarks'."""

    year: int
    days: int
    return_frac: float
    benchmarks: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class ReasonLine:
    """Orders of one engine for one reason (rule id)."""

    engine: str
    reason: str
    side: str
    orders: int
    notional_usdt: float
    fees_usdt: float


@dataclass(frozen=True, kw_only=True)
class DenialLine:
    """How often a rule denied or cut an engine's signals."""

    engine: str
    rule: str
    count: int


@dataclass(frozen=True, kw_only=True)
class PositionLine:
    """One position still open at the end, marked (J12)."""

    engine: str
    symbol: str
    market: str
    qty: float
    entry_price: float
    mark_price: float
    value_usdt: float
    unrealised_usdt: float


@dataclass(frozen=True, kw_only=True)
class TradeLine:
    """One closed trade with the rules that opened and closed it."""

    engine: str
    symbol: str
    position_side: str
    opened_at: str
    closed_at: str
    days: float
    qty: float
    entry_price: float
    exit_price: float
    pnl_usdt: float
    fees_usdt: float
    funding_usdt: float
    entry_reason: str
    exit_reason: str


@dataclass(frozen=True, kw_only=True)
class EventLine:
    """One thing that happened beside orders."""

    at: str
    kind: str
    engine: str
    symbol: str
    rule: str
    detail: str
    amount_usdt: float


@dataclass(frozen=True, kw_only=True)
class Series:
    """Hold daily series for plots; all have one value per element of `days`, the first is the state at the start.

    `equity` and `exposure` (a fraction of the portfolio's equity) are by engine, `index` by portfolio and benchmark,
    `breaker_level` is the highest of each day.
    """

    days: tuple[str, ...]
    equity: dict[str, tuple[float, ...]]
    engine_index: dict[str, tuple[float, ...]]
    exposure: dict[str, tuple[float, ...]]
    index: dict[str, tuple[float, ...]]
    btc_close: tuple[float | None, ...]
    regime: tuple[str, ...]
    breaker_level: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Detail:
    """Hold what plots and long tables need; left out of `--json`, kept in a saved run."""

    series: Series
    trades: tuple[TradeLine, ...]
    events: tuple[EventLine, ...]


@dataclass(frozen=True, kw_only=True)
class Report:
    """Hold one run's report.

    `max_drawdown_hourly_frac` is marked at every hourly close, unlike `metrics.max_drawdown_frac`: daily closes.
    """

    schema: int
    result_hash: str
    config_hash: str
    seed: int | None
    capital_usdt: float
    deposit_weekly_usdt: float
    symbols: tuple[str, ...]
    data: DataLine
    metrics: RunMetrics
    max_drawdown_hourly_frac: float
    engines: dict[str, EngineReport]
    orders: int
    breaker: BreakerLine
    benchmarks: dict[str, BenchmarkReport]
    drawdowns: tuple[FallLine, ...]
    years: tuple[YearLine, ...]
    months: tuple[MonthLine, ...]
    regimes: tuple[RegimeReturn, ...]
    orders_by_reason: tuple[ReasonLine, ...]
    denials: tuple[DenialLine, ...]
    open_positions: tuple[PositionLine, ...]
    timing_ms: dict[str, float]
    detail: Detail | None = None
