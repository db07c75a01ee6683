"""`eternal backup`: a whole, verified copy of the database, made while the daemon runs or not."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eternal_engine.cli.output import print_json
from eternal_engine.cli.state_dir import JsonOption, ModeOption, StateDirOption, database_of

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The copy; it must not exist yet.")],
    state_dir: StateDirOption = None,
    mode: ModeOption = "paper",
    as_json: JsonOption = False,
) -> None:
    """Copy the database; FILE appears whole and verified, or not at all."""
    from eternal_engine.storage.backup import back_up

    copied = back_up(database_of(state_dir, mode), file)
    if as_json:
        print_json({"file": str(copied.path), "head": {"seq": copied.head.seq, "hash": copied.head.hash}})
        return
    typer.echo(f"{copied.path}: verified up to row {copied.head.seq}\nhead {copied.head.hash}")
