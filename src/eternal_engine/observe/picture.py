"""What an observer knows: a small, frozen picture that grows event by event, bounded whatever happens."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from eternal_engine.ledger.book import Book
from eternal_engine.ledger.books import Books
from eternal_engine.model import event as ev
from eternal_engine.model.ids import Account, Engine
from eternal_engine.model.money import ZERO, exact_arithmetic
from eternal_engine.observe.fields import DEBUG, ERROR, INFO, WARNING, severity
from eternal_engine.observe.words import say, title
from eternal_engine.strategies.core_hodl import DEPLOYING, PHASES, REBALANCING

MEMORY_OWNER: Final = "portfolio"
NOT_MARKED: Final = "not marked yet"
LINES_KEPT: Final = 30
PROBLEMS_KEPT: Final = 10
ENGINES: Final = tuple(Engine)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY: Final = timedelta(days=1)
# Steps between intent and fill: the log has them, a screen of thirty lines has no room for them.
_UNTOLD: Final = (ev.Decided, ev.OrderMoved, ev.FundingSettled, ev.TransferPlanned)


@dataclass(frozen=True, slots=True)
class Line:
    """Hold one thing that happened, in words; `tone` is a log level."""

    at: datetime
    text: str
    tone: str


@dataclass(frozen=True, slots=True)
class Worth:
    """Hold what one account was worth at its last mark; `paid_in_usdt` came from outside it until then.

    `equity_usdt` is None while unknown, and before the first mark. `day_pnl_usdt` was the result at 00:00 UTC, or at
    the first mark that was seen if that was later; `yesterday_usdt` is None before a whole day was seen.
    """

    equity_usdt: Decimal | None = None
    paid_in_usdt: Decimal = ZERO
    day: date | None = None
    day_pnl_usdt: Decimal | None = None
    yesterday_usdt: Decimal | None = None
    why_unknown: str = NOT_MARKED

    @property
    def pnl_usdt(self) -> Decimal | None:
        """Give the result since the beginning."""
        with exact_arithmetic():
            return None if self.equity_usdt is None else self.equity_usdt - self.paid_in_usdt

    @property
    def today_usdt(self) -> Decimal | None:
        """Give the result of the day."""
        pnl, base = self.pnl_usdt, self.day_pnl_usdt
        with exact_arithmetic():
            return None if pnl is None or base is None else pnl - base

    def result_of(self, day: date | None) -> Decimal | None:
        """Give the result of the day of the last mark so far, or of the whole day before it; of others None."""
        if day is None or self.day is None:
            return None
        return {self.day: self.today_usdt, self.day - _DAY: self.yesterday_usdt}.get(day)


@dataclass(frozen=True, slots=True)
class Counts:
    """Count what happened on one UTC day."""

    orders: int = 0
    fills: int = 0
    problems: int = 0


@dataclass(frozen=True, slots=True)
class Picture:
    """Hold what the live view shows and what the daily summary says."""

    started: ev.DaemonStarted | None = None
    at: datetime | None = None
    worths: Mapping[Account, Worth] = field(default_factory=dict)
    books: Books = field(default_factory=Books)
    breaker: ev.BreakerChanged | None = None
    memory: str = ""
    disconnected: frozenset[Account] = frozenset()
    recent: tuple[Line, ...] = ()
    problems: tuple[Line, ...] = ()
    day: date | None = None
    counts: Counts = Counts()
    yesterday: date | None = None
    yesterdays_counts: Counts = Counts()

    @property
    def is_yesterday_closed(self) -> bool:
        """Tell whether all engines were marked at the end of a day that was seen, or will not be for an hour."""
        if self.yesterday is None or self.at is None:
            return False
        return self.at.hour > 0 or (
            bool(self.worths) and all(self.worth(engine.account).day == self.day for engine in ENGINES)
        )

    @property
    def total(self) -> Worth:
        """Add the accounts up; one unknown equity makes the sum unknown."""
        marked = [worth for account, worth in self.worths.items() if account is not Account.MASTER]
        unknown = dict.fromkeys(worth.why_unknown for worth in marked if worth.equity_usdt is None)
        return Worth(
            equity_usdt=None if unknown else _sum(worth.equity_usdt for worth in marked),
            paid_in_usdt=_sum(worth.paid_in_usdt for worth in marked) or ZERO,
            day=self.day,
            day_pnl_usdt=_sum(worth.day_pnl_usdt for worth in marked),
            yesterday_usdt=_sum(worth.yesterday_usdt for worth in marked),
            why_unknown="; ".join(unknown) or NOT_MARKED,
        )

    def worth(self, account: Account) -> Worth:
        """Give what an account is worth, as far as it is known."""
        return self.worths.get(account, Worth())


def paid_in_usdt(book: Book) -> Decimal:
    """Give what came into a book without being earned there: deposits, transfers and recorded corrections."""
    totals = book.totals
    with exact_arithmetic():
        return totals.deposits_usdt + totals.transfers_usdt + totals.corrections_usdt


def grown(picture: Picture, events: Iterable[ev.Event]) -> Picture:
    """Add events to a picture."""
    for event in events:
        picture = _on_day(picture, event.at)
        if isinstance(event, ev.EquityMarked) and event.equity_usdt is not None:
            # Two of three events are marks, and no line tells of one.
            picture = _with_mark(picture, event)
        else:
            picture = _with_event(picture, event)
    return picture


def _on_day(picture: Picture, at: datetime) -> Picture:
    if at == picture.at:
        return picture
    day = at.date()
    if day == picture.day:
        return replace(picture, at=at)
    return replace(picture, at=at, day=day, counts=Counts(), yesterday=picture.day, yesterdays_counts=picture.counts)


def _with_event(picture: Picture, event: ev.Event) -> Picture:
    match event:
        case ev.DaemonStarted():
            picture = replace(picture, started=event)
        case ev.StateSaved(owner=owner) if owner == MEMORY_OWNER:
            picture = replace(picture, memory=event.document)
        case ev.BreakerChanged():
            picture = replace(picture, breaker=event)
        case ev.EquityMarked():
            picture = _with_mark(picture, event)
        case ev.Filled() | ev.FundingSettled() | ev.Transferred() | ev.Deposited() | ev.Corrected():
            picture = replace(picture, books=picture.books.apply(event).books)
        case ev.ConnectionLost(account=account):
            picture = replace(picture, disconnected=picture.disconnected | {account})
        case ev.ConnectionRestored(account=account):
            picture = replace(picture, disconnected=picture.disconnected - {account})
        case _:
            pass
    return _with_line(picture, event)


def _with_mark(picture: Picture, event: ev.EquityMarked) -> Picture:
    marked = _marked(picture.worth(event.account), event, paid_in_usdt(picture.books.of(event.account)))
    return replace(picture, worths={**picture.worths, event.account: marked})


def _marked(worth: Worth, event: ev.EquityMarked, paid_in: Decimal) -> Worth:
    """Mark an account. The first mark of a day closes the last hour of the day before: it is where the day begins."""
    marked = Worth(
        event.equity_usdt, paid_in, worth.day, worth.day_pnl_usdt, worth.yesterday_usdt, why_unknown=event.reason
    )
    day = event.at.date()
    if day == worth.day or marked.pnl_usdt is None:
        return marked
    return replace(marked, day=day, day_pnl_usdt=marked.pnl_usdt, yesterday_usdt=marked.today_usdt)


def _sum(amounts: Iterable[Decimal | None]) -> Decimal | None:
    known = [amount for amount in amounts if amount is not None]
    with exact_arithmetic():
        return sum(known, ZERO) if known else None


def counted(counts: Counts, event: ev.Event) -> Counts:
    """Count one more event of a day."""
    if isinstance(event, ev.OrderPlanned):
        counts = replace(counts, orders=counts.orders + 1)
    elif isinstance(event, ev.Filled):
        counts = replace(counts, fills=counts.fills + 1)
    return replace(counts, problems=counts.problems + 1) if severity(event) in (WARNING, ERROR) else counts


def _with_line(picture: Picture, event: ev.Event) -> Picture:
    tone = severity(event)
    counts = counted(picture.counts, event)
    if counts != picture.counts:
        picture = replace(picture, counts=counts)
    if tone in (WARNING, ERROR):
        return replace(picture, problems=(*picture.problems, Line(event.at, say(event), tone))[-PROBLEMS_KEPT:])
    if tone == DEBUG or isinstance(event, _UNTOLD) or _is_routine(event):
        return picture
    return replace(picture, recent=_with_newest(picture.recent, Line(event.at, say(event), INFO)))


def _is_routine(event: ev.Event) -> bool:
    """Tell whether an event only measures or repeats: an approval before its order, what FUND-3 notes of a pair."""
    if isinstance(event, ev.Noted):
        return event.rule == "FUND-3"
    return isinstance(event, ev.Reviewed) and event.verdict == "approved"


def _with_newest(lines: tuple[Line, ...], line: Line) -> tuple[Line, ...]:
    """Put a line at the end; what is said again, like a denial every hour, moves there instead of filling the view."""
    return (*(old for old in lines if old.text != line.text), line)[-LINES_KEPT:]


@dataclass(frozen=True, slots=True)
class Plan:
    """Hold what the saved memory says to people."""

    core: str
    halted: frozenset[Engine]
    paused: tuple[str, ...]
    stops: Mapping[str, Decimal]
    level: int
    high_usdt: Decimal | None
    blocked: str


def plan_of(picture: Picture) -> Plan:
    """Read the saved memory (JSON, as the daemon writes it); an empty one says that nothing was decided yet."""
    memory = picture.memory
    if not memory:
        return Plan("nothing decided yet", frozenset(), (), {}, 0, None, "")
    found = json.loads(memory)
    symbols, states = found["symbols"], found["states"]
    risk = states["risk"]
    return Plan(
        core=_core_text(states["core"]),
        halted=frozenset(engine for bit, engine in enumerate(ENGINES) if found["halted"] >> bit & 1),
        paused=tuple(found["paused"]),
        stops={symbols[index]: Decimal(price) for index, price in found["stops"]},
        level=risk["level"],
        high_usdt=Decimal(str(risk["high_usdt"])) if risk["high_usdt"] else None,
        blocked=_blocked_text(risk, picture.at),
    )


def _core_text(core: Mapping[str, Any]) -> str:
    phase = core["phase"]
    due = f"next due {hour_text(core['due_h'])}" if core["due_h"] else "first purchase due now"
    match phase:
        case int() if phase == DEPLOYING:
            weeks = core["plan_weeks"]
            return f"{PHASES[phase]}, {weeks - core['weeks_remaining']} of {weeks} weeks bought, {due}"
        case int() if phase == REBALANCING:
            return f"{PHASES[phase]}, week {core['rebalance_week']}, {due}"
        case _:
            return f"{PHASES[phase]}, {due}"


def _blocked_text(risk: Mapping[str, Any], at: datetime | None) -> str:
    if risk["halted"]:
        return "emergency stop: all engines wait for the operator (eternal resume --emergency)"
    now_h = 0 if at is None else (at - _EPOCH) // timedelta(hours=1)
    waits = {"day": risk["day_block_h"], "week": risk["week_block_h"]}
    return "; ".join(
        f"loss of the {name}: no TREND or FUNDING entries until {hour_text(until)}"
        for name, until in waits.items()
        if until > now_h
    )


def hour_text(hours: int) -> str:
    """Write an hour since the epoch as a time, UTC."""
    return (_EPOCH + timedelta(hours=hours)).strftime("%a %Y-%m-%d %H:%M")


def summary_lines(picture: Picture) -> list[str]:
    """Say what the day before the picture's brought, for the daily summary."""
    plan, counts, day = plan_of(picture), picture.yesterdays_counts, picture.yesterday
    engines = [engine.account for engine in ENGINES if engine.account in picture.worths]
    results = {account: picture.worth(account).result_of(day) for account in engines}
    lines = [f"{title(account)}: {_worth_text(picture.worth(account), results[account])}" for account in engines]
    lines.append(f"portfolio: {_worth_text(picture.total, _sum(results.values()))}")
    lines.append(f"circuit breaker: level {plan.level}; CORE_HODL: {plan.core}")
    lines.append(f"orders {counts.orders}, fills {counts.fills}, problems {counts.problems}")
    return lines


def _worth_text(worth: Worth, result_usdt: Decimal | None) -> str:
    if worth.equity_usdt is None or worth.pnl_usdt is None:
        return f"equity unknown ({worth.why_unknown})"
    day = "" if result_usdt is None else f"that day {result_usdt:+,.2f}, "
    return f"{worth.equity_usdt:,.2f} USDT, {day}in all {worth.pnl_usdt:+,.2f}"
