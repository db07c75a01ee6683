"""Build parameters, observations, small markets and runs of the pure core: a test names only what it is about."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from eternal_engine.backtest.fills import Lots
from eternal_engine.backtest.prepare import features_of, market_of
from eternal_engine.backtest.settlements import NEVER_H, pay_funding
from eternal_engine.backtest.simulate import Simulation, plain_run, simulate
from eternal_engine.backtest.tape import BARS, DELISTING, EVENTS, ORDERS, TRADES, Tape
from eternal_engine.bootstrap import params_of
from eternal_engine.config.settings import Settings
from eternal_engine.market_data.history import HOUR_MS, FundingRates, MarketHistory, Ohlcv, Sentiment
from eternal_engine.model import reason
from eternal_engine.portfolio.params import BookView, Params, empty_marks
from eternal_engine.portfolio.valuation import count_active
from eternal_engine.risk import breaker
from eternal_engine.risk.verdict import Exposure
from eternal_engine.strategies import core_hodl
from eternal_engine.strategies.base import Signal

Float64Array = npt.NDArray[np.float64]

TEN = tuple(f"{coin}USDT" for coin in ("BTC", "ETH", "SOL", "XRP", "BNB", "DOGE", "ADA", "TRX", "AVAX", "LINK"))
THREE = TEN[:3]
TWO = TEN[:2]
# A Wednesday, 00:00 UTC; the first Monday after it is five days later.
START_MS = 1_577_836_800_000
START_H = START_MS // HOUR_MS
CAPITAL = (60_000.0, 20_000.0, 15_000.0, 5_000.0)
# TREND with short windows: it decides after ten days instead of two hundred.
QUICK_TREND: dict[str, Any] = {"sma_days": 6, "ema_days": 3, "adx_days": 3, "atr_days": 3, "warmup_days": 8}
OFF = {"enabled": False}


def _weights(symbols: tuple[str, ...], first: str, second: str) -> dict[str, str]:
    return {symbols[0]: first, symbols[1]: second}


@lru_cache(maxsize=8)
def _params(symbols: tuple[str, ...]) -> Params:
    if symbols == TEN:
        return params_of(Settings())
    weights = {name: _weights(symbols, *pair) for name, pair in (("core_hodl", ("0.67", "0.33")),)}
    return params_of(
        Settings.model_validate(
            {
                "symbols": symbols,
                "core_hodl": {"weights": weights["core_hodl"]},
                "funding": {"weights": _weights(symbols, "0.5", "0.5")},
                "tactical": {"weights": _weights(symbols, "0.8", "0.2")},
            }
        )
    )


def some_params(
    symbols: tuple[str, ...] = TEN,
    *,
    core: Mapping[str, Any] | None = None,
    trend: Mapping[str, Any] | None = None,
    funding: Mapping[str, Any] | None = None,
    tactical: Mapping[str, Any] | None = None,
    risk: Mapping[str, Any] | None = None,
    ladder: Mapping[str, Any] | None = None,
    costs: bool = True,
    **top: Any,
) -> Params:
    """Give the default parameters with changes per part; without `costs` fees and slippage are zero."""
    base = _params(symbols)
    free = {} if costs else {"spot_fee_frac": 0.0, "perp_fee_frac": 0.0, "slippage_frac": 0.0}
    limits = base.risk._replace(**{**free, **(risk or {})})
    return base._replace(
        core=base.core._replace(**(core or {})),
        trend=base.trend._replace(**(trend or {})),
        funding=base.funding._replace(**(funding or {})),
        tactical=base.tactical._replace(**(tactical or {})),
        risk=limits._replace(breaker=limits.breaker._replace(**(ladder or {}))),
        **top,
    )


def only(engine: str, symbols: tuple[str, ...] = TWO, **changes: Any) -> Params:
    """Give parameters with one engine on; `changes` as of `some_params`."""
    switches: dict[str, Any] = {name: dict(OFF) for name in ("core", "trend", "funding", "tactical") if name != engine}
    for name, wanted in changes.items():
        switches[name] = {**switches[name], **wanted} if name in switches else wanted
    return some_params(symbols, **switches)


def wild_params(seed: int) -> Params:
    """Give parameters under which all four engines trade much on a wild market; options differ with the seed."""
    return some_params(
        THREE,
        core={"interval_h": 24},
        trend={**QUICK_TREND, "adx_min": 5.0, "shorts": seed % 2 == 0, "risk_frac": 0.5, "stop_atr": 1.0}
        | {"volume_filter": seed % 4 == 1, "volume_days": 3},
        tactical={"level_drawdown": np.array([0.05, 0.2]), "take_profit_frac": 0.1, "max_hold_days": 4}
        | {"fear_enabled": True, "capitulation_enabled": True},
        risk={"max_position_frac": 0.5, "trend_max_own_frac": 2.0, "correlation_deny": 1.1},
        ladder={"daily_loss_frac": 0.2, "weekly_loss_frac": 0.4, "scope": seed % 2, "on_breach": int(seed % 3 == 0)},
    )


def an_exposure(**changes: Any) -> Exposure:
    """Build what a review sees of a healthy account of 100,000 with nothing held; nothing limits a small order."""
    healthy = Exposure(
        now_h=START_H,
        state=breaker.initial_state(),
        known=True,
        halted=False,
        stale_bars=0,
        portfolio_usdt=100_000.0,
        engine_usdt=20_000.0,
        free_usdt=20_000.0,
        position_usdt=0.0,
        perp_usdt=0.0,
        open_count=0,
        correlation=-1.0,
        kelly_frac=math.inf,
        orders_last_minute=0,
        exposure_usdt=0.0,
        mark=50_000.0,
    )
    return healthy._replace(**changes)


def a_history(
    spot: npt.ArrayLike,
    *,
    perp: npt.ArrayLike | None = None,
    rate: float | npt.ArrayLike = 0.0001,
    interval_h: int = 8,
    symbols: tuple[str, ...] | None = None,
    start_ms: int = START_MS,
    first_funding_h: int = 0,
    listed_h: npt.ArrayLike | None = None,
    delisted_h: npt.ArrayLike | None = None,
) -> MarketHistory:
    """Build a history from closes [S, H]: each bar opens at the last close, without wicks; perp equals spot.

    `rate` is one number or [S] or [S, settlements]; the first settlement is stamped `first_funding_h` after the start.
    `listed_h` and `delisted_h` [S] count from the start; -1 is never. NaN closes are missing bars.
    """
    closes = np.array(spot, dtype=np.float64, ndmin=2)
    count, hours = closes.shape
    names = symbols or TEN[:count]
    futures = closes if perp is None else np.array(perp, dtype=np.float64, ndmin=2)
    stamps = start_ms + np.arange(first_funding_h, hours + 1, interval_h, dtype=np.int64) * HOUR_MS
    rates = np.broadcast_to(
        np.asarray(rate, dtype=np.float64).reshape(-1, 1) if np.ndim(rate) < 2 else rate, (count, len(stamps))
    )
    listed = np.zeros(count, np.int64) if listed_h is None else np.asarray(listed_h, np.int64)
    gone = np.full(count, -1, np.int64) if delisted_h is None else np.asarray(delisted_h, np.int64)
    return MarketHistory(
        symbols=names,
        start_ms=start_ms,
        spot=some_bars(closes),
        perp=some_bars(futures),
        perp_stand_in=np.zeros(closes.shape, np.bool_),
        funding=tuple(
            FundingRates(stamps.copy(), rates[s].copy(), np.full(len(stamps), float(interval_h))) for s in range(count)
        ),
        first_funding_ms=np.full(count, stamps[0] if len(stamps) else -1, np.int64),
        listed_ms=start_ms + listed * HOUR_MS,
        delisted_ms=np.where(gone >= 0, start_ms + gone * HOUR_MS, -1),
        sentiment=Sentiment(np.zeros(0, np.int64), np.zeros(0)),
        source="made by a test",
        synthetic=True,
        fingerprint="f" * 64,
    )


def some_bars(closes: Float64Array) -> Ohlcv:
    """Make candles without wicks: a bar opens at the last close before it, or at its own when there is none."""
    opens = np.full(closes.shape, np.nan)
    for s, row in enumerate(closes):
        last = math.nan
        for h, close in enumerate(row):
            if not math.isnan(close):
                opens[s, h] = close if math.isnan(last) else last
                last = close
    return Ohlcv(
        open=opens,
        high=np.fmax(opens, closes) + 0.0 * closes,
        low=np.fmin(opens, closes) + 0.0 * closes,
        close=closes.copy(),
        volume=np.where(np.isnan(closes), 0.0, 1.0),
    )


def a_random_history(
    seed: int, *, days: int = 30, symbols: int = 3, holes: int = 0, vol: float = 0.02
) -> MarketHistory:
    """Build a wild market: random walks with jumps, wicks, changing funding, and `holes` missing runs of bars."""
    rng = np.random.default_rng(seed)
    hours = days * 24
    steps = rng.normal(rng.normal(0, vol / 12, (symbols, 1)), vol, (symbols, hours))
    jumps = rng.random((symbols, hours)) < 0.004
    steps += np.where(jumps, rng.normal(0, 8 * vol, (symbols, hours)), 0.0)
    first = np.array([30_000.0, 2_000.0, 100.0, 1.0, 300.0][:symbols])[:, None]
    spot = first * np.exp(np.cumsum(steps, axis=1))
    perp = spot * np.exp(rng.normal(0.0005, 0.0015, (symbols, hours)))
    for _ in range(holes):
        s, at, length = rng.integers(symbols), rng.integers(hours), rng.integers(1, 9)
        (spot if rng.random() < 0.5 else perp)[s, at : at + length] = np.nan
    history = a_history(spot, perp=perp, rate=rng.normal(0.0006, 0.0006, (symbols, hours // 8 + 1)))
    for bars in (history.spot, history.perp):
        bars.high[:] *= 1 + np.abs(rng.normal(0, vol / 2, bars.high.shape))
        bars.low[:] *= 1 - np.abs(rng.normal(0, vol / 2, bars.low.shape))
        bars.volume[:] *= rng.uniform(0, 50, bars.volume.shape)
    return history


def play(
    history: MarketHistory,
    params: Params,
    *,
    capital: tuple[float, float, float, float] = CAPITAL,
    first_bar: int = 0,
    last_bar: int | None = None,
    deposit_weekly_usdt: float = 0.0,
    runner: Callable[..., Any] = plain_run,
) -> Simulation:
    """Run the plain loop over a history."""
    return simulate(
        runner,
        params,
        features_of(params, history),
        market_of(history),
        first_bar=first_bar,
        last_bar=history.hours if last_bar is None else last_bar,
        capital=capital,
        deposit_weekly_usdt=deposit_weekly_usdt,
    )


def settle_once(params: Params, book: BookView, tape: Tape, lots: Lots, symbol: int, mark: float, rate: float) -> None:
    """Settle one symbol's funding in an hour of its own, on the tape's row at work."""
    symbols = book.perp_qty.shape[1]
    marks = empty_marks(symbols)
    history = a_history(np.full((symbols, 48), mark))
    stamps = np.full((symbols, 1), NEVER_H)
    stamps[symbol] = START_H + 1
    known = features_of(params, history)
    known = known._replace(funding=known.funding._replace(stamp_h=stamps, rate=np.full((symbols, 1), rate)))
    count_active(book)
    paid = np.zeros(symbols, np.int64)
    assert pay_funding(known, market_of(history), book, tape, lots, marks, paid, 1, 2, 1) == NEVER_H


def written(tape: Tape, name: str) -> np.ndarray:
    """Give the part of a record that a run has written; the room behind it may hold anything."""
    record: np.ndarray = getattr(tape, name)
    for kind, count in (("order", ORDERS), ("trade", TRADES), ("event", EVENTS)):
        if name.startswith(f"{kind}_"):
            return record[: tape.counts[count]]
    return np.ascontiguousarray(record[:, : tape.counts[BARS]]) if name in ("equity", "exposure") else record


@dataclass(frozen=True)
class Order:
    """One executed order of a tape."""

    decided_h: int
    filled_h: int
    engine: int
    symbol: int
    market: int
    side: int
    why: int
    rule: int
    qty: float
    price: float
    fee: float
    slippage: float


def orders_on(done: Simulation, engine: int | None = None) -> list[Order]:
    """Read the orders of a run from its tape, all or one engine's."""
    count = int(done.tape.counts[ORDERS])
    rows = zip(done.tape.order_i[:count].tolist(), done.tape.order_f[:count].tolist(), strict=True)
    orders = [Order(*whole, *part) for whole, part in rows]
    return [order for order in orders if engine is None or order.engine == engine]


