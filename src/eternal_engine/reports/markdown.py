"""Write a report as Markdown."""

from __future__ import annotations

from eternal_engine.reports.report import Report
from eternal_engine.reports.tables import Table, month_table, range_lines, summary_tables


def to_markdown(report: Report) -> str:
    """Write every table of the report; a synthetic run is marked in each heading."""
    mark = report.data.mark
    parts = [f"# Backtest {report.data.start} to {report.data.end}{_tag(mark)}", ""]
    parts += [f"- {_plain(line)}" for line in range_lines(report)]
    money = f"capital {report.capital_usdt:,.0f} USDT, weekly deposit {report.deposit_weekly_usdt:,.0f} USDT"
    parts += [
        f"- engines: {', '.join(report.engines)}; {money}; seed {report.seed}",
        f"- result hash `{report.result_hash}`, config hash `{report.config_hash}`",
        "",
    ]
    for table in (*summary_tables(report), month_table(report)):
        parts += [markdown_table(table, mark), ""]
    if report.data.notes:
        parts += [f"## Notes on the data{_tag(mark)}", "", *(f"- {_plain(note)}" for note in report.data.notes), ""]
    if report.data.gaps:
        rows = tuple((gap.dataset, gap.symbol, gap.start, gap.end, str(gap.bars)) for gap in report.data.gaps)
        gaps = Table("Gaps in the data", ("Dataset", "Symbol", "From", "Until", "Bars"), rows, left=frozenset(range(4)))
        parts += [markdown_table(gaps, mark), ""]
    return "\n".join(parts)


def markdown_table(table: Table, mark: str = "") -> str:
    """Write one table with its heading and note."""
    lines = [f"## {table.title}{_tag(mark)}", ""]
    if not table.rows:
        return "\n".join([*lines, "none"])
    lines.append(_row(table.columns))
    lines.append(_row([":---" if number in table.left else "---:" for number in range(len(table.columns))]))
    lines += [_row(row) for row in table.rows]
    if table.note:
        lines += ["", _plain(table.note)]
    return "\n".join(lines)


def _row(cells: tuple[str, ...] | list[str]) -> str:
    return "| " + " | ".join(_plain(cell) for cell in cells) + " |"


def _plain(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _tag(mark: str) -> str:
    return f" [{mark}]" if mark else ""
