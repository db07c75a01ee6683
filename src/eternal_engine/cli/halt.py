"""`eternal halt`: stop entries; what shrinks a position goes on (RISK-0, RISK-1)."""

from __future__ import annotations

import typer

from eternal_engine.cli.command import WAIT_S, EnginesArgument, WaitOption, joined_engines, send
from eternal_engine.cli.state_dir import JsonOption, ModeOption, StateDirOption

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def halt(
    engines: EnginesArgument = None,
    state_dir: StateDirOption = None,
    mode: ModeOption = "paper",
    wait_s: WaitOption = WAIT_S,
    as_json: JsonOption = False,
) -> None:
    """Halt the entries of the named engines, or of all; exits and protective stops go on."""
    said = {"engines": joined_engines(engines)}
    send("halt", said, state_dir=state_dir, mode=mode, wait_s=wait_s, as_json=as_json)
