"""Compare one account with the exchange, which is the truth for holdings (ORD-7).

First what explains itself is booked: executions and funding that were missed, deposits, transfers. Only what is left
then is corrected, and only where no order is under way. Nothing is ever corrected silently.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from eternal_engine.engine.comparison import CASH, Comparison, IsDue
from eternal_engine.engine.findings import Alert, Findings, after_findings
from eternal_engine.engine.lockout import Lockouts
from eternal_engine.engine.lost_share import after_shares
from eternal_engine.engine.memory import Memory
from eternal_engine.engine.ownership import Owners
from eternal_engine.engine.recorder import Recorder
from eternal_engine.engine.snapshot import (
    Snapshot,
    horizon_of,
    take_prices,
    take_snapshot,
)
from eternal_engine.exchange.port import Exchange
from eternal_engine.ledger.book import Book
from eternal_engine.ledger.equity import Prices
from eternal_engine.model.errors import HaltTrading, ModelError
from eternal_engine.model.event import Corrected, Event, FundingSettled
from eternal_engine.model.ids import Account
from eternal_engine.model.rule import Rule
from eternal_engine.storage.projection import Projection

RULES: tuple[Rule, ...] = (
    Rule(
        "ORD-7",
        "At start, after each reconnect and periodically each account is compared with the exchange: missing "
        "executions and deposits are booked, orphans are adopted unassigned, wrong sizes are corrected on record and "
        "their symbols paused; a correction needs two settled snapshots and no order under way.",
        (),
        (
            "tests/unit/engine/test_reconcile.py::test_d12_a_wrong_size_is_corrected_on_record_and_pauses_the_symbol",
            "tests/unit/engine/test_reconcile.py::test_d13_an_orphan_is_adopted_unassigned_at_its_cost_from_history",
            "tests/property/test_reconcile_property.py::test_ord_7_after_reconciling_books_equal_the_venues_ledger",
        ),
    ),
)

CONFIRM_S: Final = 2.0


def always_due(_: FundingSettled) -> bool:
    """Let every funding payment be booked at once."""
    return True


async def reconcile(
    exchange: Exchange,
    account: Account,
    projection: Callable[[], Projection],
    owners: Owners,
    prices: Prices,
    now: Callable[[], datetime],
    sleep: Callable[[float], Awaitable[None]],
    is_due: IsDue = always_due,
) -> Findings:
    """Compare one account whose books are open; what would be corrected is looked at a second time first.

    `projection` is read again after each wait. Append `events` of the result in one transaction. Raises the exchange
    branch of the error tree: then nothing was found. Raises ModelError where the books were never opened.
    """
    found = await _look(exchange, account, projection, owners, prices, now(), is_due)
    if not found.corrections:
        return found
    # A wallet may run ahead of the list of executions that explains it.
    await sleep(CONFIRM_S)
    again = await _look(exchange, account, projection, owners, prices, now(), is_due)
    same = {_what(row) for row in found.corrections}
    if all(_what(row) in same for row in again.corrections):
        return again
    return _without_corrections(again)


async def _look(
    exchange: Exchange,
    account: Account,
    projection: Callable[[], Projection],
    owners: Owners,
    prices: Prices,
    now: datetime,
    is_due: IsDue,
) -> Findings:
    horizon = horizon_of(projection(), account)
    if horizon is None:
        raise ModelError(
            f"the books of {account.value} were never opened", where="reconcile", mend="adopt the account first"
        )
    snapshot = await take_snapshot(exchange, account, horizon.since_at(now), now)
    return compare(snapshot, projection(), owners, prices, is_due)


def compare(
    snapshot: Snapshot, projection: Projection, owners: Owners, prices: Prices, is_due: IsDue = always_due
) -> Findings:
    """Find every difference between the journal and a snapshot of one account; pure.

    The account's books must have been opened (`horizon_of`). `prices` value what has no execution; a missing one
    leaves such a holding alone, with an alert. Funding that `is_due` denies is no difference and comes as `later`: it
    belongs to an hour that is not decided yet (U-8).
    """
    horizon = horizon_of(projection, snapshot.account)
    assert horizon is not None, "open the books before comparing them"
    work = Comparison(snapshot, projection, owners, prices, projection.books, is_due)
    work.book_executions(horizon)
    work.book_outside(horizon)
    work.compare_orders()
    work.compare_holdings()
    return work.findings(horizon)


def _what(row: Corrected) -> tuple[object, ...]:
    return (row.symbol, row.coin, row.market, row.qty, row.unassigned)


def _without_corrections(found: Findings) -> Findings:
    """Wait with corrections that two looks did not agree on: the next comparison sees them settled."""
    differences = found.differences - len(found.corrections)
    return replace(
        found, corrections=(), pause=frozenset(), differences=max(differences, 0), deferred=found.deferred | {CASH}
    )


class Reconciler:
    """Compare all accounts of a running daemon, journal what is found and say it."""

    def __init__(
        self,
        exchanges: Mapping[Account, Exchange],
        owners: Owners,
        recorder: Recorder,
        now: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[None]],
        *,
        alert: Callable[[Alert], None] = lambda _: None,
        is_due: IsDue = always_due,
        later: Callable[[Account, tuple[FundingSettled, ...]], None] = lambda *_: None,
        lockouts: Lockouts | None = None,
    ) -> None:
        self._exchanges = exchanges
        self._owners = owners
        self._recorder = recorder
        self._now = now
        self._sleep = sleep
        self._alert = alert
        self._is_due = is_due
        self._later = later
        self._lockouts = lockouts
        self._told: dict[Account, frozenset[str]] = {}
        self._turn = asyncio.Lock()

    async def run(self, *, on_record: bool = False) -> tuple[Findings, ...]:
        """Compare each account whose books are open; with `on_record` also journal that nothing was found.

        An account whose key is refused is left out, and told to `lockouts`. Raises the rest of the exchange branch of
        the error tree: accounts before the one that failed are done, none is half done.
        """
        found: list[Findings] = []
        async with self._turn:
            for account in filter(self._is_open, self._exchanges):
                try:
                    found.append(await self._one(account, on_record))
                except HaltTrading as error:
                    if self._lockouts is None:
                        raise
                    await self._lockouts.refuse(account, error)
                else:
                    if self._lockouts is not None:
                        self._lockouts.accept(account)
        return tuple(found)

    def _is_open(self, account: Account) -> bool:
        return horizon_of(self._recorder.projection, account) is not None

    async def _one(self, account: Account, on_record: bool) -> Findings:
        exchange = self._exchanges[account]
        prices = await take_prices(exchange, self._recorder.memory.symbols)
        found = await reconcile(
            exchange,
            account,
            lambda: self._recorder.projection,
            self._owners,
            prices,
            self._now,
            self._sleep,
            self._is_due,
        )
        found = await self._booked(found, on_record)
        self._later(account, found.later)
        self._tell(account, found)
        return found

    def _tell(self, account: Account, found: Findings) -> None:
        """Say each finding once: what the comparison of five minutes before has said, too, is only still so (K9)."""
        before = self._told.get(account, frozenset())
        self._told[account] = frozenset(alert.key for alert in found.alerts)
        for alert in found.alerts:
            if alert.key not in before:
                self._alert(alert)

    async def _booked(self, found: Findings, on_record: bool) -> Findings:
        """Journal findings; corrections only if the account's books are still those that were compared.

        A stream may book, while this waits for its turn to write, the very execution that a correction stands for.
        """
        compared = _sides(self._recorder.projection, found.account)

        def make(memory: Memory, projection: Projection) -> tuple[Memory, tuple[Event, ...]]:
            nonlocal found
            if found.corrections and _sides(projection, found.account) != compared:
                found = replace(_without_corrections(found), alerts=())
            events = found.events if found.differences or not on_record else (*found.events, found.summary)
            share_frac = self._recorder.params.funding.profit_share_frac
            return after_shares(after_findings(memory, found), found.booked, share_frac), events

        await self._recorder.commit(make)
        return found


def _sides(projection: Projection, account: Account) -> tuple[Book, Book]:
    return projection.books.of(account), projection.books.of(account, unassigned=True)
