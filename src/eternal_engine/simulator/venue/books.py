"""The venue's double-entry books: every movement takes from one holder what it gives to another."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from eternal_engine.simulator.venue.entities import ATOM, ZERO

# House holders are negative so that they can never be an account's uid.
OUTSIDE = -1
MARKET = -2
FEES = -3
FUNDING = -4
INSURANCE = -5

HOUSE_NAMES = {MARKET: "market", FEES: "fees", FUNDING: "funding", INSURANCE: "insurance"}
LARGEST = Decimal(10) ** 12


class Books:
    """Keep the balance of every holder and coin; only `move` and `deposit` change it.

    `declared` counts deposits per coin on its own, so that the audit compares two separately kept numbers.
    """

    def __init__(self) -> None:
        self.balances: dict[tuple[int, str], Decimal] = {}
        self.declared: dict[str, Decimal] = {}
        self.dirty: set[tuple[int, str]] = set()

    def balance(self, holder: int, coin: str) -> Decimal:
        """Read one balance; a coin never held is zero."""
        return self.balances.get((holder, coin), ZERO)

    def coins(self, holder: int) -> Iterator[tuple[str, Decimal]]:
        """List the coins a holder has ever touched, by name."""
        return iter(sorted((coin, amount) for (owner, coin), amount in self.balances.items() if owner == holder))

    def move(self, source: int, target: int, coin: str, amount: Decimal) -> Decimal:
        """Move an amount (rounded to the books' smallest unit) and return what was moved; negative moves back."""
        moved = amount.quantize(ATOM)
        self._add(source, coin, -moved)
        self._add(target, coin, moved)
        return moved

    def deposit(self, holder: int, coin: str, amount: Decimal) -> Decimal:
        """Bring money in from outside (negative takes it out) and declare it to the audit."""
        if abs(self.balance(holder, coin) + amount) >= LARGEST:
            raise ValueError(f"a balance of {coin} would reach {LARGEST}: deposit less")
        moved = self.move(OUTSIDE, holder, coin, amount)
        self.declared[coin] = self.declared.get(coin, ZERO) + moved
        return moved

    def total(self, coin: str) -> Decimal:
        """Add up a coin over all accounts and house holders, the outside world left out."""
        return sum((held for (owner, name), held in self.balances.items() if name == coin and owner != OUTSIDE), ZERO)

    def _add(self, holder: int, coin: str, amount: Decimal) -> None:
        key = (holder, coin)
        self.balances[key] = self.balances.get(key, ZERO) + amount
        self.dirty.add(key)
