"""FUNDING's hour: entries, exits, hedge and margin of its pairs (FUND-2, FUND-4, FUND-X1, FUND-X2)."""

from __future__ import annotations

import pytest

from core_builders import THREE, some_params
from eternal_engine.model import reason
from eternal_engine.portfolio.valuation import pair_is_open
from eternal_engine.strategies import funding
from eternal_engine.strategies.base import (
    BUY,
    FUNDING,
    PAIR,
    PERP,
    SELL,
    SPOT,
)
from portfolio_desk import NOW_H, PRICES, Desk

FUNDING_ONLY = {"core": {"enabled": False}, "trend": {"enabled": False}, "tactical": {"enabled": False}}


def test_fund_2_a_pair_is_entered_at_its_target() -> None:
    desk = Desk(some_params(THREE, **FUNDING_ONLY))
    intents = desk.decide(desk.features(rate=0.0003))
    # Half of 0.95 of 15,000 over 1.5 is 4,750 per symbol, below the 5,000 of RISK-6.
    assert [(i.symbol, i.market, i.reason) for i in intents] == [
        (0, PAIR, reason.FUND_ENTRY),
        (1, PAIR, reason.FUND_ENTRY),
    ]
    assert [i.qty_steps for i in intents] == [118, 237]


@pytest.mark.parametrize("missing", ["spot_h", "perp_h"])
def test_u_10_a_missing_bar_decides_nothing_for_a_pair(missing: str) -> None:
    desk = Desk(some_params(THREE, **FUNDING_ONLY))
    getattr(desk.marks, missing)[0] = NOW_H - 2
    assert [i.symbol for i in desk.decide(desk.features(rate=0.0003))] == [1]


def test_fund_x1_exit_closes_both_legs() -> None:
    desk = Desk(some_params(THREE, **FUNDING_ONLY))
    desk.hold_pair(0, 0.1)
    (intent,) = desk.decide(desk.features(rate=-0.001))
    assert (intent.market, intent.side, intent.reduces, intent.reason) == (PAIR, SELL, True, reason.FUND_EXIT)
    assert intent.qty_steps == 100


def test_fund_x1_a_pair_on_day_fourteen_with_good_carry_stays() -> None:
    desk = Desk(some_params(THREE, **FUNDING_ONLY))
    desk.hold_pair(0, 0.1)
    desk.states.funding.review_h[0] = NOW_H
    assert [i for i in desk.decide(desk.features(rate=0.0001)) if i.symbol == 0] == []
    assert desk.states.funding.review_h[0] > NOW_H
    poor = Desk(some_params(THREE, **FUNDING_ONLY))
    poor.hold_pair(0, 0.1)
    poor.states.funding.review_h[0] = NOW_H
    assert [i.reason for i in poor.decide(poor.features(rate=0.00001))] == [reason.FUND_EXIT_CARRY]


@pytest.mark.parametrize(
    ("spot", "expected"),
    [(0.102, None), (0.10201, (SPOT, SELL, 2_010)), (0.098, None), (0.0979, (PERP, BUY, 2)), (0.0, (PERP, BUY, 100))],
)
def test_fund_4_drift_is_corrected_by_shrinking_the_larger_leg(
    spot: float, expected: tuple[int, int, int] | None
) -> None:
    desk = Desk(some_params(THREE, **FUNDING_ONLY))
    desk.hold_pair(0, 0.1)
    desk.book.spot_qty[FUNDING, 0] = spot
    found = [(i.market, i.side, i.qty_steps) for i in desk.decide(desk.features(rate=0.0001)) if i.symbol == 0]
    assert found == ([expected] if expected else [])
    assert all(i.reduces and i.reason == reason.FUND_HEDGE for i in desk.pending if i.symbol == 0)


@pytest.mark.parametrize(("ratio", "cut"), [(0.29, True), (0.2999, True), (0.3001, False), (0.5, False)])
def test_fund_x2_a_low_margin_cuts_both_legs_by_a_third(ratio: float, cut: bool) -> None:
    desk = Desk(some_params(THREE, **FUNDING_ONLY))
    desk.hold_pair(0, 0.099)
    desk.hold_pair(1, 3.0)
    notional = 0.099 * PRICES[0] + 3.0 * PRICES[1]
    desk.book.cash[FUNDING] = ratio * notional
    intents = desk.decide(desk.features(rate=0.0001))
    if not cut:
        assert intents == []
        return
    assert [(i.symbol, i.qty_steps, i.market, i.reason) for i in intents] == [
        (0, 33, PAIR, reason.FUND_CUT),
        (1, 100, PAIR, reason.FUND_CUT),
    ]
    assert desk.states.funding.cut[:2].tolist() == [True, True]
    # While these are on their way nothing is cut again.
    assert len(desk.decide(desk.features(rate=0.0001))) == 2


