"""A pair too small to be cut is said to a person once a day, from the decision to the message (FUND-X2)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from core_builders import OFF, TWO, some_params
from eternal_engine.engine.decision_events import decision_events
from eternal_engine.engine.timing import hour_start
from eternal_engine.model.event import Event, Reviewed
from eternal_engine.observe.alert_policy import alert_of
from eternal_engine.observe.alerts import Alerts
from eternal_engine.strategies import funding
from eternal_engine.strategies.base import FUNDING, TREND
from hour_scene import PRICES, Scene


def hours_of(steps: int, count: int) -> list[list[Event]]:
    """Decide hours of a pair of so many steps whose margin is low."""
    scene = Scene(some_params(TWO, trend=OFF, tactical=OFF), rate=0.0001)
    scene.core_rests()
    coins = steps * float(scene.params.instruments.perp_step[0])
    scene.book.spot_qty[FUNDING, 0], scene.book.perp_qty[FUNDING, 0] = coins, -coins
    scene.book.perp_entry[FUNDING, 0] = PRICES[0]
    scene.book.cash[FUNDING] = 0.1 * coins * PRICES[0]
    scene.book.cash[TREND] = 35_000.0  # nothing is lost in all
    state = funding.opened(scene.params.funding, scene.memory.states.funding, 0, scene.now_h - 50)
    scene.memory = replace(scene.memory, states=scene.memory.states._replace(funding=state))
    found = []
    for _ in range(count):
        before, decided = scene.memory, scene.decide()
        at = hour_start(scene.now_h) + timedelta(seconds=5)
        found.append(
            decision_events(scene.params, decided, before, scene.features, scene.marks, scene.now_h, at, "c0ffee")
        )
        scene.go_on(decided)
    return found


async def test_fund_x2_a_pair_of_two_steps_is_denied_each_hour_and_told_once_a_day() -> None:
    told: list[tuple[str, str]] = []
    now_s = 0.0

    def send(title: str, body: str, _: str) -> bool:
        told.append((title, body))
        return True

    alerts = Alerts(send, monotonic=lambda: now_s, summaries=False)
    for events in hours_of(steps=2, count=30):
        (verdict,) = [event for event in events if isinstance(event, Reviewed)]
        assert (verdict.verdict, verdict.rule) == ("denied", "RISK-10")
        assert verdict.detail.startswith("FUND-X2 margin low")
        await alerts.see(events)
        now_s += 3600.0
    assert len(told) == 2
    assert "BTCUSDT: the pair is too small to be cut (FUND-X2)" in told[0][0]
    assert "eternal flatten funding" in told[0][1]


def test_fund_x2_a_pair_that_is_cut_raises_no_alert() -> None:
    (events,) = hours_of(steps=3, count=1)
    assert [event.verdict for event in events if isinstance(event, Reviewed)] == ["approved"]
    assert all(alert_of(event) is None for event in events)
