"""A state directory with the life of a daemon in it, for the verbs that read."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from builders import a_history
from eternal_engine.bootstrap import core_params
from eternal_engine.config import load
from eternal_engine.engine.memory import Memory, saves
from eternal_engine.model.event import DaemonStarted, EquityMarked, Event
from eternal_engine.model.ids import Account
from eternal_engine.portfolio.flows import FlowState
from eternal_engine.portfolio.params import States
from eternal_engine.risk import breaker
from eternal_engine.storage.database import prepare
from eternal_engine.storage.store import Store
from eternal_engine.strategies import core_hodl, funding, tactical, trend

START = datetime(2024, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
START_H = int(START.timestamp()) // 3600


def a_memory(**risk: object) -> Memory:
    """Build the memory of a daemon five weeks into a plan of twelve, TREND halted by the operator."""
    settings = load("paper", environ={}, directory=Path("/nonexistent"))
    count = len(settings.symbols)
    core = core_hodl.initial_state(count)._replace(
        phase=core_hodl.DEPLOYING, anchor_h=START_H, due_h=START_H + 5 * 168, weeks_remaining=7, plan_weeks=12,
        target_usdt=98_319.0,
    )  # fmt: skip
    core.gap_usdt[0], core.spent_usdt[0] = 1_000.5, 500.25
    assert core_params(settings).interval_h == 168
    state = breaker.initial_state()._replace(
        **{
            "level": 2, "changed_h": START_H, "high_usdt": 40_000.0, "day_base_usdt": 35_000.0,
            "week_base_usdt": 36_000.0, "day_block_h": START_H + 30, **risk,
        }
    )  # fmt: skip
    return Memory(
        symbols=tuple(settings.symbols),
        states=States(
            state, core, trend.initial_state(count), funding.initial_state(count), tactical.initial_state(_tactical())
        ),
        flows=FlowState(0.0, 0),
        cycle_h=START_H + 2,
        started_h=START_H,
        halted=0b0010,
        paused=frozenset({"ETHUSDT"}),
        stops=((0, Decimal("63000.5")),),
    )


def _tactical() -> tactical.TacticalParams:
    from eternal_engine.bootstrap import tactical_params

    return tactical_params(load("paper", environ={}, directory=Path("/nonexistent")))


def a_life(memory: Memory | None = None) -> list[Event]:
    """Build the journal: the builders' history, a second start that goes on, marks and the memory."""
    later = START + 2 * HOUR
    marks: list[Event] = [
        EquityMarked(at, account, amount)
        for at, shift in ((START, Decimal(0)), (later, Decimal(100)))
        for account, amount in (
            (Account.CORE_HODL, Decimal(60_000) + shift),
            (Account.TREND, Decimal(19_000) + shift),
            (Account.FUNDING, Decimal(15_000) + shift),
            (Account.TACTICAL, Decimal(5_000) + shift),
        )
    ]
    history = [event for event in a_history() if not isinstance(event, EquityMarked)]
    its_hash = load("paper", environ={}, directory=Path("/nonexistent")).hash()
    start = DaemonStarted(START + HOUR, "0.1.0", "paper", its_hash, "synthetic seed 7")
    return [*history, start, *marks, *saves(memory or a_memory(), None, later)]


@pytest.fixture(scope="session")
def prepared_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the tables once: migrating takes longer than most tests."""
    path = tmp_path_factory.mktemp("prepared") / "eternal.db"
    prepare(path)
    return path


@pytest.fixture(scope="session")
def lived_file(prepared_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the life once."""
    path = tmp_path_factory.mktemp("lived") / "eternal.db"
    shutil.copy(prepared_file, path)
    asyncio.run(write_events(path, a_life()))
    return path


@pytest.fixture
def state_dir(tmp_path: Path, lived_file: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a state directory of its own with the life in it; the test runs outside any project."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ETERNAL_CONFIG_DIR", raising=False)
    directory = tmp_path / "state"
    directory.mkdir()
    shutil.copy(lived_file, directory / "eternal.db")
    return directory


async def write_events(path: Path, events: list[Event]) -> None:
    """Append events to a database as the daemon does."""
    store = await Store.open(path)
    try:
        await store.append(*events)
    finally:
        await store.close()


def with_risk(**risk: object) -> list[Event]:
    """Give the event that saves another state of the risk manager."""
    memory = a_memory(**risk)
    return list(saves(replace(memory, cycle_h=START_H + 3), None, START + 3 * HOUR))


def one_event_later(state_dir: Path) -> Callable[[float], None]:
    """Give a sleep in whose first second the breaker reaches level 4, and in whose next one the user ends the look."""
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        if slept:
            raise KeyboardInterrupt
        slept.append(seconds)
        asyncio.run(write_events(state_dir / "eternal.db", with_risk(level=4)))

    return sleep
