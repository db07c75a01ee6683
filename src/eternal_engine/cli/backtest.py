"""`eternal backtest`: run the engines over history, over several periods, and report and compare what came of it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eternal_engine.cli.backtest_request import (
    CapitalOption,
    DataOption,
    DepositOption,
    EndOption,
    EngineOption,
    JsonOption,
    PlainOption,
    SeedOption,
    StartOption,
    TrialsOption,
    Wish,
    YearsOption,
    busy,
    check_targets,
    parse_engines,
    parse_period,
    read_settings,
    run_wish,
    wish,
)
from eternal_engine.cli.dates import parse_day
from eternal_engine.clock import monotonic
from eternal_engine.files import write_whole
from eternal_engine.launch.collector import no_collection
from eternal_engine.model.errors import UsageError
from eternal_engine.reports.assemble import build_report
from eternal_engine.reports.report import Report
from eternal_engine.reports.result import BacktestResult
from eternal_engine.reports.stored import load, orders_csv, save, to_json
from eternal_engine.reports.tables import Table

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Run the four engines over history, and report.")

DEFAULT_YEARS = (3, 5, 8)


@app.command()
def run(
    data: DataOption = None,
    start: StartOption = "",
    end: EndOption = "",
    years: YearsOption = None,
    engine: EngineOption = None,
    capital: CapitalOption = None,
    deposit_weekly: DepositOption = None,
    seed: SeedOption = None,
    trials: TrialsOption = 1,
    plain: PlainOption = False,
    as_json: JsonOption = False,
    orders: Annotated[
        Path | None, typer.Option("--orders", metavar="FILE", help="Write every order to this CSV file.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write the report as one self-contained HTML file.")
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option("--markdown", metavar="FILE", help="Write the report as Markdown.")
    ] = None,
    save_to: Annotated[
        Path | None, typer.Option("--save", metavar="FILE", help="Store the run as JSON for `report` and `compare`.")
    ] = None,
) -> None:
    """Run one backtest and report on it."""
    wanted = wish(
        data=data,
        start=start,
        end=end,
        years=years,
        engine=engine,
        capital=capital,
        deposit_weekly=deposit_weekly,
        seed=seed,
        plain=plain,
    )
    _check_trials(trials)
    check_targets(orders, html, markdown, save_to)
    settings = read_settings()
    with busy("running the backtest"), no_collection():
        result = run_wish(wanted, settings)
        report = _timed_report(result, trials, detail=bool(html or save_to))
    if orders:
        write_whole(orders, orders_csv(result.orders))
        _wrote(orders)
    if save_to:
        save(report, save_to)
        _wrote(save_to)
    _write_documents(report, html, markdown)
    if as_json:
        typer.echo(to_json(report))
    else:
        _print_report(report)


@app.command()
def multi(
    period: Annotated[
        list[str] | None,
        typer.Option("--period", metavar="A:B", help="First and last day as YYYY-MM-DD:YYYY-MM-DD; repeat."),
    ] = None,
    data: DataOption = None,
    engine: EngineOption = None,
    capital: CapitalOption = None,
    deposit_weekly: DepositOption = None,
    seed: SeedOption = None,
    trials: TrialsOption = 1,
    plain: PlainOption = False,
    as_json: JsonOption = False,
) -> None:
    """Run several periods, each afresh: those named, or the last 3, 5 and 8 years and every calendar year."""
    base = wish(
        data=data,
        start="",
        end="",
        years=None,
        engine=engine,
        capital=capital,
        deposit_weekly=deposit_weekly,
        seed=seed,
        plain=plain,
    )
    _check_trials(trials)
    periods = {text: parse_period(text) for text in period or ()}
    settings = read_settings()
    reports: dict[str, Report] = {}

    def one(name: str, wanted: Wish) -> Report:
        with busy(f"running {name}"):
            reports[name] = build_report(run_wish(wanted, settings), trials)
        return reports[name]

    if periods:
        for text, (first, last) in periods.items():
            one(text, replace(base, start=first, end=last))
    else:
        _default_periods(base, one)
    from eternal_engine.reports.comparison import comparison_json, periods_table

    if as_json:
        typer.echo(json.dumps({"periods": comparison_json(reports)}, default=vars, indent=2, allow_nan=False))
    else:
        _print_table(periods_table(reports), next(iter(reports.values())))


@app.command(name="report")
def report_command(
    stored: Annotated[
        Path | None, typer.Argument(metavar="[RUN.json]", help="A run stored by --save; none: run it now.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Where to write; default: paths.report_dir.")
    ] = None,
    data: DataOption = None,
    start: StartOption = "",
    end: EndOption = "",
    years: YearsOption = None,
    engine: EngineOption = None,
    capital: CapitalOption = None,
    deposit_weekly: DepositOption = None,
    seed: SeedOption = None,
    trials: TrialsOption = 1,
) -> None:
    """Write the HTML and Markdown report of a stored or a fresh run, and the run itself as JSON."""
    _check_trials(trials)
    settings = read_settings()
    if stored is not None:
        given = (data, start, end, years, engine, capital, deposit_weekly, seed)
        if any(given) or trials != 1:
            raise UsageError(
                "a stored run cannot be run with other options", where=str(stored), mend="leave out the file or them"
            )
        report = load(stored)
    else:
        wanted = wish(
            data=data,
            start=start,
            end=end,
            years=years,
            engine=engine,
            capital=capital,
            deposit_weekly=deposit_weekly,
            seed=seed,
        )
        with busy("running the backtest"):
            report = build_report(run_wish(wanted, settings), trials, detail=True)
    folder = out or Path(settings.paths.report_dir)
    name = f"backtest-{report.data.start}-{report.data.end}-{report.result_hash[:8]}"
    if stored is None:
        save(report, folder / f"{name}.json")
    _write_documents(report, folder / f"{name}.html", folder / f"{name}.md", announce=False)
    for suffix in ("html", "md") if stored else ("html", "md", "json"):
        typer.echo(str(folder / f"{name}.{suffix}"))


@app.command()
def compare(
    runs: Annotated[list[Path] | None, typer.Argument(metavar="[RUN.json]...", help="Runs stored by --save.")] = None,
    engine_set: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="A+B", help="Engines run together, such as core+trend, or all; repeat."),
    ] = None,
    data: DataOption = None,
    start: StartOption = "",
    end: EndOption = "",
    years: YearsOption = None,
    capital: CapitalOption = None,
    deposit_weekly: DepositOption = None,
    seed: SeedOption = None,
    trials: TrialsOption = 1,
    as_json: JsonOption = False,
) -> None:
    """Set stored runs, or fresh runs of several sets of engines, side by side."""
    _check_trials(trials)
    if len(runs or ()) + len(engine_set or ()) < 2:
        raise UsageError(
            "there is nothing to compare", where="eternal backtest compare", mend="name two stored runs or two --set"
        )
    base = wish(
        data=data,
        start=start,
        end=end,
        years=years,
        engine=None,
        capital=capital,
        deposit_weekly=deposit_weekly,
        seed=seed,
    )
    reports: dict[str, Report] = {}
    for path in runs or ():
        reports[_free_name(path.stem, reports)] = load(path)
    sets = {text: () if text == "all" else parse_engines(text.split("+")) for text in engine_set or ()}
    if sets:
        settings = read_settings()
        for text, engines in sets.items():
            wanted = replace(base, engines=engines) if engines else base
            with busy(f"running {text}"):
                reports[_free_name(text, reports)] = build_report(run_wish(wanted, settings), trials)
    from eternal_engine.reports.comparison import comparison_json, comparison_table

    if as_json:
        typer.echo(json.dumps({"runs": comparison_json(reports)}, default=vars, indent=2, allow_nan=False))
    else:
        _print_table(comparison_table(reports), *reports.values())


def _timed_report(result: BacktestResult, trials: int, detail: bool) -> Report:
    began = monotonic()
    report = build_report(result, trials, detail)
    return replace(report, timing_ms=report.timing_ms | {"report": 1e3 * (monotonic() - began)})


def _default_periods(base: Wish, one: Callable[[str, Wish], Report]) -> None:
    years: set[int] = set()
    for count in DEFAULT_YEARS:
        report = one(f"{count} years", replace(base, years=count))
        years |= {line.year for line in report.years}
    for year in sorted(years):
        first, last = parse_day(f"{year}-01-01", "--period"), parse_day(f"{year}-12-31", "--period")
        one(str(year), replace(base, start=first, end=last))


def _write_documents(report: Report, html: Path | None, markdown: Path | None, announce: bool = True) -> None:
    if html:
        from eternal_engine.reports.html import to_html

        with busy("drawing the report"):
            write_whole(html, to_html(report))
    if markdown:
        from eternal_engine.reports.markdown import to_markdown

        write_whole(markdown, to_markdown(report))
    for path in (html, markdown):
        if path and announce:
            _wrote(path)


def _wrote(path: Path) -> None:
    typer.echo(f"wrote {path}", err=True)


def _print_report(report: Report) -> None:
    from eternal_engine.reports.terminal import print_report

    print_report(report, _console())


def _print_table(table: Table, *reports: Report) -> None:
    from eternal_engine.reports.terminal import print_table

    print_table(table, _console(), next((r.data.mark for r in reports if r.data.mark), ""))


def _console() -> Console:
    from rich.console import Console

    console = Console(highlight=False)
    # A pipe has no width; 80 columns would fold what a file or a pager could hold.
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = 140
    return console


def _free_name(name: str, taken: Mapping[str, Report]) -> str:
    number, free = 2, name
    while free in taken:
        free, number = f"{name} ({number})", number + 1
    return free


def _check_trials(trials: int) -> None:
    if trials < 1:
        raise UsageError(f"--trials {trials} is below 1", where="--trials", mend="name how many variants were tried")
