"""J18: BTC hold, BTC/ETH 67/33 weekly DCA and cash, on the same days with the same costs."""

from __future__ import annotations

import numpy as np
import pytest

from eternal_engine.market_data.history import HOUR_MS
from eternal_engine.reports.benchmarks import Benchmark, PurchaseCost, benchmarks
from eternal_engine.reports.metrics import measure

FREE = PurchaseCost(0.0, 0.0)
COSTLY = PurchaseCost(0.001, 0.0005)


def three(
    btc: np.ndarray, eth: np.ndarray, cost: PurchaseCost = FREE, flow: np.ndarray | None = None
) -> dict[str, Benchmark]:
    close_ms = 1_577_836_800_000 + np.arange(len(btc), dtype=np.int64) * HOUR_MS
    flow = np.zeros(len(btc)) if flow is None else flow
    return {one.name: one for one in benchmarks(close_ms, btc, eth, flow, 1000.0, cost)}


def test_held_bitcoin_follows_its_price_less_one_purchase() -> None:
    price = np.linspace(100.0, 200.0, 500)
    held = three(price, price, COSTLY)["btc_hold"]
    assert held.equity[0] == 1000.0
    assert held.equity[-1] == pytest.approx(2000.0 * 0.999 / 1.0005)
    assert held.index[-1] == pytest.approx(held.equity[-1] / 1000.0)


def test_the_weekly_plan_spends_equal_parts_over_the_whole_run() -> None:
    flat = np.full(4 * 168, 50.0)
    plan = three(flat, flat, COSTLY)["dca_btc_eth_67_33"]
    assert plan.equity[0] == 1000.0
    kept = 0.999 / 1.0005
    spent = [250.0, 500.0, 750.0, 1000.0]
    for week, money in enumerate(spent):
        last = (week + 1) * 168 - 1
        assert plan.equity[last] == pytest.approx(1000.0 - money * (1 - kept))


def test_the_weekly_plan_holds_two_thirds_bitcoin() -> None:
    btc, eth = np.full(169, 10.0), np.full(169, 10.0)
    btc[100:], eth[100:] = 20.0, 10.0
    plan = three(btc, eth)["dca_btc_eth_67_33"]
    assert plan.equity[120] == pytest.approx(500 + 500 * (0.67 * 2 + 0.33))


def test_deposits_are_invested_and_are_not_returns() -> None:
    flat = np.full(400, 30.0)
    flow = np.zeros(400)
    flow[[50, 300]] = 200.0
    for one in three(flat, flat, FREE, flow).values():
        assert one.equity[-1] == pytest.approx(1400.0)
        assert one.index[-1] == pytest.approx(1.0)


def test_the_weekly_plan_buys_with_a_deposit_when_it_comes() -> None:
    price = np.full(160, 10.0)
    price[100:] = 20.0
    flow = np.zeros(160)
    flow[50] = 300.0
    plan = three(price, price, FREE, flow)["dca_btc_eth_67_33"]
    assert plan.equity[-1] == pytest.approx(2 * 1300.0)


def test_a_coin_without_a_price_keeps_its_money_as_cash() -> None:
    btc, eth = np.full(300, 10.0), np.full(300, np.nan)
    btc[200:] = 20.0
    plan = three(btc, eth)["dca_btc_eth_67_33"]
    assert plan.equity[-1] == pytest.approx(670 * 2 + 330)
    assert np.isfinite(plan.index).all()


def test_cash_with_odd_deposits_never_falls_and_never_gains() -> None:
    flow = np.zeros(24 * 700)
    flow[168::168] = 200.1
    cash = three(np.full(len(flow), 3.0), np.full(len(flow), 3.0), FREE, flow)["cash"]
    found = measure(cash.index[::24])
    assert (found.max_drawdown_frac, found.longest_drawdown_days, found.positive_days_frac) == (0.0, 0, 0.0)
    assert (found.calmar, found.sharpe) == (None, None)


def test_cash_stays() -> None:
    flat = np.full(50, 30.0)
    assert set(three(flat, flat)["cash"].index) == {1.0}
