"""Commands are carried once, expire, and only their owner can leave them."""

from __future__ import annotations

import sqlite3
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from eternal_engine.model.errors import RefusedError, StorageError
from eternal_engine.storage.inbox import EXPIRY, Inbox

NOW = datetime(2024, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    return Inbox(tmp_path / "state" / "inbox.sqlite")


def test_a_command_goes_there_and_its_answer_comes_back(inbox: Inbox) -> None:
    first = inbox.leave("halt", {"engine": "trend"}, NOW)
    second = inbox.leave("resume", {}, NOW + SECOND)
    commands = inbox.unanswered(NOW + SECOND)
    assert [command.id for command in commands] == [first, second]
    assert (commands[0].verb, commands[0].arguments) == ("halt", {"engine": "trend"})
    assert (commands[0].left_at, commands[0].expires_at) == (NOW, NOW + EXPIRY)
    assert inbox.read_answer(first) is None
    inbox.answer(first, "halted", accepted=True, now=NOW + 2 * SECOND)
    answer = inbox.read_answer(first)
    assert answer is not None
    assert (answer.text, answer.accepted, answer.answered_at) == ("halted", True, NOW + 2 * SECOND)
    assert [command.id for command in inbox.unanswered(NOW + SECOND)] == [second]


def test_the_first_answer_stays(inbox: Inbox) -> None:
    command = inbox.leave("halt", {}, NOW)
    inbox.answer(command, "refused", accepted=False, now=NOW)
    inbox.answer(command, "done", accepted=True, now=NOW)
    answer = inbox.read_answer(command)
    assert answer is not None
    assert (answer.text, answer.accepted) == ("refused", False)


def test_a_command_nobody_took_in_time_is_still_given_for_the_journal_to_judge(inbox: Inbox) -> None:
    command = inbox.leave("flatten", {}, NOW)
    (given,) = inbox.unanswered(NOW + EXPIRY + SECOND)
    assert (given.id, given.expires_at) == (command, NOW + timedelta(minutes=5))
    assert inbox.read_answer(command) is None


def test_old_answers_are_forgotten(inbox: Inbox) -> None:
    command = inbox.leave("halt", {}, NOW)
    inbox.answer(command, "done", accepted=True, now=NOW)
    inbox.unanswered(NOW + timedelta(days=7))
    assert inbox.read_answer(command) is not None
    inbox.unanswered(NOW + timedelta(days=7) + SECOND)
    assert inbox.read_answer(command) is None


def test_the_file_is_for_its_owner_alone(inbox: Inbox) -> None:
    inbox.leave("halt", {}, NOW)
    assert stat.S_IMODE(inbox.path.stat().st_mode) == 0o600
    inbox.path.chmod(0o620)
    with pytest.raises(RefusedError, match="others can write commands into the inbox"):
        inbox.unanswered(NOW)


def test_a_link_is_not_followed(inbox: Inbox, tmp_path: Path) -> None:
    inbox.path.parent.mkdir(parents=True)
    target = tmp_path / "elsewhere"
    target.touch()
    inbox.path.symlink_to(target)
    with pytest.raises(OSError, match="symbolic links"):
        inbox.leave("halt", {}, NOW)


def test_a_broken_inbox_says_the_mend(inbox: Inbox) -> None:
    inbox.path.parent.mkdir(parents=True)
    inbox.path.write_bytes(b"no database" * 500)
    inbox.path.chmod(0o600)
    with pytest.raises(StorageError, match=r"the command inbox failed.*delete the file"):
        inbox.leave("halt", {}, NOW)


def test_an_answer_nobody_asked_for_is_nothing(inbox: Inbox) -> None:
    from eternal_engine.model.ids import CommandId

    inbox.answer(CommandId("x"), "done", accepted=True, now=NOW)
    assert inbox.read_answer(CommandId("x")) is None


def test_a_failed_call_leaves_nothing(inbox: Inbox) -> None:
    inbox.leave("halt", {}, NOW)

    def fail() -> None:
        with inbox._open() as connection:
            connection.execute("DELETE FROM commands")
            raise sqlite3.OperationalError("disk I/O error")

    with pytest.raises(StorageError, match="command inbox failed: disk I/O error"):
        fail()
    assert len(inbox.unanswered(NOW)) == 1
