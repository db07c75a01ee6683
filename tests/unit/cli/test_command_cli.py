"""The verbs that change something: what they leave in the inbox, print, refuse, and how they end."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from command_builders import NOW, Desk, a_memory, a_projection, at_level
from eternal_engine import cli, clock
from eternal_engine.engine.inbox_service import serve_inbox
from eternal_engine.engine.memory import saves
from eternal_engine.model.event import Deposited
from eternal_engine.model.ids import Account, Coin, RecordId
from eternal_engine.risk import breaker
from eternal_engine.storage.inbox import EXPIRED, Inbox
from eternal_engine.storage.store import Store

USDT = Coin("USDT")


class Terminal(io.StringIO):
    """Be a terminal at which somebody types."""

    def isatty(self) -> bool:
        return True


@contextlib.asynccontextmanager
async def a_daemon(path: Path, memory=None) -> AsyncIterator[Desk]:
    """Run what answers commands, over a real database and a real inbox."""
    store = await Store.open(path / "eternal.db")
    for key, book in a_projection().books.rows.items():
        cash = book.cash_usdt
        await store.append(Deposited(NOW, RecordId(key.account.value), key.account, USDT, cash, cash, NOW))
    desk = Desk(store, memory)
    await desk.recorder.commit(lambda now, _: (now, ()))
    service = asyncio.create_task(
        serve_inbox(
            Inbox(path / "inbox.db"),
            desk.desk.apply_command,
            database=store.path,
            wall=clock.now,
            report=lambda problem: pytest.fail(str(problem)),
            sleep=lambda _: asyncio.sleep(0.01),
        )
    )
    try:
        yield desk
    finally:
        service.cancel()
        await store.close()


async def _run(path: Path, *words: str) -> int:
    return await asyncio.to_thread(cli.run, [*words, "--state-dir", str(path)])


def _type(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    monkeypatch.setattr("sys.stdin", Terminal("".join(f"{line}\n" for line in lines)))


async def test_halt_reaches_the_daemon_and_prints_its_answer(tmp_path, capsys) -> None:
    async with a_daemon(tmp_path) as desk:
        assert await _run(tmp_path, "halt", "trend", "core") == 0
        assert desk.recorder.memory.halted == 0b0011
        assert capsys.readouterr().out.startswith("halted: core_hodl, trend")
        assert await _run(tmp_path, "resume", "trend") == 0
        assert desk.recorder.memory.halted == 0b0001


async def test_json_is_one_object_and_a_refusal_ends_with_4(tmp_path, capsys) -> None:
    async with a_daemon(tmp_path):
        assert await _run(tmp_path, "reconcile", "--json") == 0
        assert json.loads(capsys.readouterr().out)["accepted"] is True
        assert await _run(tmp_path, "assign", "trend", "--json") == 4
        found = json.loads(capsys.readouterr().out)
        assert (found["verb"], found["accepted"]) == ("assign", False)
        assert "no deposit waits" in found["answer"]
        assert await _run(tmp_path, "assign", "shares") == 4
        assert "error: no deposit waits" in capsys.readouterr().err


async def test_without_a_daemon_nothing_is_left_behind_and_the_mend_is_said(tmp_path, capsys) -> None:
    assert await _run(tmp_path, "halt") == 3
    assert "make run-paper" in capsys.readouterr().err
    store = await Store.open(tmp_path / "eternal.db")
    await store.close()
    assert await _run(tmp_path, "halt") == 1
    assert "no daemon runs here" in capsys.readouterr().err
    assert not (tmp_path / "inbox.db").exists()


@pytest.mark.parametrize(
    "words", [("flatten",), ("approve",), ("resume", "--emergency"), ("dca", "fix-missed", "--execute")]
)
async def test_without_a_daemon_no_confirmation_is_asked_for(tmp_path, capsys, monkeypatch, words) -> None:
    store = await Store.open(tmp_path / "eternal.db")
    await store.close()
    _type(monkeypatch)
    assert await _run(tmp_path, *words) == 1
    assert "no daemon runs here" in capsys.readouterr().err


async def test_a_daemon_that_does_not_answer_is_said_with_the_time_until_which_it_still_may(tmp_path, capsys) -> None:
    store = await Store.open(tmp_path / "eternal.db")
    assert await _run(tmp_path, "halt", "--wait", "1") == 1
    await store.close()
    said = capsys.readouterr().err
    assert "no answer within 1 s: the daemon is busy; the command may still be applied until" in said
    assert len(Inbox(tmp_path / "inbox.db").unanswered(clock.now())) == 1


async def test_a_command_that_expired_unseen_was_not_done(tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setattr("eternal_engine.storage.inbox.EXPIRY", timedelta(0))
    store = await Store.open(tmp_path / "eternal.db")
    waiting = asyncio.create_task(_run(tmp_path, "halt", "--wait", "20"))
    inbox = Inbox(tmp_path / "inbox.db")
    while not waiting.done():
        await asyncio.sleep(0.05)
        for command in inbox.unanswered(clock.now()):
            inbox.answer(command.id, EXPIRED, accepted=False, now=clock.now())
    await store.close()
    assert await waiting == 1
    assert "did not take the command in time" in capsys.readouterr().err


async def test_a_misspelt_engine_ends_with_2_before_anything_is_sent(tmp_path, capsys) -> None:
    async with a_daemon(tmp_path):
        assert await _run(tmp_path, "halt", "trent") == 2
    assert "no engine trent" in capsys.readouterr().err
    assert not (tmp_path / "inbox.db").exists() or Inbox(tmp_path / "inbox.db").unanswered(clock.now()) == ()


async def test_dca_trigger_is_a_dry_run_and_buys_only_with_execute(tmp_path, capsys) -> None:
    words = ("dca", "trigger", "--symbols", "BTCUSDT,ETHUSDT", "--amount", "500")
    async with a_daemon(tmp_path) as desk:
        assert await _run(tmp_path, *words) == 0
        assert "dry run" in capsys.readouterr().out
        assert desk.recorder.memory.pending == ()
        assert await _run(tmp_path, *words, "--execute", "--yes") == 0
        assert len(desk.recorder.memory.pending) == 2


@pytest.mark.parametrize(
    "words",
    [
        ("flatten",),
        ("resume", "--emergency"),
        ("dca", "fix-missed", "--execute"),
        ("dca", "trigger", "--symbols", "BTCUSDT", "--amount", "5", "--execute"),
    ],
)
async def test_what_needs_a_confirmation_takes_none_from_a_pipe(tmp_path, capsys, monkeypatch, words) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("FLATTEN\nRESUME\nBUY\n"))
    async with a_daemon(tmp_path):
        assert await _run(tmp_path, *words) == 4
    assert "typed at a terminal" in capsys.readouterr().err
    assert not (tmp_path / "inbox.db").exists() or Inbox(tmp_path / "inbox.db").unanswered(clock.now()) == ()


async def test_flatten_asks_and_core_hodl_asks_twice(tmp_path, capsys, monkeypatch) -> None:
    async with a_daemon(tmp_path) as desk:
        _type(monkeypatch, "flatten")
        assert await _run(tmp_path, "flatten") == 4
        assert "not confirmed" in capsys.readouterr().err
        _type(monkeypatch, "FLATTEN")
        assert await _run(tmp_path, "flatten", "core_hodl") == 4
        assert desk.recorder.memory.halted == 0
        _type(monkeypatch, "FLATTEN", "SELL CORE_HODL")
        assert await _run(tmp_path, "flatten", "core_hodl") == 0
        assert desk.recorder.memory.halted == 0b0001


async def test_f20_approve_shows_the_persisted_level_and_asks_twice_at_level_4(tmp_path, capsys, monkeypatch) -> None:
    async with a_daemon(tmp_path, at_level(a_memory(), breaker.EMERGENCY)) as desk:
        _type(monkeypatch, "APPROVE", "no")
        assert await _run(tmp_path, "approve") == 4
        assert "level 4 EMERGENCY since 2024-01-10" in capsys.readouterr().err
        assert not desk.recorder.memory.states.risk.approved
        _type(monkeypatch, "APPROVE", "LEVEL 4")
        assert await _run(tmp_path, "approve", "--json") == 0
        assert json.loads(capsys.readouterr().out)["accepted"] is True
        assert desk.recorder.memory.states.risk.approved


async def test_f20_a_level_that_rose_after_the_confirmation_is_not_approved(tmp_path, capsys, monkeypatch) -> None:
    async with a_daemon(tmp_path, at_level(a_memory(), breaker.ALERT)) as desk:
        store = desk.recorder.store
        await store.append(*saves(at_level(a_memory(), breaker.WARNING), None, NOW))
        _type(monkeypatch, "APPROVE")
        assert await _run(tmp_path, "approve") == 4
        assert "the breaker is at level 3" in capsys.readouterr().err
        assert not desk.recorder.memory.states.risk.approved


async def test_approve_without_a_level_that_waits_asks_nothing(tmp_path, capsys) -> None:
    async with a_daemon(tmp_path):
        assert await _run(tmp_path, "approve") == 4
    assert "level 0 NORMAL" in capsys.readouterr().err


async def test_review_says_one_of_two_things(tmp_path, capsys) -> None:
    async with a_daemon(tmp_path):
        assert await _run(tmp_path, "review", "BTCUSDT", "--assign", "--ignore") == 2
        assert await _run(tmp_path, "review", "btcusdt") == 4
    assert "waits for no review" in capsys.readouterr().err


async def test_fix_missed_executes_after_its_word(tmp_path, monkeypatch) -> None:
    async with a_daemon(tmp_path) as desk:
        due_h = desk.recorder.memory.states.core.due_h
        assert await _run(tmp_path, "dca", "fix-missed") == 0
        assert desk.recorder.memory.states.core.due_h == due_h
        _type(monkeypatch, "BUY")
        assert await _run(tmp_path, "dca", "fix-missed", "--execute") == 0
        assert desk.recorder.memory.states.core.due_h == due_h - 168


async def test_assign_moves_a_waiting_deposit(tmp_path, capsys) -> None:
    async with a_daemon(tmp_path) as desk:
        sum_ = Decimal(1000)
        await desk.recorder.append(Deposited(NOW, RecordId("dep"), Account.MASTER, USDT, sum_, sum_, NOW))
        assert await _run(tmp_path, "assign", "core", "--amount", "400") == 0
        assert "400 USDT go from master to core_hodl" in capsys.readouterr().out
        assert len(desk.recorder.projection.pending_transfers) == 1


async def test_what_a_deposit_can_be_assigned_to_is_named_with_the_shares(tmp_path, capsys) -> None:
    async with a_daemon(tmp_path) as desk:
        assert await _run(tmp_path, "assign", "nobody") == 2
        assert "mend:  one of shares, core_hodl, trend" in capsys.readouterr().err
        # The books hold nothing in MASTER that waits: the daemon says so, of a word that it knows.
        assert await _run(tmp_path, "assign", "SHARES") != 2
        assert desk.recorder.projection.pending_transfers == {}
