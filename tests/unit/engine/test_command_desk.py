"""A command over a real journal: one commit, read back by a restart, never a second time."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from command_builders import NOW, Desk, a_command, a_memory, a_projection, at_level
from core_builders import TWO, some_params
from eternal_engine.engine.command import Reply
from eternal_engine.engine.inbox_service import read_reply, serve_inbox
from eternal_engine.engine.memory import load, write
from eternal_engine.model.event import Deposited
from eternal_engine.model.ids import Account, Coin, RecordId
from eternal_engine.risk import breaker
from eternal_engine.storage.inbox import Inbox
from eternal_engine.storage.store import Store


@pytest.fixture
async def store(tmp_path: Path):
    opened = await Store.open(tmp_path / "eternal.db")
    usdt = Coin("USDT")
    for account, book in ((key.account, book) for key, book in a_projection().books.rows.items()):
        await opened.append(Deposited(NOW, RecordId(account.value), account, usdt, book.cash_usdt, book.cash_usdt, NOW))
    yield opened
    await opened.close()


async def test_a_command_and_the_memory_that_follows_are_one_commit(store: Store) -> None:
    desk = Desk(store)
    reply = await desk.desk.apply_command(a_command("halt", engines="trend"))
    assert reply is not None
    assert reply.accepted
    assert desk.recorder.memory.halted == 0b0010
    await store.close()
    again = await Store.open(store.path)
    restarted = load(again.projection.states, some_params(TWO))
    await again.close()
    assert restarted is not None
    assert write(restarted) == write(desk.recorder.memory)


async def test_a_command_delivered_twice_is_applied_once_and_answered_from_the_journal(store: Store) -> None:
    desk = Desk(store)
    trigger = a_command("dca-trigger", symbols="BTCUSDT", amount_usdt="500", execute="yes")
    first = await desk.desk.apply_command(trigger)
    head = store.head
    assert await desk.desk.apply_command(trigger) is None
    assert store.head == head
    assert len(desk.recorder.memory.pending) == 1
    assert await read_reply(store.path, trigger.id) == first


async def test_a_command_delivered_twice_at_once_is_applied_once(store: Store) -> None:
    desk = Desk(store)
    trigger = a_command("dca-trigger", symbols="BTCUSDT", amount_usdt="500", execute="yes")
    replies = await asyncio.gather(*(desk.desk.apply_command(trigger) for _ in range(5)))
    assert sum(isinstance(reply, Reply) for reply in replies) == 1
    assert len(desk.recorder.memory.pending) == 1


@pytest.mark.parametrize(
    ("verb", "arguments", "woken", "reconciled"),
    [
        ("halt", {}, 0, 0),
        ("resume", {}, 0, 0),
        ("reconcile", {}, 0, 1),
        ("dca-trigger", {"symbols": "BTCUSDT", "amount_usdt": "500"}, 0, 0),
        ("dca-trigger", {"symbols": "BTCUSDT", "amount_usdt": "500", "execute": "yes"}, 1, 0),
        ("assign", {"to": "trend"}, 1, 0),
        ("assign", {"to": "nobody"}, 0, 0),
    ],
)
async def test_the_engine_is_woken_for_what_is_to_be_carried_out(
    store: Store, verb: str, arguments: dict[str, str], woken: int, reconciled: int
) -> None:
    usdt = Coin("USDT")
    await store.append(Deposited(NOW, RecordId("dep"), Account.MASTER, usdt, Decimal(100), Decimal(100), NOW))
    desk = Desk(store)
    await desk.desk.apply_command(a_command(verb, **arguments))
    assert (desk.woken, desk.reconciled) == (woken, reconciled)


async def test_d5_a_lifted_halt_wakes_the_engine_for_the_exit_it_held_up(store: Store) -> None:
    desk = Desk(store)
    await desk.desk.apply_command(a_command("halt", engines="trend"))
    await desk.desk.apply_command(a_command("resume", "second", engines="trend"))
    assert desk.woken == 1


async def test_f20_an_approval_left_in_the_inbox_is_in_the_daemons_memory_after_one_poll(store: Store) -> None:
    desk = Desk(store, at_level(a_memory(), breaker.EMERGENCY))
    inbox = Inbox(store.path.with_name("inbox.db"))
    said = {"level": "4", "confirmation": "APPROVE", "second_confirmation": "LEVEL 4"}
    identifier = inbox.leave("approve", said, NOW)
    polls = asyncio.Event()

    async def one_poll(seconds: float) -> None:
        polls.set()
        await asyncio.Event().wait()

    service = asyncio.create_task(
        serve_inbox(
            inbox,
            desk.desk.apply_command,
            database=store.path,
            wall=lambda: NOW,
            report=lambda problem: pytest.fail(str(problem)),
            sleep=one_poll,
        )
    )
    await polls.wait()
    service.cancel()
    assert desk.recorder.memory.states.risk.approved
    answer = inbox.read_answer(identifier)
    assert answer is not None
    assert answer.accepted
