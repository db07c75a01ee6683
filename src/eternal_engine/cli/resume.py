"""`eternal resume`: lift what the operator halted, or an emergency stop (RISK-1, RISK-4)."""

from __future__ import annotations

from typing import Annotated

import typer

from eternal_engine.cli.command import (
    WAIT_S,
    EnginesArgument,
    WaitOption,
    joined_engines,
    running_database,
    send,
    typed,
)
from eternal_engine.cli.state_dir import JsonOption, ModeOption, StateDirOption

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def resume(
    engines: EnginesArgument = None,
    emergency: Annotated[
        bool, typer.Option("--emergency", help="Lift the emergency stop of a loss limit, too; asks at the terminal.")
    ] = False,
    state_dir: StateDirOption = None,
    mode: ModeOption = "paper",
    wait_s: WaitOption = WAIT_S,
    as_json: JsonOption = False,
) -> None:
    """Lift the operator's halt of the named engines, or of all; a breaker waits for `eternal approve`."""
    said = {"engines": joined_engines(engines)}
    if emergency:
        running_database(state_dir, mode)
        said["emergency"] = typed("RESUME", "A loss limit stopped all engines. They will trade again.")
    send("resume", said, state_dir=state_dir, mode=mode, wait_s=wait_s, as_json=as_json)
