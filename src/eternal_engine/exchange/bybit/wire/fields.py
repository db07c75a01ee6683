"""How one JSON value becomes one typed value and back. A value that does not fit raises BadReply naming the field.

A codec never guesses: numbers come as plain decimal strings, times as whole milliseconds, booleans as booleans. What
the exchange means by "" (no value) is None where the field allows it and an error where it does not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Generic, TypeVar

from eternal_engine.model.errors import BadReply

T = TypeVar("T")
E = TypeVar("E", bound=Enum)

_NUMBER = re.compile(r"-?[0-9]{1,30}(?:\.[0-9]{1,30})?", re.ASCII)
_WHOLE = re.compile(r"-?[0-9]{1,18}", re.ASCII)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
# Before Bybit existed, and beyond any contract: a value outside is seconds or nanoseconds taken for milliseconds.
OLDEST_MS = 1_262_304_000_000  # 2010-01-01
NEWEST_MS = 4_102_444_800_000  # 2100-01-01
_TEXT_LIMIT = 4_096
_MISSING = object()


class Unfit(ValueError):
    """Say inside a codec that the value does not fit; `read_field` names the field and turns it into BadReply."""


@dataclass(frozen=True, slots=True)
class Codec(Generic[T]):
    """Hold both directions of one kind of value. `absent` is read when the key is missing, if that is allowed."""

    name: str
    read: Callable[[object], T]
    write: Callable[[T], object]
    may_be_absent: bool = False


def bad(field: str, value: object, wanted: str, where: str) -> BadReply:
    """Return the error for one unreadable value; long values are cut."""
    shown = repr(value)
    shown = shown if len(shown) <= 120 else shown[:117] + "..."
    return BadReply(
        f"field {field} holds {shown}, not {wanted}",
        field=field,
        value=shown,
        where=where,
        mend="compare with the exchange's changelog; the message was not used",
    )


def number(value: object) -> Decimal:
    """Read an exact decimal string; floats, exponents, blanks, NaN and infinities are refused."""
    if not isinstance(value, str) or not _NUMBER.fullmatch(value):
        raise Unfit
    return Decimal(value)


def write_number(value: Decimal) -> str:
    """Write a Decimal without exponent, keeping its trailing zeros."""
    return format(value, "f")


def _not_negative(value: object) -> Decimal:
    result = number(value)
    if result < 0:
        raise Unfit
    return result


def _positive(value: object) -> Decimal:
    result = number(value)
    if result <= 0:
        raise Unfit
    return result


def _blank_is_none(read: Callable[[object], T]) -> Callable[[object], T | None]:
    def inner(value: object) -> T | None:
        return None if value is None or value == "" else read(value)

    return inner


def _write_blank(write: Callable[[T], object]) -> Callable[[T | None], object]:
    return lambda value: "" if value is None else write(value)


def _zero_is_none(value: object) -> Decimal | None:
    if value is None or value == "":
        return None
    result = _not_negative(value)
    return None if result == 0 else result


def _whole(value: object) -> int:
    if isinstance(value, bool):
        raise Unfit
    if isinstance(value, int) and abs(value) < 10**18:
        return value
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        return int(value)
    raise Unfit


def _nanos(value: object) -> int:
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{19}", value, re.ASCII):
        raise Unfit
    return int(value)


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > _TEXT_LIMIT:
        raise Unfit
    return value


def _name(value: object) -> str:
    text = _text(value)
    if not text:
        raise Unfit
    return text


def _optional_text(value: object) -> str:
    return "" if value is None else _text(value)


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise Unfit
    return value


def read_time(value: object) -> datetime:
    """Read whole milliseconds since 1970, as a number or as digits."""
    ms = _whole(value)
    if not OLDEST_MS <= ms <= NEWEST_MS:
        raise Unfit
    return EPOCH + ms * _MS


def to_ms(value: datetime) -> int:
    """Return whole milliseconds since 1970 of an aware time."""
    return (value - EPOCH) // _MS


def _optional_time(value: object) -> datetime | None:
    return None if value is None or (value in ("", "0", 0) and not isinstance(value, bool)) else read_time(value)


def _fees(value: object) -> tuple[tuple[str, Decimal], ...]:
    if value is None or value == "":
        return ()
    if not isinstance(value, Mapping):
        raise Unfit
    return tuple((_name(coin), number(amount)) for coin, amount in value.items())


def choice(name: str, members: Mapping[str, T]) -> Codec[T]:
    """Build the codec of an enumeration: exactly the listed words, anything else is an error."""
    back = {member: word for word, member in members.items()}

    def read(value: object) -> T:
        if not isinstance(value, str) or value not in members:
            raise Unfit
        return members[value]

    return Codec(f"one of {name} ({', '.join(members)})", read, lambda member: back[member])


def optional_choice(name: str, members: Mapping[str, T]) -> Codec[T | None]:
    """Build the codec of an enumeration that may be "" or missing."""
    inner = choice(name, members)
    return Codec(inner.name + " or empty", _blank_is_none(inner.read), _write_blank(inner.write), True)


NUMBER = Codec("a decimal string", number, write_number)
AMOUNT = Codec("a decimal string not below 0", _not_negative, write_number)
PRICE = Codec("a decimal string above 0", _positive, write_number)
STEP = PRICE
OPT_NUMBER = Codec("a decimal string or empty", _blank_is_none(number), _write_blank(write_number), True)
OPT_AMOUNT = Codec(
    "a decimal string not below 0, or empty", _blank_is_none(_not_negative), _write_blank(write_number), True
)
# "0", "0.00" and "" all mean "no such price" in the exchange's rows.
OPT_PRICE = Codec("a decimal string above 0, or 0 or empty for none", _zero_is_none, _write_blank(write_number), True)
INT = Codec("a whole number", _whole, lambda value: value)
OPT_INT: Codec[int | None] = Codec(
    "a whole number or empty", _blank_is_none(_whole), lambda value: "" if value is None else value, True
)
NANOS = Codec("nanoseconds since 1970", _nanos, str)
TEXT = Codec("a text", _text, lambda value: value)
NAME = Codec("a text that is not empty", _name, lambda value: value)
OPT_TEXT = Codec("a text or nothing", _optional_text, lambda value: value, True)
FLAG = Codec("true or false", _flag, lambda value: value)
OPT_FLAG: Codec[bool | None] = Codec(
    "true, false or nothing", lambda value: None if value is None else _flag(value), lambda value: value, True
)
TIME = Codec("milliseconds since 1970", read_time, lambda value: str(to_ms(value)))
TIME_NUMBER = Codec("milliseconds since 1970", read_time, to_ms)
OPT_TIME: Codec[datetime | None] = Codec(
    "milliseconds since 1970, or 0 or empty for none",
    _optional_time,
    lambda value: "" if value is None else str(to_ms(value)),
    True,
)
FEES = Codec(
    "an object of coin to amount", _fees, lambda value: {coin: write_number(amount) for coin, amount in value}, True
)


def read_field(row: Mapping[str, object], key: str, codec: Codec[T], where: str) -> T:
    """Read one value by its dotted key.

    Raises BadReply when the value is missing, of the wrong type or out of its range.
    """
    if type(row) is not dict and not isinstance(row, Mapping):
        raise bad(key, row, "an object", where)
    value = _nested(row, key, where) if "." in key else row.get(key, _MISSING)
    if value is _MISSING:
        if not codec.may_be_absent:
            raise bad(key, None, f"{codec.name} (it is missing)", where)
        value = None
    try:
        return codec.read(value)
    except ValueError:
        raise bad(key, value, codec.name, where) from None


def _nested(row: Mapping[str, object], key: str, where: str) -> object:
    value: object = row
    for part in key.split("."):
        if not isinstance(value, Mapping):
            raise bad(key, value, "an object", where)
        if part not in value:
            return _MISSING
        value = value[part]
    return value
