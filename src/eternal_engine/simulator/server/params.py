"""Reading a request's fields: each value typed, or refused in the exchange's words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal, cast

from eternal_engine.simulator.venue import VenueReject
from eternal_engine.simulator.venue.instruments import Category

LONGEST_TEXT = 512
LONGEST_NUMBER = 40
LARGEST_POWER = 14
DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,6})?", re.ASCII)
WHOLE = re.compile(r"-?[0-9]{1,15}", re.ASCII)


class Params:
    """Read the fields of one query or body; every getter raises VenueReject 10001 for what makes no sense."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values

    def text(self, name: str, default: str = "") -> str:
        """Read a text, the default when it is absent or empty."""
        value = self.values.get(name)
        if value is None or value == "":
            return default
        if isinstance(value, (dict, list)) or len(str(value)) > LONGEST_TEXT:
            raise wrong(name)
        return str(value)

    def need(self, name: str) -> str:
        """Read a text that must be there."""
        value = self.text(name)
        if not value:
            raise VenueReject(10001, f"params error: {name} is required")
        return value

    def decimal(self, name: str) -> Decimal | None:
        """Read a number, None when it is absent or empty."""
        raw = self.values.get(name)
        if raw is None or raw == "":
            return None
        if isinstance(raw, (dict, list, bool)):
            raise wrong(name)
        text = str(raw)
        if len(text) > LONGEST_NUMBER or not DECIMAL.fullmatch(text):
            raise wrong(name)
        number = Decimal(text)
        exponent = number.as_tuple().exponent
        # Before any arithmetic: a short text can name a number that takes megabytes to write down.
        if not isinstance(exponent, int) or exponent < -LONGEST_NUMBER or number.adjusted() > LARGEST_POWER:
            raise wrong(name)
        return number

    def need_decimal(self, name: str) -> Decimal:
        """Read a number that must be there."""
        number = self.decimal(name)
        if number is None:
            raise VenueReject(10001, f"params error: {name} is required")
        return number

    def integer(self, name: str) -> int | None:
        """Read a whole number, None when it is absent or empty."""
        raw = self.text(name)
        if not raw:
            return None
        if not WHOLE.fullmatch(raw):
            raise wrong(name)
        return int(raw)

    def flag(self, name: str) -> bool:
        """Read a boolean, false when it is absent."""
        raw = self.values.get(name)
        if raw is None or raw == "":
            return False
        if isinstance(raw, bool):
            return raw
        if str(raw).lower() in {"true", "1"}:
            return True
        if str(raw).lower() in {"false", "0"}:
            return False
        raise wrong(name)

    def choice(self, name: str, allowed: tuple[str, ...], default: str = "") -> str:
        """Read one of a few words."""
        value = self.text(name, default)
        if value not in allowed:
            raise wrong(name)
        return value

    def category(self) -> Category:
        """Read the category of a call that trades; inverse and option have no market here."""
        value = self.need("category")
        if value not in {"spot", "linear"}:
            raise VenueReject(10001, "params error: Category is invalid")
        return cast("Category", value)

    def side(self) -> Literal["Buy", "Sell"]:
        """Read a side, exactly as the exchange writes it."""
        value = self.need("side")
        if value not in {"Buy", "Sell"}:
            raise VenueReject(10001, "params error: Side invalid")
        return cast("Literal['Buy', 'Sell']", value)

    def limit(self, default: int, most: int) -> int:
        """Read a page size: the default when absent, refused outside 1..most."""
        value = self.integer("limit")
        if value is None:
            return default
        if not 1 <= value <= most:
            raise VenueReject(10001, f"params error: limit must be within 1 and {most}")
        return value


def wrong(name: str) -> VenueReject:
    """Make the refusal of one field."""
    return VenueReject(10001, f"params error: {name} invalid")
