"""What the venue remembers, and for how long."""

from __future__ import annotations

from typing import Any

from eternal_engine.simulator.venue import VenueConfig, queries


def test_histories_in_memory_are_bounded_and_client_ids_stay_taken(open_desk: Any) -> None:
    desk = open_desk(VenueConfig(keep_rows=20))
    for number in range(60):
        desk.order("spot", "Buy", "10", link_id=f"n{number}")
    state = desk.venue.state
    assert len(state.closed[desk.uid]) == len(state.orders) == len(state.executions[desk.uid]) == 20
    assert len(state.logs[desk.uid]) == 20
    assert queries.find_order(state, desk.uid, "", "n0") is None
    desk.refuse(170141, "spot", "Buy", "10", link_id="n0")
    assert desk.venue.audit() == ()


def test_fact_14_cancelled_orders_are_forgotten_after_a_day_and_traded_ones_are_not(desk: Any) -> None:
    bought = desk.order("spot", "Buy", "100")
    cancelled = desk.order("spot", "Buy", "0.01", "30000")
    desk.venue.cancel_order(desk.uid, "spot", cancelled.order_id)
    state = desk.venue.state
    window = queries.Window(state.now_ms, state.now_ms)
    assert queries.history(state, desk.uid, "spot", window=window) == [cancelled, bought]
    desk.venue.advance(state.now_ms + queries.DAY_MS + 1)
    assert queries.history(state, desk.uid, "spot", window=window) == [bought]


def test_the_demo_keeps_orders_for_seven_days(open_desk: Any) -> None:
    desk = open_desk(VenueConfig(demo=True))
    bought = desk.order("spot", "Buy", "100")
    state = desk.venue.state
    window = queries.Window(state.now_ms, state.now_ms)
    desk.venue.advance(state.now_ms + queries.WEEK_MS)
    assert queries.history(state, desk.uid, "spot", window=window) == [bought]
    desk.venue.advance(state.now_ms + 1)
    assert queries.history(state, desk.uid, "spot", window=window) == []


def test_recently_closed_orders_are_wiped_by_a_restart_but_stay_in_history(desk: Any) -> None:
    bought = desk.order("spot", "Buy", "100", link_id="w")
    state = desk.venue.state
    assert queries.realtime(state, desk.uid, "spot", link_id="w") == [bought]
    assert queries.realtime(state, desk.uid, "spot", closed_too=True) == [bought]
    desk.venue.advance(state.now_ms + 1)
    state.started_ms = state.now_ms
    assert queries.realtime(state, desk.uid, "spot", link_id="w") == []
    window = queries.Window(0, state.now_ms)
    assert queries.history(state, desk.uid, "spot", link_id="w", window=window) == [bought]


def test_the_same_salt_makes_the_same_identifiers(open_desk: Any) -> None:
    first, second, other = open_desk(), open_desk(), open_desk(VenueConfig(salt="other"))
    ids = [made.order("spot", "Buy", "100").order_id for made in (first, second, other)]
    assert ids[0] == ids[1] != ids[2]
    assert ids[0].isdigit()
    assert "-" in first.order("linear", "Buy", "0.1").order_id
