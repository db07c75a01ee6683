"""The first division and the profits that move."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eternal_engine.ledger.books import Books
from eternal_engine.ledger.equity import Prices, mark_accounts
from eternal_engine.ledger.transfers import (
    MAX_ATTEMPTS,
    attempt_id,
    completed,
    funding_profit,
    plan_transfer,
    possible_firsts,
    split_capital,
    tactical_profit,
    transfer_id,
)
from eternal_engine.model.errors import ModelError, UsageError
from eternal_engine.model.event import Deposited
from eternal_engine.model.ids import Account, Coin, RecordId, RuleId, TransferId

D = Decimal
AT = datetime(2024, 2, 1, tzinfo=UTC)
SHARES = {
    Account.CORE_HODL: D("0.60"),
    Account.TREND: D("0.20"),
    Account.FUNDING: D("0.15"),
    Account.TACTICAL: D("0.05"),
}


def test_cap1_the_shares_sum_to_the_capital_exactly() -> None:
    assert split_capital(D(100_000), SHARES) == {
        Account.CORE_HODL: 60_000,
        Account.TREND: 20_000,
        Account.FUNDING: 15_000,
        Account.TACTICAL: 5_000,
    }
    odd = split_capital(D("163865.123456789"), SHARES)
    assert sum(odd.values()) == D("163865.123456789")
    assert odd[Account.TACTICAL] == D("8193.25617283")
    assert list(odd) == list(SHARES)


def test_cap1_a_third_each_leaves_the_rest_with_the_largest() -> None:
    parts = split_capital(D(1), {Account.TREND: D("0.3333333333"), Account.FUNDING: D("0.6666666667")})
    assert parts == {Account.TREND: D("0.33333333"), Account.FUNDING: D("0.66666667")}


@pytest.mark.parametrize(
    "shares",
    [
        {Account.TREND: D("0.999999998")},
        {Account.TREND: D("1.000000002")},
        {Account.TREND: D("1.5"), Account.FUNDING: D("-0.5")},
    ],
)
def test_cap1_shares_that_do_not_sum_to_one_are_refused(shares: dict[Account, Decimal]) -> None:
    with pytest.raises(UsageError) as caught:
        split_capital(D(1), shares)
    total = sum(shares.values())
    assert str(caught.value) == f"the shares sum to {total}, not to 1 (at shares); to mend: make them sum to 1"


def test_cap1_an_engine_may_have_nothing() -> None:
    assert split_capital(D(7), {Account.TREND: D(1), Account.FUNDING: D(0)}) == {Account.TREND: 7, Account.FUNDING: 0}


def test_cap1_shares_may_miss_one_by_1e_9() -> None:
    assert split_capital(D(1), {Account.TREND: D("0.999999999")}) == {Account.TREND: 1}


def test_i9_tacticals_profit_moves_and_keeps_total_equity() -> None:
    deposit = Deposited(AT, RecordId("d1"), Account.TACTICAL, Coin("USDT"), D(5_000), D(5_000), AT)
    books = Books().apply(deposit).books
    before = mark_accounts(books, Prices()).total_usdt
    planned = tactical_profit(D("1234.567890125"), AT, "BTCUSDT")
    assert planned is not None
    assert (planned.source, planned.target, planned.rule) == (Account.TACTICAL, Account.CORE_HODL, "CAP-2")
    assert planned.at == AT
    assert (planned.amount, planned.coin) == (D("1234.56789012"), "USDT")
    moved = completed(planned, AT + timedelta(seconds=5))
    after = books.apply(moved).books
    assert (moved.at, moved.transfer_id, moved.rule) == (AT + timedelta(seconds=5), planned.transfer_id, "CAP-2")
    assert mark_accounts(after, Prices()).total_usdt == before
    assert after.of(Account.CORE_HODL).cash_usdt == D("1234.56789012")
    assert after.imbalance_usdt == 0


def test_cap2_funding_pays_to_tactical() -> None:
    planned = funding_profit(D(30), AT)
    assert planned is not None
    assert (planned.source, planned.target, planned.amount, planned.rule) == (
        Account.FUNDING, Account.TACTICAL, 30, "CAP-2",
    )  # fmt: skip


@pytest.mark.parametrize("amount", ["0", "-5", "0.000000009"])
def test_cap2_nothing_to_move_is_no_transfer(amount: str) -> None:
    assert plan_transfer(Account.FUNDING, Account.TACTICAL, D(amount), AT, RuleId("CAP-2")) is None


def test_cap2_the_smallest_step_is_moved() -> None:
    planned = plan_transfer(Account.FUNDING, Account.TACTICAL, D("0.00000001"), AT, RuleId("CAP-2"))
    assert planned is not None
    assert planned.amount == D("0.00000001")


def test_cap2_planning_a_transfer_twice_is_planning_it_once() -> None:
    one = transfer_id(RuleId("CAP-2"), Account.TACTICAL, Account.CORE_HODL, AT, "BTCUSDT")
    assert one == transfer_id(RuleId("CAP-2"), Account.TACTICAL, Account.CORE_HODL, AT, "BTCUSDT")
    others = {
        transfer_id(RuleId("CAP-1"), Account.TACTICAL, Account.CORE_HODL, AT, "BTCUSDT"),
        transfer_id(RuleId("CAP-2"), Account.FUNDING, Account.CORE_HODL, AT, "BTCUSDT"),
        transfer_id(RuleId("CAP-2"), Account.TACTICAL, Account.TREND, AT, "BTCUSDT"),
        transfer_id(RuleId("CAP-2"), Account.TACTICAL, Account.CORE_HODL, AT + timedelta(days=1), "BTCUSDT"),
        transfer_id(RuleId("CAP-2"), Account.TACTICAL, Account.CORE_HODL, AT, "ETHUSDT"),
        transfer_id(RuleId("CAP-2"), Account.TACTICAL, Account.CORE_HODL, AT),
    }
    assert len(others | {one}) == 7
    assert uuid.UUID(one).version == 5
    # A restarted or newer daemon must compute the same ids: the exchange refuses a second transfer under one id.
    assert one == "ebf11827-feae-53d6-aafc-41176f1df406"
    bare = transfer_id(RuleId("CAP-2"), Account.TACTICAL, Account.CORE_HODL, AT)
    assert bare == "7e33ba6c-0cc8-5cc4-a73a-db504bec0693"
    unnamed = plan_transfer(Account.TACTICAL, Account.CORE_HODL, D(1), AT, RuleId("CAP-2"))
    assert unnamed is not None
    assert unnamed.transfer_id == bare
    planned = tactical_profit(D(1), AT, "BTCUSDT")
    assert planned is not None
    assert planned.transfer_id == one


def test_cap2_fundings_share_moves_once_a_month_whatever_hour_it_is_planned_in() -> None:
    plans = [
        funding_profit(D(30 + n), datetime(2024, 3, *parts, tzinfo=UTC))
        for n, parts in enumerate(((1, 0), (1, 0, 0, 0, 1), (2, 5, 59, 59, 999_999), (31, 23, 59)))
    ]
    first = datetime(2024, 3, 1, tzinfo=UTC)
    assert {plan and (plan.at, plan.transfer_id, plan.source, plan.target) for plan in plans} == {
        (
            first,
            transfer_id(RuleId("CAP-2"), Account.FUNDING, Account.TACTICAL, first),
            Account.FUNDING,
            Account.TACTICAL,
        )
    }
    april = funding_profit(D(30), datetime(2024, 4, 1, tzinfo=UTC))
    assert april is not None
    assert april.transfer_id not in {plan and plan.transfer_id for plan in plans}


@given(st.uuids(), st.integers(1, MAX_ATTEMPTS))
def test_cap2_an_attempt_names_the_transfer_it_is_an_attempt_at(first: uuid.UUID, attempt: int) -> None:
    identifier = attempt_id(TransferId(str(first)), attempt)
    assert TransferId(str(first)) in possible_firsts(identifier)
    assert (identifier == str(first)) == (attempt == 1)
    assert possible_firsts("tx-1") == ()


def test_cap2_attempts_count_the_last_byte_on_and_no_other() -> None:
    first = TransferId("12345678-9abc-4def-8123-4567890abcfe")
    ends = [attempt_id(first, attempt)[-4:] for attempt in range(1, MAX_ATTEMPTS + 1)]
    assert ends == ["bcfe", "bcff", "bc00", "bc01", "bc02"]


def test_cap2_the_first_attempt_goes_under_the_id_as_it_was_written() -> None:
    for written in ("tx-1", "12345678-9ABC-4DEF-8123-4567890ABCFE"):
        assert attempt_id(TransferId(written), 1) == written


@pytest.mark.parametrize("attempt", [0, MAX_ATTEMPTS + 1])
def test_cap2_an_attempt_beyond_the_last_is_refused(attempt: int) -> None:
    with pytest.raises(ModelError) as caught:
        attempt_id(TransferId("12345678-9abc-4def-8123-4567890abcfe"), attempt)
    assert caught.value.message == f"attempt {attempt} is outside 1-{MAX_ATTEMPTS}"
    assert caught.value.where == "transfer 12345678-9abc-4def-8123-4567890abcfe"
    assert caught.value.mend == "give it up"
