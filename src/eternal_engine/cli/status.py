"""`eternal status`: what the daemon does and why, from its database; it never starts a client (K4)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from eternal_engine import clock
from eternal_engine.cli.output import print_json
from eternal_engine.cli.state_dir import JsonOption, ModeOption, StateDirOption, database_of
from eternal_engine.model.errors import UsageError

app = typer.Typer(add_completion=False, rich_markup_mode=None)

EVERY_S = 1.0


@app.command()
def status(
    state_dir: StateDirOption = None,
    mode: ModeOption = "paper",
    watch: Annotated[bool, typer.Option("--watch", help="Show it anew every second until Ctrl-C.")] = False,
    as_json: JsonOption = False,
    require_running: Annotated[
        bool, typer.Option("--require-running", help="End with exit code 1 unless a daemon runs (health checks).")
    ] = False,
) -> None:
    """Show mode, engines, plan, risk, positions, orders and the last errors of a daemon, running or not."""
    if watch and (as_json or require_running):
        raise UsageError("--watch is for people", where="--watch", mend="leave it out, or leave out the other option")
    database = database_of(state_dir, mode)
    if watch:
        _watch(database)
        return
    document = _document(database)
    if as_json:
        print_json(document)
    else:
        from eternal_engine.cli.people import console
        from eternal_engine.cli.status_tables import status_view

        console().print(status_view(document))
    if require_running and not document["running"]:
        raise typer.Exit(1)


def _document(database: Path) -> dict[str, Any]:
    from eternal_engine.cli.status_document import status_document
    from eternal_engine.storage.views import open_view

    with open_view(database) as view:
        return status_document(view, database, clock.now())


def _watch(database: Path) -> None:
    from rich.live import Live

    from eternal_engine.cli.people import console
    from eternal_engine.cli.status_tables import status_view

    out = console()
    if not out.is_terminal:
        raise UsageError("--watch needs a terminal", where="standard output", mend="leave out --watch")
    with Live(status_view(_document(database)), console=out, screen=True, auto_refresh=False) as live:
        try:
            while True:
                time.sleep(EVERY_S)
                live.update(status_view(_document(database)), refresh=True)
        except KeyboardInterrupt:
            return
