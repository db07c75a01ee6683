"""Whole runs of the plain loop over small markets: gaps, breakers, blocks, transfers, listings (U-5, U-8, U-10, J)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from core_builders import (
    CAPITAL,
    QUICK_TREND,
    START_H,
    THREE,
    TWO,
    a_history,
    equity_on,
    events_on,
    only,
    orders_on,
    play,
    replayed_equity,
    some_params,
    trades_on,
)
from eternal_engine.backtest import tape as records
from eternal_engine.backtest.simulate import Simulation
from eternal_engine.market_data.history import HOUR_MS, MarketHistory
from eternal_engine.model import reason
from eternal_engine.portfolio.params import Params
from eternal_engine.strategies.base import BUY, CORE_HODL, FUNDING, PERP, SELL, TACTICAL, TREND

WIDE = {"max_position_frac": 1.0, "trend_max_own_frac": 2.0}
# A far stop: only the breaker can end the position.
FAR_STOP = {**QUICK_TREND, "trail_start_atr": 99.0, "stop_atr": 30.0, "risk_frac": 9.0, "max_stop_frac": 1.0}


def flat(days: int, prices: tuple[float, ...] = (40_000.0, 2_000.0), **changes: Any) -> MarketHistory:
    return a_history(np.repeat(np.array(prices)[:, None], days * 24, axis=1), **changes)


def rising(days: int, per_day: float = 0.01) -> np.ndarray:
    """Give closes of a coin that rises steadily from 40,000, with daily ranges of about `per_day`."""
    return 40_000.0 * (1 + per_day) ** (np.arange(days * 24) / 24.0)


def a_crash(drop: float, *, at: int = 14 * 24 + 5, days: int = 22, **changes: Any) -> MarketHistory:
    """Let the first coin rise, then fall by `drop` in the one bar `at`, and stay there."""
    closes = np.vstack((rising(days), np.full(days * 24, 2_000.0)))
    closes[0, at:] = closes[0, at - 1] * (1 - drop)
    return a_history(closes, **changes)


def test_j5_after_one_day_at_most_one_cycle_is_bought() -> None:
    done = play(flat(1), only("core"))
    orders = orders_on(done)
    assert [o.symbol for o in orders] == [0, 1]
    spent = sum(o.qty * o.price for o in orders)
    assert spent == pytest.approx(60_000 / 12, rel=1e-3)
    assert equity_on(done)[0, -1] > 59_980


def test_u_5_decided_on_a_close_and_filled_at_the_next_open() -> None:
    history = flat(3)
    history.spot.open[:, 1] = (41_000.0, 2_050.0)
    done = play(history, only("core", costs=False))
    order = orders_on(done)[0]
    assert (order.decided_h, order.filled_h) == (START_H + 1, START_H + 1)
    assert order.price == 41_000.0
    assert order.qty * order.price <= 60_000 * 0.67 / 12


def test_u_2_the_first_decision_is_at_the_start_on_bars_closed_by_then() -> None:
    done = play(flat(3), only("core"), first_bar=24)
    assert orders_on(done)[0].decided_h == START_H + 24
    assert done.tape.close_h[0] == START_H + 24
    assert equity_on(done)[:, 0].tolist() == list(CAPITAL)


def test_u_10_an_order_waits_for_the_next_existing_bar() -> None:
    closes = np.repeat(np.array([[40_000.0], [2_000.0]]), 72, axis=1)
    closes[0, 1:5] = np.nan
    orders = orders_on(play(a_history(closes), only("core")))
    first = {o.symbol: (o.decided_h - START_H, o.filled_h - START_H) for o in reversed(orders)}
    assert first == {0: (1, 5), 1: (1, 1)}


def test_u_10_a_cycle_waits_only_if_all_its_coins_lack_the_bar() -> None:
    closes = np.repeat(np.array([[40_000.0], [2_000.0]]), 20 * 24, axis=1)
    due = 168  # the bar that closes at the second due time is 168; the first decision is at hour 1
    closes[:, due : due + 3] = np.nan
    done = play(a_history(closes), only("core"))
    second = [o.decided_h - START_H for o in orders_on(done) if o.decided_h > START_H + 100][:2]
    assert second == [due + 4, due + 4]
    closes[1, due : due + 3] = 2_000.0
    done = play(a_history(closes), only("core"))
    found = [(o.symbol, o.decided_h - START_H) for o in orders_on(done) if o.decided_h > START_H + 100][:3]
    assert found == [(1, due + 1), (0, 2 * 168 + 1), (1, 2 * 168 + 1)]


def test_u_10_hours_without_any_bar_advance_nothing() -> None:
    closes = np.repeat(np.array([[40_000.0], [2_000.0]]), 48, axis=1)
    closes[:, 10:15] = np.nan
    done = play(a_history(closes), only("core"))
    hours = (done.tape.close_h[: done.tape.counts[0]] - START_H).tolist()
    assert hours == [*range(11), *range(16, 49)]


def test_u_10_a_day_of_few_bars_gives_no_daily_decision() -> None:
    for missing, enters in ((5, False), (4, True)):
        closes = np.vstack((rising(9), np.full(9 * 24, 2_000.0)))
        closes[0, 7 * 24 : 7 * 24 + missing] = np.nan
        done = play(a_history(closes), only("trend", trend=FAR_STOP, risk=WIDE))
        decided = [o.decided_h - START_H for o in orders_on(done)]
        assert decided[:1] == ([192] if enters else [])


def test_trend_e1_trades_the_perp_from_its_first_settlement_on() -> None:
    closes = np.vstack((rising(16), np.full(16 * 24, 2_000.0)))
    params = only("trend", trend=FAR_STOP, risk=WIDE)
    for first, day in ((0, 8), (12 * 24, 12), (12 * 24 + 1, 13)):
        orders = orders_on(play(a_history(closes, first_funding_h=first), params))
        assert [(o.market, o.side, o.decided_h - START_H) for o in orders] == [(PERP, BUY, day * 24)]


def test_trend_x2_the_stop_is_valid_in_the_entry_bar() -> None:
    closes = np.vstack((rising(12), np.full(12 * 24, 2_000.0)))
    history = a_history(closes)
    params = only("trend", trend=QUICK_TREND, risk=WIDE, costs=False)
    entry = next(o for o in orders_on(play(history, params)) if o.side == BUY)
    bar = entry.filled_h - START_H
    for bars in (history.spot, history.perp):
        bars.low[0, bar] = 30_000.0
    orders = orders_on(play(history, params))
    assert (orders[1].filled_h, orders[1].side, orders[1].why) == (entry.filled_h, SELL, reason.TREND_STOP)
    assert orders[1].price < entry.price


def test_trend_x2_a_gap_through_the_stop_fills_at_the_open() -> None:
    history = a_crash(0.2)
    # The bar itself opens at the low: nothing was traded in between.
    bar = 14 * 24 + 5
    for bars in (history.spot, history.perp):
        bars.open[0, bar] = bars.high[0, bar] = bars.close[0, bar]
    done = play(history, only("trend", trend=QUICK_TREND, risk=WIDE, costs=False))
    stop = next(o for o in orders_on(done) if o.side == SELL)
    assert stop.why in (reason.TREND_STOP, reason.TREND_TRAIL)
    assert stop.price == pytest.approx(history.perp.open[0, bar], abs=0.1)


def crash_run(drop: float, **changes: Any) -> tuple[Simulation, MarketHistory, Params]:
    params = some_params(
        TWO, trend=FAR_STOP, risk=WIDE, core={"enabled": False}, tactical={"enabled": False}, **changes
    )
    history = a_crash(drop, rate=np.array([0.0, 0.0006]))
    return play(history, params), history, params


@pytest.mark.parametrize(("drop", "level"), [(0.05, 0), (0.11, 1), (0.16, 2), (0.215, 3), (0.30, 4)])
def test_j20_the_ladder_acts_in_the_backtest(drop: float, level: int) -> None:
    done, history, params = crash_run(drop)
    crash_h = START_H + 14 * 24 + 6
    events = events_on(done, records.BREAKER)
    if level == 0:
        assert events == []
        return
    # F17: straight to its level, one event with the level before.
    assert events[0][:5] == (crash_h, records.BREAKER, 0, -1, level)
    next_bar = [o for o in orders_on(done) if o.filled_h == crash_h and o.engine in (TREND, FUNDING)]
    held = sum(o.qty for o in orders_on(done, TREND) if o.side == BUY and o.filled_h < crash_h)
    sold = sum(o.qty for o in next_bar if o.engine == TREND)
    share = {1: 0.25, 2: 0.5, 3: 1.0, 4: 1.0}[level]
    assert sold == pytest.approx(share * held, abs=0.001)
    assert {o.market for o in next_bar if o.engine == FUNDING} == ({0, 1} if level >= 3 else set())
    np.testing.assert_allclose(equity_on(done), replayed_equity(done, history, params, CAPITAL), atol=1e-6)


def test_j20_alert_leaves_trend_and_funding_flat_until_the_approval() -> None:
    done, _, _ = crash_run(0.215)
    crash_h = START_H + 14 * 24 + 6
    rows = done.tape.close_h[: done.tape.counts[0]]
    flat_rows = (rows > crash_h) & (rows <= crash_h + 72)
    assert (done.tape.exposure[TREND, : len(rows)][flat_rows] == 0.0).all()
    assert (done.tape.exposure[FUNDING, : len(rows)][flat_rows] < 1.0).all()
    assert (done.tape.level[: len(rows)][flat_rows & (rows < crash_h + 72)] == 3).all()
    # BRK-5: the operator approves after 72 hours; BRK-3: back to normal from a new high.
    assert [e[0] for e in events_on(done, records.APPROVAL)] == [crash_h + 72]
    assert done.states.risk.level == 0
    assert done.states.risk.approvals == 1
    # BRK-7: the pair comes back at a quarter of its size.
    entries = [o for o in orders_on(done, FUNDING) if o.why == reason.FUND_ENTRY and o.market == PERP]
    assert entries[1].decided_h >= crash_h + 72
    assert entries[1].qty == pytest.approx(0.25 * entries[0].qty, rel=0.05)


def test_brk_5_an_operator_who_takes_longer() -> None:
    done, _, _ = crash_run(0.16, approval_delay_h=100)
    crash_h = START_H + 14 * 24 + 6
    assert [e[0] for e in events_on(done, records.APPROVAL)] == [crash_h + 100]


def test_brk_6_spot_of_core_and_tactical_outlives_level_four() -> None:
    params = some_params(TWO, trend=FAR_STOP, risk=WIDE, funding={"enabled": False})
    done = play(a_crash(0.5), params)
    assert max(done.tape.level) == 4
    assert [o for o in orders_on(done) if o.engine in (CORE_HODL, TACTICAL) and o.side == SELL] == []
    crash_h = START_H + 14 * 24 + 6
    # Level 4 stops their buying until the operator approves.
    bought = [
        o.decided_h - crash_h for o in orders_on(done) if o.engine in (CORE_HODL, TACTICAL) and o.decided_h > crash_h
    ]
    assert bought
    assert min(bought) >= 72


@pytest.mark.parametrize(("drop", "wait_h"), [(0.03, 24), (0.097, 168), (0.005, 0)])
def test_risk_4_and_5_block_entries_for_their_time(drop: float, wait_h: int) -> None:
    # A Friday, 00:00: from here on the second coin's funding pays, so its entry wants to come eight hours later.
    rates = np.zeros((2, 27 * 3 + 1))
    rates[1, 16 * 3 :] = 0.001
    params = some_params(TWO, trend=FAR_STOP, risk=WIDE, core={"enabled": False}, tactical={"enabled": False})
    done = play(a_crash(drop, at=15 * 24 + 23, days=27, rate=rates), params)
    crash_h = START_H + 16 * 24
    kinds = {e[1] for e in events_on(done)}
    assert (records.DAY_LOSS in kinds) == (wait_h > 0)
    assert (records.WEEK_LOSS in kinds) == (wait_h == 168)
    assert records.BREAKER not in kinds
    entries = [o.decided_h for o in orders_on(done, FUNDING) if o.why == reason.FUND_ENTRY]
    assert entries == [crash_h + max(wait_h, 8)] * 2
    denied = done.tape.denials[FUNDING]
    assert denied[reason.RISK_4_DAY] == (16 if wait_h else 0)
    assert denied[reason.RISK_5_WEEK] == (168 - 24 if wait_h == 168 else 0)


def test_risk_1_emergency_stop_on_breach_stops_all_engines() -> None:
    params = some_params(
        TWO,
        trend=FAR_STOP,
        risk=WIDE,
        funding={"enabled": False},
        tactical={"enabled": False},
        ladder={"on_breach": 1},
        core={"interval_h": 24, "weeks_large": 40},
    )
    done = play(a_crash(0.03), params)
    crash_h = START_H + 14 * 24 + 6
    assert [e[0] for e in events_on(done, records.STOP)] == [crash_h]
    assert [e[0] for e in events_on(done, records.RESUME)] == [crash_h + 72]
    bought = [o.decided_h - crash_h for o in orders_on(done, CORE_HODL)]
    assert not [h for h in bought if 0 <= h < 72]
    assert next(h for h in bought if h >= 72) == 72


def test_u_6_an_unknown_price_stops_entries_and_freezes_the_breaker() -> None:
    closes = np.repeat(np.array([[40_000.0], [2_000.0]]), 20 * 24, axis=1)
    closes[1, 100:300] = np.nan  # held, and unpriced over the second due time
    done = play(a_history(closes), only("core"))
    decided = sorted({o.decided_h - START_H for o in orders_on(done)})
    assert decided == [1, 301, 337]


def test_cap_2_half_of_fundings_profit_moves_on_the_first_of_a_month() -> None:
    rates = np.full((2, 75 * 3 + 1), 0.002)
    rates[:, 40:45] = -0.01  # a forced exit in January realises the carry
    rates[:, 45:] = 0.0
    history = flat(75, rate=rates)
    done = play(history, only("funding"))
    (transfer,) = events_on(done, records.TRANSFER)
    february = int(datetime(2020, 2, 1, tzinfo=UTC).timestamp() * 1000) // HOUR_MS
    assert (transfer[0], transfer[2], transfer[4]) == (february, FUNDING, TACTICAL)
    realised = sum(trade["pnl"] for trade in trades_on(done, FUNDING))
    assert transfer[5] == pytest.approx(0.5 * realised, rel=1e-6)
    assert equity_on(done)[TACTICAL, -1] == pytest.approx(5_000 + transfer[5])
    np.testing.assert_allclose(equity_on(done), replayed_equity(done, history, only("funding"), CAPITAL), atol=1e-6)


def test_cap_2_transfers_are_no_loss_and_no_gain_of_the_scope() -> None:
    # TACTICAL sells with profit: 2,500 of it leave the active engines at once, and no level is reached for it.
    closes = np.repeat(np.array([[40_000.0], [2_000.0]]), 12 * 24, axis=1)
    closes[:, 48:] *= 0.45
    closes[:, 120:] *= 2.4
    params = only("tactical", risk=WIDE, tactical={"take_profit_frac": 0.5})
    done = play(a_history(closes), params)
    assert sum(e[5] for e in events_on(done, records.TRANSFER)) > 1_000
    assert events_on(done, records.BREAKER) == []
    assert events_on(done, records.DAY_LOSS) == []
    assert done.states.risk.high_usdt <= 41_000


@pytest.mark.parametrize("weekly", [200.0, 50.0])
def test_core_10_all_three_phases_trade_with_weekly_deposits(weekly: float) -> None:
    days = 400
    hours = np.arange(days * 24)
    # BTC gains on ETH from day 120 to 200, then loses it again.
    lean = 1 + 2.0 * np.clip((hours - 120 * 24) / (80 * 24), 0, 1) - 2.0 * np.clip((hours - 280 * 24) / (60 * 24), 0, 1)
    done = play(
        a_history(np.vstack((40_000.0 * lean, np.full(days * 24, 2_000.0)))), only("core"), deposit_weekly_usdt=weekly
    )
    reasons = {o.why for o in orders_on(done, CORE_HODL)}
    assert reasons >= {reason.CORE_PLAN, reason.CORE_MAINTAIN, reason.CORE_REBALANCE}
    deposits = events_on(done, records.DEPOSIT)
    assert [e[0] - START_H for e in deposits[:2]] == [168, 336]
    assert done.tape.external.sum() == pytest.approx(weekly * len(deposits))
    assert {e[4] for e in events_on(done, records.PHASE)} == {1, 2, 3}
    assert events_on(done, records.STILL_OFF)
    # Deposits are spent, not hoarded.
    assert done.book.cash[CORE_HODL] < 4 * weekly + 50


def test_core_2_a_coin_listed_later_gets_its_own_plan_in_the_loop() -> None:
    days = 140
    closes = np.repeat(np.array([[40_000.0], [2_000.0], [100.0]]), days * 24, axis=1)
    closes[2, : 30 * 24] = np.nan
    params = some_params(
        THREE, core={"weights": np.array([0.5, 0.3, 0.2])}, trend={"enabled": False}, funding={"enabled": False},
        tactical={"enabled": False},
    )  # fmt: skip
    done = play(a_history(closes, listed_h=[0, 0, 30 * 24]), params)
    late = [o for o in orders_on(done) if o.symbol == 2]
    assert late[0].decided_h - START_H == 5 * 168 + 1
    own = [o for o in late if o.why == reason.CORE_OWN_PLAN]
    assert len(own) == 12
    assert sum(o.qty * o.price for o in own) == pytest.approx(12_000, rel=2e-3)
    assert len([o for o in orders_on(done) if o.symbol == 0 and o.why == reason.CORE_PLAN]) == 12


def test_j14_bars_outside_the_window_are_not_traded() -> None:
    history = flat(40, (40_000.0, 2_000.0, 100.0), listed_h=[0, 0, 20 * 24], delisted_h=[-1, 30 * 24, -1])
    done = play(history, some_params(THREE, core={"weights": np.array([0.5, 0.3, 0.2])}))
    assert min(o.filled_h for o in orders_on(done) if o.symbol == 2) >= START_H + 20 * 24
    assert max(o.filled_h for o in orders_on(done) if o.symbol == 1) <= START_H + 30 * 24
    gone = events_on(done, records.DELISTING)
    assert {(e[0], e[3]) for e in gone} == {(START_H + 30 * 24, 1)}
    assert done.book.spot_qty[:, 1].sum() == 0.0
    lost = sum(e[5] for e in gone)
    before, after = (equity_on(done).sum(axis=0)[30 * 24 + k] for k in (0, 1))
    assert before - after == pytest.approx(lost, rel=0.02)


def test_j12_positions_open_at_the_end_are_marked() -> None:
    done = play(a_crash(0.0), only("trend", trend=FAR_STOP, risk=WIDE))
    assert done.book.perp_qty[TREND, 0] > 0.0
    assert equity_on(done)[TREND, -1] > 20_000
    assert trades_on(done) == []


def test_u_8_funding_is_paid_on_what_was_held_before_its_stamp() -> None:
    # The pair is decided at a settlement and filled at that instant's open: this settlement is not received.
    rates = np.full((2, 10), 0.001)
    done = play(flat(3, rate=rates, first_funding_h=0), only("funding"))
    entry = min(o.filled_h for o in orders_on(done, FUNDING))
    paid_rows = np.flatnonzero(done.tape.funding[FUNDING])
    paid_h = done.tape.close_h[paid_rows] - 1
    assert entry == START_H + 32
    assert paid_h.tolist() == [START_H + 40, START_H + 48, START_H + 56, START_H + 64]


def test_a_run_of_no_engine_only_keeps_its_cash() -> None:
    params = some_params(TWO, **{name: {"enabled": False} for name in ("core", "trend", "funding", "tactical")})
    done = play(a_crash(0.4), params)
    assert orders_on(done) == []
    assert (equity_on(done) == np.array(CAPITAL)[:, None]).all()


def a_plan_of_three() -> Params:
    """CORE_HODL alone, over three coins."""
    return only("core", THREE, core={"weights": np.array([0.5, 0.3, 0.2])})


def test_j14_a_coin_delisted_in_the_middle_of_the_plan_does_not_hold_it_open_for_ever() -> None:
    # Its money stays outside the plan, as a coin without a tradable price (CORE-2); the plan of the others ends.
    history = flat(200, (40_000.0, 2_000.0, 100.0), delisted_h=[-1, -1, 30 * 24])
    done = play(history, a_plan_of_three())
    assert {e[4] for e in events_on(done, records.PHASE)} >= {1, 3}
    assert events_on(done, records.EXTENDED) == []


def test_j14_a_coin_delisted_before_the_start_is_no_part_of_the_plan() -> None:
    history = flat(130, (40_000.0, 2_000.0, 100.0), delisted_h=[-1, -1, 5 * 24])
    done = play(history, a_plan_of_three(), first_bar=10 * 24, deposit_weekly_usdt=100.0)
    assert {o.symbol for o in orders_on(done)} == {0, 1}
    assert {e[4] for e in events_on(done, records.PHASE)} >= {1, 3}


def test_risk_4_warns_at_80_percent_of_a_limit() -> None:
    # F2: 1.99 % warns; here about 1.8 % of the scope in one hour, just after midnight.
    params = only("trend", trend=FAR_STOP, risk=WIDE)
    quiet, warned = (play(a_crash(drop, at=14 * 24 + 1), params) for drop in (0.010, 0.018))
    assert events_on(warned, records.DAY_LOSS) == []
    assert len(events_on(warned)) == len(events_on(quiet)) + 1
