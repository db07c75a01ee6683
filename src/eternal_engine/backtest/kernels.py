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
from eternal_engine.absent import absent
from eternal_engine.backtest import cruise, fills, loop, tape
from eternal_engine.model import steps
from eternal_engine.portfolio import flows, hour, params, valuation
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
    hour,
    tape,
    fills,
    cruise,
    loop,
)
# Read-only or changed in place: compiled code passes these by reference instead of spreading all their fields
# over every call, which would make compiling take minutes.
REFERENCED = (
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
# The same, but renewed by `_replace`.
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


def refer(values: Any) -> Any:
    """Give the compiled twin of a REFERENCED tuple; only compiled code calls this."""
    return values


def spread(values: Any) -> Any:
    """Give the tuple of a compiled twin, to hand it back to Python; only compiled code calls this."""
    return values


def _compiled_text(lines: list[str], scope: dict[str, Any]) -> Any:
    """Make a function from lines of our own field names only."""
    exec("\n".join(lines), scope)  # noqa: S102  # nosec B102
    return scope["impl"]


def _make_twins() -> dict[type, Any]:
    """Make the compiler a reference type for every REFERENCED and REPLACED tuple."""
    from numba import types
    from numba.experimental import structref

    twins: dict[type, Any] = {}
    for kind in (*REFERENCED, *REPLACED):
        twin = structref.register(type(f"{kind.__name__}Reference", (types.StructRef,), {}))  # type: ignore[no-untyped-call]
        structref.define_attributes(twin)  # type: ignore[no-untyped-call]
        twins[kind] = twin
    return twins


def _make_borrowed() -> Any:
    """Make the compiler a copy of an array without its owner: reading it costs no reference counting."""
    from llvmlite.ir import Constant  # type: ignore[import-untyped]
    from numba.extending import intrinsic

    @intrinsic
    def borrowed(_typing: Any, array: Any) -> Any:
        def build_array(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            seen = context.make_array(array)(context, builder, arguments[0])
            seen.meminfo = Constant(seen.meminfo.type, None)
            seen.parent = Constant(seen.parent.type, None)
            return seen._getvalue()

        return array(array), build_array

    return borrowed


def _teach_references(twins: dict[type, Any]) -> None:
    """Teach the compiler `refer` and `spread` between tuples and their reference twins."""
    from numba import types
    from numba.experimental import structref
    from numba.extending import overload

    kinds = {twin: kind for kind, twin in twins.items()}
    borrowed = _make_borrowed()

    def is_referenced(seen: Any) -> bool:
        return isinstance(seen, types.NamedTuple) and seen.instance_class in twins

    def twin_of(seen: Any) -> Any:
        if not is_referenced(seen):
            return seen
        fields = zip(seen.fields, seen.types, strict=True)
        return twins[seen.instance_class]([(name, twin_of(kind)) for name, kind in fields])

    def refer_compiled(values: Any) -> Any:
        lines = ["def impl(values):", "    out = new(twin)"]
        # What the loop never renews belongs to the caller for the whole run.
        lent = values.instance_class in REFERENCED
        for name, kind in zip(values.fields, values.types, strict=True):
            value = f"values.{name}"
            if is_referenced(kind):
                value = f"refer({value})"
            elif lent and isinstance(kind, types.Array):
                value = f"borrowed({value})"
            lines.append(f"    out.{name} = {value}")
        known = {"new": structref.new, "twin": twin_of(values), "refer": refer, "borrowed": borrowed}
        return _compiled_text([*lines, "    return out"], known)

    def spread_compiled(values: Any) -> Any:
        parts = [
            f"spread(values.{name})" if type(seen) in kinds else f"values.{name}"
            for name, seen in values.field_dict.items()
        ]
        lines = ["def impl(values):", f"    return kind({', '.join(parts)})"]
        return _compiled_text(lines, {"kind": kinds[type(values)], "spread": spread})

    # The compiler compares the signatures to the letter, annotations included.
    for taught, function in ((refer, refer_compiled), (spread, spread_compiled)):
        function.__annotations__ = {}
        overload(taught)(function)


def _teach_replace(twins: dict[type, Any]) -> None:
    """Teach the compiler `_replace` of the REPLACED tuples' twins."""
    from numba import types
    from numba.experimental import structref
    from numba.extending import overload_method

    absent = (types.Omitted, types.NoneType)

    def build(self: Any, seen: dict[str, Any], names: tuple[str, ...], text: str) -> Any:
        given = {n for n in names if seen[n] is not None and not isinstance(seen[n], absent)}
        lines = [f"def impl(self, {text}):", "    out = new(twin)"]
        lines += [f"    out.{name} = {name if name in given else f'self.{name}'}" for name in names]
        return _compiled_text([*lines, "    return out"], {"new": structref.new, "twin": self})

    for kind in REPLACED:
        signature = ", ".join(f"{name}=None" for name in kind._fields)
        scope: dict[str, Any] = {"build": build, "names": kind._fields, "text": signature}
        lines = [f"def impl(self, {signature}):", "    return build(self, locals(), names, text)"]
        overload_method(twins[kind], "_replace")(_compiled_text(lines, scope))


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
) -> Any:
    """Call the loop with everything large passed by reference; same arguments as `loop.run`."""
    done = loop.run(
        refer(all_params), refer(features), refer(market), refer(book), refer(lots), refer(marks), refer(states),
        refer(records), first_bar, last_bar, deposit_weekly_usdt,
    )  # fmt: skip
    return spread(done)


@lru_cache(maxsize=1)
def compiled_run(base_dir: Path | None = None) -> Callable[..., Any]:
    """Give `loop.run` compiled; the first call on new sources compiles, later processes load it from the cache."""
    folder = cache_dir(base_dir)
    if "numba" not in sys.modules:
        os.environ["NUMBA_CACHE_DIR"] = str(folder)
    import numba
    from numba.extending import register_jitable

    setattr(numba.config, "CACHE_DIR", str(folder))  # noqa: B010 (made at run time, unknown to the types)
    twins = _make_twins()
    _teach_references(twins)
    _teach_replace(twins)
    for module in MODULES:
        for function in _plain_functions(module):
            register_jitable(function)
    dispatcher = numba.njit(cache=True)(entry)

    def run(*arguments: Any) -> Any:
        with absent("scipy"):
            return dispatcher(*arguments)

    return run


def is_compiled(base_dir: Path | None = None) -> bool:
    """Tell whether a compiled loop for these sources is in the cache."""
    folder = cache_dir(base_dir)
    return folder.is_dir() and any(folder.rglob("*.nbi"))
