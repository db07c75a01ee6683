"""Print a report in the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from eternal_engine.reports.report import Report
from eternal_engine.reports.tables import Table, range_lines, summary_tables


def print_report(report: Report, console: Console) -> None:
    """Print what a person needs to judge the run, most important first."""
    print_range(report, console)
    for table in summary_tables(report):
        print_table(table, console, report.data.mark)
    for note in report.data.notes:
        console.print(Text(f"note: {note}", style="dim"))
    console.print(Text(f"result {report.result_hash}", style="dim"))


def print_range(report: Report, console: Console) -> None:
    """Print what was asked, what was run, and on what."""
    for line in range_lines(report):
        loud = line.startswith((report.data.mark or "\0", "The data"))
        console.print(Text(line, style="bold yellow" if loud else ""))


def print_table(table: Table, console: Console, mark: str = "") -> None:
    """Print one table; an empty one says so."""
    title = f"{table.title} [{mark}]" if mark else table.title
    console.print()
    console.print(Text(title, style="bold"))
    if not table.rows:
        console.print("none")
        return
    drawn = RichTable(box=None, pad_edge=False, show_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for number, column in enumerate(table.columns):
        drawn.add_column(Text(column), justify="left" if number in table.left else "right", overflow="fold")
    for row in table.rows:
        drawn.add_row(*(Text(cell, style=_STYLES[table.tone(row, number)]) for number, cell in enumerate(row)))
    console.print(drawn)
    if table.note:
        console.print(Text(table.note, style="dim"))


_STYLES = {"gain": "green", "loss": "red", "": ""}
