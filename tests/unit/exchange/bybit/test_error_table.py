"""Every code of the catalogue, typed in a second time by hand: the class decides what the daemon does."""

from __future__ import annotations

import pytest

from eternal_engine.exchange.bybit import errors
from eternal_engine.exchange.bybit.errors import CATALOGUE, Verb
from eternal_engine.model.errors import (
    AlreadyDone,
    BadReply,
    ExchangeError,
    HaltTrading,
    RateLimited,
    RejectedForGood,
    Retry,
    SymbolPaused,
    UnknownOutcome,
    Unsupported,
)

ON_PLACE: dict[type[ExchangeError], str] = {
    UnknownOutcome: "10000 10014 10016 429 110030 110072 170141 12141 170001 170007 170032 170146 170147 170149 170150 "
    "170234 170310 170005 170222 131214 131200 131201 131206 131230",
    RejectedForGood: "10001 10017 100028 110001 110003 110004 110006 110007 110012 110014 110044 110045 110051 110052 "
    "110053 110008 110010 110009 110020 110013 110036 110038 110086 110090 110024 110028 110035 110040 110011 110046 "
    "110039 110073 3400045 110092 110093 110094 110108 110109 110120 110121 170131 170033 170124 170136 170137 170140 "
    "170148 170341 170381 170382 170132 170133 170134 170192 170193 170194 170371 170372 170139 170142 170190 170143 "
    "170213 170115 170116 170117 170121 170130 170210 170810 181017 131228 131212 30208 30209",
    SymbolPaused: "110021 110023 110042 110063 110066 110074 170151 170157 170159 170217 170218 30228",
    Retry: "10002 110079 170144 170191 170212",
    RateLimited: "10006",
    HaltTrading: "10003 33004 -2015 10004 10005 10007 10008 10009 10010 10024 10027 10028 10029 110123 110124 110125 "
    "110132 170209 170241",
    AlreadyDone: "110017 110025 110026 110027 110043 34040",
    Unsupported: "10032",
}
CASES = [(int(code), kind) for kind, codes in ON_PLACE.items() for code in codes.split()]
GONE = (110001, 110008, 110010, 170139, 170142, 170190, 170143, 170213)


def translate(code: int, verb: Verb) -> ExchangeError:
    return errors.from_code(code, "text", verb=verb, where="test")


@pytest.mark.parametrize(("code", "kind"), CASES)
def test_ord3_each_code_on_an_order_has_one_consequence(code: int, kind: type[ExchangeError]) -> None:
    error = translate(code, Verb.PLACE)
    assert type(error) is kind
    assert error.code == code
    assert str(code) in error.message


def test_the_hand_typed_table_and_the_catalogue_hold_the_same_codes() -> None:
    assert sorted(code for code, _ in CASES) == sorted(CATALOGUE)


@pytest.mark.parametrize("code", GONE)
def test_a_cancel_of_an_order_that_is_gone_is_nothing_to_do(code: int) -> None:
    assert type(translate(code, Verb.CANCEL)) is AlreadyDone
    assert type(translate(code, Verb.AMEND)) is RejectedForGood


@pytest.mark.parametrize("code", [10000, 10016, 429, 170007])
def test_an_unknown_outcome_of_a_read_is_only_a_retry(code: int) -> None:
    assert type(translate(code, Verb.READ)) is Retry
    assert type(translate(code, Verb.SET)) is Retry


@pytest.mark.parametrize("verb", [Verb.PLACE, Verb.AMEND, Verb.CANCEL, Verb.TRANSFER])
@pytest.mark.parametrize("code", [1, -1, 99999, 110999, 170999, 2**31])
def test_ord2_an_unlisted_code_on_a_changing_call_is_an_unknown_outcome(code: int, verb: Verb) -> None:
    assert type(translate(code, verb)) is UnknownOutcome


def test_ord2_an_unlisted_code_on_a_read_is_a_retry_because_a_look_up_must_not_look_like_a_rejection() -> None:
    assert type(translate(99999, Verb.READ)) is Retry
    assert type(translate(99999, Verb.SET)) is Retry


@pytest.mark.parametrize(
    ("status", "on_place", "on_read"),
    [
        (400, RejectedForGood, RejectedForGood),
        (401, HaltTrading, HaltTrading),
        (403, UnknownOutcome, RateLimited),
        (404, RejectedForGood, RejectedForGood),
        (408, UnknownOutcome, Retry),
        (429, UnknownOutcome, RateLimited),
        (500, UnknownOutcome, Retry),
        (502, UnknownOutcome, Retry),
        (503, UnknownOutcome, Retry),
        (504, UnknownOutcome, Retry),
        (302, UnknownOutcome, Retry),
        (418, UnknownOutcome, Retry),
    ],
)
def test_ord2_http_statuses(status: int, on_place: type[ExchangeError], on_read: type[ExchangeError]) -> None:
    assert type(errors.from_status(status, verb=Verb.PLACE, where="t")) is on_place
    assert type(errors.from_status(status, verb=Verb.READ, where="t")) is on_read


def test_a_lost_answer_is_unknown_for_orders_and_a_retry_for_reads() -> None:
    assert type(errors.lost("time-out", verb=Verb.PLACE, where="t")) is UnknownOutcome
    assert type(errors.lost("time-out", verb=Verb.READ, where="t")) is Retry


def test_an_unreadable_answer_keeps_its_field_on_reads_and_is_unknown_on_orders() -> None:
    bad = BadReply("field qty holds 'x'", field="qty", value="x")
    assert errors.unreadable(bad, verb=Verb.READ, where="t") is bad
    assert type(errors.unreadable(bad, verb=Verb.PLACE, where="t")) is UnknownOutcome


def test_what_never_left_is_a_retry_even_for_orders() -> None:
    assert type(errors.never_sent("refused", where="t")) is Retry


@pytest.mark.parametrize(
    ("header", "is_time"), [("1735689600000", True), (None, False), ("", False), ("now", False), ("12", False)]
)
def test_d6_a_reset_header_is_a_time_or_nothing(header: str | None, is_time: bool) -> None:
    assert (errors.reset_time(header) is not None) is is_time


def test_every_error_says_where_and_unknown_ones_how_to_mend() -> None:
    for code in CATALOGUE:
        error = translate(code, Verb.PLACE)
        assert error.where == "test"
        if isinstance(error, UnknownOutcome | HaltTrading):
            assert error.mend
