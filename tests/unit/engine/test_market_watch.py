"""The market as the daemon sees it hour by hour is the market as the backtest sees it at once (U-4, U-10)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from core_builders import QUICK_TREND, THREE, a_history, a_random_history, cut, some_params
from eternal_engine.backtest.prepare import features_of
from eternal_engine.engine.market_watch import MARK_HISTORY_H, MarketWatch, settled_hour
from eternal_engine.launch.world_bars import WorldBars
from eternal_engine.market_data.bar_store import BarStore, HourBar, SettledRate
from eternal_engine.market_data.history import DAY_MS, HOUR_MS, MarketHistory, Sentiment
from eternal_engine.portfolio.features import Moods
from eternal_engine.portfolio.params import Features
from eternal_engine.strategies.indicators import DailyBars, daily_bars

PARAMS = some_params(
    THREE,
    trend={**QUICK_TREND, "volume_filter": True, "volume_days": 4},
    tactical={"fear_enabled": True, "capitulation_enabled": True},
)


@dataclass
class Source:
    """Read a history as it was known, and remember what was asked for; `hides` keeps rates back until an hour."""

    history: MarketHistory
    hides: Callable[[SettledRate, int], bool] = lambda _, __: False
    hides_bar: Callable[[HourBar, int], bool] = lambda _, __: False
    asked: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.world = WorldBars(self.history, with_volume=True)

    async def hours(self, start_h: int, end_h: int) -> list[HourBar]:
        self.asked.append((start_h, end_h))
        return [bar for bar in await self.world.hours(start_h, end_h) if not self.hides_bar(bar, end_h)]

    async def days(self, end_h: int) -> tuple[int, DailyBars]:
        return await self.world.days(end_h)

    async def rates(self, start_h: int, end_h: int) -> list[SettledRate]:
        return [rate for rate in await self.world.rates(start_h, end_h) if not self.hides(rate, end_h)]

    async def moods(self, end_h: int) -> Moods:
        return await self.world.moods(end_h)


def a_watch(source: Source, store: BarStore | None = None) -> MarketWatch:
    return MarketWatch(PARAMS, THREE, source, store)


def with_moods(history: MarketHistory, days: int) -> MarketHistory:
    stamps = history.start_ms + np.arange(days, dtype=np.int64) * DAY_MS
    return replace(history, sentiment=Sentiment(stamps, 20.0 + stamps % 7))


def known_at(history: MarketHistory, hours: int) -> MarketHistory:
    """Give what was known when bar `hours` opened, moods included."""
    seen = cut(history, hours)
    known = history.sentiment.day_ms <= history.start_ms + hours * HOUR_MS
    return replace(seen, sentiment=Sentiment(history.sentiment.day_ms[known], history.sentiment.value[known]))


def assert_same(found: Features, wanted: Features) -> None:
    """Compare bit for bit, NaN with NaN."""
    assert found.first_day == wanted.first_day
    for name in ("trend", "funding", "tactical"):
        ours: Any = getattr(found, name)
        theirs: Any = getattr(wanted, name)
        for part in ours._fields:
            np.testing.assert_array_equal(getattr(ours, part), getattr(theirs, part), err_msg=f"{name}.{part}")


async def live(history: MarketHistory, first: int, last: int, restarts: tuple[int, ...] = ()) -> MarketWatch:
    """Watch bars [first, last] go by, compare with the whole history at every hour, start anew where told."""
    source, base = Source(history), history.start_ms // HOUR_MS
    watch = a_watch(source)
    await watch.start(base + first)
    for hour in range(first, last + 1):
        if hour > first:
            found = await watch.see(base + hour)
            closes = (history.spot.close[:, hour - 1], history.perp.close[:, hour - 1])
            assert found == any(not np.isnan(row).all() for row in closes)
        seen = known_at(history, hour)
        assert_same(watch.features(), features_of(PARAMS, seen))
        stamps = [(rates.stamp_ms - 60_000 <= history.open_ms(hour)).sum() for rates in history.funding]
        assert watch.settled(base + hour).tolist() == stamps
        for market, prices, opened in (
            (seen.spot, watch.marks.spot, watch.marks.spot_h),
            (seen.perp, watch.marks.perp, watch.marks.perp_h),
        ):
            for s, row in enumerate(market.close):
                bars = np.flatnonzero(~np.isnan(row))
                if len(bars):
                    assert (prices[s], opened[s]) == (row[bars[-1]], base + bars[-1])
                else:
                    assert np.isnan(prices[s])
        if hour in restarts:
            watch = a_watch(source)
            await watch.start(base + hour)
    return watch


# A week of hours is slow to shrink, and its seed says enough.
@settings(max_examples=8, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(seed=st.integers(0, 10**6), holes=st.integers(0, 30), first=st.integers(0, 60), restart=st.integers(0, 100))
def test_u_10_features_of_every_hour_are_those_of_the_whole_history(
    seed: int, holes: int, first: int, restart: int
) -> None:
    history = with_moods(a_random_history(seed, days=5, holes=holes), 5)
    asyncio.run(live(history, first, 119, (restart,)))


@pytest.mark.parametrize(
    "longer", [{"funding": {"rate_window": 210}}, {"tactical": {"capitulation_enabled": True, "capitulation_days": 70}}]
)
async def test_u_4_a_window_longer_than_two_months_has_the_rates_of_a_backtest(longer: dict[str, Any]) -> None:
    params, history, hours = some_params(THREE, trend=QUICK_TREND, **longer), a_random_history(5, days=90), 88 * 24
    watch = MarketWatch(params, THREE, Source(history), None)
    await watch.start(history.start_ms // HOUR_MS + hours)
    found, wanted = watch.features(), features_of(params, known_at(history, hours))
    now_h = history.start_ms // HOUR_MS + hours
    last, count = watch.settled(now_h) - 1, (wanted.funding.stamp_h <= now_h).sum(axis=1) - 1
    own = [float(found.funding.mean_rate[s, last[s]]) for s in range(2)]
    assert own == [float(wanted.funding.mean_rate[s, count[s]]) for s in range(2)]
    assert not np.isnan(own).any()
    np.testing.assert_array_equal(found.tactical.funding_8h[-70:], wanted.tactical.funding_8h[-70:])


async def test_u_10_a_whole_day_without_any_bar_is_a_day_too() -> None:
    history = a_random_history(3, days=9)
    for bars in (history.spot, history.perp):
        for name in ("open", "high", "low", "close", "volume"):
            getattr(bars, name)[:, 4 * 24 + 20 : 6 * 24 + 1] = np.nan
    await live(history, 80, 200, (4 * 24 + 22, 5 * 24 + 3))


async def test_u_10_a_restart_in_the_middle_of_a_day_changes_no_feature() -> None:
    history = with_moods(a_random_history(5, days=6, holes=12), 6)
    restarts = tuple(range(49, 143, 7))
    await live(history, 48, 143, restarts)


async def test_u_10_days_are_folded_as_all_hours_at_once_are() -> None:
    history = a_random_history(7, days=8, holes=40)
    watch = await live(history, 0, 8 * 24 - 1)
    await watch.see(history.start_ms // HOUR_MS + 8 * 24)
    spot = history.spot
    wanted = daily_bars(spot.high, spot.low, spot.close, spot.volume)
    for found, expected in zip(watch._daily, wanted, strict=True):
        np.testing.assert_array_equal(found, expected)
    assert list(watch._today) == [history.start_ms // DAY_MS + 7]


# Late and missing ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("late_ms", "hour"), [(0, 8), (1, 8), (60_000, 8), (60_001, 9), (-1, 8)])
async def test_u_4_a_settlement_stamped_up_to_a_minute_late_belongs_to_its_hour(late_ms: int, hour: int) -> None:
    history = a_history(np.full((3, 48), 40_000.0), symbols=THREE)
    base = history.start_ms // HOUR_MS
    stamps = history.start_ms + 8 * HOUR_MS + late_ms
    rates = tuple(replace(rates, stamp_ms=np.array([stamps]), rate=rates.rate[:1], interval_h=rates.interval_h[:1])
                  for rates in history.funding)  # fmt: skip
    watch = a_watch(Source(replace(history, funding=rates)))
    await watch.start(base + 6)
    for now in range(7, 12):
        await watch.see(base + now)
        assert watch.settled(base + now).tolist() == [int(now >= hour)] * 3
    assert settled_hour(watch.settled_rates[0][0]) == base + hour


@pytest.mark.parametrize("late_h", [1, 2, 4])
async def test_u_4_a_settlement_that_is_published_hours_late_is_not_lost(late_h: int) -> None:
    history = a_random_history(2, days=3)
    base = history.start_ms // HOUR_MS

    def hides(rate: SettledRate, end_h: int) -> bool:
        return rate.symbol == "ETHUSDT" and settled_hour(rate) == base + 32 and end_h < base + 32 + late_h

    watch = a_watch(Source(history, hides))
    await watch.start(base + 30)
    for now in range(31, 45):
        await watch.see(base + now)
        waiting = 32 <= now < 32 + late_h
        whole = features_of(PARAMS, known_at(history, now)).funding
        found = watch.features().funding
        assert watch.settled(base + now).tolist() == [now // 8 + 1, now // 8 + 1 - waiting, now // 8 + 1]
        if not waiting:
            np.testing.assert_array_equal(found.mean_rate, whole.mean_rate)
    assert [len(rates) for rates in watch.settled_rates] == [6, 6, 6]


@settings(max_examples=25, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(late=st.lists(st.tuples(st.sampled_from(THREE), st.integers(30, 62), st.integers(1, 23)), max_size=6))
@example(late=[("ETHUSDT", 47, 1)])  # the last bar of a day, an hour after midnight
@example(late=[("ETHUSDT", 47, 23)])
@example(late=[(symbol, 40, 2) for symbol in THREE])
def test_u_10_a_bar_that_comes_late_is_in_every_feature_from_then_on_and_decides_nothing(
    late: list[tuple[str, int, int]],
) -> None:
    history = a_random_history(12, days=4)
    base = history.start_ms // HOUR_MS

    def hides(bar: HourBar, end_h: int) -> bool:
        return any(
            (bar.symbol, bar.open_h) == (symbol, base + hour) and end_h <= base + hour + late_h
            for symbol, hour, late_h in late
        )

    async def watched() -> None:
        source = Source(history, hides_bar=hides)
        watch = a_watch(source)
        await watch.start(base + 30)
        for now in range(31, 95):
            found = await watch.see(base + now)
            hidden = {symbol for symbol, hour, _ in late if hour == now - 1}
            assert found == (hidden != set(THREE))
            if not any(hour < now <= hour + late_h for _, hour, late_h in late):
                assert_same(watch.features(), features_of(PARAMS, known_at(history, now)))
                assert watch.marks.spot_h.tolist() == watch.marks.perp_h.tolist() == [base + now - 1] * 3
        assert watch._missing == set()

    asyncio.run(watched())


async def test_u_10_a_late_bar_is_stored_and_a_symbol_that_is_gone_is_asked_for_a_day_and_no_longer(
    tmp_path: Path,
) -> None:
    history = a_random_history(13, days=5)
    base = history.start_ms // HOUR_MS
    with BarStore(tmp_path / "market.db") as store:
        source = Source(
            history,
            hides_bar=lambda bar, end_h: (bar.symbol == "SOLUSDT" and bar.open_h >= base + 40)
            or ((bar.symbol, bar.open_h) == ("ETHUSDT", base + 50) and end_h < base + 53),
        )  # fmt: skip
        watch = a_watch(source, store)
        await watch.start(base + 30)
        for now in range(31, 110):
            source.asked.clear()
            await watch.see(base + now)
            assert source.asked[0][0] >= base + now - 1 - 24
        assert source.asked == [(base + 108, base + 109)]
        eth = [bar.open_h for bar in store.bars(base + 30, base + 109) if bar[:2] == ("spot", "ETHUSDT")]
        assert eth == list(range(base + 30, base + 109))


async def test_u_10_a_restart_after_midnight_still_waits_for_the_last_bar_of_the_day() -> None:
    history = a_random_history(14, days=4)
    base = history.start_ms // HOUR_MS
    source = Source(history, hides_bar=lambda bar, end_h: bar[1:3] == ("ETHUSDT", base + 47) and end_h < base + 51)
    watch = a_watch(source)
    await watch.start(base + 49)
    for now in range(50, 60):
        await watch.see(base + now)
    assert_same(watch.features(), features_of(PARAMS, known_at(history, 59)))


async def test_u_10_a_bar_seen_again_or_out_of_order_moves_no_mark_back() -> None:
    history = a_random_history(4, days=3)
    base = history.start_ms // HOUR_MS
    watch = a_watch(Source(history))
    await watch.start(base + 30)
    await watch.see(base + 31)
    spot = watch.marks.spot.copy()
    for bar in await Source(history).hours(base + 20, base + 30):
        watch._take(bar)
    np.testing.assert_array_equal(watch.marks.spot, spot)
    assert watch.last_bar_h == base + 30


async def test_u_7_hours_that_passed_unseen_are_seen_one_after_the_other() -> None:
    history = a_random_history(6, days=5, holes=10)
    base = history.start_ms // HOUR_MS
    watch, source = a_watch(Source(history)), Source(history)
    watch = a_watch(source)
    await watch.start(base + 40)
    source.asked.clear()
    assert await watch.see(base + 100)
    assert [end_h for _, end_h in source.asked] == [base + hour + 1 for hour in range(40, 100)]
    assert_same(watch.features(), features_of(PARAMS, known_at(history, 100)))
    source.asked.clear()
    assert await watch.see(base + 100)
    assert source.asked == []


# The store -----------------------------------------------------------------------------------------------------------


async def test_u_10_a_gap_in_the_store_is_filled_at_the_start(tmp_path: Path) -> None:
    history = a_random_history(8, days=20, holes=6)
    base = history.start_ms // HOUR_MS
    with BarStore(tmp_path / "market.db") as store:
        watch = a_watch(Source(history), store)
        await watch.start(base + 24)
        for now in range(25, 30):
            await watch.see(base + now)
        # Down for sixteen days, longer than any mark is looked for.
        later = base + 29 + 16 * 24
        assert later - MARK_HISTORY_H > base + 29
        await a_watch(Source(history), store).start(later)
        wanted = sorted(await Source(history).hours(base, later))
        assert sorted(store.bars(0, later)) == wanted
        assert store.last_h() == later - 1


async def test_u_10_days_that_fill_the_store_hide_no_gap_of_the_perps(tmp_path: Path) -> None:
    history = a_random_history(9, days=20)
    base = history.start_ms // HOUR_MS
    with BarStore(tmp_path / "market.db") as store:

        class Filling(Source):
            async def days(self, end_h: int) -> tuple[int, DailyBars]:
                store.put(bar for bar in await self.world.hours(base, end_h) if bar.market == "spot")
                return await super().days(end_h)

        watch = a_watch(Filling(history), store)
        await watch.start(base + 24)
        await a_watch(Filling(history), store).start(base + 24 + 17 * 24)
        perps = [bar.open_h for bar in store.bars(0, 10**9) if bar.market == "perp" and bar.symbol == "BTCUSDT"]
        assert perps == list(range(base, base + 24 + 17 * 24))


async def test_what_is_seen_is_stored_with_its_rates(tmp_path: Path) -> None:
    history = a_random_history(10, days=3)
    base = history.start_ms // HOUR_MS
    with BarStore(tmp_path / "market.db") as store:
        watch = a_watch(Source(history), store)
        await watch.start(base + 30)
        for now in range(31, 42):
            await watch.see(base + now)
        assert len(store.bars(base + 30, base + 41)) == 6 * 11
        (count,) = store._db.execute("SELECT count(*) FROM settlements").fetchone()
        assert count == 3 * 2


async def test_c_6_other_parameters_make_other_features_of_the_same_days() -> None:
    history = a_random_history(11, days=6)
    base = history.start_ms // HOUR_MS
    watch = a_watch(Source(history))
    await watch.start(base + 130)
    watch.features()
    other = PARAMS._replace(trend=PARAMS.trend._replace(sma_days=2))
    watch.use(other)
    assert_same(watch.features(), features_of(other, known_at(history, 130)))


async def test_u_10_a_symbol_silent_for_a_week_is_one_not_listed_with_and_without_a_restart() -> None:
    history = a_history(np.full((3, 24 * 24), 40_000.0))
    gone = 6 * 24
    for column in (history.spot.open, history.spot.high, history.spot.low, history.spot.close):
        column[1, gone:] = np.nan
    first_h = history.start_ms // HOUR_MS
    watch = a_watch(Source(history))
    await watch.start(first_h + gone)
    last_h = first_h + gone - 1
    for hour in range(first_h + gone + 1, first_h + gone + MARK_HISTORY_H):
        await watch.advance(hour)
        assert watch.marks.spot_h[1] == last_h
    await watch.advance(last_h + MARK_HISTORY_H + 1)
    assert (watch.marks.spot_h[1], np.isnan(watch.marks.spot[1])) == (-1, True)
    assert watch.marks.perp_h[1] == last_h + MARK_HISTORY_H
    again = a_watch(Source(history))
    await again.start(last_h + MARK_HISTORY_H + 1)
    np.testing.assert_array_equal(again.marks.spot_h, watch.marks.spot_h)
    np.testing.assert_array_equal(again.marks.spot, watch.marks.spot)
