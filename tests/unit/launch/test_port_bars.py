"""Market data over the port: the same client as always, against the embedded exchange in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contract_arena import NOW, START, SYMBOLS, Arena
from eternal_engine.engine.timing import hour_of, hour_start
from eternal_engine.exchange.bybit.local import LocalClient
from eternal_engine.exchange.market import Candle, FundingRate
from eternal_engine.exchange.terms import Market
from eternal_engine.launch import port_bars
from eternal_engine.launch.port_bars import PortBars
from eternal_engine.market_data.bar_store import BarStore
from eternal_engine.model.errors import RejectedForGood
from eternal_engine.simulator.adapter import Door

NOW_H = hour_of(NOW)
DUE_H = NOW_H + 4
HOUR_MS = 3_600_000


class CountingClient(LocalClient):
    """Count the candle requests, and hold the newest bar of one symbol back for a while."""

    calls = 0
    late: str = ""
    until_call = 0

    async def candles(
        self, market: Market, symbol: str, interval: timedelta, start: datetime, end: datetime
    ) -> tuple[Candle, ...]:
        self.calls += 1
        found = await super().candles(market, symbol, interval, start, end)
        return found[:-1] if symbol == self.late and self.calls < self.until_call else found

    rate_calls = 0
    late_rate: str = ""
    hidden_calls = 0

    async def funding_rates(self, symbol: str, start: datetime, end: datetime) -> tuple[FundingRate, ...]:
        self.rate_calls += 1
        found = await super().funding_rates(symbol, start, end)
        if symbol == self.late_rate and self.hidden_calls > 0:
            self.hidden_calls -= 1
            return tuple(rate for rate in found if rate.settled_at < end - timedelta(hours=1))
        return found


@pytest.fixture
async def arena() -> AsyncIterator[Arena]:
    opened = await Arena.open()
    yield opened
    await opened.close()


Make = Callable[..., tuple[PortBars, CountingClient, BarStore]]


@pytest.fixture
def make(arena: Arena, tmp_path: Path) -> Make:
    def build(**more: Any) -> tuple[PortBars, CountingClient, BarStore]:
        store = BarStore(tmp_path / "market.db")
        client = CountingClient("alpha", Door(arena.world, arena.uids["alpha"]))
        return PortBars(client, SYMBOLS, store, {}, grace_s=more.pop("grace_s", 0.0), **more), client, store

    return build


async def test_u_2_only_completed_bars_are_given(make: Make, arena: Arena) -> None:
    bars, _, _ = make()
    found = await bars.hours(NOW_H - 2, NOW_H)
    assert len(found) == 2 * len(SYMBOLS) * 2
    assert {bar.open_h for bar in found} == {NOW_H - 2, NOW_H - 1}
    assert {(bar.market, bar.symbol) for bar in found} == {(m, s) for m in ("spot", "perp") for s in SYMBOLS}
    assert found == sorted(found, key=lambda bar: (bar.open_h, bar.market, bar.symbol))
    # The bar of the present hour is still open: it is there at the exchange, and not here.
    assert await bars.hours(NOW_H, NOW_H + 1) == []
    arena.step(hours=1)
    assert len(await bars.hours(NOW_H, NOW_H + 1)) == 2 * len(SYMBOLS)


async def test_u_10_all_history_is_fetched_once_and_only_the_rest_later(make: Make) -> None:
    bars, client, store = make(with_volume=True)
    first_day, days = await bars.days(NOW_H)
    assert first_day == (START - datetime.fromtimestamp(0, START.tzinfo)).days
    assert days.close.shape == (len(SYMBOLS), 20)
    assert np.isfinite(days.close).all()
    assert (days.bars == 24).all()
    first_calls = client.calls
    assert await bars.days(NOW_H) is not None
    assert client.calls - first_calls <= len(SYMBOLS)
    store.close()
    again, client, _ = make(with_volume=True)
    _, same = await again.days(NOW_H)
    np.testing.assert_array_equal(same.close, days.close)
    assert client.calls <= len(SYMBOLS)


async def test_u_10_the_exchanges_days_are_the_hours_folded_and_cost_few_requests(make: Make) -> None:
    bars, client, _ = make()
    first_day, days = await bars.days(NOW_H)
    assert client.calls == len(SYMBOLS)
    hourly, client, _ = make(with_volume=True)
    assert (await hourly.days(NOW_H))[0] == first_day
    folded = (await hourly.days(NOW_H))[1]
    for name in ("high", "low", "close", "bars"):
        np.testing.assert_array_equal(getattr(days, name), getattr(folded, name))
    assert (folded.volume > 0).all()


async def test_a_late_bar_is_waited_for_as_long_as_its_symbol_traded_the_hour_before(
    make: Make, arena: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(port_bars, "LOOK_AGAIN_S", 0.001)
    bars, client, _ = make(grace_s=5.0)
    await bars.hours(NOW_H - 1, NOW_H)
    arena.step(hours=1)
    client.late, client.until_call = "ETHUSDT", client.calls + 20
    found = await bars.hours(NOW_H, NOW_H + 1)
    assert {bar.symbol for bar in found} == set(SYMBOLS)
    assert client.calls >= client.until_call


async def test_u_4_a_close_counts_when_the_next_hour_has_begun_for_it_may_still_be_summed_up(
    make: Make, arena: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(port_bars, "LOOK_AGAIN_S", 0.001)
    bars, client, _ = make(grace_s=5.0, until_followed=True)
    await bars.hours(NOW_H - 1, NOW_H)
    arena.step(hours=1)
    arena.step(seconds=5)
    client.late, client.until_call = "ETHUSDT", client.calls + 20
    found = await bars.hours(NOW_H, NOW_H + 1)
    assert client.calls >= client.until_call, "its closed bar was there all the time"
    assert {bar.open_h for bar in found} == {NOW_H}
    assert len(found) == 2 * len(SYMBOLS)


async def test_u_10_a_symbol_that_is_not_listed_any_more_keeps_no_other_from_its_bars(make: Make, arena: Arena) -> None:
    asked: list[tuple[Market, str]] = []

    async def is_listed(market: Market, symbol: str) -> bool:
        asked.append((market, symbol))
        return symbol != "ETHUSDT"

    bars, client, _ = make(is_listed=is_listed)
    await bars.hours(NOW_H - 1, NOW_H)
    for market in ("spot", "linear"):
        del arena.world.venue.state.instruments[market, "ETHUSDT"]
    arena.step(hours=1)
    with pytest.raises(RejectedForGood, match="Not supported symbols"):
        await client.candles(Market.SPOT, "ETHUSDT", timedelta(hours=1), NOW, NOW + timedelta(hours=1))
    assert {bar.symbol for bar in await bars.hours(NOW_H, NOW_H + 1)} == {"BTCUSDT", "SOLUSDT"}
    assert np.isnan((await bars.days(NOW_H + 1))[1].close[1]).all()
    assert {rate.symbol for rate in await bars.rates(NOW_H - 24, NOW_H + 1)} >= {"BTCUSDT", "SOLUSDT"}
    assert {symbol for _, symbol in asked} == {"ETHUSDT"}
    # Refused for another reason, a listed one is no less there: all wait.
    del arena.world.venue.state.instruments["spot", "SOLUSDT"]
    with pytest.raises(RejectedForGood, match="Not supported symbols"):
        await bars.hours(NOW_H, NOW_H + 1)


async def test_u_10_a_bar_that_does_not_come_in_time_is_missing_and_not_waited_for_again(
    make: Make, arena: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(port_bars, "LOOK_AGAIN_S", 0.001)
    bars, client, _ = make(grace_s=0.02)
    await bars.hours(NOW_H - 1, NOW_H)
    arena.step(hours=1)
    client.late, client.until_call = "ETHUSDT", 10**9
    assert {bar.symbol for bar in await bars.hours(NOW_H, NOW_H + 1)} == {"BTCUSDT", "SOLUSDT"}
    arena.step(hours=1)
    before = client.calls
    assert {bar.symbol for bar in await bars.hours(NOW_H + 1, NOW_H + 2)} == {"BTCUSDT", "SOLUSDT"}
    assert client.calls - before == 2 * len(SYMBOLS)


async def test_fund_1_settlements_carry_the_contracts_interval_and_come_once(make: Make) -> None:
    bars, _, _ = make()
    found = [rate for rate in await bars.rates(NOW_H - 48, NOW_H) if rate.symbol == "BTCUSDT"]
    assert len(found) == 6
    assert {rate.interval_h for rate in found} == {8.0}
    assert [rate.stamp_ms for rate in found] == sorted(rate.stamp_ms for rate in found)
    assert [rate for rate in await bars.rates(NOW_H, NOW_H) if rate.symbol == "BTCUSDT"] == []
    assert len((await bars.moods(NOW_H)).value) == 0


@pytest.mark.parametrize(
    ("stamps_h", "known_h", "wanted_h"),
    [
        ((0, 8, 16, 20, 24), 8.0, [8.0, 8.0, 8.0, 4.0, 4.0]),
        ((0, 4, 8, 16, 24), 4.0, [4.0, 4.0, 4.0, 8.0, 8.0]),
        ((0, 8, 12, 13, 14), 8.0, [8.0, 8.0, 4.0, 1.0, 1.0]),
    ],
)
async def test_fund_1_an_interval_that_changes_while_the_daemon_runs_is_seen_with_the_next_settlement(
    make: Make, monkeypatch: pytest.MonkeyPatch, stamps_h: tuple[int, ...], known_h: float, wanted_h: list[float]
) -> None:
    bars, client, _ = make()
    bars._intervals_h = dict.fromkeys(SYMBOLS, known_h)

    async def settled(symbol: str, start: datetime, end: datetime) -> tuple[FundingRate, ...]:
        rows = [FundingRate(symbol, Decimal("0.0001"), hour_start(NOW_H + h)) for h in stamps_h]
        return tuple(row for row in rows if start <= row.settled_at < end)

    monkeypatch.setattr(client, "funding_rates", settled)
    found: dict[int, float] = {}
    for hour in range(NOW_H, NOW_H + 26):
        for rate in await bars.rates(hour - 5, hour):
            if rate.symbol == "BTCUSDT":
                found.setdefault(rate.stamp_ms, rate.interval_h)
    assert list(found.values()) == wanted_h
    # A start reads the same of all of them at once.
    again, client, _ = make()
    again._intervals_h = dict.fromkeys(SYMBOLS, known_h)
    monkeypatch.setattr(client, "funding_rates", settled)
    at_once = [rate.interval_h for rate in await again.rates(NOW_H - 5, NOW_H + 26) if rate.symbol == "BTCUSDT"]
    assert at_once == wanted_h


async def test_u_4_a_settlement_that_is_due_is_waited_for_because_the_backtest_decides_with_it(
    make: Make, arena: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(port_bars, "LOOK_AGAIN_S", 0.001)
    bars, client, _ = make(grace_s=5.0)
    arena.step(hours=DUE_H - NOW_H)
    # At a start, too: what is due in this very hour follows from the ones before.
    client.late_rate, client.hidden_calls = "ETHUSDT", 3
    first = await bars.rates(DUE_H - 48, DUE_H)
    assert {rate.symbol for rate in first if rate.stamp_ms == DUE_H * HOUR_MS} == set(SYMBOLS)
    arena.step(hours=8)
    client.hidden_calls = 20
    found = await bars.rates(DUE_H + 3, DUE_H + 8)
    assert {rate.symbol for rate in found} == set(SYMBOLS)
    assert client.hidden_calls == 0


async def test_u_4_a_settlement_that_does_not_come_in_time_is_found_later_and_not_waited_for_again(
    make: Make, arena: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(port_bars, "LOOK_AGAIN_S", 0.001)
    bars, client, _ = make(grace_s=0.02)
    await bars.rates(NOW_H - 48, NOW_H)
    arena.step(hours=DUE_H - NOW_H)
    client.late_rate, client.hidden_calls = "ETHUSDT", 10**9
    assert {rate.symbol for rate in await bars.rates(DUE_H - 5, DUE_H)} == {"BTCUSDT", "SOLUSDT"}
    arena.step(hours=1)
    before = client.rate_calls
    await bars.rates(DUE_H - 4, DUE_H + 1)
    assert client.rate_calls - before == len(SYMBOLS)
    client.hidden_calls = 0
    assert {rate.symbol for rate in await bars.rates(DUE_H - 4, DUE_H + 1)} == set(SYMBOLS)
