"""The speed goals, measured: what each figure covers stands beside its name."""

from __future__ import annotations

import os
import resource
import subprocess  # nosec B404
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from eternal_engine.backtest.kernels import compiled_run
from eternal_engine.backtest.prepare import daily_bars_of, features_of, market_of
from eternal_engine.backtest.runner import switched
from eternal_engine.backtest.simulate import simulate
from eternal_engine.backtest.sweep import sweep_trend
from eternal_engine.backtest.tape import BARS
from eternal_engine.market_data.history import HOUR_MS, MarketHistory
from eternal_engine.portfolio.params import Params
from eternal_engine.reports.daily import day_grid, growth_index
from eternal_engine.reports.metrics import measure
from eternal_engine.reports.result import ENGINES

CAPITAL = (60_000.0, 20_000.0, 15_000.0, 5_000.0)
ROUNDS = 15


@dataclass(frozen=True)
class Figure:
    """Hold one measured figure; `best` is the fastest round, `value` the median."""

    name: str
    value: float
    unit: str
    best: float
    rounds: int


def figures(params: Params, history: MarketHistory, data: Path | None) -> Iterator[Figure]:
    """Measure everything, one figure at a time, on one core after a warm-up."""
    run = compiled_run()
    yield _timed("trend_5y_ms", 1e3, "ms", lambda: whole_run(run, params, history, ("trend",)))
    yield _timed("four_engines_5y_ms", 1e3, "ms", lambda: whole_run(run, params, history, ENGINES))
    yield _timed("trend_sweep_100_s", 1.0, "s", lambda: sweep(run, params, history), rounds=5)
    rss_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0
    yield Figure("sweep_rss_mb", rss_mb, "MB", rss_mb, 1)
    arguments = ["backtest", "run", "--json", "--start", "2020-01-01", "--end", "2024-12-31"]
    if data is not None:
        arguments += ["--data", str(data)]
    yield _timed("cold_backtest_s", 1.0, "s", lambda: _process(arguments), rounds=5)
    yield _timed("help_s", 1.0, "s", lambda: _process(["--help"]), rounds=5)


def whole_run(run: Callable[..., Any], params: Params, history: MarketHistory, engines: tuple[str, ...]) -> float:
    """Do features, engines, risk and metrics over the whole history once; give the final equity."""
    chosen = switched(params, engines)
    features = features_of(chosen, history)
    done = simulate(run, chosen, features, market_of(history), first_bar=0, last_bar=history.hours, capital=CAPITAL)
    bars = int(done.tape.counts[BARS])
    grid = day_grid(done.tape.close_h[:bars] * HOUR_MS)
    equity = done.tape.equity[:, :bars].sum(axis=0)
    measure(growth_index(equity, done.tape.external[:bars], grid.row))
    return float(equity[-1])


def sweep(run: Callable[..., Any], params: Params, history: MarketHistory) -> int:
    """Try a hundred parameter sets of TREND."""
    daily = daily_bars_of(history)
    features = features_of(params, history, daily)
    variants = [
        params.trend._replace(sma_days=sma, ema_days=ema, adx_min=adx, stop_atr=stop)
        for sma in (100, 150, 200, 250, 300)
        for ema in (20, 35, 50, 75, 100)
        for adx in (20.0, 25.0)
        for stop in (1.5, 2.0)
    ]
    return len(
        sweep_trend(
            run, params, history, daily, features, variants, first_bar=0, last_bar=history.hours, capital=CAPITAL
        )
    )


def _timed(name: str, scale: float, unit: str, work: Callable[[], object], rounds: int = ROUNDS) -> Figure:
    work()
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        times.append(scale * (time.perf_counter() - began))
    return Figure(name, median(times), unit, min(times), rounds)


def _process(arguments: list[str]) -> None:
    """Run `eternal` in a fresh process, output thrown away; raises CalledProcessError when it fails."""
    code = "import sys; from eternal_engine.cli import main; sys.argv[0] = 'eternal'; main()"
    subprocess.run(  # noqa: S603  # nosec B603
        [sys.executable, "-c", code, *arguments], stdout=subprocess.DEVNULL, check=True, env=dict(os.environ)
    )