def trades_on(done: Simulation, engine: int | None = None) -> list[dict[str, float]]:
    """Read the closed positions of a run from its tape."""
    count = int(done.tape.counts[TRADES])
    names = ("engine", "symbol", "side", "opened_h", "closed_h", "entry_reason", "exit_reason")
    parts = ("qty", "entry", "exit", "pnl", "fees", "funding")
    rows = zip(done.tape.trade_i[:count].tolist(), done.tape.trade_f[:count].tolist(), strict=True)
    found = [dict(zip(names + parts, whole + part, strict=True)) for whole, part in rows]
    return [trade for trade in found if engine is None or trade["engine"] == engine]


def events_on(done: Simulation, kind: int | None = None) -> list[tuple[int, int, int, int, int, float]]:
    """Read the events of a run: at_h, kind, engine, symbol, value, amount."""
    count = int(done.tape.counts[EVENTS])
    rows = zip(done.tape.event_i[:count].tolist(), done.tape.event_f[:count].tolist(), strict=True)
    found = [(*whole, amount) for whole, amount in rows]
    return [event for event in found if kind is None or event[1] == kind]


def equity_on(done: Simulation) -> Float64Array:
    """Give the engines' equities [4, N] of a run's valid bars."""
    return done.tape.equity[:, : int(done.tape.counts[BARS])]


