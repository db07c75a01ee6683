"""FUNDING's expectation, entry, exits and margin (rules FUND-1 to FUND-X2; acceptance H)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from core_builders import START_H, some_params
from eternal_engine.model import reason
from eternal_engine.strategies import funding
from eternal_engine.strategies.funding import FundingFeatures, PairObservation

PARAMS = some_params().funding


def table(rates: list[float], interval_h: float = 8.0, params: funding.FundingParams = PARAMS) -> FundingFeatures:
    """Lay out BTC's rates; the other nine symbols have none."""
    count = len(params.weights)
    stamps = START_H + np.arange(len(rates), dtype=np.int64) * int(interval_h)
    none = np.zeros(0)
    return funding.features(
        params,
        [stamps] + [np.zeros(0, np.int64)] * (count - 1),
        [np.array(rates)] + [none] * (count - 1),
        [np.full(len(rates), interval_h)] + [none] * (count - 1),
    )


def seen(settled: int, **changes: Any) -> PairObservation:
    flat = PairObservation(
        now_h=START_H + 1_000,
        settled=settled,
        settles_now=False,
        spot=60_000.0,
        perp=60_000.0,
        engine_usdt=15_000.0,
        spot_qty=0.0,
        perp_qty=0.0,
    )
    return flat._replace(**changes)


def enters(rates: list[float], interval_h: float = 8.0, **changes: Any) -> bool:
    return funding.wants_entry(PARAMS, table(rates, interval_h), 0, seen(len(rates), **changes))


def exits(rates: list[float], review_in_h: int = 1, **changes: Any) -> int:
    state = funding.initial_state(10)
    now_h = seen(1).now_h
    state.opened_h[0] = START_H
    state.review_h[0] = now_h + review_in_h
    return funding.exit_reason(PARAMS, table(rates), state, 0, seen(len(rates), **changes))


@pytest.mark.parametrize(("interval_h", "settlements"), [(8.0, 42), (4.0, 84), (2.0, 168), (1.0, 336)])
def test_fund_1_interval_is_read_per_contract(interval_h: float, settlements: int) -> None:
    rows = table([0.0001] * 5, interval_h)
    assert funding.expected_income_frac(PARAMS, rows, 0, 5) == pytest.approx(settlements * 0.0001)


def test_fund_1_mean_of_the_last_five_settled_rates() -> None:
    rates = [0.01, 0.0001, 0.0002, -0.0003, 0.0004, 0.0005, 0.9]
    rows = table(rates)
    for settled in range(1, 8):
        expected = np.mean(rates[settled - 5 : settled]) * 42 if settled >= 5 else math.nan
        assert funding.expected_income_frac(PARAMS, rows, 0, settled) == pytest.approx(expected, nan_ok=True)
    assert math.isnan(funding.expected_income_frac(PARAMS, rows, 0, 0))


def test_fund_1_a_contract_that_changes_its_interval_is_scaled_by_the_last() -> None:
    stamps = START_H + np.array([0, 8, 16, 24, 28, 32], dtype=np.int64)
    intervals = np.array([8.0, 8.0, 8.0, 8.0, 4.0, 4.0])
    params = some_params(("BTCUSDT", "ETHUSDT")).funding
    rows = funding.features(params, [stamps, stamps[:0]], [np.full(6, 0.0002), np.zeros(0)], [intervals, np.zeros(0)])
    assert funding.expected_income_frac(params, rows, 0, 4) != funding.expected_income_frac(params, rows, 0, 5)
    assert funding.expected_income_frac(params, rows, 0, 6) == pytest.approx(84 * 0.0002)


@pytest.mark.parametrize(
    ("rate", "interval_h", "entry"),
    [
        (0.0001, 8.0, False),  # H5: 42 bps against 51
        (0.0002, 8.0, True),  # 84 - 51 = 33 > 20
        (0.000169, 8.0, False),  # 70.98 - 51 < 20
        (0.00017, 8.0, True),
        (0.00008, 4.0, False),
        (0.000085, 4.0, True),
        (0.0000212, 1.0, True),
        (0.0000211, 1.0, False),
    ],
)
def test_fund_e1_income_must_beat_costs_and_edge(rate: float, interval_h: float, entry: bool) -> None:
    assert enters([rate] * 6, interval_h) == entry


