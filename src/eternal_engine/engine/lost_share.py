"""FUNDING's monthly share that moved in a life whose journal is lost: booked as itself, and not moved again (CAP-2).

A database restored from a backup of last month meets the transfer at the exchange. Its id says what it was.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from eternal_engine.engine.memory import Memory
from eternal_engine.engine.snapshot import horizon_of
from eternal_engine.engine.timing import hour_of
from eternal_engine.exchange.account import LedgerRow
from eternal_engine.ledger.transfers import USDT, completed, funding_profit, possible_firsts
from eternal_engine.model.event import BookEntry, Transferred
from eternal_engine.model.ids import Account, TransferId
from eternal_engine.model.money import ONE
from eternal_engine.portfolio.flows import FlowState, month_of, peak_after_usdt
from eternal_engine.storage.projection import Projection

# A transfer that failed, or whose account had no key, may have moved in a later month than its own.
MONTHS_BACK: Final = 3
_SIDES: Final = {Account.FUNDING: -1, Account.TACTICAL: 1}


def lost_share(row: LedgerRow, account: Account, projection: Projection, at: datetime) -> Transferred | None:
    """Give the entry of a transfer that only FUNDING's share of some month can be; None for any other row.

    It is booked on both sides at once, so both books must be open.
    """
    if row.coin != USDT or row.change * _SIDES.get(account, 0) <= 0:
        return None
    if any(horizon_of(projection, side) is None for side in _SIDES):
        return None
    firsts = {*possible_firsts(row.trade_id), *possible_firsts(row.row_id)}
    month = month_of(hour_of(row.at))
    for back in range(MONTHS_BACK + 1):
        plan = funding_profit(abs(row.change), month_start(month - back))
        if plan is not None and plan.transfer_id in firsts:
            return completed(plan, at)
    return None


def after_shares(memory: Memory, entries: Iterable[BookEntry], share_frac: float) -> Memory:
    """Give the memory that knows of shares which were moved after it was saved: their months are over (CAP-2).

    A share of a month that the memory has looked at was planned by it, and counted then.
    """
    for entry in entries:
        if not isinstance(entry, Transferred) or (entry.source, entry.target) != tuple(_SIDES):
            continue
        for month in range(month_of(hour_of(entry.at)), memory.flows.month, -1):
            if _share_id(month) == entry.transfer_id:
                peak = peak_after_usdt(memory.flows.funding_peak_usdt, float(entry.amount), share_frac)
                memory = replace(memory, flows=FlowState(peak, month))
    return memory


def month_start(month: int) -> datetime:
    """Give the first instant of a month, numbered as `month_of` does."""
    return datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC)


def _share_id(month: int) -> TransferId | None:
    plan = funding_profit(ONE, month_start(month))
    return None if plan is None else plan.transfer_id
