"""One daemon per database."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from eternal_engine.model.errors import LockHeld
from eternal_engine.storage.lock import DatabaseLock

HOLDER = """
import sys, time
from pathlib import Path
from eternal_engine.storage.lock import DatabaseLock
DatabaseLock(Path(sys.argv[1])).acquire()
print("locked", flush=True)
time.sleep(60)
"""


def test_ord8_a_second_process_is_refused_naming_the_first(tmp_path: Path) -> None:
    database = tmp_path / "eternal.sqlite"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(database)], stdout=subprocess.PIPE, env=environment
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"locked\n"
        with pytest.raises(LockHeld, match=rf"another daemon \(process {holder.pid}\) uses this database") as caught:
            DatabaseLock(database).acquire()
        assert caught.value.exit_code == 4
        holder.kill()
    with DatabaseLock(database) as lock:
        assert lock.path.read_text() == f"{os.getpid()}\n"


def test_ord8_a_lock_given_back_can_be_taken_again(tmp_path: Path) -> None:
    lock = DatabaseLock(tmp_path / "eternal.sqlite")
    lock.acquire()
    with pytest.raises(LockHeld):
        DatabaseLock(tmp_path / "eternal.sqlite").acquire()
    lock.release()
    lock.release()
    with DatabaseLock(tmp_path / "eternal.sqlite"):
        pass
    with DatabaseLock(tmp_path / "eternal.sqlite"):
        pass
