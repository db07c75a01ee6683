"""Find the database of a daemon for the verbs that only read it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import typer

from eternal_engine.launch.files import DATABASE_FILE
from eternal_engine.model.errors import DataError

DaemonMode: TypeAlias = Literal["paper", "demo", "live"]

StateDirOption = Annotated[
    Path | None,
    typer.Option("--state-dir", metavar="DIR", help="State directory of the daemon (default: paths.state_dir)."),
]
ModeOption = Annotated[DaemonMode, typer.Option("--mode", help="Whose state directory, when none is named.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON to stdout and nothing else.")]
SegmentsOption = Annotated[
    Path | None,
    typer.Option("--segments", metavar="DIR", help="Archived journal rows (default: archive in the state directory)."),
]
LimitOption = Annotated[
    int | None,
    typer.Option("--limit", min=1, metavar="N", help="How many, newest first. [default: 50; all with --json]"),
]
LINES = 50
NO_LIMIT = -1


def most(limit: int | None, *, as_json: bool) -> int:
    """Give how many rows to read: people want the newest, a script that asked for JSON must not miss any."""
    if limit is not None:
        return limit
    return NO_LIMIT if as_json else LINES


def directory_of(state_dir: Path | None, mode: DaemonMode) -> Path:
    """Give the state directory: the named one, or the configured one of a mode."""
    if state_dir is not None:
        return state_dir
    from eternal_engine.config import load

    return load(mode).paths.state_dir


def logs_in(state_dir: Path) -> Path:
    """Give the log directory of a state directory that was named: all of one run is in one place."""
    return state_dir / "logs"


def database_in(directory: Path) -> Path:
    """Give the path of the database in a state directory. Raises DataError when there is none yet."""
    database = directory / DATABASE_FILE
    if not database.is_file():
        raise DataError(
            "no daemon has run here yet: there is no database",
            where=str(database),
            mend="start it with `make run-paper`, or name its --state-dir",
        )
    return database


def database_of(state_dir: Path | None, mode: DaemonMode) -> Path:
    """Find the database of a daemon. Raises DataError when there is none yet."""
    return database_in(directory_of(state_dir, mode))
