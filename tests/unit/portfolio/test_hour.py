"""One completed hour of the portfolio: breaker orders, reviews in whole steps, halts, pending orders (U-8, BRK-4)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from core_builders import START_H, THREE, TWO, an_exposure, some_params
from eternal_engine.model import reason
from eternal_engine.portfolio import breaker_hour, hour, review, trend_hour, valuation
from eternal_engine.portfolio.beginning import initial_states
from eternal_engine.portfolio.params import (
    BookView,
    Decision,
    Equities,
    Features,
    Intent,
    Marks,
    Params,
    States,
    empty_book,
    empty_marks,
    no_decisions,
    no_intents,
)
from eternal_engine.risk import breaker
from eternal_engine.strategies import funding, tactical, trend
from eternal_engine.strategies.base import (
    BUY,
    CORE_HODL,
    FUNDING,
    PAIR,
    PERP,
    SELL,
    SPOT,
    TACTICAL,
    TREND,
    Signal,
    buy_quote_signal,
)
from eternal_engine.strategies.indicators import DailyBars

NOW_H = START_H + 240
PRICES = (40_000.0, 2_000.0, 100.0)


class Desk:
    """A portfolio of three coins at one instant: all bars just closed, capital 60/20/15/5, nothing held."""

    def __init__(self, params: Params | None = None) -> None:
        self.params = params or some_params(THREE)
        self.book: BookView = empty_book(3, 60)
        self.book.cash[:] = (60_000.0, 20_000.0, 15_000.0, 5_000.0)
        self.marks: Marks = empty_marks(3)
        self.marks.spot[:] = self.marks.perp[:] = PRICES
        self.marks.spot_h[:] = self.marks.perp_h[:] = NOW_H - 1
        self.states: States = initial_states(self.params, 3)
        self.pending: list[Intent] = no_intents()
        self.decisions: list[Decision] = no_decisions()
        self.settled = np.full(3, 10, np.int64)

    @property
    def equity(self) -> Equities:
        valuation.count_active(self.book)
        known = valuation.prices_known(self.book, self.marks, NOW_H - 1, self.params.risk.stale_bars)
        return valuation.equities(self.book, self.marks, known)

    def risk(self, **changes: Any) -> None:
        self.states = self.states._replace(risk=self.states.risk._replace(**changes))

    def hold_trend(self, symbol: int, coins: float) -> None:
        self.book.perp_qty[TREND, symbol] = coins
        self.book.perp_entry[TREND, symbol] = PRICES[symbol]
        state = trend.opened(
            self.states.trend,
            symbol,
            BUY if coins > 0 else SELL,
            PRICES[symbol],
            1.0,
            1.0,
            abs(coins),
        )
        self.states = self.states._replace(trend=state)

    def hold_pair(self, symbol: int, coins: float) -> None:
        self.book.spot_qty[FUNDING, symbol] = coins
        self.book.spot_cost[FUNDING, symbol] = coins * PRICES[symbol]
        self.book.cash[FUNDING] -= coins * PRICES[symbol]
        self.book.perp_qty[FUNDING, symbol] = -coins
        self.book.perp_entry[FUNDING, symbol] = PRICES[symbol]
        state = funding.opened(self.params.funding, self.states.funding, symbol, NOW_H - 50)
        self.states = self.states._replace(funding=state)

    def breaker(self, level: int, before: int) -> list[Intent]:
        self.risk(level=level)
        breaker_hour.breaker_orders(
            self.params, self.states, before, self.book, self.marks, self.pending, self.decisions, NOW_H
        )
        return self.pending

    def review(self, signal: Signal, *, halted: bool = False, correlation: float = -1.0) -> Decision:
        review.review(
            self.params, self.book, self.marks, self.pending, self.decisions, self.equity, self.states, signal, NOW_H,
            halted, correlation,
        )  # fmt: skip
        return self.decisions[-1]

    def features(self, rate: float = 0.0002, close: tuple[float, ...] = PRICES) -> Features:
        days = 10
        closes = np.repeat(np.array(close)[:, None], days, axis=1)
        daily = DailyBars(closes, closes, closes, np.ones_like(closes), np.full((3, days), 24))
        stamps = START_H + np.arange(31, dtype=np.int64) * 8
        rates = np.full(31, rate)
        unknown = np.full(days, np.nan)
        return Features(
            trend=trend.features(self.params.trend, daily),
            funding=funding.features(self.params.funding, [stamps] * 3, [rates] * 3, [np.full(31, 8.0)] * 3),
            tactical=tactical.features(self.params.tactical, daily, unknown, unknown),
            first_day=START_H // 24,
        )

    def decide(self, features: Features, halted: int = 0, now_h: int = NOW_H, level_before: int = 0) -> list[Intent]:
        self.settled[:] = int((features.funding.stamp_h[0] <= now_h).sum())
        self.states, _ = hour.decide_all(
            self.params, features, self.book, self.marks, self.pending, self.decisions, self.equity, self.states,
            now_h, self.settled, level_before, halted,
        )  # fmt: skip
        return self.pending


@pytest.mark.parametrize(("coins", "sold"), [(0.1, 0.025), (0.104, 0.026), (-0.1, 0.025), (0.002, 0.0)])
def test_f14_level_one_cuts_a_quarter_in_whole_steps(coins: float, sold: float) -> None:
    desk = Desk()
    desk.hold_trend(0, coins)
    intents = desk.breaker(breaker.CAUTION, breaker.NORMAL)
    step = desk.params.instruments.perp_step[0]
    assert [i.qty_steps * step for i in intents] == ([pytest.approx(sold)] if sold else [])
    for intent in intents:
        assert (intent.market, intent.reduces, intent.reason) == (PERP, True, reason.BREAKER_CUT)
        assert intent.side == (SELL if coins > 0 else BUY)


@pytest.mark.parametrize(("left", "sold"), [(0.1, 0.05), (0.075, 0.025), (0.05, 0.0), (0.04, 0.0)])
def test_level_two_cuts_to_half_of_the_quantity_before_any_cut(left: float, sold: float) -> None:
    desk = Desk()
    desk.hold_trend(0, 0.1)
    desk.book.perp_qty[TREND, 0] = left
    intents = desk.breaker(breaker.WARNING, breaker.CAUTION)
    assert sum(i.qty_steps for i in intents) == round(sold / 0.001)


@pytest.mark.parametrize("level", [breaker.CAUTION, breaker.WARNING])
def test_cuts_are_made_once_when_the_level_begins(level: int) -> None:
    desk = Desk()
    desk.hold_trend(0, 0.1)
    assert desk.breaker(level, level) == []


@pytest.mark.parametrize("level", [breaker.ALERT, breaker.EMERGENCY])
@pytest.mark.parametrize("before", [breaker.NORMAL, breaker.WARNING, breaker.ALERT])
def test_brk_4_closing_orders_exist_within_one_loop(level: int, before: int) -> None:
    # F13: reduce-only orders for all of TREND and both legs of FUNDING; spot of CORE_HODL and TACTICAL is not sold.
    desk = Desk()
    desk.hold_trend(0, 0.1)
    desk.hold_trend(2, -30.0)
    desk.hold_pair(1, 2.0)
    for engine in (CORE_HODL, TACTICAL):
        desk.book.spot_qty[engine, 0] = 0.5
    intents = desk.breaker(level, before)
    assert [(i.engine, i.symbol, i.market, i.side) for i in intents] == [
        (TREND, 0, PERP, SELL),
        (TREND, 2, PERP, BUY),
        (FUNDING, 1, PAIR, SELL),
    ]
    assert [i.qty_steps for i in intents] == [100, 300, 200]
    assert all(i.reduces and i.reason == reason.BREAKER_CLOSE for i in intents)
    # What is on its way is not asked for twice.
    assert len(desk.breaker(level, level)) == 3


def test_brk_4_a_leftover_leg_is_closed_as_well() -> None:
    desk = Desk()
    desk.hold_pair(1, 2.0)
    desk.book.perp_qty[FUNDING, 1] = 0.0
    assert [(i.engine, i.market) for i in desk.breaker(breaker.ALERT, breaker.ALERT)] == [(FUNDING, PAIR)]
    dust = Desk()
    dust.hold_pair(1, 0.0004)
    dust.book.perp_qty[FUNDING, 1] = 0.0
    assert dust.breaker(breaker.ALERT, breaker.ALERT) == []


def test_brk_6_no_level_sells_spot_of_core_or_tactical() -> None:
    for level in range(5):
        desk = Desk()
        desk.book.spot_qty[CORE_HODL] = desk.book.spot_qty[TACTICAL] = 1.0
        assert desk.breaker(level, 0) == []


def test_normal_orders_nothing() -> None:
    desk = Desk()
    desk.hold_trend(0, 0.1)
    assert desk.breaker(breaker.NORMAL, breaker.CAUTION) == []


def a_buy(engine: int, usdt: float, symbol: int = 0) -> Signal:
    return buy_quote_signal(engine, symbol, usdt, PRICES[symbol], reason.CORE_PLAN, 0.0, 0)


def an_entry(engine: int, coins: float, symbol: int = 0) -> Signal:
    market = PERP if engine == TREND else PAIR
    why = reason.TREND_ENTRY if engine == TREND else reason.FUND_ENTRY
    return Signal(engine, symbol, market, BUY, False, coins, 0.0, PRICES[symbol], why, 1_000.0, 500.0, 0.0, 0)


def test_u_3_reviews_give_whole_steps() -> None:
    desk = Desk()
    asked = 123.456789123
    passed = Decision(NOW_H, 0, 0, reason.CORE_PLAN, True, reason.NONE, asked)
    assert desk.review(a_buy(CORE_HODL, asked)) == passed
    assert desk.review(an_entry(TREND, 0.0509)).approved
    assert desk.review(an_entry(FUNDING, 0.0509)).approved
    assert [(i.qty_steps, i.quote_steps) for i in desk.pending] == [(0, 1_234_567_891), (50, 0), (50, 0)]
    assert [i.unit for i in desk.pending] == [1e-7, 0.001, 0.001]
    assert desk.pending[1].stop_distance == 1_000.0


@pytest.mark.parametrize(
    ("signal", "approved"),
    [
        (a_buy(CORE_HODL, 5.0), True),
        (a_buy(CORE_HODL, 4.99), False),
        (an_entry(TREND, 0.001), True),
        (an_entry(TREND, 0.0009), False),
        (an_entry(TREND, 0.05, symbol=2), False),  # under one step of 0.1
        (an_entry(FUNDING, 0.1, symbol=2), True),
    ],
)
def test_risk_10_minimum_order(signal: Signal, approved: bool) -> None:
    desk = Desk()
    decision = desk.review(signal)
    assert (decision.approved, decision.rule) == (approved, reason.NONE if approved else reason.RISK_10_CASH)
    assert len(desk.pending) == approved


def test_risk_10_minimum_value_of_a_perp() -> None:
    desk = Desk()
    desk.params.instruments.perp_min_usdt[2]
    table = desk.params.instruments._replace(perp_min_usdt=np.full(3, 50.0), spot_min_usdt=np.array([5.0, 5.0, 80.0]))
    desk.params = desk.params._replace(instruments=table)
    assert desk.review(an_entry(TREND, 0.4, symbol=2)).rule == reason.RISK_10_CASH
    assert desk.review(an_entry(TREND, 0.5, symbol=2)).approved
    # A pair must satisfy both markets.
    assert not desk.review(an_entry(FUNDING, 0.7, symbol=2)).approved
    assert desk.review(an_entry(FUNDING, 0.8, symbol=2)).approved


def test_risk_10_instrument_maximum() -> None:
    desk = Desk(some_params(THREE, risk={"max_position_frac": 1.0, "trend_max_own_frac": 2.0}))
    table = desk.params.instruments._replace(perp_max_qty=np.full(3, 0.2), spot_max_qty=np.full(3, 0.1))
    desk.params = desk.params._replace(instruments=table)
    desk.review(an_entry(TREND, 0.9))
    desk.review(a_buy(CORE_HODL, 50_000.0))
    assert desk.pending[0].qty_steps == 200
    assert desk.pending[1].quote_steps * 1e-7 == pytest.approx(4_000.0)


def test_risk_6_pending_orders_count_as_held() -> None:
    desk = Desk()
    desk.review(a_buy(TACTICAL, 4_000.0))
    decision = desk.review(a_buy(TACTICAL, 2_500.0))
    assert (decision.approved, decision.rule) == (True, reason.RISK_6_SIZE)
    assert desk.pending[1].quote_steps * 1e-7 == pytest.approx(1_000.0)
    desk.review(an_entry(TREND, 0.1))
    assert desk.review(an_entry(TREND, 0.1)).rule == reason.RISK_6_SIZE
    assert desk.pending[-1].qty_steps == 25


def test_risk_8_pending_entries_take_their_slots() -> None:
    desk = Desk(some_params(THREE, risk={"max_positions_trend": 2}))
    desk.hold_trend(0, 0.01)
    assert desk.review(an_entry(TREND, 0.5, symbol=1)).approved
    assert desk.review(an_entry(TREND, 1.0, symbol=2)).rule == reason.RISK_8_SLOTS


def test_risk_8_a_slot_is_free_when_its_exit_has_filled() -> None:
    desk = Desk(some_params(THREE, risk={"max_positions_trend": 1}))
    desk.hold_trend(0, 0.1)
    desk.breaker(breaker.ALERT, 0)
    desk.risk(level=0)
    assert desk.review(an_entry(TREND, 0.5, symbol=1)).rule == reason.RISK_8_SLOTS
    desk.pending.clear()
    desk.book.perp_qty[TREND, 0] = 0.0
    assert desk.review(an_entry(TREND, 0.5, symbol=1)).approved


def test_risk_10_pending_entries_bind_cash() -> None:
    desk = Desk(some_params(THREE, risk={"max_position_frac": 1.0}))
    desk.book.cash[TACTICAL] = 1_000.0
    desk.review(a_buy(TACTICAL, 700.0))
    decision = desk.review(a_buy(TACTICAL, 700.0, symbol=1))
    assert (decision.approved, decision.rule) == (True, reason.RISK_10_CASH)
    assert desk.pending[1].quote_steps * 1e-7 == pytest.approx(300.0)


def test_risk_12_orders_of_this_minute_count() -> None:
    desk = Desk(some_params(THREE, risk={"orders_per_minute": 3}))
    approved = [desk.review(a_buy(CORE_HODL, 50.0)).approved for _ in range(5)]
    assert approved == [True] * 3 + [False] * 2
    assert desk.review(a_buy(TACTICAL, 50.0)).approved


def test_risk_13_everything_held_and_pending_counts_against_the_cap() -> None:
    desk = Desk(some_params(THREE, risk={"cap_usdt": 10_000.0}))
    desk.book.spot_qty[CORE_HODL, 0] = 0.1
    desk.hold_trend(1, 1.0)
    assert valuation.exposure_usdt(desk.params, desk.book, desk.marks, desk.pending) == pytest.approx(6_000.0)
    desk.review(a_buy(TACTICAL, 1_000.0))
    desk.review(an_entry(TREND, 0.05))
    assert valuation.exposure_usdt(desk.params, desk.book, desk.marks, desk.pending) == pytest.approx(9_000.0)
    decision = desk.review(a_buy(CORE_HODL, 3_000.0))
    assert decision.rule == reason.RISK_13_CAP
    assert desk.pending[-1].quote_steps * 1e-7 == pytest.approx(1_000.0)
    assert valuation.exposure_usdt(some_params(THREE), desk.book, desk.marks, desk.pending) == 0.0


@pytest.mark.parametrize(("age", "approved"), [(0, True), (1, True), (2, False)])
def test_risk_3_the_age_of_the_last_price_of_both_markets_counts(age: int, approved: bool) -> None:
    desk = Desk()
    desk.marks.perp_h[0] = NOW_H - 1 - age
    assert desk.review(an_entry(TREND, 0.05)).approved == approved
    assert desk.review(an_entry(FUNDING, 0.05)).approved == approved
    assert desk.review(a_buy(CORE_HODL, 50.0)).approved
    desk.marks.spot_h[0] = NOW_H - 1 - age
    decision = desk.review(a_buy(CORE_HODL, 50.0))
    assert (decision.approved, decision.rule) == (approved, reason.NONE if approved else reason.RISK_3_STALE)


def test_f18_a_held_coin_without_price_makes_equity_unknown_everywhere() -> None:
    desk = Desk()
    desk.book.spot_qty[CORE_HODL, 2] = 5.0
    assert desk.equity.known
    desk.marks.spot_h[2] = NOW_H - 3
    assert not desk.equity.known
    for signal in (a_buy(TACTICAL, 50.0), an_entry(TREND, 0.05), a_buy(CORE_HODL, 50.0)):
        assert desk.review(signal).rule == reason.UNKNOWN_EQUITY
    before = desk.states
    assert breaker_hour.advance_risk(desk.params, before, NOW_H, desk.equity) is before


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


def test_section_7_scope_is_the_active_engines_or_the_portfolio() -> None:
    desk = Desk()
    assert breaker_hour.scope_usdt(desk.params, desk.equity) == 40_000.0
    wide = some_params(THREE, ladder={"scope": breaker.SCOPE_PORTFOLIO})
    assert breaker_hour.scope_usdt(wide, desk.equity) == 100_000.0
    states = breaker_hour.advance_risk(wide, desk.states, NOW_H, desk.equity)
    assert states.risk.high_usdt == 100_000.0


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


@pytest.mark.parametrize(("engine", "bit"), [(CORE_HODL, 1), (TREND, 2), (FUNDING, 4), (TACTICAL, 8)])
def test_risk_1_an_operator_halts_one_engine(engine: int, bit: int) -> None:
    params = some_params(THREE, trend={"sma_days": 3, "ema_days": 2, "adx_days": 2, "atr_days": 2, "warmup_days": 5})
    for halted in (0, bit, 15 - bit):
        desk = Desk(params)
        features = desk.features(rate=0.001)
        rising = features.trend._replace(
            close=np.full((3, 10), 3.0), sma=np.full((3, 10), 1.0), ema=np.full((3, 10), 2.0),
            adx=np.full((3, 10), 50.0), atr=np.full((3, 10), 0.1), days_known=np.full((3, 10), 10),
        )  # fmt: skip
        fallen = features.tactical._replace(btc_high=np.full(10, 90_000.0))
        desk.params = desk.params._replace(risk=desk.params.risk._replace(correlation_deny=2.0, correlation_halve=2.0))
        rising.close[:] += np.random.default_rng(1).normal(0, 0.1, (3, 10))
        desk.params = desk.params._replace(risk=desk.params.risk._replace(correlation_days=5))
        asked = {i.engine for i in desk.decide(features._replace(trend=rising, tactical=fallen), halted)}
        expected = {e for e in range(4) if not halted >> e & 1}
        assert asked == expected, halted


def test_core_6_level_four_and_halts_keep_a_cycle_due() -> None:
    for change in ({"level": 4}, {"halted": True}):
        desk = Desk(
            some_params(THREE, trend={"enabled": False}, funding={"enabled": False}, tactical={"enabled": False})
        )
        desk.risk(**change)
        features = desk.features()
        assert desk.decide(features) == []
        assert desk.states.core.phase == 0
        desk.risk(level=0, halted=False)
        assert {i.engine for i in desk.decide(features)} == {CORE_HODL}
        assert desk.states.core.due_h == NOW_H + 168


def test_core_6_level_three_does_not_stop_core() -> None:
    desk = Desk(some_params(THREE, trend={"enabled": False}, funding={"enabled": False}, tactical={"enabled": False}))
    desk.risk(level=3)
    assert {i.engine for i in desk.decide(desk.features())} == {CORE_HODL}


def test_u_8_engines_decide_in_order() -> None:
    desk = Desk()
    desk.hold_trend(2, 3.0)
    desk.risk(level=3)
    features = desk.features()
    fallen = features.tactical._replace(btc_high=np.full(10, 90_000.0))
    engines = [i.engine for i in desk.decide(features._replace(tactical=fallen))]
    assert engines == [TREND, CORE_HODL, CORE_HODL, TACTICAL, TACTICAL]


def test_daily_engines_wait_for_the_day_to_close() -> None:
    desk = Desk(some_params(THREE, core={"enabled": False}, funding={"enabled": False}))
    features = desk.features()
    fallen = features._replace(tactical=features.tactical._replace(btc_high=np.full(10, 90_000.0)))
    desk.marks.spot_h[:] = desk.marks.perp_h[:] = NOW_H - 2
    assert desk.decide(fallen, now_h=NOW_H - 1) == []
    desk.marks.spot_h[:] = desk.marks.perp_h[:] = NOW_H - 1
    assert {i.engine for i in desk.decide(fallen)} == {TACTICAL}


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


def test_fund_no_entry_while_the_margin_is_low() -> None:
    desk = Desk(some_params(THREE, **FUNDING_ONLY))
    desk.hold_pair(1, 2.0)
    desk.book.cash[FUNDING] = 0.2 * 2.0 * PRICES[1]
    found = {(i.symbol, i.reason) for i in desk.decide(desk.features(rate=0.0003))}
    assert found == {(1, reason.FUND_CUT)}


def a_trending(desk: Desk, seed: int = 1) -> Features:
    """Give features in which all three coins ask for entry, ranked 2, 0, 1, with unrelated returns."""
    features = desk.features()
    rng = np.random.default_rng(seed)
    close = 3.0 + np.cumsum(rng.normal(0, 0.1, (3, 10)), axis=1) * 0.2
    adx = np.repeat(np.array([[50.0], [40.0], [60.0]]), 10, axis=1)
    table = features.trend._replace(
        close=close, sma=np.full((3, 10), 1.0), ema=np.full((3, 10), 2.0), adx=adx, atr=np.full((3, 10), 0.1),
        days_known=np.full((3, 10), 300),
    )  # fmt: skip
    return features._replace(trend=table)


TREND_ONLY = {"core": {"enabled": False}, "funding": {"enabled": False}, "tactical": {"enabled": False}}


def test_risk_8_a_refused_candidate_leaves_its_slot_to_the_next() -> None:
    params = some_params(
        THREE,
        **TREND_ONLY,
        risk={"max_positions_trend": 2, "correlation_days": 5, "correlation_deny": 9.0, "correlation_halve": 9.0},
    )
    desk = Desk(params)
    assert [i.symbol for i in desk.decide(a_trending(desk))] == [2, 0]
    assert desk.decisions[-1].rule == reason.RISK_8_SLOTS
    desk = Desk(params)
    desk.marks.perp_h[2] = NOW_H - 2  # the strongest has no bar
    assert [i.symbol for i in desk.decide(a_trending(desk))] == [0, 1]


def test_risk_11_correlation_with_open_and_pending_positions() -> None:
    params = some_params(THREE, **TREND_ONLY, risk={"correlation_days": 5, "max_positions_trend": 3})
    desk = Desk(params)
    features = a_trending(desk)
    features.trend.close[0] = 2.0 * features.trend.close[2]  # moves exactly as the strongest one
    intents = desk.decide(features)
    assert 0 not in [i.symbol for i in intents]
    assert {(d.symbol, d.rule) for d in desk.decisions if not d.approved} >= {(0, reason.RISK_11_CORRELATION)}
    # Held instead of pending: the same.
    held = Desk(params)
    held.hold_trend(2, 10.0)
    assert 0 not in [i.symbol for i in held.decide(features)]
    # An unknown correlation denies too (thirty days asked of ten).
    unknown = Desk(some_params(THREE, **TREND_ONLY))
    assert [i.symbol for i in unknown.decide(a_trending(unknown))] == [2]


def test_u_10_a_perp_is_tradable_from_its_first_settlement_on() -> None:
    desk = Desk(some_params(THREE, **TREND_ONLY, risk={"correlation_days": 5, "correlation_deny": 9.0}))
    features = a_trending(desk)
    features.funding.stamp_h[2] = funding.NEVER_H
    desk.settled[:] = (31, 31, 0)
    desk.states = trend_hour.decide_trend(
        desk.params, features, desk.book, desk.marks, desk.pending, desk.decisions, desk.equity, desk.states, NOW_H,
        desk.settled, False,
    )  # fmt: skip
    assert 2 not in [i.symbol for i in desk.pending]
    assert desk.pending


def test_trend_x1_an_exit_of_the_same_hour_sells_what_a_cut_leaves() -> None:
    desk = Desk(some_params(THREE, **TREND_ONLY))
    desk.hold_trend(0, 0.1)
    desk.risk(level=1)
    features = a_trending(desk)
    features.trend.close[0] = 0.5
    found = [(i.symbol, i.qty_steps, i.reason) for i in desk.decide(features) if i.symbol == 0]
    assert found == [(0, 25, reason.BREAKER_CUT), (0, 75, reason.TREND_EXIT)]


def test_risk_7_kelly_counts_from_thirty_closed_trades_on() -> None:
    for closed, steps in ((29, 100), (30, 50)):
        desk = Desk()
        desk.book.trend_closed[0] = closed
        desk.book.trend_pnls[:closed] = -10.0
        desk.review(an_entry(TREND, 0.1))
        assert desk.pending[0].qty_steps == steps


def test_an_exposure_is_healthy_by_default() -> None:
    assert math.isinf(an_exposure().kelly_frac)
    assert len(TWO) == 2
