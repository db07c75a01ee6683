"""A portfolio of three coins at one instant, and what tests of its hour ask of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from core_builders import START_H, THREE, some_params
from eternal_engine.model import reason
from eternal_engine.portfolio import breaker_hour, hour, review, valuation
from eternal_engine.portfolio.beginning import initial_states
from eternal_engine.portfolio.params import (
    BookView,
    Decision,
    Equities,
    Features,
    Intent,
    Marks,
    Params,
    States,
    empty_book,
    empty_marks,
    no_decisions,
    no_intents,
)
from eternal_engine.strategies import funding, tactical, trend
from eternal_engine.strategies.base import (
    BUY,
    FUNDING,
    PAIR,
    PERP,
    SELL,
    TREND,
    Signal,
    buy_quote_signal,
)
from eternal_engine.strategies.indicators import DailyBars

NOW_H = START_H + 240
PRICES = (40_000.0, 2_000.0, 100.0)


class Desk:
    """A portfolio of three coins at one instant: all bars just closed, capital 60/20/15/5, nothing held."""

    def __init__(self, params: Params | None = None) -> None:
        self.params = params or some_params(THREE)
        self.book: BookView = empty_book(3, 60)
        self.book.cash[:] = (60_000.0, 20_000.0, 15_000.0, 5_000.0)
        self.marks: Marks = empty_marks(3)
        self.marks.spot[:] = self.marks.perp[:] = PRICES
        self.marks.spot_h[:] = self.marks.perp_h[:] = NOW_H - 1
        self.states: States = initial_states(self.params, 3)
        self.pending: list[Intent] = no_intents()
        self.decisions: list[Decision] = no_decisions()
        self.settled = np.full(3, 10, np.int64)

    @property
    def equity(self) -> Equities:
        valuation.count_active(self.book)
        known = valuation.prices_known(self.book, self.marks, NOW_H - 1, self.params.risk.stale_bars)
        return valuation.equities(self.book, self.marks, known)

    def risk(self, **changes: Any) -> None:
        self.states = self.states._replace(risk=self.states.risk._replace(**changes))

    def hold_trend(self, symbol: int, coins: float) -> None:
        self.book.perp_qty[TREND, symbol] = coins
        self.book.perp_entry[TREND, symbol] = PRICES[symbol]
        state = trend.opened(
            self.states.trend,
            symbol,
            BUY if coins > 0 else SELL,
            PRICES[symbol],
            1.0,
            1.0,
            abs(coins),
        )
        self.states = self.states._replace(trend=state)

    def hold_pair(self, symbol: int, coins: float) -> None:
        self.book.spot_qty[FUNDING, symbol] = coins
        self.book.spot_cost[FUNDING, symbol] = coins * PRICES[symbol]
        self.book.cash[FUNDING] -= coins * PRICES[symbol]
        self.book.perp_qty[FUNDING, symbol] = -coins
        self.book.perp_entry[FUNDING, symbol] = PRICES[symbol]
        state = funding.opened(self.params.funding, self.states.funding, symbol, NOW_H - 50)
        self.states = self.states._replace(funding=state)

    def breaker(self, level: int, before: int) -> list[Intent]:
        self.risk(level=level)
        breaker_hour.breaker_orders(
            self.params, self.states, before, self.book, self.marks, self.pending, self.decisions, NOW_H
        )
        return self.pending

    def review(self, signal: Signal, *, halted: bool = False, correlation: float = -1.0) -> Decision:
        review.review(
            self.params, self.book, self.marks, self.pending, self.decisions, self.equity, self.states, signal, NOW_H,
            halted, correlation,
        )  # fmt: skip
        return self.decisions[-1]

    def features(self, rate: float = 0.0002, close: tuple[float, ...] = PRICES) -> Features:
        days = 10
        closes = np.repeat(np.array(close)[:, None], days, axis=1)
        daily = DailyBars(closes, closes, closes, np.ones_like(closes), np.full((3, days), 24))
        stamps = START_H + np.arange(31, dtype=np.int64) * 8
        rates = np.full(31, rate)
        unknown = np.full(days, np.nan)
        return Features(
            trend=trend.features(self.params.trend, daily),
            funding=funding.features(self.params.funding, [stamps] * 3, [rates] * 3, [np.full(31, 8.0)] * 3),
            tactical=tactical.features(self.params.tactical, daily, unknown, unknown),
            first_day=START_H // 24,
        )

    def decide(self, features: Features, halted: int = 0, now_h: int = NOW_H, level_before: int = 0) -> list[Intent]:
        self.settled[:] = int((features.funding.stamp_h[0] <= now_h).sum())
        self.states, _ = hour.decide_all(
            self.params, features, self.book, self.marks, self.pending, self.decisions, self.equity, self.states,
            now_h, self.settled, level_before, halted,
        )  # fmt: skip
        return self.pending


def a_buy(engine: int, usdt: float, symbol: int = 0) -> Signal:
    return buy_quote_signal(engine, symbol, usdt, PRICES[symbol], reason.CORE_PLAN, 0.0, 0)


def an_entry(engine: int, coins: float, symbol: int = 0) -> Signal:
    market = PERP if engine == TREND else PAIR
    why = reason.TREND_ENTRY if engine == TREND else reason.FUND_ENTRY
    return Signal(engine, symbol, market, BUY, False, coins, 0.0, PRICES[symbol], why, 1_000.0, 500.0, 0.0, 0)


def a_trending(desk: Desk, seed: int = 1) -> Features:
    """Give features in which all three coins ask for entry, ranked 2, 0, 1, with unrelated returns."""
    features = desk.features()
    rng = np.random.default_rng(seed)
    close = 3.0 + np.cumsum(rng.normal(0, 0.1, (3, 10)), axis=1) * 0.2
    adx = np.repeat(np.array([[50.0], [40.0], [60.0]]), 10, axis=1)
    table = features.trend._replace(
        close=close, sma=np.full((3, 10), 1.0), ema=np.full((3, 10), 2.0), adx=adx, atr=np.full((3, 10), 0.1),
        days_known=np.full((3, 10), 300),
    )  # fmt: skip
    return features._replace(trend=table)
