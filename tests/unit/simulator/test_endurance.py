"""The long run in short: what it measures, and that it trades, reads and streams while it does."""

from __future__ import annotations

import io
import mmap
import os
from pathlib import Path

import pytest

from eternal_engine.simulator.endurance import Endurance, look, slope
from eternal_engine.simulator.opening import Opening, accounts_of, open_world
from eternal_engine.simulator.server.app import Server


@pytest.mark.parametrize(
    ("points", "rise"),
    [
        ([], 0.0),
        ([(1.0, 5.0)], 0.0),
        ([(0, 10), (1, 12), (2, 14)], 2.0),
        ([(0, 3), (1, 3), (2, 3)], 0.0),
        ([(1, 2)] * 3, 0.0),
    ],
)
def test_the_slope_is_that_of_the_best_line(points: list[tuple[float, float]], rise: float) -> None:
    assert slope(points) == rise


def test_a_process_shows_its_memory_and_handles() -> None:
    before = look(os.getpid())
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(7)]
    # A mapping of its own: what the allocator still has from tests before would show no growth.
    with mmap.mmap(-1, 30_000_000) as ballast:
        for page in range(0, len(ballast), mmap.PAGESIZE):
            ballast[page] = 1
        after = look(os.getpid())
    for handle in held:
        os.close(handle)
    assert after[1] - before[1] == 7
    assert 25_000 < after[0] - before[0] < 60_000
    assert after[2] >= before[2] >= 0


async def test_a_run_trades_streams_and_writes_its_samples_as_they_come(tmp_path: Path) -> None:
    world = open_world(Opening(speed=3600, limits=False, state=tmp_path / "venue.db"))
    server = Server(world)
    await server.start()
    rest, stream = f"http://127.0.0.1:{server.port}", f"ws://127.0.0.1:{server.port}/v5"
    greeting = {
        "rest_url": rest,
        "ws_public_url": f"{stream}/public",
        "ws_private_url": f"{stream}/private",
        "state": str(tmp_path / "venue.db"),
        "accounts": [
            {"name": account.name, "uid": account.uid, "api_key": account.api_key, "api_secret": account.api_secret}
            for account in accounts_of(world)
        ],
    }
    lines = io.StringIO()
    run = Endurance(greeting, os.getpid(), per_s=40, csv_file=lines)
    await run.run(0.05, every_s=1.0)
    report = run.report()
    await server.stop()
    assert world.store is not None
    world.store.close()
    assert world.venue.audit() == ()
    assert set(report["answers"]) == {"0"}
    assert report["orders"] > 5
    assert report["stream_messages"] > 5
    assert report["venue_hours"] > 1
    assert len(lines.getvalue().splitlines()) == 1 + len(run.samples) >= 3
    # Each account's last order may have been on its way when the run ended.
    assert 0 <= len(world.venue.state.orders) - run.orders <= 2
