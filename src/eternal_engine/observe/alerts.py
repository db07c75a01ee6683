"""Tell people by their own services (apprise): one message per event, rate-limited, never in the engine's way."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Final

import structlog

from eternal_engine import clock
from eternal_engine.model.errors import UsageError
from eternal_engine.model.event import Event
from eternal_engine.observe.alert_policy import Alert, alert_of, arming_alert, daily_summary
from eternal_engine.observe.picture import Picture, grown

HOUR_S: Final = 3600.0
RETRY_S: Final = (2.0, 10.0)
SENDING_S: Final = 30.0
REMINDER_S: Final = 24 * HOUR_S
TOLD_KEPT: Final = 1000
# In paper trading a market day may last seconds; people's days do not.
SUMMARY_REST_S: Final = 12 * HOUR_S
_GOOD_NEWS: Final = frozenset({"daily_summary", "connection_restored", "breaker_released"})
_LOG = structlog.get_logger("eternal.alerts")

# Title, body, and how grave it is: INFO, WARNING or FAILURE, as apprise names them.
Send = Callable[[str, str, str], bool]
INFO: Final = "info"
WARNING: Final = "warning"
FAILURE: Final = "failure"


@dataclass(slots=True)
class Bucket:
    """Let `size` messages through at once, and `size` more every hour."""

    size: int
    level: float = field(init=False)
    filled_s: float | None = None

    def __post_init__(self) -> None:
        self.level = float(self.size)

    def take(self, now_s: float) -> bool:
        """Take one message's worth; False says that there is none."""
        since = 0.0 if self.filled_s is None else now_s - self.filled_s
        self.level = min(float(self.size), self.level + since * self.size / HOUR_S)
        self.filled_s = now_s
        if self.level < 1.0:
            return False
        self.level -= 1.0
        return True


