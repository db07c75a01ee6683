"""Lay a report out as titled tables of text, once, for the terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from eternal_engine.reports.metrics import Metrics
from eternal_engine.reports.report import EngineReport, Report, RunMetrics
from eternal_engine.reports.wording import NOTHING, engine_title, percent, quantity, ratio, usdt


@dataclass(frozen=True)
class Table:
    """Hold one titled table.

    Columns whose numbers are in `left` are text, the others right-aligned figures. Rows and columns named in
    `neutral` have signs that are neither good nor bad.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    left: frozenset[int] = field(default_factory=lambda: frozenset({0}))
    neutral: frozenset[str] = frozenset()

    def tone(self, row: tuple[str, ...], column: int) -> str:
        """Say whether a cell is a "gain", a "loss" or neither ("")."""
        cell = row[column]
        if column in self.left or not cell.startswith(("+", "-")) or {row[0], self.columns[column]} & self.neutral:
            return ""
        return "gain" if cell.startswith("+") else "loss"


def summary_tables(report: Report) -> tuple[Table, ...]:
    """Give the tables that answer: what came of it, by whom, against what, at which price."""
    tables = [
        performance_table(report),
        engine_table(report),
        cost_table(report),
        year_table(report),
        drawdown_table(report),
        regime_table(report),
        breaker_table(report),
        reason_table(report),
    ]
    if report.denials:
        tables.append(denial_table(report))
    if report.open_positions:
        tables.append(position_table(report))
    return tuple(tables)


def range_lines(report: Report) -> tuple[str, ...]:
    """Say what was asked, what was run, and on what (J15)."""
    data = report.data
    asked = f"asked {data.requested_start} to {data.requested_end}"
    lines = [
        f"{asked}; run {data.start} to {data.end}: {data.days:,} days, {data.years:.2f} years",
        f"data: {data.source}; history from {data.history_start}; instruments: {data.instrument_table}",
    ]
    if data.shortened:
        lines.insert(1, f"The data does not cover what was asked: every figure is over the {data.years:.2f} years run.")
    if data.mark:
        lines.insert(0, f"{data.mark}: a made-up market, no statement about any real one")
    missing = sum(gap.bars for gap in data.gaps)
    if missing:
        lines.append(f"gaps: {len(data.gaps):,}, {missing:,} hourly bars missing in all; nothing is decided on them")
    # A result over coins that were chosen afterwards must not be read without that word.
    lines.extend(note for note in data.notes if "hindsight" in note)
    return tuple(lines)


def performance_table(report: Report) -> Table:
    """Set the portfolio beside the benchmarks."""
    rivals = list(report.benchmarks.values())
    every: list[Metrics] = [report.metrics, *rivals]
    finals = [report.metrics.final_equity_usdt, *(rival.final_equity_usdt for rival in rivals)]
    rows = [("Final equity, USDT", *(usdt(final) for final in finals))]
    if report.metrics.deposits_usdt:
        rows.append(("  of it deposits, USDT", *(usdt(report.metrics.deposits_usdt) for _ in every)))
    for label, write in _FIGURES:
        rows.append((label, *(write(one) for one in every)))
        if label == _DRAWDOWN:
            hourly = percent(report.max_drawdown_hourly_frac)
            rows.append(("  marked hourly", hourly, *(NOTHING for _ in rivals)))
    return Table(
        "Performance",
        ("", "Portfolio", *(rival.title for rival in rivals)),
        tuple(rows),
        note="Daily UTC returns, 365 days a year, time-weighted: deposits are not returns. "
        "BTC/ETH 67/33 DCA buys both each week with equal parts of the capital. "
        f"Deflated Sharpe: against the best of {_counted(report.metrics.trials, 'trial')} by luck.",
        neutral=frozenset({"Skew", "Excess kurtosis"}),
    )


def _worst(one: Metrics) -> str:
    if one.max_drawdown_peak is None:
        return NOTHING
    return f"{one.max_drawdown_days:,} days{'' if one.max_drawdown_recovery else ', open'}"


def _factor(one: RunMetrics) -> str:
    if one.profit_factor is None:
        return "no losses" if one.closed_trades else NOTHING
    return ratio(one.profit_factor)