def test_fund_e1_costs_follow_the_settings() -> None:
    assert PARAMS.round_trip_cost_frac == pytest.approx(0.0051)
    assert PARAMS.closing_cost_frac == pytest.approx(0.00255)
    cheap = PARAMS._replace(round_trip_cost_frac=0.001)
    assert funding.wants_entry(cheap, table([0.0001] * 6, params=cheap), 0, seen(6))


@pytest.mark.parametrize(
    ("rates", "entry"),
    [
        ([0.001] * 5, True),
        ([0.001] * 4, False),  # the window is not full
        ([0.001] * 4 + [0.0], False),
        ([0.001] * 4 + [-0.00001], False),
        ([0.001] * 3 + [-0.00001, 0.001], False),
        ([0.001, 0.001, -0.00001, 0.001, 0.001], True),
        ([], False),
    ],
)
def test_fund_e1_last_two_settlements_are_positive(rates: list[float], entry: bool) -> None:
    assert enters(rates) == entry


@pytest.mark.parametrize(
    ("perp", "entry"),
    [(60_300.0, True), (60_300.1, False), (59_700.0, True), (59_699.0, False), (math.nan, False)],
)
def test_fund_e1_basis_is_narrow(perp: float, entry: bool) -> None:
    assert enters([0.001] * 5, perp=perp) == entry


def test_fund_e1_an_unknown_spot_price_never_enters() -> None:
    assert not enters([0.001] * 5, spot=0.0)
    assert math.isnan(funding.basis_frac(0.0, 1.0))


@pytest.mark.parametrize(
    ("symbol", "engine", "usdt"),
    [(0, 15_000.0, 3_800.0), (1, 15_000.0, 3_800.0), (2, 15_000.0, 1_900.0), (3, 1e6, 0.0)],
)
def test_fund_2_notional_and_equal_coins(symbol: int, engine: float, usdt: float) -> None:
    assert funding.target_usdt(PARAMS, symbol, engine) == pytest.approx(usdt)
    # Spot in full and the margin of all perps use 0.95 of the engine.
    total = sum(funding.target_usdt(PARAMS, s, engine) for s in range(10))
    assert total * 1.5 == pytest.approx(0.95 * engine)


def test_fund_2_more_leverage_needs_less_margin() -> None:
    assert funding.target_usdt(PARAMS._replace(leverage=1.0), 0, 10_000.0) == pytest.approx(0.4 * 9_500 / 2)


@pytest.mark.parametrize(
    ("spot", "perp", "drift"),
    [
        (1.02, 1.0, 0.0),
        (1.0201, 1.0, 0.0201),
        (0.98, 1.0, 0.0),
        (0.9799, 1.0, -0.0201),
        (0.5, 0.0, 0.5),
        (0.0, 0.3, -0.3),
    ],
)
def test_fund_4_drift_strictly_above_the_limit(spot: float, perp: float, drift: float) -> None:
    assert funding.hedge_drift_qty(PARAMS, spot, perp) == pytest.approx(drift)


@pytest.mark.parametrize(
    ("rates", "changes", "why"),
    [
        ([0.0002] * 5, {}, reason.NONE),
        ([-0.001] * 5, {}, reason.FUND_EXIT),  # H4
        ([0.0001, 0.0001, 0.0001, 0.0001, -0.00041], {}, reason.FUND_EXIT),
        ([0.0001, 0.0001, 0.0001, 0.0001, -0.0003], {}, reason.NONE),
        ([0.0002] * 5, {"perp": 61_206.0}, reason.FUND_EXIT_BASIS),  # H8: +2.01 %
        ([0.0002] * 5, {"perp": 61_200.0}, reason.NONE),
        ([0.0002] * 5, {"perp": 58_794.0}, reason.FUND_EXIT_BASIS),
        ([0.0002] * 5, {"perp": 58_800.0}, reason.NONE),
        ([0.00003] * 5, {}, reason.NONE),
    ],
)
def test_fund_x1_reasons(rates: list[float], changes: dict[str, float], why: int) -> None:
    assert exits(rates, **changes) == why


