"""The clock, and that nothing else reads one."""

from __future__ import annotations

import ast
import time
from datetime import UTC, datetime
from pathlib import Path

import time_machine

from eternal_engine import clock

SOURCES = Path(__file__).parents[2] / "src" / "eternal_engine"
READS = {("time", "time"), ("time", "time_ns"), ("date", "today")} | {
    ("datetime", name) for name in ("now", "utcnow", "today")
}


@time_machine.travel(datetime(2024, 2, 29, 12, tzinfo=UTC), tick=False)
def test_u2_now_is_aware_utc() -> None:
    assert clock.now() == datetime(2024, 2, 29, 12, tzinfo=UTC)
    assert clock.now().tzinfo is UTC
    assert clock.now_ms() == 1_709_208_000_000


def test_monotonic_is_not_the_wall_clock() -> None:
    before = time.monotonic()
    assert before <= clock.monotonic() <= time.monotonic()


def test_only_the_clock_reads_the_wall_clock() -> None:
    readers = set()
    for path in SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Attribute):
                owner = node.value.id if isinstance(node.value, ast.Name) else node.value.attr
                if (owner, node.attr) in READS:
                    readers.add(path.relative_to(SOURCES).as_posix())
    assert readers == {"clock.py"}
