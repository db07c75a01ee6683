"""Money between the sub-accounts: the first division, and the profits that move (CAP-1, CAP-2)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from eternal_engine.model.errors import ModelError, UsageError
from eternal_engine.model.event import TransferPlanned, Transferred
from eternal_engine.model.ids import Account, Coin, RuleId, TransferId
from eternal_engine.model.money import ONE, ZERO, exact_arithmetic, floor_to
from eternal_engine.model.rule import Rule

RULES: tuple[Rule, ...] = (
    Rule(
        "CAP-2",
        "Profits move as transfers that keep total equity, TACTICAL's to CORE_HODL and FUNDING's share to TACTICAL; "
        "they are pending where the account cannot transfer.",
        (),
        (
            "tests/unit/ledger/test_transfers.py::test_cap2_funding_pays_to_tactical",
            "tests/unit/ledger/test_transfers.py::test_i9_tacticals_profit_moves_and_keeps_total_equity",
        ),
    ),
)

USDT = Coin("USDT")
TRANSFER_STEP = Decimal("0.00000001")
MAX_ATTEMPTS = 5
_CAP_2 = RuleId("CAP-2")
# Any fixed namespace will do: the exchange wants a UUID and refuses a second transfer under the same one.
_NAMESPACE = uuid.UUID("7c4d1c5e-4b60-5d1c-8d2e-1f6f0a9b7e11")


def transfer_id(rule: RuleId, source: Account, target: Account, at: datetime, subject: str = "") -> TransferId:
    """Compute the id of a transfer from what it is, so that planning it twice is planning it once."""
    name = f"{rule}|{source.value}|{target.value}|{at.isoformat()}|{subject}"
    return TransferId(str(uuid.uuid5(_NAMESPACE, name)))


def attempt_id(first: TransferId, attempt: int) -> TransferId:
    """Give the id of the n-th attempt (from 1) at a transfer: an id that has FAILED is spent, and moves nothing ever.

    Raises ModelError beyond MAX_ATTEMPTS.
    """
    if not 1 <= attempt <= MAX_ATTEMPTS:
        raise ModelError(f"attempt {attempt} is outside 1-{MAX_ATTEMPTS}", where=f"transfer {first}", mend="give it up")
    return first if attempt == 1 else _moved_by(first, attempt - 1)


def possible_firsts(seen: str) -> tuple[TransferId, ...]:
    """List the transfers that a transfer id may be an attempt at, itself first; none for what is no UUID."""
    try:
        return tuple(_moved_by(TransferId(seen), -back) for back in range(MAX_ATTEMPTS))
    except ValueError:
        return ()


def _moved_by(identifier: TransferId, count: int) -> TransferId:
    """Count the last byte of a UUID on: unlike a hash, this can be undone."""
    number = uuid.UUID(identifier).int
    return TransferId(str(uuid.UUID(int=(number & ~0xFF) | ((number + count) & 0xFF))))


def split_capital(capital_usdt: Decimal, shares: Mapping[Account, Decimal]) -> Mapping[Account, Decimal]:
    """Divide the capital (CAP-1). The largest share takes the rest of the rounding, so the parts sum exactly.

    Raises UsageError when the shares do not sum to 1 within 1e-9.
    """
    total = sum(shares.values(), ZERO)
    if abs(total - ONE) > Decimal("1e-9") or any(share < ZERO for share in shares.values()):
        raise UsageError(f"the shares sum to {total}, not to 1", where="shares", mend="make them sum to 1")
    largest = max(shares, key=lambda account: shares[account])
    with exact_arithmetic():
        parts = {a: floor_to(capital_usdt * share, TRANSFER_STEP) for a, share in shares.items() if a is not largest}
        parts[largest] = capital_usdt - sum(parts.values(), ZERO)
    return {account: parts[account] for account in shares}


def plan_transfer(
    source: Account, target: Account, amount_usdt: Decimal, at: datetime, rule: RuleId, subject: str = ""
) -> TransferPlanned | None:
    """Plan a transfer of USDT, cut to the transfer step; None when nothing is left to move."""
    amount = floor_to(amount_usdt, TRANSFER_STEP)
    if amount <= ZERO:
        return None
    return TransferPlanned(at, transfer_id(rule, source, target, at, subject), source, target, USDT, amount, rule)


def tactical_profit(net_profit_usdt: Decimal, at: datetime, subject: str) -> TransferPlanned | None:
    """Plan the move of one profitable TACTICAL exit to CORE_HODL; `subject` names the exit (TACT-X1)."""
    return plan_transfer(Account.TACTICAL, Account.CORE_HODL, net_profit_usdt, at, _CAP_2, subject)


def funding_profit(amount_usdt: Decimal, at: datetime) -> TransferPlanned | None:
    """Plan the move of FUNDING's share to TACTICAL; its id is that of the month, whatever hour it is planned in."""
    month = at.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return plan_transfer(Account.FUNDING, Account.TACTICAL, amount_usdt, month, _CAP_2)


def completed(planned: TransferPlanned, at: datetime) -> Transferred:
    """Make the entry of a planned transfer that the exchange has executed."""
    return Transferred(
        at, planned.transfer_id, planned.source, planned.target, planned.coin, planned.amount, planned.rule
    )
