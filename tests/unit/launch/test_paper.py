"""Paper trading's place: the money is divided once, and live prices are waited for, never replaced."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from eternal_engine.config import Settings, load
from eternal_engine.exchange.bybit.client import Client
from eternal_engine.launch import paper
from eternal_engine.launch.child import ChildExchange, Costs
from eternal_engine.launch.live import shares_of
from eternal_engine.launch.markets import Market, MarketKind
from eternal_engine.launch.place import Place
from eternal_engine.model.errors import DataError
from eternal_engine.model.ids import Account

NOW = datetime(2026, 1, 1, tzinfo=UTC)
COSTS = Costs(Decimal(5), Decimal(3), Decimal("12.5"))
START_MS = 1_633_046_400_000  # 2021-10-01
SYNTHETIC = Market(MarketKind.SYNTHETIC, None, 7, START_MS, 0.0, NOW)


def settings(folder: Path, **environ: str) -> Settings:
    own = {"ETERNAL_PATHS__STATE_DIR": str(folder), **environ}
    return load("paper", directory=folder, environ=own)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the synthetic market short: nobody trades here."""
    monkeypatch.setattr("eternal_engine.simulator.opening.AHEAD_MS", 86_400_000)
    monkeypatch.setattr("eternal_engine.simulator.opening.DEFAULT_END_MS", START_MS + 86_400_000)


async def balances(place: Place) -> dict[str, Decimal]:
    found = {}
    for account, port in place.ports.items():
        row = (await port.wallet()).coin("USDT")
        found[account.value] = Decimal(0) if row is None else row.wallet_qty
    return found


@pytest.mark.usefixtures("small")
async def test_cap_1_the_first_start_divides_the_money_and_a_second_try_moves_nothing(tmp_path: Path) -> None:
    chosen = settings(tmp_path, ETERNAL_CAPITAL_USDT="1000")
    place = paper.open_in_process(SYNTHETIC, chosen)
    shares = shares_of(chosen)
    await paper.divide(place.ports, shares, chosen.capital_usdt)
    expected = {"master": 0, "core_hodl": 600, "trend": 200, "funding": 150, "tactical": 50}
    assert await balances(place) == expected
    await paper.divide(place.ports, shares, chosen.capital_usdt)
    assert await balances(place) == expected
    assert await place.audit() == ()
    await place.close()


@pytest.mark.usefixtures("small")
async def test_cap_1_a_start_that_was_killed_between_two_transfers_goes_on_where_it_stopped(tmp_path: Path) -> None:
    chosen = settings(tmp_path)

    class Dies(Exception):
        """The process ends here."""

    place = paper.open_in_process(SYNTHETIC, chosen)
    honest = place.ports[Account.MASTER].transfer
    calls = []

    async def dies_at_the_third(*args: Any) -> str:
        calls.append(args)
        if len(calls) == 3:
            raise Dies
        return await honest(*args)

    master: Any = place.ports[Account.MASTER]
    master.transfer = dies_at_the_third
    with pytest.raises(Dies):
        await paper.divide(place.ports, shares_of(chosen), chosen.capital_usdt)
    await place.close()
    again = paper.open_in_process(SYNTHETIC, chosen)
    assert (await balances(again))["master"] == 20_000
    await paper.divide(again.ports, shares_of(chosen), chosen.capital_usdt)
    assert await balances(again) == {
        "master": 0,
        "core_hodl": 60_000,
        "trend": 20_000,
        "funding": 15_000,
        "tactical": 5_000,
    }
    await again.close()


@pytest.mark.usefixtures("small")
async def test_d18_paper_runs_without_keys_and_its_exchange_is_this_process(tmp_path: Path) -> None:
    place = paper.open_in_process(SYNTHETIC, settings(tmp_path))
    assert set(place.ports) == set(Account)
    assert all(isinstance(port, Client) for port in place.ports.values())
    assert place.clock.now() == datetime(2021, 10, 1, tzinfo=UTC)
    assert place.ends_at is None
    assert "SYNTHETIC DATA" in place.market
    await place.close()
    assert (tmp_path / "venue.db").is_file()


class Unreachable(ChildExchange):
    """Live prices come at the third try."""

    tries = 0

    async def start(self) -> Any:
        self.tries += 1
        if self.tries < 3:
            raise DataError("live prices cannot be read")
        return "greeting"


async def test_live_prices_that_cannot_be_reached_are_waited_for_aloud(tmp_path: Path) -> None:
    live = Market(MarketKind.LIVE, None, 7, None, 1.0, NOW)
    child = Unreachable(live, tmp_path / "v.db", tmp_path / "log", Decimal(1), COSTS)
    said: list[str] = []
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    assert await paper._started(child, live, said.append, sleep) == "greeting"
    assert waits == [paper.WAIT_FOR_LIVE_S] * 2
    assert all("waiting for live prices" in text for text in said)
    recorded = replace(live, kind=MarketKind.RECORDED, directory=tmp_path)
    child.tries = 0
    with pytest.raises(DataError):
        await paper._started(child, recorded, said.append, sleep)


@pytest.mark.parametrize(
    ("market", "has", "lacks"),
    [
        (Market(MarketKind.LIVE, None, 7, None, 1.0, NOW), ["--market", "live"], ["--speed", "--start", "--seed"]),
        (replace(SYNTHETIC, speed=3600.0), ["--speed", "0", "--no-limits", "--seed", "7", "--start"], []),
        (replace(SYNTHETIC, speed=1.0, start_ms=None), ["--speed", "1"], ["--start", "--no-limits"]),
    ],
)
def test_the_child_is_started_for_its_market_and_always_ends_with_its_parent(
    tmp_path: Path, market: Market, has: list[str], lacks: list[str]
) -> None:
    command = ChildExchange(market, tmp_path / "v.db", tmp_path / "log", Decimal("1E+5"), COSTS).command()
    assert all(word in command for word in (*has, "--with-parent", "--json", "100000"))
    told = dict(pairwise(command))
    assert (told["--slippage-bps"], told["--spot-fee-bps"], told["--perp-fee-bps"]) == ("5", "3", "12.5")
    assert not any(word in command for word in lacks)


async def test_a_child_that_cannot_start_raises_the_error_of_its_exit_code(tmp_path: Path) -> None:
    nowhere = Market(MarketKind.RECORDED, tmp_path, 7, None, 0.0, NOW)
    child = ChildExchange(nowhere, tmp_path / "v.db", tmp_path / "log", Decimal(1), COSTS)
    with pytest.raises(DataError, match="did not start"):
        await child.start()
    assert child.pid is None
    await child.stop()
