"""The one tree of errors. Each class says what the program does when it is raised.

EternalError                 anything of ours; exit 1
├── UsageError               the command or the configuration is wrong: say the mend, stop;            exit 2
├── DataError                a data file is missing or bad: say which row, stop, write nothing;         exit 3
├── RefusedError             stopped for safety (second daemon, unarmed live start): say why, stop;     exit 4
│   └── LockHeld             another daemon owns the database or the account
├── ModelError               an event that cannot follow from the state: halt the engine, alert
│   ├── UnknownTransition    an order got a trigger its state does not know
│   └── BookError            a book entry that would break conservation (negative holding, wrong side)
├── StorageError             the database cannot be trusted or written: halt everything, keep stops resting
│   ├── SchemaError          a foreign or newer schema: refuse to start, naming table and column;       exit 4
│   └── JournalBroken        the hash chain does not hold at `seq`: refuse to start, restore a backup;  exit 4
└── ExchangeError            the exchange said no, or nothing
    ├── Retry                refused before execution: wait, send the same request with the same id again
    ├── RateLimited          the same, but wait until `reset_at`; does not count as a retry
    ├── RejectedForGood      never repeat unchanged: the order is rejected, its money stays in the plan
    │   └── SymbolPaused     the same, and entries in that symbol wait
    ├── UnknownOutcome       may have happened: look up by client order id before anything else
    ├── AlreadyDone          nothing to do (unchanged leverage, order already gone): read the state, go on
    ├── Unsupported          this environment has no such call (demo): degrade, do not call again
    ├── BadReply             a reply that cannot be read: on an order call the outcome is unknown
    └── HaltTrading          keys, permissions, ban: no more orders, alert a human
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar


class EternalError(Exception):
    """Say what is wrong (`message`), where it is (`where`) and how to mend it (`mend`)."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, where: str = "", mend: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.mend = mend

    def __str__(self) -> str:
        where = f" (at {self.where})" if self.where else ""
        mend = f"; to mend: {self.mend}" if self.mend else ""
        return f"{self.message}{where}{mend}"


class UsageError(EternalError):
    """Tell the user that the command line or the configuration is wrong."""

    exit_code = 2


class DataError(EternalError):
    """Tell the user that a data file is missing or bad."""

    exit_code = 3


class RefusedError(EternalError):
    """Refuse for safety what was asked."""

    exit_code = 4


class LockHeld(RefusedError):
    """Refuse a second daemon on one database or account."""


class ModelError(EternalError):
    """Report an event that cannot follow from the present state."""


class UnknownTransition(ModelError):
    """Report a trigger that the order's state does not know."""


class BookError(ModelError):
    """Report a book entry that would break conservation."""


class StorageError(EternalError):
    """Report a database that cannot be trusted or written."""


class SchemaError(StorageError):
    """Refuse a database whose schema is foreign or newer than this program."""

    exit_code = 4


class JournalBroken(StorageError):
    """Report the first journal row, `seq`, at which the hash chain does not hold."""

    exit_code = 4

    def __init__(self, message: str, *, seq: int, where: str = "", mend: str = "") -> None:
        super().__init__(message, where=where, mend=mend)
        self.seq = seq


class ExchangeError(EternalError):
    """Report what the exchange answered. `code` is its number, None if it gave none."""

    def __init__(self, message: str, *, code: int | None = None, where: str = "", mend: str = "") -> None:
        super().__init__(message, where=where, mend=mend)
        self.code = code


class Retry(ExchangeError):
    """Ask to send the same request with the same id again after a wait (ORD-3)."""


class RateLimited(ExchangeError):
    """Ask to wait until `reset_at` (None: unknown, wait a moment); not counted as a retry (ORD-3)."""

    def __init__(
        self,
        message: str,
        *,
        reset_at: datetime | None = None,
        code: int | None = None,
        where: str = "",
        mend: str = "",
    ) -> None:
        super().__init__(message, code=code, where=where, mend=mend)
        self.reset_at = reset_at


class RejectedForGood(ExchangeError):
    """Report a request that must not be repeated unchanged."""


class SymbolPaused(RejectedForGood):
    """Report a symbol that takes no entries now (delisting, settlement, open-interest limit)."""


class UnknownOutcome(ExchangeError):
    """Report a request that may have been executed: look it up by client order id (ORD-2)."""


class AlreadyDone(ExchangeError):
    """Report a request that changed nothing because the wanted state is there."""


class Unsupported(ExchangeError):
    """Report a call that this environment does not have."""


class BadReply(ExchangeError):
    """Report a reply that cannot be read, naming the `field` and its `value`."""

    def __init__(
        self,
        message: str,
        *,
        field: str = "",
        value: str = "",
        code: int | None = None,
        where: str = "",
        mend: str = "",
    ) -> None:
        super().__init__(message, code=code, where=where, mend=mend)
        self.field = field
        self.value = value


class HaltTrading(ExchangeError):
    """Report keys, permissions or a ban that end all trading until a human acts."""
