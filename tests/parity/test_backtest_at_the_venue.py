"""The independent judge replays a backtest: every order at the venue, at the backtest's own instants.

The venue shares no ledger and no fill code with the backtest. Prices, fees, funding, stops and the final worth of each
engine must come out the same all the same.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from eternal_engine.backtest.runner import BacktestRequest, run
from eternal_engine.bootstrap import params_of
from eternal_engine.config.settings import Settings
from eternal_engine.market_data.history import HOUR_MS, MarketHistory
from eternal_engine.market_data.load import load_history
from eternal_engine.market_data.synthetic import SYMBOLS, synthesize
from eternal_engine.reports.result import ENGINES, BacktestResult, OrderRow
from eternal_engine.simulator.feeds import HistoryFeed
from eternal_engine.simulator.venue import LINEAR, SPOT, Execution, OrderRequest, Venue, VenueConfig
from eternal_engine.simulator.venue.matching import tick_against

SHARES = (0.60, 0.20, 0.15, 0.05)
CAPITAL = 100_000.0
# Money never decides here: each account has far more than its engine ever spends.
DEPOSIT = Decimal(100_000_000)
YEARS = (date(2020, 1, 1), date(2022, 12, 31))
END_MS = 1_672_531_200_000
SHARED = Path(os.environ.get("ETERNAL_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
SIDES: dict[str, Any] = {"buy": "Buy", "sell": "Sell"}


@dataclass
class Replay:
    """Hold a venue that follows a backtest, one account per engine, and what differed on the way."""

    history: MarketHistory
    first_ms: int
    differences: list[str] = field(default_factory=list)
    stops: int = 0

    def __post_init__(self) -> None:
        self.feed = HistoryFeed(self.history)
        self.venue = Venue(VenueConfig(keep_rows=1_000_000), now_ms=self.first_ms)
        self.uids = {name: self.venue.open_account(name).uid for name in ENGINES}
        for uid in self.uids.values():
            self.venue.deposit(uid, "USDT", DEPOSIT)
            for symbol in self.history.symbols:
                self.venue.set_leverage(uid, symbol, Decimal(2))
        self.venue.set_margin_mode(self.uids["trend"], "ISOLATED_MARGIN")
        self.feed.open_market(self.venue)

    def follow(self, rows: tuple[OrderRow, ...], end_ms: int) -> None:
        """Send every order at its instant, then live on to the end."""
        for at_ms, group in groupby(sorted(rows, key=lambda row: row.filled_ms), key=lambda row: row.filled_ms):
            self.feed.advance(self.venue, at_ms)
            resting = [found for row in group if (found := self._send(row)) is not None]
            if resting:
                self.feed.advance(self.venue, at_ms + HOUR_MS)
                for row, order_id in resting:
                    self._compare(row, self._fills(row, order_id))
        self.feed.advance(self.venue, end_ms)

    def _send(self, row: OrderRow) -> tuple[OrderRow, str] | None:
        category = SPOT if row.market == "spot" else LINEAR
        step = self.venue.state.instruments[category, row.symbol].qty_step
        qty = Decimal(round(row.qty / float(step))) * step
        request = OrderRequest(category, row.symbol, SIDES[row.side], "Market", qty, market_unit="baseCoin")
        if row.reason == "TREND-X2" and not self._is_open(row):
            self.stops += 1
            return row, self._rest_stop(row, request)
        order = self.venue.create_order(self.uids[row.engine], request)
        self._compare(row, self._fills(row, order.order_id))
        return None

    def _is_open(self, row: OrderRow) -> bool:
        """Tell whether a stop filled at the bar's open: the market had jumped over it."""
        last = self.venue.state.quotes[LINEAR, row.symbol].last
        tick = self.venue.state.instruments[LINEAR, row.symbol].tick
        sign = -1 if row.side == "sell" else 1
        worse = tick_against(last * (1 + sign * Decimal("0.0005")), tick, SIDES[row.side])
        return float(worse) == pytest.approx(row.price, rel=1e-12)

    def _rest_stop(self, row: OrderRow, request: OrderRequest) -> str:
        """Rest the stop whose slipped price is the backtest's fill; the venue decides whether the bar touches it."""
        from dataclasses import replace

        tick = self.venue.state.instruments[LINEAR, row.symbol].tick
        sign = -1 if row.side == "sell" else 1
        near = tick_against(Decimal(row.price) / (1 + sign * Decimal("0.0005")), tick, "Buy")
        for ticks in range(-3, 4):
            level = near + ticks * tick
            slipped = tick_against(level * (1 + sign * Decimal("0.0005")), tick, SIDES[row.side])
            if float(slipped) == pytest.approx(row.price, rel=1e-12):
                break
        stop = replace(
            request,
            market_unit="",
            trigger_price=level,
            trigger_direction=2 if row.side == "sell" else 1,
            trigger_by="MarkPrice",
            reduce_only=True,
        )
        return self.venue.create_order(self.uids[row.engine], stop).order_id

    def _fills(self, row: OrderRow, order_id: str) -> list[Execution]:
        rows = self.venue.state.executions.get(self.uids[row.engine], ())
        return [fill for fill in list(rows)[-40:] if fill.order_id == order_id]

    def _compare(self, row: OrderRow, fills: list[Execution]) -> None:
        if len(fills) != 1:
            self.differences.append(f"{row}: {len(fills)} fills")
            return
        fill = fills[0]
        fee = float(fill.fee) * (float(fill.price) if fill.fee_coin != "USDT" else 1.0)
        for name, mine, theirs in (
            ("price", float(fill.price), row.price),
            ("qty", float(fill.qty), row.qty),
            ("fee", fee, row.fee_usdt),
        ):
            if mine != pytest.approx(theirs, rel=1e-9):
                self.differences.append(f"{row}: venue {name} {mine}, backtest {theirs}")

    def gain(self, engine: str) -> float:
        """Value an account at the closes of the last bar, less what was put in."""
        uid, last = self.uids[engine], self.history.hours - 1
        worth = float(self.venue.balance(uid, "USDT") - DEPOSIT)
        for number, symbol in enumerate(self.history.symbols):
            coins = float(self.venue.balance(uid, symbol.removesuffix("USDT")))
            worth += coins * float(self.history.spot.close[number, last]) if coins else 0.0
        for position in self.venue.state.positions_of(uid):
            number = self.history.symbols.index(position.symbol)
            worth += float(position.size) * float(self.history.perp.close[number, last]) - float(position.cost)
        return worth

    def funding(self, engine: str) -> float:
        """Add up the funding an account received."""
        rows = self.venue.state.executions.get(self.uids[engine], ())
        return -sum(float(row.fee) for row in rows if row.exec_type == "Funding")


