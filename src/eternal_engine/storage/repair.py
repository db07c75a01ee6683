"""Make the tables again from the journal, for a database whose journal verifies and whose tables do not."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import delete, insert

from eternal_engine.storage.database import translated, writing_engine
from eternal_engine.storage.lock import DatabaseLock
from eternal_engine.storage.schema import PROJECTIONS
from eternal_engine.storage.table_state import rows_by_table
from eternal_engine.storage.verify import Verified, projection_difference, rebuild, verify_chain


async def rebuild_tables(path: Path) -> tuple[Verified, str]:
    """Replace all projection rows by what the journal says; give what was verified and the first difference found.

    One transaction under the daemon's lock. Raises LockHeld while a daemon runs, JournalBroken or StorageError.
    """
    with DatabaseLock(path):
        engine = writing_engine(path)
        try:
            with translated(str(path)):
                async with engine.begin() as connection:
                    verified = await connection.run_sync(verify_chain)
                    difference = await connection.run_sync(projection_difference)
                    rows = rows_by_table((await connection.run_sync(rebuild)).state)
                    for table in PROJECTIONS:
                        await connection.execute(delete(table))
                        if rows[table.name]:
                            await connection.execute(insert(table), rows[table.name])
        finally:
            await engine.dispose()
    return verified, difference
