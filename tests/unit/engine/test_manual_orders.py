"""Flattening and buying by hand: which orders come of it, and what is spared."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest

from builders import a_fill, an_intent
from command_builders import (
    NOW,
    a_command,
    a_context,
    a_memory,
    a_projection,
    after,
    at_level,
    audit_of,
    carried_out,
    with_states,
)
from core_builders import TWO
from eternal_engine.engine.commands import apply
from eternal_engine.engine.timing import hour_of, hour_start
from eternal_engine.engine.work import PlanOrder, Scene, command_ms, next_step
from eternal_engine.model import reason
from eternal_engine.model.event import Decided, Filled, OrderPlanned, Reviewed
from eternal_engine.model.ids import Account, Coin, CommandId, Engine, Leg, RuleId, Symbol, read_client_order_id
from eternal_engine.model.instrument import BYBIT_2025, Market, Side
from eternal_engine.portfolio.params import NO_INTENT
from eternal_engine.risk import breaker
from eternal_engine.storage.projection import Projection
from eternal_engine.strategies.base import CORE_HODL, FUNDING, PAIR, PERP, SELL, SPOT, TACTICAL, TREND

NOW_H = hour_of(NOW)
CONFIRMED = {"confirmation": "FLATTEN"}
SELL_CORE = {"engines": "core_hodl", "core_confirmation": "SELL CORE_HODL", **CONFIRMED}


def _held(*which: str) -> Projection:
    """Give a portfolio in which the named engines hold something."""
    perp = {"market": Market.PERP, "at": NOW}
    fills = {
        "core_hodl": [a_fill("c1", account=Account.CORE_HODL, qty="0.5", price="40000", at=NOW)],
        "trend": [a_fill("t1", account=Account.TREND, qty="0.1", price="45000", **perp)],
        "funding": [
            a_fill("f1", account=Account.FUNDING, symbol="ETHUSDT", qty="2", price="2400", at=NOW),
            a_fill("f2", account=Account.FUNDING, symbol="ETHUSDT", qty="2", price="2400", side=Side.SELL, **perp),
        ],
        "tactical": [a_fill("a1", account=Account.TACTICAL, qty="0.05", price="40000", at=NOW)],
    }
    return a_projection(*(Filled(NOW, fill) for name in which for fill in fills[name]))


ALL = _held("core_hodl", "trend", "funding", "tactical")


def test_brk_6_flatten_spares_core_hodl_unless_named_and_confirmed() -> None:
    outcome = carried_out("flatten", projection=ALL, **CONFIRMED)
    found = [(i.engine, i.symbol, i.market, i.side, i.reduces, i.qty_steps) for i in outcome.intents]
    assert found == [
        (TREND, 0, PERP, SELL, True, 100),
        (FUNDING, 1, PAIR, SELL, True, 200),
        (TACTICAL, 0, SPOT, SELL, True, 50_000),
    ]
    assert outcome.memory.pending == outcome.intents
    assert {i.reason for i in outcome.intents} == {reason.FLATTENED}
    core = carried_out("flatten", projection=ALL, **SELL_CORE)
    assert [(i.engine, i.market, i.side, i.qty_steps) for i in core.intents] == [(CORE_HODL, SPOT, SELL, 500_000)]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "type FLATTEN"),
        ({"confirmation": "yes"}, "type FLATTEN"),
        ({"engines": "core_hodl", **CONFIRMED}, "type SELL CORE_HODL"),
        ({"engines": "trend,core_hodl", "core_confirmation": "SELL", **CONFIRMED}, "type SELL CORE_HODL"),
    ],
)
def test_flatten_needs_its_words(arguments: dict[str, str], said: str) -> None:
    memory = a_memory()
    outcome = carried_out("flatten", memory, ALL, **arguments)
    assert not outcome.accepted
    assert said in outcome.answer
    assert (outcome.intents, outcome.memory is memory) == ((), True)


@pytest.mark.parametrize(("engines", "mask"), [("", 0b1110), ("funding", 0b0100)])
def test_flatten_halts_what_it_flattens_so_that_nothing_is_opened_again(engines: str, mask: int) -> None:
    outcome = carried_out("flatten", projection=ALL, engines=engines, **CONFIRMED)
    assert outcome.memory.halted == mask
    assert "eternal resume" in outcome.answer


def test_risk_0_flatten_passes_every_halt_and_level() -> None:
    memory = replace(at_level(a_memory(), breaker.EMERGENCY, halted=True), halted=0b1111, paused=frozenset(TWO))
    assert len(carried_out("flatten", memory, ALL, **CONFIRMED).intents) == 3


def test_flatten_of_nothing_says_so_and_ignores_dust() -> None:
    dust = a_projection(Filled(NOW, a_fill("d1", account=Account.TACTICAL, qty="0.000019", price="50000", at=NOW)))
    for projection in (a_projection(), dust):
        outcome = carried_out("flatten", projection=projection, **CONFIRMED)
        assert outcome.accepted
        assert outcome.intents == ()
        assert "nothing is held by trend, funding, tactical" in outcome.answer


def test_flatten_leaves_a_symbol_with_an_order_under_way_and_names_it() -> None:
    first = carried_out("flatten", projection=ALL, engines="trend", **CONFIRMED)
    second = apply(a_command("flatten", "k2", **CONFIRMED), first.memory, after(ALL, *first.events), a_context(ALL))
    assert [i.engine for i in second.intents] == [FUNDING, TACTICAL]
    assert "trend BTCUSDT: an order is under way" in second.answer


@pytest.mark.parametrize(("engine", "market", "symbol"), [(TREND, PERP, "BTCUSDT"), (FUNDING, PAIR, "ETHUSDT")])
def test_flatten_names_an_entry_that_has_not_filled_yet(engine: int, market: int, symbol: str) -> None:
    way = NO_INTENT._replace(engine=engine, symbol=TWO.index(symbol), market=market, qty_steps=100, decided_h=NOW_H)
    outcome = carried_out("flatten", replace(a_memory(), pending=(way,)), **CONFIRMED)
    assert f"{symbol}: an order is under way; flatten again when it is done" in outcome.answer
    assert "nothing is held" not in outcome.answer
    # What only shrinks leaves nothing to flatten.
    exits = carried_out("flatten", replace(a_memory(), pending=(way._replace(reduces=True),)), **CONFIRMED)
    assert "nothing is held" in exits.answer


def test_ord_1_a_second_flatten_in_the_same_hour_closes_what_the_first_left_under_ids_of_its_own() -> None:
    outcome = carried_out("flatten", projection=ALL, engines="trend,funding", **CONFIRMED)
    first = [_first_order(intent, ALL) for intent in outcome.intents]
    assert [order.key.leg for order in first] == [Leg.FLATTEN, Leg.SPOT_CLOSE]
    there = after(
        ALL, *(OrderPlanned(NOW, order.key.engine.account, order, Coin("BTC"), Coin("USDT")) for order in first)
    )
    left = replace(outcome.memory, pending=())
    again = apply(a_command("flatten", "k2", engines="trend,funding", **CONFIRMED), left, there, a_context(ALL))
    second = [_first_order(intent, there) for intent in again.intents]
    assert [order.key.leg for order in second] == [Leg.FLATTEN, Leg.SPOT_CLOSE]
    assert not {order.client_order_id for order in first} & {order.client_order_id for order in second}
    assert {hour_of(order.key.decided_at) for order in (*first, *second)} == {NOW_H}
    # The decision on record has the time that its orders' ids carry: `why` finds it by that.
    decided = {event.decided_at for event in again.events if isinstance(event, Decided | Reviewed)}
    assert decided == {order.key.decided_at for order in second}


def test_ord_1_a_command_whose_ids_are_taken_orders_nothing() -> None:
    outcome = carried_out("flatten", projection=ALL, engines="trend", **CONFIRMED)
    planned = _first_order(outcome.intents[0], ALL)
    there = after(ALL, OrderPlanned(NOW, Account.TREND, planned, Coin("BTC"), Coin("USDT")))
    again = carried_out("flatten", replace(outcome.memory, pending=()), there, engines="trend", **CONFIRMED)
    assert again.intents == ()
    assert "trend BTCUSDT: not closed; give the command again" in again.answer


def test_flatten_says_what_it_cannot_sell() -> None:
    small = a_projection(Filled(NOW, a_fill("d1", account=Account.TACTICAL, qty="0.00008", price="50000", at=NOW)))
    outcome = carried_out("flatten", projection=small, **CONFIRMED)
    assert outcome.intents == ()
    assert "tactical BTCUSDT: refused by RISK-10" in outcome.answer
    unknown = a_context(ALL, prices=(float("nan"), 2_500.0))
    outcome = apply(a_command("flatten", **CONFIRMED), a_memory(), ALL, unknown)
    assert "trend BTCUSDT: no price is known yet" in outcome.answer


def _first_order(intent, projection: Projection):
    account = tuple(Engine)[intent.engine].account
    name = Symbol(TWO[intent.symbol])
    rules = [BYBIT_2025.rules(name, market) for market in (Market.SPOT, Market.PERP)]
    scene = Scene(TWO, projection.orders, projection.books.of(account), *rules, Decimal("0.001"), late=False)
    step = next_step(intent, scene)
    assert isinstance(step, PlanOrder)
    return step.order


# CORE-13: manual purchases

TRIGGER = {"symbols": "BTCUSDT,ETHUSDT", "amount_usdt": "500"}


def test_core_13_a_trigger_without_execute_changes_nothing() -> None:
    memory = a_memory()
    outcome = carried_out("dca-trigger", memory, **TRIGGER)
    assert outcome.accepted
    assert outcome.answer.startswith("dry run")
    assert "BTCUSDT: 500" in outcome.answer
    assert "in all 1000" in outcome.answer
    assert outcome.memory is memory
    assert (outcome.intents, len(outcome.events)) == ((), 1)


def test_core_13_a_trigger_buys_the_amount_of_each_symbol_and_pays_the_plan() -> None:
    outcome = carried_out("dca-trigger", execute="yes", **TRIGGER)
    bought = [(i.engine, i.symbol, i.quote_steps, i.reduces, i.reason, i.plan_usdt) for i in outcome.intents]
    assert bought == [
        (CORE_HODL, 0, 5_000_000_000, False, reason.MANUAL, 500.0),
        (CORE_HODL, 1, 5_000_000_000, False, reason.MANUAL, 400.0),
    ]
    assert outcome.memory.pending == outcome.intents
    assert outcome.memory.states.core.due_h == a_memory().states.core.due_h


def test_core_13_a_manual_purchase_has_an_order_id_of_its_own() -> None:
    outcome = carried_out("dca-trigger", execute="yes", **TRIGGER)
    order = _first_order(outcome.intents[0], a_projection())
    assert (order.key.leg, order.amount_usdt, order.reason) == (Leg.MANUAL, Decimal(500), "CORE-13")
    asked = command_ms(audit_of(outcome).command_id)
    assert order.key.decided_at == hour_start(NOW_H) + timedelta(milliseconds=asked)
    assert read_client_order_id(order.client_order_id) is not None


def test_core_13_nothing_is_bought_twice_in_an_hour_or_beside_an_order_under_way() -> None:
    first = carried_out("dca-trigger", execute="yes", **TRIGGER)
    beside = carried_out("dca-trigger", first.memory, execute="yes", **TRIGGER)
    assert not beside.accepted
    assert "an order is under way" in beside.answer
    intent = an_intent(
        engine=Engine.CORE_HODL, leg=Leg.MANUAL, at=hour_start(NOW_H), market=Market.SPOT, qty=None, amount_usdt="500"
    )
    there = a_projection(OrderPlanned(NOW, Account.CORE_HODL, intent, Coin("BTC"), Coin("USDT")))
    again = carried_out("dca-trigger", None, there, execute="yes", **TRIGGER)
    assert [i.symbol for i in again.intents] == [1]
    assert "BTCUSDT: was bought by hand in this hour" in again.answer


@pytest.mark.parametrize("rule", ["RISK-13", "RISK-3"])
def test_risk_13_nothing_is_bought_by_hand_while_the_arming_is_void_or_the_line_down(rule: str) -> None:
    books, memory = a_projection(), a_memory()
    context = replace(a_context(books), halted=0b1111, halted_by=RuleId(rule))
    asked = a_command("dca-trigger", execute="yes", **TRIGGER)
    outcome = apply(asked, memory, books, context)
    assert (outcome.accepted, outcome.intents, outcome.memory) == (False, (), memory)
    assert f"refused by {rule} " in outcome.answer
    # What the operator has halted himself stays his.
    own = apply(asked, replace(memory, halted=0b0001), books, context)
    assert "refused by RISK-1 halted" in own.answer


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"halted": 0b0001}, "RISK-1"),
        ({"level": breaker.EMERGENCY}, "RISK-2"),
        ({"paused": frozenset(TWO)}, "ORD-7"),
    ],
)
def test_a_manual_purchase_passes_the_risk_manager_like_any_other(change: dict, rule: str) -> None:
    memory = a_memory()
    memory = at_level(memory, change["level"]) if "level" in change else replace(memory, **change)
    dry = carried_out("dca-trigger", memory, **TRIGGER)
    assert rule in dry.answer
    wet = carried_out("dca-trigger", memory, execute="yes", **TRIGGER)
    assert not wet.accepted
    assert wet.memory is memory
    assert rule in wet.answer


def test_risk_6_and_risk_10_cut_a_manual_purchase() -> None:
    large = carried_out("dca-trigger", execute="yes", symbols="BTCUSDT", amount_usdt="8000")
    assert large.intents[0].quote_steps * 1e-7 == pytest.approx(5_000.0)
    assert "cut by RISK-6" in large.answer
    poor = a_projection(capital={Account.CORE_HODL: 300, Account.TREND: 99_700})
    assert "cut by RISK-10" in carried_out("dca-trigger", None, poor, execute="yes", **TRIGGER).answer


@pytest.mark.parametrize(
    "arguments",
    [
        {"symbols": "", "amount_usdt": "500"},
        {"symbols": "BTCUSDT,BTCUSDT", "amount_usdt": "500"},
        {"symbols": "PEPEUSDT", "amount_usdt": "500"},
        {"symbols": "BTCUSDT", "amount_usdt": ""},
        {"symbols": "BTCUSDT", "amount_usdt": "-5"},
        {"symbols": "BTCUSDT", "amount_usdt": "0"},
        {"symbols": "BTCUSDT", "amount_usdt": "NaN"},
        {"symbols": "BTCUSDT", "amount_usdt": "much"},
    ],
)
def test_a_trigger_that_makes_no_sense_is_refused(arguments: dict[str, str]) -> None:
    assert not carried_out("dca-trigger", execute="yes", **arguments).accepted


def test_after_the_plan_a_manual_purchase_pays_no_plan() -> None:
    memory = a_memory()
    memory = with_states(memory, core=memory.states.core._replace(plan=np.zeros(2, np.int64)))
    outcome = carried_out("dca-trigger", memory, execute="yes", **TRIGGER)
    assert {i.plan_usdt for i in outcome.intents} == {0.0}


def test_the_journal_shows_what_was_asked_and_what_was_allowed() -> None:
    outcome = carried_out("dca-trigger", execute="yes", symbols="BTCUSDT", amount_usdt="8000")
    decided = [event for event in outcome.events if isinstance(event, Decided)]
    reviewed = [event for event in outcome.events if isinstance(event, Reviewed)]
    assert [(d.engine, d.decided_at, d.config_hash) for d in decided] == [
        (Engine.CORE_HODL, hour_start(NOW_H) + timedelta(milliseconds=command_ms(CommandId("k1"))), "c0ffee")
    ]
    assert json.loads(decided[0].inputs)["command_id"] == audit_of(outcome).command_id
    assert json.loads(decided[0].signals)[0]["reason"] == "CORE-13 manual purchase"
    found = [(r.symbol, r.verdict, r.rule, r.asked, r.allowed) for r in reviewed]
    assert found == [("BTCUSDT", "resized", "RISK-6", Decimal(8000), Decimal(5000))]


def test_flatten_journals_one_decision_per_engine_and_one_review_per_position() -> None:
    events = carried_out("flatten", projection=ALL, **CONFIRMED).events
    assert [e.engine for e in events if isinstance(e, Decided)] == [Engine.TREND, Engine.FUNDING, Engine.TACTICAL]
    reviews = [(e.engine, e.verdict, e.rule, e.allowed) for e in events if isinstance(e, Reviewed)]
    assert reviews == [
        (Engine.TREND, "approved", "RISK-0", Decimal("0.1")),
        (Engine.FUNDING, "approved", "RISK-0", Decimal(2)),
        (Engine.TACTICAL, "approved", "RISK-0", Decimal("0.05")),
    ]


def test_orders_of_an_engine_that_this_daemon_does_not_run_are_refused() -> None:
    context = replace(a_context(ALL), managed=(Engine.TREND,))
    assert [i.engine for i in apply(a_command("flatten", **CONFIRMED), a_memory(), ALL, context).intents] == [TREND]
    for verb, arguments in (("flatten", {"engines": "funding", **CONFIRMED}), ("dca-trigger", TRIGGER)):
        outcome = apply(a_command(verb, **arguments), a_memory(), ALL, context)
        assert not outcome.accepted
        assert "does not run" in outcome.answer
