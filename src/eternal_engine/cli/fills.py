"""`eternal fills`: every execution the daemon has booked, newest first."""

from __future__ import annotations

from typing import Any

import typer

from eternal_engine.cli.output import print_json
from eternal_engine.cli.state_dir import JsonOption, LimitOption, ModeOption, StateDirOption, database_of, most

app = typer.Typer(add_completion=False, rich_markup_mode=None)

ROOM_FOR_ORDERS = 150


@app.command()
def fills(
    state_dir: StateDirOption = None, mode: ModeOption = "paper", limit: LimitOption = None, as_json: JsonOption = False
) -> None:
    """List executions with quantity, price, fee and order."""
    from eternal_engine.storage.views import open_view

    with open_view(database_of(state_dir, mode)) as view:
        found = [fill_document(row) for row in view.fills(limit=most(limit, as_json=as_json))]
    if as_json:
        print_json(found)
        return
    from eternal_engine.cli.people import console
    from eternal_engine.cli.status_tables import fill_table

    out = console()
    out.print(fill_table(found, wide=out.width >= ROOM_FOR_ORDERS) or "no fills")


def fill_document(row: dict[str, Any]) -> dict[str, Any]:
    """Give an execution's row as scripts read it."""
    return {**row, "unassigned": bool(row["unassigned"]), "is_maker": bool(row["is_maker"])}
