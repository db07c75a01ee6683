"""What a fill, a stop, a settlement and a delisting do to the backtest's book (U-9, U-11, TREND-X2, FUND-2, CAP-2)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from core_builders import START_H, THREE, a_history, settle_once, some_params
from eternal_engine.backtest import fills
from eternal_engine.backtest.fills import Lots, Market, empty_lots
from eternal_engine.backtest.prepare import market_of
from eternal_engine.backtest.tape import DELISTING, EVENTS, LIQUIDATION, ORDERS, TRADES, TRANSFER, Tape, new_tape
from eternal_engine.model import reason
from eternal_engine.portfolio.beginning import initial_states
from eternal_engine.portfolio.params import NO_INTENT, BookView, Intent, Marks, Params, States, empty_book, empty_marks
from eternal_engine.strategies import trend
from eternal_engine.strategies.base import BUY, CORE_HODL, FUNDING, PAIR, PERP, SELL, SPOT, TACTICAL, TREND

FREE = some_params(THREE, costs=False)
PAID = some_params(THREE)


class Bench:
    """One bar of a market at 40,000 / 2,000 / 100 and the book that trades in it; bars 0 to 3 are the same."""

    def __init__(self, params: Params = FREE, prices: tuple[float, float, float] = (40_000.0, 2_000.0, 100.0)) -> None:
        self.params = params
        self.market: Market = market_of(a_history(np.repeat(np.array(prices)[:, None], 4, axis=1)))
        self.book: BookView = empty_book(3, 60)
        self.book.cash[:] = (60_000.0, 20_000.0, 15_000.0, 5_000.0)
        self.tape: Tape = new_tape(8, 50, 50, 50, reason.COUNT)
        self.lots: Lots = empty_lots(3)
        self.marks: Marks = empty_marks(3)
        self.marks.spot[:] = self.marks.perp[:] = prices
        self.states: States = initial_states(params, 3)

    def bar(
        self, *, perp: tuple[float, float, float], spot: tuple[float, float, float] | None = None, at: int = 1
    ) -> None:
        """Set open, low and high of the first coin in one bar; spot follows the perp unless given."""
        for name, prices in (("perp", perp), ("spot", spot or perp)):
            for field, price in zip(("open", "low", "high"), prices, strict=True):
                getattr(self.market, f"{name}_{field}")[0, at] = price

    def fill(self, at: int = 1, **changes: Any) -> bool:
        intent: Intent = NO_INTENT._replace(price=40_000.0, decided_h=START_H + at, **changes)
        done, self.states = fills.fill_intent(
            self.params, self.market, self.book, self.tape, self.lots, self.states, intent, at
        )
        return done

    def stops(self, at: int = 1) -> list[Any]:
        before = int(self.tape.counts[ORDERS])
        self.states = fills.run_stops(self.params, self.market, self.book, self.tape, self.lots, self.states, at)
        return self.tape.order_f[before : self.tape.counts[ORDERS]].tolist()

    def hold_trend(self, side: int = BUY, entry: float = 40_000.0, stop: float = 38_000.0, coins: float = 1.0) -> None:
        self.book.perp_qty[TREND, 0] = side * coins
        self.book.perp_entry[TREND, 0] = entry
        self.lots.qty[TREND, 0] = coins
        self.lots.entry[TREND, 0] = entry
        state = trend.opened(self.states.trend, 0, side, entry, 1_000.0, stop, coins)
        self.states = self.states._replace(trend=state)

    def hold_pair(self, coins: float, spot: float = 40_000.0, perp: float = 40_000.0) -> None:
        self.book.cash[FUNDING] -= coins * spot
        self.book.spot_qty[FUNDING, 0] = coins
        self.book.spot_cost[FUNDING, 0] = coins * spot
        self.book.perp_qty[FUNDING, 0] = -coins
        self.book.perp_entry[FUNDING, 0] = perp
        self.lots.qty[FUNDING, 0] = coins

    def settle(self, symbol: int, mark: float, rate: float) -> None:
        """Settle one symbol's funding."""
        settle_once(self.params, self.book, self.tape, self.lots, symbol, mark, rate)

    @property
    def last_trade(self) -> dict[str, float]:
        row = int(self.tape.counts[TRADES]) - 1
        names = ("qty", "entry", "exit", "pnl", "fees", "funding")
        return dict(zip(names, self.tape.trade_f[row].tolist(), strict=True))

    def events(self, kind: int) -> list[float]:
        count = int(self.tape.counts[EVENTS])
        return [a for k, a in zip(self.tape.event_i[:count, 1], self.tape.event_f[:count], strict=True) if k == kind]


