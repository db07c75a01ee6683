"""TREND's entries, stops and trails (rules TREND-E1 to TREND-X1; acceptance G)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from core_builders import some_params
from eternal_engine.model import reason
from eternal_engine.strategies import trend
from eternal_engine.strategies.base import BUY, PERP, SELL, TREND, Signal, reduce_signal
from eternal_engine.strategies.indicators import DailyBars
from eternal_engine.strategies.trend import TrendFeatures, TrendObservation, TrendState

PARAMS = some_params().trend


def rows(count: int = 1, **changes: Any) -> TrendFeatures:
    """Build one day's features of `count` symbols that ask for a long entry; numbers or lists change them."""
    good = {
        "close": 40_000.0,
        "sma": 30_000.0,
        "ema": 35_000.0,
        "adx": 30.0,
        "atr": 1_000.0,
        "volume": 10.0,
        "volume_mean": 10.0,
    }
    arrays = {
        name: np.broadcast_to(np.asarray(changes.get(name, value), np.float64), count).reshape(count, 1).copy()
        for name, value in good.items()
    }
    whole = {
        name: np.broadcast_to(np.asarray(changes.get(name, value), np.int64), count).reshape(count, 1).copy()
        for name, value in (("days_known", 200), ("bars", 24))
    }
    return TrendFeatures(**arrays, **whole)


def seen(count: int = 1, **changes: Any) -> TrendObservation:
    free = TrendObservation(
        day=0,
        engine_usdt=20_000.0,
        price=np.full(count, 40_000.0),
        tradable=np.ones(count, np.bool_),
        busy=np.zeros(count, np.bool_),
        held_qty=np.zeros(count),
        tick=np.full(count, 0.5),
    )
    return free._replace(**changes)


def held(side: int = 1, entry: float = 30_000.0, atr: float = 1_000.0, **changes: Any) -> TrendState:
    stop = trend.stop_price(PARAMS, side, entry, atr, 0.5)
    state = trend.opened(trend.initial_state(1), 0, side, entry, atr, stop, 0.1)
    return state._replace(**changes)


def entries(table: TrendFeatures, params: trend.TrendParams = PARAMS, **changes: Any) -> list[Signal]:
    count = len(table.close)
    _, _, candidates = trend.decide(params, table, trend.initial_state(count), seen(count, **changes))
    return candidates


def test_trend_e1_enters_long_when_all_conditions_hold() -> None:
    (signal,) = entries(rows())
    assert (signal.side, signal.market, signal.reduces) == (BUY, PERP, False)
    assert (signal.reason, signal.price, signal.atr) == (reason.TREND_ENTRY, 40_000.0, 1_000.0)


@pytest.mark.parametrize(
    "changes",
    [
        {"close": 30_000.0},  # G7: exactly at the mean is not above it
        {"close": 29_999.0},
        {"ema": 30_000.0},
        {"ema": 29_000.0},
        {"adx": 25.0},
        {"adx": 24.9},
        {"adx": np.nan},
        {"atr": 7_001.0},  # two of them are more than 0.35 of the price
        {"atr": 0.0},
        {"atr": np.nan},
        {"sma": np.nan},
        {"ema": np.nan},
        {"close": np.nan},
        {"days_known": 199},
        {"bars": 19},
    ],
)
def test_trend_e1_each_condition_refuses_alone(changes: dict[str, float]) -> None:
    assert entries(rows(**changes)) == []


@pytest.mark.parametrize("changes", [{"adx": 25.0001}, {"atr": 7_000.0}, {"bars": 20}, {"close": 30_000.01}])
def test_trend_e1_passes_just_beyond_the_limit(changes: dict[str, float]) -> None:
    assert len(entries(rows(**changes))) == 1


@pytest.mark.parametrize("changes", [{"tradable": np.array([False])}, {"busy": np.array([True])}])
def test_trend_e1_needs_a_tradable_free_symbol(changes: dict[str, Any]) -> None:
    assert entries(rows(), **changes) == []


def test_trend_e1_no_second_entry_in_a_symbol() -> None:
    _, _, candidates = trend.decide(PARAMS, rows(), held(), seen(held_qty=np.array([0.1])))
    assert candidates == []


def test_trend_e1_candidates_rank_by_adx_and_ties_by_order() -> None:
    table = rows(6, adx=[30.0, 50.0, 26.0, 50.0, 20.0, 40.0])
    assert [signal.symbol for signal in entries(table)] == [1, 3, 5, 0, 2]


def test_trend_e1_volume_filter_is_an_option() -> None:
    on = PARAMS._replace(volume_filter=True)
    for volume, passes in ((10.0, True), (9.99, False), (np.nan, False)):
        assert len(entries(rows(volume=volume), on)) == passes
        assert len(entries(rows(volume=volume))) == 1
    assert entries(rows(volume_mean=np.nan), on) == []


