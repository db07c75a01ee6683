"""A backup of last month comes back after FUNDING's share has moved: booked once, moved once (CAP-2)."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from core_builders import TWO, some_params
from eternal_engine.engine.lost_share import after_shares, month_start
from eternal_engine.engine.memory import fresh_memory
from eternal_engine.engine.timing import hour_of
from eternal_engine.ledger.transfers import attempt_id, completed, funding_profit
from eternal_engine.model.errors import UnknownOutcome
from eternal_engine.model.event import Deposited, TransferPlanned, Transferred
from eternal_engine.model.ids import Account
from eternal_engine.portfolio.flows import FlowState, month_of
from reconcile_bench import Bench

FUNDING, TACTICAL, MASTER = Account.FUNDING, Account.TACTICAL, Account.MASTER


def a_share(bench: Bench, usdt: str = "400.5") -> TransferPlanned:
    plan = funding_profit(Decimal(usdt), bench.now)
    assert plan is not None
    return plan


async def moved(bench: Bench, identifier: str, amount: Decimal) -> str:
    uids = (str(bench.uids[FUNDING]), str(bench.uids[TACTICAL]))
    return await bench.client(MASTER).transfer(identifier, "USDT", amount, *uids)


@pytest.mark.parametrize("attempt", [1, 3])
@pytest.mark.parametrize("order", [(FUNDING, TACTICAL), (TACTICAL, FUNDING)])
@pytest.mark.parametrize("later_h", [0, 24 * 20])
async def test_cap_2_a_restored_journal_knows_its_own_share_at_the_exchange(
    attempt: int, order: tuple[Account, Account], later_h: int
) -> None:
    bench = Bench.make()
    await bench.open()
    plan = a_share(bench)
    bench.pass_time(hours=later_h)
    await moved(bench, attempt_id(plan.transfer_id, attempt), plan.amount)
    for account in (*order, *order):
        await bench.reconcile(account)
        assert bench.differences(account) == {}
    (booked,) = [event for event in bench.journal if isinstance(event, Transferred)]
    assert (booked.transfer_id, booked.source, booked.target) == (plan.transfer_id, FUNDING, TACTICAL)
    assert (booked.amount, booked.rule) == (plan.amount, "CAP-2")
    assert not any(isinstance(event, Deposited) and event.amount != 100_000 for event in bench.journal)
    # Planned again with another sum, it is the same transfer, and neither kept nor moved.
    again = funding_profit(Decimal(555), plan.at + timedelta(hours=3))
    assert again is not None
    bench.write([again])
    assert not bench.projection.pending_transfers


async def test_cap_2_the_exchange_moves_no_share_twice() -> None:
    bench = Bench.make()
    plan = a_share(bench)
    await moved(bench, plan.transfer_id, plan.amount)
    bench.pass_time(hours=7)
    again = a_share(bench, "555")
    assert again.transfer_id == plan.transfer_id
    with pytest.raises(UnknownOutcome, match="exists"):
        await moved(bench, again.transfer_id, again.amount)


async def test_cap_2_a_transfer_between_others_is_none_of_ours() -> None:
    bench = Bench.make()
    await bench.open()
    plan = a_share(bench)
    uids = (str(bench.uids[TACTICAL]), str(bench.uids[FUNDING]))
    await bench.client(MASTER).transfer(plan.transfer_id, "USDT", plan.amount, *uids)
    for account in (FUNDING, TACTICAL):
        await bench.reconcile(account)
        assert bench.differences(account) == {}
    assert not any(isinstance(event, Transferred) for event in bench.journal)


def test_cap_2_a_share_found_ends_its_month_and_raises_the_peak_once() -> None:
    month = 12 * 2024 + 1
    at = month_start(month) + timedelta(days=9)
    memory = fresh_memory(some_params(TWO), TWO, month - 1)
    plan = funding_profit(Decimal(400), at)
    assert plan is not None
    once = after_shares(memory, [completed(plan, at)], 0.5)
    assert once.flows == FlowState(800.0, month)
    # Counted when it was planned, or a moment ago: not again.
    assert after_shares(once, [completed(plan, at)], 0.5).flows == once.flows
    assert month_of(hour_of(month_start(month))) == month
    other = funding_profit(Decimal(400), at + timedelta(days=60))
    assert other is not None
    assert after_shares(memory, [completed(other, at)], 0.5) is memory


async def test_cap_2_a_share_that_the_exchange_lists_under_another_id_is_corrected_on_record() -> None:
    bench = Bench.make()
    await bench.open()
    plan = a_share(bench)
    await moved(bench, "5b1d8a5e-6f3c-4c39-8a5e-2b8f7f0f4a11", plan.amount)
    for account in (FUNDING, TACTICAL):
        await bench.reconcile(account)
    # The month's turn plans it again; the exchange knows the id, and says that it has succeeded.
    bench.write([plan, completed(plan, bench.now)])
    assert bench.differences(FUNDING) == {"USDT": plan.amount}
    for account in (FUNDING, TACTICAL):
        found = await bench.reconcile(account)
        assert [abs(row.qty) for row in found.corrections] == [plan.amount]
        assert bench.differences(account) == {}
