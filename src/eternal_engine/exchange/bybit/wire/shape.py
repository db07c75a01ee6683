"""A shape: the table that ties a record's attributes to the exchange's keys, read in both directions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from eternal_engine.exchange.bybit.wire.fields import Codec, bad, read_field

R = TypeVar("R")

Row = tuple[str, str, Codec[Any]]


@dataclass(frozen=True)
class Shape(Generic[R]):
    """Hold the rows (attribute, dotted key, codec) of one record; `check` returns a sentence when fields disagree.

    `constants` are keys that the writer adds and the reader ignores, so that outside clients find what they expect.
    """

    name: str
    record: type[R]
    rows: tuple[Row, ...]
    check: Callable[[R], str] | None = None
    constants: tuple[tuple[str, object], ...] = ()

    def parse(self, message: object, where: str = "") -> R:
        """Read one JSON object into the record.

        Raises BadReply naming the field and its value; a record is never built from a doubtful message.
        """
        place = where or self.name
        if not isinstance(message, Mapping):
            raise bad(self.name, message, "an object", place)
        record = self.record(**self._values(message, place))
        complaint = self.check(record) if self.check else ""
        if complaint:
            raise bad(self.name, dict(message), complaint, place)
        return record

    def _values(self, message: Mapping[str, object], place: str) -> dict[str, Any]:
        """Read every row: most keys are plain ones that are there, and one message has dozens."""
        values: dict[str, Any] = {}
        for attribute, key, codec in self.rows:
            if key in message:
                try:
                    values[attribute] = codec.read(message[key])
                except ValueError:
                    raise bad(key, message[key], codec.name, place) from None
            else:
                values[attribute] = read_field(message, key, codec, place)
        return values

    def dump(self, record: R) -> dict[str, Any]:
        """Write the record as the exchange would send it."""
        message: dict[str, Any] = {}
        for key, value in self.constants:
            _put(message, key, value)
        for attribute, key, codec in self.rows:
            _put(message, key, codec.write(getattr(record, attribute)))
        return message


def _put(message: dict[str, Any], key: str, value: object) -> None:
    *parents, leaf = key.split(".")
    for parent in parents:
        message = message.setdefault(parent, {})
    message[leaf] = value


def parse_list(
    shape: Shape[R], rows: object, where: str, defaults: Mapping[str, object] | None = None
) -> tuple[R, ...]:
    """Read a JSON list; `defaults` are keys that stand once beside the list (category) and belong to every row."""
    if not isinstance(rows, list):
        raise bad("list", rows, "a list", where)
    result = []
    for index, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise bad(f"list[{index}]", row, "an object", where)
        result.append(shape.parse({**(defaults or {}), **row}, f"{where} list[{index}]"))
    return tuple(result)
