"""One thing that the doctor looked at."""

from __future__ import annotations

from typing import Final, NamedTuple

from eternal_engine.model.errors import EternalError

OK: Final = "ok"
WARNING: Final = "warning"
ERROR: Final = "error"


class Finding(NamedTuple):
    """Say one thing that was looked at: ok, or what is wrong, where, and its mend."""

    check: str
    severity: str
    what: str
    where: str = ""
    mend: str = ""


def error_of(check: str, problem: EternalError) -> Finding:
    """Turn what a start would raise into a finding."""
    return Finding(check, ERROR, problem.message, problem.where, problem.mend or "see the message")
