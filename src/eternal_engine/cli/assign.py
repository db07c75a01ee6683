"""`eternal assign`: give a deposit that waits in MASTER to the engines (CAP-4)."""

from __future__ import annotations

from typing import Annotated

import typer

from eternal_engine.cli.command import WAIT_S, WaitOption, joined_engines, send
from eternal_engine.cli.state_dir import JsonOption, ModeOption, StateDirOption

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_SHARES = "shares"


@app.command()
def assign(
    to: Annotated[str, typer.Argument(metavar="shares|ENGINE", help="By the shares of the configuration, or to one.")],
    amount_usdt: Annotated[
        str, typer.Option("--amount", metavar="USDT", help="How much of it; all when left out.")
    ] = "",
    state_dir: StateDirOption = None,
    mode: ModeOption = "paper",
    wait_s: WaitOption = WAIT_S,
    as_json: JsonOption = False,
) -> None:
    """Move a deposit that waits in MASTER to one engine, or to all by the shares."""
    said = {"to": joined_engines([to], _SHARES), "amount_usdt": amount_usdt}
    send("assign", said, state_dir=state_dir, mode=mode, wait_s=wait_s, as_json=as_json)
