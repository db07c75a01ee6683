"""The daemon's side of the inbox: poll, apply, answer, and outlive a broken file (one line says so)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlalchemy import select

from eternal_engine.engine.command import Reply
from eternal_engine.model.errors import EternalError, StorageError
from eternal_engine.model.ids import CommandId
from eternal_engine.storage.database import reading_engine, translated
from eternal_engine.storage.inbox import EXPIRED, Command, Inbox
from eternal_engine.storage.schema import COMMANDS

POLL_S: Final = 1.0
LONGEST_POLL_S: Final = 60.0
MOST_PER_POLL: Final = 20

Apply = Callable[[Command], Awaitable[Reply | None]]


async def serve_inbox(
    inbox: Inbox,
    apply: Apply,
    *,
    database: Path,
    wall: Callable[[], datetime],
    report: Callable[[EternalError], None],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Poll the inbox once a second, until cancelled.

    `apply` journals and applies one command and gives its Reply, or None where the journal holds the command already:
    then the answer is read back from `database`. What `apply` raises is raised here. `wall` is the wall clock, by
    which commands expire. A broken inbox is given to `report`, once per problem, and polled ever more slowly.
    """
    said, pause_s = "", POLL_S
    while True:
        try:
            await _serve_once(inbox, apply, database, wall)
            said, pause_s = "", POLL_S
        except InboxBroken as broken:
            if str(broken.problem) != said:
                report(broken.problem)
            said, pause_s = str(broken.problem), min(2 * pause_s, LONGEST_POLL_S)
        await sleep(pause_s)


class InboxBroken(Exception):
    """Carry a problem of the inbox file past those of the daemon's own database, which are not to be survived."""

    def __init__(self, problem: EternalError) -> None:
        super().__init__(str(problem))
        self.problem = problem


async def read_reply(database: Path, identifier: CommandId) -> Reply | None:
    """Read what the journal says was answered to a command, None when it holds no such command."""
    return await asyncio.to_thread(_read_reply, database, identifier)


async def _serve_once(inbox: Inbox, apply: Apply, database: Path, wall: Callable[[], datetime]) -> None:
    commands = await _of_inbox(inbox, lambda: inbox.unanswered(wall()))
    for command in commands[:MOST_PER_POLL]:
        reply = None if command.expires_at <= wall() else await apply(command)
        # A daemon that died between journal and answer leaves a command that was applied, and may have expired since:
        # called undone, it would be given, and done, again.
        reply = reply or await read_reply(database, command.id) or Reply(EXPIRED, accepted=False)
        await _of_inbox(inbox, _answering(inbox, command, reply, wall()))


def _answering(inbox: Inbox, command: Command, reply: Reply, now: datetime) -> Callable[[], tuple[Command, ...]]:
    def answer() -> tuple[Command, ...]:
        inbox.answer(command.id, reply.text, accepted=reply.accepted, now=now)
        return ()

    return answer


async def _of_inbox(inbox: Inbox, call: Callable[[], tuple[Command, ...]]) -> tuple[Command, ...]:
    try:
        return await asyncio.to_thread(call)
    except EternalError as problem:
        raise InboxBroken(problem) from problem
    except (OSError, ValueError) as problem:
        mend = "delete the file: commands in it are lost, nothing else"
        raise InboxBroken(
            StorageError(f"the command inbox failed: {problem}", where=str(inbox.path), mend=mend)
        ) from problem


def _read_reply(database: Path, identifier: CommandId) -> Reply | None:
    engine = reading_engine(database)
    try:
        with translated(str(database)), engine.connect() as connection:
            row = connection.execute(
                select(COMMANDS.c.answer, COMMANDS.c.accepted).where(COMMANDS.c.command_id == identifier)
            ).one_or_none()
    finally:
        engine.dispose()
    return None if row is None else Reply(row.answer, bool(row.accepted))
