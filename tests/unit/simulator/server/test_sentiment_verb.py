"""The market's fear-and-greed index on the maintenance path is what the process itself reads (TACT-E2)."""

from __future__ import annotations

from eternal_engine.launch.moods import moods_of
from eternal_engine.launch.world_bars import WorldBars
from eternal_engine.market_data.history import HOUR_MS
from eternal_engine.simulator.feeds import HistoryFeed
from eternal_engine.simulator.opening import Opening, open_world
from eternal_engine.simulator.server.maintenance import VERBS
from eternal_engine.simulator.server.params import Params

START_MS = 1_614_556_800_000  # 2021-03-01


async def test_tact_e2_the_wire_and_the_process_know_the_same_index_and_nothing_of_the_future() -> None:
    world = open_world(Opening(start_ms=START_MS, speed=0))
    assert isinstance(world.feed, HistoryFeed)
    for hours in (0, 23, 25):
        world.step_to(START_MS + hours * HOUR_MS)
        now_h = START_MS // HOUR_MS + hours
        days = VERBS["GET", "/maintenance/sentiment"](world, Params({}))["days"]
        wired = moods_of({int(day): float(value) for day, value in days}, now_h)
        own = await WorldBars(world.feed.history).moods(now_h)
        assert wired.day_ms.tolist() == own.day_ms.tolist()
        assert wired.value.tolist() == own.value.tolist()
        assert wired.day_ms[-1] <= START_MS + hours * HOUR_MS < wired.day_ms[-1] + 24 * HOUR_MS
