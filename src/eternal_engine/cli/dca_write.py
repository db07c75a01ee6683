"""`eternal dca trigger` and `eternal dca fix-missed`: dry runs unless told to execute (CORE-13)."""

from __future__ import annotations

from typing import Annotated

import typer

from eternal_engine.cli.command import WAIT_S, ExecuteOption, WaitOption, YesOption, running_database, send, typed
from eternal_engine.cli.state_dir import JsonOption, ModeOption, StateDirOption

_BUY = "BUY"


def add_writing_verbs(app: typer.Typer) -> None:
    """Add the verbs of `eternal dca` that change something to its group."""
    app.command("trigger")(trigger)
    app.command("fix-missed")(fix_missed)


def trigger(
    symbols: Annotated[str, typer.Option("--symbols", metavar="LIST", help="For example BTCUSDT,ETHUSDT.")],
    amount_usdt: Annotated[str, typer.Option("--amount", metavar="USDT", help="How much of EACH symbol, in USDT.")],
    execute: ExecuteOption = False,
    yes: YesOption = False,
    state_dir: StateDirOption = None,
    mode: ModeOption = "paper",
    wait_s: WaitOption = WAIT_S,
    as_json: JsonOption = False,
) -> None:
    """Buy coins for CORE_HODL by hand, beside its schedule; a dry run unless --execute is given.

    The purchase passes the risk manager, counts for the coin's plan, and moves no due time.
    """
    if execute and not yes:
        running_database(state_dir, mode)
        typed(_BUY, f"Buys {amount_usdt} USDT of each of {symbols} at market.")
    said = {"symbols": symbols, "amount_usdt": amount_usdt, "execute": "yes" if execute else ""}
    send("dca-trigger", said, state_dir=state_dir, mode=mode, wait_s=wait_s, as_json=as_json)


def fix_missed(
    date: Annotated[
        str, typer.Option("--date", metavar="DATE", help="A due time of the rhythm to go back to, UTC; else its own.")
    ] = "",
    execute: ExecuteOption = False,
    yes: YesOption = False,
    state_dir: StateDirOption = None,
    mode: ModeOption = "paper",
    wait_s: WaitOption = WAIT_S,
    as_json: JsonOption = False,
) -> None:
    """Set CORE_HODL's due time back to its original date, if nothing was bought for it; a dry run unless --execute."""
    if execute and not yes:
        running_database(state_dir, mode)
        typed(_BUY, "A missed cycle falls due, and one cycle is bought with the next completed hour.")
    said = {"date": date, "execute": "yes" if execute else ""}
    send("dca-fix-missed", said, state_dir=state_dir, mode=mode, wait_s=wait_s, as_json=as_json)