def test_trend_e1_the_volume_that_counts_is_the_coins_own_of_the_day() -> None:
    on = PARAMS._replace(volume_filter=True)
    loud, quiet = rows(2, volume=[10.0, 9.0]), rows(2, volume=[9.0, 10.0])
    table = week(loud, quiet)
    for day, symbol in ((0, 0), (1, 1)):
        _, _, found = trend.decide(on, table, trend.initial_state(2), seen(2, day=day))
        assert [signal.symbol for signal in found] == [symbol]
    assert (trend.calendar(on, table) & trend.ENTERS).astype(bool).tolist() == [[True, False], [False, True]]
    assert (trend.calendar(PARAMS, table) & trend.ENTERS).all()


def test_trend_e1_shorts_are_the_mirror_image() -> None:
    down = rows(close=20_000.0, ema=25_000.0)
    assert entries(down) == []
    on = PARAMS._replace(shorts=True)
    (signal,) = entries(down, on)
    assert signal.side == SELL
    assert entries(rows(close=20_000.0, ema=30_000.0), on) == []
    assert entries(rows(close=30_000.0, ema=25_000.0), on) == []
    assert entries(rows(), on)[0].side == BUY


@pytest.mark.parametrize(
    ("engine", "entry", "atr", "stop", "qty"),
    [
        (20_000.0, 40_000.0, 1_000.0, 38_000.0, 0.2),
        (20_000.0, 40_000.0, 4_000.0, 32_000.0, 0.05),
        (9e3, 100, 3, 94, 30),
    ],
)
def test_trend_s1_stop_and_quantity(engine: float, entry: float, atr: float, stop: float, qty: float) -> None:
    assert trend.stop_price(PARAMS, BUY, entry, atr, 0.5) == stop
    assert trend.stop_price(PARAMS, SELL, entry, atr, 0.5) == 2 * entry - stop
    assert trend.risk_qty(PARAMS, engine, atr) == pytest.approx(qty)
    (signal,) = entries(rows(close=entry, atr=atr, sma=entry / 2, ema=entry), engine_usdt=engine)
    assert signal.qty == pytest.approx(qty)
    assert signal.stop_distance == entry - stop
    # What is lost at the stop is the fraction of the engine's equity.
    assert signal.qty * signal.stop_distance == pytest.approx(0.02 * engine)


@pytest.mark.parametrize(("side", "stop"), [(BUY, 38_999.5), (SELL, 41_000.5)])
def test_trend_x3_a_stop_rests_on_a_tick_away_from_the_entry(side: int, stop: float) -> None:
    assert trend.stop_price(PARAMS, side, 40_000.0, 500.1, 0.5) == stop


def trailed(closes: list[float], side: int = 1) -> list[tuple[bool, float]]:
    state = held(side)
    out = []
    for close in closes:
        state = trend.trailed(PARAMS, state, 0, close, 0.5)
        out.append((bool(state.trailing[0]), float(state.stop[0])))
    return out


def test_trend_s2_trail_activates_and_only_rises() -> None:
    # G2: entry 30,000, ATR 1,000: active from the first close of 32,000; the best close of 36,000 gives 33,000.
    found = trailed([31_999.0, 32_000.0, 34_000.0, 36_000.0, 31_000.0, 35_999.0, 40_000.0])
    assert found == [
        (False, 28_000.0),
        (True, 29_000.0),
        (True, 31_000.0),
        (True, 33_000.0),
        (True, 33_000.0),
        (True, 33_000.0),
        (True, 37_000.0),
    ]


def test_trend_s2_the_trail_never_widens_the_first_stop() -> None:
    # Three ATR below a close two ATR up is above the first stop; a wider trail must not lower it.
    wide = PARAMS._replace(trail_atr=6.0)
    state = trend.trailed(wide, held(), 0, 32_000.0, 0.5)
    assert (state.trailing[0], state.stop[0]) == (True, 28_000.0)


def test_trend_s2_closes_before_activation_count_for_the_best() -> None:
    late = PARAMS._replace(trail_start_atr=4.0)
    state = trend.trailed(late, held(), 0, 33_900.0, 0.5)
    assert state.best_close[0] == 33_900.0
    assert trend.trailed(late, state, 0, 34_000.0, 0.5).stop[0] == 31_000.0


def test_trend_s2_shorts_mirror() -> None:
    found = trailed([28_001.0, 28_000.0, 24_000.0, 26_000.0], side=-1)
    assert found == [(False, 32_000.0), (True, 31_000.0), (True, 27_000.0), (True, 27_000.0)]


