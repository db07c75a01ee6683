"""Whole steps, prices against us and Kelly (rules U-3, U-9, RISK-7)."""

from __future__ import annotations

import math
from decimal import ROUND_FLOOR, Decimal

import numpy as np
import pytest

from eternal_engine.model import steps as lots
from eternal_engine.risk import sizing


@pytest.mark.parametrize(
    ("amount", "step", "steps"),
    [
        (0.3, 0.1, 3),  # 0.3 / 0.1 is 2.9999999999999996
        (0.7, 0.1, 7),
        (1.1, 0.001, 1100),
        (0.0999, 0.1, 0),
        (0.0, 0.1, 0),
        (4_915.95, 0.01, 491_595),
        (0.07022785, 0.000001, 70_227),
        (0.99999999, 1.0, 1),
        (0.999998, 1.0, 0),
    ],
)
def test_u_3_whole_steps(amount: float, step: float, steps: int) -> None:
    found = lots.whole_steps(amount, step)
    assert (found, type(found)) == (steps, int)


def test_u_3_steps_agree_with_exact_decimals() -> None:
    for k in range(1, 2_000):
        for step in ("0.001", "0.01", "0.1", "1"):
            amount = Decimal(k) * Decimal(step)
            exact = int((amount / Decimal(step)).to_integral_value(ROUND_FLOOR))
            assert lots.whole_steps(float(amount), float(step)) == exact
            assert lots.steps_up(float(amount), float(step)) == exact


@pytest.mark.parametrize(("amount", "step", "steps"), [(0.3, 0.1, 3), (0.31, 0.1, 4), (0.0, 0.1, 0), (1.0000001, 1, 1)])
def test_u_9_steps_that_cover_an_amount(amount: float, step: float, steps: int) -> None:
    assert lots.steps_up(amount, step) == steps


@pytest.mark.parametrize(
    ("price", "side", "slippage", "tick", "filled"),
    [
        (40_000.0, 1, 0.0005, 0.1, 40_020.0),  # J2
        (40_000.0, -1, 0.0005, 0.1, 39_980.0),
        (40_000.03, 1, 0.0, 0.1, 40_000.1),
        (40_000.07, -1, 0.0, 0.1, 40_000.0),
        (40_000.1, 1, 0.0, 0.1, 40_000.1),
        (40_000.1, -1, 0.0, 0.1, 40_000.1),
        (1.23456, 1, 0.0005, 0.0001, 1.2352),
        (1.23456, -1, 0.0005, 0.0001, 1.2339),
    ],
)
def test_u_9_price_rounds_against_us(price: float, side: int, slippage: float, tick: float, filled: float) -> None:
    assert sizing.fill_price(price, side, slippage, tick) == pytest.approx(filled, abs=1e-9)


def ring(wins: int, losses: int, ratio: float, size: int = 60) -> np.ndarray:
    out = np.zeros(size)
    out[: wins + losses] = [10.0 * ratio] * wins + [-10.0] * losses
    return out


@pytest.mark.parametrize(
    ("wins", "losses", "ratio", "frac"),
    [
        (18, 12, 2.0, 0.05),  # F7: W .6, R 2 -> .40 / 8
        (9, 21, 1.0, -0.4 / 8),
        (15, 15, 1.0, 0.0),
        (24, 6, 3.0, (0.8 - 0.2 / 3) / 8),
        (30, 0, 1.0, 1 / 8),
        (0, 30, 1.0, -math.inf),
    ],
)
def test_risk_7_kelly_fraction(wins: int, losses: int, ratio: float, frac: float) -> None:
    found = sizing.kelly_frac(ring(wins, losses, ratio), wins + losses, 60, 8.0)
    assert found == pytest.approx(frac)


def test_risk_7_only_the_window_counts() -> None:
    pnls = np.zeros(60)
    for k in range(100):  # 40 losses first, then 60 trades of which 36 win double
        pnl = -10.0 if k < 40 or k % 5 >= 3 else 20.0
        pnls[k % 60] = pnl
    assert sizing.kelly_frac(pnls, 100, 60, 8.0) == pytest.approx(0.05)
    assert sizing.kelly_frac(pnls, 100, 60, 4.0) == pytest.approx(0.10)


def test_risk_7_a_smaller_window_looks_at_the_newest() -> None:
    pnls = np.array([-10.0] * 30 + [10.0] * 30)
    assert sizing.kelly_frac(pnls, 60, 30, 8.0) == 1 / 8
    assert sizing.kelly_frac(pnls, 60, 60, 8.0) == 0.0


def test_risk_7_the_window_goes_on_at_the_end_of_the_ring() -> None:
    pnls = np.array([10.0, 7.0, 7.0, 10.0, -10.0])  # the newest is the first, before it come the last two
    assert sizing.kelly_frac(pnls, 6, 3, 1.0) == pytest.approx(2 / 3 - 1 / 3)


def test_risk_7_a_trade_of_nothing_is_neither_won_nor_lost() -> None:
    pnls = np.array([20.0] * 6 + [-10.0] * 3 + [0.0])
    assert sizing.kelly_frac(pnls, 10, 10, 1.0) == pytest.approx(0.6 - 0.4 / 2.0)


def test_risk_7_small_wins_are_wins() -> None:
    pnls = np.array([0.2] * 6 + [-0.1] * 4)
    assert sizing.kelly_frac(pnls, 10, 10, 1.0) == pytest.approx(0.6 - 0.4 / 2.0)
