"""Every check of the risk manager, alone and in its order (rules RISK-0 to RISK-13; acceptance F and G1)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from core_builders import START_H, an_exposure, some_params
from eternal_engine.model import reason
from eternal_engine.portfolio.params import no_decisions, no_intents
from eternal_engine.portfolio.review import pass_reduction
from eternal_engine.risk import breaker, manager
from eternal_engine.risk.verdict import Exposure, Verdict
from eternal_engine.strategies.base import (
    CORE_HODL,
    FUNDING,
    PAIR,
    PERP,
    SELL,
    SPOT,
    TACTICAL,
    TREND,
    reduce_signal,
)

RISK = some_params().risk
EVERY = (CORE_HODL, TREND, FUNDING, TACTICAL)


def quote(engine: int, usdt: float, seen: Exposure, risk: manager.RiskParams = RISK) -> Verdict:
    return manager.review_quote(risk, engine, usdt, seen.mark, seen)


def qty(engine: int, coins: float, seen: Exposure, risk: manager.RiskParams = RISK, price: float = 50_000.0) -> Verdict:
    return manager.review_qty(risk, engine, PERP if engine == TREND else PAIR, coins, price, seen)


def state(**changes: Any) -> breaker.RiskState:
    return breaker.initial_state()._replace(**changes)


@pytest.mark.parametrize("market", [SPOT, PERP, PAIR])
def test_risk_0_reducing_orders_pass_every_halt(market: int) -> None:
    # The review of a reduction looks at nothing but its steps: no halt, level, block or stale price can stop it.
    params = some_params()
    for engine in EVERY:
        pending, decisions = no_intents(), no_decisions()
        signal = reduce_signal(engine, 0, market, SELL, 0.5, 50_000.0, reason.TREND_EXIT)
        pass_reduction(params, signal, START_H, pending, decisions)
        assert [(intent.reduces, intent.engine) for intent in pending] == [(True, engine)]
        assert decisions[0].approved


def test_risk_0_only_an_unsellable_rest_is_refused() -> None:
    params = some_params()
    for market, coins in ((SPOT, 0.00009), (PERP, 0.0009)):
        pending, decisions = no_intents(), no_decisions()
        signal = reduce_signal(TREND, 0, market, SELL, coins, 50_000.0, reason.TREND_EXIT)
        pass_reduction(params, signal, START_H, pending, decisions)
        assert pending == []
        assert (decisions[0].approved, decisions[0].rule) == (False, reason.RISK_10_ORDER)


@pytest.mark.parametrize("halt", [{"halted": True}, {"state": state(halted=True)}])
def test_risk_1_halt_denies(halt: dict[str, Any]) -> None:
    for engine in EVERY:
        assert manager.may_enter(RISK, engine, an_exposure(**halt)) == reason.RISK_1_HALT
        assert quote(engine, 100.0, an_exposure(**halt)) == Verdict(False, 0.0, 0.0, reason.RISK_1_HALT)
        assert qty(engine, 0.01, an_exposure(**halt)) == Verdict(False, 0.0, 0.0, reason.RISK_1_HALT)


@pytest.mark.parametrize(
    ("level", "stopped"),
    [(0, set()), (1, set()), (2, {TREND, FUNDING}), (3, {TREND, FUNDING}), (4, {TREND, FUNDING, CORE_HODL, TACTICAL})],
)
def test_risk_2_levels_by_engine(level: int, stopped: set[int]) -> None:
    seen = an_exposure(state=state(level=level))
    found = {engine for engine in EVERY if manager.may_enter(RISK, engine, seen) == reason.RISK_2_LEVEL}
    assert found == stopped


@pytest.mark.parametrize(("bars", "denied"), [(0, False), (1, False), (2, True), (500, True)])
def test_risk_3_stale_price_waits(bars: int, denied: bool) -> None:
    for engine in EVERY:
        found = manager.may_enter(RISK, engine, an_exposure(stale_bars=bars))
        assert (found == reason.RISK_3_STALE) == denied


def test_u_6_an_unknown_equity_stops_entries() -> None:
    for engine in EVERY:
        assert manager.may_enter(RISK, engine, an_exposure(known=False)) == reason.UNKNOWN_EQUITY


@pytest.mark.parametrize(("field", "code"), [("day_block_h", reason.RISK_4_DAY), ("week_block_h", reason.RISK_5_WEEK)])
def test_risk_4_and_5_block_trend_and_funding_until_their_hour(field: str, code: int) -> None:
    seen = an_exposure(state=state(**{field: START_H + 24}))
    for engine in EVERY:
        active = engine in (TREND, FUNDING)
        assert manager.may_enter(RISK, engine, seen) == (code if active else reason.NONE)
        assert manager.may_enter(RISK, engine, seen._replace(now_h=START_H + 23)) == (code if active else 0)
        assert manager.may_enter(RISK, engine, seen._replace(now_h=START_H + 24)) == reason.NONE


def test_the_checks_speak_in_their_order() -> None:
    bad = an_exposure(
        halted=True,
        state=state(level=4, day_block_h=START_H + 9, week_block_h=START_H + 9),
        known=False,
        stale_bars=9,
        position_usdt=9e9,
    )
    codes = []
    for mend in (
        {},
        {"halted": False},
        {"state": state(day_block_h=START_H + 9, week_block_h=START_H + 9)},
        {"known": True},
        {"stale_bars": 0},
        {"state": state(week_block_h=START_H + 9)},
        {"state": state()},
    ):
        bad = bad._replace(**mend)
        codes.append(qty(TREND, 0.01, bad).rule)
    assert codes == [
        reason.RISK_1_HALT,
        reason.RISK_2_LEVEL,
        reason.UNKNOWN_EQUITY,
        reason.RISK_3_STALE,
        reason.RISK_4_DAY,
        reason.RISK_5_WEEK,
        reason.RISK_6_SIZE,
    ]


@pytest.mark.parametrize(
    ("engine", "held", "wish", "allowed"),
    [
        (TACTICAL, 4_999.0, 1.0, 1.0),  # F5
        (TACTICAL, 5_000.0, 1.0, 0.0),
        (TACTICAL, 4_000.0, 2_500.0, 1_000.0),
        (TACTICAL, 6_000.0, 1.0, 0.0),
        (CORE_HODL, 60_000.0, 4_999.0, 4_999.0),  # holdings are limited by the targets only
        (CORE_HODL, 60_000.0, 5_001.0, 5_000.0),
    ],
)
def test_risk_6_room_left(engine: int, held: float, wish: float, allowed: float) -> None:
    found = quote(engine, wish, an_exposure(position_usdt=held))
    assert found.quote_usdt == pytest.approx(allowed)
    assert found.approved == (allowed > 0)
    assert found.rule == (reason.NONE if allowed == wish else reason.RISK_6_SIZE)


@pytest.mark.parametrize(
    ("portfolio", "engine_usdt", "price", "wish", "coins"),
    [
        (100_000.0, 20_000.0, 50_000.0, 400 / 1_500, 0.1),  # F6: 13,333 cut to 5,000
        (100_000.0, 20_000.0, 40_000.0, 0.2, 0.125),  # G1
        (100_000.0, 20_000.0, 40_000.0, 0.05, 0.05),
        (100_000.0, 8_000.0, 40_000.0, 0.2, 0.1),  # half of its own equity is the narrower limit
        (50_000.0, 20_000.0, 40_000.0, 0.2, 0.0625),
    ],
)
def test_risk_6_trend_sizes(portfolio: float, engine_usdt: float, price: float, wish: float, coins: float) -> None:
    seen = an_exposure(portfolio_usdt=portfolio, engine_usdt=engine_usdt, mark=price)
    found = qty(TREND, wish, seen, price=price)
    assert found.qty == pytest.approx(coins)
    assert found.rule == (reason.NONE if coins == wish else reason.RISK_6_SIZE)


def test_risk_6_counts_what_is_held_with_what_is_new() -> None:
    for engine in (TREND, FUNDING):
        assert qty(engine, 0.1, an_exposure(position_usdt=3_000.0)).qty == pytest.approx(0.04)
        assert qty(engine, 0.1, an_exposure(position_usdt=5_000.0)) == Verdict(False, 0.0, 0.0, reason.RISK_6_SIZE)


@pytest.mark.parametrize(
    ("kelly", "wish", "coins", "rule"),
    [
        (0.05, 0.1, 0.02, reason.RISK_7_KELLY),  # 5 % of 20,000 is 1,000
        (-0.3, 0.1, 0.05, reason.RISK_7_KELLY),  # never under half of the risk-sized quantity
        (-math.inf, 0.04, 0.02, reason.RISK_7_KELLY),
        (0.5, 0.1, 0.1, reason.NONE),
        (math.inf, 0.1, 0.1, reason.NONE),
    ],
)
def test_risk_7_caps_by_kelly_with_a_floor(kelly: float, wish: float, coins: float, rule: int) -> None:
    free = RISK._replace(kelly_floor_frac=0.0) if kelly == 0.05 else RISK
    found = qty(TREND, wish, an_exposure(kelly_frac=kelly), free)
    assert (found.qty, found.rule) == (pytest.approx(coins), rule)
    assert qty(FUNDING, wish, an_exposure(kelly_frac=kelly)).qty == pytest.approx(wish)


def test_risk_7_the_floor_is_half_of_the_quantity_before_any_cut() -> None:
    # TREND-S1 asks 0.2, RISK-6 leaves 0.1; the floor of 0.1 is not half of the cut size.
    assert qty(TREND, 0.2, an_exposure(kelly_frac=-1.0)).qty == pytest.approx(0.1)
    reduced = an_exposure(kelly_frac=-1.0, state=state(reduced_until_h=START_H + 1, reduced_frac=0.25))
    assert qty(TREND, 0.08, reduced).qty == pytest.approx(0.02)


@pytest.mark.parametrize(("open_count", "approved"), [(0, True), (2, True), (3, False), (4, False)])
def test_risk_8_fourth_position_is_refused(open_count: int, approved: bool) -> None:
    found = qty(TREND, 0.01, an_exposure(open_count=open_count))
    assert (found.approved, found.rule) == (approved, reason.NONE if approved else reason.RISK_8_SLOTS)
    assert qty(FUNDING, 0.01, an_exposure(open_count=open_count)).approved


@pytest.mark.parametrize(
    ("engine", "perp", "coins"), [(TREND, 39_000.0, 0.02), (TREND, 40_000.0, 0.0), (FUNDING, 36_000.0, 0.08)]
)
def test_risk_9_leverage(engine: int, perp: float, coins: float) -> None:
    wide = RISK._replace(max_position_frac=1.0)
    found = qty(engine, 0.09, an_exposure(perp_usdt=perp, free_usdt=1e9), wide)
    assert found.qty == pytest.approx(coins)
    assert (found.approved, found.rule) == (coins > 0, reason.RISK_9_LEVERAGE)


def test_risk_9_each_engine_has_its_own_leverage() -> None:
    wide = RISK._replace(max_position_frac=1.0, trend_max_own_frac=9.0, trend_leverage=1.0, funding_leverage=3.0)
    seen = an_exposure(portfolio_usdt=1e9, free_usdt=1e9)
    assert qty(TREND, 9.0, seen, wide).qty == pytest.approx(0.4)
    assert qty(FUNDING, 9.0, seen, wide).qty == pytest.approx(1.2)


@pytest.mark.parametrize(
    ("free", "approved", "allowed"), [(5_000.0, True, 100.0), (60.0, True, 60.0), (0.0, False, 0.0), (-9.0, False, 0.0)]
)
def test_risk_10_cash_and_minimum(free: float, approved: bool, allowed: float) -> None:
    for engine in (CORE_HODL, TACTICAL):
        found = quote(engine, 100.0, an_exposure(free_usdt=free))
        assert (found.approved, found.quote_usdt) == (approved, allowed)
        assert found.rule == (reason.NONE if allowed == 100.0 else reason.RISK_10_CASH)


def test_risk_10_headroom_for_margin_fees_and_slippage() -> None:
    price = 50_000.0
    perp = 1 / 2 + 0.00055
    pair = 1.0005 / 0.999 + perp
    assert manager.unit_need_usdt(RISK, PERP, price) == pytest.approx(price * perp)
    assert manager.unit_need_usdt(RISK, PAIR, price) == pytest.approx(price * pair)
    for engine, need in ((TREND, perp), (FUNDING, pair)):
        found = qty(engine, 0.09, an_exposure(free_usdt=1_000.0))
        assert found.qty * price * need == pytest.approx(1_000.0)
        assert found.rule == reason.RISK_10_CASH
        assert not qty(engine, 0.09, an_exposure(free_usdt=-1.0)).approved


@pytest.mark.parametrize(
    ("correlation", "coins", "rule"),
    [
        (-1.0, 0.08, reason.NONE),
        (0.749, 0.08, reason.NONE),
        (0.75, 0.04, reason.RISK_11_CORRELATION),
        (0.899, 0.04, reason.RISK_11_CORRELATION),
        (0.90, 0.0, reason.RISK_11_CORRELATION),
        (0.95, 0.0, reason.RISK_11_CORRELATION),
        (math.nan, 0.0, reason.RISK_11_CORRELATION),  # unknown is not low
    ],
)
def test_risk_11_correlation(correlation: float, coins: float, rule: int) -> None:
    found = qty(TREND, 0.08, an_exposure(correlation=correlation))
    assert (found.qty, found.rule, found.approved) == (pytest.approx(coins), rule, coins > 0)
    assert qty(FUNDING, 0.08, an_exposure(correlation=correlation)).qty == pytest.approx(0.08)


def closes(returns: np.ndarray) -> np.ndarray:
    return 100 * np.concatenate(([1.0], np.cumprod(1 + returns)))


def test_risk_11_correlation_of_thirty_daily_returns_equals_numpy() -> None:
    rng = np.random.default_rng(3)
    for weight in (0.0, 0.3, 0.95, 1.0):
        market = rng.normal(0, 0.03, 90)
        a = closes(market)
        b = closes(weight * market + (1 - weight) * rng.normal(0, 0.03, 90))
        for day in (30, 47, 90):
            x, y = (
                np.diff(a[day - 30 : day + 1]) / a[day - 30 : day],
                np.diff(b[day - 30 : day + 1]) / b[day - 30 : day],
            )
            assert manager.correlation(a, b, day, 30) == pytest.approx(np.corrcoef(x, y)[0, 1])
    # F19: a pair that moves together is flagged.
    assert manager.correlation(a, b, 90, 30) >= 0.9


def test_risk_11_days_that_one_misses_are_passed_over() -> None:
    rng = np.random.default_rng(4)
    a, b = closes(rng.normal(0, 0.03, 60)), closes(rng.normal(0, 0.03, 60))
    kept = np.delete(np.arange(61), [40, 41, 55])
    expected = manager.correlation(a[kept], b[kept], len(kept) - 1, 30)
    a[[40, 55]] = np.nan
    b[[41]] = np.nan
    assert manager.correlation(a, b, 60, 30) == pytest.approx(expected)


def test_risk_11_too_few_or_flat_returns_are_unknown() -> None:
    rising = closes(np.linspace(0.01, 0.02, 40))
    assert math.isnan(manager.correlation(rising, rising, 29, 30))
    assert not math.isnan(manager.correlation(rising, rising, 30, 30))
    flat = np.full(41, 100.0)
    assert math.isnan(manager.correlation(rising, flat, 40, 30))
    assert math.isnan(manager.correlation(flat, rising, 40, 30))


def test_risk_11_later_days_are_not_seen() -> None:
    rng = np.random.default_rng(5)
    a, b = closes(rng.normal(0, 0.03, 60)), closes(rng.normal(0, 0.03, 60))
    before = manager.correlation(a, b, 40, 30)
    a[41:], b[41:] = np.nan, 7.0
    assert manager.correlation(a, b, 40, 30) == before


@pytest.mark.parametrize(
    ("changes", "approved"),
    [
        ({"orders_last_minute": 59}, True),
        ({"orders_last_minute": 60}, False),
        ({"mark": 47_620.0}, True),
        ({"mark": 47_600.0}, False),
        ({"mark": 52_631.0}, True),
        ({"mark": 52_650.0}, False),
    ],
)
def test_risk_12_rate_and_price(changes: dict[str, Any], approved: bool) -> None:
    seen = an_exposure(**changes)
    for found in (
        manager.review_quote(RISK, CORE_HODL, 100.0, 50_000.0, seen),
        manager.review_quote(RISK, TACTICAL, 100.0, 50_000.0, seen),
        qty(TREND, 0.01, seen),
        qty(FUNDING, 0.01, seen),
    ):
        refusal = reason.RISK_12_PRICE if "mark" in changes else reason.RISK_12_RATE
        assert (found.approved, found.rule) == (approved, reason.NONE if approved else refusal)


@pytest.mark.parametrize(("exposure", "allowed"), [(0.0, 1_000.0), (1_500.0, 500.0), (2_000.0, 0.0), (2_500.0, 0.0)])
def test_risk_13_armed_cap(exposure: float, allowed: float) -> None:
    armed = RISK._replace(cap_usdt=2_000.0)
    seen = an_exposure(exposure_usdt=exposure)
    for usdt in (
        quote(CORE_HODL, 1_000.0, seen, armed),
        quote(TACTICAL, 1_000.0, seen, armed),
        qty(TREND, 0.02, seen, armed),
        qty(FUNDING, 0.02, seen, armed),
    ):
        assert usdt.quote_usdt + usdt.qty * 50_000.0 == pytest.approx(allowed)
        assert usdt.approved == (allowed > 0)
        assert usdt.rule == (reason.NONE if allowed == 1_000.0 else reason.RISK_13_CAP)


def test_brk_7_size_factors_apply_before_the_caps() -> None:
    caution = an_exposure(state=state(level=1))
    assert qty(TREND, 0.08, caution).qty == pytest.approx(0.06)  # F14
    assert qty(FUNDING, 0.08, caution).qty == pytest.approx(0.08)
    # 0.2 x 0.75 is 0.15, cut to 0.1 by RISK-6: not 0.1 x 0.75.
    assert qty(TREND, 0.2, caution).qty == pytest.approx(0.1)
    reduced = an_exposure(state=state(reduced_until_h=START_H + 1, reduced_frac=0.5))
    assert qty(FUNDING, 0.08, reduced).qty == pytest.approx(0.04)
    assert quote(CORE_HODL, 400.0, reduced).quote_usdt == 400.0
    assert quote(TACTICAL, 400.0, reduced).quote_usdt == 400.0


def test_a_purchase_in_usdt_never_asks_for_coins() -> None:
    for changes in (
        {},
        {"position_usdt": 4_900.0},
        {"free_usdt": 60.0},
        {"free_usdt": 0.5},
        {"position_usdt": 4_999.5},
    ):
        found = quote(TACTICAL, 200.0, an_exposure(**changes))
        assert found.qty == 0.0
        assert found.approved
    armed = RISK._replace(cap_usdt=100.5)
    assert quote(TACTICAL, 200.0, an_exposure(exposure_usdt=100.0), armed) == Verdict(
        True, 0.0, pytest.approx(0.5), reason.RISK_13_CAP
    )


def test_what_just_fits_is_passed_as_it_is() -> None:
    # At the very limit nothing is resized, and no rule is named.
    armed = RISK._replace(cap_usdt=5_000.0)
    assert quote(TACTICAL, 5_000.0, an_exposure(free_usdt=5_000.0), armed) == Verdict(True, 0.0, 5_000.0, reason.NONE)
    assert qty(FUNDING, 0.1, an_exposure(), armed).rule == reason.NONE
    kelly = an_exposure(kelly_frac=0.25, engine_usdt=20_000.0)
    assert qty(TREND, 0.1, kelly).rule == reason.NONE
    tight = RISK._replace(max_position_frac=1.0, trend_max_own_frac=9.0)
    assert qty(TREND, 0.8, an_exposure(free_usdt=1e9), tight).rule == reason.NONE
    exact = RISK._replace(trend_leverage=1.0, perp_fee_frac=0.0)
    assert qty(TREND, 0.1, an_exposure(free_usdt=5_000.0), exact).rule == reason.NONE
    deviating = RISK._replace(price_deviation_frac=0.25)
    assert manager.review_quote(deviating, TACTICAL, 50.0, 50_000.0, an_exposure(mark=40_000.0)).approved


def test_what_just_fits_is_passed_as_it_is_whatever_the_capital() -> None:
    # Beside hundreds of thousands the tolerance vanishes in the rounding, beside thousands it does not.
    large = an_exposure(portfolio_usdt=1e7, engine_usdt=2e6, free_usdt=1e9)
    assert quote(TACTICAL, 5e5, large) == Verdict(True, 0.0, 5e5, reason.NONE)
    assert qty(FUNDING, 10.0, large).rule == reason.NONE
    wide = RISK._replace(max_position_frac=1.0, trend_max_own_frac=9.0)
    assert qty(TREND, 20.0, large._replace(kelly_frac=0.5), wide).rule == reason.NONE
    small = an_exposure(portfolio_usdt=1e6, engine_usdt=2_000.0, free_usdt=1e9)
    assert qty(TREND, 0.08, small, wide).rule == reason.NONE
    deviating = RISK._replace(price_deviation_frac=0.25)
    assert manager.review_quote(deviating, TACTICAL, 50.0, 500_000.0, an_exposure(mark=400_000.0)).approved


def test_risk_2_spot_engines_are_asked_for_what_they_are() -> None:
    seen = an_exposure(state=state(level=2))
    assert quote(CORE_HODL, 100.0, seen).approved
    assert not quote(FUNDING, 100.0, seen).approved


def test_risk_11_the_first_stored_day_counts_and_levels_do_not() -> None:
    # Exactly 31 closes give exactly 30 returns; neither is centred on zero.
    rng = np.random.default_rng(8)
    a, b = closes(0.05 + rng.normal(0, 0.01, 30)), closes(0.02 + rng.normal(0, 0.04, 30))
    x, y = np.diff(a) / a[:-1], np.diff(b) / b[:-1]
    assert manager.correlation(a, b, 30, 30) == pytest.approx(np.corrcoef(x, y)[0, 1], rel=1e-12)


def test_risk_11_returns_that_never_change_are_unknown() -> None:
    doubling = 2.0 ** np.arange(31)
    moving = closes(np.linspace(0.01, 0.02, 30))
    # Compiled code would raise where numpy divides by zero with a warning.
    with np.errstate(all="raise"):
        for pair in ((doubling, moving), (moving, doubling), (doubling, doubling)):
            assert math.isnan(manager.correlation(*pair, 30, 30))
