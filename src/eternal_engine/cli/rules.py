"""`eternal rules`: the registered rules, and docs/rules.md made from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def rules(
    write: Annotated[
        Path | None, typer.Option("--write", metavar="FILE", help="Write the table as Markdown into FILE.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array and nothing else.")] = False,
) -> None:
    """List every rule with what it does, its file, its configuration keys with defaults, and its tests."""
    from eternal_engine.rule_book import markdown, rule_rows

    rows = rule_rows()
    if write is not None:
        write.write_text(markdown(rows), encoding="utf-8")
    elif as_json:
        typer.echo(json.dumps([row._asdict() for row in rows], indent=1))
    else:
        typer.echo(markdown(rows), nl=False)
