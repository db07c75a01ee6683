"""`eternal review`: judge a symbol whose entries wait, or a position that nobody explains (ORD-7)."""

from __future__ import annotations

from typing import Annotated

import typer

from eternal_engine.cli.command import WAIT_S, WaitOption, send
from eternal_engine.cli.state_dir import JsonOption, ModeOption, StateDirOption
from eternal_engine.model.errors import UsageError

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def review(
    symbol: Annotated[str, typer.Argument(metavar="SYMBOL", help="For example BTCUSDT.")],
    assign: Annotated[
        bool, typer.Option("--assign", help="Give what was found to the engine of that account.")
    ] = False,
    ignore: Annotated[bool, typer.Option("--ignore", help="Leave what was found aside: no engine uses it.")] = False,
    account: Annotated[str, typer.Option("--account", metavar="ENGINE", help="Where, if it was found twice.")] = "",
    stop_usdt: Annotated[
        str, typer.Option("--stop", metavar="USDT", help="The protective stop of a perp that TREND takes over.")
    ] = "",
    state_dir: StateDirOption = None,
    mode: ModeOption = "paper",
    wait_s: WaitOption = WAIT_S,
    as_json: JsonOption = False,
) -> None:
    """Let entries in a symbol go on after a mismatch, and say what becomes of an orphan position."""
    if assign and ignore:
        raise UsageError("--assign and --ignore exclude each other", where="review", mend="say one of them")
    action = "assign" if assign else "ignore" if ignore else ""
    said = {"symbol": symbol.upper(), "action": action, "account": account.lower(), "stop_usdt": stop_usdt}
    send("review", said, state_dir=state_dir, mode=mode, wait_s=wait_s, as_json=as_json)
