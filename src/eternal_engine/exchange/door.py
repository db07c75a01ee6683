"""The door between the client and a venue inside this process: calls answered without a wire."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any, Protocol


class AnswerLost(Exception):
    """Say that no readable answer came, as a fault of the wire would have it; `status` is HTTP's, if there was one."""

    def __init__(self, status: int | None = None) -> None:
        super().__init__("no readable answer" if status is None else f"HTTP status {status}")
        self.status = status


class Door(Protocol):
    """Answer calls of one account; `simulator.adapter` has the one implementation."""

    def now(self) -> datetime:
        """Return venue time."""
        ...

    def answer(self, path: str, fields: Mapping[str, object]) -> Mapping[str, object]:
        """Return the whole envelope of one call.

        Raises AnswerLost where a fault loses the request or its answer.
        """
        ...

    def listen(self, hear: Callable[[dict[str, Any]], None]) -> Callable[[], None]:
        """Hand every private stream message to `hear`; returns the function that ends it."""
        ...

    def follow(
        self, candles: Collection[tuple[str, str, str]], hear: Callable[[dict[str, Any]], None]
    ) -> Callable[[], None]:
        """Hand confirmed candles of (category, interval, symbol) to `hear`, as stream messages with their category.

        Returns the function that ends it.
        """
        ...
