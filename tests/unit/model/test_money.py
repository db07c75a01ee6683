"""Exact numbers: read, written, rounded to named steps."""

from __future__ import annotations

import decimal
from decimal import Decimal

import pytest

from eternal_engine.model.errors import ModelError
from eternal_engine.model.money import (
    ceil_to,
    exact,
    exact_arithmetic,
    floor_to,
    is_dust,
    is_multiple,
    ratio,
    share_of,
    short_text,
    text,
)

D = Decimal


@pytest.mark.parametrize("value", [0.1, 1.0, True, None, b"1"])
def test_u3_a_float_is_refused_where_it_enters(value: object) -> None:
    with pytest.raises(ModelError, match=f"is a {type(value).__name__}, money is exact"):
        exact(value, where="config")  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["", "abc", "1,5"])
def test_u3_what_is_no_number_is_named(value: str) -> None:
    with pytest.raises(ModelError, match=r"is not a number \(at fee\)"):
        exact(value, where="fee")


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-inf", D("NaN")])
def test_u3_what_is_not_finite_is_refused(value: str | Decimal) -> None:
    with pytest.raises(ModelError, match="finite"):
        exact(value)


@pytest.mark.parametrize(
    ("value", "mend"), [(0.5, "an int or a text"), ("1,5", "like 0.05"), ("NaN", "leave the value out")]
)
def test_u3_a_refused_number_says_where_it_stands_and_what_to_do(value: object, mend: str) -> None:
    with pytest.raises(ModelError, match=mend) as caught:
        exact(value, where="costs")  # type: ignore[arg-type]
    assert caught.value.where == "costs"
    with pytest.raises(ModelError) as nowhere:
        exact(value)  # type: ignore[arg-type]
    assert nowhere.value.where == ""


def test_c13_a_number_of_26_digits_is_read_and_written_identically() -> None:
    assert text(exact("12345678.123456789012345678")) == "12345678.123456789012345678"
    assert exact(5) == D(5)
    assert exact(D("1.10")).as_tuple() == D("1.10").as_tuple()


@pytest.mark.parametrize(
    ("value", "written", "short"),
    [
        ("1E-8", "0.00000001", "0.00000001"),
        ("1E+3", "1000", "1000"),
        ("1.500", "1.500", "1.5"),
        ("2.000", "2.000", "2"),
        ("-0", "0", "0"),
        ("-0.00", "0.00", "0"),
        ("100", "100", "100"),
        ("-1.50", "-1.50", "-1.5"),
    ],
)
def test_numbers_are_written_without_exponent(value: str, written: str, short: str) -> None:
    assert text(D(value)) == written
    assert short_text(D(value)) == short


@pytest.mark.parametrize(
    ("value", "step", "down", "up"),
    [
        ("1.2345", "0.01", "1.23", "1.24"),
        ("1.23", "0.01", "1.23", "1.23"),
        ("-1.2345", "0.01", "-1.24", "-1.23"),
        ("1234", "10", "1230", "1240"),
        ("0.3", "0.1", "0.3", "0.3"),
        ("0", "0.1", "0", "0"),
        ("7", "2.5", "5", "7.5"),
        ("0.99999999999999999999999999999999999999", "1", "0", "1"),
    ],
)
def test_u3_rounding_always_names_its_step(value: str, step: str, down: str, up: str) -> None:
    assert floor_to(D(value), D(step)) == D(down)
    assert ceil_to(D(value), D(step)) == D(up)
    assert is_multiple(D(value), D(step)) == (down == up)


@pytest.mark.parametrize("step", ["0", "-0.1"])
def test_a_step_must_be_above_zero(step: str) -> None:
    with pytest.raises(ModelError, match=r"a step must be above zero.*instrument rules"):
        floor_to(D(1), D(step))


def test_u3_exact_arithmetic_refuses_to_round_and_to_meet_a_float() -> None:
    with exact_arithmetic():
        with pytest.raises(decimal.Inexact):
            D(1) / D(3)
        with pytest.raises(decimal.FloatOperation):
            D(0.1)
        with pytest.raises(decimal.FloatOperation):
            assert D(1) > 0.5
        assert D("1E40") + D("1E-40") - D("1E40") == D("1E-40")
    with pytest.raises(TypeError):
        D(1) + 0.5  # type: ignore[operator]


def test_a_share_is_cut_once_and_the_whole_is_exact() -> None:
    assert share_of(D(10), D(1), D(3)) == D("3.333333333333")
    assert share_of(D(20), D(1), D(3)) == D("6.666666666667")
    odd = D("0.1234567890123456789012345")
    assert share_of(odd, D(3), D(3)) == odd
    assert share_of(D(-10), D(1), D(4)) == D("-2.5")
    assert share_of(D(10), D(3), D(4)) == D("7.5")
    wide = D("12345678901234567890.123456789012")  # a product of more digits than decimal's own 28
    assert share_of(wide, D("123456789.5"), D("246913579")) == D("6172839450617283945.061728394506")


def test_a_ratio_is_rounded_for_showing() -> None:
    assert ratio(D(1), D(3)) == D("0.3333333333333333333333333333")
    assert ratio(D(35025), D("0.5")) == D(70050)
    with decimal.localcontext(prec=6):
        assert ratio(D(2), D(3)) == D("0.6666666666666666666666666667")


@pytest.mark.parametrize(("qty", "dust"), [("0.99", True), ("1.00", False), ("-0.99", True), ("-1", False)])
def test_d11_dust_is_below_one_usdt(qty: str, dust: bool) -> None:
    assert is_dust(D(qty), D(1)) is dust