def test_j2_one_buy_in_a_flat_market() -> None:
    bench = Bench(PAID)
    assert bench.fill(engine=CORE_HODL, symbol=0, market=SPOT, side=BUY, quote_steps=100_000_000_000)
    coins = 0.249875  # floor(10,000 / 40,020 to the step)
    assert bench.tape.order_f[0].tolist() == [
        pytest.approx(coins),
        40_020.0,
        pytest.approx(coins * 0.001 * 40_020),
        pytest.approx(coins * 20),
    ]
    assert bench.book.spot_qty[CORE_HODL, 0] == pytest.approx(coins * 0.999)
    assert bench.book.cash[CORE_HODL] == pytest.approx(60_000 - coins * 40_020)
    value = bench.book.cash[CORE_HODL] + bench.book.spot_qty[CORE_HODL, 0] * 40_000
    assert 60_000 - value == pytest.approx(15.0, abs=0.1)


def test_u_9_what_is_not_spent_stays_cash_and_in_the_plan() -> None:
    bench = Bench(PAID)
    core = bench.states.core._replace(phase=1, gap_usdt=np.array([500.0, 0.0, 0.0]))
    bench.states = bench.states._replace(core=core)
    step = 1e-7
    bench.fill(engine=CORE_HODL, symbol=0, market=SPOT, side=BUY, quote_steps=round(100 / step), plan_usdt=100.0)
    spent = 60_000 - bench.book.cash[CORE_HODL]
    assert 99.9 < spent <= 100.0
    assert bench.states.core.gap_usdt[0] == pytest.approx(500 - spent)


def test_u_9_less_than_one_step_buys_nothing() -> None:
    bench = Bench(PAID)
    assert bench.fill(engine=TACTICAL, symbol=0, market=SPOT, side=BUY, quote_steps=100_000, level=0)
    assert bench.tape.counts[ORDERS] == 0
    assert bench.book.cash[TACTICAL] == 5_000.0


@pytest.mark.parametrize(("market", "missing"), [(SPOT, "spot"), (PERP, "perp"), (PAIR, "spot"), (PAIR, "perp")])
def test_u_5_an_order_waits_for_the_bars_it_needs(market: int, missing: str) -> None:
    bench = Bench()
    getattr(bench.market, f"{missing}_open")[0, 1] = np.nan
    engine = {SPOT: CORE_HODL, PERP: TREND, PAIR: FUNDING}[market]
    wish = {"quote_steps": 10**9} if market == SPOT else {"qty_steps": 10}
    assert not bench.fill(engine=engine, symbol=0, market=market, side=BUY, atr=100.0, **wish)
    assert bench.tape.counts[ORDERS] == 0
    assert bench.fill(at=2, engine=engine, symbol=0, market=market, side=BUY, atr=100.0, **wish)
    assert bench.tape.counts[ORDERS] == (2 if market == PAIR else 1)


@pytest.mark.parametrize(
    ("side", "open_", "low", "high", "stop", "price"),
    [
        (BUY, 39_000.0, 37_999.0, 39_500.0, 38_000.0, 38_000.0),
        (BUY, 37_500.0, 37_000.0, 38_500.0, 38_000.0, 37_500.0),  # a gap through the stop
        (BUY, 39_000.0, 38_000.0, 39_500.0, 38_000.0, 38_000.0),  # touched exactly
        (BUY, 39_000.0, 38_000.1, 39_500.0, 38_000.0, None),
        (SELL, 41_000.0, 40_500.0, 42_001.0, 42_000.0, 42_000.0),
        (SELL, 42_500.0, 41_000.0, 43_000.0, 42_000.0, 42_500.0),
        (SELL, 41_000.0, 40_000.0, 41_999.9, 42_000.0, None),
    ],
)
@pytest.mark.parametrize("params", [FREE, PAID])
def test_trend_x2_stop_fills_at_the_worse_of_open_and_stop(
    side: int, open_: float, low: float, high: float, stop: float, price: float | None, params: Params
) -> None:
    bench = Bench(params)
    bench.hold_trend(side, stop=stop)
    bench.bar(perp=(open_, low, high))
    found = bench.stops()
    if price is None:
        assert found == []
        assert bench.book.perp_qty[TREND, 0] == side
        return
    slipped = price * (1 - side * params.risk.slippage_frac)
    assert found[0][:2] == [1.0, pytest.approx(slipped, abs=0.1)]
    assert side * found[0][1] <= side * slipped + 1e-6  # rounded against us
    assert bench.book.perp_qty[TREND, 0] == 0.0
    assert bench.states.trend.side[0] == 0
    fee = found[0][1] * params.risk.perp_fee_frac
    assert bench.book.cash[TREND] == pytest.approx(20_000 + side * (found[0][1] - 40_000) - fee)
    assert bench.last_trade["pnl"] == pytest.approx(side * (found[0][1] - 40_000) - fee)


