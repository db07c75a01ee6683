"""A daemon killed by SIGKILL before or after any journal write or exchange call ends where an undisturbed one ends.

`make crash` strikes every point; a test run strikes every few, and another few each day is up to the clock of CI.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from crash_market import SCENARIOS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

FORKS = Path(__file__).parents[1] / "crash_forks.py"
# Every so many-th point; CRASH_STRIDE=1 strikes them all.
STRIDE = os.environ.get("CRASH_STRIDE", "11")
# Kills during recovery from a kill, a scenario; CRASH_TWICE=60 makes more than 500 in all.
TWICE = os.environ.get("CRASH_TWICE", "4")
NAMES = [scenario.name for scenario in SCENARIOS]


def strike(name: str, tmp_path: Path, *arguments: str) -> dict[str, int]:
    """Run one enumeration in a process of its own, which has no threads to fork; show what went wrong."""
    command = [sys.executable, str(FORKS), "--scenario", name, "--dir", str(tmp_path), *arguments]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    assert ran.returncode == 0, "\n".join([json.dumps(line) for line in lines[1:]] + [ran.stderr])
    counted: dict[str, int] = lines[0]
    return counted


@pytest.mark.parametrize("name", NAMES)
def test_c8_killed_at_any_point_the_end_is_that_of_an_undisturbed_run(name: str, tmp_path: Path) -> None:
    counted = strike(name, tmp_path, "--stride", STRIDE)

    assert counted["failed"] == 0
    assert counted["struck"] >= counted["writes"] // int(STRIDE)
    print(f"{name}: {counted['struck']} of {counted['points']} points struck")


@pytest.mark.parametrize("name", NAMES)
def test_c8_killed_again_while_it_recovers_the_end_is_the_same(name: str, tmp_path: Path) -> None:
    counted = strike(name, tmp_path, "--twice", TWICE, "--seed", "7")

    assert counted["failed"] == 0
    assert counted["struck"] == int(TWICE)
