"""The one declared second bookkeeping (U-3): the exact ledger, seen as floats, is the backtest's float book.

The backtest fills random intents; what it wrote on its tape is booked again by the Decimal ledger, and both are
compared after every step.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import a_fill
from core_builders import TWO, settle_once, some_params
from eternal_engine.backtest import days, fills, tape
from eternal_engine.backtest.settlements import NEVER_H
from eternal_engine.engine.timing import hour_start
from eternal_engine.engine.view import ENGINES, book_view, flowed_usdt
from eternal_engine.ledger.books import Books
from eternal_engine.ledger.pnl import closed_trades
from eternal_engine.model import reason
from eternal_engine.model.event import BookEntry, Deposited, Filled, FundingSettled, Transferred
from eternal_engine.model.ids import Account, Coin, ExecutionId, RecordId, RuleId, Symbol, TransferId
from eternal_engine.model.instrument import Market, Side
from eternal_engine.model.trade import ClosedPart
from eternal_engine.portfolio.beginning import initial_states
from eternal_engine.portfolio.params import NO_INTENT, Intent, empty_book
from eternal_engine.portfolio.valuation import count_active
from eternal_engine.strategies.base import BUY, CORE_HODL, FUNDING, PAIR, PERP, SELL, SPOT, TACTICAL, TREND

D = Decimal
PARAMS = some_params(TWO)
TABLE = PARAMS.instruments
CAPITAL = (60_000, 20_000, 15_000, 5_000)
PRICES = (40_000.0, 2_000.0)
FIRST_H = 450_000
WINDOW = 5  # a small ring of closed trades, so that it wraps
SPOT_FEE, PERP_FEE = D("0.001"), D("0.00055")
MARKETS = {SPOT: Market.SPOT, PERP: Market.PERP}


class Step(NamedTuple):
    """One thing that happens: an intent of `engine` in `symbol` at `price` of usual, or a settlement, or a flow.

    `size` is the part of what is possible; `low` how deep the bar goes below its open.
    """

    what: str
    engine: int
    symbol: int
    price: float
    size: float
    low: float
    rate: float


steps = st.builds(
    Step,
    st.sampled_from(("trade", "trade", "trade", "trade", "stops", "funding", "flow")),
    st.integers(0, 3),
    st.integers(0, 1),
    st.integers(50, 200).map(lambda n: n / 100),
    st.integers(1, 100).map(lambda n: n / 100),
    st.integers(0, 60).map(lambda n: n / 100),
    st.integers(-3_000, 3_000).map(lambda n: n / 1e6),
)


class Double:
    """Keep the float book and the exact books of the same events side by side."""

    def __init__(self) -> None:
        self.book = empty_book(len(TWO), WINDOW)
        self.states = initial_states(PARAMS, len(TWO))
        self.tape = tape.new_tape(400, 4_000, 2_000, 4_000, reason.COUNT)
        self.lots = fills.empty_lots(len(TWO))
        self.books = Books()
        self.parts: list[ClosedPart] = []
        self.numbers = 0
        self.told = 0
        for number, amount in enumerate(CAPITAL):
            self.flow(number, D(amount))

    def apply(self, step: Step) -> None:
        price = round(PRICES[step.symbol] * step.price, 2)
        if step.what == "flow":
            self.flow(step.engine, D(str(round((step.size - 0.5) * 1_000, 8))))
        elif step.what == "funding":
            self.settle(step.symbol, price, step.rate)
        else:
            market = self.market(price, 1.0 - step.low)
            if step.what == "stops":
                self.states = fills.run_stops(PARAMS, market, self.book, self.tape, self.lots, self.states, 0)
            elif (intent := self.intent(step, price)) is not None:
                _, self.states = fills.fill_intent(
                    PARAMS, market, self.book, self.tape, self.lots, self.states, intent, 0
                )
            self.retell()
        count_active(self.book)

    def intent(self, step: Step, price: float) -> Intent | None:
        """Ask for something that the engine could ask for now."""
        e, s = step.engine, step.symbol
        base = NO_INTENT._replace(engine=e, symbol=s, price=price, side=BUY)
        if e in (CORE_HODL, TACTICAL):
            coins = round(self.book.spot_qty[e, s] / TABLE.spot_step[s])
            if e == TACTICAL and coins > 10 and step.size > 0.5:
                out = base._replace(side=SELL, reduces=True, reason=reason.TACT_PROFIT)
                return out._replace(market=SPOT, qty_steps=coins if step.size > 0.8 else coins // 2)
            return base._replace(market=SPOT, quote_steps=round(step.size * 500.0 / TABLE.quote_step[s]), level=0)
        market = PERP if e == TREND else PAIR
        held = round(abs(self.book.perp_qty[e, s]) / TABLE.perp_step[s])
        if held and (e == TREND or step.size > 0.4):
            out = base._replace(side=SELL, reduces=True, market=market, reason=reason.TREND_EXIT)
            return out._replace(qty_steps=held if step.size > 0.7 else max(1, held // 3))
        wanted = max(1, round(step.size * 1_500.0 / price / TABLE.perp_step[s]))
        return base._replace(market=market, qty_steps=wanted, atr=0.05 * price, stop_distance=0.1 * price)

    def market(self, price: float, low: float) -> fills.Market:
        """Give one bar in which both coins open at `price` of their own scale and fall to a part of it."""
        opens = np.array([[price], [price]])
        lows, no_days = opens * low, np.zeros((2, 0, days.COLUMNS))
        listed, delisted = np.zeros(2, np.int64), np.full(2, NEVER_H)
        no_settles = np.zeros((2, 0))
        return fills.Market(
            FIRST_H, opens, opens, lows, lows, opens, opens, lows, lows, listed, delisted, no_days, no_settles
        )

    # The exact side -------------------------------------------------------------------------------------------------

    def enter(self, entry: BookEntry) -> list[ClosedPart]:
        applied = self.books.apply(entry)
        assert applied.is_new
        self.books = applied.books
        self.parts += applied.closed
        return list(applied.closed)

    def next_id(self) -> str:
        self.numbers += 1
        return f"n{self.numbers}"

    def flow(self, engine: int, amount: Decimal) -> None:
        at, account = hour_start(FIRST_H), ENGINES[engine].account
        self.enter(Deposited(at, RecordId(self.next_id()), account, Coin("USDT"), amount, amount, at))
        self.book.cash[engine] += float(amount)

    def settle(self, symbol: int, mark: float, rate: float) -> None:
        at, price, paid = hour_start(FIRST_H), D(str(mark)), D(str(round(rate, 6)))
        for engine in (TREND, FUNDING):
            account, name = ENGINES[engine].account, Symbol(TWO[symbol])
            position = self.books.of(account).perp.get(name)
            if position is not None:
                amount = -position.qty * price * paid
                number = ExecutionId(self.next_id())
                self.enter(FundingSettled(at, account, name, number, position.qty, price, paid, amount, at))
        settle_once(PARAMS, self.book, self.tape, self.lots, symbol, mark, rate)

    def retell(self) -> None:
        """Book what the backtest has written on its tape since."""
        count = int(self.tape.counts[tape.ORDERS])
        for whole, part in zip(self.tape.order_i[self.told : count], self.tape.order_f[self.told : count], strict=True):
            _, _, engine, symbol, market, side, why, _ = (int(value) for value in whole)
            qty, price = (D(repr(round(float(value), 8))) for value in part[:2])
            closed = self.enter(self.fill(engine, symbol, market, side, why, qty, price))
            earned = sum((one.net_usdt for one in closed), D(0))
            if engine == TACTICAL and earned > 0:
                at, number = hour_start(FIRST_H), TransferId(self.next_id())
                usdt, rule = Coin("USDT"), RuleId("CAP-2")
                self.enter(Transferred(at, number, Account.TACTICAL, Account.CORE_HODL, usdt, earned, rule))
        self.told = count

    def fill(self, engine: int, symbol: int, market: int, side: int, why: int, qty: Decimal, price: Decimal) -> Filled:
        in_coin = market == SPOT and side == BUY
        rate = SPOT_FEE if market == SPOT else PERP_FEE
        if why == reason.TREND_LIQUIDATION:
            rate = D(0)
        fee = qty * rate if in_coin else qty * price * rate
        made = a_fill(
            self.next_id(),
            account=ENGINES[engine].account,
            symbol=TWO[symbol],
            market=MARKETS[market],
            side=Side.BUY if side == BUY else Side.SELL,
            qty=str(qty),
            price=str(price),
            fee=f"{fee:f}",
            fee_coin=TWO[symbol].removesuffix("USDT") if in_coin else "USDT",
        )
        return Filled(hour_start(FIRST_H), made)

    def compare(self) -> None:
        trend_parts = [part for part in self.parts if part.account is Account.TREND]
        nets = [trade.net_usdt for trade in closed_trades(trend_parts)]
        view = book_view(self.books, TWO, WINDOW, nets)
        for name in ("cash", "spot_qty", "spot_cost", "perp_qty", "perp_entry", "realised", "trend_pnls"):
            np.testing.assert_allclose(
                getattr(view, name), getattr(self.book, name), rtol=1e-9, atol=1e-7, err_msg=name
            )
        np.testing.assert_array_equal(view.active, self.book.active)
        assert view.trend_closed[0] == self.book.trend_closed[0]


@settings(max_examples=40, deadline=None)
@given(path=st.lists(steps, min_size=5, max_size=60))
def test_u_3_the_exact_books_seen_as_floats_are_the_backtests_book(path: list[Step]) -> None:
    double = Double()
    for step in path:
        double.apply(step)
        double.compare()


def test_u_3_a_life_of_every_kind_of_fill_closes_trades_in_both_books() -> None:
    """Guard the property: its steps reach closed trades, wrapped rings, stops, liquidations, cuts and transfers."""
    rng, double = np.random.default_rng(4), Double()
    kinds = ("trade", "trade", "trade", "stops", "funding", "flow")
    for _ in range(250):
        rate = round(float(rng.uniform(-0.003, 0.003)), 6)
        double.apply(
            Step(
                str(rng.choice(kinds)), int(rng.integers(4)), int(rng.integers(2)), float(rng.uniform(0.5, 2.0)),
                float(rng.uniform(0.01, 1.0)), float(rng.uniform(0.0, 0.6)), rate,
            )
        )  # fmt: skip
        double.compare()
    seen = {int(row[6]) for row in double.tape.order_i[: double.told]}
    assert {reason.TREND_STOP, reason.TREND_LIQUIDATION, reason.TREND_EXIT, reason.TACT_PROFIT} <= seen
    assert double.book.trend_closed[0] > WINDOW
    assert double.books.of(Account.CORE_HODL).totals.transfers_usdt > 0


def test_u_3_flows_are_deposits_and_transfers_and_no_results() -> None:
    double = Double()
    double.apply(Step("trade", CORE_HODL, 0, 1.0, 0.5, 0.0, 0.0))
    double.apply(Step("flow", TREND, 0, 1.0, 0.75, 0.0, 0.0))
    double.apply(Step("flow", FUNDING, 0, 1.0, 0.25, 0.0, 0.0))
    assert flowed_usdt(double.books) == (D(60_000), D(20_250), D(14_750), D(5_000))
    assert float(double.books.of(Account.CORE_HODL).cash_usdt) == pytest.approx(60_000 - 250, abs=1.0)