def a_core_observation(params: Params, **changes: Any) -> core_hodl.CoreObservation:
    """Build what CORE_HODL sees of an account of 163,865 in cash, all coins listed at 1.00."""
    count = len(params.core.weights)
    seen = core_hodl.CoreObservation(
        now_h=START_H,
        cash_usdt=98_319.0,
        equity_usdt=98_319.0,
        portfolio_usdt=163_865.0,
        price=np.ones(count),
        fresh=np.ones(count, np.bool_),
        listed=np.ones(count, np.bool_),
        held_usdt=np.zeros(count),
        min_usdt=np.full(count, 5.0),
    )
    return seen._replace(**changes)


@dataclass
class CoreLife:
    """Live CORE_HODL cycle by cycle at constant prices without fees: every asked leg is filled, unless told otherwise.

    `refused` symbols get no fills, `cap_usdt` cuts every leg, `price` is what held coins are worth per USDT spent.
    """

    params: Params
    portfolio_usdt: float = 163_865.0
    cash: float = math.nan
    now_h: int = START_H
    min_usdt: float = 5.0
    cap_usdt: float = math.inf
    refused: set[int] = field(default_factory=set)
    unlisted: set[int] = field(default_factory=set)
    stale: set[int] = field(default_factory=set)
    notes: int = 0
    signals: list[Signal] = field(default_factory=list)

    def __post_init__(self) -> None:
        count = len(self.params.core.weights)
        self.state = core_hodl.initial_state(count)
        self.held = np.zeros(count)
        if math.isnan(self.cash):
            self.cash = 0.6 * self.portfolio_usdt

    def seen(self) -> core_hodl.CoreObservation:
        """Look at the account now."""
        count = len(self.held)
        listed = np.array([s not in self.unlisted for s in range(count)])
        fresh = np.array([s not in self.unlisted | self.stale for s in range(count)])
        return a_core_observation(
            self.params,
            now_h=self.now_h,
            cash_usdt=self.cash,
            equity_usdt=self.cash + float(self.held.sum()),
            portfolio_usdt=self.portfolio_usdt,
            listed=listed,
            fresh=fresh,
            held_usdt=self.held.copy(),
            min_usdt=np.full(count, self.min_usdt),
        )

    def cycle(self, *, hours: int = 168) -> dict[int, float]:
        """Run the due cycle, fill and judge it, and move on by `hours`; give what was asked per symbol."""
        assert core_hodl.is_due(self.state, self.now_h)
        self.state, self.signals, self.notes = core_hodl.decide(self.params.core, self.state, self.seen())
        for signal in self.signals:
            spent = min(signal.quote_usdt, self.cap_usdt, self.cash)
            if signal.symbol not in self.refused and spent > 0.0:
                self.cash -= spent
                self.held[signal.symbol] += spent
                self.state = core_hodl.on_fill(self.state, signal.symbol, spent, signal.plan_usdt)
        self.state = core_hodl.settle(self.params.core, self.state, self.seen())
        self.now_h += hours
        return {signal.symbol: signal.quote_usdt for signal in self.signals}

    def deposit(self, amount_usdt: float) -> None:
        """Let a deposit arrive in the ledger."""
        self.cash += amount_usdt
        self.portfolio_usdt += amount_usdt
        self.state = core_hodl.on_deposit(self.params.core, self.state, amount_usdt)


