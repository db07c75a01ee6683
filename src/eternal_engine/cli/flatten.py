"""`eternal flatten`: close positions at market and halt their engines (BRK-6, RISK-0)."""

from __future__ import annotations

from typing import Annotated

import typer

from eternal_engine.cli.command import ENGINES, WAIT_S, WaitOption, joined_engines, running_database, send, typed
from eternal_engine.cli.state_dir import JsonOption, ModeOption, StateDirOption

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def flatten(
    engines: Annotated[
        list[str] | None,
        typer.Argument(metavar="ENGINE", help=f"One or more of {', '.join(ENGINES)}; none: all but core_hodl."),
    ] = None,
    state_dir: StateDirOption = None,
    mode: ModeOption = "paper",
    wait_s: WaitOption = WAIT_S,
    as_json: JsonOption = False,
) -> None:
    """Close all positions of the named engines and halt them; none named: all but CORE_HODL. Asks at the terminal.

    CORE_HODL is sold only when it is named, with a confirmation of its own.
    """
    named = joined_engines(engines)
    running_database(state_dir, mode)
    which = named.replace(",", ", ") or "trend, funding and tactical"
    said = {"engines": named, "confirmation": typed("FLATTEN", f"All positions of {which} are closed at market.")}
    if "core_hodl" in named.split(","):
        said["core_confirmation"] = typed("SELL CORE_HODL", "CORE_HODL never sells. All its coins are sold now.")
    send("flatten", said, state_dir=state_dir, mode=mode, wait_s=wait_s, as_json=as_json)