@pytest.mark.parametrize(("trailing", "why"), [(False, reason.TREND_STOP), (True, reason.TREND_TRAIL)])
def test_trend_x2_says_whether_stop_or_trail_was_touched(trailing: bool, why: int) -> None:
    bench = Bench()
    bench.hold_trend()
    bench.states.trend.trailing[0] = trailing
    bench.bar(perp=(39_000.0, 37_000.0, 39_000.0))
    bench.stops()
    assert bench.tape.order_i[0, 6] == why
    assert bench.tape.trade_i[0, 6] == why
    assert bench.book.trend_closed[0] == 1
    assert bench.book.trend_pnls[0] == pytest.approx(-2_000.0)


def test_u_11_a_wick_of_the_perp_alone_triggers_nothing() -> None:
    bench = Bench()
    bench.hold_trend()
    bench.bar(perp=(39_000.0, 20_000.0, 39_500.0), spot=(39_000.0, 38_500.0, 39_500.0))
    assert bench.stops() == []
    short = Bench()
    short.hold_trend(SELL, stop=42_000.0)
    short.bar(perp=(41_000.0, 40_000.0, 90_000.0), spot=(41_000.0, 40_000.0, 41_500.0))
    assert short.stops() == []


def test_u_11_without_a_spot_bar_the_perp_is_the_mark() -> None:
    bench = Bench()
    bench.hold_trend()
    bench.bar(perp=(39_000.0, 37_000.0, 39_500.0), spot=(np.nan, np.nan, np.nan))
    assert len(bench.stops()) == 1
    assert fills.mark_high(bench.market, 0, 1) == 39_500.0
    blind = Bench()
    blind.hold_trend()
    blind.bar(perp=(np.nan, np.nan, np.nan), spot=(39_000.0, 30_000.0, 39_000.0))
    assert blind.stops() == []


@pytest.mark.parametrize(
    ("side", "low", "high", "ruined"),
    [
        (BUY, 20_200.0, 40_000.0, True),
        (BUY, 20_200.1, 40_000.0, False),
        (SELL, 4e4, 59_800.01, True),
        (SELL, 4e4, 59_799.9, False),
    ],
)
def test_g6_liquidation_takes_the_margin_and_no_more(side: int, low: float, high: float, ruined: bool) -> None:
    bench = Bench(PAID)
    bench.hold_trend(side, stop=1.0 if side > 0 else 1e6)
    bench.bar(perp=(40_000.0, low, high))
    bench.stops()
    assert (bench.book.perp_qty[TREND, 0] == 0.0) == ruined
    if ruined:
        assert bench.book.cash[TREND] == 0.0
        assert bench.tape.order_i[0, 6] == reason.TREND_LIQUIDATION
        assert bench.events(LIQUIDATION) == [20_000.0]


def test_trend_f1_a_gap_beyond_liquidation_loses_the_margin_only() -> None:
    bench = Bench(PAID)
    bench.hold_trend()
    bench.bar(perp=(15_000.0, 14_000.0, 16_000.0))
    bench.stops()
    assert bench.book.cash[TREND] == 0.0
    assert bench.tape.order_i[0, 6] == reason.TREND_LIQUIDATION


def test_trend_f1_a_stop_inside_comes_before_liquidation() -> None:
    bench = Bench()
    bench.hold_trend()
    bench.bar(perp=(39_000.0, 10_000.0, 39_000.0))
    bench.stops()
    assert bench.book.cash[TREND] == pytest.approx(18_000.0)


@pytest.mark.parametrize(("side", "stop"), [(BUY, 38_000.0), (SELL, 42_000.0)])
def test_trend_s1_the_stop_counts_from_the_fill(side: int, stop: float) -> None:
    bench = Bench()
    bench.fill(engine=TREND, symbol=0, market=PERP, side=side, qty_steps=100, atr=1_000.0, reason=reason.TREND_ENTRY)
    assert bench.states.trend.stop[0] == stop
    assert bench.states.trend.base_qty[0] == pytest.approx(0.1)
    # Valid in the same bar.
    bench.bar(perp=(40_000.0, 37_900.0, 42_100.0))
    assert len(bench.stops()) == 1


