"""The way a price takes through one recorded bar, so that a bar can also be lived through minute by minute."""

from __future__ import annotations

from dataclasses import dataclass

THIRD = 1 / 3


@dataclass(frozen=True, slots=True)
class BarPath:
    """Hold the four corners of a bar in the order they are visited: open, near extreme, far extreme, close.

    A rising bar visits its low first. Positions inside the bar are fractions of its time, 0 at the open, 1 at the
    close; the corners lie at 0, 1/3, 2/3 and 1.
    """

    corners: tuple[float, float, float, float]

    @classmethod
    def of(cls, open_: float, high: float, low: float, close: float) -> BarPath:
        """Make the path of a candle."""
        return cls((open_, low, high, close) if close >= open_ else (open_, high, low, close))

    def at(self, where: float) -> float:
        """Give the price at a fraction of the bar."""
        if where >= 1:
            return self.corners[3]
        leg = int(where / THIRD)
        leg = min(leg, 2)
        first, second = self.corners[leg], self.corners[leg + 1]
        return first + (second - first) * (where - leg * THIRD) / THIRD

    def extremes(self, start: float, end: float) -> tuple[float, float]:
        """Give the lowest and highest price between two fractions, both included."""
        if start <= 0 and end >= 1:
            return min(self.corners), max(self.corners)
        inside = [price for number, price in enumerate(self.corners) if start <= _corner(number) <= end]
        touched = [self.at(start), self.at(end), *inside]
        return min(touched), max(touched)


def _corner(number: int) -> float:
    return 1.0 if number == 3 else number * THIRD
