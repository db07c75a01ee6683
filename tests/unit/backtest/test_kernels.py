"""The compiled cache follows whatever is compiled, and only that."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path
from types import ModuleType

import pytest

from eternal_engine.backtest import kernels

# Read by the compiled modules, but nothing of it ends up in compiled code.
NOT_COMPILED = {"eternal_engine.model.rule"}


def imported_by(module: ModuleType) -> set[str]:
    """Name the package's modules that a module imports, by its text."""
    found = set()
    for node in ast.walk(ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("eternal_engine"):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                try:
                    importlib.import_module(inner)
                except ModuleNotFoundError:
                    found.add(str(node.module))
                else:
                    found.add(inner)
    return found


def test_every_module_behind_compiled_code_is_part_of_the_cache_key() -> None:
    hashed = {module.__name__ for module in (*kernels.MODULES, *kernels.CONSTANTS, kernels.lending)}
    needed = set().union(*(imported_by(module) for module in kernels.MODULES)) - NOT_COMPILED
    # Indicators are computed before the loop, as plain arrays.
    assert needed - hashed <= {"eternal_engine.strategies.indicators"}


def test_the_cache_key_changes_with_a_compiled_source_only(monkeypatch: pytest.MonkeyPatch) -> None:
    before = kernels.source_hash()
    assert kernels.source_hash() == before
    monkeypatch.setattr(kernels, "MODULES", kernels.MODULES[:-1])
    assert kernels.source_hash() != before


def test_nothing_is_called_compiled_before_it_is(tmp_path: Path) -> None:
    assert not kernels.is_compiled(tmp_path)
    folder = kernels.cache_dir(tmp_path)
    (folder / "backtest").mkdir(parents=True)
    (folder / "backtest" / "entry.nbi").write_bytes(b"")
    assert kernels.is_compiled(tmp_path)
