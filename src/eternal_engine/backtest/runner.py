"""Run one backtest from a request: data, range, loop, and the rows that reports read."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import numpy.typing as npt

from eternal_engine.backtest.prepare import daily_bars_of, features_of, market_of
from eternal_engine.backtest.rows import events_of, open_positions_of, orders_of, trades_of
from eternal_engine.backtest.simulate import Simulation, plain_run, simulate
from eternal_engine.backtest.tape import BARS, EVENTS, ORDERS, TRADES
from eternal_engine.market_data.history import DAY_MS, HOUR_MS, MarketHistory
from eternal_engine.market_data.load import load_history
from eternal_engine.model import reason
from eternal_engine.model.errors import DataError
from eternal_engine.portfolio.params import Params
from eternal_engine.reports.result import ENGINES, BacktestResult

Float64Array = npt.NDArray[np.float64]

# Days of BTC handed to the regimes so that they are warm at the start.
DAYS_BEFORE = 400


@dataclass(frozen=True)
class BacktestRequest:
    """Say what to run: `data` None means the own store or, without one, the synthetic market of `seed`.

    `start` and `end` are UTC days, both inclusive; `years` counts back from the end; None means all there is.
    """

    data: Path | None = None
    start: date | None = None
    end: date | None = None
    years: int | None = None
    engines: tuple[str, ...] = ENGINES
    capital_usdt: float = 100_000.0
    deposit_weekly_usdt: float = 0.0
    seed: int = 7
    plain: bool = False


def run(
    request: BacktestRequest,
    params: Params,
    *,
    symbols: tuple[str, ...],
    shares: tuple[float, float, float, float],
    instrument_table: str,
    config_hash: str,
    cache_dir: Path | None = None,
    default_data: Path | None = None,
) -> BacktestResult:
    """Run one backtest. Raises DataError (exit 3) when there is nothing to run on."""
    began = time.perf_counter()
    with _made_ready(request.plain, cache_dir) as ready:
        history = load(request, symbols, default_data)
        loaded = time.perf_counter()
    waited = time.perf_counter()
    first_bar, last_bar, requested = bar_range(request, history)
    params = switched(params, request.engines)
    daily = daily_bars_of(history, params.trend.volume_filter)
    features = features_of(params, history, daily)
    featured = time.perf_counter()
    runner = plain_run if request.plain else ready()
    capital = tuple(share * request.capital_usdt for share in shares)
    compiled = time.perf_counter()
    done = simulate(
        runner,
        params,
        features,
        market_of(history),
        first_bar=first_bar,
        last_bar=last_bar,
        capital=(capital[0], capital[1], capital[2], capital[3]),
        deposit_weekly_usdt=request.deposit_weekly_usdt,
    )
    ran = time.perf_counter()
    timing = {
        "load": 1e3 * (loaded - began),
        "features": 1e3 * (featured - waited),
        "compile": 1e3 * (waited - loaded + compiled - featured),
        "loop": 1e3 * (ran - compiled),
    }
    return result_of(
        request, params, history, done, requested, first_bar, instrument_table, config_hash, timing, daily.close
    )


@contextmanager
def _made_ready(plain: bool, cache_dir: Path | None) -> Iterator[Callable[[], Callable[..., Any]]]:
    """Load the compiler beside the work inside the block, which mostly waits for files; give what gives the loop."""

    def ready() -> Callable[..., Any]:
        from eternal_engine.backtest.kernels import compiled_run

        return compiled_run(cache_dir)

    thread = Thread(target=ready)
    if not plain:
        thread.start()
    try:
        yield ready
    finally:
        if not plain:
            thread.join()


def load(request: BacktestRequest, symbols: tuple[str, ...], default_data: Path | None) -> MarketHistory:
    """Load the history a request names; without data the synthetic market of its seed, marked as such."""
    end_ms = None if request.end is None else _ms(request.end) + DAY_MS
    folder = request.data
    if folder is None and default_data is not None and default_data.is_dir():
        folder = default_data
    if folder is not None:
        return load_history(folder, symbols, end_ms=end_ms)
    from eternal_engine.market_data.synthetic.market import DEFAULT_END_MS, synthesize

    return synthesize(request.seed, end_ms=end_ms or DEFAULT_END_MS, symbols=symbols)


def _ms(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)


def _day(ms: int) -> date:
    return datetime.fromtimestamp(ms / 1000, UTC).date()


def bar_range(request: BacktestRequest, history: MarketHistory) -> tuple[int, int, tuple[int, int]]:
    """Give the bars [first, last) to run and the range asked for, in ms; the run takes what the data has (J15)."""
    end_ms = history.end_ms if request.end is None else _ms(request.end) + DAY_MS
    if request.start is not None:
        start_ms = _ms(request.start)
    elif request.years is not None:
        start_ms = _ms(_years_before(_day(end_ms), request.years))
    else:
        start_ms = history.start_ms
    real_start = max(start_ms, history.start_ms)
    real_end = min(end_ms, history.end_ms)
    if real_end - real_start < DAY_MS:
        raise DataError(
            f"no data between {_day(start_ms)} and {_day(end_ms - 1)}",
            where=history.source,
            mend=f"the data runs from {_day(history.start_ms)} to {_day(history.end_ms - 1)}: choose days inside",
        )
    first = (real_start - history.start_ms) // HOUR_MS
    last = (real_end - history.start_ms) // HOUR_MS
    return first, last, (start_ms, end_ms)


def _years_before(day: date, years: int) -> date:
    try:
        return day.replace(year=day.year - years)
    except ValueError:  # 29 February
        return day.replace(year=day.year - years, day=28) + timedelta(days=1)


def switched(params: Params, engines: tuple[str, ...]) -> Params:
    """Leave on only the engines a run names; the money of the others stays idle in its account (CAP-1, K3)."""
    return params._replace(
        core=params.core._replace(enabled=params.core.enabled and "core_hodl" in engines),
        trend=params.trend._replace(enabled=params.trend.enabled and "trend" in engines),
        funding=params.funding._replace(enabled=params.funding.enabled and "funding" in engines),
        tactical=params.tactical._replace(enabled=params.tactical.enabled and "tactical" in engines),
    )


def result_of(
    request: BacktestRequest,
    params: Params,
    history: MarketHistory,
    done: Simulation,
    requested: tuple[int, int],
    first_bar: int,
    instrument_table: str,
    config_hash: str,
    timing_ms: dict[str, float],
    daily_close: Float64Array,
) -> BacktestResult:
    """Turn a finished run into the rows and arrays that reports read."""
    tape = done.tape
    n = int(tape.counts[BARS])
    close_ms = tape.close_h[:n] * HOUR_MS
    rows = (close_ms - history.start_ms) // HOUR_MS - 1
    btc = _filled(history.spot.close[params.core.btc])
    eth = _filled(history.spot.close[params.core.eth])
    first_day = first_bar * HOUR_MS // DAY_MS
    before = daily_close[params.core.btc][max(first_day - DAYS_BEFORE, 0) : first_day]
    gaps = tuple(gap for gap in history.gaps if gap.end_ms > close_ms[0])
    events = events_of(tape, history.symbols)
    return BacktestResult(
        engines=tuple(name for name, on in zip(ENGINES, _enabled(params), strict=True) if on),
        symbols=history.symbols,
        capital_usdt=request.capital_usdt,
        deposit_weekly_usdt=request.deposit_weekly_usdt,
        seed=request.seed if history.synthetic else None,
        requested_start_ms=requested[0],
        requested_end_ms=requested[1],
        close_ms=close_ms,
        equity=tape.equity[:, :n],
        external_flow=tape.external[:n],
        engine_flow=tape.engine_flow[:, :n],
        exposure=tape.exposure[:, :n],
        fees=tape.fees[:, :n],
        slippage=tape.slippage[:, :n],
        funding=tape.funding[:, :n],
        breaker_level=tape.level[:n],
        orders=orders_of(tape, history.symbols),
        trades=trades_of(tape, history.symbols),
        events=events,
        denials=denials_of(done),
        breaker_events=int(done.states.risk.events),
        approvals=int(done.states.risk.approvals),
        btc_close=btc[np.maximum(rows, 0)],
        eth_close=eth[np.maximum(rows, 0)],
        source=history.source,
        synthetic=history.synthetic,
        fingerprint=history.fingerprint,
        history_start_ms=history.start_ms,
        gaps=gaps,
        notes=history.notes,
        instrument_table=instrument_table,
        config_hash=config_hash,
        result_hash=result_hash(request, done, history, first_bar, instrument_table, config_hash),
        timing_ms=timing_ms,
        btc_daily_before=before[~np.isnan(before)],
        open_positions=open_positions_of(done, history.symbols),
        spot_fee_frac=params.risk.spot_fee_frac,
        slippage_frac=params.risk.slippage_frac,
    )


def _enabled(params: Params) -> tuple[bool, bool, bool, bool]:
    return params.core.enabled, params.trend.enabled, params.funding.enabled, params.tactical.enabled


def _filled(values: Float64Array) -> Float64Array:
    """Carry the last known value forward; before the first one, backward."""
    known = ~np.isnan(values)
    if not known.any():
        return values
    at = np.where(known, np.arange(len(values)), -1)
    at = np.maximum.accumulate(at)
    at[at < 0] = int(np.argmax(known))
    return values[at]


def denials_of(done: Simulation) -> dict[str, int]:
    """Count, per `engine:RULE words`, how often a rule denied or resized a signal."""
    counts: dict[str, int] = {}
    for engine, name in enumerate(ENGINES):
        for code in np.flatnonzero(done.tape.denials[engine]):
            counts[f"{name}:{reason.words(int(code))}"] = int(done.tape.denials[engine, code])
    return counts


def result_hash(
    request: BacktestRequest,
    done: Simulation,
    history: MarketHistory,
    first_bar: int,
    instrument_table: str,
    config_hash: str,
) -> str:
    """Hash inputs and everything the run wrote; equal inputs give equal hashes, compiled or plain (J17)."""
    tape = done.tape
    digest = hashlib.sha256()
    head = (
        history.fingerprint,
        history.start_ms,
        first_bar,
        instrument_table,
        config_hash,
        request.engines,
        request.capital_usdt,
        request.deposit_weekly_usdt,
    )
    digest.update(repr(head).encode())
    n = int(tape.counts[BARS])
    digest.update(np.ascontiguousarray(tape.close_h[:n]).tobytes())
    digest.update(np.ascontiguousarray(tape.equity[:, :n]).tobytes())
    digest.update(np.ascontiguousarray(tape.level[:n]).tobytes())
    for name, count in (("order", ORDERS), ("trade", TRADES), ("event", EVENTS)):
        rows = int(tape.counts[count])
        digest.update(getattr(tape, f"{name}_i")[:rows].tobytes())
        digest.update(getattr(tape, f"{name}_f")[:rows].tobytes())
    return digest.hexdigest()