@pytest.mark.parametrize(
    ("rate", "why"), [(0.0000303, reason.FUND_EXIT_CARRY), (0.0000304, reason.NONE), (0.0002, reason.NONE)]
)
def test_fund_x1_carry_is_looked_at_every_fourteen_days(rate: float, why: int) -> None:
    # Half of the closing costs of 25.5 bps is 12.75; 42 settlements at 0.00304 % bring 12.77.
    assert exits([rate] * 5, review_in_h=0) == why
    assert exits([rate] * 5, review_in_h=-5) == why
    assert exits([rate] * 5, review_in_h=1) == reason.NONE


def test_fund_x1_reviews_stay_on_their_fourteen_days() -> None:
    state = funding.opened(PARAMS, funding.initial_state(10), 0, START_H)
    assert state.review_h[0] == START_H + 336
    for now_h, next_h in ((336, 672), (340, 672), (671, 672), (672, 1_008), (2_000, 2_016)):
        assert funding.reviewed(PARAMS, state, 0, START_H + now_h).review_h[0] == START_H + next_h


@pytest.mark.parametrize(
    ("margin", "notional", "low"),
    [(29.0, 100.0, True), (29.999, 100.0, True), (30.0, 100.0, False), (31.0, 100.0, False), (-5.0, 0.0, False)],
)
def test_fund_x2_margin_ratio(margin: float, notional: float, low: bool) -> None:
    assert funding.margin_is_low(PARAMS, margin, notional) == low


def test_fund_x2_grows_back_at_a_later_settlement_only() -> None:
    state = funding.was_cut(funding.opened(PARAMS, funding.initial_state(10), 0, START_H), 0, START_H + 8)
    assert (state.cut[0], state.cut_h[0]) == (True, START_H + 8)
    at = [
        funding.may_grow(state, 0, seen(9, now_h=START_H + h, settles_now=settles))
        for h, settles in ((8, True), (9, False), (16, False), (16, True))
    ]
    assert at == [False, False, False, True]
    grown = funding.opened(PARAMS, state, 0, START_H + 16)
    assert not funding.may_grow(grown, 0, seen(9, now_h=START_H + 24, settles_now=True))
    assert (grown.opened_h[0], grown.review_h[0]) == (START_H, START_H + 336)


def test_fund_e1_one_settlement_is_enough_where_the_settings_say_so() -> None:
    params = PARAMS._replace(rate_window=1, positive_settlements=1)
    rows = table([0.001], params=params)
    assert funding.expected_income_frac(params, rows, 0, 1) == pytest.approx(0.042)
    assert funding.wants_entry(params, rows, 0, seen(1))
    assert not funding.wants_entry(params, rows, 0, seen(0))


def test_fund_e1_an_income_of_just_costs_and_edge_is_not_above_them() -> None:
    income = funding.expected_income_frac(PARAMS, table([0.0001] * 5), 0, 5)
    for edge, enters_at in ((income, False), (income - 1e-9, True)):
        params = PARAMS._replace(round_trip_cost_frac=0.0, entry_edge_frac=edge)
        assert funding.wants_entry(params, table([0.0001] * 5, params=params), 0, seen(5)) is enters_at


def test_fund_x1_a_carry_of_just_what_staying_must_pay_is_enough() -> None:
    rows, state = table([0.0001] * 5), funding.initial_state(10)
    income = funding.expected_income_frac(PARAMS, rows, 0, 5)
    for share, why in ((income, reason.NONE), (income + 1e-9, reason.FUND_EXIT_CARRY)):
        params = PARAMS._replace(closing_cost_frac=1.0, carry_cost_share_frac=share)
        assert funding.exit_reason(params, rows, state, 0, seen(5)) == why


