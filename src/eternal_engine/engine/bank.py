"""Money between the sub-accounts: planned in the journal, moved at the exchange, then booked (CAP-1, CAP-2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final, Protocol

from eternal_engine.engine.recorder import Recorder
from eternal_engine.engine.timing import Clock
from eternal_engine.engine.view import ENGINES
from eternal_engine.exchange.capability import Capabilities, Capability
from eternal_engine.ledger.transfers import MAX_ATTEMPTS, attempt_id, completed
from eternal_engine.model.errors import AlreadyDone, ExchangeError, HaltTrading, RejectedForGood, UnknownOutcome
from eternal_engine.model.event import ErrorOccurred, TransferPlanned
from eternal_engine.model.ids import Account, Engine, TransferId
from eternal_engine.model.money import CASH_COINS
from eternal_engine.portfolio.params import BookView

SUCCESS: Final = "SUCCESS"
FAILED: Final = "FAILED"
UNKNOWN: Final = "STATUS_UNKNOWN"
UNDER_WAY: Final = frozenset({"PENDING", UNKNOWN})
# After each failed attempt but the last.
BACK_OFF: Final = (timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=2), timedelta(hours=12))
NEVER: Final = datetime.max.replace(tzinfo=UTC)
# Transfers take seconds. Money that is promised and does not arrive is nobody's to spend, so somebody must hear of it.
OVERDUE: Final = timedelta(hours=1)


def without_promised(book: BookView, planned: Iterable[TransferPlanned]) -> BookView:
    """Give the books as rules may spend from them: cash that a transfer will take is not free (CAP-2, RISK-10).

    It is still the engine's own in the equity, which is marked from the whole books.
    """
    cash = book.cash.copy()
    for one in planned:
        if one.source is not Account.MASTER and one.coin in CASH_COINS:
            cash[ENGINES.index(Engine(one.source.value))] -= float(one.amount)
    return book._replace(cash=cash)


class Teller(Protocol):
    """Move money with the master's key; the id of a transfer makes it happen once."""

    @property
    def capabilities(self) -> Capabilities:
        """Return what this environment can do."""
        ...

    async def transfer(self, transfer_id: str, coin: str, amount: Decimal, from_uid: str, to_uid: str) -> str:
        """Move coins between sub-accounts; returns the status."""
        ...

    async def transfer_status(self, transfer_id: str) -> str | None:
        """Return the status of a transfer, None when the exchange does not know it."""
        ...


class Bank:
    """Carry planned transfers out. Where the exchange has no such call they stay listed for the operator."""

    def __init__(self, teller: Teller | None, uids: Mapping[Account, str], recorder: Recorder, clock: Clock) -> None:
        self._teller = teller
        self._uids = uids
        self._recorder = recorder
        self._clock = clock
        self._complained: set[str] = set()
        self._inherited = frozenset(recorder.projection.pending_transfers)
        self._attempts: dict[TransferId, int] = {}
        self._not_before: dict[TransferId, datetime] = {}

    @property
    def can_move(self) -> bool:
        """Tell whether this environment can move money at all."""
        return self._teller is not None and self._teller.capabilities.has(Capability.TRANSFER)

    async def run(self) -> None:
        """Try every planned transfer that is due once. Raises HaltTrading when the key is refused."""
        if not self.can_move:
            return
        for planned in tuple(self._recorder.projection.pending_transfers.values()):
            if self._clock.now() >= self._not_before.get(planned.transfer_id, self._clock.now()):
                await self._move(planned)

    async def _move(self, planned: TransferPlanned) -> None:
        unknown = [account.value for account in (planned.source, planned.target) if account not in self._uids]
        if unknown:
            mend = f"switch {' and '.join(unknown)} on or move the money by hand: it is then found and booked"
            await self._complain(planned, f"no key of {' and '.join(unknown)} is in use", mend)
            return
        try:
            status = await self._taken_up(planned)
            if status is None:
                status = await self._ask(planned)
        except HaltTrading:
            raise
        except ExchangeError as error:
            await self._complain(planned, error.message, error.mend)
            return
        await self._settle(planned, status)

    async def _settle(self, planned: TransferPlanned, status: str) -> None:
        if status == SUCCESS:
            await self._recorder.append(completed(planned, self._clock.now()))
        elif status == FAILED:
            await self._fail(planned)
        elif status not in UNDER_WAY:
            await self._complain(planned, f"the transfer ended {status}", "look at the accounts' balances")
        elif self._clock.now() - planned.at >= OVERDUE:
            mend = "look at the accounts' balances and ask the exchange; nobody spends this sum until it has arrived"
            await self._complain(planned, f"the transfer is still {status}", mend)

    async def _taken_up(self, planned: TransferPlanned) -> str | None:
        """Find how far an earlier life of the daemon has come; None: the present attempt is to be asked for.

        Without it a failed id would be asked for again while a later attempt may have moved the money already.
        """
        identifier = planned.transfer_id
        if identifier in self._attempts:
            return None
        self._attempts[identifier] = 1
        if identifier not in self._inherited:
            return None
        try:
            while True:
                status = await self._status(planned)
                if status != FAILED or self._attempts[identifier] == MAX_ATTEMPTS:
                    return status
                self._attempts[identifier] += 1
        except ExchangeError:
            del self._attempts[identifier]
            raise

    async def _ask(self, planned: TransferPlanned) -> str:
        """Ask for the transfer; the same id again moves nothing a second time, and FAILED is believed twice said."""
        assert self._teller is not None, "a bank without a teller moves nothing"
        source, target = self._uids[planned.source], self._uids[planned.target]
        identifier = attempt_id(planned.transfer_id, self._attempts[planned.transfer_id])
        try:
            status = await self._teller.transfer(identifier, planned.coin, planned.amount, source, target)
        except (UnknownOutcome, AlreadyDone, RejectedForGood):
            looked_up = await self._status(planned)
            if looked_up is None:
                raise
            return looked_up
        if status != FAILED:
            return status
        return await self._status(planned) or UNKNOWN

    async def _status(self, planned: TransferPlanned) -> str | None:
        assert self._teller is not None, "a bank without a teller moves nothing"
        identifier = attempt_id(planned.transfer_id, self._attempts[planned.transfer_id])
        return await self._teller.transfer_status(identifier)

    async def _fail(self, planned: TransferPlanned) -> None:
        """Let the next attempt have an id of its own, later; after the last one the operator moves the money."""
        identifier = planned.transfer_id
        failed = self._attempts[identifier]
        if failed == MAX_ATTEMPTS:
            self._not_before[identifier] = NEVER
            self._complained.discard(identifier)
            mend = "move the money by hand: it is then found and booked; until then nobody spends it"
            await self._complain(planned, f"the transfer has FAILED {failed} times and is given up", mend)
            return
        self._attempts[identifier] = failed + 1
        self._not_before[identifier] = self._clock.now() + BACK_OFF[failed - 1]
        await self._complain(planned, "the transfer ended FAILED", "nothing: it is tried again under an id of its own")

    async def _complain(self, planned: TransferPlanned, message: str, mend: str) -> None:
        """Say once what keeps a transfer; it is tried again every hour."""
        if planned.transfer_id in self._complained:
            return
        self._complained.add(planned.transfer_id)
        where = f"transfer of {planned.amount} {planned.coin} from {planned.source.value} to {planned.target.value}"
        await self._recorder.append(ErrorOccurred(self._clock.now(), message, where, mend))
