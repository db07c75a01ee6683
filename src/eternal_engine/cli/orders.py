"""`eternal orders`: every order of the daemon, newest first."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from eternal_engine.cli.output import print_json
from eternal_engine.cli.state_dir import JsonOption, LimitOption, ModeOption, StateDirOption, database_of, most

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def orders(
    state_dir: StateDirOption = None,
    mode: ModeOption = "paper",
    open_only: Annotated[bool, typer.Option("--open", help="Only orders of which more is expected.")] = False,
    limit: LimitOption = None,
    as_json: JsonOption = False,
) -> None:
    """List orders with size, what is filled, state and the rule behind each; `eternal why ORDER` tells more."""
    from eternal_engine.storage.views import open_view

    with open_view(database_of(state_dir, mode)) as view:
        found = [order_document(row) for row in view.orders(open_only=open_only, limit=most(limit, as_json=as_json))]
    if as_json:
        print_json(found)
        return
    from eternal_engine.cli.people import console
    from eternal_engine.cli.status_tables import order_table

    console().print(order_table(found) or "no orders")


def order_document(row: dict[str, Any]) -> dict[str, Any]:
    """Give an order's row as scripts read it."""
    return {**row, "reduce_only": bool(row["reduce_only"])}
