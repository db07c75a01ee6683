"""Compile the plain loop and every function it calls, once, with a cache that follows the sources."""

from __future__ import annotations

import hashlib
import inspect
import os
import sys
from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from eternal_engine.absent import absent
from eternal_engine.backtest import cruise, days, fills, lending, lighten, loop, many, pairs, settlements, tape, worth
from eternal_engine.backtest.lending import lend, refer, spread, teach_lending, teach_renewal, teach_value
from eternal_engine.model import codes, reason, steps
from eternal_engine.portfolio import (
    breaker_hour,
    core_hour,
    flows,
    funding_hour,
    hour,
    params,
    review,
    tactical_hour,
    trend_hour,
    valuation,
)
from eternal_engine.risk import breaker, manager, sizing, verdict
from eternal_engine.strategies import base, core_hodl, funding, tactical, trend

# Lower modules first; every plain function of these is made callable from compiled code.
MODULES: tuple[ModuleType, ...] = (
    steps,
    base,
    sizing,
    breaker,
    verdict,
    manager,
    core_hodl,
    trend,
    funding,
    tactical,
    params,
    valuation,
    flows,
    review,
    breaker_hour,
    core_hour,
    trend_hour,
    funding_hour,
    tactical_hour,
    hour,
    tape,
    fills,
    settlements,
    worth,
    pairs,
    cruise,
    days,
    loop,
    many,
)
# A division by zero gives infinity or NaN, as NumPy's do: no rule divides by what may be zero without looking.
ERRORS = "numpy"
# What numba would load, each a tenth of a second, only to offer what is not used here.
NEEDLESS = ("scipy", "coverage", "cffi")
# Whose numbers the compiled functions contain.
CONSTANTS: tuple[ModuleType, ...] = (codes, reason)
# Read-only or changed in place; the caller keeps them for the whole run.
LENT: tuple[type, ...] = (
    params.Params,
    core_hodl.CoreParams,
    trend.TrendParams,
    funding.FundingParams,
    tactical.TacticalParams,
    manager.RiskParams,
    breaker.BreakerParams,
    sizing.Instruments,
    params.Features,
    trend.TrendFeatures,
    funding.FundingFeatures,
    tactical.TacticalFeatures,
    params.Marks,
    params.BookView,
    fills.Market,
    fills.Lots,
    tape.Tape,
)
# Renewed by `_replace`.
RENEWED: tuple[type, ...] = (
    breaker.RiskState,
    core_hodl.CoreState,
    trend.TrendState,
    funding.FundingState,
    tactical.TacticalState,
    params.States,
)


def source_hash() -> str:
    """Hash the sources of what is compiled: numba does not notice edits in functions that a cached loop calls."""
    digest = hashlib.sha256()
    for module in (*MODULES, *CONSTANTS, lending, lighten, sys.modules[__name__]):
        digest.update(module.__name__.encode())
        digest.update(Path(str(module.__file__)).read_bytes())
    return digest.hexdigest()[:16]


def cache_dir(base_dir: Path | None = None) -> Path:
    """Give the folder of compiled loops for exactly these sources."""
    home = base_dir or Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "eternal-engine"
    return home / "compiled" / source_hash()


def _plain_functions(module: ModuleType) -> list[Callable[..., Any]]:
    return [
        member
        for member in vars(module).values()
        if inspect.isfunction(member) and member.__module__ == module.__name__
    ]


def entry(
    all_params: Any,
    features: Any,
    market: Any,
    book: Any,
    lots: Any,
    marks: Any,
    states: Any,
    records: Any,
    first_bar: int,
    last_bar: int,
    deposit_weekly_usdt: float,
    sets: Any,
) -> Any:
    """Call the loop with everything large passed by reference, once or, where there are `sets`, once for each."""
    done = refer(states)
    if len(sets.numbers) > 0:
        many.run_sets(all_params, features, market, book, lots, marks, states, records, first_bar, last_bar, sets)
    else:
        done = loop.run(
            lend(all_params), lend(features), lend(market), lend(book), lend(lots), lend(marks), done,
            lend(records), first_bar, last_bar, deposit_weekly_usdt,
        )  # fmt: skip
    return spread(done)


class CompiledRun:
    """Call compiled code by the signatures of `loop.run`, and of `many.run_sets`."""

    def __init__(self, dispatcher: Any) -> None:
        self._dispatcher = dispatcher

    def __call__(self, *arguments: Any) -> Any:
        """Run once, as `loop.run` does."""
        return self._called(*arguments, many.no_sets())

    def run_sets(self, *arguments: Any) -> None:
        """Run once per set, as `many.run_sets` does."""
        *others, sets = arguments
        self._called(*others, 0.0, sets)

    def _called(self, *arguments: Any) -> Any:
        with absent(*NEEDLESS):
            return self._dispatcher(*arguments)


@lru_cache(maxsize=1)
def compiled_run(base_dir: Path | None = None) -> CompiledRun:
    """Give the loop compiled; the first call on new sources compiles, later processes load it from the cache."""
    folder = cache_dir(base_dir)
    if "numba" not in sys.modules:
        os.environ["NUMBA_CACHE_DIR"] = str(folder)
    with absent(*NEEDLESS):
        numba: Any = import_module("numba")
    numba.config.CACHE_DIR = str(folder)
    dispatcher = numba.njit(cache=True, no_cfunc_wrapper=True, error_model=ERRORS)(entry)
    compile_entry = dispatcher._compiler.compile

    def compile_taught(*arguments: Any) -> Any:
        _teach(numba)
        with lighten.lean_code():
            return lighten.lightened(compile_entry(*arguments))

    # Only a process that compiles needs the compiler to know our functions: teaching it takes half a second.
    dispatcher._compiler.compile = compile_taught

    return CompiledRun(dispatcher)


def _teach(numba: Any) -> None:
    teach_lending(LENT)
    teach_renewal(RENEWED)
    teach_value(breaker.RiskState)
    for module in MODULES:
        for function in _plain_functions(module):
            numba.extending.register_jitable(error_model=ERRORS)(function)


def is_compiled(base_dir: Path | None = None) -> bool:
    """Tell whether a compiled loop for these sources is in the cache."""
    folder = cache_dir(base_dir)
    return folder.is_dir() and any(folder.rglob("*.nbi"))
