"""Turn the tape's numbers into the named rows that reports, exports and people read."""

from __future__ import annotations

from eternal_engine.backtest import tape as records
from eternal_engine.backtest.simulate import Simulation
from eternal_engine.backtest.tape import EVENTS, ORDERS, TRADES, Tape
from eternal_engine.market_data.history import HOUR_MS
from eternal_engine.model import reason
from eternal_engine.reports.result import ENGINES, EventRow, OrderRow, PositionRow, TradeRow
from eternal_engine.risk.breaker import LEVELS
from eternal_engine.strategies.base import DUST_USDT, TREND
from eternal_engine.strategies.core_hodl import PHASES

MARKETS = ("spot", "perp")


def orders_of(tape: Tape, symbols: tuple[str, ...]) -> tuple[OrderRow, ...]:
    """Name every executed order, in the order of execution."""
    count = int(tape.counts[ORDERS])
    return tuple(
        OrderRow(
            decided_ms=whole[0] * HOUR_MS,
            filled_ms=whole[1] * HOUR_MS,
            engine=ENGINES[whole[2]],
            symbol=symbols[whole[3]],
            market=MARKETS[whole[4]],
            side="buy" if whole[5] > 0 else "sell",
            qty=part[0],
            price=part[1],
            fee_usdt=part[2],
            slippage_usdt=part[3],
            reason=reason.rule_id(whole[6]),
        )
        for whole, part in zip(tape.order_i[:count].tolist(), tape.order_f[:count].tolist(), strict=True)
    )


def trades_of(tape: Tape, symbols: tuple[str, ...]) -> tuple[TradeRow, ...]:
    """Name every closed position; side 0 is FUNDING's pair."""
    count = int(tape.counts[TRADES])
    sides = {1: "long", -1: "short", 0: "pair"}
    return tuple(
        TradeRow(
            engine=ENGINES[whole[0]],
            symbol=symbols[whole[1]],
            position_side=sides[whole[2]],
            opened_ms=whole[3] * HOUR_MS,
            closed_ms=whole[4] * HOUR_MS,
            qty=part[0],
            entry_price=part[1],
            exit_price=part[2],
            pnl_usdt=part[3],
            fees_usdt=part[4],
            funding_usdt=part[5],
            entry_reason=reason.words(whole[5]),
            exit_reason=reason.words(whole[6]),
        )
        for whole, part in zip(tape.trade_i[:count].tolist(), tape.trade_f[:count].tolist(), strict=True)
    )


# What needs no details of its own: kind, rule, text.
PLAIN_EVENTS = {
    records.RESUME: ("approval", "RISK-1", "the operator lifts the emergency stop"),
    records.DAY_LOSS: ("loss_limit", "RISK-4", "daily loss limit reached: no TREND or FUNDING entries for a while"),
    records.WEEK_LOSS: ("loss_limit", "RISK-5", "weekly loss limit reached: no TREND or FUNDING entries for a while"),
    records.DAY_WARNING: ("loss_limit", "RISK-4", "warning: near the daily loss limit"),
    records.WEEK_WARNING: ("loss_limit", "RISK-5", "warning: near the weekly loss limit"),
    records.STOP: ("loss_limit", "RISK-1", "emergency stop: all engines wait for the operator"),
    records.EXTENDED: ("plan", "CORE-4", "the plan grows by one week"),
    records.NO_CASH: ("plan", "CORE-9", "NO_CASH: the cycle counts and buys nothing"),
    records.DEPOSIT: ("deposit", "CORE-10", "deposit into core_hodl"),
    records.DELISTING: ("delisting", "U-10", "delisted: coins written to zero"),
}


def _event(kind: int, engine: int, symbol: int, value: int, amount: float) -> tuple[str, str, str]:
    """Give kind, rule and detail of an event for people."""
    if kind in PLAIN_EVENTS:
        return PLAIN_EVENTS[kind]
    if kind == records.BREAKER:
        return "breaker", "BRK-1", f"{LEVELS[engine]} -> {LEVELS[value]}"
    if kind == records.APPROVAL:
        return "approval", "BRK-5", f"the operator approves {LEVELS[value]}"
    if kind == records.PHASE:
        return "phase", "CORE-7", f"{PHASES[symbol]} -> {PHASES[value]}"
    if kind == records.STILL_OFF:
        return "plan", "CORE-8", f"BTC/ETH still off, {amount:.0f} weeks needed at this flow"
    if kind == records.TRANSFER:
        return "transfer", "CAP-2", f"{ENGINES[engine]} -> {ENGINES[value]}"
    return "liquidation", "TREND-F1" if engine == TREND else "FUND-2", "liquidated by the exchange"


def events_of(tape: Tape, symbols: tuple[str, ...]) -> tuple[EventRow, ...]:
    """Name every event, oldest first."""
    count = int(tape.counts[EVENTS])
    rows = []
    for whole, amount in zip(tape.event_i[:count].tolist(), tape.event_f[:count].tolist(), strict=True):
        at_h, kind, engine, symbol, value = whole
        name, rule, detail = _event(kind, engine, symbol, value, amount)
        general = kind in (records.BREAKER, records.APPROVAL, records.RESUME) or engine < 0
        coin = symbols[symbol] if kind in (records.LIQUIDATION, records.DELISTING) else ""
        rows.append(EventRow(at_h * HOUR_MS, name, "" if general else ENGINES[engine], coin, rule, detail, amount))
    return tuple(rows)


def open_positions_of(done: Simulation, symbols: tuple[str, ...]) -> tuple[PositionRow, ...]:
    """List what is still held at the end, marked at the last close (J12)."""
    book, marks = done.book, done.marks
    rows = []
    for engine, name in enumerate(ENGINES):
        for s, symbol in enumerate(symbols):
            spot = float(book.spot_qty[engine, s])
            if spot * marks.spot[s] >= DUST_USDT:
                cost = float(book.spot_cost[engine, s])
                value = spot * float(marks.spot[s])
                rows.append(
                    PositionRow(name, symbol, "spot", spot, cost / spot, float(marks.spot[s]), value, value - cost)
                )
            perp = float(book.perp_qty[engine, s])
            if perp != 0.0:
                entry, mark = float(book.perp_entry[engine, s]), float(marks.perp[s])
                rows.append(
                    PositionRow(name, symbol, "perp", perp, entry, mark, abs(perp) * mark, perp * (mark - entry))
                )
    return tuple(rows)
