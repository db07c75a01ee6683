"""Driving a venue by history: the order of things at an instant, and the path inside a bar."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eternal_engine.market_data.history import HOUR_MS, FundingRates, MarketHistory, Ohlcv, Sentiment
from eternal_engine.simulator.feeds import HistoryFeed
from eternal_engine.simulator.paths import BarPath
from eternal_engine.simulator.store import VenueStore
from eternal_engine.simulator.venue import OrderRequest, Venue

START_MS = 1_704_067_200_000
# Bars of (open, high, low, close): flat, a fall with a wick, a gap up, missing, flat again.
BARS = [
    (100.0, 101.0, 99.0, 100.0),
    (100.0, 100.5, 80.0, 95.0),
    (110.0, 112.0, 109.0, 111.0),
    (np.nan, np.nan, np.nan, np.nan),
    (120.0, 121.0, 119.0, 120.5),
    (120.0, 121.0, 119.0, 120.5),
]


def history(funding_hours: tuple[int, ...] = (2,)) -> MarketHistory:
    """Build six hours of SOL."""
    table = np.array(BARS).T
    bars = Ohlcv(*(np.ascontiguousarray(row[None, :]) for row in table), np.full((1, 6), 7.0))
    stamps = np.array([START_MS + hour * HOUR_MS for hour in funding_hours], dtype=np.int64)
    return MarketHistory(
        symbols=("SOLUSDT",),
        start_ms=START_MS,
        spot=bars,
        perp=bars,
        perp_stand_in=np.zeros((1, 6), dtype=np.bool_),
        funding=(FundingRates(stamps, np.full(len(stamps), 0.001), np.full(len(stamps), 8.0)),),
        first_funding_ms=np.array([START_MS], dtype=np.int64),
        listed_ms=np.array([START_MS], dtype=np.int64),
        delisted_ms=np.array([-1], dtype=np.int64),
        sentiment=Sentiment(np.zeros(0, dtype=np.int64), np.zeros(0)),
        source="six hours",
        synthetic=True,
        fingerprint="six",
    )


def opened(made: MarketHistory) -> tuple[HistoryFeed, Venue, int]:
    """Open a venue at the first bar with a funded account."""
    feed = HistoryFeed(made)
    venue = Venue(now_ms=START_MS)
    uid = venue.open_account("MASTER").uid
    venue.deposit(uid, "USDT", Decimal(10_000))
    feed.open_market(venue)
    return feed, venue, uid


def market(side: str, qty: str) -> OrderRequest:
    """Ask for a market order in the perp."""
    return OrderRequest("linear", "SOLUSDT", side, "Market", Decimal(qty))  # type: ignore[arg-type]


def test_u9_orders_at_a_boundary_fill_at_the_open_of_the_bar_that_begins() -> None:
    feed, venue, uid = opened(history())
    feed.advance(venue, START_MS + 2 * HOUR_MS)
    order = venue.create_order(uid, market("Buy", "1"))
    assert order.avg_price == Decimal("110.06")


def test_u8_funding_of_t_is_paid_by_positions_held_before_t_at_the_open_of_t() -> None:
    feed, venue, uid = opened(history())
    venue.create_order(uid, market("Buy", "1"))
    feed.advance(venue, START_MS + 2 * HOUR_MS)
    venue.create_order(uid, market("Buy", "5"))
    fundings = [row for row in venue.state.executions[uid] if row.exec_type == "Funding"]
    assert [(row.qty, row.price, row.fee, row.time_ms) for row in fundings] == [
        (1, Decimal(110), Decimal("0.11"), START_MS + 2 * HOUR_MS)
    ]


def test_u8_a_position_opened_at_t_pays_nothing_for_t() -> None:
    feed, venue, uid = opened(history())
    feed.advance(venue, START_MS + 2 * HOUR_MS)
    venue.create_order(uid, market("Buy", "1"))
    feed.advance(venue, START_MS + 5 * HOUR_MS)
    assert [row.exec_type for row in venue.state.executions[uid]] == ["Trade"]


def test_funding_in_a_gap_uses_the_last_close() -> None:
    feed, venue, uid = opened(history((3,)))
    venue.create_order(uid, market("Buy", "1"))
    feed.advance(venue, START_MS + 3 * HOUR_MS)
    assert venue.state.executions[uid][-1].price == Decimal(111)


def test_a_silent_market_is_marked_at_its_last_close_however_long_it_lasts() -> None:
    made = history((4,))
    for table in (made.spot, made.perp):
        for column in (table.open, table.high, table.low, table.close):
            column[0, 4] = np.nan
    feed, venue, uid = opened(made)
    venue.create_order(uid, market("Buy", "1"))
    feed.advance(venue, START_MS + 4 * HOUR_MS)
    assert venue.state.executions[uid][-1].price == Decimal(111)
    assert venue.state.quotes["linear", "SOLUSDT"].mark == Decimal(111)


def test_u5_an_order_in_a_gap_fills_at_the_next_existing_open() -> None:
    feed, venue, uid = opened(history())
    feed.advance(venue, START_MS + 3 * HOUR_MS)
    order = venue.create_order(uid, market("Buy", "1"))
    assert order.status == "New"
    feed.advance(venue, START_MS + 4 * HOUR_MS)
    assert (order.status, order.avg_price) == ("Filled", Decimal("120.060"))


def test_a_stop_is_valid_in_the_bar_that_begins_with_its_entry() -> None:
    feed, venue, uid = opened(history())
    feed.advance(venue, START_MS + HOUR_MS)
    venue.create_order(uid, market("Buy", "1"))
    stop = replace(
        market("Sell", "1"),
        trigger_price=Decimal(90),
        trigger_direction=2,
        trigger_by="MarkPrice",
        reduce_only=True,
    )
    venue.create_order(uid, stop)
    feed.advance(venue, START_MS + 2 * HOUR_MS)
    last = venue.state.executions[uid][-1]
    assert (last.side, last.price, last.time_ms) == ("Sell", Decimal("89.95"), START_MS + 2 * HOUR_MS - 1)


def test_steps_of_minutes_and_of_hours_end_in_the_same_books() -> None:
    results = []
    for step_ms in (60_000, HOUR_MS, 5 * HOUR_MS):
        feed, venue, uid = opened(history())
        venue.create_order(uid, market("Buy", "1"))
        venue.create_order(uid, OrderRequest("linear", "SOLUSDT", "Buy", "Limit", Decimal(2), price=Decimal(85)))
        while venue.state.now_ms < START_MS + 5 * HOUR_MS:
            feed.advance(venue, min(venue.state.now_ms + step_ms, START_MS + 5 * HOUR_MS))
        results.append((venue.balance(uid, "USDT"), venue.state.position(uid, "SOLUSDT", 0).cost))
    assert results[0] == results[1] == results[2]


def test_a_symbol_is_tradable_from_its_listing_and_gone_after_its_delisting() -> None:
    made = replace(
        history(),
        first_funding_ms=np.array([START_MS + 2 * HOUR_MS], dtype=np.int64),
        delisted_ms=np.array([START_MS + 5 * HOUR_MS], dtype=np.int64),
    )
    feed, venue, uid = opened(made)
    assert venue.state.instruments["linear", "SOLUSDT"].status == "PreLaunch"
    feed.advance(venue, START_MS + 2 * HOUR_MS)
    venue.create_order(uid, market("Buy", "1"))
    feed.advance(venue, START_MS + 5 * HOUR_MS)
    assert venue.state.instruments["linear", "SOLUSDT"].status == "Closed"
    assert not venue.state.positions_of(uid)
    assert venue.audit() == ()


def test_candles_of_any_length_agree_with_the_bars_they_are_made_of() -> None:
    feed = HistoryFeed(history())
    whole = feed.candle("spot", "SOLUSDT", START_MS, START_MS + 6 * HOUR_MS, START_MS + 6 * HOUR_MS)
    assert whole is not None
    assert (whole.open, whole.high, whole.low, whole.close, whole.volume) == (100.0, 121.0, 80.0, 120.5, 35.0)
    quarters = [
        feed.candle("spot", "SOLUSDT", at, at + HOUR_MS // 4, START_MS + 6 * HOUR_MS)
        for at in range(START_MS + HOUR_MS, START_MS + 2 * HOUR_MS, HOUR_MS // 4)
    ]
    parts = [part for part in quarters if part is not None]
    assert (parts[0].open, max(p.high for p in parts), min(p.low for p in parts), parts[-1].close) == BARS[1]
    assert (
        feed.candle("spot", "SOLUSDT", START_MS + 3 * HOUR_MS, START_MS + 4 * HOUR_MS, START_MS + 6 * HOUR_MS) is None
    )


def test_u4_a_ticker_predicts_the_last_settled_rate_and_never_the_next() -> None:
    made = history((0, 2))
    rates = FundingRates(made.funding[0].stamp_ms, np.array([0.001, 0.009]), made.funding[0].interval_h)
    feed = HistoryFeed(replace(made, funding=(rates,)))
    coming = feed.next_funding("SOLUSDT", START_MS + HOUR_MS)
    assert coming is not None
    assert (coming.rate, coming.stamp_ms) == (Decimal("0.001"), START_MS + 2 * HOUR_MS)


@given(
    st.floats(1, 1e5),
    st.floats(0, 0.2),
    st.floats(0, 0.2),
    st.floats(0, 1),
    st.lists(st.floats(0, 1), min_size=0, max_size=6),
)
def test_the_pieces_of_a_path_touch_what_the_bar_touched(
    first: float, up: float, down: float, where: float, cuts: list[float]
) -> None:
    high, low = first * (1 + up), first * (1 - down)
    close = low + (high - low) * where
    path = BarPath.of(first, high, low, close)
    edges = [0.0, *sorted(cuts), 1.0]
    found = [path.extremes(a, b) for a, b in pairwise(edges)]
    assert min(piece[0] for piece in found) == pytest.approx(min(low, first, close), rel=1e-9)
    assert max(piece[1] for piece in found) == pytest.approx(max(high, first, close), rel=1e-9)


def lived(folder: Path, *, restarts: bool) -> Venue:
    """Trade through six hours with a gap in steps of twenty minutes; `restarts` reads the venue back after each."""
    feed, venue, uid = opened(history(funding_hours=(2, 4)))
    store = VenueStore(folder / f"venue-{restarts}.db")
    for step in range(1, 17):
        feed.advance(venue, START_MS + step * HOUR_MS // 3)
        if step in {2, 9, 10, 11}:
            venue.create_order(uid, market("Buy" if step % 2 else "Sell", "1.5"))
        if step in {4, 10}:
            buy = OrderRequest("spot", "SOLUSDT", "Buy", "Market", Decimal(200), market_unit="quoteCoin")
            venue.create_order(uid, buy)
        store.commit(venue, venue_ms=venue.state.now_ms)
        if restarts:
            store.close()
            store = VenueStore(folder / f"venue-{restarts}.db")
            venue = Venue(now_ms=int(store.meta()["venue_ms"]))
            store.load(venue)
            feed = HistoryFeed(history(funding_hours=(2, 4)))
            feed.open_market(venue)
    store.close()
    return venue


def test_u5_a_restart_inside_a_gap_changes_nothing(tmp_path: Path) -> None:
    whole, pieces = lived(tmp_path, restarts=False), lived(tmp_path, restarts=True)
    uid = next(iter(whole.state.accounts))
    assert len(whole.state.executions[uid]) == 8
    assert list(pieces.state.executions[uid]) == list(whole.state.executions[uid])
    assert pieces.state.books.balances == whole.state.books.balances
    assert pieces.audit() == ()


def test_u5_an_exchange_opened_inside_a_gap_takes_orders_and_lets_them_wait() -> None:
    feed = HistoryFeed(history())
    venue = Venue(now_ms=START_MS + 3 * HOUR_MS + 1)
    uid = venue.open_account("MASTER").uid
    venue.deposit(uid, "USDT", Decimal(10_000))
    feed.open_market(venue)
    order = venue.create_order(uid, market("Buy", "1"))
    assert order.status == "New"
    feed.advance(venue, START_MS + 4 * HOUR_MS)
    assert order.avg_price == Decimal("120.06")
