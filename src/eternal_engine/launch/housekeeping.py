"""Keep a database that is written for decades small and quick to start from: old journal rows go into files."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Final

from eternal_engine.engine.recorder import Recorder
from eternal_engine.model.errors import JournalBroken, StorageError
from eternal_engine.model.event import ErrorOccurred, Noted
from eternal_engine.model.ids import RuleId

# About a year of hours: a start walks the rows that are here, in a second or two.
MOST_ROWS: Final = 50_000


async def archive_old_rows(recorder: Recorder, folder: Path, at: datetime, most_rows: int = MOST_ROWS) -> bool:
    """Archive the journal when it is full; tell whether it was.

    A disk that takes no segment, or tables that do not follow from the journal, are said, and the rows stay where they
    are. Raises JournalBroken, and StorageError where the store can go on no more.
    """
    store = recorder.store
    if store.rows < most_rows:
        return False
    try:
        archived = await store.archive(folder, at)
    except JournalBroken:
        raise
    except StorageError as error:
        # Raised again where the store itself can go on no more.
        await recorder.append(ErrorOccurred(at, f"old journal rows stay: {error.message}", error.where, error.mend))
        return False
    if archived is None:
        return False
    words = f"{archived.rows} journal rows were archived in {archived.segment.name}"
    await recorder.append(Noted(at, RuleId("ORD-8"), words))
    return True
