"""TACTICAL's levels, options and exits (rules TACT-1 to TACT-X1; acceptance I)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core_builders import START_H, TWO, some_params
from eternal_engine.model import reason
from eternal_engine.strategies import tactical
from eternal_engine.strategies.base import SELL, SPOT, TACTICAL, buy_quote_signal, reduce_signal
from eternal_engine.strategies.indicators import DailyBars
from eternal_engine.strategies.tactical import NO_LEVEL, TacticalFeatures, TacticalObservation, TacticalState

PARAMS = some_params(TWO).tactical
BTC, ETH = 0, 1


def rows(
    btc: list[float], *, highs: list[float] | None = None, eth: list[float] | None = None,
    fear: list[float] | None = None, funding: list[float] | None = None, bars: int = 24,
) -> TacticalFeatures:  # fmt: skip
    """Build daily rows; the highs default to the closes."""
    days = len(btc)
    close = np.array([btc, eth or [1_000.0] * days])
    high = np.array([highs or btc, close[1]])
    daily = DailyBars(high, close, close, np.ones((2, days)), np.full((2, days), bars))
    unknown = np.full(days, np.nan)
    return tactical.features(
        PARAMS, daily, unknown if fear is None else np.array(fear), unknown if funding is None else np.array(funding)
    )


def seen(day: int, table: TacticalFeatures, **changes: Any) -> TacticalObservation:
    flat = TacticalObservation(
        now_h=START_H + 24 * (day + 1),
        day=day,
        cash_usdt=5_000.0,
        price=table.close[:, day].copy(),
        fresh=np.ones(2, np.bool_),
        busy=np.zeros(2, np.bool_),
        held_qty=np.zeros(2),
        cost_usdt=np.zeros(2),
        min_usdt=np.full(2, 5.0),
    )
    return flat._replace(**changes)


class Life:
    """Live day by day; every purchase is filled in full at the close, without costs, unless refused."""

    def __init__(self, params: tactical.TacticalParams = PARAMS, cash: float = 5_000.0) -> None:
        self.params, self.cash = params, cash
        self.state: TacticalState = tactical.initial_state(params)
        self.qty, self.cost = np.zeros(2), np.zeros(2)
        self.refused: set[int] = set()
        self.limit_usdt = np.inf

    def day(self, table: TacticalFeatures, day: int, **changes: Any) -> tuple[dict[int, float], list[int]]:
        at = seen(day, table, cash_usdt=self.cash, held_qty=self.qty.copy(), cost_usdt=self.cost.copy(), **changes)
        self.state, exits, buys = tactical.decide(self.params, table, self.state, at)
        for signal in exits:
            assert (signal.side, signal.market, signal.reduces) == (SELL, SPOT, True)
            self.cash += signal.qty * signal.price
            self.qty[signal.symbol] = self.cost[signal.symbol] = 0.0
        bought: dict[int, float] = {}
        for signal in buys:
            s, usdt = signal.symbol, min(signal.quote_usdt, self.limit_usdt)
            bought[s] = bought.get(s, 0.0) + signal.quote_usdt
            if s in self.refused:
                continue
            flat = self.qty[s] == 0.0
            self.cash -= usdt
            self.qty[s] += usdt / signal.price
            self.cost[s] += usdt
            self.state = tactical.on_buy(self.state, s, signal.level, usdt, at.now_h, flat)
        return bought, [signal.reason for signal in exits]


def test_tact_1_high_is_point_in_time() -> None:
    table = rows([60_000, 30_000, 64_000, 30_000], highs=[60_500, 31_000, 69_000, 32_000])
    assert table.btc_high.tolist() == [60_500, 60_500, 69_000, 69_000]
    falls = [tactical.drawdown_frac(table.close[0, d], table.btc_high[d]) for d in range(4)]
    assert falls == [pytest.approx(f) for f in (1 - 60 / 60.5, 1 - 30 / 60.5, 1 - 64 / 69, 1 - 30 / 69)]
    assert np.isnan(tactical.drawdown_frac(1.0, 0.0))


@pytest.mark.parametrize(
    ("closes", "bought"),
    [
        ([69_000, 34_500.0], {BTC: 2_000.0, ETH: 500.0}),  # I2
        ([69_000, 34_501.0], {}),
        ([69_000, 20_010.0], {BTC: 4_000.0, ETH: 1_000.0}),  # I3: both levels at once
        ([69_000, 20_700.0], {BTC: 4_000.0, ETH: 1_000.0}),
        ([69_000, 20_701.0], {BTC: 2_000.0, ETH: 500.0}),
    ],
)
def test_tact_e1_levels_deploy_halves_of_the_budget(closes: list[float], bought: dict[int, float]) -> None:
    life, table = Life(), rows(closes)
    assert life.day(table, 0) == ({}, [])
    assert life.day(table, 1)[0] == {s: pytest.approx(usdt) for s, usdt in bought.items()}


def test_tact_e1_the_second_level_fires_while_the_first_is_held() -> None:
    # I4: the budget is cash plus the cost of what is held, so both halves are equal.
    life, table = Life(), rows([69_000, 34_000, 33_000, 20_000, 19_000])
    found = [life.day(table, d)[0] for d in range(5)]
    half = {BTC: pytest.approx(2_000.0), ETH: pytest.approx(500.0)}
    assert found == [{}, half, {}, half, {}]
    assert life.cash == pytest.approx(0.0)


def test_tact_e1_a_level_passed_at_the_first_start_fires() -> None:
    table = rows([69_000, 30_000, 29_000])
    assert sum(Life().day(table, 2)[0].values()) == pytest.approx(2_500.0)


def test_tact_e1_the_sum_is_fixed_when_it_fires_and_what_is_refused_stays_armed() -> None:
    life, table = Life(), rows([69_000, 34_000, 34_000, 36_000, 33_000])
    life.refused = {ETH}
    life.day(table, 0)
    assert life.day(table, 1)[0] == {BTC: pytest.approx(2_000.0), ETH: pytest.approx(500.0)}
    life.cash += 9_000.0  # more cash does not change what was fixed
    assert life.day(table, 2)[0] == {ETH: pytest.approx(500.0)}
    life.refused = set()
    assert life.day(table, 3)[0] == {}  # above the level nothing is bought
    assert life.day(table, 4)[0] == {ETH: pytest.approx(500.0)}
    assert life.day(table, 4)[0] == {}


def test_tact_e1_what_a_limit_cuts_off_stays_armed() -> None:
    life, table = Life(), rows([69_000] + [34_000] * 4)
    life.limit_usdt = 800.0
    asked = [life.day(table, d)[0].get(BTC, 0.0) for d in range(5)]
    assert asked == [0.0] + [pytest.approx(usdt) for usdt in (2_000.0, 1_200.0, 400.0, 0.0)]


def test_tact_e1_at_most_the_cash() -> None:
    life, table = Life(cash=1_000.0), rows([69_000, 34_000, 20_000])
    life.cost[BTC], life.qty[BTC] = 4_000.0, 0.1
    life.state.first_buy_h[BTC] = START_H
    life.day(table, 0)
    assert sum(life.day(table, 1)[0].values()) == pytest.approx(1_000.0)
    assert life.day(table, 2)[0] == {}


def test_tact_e1_money_armed_below_one_level_is_not_promised_to_the_next() -> None:
    life, table = Life(cash=1_000.0), rows([69_000, 34_000, 20_000])
    life.refused = {BTC, ETH}
    for day in range(3):
        life.day(table, day)
    assert life.state.armed_usdt.sum() == pytest.approx(1_000.0)


def test_tact_e1_a_second_level_takes_what_the_first_has_not_armed() -> None:
    table = rows([69_000.0, 20_000.0])
    armed = np.array([[700.0, 200.0], [0.0, 0.0]])
    state = tactical.initial_state(PARAMS)._replace(high=69_000.0, fired=np.array([True, False]), armed_usdt=armed)
    after, _, _ = tactical.decide(PARAMS, table, state, seen(1, table, cash_usdt=1_000.0, cost_usdt=np.full(2, 5e3)))
    assert after.armed_usdt.tolist() == [[700.0, 200.0], [pytest.approx(80.0), pytest.approx(20.0)]]
    for levels in (1, 3):
        assert tactical.armed_usdt(state._replace(armed_usdt=np.ones((levels, 2)))) == 2.0 * levels


def test_tact_1_the_high_is_bitcoins_wherever_it_stands_in_the_list_and_whatever_it_costs() -> None:
    close = np.array([[9.0, 9.0], [0.8, 0.4], [7.0, 7.0]])
    daily = DailyBars(close, close, close, close, np.full((3, 2), 24))
    unknown = np.full(2, np.nan)
    table = tactical.features(PARAMS._replace(btc=1), daily, unknown, unknown)
    assert table.btc_high.tolist() == [0.8, 0.8]
    assert tactical.drawdown_frac(0.4, 0.8) == 0.5


def test_tact_e1_levels_rearm_at_a_new_high_only() -> None:
    # I5
    life, table = Life(cash=50_000.0), rows([69_000, 34_000, 68_999, 34_000, 70_000, 34_999])
    found = [sum(life.day(table, d)[0].values()) for d in range(5)]
    assert found == [0, pytest.approx(25_000.0), 0, 0, 0]
    # BTC doubled and was sold at 70,000: its money is cash again, and the budget is all there is.
    budget = life.cash + life.cost.sum()
    assert life.cost[BTC] == 0.0
    assert sum(life.day(table, 5)[0].values()) == pytest.approx(0.5 * budget)


@pytest.mark.parametrize(
    "changes", [{"fresh": np.array([False, True])}, {"busy": np.array([True, True])}, {"min_usdt": np.full(2, 1e5)}]
)
def test_tact_e1_waits_when_it_cannot_buy(changes: dict[str, Any]) -> None:
    life, table = Life(), rows([69_000, 34_000, 34_000])
    assert life.day(table, 1, **changes)[0] == {}
    assert sum(life.day(table, 2)[0].values()) == pytest.approx(2_500.0)


def test_u_10_a_short_day_decides_nothing() -> None:
    table = rows([69_000, 34_000], bars=19)
    assert Life().day(table, 1) == ({}, [])
    assert sum(Life().day(rows([69_000, 34_000], bars=20), 1)[0].values()) == pytest.approx(2_500.0)


def test_u_10_without_btc_history_there_is_no_high() -> None:
    table = rows([np.nan, np.nan])
    assert Life().day(table, 1, price=np.ones(2)) == ({}, [])


FEAR = PARAMS._replace(fear_enabled=True)
PANIC = PARAMS._replace(capitulation_enabled=True)


@pytest.mark.parametrize(("value", "fires"), [(20.0, True), (21.0, False), (np.nan, False), (1.0, True)])
def test_tact_e2_fear_twenty_triggers_twenty_one_does_not(value: float, fires: bool) -> None:
    table = rows([69_000, 60_000], fear=[50.0, value])
    expected = {BTC: pytest.approx(1_200.0), ETH: pytest.approx(300.0)} if fires else {}
    assert Life(FEAR).day(table, 1)[0] == expected
    assert Life().day(table, 1)[0] == {}


def test_tact_e2_an_option_spends_of_what_the_levels_leave() -> None:
    table = rows([69_000, 34_000], fear=[50.0, 10.0])
    bought = Life(FEAR).day(table, 1)[0]
    # Half of 5,000 for the level, then 30 % of the other half.
    assert bought == {BTC: pytest.approx(2_000.0 + 600.0), ETH: pytest.approx(500.0 + 150.0)}


def test_tact_e2_once_per_thirty_days() -> None:
    table = rows([69_000.0] * 70, fear=[10.0] * 70)
    life = Life(FEAR, cash=10_000.0)
    found = {day: sum(life.day(table, day)[0].values()) for day in range(70)}
    assert {day: usdt for day, usdt in found.items() if usdt} == {
        0: pytest.approx(3_000.0),
        30: pytest.approx(2_100.0),
        60: pytest.approx(1_470.0),
    }


@pytest.mark.parametrize(
    ("rates", "fires"),
    [
        ([-0.0006] * 3, True),  # I6: funding is data, never simulated from price
        ([-0.0005] * 3, True),
        ([-0.0006, -0.0004, -0.0006], False),
        ([-0.0006, np.nan, -0.0006], False),
        ([-0.0006, -0.0006], False),
        ([0.0006] * 3, False),
    ],
)
def test_tact_e2_three_days_of_deeply_negative_funding(rates: list[float], fires: bool) -> None:
    table = rows([69_000.0] * len(rates), funding=rates)
    bought = Life(PANIC).day(table, len(rates) - 1)[0]
    assert sum(bought.values()) == pytest.approx(1_250.0 if fires else 0.0)


def test_tact_e2_a_capitulation_rests_for_thirty_days_too() -> None:
    table = rows([69_000.0] * 65, funding=[-0.001] * 65)
    life = Life(PANIC, cash=10_000.0)
    found = {day: sum(life.day(table, day)[0].values()) for day in range(65)}
    assert {day: usdt for day, usdt in found.items() if usdt} == {
        2: pytest.approx(2_500.0),
        32: pytest.approx(1_875.0),
        62: pytest.approx(1_406.25),
    }


@pytest.mark.parametrize(
    ("changes", "bought"),
    [
        ({}, [BTC, ETH]),
        ({"busy": np.array([True, False])}, [ETH]),
        ({"fresh": np.array([True, False])}, [BTC]),
        ({"min_usdt": np.array([5.0, 301.0])}, [BTC]),
    ],
)
def test_tact_e2_an_option_buys_what_can_be_bought(changes: dict[str, Any], bought: list[int]) -> None:
    table = rows([69_000.0], fear=[5.0])
    _, _, buys = tactical.decide(FEAR, table, tactical.initial_state(FEAR), seen(0, table, **changes))
    assert [signal.symbol for signal in buys] == bought


def test_tact_e1_and_e2_a_purchase_says_all_that_it_is() -> None:
    table = rows([69_000.0, 34_000.0], fear=[50.0, 5.0])
    _, _, buys = tactical.decide(FEAR, table, tactical.initial_state(FEAR), seen(1, table))
    assert buys == [
        buy_quote_signal(TACTICAL, BTC, pytest.approx(2_000.0), 34_000.0, reason.TACT_LEVEL, 0.0, 0),
        buy_quote_signal(TACTICAL, ETH, pytest.approx(500.0), 1_000.0, reason.TACT_LEVEL, 0.0, 0),
        buy_quote_signal(TACTICAL, BTC, pytest.approx(600.0), 34_000.0, reason.TACT_FEAR, 0.0, NO_LEVEL),
        buy_quote_signal(TACTICAL, ETH, pytest.approx(150.0), 1_000.0, reason.TACT_FEAR, 0.0, NO_LEVEL),
    ]


def test_tact_e1_a_level_without_cash_arms_nothing_and_a_new_high_forgets_what_was_armed() -> None:
    table = rows([69_000.0, 34_000.0, 70_000.0])
    state, _, _ = tactical.decide(PARAMS, table, tactical.initial_state(PARAMS), seen(1, table, cash_usdt=0.0))
    assert (state.fired.tolist(), state.armed_usdt.sum()) == ([True, False], 0.0)
    state, _, _ = tactical.decide(PARAMS, table, tactical.initial_state(PARAMS), seen(1, table))
    assert state.armed_usdt.sum() == pytest.approx(2_500.0)
    state, _, _ = tactical.decide(PARAMS, table, state, seen(2, table))
    assert (state.high, state.fired.tolist(), state.armed_usdt.sum()) == (70_000.0, [False, False], 0.0)
    assert (state.fired.dtype, state.armed_usdt.shape) == (np.bool_, (2, 2))


def test_tact_before_the_first_decision_nothing_is_held_fired_or_armed() -> None:
    state = tactical.initial_state(PARAMS)
    assert state.high == 0.0
    assert [(column.shape, column.dtype, column.any()) for column in state[1:]] == [
        ((2,), np.bool_, False),
        ((2, 2), np.float64, False),
        ((2,), np.int64, False),
        ((2,), np.int64, False),
    ]


def test_tact_x1_twenty_hours_of_a_day_and_one_usdt_are_enough_to_sell() -> None:
    life, table = Life(), rows([20_000.0], bars=20)
    life.qty[BTC], life.cost[BTC] = 1.0 / 20_000.0, 0.1
    life.state.first_buy_h[BTC] = START_H
    assert life.day(table, 0)[1] == [reason.TACT_PROFIT]


@pytest.mark.parametrize("first", [{"fresh": np.array([False, True])}, {"busy": np.array([True, False])}, {"bars": 19}])
def test_tact_x1_a_coin_that_cannot_be_sold_keeps_no_other_from_it(first: dict[str, Any]) -> None:
    life, table = Life(), rows([69_000.0], eth=[2_000.0])
    table.bars[BTC] = first.pop("bars", 24)
    life.qty[:], life.cost[:] = (1.0, 1.0), (10.0, 1_000.0)
    life.state.first_buy_h[:] = START_H
    _, (signal,), _ = tactical.decide(
        PARAMS, table, life.state, seen(0, table, held_qty=life.qty, cost_usdt=life.cost, **first)
    )
    assert signal == reduce_signal(TACTICAL, ETH, SPOT, SELL, 1.0, 2_000.0, reason.TACT_PROFIT)


@pytest.mark.parametrize("first", [0.0, 1e-9])
def test_tact_x1_a_coin_that_is_not_held_does_not_hide_one_that_is_due(first: float) -> None:
    table = rows([60_000.0, 60_000.0])
    state = tactical.initial_state(PARAMS)._replace(high=60_000.0)
    held, cost, least = np.array([first, 1.0]), np.array([1e-3, 400.0]), np.full(2, 5.0)
    assert not tactical.at_rest(PARAMS, table, state, 1, START_H, held, cost, least)


markets = st.lists(st.sampled_from([69_000.0, 60_000.0, 34_400.0, 27_000.0, 71_000.0]), min_size=1, max_size=4)
holdings = st.sampled_from([(0.0, 0.0), (0.1, 5_000.0), (0.1, 2_000.0), (1e-9, 1e-4)])


@settings(max_examples=300, deadline=None)
@given(
    closes=markets,
    fear=st.sampled_from([10.0, 50.0]),
    rate=st.sampled_from([-0.001, 0.001]),
    high=st.sampled_from([0.0, 69_000.0, 72_000.0]),
    fired=st.tuples(st.booleans(), st.booleans()),
    armed=st.sampled_from([0.0, 4.0, 5.0, 300.0]),
    triggered_h=st.sampled_from([0, START_H - 40 * 24, START_H - 24]),
    btc=holdings,
    eth=holdings,
    age_d=st.sampled_from([1, 400]),
)
def test_a_day_at_rest_is_one_on_which_nothing_would_be_decided(
    closes: list[float],
    fear: float,
    rate: float,
    high: float,
    fired: tuple[bool, bool],
    armed: float,
    triggered_h: int,
    btc: tuple[float, float],
    eth: tuple[float, float],
    age_d: int,
) -> None:
    params = PARAMS._replace(fear_enabled=True, capitulation_enabled=True)
    closes = [69_000.0, *closes]
    table = rows(closes, fear=[fear] * len(closes), funding=[rate] * len(closes), eth=[3_000.0] * len(closes))
    day = len(closes) - 1
    state = tactical.initial_state(params)._replace(
        high=high,
        fired=np.array(fired),
        armed_usdt=np.array([[armed, 0.0], [0.0, armed]]),
        first_buy_h=np.full(2, START_H - 24 * age_d, np.int64),
        trigger_h=np.full(2, triggered_h, np.int64),
    )
    qty, cost = np.array([btc[0], eth[0]]), np.array([btc[1], eth[1]])
    asked = seen(day, table, held_qty=qty, cost_usdt=cost)
    rests = tactical.at_rest(params, table, state, day, asked.now_h, qty, cost, asked.min_usdt)
    after, exits, buys = tactical.decide(params, table, state, asked)
    assert rests == (not exits and not buys and after is state)


def test_tact_e2_signals_of_options_belong_to_no_level() -> None:
    table = rows([69_000.0], fear=[5.0])
    _, _, buys = tactical.decide(FEAR, table, tactical.initial_state(FEAR), seen(0, table))
    assert {(signal.level, signal.reason) for signal in buys} == {(NO_LEVEL, reason.TACT_FEAR)}
    table = rows([69_000.0] * 3, funding=[-0.001] * 3)
    _, _, buys = tactical.decide(PANIC, table, tactical.initial_state(PANIC), seen(2, table))
    assert {(signal.level, signal.reason) for signal in buys} == {(NO_LEVEL, reason.TACT_CAPITULATION)}
    state = tactical.on_buy(tactical.initial_state(PANIC), BTC, NO_LEVEL, 100.0, START_H, True)
    assert (state.armed_usdt.sum(), state.first_buy_h[BTC]) == (0.0, START_H)


@pytest.mark.parametrize(
    ("close", "age_h", "why"),
    [
        (20_000.0, 24, [reason.TACT_PROFIT]),  # bought at 10,000 on average
        (19_999.0, 24, []),
        (5_000.0, 365 * 24, [reason.TACT_AGE]),
        (5_000.0, 365 * 24 - 1, []),
        (25_000.0, 400 * 24, [reason.TACT_PROFIT]),
    ],
)
def test_tact_x1_profit_and_age_exit(close: float, age_h: int, why: list[int]) -> None:
    life, table = Life(), rows([close])
    life.qty[BTC], life.cost[BTC] = 0.2, 2_000.0
    life.state.first_buy_h[BTC] = START_H + 24 - age_h
    assert life.day(table, 0)[1] == why


def test_tact_x1_per_symbol() -> None:
    life, table = Life(), rows([10_000.0], eth=[2_000.0])
    life.qty[:], life.cost[:] = (0.2, 1.0), (2_000.0, 1_000.0)
    life.state.first_buy_h[:] = START_H
    assert life.day(table, 0)[1] == [reason.TACT_PROFIT]
    assert life.qty.tolist() == [0.2, 0.0]


@pytest.mark.parametrize(
    "changes",
    [{"fresh": np.array([False, False])}, {"busy": np.array([True, True])}, {"price": np.array([0.9, 1_000.0])}],
)
def test_tact_x1_no_exit_without_bar_with_an_order_out_or_of_dust(changes: dict[str, Any]) -> None:
    life, table = Life(), rows([69_000.0])
    life.qty[BTC], life.cost[BTC] = 1.0, 10.0
    life.state.first_buy_h[BTC] = START_H
    assert life.day(table, 0, **changes)[1] == []


def test_tact_2_the_first_buy_sets_the_clock() -> None:
    state = tactical.on_buy(tactical.initial_state(PARAMS), ETH, 0, 300.0, START_H + 5, True)
    state = tactical.on_buy(state, ETH, 1, 300.0, START_H + 99, False)
    assert state.first_buy_h.tolist() == [0, START_H + 5]


@pytest.mark.parametrize(("held", "rests"), [(1e-7, True), (0.4, False)])
def test_tact_x1_dust_left_by_a_sale_does_not_disturb_a_day(held: float, rests: bool) -> None:
    table = rows([60_000.0, 60_000.0])
    state = tactical.initial_state(PARAMS)._replace(high=60_000.0)
    asked = seen(1, table, held_qty=np.array([held, 0.0]), cost_usdt=np.array([1e-3, 0.0]))
    at_rest = tactical.at_rest(PARAMS, table, state, 1, asked.now_h, asked.held_qty, asked.cost_usdt, asked.min_usdt)
    assert at_rest is rests
    after, exits, buys = tactical.decide(PARAMS, table, state, asked)
    assert (len(exits) == 0) is rests
    assert after == state
    assert buys == []


def test_u_3_a_leg_at_the_minimum_within_rounding_is_bought() -> None:
    life, table = Life(cash=50.0 - 4e-12), rows([69_000, 34_000])
    life.day(table, 0)
    assert set(life.day(table, 1)[0]) == {BTC, ETH}
