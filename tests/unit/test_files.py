"""A file that somebody asked for appears whole or not at all, and the mend fits the fault."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from eternal_engine.files import failure, whole_file, write_whole
from eternal_engine.model.errors import DataError, EternalError, UsageError


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


def test_a_failed_write_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    target = tmp_path / "taken"
    target.mkdir()
    (target / "inside").write_text("kept")
    with pytest.raises(UsageError, match="directory"):
        write_whole(target, "new")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
    assert (target / "inside").read_text() == "kept"


def test_the_error_is_of_the_kind_that_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"exists|directory"):
        write_whole(tmp_path / "file" / "run.json", "x")
    with pytest.raises(DataError, match=r"exists|directory"):
        write_whole(tmp_path / "file" / "run.json", "x", kind=DataError)


@pytest.mark.parametrize(("private", "mode"), [(False, 0o640), (True, 0o600)], ids=["for others", "for its owner"])
def test_the_rights_of_a_file_are_the_users_or_its_owners_alone(tmp_path: Path, private: bool, mode: int) -> None:
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "new" / "file", b"bytes", private=private)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new" / "file").stat().st_mode) == mode
    assert (tmp_path / "new" / "file").read_bytes() == b"bytes"


def test_two_writers_of_one_file_never_mix(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    with whole_file(path) as first:
        first.write("of the first, ")
        first.flush()
        with whole_file(path) as second:
            second.write("all of the second")
        assert path.read_text() == "all of the second"
        first.write("all")
    assert path.read_text() == "of the first, all"


@pytest.mark.parametrize(("number", "is_written"), [(errno.EINVAL, True), (errno.EIO, False)])
def test_a_file_system_that_cannot_sync_names_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, is_written: bool
) -> None:
    really = os.fsync

    def no_directories(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(number, "refused")
        really(handle)

    monkeypatch.setattr(os, "fsync", no_directories)
    if is_written:
        write_whole(tmp_path / "file", "x")
    else:
        with pytest.raises(UsageError, match="refused"):
            write_whole(tmp_path / "file", "x")
