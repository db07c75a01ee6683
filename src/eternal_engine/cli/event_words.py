"""Say a journal row in one line of words."""

from __future__ import annotations

import json
from typing import Any

from eternal_engine.cli.people import moment, number

Body = dict[str, Any]


def in_words(row: dict[str, Any]) -> str:
    """Say what a row of `View.events` records; an unknown kind is shown as its fields."""
    say = _WORDS.get(row["kind"])
    return say(row["body"]) if say is not None else fields_of(row["body"])


def fields_of(body: Body) -> str:
    """Show the fields of a body, without its time and without long documents."""
    shown = (
        f"{name}={_short(value)}" for name, value in body.items() if name != "at" and value not in (None, "", "{}")
    )
    return " ".join(shown)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _planned(body: Body) -> str:
    intent = body["intent"]
    key = intent["key"]
    size = number(intent["qty"]) if intent["qty"] else f"{number(intent['amount_usdt'])} USDT"
    where = f"{intent['side']} {size} {key['symbol']} {intent['market']}"
    return (
        f"{key['engine']} plans {intent['kind']} {where} at about {number(intent['price_usdt'])} ({intent['reason']})"
    )


def _moved(body: Body) -> str:
    code = "" if body.get("code") in (None, 0) else f" code {body['code']}"
    detail = f": {body['detail']}" if body.get("detail") else ""
    return f"{body['client_order_id']} {body['trigger']}{code}{detail}"


def _filled(body: Body) -> str:
    fill = body["fill"]
    owner = " (unassigned)" if body["unassigned"] else ""
    what = f"{fill['side']} {number(fill['qty'])} {fill['symbol']} {fill['market']} at {number(fill['price'])}"
    return f"{fill['account']} {what}, fee {number(fill['fee'])} {fill['fee_coin']}{owner}"


def _reviewed(body: Body) -> str:
    why = body["detail"] if body["rule"] in body["detail"] else f"{body['rule']} {body['detail']}"
    verdict = "" if body["verdict"] in why else f"{body['verdict']}: "
    return f"{body['engine']} {body['symbol']} {verdict}{why}".rstrip()


def _funding(body: Body) -> str:
    verb = "pays" if body["amount_usdt"].startswith("-") else "receives"
    amount = number(body["amount_usdt"].lstrip("-"))
    return f"{body['account']} {verb} {amount} USDT for {number(body['qty'])} {body['symbol']}, rate {body['rate']}"


def _noted(body: Body) -> str:
    about = " ".join(body[name] for name in ("engine", "symbol") if body[name])
    return f"{body['rule']} {about} {body['detail']}".replace("  ", " ")


def _decided(body: Body) -> str:
    try:
        signals = json.loads(body["signals"])
    except ValueError:
        signals = None
    count = f"{len(signals)} signals" if isinstance(signals, list) else "signals"
    return f"{body['engine']} decided for {moment(body['decided_at'])}: {count}"


def _breaker(body: Body) -> str:
    change = f"level {body['previous']} -> {body['level']}"
    return f"{change} at {number(body['equity_usdt'])} of a high {number(body['high_usdt'])} USDT ({body['rule']})"


def _transfer(body: Body) -> str:
    return f"{number(body['amount'])} {body['coin']} {body['source']} -> {body['target']} ({body['rule']})"


def _equity(body: Body) -> str:
    known = "unknown" if body["equity_usdt"] is None else f"{number(body['equity_usdt'])} USDT"
    return f"{body['account']} {known} {body['reason']}".rstrip()


def _saved(body: Body) -> str:
    return f"{body['owner']}, {len(body['document'])} characters"


_WORDS = {
    "OrderPlanned": _planned,
    "OrderMoved": _moved,
    "Filled": _filled,
    "Reviewed": _reviewed,
    "FundingSettled": _funding,
    "Noted": _noted,
    "Decided": _decided,
    "BreakerChanged": _breaker,
    "TransferPlanned": _transfer,
    "Transferred": _transfer,
    "EquityMarked": _equity,
    "StateSaved": _saved,
}
