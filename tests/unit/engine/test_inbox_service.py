"""The daemon's loop over the inbox: once, in time, through restarts and broken files."""

from __future__ import annotations

import asyncio
import sqlite3
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from command_builders import NOW
from eternal_engine.engine.command import Reply
from eternal_engine.engine.inbox_service import LONGEST_POLL_S, MOST_PER_POLL, read_reply, serve_inbox
from eternal_engine.model.errors import EternalError, StorageError
from eternal_engine.model.event import CommandApplied
from eternal_engine.model.ids import CommandId
from eternal_engine.storage.inbox import EXPIRY, Command, Inbox
from eternal_engine.storage.store import Store

SECOND = timedelta(seconds=1)


class Stopped(Exception):
    """End the loop after the wished number of polls."""


class Service:
    """Run the loop for some polls with a clock that its sleeping moves."""

    def __init__(self, path: Path) -> None:
        self.inbox = Inbox(path / "inbox.db")
        self.database = path / "eternal.db"
        self.at = NOW
        self.slept: list[float] = []
        self.reported: list[EternalError] = []
        self.applied: list[Command] = []
        self.taking = timedelta(0)

    def wall(self) -> datetime:
        return self.at

    async def apply(self, command: Command) -> Reply | None:
        self.applied.append(command)
        self.at += self.taking
        return Reply(f"done {command.verb}", accepted=True)

    async def polls(self, count: int, apply=None) -> None:
        left = count

        async def sleep(seconds: float) -> None:
            nonlocal left
            left -= 1
            self.slept.append(seconds)
            self.at += timedelta(seconds=seconds)
            if not left:
                raise Stopped

        with pytest.raises(Stopped):
            await serve_inbox(
                self.inbox,
                apply or self.apply,
                database=self.database,
                wall=self.wall,
                report=self.reported.append,
                sleep=sleep,
            )


@pytest.fixture
async def service(tmp_path: Path) -> Service:
    service = Service(tmp_path)
    await (await Store.open(service.database)).close()
    return service


@pytest.mark.parametrize(("age", "applied"), [(EXPIRY - SECOND, 1), (EXPIRY, 0), (EXPIRY + SECOND, 0)])
async def test_a_command_expires_after_five_minutes(service: Service, age: timedelta, applied: int) -> None:
    identifier = service.inbox.leave("flatten", {}, NOW)
    service.at = NOW + age
    await service.polls(1)
    assert len(service.applied) == applied
    answer = service.inbox.read_answer(identifier)
    assert answer is not None
    assert (answer.text, answer.accepted) == (("done flatten", True) if applied else ("expired", False))
    service.at = NOW
    await service.polls(1)
    assert len(service.applied) == applied, "a clock set back does not wake an expired command"


async def test_a_command_is_applied_once_and_answered(service: Service) -> None:
    identifier = service.inbox.leave("halt", {"engines": "trend"}, NOW)
    await service.polls(3)
    assert [(c.verb, c.arguments) for c in service.applied] == [("halt", {"engines": "trend"})]
    answer = service.inbox.read_answer(identifier)
    assert answer is not None
    assert (answer.text, answer.accepted) == ("done halt", True)
    assert service.slept == [1.0, 1.0, 1.0]


async def test_an_expired_command_is_never_applied(service: Service) -> None:
    identifier = service.inbox.leave("flatten", {}, NOW - EXPIRY)
    await service.polls(2)
    assert service.applied == []
    answer = service.inbox.read_answer(identifier)
    assert answer is not None
    assert (answer.text, answer.accepted) == ("expired", False)


async def test_a_command_that_expires_behind_a_slow_one_is_not_applied(service: Service) -> None:
    service.inbox.leave("halt", {}, NOW)
    second = service.inbox.leave("flatten", {}, NOW)
    service.taking = EXPIRY
    await service.polls(2)
    assert [c.verb for c in service.applied] == ["halt"]
    answer = service.inbox.read_answer(second)
    assert answer is not None
    assert answer.text == "expired"


