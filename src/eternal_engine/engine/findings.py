"""What a comparison with the exchange found: entries to book, orders to look up, symbols to pause, words to say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from eternal_engine.engine.memory import Memory
from eternal_engine.exchange.terms import Market
from eternal_engine.model.event import BookEntry, Corrected, Event, FundingSettled, Reconciled, StateSaved
from eternal_engine.model.ids import Account, ClientOrderId, Symbol


@dataclass(frozen=True, slots=True)
class Alert:
    """Say to a person what was found, where, and the mend; `key` is the same for the same finding (K9)."""

    key: str
    what: str
    where: str
    mend: str


@dataclass(frozen=True, slots=True)
class Lookup:
    """Name one of our orders on whose fate journal and exchange disagree: look it up by its id (ORD-2)."""

    market: Market
    symbol: Symbol
    client_order_id: ClientOrderId


@dataclass(frozen=True, slots=True)
class Findings:
    """Hold what one comparison of one account found.

    `booked` are missing executions, funding payments, deposits and transfers; `corrections` are what those do not
    explain. Both, then `horizon`, go into the journal in one append (`events`), in this order. `later` is funding of an
    hour that is not decided yet: hand it to whoever books it with that hour. `stops` are the stops
    that rest at the exchange by symbol of each held perp (None: unprotected). `deferred` are symbols, or "cash", that
    were not compared because an order is under way there.
    """

    account: Account
    at: datetime
    booked: tuple[BookEntry, ...] = ()
    later: tuple[FundingSettled, ...] = ()
    corrections: tuple[Corrected, ...] = ()
    horizon: StateSaved | None = None
    look_up: tuple[Lookup, ...] = ()
    pause: frozenset[str] = frozenset()
    alerts: tuple[Alert, ...] = ()
    stops: Mapping[Symbol, Decimal | None] = field(default_factory=dict)
    deferred: frozenset[str] = frozenset()
    differences: int = 0

    @property
    def events(self) -> tuple[Event, ...]:
        """Give what goes into the journal; nothing when nothing differed."""
        summary = (self.summary,) if self.differences else ()
        horizon = (self.horizon,) if self.horizon else ()
        return (*self.booked, *self.corrections, *summary, *horizon)

    @property
    def summary(self) -> Reconciled:
        """Give the record of the comparison, also for one that found nothing."""
        return Reconciled(self.at, self.account, self.differences, "; ".join(alert.what for alert in self.alerts))

    @property
    def is_clean(self) -> bool:
        """Tell whether journal and exchange agree, nothing deferred."""
        return not (self.differences or self.look_up or self.deferred)


def after_findings(memory: Memory, found: Findings) -> Memory:
    """Give the memory after a comparison: symbols under review are paused, and stops are those that really rest.

    A stop that somebody took away is forgotten here, so that the next round sets it again (TREND-X3).
    """
    memory = replace(memory, paused=memory.paused | found.pause)
    if found.account is not Account.TREND:
        return memory
    for s, price in memory.stops:
        resting = found.stops.get(Symbol(memory.symbols[s]))
        if resting != price:
            memory = memory.with_stop(s, resting)
    return memory
