"""Compile the plain loop and every function it calls, once, with a cache that follows the sources."""

from __future__ import annotations

import hashlib
import inspect
import os
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import eternal_engine
from eternal_engine.backtest import fills, loop, tape
from eternal_engine.portfolio import flows, hour, params, valuation
from eternal_engine.risk import breaker, manager, sizing, verdict
from eternal_engine.strategies import base, core_hodl, funding, tactical, trend

# Lower modules first; every plain function of these is made callable from compiled code.
MODULES: tuple[ModuleType, ...] = (
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
    hour,
    tape,
    fills,
    loop,
)
# Tuples whose `_replace` compiled code may call.
REPLACED = (
    breaker.RiskState,
    core_hodl.CoreState,
    trend.TrendState,
    funding.FundingState,
    tactical.TacticalState,
    params.States,
)


def source_hash() -> str:
    """Hash the package's sources: numba does not notice edits in functions that a cached loop calls."""
    root = Path(eternal_engine.__file__).parent
    digest = hashlib.sha256()
    for package in ("backtest", "model", "portfolio", "risk", "strategies"):
        for path in sorted((root / package).rglob("*.py")):
            digest.update(path.name.encode())
            digest.update(path.read_bytes())
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


def _teach_replace() -> None:
    """Teach the compiler `_replace` of our NamedTuples, so that the core can use it like any Python."""
    from numba import types
    from numba.extending import overload_method

    names = sorted({name for kind in REPLACED for name in kind._fields})
    signature = ", ".join(f"{name}=None" for name in names)

    def build(self: Any, given: set[str]) -> Callable[..., Any]:
        kind = self.instance_class
        values = ", ".join(f"{name}={name if name in given else f'self.{name}'}" for name in kind._fields)
        scope: dict[str, Any] = {"kind": kind}
        # The text is made of our own field names only.
        exec(f"def impl(self, {signature}):\n    return kind({values})", scope)  # noqa: S102  # nosec B102
        return scope["impl"]  # type: ignore[no-any-return]

    def given_names(seen: dict[str, Any]) -> set[str]:
        absent = (types.Omitted, types.NoneType)
        return {name for name in names if seen[name] is not None and not isinstance(seen[name], absent)}

    scope: dict[str, Any] = {"build": build, "given_names": given_names}
    exec(f"def replace(self, {signature}):\n    return build(self, given_names(locals()))", scope)  # noqa: S102  # nosec B102
    overload_method(types.NamedTuple, "_replace")(scope["replace"])


@lru_cache(maxsize=1)
def compiled_run(base_dir: Path | None = None) -> Callable[..., Any]:
    """Give `loop.run` compiled; the first call on new sources compiles, later processes load it from the cache."""
    folder = cache_dir(base_dir)
    if "numba" not in sys.modules:
        os.environ["NUMBA_CACHE_DIR"] = str(folder)
    import numba
    from numba.extending import register_jitable

    numba.config.CACHE_DIR = str(folder)
    _teach_replace()
    for module in MODULES:
        for function in _plain_functions(module):
            if function is not loop.run:
                register_jitable(function)
    return numba.njit(cache=True)(loop.run)  # type: ignore[no-any-return]


def is_compiled(base_dir: Path | None = None) -> bool:
    """Tell whether a compiled loop for these sources is in the cache."""
    folder = cache_dir(base_dir)
    return folder.is_dir() and any(folder.rglob("*.nbi"))
