"""One hour of two coins at rest: all bars just closed, capital 60/20/15/5 known to the breaker, nothing held."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import numpy as np

from core_builders import START_H, TWO, some_params
from eternal_engine.engine.hour import Decided, decide_hour
from eternal_engine.engine.memory import Memory, fresh_memory
from eternal_engine.portfolio.flows import month_of
from eternal_engine.portfolio.params import BookView, Features, Marks, Params, empty_book, empty_marks
from eternal_engine.portfolio.valuation import count_active
from eternal_engine.strategies import funding, tactical, trend
from eternal_engine.strategies.base import BUY, TREND
from eternal_engine.strategies.indicators import DailyBars

NOW_H = START_H + 240
PRICES = (40_000.0, 2_000.0)
CAPITAL = (60_000.0, 20_000.0, 15_000.0, 5_000.0)
Flowed = tuple[Decimal, Decimal, Decimal, Decimal]


def flowed(core: int = 60_000, trend_: int = 20_000, funding_: int = 15_000, tactical_: int = 5_000) -> Flowed:
    """Give the money that ever came to each engine."""
    return Decimal(core), Decimal(trend_), Decimal(funding_), Decimal(tactical_)


@dataclass
class Scene:
    """Hold what one decision looks at; change it, then `decide`."""

    params: Params = field(default_factory=lambda: some_params(TWO))
    now_h: int = NOW_H
    rate: float = -0.0001
    closes: tuple[float, float] = PRICES

    def __post_init__(self) -> None:
        self.book: BookView = empty_book(2, self.params.risk.kelly_window)
        self.book.cash[:] = CAPITAL
        self.marks: Marks = empty_marks(2)
        self.marks.spot[:] = self.marks.perp[:] = PRICES
        self.marks.spot_h[:] = self.marks.perp_h[:] = self.now_h - 1
        memory = fresh_memory(self.params, TWO, month_of(self.now_h))
        self.memory: Memory = replace(memory, flowed_usdt=flowed(), cycle_h=self.now_h - 1, started_h=START_H)
        self.risk(high_usdt=40_000.0, day_base_usdt=40_000.0, week_base_usdt=40_000.0)
        self.risk(day=self.now_h // 24, week=(self.now_h + 72) // 168)

    def risk(self, **changes: Any) -> None:
        """Change the breaker's state."""
        states = self.memory.states
        self.memory = replace(self.memory, states=states._replace(risk=states.risk._replace(**changes)))

    def core_rests(self) -> None:
        """Let no cycle of CORE_HODL be due."""
        states = self.memory.states
        core = states.core._replace(phase=3, anchor_h=START_H, due_h=self.now_h + 100)
        self.memory = replace(self.memory, states=states._replace(core=core))

    def hold_trend(self, symbol: int, coins: float) -> None:
        """Let TREND hold a long from the present price."""
        self.book.perp_qty[TREND, symbol] = coins
        self.book.perp_entry[TREND, symbol] = PRICES[symbol]
        states = self.memory.states
        state = trend.opened(states.trend, symbol, BUY, PRICES[symbol], 1.0, 1.0, coins)
        self.memory = replace(self.memory, states=states._replace(trend=state))

    @property
    def features(self) -> Features:
        """Give flat days at `closes` up to now, and settlements at `rate` every eight hours."""
        days = self.now_h // 24 - START_H // 24
        count = days * 3 + 4
        closes = np.repeat(np.array(self.closes)[:, None], days, axis=1)
        daily = DailyBars(closes, closes, closes, np.ones_like(closes), np.full((2, days), 24))
        stamps = START_H + np.arange(count, dtype=np.int64) * 8
        rates, unknown = np.full(count, self.rate), np.full(days, np.nan)
        return Features(
            trend=trend.features(self.params.trend, daily),
            funding=funding.features(self.params.funding, [stamps] * 2, [rates] * 2, [np.full(count, 8.0)] * 2),
            tactical=tactical.features(self.params.tactical, daily, unknown, unknown),
            first_day=START_H // 24,
        )

    def decide(self, money: Flowed | None = None, **how: Any) -> Decided:
        """Decide the hour; `money` is what ever came to each engine, by default what the memory knows."""
        count_active(self.book)
        features = self.features
        settled = np.array([int((row <= self.now_h).sum()) for row in features.funding.stamp_h], np.int64)
        return decide_hour(
            self.params,
            features,
            self.memory,
            self.book,
            self.marks,
            settled,
            self.now_h,
            money or self.memory.flowed_usdt,
            **how,
        )

    def go_on(self, decided: Decided, hours: int = 1) -> None:
        """Take over what an hour brought and let time pass, at fresh prices."""
        self.memory = decided.memory
        self.now_h += hours
        self.marks.spot_h[:] = self.marks.perp_h[:] = self.now_h - 1
