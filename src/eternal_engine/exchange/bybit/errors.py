"""The one translation of everything Bybit, HTTP and pybit can say into the exchange branch of `model.errors`.

`CATALOGUE` is the whole table of bybit-v5 3.3: a number, what the daemon does, the meaning. Texts vary between
environments and years, so only numbers decide. A number that is not in the table means an unknown outcome on an order
call and a retry elsewhere; it never means "rejected".
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from eternal_engine.exchange.bybit.wire.fields import read_time
from eternal_engine.model.errors import (
    AlreadyDone,
    BadReply,
    ExchangeError,
    HaltTrading,
    RateLimited,
    RejectedForGood,
    Retry,
    SymbolPaused,
    UnknownOutcome,
    Unsupported,
)


class Verb(Enum):
    """Name the kind of call that failed: only some can have an unknown outcome that matters."""

    READ = "read"
    PLACE = "place"
    AMEND = "amend"
    CANCEL = "cancel"
    SET = "set"
    TRANSFER = "transfer"

    @property
    def changes_something(self) -> bool:
        """Tell whether repeating the call after a lost answer could do a thing twice; setting a value cannot."""
        return self not in (Verb.READ, Verb.SET)


class Outcome(Enum):
    """Name what the daemon does with a code; see `model.errors` for each."""

    RETRY = "retry"
    RATE_LIMITED = "rate limited"
    REJECTED = "rejected for good"
    PAUSED = "rejected, symbol paused"
    UNKNOWN = "unknown outcome"
    HALT = "halt"
    NOTHING = "nothing to do"
    UNSUPPORTED = "unsupported here"
    GONE = "gone: nothing to do for a cancel, rejected for an amend"
    DUPLICATE = "this id is known: look it up"
    FLAT = "reduce-only found nothing: read the position"


@dataclass(frozen=True, slots=True)
class Entry:
    """Hold one row of the catalogue."""

    codes: tuple[int, ...]
    outcome: Outcome
    meaning: str
    mend: str = ""


_TABLE: tuple[Entry, ...] = (
    Entry((10000,), Outcome.UNKNOWN, "server time-out"),
    Entry((10001,), Outcome.REJECTED, "parameter error", "refresh the instrument rules and compare the request"),
    Entry((10002,), Outcome.RETRY, "timestamp outside the window", "check the clock of this machine (NTP)"),
    Entry((10003, 33004, -2015), Outcome.HALT, "key invalid, expired or of another environment", "check key and host"),
    Entry((10004,), Outcome.HALT, "signature refused", "check the secret of the key"),
    Entry(
        (10005, 10007, 10008, 10009, 10010, 10024, 10027, 10028, 10029),
        Outcome.HALT,
        "permission, ban, region, address or account type refused",
        "check the key's rights and addresses on the exchange's site",
    ),
    Entry((10006,), Outcome.RATE_LIMITED, "too many visits"),
    Entry((10014,), Outcome.UNKNOWN, "invalid duplicate request"),
    Entry((10016,), Outcome.UNKNOWN, "server error or restart"),
    Entry((10017,), Outcome.REJECTED, "path or method unknown"),
    Entry((10032,), Outcome.UNSUPPORTED, "the demo does not offer this call"),
    Entry((429,), Outcome.UNKNOWN, "system overload"),
    Entry((100028,), Outcome.REJECTED, "forbidden for a unified account"),
    Entry((110001,), Outcome.GONE, "order does not exist or is too late to change"),
    Entry((110003,), Outcome.REJECTED, "price out of range"),
    Entry(
        (110004, 110006, 110007, 110012, 110014, 110044, 110045, 110051, 110052, 110053),
        Outcome.REJECTED,
        "insufficient funds",
    ),
    Entry((110008, 110010), Outcome.GONE, "order already finished or cancelled"),
    Entry((110009, 110020), Outcome.REJECTED, "too many stop or active orders"),
    Entry((110013, 110036, 110038, 110086, 110090), Outcome.REJECTED, "leverage or risk limit"),
    Entry((110017,), Outcome.FLAT, "reduce-only cannot be satisfied"),
    Entry(
        (110021, 110023, 110042, 110063, 110066, 110074),
        Outcome.PAUSED,
        "open-interest limit, delivery or settlement: trading not allowed",
    ),
    Entry((110024, 110028), Outcome.REJECTED, "position mode blocked by a position or an order"),
    Entry((110025,), Outcome.NOTHING, "position mode unchanged"),
    Entry((110026, 110027, 110043, 34040), Outcome.NOTHING, "margin mode, margin, leverage or stop unchanged"),
    Entry((110030, 110072, 170141, 12141), Outcome.DUPLICATE, "duplicate client order id"),
    Entry(
        (110035, 110040, 110011, 110046, 110039), Outcome.REJECTED, "would trigger liquidation", "check the margin now"
    ),
    Entry((110073, 3400045), Outcome.REJECTED, "margin mode could not be set"),
    Entry((110079,), Outcome.RETRY, "order is being processed"),
    Entry((110092, 110093), Outcome.REJECTED, "trigger price on the wrong side of the market"),
    Entry((110094,), Outcome.REJECTED, "value below the minimum"),
    Entry((110108, 110109), Outcome.REJECTED, "slippage tolerance out of range"),
    Entry((110120, 110121), Outcome.REJECTED, "price limit"),
    Entry(
        (110123, 110124, 110125, 110132, 170209, 170241),
        Outcome.HALT,
        "agreement, cooling-off or region",
        "settle it on the exchange's site",
    ),
    Entry(
        (170001, 170007, 170032, 170146, 170147, 170149, 170150, 170234, 170310),
        Outcome.UNKNOWN,
        "spot: internal error, time-out or network",
    ),
    # The facts say "R/U": new spot orders over the limit may or may not have been taken in, so look them up.
    Entry((170005, 170222), Outcome.UNKNOWN, "too many new orders"),
    Entry((170131, 170033), Outcome.REJECTED, "insufficient balance"),
    Entry(
        (170124, 170136, 170137, 170140, 170148, 170341, 170381, 170382),
        Outcome.REJECTED,
        "quantity or value rule",
        "refresh the instrument rules",
    ),
    Entry(
        (170132, 170133, 170134, 170192, 170193, 170194, 170371, 170372), Outcome.REJECTED, "price rule or price band"
    ),
    Entry((170139, 170142, 170190), Outcome.GONE, "order already filled, cancelled or done"),
    Entry((170143, 170213), Outcome.GONE, "order not found"),
    Entry((170115, 170116, 170117, 170121, 170130), Outcome.REJECTED, "bad field"),
    Entry((170144, 170191, 170212), Outcome.RETRY, "order locked or being cancelled"),
    Entry((170151, 170157, 170159, 170217, 170218), Outcome.PAUSED, "pair not open, no API trading, or maker only"),
    Entry((170210,), Outcome.REJECTED, "new order rejected"),
    Entry((170810,), Outcome.REJECTED, "more than 500 open orders"),
    Entry((181017,), Outcome.REJECTED, "history was asked for an open status"),
    Entry((131214,), Outcome.DUPLICATE, "this transfer id exists: query it"),
    Entry((131228, 131212), Outcome.REJECTED, "balance too small for the transfer"),
    Entry((131200, 131201, 131206, 131230), Outcome.UNKNOWN, "transfer service error"),
    Entry((30208, 30209), Outcome.REJECTED, "price beyond the band"),
    Entry((30228,), Outcome.PAUSED, "no new positions while a contract is being delisted"),
)

CATALOGUE: dict[int, Entry] = {code: entry for entry in _TABLE for code in entry.codes}

FORBIDDEN = 403
_LOOK_UP = "look it up by its client order id before anything else"


def from_code(code: int, text: str, *, verb: Verb, where: str, reset_at: datetime | None = None) -> ExchangeError:
    """Return the error for one retCode that is not 0.

    `text` is the exchange's own, kept for the log; `reset_at` is the rate limit's reset where the answer named one.
    """
    entry = CATALOGUE.get(code)
    if entry is None:
        return _unlisted(code, text, verb, where)
    message = f"{entry.meaning}: retCode {code} {text!r}"
    match _settle(entry.outcome, verb):
        case Outcome.RETRY:
            return Retry(message, code=code, where=where, mend=entry.mend)
        case Outcome.RATE_LIMITED:
            return RateLimited(message, reset_at=reset_at, code=code, where=where)
        case Outcome.PAUSED:
            return SymbolPaused(message, code=code, where=where, mend=entry.mend)
        case Outcome.UNKNOWN:
            return UnknownOutcome(message, code=code, where=where, mend=_LOOK_UP)
        case Outcome.HALT:
            return HaltTrading(message, code=code, where=where, mend=entry.mend)
        case Outcome.NOTHING:
            return AlreadyDone(message, code=code, where=where)
        case Outcome.UNSUPPORTED:
            return Unsupported(message, code=code, where=where)
        case _:
            return RejectedForGood(message, code=code, where=where, mend=entry.mend)


def _settle(outcome: Outcome, verb: Verb) -> Outcome:
    """Resolve the outcomes that depend on what was asked."""
    if outcome is Outcome.GONE:
        return Outcome.NOTHING if verb is Verb.CANCEL else Outcome.REJECTED
    if outcome is Outcome.DUPLICATE:
        return Outcome.UNKNOWN
    if outcome is Outcome.FLAT:
        return Outcome.NOTHING
    if outcome is Outcome.UNKNOWN and not verb.changes_something:
        return Outcome.RETRY
    return outcome


def _unlisted(code: int, text: str, verb: Verb, where: str) -> ExchangeError:
    message = f"unlisted retCode {code} {text!r}"
    if verb.changes_something:
        return UnknownOutcome(message, code=code, where=where, mend=_LOOK_UP)
    return Retry(message, code=code, where=where, mend="add the code to the catalogue")


def reset_time(header: str | None) -> datetime | None:
    """Return the reset of a rate limit from its header (ms); None when it is missing or no time at all."""
    try:
        return read_time(header)
    except ValueError:
        return None


def from_status(status: int, *, verb: Verb, where: str) -> ExchangeError:
    """Return the error for an HTTP status other than 200."""
    message = f"HTTP status {status}"
    if status == FORBIDDEN:
        return forbidden(f"{message}: too many requests from this address, or a refused region", verb=verb, where=where)
    if status == 401:
        return HaltTrading(f"{message}: key refused", code=status, where=where, mend="check key and host")
    if status in (400, 404, 405, 411, 413, 414):
        return RejectedForGood(f"{message}: bad method, path or category", code=status, where=where)
    if verb.changes_something:
        return UnknownOutcome(message, code=status, where=where, mend=_LOOK_UP)
    if status == 429:
        return RateLimited(message, code=status, where=where)
    return Retry(message, code=status, where=where)


def forbidden(
    what: str, *, verb: Verb, where: str, reset_at: datetime | None = None, mend: str = "wait ten minutes"
) -> ExchangeError:
    """Return the error for an address that the exchange does not talk to, mostly for ten minutes; keys are fine.

    What was to change something may not be called rejected: it goes on under its own id once the line is back.
    """
    if verb.changes_something:
        return UnknownOutcome(what, code=FORBIDDEN, where=where, mend=_LOOK_UP)
    return RateLimited(what, reset_at=reset_at, code=FORBIDDEN, where=where, mend=mend)


def lost(what: str, *, verb: Verb, where: str) -> ExchangeError:
    """Return the error for an answer that never came or cannot be read."""
    if verb.changes_something:
        return UnknownOutcome(what, where=where, mend=_LOOK_UP)
    return Retry(what, where=where)


def unreadable(error: BadReply, *, verb: Verb, where: str) -> ExchangeError:
    """Return the error for an answer whose fields cannot be read: on a changing call the outcome is unknown."""
    if verb.changes_something:
        return UnknownOutcome(f"unreadable answer: {error.message}", code=error.code, where=where, mend=_LOOK_UP)
    return error


def never_sent(what: str, *, where: str) -> ExchangeError:
    """Return the error for a request that did not leave this machine: nothing can have happened."""
    return Retry(what, where=where, mend="check the network and the host name")
