"""Numbers as text."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eternal_engine.reports.wording import day, decimal_text, instant, percent, quantity, ratio, usdt


@given(st.floats(min_value=1e-12, max_value=1e15))
def test_decimal_text_keeps_15_digits_without_an_exponent(number: float) -> None:
    text = decimal_text(number)
    assert float(text) == pytest.approx(number, rel=1e-14)
    assert "e" not in text.lower()


@given(st.integers(1, 10**9), st.sampled_from(["0.01", "0.1", "0.000001", "0.00001", "1"]))
def test_decimal_text_of_whole_steps_is_the_exact_product(count: int, step: str) -> None:
    assert Decimal(decimal_text(count * float(step))) == count * Decimal(step)


@pytest.mark.parametrize(
    ("number", "text"),
    [(1e-05, "0.00001"), (2.0, "2"), (0.1 * 3, "0.3"), (7198.900000000001, "7198.9"), (1e22, "1" + "0" * 22)],
)
def test_decimal_text_is_the_shortest(number: float, text: str) -> None:
    assert decimal_text(number) == text


def test_a_rounded_zero_has_no_sign() -> None:
    assert percent(-0.0001) == "0.0 %"
    assert percent(0.00001, sign=True) == "0.0 %"
    assert usdt(-0.4, sign=True) == "0"
    assert ratio(-0.001) == "0.00"


def test_missing_figures_are_a_dash() -> None:
    assert percent(None) == usdt(None) == ratio(None) == "–"


def test_units_and_signs() -> None:
    assert percent(0.0512, sign=True) == "+5.1 %"
    assert usdt(-1234.5, 2) == "-1,234.50"
    assert (quantity(0.00012345), quantity(43210.987), quantity(0.0), quantity(12.5)) == (
        "0.000123",
        "43,210.99",
        "0",
        "12.5",
    )


def test_instants_and_days_are_utc() -> None:
    assert instant(1_577_836_800_000) == "2020-01-01T00:00:00Z"
    assert day(1_577_836_799_999) == "2019-12-31"
