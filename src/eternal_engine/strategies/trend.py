"""TREND: long the trend of a coin by its perpetual, at most 2x (rules TREND-E1 to TREND-F1)."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from eternal_engine.model import reason
from eternal_engine.model.rule import Rule
from eternal_engine.model.steps import steps_up, whole_steps
from eternal_engine.strategies.base import (
    BUY,
    HOURS_PER_DAY,
    PERP,
    SELL,
    TREND,
    Signal,
    exceeded,
    no_signals,
    reached,
    reduce_signal,
)
from eternal_engine.strategies.indicators import (
    MIN_BARS_PER_DAY,
    DailyBars,
    adx,
    atr,
    days_known,
    ema,
    sma,
    volume_mean,
)

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]
Int8Array = npt.NDArray[np.int8]
BoolArray = npt.NDArray[np.bool_]

# Bits of `calendar`: the day has bars enough, all its bars, an entry, a close that ends longs, one that ends shorts.
DECIDES: Final = 1
WHOLE: Final = 2
ENTERS: Final = 4
ENDS_LONG: Final = 8
ENDS_SHORT: Final = 16

RULES = (
    Rule(
        "TREND-E1",
        "Enter when close and EMA50 stand above SMA200 and ADX14 above 25, after 200 days; rank by ADX.",
        ("trend.sma_days", "trend.ema_days", "trend.adx_days", "trend.adx_min", "trend.warmup_days")
        + ("trend.max_stop_frac", "trend.volume_filter", "trend.volume_days", "trend.shorts"),
        ("tests/unit/strategies/test_trend.py::test_trend_e1_each_condition_refuses_alone",),
    ),
    Rule(
        "TREND-S1",
        "Stop two ATR from the entry; quantity risks a fixed fraction of engine equity over that distance.",
        ("trend.stop_atr", "trend.risk_frac", "trend.atr_days"),
        ("tests/unit/strategies/test_trend.py::test_trend_s1_stop_and_quantity",),
    ),
    Rule(
        "TREND-S2",
        "From the first close two ATR in profit a trail follows the best close at three ATR; it only tightens.",
        ("trend.trail_start_atr", "trend.trail_atr"),
        ("tests/unit/strategies/test_trend.py::test_trend_s2_trail_activates_and_only_rises",),
    ),
    Rule(
        "TREND-X1",
        "Exit on a daily close beyond SMA200 against the position.",
        (),
        ("tests/unit/strategies/test_trend.py::test_trend_x1_close_below_the_mean_exits",),
    ),
    Rule(
        "TREND-X2",
        "Exit when the mark price touches the stop or the trail, at the worse of the bar's open and the stop.",
        (),
        ("tests/unit/backtest/test_fills.py::test_trend_x2_stop_fills_at_the_worse_of_open_and_stop",),
    ),
)


class TrendParams(NamedTuple):
    """Hold TREND's configuration: days are daily bars, `_atr` multiples of ATR, `_frac` fractions."""

    enabled: bool
    sma_days: int
    ema_days: int
    adx_days: int
    adx_min: float
    atr_days: int
    warmup_days: int
    max_stop_frac: float
    stop_atr: float
    trail_start_atr: float
    trail_atr: float
    risk_frac: float
    volume_filter: bool
    volume_days: int
    shorts: bool
    leverage: float
    maintenance_frac: float


class TrendFeatures(NamedTuple):
    """Hold daily arrays [S, D] of spot; row d may be used from the close of day d on."""

    close: Float64Array
    sma: Float64Array
    ema: Float64Array
    adx: Float64Array
    atr: Float64Array
    volume: Float64Array
    volume_mean: Float64Array
    days_known: Int64Array
    bars: Int64Array


class TrendState(NamedTuple):
    """Hold, per symbol, what belongs to an open position and must survive a restart (zero when flat).

    `side` is +1 long, -1 short; `stop` the price in force (USDT); `base_qty` the coins before any breaker cut.
    """

    side: Int64Array
    entry: Float64Array
    atr: Float64Array
    stop: Float64Array
    best_close: Float64Array
    trailing: BoolArray
    base_qty: Float64Array