def test_trend_reduction_closes_its_share_and_keeps_the_rest() -> None:
    bench = Bench()
    bench.fill(engine=TREND, symbol=0, market=PERP, side=BUY, qty_steps=100, atr=1_000.0)
    bench.bar(perp=(41_000.0, 41_000.0, 41_000.0), at=2)
    bench.fill(at=2, engine=TREND, symbol=0, market=PERP, side=SELL, qty_steps=25, reduces=True)
    assert bench.book.perp_qty[TREND, 0] == pytest.approx(0.075)
    assert bench.book.realised[TREND] == pytest.approx(25.0)
    assert bench.states.trend.side[0] == 1
    assert bench.tape.counts[TRADES] == 0
    # More than is held closes what is held and never turns it round.
    bench.fill(at=2, engine=TREND, symbol=0, market=PERP, side=SELL, qty_steps=500, reduces=True)
    assert bench.book.perp_qty[TREND, 0] == 0.0
    assert bench.last_trade["pnl"] == pytest.approx(100.0)
    assert bench.last_trade["qty"] == pytest.approx(0.1)
    bench.fill(at=2, engine=TREND, symbol=0, market=PERP, side=SELL, qty_steps=5, reduces=True)
    assert bench.book.perp_qty[TREND, 0] == 0.0


@pytest.mark.parametrize(
    ("qty", "mark", "rate", "received"), [(1.0, 60_000.0, 0.0001, -6.0), (1.0, 60_000.0, -0.0001, 6.0)]
)
def test_g5_a_long_pays_a_positive_rate(qty: float, mark: float, rate: float, received: float) -> None:
    bench = Bench()
    bench.hold_trend(coins=qty)
    bench.settle(0, mark, rate)
    assert bench.book.cash[TREND] == pytest.approx(20_000 + received)
    assert bench.tape.funding[TREND].sum() == pytest.approx(received)


@pytest.mark.parametrize(("rate", "received"), [(0.0001, 3.0), (-0.0001, -3.0), (0.0, 0.0)])
def test_h1_a_short_receives_a_positive_rate(rate: float, received: float) -> None:
    bench = Bench()
    bench.book.perp_qty[FUNDING, 0] = -0.5
    bench.settle(0, 60_000.0, rate)
    assert bench.book.cash[FUNDING] == pytest.approx(15_000 + received)
    bench.settle(1, 60_000.0, 0.5)
    assert bench.book.cash[FUNDING] == pytest.approx(15_000 + received)


@pytest.mark.parametrize("params", [FREE, PAID])
@pytest.mark.parametrize("steps", [41, 62, 7])
def test_h2_both_legs_hold_the_same_coins(params: Params, steps: int) -> None:
    bench = Bench(params, prices=(60_000.0, 2_000.0, 100.0))
    bench.bar(perp=(60_600.0, 60_600.0, 60_600.0), spot=(60_000.0, 60_000.0, 60_000.0))
    bench.fill(engine=FUNDING, symbol=0, market=PAIR, side=BUY, qty_steps=steps, reason=reason.FUND_ENTRY)
    coins = steps * 0.001
    assert bench.book.perp_qty[FUNDING, 0] == pytest.approx(-coins)
    assert -1e-12 <= bench.book.spot_qty[FUNDING, 0] - coins < 1e-6 + 1e-12
    assert bench.states.funding.opened_h[0] == START_H + 1


