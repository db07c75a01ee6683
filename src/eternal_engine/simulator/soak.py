"""Random operations against a venue, audited as it goes: does the money ever move by itself?"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, cast

from eternal_engine.simulator.venue import (
    LINEAR,
    SPOT,
    Execution,
    MarketShape,
    OrderRequest,
    Quote,
    Range,
    Venue,
    VenueConfig,
    VenueReject,
    default_instruments,
)
from eternal_engine.simulator.venue.matching import floor_to

SYMBOLS = ("BTCUSDT", "ETHUSDT", "XRPUSDT")
FIRST_PRICES = {"BTCUSDT": Decimal(40000), "ETHUSDT": Decimal(2000), "XRPUSDT": Decimal("0.6")}
ACCOUNTS = 5
START_MS = 1_704_067_200_000
KEEP_ROWS = 2_000


@dataclass
class Soak:
    """Drive a venue with seeded random operations and count what happened.

    Money changes by orders of every kind, cancels, amends, stops, bars, liquidations, funding, transfers, deposits,
    mode switches, halts and delistings; `audit_every` operations the books must balance exactly.
    """

    seed: int
    audit_every: int = 1000
    done: Counter[str] = field(default_factory=Counter)
    refused: Counter[int] = field(default_factory=Counter)
    fills: Counter[str] = field(default_factory=Counter)
    audits: int = 0

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)  # noqa: S311 - a simulation, not a secret
        shape = MarketShape(depth_usdt=Decimal(20000) if self.seed % 2 else None)
        config = VenueConfig(shape=shape, keep_rows=KEEP_ROWS, salt=str(self.seed))
        instruments = default_instruments(SYMBOLS)
        self.venue = Venue(config, now_ms=START_MS, instruments=instruments)
        self.uids = [self.venue.open_account(f"soak{number}").uid for number in range(ACCOUNTS)]
        self.prices = dict(FIRST_PRICES)
        for uid in self.uids:
            self.venue.deposit(uid, "USDT", Decimal(50_000))
        self.venue.state.accounts[self.uids[-1]].margin_mode = "ISOLATED_MARGIN"
        self.venue.state.accounts[self.uids[1]].fees_in_mnt = True
        self.venue.deposit(self.uids[1], "MNT", Decimal(500))
        self._quote()

    def run(self, operations: int) -> tuple[str, ...]:
        """Do so many operations; returns what the first failing audit said, empty when all balanced."""
        for number in range(1, operations + 1):
            self.step()
            if number % self.audit_every == 0 or number == operations:
                self.audits += 1
                wrong = self.venue.audit()
                if wrong:
                    return (f"after operation {number}", *wrong)
                self.fills.update(
                    event.body.exec_type for event in self.venue.take_events() if isinstance(event.body, Execution)
                )
                self.venue.state.take_dirty()
        return ()

    def step(self) -> None:
        """Do one random operation; what the venue refuses is counted by its code."""
        name, act = self.dice.choices(_ACTS, weights=_WEIGHTS)[0]
        try:
            act(self)
            self.done[name] += 1
        except VenueReject as error:
            self.refused[error.code] += 1

    def _order(self) -> None:
        category = self.dice.choice((SPOT, LINEAR))
        symbol = self.dice.choice(SYMBOLS)
        side = self.dice.choice(("Buy", "Sell"))
        kind = self.dice.choice(("Market", "Limit"))
        uid = self.dice.choice(self.uids)
        instrument = self.venue.state.instruments[category, symbol]
        price = self.prices[symbol]
        value = Decimal(self.dice.randint(1, 20_000))
        away = Decimal(self.dice.randint(970, 1030)) / 1000
        limit = floor_to(price * away, instrument.tick) if kind == "Limit" else None
        qty = floor_to(value / price, instrument.qty_step)
        if category == SPOT and kind == "Market" and side == "Buy":
            qty = value
        if category == SPOT and side == "Sell" and self.dice.random() < 0.7:
            qty = min(qty, floor_to(self.venue.free(uid, instrument.base), instrument.qty_step))
        more: dict[str, Any] = {}
        if category == LINEAR:
            more = self._linear_extras(uid, symbol, side, price, instrument.tick)
        self.venue.create_order(
            uid,
            OrderRequest(
                category,
                symbol,
                cast("Any", side),
                cast("Any", kind),
                qty,
                price=limit,
                time_in_force=cast("Any", self.dice.choice(("GTC", "GTC", "IOC", "FOK", "PostOnly"))),
                **more,
            ),
        )

    def _linear_extras(self, uid: int, symbol: str, side: str, price: Decimal, tick: Decimal) -> dict[str, Any]:
        more: dict[str, Any] = {"reduce_only": self.dice.random() < 0.2}
        if symbol in self.venue.state.accounts[uid].hedge_symbols:
            more["position_idx"] = 1 if (side == "Buy") != more["reduce_only"] else 2
        if self.dice.random() < 0.2:
            rises = self.dice.random() < 0.5
            more["trigger_price"] = floor_to(price * Decimal("1.01" if rises else "0.99"), tick)
            more["trigger_direction"] = 1 if rises else 2
            more["trigger_by"] = self.dice.choice(("LastPrice", "MarkPrice", "IndexPrice"))
        elif self.dice.random() < 0.2:
            below, above = floor_to(price * Decimal("0.97"), tick), floor_to(price * Decimal("1.03"), tick)
            more["stop_loss"], more["take_profit"] = (below, above) if side == "Buy" else (above, below)
        return more

    def _cancel(self) -> None:
        uid = self.dice.choice(self.uids)
        opens = self.venue.state.opens(uid)
        if opens:
            order = self.dice.choice(opens)
            self.venue.cancel_order(uid, order.category, order.order_id)

    def _cancel_all(self) -> None:
        self.venue.cancel_all(self.dice.choice(self.uids), self.dice.choice((SPOT, LINEAR)))

    def _amend(self) -> None:
        uid = self.dice.choice(self.uids)
        opens = [order for order in self.venue.state.opens(uid) if order.order_type == "Limit"]
        if opens:
            order = self.dice.choice(opens)
            instrument = self.venue.state.instruments[order.category, order.symbol]
            price = floor_to(order.price * Decimal(self.dice.randint(990, 1010)) / 1000, instrument.tick)
            qty = order.qty + instrument.qty_step * self.dice.randint(-3, 3)
            self.venue.amend_order(uid, order.category, order.order_id, qty=qty, price=price)

    def _bar(self) -> None:
        symbol = self.dice.choice(SYMBOLS)
        tick = self.venue.state.instruments[LINEAR, symbol].tick
        first = self.prices[symbol]
        swing = self.dice.choice((5, 10, 20, 60))
        factors = sorted(Decimal(1000 + self.dice.randint(-swing, swing)) / 1000 for _ in range(3))
        low, last, high = (max(tick, floor_to(first * factor, tick)) for factor in factors)
        low, high = min(low, first), max(high, first)
        mid_low, mid_high = (low + first) / 2, (high + first) / 2
        path = Range(first, low, high, last, mid_low, mid_high, low, high)
        self.venue.sweep({(SPOT, symbol): path, (LINEAR, symbol): path})
        self.prices[symbol] = last
        self.venue.advance(self.venue.state.now_ms + 3_600_000)
        self._quote()

    def _funding(self) -> None:
        symbol = self.dice.choice(SYMBOLS)
        rate = Decimal(self.dice.randint(-3000, 3000)) / Decimal(1_000_000)
        self.venue.settle_funding(symbol, rate, self.prices[symbol], self.venue.state.now_ms)

    def _transfer(self) -> None:
        source, target = self.dice.sample(self.uids, 2)
        coin = self.dice.choice(("USDT", "BTC", "ETH"))
        amount = Decimal(self.dice.randint(1, 5_000_000)) / 1000 if coin == "USDT" else Decimal("0.01")
        self.venue.transfer(self.venue.state.new_uuid("soak"), source, target, coin, amount)

    def _deposit(self) -> None:
        self.venue.deposit(self.dice.choice(self.uids), "USDT", Decimal(self.dice.randint(-1000, 5000)))

    def _leverage(self) -> None:
        leverage = Decimal(self.dice.randint(1, 50))
        self.venue.set_leverage(self.dice.choice(self.uids), self.dice.choice(SYMBOLS), leverage)

    def _mode(self) -> None:
        uid, symbol = self.dice.choice(self.uids), self.dice.choice(SYMBOLS)
        hedge = symbol not in self.venue.state.accounts[uid].hedge_symbols
        self.venue.switch_mode(uid, symbol, hedge=hedge)

    def _stop(self) -> None:
        uid = self.dice.choice(self.uids)
        held = self.venue.state.positions_of(uid)
        if held:
            row = self.dice.choice(held)
            trail = self.prices[row.symbol] / 50
            self.venue.set_trading_stop(uid, row.symbol, row.idx, trailing_stop=trail)

    def _halt(self) -> None:
        self.venue.halt(self.dice.choice((SPOT, LINEAR)), self.dice.choice(SYMBOLS))

    def _delist(self) -> None:
        symbol = self.dice.choice(SYMBOLS)
        self.venue.set_status(LINEAR, symbol, "Closed")
        self.venue.set_status(LINEAR, symbol, "Trading")

    def _quote(self) -> None:
        for symbol, first in FIRST_PRICES.items():
            # Far walks come back, so that a long soak stays in the world of real prices.
            if not first / 20 < self.prices[symbol] < first * 20:
                self.prices[symbol] = first
            quote = Quote.flat(self.prices[symbol])
            self.venue.set_quotes({(SPOT, symbol): quote, (LINEAR, symbol): quote})
        self.venue.set_quotes({(SPOT, "MNTUSDT"): Quote.flat(Decimal("0.8"))})


_TABLE: tuple[tuple[str, Callable[[Soak], None], int], ...] = (
    ("order", Soak._order, 500),
    ("cancel", Soak._cancel, 160),
    ("cancel_all", Soak._cancel_all, 8),
    ("amend", Soak._amend, 60),
    ("bar", Soak._bar, 120),
    ("funding", Soak._funding, 40),
    ("transfer", Soak._transfer, 40),
    ("deposit", Soak._deposit, 20),
    ("leverage", Soak._leverage, 10),
    ("mode", Soak._mode, 10),
    ("stop", Soak._stop, 20),
    ("halt", Soak._halt, 10),
    ("delist", Soak._delist, 2),
)
_ACTS = tuple((name, act) for name, act, _ in _TABLE)
_WEIGHTS = tuple(weight for _, _, weight in _TABLE)
