"""Exact money: Decimals that never meet a float (U-3, ORD-5)."""

from __future__ import annotations

from contextlib import AbstractContextManager
from decimal import (
    ROUND_HALF_EVEN,
    Context,
    Decimal,
    DivisionByZero,
    FloatOperation,
    Inexact,
    InvalidOperation,
    Overflow,
    localcontext,
)

from eternal_engine.model.errors import ModelError
from eternal_engine.model.rule import Rule

ZERO = Decimal(0)
ONE = Decimal(1)
DUST_USDT = Decimal(1)
CASH_COINS = frozenset({"USDT", "USDC"})

# A share of a cost rarely divides evenly; it is cut here, and what is left keeps the remainder, so sums stay exact. No
# exchange tells of finer amounts.
SHARE_STEP = Decimal("1E-12")

_PRECISION = 100
_EXACT = Context(
    prec=_PRECISION,
    rounding=ROUND_HALF_EVEN,
    traps=[Inexact, InvalidOperation, DivisionByZero, Overflow, FloatOperation],
)
_WIDE = Context(
    prec=_PRECISION,
    rounding=ROUND_HALF_EVEN,
    traps=[InvalidOperation, DivisionByZero, Overflow, FloatOperation],
)

RULES: tuple[Rule, ...] = (
    Rule(
        "U-3",
        "Money, quantities and prices are Decimals; a float is refused at the door and every rounding names its step.",
        (),
        (
            "tests/unit/model/test_money.py::test_u3_a_float_is_refused_where_it_enters",
            "tests/unit/model/test_money.py::test_u3_rounding_always_names_its_step",
        ),
    ),
)


def exact_arithmetic() -> AbstractContextManager[Context]:
    """Enter a decimal context in which any rounding and any meeting with a float raises."""
    return localcontext(_EXACT)


def exact(value: str | int | Decimal, *, where: str = "") -> Decimal:
    """Read an exact, finite number. A float, a bool, an empty text, NaN or infinity raises ModelError."""
    if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)):
        raise ModelError(
            f"{value!r} is a {type(value).__name__}, money is exact",
            where=where,
            mend="pass a Decimal, an int or a text",
        )
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise ModelError(f"{value!r} is not a number", where=where, mend="write it like 0.05") from None
    if not number.is_finite():
        raise ModelError(f"{value!r} is not a finite number", where=where, mend="leave the value out if it is unknown")
    return number


def text(value: Decimal) -> str:
    """Write every digit of a number, never an exponent and never a negative zero."""
    if not value:
        value = abs(value)
    return format(value, "f")


def short_text(value: Decimal) -> str:
    """Write a number like `text` does, without zeros at the end of its fraction."""
    written = text(value)
    return written.rstrip("0").rstrip(".") if "." in written else written


def floor_to(value: Decimal, step: Decimal) -> Decimal:
    """Round down (toward minus infinity) to a multiple of `step`."""
    steps, rest = _steps(value, step)
    return (steps - 1 if rest < ZERO else steps) * step


def ceil_to(value: Decimal, step: Decimal) -> Decimal:
    """Round up (toward plus infinity) to a multiple of `step`."""
    steps, rest = _steps(value, step)
    return (steps + 1 if rest > ZERO else steps) * step


def is_multiple(value: Decimal, step: Decimal) -> bool:
    """Tell whether a number is a whole number of steps."""
    return not _steps(value, step)[1]


def share_of(amount: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    """Give the share part/whole of an amount: all of it exactly when part == whole, else to SHARE_STEP."""
    if part == whole:
        return amount
    with localcontext(_WIDE):
        return (amount * part / whole).quantize(SHARE_STEP)


def ratio(numerator: Decimal, denominator: Decimal) -> Decimal:
    """Divide for showing or comparing (an average price, a fraction), rounded to 28 digits; never booked."""
    with localcontext(_WIDE) as context:
        context.prec = 28
        return numerator / denominator


def is_dust(qty: Decimal, price_usdt: Decimal) -> bool:
    """Tell whether a holding is worth less than 1 USDT (ORD-5)."""
    return abs(qty) * price_usdt < DUST_USDT


def _steps(value: Decimal, step: Decimal) -> tuple[Decimal, Decimal]:
    """Give the whole steps in a value, cut toward zero, and the exact rest."""
    if step <= ZERO:
        raise ModelError(f"a step must be above zero, not {step}", mend="read the instrument rules again")
    with exact_arithmetic():
        steps = value // step
        return steps, value - steps * step
