"""The pinger on the real client, in front of a venue whose answers get lost (E1, E2, E3)."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest

from eternal_engine.engine.downtime import Skew
from eternal_engine.engine.health import Health
from eternal_engine.model.errors import RateLimited, Retry
from eternal_engine.model.event import ConnectionLost, ConnectionRestored, ErrorOccurred, Event
from eternal_engine.model.ids import Account
from eternal_engine.simulator.faults import Fault, FaultKind
from reconcile_bench import Bench

TIME = "/v5/market/time"


class Watched:
    """Hold a pinger, its clock, what it told and how often it let the accounts be reconciled; `failures` come first."""

    def __init__(self, *failures: Exception) -> None:
        self.bench = Bench.make()
        self.seconds = 0.0
        self.told: list[Event] = []
        self.recovered = 0
        self.fast = timedelta(0)
        self._failures = list(failures)
        self.health = Health(
            self.bench.client(Account.MASTER),
            self.tell,
            self.recover,
            now=lambda: self.bench.now + timedelta(seconds=self.seconds),
            monotonic=lambda: self.seconds,
            machine=lambda: self.bench.now + self.fast,
        )

    async def tell(self, event: Event) -> None:
        self.told.append(event)

    async def recover(self) -> None:
        assert self.health.is_down, "engines are paused until reconciling is done"
        self.recovered += 1
        if self._failures:
            raise self._failures.pop(0)

    async def ping_at(self, *moments: float) -> None:
        for moment in moments:
            self.seconds = moment
            await self.health.check()

    def lose(self) -> None:
        """Let no question for the time be answered."""
        self.bench.world.faults.faults.append(Fault(FaultKind.LOSE_REPLY, path=TIME, times=0))

    def find(self) -> None:
        self.bench.world.faults.clear()


async def test_e1_e3_the_real_client_pauses_after_thirty_seconds_and_resumes_with_the_duration() -> None:
    watched = Watched()
    watched.lose()
    await watched.ping_at(0.0, 10.0, 20.0, 30.0)
    assert not watched.health.is_down
    await watched.ping_at(40.0)
    assert watched.health.is_down
    await watched.ping_at(50.0, 60.0)
    watched.find()
    await watched.ping_at(70.0)
    lost, restored = watched.told
    assert isinstance(lost, ConnectionLost)
    assert lost.at - lost.since == timedelta(seconds=40)
    assert isinstance(restored, ConnectionRestored)
    assert restored.downtime_s == 70
    assert watched.recovered == 1
    assert not watched.health.is_down


async def test_ord_6_engines_stay_paused_until_reconciling_succeeded() -> None:
    watched = Watched(Retry("not yet"), Retry("not yet"))
    watched.lose()
    await watched.ping_at(31.0)
    watched.find()
    await watched.ping_at(40.0, 50.0)
    assert watched.health.is_down
    await watched.ping_at(60.0)
    assert not watched.health.is_down
    assert [type(event) for event in watched.told] == [ConnectionLost, ConnectionRestored]


async def test_ord_6_a_second_loss_before_reconciling_is_one_downtime() -> None:
    watched = Watched(Retry("not yet"))
    watched.lose()
    await watched.ping_at(31.0)
    watched.find()
    await watched.ping_at(40.0)
    watched.lose()
    await watched.ping_at(71.0)
    watched.find()
    await watched.ping_at(80.0)
    lost, restored = watched.told
    assert isinstance(lost, ConnectionLost)
    assert isinstance(restored, ConnectionRestored)
    assert restored.downtime_s == 80


async def test_any_other_successful_call_counts_but_does_not_end_a_downtime() -> None:
    watched = Watched()
    watched.lose()
    watched.seconds = 25.0
    watched.health.heard()
    await watched.ping_at(50.0)
    assert not watched.health.is_down
    await watched.ping_at(56.0)
    assert watched.health.is_down
    watched.health.heard()
    assert watched.health.is_down


async def test_an_exchange_that_never_answers_is_a_failed_ping(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched()

    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(watched.health._exchange, "server_time", never)
    monkeypatch.setattr("eternal_engine.engine.health.PING_TIMEOUT_S", 0.01)
    await watched.ping_at(31.0)
    assert watched.health.is_down
    assert "no answer" in watched.told[0].detail  # type: ignore[union-attr]


@pytest.mark.parametrize(("fast_ms", "skew"), [(400, Skew.FINE), (-700, Skew.ALARM), (1_200, Skew.WAIT)])
async def test_ord_6_a_clock_that_is_off_is_told_once_and_makes_entries_wait(fast_ms: int, skew: Skew) -> None:
    watched = Watched()
    watched.fast = timedelta(milliseconds=fast_ms)
    await watched.ping_at(1.0, 11.0)
    assert watched.health.skew is skew
    assert watched.health.entries_wait is (skew is Skew.WAIT)
    assert len(watched.told) == (skew is not Skew.FINE)
    assert all(isinstance(event, ErrorOccurred) for event in watched.told)
    watched.fast = timedelta(0)
    await watched.ping_at(21.0)
    assert not watched.health.entries_wait


async def test_u_2_the_clock_can_be_seen_between_two_pings_and_silence_is_left_to_them() -> None:
    watched = Watched()
    watched.fast = timedelta(hours=3)
    await watched.health.see_clock()
    assert (watched.health.skew, len(watched.told)) == (Skew.WAIT, 1)
    watched.lose()
    watched.seconds = 500.0
    await watched.health.see_clock()
    assert not watched.health.is_down


class Refusing:
    """Be an exchange that answers no question for the time, for a reason that may change."""

    def __init__(self) -> None:
        self.mend = "wait"

    async def server_time(self) -> datetime:
        raise RateLimited(f"refused, {self.mend}", code=403, mend=self.mend)


async def test_ord_6_another_reason_for_the_same_silence_is_said_once() -> None:
    watched, refusing = Watched(), Refusing()
    watched.health._exchange = refusing  # type: ignore[assignment]
    await watched.ping_at(0.0, 31.0, 41.0, 600.0)
    assert [type(event) for event in watched.told] == [ConnectionLost]
    refusing.mend = "look at the region"
    await watched.ping_at(610.0, 620.0)
    assert [type(event) for event in watched.told] == [ConnectionLost, ErrorOccurred]
    told = watched.told[-1]
    assert isinstance(told, ErrorOccurred)
    assert (told.what, told.mend) == ("refused, look at the region", "look at the region")
