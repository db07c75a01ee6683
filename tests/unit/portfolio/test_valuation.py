"""Equity and free cash from books and marks; what makes an equity unknown (U-6, F18, RISK-10)."""

from __future__ import annotations

import pytest

from eternal_engine.model import reason
from eternal_engine.portfolio import breaker_hour, valuation
from eternal_engine.strategies.base import (
    CORE_HODL,
    FUNDING,
    TACTICAL,
    TREND,
)
from portfolio_desk import NOW_H, PRICES, Desk, a_buy, an_entry


def test_f18_a_held_coin_without_price_makes_equity_unknown_everywhere() -> None:
    desk = Desk()
    desk.book.spot_qty[CORE_HODL, 2] = 5.0
    assert desk.equity.known
    desk.marks.spot_h[2] = NOW_H - 3
    assert not desk.equity.known
    for signal in (a_buy(TACTICAL, 50.0), an_entry(TREND, 0.05), a_buy(CORE_HODL, 50.0)):
        assert desk.review(signal).rule == reason.UNKNOWN_EQUITY
    before = desk.states
    assert breaker_hour.advance_risk(desk.params, before, NOW_H, desk.equity).risk is before.risk


def test_ord_5_dust_without_price_leaves_equity_known() -> None:
    desk = Desk()
    desk.book.spot_qty[FUNDING, 2] = 0.5 / PRICES[2]
    desk.marks.spot_h[2] = NOW_H - 10
    assert desk.equity.known
    desk.book.spot_qty[FUNDING, 2] = 1.5 / PRICES[2]
    assert not desk.equity.known


def test_f18_a_held_perp_without_price_makes_equity_unknown() -> None:
    desk = Desk()
    desk.hold_trend(1, 1.0)
    desk.marks.perp_h[1] = NOW_H - 3
    assert not desk.equity.known
    desk.marks.perp_h[1] = NOW_H - 2
    assert desk.equity.known


def test_u_6_equity_is_cash_and_coins_and_unrealised_results() -> None:
    desk = Desk()
    desk.book.spot_qty[CORE_HODL, 0] = 0.5
    desk.hold_trend(1, -2.0)
    desk.hold_pair(2, 10.0)
    desk.marks.perp[:] = (40_000.0, 2_100.0, 110.0)
    found = desk.equity
    assert found.core == 60_000.0 + 20_000.0
    assert found.trend == 20_000.0 - 200.0
    assert found.funding == 15_000.0 - 100.0
    assert found.tactical == 5_000.0
    assert (found.trend_notional, found.funding_notional) == (4_200.0, 2_100.0)
    assert valuation.portfolio_usdt(found) == sum(valuation.engine_usdt(found, e) for e in range(4))


def test_risk_10_free_cash_is_net_of_margin_and_losses_but_not_of_gains() -> None:
    desk = Desk()
    desk.hold_trend(0, 0.2)
    desk.marks.perp[0] = 41_000.0
    assert valuation.free_usdt(desk.params, desk.book, desk.marks, [], TREND) == pytest.approx(20_000 - 4_000)
    desk.marks.perp[0] = 39_000.0
    assert valuation.free_usdt(desk.params, desk.book, desk.marks, [], TREND) == pytest.approx(20_000 - 4_000 - 200)
    desk.hold_pair(1, 2.0)
    assert valuation.free_usdt(desk.params, desk.book, desk.marks, [], FUNDING) == pytest.approx(11_000 - 2_000)
    desk.marks.perp[1] = 2_200.0
    assert valuation.free_usdt(desk.params, desk.book, desk.marks, [], FUNDING) == pytest.approx(11_000 - 2_200 - 400)
    assert valuation.free_usdt(desk.params, desk.book, desk.marks, [], CORE_HODL) == 60_000.0
