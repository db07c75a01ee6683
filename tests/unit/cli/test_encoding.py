"""A terminal that does not speak UTF-8 gets plain characters, never a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(("encoding", "dash"), [("latin-1", "-"), ("ascii", "-"), ("utf-8", "–")])
def test_the_status_can_be_read_on_any_terminal(state_dir: Path, encoding: str, dash: str) -> None:
    own = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONIOENCODING": encoding}
    code = "import sys; sys.argv[0] = 'eternal'; from eternal_engine.cli import main; main()"
    command = [sys.executable, "-c", code, "positions", "--state-dir", str(state_dir)]
    found = subprocess.run(command, env=own, capture_output=True, check=False)
    assert found.returncode == 0, found.stderr.decode(errors="replace")[-500:]
    first = found.stdout.decode(encoding).splitlines()[1]
    assert first.split()[-1] in (dash, "63000.5", "63,000.5")
    assert dash in found.stdout.decode(encoding)