def test_fund_1_the_first_settlement_of_a_new_interval_counts() -> None:
    stamps = START_H + np.array([0, 8, 16, 24, 32, 36], dtype=np.int64)
    intervals = np.array([8.0, 8.0, 8.0, 8.0, 8.0, 4.0])
    rows = funding.features(PARAMS, [stamps] * 10, [np.full(6, 0.0001)] * 10, [intervals] * 10)
    found = [funding.expected_income_frac(PARAMS, rows, 0, settled) for settled in (5, 6)]
    assert found == [pytest.approx(0.0042), pytest.approx(0.0084)]


def test_fund_e1_a_coin_below_one_usdt_has_a_basis_too() -> None:
    assert funding.basis_frac(0.1, 0.1001) == pytest.approx(0.001)
    assert math.isnan(funding.basis_frac(0.0, 0.1))


def test_fund_x2_a_position_below_one_usdt_has_a_margin_too() -> None:
    assert funding.margin_is_low(PARAMS, 0.1, 0.9)


def test_fund_x1_funding_of_exactly_nothing_is_not_below_zero() -> None:
    assert exits([0.0] * 5) == reason.NONE
    assert exits([-1e-9] * 5) == reason.FUND_EXIT


def test_a_pair_that_was_cut_and_closed_is_begun_anew() -> None:
    first = funding.initial_state(2)
    state = funding.was_cut(funding.opened(PARAMS, first, 0, START_H), 0, START_H + 8)
    state = funding.opened(PARAMS, funding.closed(state, 0), 0, START_H + 99)
    assert (state.opened_h[0], state.review_h[0], state.cut[0]) == (START_H + 99, START_H + 99 + 336, False)
    cut = funding.closed(funding.was_cut(first, 0, START_H), 0).cut
    assert (cut.tolist(), [column.dtype for column in first]) == (
        [False, False],
        [np.int64, np.int64, np.bool_, np.int64],
    )


def test_settlements_are_laid_out_even_where_the_engine_is_off() -> None:
    on, off = table([0.001] * 6), table([0.001] * 6, params=PARAMS._replace(enabled=False))
    for name in ("stamp_h", "rate"):
        assert np.array_equal(getattr(on, name), getattr(off, name), equal_nan=True)
    assert (on.rate[0].tolist(), on.rate[1:].size, np.isnan(on.rate[1:]).all()) == ([0.001] * 6, 54, True)
    assert all(column.shape == on.rate.shape for column in off)
    assert np.isnan(off.interval_h).all()
    assert np.isnan(off.mean_rate).all()
    assert not (off.positive | off.pays).any()
    assert [column.dtype for column in off] == [column.dtype for column in on]


def test_a_pair_is_forgotten_alone() -> None:
    state = funding.opened(PARAMS, funding.initial_state(10), 0, START_H)
    state = funding.closed(funding.opened(PARAMS, state, 2, START_H + 5), 0)
    assert (state.opened_h[0], state.review_h[0], state.cut[0]) == (0, 0, False)
    assert state.opened_h[2] == START_H + 5


def test_features_of_symbols_without_weight_or_rates_are_empty() -> None:
    params = some_params(("BTCUSDT", "ETHUSDT", "SOLUSDT")).funding
    stamps = [START_H + np.arange(8, dtype=np.int64) * 8] * 3
    rows = funding.features(params, stamps, [np.full(8, 0.001)] * 3, [np.full(8, 8.0)] * 3)
    assert np.isnan(rows.mean_rate[2]).all()
    assert not rows.positive[2].any()
    nothing = funding.features(params, [np.zeros(0, np.int64)] * 3, [np.zeros(0)] * 3, [np.zeros(0)] * 3)
    assert (nothing.stamp_h == funding.NEVER_H).all()
    assert nothing.stamp_h.shape == (3, 1)
