"""How verbs that change something reach the daemon: leave a command in its inbox, wait for the answer."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import typer

from eternal_engine import clock
from eternal_engine.cli.output import print_json
from eternal_engine.cli.state_dir import DaemonMode, database_of
from eternal_engine.launch.files import INBOX_FILE
from eternal_engine.model.errors import EternalError, RefusedError, UsageError

POLL_S: Final = 0.1
ENGINES: Final = ("core_hodl", "trend", "funding", "tactical")

WaitOption = Annotated[
    float, typer.Option("--wait", min=1, metavar="SECONDS", help="How long to wait for the daemon's answer.")
]
EnginesArgument = Annotated[
    list[str] | None, typer.Argument(metavar="ENGINE", help=f"One or more of {', '.join(ENGINES)}; none: all.")
]
ExecuteOption = Annotated[bool, typer.Option("--execute", help="Do it; without this only say what would be done.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask for a confirmation.")]
WAIT_S: Final = 30.0


def send(
    verb: str,
    arguments: Mapping[str, str],
    *,
    state_dir: Path | None,
    mode: DaemonMode,
    wait_s: float,
    as_json: bool,
) -> None:
    """Leave a command for the running daemon, wait, and print its answer.

    Empty arguments are left out. Raises DataError where no daemon ever ran, RefusedError for what the daemon refuses,
    EternalError when no daemon runs or none answers in time: a command not yet answered may still be applied until it
    expires.
    """
    from eternal_engine.storage.holder import lock_holder
    from eternal_engine.storage.inbox import EXPIRED, EXPIRY, Inbox

    database = running_database(state_dir, mode)
    inbox = Inbox(database.with_name(INBOX_FILE))
    left_at = clock.now()
    identifier = inbox.leave(verb, {name: value for name, value in arguments.items() if value}, left_at)
    end = clock.monotonic() + wait_s
    while (answer := inbox.read_answer(identifier)) is None:
        if clock.monotonic() >= end:
            alive = "the daemon is busy" if lock_holder(database) is not None else "the daemon has stopped"
            raise EternalError(
                f"no answer within {wait_s:g} s: {alive}; the command may still be applied until "
                f"{left_at + EXPIRY:%H:%M:%S} UTC",
                where=f"command {identifier}",
                mend="look at `eternal status` and `eternal journal tail` before you say it again",
            )
        time.sleep(POLL_S)
    if answer.text == EXPIRED:
        raise EternalError(
            "the daemon did not take the command in time, so nothing was done",
            where=f"command {identifier}",
            mend="look at `eternal status`, then say it again",
        )
    if as_json:
        print_json({"id": identifier, "verb": verb, "accepted": answer.accepted, "answer": answer.text})
        if not answer.accepted:
            raise typer.Exit(RefusedError.exit_code)
    elif answer.accepted:
        typer.echo(answer.text)
    else:
        raise RefusedError(answer.text, where=verb)


def running_database(state_dir: Path | None, mode: DaemonMode) -> Path:
    """Give the database of a running daemon. Raises DataError where none ever ran, EternalError where none runs now."""
    from eternal_engine.storage.holder import lock_holder

    database = database_of(state_dir, mode)
    if lock_holder(database) is None:
        raise EternalError(
            "no daemon runs here, so nothing was done",
            where=str(database.parent),
            mend="start it (`eternal run`), then say it again",
        )
    return database


def joined_engines(engines: list[str] | None, *besides: str) -> str:
    """Check names of engines, or words that stand `besides` them, and join them; `core` is short for core_hodl.

    Raises UsageError.
    """
    found = ["core_hodl" if name.lower() == "core" else name.lower() for name in engines or ()]
    known = (*besides, *ENGINES)
    unknown = [name for name in found if name not in known]
    if unknown:
        raise UsageError(f"no engine {', '.join(unknown)}", where="ENGINE", mend=f"one of {', '.join(known)}")
    return ",".join(found)


def typed(word: str, question: str) -> str:
    """Ask at the terminal for a word. Raises RefusedError without a terminal, or for another word."""
    if not sys.stdin.isatty():
        raise RefusedError(
            "this needs a confirmation typed at a terminal",
            where="standard input",
            mend="run it by hand, over ssh with -t",
        )
    typer.echo(f"{question}\nType {word} to go on: ", err=True, nl=False)
    try:
        said = input().strip()
    except EOFError:
        said = ""
    if said != word:
        raise RefusedError("not confirmed, so nothing was done", where="standard input", mend=f"type {word}")
    return said