@pytest.mark.parametrize("move", [1.5, 0.6, 1.0])
def test_j13_h7_a_pair_through_any_move_ends_flat_minus_its_costs(move: float) -> None:
    for params in (FREE, PAID):
        bench = Bench(params)
        bench.fill(engine=FUNDING, symbol=0, market=PAIR, side=BUY, qty_steps=90, reason=reason.FUND_ENTRY)
        bench.settle(0, 40_000.0, 0.001)
        price = 40_000.0 * move
        bench.bar(perp=(price, price, price), at=2)
        bench.fill(at=2, engine=FUNDING, symbol=0, market=PAIR, side=SELL, qty_steps=90, reduces=True)
        assert bench.book.perp_qty[FUNDING, 0] == 0.0
        assert bench.book.spot_qty[FUNDING, 0] * price < 1.0
        trade = bench.last_trade
        funding = 0.09 * 40_000 * 0.001
        dust = bench.book.spot_qty[FUNDING, 0] * price
        assert trade["funding"] == pytest.approx(funding)
        # PnL = spot + perp + funding - fees: all that happened to the cash.
        assert trade["pnl"] == pytest.approx(bench.book.cash[FUNDING] - 15_000 + dust, abs=0.1)
        slipped = sum(row[3] for row in bench.tape.order_f[:4].tolist())
        assert trade["pnl"] == pytest.approx(funding - trade["fees"] - slipped, abs=0.1)
        assert bench.book.realised[FUNDING] == pytest.approx(trade["pnl"], abs=0.1)


def test_fund_x2_a_cut_realises_its_share() -> None:
    bench = Bench()
    bench.hold_pair(0.09)
    bench.bar(perp=(50_000.0, 50_000.0, 50_000.0))
    bench.fill(engine=FUNDING, symbol=0, market=PAIR, side=SELL, qty_steps=30, reduces=True, reason=reason.FUND_CUT)
    assert bench.book.perp_qty[FUNDING, 0] == pytest.approx(-0.06)
    assert bench.book.spot_qty[FUNDING, 0] == pytest.approx(0.06)
    assert bench.book.realised[FUNDING] == pytest.approx(0.0, abs=1e-6)
    assert bench.tape.counts[TRADES] == 0


@pytest.mark.parametrize(("high", "ruined"), [(190_000.0, False), (204_000.0, True)])
def test_fund_2_cross_margin_liquidation_at_the_mark_high(high: float, ruined: bool) -> None:
    # Cash 11,400 and a short of 0.09 coins from 40,000: ruined where 11,400 - 0.09 (p - 40,000) <= 0.005 x 0.09 p.
    bench = Bench()
    bench.hold_pair(0.09)
    price = (11_400 + 3_600) / (0.09 * 1.005)
    assert 160_000 < price < 170_000
    bench.bar(perp=(40_000.0, 40_000.0, price * high / 200_000.0))
    fills.liquidate_funding(bench.params, bench.market, bench.book, bench.tape, bench.lots, bench.marks, 1)
    assert (bench.book.perp_qty[FUNDING, 0] == 0.0) == ruined
    assert bench.book.spot_qty[FUNDING, 0] == 0.09
    assert len(bench.events(LIQUIDATION)) == ruined


def test_fund_2_the_loss_ends_at_the_margin() -> None:
    bench = Bench()
    bench.hold_pair(0.09)
    bench.bar(perp=(400_000.0, 400_000.0, 400_000.0))
    fills.liquidate_funding(bench.params, bench.market, bench.book, bench.tape, bench.lots, bench.marks, 1)
    assert bench.book.cash[FUNDING] == 0.0


def test_fund_2_a_wick_of_the_perp_alone_liquidates_nothing() -> None:
    bench = Bench()
    bench.hold_pair(0.09)
    bench.bar(perp=(40_000.0, 40_000.0, 400_000.0), spot=(40_000.0, 40_000.0, 41_000.0))
    fills.liquidate_funding(bench.params, bench.market, bench.book, bench.tape, bench.lots, bench.marks, 1)
    assert bench.book.perp_qty[FUNDING, 0] == -0.09
    blind = Bench()
    blind.hold_pair(0.09)
    blind.bar(perp=(np.nan, np.nan, np.nan), spot=(40_000.0, 40_000.0, 900_000.0))
    fills.liquidate_funding(blind.params, blind.market, blind.book, blind.tape, blind.lots, blind.marks, 1)
    assert blind.book.perp_qty[FUNDING, 0] == -0.09


@pytest.mark.parametrize(("open_", "moved"), [(80_000.0, 2_000.0), (40_000.0, 0.0), (30_000.0, 0.0)])
def test_i9_profit_of_a_profitable_exit_moves_to_core(open_: float, moved: float) -> None:
    bench = Bench()
    bench.states = bench.states._replace(core=bench.states.core._replace(phase=3, target_usdt=60_000.0))
    bench.fill(engine=TACTICAL, symbol=0, market=SPOT, side=BUY, quote_steps=20_000_000_000, level=0)
    assert bench.book.spot_cost[TACTICAL, 0] == pytest.approx(2_000.0)
    total = bench.book.cash.sum()
    bench.bar(perp=(open_, open_, open_), at=2)
    bench.fill(at=2, engine=TACTICAL, symbol=0, market=SPOT, side=SELL, qty_steps=50_000, reduces=True)
    assert bench.book.cash.sum() == pytest.approx(total + 0.05 * open_)
    assert bench.book.cash[CORE_HODL] == pytest.approx(60_000 + moved)
    assert bench.states.core.deposits_usdt == pytest.approx(moved)
    assert bench.events(TRANSFER) == ([pytest.approx(moved)] if moved else [])
    assert bench.tape.engine_flow[:, 0].sum() == pytest.approx(0.0)
    assert bench.tape.counts[TRADES] == 1


