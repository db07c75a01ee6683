"""Deposits, orphans and paused symbols: what the operator's judgement moves, and what it cannot."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from builders import a_fill
from command_builders import (
    HOUR,
    NOW,
    a_command,
    a_context,
    a_memory,
    a_projection,
    after,
    at_level,
    carried_out,
    with_states,
)
from core_builders import TWO, some_params
from eternal_engine.engine.commands import apply
from eternal_engine.engine.hour import ALL_HALTED, Decided, decide_hour
from eternal_engine.engine.memory import Memory
from eternal_engine.engine.timing import hour_of
from eternal_engine.engine.view import flowed_usdt
from eternal_engine.ledger.transfers import completed
from eternal_engine.model.event import Corrected, Deposited, Filled, Mismatch, TransferPlanned
from eternal_engine.model.ids import Account, Coin, RecordId, Symbol
from eternal_engine.model.instrument import Market, Side
from eternal_engine.portfolio.features import Moods, Settlements, features_of
from eternal_engine.portfolio.params import Params
from eternal_engine.risk import breaker
from eternal_engine.storage.projection import Projection
from eternal_engine.strategies.indicators import DailyBars

USDT = Coin("USDT")
BTC, ETH = Symbol("BTCUSDT"), Symbol("ETHUSDT")


def _deposited(amount: str = "10000.5") -> Projection:
    sum_ = Decimal(amount)
    return a_projection(Deposited(NOW, RecordId("dep"), Account.MASTER, USDT, sum_, sum_, NOW))


def _moves(outcome) -> dict[str, Decimal]:
    return {event.target.value: event.amount for event in outcome.events if isinstance(event, TransferPlanned)}


def test_cap_4_a_deposit_is_divided_by_the_shares() -> None:
    outcome = carried_out("assign", projection=_deposited(), to="shares")
    assert outcome.accepted
    assert _moves(outcome) == {
        "core_hodl": Decimal("6000.3"),
        "trend": Decimal("2000.1"),
        "funding": Decimal("1500.075"),
        "tactical": Decimal("500.025"),
    }
    assert {event.rule for event in outcome.events if isinstance(event, TransferPlanned)} == {"CAP-4"}


@pytest.mark.parametrize(("amount", "moved"), [("", Decimal("10000.5")), ("250", Decimal(250))])
def test_cap_4_a_deposit_goes_to_one_engine_wholly_or_in_part(amount: str, moved: Decimal) -> None:
    arguments = {"to": "core_hodl", **({"amount_usdt": amount} if amount else {})}
    outcome = carried_out("assign", projection=_deposited(), **arguments)
    assert _moves(outcome) == {"core_hodl": moved}


def test_cap_4_the_moved_money_keeps_the_total_and_is_not_assigned_twice() -> None:
    before = _deposited()
    outcome = carried_out("assign", projection=before, to="shares")
    planned = after(before, *outcome.events)
    again = apply(a_command("assign", "k2", to="trend"), a_memory(), planned, a_context(planned))
    assert not again.accepted
    assert "no deposit waits" in again.answer
    moved = after(planned, *(completed(plan, NOW) for plan in planned.pending_transfers.values()))
    assert moved.books.of(Account.MASTER).cash[USDT] == 0
    assert sum(book.cash_usdt for book in moved.books.all()) == Decimal("110000.5")
    assert moved.books.imbalance_usdt == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"to": "shares", "amount_usdt": "10000.51"}, "only 10000.5 USDT wait"),
        ({"to": "master"}, "can get no deposit"),
        ({}, "can get no deposit"),
        ({"to": "trend", "amount_usdt": "-1"}, "no amount of USDT"),
    ],
)
def test_cap_4_what_cannot_be_assigned_is_refused(arguments: dict[str, str], said: str) -> None:
    outcome = carried_out("assign", projection=_deposited(), **arguments)
    assert not outcome.accepted
    assert said in outcome.answer
    assert _moves(outcome) == {}


# ORD-7, D13: orphans and paused symbols


def _spot_orphan(account: Account = Account.TACTICAL, symbol: str = "BTCUSDT") -> Corrected:
    coin = Coin(symbol.removesuffix("USDT"))
    return Corrected(
        NOW,
        RecordId(f"orphan:{account.value}"),
        account,
        Symbol(symbol),
        coin,
        Market.SPOT,
        Decimal("0.5"),
        Decimal(40_000),
        Mismatch.ORPHAN_POSITION,
        unassigned=True,
    )


def _perp_orphan(account: Account = Account.TREND, qty: str = "0.1", symbol: str = "BTCUSDT") -> Corrected:
    found = _spot_orphan(account, symbol)
    return replace(
        found, correction_id=RecordId("perp"), market=Market.PERP, qty=Decimal(qty), price_usdt=Decimal(45_000)
    )


PAUSED = replace(a_memory(), paused=frozenset({"BTCUSDT", "ETHUSDT"}))


def test_ord_7_an_assigned_coin_moves_into_the_engines_book() -> None:
    before = a_projection(_spot_orphan())
    outcome = carried_out("review", PAUSED, before, symbol="btcusdt", action="assign")
    assert outcome.accepted
    assert outcome.memory.paused == frozenset({"ETHUSDT"})
    books = after(before, *outcome.events).books
    assert books.of(Account.TACTICAL, unassigned=True).spot == {}
    held = books.of(Account.TACTICAL).spot[BTC]
    assert (held.qty, held.cost_usdt) == (Decimal("0.5"), Decimal(20_000))
    assert books.imbalance_usdt == 0
    assert outcome.memory.states.tactical.first_buy_h[0] == hour_of(NOW)


def test_tact_x1_a_coin_assigned_beside_dust_is_held_since_it_was_found() -> None:
    dust = a_fill("x", account=Account.TACTICAL, qty="0.000009", price="40000", at=NOW)
    before = a_projection(Filled(NOW, dust), _spot_orphan())
    outcome = carried_out("review", PAUSED, before, symbol="btcusdt", action="assign")
    assert outcome.memory.states.tactical.first_buy_h[0] == hour_of(NOW)


def test_ord_7_an_orphan_that_was_paid_for_brings_its_cost_in_cash_along() -> None:
    fill = a_fill("x", account=Account.TACTICAL, qty="0.5", price="40000", fee="20", at=NOW)
    before = a_projection(Filled(NOW, fill, unassigned=True))
    outcome = carried_out("review", None, before, symbol="BTCUSDT", action="assign")
    books = after(before, *outcome.events).books
    assert books.of(Account.TACTICAL).cash_usdt == Decimal(5_000 - 20_000 - 20)
    assert books.of(Account.TACTICAL, unassigned=True).cash_usdt == 0
    assert books.imbalance_usdt == 0


@pytest.mark.parametrize("price", [50_000.0, 30_000.0])
@pytest.mark.parametrize("scope", [breaker.SCOPE_ACTIVE, breaker.SCOPE_PORTFOLIO])
def test_risk_4_what_an_assigned_orphan_brings_moves_the_high_and_is_neither_gain_nor_loss(
    price: float, scope: int
) -> None:
    params = some_params(TWO, ladder={"scope": scope})
    for orphans, extra in (
        ([_spot_orphan()], {}),
        ([_perp_orphan()], {"stop_usdt": "20000"}),
        ([_spot_orphan(Account.FUNDING), _perp_orphan(Account.FUNDING, "-0.5")], {}),
    ):
        before = a_projection(*orphans)
        context = a_context(before, params=params, prices=(price, 2_500.0))
        memory = replace(a_memory(params), cycle_h=hour_of(NOW), flowed_usdt=flowed_usdt(before.books))
        memory = at_level(memory, 0, day_base_usdt=38_000.0, week_base_usdt=42_000.0)
        memory = with_states(
            memory,
            risk=memory.states.risk._replace(
                high_usdt=50_000.0 if scope == breaker.SCOPE_ACTIVE else 125_000.0, day=hour_of(NOW) // 24
            ),
        )
        memory = replace(memory, portfolio_high_usdt=125_000.0)
        ask = a_command("review", symbol="BTCUSDT", action="assign", **extra)
        outcome = apply(ask, memory, before, context)
        assert outcome.accepted, outcome.answer
        found = _next_hour(params, outcome.memory, after(before, *outcome.events), price)
        calm = _next_hour(params, memory, before, price)
        for name in ("high_usdt", "day_base_usdt", "week_base_usdt"):
            wanted = getattr(calm.risk_before, name) / calm.scope_usdt
            assert getattr(found.risk_before, name) / found.scope_usdt == pytest.approx(wanted, rel=1e-9), name
        total, rest = (float(sum(part.equity[:4])) for part in (found, calm))
        assert found.memory.portfolio_high_usdt / total == pytest.approx(calm.memory.portfolio_high_usdt / rest)
        # The hour after knows all that has moved: nothing is counted twice.
        later = _next_hour(params, found.memory, after(before, *outcome.events), price)
        assert later.risk_before.high_usdt == pytest.approx(found.memory.states.risk.high_usdt)


def _next_hour(params: Params, memory: Memory, projection: Projection, price: float) -> Decided:
    """Decide the next hour without entries, at prices that stand still."""
    context = a_context(projection, params=params, now=NOW + HOUR, prices=(price, 2_500.0))
    now_h, nothing = hour_of(NOW) + 1, np.full((2, 30), np.nan)
    daily = DailyBars(nothing, nothing, nothing, nothing, np.zeros((2, 30), np.int64))
    none = Settlements(np.zeros(0, np.int64), np.zeros(0), np.zeros(0))
    features = features_of(params, daily, [none, none], Moods(np.zeros(0, np.int64), np.zeros(0)), now_h // 24 - 30)
    return decide_hour(
        params, features, memory, context.book, context.marks, np.zeros(2, np.int64), now_h,
        flowed_usdt(projection.books), halted=ALL_HALTED,
    )  # fmt: skip


def test_ord_7_an_orphan_without_a_price_cannot_be_assigned_because_nobody_knows_what_it_brings() -> None:
    before = a_projection(_spot_orphan())
    context = a_context(before, prices=(float("nan"), 2_500.0))
    outcome = apply(a_command("review", symbol="BTCUSDT", action="assign"), PAUSED, before, context)
    assert not outcome.accepted
    assert "no price" in outcome.answer


def test_ord_7_an_orphan_left_aside_stays_where_it_is_and_entries_go_on() -> None:
    before = a_projection(_spot_orphan())
    outcome = carried_out("review", PAUSED, before, symbol="BTCUSDT", action="ignore")
    assert outcome.accepted
    assert len(outcome.events) == 1
    assert outcome.memory.paused == frozenset({"ETHUSDT"})
    assert "stays unassigned" in outcome.answer


def test_ord_7_a_paused_symbol_without_an_orphan_takes_entries_again() -> None:
    outcome = carried_out("review", PAUSED, symbol="ETHUSDT")
    assert outcome.memory.paused == frozenset({"BTCUSDT"})
    assert outcome.answer == "ETHUSDT: entries go on"


@pytest.mark.parametrize(
    ("events", "arguments", "said"),
    [
        ((), {"symbol": "BTCUSDT"}, "waits for no review"),
        ((), {}, "waits for no review"),
        ((_spot_orphan(),), {"symbol": "BTCUSDT"}, "belongs to nobody"),
        ((_spot_orphan(),), {"symbol": "BTCUSDT", "action": "sell"}, "unknown action"),
        ((_spot_orphan(),), {"symbol": "BTCUSDT", "account": "mine"}, "no account mine"),
        ((_spot_orphan(), _perp_orphan()), {"symbol": "BTCUSDT", "action": "ignore"}, "say which with --account"),
        ((_spot_orphan(Account.TREND),), {"symbol": "BTCUSDT", "action": "assign"}, "no position that the rules"),
        ((_spot_orphan(Account.FUNDING),), {"symbol": "BTCUSDT", "action": "assign"}, "no position that the rules"),
        ((_perp_orphan(Account.CORE_HODL),), {"symbol": "BTCUSDT", "action": "assign"}, "no position that the rules"),
        (
            (_spot_orphan(Account.TACTICAL, "PEPEUSDT"),),
            {"symbol": "PEPEUSDT", "action": "assign"},
            "is not traded here",
        ),
    ],
)
def test_ord_7_what_cannot_be_judged_so_is_refused(events, arguments: dict[str, str], said: str) -> None:
    memory = a_memory()
    outcome = carried_out("review", memory, a_projection(*events), **arguments)
    assert not outcome.accepted
    assert said in outcome.answer
    assert outcome.memory is memory


def test_ord_7_trend_takes_a_perp_over_with_the_operators_stop() -> None:
    before = a_projection(_perp_orphan())
    outcome = carried_out("review", None, before, symbol="BTCUSDT", action="assign", stop_usdt="46000.07")
    assert outcome.accepted
    state = outcome.memory.states.trend
    assert (state.side[0], state.entry[0], state.base_qty[0]) == (1, 45_000.0, 0.1)
    assert state.stop[0] == pytest.approx(46_000.0)
    assert state.atr[0] == pytest.approx(2_000.0)
    assert after(before, *outcome.events).books.of(Account.TREND).perp[BTC].qty == Decimal("0.1")


@pytest.mark.parametrize(
    ("qty", "stop", "said"),
    [
        ("0.1", "", "needs a stop below the price"),
        ("0.1", "50000", "needs a stop below the price"),
        ("0.1", "51000", "needs a stop below the price"),
        ("-0.1", "51000", "no shorts"),
    ],
)
def test_ord_7_trend_takes_no_perp_over_that_it_could_not_protect(qty: str, stop: str, said: str) -> None:
    arguments = {"symbol": "BTCUSDT", "action": "assign", **({"stop_usdt": stop} if stop else {})}
    outcome = carried_out("review", None, a_projection(_perp_orphan(qty=qty)), **arguments)
    assert not outcome.accepted
    assert said in outcome.answer


def test_ord_7_trend_takes_no_second_position_of_a_symbol_over() -> None:
    own = a_fill("t1", account=Account.TREND, qty="0.1", market=Market.PERP, at=NOW)
    before = a_projection(Filled(NOW, own), _perp_orphan())
    outcome = carried_out("review", None, before, symbol="BTCUSDT", action="assign", stop_usdt="46000")
    assert not outcome.accepted


def test_ord_7_funding_takes_a_whole_pair_over_and_no_single_leg() -> None:
    spot = replace(_spot_orphan(Account.FUNDING), qty=Decimal("0.1"))
    short = _perp_orphan(Account.FUNDING, "-0.1")
    both = a_projection(spot, short)
    outcome = carried_out("review", None, both, symbol="BTCUSDT", action="assign")
    assert outcome.accepted
    assert outcome.memory.states.funding.opened_h[0] == hour_of(NOW)
    books = after(both, *outcome.events).books
    own = books.of(Account.FUNDING)
    assert (own.spot[BTC].qty, own.perp[BTC].qty) == (Decimal("0.1"), Decimal("-0.1"))
    assert books.imbalance_usdt == 0
    for wrong in ((short,), (spot, replace(short, qty=Decimal("0.1")))):
        assert not carried_out("review", None, a_projection(*wrong), symbol="BTCUSDT", action="assign").accepted


def test_ord_7_core_hodl_keeps_coins_found_in_its_account_without_a_change_of_plan() -> None:
    before = a_projection(_spot_orphan(Account.CORE_HODL))
    memory = a_memory()
    outcome = carried_out("review", memory, before, symbol="BTCUSDT", action="assign")
    assert outcome.accepted
    assert outcome.memory.states.core is memory.states.core
    assert after(before, *outcome.events).books.of(Account.CORE_HODL).spot[BTC].qty == Decimal("0.5")


def test_ord_7_a_sold_orphan_of_one_symbol_leaves_the_others_cash_alone() -> None:
    fills = [
        a_fill("x", account=Account.TACTICAL, qty="0.5", price="40000", at=NOW),
        a_fill("y", account=Account.TACTICAL, symbol="ETHUSDT", qty="1", price="2000", side=Side.BUY, at=NOW),
    ]
    before = a_projection(*(Filled(NOW, fill, unassigned=True) for fill in fills))
    outcome = carried_out("review", None, before, symbol="BTCUSDT", action="assign")
    books = after(before, *outcome.events).books
    assert books.of(Account.TACTICAL, unassigned=True).cash_usdt == Decimal(-22_000)
    assert set(books.of(Account.TACTICAL, unassigned=True).spot) == {ETH}