def test_trend_s2_a_daily_decision_advances_the_trail() -> None:
    table = rows(close=36_000.0)
    state, exits, _ = trend.decide(PARAMS, table, held(), seen(held_qty=np.array([0.1])))
    assert (exits, state.stop[0], state.best_close[0]) == ([], 33_000.0, 36_000.0)
    poor = rows(close=36_000.0, bars=19)
    state, _, _ = trend.decide(PARAMS, poor, held(), seen(held_qty=np.array([0.1])))
    assert state.stop[0] == 28_000.0


@pytest.mark.parametrize(("close", "exits"), [(29_999.99, 1), (30_000.0, 0), (30_000.01, 0)])
@pytest.mark.parametrize("side", [1, -1])
def test_trend_x1_close_below_the_mean_exits(close: float, exits: int, side: int) -> None:
    mirrored = 30_000.0 + side * (close - 30_000.0)
    table = rows(close=mirrored)
    _, found, candidates = trend.decide(PARAMS, table, held(side), seen(held_qty=np.array([0.1 * side])))
    assert (len(found), candidates) == (exits, [])
    if found:
        assert (found[0].side, found[0].qty, found[0].reduces) == (-side, 0.1, True)
        assert found[0].reason == reason.TREND_EXIT


def week(*days: TrendFeatures) -> TrendFeatures:
    """Put days of features side by side."""
    return TrendFeatures(*(np.concatenate(columns, axis=1) for columns in zip(*days, strict=True)))


def test_trend_each_symbol_is_decided_by_its_own_row_of_the_day() -> None:
    # Not traded, long that leaves, short that leaves, long that stays, enters, too young.
    others = rows(6, close=np.nan, adx=[90.0, 1.0, 90.0, 1.0, 90.0, 1.0], bars=0, days_known=[0, 0, 0, 0, 0, 300])
    close = np.array([40_000.0, 29_000.0, 31_000.0, 36_000.0, 40_000.0, 40_000.0])
    table = week(others, rows(6, close=close, days_known=[200, 200, 200, 200, 200, 199]), others)
    state = trend.initial_state(6)
    for s, side in ((1, BUY), (2, SELL), (3, BUY)):
        state = trend.opened(state, s, side, 30_000.0, 1_000.0, 30_000.0 - side * 2_000.0, 0.1)
    asked = seen(
        6,
        day=1,
        price=close + 1.0,
        tradable=np.array([False, True, True, True, True, True]),
        held_qty=np.array([0.0, 0.1, -0.2, 0.3, 0.0, 0.0]),
    )
    after, found, (entry,) = trend.decide(PARAMS, table, state, asked)
    assert found == [
        reduce_signal(TREND, 1, PERP, SELL, 0.1, 29_001.0, reason.TREND_EXIT),
        reduce_signal(TREND, 2, PERP, BUY, 0.2, 31_001.0, reason.TREND_EXIT),
    ]
    assert after.stop.tolist() == [0.0, 28_000.0, 32_000.0, 33_000.0, 0.0, 0.0]
    stop_distance = PARAMS.stop_atr * 1_000.0
    qty = trend.risk_qty(PARAMS, 20_000.0, 1_000.0)
    assert entry == Signal(
        TREND, 4, PERP, BUY, False, qty, 0.0, 40_001.0, reason.TREND_ENTRY, stop_distance, 1_000.0, 0.0, 0
    )


@pytest.mark.parametrize(
    ("strengths", "order"), [([30.0, 40.0], [1, 0]), ([40.0, 30.0, 35.0], [0, 2, 1]), ([30.0, 30.0], [0, 1])]
)
def test_trend_e1_the_rank_is_of_the_day_that_is_decided(strengths: list[float], order: list[int]) -> None:
    count = len(strengths)
    others = rows(count, adx=strengths[::-1])
    table = week(others, rows(count, adx=strengths), others)
    found = trend.decide(PARAMS, table, trend.initial_state(count), seen(count, day=1))[2]
    assert [signal.symbol for signal in found] == order


def test_trend_s2_a_close_that_moves_nothing_leaves_the_state_itself() -> None:
    state = trend.trailed(PARAMS, held(), 0, 36_000.0, 0.5)
    assert trend.trailed(PARAMS, state, 0, 35_999.0, 0.5) is state
    assert trend.trailed(PARAMS, state, 0, 36_001.0, 0.5) is not state


def test_trend_x1_waits_for_its_own_order() -> None:
    table = rows(close=29_000.0)
    busy = seen(held_qty=np.array([0.1]), busy=np.array([True]))
    assert trend.decide(PARAMS, table, held(), busy)[1] == []


