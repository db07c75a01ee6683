"""A run from request to result: ranges, switches, hashes and rows (J1, J12, J15, J17, K3)."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core_builders import CAPITAL, QUICK_TREND, START_MS, TWO, a_history, a_random_history, some_params
from eternal_engine.backtest import runner
from eternal_engine.backtest.prepare import market_of
from eternal_engine.backtest.runner import BacktestRequest, bar_range
from eternal_engine.market_data.history import DAY_MS, MarketHistory
from eternal_engine.model.errors import DataError, EternalError
from eternal_engine.portfolio.params import Params
from eternal_engine.reports.result import ENGINES, BacktestResult

SHARES = (0.6, 0.2, 0.15, 0.05)
HISTORY = a_random_history(11, days=40, symbols=2, holes=10)


def lively() -> Params:
    return some_params(
        TWO,
        trend={**QUICK_TREND, "adx_min": 5.0},
        core={"interval_h": 48},
        tactical={"level_drawdown": np.array([0.05, 0.15])},
    )


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give a function that runs a request over the history of this file, plain."""

    def run(history: MarketHistory = HISTORY, params: Params | None = None, **wishes: Any) -> BacktestResult:
        monkeypatch.setattr(runner, "load", lambda *given: history)
        return runner.run(
            BacktestRequest(plain=True, **wishes),
            params or lively(),
            symbols=TWO,
            shares=SHARES,
            instrument_table="bybit-2025",
            config_hash="c" * 64,
        )

    return run


def test_j6_capital_is_divided_at_the_start(ran: Any) -> None:
    result = ran()
    assert result.equity[:, 0].tolist() == list(CAPITAL)
    assert ran(capital_usdt=5_000.0).equity[:, 0].tolist() == [3_000.0, 1_000.0, 750.0, 250.0]


def test_j17_equal_inputs_give_equal_hashes_and_others_do_not(ran: Any) -> None:
    first = ran()
    assert ran().result_hash == first.result_hash
    assert len(first.orders) > 10
    others = {
        ran(capital_usdt=100_001.0).result_hash,
        ran(deposit_weekly_usdt=10.0).result_hash,
        ran(engines=("trend",)).result_hash,
        ran(start=date(2020, 1, 3)).result_hash,
        ran(end=date(2020, 2, 1)).result_hash,
        ran(history=replace(HISTORY, fingerprint="e" * 64)).result_hash,
        ran(params=lively()._replace(risk=lively().risk._replace(slippage_frac=0.0006))).result_hash,
    }
    assert len(others | {first.result_hash}) == 8


@pytest.mark.parametrize("engine", ENGINES)
def test_k3_one_switch_per_engine(ran: Any, engine: str) -> None:
    result = ran(engines=(engine,))
    assert result.engines == (engine,)
    assert {order.engine for order in result.orders} <= {engine}
    # The others' money stays idle in its accounts, but for what CAP-2 hands over.
    idle = [k for k, name in enumerate(ENGINES) if name != engine]
    handed = np.abs(result.engine_flow[idle]).sum()
    assert np.abs(result.equity[idle] - np.array(CAPITAL)[idle, None]).max() <= handed + 1e-9


def test_k3_an_engine_disabled_in_the_settings_stays_off(ran: Any) -> None:
    params = lively()
    off = params._replace(trend=params.trend._replace(enabled=False))
    result = ran(params=off)
    assert result.engines == ("core_hodl", "funding", "tactical")
    assert not [order for order in result.orders if order.engine == "trend"]


def test_rows_say_engine_market_side_and_rule(ran: Any) -> None:
    result = ran()
    assert {order.engine for order in result.orders} >= {"core_hodl", "trend"}
    assert {order.market for order in result.orders} == {"spot", "perp"}
    assert {order.side for order in result.orders} == {"buy", "sell"}
    assert {order.reason for order in result.orders} >= {"CORE-3", "TREND-E1"}
    assert all(order.decided_ms <= order.filled_ms for order in result.orders)
    assert all(order.price > 0 and order.qty > 0 and order.fee_usdt >= 0 for order in result.orders)
    for trade in result.trades:
        assert trade.opened_ms <= trade.closed_ms
        assert trade.exit_reason
    assert {event.kind for event in result.events} >= {"phase"}
    assert result.notes == HISTORY.notes
    assert set(result.timing_ms) == {"load", "features", "compile", "loop"}
    assert result.seed == 7


