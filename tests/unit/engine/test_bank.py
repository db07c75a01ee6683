"""Transfers: asked for by one id, looked up when the answer is lost, pending where there is no such call (CAP-2)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from core_builders import TWO, some_params
from engine_bench import AT, HandClock
from eternal_engine.engine.bank import Bank
from eternal_engine.engine.memory import fresh_memory
from eternal_engine.engine.recorder import Recorder
from eternal_engine.exchange.capability import Environment
from eternal_engine.ledger.transfers import attempt_id, plan_transfer
from eternal_engine.model.errors import (
    AlreadyDone,
    BadReply,
    ExchangeError,
    HaltTrading,
    RateLimited,
    RejectedForGood,
    Retry,
    UnknownOutcome,
)
from eternal_engine.model.event import Deposited, ErrorOccurred, Event, TransferPlanned
from eternal_engine.model.ids import Account, Coin, RecordId, RuleId
from eternal_engine.portfolio.params import empty_marks
from eternal_engine.storage.store import Store
from hours_bench import UIDS, ScriptedTeller


def a_plan(amount: str, subject: str) -> TransferPlanned:
    planned = plan_transfer(Account.TACTICAL, Account.CORE_HODL, Decimal(amount), AT, RuleId("CAP-2"), subject)
    assert planned is not None
    return planned


PLAN = a_plan("123.45", "BTCUSDT")


@dataclass
class Counter:
    """Hold a bank, its teller and what was journaled."""

    bank: Bank
    teller: ScriptedTeller
    recorder: Recorder
    told: list[Event]
    clock: HandClock

    @property
    def complaints(self) -> list[str]:
        return [event.what for event in self.told if isinstance(event, ErrorOccurred)]

    @property
    def is_pending(self) -> bool:
        return PLAN.transfer_id in self.recorder.projection.pending_transfers

    def cash(self, account: Account) -> Decimal:
        return self.recorder.projection.books.of(account).cash_usdt


@asynccontextmanager
async def a_counter(
    folder: Path, *script: object, environment: Environment = Environment.PAPER
) -> AsyncIterator[Counter]:
    params, told = some_params(TWO), list[Event]()
    store = await Store.open(folder / "eternal.db")
    try:
        clock, memory = HandClock(), fresh_memory(params, TWO, 24_000)
        recorder = Recorder(store, params, memory, clock, marks=empty_marks(2), is_new=True, observers=(told.append,))
        teller = ScriptedTeller(environment, list(script))
        bank = Bank(teller, UIDS, recorder, clock)
        money = Decimal(1_000)
        if not store.projection.pending_transfers:
            deposit = Deposited(AT, RecordId("d"), Account.TACTICAL, Coin("USDT"), money, money, AT)
            await recorder.append(deposit, PLAN)
        yield Counter(bank, teller, recorder, told, clock)
    finally:
        await store.close()


def assert_moved_once(counter: Counter) -> None:
    assert counter.teller.moved == {PLAN.transfer_id: ("tactical", "core_hodl", Decimal("123.45"))}
    assert not counter.is_pending
    assert (counter.cash(Account.TACTICAL), counter.cash(Account.CORE_HODL)) == (Decimal("876.55"), Decimal("123.45"))


async def test_cap_2_a_planned_transfer_moves_once_and_is_booked(tmp_path: Path) -> None:
    async with a_counter(tmp_path) as counter:
        await counter.bank.run()
        await counter.bank.run()
        assert_moved_once(counter)
        assert len(counter.teller.asked) == 1
        assert counter.complaints == []


@pytest.mark.parametrize("status", ["PENDING", "STATUS_UNKNOWN"])
async def test_a_transfer_under_way_is_neither_booked_nor_complained_of(tmp_path: Path, status: str) -> None:
    async with a_counter(tmp_path, status) as counter:
        await counter.bank.run()
        assert counter.is_pending
        assert counter.complaints == []
        assert counter.cash(Account.CORE_HODL) == 0
        await counter.bank.run()
        assert_moved_once(counter)
        assert set(counter.teller.asked) == {PLAN.transfer_id}


async def test_a_transfer_that_stays_under_way_is_said_once_after_an_hour(tmp_path: Path) -> None:
    async with a_counter(tmp_path, *["PENDING"] * 3) as counter:
        await counter.bank.run()
        counter.clock.at += timedelta(hours=1)
        for _ in range(2):
            await counter.bank.run()
        assert counter.complaints == ["the transfer is still PENDING"]
        assert counter.is_pending
        await counter.bank.run()
        assert_moved_once(counter)


async def test_a_transfer_that_ended_otherwise_is_said_once_and_stays_listed(tmp_path: Path) -> None:
    async with a_counter(tmp_path, "FROZEN", "FROZEN", "FROZEN") as counter:
        for _ in range(3):
            await counter.bank.run()
        assert counter.complaints == ["the transfer ended FROZEN"]
        assert counter.is_pending
        assert counter.cash(Account.TACTICAL) == 1_000


def attempts(count: int) -> list[str]:
    return [attempt_id(PLAN.transfer_id, n) for n in range(1, count + 1)]


async def test_cap_2_a_failed_transfer_is_tried_again_under_an_id_of_its_own_and_moves_once(tmp_path: Path) -> None:
    async with a_counter(tmp_path, "FAILED", "FAILED") as counter:
        for _ in range(4):
            await counter.bank.run()
        assert counter.teller.asked == attempts(1)
        counter.clock.at += timedelta(minutes=5)
        await counter.bank.run()
        assert counter.teller.asked == attempts(2)
        counter.clock.at += timedelta(minutes=29)
        await counter.bank.run()
        assert counter.teller.asked == attempts(2)
        counter.clock.at += timedelta(minutes=1)
        await counter.bank.run()
        assert counter.teller.asked == attempts(3)
        assert list(counter.teller.moved) == attempts(3)[2:]
        assert not counter.is_pending
        assert counter.cash(Account.CORE_HODL) == Decimal("123.45")
        assert counter.complaints == ["the transfer ended FAILED"]


async def test_cap_2_five_failed_attempts_are_the_end_and_said(tmp_path: Path) -> None:
    async with a_counter(tmp_path, *["FAILED"] * 9) as counter:
        for _ in range(12):
            await counter.bank.run()
            counter.clock.at += timedelta(hours=12)
        assert counter.teller.asked == attempts(5)
        assert counter.complaints == [
            "the transfer ended FAILED", "the transfer has FAILED 5 times and is given up",
        ]  # fmt: skip
        assert counter.is_pending


@pytest.mark.parametrize("looked_up", ["PENDING", "STATUS_UNKNOWN", "SUCCESS", None])
async def test_ord_2_a_transfer_said_to_have_failed_is_not_tried_anew_before_a_look_up_proves_it(
    tmp_path: Path, looked_up: str | None
) -> None:
    async with a_counter(tmp_path, "FAILED") as counter:
        told = counter.teller.transfer_status

        async def otherwise(_: str) -> str | None:
            return looked_up

        counter.teller.transfer_status = otherwise  # type: ignore[method-assign]
        counter.teller.script += ["FAILED"]
        await counter.bank.run()
        counter.clock.at += timedelta(days=1)
        await counter.bank.run()
        assert set(counter.teller.asked) == set(attempts(1))
        assert counter.is_pending == (looked_up != "SUCCESS")
        counter.teller.transfer_status = told  # type: ignore[method-assign]


@pytest.mark.parametrize("statuses", [("FAILED", "SUCCESS"), ("FAILED", "FAILED", "SUCCESS"), ("SUCCESS",)])
async def test_c8_another_life_asks_how_far_the_attempts_had_come_before_it_moves_anything(
    tmp_path: Path, statuses: tuple[str, ...]
) -> None:
    async with a_counter(tmp_path) as counter:
        for identifier, status in zip(attempts(3), statuses, strict=False):
            counter.teller.known[identifier] = status
        again = Bank(counter.teller, UIDS, counter.recorder, counter.clock)
        await again.run()
        assert counter.teller.asked == []
        assert not counter.is_pending
        assert counter.cash(Account.CORE_HODL) == Decimal("123.45")


async def test_c8_another_life_goes_on_with_the_attempt_that_was_not_made(tmp_path: Path) -> None:
    async with a_counter(tmp_path) as counter:
        counter.teller.known[attempts(1)[0]] = "FAILED"
        await Bank(counter.teller, UIDS, counter.recorder, counter.clock).run()
        assert counter.teller.asked == attempts(2)[1:]
        assert not counter.is_pending


async def test_c8_another_life_leaves_what_is_given_up(tmp_path: Path) -> None:
    async with a_counter(tmp_path) as counter:
        counter.teller.known |= dict.fromkeys(attempts(5), "FAILED")
        await Bank(counter.teller, UIDS, counter.recorder, counter.clock).run()
        assert counter.teller.asked == []
        assert counter.complaints == ["the transfer has FAILED 5 times and is given up"]


@pytest.mark.parametrize(
    "error", [UnknownOutcome("time-out"), AlreadyDone("same id again"), RejectedForGood("same id again", code=131228)]
)
async def test_ord_2_an_answer_that_is_lost_is_asked_for_by_the_id(tmp_path: Path, error: ExchangeError) -> None:
    async with a_counter(tmp_path, ("moved", error)) as counter:
        await counter.bank.run()
        assert_moved_once(counter)
        assert counter.teller.status_asked == counter.teller.asked == [PLAN.transfer_id]
        assert counter.complaints == []


@pytest.mark.parametrize("error", [UnknownOutcome("time-out"), RejectedForGood("no such coin"), Retry("later"),
                                   RateLimited("slow down"), BadReply("half an answer")])  # fmt: skip
async def test_what_did_not_arrive_is_said_once_and_tried_again_under_the_same_id(
    tmp_path: Path, error: ExchangeError
) -> None:
    async with a_counter(tmp_path, error, error) as counter:
        await counter.bank.run()
        await counter.bank.run()
        assert counter.is_pending
        assert counter.complaints == [error.message]
        await counter.bank.run()
        assert_moved_once(counter)
        assert len(set(counter.teller.asked)) == 1


async def test_a_second_planned_transfer_does_not_wait_for_the_first(tmp_path: Path) -> None:
    other = a_plan("5", "ETHUSDT")
    async with a_counter(tmp_path, RejectedForGood("no")) as counter:
        await counter.recorder.append(other)
        await counter.bank.run()
        assert counter.is_pending
        assert list(counter.teller.moved) == [other.transfer_id]


async def test_a_transfer_to_an_account_without_a_key_is_said_and_ends_no_daemon(tmp_path: Path) -> None:
    async with a_counter(tmp_path) as counter:
        counter.bank._uids = {Account.MASTER: "m", Account.TACTICAL: "t"}
        await counter.bank.run()
        await counter.bank.run()
        assert counter.is_pending
        assert counter.teller.asked == []
        assert [event.what for event in counter.told if isinstance(event, ErrorOccurred)] == [
            "no key of core_hodl is in use"
        ]


async def test_a_refused_key_stops_trading(tmp_path: Path) -> None:
    async with a_counter(tmp_path, HaltTrading("key invalid", code=10003)) as counter:
        with pytest.raises(HaltTrading):
            await counter.bank.run()
        assert counter.is_pending


async def test_c8_a_crash_between_the_move_and_its_entry_moves_nothing_twice(tmp_path: Path) -> None:
    async with a_counter(tmp_path) as counter:
        # The exchange has moved the money; the process died before it was booked.
        await counter.teller.transfer(PLAN.transfer_id, "USDT", PLAN.amount, "tactical", "core_hodl")
        counter.teller.script = [AlreadyDone("the id was used")]
        await counter.bank.run()
        assert_moved_once(counter)


@pytest.mark.parametrize("has_teller", [True, False])
async def test_cap_2_where_nobody_can_transfer_it_stays_listed(tmp_path: Path, has_teller: bool) -> None:
    async with a_counter(tmp_path, environment=Environment.DEMO) as counter:
        bank = counter.bank if has_teller else Bank(None, {}, counter.recorder, HandClock())
        await bank.run()
        assert not bank.can_move
        assert counter.is_pending
        assert counter.teller.asked == []
        assert counter.complaints == []
