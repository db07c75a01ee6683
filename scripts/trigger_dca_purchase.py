"""Buy coins for CORE_HODL by hand; a dry run unless --execute is given.

    scripts/trigger_dca_purchase.py --symbols BTCUSDT,ETHUSDT --amount 500

The same as `eternal dca trigger`: the running daemon does it, and journals it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Become `eternal dca trigger` with the same arguments."""
    python = ROOT / ".venv" / "bin" / "python"
    program = str(python) if python.exists() else sys.executable
    # A fixed program, and no shell.
    os.execv(program, [program, "-m", "eternal_engine", "dca", "trigger", *sys.argv[1:]])  # noqa: S606  # nosec B606


if __name__ == "__main__":
    main()
