"""What a start does before anything slow: it locks, chooses the market and launches the exchange (ORD-8)."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from eternal_engine.config import Settings, load
from eternal_engine.engine.adopt import LOOK_BACK
from eternal_engine.launch import opening
from eternal_engine.launch import start as starting
from eternal_engine.launch.child import ChildExchange
from eternal_engine.launch.files import DATABASE_FILE
from eternal_engine.launch.markets import FILE as MARKET_FILE
from eternal_engine.launch.markets import Market, MarketKind, Wish
from eternal_engine.launch.start import Request, start
from eternal_engine.model.errors import LockHeld, UsageError
from eternal_engine.storage.lock import DatabaseLock

AT = datetime(2024, 1, 2, tzinfo=UTC)


class Launches:
    """Count what is launched and stopped instead of a process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[str] = []

        async def launch(_: ChildExchange) -> None:
            self.done.append("launch")

        async def stop(_: ChildExchange) -> None:
            self.done.append("stop")

        monkeypatch.setattr(ChildExchange, "launch", launch)
        monkeypatch.setattr(ChildExchange, "stop", stop)


def request(folder: Path, wish: Wish, **environ: str) -> Request:
    own = {"ETERNAL_PATHS__STATE_DIR": str(folder / "state"), "ETERNAL_PATHS__LOG_DIR": str(folder / "logs")}
    settings: Settings = load("paper", directory=folder, environ=own | environ)
    return Request("paper", settings, folder, lambda: settings, wish, console=False, handles_signals=False)


async def test_ord_8_a_second_daemon_is_refused_before_it_launches_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launches = Launches(monkeypatch)
    asked = request(tmp_path, Wish("synthetic"))
    (tmp_path / "state").mkdir()
    with DatabaseLock(tmp_path / "state" / DATABASE_FILE), pytest.raises(LockHeld):
        await start(asked)
    assert launches.done == []


async def test_what_was_launched_is_ended_when_the_start_fails_and_the_lock_is_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launches = Launches(monkeypatch)

    async def carry_on(*_: object) -> None:
        raise UsageError("it cannot go on")

    monkeypatch.setattr("eternal_engine.launch.carry_on.carry_on", carry_on)
    with pytest.raises(UsageError, match="cannot go on"):
        await start(request(tmp_path, Wish("synthetic")))
    assert launches.done == ["launch", "stop"]
    DatabaseLock(tmp_path / "state" / DATABASE_FILE).acquire()
    assert (tmp_path / "state" / MARKET_FILE).is_file()


async def test_an_exchange_of_this_process_is_not_launched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    launches = Launches(monkeypatch)
    seen: list[object] = []

    async def carry_on(_: object, beginning: starting.Beginning) -> None:
        seen.append(beginning.child)

    monkeypatch.setattr("eternal_engine.launch.carry_on.carry_on", carry_on)
    await start(request(tmp_path, Wish("synthetic", speed=0.0)))
    assert (launches.done, seen) == ([], [None])


async def test_k2_the_made_up_market_has_the_seed_and_the_speed_that_are_set_after_the_wait_that_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Launches(monkeypatch)
    waited: list[float] = []
    seen: list[Market | None] = []

    async def live_prices_answer(timeout_s: float) -> bool:
        waited.append(timeout_s)
        return False

    async def carry_on(_: object, beginning: starting.Beginning) -> None:
        seen.append(beginning.market)

    monkeypatch.setattr(starting, "live_prices_answer", live_prices_answer)
    monkeypatch.setattr("eternal_engine.launch.carry_on.carry_on", carry_on)
    own = {"BACKTEST__SEED": "11", "DAEMON__PAPER_SPEED": "7200", "DAEMON__PROBE_TIMEOUT_S": "0.5"}
    own |= {"PATHS__DATA_DIR": str(tmp_path / "no data")}
    await start(request(tmp_path, Wish(), **{f"ETERNAL_{name}": text for name, text in own.items()}))
    (market,) = seen
    assert market is not None
    assert (market.kind, market.seed, market.speed, waited) == (MarketKind.SYNTHETIC, 11, 7200.0, [0.5])


def test_what_comes_before_the_launch_imports_nothing_heavy() -> None:
    heavy = ("numpy", "aiohttp", "sqlalchemy", "pybit", "structlog")
    code = f"import sys, eternal_engine.launch.start; print([n for n in {heavy!r} if n in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (found.stdout, found.stderr) == ("[]\n", "")


@pytest.mark.parametrize(
    ("opened_at", "since"),
    [
        (None, AT - LOOK_BACK),
        (datetime(2020, 1, 1, tzinfo=UTC), AT - LOOK_BACK),
        (AT, AT - opening.ROUNDING),
    ],
)
def test_core_12_history_is_read_from_where_an_embedded_exchange_began(
    opened_at: datetime | None, since: datetime
) -> None:
    assert opening.looked_at_since(AT, opened_at) == since
