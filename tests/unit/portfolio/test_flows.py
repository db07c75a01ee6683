"""Money between the engines: months, shares and peaks (CAP-2)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from eternal_engine.portfolio import flows


@pytest.mark.parametrize(
    ("realised", "peak", "share", "free", "moved"),
    [
        (1_000.0, 0.0, 0.5, 1e9, 500.0),
        (1_000.0, 400.0, 0.5, 1e9, 300.0),
        (400.0, 400.0, 0.5, 1e9, 0.0),
        (-50.0, 0.0, 0.5, 1e9, 0.0),
        (300.0, 400.0, 0.5, 1e9, 0.0),
        (1_000.0, 0.0, 0.5, 120.0, 120.0),
        (1_000.0, 0.0, 0.5, -5.0, 0.0),
        (1_000.0, 0.0, 0.0, 1e9, 0.0),
        (1_000.0, 0.0, 0.25, 1e9, 250.0),
    ],
)
def test_cap_2_half_of_the_profit_above_the_peak(
    realised: float, peak: float, share: float, free: float, moved: float
) -> None:
    assert flows.funding_share_usdt(realised, peak, share, free) == pytest.approx(moved)


def test_cap_2_nothing_is_shared_twice() -> None:
    peak, shared = 0.0, 0.0
    for realised in (100.0, 60.0, 100.0, 150.0, 150.0, 500.0):
        moved = flows.funding_share_usdt(realised, peak, 0.5, 1e9)
        peak = flows.peak_after_usdt(peak, moved, 0.5)
        shared += moved
        assert shared == pytest.approx(0.5 * max(peak, 0.0))
    assert shared == pytest.approx(250.0)


def test_cap_2_what_could_not_move_stays_to_be_shared() -> None:
    moved = flows.funding_share_usdt(1_000.0, 0.0, 0.5, 200.0)
    peak = flows.peak_after_usdt(0.0, moved, 0.5)
    assert peak == pytest.approx(400.0)
    assert flows.funding_share_usdt(1_000.0, peak, 0.5, 1e9) == pytest.approx(300.0)
    assert flows.peak_after_usdt(70.0, 0.0, 0.0) == 70.0


def test_cap_2_months_are_utc_calendar_months() -> None:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    at = datetime(1999, 12, 25, tzinfo=UTC)
    while at < datetime(2101, 4, 1, tzinfo=UTC):
        hours = int((at - epoch).total_seconds() // 3600)
        assert flows.month_of(hours) == 12 * at.year + at.month - 1, at
        at += timedelta(days=1, hours=-1 if at.hour else 23)
