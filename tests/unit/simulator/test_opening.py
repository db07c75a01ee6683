"""Putting an exchange together: markets, clocks, accounts, state files."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from eternal_engine.model.errors import DataError, RefusedError, UsageError
from eternal_engine.simulator.feeds import HistoryFeed
from eternal_engine.simulator.opening import (
    ACCOUNT_NAMES,
    Opening,
    SyntheticFeed,
    accounts_of,
    fees_of,
    open_world,
    require_loopback,
)
from eternal_engine.simulator.server.call import Call
from eternal_engine.simulator.server.params import Params
from eternal_engine.simulator.server.rest import perform
from eternal_engine.simulator.server.routes import ROUTES
from eternal_engine.simulator.venue import FeeRates

START_MS = 1_675_209_600_000


def test_a_new_exchange_has_a_master_with_money_and_an_account_per_engine(tmp_path: Path) -> None:
    asked = Opening(start_ms=START_MS, speed=0, state=tmp_path / "venue.db", deposit_usdt=Decimal(5000))
    world = open_world(asked)
    accounts = accounts_of(world)
    assert tuple(account.name for account in accounts) == ACCOUNT_NAMES
    assert [str(world.venue.balance(account.uid, "USDT").normalize()) for account in accounts] == ["5E+3", *["0"] * 4]
    assert {account.parent_uid for account in accounts[1:]} == {accounts[0].uid}
    assert world.venue.state.now_ms == START_MS
    bought = {"category": "spot", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Market", "qty": "100"}
    assert perform(world, ROUTES["/v5/order/create"], Call(world, accounts[0], Params(bought))).code == 0
    world.step_to(START_MS + 5 * 3_600_000)
    assert world.store is not None
    world.store.close()
    again = open_world(asked)
    assert again.venue.state.now_ms == START_MS + 5 * 3_600_000
    assert accounts_of(again) == accounts
    assert again.venue.state.books.balances == world.venue.state.books.balances
    assert again.store is not None
    again.store.close()
    with pytest.raises(RefusedError, match="belongs to the market"):
        open_world(Opening(seed=8, start_ms=START_MS, speed=0, state=tmp_path / "venue.db"))


def test_a_folder_need_not_have_every_coin_that_the_exchange_knows(tmp_path: Path) -> None:
    (tmp_path / "spot_1h").mkdir()
    rows = [f"{START_MS + hour * 3_600_000},1,1,1,1,9" for hour in range(48)]
    lines = "\n".join(["timestamp,open,high,low,close,volume", *rows]) + "\n"
    for symbol in ("ETHUSDT", "BTCUSDT"):
        (tmp_path / "spot_1h" / f"{symbol}.csv").write_text(lines)
    world = open_world(Opening(market=str(tmp_path), start_ms=START_MS, speed=0))
    assert isinstance(world.feed, HistoryFeed)
    assert world.feed.symbols == ("BTCUSDT", "ETHUSDT")


def test_the_synthetic_market_never_ends_and_never_changes_its_past() -> None:
    from eternal_engine.simulator.venue import SPOT, Venue

    feed = SyntheticFeed(7, START_MS + 48 * 3_600_000)
    before = feed.candle(SPOT, "BTCUSDT", START_MS, START_MS + 3_600_000, START_MS + 3_600_000)
    venue = Venue(now_ms=START_MS + 40 * 3_600_000)
    feed.open_market(venue)
    feed.advance(venue, START_MS + 60 * 3_600_000)
    assert feed.end_ms > START_MS + 60 * 3_600_000
    assert venue.state.now_ms == START_MS + 60 * 3_600_000
    assert feed.candle(SPOT, "BTCUSDT", START_MS, START_MS + 3_600_000, START_MS + 3_600_000) == before


@pytest.mark.parametrize(
    ("asked", "error", "said"),
    [
        (Opening(market="live", speed=10), UsageError, "their own time"),
        (Opening(start_ms=0, speed=0), UsageError, "2017"),
        (Opening(market="no/such/folder", speed=0), DataError, "no/such/folder|folder"),
    ],
)
def test_what_cannot_be_opened_is_refused(asked: Opening, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        open_world(asked)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.9.9.9"])
def test_loopback_addresses_are_fine(host: str) -> None:
    # It raises for anything else, and has nothing to say to these.
    assert require_loopback(host) is None


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.0.1", "example.org", "::"])
def test_other_addresses_are_refused(host: str) -> None:
    with pytest.raises(RefusedError, match="loopback"):
        require_loopback(host)


def test_u_9_the_fees_asked_for_are_those_of_the_venue_and_a_maker_pays_no_more() -> None:
    world = open_world(Opening(start_ms=START_MS, speed=0, fees=fees_of(Decimal(3), Decimal("1.5"))))
    fees = world.venue.state.config.fees
    assert (fees.spot_taker, fees.linear_taker) == (Decimal("0.0003"), Decimal("0.00015"))
    assert (fees.spot_maker, fees.linear_maker) == (Decimal("0.0003"), Decimal("0.00015"))
    assert fees_of(Decimal(10), Decimal("5.5")) == FeeRates()
