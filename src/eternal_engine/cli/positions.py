"""`eternal positions`: what each engine holds, by its own book."""

from __future__ import annotations

import typer

from eternal_engine.cli.output import print_json
from eternal_engine.cli.state_dir import JsonOption, ModeOption, StateDirOption, database_of

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def positions(state_dir: StateDirOption = None, mode: ModeOption = "paper", as_json: JsonOption = False) -> None:
    """List every holding and position with average price, last price, result and resting stop."""
    from eternal_engine.cli.remembered import remembered
    from eternal_engine.cli.status_document import closes_beside
    from eternal_engine.cli.status_document import positions as read_positions
    from eternal_engine.storage.views import open_view

    database = database_of(state_dir, mode)
    with open_view(database) as view:
        memory = remembered(view)
        found = read_positions(view, memory, closes_beside(database, view, memory))
    if as_json:
        print_json(found)
        return
    from eternal_engine.cli.people import console
    from eternal_engine.cli.status_tables import position_table

    console().print(position_table(found) or "no positions")