def test_j12_open_positions_are_listed_at_their_mark(ran: Any) -> None:
    result = ran()
    held = [row for row in result.open_positions if row.engine == "core_hodl"]
    assert {row.symbol for row in held} == set(TWO)
    total = sum(row.value_usdt for row in held)
    assert result.exposure[0, -1] == pytest.approx(total)
    for row in held:
        assert row.unrealised_usdt == pytest.approx(row.qty * (row.mark_price - row.entry_price))


def test_denials_are_counted_by_engine_and_rule(ran: Any) -> None:
    params = lively()
    strict = params._replace(risk=params.risk._replace(max_positions_trend=0))
    result = ran(params=strict)
    assert result.denials["trend:RISK-8 no free slot"] > 0
    assert not [order for order in result.orders if order.engine == "trend"]


def test_j15_the_range_is_what_the_data_has() -> None:
    history = a_history(np.ones((2, 400 * 24)))
    hours = 400 * 24
    end = date(2021, 2, 3)  # the last day of the data
    for wishes, first, last in (
        ({}, 0, hours),
        ({"years": 8}, 0, hours),
        ({"years": 1}, hours - 366 * 24, hours),
        ({"start": date(2020, 2, 1)}, 31 * 24, hours),
        ({"start": date(2019, 1, 1)}, 0, hours),
        ({"end": date(2020, 1, 31)}, 0, 31 * 24),
        ({"end": end}, 0, hours),
        ({"end": date(2022, 5, 5)}, 0, hours),
        ({"start": date(2020, 2, 1), "end": date(2020, 2, 1)}, 31 * 24, 32 * 24),
    ):
        found_first, found_last, (start_ms, end_ms) = bar_range(BacktestRequest(**wishes), history)
        assert (found_first, found_last) == (first, last), wishes
        assert start_ms < end_ms
    # What was asked for is kept beside what was run.
    asked = bar_range(BacktestRequest(years=8), history)[2]
    assert asked[0] < history.start_ms
    assert asked[1] == history.end_ms


@pytest.mark.parametrize(
    "wishes",
    [{"start": date(2030, 1, 1)}, {"end": date(2019, 5, 5)}, {"start": date(2020, 2, 2), "end": date(2020, 2, 1)}],
)
def test_j15_a_range_without_data_is_refused_with_what_there_is(wishes: dict[str, date]) -> None:
    with pytest.raises(DataError, match="no data between") as refused:
        bar_range(BacktestRequest(**wishes), a_history(np.ones((2, 400 * 24))))
    assert "2020-01-01 to 2021-02-03" in refused.value.mend
    assert refused.value.exit_code == 3


def test_j15_years_back_from_a_leap_day() -> None:
    start_ms = START_MS
    history = a_history(np.ones((1, 60 * 24)), start_ms=start_ms, symbols=("BTCUSDT",))
    asked = bar_range(BacktestRequest(years=1, end=date(2020, 2, 28)), history)[2]
    assert asked[1] - asked[0] == 365 * DAY_MS  # from 2019-03-01 to 2020-02-29


def test_j1_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(EternalError, match="nowhere") as refused:
        runner.load(BacktestRequest(data=tmp_path / "nowhere"), TWO, None)
    assert refused.value.exit_code == 3


def test_j1_without_data_the_market_is_synthetic_and_says_so() -> None:
    history = runner.load(BacktestRequest(end=date(2017, 2, 1)), TWO, Path("nowhere"))
    assert history.synthetic
    assert history.symbols == TWO


def test_a_coin_that_trades_in_circles_is_an_error_and_not_a_short_tape(monkeypatch: pytest.MonkeyPatch) -> None:
    from core_builders import play
    from eternal_engine.backtest import simulate as simulation

    monkeypatch.setattr(simulation, "ORDERS_PER_SYMBOL_YEAR", 1)
    with pytest.raises(EternalError, match="more orders than its tape"):
        play(HISTORY, lively())


def test_markets_know_their_windows() -> None:
    market = market_of(a_history(np.ones((2, 48)), listed_h=[0, 10], delisted_h=[-1, 40]))
    assert (market.listed_h - market.first_h).tolist() == [0, 10]
    assert market.delisted_h[1] - market.first_h == 40
    assert market.delisted_h[0] > 1 << 39