def cut(history: MarketHistory, hours: int) -> MarketHistory:
    """Give what was known of a history when bar `hours` opened: the bars before it and the settlements up to then."""
    end_ms = history.start_ms + hours * HOUR_MS

    def bars(whole: Ohlcv) -> Ohlcv:
        return Ohlcv(
            **{name: getattr(whole, name)[:, :hours].copy() for name in ("open", "high", "low", "close", "volume")}
        )

    def settled(rates: FundingRates) -> FundingRates:
        known = rates.stamp_ms <= end_ms
        return FundingRates(rates.stamp_ms[known], rates.rate[known], rates.interval_h[known])

    days = history.sentiment.day_ms < end_ms
    return replace(
        history,
        spot=bars(history.spot),
        perp=bars(history.perp),
        perp_stand_in=history.perp_stand_in[:, :hours],
        funding=tuple(settled(rates) for rates in history.funding),
        sentiment=Sentiment(history.sentiment.day_ms[days], history.sentiment.value[days]),
    )


def with_noise_after(history: MarketHistory, hours: int, seed: int = 0) -> MarketHistory:
    """Replace every bar from `hours` on, and every settlement after it, by unrelated numbers."""
    rng = np.random.default_rng(seed)
    end_ms = history.start_ms + hours * HOUR_MS

    def noise(whole: Ohlcv) -> Ohlcv:
        out = {name: getattr(whole, name).copy() for name in ("open", "high", "low", "close", "volume")}
        later = out["close"][:, hours:].shape
        last = np.array([row[~np.isnan(row)][-1] if (~np.isnan(row)).any() else 1.0 for row in out["close"][:, :hours]])
        close = last[:, None] * np.exp(np.cumsum(rng.normal(0, 0.05, later), axis=1))
        out["open"][:, hours:], out["close"][:, hours:] = close * np.exp(rng.normal(0, 0.01, later)), close
        out["high"][:, hours:] = np.fmax(out["open"], out["close"])[:, hours:] * 1.01
        out["low"][:, hours:] = np.fmin(out["open"], out["close"])[:, hours:] * 0.99
        out["volume"][:, hours:] = rng.uniform(0, 9, later)
        return Ohlcv(**out)

    funding = tuple(
        FundingRates(
            rates.stamp_ms,
            np.where(rates.stamp_ms <= end_ms, rates.rate, rng.normal(0, 0.002, len(rates.rate))),
            rates.interval_h,
        )
        for rates in history.funding
    )
    return replace(history, spot=noise(history.spot), perp=noise(history.perp), funding=funding)


