"""A venue that is killed and read back at any moment is the venue that never was."""

from __future__ import annotations

import random
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from eternal_engine.market_data.history import HOUR_MS, FundingRates, MarketHistory, Ohlcv, Sentiment
from eternal_engine.simulator.feeds import HistoryFeed
from eternal_engine.simulator.store import VenueStore
from eternal_engine.simulator.venue import LINEAR, SPOT, MarketShape, OrderRequest, Venue, VenueConfig, VenueReject
from eternal_engine.simulator.venue.matching import floor_to

START_MS = 1_704_067_200_000
SYMBOLS = ("BTCUSDT", "ETHUSDT")
HOURS = 24 * 60
OPERATIONS = 250
KEPT = ("orders", "open_orders", "links", "executions", "logs", "closed_pnl", "transfers", "accounts", "checks")


def rough_history(seed: int) -> MarketHistory:
    """Build two months of bars that jump, with gaps, and funding every one, four or eight hours."""
    dice = np.random.default_rng(seed)
    tables = []
    for first in (40_000.0, 2_000.0):
        steps = dice.normal(0, 0.012, HOURS)
        closes = np.round(first * np.exp(np.cumsum(steps)), 1)
        opens = np.round(np.concatenate([[first], closes[:-1]]) * (1 + dice.normal(0, 0.001, HOURS)), 1)
        highs = np.round(np.maximum(opens, closes) * (1 + np.abs(dice.normal(0, 0.004, HOURS))), 1)
        lows = np.round(np.minimum(opens, closes) * (1 - np.abs(dice.normal(0, 0.004, HOURS))), 1)
        table = np.stack([opens, highs, lows, closes, np.full(HOURS, 5.0)])
        for start in dice.integers(0, HOURS, 30):
            table[:, start : start + dice.integers(1, 9)] = np.nan
        tables.append(table)
    spot = Ohlcv(*np.ascontiguousarray(np.stack(tables, axis=1)))
    stamps = START_MS + np.cumsum(dice.choice([1, 4, 8], 300)).astype(np.int64) * HOUR_MS
    funding = FundingRates(stamps, np.round(dice.normal(0, 0.0005, 300), 6), np.full(300, 4.0))
    listed = np.full(2, START_MS, dtype=np.int64)
    return MarketHistory(
        symbols=SYMBOLS,
        start_ms=START_MS,
        spot=spot,
        perp=spot,
        perp_stand_in=np.zeros((2, HOURS), dtype=np.bool_),
        funding=(funding, funding),
        first_funding_ms=listed,
        listed_ms=listed,
        delisted_ms=np.array([-1, START_MS + (HOURS - 100) * HOUR_MS], dtype=np.int64),
        sentiment=Sentiment(np.zeros(0, dtype=np.int64), np.zeros(0)),
        source="rough",
        synthetic=True,
        fingerprint=f"rough {seed}",
    )


