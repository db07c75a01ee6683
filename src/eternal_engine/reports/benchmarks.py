"""Say what the same money would have become without the engines: BTC held, a weekly purchase plan, and cash."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eternal_engine.market_data.history import HOUR_MS
from eternal_engine.reports.daily import growth_index
from eternal_engine.reports.result import Float64Array, Int64Array

WEEK_MS = 7 * 24 * HOUR_MS
BTC_SHARE_FRAC = 0.67


@dataclass(frozen=True)
class Benchmark:
    """Hold one alternative: marked equity [N] after flows in USDT, and its time-weighted index [N]."""

    name: str
    title: str
    equity: Float64Array
    index: Float64Array


@dataclass(frozen=True)
class PurchaseCost:
    """Hold what a spot purchase costs, as fractions."""

    fee_frac: float
    slippage_frac: float

    @property
    def kept_frac(self) -> float:
        """Give the part of the money that ends up as coins at the market price."""
        return (1.0 - self.fee_frac) / (1.0 + self.slippage_frac)


def benchmarks(
    close_ms: Int64Array,
    btc_close: Float64Array,
    eth_close: Float64Array,
    external_flow: Float64Array,
    capital_usdt: float,
    cost: PurchaseCost,
) -> tuple[Benchmark, ...]:
    """Build the three alternatives on the same hours, with the same capital, deposits, fee and slippage.

    btc_hold buys with everything at the start and with each deposit when it comes. dca_btc_eth_67_33 splits the
    capital into equal weekly purchases from the start to the end (docs/decisions/0041) and adds each deposit to the
    purchase of its hour. cash keeps it all. A coin without a price (NaN) is not bought; its money stays cash.
    """
    flow = external_flow.copy()
    flow[0] = 0.0
    at_once = flow.copy()
    at_once[0] = capital_usdt
    weekly = flow + _weekly_parts(close_ms, capital_usdt)
    hold = _bought(at_once, btc_close, cost)
    dca = _bought(weekly * BTC_SHARE_FRAC, btc_close, cost) + _bought(weekly * (1.0 - BTC_SHARE_FRAC), eth_close, cost)
    idle = np.maximum(capital_usdt + np.cumsum(flow) - np.cumsum(weekly), 0.0)
    return (
        _benchmark("btc_hold", "BTC hold", _from_capital(hold, capital_usdt), flow),
        _benchmark("dca_btc_eth_67_33", "BTC/ETH 67/33 DCA", _from_capital(dca + idle, capital_usdt), flow),
        _benchmark("cash", "Cash", capital_usdt + np.cumsum(flow), flow),
    )


def _benchmark(name: str, title: str, equity: Float64Array, flow: Float64Array) -> Benchmark:
    return Benchmark(name=name, title=title, equity=equity, index=growth_index(equity, flow))


def _from_capital(equity: Float64Array, capital_usdt: float) -> Float64Array:
    """Let the series begin with the untouched capital, so that the first purchase's cost is a loss of the first bar."""
    equity[0] = capital_usdt
    return equity


def _weekly_parts(close_ms: Int64Array, capital_usdt: float) -> Float64Array:
    parts = np.zeros(len(close_ms))
    week = (close_ms - close_ms[0]) // WEEK_MS
    due = np.flatnonzero(np.diff(week, prepend=-1) > 0)
    parts[due] = capital_usdt / len(due)
    return parts


def _bought(spent: Float64Array, price: Float64Array, cost: PurchaseCost) -> Float64Array:
    """Value the coins that `spent` [N] bought, plus the money that found no price."""
    known = np.isfinite(price) & (price > 0.0)
    coins = np.cumsum(np.divide(spent * cost.kept_frac, price, out=np.zeros_like(price), where=known))
    kept = np.cumsum(np.where(known, 0.0, spent))
    value: Float64Array = coins * np.where(known, price, 0.0) + kept
    return value
