"""A daemon killed by SIGKILL before or after any journal write or exchange call ends where an undisturbed one ends.

A test run strikes every few points; docs/crash-safety.md says how to strike them all.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from crash_market import SCENARIOS
from crash_plants import PLANTS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

FORKS = Path(__file__).parents[1] / "crash_forks.py"
# Every so many-th point; CRASH_STRIDE=1 strikes them all.
STRIDE = os.environ.get("CRASH_STRIDE", "11")
# Kills during recovery from a kill, a scenario; CRASH_TWICE=60 makes more than 500 in all.
TWICE = os.environ.get("CRASH_TWICE", "4")
PLANT_STRIDE = "3"
# There every point is counted, not only those at which the disk is another.
WIRED_STRIDE = "31"
NAMES = [scenario.name for scenario in SCENARIOS]


def enumerate_points(name: str, tmp_path: Path, *arguments: str) -> tuple[int, list[dict[str, Any]], str]:
    """Run one enumeration in a process of its own, which has no threads to fork."""
    command = [sys.executable, str(FORKS), "--scenario", name, "--dir", str(tmp_path), *arguments]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    return ran.returncode, [json.loads(line) for line in ran.stdout.splitlines()], ran.stderr


def strike(name: str, tmp_path: Path, *arguments: str) -> dict[str, Any]:
    """Run one enumeration in which nothing may go wrong; show what did."""
    code, lines, errors = enumerate_points(name, tmp_path, *arguments)
    assert code == 0, "\n".join([json.dumps(line) for line in lines[1:]] + [errors])
    return lines[0]


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


@pytest.mark.parametrize("name", NAMES)
def test_c8_where_the_exchanges_lists_lag_behind_its_orders_the_end_is_the_same(name: str, tmp_path: Path) -> None:
    counted = strike(name, tmp_path, "--slow", "--twice", TWICE, "--seed", "3")

    assert counted["failed"] == 0
    assert counted["struck"] == int(TWICE)


@pytest.mark.parametrize("name", ["funding_open", "breaker_3"])
def test_c8_where_orders_leave_side_by_side_the_end_is_the_same(name: str, tmp_path: Path) -> None:
    counted = strike(name, tmp_path, "--wired", "--stride", WIRED_STRIDE)

    assert counted["failed"] == 0
    assert counted["struck"] > 0


@pytest.mark.parametrize("plant", [name for name, bug in PLANTS.items() if bug.is_caught])
def test_c8_a_planted_bug_is_found(plant: str, tmp_path: Path) -> None:
    name = PLANTS[plant].scenario

    code, lines, _ = enumerate_points(name, tmp_path, "--stride", PLANT_STRIDE, "--plant", plant)

    assert code == 1
    assert lines[0]["failed"] > 0


@pytest.mark.parametrize("plant", [name for name, bug in PLANTS.items() if not bug.is_caught])
def test_c8_where_one_safeguard_fails_a_second_holds(plant: str, tmp_path: Path) -> None:
    counted = strike(PLANTS[plant].scenario, tmp_path, "--stride", PLANT_STRIDE, "--plant", plant)

    assert counted["failed"] == 0