def test_fund_x2_a_cut_pair_grows_back_at_a_later_settlement() -> None:
    desk = Desk(some_params(THREE, **FUNDING_ONLY))
    desk.hold_pair(0, 0.08)
    desk.hold_pair(1, 2.37)
    desk.states = desk.states._replace(funding=funding.was_cut(desk.states.funding, 0, NOW_H - 8))
    (grown,) = desk.decide(desk.features(rate=0.0003))
    assert (grown.symbol, grown.reason, grown.qty_steps) == (0, reason.FUND_GROW, 38)
    poor = Desk(some_params(THREE, **FUNDING_ONLY))
    poor.hold_pair(0, 0.08)
    poor.states = poor.states._replace(funding=funding.was_cut(poor.states.funding, 0, NOW_H - 8))
    assert [i for i in poor.decide(poor.features(rate=0.0001)) if i.symbol == 0] == []


@pytest.mark.parametrize(("left_usdt", "enters"), [(0.9, True), (1.5, True), (4.99, True), (5.01, False)])
def test_fund_e1_a_crumb_that_cannot_be_sold_keeps_nothing_from_its_symbol(left_usdt: float, enters: bool) -> None:
    desk = Desk(some_params(THREE, **FUNDING_ONLY))
    desk.book.spot_qty[FUNDING, 0] = left_usdt / PRICES[0]
    found = [(i.reason, i.market) for i in desk.decide(desk.features(rate=0.0003)) if i.symbol == 0]
    assert found == ([(reason.FUND_ENTRY, PAIR)] if enters else [(reason.FUND_HEDGE, SPOT)])
    assert all(decision.approved for decision in desk.decisions)


def test_fund_e1_less_than_a_step_is_no_pair_however_dear_the_coin() -> None:
    desk = Desk(some_params(THREE, **FUNDING_ONLY))
    step = desk.params.instruments.spot_step[0]
    desk.marks.spot[0] = desk.marks.perp[0] = 20.0 / step
    for coins, is_pair in ((0.9 * step, False), (1.0 * step, True)):
        desk.book.spot_qty[FUNDING, 0] = coins
        assert pair_is_open(desk.params.instruments, desk.book, desk.marks, 0) is is_pair
    desk.book.perp_qty[FUNDING, 0] = -desk.params.instruments.perp_step[0]
    desk.book.spot_qty[FUNDING, 0] = 0.0
    assert pair_is_open(desk.params.instruments, desk.book, desk.marks, 0)


@pytest.mark.parametrize(("steps", "cut"), [(1, 0), (2, 0), (3, 1)])
def test_fund_x2_a_pair_too_small_to_be_cut_is_denied_and_not_marked_as_cut(steps: int, cut: int) -> None:
    desk = Desk(some_params(THREE, **FUNDING_ONLY))
    coins = steps * float(desk.params.instruments.perp_step[0])
    desk.hold_pair(0, coins)
    desk.book.cash[FUNDING] = 0.1 * coins * PRICES[0]
    assert [i.qty_steps for i in desk.decide(desk.features(rate=0.0001)) if i.symbol == 0] == ([cut] if cut else [])
    assert bool(desk.states.funding.cut[0]) is bool(cut)
    (said,) = [one for one in desk.decisions if one.symbol == 0]
    assert (said.reason, said.approved) == (reason.FUND_CUT, bool(cut))
    assert said.rule == (reason.NONE if cut else reason.RISK_10_ORDER)


def test_fund_no_entry_while_the_margin_is_low() -> None:
    desk = Desk(some_params(THREE, **FUNDING_ONLY))
    desk.hold_pair(1, 2.0)
    desk.book.cash[FUNDING] = 0.2 * 2.0 * PRICES[1]
    found = {(i.symbol, i.reason) for i in desk.decide(desk.features(rate=0.0003))}
    assert found == {(1, reason.FUND_CUT)}