def test_the_calendar_says_what_the_rules_say_of_every_day() -> None:
    table = rows(
        7,
        close=[40_000.0, 29_000.0, 40_000.0, 40_000.0, 30_000.0, 40_000.0, np.nan],
        adx=[30.0, 30.0, 20.0, 30.0, 30.0, 30.0, 30.0],
        days_known=[200, 200, 200, 199, 200, 200, 200],
        bars=[24, 24, 24, 23, 24, 19, 24],
    )
    always = trend.DECIDES | trend.WHOLE
    assert trend.calendar(PARAMS, table).tolist() == [
        [
            always | trend.ENTERS | trend.ENDS_SHORT,
            always | trend.ENDS_LONG,
            always | trend.ENDS_SHORT,
            trend.DECIDES | trend.ENDS_SHORT,
            always,
            0,
            always,
        ]
    ]
    for s in range(7):
        for side in (BUY, SELL):
            bit = trend.ENDS_LONG if side == BUY else trend.ENDS_SHORT
            state = trend.initial_state(7)
            state.side[s] = side
            said = bool(trend.calendar(PARAMS, table)[0, s] & bit)
            assert said == (trend.day_decides(table, s, 0) and trend.leaves(table, state, s, 0))
    assert trend.calendar(PARAMS._replace(enabled=False), table).shape == (0, 7)


def test_the_calendar_says_it_of_each_day_and_symbol_of_a_table() -> None:
    days = [
        rows(4, close=[40_000.0, 29_000.0, np.nan, 40_000.0], bars=[19, 24, 24, 24]),
        rows(4, close=[29_000.0, 40_000.0, 40_000.0, 30_000.0], days_known=[200, 199, 200, 200]),
        rows(4, close=[40_000.0, 40_000.0, 29_000.0, 40_000.0], adx=[30.0, 20.0, 30.0, 30.0]),
    ]
    one_by_one = [trend.calendar(PARAMS, day)[0].tolist() for day in days]
    assert trend.calendar(PARAMS, week(*days)).tolist() == one_by_one
    assert len({bits for day in one_by_one for bits in day}) > 4


def test_trend_e1_a_coin_that_moves_by_less_than_one_usdt_enters_too() -> None:
    (signal,) = entries(rows(close=0.1, sma=0.08, ema=0.09, atr=0.004))
    assert signal.atr == 0.004


def test_before_the_first_entry_nothing_is_held() -> None:
    state = trend.initial_state(2)
    assert [(column.tolist(), column.dtype.kind) for column in (state.side, state.trailing, state.stop)] == [
        ([0, 0], "i"),
        ([False, False], "b"),
        ([0.0, 0.0], "f"),
    ]


def test_what_is_changed_in_place_leaves_copies_alone() -> None:
    before = held()
    mine = trend.copied(before)
    trend.trail_in_place(PARAMS, mine, 0, 60_000.0, 0.5)
    assert mine.stop[0] > before.stop[0]
    assert (mine.trailing[0], mine.trailing.dtype) == (True, np.bool_)
    trend.close_in_place(mine, 0)
    assert not mine.trailing[0]
    assert (mine.side[0], before.side[0], before.trailing[0]) == (0, 1, False)
    whole = [column.tolist() for column in before]
    for column in trend.copied(before):
        column[:] = 1
    assert [column.tolist() for column in before] == whole


def test_u_10_without_the_bar_just_closed_nothing_is_decided() -> None:
    table = rows(close=29_000.0)
    blind = seen(held_qty=np.array([0.1]), tradable=np.array([False]))
    assert trend.decide(PARAMS, table, held(), blind)[1] == []


def test_a_position_is_taken_over_and_forgotten_without_touching_others() -> None:
    state = trend.opened(trend.initial_state(3), 1, BUY, 100.0, 2.0, 96.0, 7.0)
    assert (state.side[1], state.entry[1], state.stop[1], state.base_qty[1]) == (1, 100.0, 96.0, 7.0)
    assert (state.trailing[1], state.best_close[1]) == (False, -np.inf)
    state = trend.closed(trend.opened(state, 2, SELL, 50.0, 1.0, 52.0, 3.0), 1)
    assert state.side.tolist() == [0, 0, -1]
    assert state.stop.tolist() == [0.0, 0.0, 52.0]
    assert state.base_qty.tolist() == [0.0, 0.0, 3.0]


def test_features_hold_the_volume_mean_only_when_it_is_asked_for() -> None:
    days = 240
    close = np.linspace(100, 200, days)[None]
    bars = DailyBars(close + 1, close - 1, close, np.ones((1, days)), np.full((1, days), 24))
    off = trend.features(PARAMS, bars)
    on = trend.features(PARAMS._replace(volume_filter=True), bars)
    assert off.volume_mean.shape == (1, 1)
    assert on.volume_mean[0, -1] == 1.0
    assert (on.volume[0, -1], on.bars[0, -1]) == (1.0, 24)
    assert off.days_known[0, -1] == days
    assert trend.entry_side(PARAMS, off, 0, days - 1) == BUY
    assert [trend.is_warm(PARAMS, off, 0, day) for day in (198, 199)] == [False, True]
