"""Events as canonical documents, and back."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from builders import a_history
from eternal_engine.model.errors import StorageError
from eternal_engine.model.event import DaemonStopped, Deposited, EquityMarked, Event, Filled, Noted
from eternal_engine.model.ids import Account, Coin, RecordId, RuleId
from eternal_engine.storage.codec import EVENT_KINDS, canonical, decode_event, encode_event

AT = datetime(2024, 1, 1, tzinfo=UTC)
NOTE = Noted(AT, RuleId("CORE-4"), "extended")


@pytest.mark.parametrize("event", a_history(), ids=lambda event: type(event).__name__)
def test_every_event_reads_back_as_it_was(event: Event) -> None:
    body = encode_event(event)
    again = decode_event(type(event).__name__, body)
    assert again == event
    assert encode_event(again) == body


def test_the_history_of_the_tests_has_every_kind_of_event() -> None:
    assert {type(event).__name__ for event in a_history()} == set(EVENT_KINDS)


def test_c13_an_amount_of_26_digits_is_stored_identically() -> None:
    amount = Decimal("12345678.123456789012345678")
    event = Deposited(AT, RecordId("d"), Account.MASTER, Coin("USDT"), amount, amount, AT)
    read = decode_event("Deposited", encode_event(event))
    assert isinstance(read, Deposited)
    assert read.amount.as_tuple() == amount.as_tuple()


def test_documents_are_canonical() -> None:
    assert canonical({"b": 1, "a": [True, None, "ü", ("x",)]}) == '{"a":[true,null,"\\u00fc",["x"]],"b":1}'
    assert encode_event(DaemonStopped(AT, "end")) == '{"at":"2024-01-01T00:00:00.000000Z","reason":"end"}'


@pytest.mark.parametrize("document", [0.5, {"a": 0.5}, [{"a": [0.5]}], (0.5,)])
def test_d19_a_float_never_comes_to_a_document(document: object) -> None:
    with pytest.raises(StorageError, match=r"a float \(0\.5\)"):
        canonical(document)


def test_d19_a_float_in_an_event_is_refused() -> None:
    with pytest.raises(StorageError, match=r"cannot store a float \(0\.5\)"):
        encode_event(replace(NOTE, amount_usdt=0.5))  # type: ignore[arg-type]


def test_a_time_that_is_not_utc_is_refused() -> None:
    for at in (datetime(2024, 1, 1), datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=1)))):
        with pytest.raises(StorageError, match="not an aware UTC time"):
            encode_event(DaemonStopped(at, ""))


def test_an_event_of_an_older_version_takes_the_defaults() -> None:
    read = decode_event("Noted", '{"at":"2024-01-01T00:00:00.000000Z","rule":"CORE-4","detail":"extended"}')
    assert read == NOTE


BODY = json.loads(encode_event(NOTE))


@pytest.mark.parametrize(
    ("kind", "body", "message"),
    [
        ("Nothing", "{}", "unknown kind of event 'Nothing'"),
        ("Noted", "{", "the body of a Noted is not JSON"),
        ("Noted", "[]", "Noted is not an object"),
        ("Noted", json.dumps({**BODY, "colour": "red"}), "Noted has an unknown field 'colour'"),
        ("Noted", json.dumps({k: v for k, v in BODY.items() if k != "rule"}), "Noted lacks the field 'rule'"),
        ("Noted", json.dumps({**BODY, "rule": 5}), r"Noted\.rule is 5, not a str"),
        ("Noted", json.dumps({**BODY, "at": "yesterday"}), "'yesterday' is not a stored time"),
        ("Noted", json.dumps({**BODY, "at": None}), r"Noted\.at is None, not a str"),
        ("Noted", json.dumps({**BODY, "amount_usdt": 0.5}), r"Noted\.amount_usdt is 0\.5, not a str"),
        ("Noted", json.dumps({**BODY, "amount_usdt": "x"}), r"Noted\.amount_usdt cannot be read: 'x'"),
        ("Noted", json.dumps({**BODY, "amount_usdt": "NaN"}), r"Noted\.amount_usdt cannot be read: 'NaN'"),
        ("Noted", json.dumps({**BODY, "engine": "other"}), r"Noted\.engine cannot be read: 'other'"),
        ("Filled", '{"at":"2024-01-01T00:00:00.000000Z","fill":null}', r"Filled\.fill is not an object"),
        (
            "CommandApplied",
            '{"at":"2024-01-01T00:00:00.000000Z","command_id":"","verb":"","arguments":"","answer":"","accepted":1}',
            r"CommandApplied\.accepted is 1, not a bool",
        ),
    ],
)
def test_what_cannot_be_read_is_named(kind: str, body: str, message: str) -> None:
    with pytest.raises(StorageError, match=message):
        decode_event(kind, body)


def test_a_value_that_its_type_refuses_is_named() -> None:
    fill = next(event for event in a_history() if isinstance(event, Filled))
    body = json.loads(encode_event(fill))
    body["fill"]["qty"] = "0"
    with pytest.raises(StorageError, match=r"Filled\.fill cannot be read.*above zero"):
        decode_event("Filled", json.dumps(body))


def test_u6_unknown_equity_stays_unknown() -> None:
    unknown = EquityMarked(AT, Account.TREND, None, "no price")
    assert decode_event("EquityMarked", encode_event(unknown)) == unknown
