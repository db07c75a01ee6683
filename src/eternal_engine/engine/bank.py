"""Money between the sub-accounts: planned in the journal, moved at the exchange, then booked (CAP-1, CAP-2)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final, Protocol

from eternal_engine.engine.recorder import Recorder
from eternal_engine.engine.timing import Clock
from eternal_engine.exchange.capability import Capabilities, Capability
from eternal_engine.ledger.transfers import completed
from eternal_engine.model.errors import AlreadyDone, ExchangeError, HaltTrading, RejectedForGood, UnknownOutcome
from eternal_engine.model.event import ErrorOccurred, TransferPlanned
from eternal_engine.model.ids import Account

SUCCESS: Final = "SUCCESS"
UNDER_WAY: Final = frozenset({"PENDING", "STATUS_UNKNOWN"})


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

    @property
    def can_move(self) -> bool:
        """Tell whether this environment can move money at all."""
        return self._teller is not None and self._teller.capabilities.has(Capability.TRANSFER)

    async def run(self) -> None:
        """Try every planned transfer once. Raises HaltTrading when the key is refused."""
        if not self.can_move:
            return
        for planned in tuple(self._recorder.projection.pending_transfers.values()):
            await self._move(planned)

    async def _move(self, planned: TransferPlanned) -> None:
        unknown = [account.value for account in (planned.source, planned.target) if account not in self._uids]
        if unknown:
            mend = f"switch {' and '.join(unknown)} on or move the money by hand: it is then found and booked"
            await self._complain(planned, f"no key of {' and '.join(unknown)} is in use", mend)
            return
        try:
            status = await self._ask(planned)
        except HaltTrading:
            raise
        except ExchangeError as error:
            await self._complain(planned, error.message, error.mend)
            return
        if status == SUCCESS:
            await self._recorder.append(completed(planned, self._clock.now()))
        elif status not in UNDER_WAY:
            await self._complain(planned, f"the transfer ended {status}", "look at the accounts' balances")

    async def _ask(self, planned: TransferPlanned) -> str:
        """Ask for the transfer; the same id again moves nothing a second time."""
        assert self._teller is not None, "a bank without a teller moves nothing"
        source, target = self._uids[planned.source], self._uids[planned.target]
        try:
            return await self._teller.transfer(planned.transfer_id, planned.coin, planned.amount, source, target)
        except (UnknownOutcome, AlreadyDone, RejectedForGood):
            status = await self._teller.transfer_status(planned.transfer_id)
            if status is None:
                raise
            return status

    async def _complain(self, planned: TransferPlanned, message: str, mend: str) -> None:
        """Say once what keeps a transfer; it is tried again every hour."""
        if planned.transfer_id in self._complained:
            return
        self._complained.add(planned.transfer_id)
        where = f"transfer of {planned.amount} {planned.coin} from {planned.source.value} to {planned.target.value}"
        await self._recorder.append(ErrorOccurred(self._clock.now(), message, where, mend))
