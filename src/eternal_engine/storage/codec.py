"""Events as documents: canonical JSON from frozen dataclasses, and back by their type hints."""

from __future__ import annotations

import json
import types
from collections.abc import Callable, Hashable
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from enum import Enum
from functools import cache
from typing import Any, NewType, TypeAlias, Union, cast, get_args, get_origin, get_type_hints

from eternal_engine.model import event as events
from eternal_engine.model.errors import ModelError, StorageError
from eternal_engine.model.event import Event
from eternal_engine.model.money import exact, text
from eternal_engine.storage.times import read_time, time_text

Document: TypeAlias = dict[str, "Document"] | list["Document"] | str | int | bool | None

EVENT_KINDS: dict[str, type[Event]] = {kind.__name__: kind for kind in get_args(events.Event)}


def encode_event(event: Event) -> str:
    """Write an event as canonical JSON: sorted keys, no spaces, Decimals and times as text."""
    return _dumped(_encode(event))


def decode_event(kind: str, body: str) -> Event:
    """Read an event back. Raises StorageError naming what cannot be read.

    A field that the document lacks takes its default: events written by older versions stay readable.
    """
    wanted = EVENT_KINDS.get(kind)
    if wanted is None:
        raise StorageError(
            f"unknown kind of event {kind!r}", mend="run the version that wrote this journal, or a newer one"
        )
    try:
        document = json.loads(body)
    except ValueError:
        raise StorageError(f"the body of a {kind} is not JSON", mend="restore a backup") from None
    return cast("Event", _reader(cast("Hashable", wanted))(document, kind))


def canonical(document: object) -> str:
    """Write JSON in one way only, so that equal documents have equal hashes. A float is refused."""
    return _dumped(_checked(document))


_dumped = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode


def _checked(document: object) -> object:
    if isinstance(document, float):
        raise StorageError(f"a float ({document!r}) came to a document", mend="write money and fractions as text")
    if isinstance(document, dict):
        return {key: _checked(value) for key, value in document.items()}
    if isinstance(document, (list, tuple)):
        return [_checked(value) for value in document]
    return document


def _encode(value: object) -> Document:
    kind: Any = type(value)
    # Most values are texts, or nothing.
    if kind is str or value is None:
        return value  # type: ignore[return-value]
    return _writer(kind)(value)


@cache
def _writer(kind: Any) -> Callable[[Any], Document]:
    """Find how values of a type are written."""
    if issubclass(kind, Enum):
        words = {member: str(member.value) for member in kind}
        return words.__getitem__
    if issubclass(kind, (str, int, type(None))):
        return lambda value: value
    if issubclass(kind, Decimal):
        return text
    if issubclass(kind, datetime):
        return time_text
    if is_dataclass(kind):
        names = tuple(field.name for field in fields(kind))
        return lambda value: {name: _encode(getattr(value, name)) for name in names}
    return _refused


def _refused(value: object) -> Document:
    raise StorageError(
        f"cannot store a {type(value).__name__} ({value!r})", mend="use Decimal, str, int or a dataclass"
    )


# The way to a value is put into words only when it cannot be read: a tuple of (way to its owner, its name).
Where: TypeAlias = "str | tuple[Where, str]"
Reader: TypeAlias = Callable[[Any, Where], Any]


@cache
def _reader(wanted: Any) -> Reader:
    """Find how a type is read."""
    if isinstance(wanted, NewType):
        return _reader(wanted.__supertype__)
    if get_origin(wanted) in (Union, types.UnionType):
        (inner,) = (part for part in get_args(wanted) if part is not type(None))
        read_inner = _reader(inner)
        return lambda value, where: None if value is None else read_inner(value, where)
    if is_dataclass(wanted):
        return _dataclass_reader(cast("type", wanted))
    if isinstance(wanted, type) and issubclass(wanted, Enum):
        return lambda value, where: _translated(lambda: wanted(value), value, where)
    if wanted is Decimal:
        return _read_decimal
    if wanted is datetime:
        return lambda value, where: read_time(_typed(value, str, where))
    return lambda value, where: _typed(value, wanted, where)


def _dataclass_reader(wanted: type) -> Reader:
    hints = get_type_hints(wanted)
    readers = {field.name: _reader(hints[field.name]) for field in fields(wanted)}
    needed = {f.name for f in fields(wanted) if f.default is MISSING and f.default_factory is MISSING}

    def read(document: Any, where: Where) -> Any:
        if not isinstance(document, dict):
            raise StorageError(f"{_words(where)} is not an object", mend="restore a backup")
        if document.keys() != readers.keys():
            strange = sorted(document.keys() - readers.keys())
            missing = sorted(needed - document.keys())
            if strange or missing:
                problem = f"has an unknown field {strange[0]!r}" if strange else f"lacks the field {missing[0]!r}"
                raise StorageError(
                    f"{_words(where)} {problem}", mend="run the version that wrote this journal, or a newer one"
                )
        values = {name: readers[name](value, (where, name)) for name, value in document.items()}
        return _translated(lambda: wanted(**values), "", where)

    return read


def _read_decimal(value: Any, where: Where) -> Decimal:
    try:
        return exact(_typed(value, str, where))
    except (ValueError, InvalidOperation, ModelError) as problem:
        raise _unreadable(value, where, problem) from problem


def _translated(make: Callable[[], Any], value: object, where: Where) -> Any:
    try:
        return make()
    except (ValueError, InvalidOperation, ModelError) as problem:
        raise _unreadable(value, where, problem) from problem


def _unreadable(value: object, where: Where, problem: Exception) -> StorageError:
    return StorageError(f"{_words(where)} cannot be read: {value!r} {problem}", mend="restore a backup")


def _typed(value: Any, wanted: type, where: Where) -> Any:
    if type(value) is not wanted:
        raise StorageError(f"{_words(where)} is {value!r}, not a {wanted.__name__}", mend="restore a backup")
    return value


def _words(where: Where) -> str:
    return where if isinstance(where, str) else f"{_words(where[0])}.{where[1]}"
