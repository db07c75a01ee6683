"""Turn the options of `eternal backtest` into requests, run them, and show that something is happening."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, Annotated

import typer

from eternal_engine.cli.dates import parse_day
from eternal_engine.model.errors import UsageError
from eternal_engine.reports.result import ENGINES, BacktestResult

if TYPE_CHECKING:
    from eternal_engine.config import Settings

ALIASES = {"core": "core_hodl"}
# A run with warm caches takes a second or two; whoever waits longer wants to know why.
PATIENCE_S = 4.0
FIRST_RUN = "still at it; the first run after an installation or update compiles its loop, which takes minutes"

DataOption = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="Folder of candles; none: the own store, or a synthetic market."),
]
StartOption = Annotated[str, typer.Option("--start", metavar="YYYY-MM-DD", help="First day.")]
EndOption = Annotated[str, typer.Option("--end", metavar="YYYY-MM-DD", help="Last day, inclusive.")]
YearsOption = Annotated[int | None, typer.Option("--years", metavar="N", help="The last N years of the data.")]
EngineOption = Annotated[
    list[str] | None,
    typer.Option(
        "--engine",
        metavar="NAME",
        help="core_hodl (core), trend, funding, tactical; repeat; none: all.",
        autocompletion=lambda: [*ENGINES, *ALIASES],
    ),
]
CapitalOption = Annotated[float | None, typer.Option("--capital", metavar="N", help="USDT at the start.")]
DepositOption = Annotated[
    float | None, typer.Option("--deposit-weekly", metavar="N", help="USDT a week into CORE_HODL.")
]
SeedOption = Annotated[int | None, typer.Option("--seed", metavar="N", help="Seed of the synthetic market.")]
TrialsOption = Annotated[
    int, typer.Option("--trials", metavar="N", help="Variants tried before this one, for the deflated Sharpe ratio.")
]
PlainOption = Annotated[bool, typer.Option("--plain", help="Run as plain Python instead of compiled; same result.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")]


@dataclass(frozen=True)
class Wish:
    """Hold what the user asked for, checked; None means "as configured" or "all there is"."""

    data: Path | None = None
    start: date | None = None
    end: date | None = None
    years: int | None = None
    engines: tuple[str, ...] = ENGINES
    capital_usdt: float | None = None
    deposit_weekly_usdt: float | None = None
    seed: int | None = None
    plain: bool = False


def wish(
    *,
    data: Path | None,
    start: str,
    end: str,
    years: int | None,
    engine: Sequence[str] | None,
    capital: float | None,
    deposit_weekly: float | None,
    seed: int | None,
    plain: bool = False,
) -> Wish:
    """Check the options; UsageError names the option and the mend."""
    first = parse_day(start, "--start") if start else None
    last = parse_day(end, "--end") if end else None
    if first and last and last < first:
        raise UsageError(f"--end {last} is before --start {first}", where="--end", mend="swap them")
    if years is not None and not 1 <= years <= 100:
        raise UsageError(f"--years {years} is not between 1 and 100", where="--years", mend="name a number such as 5")
    if years is not None and first is not None:
        raise UsageError("--years and --start exclude each other", where="--years", mend="name one of them")
    _check_amount(capital, "--capital", lowest=1.0)
    _check_amount(deposit_weekly, "--deposit-weekly", lowest=0.0)
    if seed is not None and not 0 <= seed < 2**63:
        raise UsageError(f"--seed {seed} is not a whole number from 0", where="--seed", mend="name one such as 7")
    engines = parse_engines(engine or ())
    return Wish(data, first, last, years, engines, capital, deposit_weekly, seed, plain)


def run_wish(wanted: Wish, settings: Settings) -> BacktestResult:
    """Run one backtest; what the wish leaves open comes from the settings."""
    from eternal_engine.backtest.runner import BacktestRequest
    from eternal_engine.bootstrap import run_backtest

    capital = settings.capital_usdt if wanted.capital_usdt is None else wanted.capital_usdt
    weekly = settings.backtest.deposit_weekly_usdt if wanted.deposit_weekly_usdt is None else wanted.deposit_weekly_usdt
    request = BacktestRequest(
        data=wanted.data,
        start=wanted.start,
        end=wanted.end,
        years=wanted.years,
        engines=wanted.engines,
        capital_usdt=float(capital),
        deposit_weekly_usdt=float(weekly),
        seed=settings.backtest.seed if wanted.seed is None else wanted.seed,
        plain=wanted.plain,
    )
    return run_backtest(request, settings)


def read_settings() -> Settings:
    """Read the configuration of the backtest mode."""
    from eternal_engine.config import load

    return load("backtest")


def parse_period(text: str) -> tuple[date, date]:
    """Read A:B, the first and the last day of a period."""
    first, _, last = text.partition(":")
    start, end = parse_day(first, f"--period {text}"), parse_day(last, f"--period {text}")
    if end < start:
        raise UsageError(f"the period {text} ends before it begins", where="--period", mend="swap the days")
    return start, end


def parse_engines(names: Sequence[str]) -> tuple[str, ...]:
    """Read engine names, in the engines' own order; none named: all of them."""
    wanted = set()
    for part in (part for name in names for part in name.split(",")):
        plain = part.strip().lower().replace("-", "_")
        known = ALIASES.get(plain, plain)
        if known not in ENGINES:
            raise UsageError(
                f"no engine is called {part!r}", where="--engine", mend=f"name one of {', '.join(ENGINES)}, or core"
            )
        wanted.add(known)
    return tuple(name for name in ENGINES if name in wanted) if wanted else ENGINES


def check_targets(*paths: Path | None) -> None:
    """Refuse files that cannot be written before a run of seconds is spent on them."""
    for path in paths:
        if path is None:
            continue
        if path.is_dir():
            raise UsageError(f"{path} is a folder", where=str(path), mend="name a file in it")
        folder = path.parent
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        if not folder.is_dir() or not os.access(folder, os.W_OK):
            raise UsageError(f"{folder} cannot be written", where=str(path), mend="name a file in another folder")


@contextmanager
def busy(text: str) -> Iterator[None]:
    """Show on stderr that work goes on: a clock on a terminal, one line in a pipe when it takes long."""
    with ExitStack() as stack:
        say = stack.enter_context(_spinner(text)) if sys.stderr.isatty() else partial(typer.echo, err=True)
        patience = Timer(PATIENCE_S, say, args=(f"{text}: {FIRST_RUN}",))
        patience.daemon = True
        patience.start()
        stack.callback(patience.cancel)
        yield


@contextmanager
def _spinner(text: str) -> Iterator[Callable[[str], None]]:
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(text, total=None)
        yield lambda words: progress.update(task, description=words)


def _check_amount(amount: float | None, option: str, lowest: float) -> None:
    if amount is None:
        return
    if not math.isfinite(amount) or amount < lowest or amount > 1e12:
        raise UsageError(
            f"{option} {amount:g} is not between {lowest:g} and 1e12 USDT", where=option, mend="name an amount of USDT"
        )
