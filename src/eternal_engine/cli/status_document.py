"""Gather what `eternal status` says, as one plain document; nothing here draws."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eternal_engine.cli.remembered import ENGINES, PHASES, Remembered, hour_text, number_text, remembered
from eternal_engine.cli.risk_status import breaker_status, halts, limits_status
from eternal_engine.launch.files import BARS_FILE
from eternal_engine.model.errors import EternalError
from eternal_engine.model.money import DUST_USDT, ZERO, exact_arithmetic, text
from eternal_engine.storage.holder import lock_holder
from eternal_engine.storage.times import read_time, time_text
from eternal_engine.storage.views import Record, View, last_closes

if TYPE_CHECKING:
    from eternal_engine.config import Settings

Document = dict[str, Any]

Closes = Mapping[tuple[str, str], tuple[int, Decimal]]

LAST = 5
# A mark is written moments after midnight; the day's result is counted from it.
_MARK_GRACE = timedelta(minutes=30)


def status_document(view: View, database: Path, now: datetime) -> Document:
    """Gather everything of one moment. `now` is wall time; all times in the document are the daemon's own.

    Amounts and fractions are texts of exact decimals, times ISO UTC; what is not known is null.
    """
    run = _run(view)
    memory = remembered(view)
    settings, problem = settings_of(run.get("mode"))
    # What another configuration would watch or allow says nothing about this daemon.
    its_own = settings if settings is not None and settings.hash() == run.get("config_hash") else None
    closes = closes_beside(database, view, memory)
    engines = {name: _engine(view, memory, name) for name in ENGINES}
    held = positions(view, memory, closes)
    open_orders = [{**row, "reduce_only": bool(row["reduce_only"])} for row in view.orders(open_only=True)]
    arming = _arming(run, database.parent, held, open_orders, now)
    return {
        "state_dir": str(database.parent),
        **_run_status(run, settings, problem),
        "last_cycle_at": _last_cycle(memory, engines),
        **_life(view, database, run, closes, now),
        "equity_usdt": _sum(engine["equity_usdt"] for engine in engines.values()),
        "pnl_usdt": _sum(engine["pnl_usdt"] for engine in engines.values()),
        "pnl_today_usdt": _sum(engine["pnl_today_usdt"] for engine in engines.values()),
        "engines": engines,
        "core_hodl": None if memory is None else core_status(memory, its_own),
        "breaker": None
        if memory is None
        else breaker_status(memory, its_own, view.breaker(), _marks(engines), may_be_fast=_may_be_fast(run)),
        "loss_limits": None if memory is None else limits_status(memory, its_own, _marks(engines)),
        "arming": arming,
        "halts": halts(view, memory, arming),
        "positions": held,
        "open_orders": open_orders,
        "pending_intents": 0 if memory is None else len(memory.pending),
        "pending_transfers": view.pending_transfers(),
        "last_errors": [_noted(row) for row in view.events("ErrorOccurred", limit=LAST)],
        "last_notes": [_noted(row) for row in view.events("Noted", limit=LAST)],
        "last_reconcile": _reconciled(view),
    }


def _run(view: View) -> Record:
    """Give the last start, with the hash of the configuration that it was told to go on with since (SIGHUP)."""
    run = view.last_run() or {}
    newest = next(iter(view.events("ConfigChanged", "DaemonStarted", limit=1)), None)
    if newest is None or newest["kind"] == "DaemonStarted":
        return run
    return {**run, "config_hash": newest["body"]["new_hash"]}


def _may_be_fast(run: Record) -> bool:
    """Tell whether time may run faster than people: on every market but the live one."""
    return run.get("mode") == "paper" and not str(run.get("market")).startswith("LIVE")


def _arming(
    run: Record, directory: Path, held: list[Document], open_orders: list[Record], now: datetime
) -> Document | None:
    """Say whether live trading is armed; None in the other modes, which need no arming."""
    if run.get("mode") != "live":
        return None
    from eternal_engine.cli.arming_status import arming_status

    return arming_status(directory, run["config_hash"], held, open_orders, now)


def _last_cycle(memory: Remembered | None, engines: Mapping[str, Document]) -> str | None:
    """Give the last completed hour that was lived: a run that ends marks one more than it decides."""
    cycles = [None if memory is None else hour_text(memory.cycle_h), *(row["equity_at"] for row in engines.values())]
    return max((at for at in cycles if at is not None), default=None)


def core_status(memory: Remembered, settings: Settings | None) -> Document:
    """Say where CORE_HODL's plan stands: phase, week k of n, what is due when, and each coin's part."""
    core = memory.core
    phase = PHASES[core["phase"]]
    week, weeks = None, None
    if phase == "DEPLOYING":
        week, weeks = core["plan_weeks"] - core["weeks_remaining"], core["plan_weeks"]
    elif phase == "REBALANCING":
        week = core["rebalance_week"]
        weeks = None if settings is None else len(settings.core_hodl.rebalance_over)
    return {
        "phase": phase,
        "weeks_done": week,
        "weeks": weeks,
        "weeks_remaining": core["weeks_remaining"] if phase == "DEPLOYING" else None,
        "first_due_at": hour_text(core["anchor_h"]),
        "next_due_at": hour_text(core["due_h"]),
        "target_usdt": number_text(core["target_usdt"]),
        "gap_usdt": number_text(sum(core["gap_usdt"])),
        "spent_usdt": number_text(sum(core["spent_usdt"])),
        "unspent_deposits_usdt": number_text(core["deposits_usdt"] - core["flow_spent_usdt"]),
    }


def positions(view: View, memory: Remembered | None, closes: Closes) -> list[Document]:
    """Give every holding and position: side, size, average price, last price, result, the stop that rests for it."""
    stops = {} if memory is None else memory.stops
    return [_position(row, stops, closes.get((row["market"], row["symbol"]))) for row in view.positions()]


def closes_beside(database: Path, view: View, memory: Remembered | None) -> Closes:
    """Read the newest closes of what is held and of what is traded."""
    held = [(row["market"], row["symbol"]) for row in view.positions()]
    traded = [] if memory is None else [(market, s) for s in memory.symbols for market in ("spot", "perp")]
    return last_closes(database.with_name(BARS_FILE), (*held, *traded))


def _position(row: Record, stops: Mapping[str, str], close: tuple[int, Decimal] | None) -> Document:
    price = None if close is None else close[1]
    qty, cost = Decimal(row["qty"]), Decimal(row["cost_usdt"])
    return {
        "account": row["account"],
        "symbol": row["symbol"],
        "market": row["market"],
        "side": "long" if qty > ZERO else "short",
        "qty": text(abs(qty)),
        "average_price": text((cost / qty).quantize(Decimal("1E-8"))) if qty else None,
        "cost_usdt": text(abs(cost)),
        "price_usdt": None if price is None else text(price),
        "value_usdt": None if price is None else text(abs(qty) * price),
        "unrealised_usdt": None if price is None else text(qty * price - cost),
        "fees_usdt": row["fees_usdt"],
        "funding_usdt": row["funding_usdt"],
        "opened_at": row["opened_at"],
        "stop_price": stops.get(row["symbol"]) if row["account"] == "trend" and row["market"] == "perp" else None,
        "unassigned": bool(row["unassigned"]),
        "dust": row["market"] == "spot" and abs(qty) * price < DUST_USDT if price is not None else False,
    }


def settings_of(mode: str | None) -> tuple[Settings | None, str | None]:
    """Read the configuration of the run's mode; a wrong one must not hide the rest of the status."""
    from eternal_engine.config import MODES, load

    known = next((name for name in MODES if name == mode), None)
    if known is None:
        return None, None
    try:
        return load(known), None
    except EternalError as problem:
        return None, str(problem)