class TrendObservation(NamedTuple):
    """Hold what TREND may see at a daily decision; arrays per symbol.

    `day` is the row of the features that just closed. `price` last perp close, `tradable` spot and perp bars
    just closed and the perp listed, `busy` an order of TREND is open in the symbol, `held_qty` signed coins left after
    reducing orders on their way, `tick` of the perp (USDT).
    """

    day: int
    engine_usdt: float
    price: Float64Array
    tradable: BoolArray
    busy: BoolArray
    held_qty: Float64Array
    tick: Float64Array


def features(params: TrendParams, daily: DailyBars) -> TrendFeatures:
    """Compute every indicator over the whole history at once (causal: row d uses days up to d)."""
    empty = np.full((1, 1), np.nan)
    return TrendFeatures(
        close=daily.close,
        sma=sma(daily, params.sma_days),
        ema=ema(daily, params.ema_days),
        adx=adx(daily, params.adx_days),
        atr=atr(daily, params.atr_days),
        volume=daily.volume,
        volume_mean=volume_mean(daily, params.volume_days) if params.volume_filter else empty,
        days_known=days_known(daily),
        bars=daily.bars,
    )


def initial_state(symbols: int) -> TrendState:
    """Give the state of an engine without positions."""
    return TrendState(
        side=np.zeros(symbols, np.int64),
        entry=np.zeros(symbols),
        atr=np.zeros(symbols),
        stop=np.zeros(symbols),
        best_close=np.zeros(symbols),
        trailing=np.zeros(symbols, np.bool_),
        base_qty=np.zeros(symbols),
    )


def day_decides(rows: TrendFeatures, symbol: int, day: int) -> bool:
    """Tell whether a day had enough hourly bars for a daily decision (U-10)."""
    return bool(rows.bars[symbol, day] >= MIN_BARS_PER_DAY)


def entry_side(params: TrendParams, rows: TrendFeatures, symbol: int, day: int) -> int:
    """Give +1 for a long entry, -1 for a short one, 0 for none (TREND-E1, market conditions only)."""
    if not is_loud(params, rows, symbol, day):
        return 0
    return price_side(
        params,
        rows.close[symbol, day],
        rows.sma[symbol, day],
        rows.ema[symbol, day],
        rows.adx[symbol, day],
        rows.atr[symbol, day],
    )


def is_loud(params: TrendParams, rows: TrendFeatures, symbol: int, day: int) -> bool:
    """Tell whether the volume is at least its mean, where the filter asks; an unknown mean does not pass it."""
    return bool(not params.volume_filter or rows.volume[symbol, day] >= rows.volume_mean[symbol, day])


def price_side(params: TrendParams, close: float, mean: float, fast: float, strength: float, span: float) -> int:
    """Give the side of an entry by a day's close, its slow and fast mean, ADX and ATR, 0 for none (TREND-E1)."""
    # What is not known yet is NaN and fails every comparison.
    if not exceeded(strength, params.adx_min) or span <= 0.0:
        return 0
    if not reached(params.max_stop_frac * close, params.stop_atr * span):
        return 0
    if close > mean and fast > mean:
        return BUY
    if params.shorts and close < mean and fast < mean:
        return SELL
    return 0


def leaving_side(rows: TrendFeatures, symbol: int, day: int) -> int:
    """Give the side that a daily close beyond SMA200 ends, +1 long, -1 short, 0 for none (TREND-X1)."""
    return ended_side(rows.close[symbol, day], rows.sma[symbol, day])


def ended_side(close: float, mean: float) -> int:
    """Give the side that a close beyond the mean ends, 0 for none (TREND-X1)."""
    if close < mean:
        return BUY
    return SELL if close > mean else 0


