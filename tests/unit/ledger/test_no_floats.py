"""D19: a float in books, orders or storage fails here, before it costs anybody a cent."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import eternal_engine

SOURCE = Path(eternal_engine.__file__).parent
FILES = sorted(
    path
    for package in ("model", "ledger", "storage")
    for path in (SOURCE / package).rglob("*.py")
    if not path.name.startswith("params")  # parameters of kernels are floats (U-3)
)
# What may stand there all the same, each with its reason.
ALLOWED = {
    "model/codes.py": {"1.0", "1e-12"},  # the kernels' own limits of comparison and of dust (U-3, ORD-5)
    "model/conversion.py": {"float"},  # the door itself: what the rules computed becomes exact there (U-3)
    "model/signal.py": {"float"},  # the rank of a candidate is an indicator's value, not money
    "model/steps.py": {"float", "1e-06"},  # the kernels' one conversion point (U-3)
    "storage/codec.py": {"float"},  # named there in order to refuse it
    "storage/backup.py": {"0.005"},  # seconds of rest between pages
}


def floats_in(source: str) -> set[str]:
    """Find the float literals and the name `float`."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, float):
            found.add(str(node.value))
        elif isinstance(node, ast.Name) and node.id == "float":
            found.add("float")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_d19_no_float_in_books_orders_and_storage(path: Path) -> None:
    name = str(path.relative_to(SOURCE))
    assert floats_in(path.read_text()) <= ALLOWED.get(name, set())


def test_the_check_sees_floats() -> None:
    assert floats_in("x = 0.5\ny: float = z") == {"0.5", "float"}
    assert floats_in("x = Decimal('0.5') / 2") == set()
