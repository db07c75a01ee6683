"""`eternal dca`: CORE_HODL's purchase plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from eternal_engine.cli.dca_write import add_writing_verbs
from eternal_engine.cli.output import print_json
from eternal_engine.cli.state_dir import JsonOption, ModeOption, StateDirOption, database_of
from eternal_engine.model.errors import DataError

if TYPE_CHECKING:
    from eternal_engine.cli.remembered import Remembered
    from eternal_engine.config import Settings

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Show CORE_HODL's purchase plan, and act on it.")
add_writing_verbs(app)


@app.command()
def status(state_dir: StateDirOption = None, mode: ModeOption = "paper", as_json: JsonOption = False) -> None:
    """Show the plan: phase, week, next due time, and per coin what is still to buy, spent and carried."""
    from eternal_engine.cli.remembered import remembered
    from eternal_engine.cli.status_document import core_status, settings_of
    from eternal_engine.storage.views import open_view

    database = database_of(state_dir, mode)
    with open_view(database) as view:
        memory, entry, run = remembered(view), view.last_entry(), view.last_run() or {}
    if memory is None:
        raise DataError(
            "CORE_HODL has not decided yet", where=str(database), mend="let the daemon run until its first full hour"
        )
    settings, _ = settings_of(run.get("mode"))
    document = {
        "as_of": None if entry is None else entry["at"],
        **core_status(memory, settings),
        "coins": coin_rows(memory, settings),
    }
    if as_json:
        print_json(document)
    else:
        _print(document)


def coin_rows(memory: Remembered, settings: Settings | None) -> list[dict[str, Any]]:
    """Give each coin's part of the plan; amounts in USDT as texts."""
    from eternal_engine.cli.remembered import hour_text, number_text

    names = ("none", "main plan", "own plan", "not listed")
    core = memory.core
    return [
        {
            "symbol": symbol,
            "weight": None if settings is None else str(settings.core_hodl.weights.get(symbol, 0)),
            "plan": names[core["plan"][s]],
            "gap_usdt": number_text(core["gap_usdt"][s]),
            "spent_usdt": number_text(core["spent_usdt"][s]),
            "carry_usdt": number_text(core["plan_carry_usdt"][s] + core["flow_carry_usdt"][s]),
            "own_weeks": core["own_weeks"][s],
            "held_back_until": hour_text(memory.held_back.get(symbol, 0)),
        }
        for s, symbol in enumerate(memory.symbols)
    ]


def _print(document: dict[str, Any]) -> None:
    from eternal_engine.cli.people import console, moment, table, titled, usdt
    from eternal_engine.cli.status_tables import core_facts

    out = console()
    out.print(core_facts({"core_hodl": document, "last_entry_at": document["as_of"]}))
    rows = [
        (
            row["symbol"],
            row["weight"],
            row["plan"],
            usdt(row["gap_usdt"]),
            usdt(row["spent_usdt"]),
            usdt(row["carry_usdt"]),
            moment(row["held_back_until"]),
        )
        for row in document["coins"]
    ]
    columns = ("coin", "weight", "plan", "still to buy", "spent", "carried", "held back until")
    out.print(titled("Coins (USDT)", table(columns, rows, right=(1, 3, 4, 5))))
