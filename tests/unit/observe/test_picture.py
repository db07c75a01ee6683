"""What observers know: equity, results, breaker, plan, and a bounded list of what happened."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from builders import a_fill
from eternal_engine.model import event as ev
from eternal_engine.model.ids import Account, Coin, Engine, RecordId, RuleId, Symbol, TransferId
from eternal_engine.observe.picture import LINES_KEPT, PROBLEMS_KEPT, Picture, grown, plan_of
from observe_builders import a_memory

NIGHT = datetime(2024, 3, 4, 23, tzinfo=UTC)
HOUR = timedelta(hours=1)
USDT, RULE = Coin("USDT"), RuleId("CAP-2")


def deposit(amount: str, at: datetime = NIGHT, account: Account = Account.TREND) -> ev.Deposited:
    return ev.Deposited(at, RecordId(f"d{at}"), account, USDT, Decimal(amount), Decimal(amount), at)


def mark(equity: str | None, at: datetime, account: Account = Account.TREND) -> ev.EquityMarked:
    return ev.EquityMarked(at, account, None if equity is None else Decimal(equity), "" if equity else "no price")


def played(events: Sequence[ev.Event]) -> Picture:
    return grown(Picture(), events)


def test_the_result_counts_no_money_that_was_paid_in() -> None:
    found = played([deposit("1000"), mark("1010", NIGHT), deposit("500", NIGHT + HOUR), mark("1515", NIGHT + HOUR)])
    worth = found.worth(Account.TREND)
    assert (worth.equity_usdt, worth.pnl_usdt) == (Decimal(1515), Decimal(15))


def test_a_transfer_is_no_result_of_either_side_and_none_of_the_whole() -> None:
    moved = ev.Transferred(NIGHT, TransferId("t"), Account.TACTICAL, Account.CORE_HODL, USDT, Decimal(100), RULE)
    events = [deposit("1000", account=Account.TACTICAL), moved, mark("900", NIGHT, Account.TACTICAL)]
    found = played([*events, mark("100", NIGHT, Account.CORE_HODL)])
    assert [found.worth(side).pnl_usdt for side in (Account.TACTICAL, Account.CORE_HODL)] == [0, 0]
    assert found.total.equity_usdt == 1000


def test_a_day_begins_with_the_mark_that_closes_the_last_hour_before_it() -> None:
    marks = [mark("1000", NIGHT), mark("1020", NIGHT + HOUR), mark("1050", NIGHT + 2 * HOUR)]
    worth = played([deposit("1000"), *marks]).worth(Account.TREND)
    assert worth.today_usdt == 30
    assert worth.yesterday_usdt == 20


def test_u6_one_unknown_equity_makes_the_sum_unknown_and_says_why() -> None:
    found = played([mark("1000", NIGHT), mark(None, NIGHT, Account.FUNDING)])
    assert found.total.equity_usdt is None
    assert found.total.why_unknown == "no price"
    assert found.worth(Account.FUNDING).pnl_usdt is None


def test_lists_are_bounded_and_what_is_said_again_moves_to_the_end() -> None:
    fills = [ev.Filled(NIGHT, a_fill(f"e{n}", qty=str(n))) for n in range(1, 101)]
    errors = [ev.ErrorOccurred(NIGHT, f"error {n}", "here", "so") for n in range(100)]
    denied = ev.Reviewed(
        NIGHT, Engine.TREND, Symbol("BTCUSDT"), NIGHT, "denied", RuleId("RISK-8"), "", Decimal(1), Decimal(0)
    )
    found = played([*fills, *errors, denied, fills[0], denied])
    assert len(found.recent) == LINES_KEPT
    assert len(found.problems) == PROBLEMS_KEPT
    assert sum("denied" in line.text for line in found.recent) == 1
    assert found.problems[-1].text.startswith("error 99")
    assert (found.counts.fills, found.counts.problems) == (101, 100)


def test_fund_3_what_is_measured_of_every_pair_takes_no_row_of_the_view() -> None:
    measured = ev.Noted(NIGHT, RuleId("FUND-3"), "fu-1: one leg stood alone for 0.000 s, 0 USDT x s", Engine.FUNDING)
    told = ev.Noted(NIGHT, RuleId("TREND-X3"), "stop rests at 63000", Engine.TREND)
    assert [line.text for line in grown(Picture(), [measured, told]).recent] == [
        "TREND: stop rests at 63000 (TREND-X3)"
    ]


def test_the_plan_says_phase_week_and_due_time() -> None:
    plan = plan_of(Picture(memory=a_memory()))
    assert plan.core == "DEPLOYING, 3 of 12 weeks bought, next due Tue 2024-01-28 00:00".replace(
        "Tue 2024-01-28", f"{datetime(1970, 1, 1, tzinfo=UTC) + 474_000 * HOUR:%a %Y-%m-%d}"
    )
    assert plan.stops == {"ETHUSDT": Decimal("1900.5")}
    assert plan.high_usdt == 40_000


@pytest.mark.parametrize(("bits", "halted"), [(0, set()), (0b0010, {Engine.TREND}), (0b1111, set(Engine))])
def test_the_plan_names_the_engines_that_the_operator_halted(bits: int, halted: set[Engine]) -> None:
    assert plan_of(Picture(memory=a_memory(halted=bits))).halted == halted


def test_a_loss_limit_is_told_until_its_wait_is_over() -> None:
    risk = {"level": 0, "high_usdt": 0.0, "halted": False, "week_block_h": 0}
    until_h = int(NIGHT.timestamp()) // 3600 + 5
    core = json.loads(a_memory())["states"]["core"]
    document = a_memory(states={"core": core, "risk": {**risk, "day_block_h": until_h}})
    assert "until Tue 2024-03-05 04:00" in plan_of(Picture(memory=document, at=NIGHT)).blocked
    assert plan_of(Picture(memory=document, at=NIGHT + 5 * HOUR)).blocked == ""


def test_an_account_is_offline_until_it_is_connected_again() -> None:
    lost = ev.ConnectionLost(NIGHT, Account.TREND, NIGHT)
    assert played([lost]).disconnected == {Account.TREND}
    assert played([lost, ev.ConnectionRestored(NIGHT, Account.TREND, Decimal(31))]).disconnected == set()


def test_the_real_memory_of_the_daemon_can_be_read() -> None:
    engine_memory = pytest.importorskip("eternal_engine.engine.memory")
    from eternal_engine.bootstrap import params_of
    from eternal_engine.config import Settings

    document = engine_memory.write(engine_memory.fresh_memory(params_of(Settings()), Settings().symbols, 0))
    plan = plan_of(Picture(memory=document))
    assert plan.core == "NEW, first purchase due now"
    assert plan.level == 0
