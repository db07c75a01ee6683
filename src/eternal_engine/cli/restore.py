"""`eternal restore`: a backup in the database's place; live trading has to be armed anew afterwards."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from eternal_engine import clock
from eternal_engine.cli.command import typed
from eternal_engine.cli.output import print_json
from eternal_engine.cli.state_dir import JsonOption, ModeOption, StateDirOption, directory_of
from eternal_engine.launch.files import ARMING_FILE, DATABASE_FILE
from eternal_engine.model.errors import DataError, RefusedError

app = typer.Typer(add_completion=False, rich_markup_mode=None)

WORD = "RESTORE"


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A copy made by `eternal backup`.")],
    state_dir: StateDirOption = None,
    mode: ModeOption = "paper",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for the typed confirmation.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Put FILE in the place of the database of a stopped daemon. Arming is void afterwards.

    What was there stays beside it as .before-restore-*. At its next start the daemon compares with the exchange and
    books what happened since the backup.
    """
    from eternal_engine.storage.backup import restore as put_back
    from eternal_engine.storage.holder import lock_holder

    if not file.is_file():
        raise DataError("there is no such backup", where=str(file), mend="name a file made by `eternal backup`")
    directory = directory_of(state_dir, mode)
    database = directory / DATABASE_FILE
    holder = lock_holder(database)
    if holder is not None:
        raise RefusedError(
            f"a daemon (process {holder}) uses this database",
            where=str(database),
            mend="stop it first, then restore, then start it again",
        )
    if not yes:
        typed(WORD, f"This replaces {database}.")
    at = clock.now()
    copied = put_back(file, database, at)
    void = _void_arming(directory, at)
    if as_json:
        print_json(
            {
                "database": str(copied.path),
                "head": {"seq": copied.head.seq, "hash": copied.head.hash},
                "voided_arming": None if void is None else str(void),
            }
        )
        return
    typer.echo(f"{copied.path}: restored up to row {copied.head.seq}")
    if void is not None:
        typer.echo(f"Live trading is no longer armed (the record is now {void.name}); `eternal arm` does it again.")
    typer.echo("Start the daemon: it compares with the exchange first, and books what happened since the backup.")


def _void_arming(directory: Path, at: datetime) -> Path | None:
    """Move the arming record aside; the new database id voids it anyway, this makes it plain to see."""
    record = directory / ARMING_FILE
    if not record.exists():
        return None
    void = record.with_name(f"{ARMING_FILE}.void-{at:%Y%m%dT%H%M%S}")
    record.replace(void)
    return void
