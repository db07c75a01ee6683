"""`eternal replay`: what the journal adds up to, against what the tables say."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer

from eternal_engine.cli.output import print_json
from eternal_engine.cli.state_dir import JsonOption, ModeOption, StateDirOption, database_of
from eternal_engine.model.errors import UsageError

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def replay(
    state_dir: StateDirOption = None,
    mode: ModeOption = "paper",
    decisions: Annotated[
        bool,
        typer.Option(
            "--decisions",
            help="Also follow every order of the journal back to its decision and to the verdict that let it pass. "
            "Market data is not looked at and no rule is run again: `eternal backtest` does that.",
        ),
    ] = False,
    write: Annotated[
        bool, typer.Option("--write", help="Replace the tables by what the journal says (only of a stopped daemon).")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Add the journal up again from its last checkpoint and compare every table; exit 1 on a difference."""
    from eternal_engine.storage.replay import differences, unexplained_orders

    if write and decisions:
        raise UsageError("--write mends tables, not decisions", where="--decisions", mend="leave one of the two out")
    database = database_of(state_dir, mode)
    found = differences(database)
    unexplained = unexplained_orders(database) if decisions else None
    is_mended = write and bool(found.differences)
    if is_mended:
        from eternal_engine.storage.repair import rebuild_tables

        asyncio.run(rebuild_tables(database))
    document: dict[str, Any] = {
        "events": found.events,
        "rows": found.rows,
        "differences": list(found.differences),
        "written": is_mended,
        "unexplained_orders": None if unexplained is None else list(unexplained),
    }
    if as_json:
        print_json(document)
    else:
        _print(document)
    if (found.differences and not is_mended) or unexplained:
        raise typer.Exit(1)


def _print(document: dict[str, Any]) -> None:
    typer.echo(f"{document['events']} events add up to {document['rows']} rows.")
    for difference in document["differences"]:
        typer.echo(f"  {difference}")
    if document["written"]:
        typer.echo("The tables are now what the journal says.")
    elif document["differences"]:
        typer.echo("Stop the daemon and mend the tables with `eternal replay --write`.")
    else:
        typer.echo("Every table says the same.")
    for line in document["unexplained_orders"] or ():
        typer.echo(f"  {line}")
    if document["unexplained_orders"] == []:
        typer.echo("Every order follows from a decision and its verdict.")
