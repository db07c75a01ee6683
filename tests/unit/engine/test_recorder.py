"""The one hand that writes: no update is lost, a failure changes nothing, observers hear what is committed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from builders import a_fill
from core_builders import TWO, some_params
from engine_bench import AT, HandClock
from eternal_engine.engine.memory import Memory, fresh_memory, load, write
from eternal_engine.engine.recorder import Recorder
from eternal_engine.model.errors import BookError, StorageError
from eternal_engine.model.event import Corrected, Deposited, Event, Filled, Mismatch, Noted, StateSaved, Transferred
from eternal_engine.model.ids import Account, Coin, RecordId, RuleId, Symbol, TransferId
from eternal_engine.model.instrument import Market, Side
from eternal_engine.portfolio.params import Marks
from eternal_engine.storage.projection import Projection
from eternal_engine.storage.store import Store
from eternal_engine.storage.verify import verify
from eternal_engine.strategies import core_hodl, trend

PARAMS = some_params(TWO)
NOTE = Noted(AT, RuleId("U-7"), "something")


def marks() -> Marks:
    return Marks(np.full(2, 40_000.0), np.full(2, 40_000.0), np.full(2, 9), np.full(2, 9))


def money(number: int, account: Account = Account.CORE_HODL, amount: int = 100) -> Deposited:
    return Deposited(AT, RecordId(f"d{number}"), account, Coin("USDT"), Decimal(amount), Decimal(amount), AT)


@asynccontextmanager
async def a_recorder(folder: Path, told: list[Event] | None = None) -> AsyncIterator[Recorder]:
    store = await Store.open(folder / "eternal.db")
    try:
        known = load(store.projection.states, PARAMS)
        memory = known or fresh_memory(PARAMS, TWO, 24_000)
        observers = () if told is None else (told.append,)
        yield Recorder(store, PARAMS, memory, HandClock(), marks=marks(), is_new=known is None, observers=observers)
    finally:
        await store.close()


async def stored(folder: Path) -> Memory | None:
    """Read what a new start would read."""
    store = await Store.open(folder / "eternal.db")
    try:
        return load(store.projection.states, PARAMS)
    finally:
        await store.close()


async def test_tasks_that_commit_at_once_lose_no_update(tmp_path: Path) -> None:
    async with a_recorder(tmp_path) as recorder:

        def one_more(memory: Memory, _: Projection) -> tuple[Memory, tuple[Event, ...]]:
            return replace(memory, cycle_h=memory.cycle_h + 1), (money(memory.cycle_h),)

        await asyncio.gather(*(recorder.commit(one_more) for _ in range(20)))
        assert recorder.memory.cycle_h == 20
        assert recorder.projection.books.of(Account.CORE_HODL).cash_usdt == 2_000
    found = await stored(tmp_path)
    assert found is not None
    assert found.cycle_h == 20
    verify(tmp_path / "eternal.db")


async def test_core_12_memory_and_events_are_one_transaction(tmp_path: Path) -> None:
    async with a_recorder(tmp_path) as recorder:
        before = recorder.store.head.seq
        await recorder.commit(lambda memory, _: (replace(memory, cycle_h=7, halted=3), (NOTE, money(1))))
        # Note, deposit, document, hour.
        assert recorder.store.head.seq == before + 4
        wanted = write(recorder.memory)
    found = await stored(tmp_path)
    assert found is not None
    assert (found.cycle_h, found.halted, write(found)) == (7, 3, wanted)


async def test_what_did_not_change_is_not_written_again(tmp_path: Path) -> None:
    async with a_recorder(tmp_path) as recorder:
        await recorder.append(NOTE)
        before = recorder.store.head
        appended = await recorder.commit(lambda memory, _: (memory, ()))
        assert (appended.head, recorder.store.head) == (before, before)
        await recorder.commit(lambda memory, _: (replace(memory), (NOTE,)))
        assert recorder.store.head.seq == before.seq + 1


async def test_a_failing_maker_changes_nothing_and_the_next_one_goes_on(tmp_path: Path) -> None:
    told: list[Event] = []
    async with a_recorder(tmp_path, told) as recorder:
        await recorder.append(NOTE)
        memory, head, heard = recorder.memory, recorder.store.head, len(told)

        def fails(_: Memory, __: Projection) -> tuple[Memory, tuple[Event, ...]]:
            raise RuntimeError("a rule broke")

        with pytest.raises(RuntimeError):
            await recorder.commit(fails)
        assert (recorder.memory, recorder.store.head, len(told)) == (memory, head, heard)
        await recorder.commit(lambda now, _: (replace(now, halted=1), ()))
        assert recorder.memory.halted == 1


async def test_an_event_that_cannot_follow_takes_its_whole_batch_and_memory_with_it(tmp_path: Path) -> None:
    told: list[Event] = []
    async with a_recorder(tmp_path, told) as recorder:
        memory, head = recorder.memory, recorder.store.head
        sale = Filled(AT, a_fill("e1", account=Account.TACTICAL, side=Side.SELL))
        with pytest.raises(BookError):
            await recorder.commit(lambda now, _: (replace(now, halted=5), (money(1), sale)))
        assert (recorder.memory, recorder.store.head, told) == (memory, head, [])
        assert recorder.projection.books.of(Account.CORE_HODL).cash_usdt == 0


async def test_a_write_that_fails_leaves_memory_where_the_disk_is(tmp_path: Path) -> None:
    told: list[Event] = []
    async with a_recorder(tmp_path, told) as recorder:
        await recorder.append(NOTE)
        memory, heard = recorder.memory, len(told)
        await recorder.store.close()
        with pytest.raises(StorageError):
            await recorder.commit(lambda now, _: (replace(now, halted=5), (NOTE,)))
        assert (recorder.memory, len(told)) == (memory, heard)


async def test_ord_9_a_cancelled_caller_does_not_part_memory_and_journal(tmp_path: Path) -> None:
    async with a_recorder(tmp_path) as recorder:
        await recorder.append(NOTE)
        writing = asyncio.ensure_future(recorder.commit(lambda now, _: (replace(now, halted=5), (money(1),))))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        # Whoever commits next sees what the interrupted one has written, and keeps it.
        await recorder.commit(lambda now, _: (replace(now, cycle_h=9), (money(2),)))
        assert recorder.memory.halted == 5
        assert recorder.projection.books.of(Account.CORE_HODL).cash_usdt == 200
    found = await stored(tmp_path)
    assert found is not None
    assert (found.halted, found.cycle_h) == (5, 9)


async def test_observers_hear_each_committed_event_once_in_order(tmp_path: Path) -> None:
    told: list[Event] = []
    async with a_recorder(tmp_path, told) as recorder:
        await recorder.append(NOTE)
        heard = len(told)
        await recorder.append(money(1), money(2))
        await recorder.append(money(1), NOTE)  # seen before: books, memory and observers stay as they are
        fresh = [event for event in told[heard:] if not isinstance(event, StateSaved)]
        assert fresh == [money(1), money(2), NOTE]
        assert recorder.projection.books.of(Account.CORE_HODL).cash_usdt == 200


async def test_observers_are_told_after_the_commit(tmp_path: Path) -> None:
    seen: list[int] = []
    async with a_recorder(tmp_path) as recorder:
        recorder._observers = (lambda event: seen.append(recorder.store.head.seq) if event == NOTE else None,)
        before = recorder.store.head.seq
        await recorder.append(NOTE)
        assert seen
        assert seen[0] > before


# What many tasks append at once --------------------------------------------------------------------------------------


async def test_what_comes_while_a_commit_runs_goes_into_the_next_one_together(tmp_path: Path) -> None:
    batches: list[int] = []
    async with a_recorder(tmp_path) as recorder:
        await recorder.append(money(0))
        write_down = recorder.store.append

        async def counted(*events: Event) -> object:
            batches.append(len(events))
            return await write_down(*events)

        recorder.store.append = counted  # type: ignore[assignment,method-assign]
        answers = await asyncio.gather(
            *(recorder.append(money(number), money(number), money(number + 100)) for number in range(1, 11))
        )
        assert len(batches) <= 2
        # Each is answered for its own events.
        assert [answer.new for answer in answers] == [(True, False, True)] * 10
        assert recorder.projection.books.of(Account.CORE_HODL).cash_usdt == 2_100
    verify(tmp_path / "eternal.db")


async def test_of_many_events_at_once_the_one_that_cannot_follow_fails_alone(tmp_path: Path) -> None:
    told: list[Event] = []
    async with a_recorder(tmp_path, told) as recorder:
        sale = Filled(AT, a_fill("e1", account=Account.TACTICAL, side=Side.SELL))
        rows: list[Event] = [money(1), sale, money(2), money(3)]
        answers = await asyncio.gather(*(recorder.append(row) for row in rows), return_exceptions=True)
        assert [isinstance(answer, BookError) for answer in answers] == [False, True, False, False]
        assert [event for event in told if not isinstance(event, StateSaved)] == [money(1), money(2), money(3)]
        assert recorder.projection.books.of(Account.CORE_HODL).cash_usdt == 300


async def test_a_disk_that_fails_is_told_to_all_who_wait(tmp_path: Path) -> None:
    async with a_recorder(tmp_path) as recorder:
        await recorder.append(NOTE)
        await recorder.store.close()
        answers = await asyncio.gather(*(recorder.append(money(n)) for n in range(5)), return_exceptions=True)
        assert [type(answer) for answer in answers] == [StorageError] * 5


async def test_ord_9_a_cancelled_append_is_written_and_holds_nobody_up(tmp_path: Path) -> None:
    async with a_recorder(tmp_path) as recorder:
        await recorder.append(money(0))
        tasks = [asyncio.ensure_future(recorder.append(money(number))) for number in range(1, 6)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        tasks[0].cancel()
        tasks[3].cancel()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert [isinstance(answer, asyncio.CancelledError) for answer in answers] == [True, False, False, True, False]
        await recorder.append(NOTE)
        assert recorder.projection.books.of(Account.CORE_HODL).cash_usdt == 600


# The states follow what is booked ------------------------------------------------------------------------------------


def deploying(memory: Memory) -> Memory:
    core = memory.states.core._replace(
        phase=core_hodl.DEPLOYING, weeks_remaining=4, plan=np.array([core_hodl.MAIN_PLAN] * 2), target_usdt=1_000.0
    )
    return replace(memory, states=memory.states._replace(core=core))


async def test_core_10_money_that_comes_to_core_hodl_widens_its_plan_once(tmp_path: Path) -> None:
    async with a_recorder(tmp_path) as recorder:
        await recorder.commit(lambda memory, _: (deploying(memory), ()))
        moved = Transferred(
            AT, TransferId("t1"), Account.TACTICAL, Account.CORE_HODL, Coin("USDT"), Decimal(50), RuleId("CAP-2")
        )
        coins = Deposited(AT, RecordId("c"), Account.CORE_HODL, Coin("BTC"), Decimal(1), Decimal(40_000), AT)
        for entry in (money(1), money(1), money(2, Account.TREND), moved, moved, coins):
            await recorder.append(entry)
        assert recorder.memory.states.core.target_usdt == pytest.approx(1_150.0)
    found = await stored(tmp_path)
    assert found is not None
    assert found.states.core.target_usdt == pytest.approx(1_150.0)


async def test_trend_x2_a_position_that_a_stop_closed_is_forgotten_with_its_fill(tmp_path: Path) -> None:
    async with a_recorder(tmp_path) as recorder:
        perp = {"account": Account.TREND, "market": Market.PERP, "qty": "0.1"}
        await recorder.append(money(1, Account.TREND, 9_000), Filled(AT, a_fill("in", **perp, price="40000")))

        def opened(memory: Memory, _: Projection) -> tuple[Memory, tuple[Event, ...]]:
            state = trend.opened(memory.states.trend, 0, 1, 40_000.0, 500.0, 39_000.0, 0.1)
            return replace(memory, states=memory.states._replace(trend=state)), ()

        await recorder.commit(opened)
        await recorder.append(money(3, Account.TREND))
        assert recorder.memory.states.trend.side[0] == 1
        await recorder.append(Filled(AT, a_fill("out", **perp, side=Side.SELL, price="39000", fee="2")))
        assert recorder.memory.states.trend.side[0] == 0
        # RISK-7 looks at the trade's net result.
        assert recorder.trend_pnls == [Decimal(-102)]
        (part,) = recorder.parts_of(Account.TREND)
        assert part.net_usdt == -102


async def test_ord_7_a_correction_to_flat_forgets_the_position(tmp_path: Path) -> None:
    async with a_recorder(tmp_path) as recorder:
        perp = {"account": Account.TREND, "market": Market.PERP, "qty": "0.1"}
        state = trend.opened(recorder.memory.states.trend, 0, 1, 40_000.0, 500.0, 39_000.0, 0.1)
        await recorder.append(money(1, Account.TREND, 9_000), Filled(AT, a_fill("in", **perp, price="40000")))
        await recorder.commit(lambda memory, _: (replace(memory, states=memory.states._replace(trend=state)), ()))
        gone = Corrected(
            AT, RecordId("c1"), Account.TREND, Symbol("BTCUSDT"), Coin("BTC"), Market.PERP, Decimal("-0.1"),
            Decimal(40_000), Mismatch.WRONG_SIZE,
        )  # fmt: skip
        await recorder.append(gone)
        assert recorder.memory.states.trend.side[0] == 0


async def test_a_defect_reaches_all_who_wait_and_the_next_ones_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_recorder(tmp_path) as recorder:

        async def broken(_: object) -> None:
            raise ZeroDivisionError("a defect")

        with monkeypatch.context() as patched:
            patched.setattr(recorder, "_write", broken)
            found = await asyncio.gather(recorder.append(NOTE), recorder.append(NOTE), return_exceptions=True)
        assert [type(one) for one in found] == [ZeroDivisionError, ZeroDivisionError]
        assert (await recorder.append(NOTE)).new == (True,)


async def test_all_that_is_written_together_goes_on_in_the_same_round_of_the_loop(tmp_path: Path) -> None:
    async with a_recorder(tmp_path) as recorder:
        rounds, woken = 0, []

        async def one() -> None:
            await recorder.append(NOTE)
            woken.append(rounds)

        waiting = asyncio.gather(*(one() for _ in range(12)))
        while not waiting.done():
            rounds += 1
            await asyncio.sleep(0)
        assert len(woken) == 12
        assert max(woken) - min(woken) <= 1
