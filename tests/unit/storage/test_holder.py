"""Who holds the lock: seen without touching it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from eternal_engine.storage import holder
from eternal_engine.storage.holder import lock_holder
from eternal_engine.storage.lock import DatabaseLock


def test_ord8_the_holder_is_named_while_the_lock_is_held_and_nobody_afterwards(tmp_path: Path) -> None:
    database = tmp_path / "eternal.db"
    assert lock_holder(database) is None
    with DatabaseLock(database):
        assert lock_holder(database) == os.getpid()
    assert lock_holder(database) is None
    assert not database.exists()


def test_ord8_without_the_kernels_list_the_lock_is_tried(tmp_path: Path) -> None:
    database, nowhere = tmp_path / "eternal.db", tmp_path / "no-list"
    with DatabaseLock(database):
        assert lock_holder(database, nowhere) == os.getpid()
        with_it = DatabaseLock(database).path.read_text()
    assert lock_holder(database, nowhere) is None
    assert with_it.strip() == str(os.getpid())  # a look leaves the note alone
    with DatabaseLock(database):  # and leaves no lock behind
        pass


def test_ord8_a_layered_file_system_is_recognised_by_the_noted_process(tmp_path: Path) -> None:
    database, listed = tmp_path / "eternal.db", tmp_path / "locks"
    lock = database.with_name("eternal.db.lock")
    lock.write_text("4711\n")
    inode = lock.stat().st_ino
    listed.write_text(
        f"1: POSIX  ADVISORY  READ 1 ff:ff:{inode} 0 EOF\n3: FLOCK  ADVISORY  WRITE 4711 ff:ff:{inode} 0 EOF\n"
    )
    assert lock_holder(database, listed) == 4711
    listed.write_text(f"3: FLOCK  ADVISORY  WRITE 4712 ff:ff:{inode} 0 EOF\n")
    assert lock_holder(database, listed) is None  # another file of that number on another disk


@pytest.mark.parametrize(("others", "expected"), [(100, 4711), (3, None)])
def test_ord8_a_long_list_that_lost_a_line_between_two_pages_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, others: int, expected: int | None
) -> None:
    database, listed = tmp_path / "eternal.db", tmp_path / "locks"
    lock = database.with_name("eternal.db.lock")
    lock.write_text("4711\n")
    listed.touch()
    without = "1: POSIX  ADVISORY  READ 99 fe:00:123456 128 128\n" * others
    whole = f"{without}9: FLOCK  ADVISORY  WRITE 4711 ff:ff:{lock.stat().st_ino} 0 EOF\n"
    answers = iter([without, without, whole])
    monkeypatch.setattr(holder, "_read", lambda _: next(answers))
    assert lock_holder(database, listed) == expected  # a list of one page is whole: it is believed at once


def test_ord8_a_long_list_without_the_lock_is_not_read_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, listed = tmp_path / "eternal.db", tmp_path / "locks"
    database.with_name("eternal.db.lock").write_text("4711\n")
    listed.touch()
    monkeypatch.setattr(holder, "_read", lambda _: "1: POSIX  ADVISORY  READ 99 fe:00:123456 128 128\n" * 200)
    assert lock_holder(database, listed) is None
