"""The market of paper trading: chosen once, said plainly, never switched."""

from __future__ import annotations

import json
import stat
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web

from eternal_engine.launch.markets import (
    FILE,
    Market,
    MarketKind,
    Surroundings,
    Wish,
    choose_market,
    live_prices_answer,
    read_market,
)
from eternal_engine.model.errors import DataError, StorageError, UsageError

NOW = datetime(2026, 1, 2, 3, tzinfo=UTC)


def probe(answer: bool) -> Callable[[], Awaitable[bool]]:
    async def ask() -> bool:
        return answer

    return ask


def around(tmp_path: Path, *, network: bool = False, candles: bool = False) -> Surroundings:
    store = tmp_path / "data" / "market"
    if candles:
        (store / "spot_1h").mkdir(parents=True, exist_ok=True)
        (store / "spot_1h" / "BTCUSDT.parquet").write_bytes(b"")
    return Surroundings(recorded=store, symbols=("BTCUSDT",), seed=7, speed=3600.0, probe=probe(network))


@pytest.mark.parametrize(
    ("network", "candles", "kind", "speed"),
    [
        (True, True, MarketKind.LIVE, 1.0),
        (True, False, MarketKind.LIVE, 1.0),
        (False, True, MarketKind.RECORDED, 3600.0),
        (False, False, MarketKind.SYNTHETIC, 3600.0),
    ],
)
async def test_k6_the_first_start_takes_live_prices_else_own_candles_else_the_synthetic_market(
    tmp_path: Path, network: bool, candles: bool, kind: MarketKind, speed: float
) -> None:
    chosen = await choose_market(tmp_path / "s", Wish(), around(tmp_path, network=network, candles=candles), NOW)
    assert (chosen.kind, chosen.speed) == (kind, speed)
    assert chosen.first_started_at == NOW
    assert stat.S_IMODE((tmp_path / "s" / FILE).stat().st_mode) == 0o600


async def test_a_later_start_continues_with_the_stored_market_whatever_the_network_says(tmp_path: Path) -> None:
    first = await choose_market(tmp_path, Wish(), around(tmp_path), NOW)
    again = await choose_market(tmp_path, Wish(), around(tmp_path, network=True, candles=True), NOW.replace(year=2027))
    assert again == first
    live = await choose_market(tmp_path / "b", Wish(), around(tmp_path, network=True), NOW)
    assert await choose_market(tmp_path / "b", Wish(), around(tmp_path, network=False), NOW) == live


async def test_another_market_than_its_own_is_exit_code_2_and_changes_nothing(tmp_path: Path) -> None:
    await choose_market(tmp_path, Wish(market="synthetic"), around(tmp_path), NOW)
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(UsageError) as caught:
        await choose_market(tmp_path, Wish(market="live"), around(tmp_path, network=True), NOW)
    assert caught.value.exit_code == 2
    assert (tmp_path / FILE).read_bytes() == before
    assert (await choose_market(tmp_path, Wish(market="synthetic"), around(tmp_path), NOW)).kind is MarketKind.SYNTHETIC


async def test_a_recorded_market_is_the_same_by_any_path_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    surroundings = around(tmp_path, candles=True)
    await choose_market(tmp_path / "s", Wish(market=str(surroundings.recorded)), surroundings, NOW)
    monkeypatch.chdir(tmp_path)
    again = await choose_market(tmp_path / "s", Wish(market="data/market"), surroundings, NOW)
    assert again.directory == surroundings.recorded.resolve()


async def test_start_counts_only_for_a_new_state_directory_and_speed_for_each_run(tmp_path: Path) -> None:
    first = await choose_market(tmp_path, Wish(market="synthetic", start_ms=5, speed=0.0), around(tmp_path), NOW)
    assert (first.start_ms, first.speed) == (5, 0.0)
    again = await choose_market(tmp_path, Wish(start_ms=99, speed=60.0), around(tmp_path), NOW)
    assert (again.start_ms, again.speed) == (5, 60.0)
    stored = read_market(tmp_path / FILE)
    assert stored == first


@pytest.mark.parametrize("wish", [Wish(start_ms=5), Wish(speed=0.0), Wish(speed=60.0)])
async def test_who_names_a_day_or_a_speed_is_not_given_live_prices(tmp_path: Path, wish: Wish) -> None:
    assert (await choose_market(tmp_path, wish, around(tmp_path, network=True), NOW)).kind is MarketKind.SYNTHETIC


@pytest.mark.parametrize("wish", [Wish(market="live", start_ms=5), Wish(market="live", speed=0.0)])
async def test_live_prices_have_their_own_time(tmp_path: Path, wish: Wish) -> None:
    with pytest.raises(UsageError):
        await choose_market(tmp_path, wish, around(tmp_path), NOW)
    assert not (tmp_path / FILE).exists()


async def test_a_market_that_is_no_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere"):
        await choose_market(tmp_path, Wish(market="nowhere"), around(tmp_path), NOW)


async def test_a_folder_that_lacks_a_coin_is_refused_before_it_is_chosen_and_when_it_lost_one(tmp_path: Path) -> None:
    surroundings = around(tmp_path, candles=True)
    two = replace(surroundings, symbols=("BTCUSDT", "ETHUSDT"))
    with pytest.raises(DataError, match="ETHUSDT") as caught:
        await choose_market(tmp_path / "s", Wish(market=str(two.recorded)), two, NOW)
    assert caught.value.mend.endswith("leave ETHUSDT out of the symbols")
    assert not (tmp_path / "s" / FILE).exists(), "else another market would be refused"
    await choose_market(tmp_path / "s", Wish(market=str(two.recorded)), surroundings, NOW)
    with pytest.raises(DataError, match="ETHUSDT"):
        await choose_market(tmp_path / "s", Wish(), two, NOW)


@pytest.mark.parametrize("text", ["{", "{}", '{"version": 99}', json.dumps({"version": 1, "kind": "moon"})])
async def test_a_damaged_choice_is_never_replaced_by_a_new_one(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(StorageError, match="cannot be read"):
        await choose_market(tmp_path, Wish(), around(tmp_path, network=True), NOW)


def test_the_sentence_says_synthetic_data_plainly() -> None:
    market = Market(MarketKind.SYNTHETIC, None, 7, None, 3600.0, NOW)
    assert "SYNTHETIC DATA" in market.sentence
    assert "LIVE PUBLIC DATA" in replace(market, kind=MarketKind.LIVE).sentence
    assert "RECORDED DATA" in replace(market, kind=MarketKind.RECORDED, directory=Path("d")).sentence


@pytest.mark.parametrize(
    ("body", "reachable"), [('{"retCode": 0}', True), ("<html>log in</html>", False), ("[]", False)]
)
async def test_the_probe_asks_for_the_time_and_believes_only_the_exchange(body: str, reachable: bool) -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(text=body)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        assert await live_prices_answer(2.0, f"http://127.0.0.1:{port}") is reachable
    finally:
        await runner.cleanup()
    assert asked == ["/v5/market/time"]
    assert await live_prices_answer(2.0, f"http://127.0.0.1:{port}") is False