class Life:
    """Live through one seed's operations; `restart_share` of them are followed by a kill and a new start."""

    def __init__(self, seed: int, file: Path, restart_share: float) -> None:
        self.dice = random.Random(seed)
        self.kills = random.Random(seed + 1)
        self.file, self.share = file, restart_share
        self.config = VenueConfig(
            shape=MarketShape(depth_usdt=Decimal(5_000) if seed % 2 else None),
            match_delay_ms=700 if seed % 3 == 0 else 0,
            visible_delay_ms=300 if seed % 3 == 1 else 0,
        )
        self.history = rough_history(seed)
        self.feed = HistoryFeed(self.history)
        self.store = VenueStore(file)
        self.venue = Venue(self.config, now_ms=START_MS)
        self.uids = [self.venue.open_account("MASTER").uid]
        self.uids += [self.venue.open_account(name, parent_uid=self.uids[0]).uid for name in ("TREND", "HODL")]
        for uid in self.uids:
            self.venue.deposit(uid, "USDT", Decimal(50_000))
        self.venue.set_margin_mode(self.uids[1], "ISOLATED_MARGIN")
        self.feed.open_market(self.venue)
        self.restarts = 0

    def live(self) -> Venue:
        """Do everything; the file is committed after each operation, as the server commits before each answer."""
        for _ in range(OPERATIONS):
            with suppress(VenueReject):
                self._operate()
            self.store.commit(self.venue, venue_ms=self.venue.state.now_ms)
            if self.kills.random() < self.share:
                self._restart()
        self.store.close()
        return self.venue

    def _restart(self) -> None:
        self.restarts += 1
        self.store.close()
        self.store = VenueStore(self.file)
        self.venue = Venue(self.config, now_ms=int(self.store.meta()["venue_ms"]))
        self.store.load(self.venue)
        self.feed = HistoryFeed(self.history)
        self.feed.open_market(self.venue)

    def _operate(self) -> None:
        venue, uid = self.venue, self.dice.choice(self.uids)
        symbol = self.dice.choice(SYMBOLS)
        match self.dice.choices(("order", "time", "stop", "cancel", "transfer", "leverage"), (40, 35, 10, 8, 5, 2))[0]:
            case "time":
                span_ms = self.dice.choice((500, 60_000, HOUR_MS // 3, HOUR_MS, 7 * HOUR_MS))
                self.feed.advance(venue, venue.state.now_ms + span_ms)
            case "order":
                self._order(uid, symbol)
            case "stop":
                away = Decimal(self.dice.randint(5, 60)) / 1000
                position = venue.state.positions.get((uid, symbol, 0))
                quote = venue.state.quote(LINEAR, symbol)
                if position is not None and position.size and quote is not None:
                    sign = 1 if position.size > 0 else -1
                    tick = venue.state.instruments[LINEAR, symbol].tick
                    stop, trail = floor_to(quote.mark * (1 - sign * away), tick), floor_to(quote.mark * away, tick)
                    more: dict[str, Any] = {"trailing_stop": trail} if self.dice.random() < 0.4 else {"stop_loss": stop}
                    venue.set_trading_stop(uid, symbol, 0, sl_trigger_by="MarkPrice", **more)
            case "cancel":
                opens = venue.state.opens(uid)
                if opens:
                    order = self.dice.choice(opens)
                    venue.cancel_order(uid, order.category, order.order_id)
            case "transfer":
                amount = Decimal(self.dice.randint(1, 2_000_000)) / 1000
                source, target = self.dice.sample(self.uids, 2)
                venue.transfer(f"t-{self.dice.randint(1, 40)}", source, target, "USDT", amount)
            case _:
                venue.set_leverage(uid, symbol, Decimal(self.dice.randint(1, 20)))

    def _order(self, uid: int, symbol: str) -> None:
        dice, venue = self.dice, self.venue
        category = dice.choice((SPOT, LINEAR))
        instrument, quote = venue.state.instruments[category, symbol], venue.state.quote(category, symbol)
        kind, side = dice.choice(("Market", "Limit")), dice.choice(("Buy", "Sell"))
        last = Decimal(1) if quote is None else quote.last
        value, away = Decimal(dice.randint(20, 20_000)), 1 + Decimal(dice.randint(-30, 30)) / 1000
        request = OrderRequest(
            category,
            symbol,
            cast("Any", side),
            cast("Any", kind),
            floor_to(value / last, instrument.qty_step),
            price=floor_to(last * away, instrument.tick) if kind == "Limit" else None,
            market_unit="baseCoin" if category == SPOT and kind == "Market" else "",
            link_id=f"l-{dice.randint(1, 2000)}",
            reduce_only=category == LINEAR and dice.random() < 0.2,
        )
        if dice.random() < 0.2:
            rises = dice.random() < 0.5
            price = floor_to(last * Decimal("1.01" if rises else "0.99"), instrument.tick)
            request = replace(
                request, trigger_price=price, trigger_direction=1 if rises else 2, order_filter="StopOrder"
            )
        venue.create_order(uid, request)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("share", [0.15, 1.0])
def test_c8_kills_between_any_two_operations_change_nothing(tmp_path: Path, seed: int, share: float) -> None:
    whole = Life(seed, tmp_path / "whole.db", 0.0).live().state
    killed = Life(seed, tmp_path / "killed.db", share)
    read = killed.live().state
    assert killed.restarts > 20
    assert read.now_ms == whole.now_ms
    assert read.books.balances == whole.books.balances
    assert read.books.declared == whole.books.declared
    assert read.counter == whole.counter
    assert {key: row for key, row in read.positions.items() if row.seq >= 0} == {
        key: row for key, row in whole.positions.items() if row.seq >= 0
    }
    for name in KEPT:
        mine, theirs = getattr(whole, name), getattr(read, name)
        assert {key: rows for key, rows in theirs.items() if rows} == {
            key: rows for key, rows in mine.items() if rows
        }, name
    assert {key: (row.last, row.mark) for key, row in read.quotes.items()} == {
        key: (row.last, row.mark) for key, row in whole.quotes.items()
    }
    assert read.halted == whole.halted
    assert sum(len(rows) for rows in whole.executions.values()) > 60
    assert killed.venue.audit() == ()