def _run_status(run: Record, settings: Settings | None, problem: str | None) -> Document:
    market = run.get("market")
    return {
        "mode": run.get("mode"),
        "market": market,
        "synthetic": None if market is None else market.lower().startswith("synthetic"),
        "version": run.get("version"),
        "config_hash": run.get("config_hash"),
        "config_is_the_running_one": None if settings is None else settings.hash() == run.get("config_hash"),
        "config_problem": problem,
    }


def _life(view: View, database: Path, run: Record, closes: Closes, now: datetime) -> Document:
    """Say whether a daemon runs, and how old what it knows is."""
    holder = lock_holder(database)
    entry = view.last_entry()
    closed_at = hour_text(max((open_h for open_h, _ in closes.values()), default=-1) + 1)
    last_at = None if entry is None else entry["at"]
    return {
        "running": holder is not None,
        "process": holder,
        "started_at": run.get("started_at"),
        "first_started_at": view.first_start(),
        "stopped_at": run.get("stopped_at"),
        "stop_reason": run.get("stop_reason"),
        "last_entry_at": last_at,
        "last_entry_seq": None if entry is None else entry["seq"],
        "last_write_age_s": _age_s(database, now),
        "last_bar_at": closed_at,
        "data_age_s": _seconds_between(closed_at, last_at),
    }


