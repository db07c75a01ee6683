"""Secrets are masked by value, by name, and inside addresses; what is no secret stays readable."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest

from eternal_engine.observe.redaction import MASK, Redactor, secrets_in_address, without_secret_fields

PLANTED = "pLaNt3d+s3cr3t/äöü\"'=="


@pytest.mark.parametrize(
    "written",
    [
        PLANTED,
        f"GET /v5?api_key={PLANTED}&x=1",
        f"GET /v5?api_key={quote(PLANTED, safe='')}&x=1",
        json.dumps({"x": PLANTED}),
        json.dumps({"x": PLANTED}, ensure_ascii=False),
        repr([PLANTED]),
        f"ValueError({PLANTED!r})",
    ],
)
def test_k7_a_known_secret_is_masked_in_every_form_a_library_writes_it(written: str) -> None:
    redacted = Redactor([PLANTED]).text(written)
    assert "s3cr3t" not in redacted
    assert MASK in redacted


def test_k7_the_longer_of_two_secrets_goes_first() -> None:
    assert Redactor(["abcdef", "abcdefghij"]).text("abcdefghij") == MASK


@pytest.mark.parametrize(
    "written",
    [
        "https://joe:hunter2hunter2@host/path",
        "tgram://123456789:AAExampleExample@chat/",
        "X-BAPI-SIGN: 0123456789abcdef0123456789abcdef",
        '"api_secret": "0123456789abcdef01234567"',
        "api_key=0123456789abcdef01234567",
        "token=0123456789abcdef01234567",
    ],
)
def test_k7_what_looks_like_a_secret_is_masked_even_when_it_is_not_configured(written: str) -> None:
    redacted = Redactor().text(written)
    assert MASK in redacted
    assert "0123456789abcdef" not in redacted
    assert "hunter2" not in redacted
    assert "AAExample" not in redacted


def test_k7_fields_named_like_secrets_lose_their_value_whole() -> None:
    fields = {"api_key": "x", "headers": {"X-BAPI-SIGN": "y", "Authorization": "z"}, "password": "p", "symbol": "BTC"}
    assert without_secret_fields(fields) == {
        "api_key": MASK,
        "headers": {"X-BAPI-SIGN": MASK, "Authorization": MASK},
        "password": MASK,
        "symbol": "BTC",
    }


@pytest.mark.parametrize(
    "written",
    [
        "tr-2401310000-BTCUSDT-in-1",
        "result hash 0b65cc881baa0adf0b65cc881baa0adf",
        "http://127.0.0.1:8080/v5/order/create",
        "TREND buys 0.1 BTCUSDT perp at about 70,000 (TREND-E1 trend entry)",
        "the token ran out",
    ],
)
def test_what_is_no_secret_stays_readable(written: str) -> None:
    assert Redactor(["pLaNt3dS3cr3t", "short"]).text(written) == written


def test_a_nested_value_keeps_its_numbers() -> None:
    assert without_secret_fields([1, 2.5, None, True, {"a": ("b",)}]) == [1, 2.5, None, True, {"a": ["b"]}]


def test_the_secret_parts_of_an_alert_address_are_found() -> None:
    assert "AAExampleTokenExample" in secrets_in_address("tgram://AAExampleTokenExample/12345678/")
    assert "hunter2hunter2" in secrets_in_address("mailto://joe:hunter2hunter2@example.org")
    assert "127.0.0.1" not in " ".join(secrets_in_address("json://127.0.0.1:8080/alerts")[1:])


def test_k7_the_token_of_an_alert_address_is_masked_alone_too() -> None:
    redactor = Redactor(["json://127.0.0.1/hooks/alerts/T0kenT0kenT0ken mailto://joe:hunter2hunter2@example.org"])
    assert redactor.text("POST /hooks/T0kenT0kenT0ken failed for hunter2hunter2") == "POST /hooks/*** failed for ***"
    assert "127.0.0.1" in redactor.text("POST http://127.0.0.1:80/")
