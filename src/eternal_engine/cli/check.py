"""`eternal check`: the doctor; each finding with its mend (K1)."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from eternal_engine import clock
from eternal_engine.cli.finding import ERROR, WARNING
from eternal_engine.cli.output import print_json
from eternal_engine.cli.state_dir import JsonOption, ModeOption, StateDirOption

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def check(
    state_dir: StateDirOption = None,
    mode: ModeOption = "paper",
    offline: Annotated[
        bool, typer.Option("--offline", help="Do not ask the exchange about keys and accounts (demo and live).")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Examine configuration, directories, database, journal, secrets, keys and accounts; exit 1 on any error.

    Paper needs neither keys nor a network. Nothing is changed, and nothing is ordered.
    """
    from eternal_engine.cli.examination import examine

    findings = examine(mode, state_dir, clock.now(), ask_exchange=not offline)
    errors = sum(finding.severity == ERROR for finding in findings)
    if as_json:
        rows: list[dict[str, Any]] = [finding._asdict() for finding in findings]
        print_json({"ok": not errors, "mode": mode, "findings": rows})
    else:
        for finding in findings:
            typer.echo(f"{_MARKS[finding.severity]:<8} {finding.what}")
            if finding.severity in (ERROR, WARNING):
                typer.echo(f"         where: {finding.where}\n         mend:  {finding.mend}")
        warnings = sum(finding.severity == WARNING for finding in findings)
        typer.echo(f"\n{errors} errors, {warnings} warnings")
    if errors:
        raise typer.Exit(1)


_MARKS = {"ok": "ok", "warning": "WARNING", "error": "ERROR"}