def replayed_equity(
    done: Simulation, history: MarketHistory, params: Params, capital: tuple[float, ...]
) -> Float64Array:
    """Book the orders, funding and transfers of a tape again, by a ledger of its own, and mark it at every bar [4, N].

    Knows nothing of the loop but what is on the tape; raises AssertionError when spot engines overdraw their cash.
    """
    rows = int(done.tape.counts[BARS])
    cash = np.array(capital, dtype=np.float64)
    coins, perps, entry = (np.zeros((4, len(history.symbols))) for _ in range(3))
    at_row = {int(h) - 1: row for row, h in enumerate(done.tape.close_h[:rows]) if row}
    orders: dict[int, list[Order]] = {}
    for order in orders_on(done):
        orders.setdefault(at_row[order.filled_h], []).append(order)
    ended = {(at_row[e[0]], e[2], e[3]) for e in events_on(done, DELISTING)}
    first_h = history.start_ms // HOUR_MS
    spot_mark, perp_mark = np.full(coins.shape[1], np.nan), np.full(coins.shape[1], np.nan)
    out = np.zeros((4, rows))
    seen_bars = 0
    for row in range(rows):
        cash += done.tape.funding[:, row]
        for order in orders.get(row, []):
            _book(order, params, cash, coins, perps, entry)
            if order.why == reason.FUND_LIQUIDATION and not any(perps[2]):
                cash[2] = max(cash[2], 0.0)
        for _, engine, symbol in (gone for gone in ended if gone[0] == row):
            coins[engine, symbol] = 0.0
        cash += done.tape.engine_flow[:, row]
        assert min(cash[0], cash[3]) > -1e-6
        while seen_bars < int(done.tape.close_h[row]) - first_h:
            known = _tradable(history, seen_bars)
            for marks, closes in ((spot_mark, history.spot.close), (perp_mark, history.perp.close)):
                fresh = known & ~np.isnan(closes[:, seen_bars])
                marks[fresh] = closes[fresh, seen_bars]
            seen_bars += 1
        for engine in range(4):
            held, short = coins[engine] != 0.0, perps[engine] != 0.0
            out[engine, row] = (
                cash[engine]
                + (coins[engine] * spot_mark)[held].sum()
                + (perps[engine] * (perp_mark - entry[engine]))[short].sum()
            )
    return out


