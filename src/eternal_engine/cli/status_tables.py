"""Draw the document of `eternal status` for a terminal of 80 columns or more."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from eternal_engine.cli.people import (
    NOTHING,
    Fitting,
    facts,
    gain,
    moment,
    number,
    percent,
    span,
    table,
    titled,
    until,
    usdt,
)
from eternal_engine.cli.why_fill import cause_of

Document = dict[str, Any]

_TITLES = {"core_hodl": "CORE_HODL", "trend": "TREND", "funding": "FUNDING", "tactical": "TACTICAL"}
# Time, the longest id of an order, sizes of ten digits, state and rule.
ROOM_FOR_TIMES = 112
_NOT_HERE = "unknown with another configuration than the daemon's"
_LEVEL_STYLES = ("green", "yellow", "yellow", "bold red", "bold red")


def status_view(document: Document) -> RenderableType:
    """Draw everything, most important first."""
    parts = [
        _head(document),
        titled("Engines (USDT)", _engines(document)),
        titled("CORE_HODL", core_facts(document), empty="no decision yet"),
        titled("Risk", _risk(document), empty="no decision yet"),
        titled("What keeps entries back", _halts(document), empty="nothing"),
        titled("Positions", position_table(document["positions"])),
        titled("Open orders", order_table(document["open_orders"])),
    ]
    if document["pending_transfers"]:
        parts.append(titled("Transfers under way", _transfers(document)))
    parts += [
        titled("Last errors", _errors(document)),
        titled("Last notes", _notes(document)),
        titled("Last comparison with the exchange", _reconciled(document), empty="none yet"),
    ]
    return Group(*parts)


def _head(document: Document) -> RenderableType:
    lines: list[RenderableType] = []
    if document["synthetic"]:
        lines.append(Text("SYNTHETIC DATA: a made-up market, no real prices", style="bold yellow"))
    lines.append(
        facts(
            [
                ("mode", f"{document['mode'] or 'never started'}, market {document['market'] or NOTHING}"),
                ("daemon", _running(document)),
                ("time", f"{moment(document['last_entry_at'])} UTC (of the newest entry)"),
                ("last cycle", f"{moment(document['last_cycle_at'])} UTC"),
                ("data", f"bars up to {moment(document['last_bar_at'])} UTC, {span(document['data_age_s'])} old then"),
                ("configuration", _configuration(document)),
                ("state", document["state_dir"]),
            ]
        )
    )
    return Group(*lines)


def _running(document: Document) -> Text:
    if document["running"]:
        age = span(document["last_write_age_s"])
        return Text(f"running (process {document['process']}), wrote {age} ago", style="green")
    if document["stopped_at"]:
        return Text(f"stopped {moment(document['stopped_at'])} UTC: {document['stop_reason']}", style="yellow")
    if document["started_at"]:
        return Text("not running, and it did not end in order: the next start reconciles", style="bold red")
    return Text("never started", style="yellow")


def _configuration(document: Document) -> Text:
    if document["config_problem"]:
        return Text(f"cannot be read: {document['config_problem']}", style="bold red")
    short = (document["config_hash"] or NOTHING)[:12]
    if document["config_is_the_running_one"] is False:
        return Text(f"{short}; files or variables here say something else than the daemon runs with", style="yellow")
    return Text(short)


def _engines(document: Document) -> RenderableType:
    rows = [
        (
            _title(name) + (" (halted)" if engine["halted"] else ""),
            usdt(engine["equity_usdt"]),
            usdt(engine["cash_usdt"]),
            gain(engine["pnl_today_usdt"]),
            gain(engine["pnl_usdt"]),
        )
        for name, engine in document["engines"].items()
    ]
    total = ("all", usdt(document["equity_usdt"]), "", gain(document["pnl_today_usdt"]), gain(document["pnl_usdt"]))
    return table(("", "equity", "cash", "today", "since start"), [*rows, total], right=(1, 2, 3, 4))


def core_facts(document: Document) -> RenderableType | None:
    """Draw where CORE_HODL's plan stands."""
    core = document["core_hodl"]
    if core is None:
        return None
    week = "" if core["weeks"] is None else f", week {core['weeks_done']} of {core['weeks']} done"
    return facts(
        [
            ("phase", core["phase"] + week),
            ("next due", until(core["next_due_at"], document["last_entry_at"])),
            ("target", f"{usdt(core['target_usdt'])}, still to buy {usdt(core['gap_usdt'])}"),
            ("spent", usdt(core["spent_usdt"])),
        ]
    )


def _risk(document: Document) -> RenderableType | None:
    breaker = document["breaker"]
    if breaker is None:
        return None
    level = Text(f"level {breaker['level']} {breaker['name']}", style=_LEVEL_STYLES[breaker["level"]])
    high = f"of the high {usdt(breaker['high_usdt'])}"
    drawdown = f"{percent(breaker['drawdown_frac'])} {high} ({breaker['scope']}: {usdt(breaker['equity_usdt'])})"
    rows: list[tuple[str, Any]] = [
        ("breaker", level),
        # What the daemon watches and allows stands in its configuration, which is not the one read here.
        ("drawdown", drawdown if breaker["scope"] else f"{_NOT_HERE}, {high}"),
    ]
    if breaker["waits_for"]:
        rows.append(("waits for", breaker["waits_for"]))
    if breaker["reduced_until"]:
        rows.append(("sizes", f"x {breaker['reduced_frac']} until {moment(breaker['reduced_until'])} UTC"))
    for name, label in (("day", "loss today"), ("week", "loss this week")):
        limit = document["loss_limits"][name]
        blocked = f"; entries wait until {moment(limit['blocked_until'])} UTC" if limit["blocked_until"] else ""
        used = f"{percent(limit['loss_frac'])} of at most {percent(limit['limit_frac'])}"
        rows.append((label, f"{used if limit['limit_frac'] else _NOT_HERE}{blocked}"))
    if document["arming"] is not None:
        rows.append(("arming", _arming(document["arming"])))
    return facts(rows)