_DRAWDOWN = "Max drawdown, daily"
_FIGURES: tuple[tuple[str, Callable[[Metrics], str]], ...] = (
    ("Total return", lambda m: percent(m.total_return_frac, sign=True)),
    ("CAGR", lambda m: percent(m.cagr_frac, sign=True)),
    ("Volatility", lambda m: percent(m.volatility_frac)),
    ("Sharpe", lambda m: ratio(m.sharpe)),
    ("Sortino", lambda m: ratio(m.sortino)),
    ("Calmar", lambda m: ratio(m.calmar)),
    (_DRAWDOWN, lambda m: percent(m.max_drawdown_frac)),
    ("  peak to recovery", _worst),
    ("Longest under a high", lambda m: f"{m.longest_drawdown_days:,} days"),
    ("Ulcer index", lambda m: percent(m.ulcer_frac)),
    ("Best day", lambda m: percent(m.best_day_frac, sign=True)),
    ("Worst day", lambda m: percent(m.worst_day_frac, sign=True)),
    ("Days with a gain", lambda m: percent(m.positive_days_frac)),
    ("Skew", lambda m: ratio(m.skew)),
    ("Excess kurtosis", lambda m: ratio(m.kurtosis)),
    ("Tail ratio", lambda m: ratio(m.tail_ratio)),
    ("Chance Sharpe > 0", lambda m: percent(m.probabilistic_sharpe)),
    ("Deflated Sharpe", lambda m: percent(m.deflated_sharpe)),
)


def engine_table(report: Report) -> Table:
    """Set the engines side by side."""
    every = list(report.engines.values())
    rows = tuple((label, *(write(one) for one in every)) for label, write in _ENGINE_FIGURES)
    idle = report.metrics.start_equity_usdt - sum(one.start_equity_usdt for one in every)
    note = (
        "Profit is without flows (deposits, transfers between engines); contribution is profit over the portfolio's "
        "start equity; exposure is the mean of gross notional over the engine's own equity."
    )
    if idle > 0.005:
        note += f" {usdt(idle)} USDT belong to engines that are switched off and stay idle."
    return Table("Engines", ("", *(engine_title(name) for name in report.engines)), rows, note=note)


_ENGINE_FIGURES: tuple[tuple[str, Callable[[EngineReport], str]], ...] = (
    ("Start equity, USDT", lambda e: usdt(e.start_equity_usdt)),
    ("Flows in or out, USDT", lambda e: usdt(e.flows_usdt, sign=True)),
    ("Final equity, USDT", lambda e: usdt(e.final_equity_usdt)),
    ("Profit, USDT", lambda e: usdt(e.profit_usdt, sign=True)),
    ("Contribution", lambda e: percent(e.contribution_frac, sign=True)),
    ("Total return", lambda e: percent(e.total_return_frac, sign=True)),
    ("CAGR", lambda e: percent(e.cagr_frac, sign=True)),
    ("Volatility", lambda e: percent(e.volatility_frac)),
    ("Sharpe", lambda e: ratio(e.sharpe)),
    ("Sortino", lambda e: ratio(e.sortino)),
    ("Calmar", lambda e: ratio(e.calmar)),
    (_DRAWDOWN, lambda e: percent(e.max_drawdown_frac)),
    ("Mean exposure", lambda e: percent(e.exposure_mean_frac, 0)),
    ("Orders", lambda e: f"{e.orders:,}"),
    ("Closed trades", lambda e: f"{e.closed_trades:,}" if e.closed_trades else "no closed trades"),
    ("  won", lambda e: percent(e.win_rate_frac, 0)),
    ("  profit factor", _factor),
)


def won(one: RunMetrics) -> str:
    """Say how many closed trades won, or that there are none."""
    if one.win_rate_frac is None:
        return "no closed trades"
    return f"{one.closed_trades:,}, {percent(one.win_rate_frac, 0)} won"


def cost_table(report: Report) -> Table:
    """List what trading cost, and what funding brought, per engine."""
    every: list[tuple[str, RunMetrics | EngineReport]] = [(engine_title(n), e) for n, e in report.engines.items()]
    every.append(("All", report.metrics))
    rows = [
        (
            name,
            usdt(one.fees_usdt, 2),
            usdt(one.slippage_usdt, 2),
            usdt(one.funding_usdt, 2, sign=True),
            "" if one.turnover_per_year is None else f"{one.turnover_per_year:.2f} x",
        )
        for name, one in every
    ]
    return Table(
        "Costs",
        ("Engine", "Fees paid", "Slippage paid", "Funding received", "Turnover a year"),
        tuple(rows),
        note="USDT over the whole run. Turnover: traded notional, both sides, over mean equity.",
    )