def leaves(rows: TrendFeatures, state: TrendState, symbol: int, day: int) -> bool:
    """Tell whether a position ends on a daily close beyond SMA200 against it (TREND-X1)."""
    return bool(state.side[symbol] * leaving_side(rows, symbol, day) > 0)


def is_warm(params: TrendParams, rows: TrendFeatures, symbol: int, day: int) -> bool:
    """Tell whether the symbol has its minimum number of daily bars (reason WARMUP n/200 otherwise)."""
    return bool(rows.days_known[symbol, day] >= params.warmup_days)


def calendar(params: TrendParams, rows: TrendFeatures) -> Int8Array:
    """Give what the close of every day [D, S] may bring, as bits, by the rules above; no row when TREND is off."""
    symbols, days = rows.close.shape
    marked = np.zeros((days if params.enabled else 0, symbols), np.int8)
    for s in range(symbols):
        # One symbol's rows, looked up once.
        close, mean, fast, strength, span = rows.close[s], rows.sma[s], rows.ema[s], rows.adx[s], rows.atr[s]
        for day in range(len(marked)):
            if not day_decides(rows, s, day):
                continue
            bits = DECIDES
            if rows.bars[s, day] == HOURS_PER_DAY:
                bits |= WHOLE
            side = price_side(params, close[day], mean[day], fast[day], strength[day], span[day])
            if side != 0 and is_warm(params, rows, s, day) and is_loud(params, rows, s, day):
                bits |= ENTERS
            against = ended_side(close[day], mean[day])
            if against > 0:
                bits |= ENDS_LONG
            elif against < 0:
                bits |= ENDS_SHORT
            marked[day, s] = bits
    return marked


def stop_price(params: TrendParams, side: int, entry: float, atr_usdt: float, tick: float) -> float:
    """Give the protective stop of a fill at `entry` (TREND-S1), on the tick away from the entry."""
    return on_tick(entry - side * params.stop_atr * atr_usdt, side, tick)


def on_tick(price: float, side: int, tick: float) -> float:
    """Round a stop to a price that can rest on the exchange, away from the position (TREND-X3)."""
    return whole_steps(price, tick) * tick if side > 0 else steps_up(price, tick) * tick


def trail_after(
    params: TrendParams, state: TrendState, symbol: int, close: float, tick: float
) -> tuple[float, bool, float]:
    """Give best close, whether the trail follows, and the stop of one position after a daily close (TREND-S2)."""
    side = state.side[symbol]
    best = state.best_close[symbol]
    best = max(best, close) if side > 0 else min(best, close)
    profit = side * (close - state.entry[symbol])
    trailing = state.trailing[symbol] or reached(profit, params.trail_start_atr * state.atr[symbol])
    stop = state.stop[symbol]
    if trailing:
        trail = on_tick(best - side * params.trail_atr * state.atr[symbol], side, tick)
        stop = max(stop, trail) if side > 0 else min(stop, trail)
    return best, trailing, stop


def trail_in_place(params: TrendParams, state: TrendState, symbol: int, close: float, tick: float) -> None:
    """Advance the trail of one position by a daily close, in the arrays of a state that is the caller's alone."""
    best, trailing, stop = trail_after(params, state, symbol, close, tick)
    state.best_close[symbol] = best
    state.trailing[symbol] = trailing
    state.stop[symbol] = stop


def trailed(params: TrendParams, state: TrendState, symbol: int, close: float, tick: float) -> TrendState:
    """Advance the trail of one position by a daily close (TREND-S2); the stop only ever tightens."""
    best, trailing, stop = trail_after(params, state, symbol, close, tick)
    if best == state.best_close[symbol] and trailing == state.trailing[symbol] and stop == state.stop[symbol]:
        return state
    fresh = copied(state)
    trail_in_place(params, fresh, symbol, close, tick)
    return fresh


