"""The restore drill of docs/restore-drill.md, walked through with the real command on a real paper daemon."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
RUN = ("run", "--mode", "paper", "--speed", "max", "--json", "--until")
MAIN = "from eternal_engine.cli import main; main()"

pytestmark = pytest.mark.slow


class Desk:
    """An operator's terminal in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        shutil.copytree(ROOT / "config", directory / "config")

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", MAIN, *arguments],
            cwd=self.directory,
            env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )

    def done(self, *arguments: str) -> str:
        result = self.call(*arguments)
        assert result.returncode == 0, f"{arguments}: {result.stderr}"
        return result.stdout

    def read(self, *arguments: str) -> Any:
        return json.loads(self.done(*arguments, "--json"))

    @property
    def database(self) -> Path:
        return self.directory / "state" / "paper" / "eternal.db"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Give a desk at which a daemon has traded, was backed up, and has traded on for one more weekly purchase."""
    made = Desk(tmp_path_factory.mktemp("drill"))
    made.done(*RUN, "2022-01-05", "--market", "synthetic", "--start", "2022-01-01")
    made.done("backup", "drill.db")
    made.done(*RUN, "2022-01-14")
    return made


def bought(desk: Desk) -> dict[tuple[str, str], int]:
    """Count the filled orders of each engine's decision per symbol: more than one would be an order sent twice."""
    counts: dict[tuple[str, str], int] = {}
    for order in desk.read("orders"):
        if order["state"] == "filled" and order["leg"] == "buy":
            key = (order["symbol"], order["decided_at"])
            counts[key] = counts.get(key, 0) + 1
    return counts


def test_c_the_drill_an_old_backup_comes_back_and_nothing_is_bought_twice(desk: Desk) -> None:
    before = {(row["account"], row["symbol"]): row["qty"] for row in desk.read("positions")}
    head = desk.read("journal", "verify")["head"]["hash"]
    shutil.move(desk.database, desk.database.with_suffix(".lost"))
    for leftover in ("-wal", "-shm"):
        desk.database.with_name(desk.database.name + leftover).unlink(missing_ok=True)
    desk.done("restore", "drill.db", "--yes")
    assert desk.read("journal", "verify")["head"]["hash"] != head, "the backup is older"
    desk.done("replay")
    # Nothing is due on that day: what is there afterwards came from the exchange's own list of executions.
    summary = json.loads(desk.done(*RUN, "2022-01-14T02:00"))
    assert summary["reason"]
    after = {(row["account"], row["symbol"]): row["qty"] for row in desk.read("positions")}
    core = {key: qty for key, qty in before.items() if key[0] == "core_hodl"}
    assert {key: qty for key, qty in after.items() if key[0] == "core_hodl"} == core
    assert set(bought(desk).values()) == {1}


def test_c_an_edited_journal_is_located_by_its_row(desk: Desk) -> None:
    copy = desk.directory / "edited"
    copy.mkdir()
    shutil.copy(desk.directory / "drill.db", copy / "eternal.db")
    connection = sqlite3.connect(copy / "eternal.db")
    connection.execute("UPDATE journal SET body = replace(body, '1', '2') WHERE seq = 5")
    connection.commit()
    connection.close()
    result = desk.call("journal", "verify", "--state-dir", "edited")
    assert result.returncode == 4
    assert "5" in result.stdout + result.stderr


def test_a_restore_is_refused_for_a_file_that_is_not_whole(desk: Desk) -> None:
    whole = (desk.directory / "drill.db").read_bytes()
    (desk.directory / "cut.db").write_bytes(whole[: len(whole) // 2])
    result = desk.call("restore", "cut.db", "--yes")
    assert result.returncode != 0
    assert "mend:" in result.stderr