def backtest(seed: int | None) -> BacktestResult:
    """Run the plain backtest over three years of a seed's market, or (None) of the real one."""
    data = SHARED / "market" if seed is None else None
    request = BacktestRequest(data=data, start=YEARS[0], end=YEARS[1], seed=seed or 0, plain=True, capital_usdt=CAPITAL)
    return run(
        request,
        params_of(Settings()),
        symbols=SYMBOLS,
        shares=SHARES,
        instrument_table="bybit-2025",
        config_hash="",
    )


@pytest.fixture(params=[7, 11, None], ids=["seed 7", "seed 11", "real data"], scope="module")
def replayed(request: pytest.FixtureRequest) -> tuple[BacktestResult, Replay]:
    """Run a backtest and replay it."""
    if request.param is None and not (SHARED / "market").is_dir():
        pytest.skip("the folder of real data is not here")
    if request.param is None:
        history = load_history(SHARED / "market", SYMBOLS, end_ms=END_MS)
    else:
        history = synthesize(request.param, end_ms=END_MS, symbols=SYMBOLS)
    result = backtest(request.param)
    replay = Replay(history, int(result.close_ms[0]))
    replay.follow(result.orders, END_MS)
    return result, replay


@pytest.mark.slow
def test_u9_every_order_has_the_backtests_price_quantity_and_fee(replayed: tuple[BacktestResult, Replay]) -> None:
    result, replay = replayed
    assert len(result.orders) > 400
    assert replay.stops > 30
    assert {row.engine for row in result.orders} >= {"core_hodl", "trend"}
    assert replay.differences == []


@pytest.mark.slow
def test_u8_funding_adds_up_to_the_backtests(replayed: tuple[BacktestResult, Replay]) -> None:
    result, replay = replayed
    for number, engine in enumerate(ENGINES):
        assert replay.funding(engine) == pytest.approx(float(result.funding[number].sum()), rel=1e-9, abs=1e-6)


@pytest.mark.slow
def test_j6_each_engine_is_worth_what_the_backtest_says(replayed: tuple[BacktestResult, Replay]) -> None:
    result, replay = replayed
    for number, engine in enumerate(ENGINES):
        grown = result.equity[number, -1] - result.equity[number, 0] - result.engine_flow[number].sum()
        assert replay.gain(engine) == pytest.approx(float(grown), rel=1e-9, abs=0.01)
    assert replay.venue.audit() == ()
