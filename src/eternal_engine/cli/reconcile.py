"""`eternal reconcile`: compare with the exchange now (ORD-7)."""

from __future__ import annotations

import typer

from eternal_engine.cli.command import WAIT_S, WaitOption, send
from eternal_engine.cli.state_dir import JsonOption, ModeOption, StateDirOption

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def reconcile(
    state_dir: StateDirOption = None,
    mode: ModeOption = "paper",
    wait_s: WaitOption = WAIT_S,
    as_json: JsonOption = False,
) -> None:
    """Let the daemon compare orders, executions, positions and balances with the exchange now."""
    send("reconcile", {}, state_dir=state_dir, mode=mode, wait_s=wait_s, as_json=as_json)