def test_tact_2_entry_price_and_time_come_from_the_fill() -> None:
    bench = Bench(PAID)
    bench.states.tactical.armed_usdt[0, 0] = 2_000.0
    bench.fill(engine=TACTICAL, symbol=0, market=SPOT, side=BUY, quote_steps=20_000_000_000, level=0)
    assert bench.states.tactical.first_buy_h[0] == START_H + 1
    assert bench.book.spot_cost[TACTICAL, 0] == pytest.approx(5_000 - bench.book.cash[TACTICAL])
    assert bench.states.tactical.armed_usdt[0, 0] < 0.05


def test_j14_delisted_perps_settle_and_coins_are_written_to_zero() -> None:
    bench = Bench(PAID)
    bench.hold_trend()
    bench.hold_pair(0.05)
    bench.book.spot_qty[CORE_HODL, 0] = 0.5
    bench.book.spot_cost[CORE_HODL, 0] = 25_000.0
    bench.marks.perp[0] = 39_000.0
    bench.market.delisted_h[0] = START_H + 2
    for at in (1, 2, 3):
        bench.states = fills.delist(
            bench.params, bench.market, bench.book, bench.tape, bench.lots, bench.marks, bench.states, at
        )
        assert bool(bench.book.perp_qty[TREND, 0]) == (at < 2)
    assert bench.book.spot_qty[:, 0].tolist() == [0.0] * 4
    assert bench.book.cash[TREND] == pytest.approx(20_000 - 1_000 - 39_000 * 0.00055)
    assert bench.book.realised[CORE_HODL] == -25_000.0
    assert len(bench.events(DELISTING)) == 2
    assert bench.states.trend.side[0] == 0
    assert bench.states.funding.opened_h[0] == 0


def test_a_spot_correction_of_a_pair_closes_nothing_but_the_surplus() -> None:
    bench = Bench()
    bench.hold_pair(0.1)
    bench.book.spot_qty[FUNDING, 0] = 0.11
    bench.fill(engine=FUNDING, symbol=0, market=SPOT, side=SELL, qty_steps=10_000, reduces=True)
    assert bench.book.spot_qty[FUNDING, 0] == pytest.approx(0.1)
    assert bench.tape.counts[TRADES] == 0
    # Nothing held: nothing is sold.
    bench.book.spot_qty[FUNDING, 0] = 0.0
    bench.fill(engine=FUNDING, symbol=0, market=SPOT, side=SELL, qty_steps=10_000, reduces=True)
    assert bench.tape.counts[ORDERS] == 1


def test_a_pair_is_over_when_what_is_left_cannot_be_sold() -> None:
    bench = Bench(prices=(4_000_000.0, 2_000.0, 100.0))
    bench.hold_pair(0.1)
    # Not a whole step is left, worth 2 USDT.
    bench.book.spot_qty[FUNDING, 0] = 0.1 + 0.5e-6
    bench.fill(engine=FUNDING, symbol=0, market=PAIR, side=SELL, qty_steps=100, reduces=True)
    assert bench.book.spot_qty[FUNDING, 0] * 4_000_000.0 == pytest.approx(2.0)
    assert bench.tape.counts[TRADES] == 1
    assert bench.lots.qty[FUNDING, 0] == 0.0


def test_what_is_left_of_a_liquidated_pair_is_sold_as_one_trade() -> None:
    bench = Bench()
    bench.hold_pair(0.1)
    bench.book.perp_qty[FUNDING, 0] = 0.0
    bench.fill(engine=FUNDING, symbol=0, market=SPOT, side=SELL, qty_steps=100_000, reduces=True)
    assert bench.tape.counts[TRADES] == 1
    assert bench.states.funding.opened_h[0] == 0
    assert bench.lots.qty[FUNDING, 0] == 0.0
