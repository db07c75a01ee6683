"""What the doctor looks at beside the accounts: arming, alerts, the index of fear, the machine's clock."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from eternal_engine.cli.finding import ERROR, OK, WARNING, Finding, error_of
from eternal_engine.cli.state_dir import DaemonMode
from eternal_engine.launch.files import ARMING_FILE
from eternal_engine.model.errors import EternalError

if TYPE_CHECKING:
    from eternal_engine.config import Settings

NEAR_END: Final = timedelta(days=3)
_ARM: Final = "arm it with `eternal arm`"


def arming(settings: Settings, directory: Path, now: datetime) -> Iterator[Finding]:
    """Compare the arming record with configuration, machine and database; a start also compares the accounts."""
    from eternal_engine.cli.arming_status import void_reasons
    from eternal_engine.launch.arming import read

    path = directory / ARMING_FILE
    try:
        record = read(path)
        reasons = () if record is None else void_reasons(record, settings.hash(), directory, now)
    except EternalError as problem:
        yield error_of("arming", problem)
        return
    if record is None:
        yield Finding("arming", WARNING, "live trading is not armed", str(path), _ARM)
        return
    for reason in reasons:
        yield Finding("arming", ERROR, f"the arming is void: {reason}", str(path), _ARM)
    if reasons:
        return
    if record.expires_at - now <= NEAR_END:
        yield Finding("arming", WARNING, f"the arming ends at {record.expires_at:%Y-%m-%d %H:%M} UTC", str(path), _ARM)
    else:
        yield Finding("arming", OK, f"armed until {record.expires_at:%Y-%m-%d %H:%M} UTC, cap {record.cap_usdt} USDT")


def alerts(settings: Settings, mode: DaemonMode) -> Iterator[Finding]:
    """Look whether anybody would be told; an address is tried for its form, nothing is sent."""
    from eternal_engine.observe.alerts import addresses_in, apprise_sender

    text = "" if settings.alerts.urls is None else settings.alerts.urls.get_secret_value()
    addresses = addresses_in(text)
    try:
        apprise_sender(addresses)
    except EternalError as problem:
        yield error_of("alerts", problem)
        return
    if addresses:
        yield Finding("alerts", OK, f"{len(addresses)} alert addresses can be read")
    elif mode == "live":
        what = "nobody is told when something happens: alerts are log lines alone"
        yield Finding("alerts", WARNING, what, "alerts.urls", "set ETERNAL_ALERTS__URLS to a service of apprise")


def fear(settings: Settings, mode: DaemonMode, directory: Path, *, ask: bool) -> Iterator[Finding]:
    """Look where the fear-and-greed index would come from, if the option that needs it is on (TACT-E2)."""
    if not (settings.tactical.enabled and settings.tactical.fear_greed.enabled):
        return
    from eternal_engine.launch.markets import FILE, MarketKind, read_market

    rests = "until there is data, the trigger rests and says so each day"
    market = read_market(directory / FILE) if mode == "paper" else None
    if market is not None and market.directory is not None and not any((market.directory / "sentiment").glob("*")):
        yield Finding("fear and greed", WARNING, "the recorded market has no index", str(market.directory), rests)
    elif market is not None and market.kind is not MarketKind.LIVE:
        yield Finding("fear and greed", OK, f"the index comes with the {market.kind} market")
    elif mode != "paper" or market is not None:
        yield _published(rests, ask=ask)


def _published(rests: str, *, ask: bool) -> Finding:
    from eternal_engine.launch.moods import ask_publisher
    from eternal_engine.market_data.mood_answer import API_URL

    if not ask:
        return Finding("fear and greed", WARNING, "the index's publisher was not asked", API_URL, rests)
    try:
        asyncio.run(ask_publisher())
    except EternalError as problem:
        return Finding("fear and greed", WARNING, problem.message, problem.where, rests)
    return Finding("fear and greed", OK, "the index's publisher answers")


def skew(offset_ms: int | None) -> Iterator[Finding]:
    """Judge the exchange's clock minus this machine's, in ms, as the daemon does (ORD-6)."""
    from eternal_engine.engine.downtime import Skew, judge_skew

    found = judge_skew(offset_ms)
    if offset_ms is None:
        return
    if found is Skew.FINE:
        yield Finding("clock", OK, f"this machine's clock is within {abs(offset_ms)} ms of the exchange's")
        return
    severity = ERROR if found is Skew.WAIT else WARNING
    waits = "; entries would wait" if found is Skew.WAIT else ""
    what = f"this machine's clock is {abs(offset_ms)} ms off the exchange's{waits}"
    yield Finding("clock", severity, what, "clock", "set it by NTP: timedatectl set-ntp true")
