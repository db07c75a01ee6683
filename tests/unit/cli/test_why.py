"""`eternal why` and `eternal dca status`: from an order back to what its engine saw."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from builders import a_fill, an_intent
from eternal_engine.cli import run
from eternal_engine.cli.why import _wanted
from eternal_engine.model.event import (
    CommandApplied,
    Decided,
    Event,
    Filled,
    Noted,
    OrderMoved,
    OrderPlanned,
    Reviewed,
)
from eternal_engine.model.ids import Account, Coin, CommandId, Engine, Leg, RuleId, Symbol
from eternal_engine.model.instrument import Market, Side
from eternal_engine.model.order import Trigger
from eternal_engine.storage.store import Store
from unit.cli.conftest import START, write_events

AT = START + timedelta(hours=5)
INPUTS = {"breaker_level": 0, "equity_usdt": 20000.0, "symbols": {"ETHUSDT": {"close": 2090.5, "adx": 31.25}}}
SIGNALS = [{"symbol": "ETHUSDT", "side": "buy", "reason": "TREND-E1 trend entry", "price_usdt": 2090.5}]


def a_decided_order(at: Any = AT, leg: Leg = Leg.ENTRY, inputs: object = INPUTS) -> list[Event]:
    intent = an_intent(symbol="ETHUSDT", at=at, leg=leg)
    return [
        Decided(at, Engine.TREND, at, json.dumps(inputs), json.dumps(SIGNALS), "abc123"),
        Reviewed(at, Engine.TREND, Symbol("BTCUSDT"), at, "denied", RuleId("RISK-8"), "slot", Decimal(0), Decimal(0)),
        Reviewed(at, Engine.TREND, Symbol("ETHUSDT"), at, "resized", RuleId("RISK-6"), "cut", Decimal(2), Decimal(1)),
        OrderPlanned(at, Account.TREND, intent, Coin("ETH"), Coin("USDT")),
        OrderMoved(at, intent.client_order_id, Trigger.SEND),
        OrderMoved(at, intent.client_order_id, Trigger.REJECT, None, 110007, "not enough money"),
    ]  # fmt: skip


def explained(capsys: pytest.CaptureFixture[str], state_dir: Path, order: str) -> Any:
    assert run(["why", order, "--state-dir", str(state_dir), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_why_shows_inputs_rules_verdict_configuration_and_timeline(
    state_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(write_events(state_dir / "eternal.db", a_decided_order()))
    order = "tr-2401010500-ETHUSDT-in-1"
    found = explained(capsys, state_dir, order)
    assert set(found) == {
        "order", "reason", "decision", "reviews", "command", "config_hash", "timeline", "same_decision",
    }  # fmt: skip
    assert found["config_hash"] == "abc123"
    assert found["decision"]["symbol_inputs"] == {"close": 2090.5, "adx": 31.25}
    assert found["decision"]["signals"] == SIGNALS
    assert [(r["verdict"], r["rule"]) for r in found["reviews"]] == [("resized", "RISK-6")]
    kinds = [step["kind"] for step in found["timeline"]]
    assert kinds == ["Decided", "Reviewed", "OrderPlanned", "OrderMoved", "OrderMoved"]
    assert "REJECTED: not enough money (code 110007)" in found["timeline"][-1]["what"]
    assert run(["why", order, "--state-dir", str(state_dir)]) == 0
    out = " ".join(capsys.readouterr().out.split())
    for words in ("TREND-E1 trend entry", "RISK-6", "31.25", "abc123", "not enough money"):
        assert words in out


def test_why_takes_the_exchanges_id_too_and_names_the_other_orders_of_the_decision(
    state_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    second = replace(an_intent(at=START), key=an_intent(at=START).key.again())
    again: list[Event] = [OrderPlanned(START, Account.TREND, second, Coin("BTC"), Coin("USDT"))]
    asyncio.run(write_events(state_dir / "eternal.db", again))
    found = explained(capsys, state_dir, "v1")
    assert found["order"]["client_order_id"] == "tr-2401010000-BTCUSDT-in-1"
    assert found["same_decision"] == ["tr-2401010000-BTCUSDT-in-2"]
    assert [step["kind"] for step in found["timeline"]].count("Filled") == 2


def test_fund_3_why_says_how_long_one_leg_of_a_pair_stood_alone(
    state_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "0.412 s, 820 USDT x s"
    about = Noted(AT, RuleId("FUND-3"), f"tr-2401010500-ETHUSDT: one leg stood alone for {words}", Engine.FUNDING)
    other = Noted(AT, RuleId("FUND-3"), "tr-2401010600-ETHUSDT: one leg stood alone for 9 s", Engine.FUNDING)
    asyncio.run(write_events(state_dir / "eternal.db", [*a_decided_order(), about, other]))
    found = explained(capsys, state_dir, "tr-2401010500-ETHUSDT-in-1")
    assert [step["what"] for step in found["timeline"] if step["kind"] == "Noted"] == [
        f"FUNDING: tr-2401010500-ETHUSDT: one leg stood alone for {words} (FUND-3)"
    ]


def test_why_names_the_command_behind_an_order_by_hand(state_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = CommandApplied(AT, CommandId("c7"), "flatten", '{"engines":"trend"}', "closing", accepted=True)
    asked = {"command": "flatten", "command_id": "c7"}
    events = [command, *a_decided_order(leg=Leg.FLATTEN, inputs=asked)]
    asyncio.run(write_events(state_dir / "eternal.db", events))
    found = explained(capsys, state_dir, "tr-2401010500-ETHUSDT-flat-1")
    assert found["command"]["verb"] == "flatten"
    assert run(["why", "tr-2401010500-ETHUSDT-flat-1", "--state-dir", str(state_dir)]) == 0
    assert "the operator: flatten" in capsys.readouterr().out


def test_why_takes_the_decision_that_came_before_the_order(state_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = {"command": "flatten", "command_id": "c7"}
    by_hand = a_decided_order(leg=Leg.FLATTEN, inputs=asked)
    asyncio.run(write_events(state_dir / "eternal.db", [*a_decided_order(), *by_hand]))
    found = explained(capsys, state_dir, "tr-2401010500-ETHUSDT-in-1")
    assert found["decision"]["all_inputs"] == INPUTS
    assert explained(capsys, state_dir, "tr-2401010500-ETHUSDT-flat-1")["decision"]["all_inputs"] == asked


def test_why_looks_into_archived_segments(state_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def archived() -> None:
        store = await Store.open(state_dir / "eternal.db")
        await store.append(*a_decided_order())
        await store.archive(state_dir / "archive", AT)
        await store.close()

    asyncio.run(archived())
    order = "tr-2401010500-ETHUSDT-in-1"
    assert explained(capsys, state_dir, order)["decision"]["symbol_inputs"]["adx"] == 31.25
    (state_dir / "archive").rename(state_dir / "gone")
    assert explained(capsys, state_dir, order)["decision"] is None
    assert run(["why", order, "--state-dir", str(state_dir)]) == 0
    assert "--segments" in capsys.readouterr().out


def test_trend_x3_why_explains_a_stop_that_the_exchange_filled_by_itself(
    state_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    resting = Noted(START, RuleId("TREND-X3"), "stop rests at 63000.5", Engine.TREND, Symbol("BTCUSDT"))
    stopped = a_fill("s1", market=Market.PERP, side=Side.SELL, qty="0.7", price="63000", at=AT)
    asyncio.run(write_events(state_dir / "eternal.db", [resting, Filled(AT, stopped)]))
    found = explained(capsys, state_dir, "s1")
    assert set(found) == {"fill", "cause", "entry", "timeline"}
    assert (found["cause"], found["entry"]) == ("protective stop", "tr-2401010000-BTCUSDT-in-1")
    assert [step["kind"] for step in found["timeline"]] == ["Noted", "Filled"]
    assert run(["why", "s1", "--state-dir", str(state_dir)]) == 0
    assert "stop rests at 63000.5" in capsys.readouterr().out
    assert explained(capsys, state_dir, "x1")["cause"] == "not ours"


def test_why_of_no_order_names_the_mend(state_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["why", "nothing", "--state-dir", str(state_dir)]) == 2
    assert "eternal orders" in capsys.readouterr().err


def test_dca_status_says_each_coins_part_of_the_plan(state_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["dca", "status", "--state-dir", str(state_dir), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["phase"], found["weeks_done"], found["weeks"]) == ("DEPLOYING", 5, 12)
    first = found["coins"][0]
    assert (first["symbol"], first["gap_usdt"], first["spent_usdt"]) == ("BTCUSDT", "1000.5", "500.25")
    assert set(first) == {
        "symbol", "weight", "plan", "gap_usdt", "spent_usdt", "carry_usdt", "own_weeks", "held_back_until",
    }  # fmt: skip
    assert len(found["coins"]) == 10
    assert run(["dca", "status", "--state-dir", str(state_dir)]) == 0
    assert "week 5 of 12 done" in capsys.readouterr().out


def test_what_a_signal_wanted_is_said_in_words_without_steps_and_blanks() -> None:
    signal = {"symbol": "BTCUSDT", "qty_steps": 0, "quote_steps": 250000622, "resized_by": "", "price_usdt": 1.5}
    assert _wanted(signal) == [("symbol", "BTCUSDT"), ("price_usdt", "1.5")]