def copied(state: TrendState) -> TrendState:
    """Give a state with arrays of its own."""
    return state._replace(
        side=state.side.copy(),
        entry=state.entry.copy(),
        atr=state.atr.copy(),
        stop=state.stop.copy(),
        best_close=state.best_close.copy(),
        trailing=state.trailing.copy(),
        base_qty=state.base_qty.copy(),
    )


def open_in_place(
    state: TrendState, symbol: int, side: int, entry: float, atr_usdt: float, stop: float, qty: float
) -> None:
    """Take over a filled entry in the arrays of a state that is the caller's alone (TREND-S1)."""
    state.side[symbol] = side
    state.entry[symbol] = entry
    state.atr[symbol] = atr_usdt
    state.stop[symbol] = stop
    state.best_close[symbol] = -np.inf if side > 0 else np.inf
    state.trailing[symbol] = False
    state.base_qty[symbol] = qty


def opened(
    state: TrendState, symbol: int, side: int, entry: float, atr_usdt: float, stop: float, qty: float
) -> TrendState:
    """Take over a filled entry: the stop counts from the fill price (TREND-S1)."""
    fresh = copied(state)
    open_in_place(fresh, symbol, side, entry, atr_usdt, stop, qty)
    return fresh


def close_in_place(state: TrendState, symbol: int) -> None:
    """Forget a position that is flat again in the arrays of a state that is the caller's alone."""
    state.side[symbol] = 0
    state.stop[symbol] = 0.0
    state.trailing[symbol] = False
    state.base_qty[symbol] = 0.0


def closed(state: TrendState, symbol: int) -> TrendState:
    """Forget a position that is flat again."""
    fresh = copied(state)
    close_in_place(fresh, symbol)
    return fresh


def risk_qty(params: TrendParams, engine_usdt: float, atr_usdt: float) -> float:
    """Give the coins that lose `risk_frac` of the engine's equity between entry and stop (TREND-S1)."""
    return params.risk_frac * engine_usdt / (params.stop_atr * atr_usdt)


def decide(
    params: TrendParams, rows: TrendFeatures, state: TrendState, seen: TrendObservation
) -> tuple[TrendState, list[Signal], list[Signal]]:
    """Decide on one completed day: the new state, exits in symbol order, and entry candidates by falling ADX."""
    exits = no_signals()
    candidates = no_signals()
    day = seen.day
    for s in range(len(state.side)):
        if not seen.tradable[s] or not day_decides(rows, s, day):
            continue
        close = rows.close[s, day]
        if seen.held_qty[s] != 0.0:
            if leaves(rows, state, s, day):
                if not seen.busy[s]:
                    side = SELL if seen.held_qty[s] > 0.0 else BUY
                    qty = abs(seen.held_qty[s])
                    exits.append(reduce_signal(TREND, s, PERP, side, qty, seen.price[s], reason.TREND_EXIT))
            elif state.side[s] != 0:
                state = trailed(params, state, s, close, seen.tick[s])
        elif not seen.busy[s]:
            side = entry_side(params, rows, s, day) if is_warm(params, rows, s, day) else 0
            if side != 0:
                span = rows.atr[s, day]
                qty = risk_qty(params, seen.engine_usdt, span)
                candidates.append(
                    Signal(
                        TREND, s, PERP, side, False, qty, 0.0, seen.price[s], reason.TREND_ENTRY,
                        params.stop_atr * span, span, 0.0, 0,
                    )
                )  # fmt: skip
    return state, exits, ranked(candidates, rows, day)


def ranked(candidates: list[Signal], rows: TrendFeatures, day: int) -> list[Signal]:
    """Order candidates by falling ADX, ties in symbol order (TREND-E1)."""
    if len(candidates) < 2:
        return candidates
    out = no_signals()
    for candidate in candidates:
        at = len(out)
        while at > 0 and rows.adx[out[at - 1].symbol, day] < rows.adx[candidate.symbol, day]:
            at -= 1
        out.insert(at, candidate)
    return out
