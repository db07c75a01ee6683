"""Whatever fault of the exchange strikes at whichever call, two days later the daemon trades on and its books are true.

A test run strikes every few cases; docs/crash-safety.md says how to strike them all.
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

RUNS = Path(__file__).parents[1] / "fault_runs.py"
# Every so many-th case; FAULT_STRIDE=1 strikes them all.
STRIDE = os.environ.get("FAULT_STRIDE", "61")


def test_d3_to_d6_and_h6_no_fault_at_any_call_doubles_loses_or_hides_anything(tmp_path: Path) -> None:
    command = [sys.executable, str(RUNS), "--stride", STRIDE, "--dir", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)

    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    counted = [line for line in lines if "cases" in line]
    wrong = [json.dumps(line) for line in lines if "case" in line]
    assert ran.returncode == 0, "\n".join([*wrong, ran.stderr])
    assert [line["scenario"] for line in counted] == [scenario.name for scenario in SCENARIOS]
    assert sum(line["cases"] for line in counted) > 10
    print(f"{sum(line['cases'] for line in counted)} cases at {sum(line['sites'] for line in counted)} calls")