def _arming(arming: Document) -> Text:
    if not arming["armed"]:
        return Text(f"does not hold: {'; '.join(arming['void_because'])}", style="bold red")
    used = f"{usdt(arming['used_usdt'])} of at most {usdt(arming['cap_usdt'])} USDT exposed"
    return Text(f"until {moment(arming['expires_at'])} UTC, {used}")


def _halts(document: Document) -> RenderableType | None:
    rows = [
        (halt["who"], f"{halt['why']} ({halt['rule']})", halt["ends"] if not halt["until"] else moment(halt["until"]))
        for halt in document["halts"]
    ]
    return table(("who", "why", "ends"), rows) if rows else None


def position_table(positions: list[Document]) -> RenderableType | None:
    """Draw holdings and positions; dust is only counted (ORD-5)."""
    rows = [
        (
            _title(row["account"]) + (" (unassigned)" if row["unassigned"] else ""),
            row["symbol"],
            "spot" if row["market"] == "spot" else row["side"],
            number(row["qty"]),
            number(row["average_price"]),
            number(row["price_usdt"]),
            NOTHING if row["unrealised_usdt"] is None else gain(row["unrealised_usdt"]),
            number(row["stop_price"]),
        )
        for row in positions
        if not row["dust"]
    ]
    columns = ("engine", "symbol", "", "quantity", "average", "last", "result", "stop")
    drawn = table(columns, rows, right=(3, 4, 5, 6, 7), whole=(1, 3, 4, 5, 6, 7), gap=1) if rows else None
    dust = sum(row["dust"] for row in positions)
    if drawn is None or not dust:
        return drawn
    return Group(drawn, Text(f"and dust under 1 USDT in {dust} places", style="dim"))


def order_table(orders: list[Document]) -> RenderableType | None:
    """Draw orders, one a line; where it is narrow without the time, which begins the order's id."""
    rows = [
        (
            moment(row["planned_at"]),
            row["client_order_id"],
            row["side"],
            number(row["qty"]) if row["qty"] else f"{number(row['amount_usdt'])} USDT",
            number(row["filled_qty"]),
            _state(row["state"]),
            row["reason"],
        )
        for row in orders
    ]
    columns = ("planned (UTC)", "order", "side", "size", "filled", "state", "rule")
    if not rows:
        return None
    narrow = table(columns[1:], [row[1:] for row in rows], right=(2, 3), whole=(0, 1, 2, 3, 4, 5), gap=1)
    return Fitting(table(columns, rows, right=(3, 4), whole=(0, 1, 2, 3, 4, 5)), narrow, ROOM_FOR_TIMES)


def fill_table(fills: list[Document], *, wide: bool) -> RenderableType | None:
    """Draw executions, one a line; with their orders where there is room."""
    rows = [
        (
            moment(row["executed_at"]),
            _title(row["account"]),
            f"{row['symbol']} {row['market']}",
            row["side"],
            number(row["qty"]),
            number(row["price"]),
            f"{number(row['fee'])} {row['fee_coin']}",
            row["client_order_id"] or f"{cause_of(row)} {row['execution_id']}",
        )
        for row in fills
    ]
    columns = ("time (UTC)", "engine", "symbol", "side", "quantity", "price", "fee", "order")
    shown = len(columns) - (not wide)
    cut = [row[:shown] for row in rows]
    return table(columns[:shown], cut, right=(4, 5, 6), whole=(0, 3, 7)) if rows else None


def _title(account: str) -> str:
    return _TITLES.get(account, account)


def _state(state: str) -> Text:
    style = {"filled": "green", "rejected": "red", "unknown": "bold red", "abandoned": "red"}.get(state, "")
    return Text(state, style=style)


def _transfers(document: Document) -> RenderableType:
    rows = [
        (moment(row["planned_at"]), row["source"], row["target"], f"{number(row['amount'])} {row['coin']}", row["rule"])
        for row in document["pending_transfers"]
    ]
    return table(("planned (UTC)", "from", "to", "amount", "rule"), rows, right=(3,))


def _errors(document: Document) -> RenderableType | None:
    rows = [
        (moment(row["at"]), f"{row['what']} (at {row['where']}); to mend: {row['mend']}")
        for row in document["last_errors"]
    ]
    return table(("time (UTC)", "what, where, mend"), rows) if rows else None


def _notes(document: Document) -> RenderableType | None:
    rows = [
        (moment(row["at"]), row["rule"], row["engine"] or "", f"{row['detail']} {row['symbol'] or ''}".strip())
        for row in document["last_notes"]
    ]
    return table(("time (UTC)", "rule", "engine", "what"), rows) if rows else None


def _reconciled(document: Document) -> RenderableType | None:
    rows = [
        (account, moment(row["at"]), row["differences"], row["detail"])
        for account, row in sorted(document["last_reconcile"].items())
    ]
    return table(("account", "time (UTC)", "differences", "detail"), rows, right=(2,)) if rows else None
