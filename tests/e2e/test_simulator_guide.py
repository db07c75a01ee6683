"""The guide to the embedded exchange, tried as a new user would."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from eternal_engine.simulator.faults import FaultKind
from eternal_engine.simulator.server.maintenance import VERBS

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "simulator.md"
SERVE = "from eternal_engine.cli import main; main()"


def test_the_script_of_the_guide_places_an_order_and_shows_it(tmp_path: Path) -> None:
    script = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)[0]
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    flags = ["simulator", "serve", "--json", "--state", str(tmp_path / "venue.db")]
    command = [sys.executable, "-c", SERVE, *flags]
    with subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        greeting: dict[str, Any] = json.loads(server.stdout.readline())
        account = greeting["accounts"][0]
        script = script.replace("KEY", account["api_key"]).replace("SECRET", account["api_secret"])
        script = script.replace("http://127.0.0.1:8700", greeting["rest_url"])
        run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
        server.terminate()
        assert server.wait(10) == 0
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert "orderId" in lines[0]
    assert lines[1].startswith("PartiallyFilledCanceled 0.0")
    assert 99_000 < float(lines[2]) < 100_000


@pytest.mark.parametrize("market", ["synthetic", "recorded"])
def test_the_guides_program_drives_the_exchange_in_process(tmp_path: Path, market: str) -> None:
    program = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)[-1]
    folder = Path(os.environ.get("ETERNAL_SHARED_DATA", ROOT.parent / "shared" / "data")) / "market"
    if market == "recorded":
        if not folder.is_dir():
            pytest.skip("recorded market data is not here")
        program = program.replace('market = "synthetic"', f"market = {str(folder)!r}")
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-c", program]
    run = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    kinds = [line.split()[0] for line in lines]
    assert kinds.index("ExecutionSeen") < kinds.index("CandleClosed")
    assert kinds.count("CandleClosed") == 2
    assert "24 candles;" in lines[-2]
    assert lines[-1] == "books: balance"


def test_the_guide_names_every_fault_and_every_maintenance_verb() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    missing = [kind for kind in FaultKind if f"`{kind}`" not in text]
    missing += [path for _, path in VERBS if path not in text]
    assert missing == []


def test_the_tests_that_the_guide_names_exist() -> None:
    named = set(re.findall(r"`(test_fact_\w+)`", GUIDE.read_text(encoding="utf-8")))
    written = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    assert len(named) >= 14
    assert [name for name in sorted(named) if f"def {name}(" not in written] == []
