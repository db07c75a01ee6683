"""Try many parameter sets of TREND over one history; feature arrays are shared between sets."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from eternal_engine.backtest.prepare import day_ranges_of, market_of, settle_opens_of
from eternal_engine.backtest.runner import switched
from eternal_engine.backtest.simulate import simulate, tape_for
from eternal_engine.backtest.tape import BARS, DAILY, ORDERS, ROW_HOURS, Tape
from eternal_engine.market_data.history import HOUR_MS, MarketHistory
from eternal_engine.portfolio.params import Features, Params
from eternal_engine.reports.daily import day_grid, growth_index
from eternal_engine.reports.metrics import Metrics, measure
from eternal_engine.strategies import indicators
from eternal_engine.strategies.base import TREND
from eternal_engine.strategies.trend import TrendFeatures, TrendParams


@dataclass(frozen=True)
class SweepRow:
    """Hold the outcome of one parameter set: TREND's own metrics, with all sets counted as trials."""

    params: TrendParams
    orders: int
    final_equity_usdt: float
    metrics: Metrics


def sweep_trend(
    run: Callable[..., Any],
    params: Params,
    history: MarketHistory,
    daily: indicators.DailyBars,
    features: Features,
    variants: Iterable[TrendParams],
    *,
    first_bar: int,
    last_bar: int,
    capital: tuple[float, float, float, float],
) -> list[SweepRow]:
    """Run TREND alone once per variant over bars [first_bar, last_bar)."""
    alone = switched(params, ("trend",))
    market = market_of(history, day_ranges_of(history), settle_opens_of(history))
    bars = last_bar - first_bar
    daily_tape = tape_for(len(history.symbols), bars, DAILY)
    shared = _Indicators(daily, features.trend)
    sets = list(variants)
    rows = []
    for variant in sets:
        chosen = alone._replace(trend=variant)
        seen = features._replace(trend=shared.features(variant))
        tape = daily_tape
        simulate(run, chosen, seen, market, first_bar=first_bar, last_bar=last_bar, capital=capital, tape=tape)
        if tape.lowest[0] <= 0.0:
            # How a ruined book is measured depends on its hours.
            tape = tape_for(len(history.symbols), bars)
            simulate(run, chosen, seen, market, first_bar=first_bar, last_bar=last_bar, capital=capital, tape=tape)
        rows.append(_row(variant, tape, len(sets)))
    return rows


def _row(variant: TrendParams, tape: Tape, trials: int) -> SweepRow:
    count = int(tape.counts[BARS])
    equity, flow = tape.equity[TREND, :count], tape.engine_flow[TREND, :count]
    if tape.layout[ROW_HOURS] == DAILY:
        index = growth_index(equity, flow)
    else:
        index = growth_index(equity, flow, day_grid(tape.close_h[:count] * HOUR_MS).row)
    return SweepRow(
        params=variant,
        orders=int(tape.counts[ORDERS]),
        final_equity_usdt=float(equity[-1]),
        metrics=measure(index, trials=trials),
    )


class _Indicators:
    """Keep every indicator that any variant has asked for, by kind and period."""

    def __init__(self, daily: indicators.DailyBars, features: TrendFeatures) -> None:
        self._daily = daily
        self._features = features
        self._known: dict[tuple[str, int], Any] = {}

    def features(self, variant: TrendParams) -> TrendFeatures:
        """Put together the features of one variant."""
        return self._features._replace(
            sma=self._get("sma", variant.sma_days),
            ema=self._get("ema", variant.ema_days),
            adx=self._get("adx", variant.adx_days),
            atr=self._get("atr", variant.atr_days),
        )

    def _get(self, kind: str, days: int) -> Any:
        key = (kind, days)
        if key not in self._known:
            self._known[key] = getattr(indicators, kind)(self._daily, days)
        return self._known[key]
