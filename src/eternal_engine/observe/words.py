"""Say every journal event in one line that a person understands, with the rule's id where a rule did it."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from functools import cache

from eternal_engine.model import event as ev
from eternal_engine.model.fill import FillKind
from eternal_engine.model.ids import read_client_order_id
from eternal_engine.model.instrument import Side
from eternal_engine.model.order import OrderIntent, OrderKind, Trigger
from eternal_engine.model.reason import TEXT
from eternal_engine.risk.breaker import LEVELS

_MOVES = {
    Trigger.SEND: "sent",
    Trigger.ACCEPT: "accepted",
    Trigger.REJECT: "REJECTED",
    Trigger.LOSE_REPLY: "got no usable reply: it will be looked up",
    Trigger.FOUND_OPEN: "found open at the exchange",
    Trigger.FOUND_FILLED: "found filled at the exchange",
    Trigger.FOUND_CANCELLED: "found cancelled at the exchange",
    Trigger.FOUND_REJECTED: "found REJECTED at the exchange",
    Trigger.NOT_FOUND: "not found at the exchange: it may be sent again",
    Trigger.FILL_PART: "filled in part",
    Trigger.FILL_ALL: "filled",
    Trigger.CANCEL: "cancelled",
    Trigger.ABANDON: "GIVEN UP before it was sent",
}
_DONE = {Side.BUY: "bought", Side.SELL: "sold"}
_WANTED = {Side.BUY: "buys", Side.SELL: "sells"}


def say(event: ev.Event) -> str:
    """Say one event in one line."""
    match event:
        case ev.OrderPlanned() | ev.OrderMoved() | ev.Filled() | ev.Decided() | ev.Reviewed():
            return _say_trading(event)
        case (
            ev.FundingSettled()
            | ev.TransferPlanned()
            | ev.Transferred()
            | ev.Deposited()
            | ev.Corrected()
            | ev.Reconciled()
            | ev.EquityMarked()
        ):
            return _say_money(event)
        case _:
            return _say_operation(event)


def _say_trading(event: ev.OrderPlanned | ev.OrderMoved | ev.Filled | ev.Decided | ev.Reviewed) -> str:
    match event:
        case ev.OrderPlanned(intent=intent):
            return f"{title(intent.key.engine)} {_wanted(intent)} ({ruled(intent.reason)})"
        case ev.OrderMoved():
            code = "" if event.code in (None, 0) else f" (code {event.code})"
            return f"{order_name(event.client_order_id)} {_MOVES[event.trigger]}{_more(event.detail)}{code}"
        case ev.Filled(fill=fill):
            kind = "" if fill.kind is FillKind.TRADE else f"{fill.kind.value.upper()}: "
            whose = " by nobody's order of ours" if event.unassigned else ""
            done = f"{_DONE[fill.side]} {number(fill.qty)} {fill.symbol} {fill.market.value} at {number(fill.price)}"
            cost = f"{usdt(fill.value_usdt)} USDT, fee {number(fill.fee)} {fill.fee_coin}"
            return f"{kind}{title(fill.account)} {done} ({cost}){whose}"
        case ev.Decided():
            return f"{title(event.engine)} decided{_signals(event.signals)}"
        case ev.Reviewed():
            verdict = f"{title(event.engine)} {event.symbol} {event.verdict}"
            allowed = f", {usdt(event.allowed)} USDT" if event.allowed else ""
            return f"{verdict}{allowed}{_more(event.detail)}"


def _say_money(
    event: ev.FundingSettled
    | ev.TransferPlanned
    | ev.Transferred
    | ev.Deposited
    | ev.Corrected
    | ev.Reconciled
    | ev.EquityMarked,
) -> str:
    match event:
        case ev.FundingSettled(amount_usdt=amount):
            did = "received" if amount >= 0 else "paid"
            rate = percent(event.rate, 4)
            return f"{title(event.account)} {did} {usdt(abs(amount))} USDT of funding for {event.symbol} (rate {rate})"
        case ev.TransferPlanned() | ev.Transferred():
            does = "shall move" if isinstance(event, ev.TransferPlanned) else "moved"
            way = f"from {title(event.source)} to {title(event.target)}"
            return f"{number(event.amount)} {event.coin} {does} {way} ({ruled(event.rule)})"
        case ev.Deposited(amount=amount):
            what = "deposit into" if amount >= 0 else "withdrawal from"
            return f"{what} {title(event.account)}: {number(abs(amount))} {event.coin} (CORE-10)"
        case ev.Corrected():
            change = f"{event.qty:+f}".rstrip("0").rstrip(".") if "." in f"{event.qty:f}" else f"{event.qty:+f}"
            why = event.reason.value.replace("_", " ")
            what = event.symbol or event.coin
            return f"{title(event.account)}'s book corrected by {change} {what}: {why}{_more(event.detail)} (ORD-7)"
        case ev.Reconciled(differences=differences):
            found = {0: "no difference", 1: "1 difference"}.get(differences, f"{differences} differences")
            return f"{title(event.account)} compared with the exchange: {found}{_more(event.detail)} (ORD-7)"
        case ev.EquityMarked(equity_usdt=equity):
            worth = "unknown" if equity is None else f"{usdt(equity)} USDT"
            return f"equity of {title(event.account)}: {worth}{_more(event.reason)}"


def _say_operation(event: ev.Event) -> str:
    match event:
        case ev.DaemonStarted():
            return f"started version {event.version} in {event.mode} mode, market {event.market}"
        case ev.DaemonStopped():
            return f"stopped: {event.reason}"
        case ev.ConfigChanged():
            return f"configuration {event.old_hash[:12]} became {event.new_hash[:12]}: {event.difference}"
        case ev.ConnectionLost():
            since = minute(event.since)
            return f"{title(event.account)} has no connection since {since}{_more(event.detail)} (ORD-6)"
        case ev.ConnectionRestored():
            return f"{title(event.account)} is connected again after {number(event.downtime_s)} s (ORD-6)"
        case ev.ErrorOccurred():
            return f"{event.what} (at {event.where}); to mend: {event.mend}"
        case _:
            return _say_control(event)


def _say_control(event: ev.Event) -> str:
    match event:
        case ev.PhaseChanged():
            way = f"from {event.previous} to {event.phase}" if event.previous else f"begins with {event.phase}"
            return f"{title(event.engine)} {way}{_more(event.detail)} ({ruled(event.rule)})"
        case ev.StateSaved():
            return f"state of {event.owner} saved"
        case ev.BreakerChanged():
            way = f"{level(event.previous)} to {level(event.level)}"
            at = f"equity {usdt(event.equity_usdt)} of a high of {usdt(event.high_usdt)} USDT"
            return f"circuit breaker from {way}: {at}{_more(event.detail)} ({event.rule})"
        case ev.LossLimitHit():
            lost = percent(event.loss_frac)
            return f"loss of {lost}: entries wait until {minute(event.until)} ({ruled(event.rule)})"
        case ev.CommandApplied():
            return f"operator's {event.verb} {'done' if event.accepted else 'REFUSED'}{_more(event.answer)}"
        case ev.Noted():
            who = " ".join(filter(None, (title(event.engine) if event.engine else "", event.symbol or "")))
            amount = f" ({usdt(event.amount_usdt)} USDT)" if event.amount_usdt else ""
            return f"{who}{': ' if who else ''}{event.detail}{amount} ({ruled(event.rule)})"
        case _:
            return type(event).__name__


def title(who: str) -> str:
    """Write an engine's or account's name as people do."""
    return str(who).upper()


def level(number_: int) -> str:
    """Name a breaker level: `2 WARNING`."""
    return f"{number_} {LEVELS[number_]}"


def ruled(rule: str) -> str:
    """Write a rule id with its short words, where it has some."""
    words = _rule_words().get(rule, "")
    return f"{rule} {words}".strip()


def order_name(client_order_id: str) -> str:
    """Name an order by what its id says: engine, symbol, and the id."""
    read = read_client_order_id(client_order_id)
    who = "foreign" if read is None else f"{title(read.engine)} {read.symbol or ''}".strip()
    return f"{who} order {client_order_id}"


def number(value: Decimal) -> str:
    """Write a quantity or a price exactly, with thousands separators and without closing zeros."""
    text = f"{value:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def usdt(value: Decimal) -> str:
    """Write an amount of USDT to the cent."""
    return f"{value:,.2f}"


def percent(fraction: Decimal | float, digits: int = 1) -> str:
    """Write a fraction as a percentage."""
    return f"{fraction * 100:.{digits}f} %"


def minute(at: datetime) -> str:
    """Write a time to the minute, UTC."""
    return at.strftime("%Y-%m-%d %H:%M UTC")


@cache
def _rule_words() -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for rule, words in TEXT.values():
        # One id may stand for several reasons; the id alone says then what is certain.
        if rule and not words.isupper():
            found.setdefault(rule, []).append(words)
    return {rule: words[0] for rule, words in found.items() if len(words) == 1}


def _wanted(intent: OrderIntent) -> str:
    symbol = f"{intent.key.symbol} {intent.market.value}"
    does = _WANTED[intent.side]
    if intent.kind is OrderKind.STOP_MARKET and intent.qty is not None and intent.trigger_price is not None:
        return f"rests a stop: {does} {number(intent.qty)} {symbol} at {number(intent.trigger_price)}"
    if intent.amount_usdt is not None:
        return f"{does} {symbol} for {number(intent.amount_usdt)} USDT"
    assert intent.qty is not None
    return f"{does} {number(intent.qty)} {symbol} at about {number(intent.price_usdt)}"


def _signals(document: str) -> str:
    signals = json.loads(document)
    if not isinstance(signals, list):
        return ""
    return {0: ": nothing to do", 1: ": 1 signal"}.get(len(signals), f": {len(signals)} signals")


def _more(detail: str) -> str:
    return f": {detail}" if detail else ""