def _tradable(history: MarketHistory, bar: int) -> npt.NDArray[np.bool_]:
    at_ms = history.open_ms(bar)
    return (history.listed_ms <= at_ms) & ((history.delisted_ms < 0) | (at_ms < history.delisted_ms))


def _book(
    order: Order, params: Params, cash: Float64Array, coins: Float64Array, perps: Float64Array, entry: Float64Array
) -> None:
    e, s = order.engine, order.symbol
    if order.market == 0:
        cash[e] -= order.side * order.qty * order.price
        if order.side > 0:
            coins[e, s] += order.qty * (1.0 - params.risk.spot_fee_frac)
        else:
            cash[e] -= order.fee
            coins[e, s] -= order.qty
            coins[e, s] = 0.0 if abs(coins[e, s]) < 1e-12 else coins[e, s]
        return
    cash[e] -= order.fee
    before = perps[e, s]
    if before == 0.0 or (before > 0) == (order.side > 0):
        entry[e, s] = (entry[e, s] * abs(before) + order.price * order.qty) / (abs(before) + order.qty)
    else:
        cash[e] += np.sign(before) * order.qty * (order.price - entry[e, s])
    perps[e, s] += order.side * order.qty
    if abs(perps[e, s]) < 0.5 * params.instruments.perp_step[s]:
        perps[e, s] = 0.0