def year_table(report: Report) -> Table:
    """List calendar years beside the benchmarks."""
    titles = [rival.title for rival in report.benchmarks.values()]
    rows = [
        (
            f"{line.year}" + (f" ({line.days} days)" if line.days < 365 else ""),
            percent(line.return_frac, sign=True),
            *(percent(line.benchmarks.get(name), sign=True) for name in report.benchmarks),
        )
        for line in report.years
    ]
    return Table("Calendar years", ("Year", "Portfolio", *titles), tuple(rows))


def drawdown_table(report: Report) -> Table:
    """List the deepest falls of the portfolio."""
    rows = [
        (
            percent(fall.depth_frac),
            fall.peak,
            fall.trough,
            fall.recovery or "not yet",
            f"{fall.days_to_trough:,}",
            f"{fall.days:,}",
        )
        for fall in report.drawdowns
    ]
    return Table(
        "Deepest drawdowns",
        ("Depth", "Peak", "Trough", "Recovery", "Days to trough", "Days to recovery"),
        tuple(rows),
        note="Daily closes, time-weighted; falls of at least 1 %. Not yet: days until the end of the run.",
        left=frozenset({1, 2, 3}),
    )


def regime_table(report: Report) -> Table:
    """List what each market regime brought."""
    rows = [
        (
            line.regime.replace("_", " "),
            f"{line.days}",
            percent(line.share_frac),
            percent(line.return_frac, sign=True),
            percent(line.btc_return_frac, sign=True),
        )
        for line in report.regimes
    ]
    return Table(
        "Market regimes",
        ("Regime", "Days", "Share", "Portfolio", "BTC"),
        tuple(rows),
        note="Named from BTC's daily closes before the day. The returns compound to the total.",
    )


def breaker_table(report: Report) -> Table:
    """Say how often the breaker tripped, was approved, and how long each level stood."""
    names = ("normal", "1 CAUTION", "2 WARNING", "3 ALERT", "4 EMERGENCY")
    rows = [(name, f"{report.breaker.days_at_level.get(str(level), 0.0):,.1f}") for level, name in enumerate(names)]
    return Table(
        "Circuit breaker",
        ("Level", "Days"),
        tuple(rows),
        note=f"{_counted(report.breaker.events, 'change')} of level, "
        f"{_counted(report.breaker.approvals, 'approval')} by the operator; "
        f"at the end: {names[report.breaker.last_level]}.",
    )


def reason_table(report: Report) -> Table:
    """Count orders by the rule that asked for them."""
    rows = [
        (
            engine_title(line.engine),
            line.reason,
            line.side,
            f"{line.orders:,}",
            usdt(line.notional_usdt),
            usdt(line.fees_usdt, 2),
        )
        for line in report.orders_by_reason
    ]
    return Table(
        "Orders by reason",
        ("Engine", "Rule", "Side", "Orders", "Notional", "Fees"),
        tuple(rows),
        note=f"{report.orders:,} orders in all; notional and fees in USDT.",
        left=frozenset({0, 1, 2}),
    )


def denial_table(report: Report) -> Table:
    """Count signals that a rule denied or cut."""
    rows = tuple((engine_title(line.engine), line.rule, f"{line.count:,}") for line in report.denials)
    return Table("Denied or cut by a rule", ("Engine", "Rule", "Times"), rows, left=frozenset({0, 1}))


def position_table(report: Report) -> Table:
    """List what is still held at the end, marked."""
    rows = [
        (
            engine_title(line.engine),
            line.symbol,
            line.market,
            quantity(line.qty),
            quantity(line.entry_price),
            quantity(line.mark_price),
            usdt(line.value_usdt),
            usdt(line.unrealised_usdt, sign=True),
        )
        for line in report.open_positions
    ]
    return Table(
        "Open at the end",
        ("Engine", "Symbol", "Market", "Quantity", "Entry", "Mark", "Value", "Unrealised"),
        tuple(rows),
        note="Marked at the last close and counted in the equity; value and unrealised profit in USDT.",
        left=frozenset({0, 1, 2}),
        neutral=frozenset({"Quantity"}),
    )


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def month_table(report: Report) -> Table:
    """Lay the months out as one row a year."""
    by_year: dict[int, dict[int, str]] = {}
    for line in report.months:
        by_year.setdefault(line.year, {})[line.month] = percent(line.return_frac, sign=True)
    rows = [(str(year), *(months.get(number, "") for number in range(1, 13))) for year, months in by_year.items()]
    return Table("Monthly returns", ("Year", *MONTHS), tuple(rows), note="Time-weighted, compounded daily.")


MONTHS: Sequence[str] = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
