"""The supervisor: the table, restarts with back-off, an end in time, and what the service manager hears."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from eternal_engine.engine.notify import Notifier, watchdog_interval_s
from eternal_engine.engine.supervisor import POLICY, Duty, Ending, Remedy, Supervisor, Trouble, Weight, line_for
from eternal_engine.model import errors as er

FOREVER = 3600.0


class Wrong(Exception):
    """A defect."""


class House:
    """A supervisor whose waits take no time and are written down."""

    def __init__(self, grace_s: float = 1.0, notifier: Notifier | None = None) -> None:
        self.troubles: list[Trouble] = []
        self.asked: list[str] = []
        self.waits: list[float] = []
        self.supervisor = Supervisor(
            self.troubles.append, self.asked.append, sleep=self._sleep, grace_s=grace_s, notifier=notifier
        )

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        await asyncio.sleep(0)

    async def run(self, *duties: Duty) -> Ending:
        async with asyncio.timeout(20):
            return await self.supervisor.run(duties)


def failing(error: BaseException, times: int = 10**6) -> Callable[[], Awaitable[None]]:
    left = [times]

    async def run() -> None:
        left[0] -= 1
        if left[0] >= 0:
            raise error

    return run


async def forever() -> None:
    await asyncio.sleep(FOREVER)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (er.UsageError("x"), 2),
        (er.DataError("x"), 3),
        (er.RefusedError("x"), 4),
        (er.LockHeld("x"), 4),
        (er.SchemaError("x"), 4),
        (er.JournalBroken("x", seq=1), 4),
        (er.StorageError("x"), 1),
        (er.BookError("x"), 1),
        (er.UnknownTransition("x"), 1),
        (er.EternalError("x"), 1),
        (Wrong("x"), 1),
        (KeyError("x"), 1),
    ],
)
async def test_the_table_halts_a_vital_duty_with_the_declared_exit_code(error: Exception, code: int) -> None:
    house = House()
    ending = await house.run(Duty("engine", failing(error), Weight.VITAL), Duty("helper", forever))
    assert (ending.exit_code, ending.error) == (code, error)
    assert [trouble.duty for trouble in house.troubles] == ["engine"]


@pytest.mark.parametrize(
    "error",
    [
        er.Retry("x"),
        er.UnknownOutcome("x"),
        er.BadReply("x"),
        er.HaltTrading("x"),
        ConnectionResetError("x"),
        TimeoutError("x"),
    ],
)
async def test_the_table_restarts_a_vital_duty_whose_exchange_does_not_answer(error: Exception) -> None:
    house = House()
    ending = await house.run(Duty("engine", failing(error, times=3), Weight.VITAL))
    assert ending == Ending(0, "engine is done")
    assert [trouble.wait_s for trouble in house.troubles] == [1.0, 2.0, 4.0]
    assert house.waits == [1.0, 2.0, 4.0]


def test_every_error_of_the_tree_has_its_own_line_and_the_exit_code_of_its_class() -> None:
    for line in POLICY:
        assert line.reason
        if line.remedy is Remedy.HALT and issubclass(line.failure, er.EternalError):
            assert line.exit_code >= line.failure.exit_code
    assert line_for(er.LockHeld("x")).failure is er.RefusedError
    assert line_for(er.RateLimited("x")).remedy is Remedy.RESTART


async def test_a_duty_that_books_may_end_but_not_break() -> None:
    house = House()
    ending = await house.run(Duty("stream", failing(er.BookError("x")), Weight.BOOKING), Duty("engine", forever))
    assert ending.exit_code == 1
    house = House()
    asyncio.get_running_loop().call_later(0.02, house.supervisor.stop, "enough")
    done = Duty("stream", failing(er.BookError("x"), times=0), Weight.BOOKING)
    assert await house.run(done, Duty("engine", forever_until(house), Weight.VITAL)) == Ending(0, "enough")


async def test_a_duty_that_waits_for_something_given_up_is_a_defect_and_does_not_vanish() -> None:
    async def left_waiting() -> None:
        never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        never.cancel()
        await never

    house = House()
    ending = await house.run(Duty("engine", left_waiting, Weight.VITAL))
    assert (ending.exit_code, [trouble.duty for trouble in house.troubles]) == (1, ["engine"])


async def test_a_failing_helper_never_ends_the_daemon_and_waits_longer_each_time() -> None:
    house = House()
    tries = 0

    async def observer() -> None:
        nonlocal tries
        tries += 1
        if tries == 9:
            house.supervisor.stop("enough")
        raise er.StorageError("the sink is broken")

    ending = await house.run(Duty("alerts", observer), Duty("engine", forever_until(house), Weight.VITAL))
    assert ending == Ending(0, "enough")
    assert [trouble.wait_s for trouble in house.troubles][:8] == [1, 2, 4, 8, 16, 32, 60, 60]


def forever_until(house: House) -> Callable[[], Awaitable[None]]:
    """Run until asked to stop, as the engine does."""

    async def run() -> None:
        while not house.asked:  # noqa: ASYNC110
            await asyncio.sleep(0.001)

    return run


async def test_ord_9_a_stop_lets_duties_end_by_themselves() -> None:
    house = House()
    saved = []

    async def engine() -> None:
        await forever_until(house)()
        saved.append("state")

    asyncio.get_running_loop().call_later(0.01, house.supervisor.stop, "SIGTERM")
    ending = await house.run(Duty("engine", engine, Weight.VITAL), Duty("feed", forever))
    assert ending == Ending(0, "SIGTERM")
    assert saved == ["state"]
    assert house.asked == ["SIGTERM"]


async def test_ord_9_a_duty_that_does_not_end_is_cut_off_in_time() -> None:
    house = House(grace_s=0.05)
    cancelled = []

    async def deaf() -> None:
        try:
            await forever()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    asyncio.get_running_loop().call_later(0.01, house.supervisor.stop, "SIGTERM")
    assert (await house.run(Duty("engine", deaf, Weight.VITAL))).exit_code == 0
    assert cancelled == [True]


async def test_ord_9_even_a_task_that_swallows_its_cancelling_does_not_hold_the_end_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("eternal_engine.engine.supervisor.CUT_OFF_S", 0.05)
    house = House(grace_s=0.05)
    release = asyncio.Event()

    async def stubborn() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    asyncio.get_running_loop().call_later(0.01, house.supervisor.stop, "SIGTERM")
    ending = await house.run(Duty("engine", stubborn, Weight.VITAL))
    assert ending.exit_code == 1
    assert "cut off: engine" in ending.reason
    release.set()


async def test_the_first_reason_to_stop_counts() -> None:
    house = House()
    house.supervisor.stop("first")
    house.supervisor.stop("second", 1)
    assert await house.run(Duty("engine", forever_until(house), Weight.VITAL)) == Ending(0, "first")


async def test_the_service_manager_hears_the_end_and_the_watchdog_only_while_all_is_well(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(1)
        notifier = Notifier(address)
        notifier.ready("trading\non four accounts")
        house = House(notifier=notifier)
        health = iter([True, False, True])

        async def watch() -> None:
            try:
                await house.supervisor.watch(0.5, lambda: next(health))
            except RuntimeError:
                house.supervisor.stop("told enough")
                await forever()

        await house.run(Duty("watchdog", watch))
        heard = [manager.recv(500).decode() for _ in range(4)]
    assert heard[0] == "READY=1\nSTATUS=trading on four accounts"
    assert heard[1:3] == ["WATCHDOG=1", "WATCHDOG=1"]
    assert heard[3] == "STOPPING=1\nSTATUS=told enough"
    assert house.waits == [0.5, 0.5, 0.5]


def test_no_socket_and_a_dead_socket_are_silent(tmp_path: Path) -> None:
    for address in ("", str(tmp_path / "nobody"), "@nobody-listens-here"):
        notifier = Notifier(address)
        notifier.status("x")
    assert not (tmp_path / "nobody").exists()


@pytest.mark.parametrize(
    ("usec", "pid", "interval"),
    [("60000000", "", 30.0), ("60000000", "77", 30.0), ("60000000", "78", None), ("", "", None), ("0", "", None)],
)
def test_the_watchdog_is_fed_twice_as_often_as_asked(usec: str, pid: str, interval: float | None) -> None:
    assert watchdog_interval_s(usec, pid, 77) == interval
