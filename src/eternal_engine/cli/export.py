"""`eternal export`: statements as CSV from the journal, archived rows included."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from eternal_engine.cli.state_dir import ModeOption, SegmentsOption, StateDirOption, database_in, directory_of
from eternal_engine.files import whole_file
from eternal_engine.launch.files import SEGMENTS_FOLDER
from eternal_engine.model.errors import UsageError

if TYPE_CHECKING:
    from eternal_engine.model.event import BookEntry
    from eternal_engine.model.trade import ClosedPart

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Write trades, tax lots, funding and transfers as CSV."
)

YearOption = Annotated[int | None, typer.Option("--year", min=2009, max=2200, help="Only this year (UTC).")]
OutputOption = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write here instead of to stdout.")
]


@app.command()
def trades(
    state_dir: StateDirOption = None,
    mode: ModeOption = "paper",
    year: YearOption = None,
    output: OutputOption = None,
    segments: SegmentsOption = None,
) -> None:
    """Write every position that was closed, from its first fill to its last."""
    from eternal_engine.ledger.books import Books
    from eternal_engine.ledger.pnl import closed_trades
    from eternal_engine.reports.statements import TRADES, trade_rows

    books = Books()
    parts: list[ClosedPart] = []
    for entry in _entries(state_dir, mode, segments):
        after = books.apply(entry)
        books = after.books
        parts += after.closed
    _write(TRADES, trade_rows(closed_trades(parts), year), output)


@app.command()
def lots(
    state_dir: StateDirOption = None,
    mode: ModeOption = "paper",
    method: Annotated[
        Literal["fifo", "average"], typer.Option("--method", help="How the cost of a sale is found.")
    ] = "fifo",
    held: Annotated[bool, typer.Option("--held", help="Write the lots that are still there instead.")] = False,
    year: YearOption = None,
    output: OutputOption = None,
    segments: SegmentsOption = None,
) -> None:
    """Write tax lots: what went, when it had come, what it had cost and brought. Funding is a statement of its own."""
    from eternal_engine.reports.lots import Method, tax_lots
    from eternal_engine.reports.statements import DISPOSALS, HELD, disposal_rows, held_rows

    if held and year is not None:
        raise UsageError("--held is what is there now", where="--year", mend="leave --year out")
    made = tax_lots(_entries(state_dir, mode, segments), Method(method))
    if held:
        _write(HELD, held_rows(made.held), output)
    else:
        _write(DISPOSALS, disposal_rows(made.disposals, year), output)


@app.command()
def funding(
    state_dir: StateDirOption = None,
    mode: ModeOption = "paper",
    year: YearOption = None,
    output: OutputOption = None,
    segments: SegmentsOption = None,
) -> None:
    """Write every funding payment; received is above zero."""
    from eternal_engine.reports.statements import FUNDING, funding_rows

    _write(FUNDING, funding_rows(_entries(state_dir, mode, segments), year), output)


@app.command()
def transfers(
    state_dir: StateDirOption = None,
    mode: ModeOption = "paper",
    year: YearOption = None,
    output: OutputOption = None,
    segments: SegmentsOption = None,
) -> None:
    """Write all money that moved: between sub-accounts, from outside, and to it."""
    from eternal_engine.reports.statements import TRANSFERS, transfer_rows

    _write(TRANSFERS, transfer_rows(_entries(state_dir, mode, segments), year), output)


def _entries(state_dir: Path | None, mode: Any, segments: Path | None) -> list[BookEntry]:
    """Read everything that moved a book, in the order of booking."""
    from eternal_engine.storage.past import book_entries

    directory = directory_of(state_dir, mode)
    return book_entries(database_in(directory), segments or directory / SEGMENTS_FOLDER)


def _write(columns: Sequence[str], rows: Sequence[Any], output: Path | None) -> None:
    from eternal_engine.reports.statements import write_csv

    with nullcontext(sys.stdout) if output is None else whole_file(output) as file:
        write_csv(columns, rows, file)
    if output is not None:
        typer.echo(f"{len(rows)} rows in {output}", err=True)
