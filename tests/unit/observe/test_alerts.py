"""K9: one message per event to a configured service, none configured: a log line; rate-limited."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
import time_machine
from structlog.testing import capture_logs

from builders import a_fill, an_intent
from eternal_engine import clock
from eternal_engine.model import event as ev
from eternal_engine.model.errors import UsageError
from eternal_engine.model.fill import FillKind
from eternal_engine.model.ids import Account, Coin, Engine, RecordId, RuleId, Symbol
from eternal_engine.model.instrument import Market
from eternal_engine.model.order import Trigger
from eternal_engine.observe.alert_policy import Alert, alert_of, arming_alert
from eternal_engine.observe.alerts import Alerts, Bucket, addresses_in, apprise_sender

AT = datetime(2024, 3, 4, 23, tzinfo=UTC)
HOUR = timedelta(hours=1)
ORDER = an_intent(at=AT).client_order_id


def breaker(level: int, previous: int = 0) -> ev.BreakerChanged:
    return ev.BreakerChanged(AT, previous, level, Decimal(34_000), Decimal(40_000), RuleId("BRK-1"))


def correction(reason: ev.Mismatch) -> ev.Corrected:
    coin, qty = Coin("ETH"), Decimal("0.5")
    return ev.Corrected(
        AT, RecordId("c"), Account.TREND, Symbol("ETHUSDT"), coin, Market.PERP, qty, Decimal(2000), reason
    )


def moved(trigger: Trigger) -> ev.OrderMoved:
    return ev.OrderMoved(AT, ORDER, trigger, detail="too small")


def liquidation() -> ev.Filled:
    fill = a_fill(at=AT)
    return ev.Filled(AT, type(fill)(**{**{n: getattr(fill, n) for n in fill.__slots__}, "kind": FillKind.LIQUIDATION}))


TOLD = [
    (breaker(2), "breaker_changed"),
    (breaker(4), "breaker_changed"),
    (breaker(0, previous=2), "breaker_released"),
    (moved(Trigger.REJECT), "order_failed"),
    (moved(Trigger.FOUND_REJECTED), "order_failed"),
    (moved(Trigger.ABANDON), "order_failed"),
    (correction(ev.Mismatch.ORPHAN_POSITION), "orphan"),
    (correction(ev.Mismatch.WRONG_SIZE), "mismatch"),
    (ev.ConnectionLost(AT, Account.TREND, AT), "connection_lost"),
    (ev.ConnectionRestored(AT, Account.TREND, Decimal(31)), "connection_restored"),
    (liquidation(), "liquidation"),
    (ev.Filled(AT, a_fill(at=AT), unassigned=True), "foreign_fill"),
    (ev.ErrorOccurred(AT, "keys refused", "trend", "make new keys"), "error_occurred"),
    (ev.LossLimitHit(AT, RuleId("RISK-4"), Decimal("0.02"), AT), "loss_limit_hit"),
]
SILENT: list[ev.Event] = [
    breaker(1),
    breaker(0, previous=1),
    moved(Trigger.ACCEPT),
    moved(Trigger.CANCEL),
    ev.Filled(AT, a_fill(at=AT)),
    ev.Reconciled(AT, Account.TREND, 0),
    ev.Reconciled(AT, Account.TREND, 2),
    ev.Noted(AT, RuleId("CORE-4"), "extended"),
    ev.Noted(
        AT, RuleId("FUND-3"), "fu-2401020000-BTCUSDT: one leg stood alone for 0.000 s, 0 USDT x s", Engine.FUNDING
    ),
    ev.EquityMarked(AT, Account.TREND, Decimal(1)),
]


def test_k9_a_note_about_safety_is_told_once_and_not_again_below_its_headline() -> None:
    noted = ev.Noted(AT, RuleId("BRK-1"), "the whole portfolio is 0.2 below its high", Engine.TREND, Symbol("ETHUSDT"))
    told = alert_of(noted)
    assert told is not None
    assert told.title == "TREND ETHUSDT: the whole portfolio is 0.2 below its high"
    assert told.body == "rule BRK-1 of docs/rules.md"


class Sink:
    """A service that remembers what it was told, or fails."""

    def __init__(self, *outcomes: bool | OSError) -> None:
        self.told: list[tuple[str, str]] = []
        self.gravities: list[str] = []
        self.outcomes = list(outcomes)

    def __call__(self, title: str, body: str, gravity: str) -> bool:
        self.told.append((title, body))
        self.gravities.append(gravity)
        outcome = self.outcomes.pop(0) if self.outcomes else True
        if isinstance(outcome, OSError):
            raise outcome
        return outcome


class Time:
    def __init__(self) -> None:
        self.now_s = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds


def alerts(sink: Sink | None, time: Time | None = None, **changes: Any) -> Alerts:
    time = time or Time()
    return Alerts(sink, monotonic=time, sleep=time.sleep, **changes)


@pytest.mark.parametrize(("event", "kind"), TOLD)
async def test_k9_one_message_per_event_that_matters(event: ev.Event, kind: str) -> None:
    sink = Sink()
    await alerts(sink).see([event])
    found = alert_of(event)
    assert found is not None
    assert found.kind == kind
    assert [title for title, _ in sink.told] == [f"Eternal Engine: {found.title}"]


@pytest.mark.parametrize("event", SILENT)
def test_k9_what_can_wait_is_no_alert(event: ev.Event) -> None:
    assert alert_of(event) is None


async def test_k9_without_a_service_an_alert_is_a_log_line() -> None:
    with capture_logs() as lines:
        await alerts(None).see([breaker(2)])
    assert [(line["event"], line["kind"], line["log_level"]) for line in lines] == [
        ("alert_raised", "breaker_changed", "warning")
    ]


async def test_an_alert_says_what_to_do() -> None:
    sink = Sink()
    await alerts(sink).see([breaker(4), ev.ErrorOccurred(AT, "keys refused", "trend", "make new keys")])
    (_, first), (_, second) = sink.told
    assert "second confirmation" in first
    assert second == "where: trend\nTo do: make new keys"


async def test_the_gravity_of_an_alert_is_told_to_its_service() -> None:
    sink = Sink()
    back, gone = ev.ConnectionRestored(AT, Account.TREND, Decimal(31)), moved(Trigger.REJECT)
    for event in (breaker(4), gone, back, breaker(0, previous=2)):
        await alerts(sink).see([event])
    assert sink.gravities == ["failure", "warning", "info", "info"]


async def test_one_cut_cable_is_one_message() -> None:
    sink = Sink()
    await alerts(sink).see([ev.ConnectionLost(AT, account, AT) for account in Account])
    assert len(sink.told) == 1
    assert all(account.value.upper() in sink.told[0][1] for account in Account)


async def test_an_order_that_is_given_up_is_one_message_though_it_is_two_events() -> None:
    sink = Sink()
    gone = ev.ErrorOccurred(AT, "given up after 5 retries", f"order {ORDER}", "look at the exchange's status page")
    await alerts(sink).see([moved(Trigger.REJECT), gone, ev.ErrorOccurred(AT, "keys refused", "trend", "new keys")])
    assert [title for title, _ in sink.told] == [
        f"Eternal Engine: order {ORDER} failed",
        "Eternal Engine: keys refused",
    ]
    assert "given up after 5 retries" in sink.told[0][1]
    assert "To do: look at the exchange's status page" in sink.told[0][1]


async def test_a_comparison_and_its_correction_are_one_message() -> None:
    sink = Sink()
    found = ev.Reconciled(AT, Account.TREND, 1, "0.5 ETHUSDT that nobody bought")
    elsewhere = ev.Reconciled(AT, Account.FUNDING, 1, "12 USDT too few")
    await alerts(sink).see([correction(ev.Mismatch.ORPHAN_POSITION), found, elsewhere])
    assert len(sink.told) == 2
    assert "that nobody bought" in sink.told[0][1]


async def test_a_lasting_state_is_told_once_in_six_hours() -> None:
    sink, time = Sink(), Time()
    observer, found = alerts(sink, time), ev.Reconciled(AT, Account.TREND, 1, "0.5 ETHUSDT that nobody bought")
    for _ in range(72):
        await observer.see([found])
        time.now_s += 300.0
    assert len(sink.told) == 1
    await observer.see([found, ev.Reconciled(AT, Account.TREND, 1, "something else")])
    assert len(sink.told) == 3


async def test_a_storm_is_limited_and_counted_and_hides_nothing_urgent() -> None:
    sink, time = Sink(), Time()
    observer = alerts(sink, time, most_per_hour=3)
    with capture_logs() as lines:
        await observer.see([moved(Trigger.REJECT)] * 10)
        assert len(sink.told) == 3
        assert sum(line["event"] == "alert_held_back" for line in lines) == 7
        await observer.see([breaker(3)])
    assert "circuit breaker" in sink.told[3][0]
    assert "7 more held back by the hourly limit, all in the log: 7 x order_failed" in sink.told[3][1]
    time.now_s += 1200.0
    await observer.see([moved(Trigger.REJECT)] * 2)
    assert len(sink.told) == 5


def test_a_bucket_is_full_again_after_an_hour_and_never_fuller() -> None:
    bucket = Bucket(5)
    assert sum(bucket.take(0.0) for _ in range(10)) == 5
    assert sum(bucket.take(100_000.0) for _ in range(10)) == 5


@pytest.mark.parametrize("outcome", [False, OSError("no route")])
async def test_a_failing_service_is_tried_again_and_costs_a_log_line(outcome: bool | OSError) -> None:
    sink, time = Sink(outcome, outcome, outcome), Time()
    with capture_logs() as lines:
        await alerts(sink, time).see([breaker(2)])
    assert len(sink.told) == 3
    assert time.slept == [2.0, 10.0]
    assert [line["event"] for line in lines] == ["alert_raised", "alert_not_delivered"]


async def test_a_service_that_comes_back_gets_the_message_once() -> None:
    sink = Sink(False)
    await alerts(sink).see([breaker(2)])
    assert len(sink.told) == 2


def day(equity: str, at: datetime) -> list[ev.Event]:
    engines = (Account.CORE_HODL, Account.TREND, Account.FUNDING, Account.TACTICAL)
    return [ev.EquityMarked(at, account, Decimal(equity)) for account in engines]


async def test_the_day_is_summed_up_once_when_all_engines_are_marked_at_its_end() -> None:
    sink = Sink()
    observer = alerts(sink)
    await observer.see([ev.DaemonStarted(AT, "1", "paper", "c", "synthetic"), *day("1000", AT)])
    await observer.see(day("1010", AT + HOUR)[:3])
    assert sink.told == []
    await observer.see(day("1010", AT + HOUR)[3:])
    await observer.see(day("1010", AT + 2 * HOUR))
    assert [title for title, _ in sink.told] == ["Eternal Engine: summary of 2024-03-04 (paper)"]
    assert "TREND: 1,010.00 USDT, that day +10.00" in sink.told[0][1]
    assert "portfolio: 4,040.00 USDT, that day +40.00" in sink.told[0][1]


async def test_market_days_that_last_seconds_make_no_storm_of_summaries() -> None:
    sink, time = Sink(), Time()
    observer = alerts(sink, time)
    for number in range(10):
        time.now_s += 24.0
        await observer.see(day("1000", AT + number * timedelta(days=1)))
    assert len(sink.told) == 1


async def test_summaries_can_be_switched_off() -> None:
    sink = Sink()
    await alerts(sink, summaries=False).see([*day("1", AT), *day("1", AT + HOUR)])
    assert sink.told == []


def test_risk_13_an_arming_is_told_about_before_and_after_its_end() -> None:
    assert arming_alert(AT, AT - timedelta(days=4)) is None
    soon, late = arming_alert(AT, AT - timedelta(days=3)), arming_alert(AT, AT)
    assert soon is not None
    assert late is not None
    assert (soon.kind, late.kind, late.urgent) == ("arming_expires", "arming_expired", True)


async def test_risk_13_an_arming_near_its_end_is_told_once_a_day() -> None:
    sink = Sink()

    class Over(Exception):
        pass

    async def sleep(seconds: float) -> None:
        assert seconds == 86_400
        if len(sink.told) == 3:
            raise Over

    with pytest.raises(Over):
        await Alerts(sink, sleep=sleep).remind(lambda: clock.now() + timedelta(days=2))
    assert {title for title, _ in sink.told} == {"Eternal Engine: the arming expires soon"}


async def test_risk_13_the_end_of_an_arming_is_told_when_it_comes() -> None:
    sink, slept = Sink(), list[float]()
    ends = clock.now() + timedelta(minutes=20)

    class Over(Exception):
        pass

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 2:
            raise Over
        travel.shift(seconds)

    with time_machine.travel(clock.now(), tick=False) as travel, pytest.raises(Over):
        await Alerts(sink, sleep=sleep).remind(lambda: ends)
    assert [title for title, _ in sink.told] == [
        "Eternal Engine: the arming expires soon",
        "Eternal Engine: the arming has expired",
    ]
    assert slept == [pytest.approx(1_201.0, abs=0.1), 86_400.0]


class _Handler(BaseHTTPRequestHandler):
    got: list[dict[str, Any]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.got.append(json.loads(body))
        self.send_response(500 if self.path == "/broken" else 200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def service() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    got: list[dict[str, Any]] = []
    server = HTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"got": got}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"json://127.0.0.1:{server.server_port}", got
    server.shutdown()
    thread.join()
    server.server_close()


async def test_k9_a_real_service_gets_each_event_once(service: tuple[str, list[dict[str, Any]]]) -> None:
    address, got = service
    observer = Alerts(apprise_sender([f"{address}/alerts"]))
    await observer.see([event for event, _ in TOLD])
    assert [message["title"] for message in got] == [f"Eternal Engine: {_told(event).title}" for event, _ in TOLD]
    assert "To do: eternal status, then eternal approve" in got[0]["message"]
    assert [message["type"] for message in got[:4]] == ["failure", "failure", "info", "warning"]


def _told(event: ev.Event) -> Alert:
    found = alert_of(event)
    assert found is not None
    return found


async def test_k9_a_service_that_answers_500_or_is_not_there_costs_a_log_line(
    service: tuple[str, list[dict[str, Any]]],
) -> None:
    address, got = service
    time = Time()
    with capture_logs() as lines:
        for target in (f"{address}/broken", "json://127.0.0.1:9/nobody"):
            await Alerts(apprise_sender([target]), monotonic=time, sleep=time.sleep).see([breaker(2)])
    assert len(got) == 3
    assert [line["event"] for line in lines] == ["alert_raised", "alert_not_delivered"] * 2


def test_an_address_that_cannot_be_read_is_refused_without_repeating_it() -> None:
    with pytest.raises(UsageError) as caught:
        apprise_sender(["json://127.0.0.1/x", "nonsense-with-a-token"])
    assert "2 of 2" in caught.value.message
    assert "token" not in caught.value.message


def test_addresses_are_separated_by_blanks() -> None:
    assert addresses_in(" json://a/b \n tgram://c/d ") == ("json://a/b", "tgram://c/d")
    assert apprise_sender(addresses_in("")) is None