async def test_one_poll_takes_a_bounded_number_and_the_next_ones_the_rest(service: Service) -> None:
    for _ in range(MOST_PER_POLL + 3):
        service.inbox.leave("reconcile", {}, NOW)
    await service.polls(1)
    assert len(service.applied) == MOST_PER_POLL
    await service.polls(1)
    assert len(service.applied) == MOST_PER_POLL + 3


async def test_a_kill_between_journal_and_answer_is_answered_again_from_the_journal(service: Service) -> None:
    identifier = service.inbox.leave("halt", {}, NOW)
    store = await Store.open(service.database)
    await store.append(CommandApplied(NOW, identifier, "halt", "{}", "halted: trend", accepted=True))
    await store.close()

    store = await Store.open(service.database)
    known: list[bool] = []

    async def apply(command: Command) -> Reply | None:
        known.append(command.id in store.projection.commands)
        return None

    await service.polls(2, apply)
    await store.close()
    assert known == [True]
    answer = service.inbox.read_answer(identifier)
    assert answer is not None
    assert (answer.text, answer.accepted) == ("halted: trend", True)


async def test_a_command_applied_before_a_kill_is_not_called_expired_afterwards(service: Service) -> None:
    identifier = service.inbox.leave("dca trigger", {}, NOW)
    store = await Store.open(service.database)
    await store.append(CommandApplied(NOW, identifier, "dca trigger", "{}", "bought for 500", accepted=True))
    await store.close()
    service.at = NOW + 2 * EXPIRY
    await service.polls(1)
    assert service.applied == []
    answer = service.inbox.read_answer(identifier)
    assert answer is not None
    assert (answer.text, answer.accepted) == ("bought for 500", True)


async def test_the_journal_has_no_reply_to_a_command_it_does_not_hold(service: Service) -> None:
    assert await read_reply(service.database, CommandId("k9")) is None


def _spoil(path: Path) -> None:
    path.write_bytes(b"this is no database" * 100)


def _open_to_others(path: Path) -> None:
    path.touch()
    path.chmod(0o666)


def _with_a_strange_row(path: Path) -> None:
    Inbox(path).leave("halt", {}, NOW)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE commands SET arguments = '{'")


@pytest.mark.parametrize("spoil", [_spoil, _open_to_others, _with_a_strange_row])
async def test_a_broken_inbox_is_reported_once_and_polled_ever_more_slowly(service: Service, spoil) -> None:
    spoil(service.inbox.path)
    await service.polls(9)
    assert service.slept == [2.0, 4.0, 8.0, 16.0, 32.0, *[LONGEST_POLL_S] * 4]
    assert len(service.reported) == 1
    assert service.reported[0].where == str(service.inbox.path)
    service.inbox.path.unlink()
    service.inbox.leave("halt", {}, service.at)
    await service.polls(1)
    assert service.slept[-1] == 1.0
    assert [c.verb for c in service.applied] == ["halt"]


async def test_an_inbox_that_breaks_again_is_reported_again(service: Service) -> None:
    for _ in range(2):
        _spoil(service.inbox.path)
        await service.polls(2)
        service.inbox.path.unlink()
        await service.polls(1)
    assert len(service.reported) == 2


async def test_what_goes_wrong_with_the_daemons_own_database_is_raised(service: Service) -> None:
    service.inbox.leave("halt", {}, NOW)

    async def apply(command: Command) -> Reply | None:
        raise StorageError("the database failed")

    with pytest.raises(StorageError, match="the database failed"):
        await serve_inbox(
            service.inbox, apply, database=service.database, wall=service.wall, report=service.reported.append
        )
    assert service.reported == []


async def test_the_loop_ends_when_it_is_cancelled(service: Service) -> None:
    task = asyncio.create_task(
        serve_inbox(
            service.inbox, service.apply, database=service.database, wall=service.wall, report=service.reported.append
        )
    )
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
