"""A growing set of ids whose copies are cheap, so that a frozen book can remember every execution it has booked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_BUCKETS = 256
_EMPTY: tuple[frozenset[str], ...] = (frozenset(),) * _BUCKETS


@dataclass(frozen=True, slots=True)
class IdSet:
    """Hold ids in 256 frozen buckets: adding one copies a 256th of them, and every earlier set stays as it was."""

    _buckets: tuple[frozenset[str], ...] = _EMPTY

    @classmethod
    def of(cls, ids: Iterable[str]) -> IdSet:
        """Build a set from many ids at once."""
        buckets: list[set[str]] = [set() for _ in range(_BUCKETS)]
        for identifier in ids:
            buckets[_bucket(identifier)].add(identifier)
        return cls(tuple(frozenset(bucket) for bucket in buckets))

    def __contains__(self, identifier: str) -> bool:
        return identifier in self._buckets[_bucket(identifier)]

    def __iter__(self) -> Iterator[str]:
        for bucket in self._buckets:
            yield from bucket

    def __len__(self) -> int:
        return sum(len(bucket) for bucket in self._buckets)

    def adding(self, identifier: str) -> IdSet:
        """Give the set with one more id."""
        at = _bucket(identifier)
        changed = self._buckets[at] | {identifier}
        return IdSet((*self._buckets[:at], changed, *self._buckets[at + 1 :]))


def _bucket(identifier: str) -> int:
    return hash(identifier) % _BUCKETS
