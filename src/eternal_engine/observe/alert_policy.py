"""Which events a person is told about at once, and in what words: pure, one alert per event."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from eternal_engine.model import event as ev
from eternal_engine.model import reason
from eternal_engine.model.fill import FillKind
from eternal_engine.model.ids import Engine
from eternal_engine.observe.fields import FAILED_MOVES
from eternal_engine.observe.picture import Picture, summary_lines
from eternal_engine.observe.words import level, minute, percent, say, title
from eternal_engine.risk.breaker import EMERGENCY, WARNING

ARMING_WARNING: Final = timedelta(days=3)
_DAY_S: Final = 86_400.0
# How the verdict on a cut of no steps begins (decision 0136).
_UNCUT: Final = reason.words(reason.FUND_CUT)
# Notes under these rules are about safety: portfolio drawdown, order breaker, mismatch, arming. FUND-3 is not one: that
# note measures every pair, and a pair that failed is an error of its own.
_TOLD_RULES: Final = ("BRK-", "ORD-3", "ORD-7", "RISK-13")


@dataclass(frozen=True, slots=True)
class Alert:
    """Hold one message. `kind` names it in log and digest, `subject` what it is about (an order id, `account symbol`).

    An `urgent` one has an hourly limit of its own. A `lasting` one reports a state that is found again and again: in
    the same words it is told no sooner than `rest_s` later.
    """

    kind: str
    title: str
    text: str
    mend: str = ""
    urgent: bool = False
    subject: str = ""
    lasting: bool = False
    rest_s: float = 6 * 3600.0

    @property
    def body(self) -> str:
        """Give the text with its mend on a line of its own."""
        return f"{self.text}\nTo do: {self.mend}" if self.mend else self.text


def alert_of(event: ev.Event) -> Alert | None:
    """Give the alert that an event calls for, None for most."""
    match event:
        case ev.BreakerChanged():
            return _breaker(event)
        case ev.OrderMoved() | ev.Filled():
            return _order(event)
        case ev.Corrected():
            return _mismatch(event)
        case ev.Reconciled(detail=detail, differences=differences) if differences and detail:
            mend = "eternal positions, then eternal review where entries wait"
            head = f"{title(event.account)} differs from the exchange"
            return Alert("mismatch", head, say(event), mend, urgent=True, subject=event.account.value, lasting=True)
        case ev.ConnectionLost():
            mend = "nothing, if the network comes back; else docs/runbook.md, `no connection`"
            return Alert(
                "connection_lost", f"{title(event.account)} is offline, entries wait", say(event), mend, urgent=True
            )
        case ev.ConnectionRestored():
            return Alert("connection_restored", f"{title(event.account)} is online again", say(event))
        case ev.LossLimitHit():
            mend = "nothing: exits go on, entries return by themselves (`eternal status`)"
            return Alert("loss_limit_hit", f"loss limit: {percent(event.loss_frac)}", say(event), mend)
        case ev.ErrorOccurred():
            return Alert("error_occurred", event.what, f"where: {event.where}", event.mend, lasting=True)
        case ev.Reviewed(engine=Engine.FUNDING, verdict="denied", detail=detail) if detail.startswith(_UNCUT):
            return _uncut(event)
        case ev.Noted(rule=rule) if rule.startswith(_TOLD_RULES):
            return _noted(event)
        case _:
            return None


def arming_alert(expires_at: datetime, now: datetime) -> Alert | None:
    """Give the alert for an arming of live trading that has expired or soon will, None while there is time."""
    if now >= expires_at:
        text = f"The arming expired at {minute(expires_at)}: no entries, while exits and stops go on."
        return Alert("arming_expired", "the arming has expired", text, "eternal arm, on a terminal", urgent=True)
    if expires_at - now <= ARMING_WARNING:
        text = f"The arming expires at {minute(expires_at)}; from then on there are exits and stops only."
        return Alert("arming_expires", "the arming expires soon", text, "eternal arm, on a terminal")
    return None


def daily_summary(picture: Picture) -> Alert:
    """Give the summary of the day before the picture's."""
    mode = picture.started.mode if picture.started else "unknown"
    return Alert("daily_summary", f"summary of {picture.yesterday} ({mode})", "\n".join(summary_lines(picture)))


def _breaker(event: ev.BreakerChanged) -> Alert | None:
    if max(event.level, event.previous) < WARNING:
        return None
    if event.level < WARNING:
        return Alert("breaker_released", f"circuit breaker back to {level(event.level)}", say(event))
    twice = ", with the second confirmation of level 4" if event.level == EMERGENCY else ""
    mend = f"eternal status, then eternal approve{twice}"
    return Alert("breaker_changed", f"circuit breaker {level(event.level)}", say(event), mend, urgent=True)


def _order(event: ev.OrderMoved | ev.Filled) -> Alert | None:
    match event:
        case ev.Filled(fill=fill) if fill.kind is not FillKind.TRADE:
            mend = "eternal positions; look at the margin of this account"
            kind = fill.kind.value
            return Alert(
                kind, f"{kind.upper()} of {fill.symbol} in {title(fill.account)}", say(event), mend, urgent=True
            )
        case ev.Filled(fill=fill, unassigned=True):
            mend = "if it was you: eternal review; if not: revoke the account's API keys at once"
            return Alert(
                "foreign_fill", f"not our order: {fill.symbol} in {title(fill.account)}", say(event), mend, True
            )
        case ev.OrderMoved(trigger=trigger) if trigger in FAILED_MOVES:
            order = str(event.client_order_id)
            mend = f"eternal why {order}"
            return Alert("order_failed", f"order {order} failed", say(event), mend, subject=order)
        case _:
            return None


def _noted(event: ev.Noted) -> Alert:
    """Tell what was noted in the headline, and its rule below: a telephone shows both, one under the other."""
    who = " ".join(filter(None, (title(event.engine) if event.engine else "", event.symbol or "")))
    head = f"{who}: {event.detail}" if who else event.detail
    return Alert("noted", head, f"rule {event.rule} of docs/rules.md")


def _uncut(event: ev.Reviewed) -> Alert:
    """Tell once a day that a pair is too small to be cut (FUND-X2): nothing stands between it and a liquidation."""
    text = (
        f"FUNDING's margin is low, and a third of its pair in {event.symbol} is less than one step of the order. "
        "If the price rises further the exchange liquidates the perp; the coins beside it stay."
    )
    mend = "move USDT into FUNDING's account, or close its pairs: eternal flatten funding"
    head = f"{event.symbol}: the pair is too small to be cut (FUND-X2)"
    return Alert("margin_low", head, text, mend, urgent=True, lasting=True, rest_s=_DAY_S)


def _mismatch(event: ev.Corrected) -> Alert:
    what = event.symbol or event.coin
    kind = "orphan" if event.reason is ev.Mismatch.ORPHAN_POSITION else "mismatch"
    mend = f"eternal positions, then eternal review: entries in {what} wait until then"
    head = f"{kind}: {what} in {title(event.account)}"
    return Alert(kind, head, say(event), mend, urgent=True, subject=f"{event.account.value} {what}")
