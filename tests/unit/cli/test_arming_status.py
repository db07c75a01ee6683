"""`eternal status` of live trading: whether it is armed, why not, and how much of the cap is used (RISK-13)."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from eternal_engine import clock
from eternal_engine.cli import run
from eternal_engine.cli.arming_status import arming_status
from eternal_engine.launch import arming
from eternal_engine.launch.arming import NEVER_ARMED, Facts, machine_id
from eternal_engine.launch.files import ARMING_FILE
from eternal_engine.model.event import DaemonStarted
from eternal_engine.storage.backup import read_database_id
from unit.cli.conftest import write_events


@pytest.fixture
def live_dir(state_dir: Path) -> Path:
    """Give the state directory of a daemon that runs in live mode with the configuration c0ffee."""
    at = datetime(2024, 1, 3, tzinfo=UTC)
    asyncio.run(write_events(state_dir / "eternal.db", [DaemonStarted(at, "0.1.0", "live", "c0ffee", "real")]))
    return state_dir


def arm(directory: Path, config_hash: str = "c0ffee", days: int = 9) -> None:
    facts = Facts({"trend": "1"}, config_hash, machine_id(), read_database_id(directory / "eternal.db"))
    now = clock.now() if days > 0 else clock.now() - timedelta(days=30)
    arming.save(directory / ARMING_FILE, arming.arm(facts, Decimal(4321), now, abs(days)))


def shown(directory: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    assert run(["status", "--state-dir", str(directory), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_risk_13_only_live_trading_speaks_of_its_arming(state_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(state_dir, capsys)["arming"] is None


def test_risk_13_an_arming_that_holds_says_cap_end_and_what_is_used(
    live_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arm(live_dir)
    found = shown(live_dir, capsys)
    assert (found["arming"]["armed"], found["arming"]["void_because"]) == (True, [])
    assert found["arming"]["cap_usdt"] == "4321"
    assert not [halt for halt in found["halts"] if halt["rule"] == "RISK-13"]
    assert run(["status", "--state-dir", str(live_dir)]) == 0
    assert "of at most 4,321.00" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("never", NEVER_ARMED),
        ("other configuration", "the configuration changed"),
        ("expired", "the arming expired"),
        ("open to others", "others can read or write it"),
    ],
)
def test_risk_13_an_arming_that_does_not_hold_is_named_among_what_keeps_entries_back(
    live_dir: Path, capsys: pytest.CaptureFixture[str], how: str, words: str
) -> None:
    if how != "never":
        arm(live_dir, "0ther" if how == "other configuration" else "c0ffee", days=-9 if how == "expired" else 9)
    if how == "open to others":
        (live_dir / ARMING_FILE).chmod(0o644)
    found = shown(live_dir, capsys)
    assert not found["arming"]["armed"]
    assert words in found["arming"]["void_because"][0]
    first = found["halts"][0]
    assert (first["who"], first["rule"], first["ends"]) == ("all engines", "RISK-13", "`eternal arm`")
    assert words in first["why"]


def test_risk_13_what_is_used_is_what_is_held_and_what_open_orders_may_add(tmp_path: Path) -> None:
    def order(**said: Any) -> dict[str, Any]:
        blank = {"qty": None, "amount_usdt": None, "filled_qty": "0", "filled_usdt": "0", "limit_price": None}
        return {**blank, "price_usdt": "100", "reduce_only": False, **said}

    held = [{"value_usdt": "1000.5"}, {"value_usdt": "20"}]
    orders = [
        order(amount_usdt="50", filled_usdt="10"),
        order(qty="2", filled_qty="0.5"),
        order(qty="1", limit_price="90"),
        order(qty="7", reduce_only=True),
    ]

    def used(positions: list[dict[str, Any]]) -> Any:
        return arming_status(tmp_path, "c0ffee", positions, orders, clock.now())["used_usdt"]

    assert Decimal(used(held)) == Decimal("1300.5")
    assert used([*held, {"value_usdt": None}]) is None  # U-6: unknown is not nothing