class Alerts:
    """Send what `alert_of` says about events, and a summary a day; without a service alerts are log lines.

    `send` delivers (title, body, gravity) and is called in a thread; None: no service. Urgent alerts have a bucket of
    their own, so that a storm of small ones never hides a big one.
    """

    name = "alerts"

    def __init__(
        self,
        send: Send | None,
        *,
        picture: Picture | None = None,
        most_per_hour: int = 20,
        summaries: bool = True,
        monotonic: Callable[[], float] = clock.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._send = send
        self._picture = picture or Picture()
        self._buckets = {urgent: Bucket(most_per_hour) for urgent in (False, True)}
        self._held: Counter[str] = Counter()
        self._told: dict[str, float] = {}
        self._summaries = summaries
        self._summary_s: float | None = None
        self._summarised: date | None = None
        self._monotonic = monotonic
        self._sleep = sleep

    async def see(self, events: Sequence[Event]) -> None:
        """Tell about a batch of events."""
        for alert in self._alerts(events):
            await self.tell(alert)

    async def tell(self, alert: Alert) -> None:
        """Send one alert now, or count it for the digest when the hour is full."""
        now_s = self._monotonic()
        if alert.lasting and self._was_told(alert, now_s):
            return
        if not self._buckets[alert.urgent].take(now_s):
            self._held[alert.kind] += 1
            _LOG.warning("alert_held_back", **_fields(alert))
            return
        await self._deliver(self._with_held(alert))

    async def remind(self, arming_ends: Callable[[], datetime | None]) -> None:
        """Tell once a day and at its end, until cancelled, that live trading must be armed again; None: not to be."""
        while True:
            ends, now = arming_ends(), clock.now()
            alert = None if ends is None else arming_alert(ends, now)
            if alert is not None:
                await self.tell(alert)
            rest_s = REMINDER_S if alert is not None else HOUR_S
            # A second after its end: a sleep that is over a little early would tell once more that it is near.
            left_s = rest_s if ends is None or ends <= now else (ends - now).total_seconds() + 1.0
            await self._sleep(min(rest_s, left_s))

    def _alerts(self, events: Sequence[Event]) -> list[Alert]:
        found: list[Alert] = []
        for event in events:
            self._picture = grown(self._picture, (event,))
            if self._summary_is_due():
                found.append(daily_summary(self._picture))
            alert = alert_of(event)
            if alert is not None:
                _add(found, alert)
        return found

    def _was_told(self, alert: Alert, now_s: float) -> bool:
        """Tell whether a lasting state was told of in these words a while ago: that it is still so is only logged."""
        key = f"{alert.kind}|{alert.title}|{alert.text}"
        self._told = {known: until_s for known, until_s in self._told.items() if now_s < until_s}
        if key in self._told:
            _LOG.info("alert_repeated", kind=alert.kind, title=alert.title)
            return True
        if len(self._told) < TOLD_KEPT:
            self._told[key] = now_s + alert.rest_s
        return False

    def _summary_is_due(self) -> bool:
        day = self._picture.day
        if not self._summaries or day == self._summarised or not self._picture.is_yesterday_closed:
            return False
        now_s = self._monotonic()
        if self._summary_s is not None and now_s - self._summary_s < SUMMARY_REST_S:
            return False
        self._summary_s, self._summarised = now_s, day
        return True

    def _with_held(self, alert: Alert) -> Alert:
        if not self._held:
            return alert
        more = ", ".join(f"{count} x {kind}" for kind, count in self._held.most_common())
        text = f"{alert.body}\n{self._held.total()} more held back by the hourly limit, all in the log: {more}"
        self._held.clear()
        return replace(alert, text=text, mend="")

    async def _deliver(self, alert: Alert) -> None:
        (_LOG.info if alert.kind == "daily_summary" else _LOG.warning)("alert_raised", **_fields(alert))
        if self._send is None:
            return
        for wait_s in (*RETRY_S, None):
            problem = await self._try(self._send, alert)
            if problem is None:
                return
            if wait_s is None:
                _LOG.warning("alert_not_delivered", kind=alert.kind, title=alert.title, problem=problem)
            else:
                await self._sleep(wait_s)

    async def _try(self, send: Send, alert: Alert) -> str | None:
        try:
            delivered = await asyncio.wait_for(
                asyncio.to_thread(send, f"Eternal Engine: {alert.title}", alert.body, _gravity(alert)), SENDING_S
            )
        except TimeoutError:
            return f"no answer in {SENDING_S:.0f} s"
        except OSError as problem:
            return str(problem)
        return None if delivered else "a service refused it, or is not to be reached"


def apprise_sender(addresses: Sequence[str]) -> Send | None:
    """Make a sender for apprise addresses, None when there are none.

    Raises UsageError for an address that apprise cannot read; its text is not repeated, it may hold a token.
    """
    if not addresses:
        return None
    import apprise  # half a second and 20 MB that only those who configured a service pay

    services = apprise.Apprise()
    for number, address in enumerate(addresses, start=1):
        if not services.add(address):
            raise UsageError(
                f"alert address {number} of {len(addresses)} is none that apprise knows",
                where="ETERNAL_ALERTS__URLS",
                mend="write it as apprise's documentation says, like tgram://TOKEN/CHAT or mailto://USER:PASS@HOST",
            )

    def send(title: str, body: str, gravity: str) -> bool:
        return bool(services.notify(title=title, body=body, notify_type=apprise.NotifyType(gravity)))

    return send


def addresses_in(text: str) -> tuple[str, ...]:
    """Split the setting `alerts.urls` into its addresses."""
    return tuple(text.split())


def _gravity(alert: Alert) -> str:
    """Say how grave an alert is: services give each its own colour, sound or priority."""
    if alert.urgent:
        return FAILURE
    return INFO if alert.kind in _GOOD_NEWS else WARNING


def _fields(alert: Alert) -> dict[str, str]:
    """Give an alert as fields of a log line; its text on one line, because a terminal shows nothing else of it."""
    text = f"alert: {alert.title}: {alert.text}".replace("\n", " | ")
    return {"text": text, "kind": alert.kind, "title": alert.title, "mend": alert.mend}


def _add(found: list[Alert], alert: Alert) -> None:
    """Put an alert beside those of its batch, or into the one that tells of the same thing.

    One cut cable takes all accounts offline at once; an order that is given up is an order's event and an error; what
    a comparison corrected is summed up by it.
    """
    for place, earlier in enumerate(found):
        same_cable = alert.kind == earlier.kind and alert.kind.startswith("connection_")
        same_thing = alert.lasting and earlier.subject and _is_about(alert, earlier.subject)
        if same_cable or same_thing:
            text = f"{earlier.text}\n{alert.title}: {alert.text}" if same_thing else f"{earlier.text}\n{alert.text}"
            found[place] = replace(earlier, text=text, mend=alert.mend or earlier.mend)
            return
    found.append(alert)


def _is_about(alert: Alert, subject: str) -> bool:
    """Tell whether an alert is about an order id, or about an account and symbol: named in it, or its whole account."""
    return subject in alert.text or bool(alert.subject and subject.startswith(f"{alert.subject} "))
