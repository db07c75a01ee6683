"""Make a missed purchase of CORE_HODL good; a dry run unless --execute is given.

    scripts/fix_dca_missed_purchase.py                                            # set the due time back to its date
    scripts/fix_dca_missed_purchase.py --date 2026-11-02
    scripts/fix_dca_missed_purchase.py --symbols BTCUSDT,ETHUSDT --amount 500     # buy named coins by hand instead

The same as `eternal dca fix-missed`, and with --symbols as `eternal dca trigger`: a cycle buys what its plan says, so
coins and amounts of one's own are a purchase by hand. The running daemon does it, and journals it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Become `eternal dca` with the verb that the arguments ask for."""
    named = any(argument.partition("=")[0] in ("--symbols", "--amount") for argument in sys.argv[1:])
    python = ROOT / ".venv" / "bin" / "python"
    program = str(python) if python.exists() else sys.executable
    verb = "trigger" if named else "fix-missed"
    # A fixed program, and no shell.
    os.execv(program, [program, "-m", "eternal_engine", "dca", verb, *sys.argv[1:]])  # noqa: S606  # nosec B606


if __name__ == "__main__":
    main()
