"""The order of things when many orders are sent at once: all leave before the first answer is read (0124)."""

from __future__ import annotations

import threading
from typing import Final

# Longer than twenty requests take to leave over open connections; a connection that must be opened may take longer.
MOST_S: Final = 0.03


class Departures:
    """Count the orders that were handed to threads and have not left yet, and let everything else wait for them.

    The interpreter runs one thread at a time: who reads an answer or a stream keeps the next order from leaving. All
    methods may be called from any thread.
    """

    def __init__(self, most_s: float = MOST_S) -> None:
        self._most_s = most_s
        self._changed = threading.Condition()
        self._waiting: set[Departure] = set()
        self._own = threading.local()

    def expect(self) -> Departure:
        """Note that an order is handed to a thread."""
        with self._changed:
            made = Departure(self, is_first=not self._waiting)
            self._waiting.add(made)
            return made

    def carry(self, departure: Departure | None) -> None:
        """Note which order this thread sends now."""
        self._own.departure = departure

    def left(self) -> None:
        """Note that what this thread sends is on the wire."""
        departure: Departure | None = getattr(self._own, "departure", None)
        if departure is not None:
            departure.over()

    def wait(self) -> None:
        """Wait until all that were expected have left, but not for long."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting, self._most_s)

    def over(self, departure: Departure) -> None:
        """Wait for this one no longer; twice is once."""
        with self._changed:
            self._waiting.discard(departure)
            if not self._waiting:
                self._changed.notify_all()


class Departure:
    """Be one order that is to leave; `is_first` when no other was on its way when it was expected."""

    def __init__(self, departures: Departures, *, is_first: bool) -> None:
        self._departures = departures
        self.is_first = is_first

    def over(self) -> None:
        """Say that it has left, or will not."""
        self._departures.over(self)


# One for all accounts: the interpreter is one.
DEPARTURES: Final = Departures()