def _age_s(database: Path, now: datetime) -> int:
    """Give the seconds of wall time since the daemon last wrote: its heartbeat, whatever its own clock says."""
    times = [path.stat().st_mtime for path in (database, database.with_name(database.name + "-wal")) if path.exists()]
    return max(int(now.timestamp() - max(times)), 0)


def _seconds_between(first: str | None, second: str | None) -> int | None:
    if first is None or second is None:
        return None
    return max(int((read_time(second) - read_time(first)).total_seconds()), 0)


def _engine(view: View, memory: Remembered | None, name: str) -> Document:
    mark = view.mark(name)
    equity = None if mark is None else mark["equity_usdt"]
    book = next((row for row in view.books() if row["account"] == name and not row["unassigned"]), None)
    moved = ZERO if book is None else Decimal(book["deposits_usdt"]) + Decimal(book["transfers_usdt"])
    with exact_arithmetic():
        pnl = None if equity is None else text(Decimal(equity) - moved)
    cash = [Decimal(row["amount"]) for row in view.cash() if row["account"] == name and not row["unassigned"]]
    return {
        "equity_usdt": equity,
        "equity_at": None if mark is None else mark["at"],
        "equity_unknown_because": None if mark is None else mark["reason"] or None,
        "cash_usdt": text(sum(cash, ZERO)),
        "pnl_usdt": pnl,
        "pnl_today_usdt": pnl if mark is None else _today(view, name, mark, pnl),
        "realised_usdt": None if book is None else book["closed_net_usdt"],
        "fees_usdt": None if book is None else book["fees_usdt"],
        "funding_usdt": None if book is None else book["funding_usdt"],
        "halted": memory is not None and name in memory.halted,
    }


def _today(view: View, account: str, mark: Record, since_start: str | None) -> str | None:
    """Give the result since 00:00 UTC of the last mark's day, without the money that was moved."""
    if mark["equity_usdt"] is None:
        return None
    midnight = read_time(mark["at"]).replace(hour=0, minute=0, second=0, microsecond=0)
    base = view.first_mark_in(account, time_text(midnight), time_text(midnight + _MARK_GRACE))
    base = base or view.mark(account, time_text(midnight))
    if base is None:
        return since_start
    if base["equity_usdt"] is None:
        return None
    with exact_arithmetic():
        flows = sum((Decimal(row["value_usdt"]) * row["sign"] for row in view.flows_after(account, base["at"])), ZERO)
        return text(Decimal(mark["equity_usdt"]) - Decimal(base["equity_usdt"]) - flows)


def _marks(engines: Mapping[str, Document]) -> dict[str, Decimal | None]:
    return {
        name: None if engine["equity_usdt"] is None else Decimal(engine["equity_usdt"])
        for name, engine in engines.items()
    }


def _sum(amounts: Any) -> str | None:
    """Add amounts up; one that is not known makes the sum unknown (U-6)."""
    known = list(amounts)
    if any(amount is None for amount in known):
        return None
    with exact_arithmetic():
        return text(sum((Decimal(amount) for amount in known), ZERO))


def _noted(row: Record) -> Document:
    return {"seq": row["seq"], "at": row["at"], **{k: v for k, v in row["body"].items() if k != "at"}}


def _reconciled(view: View) -> dict[str, Document]:
    found: dict[str, Document] = {}
    for row in view.events("Reconciled", limit=4 * LAST):
        found.setdefault(row["body"]["account"], _noted(row))
    return found
