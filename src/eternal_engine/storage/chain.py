"""The hash chain over the journal: an edited, missing or cut row cannot hide."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from eternal_engine.model.errors import JournalBroken

GENESIS = "0" * 64
_RESTORE = "restore a backup that verifies, or reconcile with the exchange on a new database"


class JournalRow(NamedTuple):
    """Hold one stored row, as text."""

    seq: int
    at: str
    kind: str
    body: str
    hash: str


@dataclass(frozen=True, slots=True)
class Head:
    """Hold the end of a chain: the last `seq` and the hash that the next row builds on."""

    seq: int
    hash: str


def row_hash(previous: str, seq: int, at: str, kind: str, body: str) -> str:
    """Compute the hash of a row from the hash before it. Line breaks cannot move text between the fields."""
    content = "\n".join((previous, str(seq), at, kind, str(len(body)), body))
    return hashlib.sha256(content.encode()).hexdigest()


def checkpoint_hash(anchor: str, seq: int, last_hash: str, document: bytes) -> str:
    """Compute the hash on which the chain after a checkpoint builds: it covers the projections, too."""
    content = "\n".join((anchor, str(seq), last_hash, hashlib.sha256(document).hexdigest()))
    return hashlib.sha256(content.encode()).hexdigest()


def follow(start: Head, rows: Iterable[JournalRow]) -> Head:
    """Walk the chain from `start`. Raises JournalBroken with the seq of the first row that does not fit."""
    seq, previous = start.seq, start.hash
    for row in rows:
        if row.seq != seq + 1:
            raise JournalBroken(
                f"journal row {seq + 1} is missing (found {row.seq})",
                seq=seq + 1,
                where=f"journal row {seq + 1}",
                mend=_RESTORE,
            )
        if row_hash(previous, row.seq, row.at, row.kind, row.body) != row.hash:
            raise JournalBroken(
                f"journal row {row.seq} ({row.kind} of {row.at}) was edited, or the row before it was",
                seq=row.seq,
                where=f"journal row {row.seq}",
                mend=_RESTORE,
            )
        seq, previous = row.seq, row.hash
    return Head(seq, previous)
