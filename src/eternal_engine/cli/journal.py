"""`eternal journal`: the append-only truth, shown, verified and carried away."""

from __future__ import annotations

import json
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from eternal_engine.cli.output import print_json
from eternal_engine.cli.state_dir import (
    JsonOption,
    ModeOption,
    SegmentsOption,
    StateDirOption,
    database_in,
    database_of,
    directory_of,
)
from eternal_engine.files import whole_file
from eternal_engine.launch.files import SEGMENTS_FOLDER
from eternal_engine.model.errors import EternalError, JournalBroken, StorageError, UsageError

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Show, verify and export the journal.")

EVERY_S = 1.0
SHOWN_CHARS = 200


@app.command()
def tail(
    state_dir: StateDirOption = None,
    mode: ModeOption = "paper",
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, metavar="N", help="How many of the newest rows.")] = 20,
    kind: Annotated[list[str] | None, typer.Option("--kind", help="Only rows of this kind; may be repeated.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new rows until Ctrl-C.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the newest rows, oldest first."""
    from eternal_engine.storage.views import open_view

    kinds = _known_kinds(kind or [])
    if follow and as_json:
        raise UsageError("--follow never ends its array", where="--json", mend="leave one of the two out")
    database = database_of(state_dir, mode)
    with open_view(database) as view:
        rows = view.events(*kinds, limit=limit)[::-1]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        typer.echo(_line(row))
    if follow:
        _follow(database, kinds, rows[-1]["seq"] if rows else 0)


@app.command()
def verify(
    state_dir: StateDirOption = None,
    mode: ModeOption = "paper",
    head: Annotated[
        str, typer.Option("--head", metavar="HASH", help="A hash noted down earlier: finds a tail that was cut off.")
    ] = "",
    segments: SegmentsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Verify the hash chain, the archived segments that are here, and that every table follows from the journal.

    Ends with 4 where the chain is broken, and with 1 where a table does not follow (mend: `eternal replay --write`).
    """
    directory = directory_of(state_dir, mode)
    database = database_in(directory)
    try:
        found = _verified(database, head, segments or directory / SEGMENTS_FOLDER)
    except StorageError as problem:
        if not as_json:
            raise
        print_json(_problem(problem))
        raise typer.Exit(problem.exit_code) from None
    if as_json:
        print_json(found)
        return
    typer.echo(f"The journal holds: {found['rows']} rows here, {found['archived_rows']} archived.")
    if found["archived_rows"] != found["verified_archived_rows"]:
        typer.echo("The archived segments are not here: only their checkpoints were verified.")
    typer.echo(f"head {found['head']['seq']} {found['head']['hash']}")
    typer.echo("Note the head down elsewhere: `--head HASH` finds a tail that was cut off later.")


@app.command()
def export(
    output: Annotated[Path, typer.Argument(metavar="FILE", help="JSON lines go here; - is stdout.")],
    state_dir: StateDirOption = None,
    mode: ModeOption = "paper",
    segments: SegmentsOption = None,
) -> None:
    """Write every row ever journaled as one JSON line: seq, at, kind, body (a text as it was hashed) and hash."""
    from eternal_engine.storage.past import all_rows

    directory = directory_of(state_dir, mode)
    database, folder = database_in(directory), segments or directory / SEGMENTS_FOLDER
    is_stdout = str(output) == "-"
    count = 0
    with nullcontext(sys.stdout) if is_stdout else whole_file(output, must_be_new=True) as file:
        for row in all_rows(database, folder):
            file.write(json.dumps(row._asdict(), separators=(",", ":")) + "\n")
            count += 1
    if not is_stdout:
        typer.echo(f"{count} rows in {output}", err=True)


def _verified(database: Path, head: str, segments: Path) -> dict[str, Any]:
    from eternal_engine.storage.archive import is_archived, verify_archives
    from eternal_engine.storage.verify import verify as verify_database

    # A head that was noted down grows old: its row is archived one day, where only the segments have its hash.
    is_old = bool(head) and segments.is_dir() and is_archived(database, segments, head)
    verified = verify_database(database, head=None if is_old else head or None)
    archived = verify_archives(database, segments) if verified.archived_rows and segments.is_dir() else 0
    return {
        "ok": True,
        "rows": verified.rows,
        "archived_rows": verified.archived_rows,
        "verified_archived_rows": archived,
        "head": {"seq": verified.head.seq, "hash": verified.head.hash},
        "problem": None,
    }


def _problem(problem: EternalError) -> dict[str, Any]:
    return {
        "ok": False,
        "rows": None,
        "archived_rows": None,
        "verified_archived_rows": None,
        "head": None,
        "problem": {
            "message": problem.message,
            "where": problem.where,
            "mend": problem.mend,
            "seq": problem.seq if isinstance(problem, JournalBroken) else None,
        },
    }


def _known_kinds(wanted: list[str]) -> list[str]:
    from eternal_engine.storage.codec import EVENT_KINDS

    for kind in wanted:
        if kind not in EVENT_KINDS:
            raise UsageError(
                f"there is no kind of event {kind!r}", where="--kind", mend=f"one of {', '.join(sorted(EVENT_KINDS))}"
            )
    return wanted


def _follow(database: Path, kinds: list[str], seq: int) -> None:
    from eternal_engine.storage.views import open_view

    try:
        while True:
            time.sleep(EVERY_S)
            with open_view(database) as view:
                fresh = view.events_after(seq)
            for row in fresh:
                seq = row["seq"]
                if not kinds or row["kind"] in kinds:
                    typer.echo(_line(row))
    except KeyboardInterrupt:
        return


def _line(row: dict[str, Any]) -> str:
    from eternal_engine.cli.event_words import in_words

    text = in_words(row)
    return f"{row['seq']:>8}  {row['at'][:19].replace('T', ' ')}  {row['kind']:<18}  {text[:SHOWN_CHARS]}"
