"""A file that somebody asked for appears whole or not at all, and the mend fits the fault."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from eternal_engine.cli import run
from eternal_engine.cli.whole_file import failure, whole_file
from eternal_engine.model.errors import EternalError, UsageError


def fill_the_disk(path: Path) -> None:
    with whole_file(path) as file:
        file.write("half of")
        raise OSError(errno.ENOSPC, "No space left on device")


def test_nothing_is_left_of_a_file_that_could_not_be_finished(tmp_path: Path) -> None:
    path = tmp_path / "trades.csv"
    path.write_text("the old one")
    with pytest.raises(EternalError, match="No space left") as caught:
        fill_the_disk(path)
    assert (caught.value.where, "free some space" in caught.value.mend) == (str(path), True)
    assert [one.name for one in tmp_path.iterdir()] == ["trades.csv"]
    assert path.read_text() == "the old one"


def test_a_defect_while_writing_leaves_nothing_either(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), whole_file(tmp_path / "a") as file:
        file.write(str(1 // 0))
    assert not list(tmp_path.iterdir())


def test_what_is_no_file_is_written_to_and_stays_what_it_is(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with whole_file(pipe) as file:
        file.write("through")
    assert os.read(reader, 10) == b"through"
    os.close(reader)
    assert [one.is_fifo() for one in tmp_path.iterdir()] == [True]


def test_a_file_that_must_be_new_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text("kept")
    with pytest.raises(UsageError, match="exists already"), whole_file(path, must_be_new=True):
        pytest.fail("it was opened")
    assert path.read_text() == "kept"


@pytest.mark.parametrize(
    ("number", "mend"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EROFS, "another place"),
        (errno.EACCES, "belong to this user"),
        (errno.EISDIR, "not a directory"),
        (errno.ENOENT, "exists and may be used"),
    ],
)
def test_the_mend_fits_what_the_system_refused(number: int, mend: str) -> None:
    assert mend in failure(OSError(number, "refused"), "/there").mend


@pytest.mark.parametrize(
    "arguments", [("export", "trades", "-o"), ("journal", "export")], ids=["a statement", "the journal"]
)
def test_a_place_that_cannot_be_written_is_named_by_the_verbs(
    arguments: tuple[str, ...], state_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = tmp_path / "nowhere" / "file"
    assert run([*arguments, str(there), "--state-dir", str(state_dir)]) == 1
    assert f"where: {there}" in capsys.readouterr().err


def test_the_journal_is_not_exported_over_a_file(
    state_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "j").write_text("kept")
    assert run(["journal", "export", str(tmp_path / "j"), "--state-dir", str(state_dir)]) == 2
    assert "exists already" in capsys.readouterr().err
