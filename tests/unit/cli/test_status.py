"""`eternal status`, `positions`, `orders`, `fills`: the golden keys, beside a writer, and fast (K4)."""

from __future__ import annotations

import asyncio
import json
import resource
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from eternal_engine.cli import remembered, run
from eternal_engine.engine import memory
from eternal_engine.market_data.bar_store import BarStore, HourBar
from eternal_engine.model.event import (
    CommandApplied,
    ConfigChanged,
    DaemonStarted,
    EquityMarked,
    ErrorOccurred,
    Event,
    Noted,
)
from eternal_engine.model.ids import Account, CommandId, Engine, RuleId
from eternal_engine.storage.store import Store
from eternal_engine.strategies import core_hodl
from unit.cli.conftest import START_H, a_life, one_event_later, with_risk, write_events

STATUS_KEYS = {
    "state_dir", "mode", "market", "synthetic", "version", "config_hash", "config_is_the_running_one", "config_problem",
    "last_cycle_at", "running",
    "process", "started_at", "first_started_at", "stopped_at", "stop_reason", "last_entry_at",
    "last_entry_seq", "last_write_age_s", "last_bar_at", "data_age_s", "equity_usdt", "pnl_usdt", "pnl_today_usdt",
    "engines", "core_hodl", "breaker", "loss_limits", "halts", "positions", "open_orders", "pending_intents",
    "pending_transfers", "arming", "last_errors", "last_notes", "last_reconcile",
}  # fmt: skip


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert run([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_k4_the_status_has_its_golden_keys_and_says_the_plan(
    state_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = shown(capsys, "status", "--state-dir", str(state_dir))
    assert set(found) == STATUS_KEYS
    assert (found["mode"], found["synthetic"], found["running"]) == ("paper", True, False)
    core = found["core_hodl"]
    assert (core["phase"], core["weeks_done"], core["weeks"]) == ("DEPLOYING", 5, 12)
    assert core["next_due_at"] == "2024-02-05T00:00:00.000000Z"
    assert (core["gap_usdt"], core["spent_usdt"]) == ("1000.5", "500.25")
    assert found["last_errors"][0]["what"] == "what"
    assert found["last_reconcile"]["trend"]["differences"] == 1
    assert found["last_cycle_at"] == "2024-01-01T02:00:00.000000Z"
    assert found["last_bar_at"] is None  # no file of bars yet


def test_k4_the_hour_that_a_run_ended_with_is_its_last_cycle_though_it_decided_nothing(
    state_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = datetime(2024, 1, 1, 3, tzinfo=UTC)
    marks = [EquityMarked(ended, engine.account, Decimal(25_000)) for engine in Engine]
    asyncio.run(write_events(state_dir / "eternal.db", marks))
    assert shown(capsys, "status", "--state-dir", str(state_dir))["last_cycle_at"] == "2024-01-01T03:00:00.000000Z"


def test_k4_the_status_says_equity_and_result_without_the_money_that_was_moved(
    state_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = shown(capsys, "status", "--state-dir", str(state_dir))
    trend = found["engines"]["trend"]
    assert trend["equity_usdt"] == "19100"
    assert trend["pnl_usdt"] == "-900"  # 20,000 had been moved in
    assert trend["pnl_today_usdt"] == "100"
    assert found["equity_usdt"] == "99400"
    assert found["pnl_today_usdt"] == "400"


def test_f11_the_status_says_what_the_breaker_waits_for(state_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    breaker = shown(capsys, "status", "--state-dir", str(state_dir))["breaker"]
    assert (breaker["level"], breaker["name"]) == (2, "WARNING")
    assert breaker["equity_usdt"] == "39300"
    assert breaker["drawdown_frac"] == "0.0175"
    assert breaker["waits_for"] == (
        "the operator (`eternal approve`), and 2024-01-04 00:00 UTC; faster than real time it is approved by itself "
        "after 72 h"
    )


def test_ord8_another_configuration_than_the_running_one_makes_no_figures(
    state_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def told() -> tuple[object, ...]:
        found = shown(capsys, "status", "--state-dir", str(state_dir))
        day = found["loss_limits"]["day"]
        return found["config_is_the_running_one"], found["breaker"]["drawdown_frac"], day["loss_frac"]

    its_hash = shown(capsys, "status", "--state-dir", str(state_dir))["config_hash"]
    assert told() == (True, "0.0175", "0")
    at = datetime(2024, 1, 3, tzinfo=UTC)
    asyncio.run(write_events(state_dir / "eternal.db", [ConfigChanged(at, its_hash, "c0ffee", "{}")]))
    assert told() == (False, None, None)
    run(["status", "--state-dir", str(state_dir)])
    words = " ".join(capsys.readouterr().out.split())
    assert "drawdown unknown with another configuration than the daemon's, of the high 40,000.00" in words
    assert "loss today unknown with another configuration than the daemon's" in words
    asyncio.run(write_events(state_dir / "eternal.db", [ConfigChanged(at, "c0ffee", its_hash, "{}")]))
    assert told() == (True, "0.0175", "0")


@pytest.mark.parametrize(
    ("risk", "words"),
    [
        ({"level": 0}, ""),
        ({"level": 1}, "a drawdown of at most 5%; it ends by itself"),
        ({"level": 2, "approved": True}, "the end of its waiting time, 2024-01-04 00:00 UTC; it is approved"),
        ({"level": 3}, "the operator (`eternal approve`)"),
        ({"level": 4}, "the operator (`eternal approve`, confirmed twice)"),
    ],
)
def test_brk1_every_level_says_how_it_ends(
    state_dir: Path, capsys: pytest.CaptureFixture[str], risk: dict[str, Any], words: str
) -> None:
    asyncio.run(write_events(state_dir / "eternal.db", with_risk(**risk)))
    found = shown(capsys, "status", "--state-dir", str(state_dir))["breaker"]["waits_for"]
    by_itself = "; faster than real time it is approved by itself after 72 h"
    assert found == words + (by_itself if risk["level"] > 1 and not risk.get("approved") else "")


@pytest.mark.parametrize(("mode", "market"), [("paper", "LIVE PUBLIC DATA"), ("live", "REAL MONEY"), ("demo", "demo")])
def test_brk3_where_time_is_real_only_a_person_approves(
    state_dir: Path, capsys: pytest.CaptureFixture[str], mode: str, market: str
) -> None:
    start = DaemonStarted(datetime(2024, 1, 3, tzinfo=UTC), "0.1.0", mode, "c0ffee", market)
    asyncio.run(write_events(state_dir / "eternal.db", [*with_risk(level=3), start]))
    waits = shown(capsys, "status", "--state-dir", str(state_dir))["breaker"]["waits_for"]
    assert waits == "the operator (`eternal approve`)"


def test_risk1_all_that_keeps_entries_back_is_listed_with_its_end(
    state_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    halts = shown(capsys, "status", "--state-dir", str(state_dir))["halts"]
    assert [(halt["who"], halt["rule"]) for halt in halts] == [
        ("trend", "RISK-1"),
        ("trend, funding", "RISK-2"),
        ("trend, funding", "RISK-4"),
        ("ETHUSDT", "ORD-7"),
    ]
    assert halts[2]["until"] == "2024-01-02T06:00:00.000000Z"


def test_risk2_at_level_4_the_halt_is_said_of_all_engines(state_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(write_events(state_dir / "eternal.db", with_risk(level=4)))
    halts = shown(capsys, "status", "--state-dir", str(state_dir))["halts"]
    assert [halt["who"] for halt in halts if halt["rule"] == "RISK-2"] == ["all engines"]


def test_ord6_what_the_engines_loop_waits_for_keeps_entries_back_until_an_hour_is_finished(
    state_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def waits() -> list[str]:
        found = shown(capsys, "status", "--state-dir", str(state_dir))["halts"]
        return [halt["why"] for halt in found if halt["rule"] == "ORD-6"]

    def journaled(event: Event) -> None:
        asyncio.run(write_events(state_dir / "eternal.db", [event]))

    at = datetime(2024, 1, 3, tzinfo=UTC)
    journaled(ErrorOccurred(at, "comparison: no route", "w", "m"))
    assert waits() == []
    journaled(ErrorOccurred(at, "engine: HTTP status 500", "kline spot BTCUSDT", "m"))
    journaled(ErrorOccurred(at, "comparison: no route", "w", "m"))
    assert waits() == ["HTTP status 500 (kline spot BTCUSDT)"]
    journaled(EquityMarked(at, Account.TREND, Decimal(1)))
    assert waits() == []


def test_d5_an_engine_that_its_key_or_its_order_breaker_halted_is_not_said_to_be_halted_by_a_person(
    state_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def halt() -> tuple[str, str]:
        found = shown(capsys, "status", "--state-dir", str(state_dir))["halts"][0]
        assert (found["who"], found["ends"]) == ("trend", "`eternal resume trend`")
        return found["rule"], found["why"]

    def journaled(event: Event) -> None:
        asyncio.run(write_events(state_dir / "eternal.db", [event]))

    at = datetime(2024, 1, 3, tzinfo=UTC)
    assert halt() == ("RISK-1", "halted by the operator")
    journaled(ErrorOccurred(at, "the exchange refuses the key of funding: no", "w", "m", Engine.FUNDING))
    assert halt() == ("RISK-1", "halted by the operator")
    journaled(ErrorOccurred(at, "the exchange refuses the key of trend: no", "w", "m", Engine.TREND))
    assert halt() == ("ORD-3", "the exchange refused its key")
    journaled(Noted(at, RuleId("ORD-3"), "order breaker: refused", Engine.TREND))
    assert halt() == ("ORD-3", "order breaker: one entry after the other was refused")
    journaled(CommandApplied(at, CommandId("c9"), "halt", "{}", "halted", accepted=True))
    assert halt() == ("RISK-1", "halted by the operator")


def test_k4_the_status_for_people_names_what_it_must(
    state_dir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run(["status", "--state-dir", str(state_dir)]) == 0
    out = capsys.readouterr().out
    for words in (
        "SYNTHETIC DATA",
        "week 5 of 12 done",
        "level 2 WARNING",
        "eternal approve",
        "2024-02-05",
        "what (at",
    ):
        assert words in out
    assert max(map(len, out.splitlines())) <= 80


def test_ord8_reading_while_the_daemon_writes_neither_waits_nor_disturbs(
    state_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def beside_a_writer() -> tuple[int, str, int]:
        store = await Store.open(state_dir / "eternal.db")
        try:
            code = await asyncio.to_thread(run, ["status", "--state-dir", str(state_dir), "--json"])
            out = capsys.readouterr().out
            await store.append(*with_risk(level=0))
            return code, out, store.head.seq
        finally:
            await store.close()

    code, out, seq = asyncio.run(beside_a_writer())
    assert code == 0
    assert json.loads(out)["running"] is True
    assert seq == json.loads(out)["last_entry_seq"] + len(with_risk())


def test_a_health_check_fails_unless_a_daemon_runs(state_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["status", "--state-dir", str(state_dir), "--json", "--require-running"]) == 1
    assert json.loads(capsys.readouterr().out)["running"] is False


def test_k4_the_status_takes_less_than_a_second_of_a_processor(state_dir: Path) -> None:
    code = "from eternal_engine.cli import run; import sys; sys.exit(run(sys.argv[1:]))"
    arguments = [sys.executable, "-c", code, "status", "--state-dir", str(state_dir), "--json"]
    taken = []
    for _ in range(3):
        # Its processor time: what other tests do beside it must not decide.
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(arguments, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(taken) < 1.0


def test_the_phases_are_named_as_the_strategy_names_them() -> None:
    assert remembered.PHASES == core_hodl.PHASES
    assert (remembered.OWNER, remembered.CLOCK_OWNER) == (memory.OWNER, memory.CLOCK_OWNER)
    assert remembered.READABLE == memory.READABLE


def test_k4_the_status_never_loads_a_client_or_a_server(state_dir: Path) -> None:
    code = (
        "from eternal_engine.cli import run; import sys; run(sys.argv[1:]);"
        "sys.exit(str([m for m in sys.modules if m.startswith(('pybit', 'aiohttp', 'numpy', 'websockets', 'sqlalchemy',"
        " 'eternal_engine.exchange', 'eternal_engine.simulator'))] or ''))"
    )
    arguments = [sys.executable, "-c", code, "status", "--state-dir", str(state_dir), "--json"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""


def test_without_a_state_the_mend_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["status", "--state-dir", str(tmp_path)]) == 3
    assert "mend:  start it with `make run-paper`" in capsys.readouterr().err


def test_a_file_that_is_no_database_of_ours_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(sqlite3.connect(tmp_path / "eternal.db")) as foreign:
        foreign.execute("CREATE TABLE positions (id INTEGER, size REAL)")
    assert run(["orders", "--state-dir", str(tmp_path)]) == 4
    assert "table" in capsys.readouterr().err
    (tmp_path / "eternal.db").write_bytes(b"not a database, and longer than a header of one" * 99)
    assert run(["orders", "--state-dir", str(tmp_path)]) == 1
    assert "eternal journal verify" in capsys.readouterr().err


def test_a_database_whose_daemon_has_only_just_begun_is_not_called_a_foreign_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "eternal.db").touch()
    assert run(["status", "--state-dir", str(tmp_path)]) == 3
    assert "look again in a moment" in capsys.readouterr().err


def test_positions_orders_and_fills_are_arrays_of_exact_texts(
    state_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at = ["--state-dir", str(state_dir)]
    positions = shown(capsys, "positions", *at)
    trend = next(row for row in positions if row["account"] == "trend" and row["market"] == "perp")
    assert (trend["side"], trend["qty"], trend["stop_price"]) == ("long", "0.7", "63000.5")
    orders = shown(capsys, "orders", *at)
    assert {row["state"] for row in orders} == {"filled", "cancelled"}
    assert shown(capsys, "orders", *at, "--open") == []
    assert len(shown(capsys, "orders", *at, "--limit", "1")) == 1
    fills = shown(capsys, "fills", *at)
    assert {row["execution_id"] for row in fills} == {"p1", "p2", "p3", "e1", "x1"}
    assert next(row for row in fills if row["execution_id"] == "e1")["fee"] == "0.000070227"
    for verb in ("positions", "orders", "fills"):
        assert run([verb, *at]) == 0
        assert "BTCUSDT" in capsys.readouterr().out


def test_a_script_misses_no_order_and_no_fill_where_people_see_the_newest(
    state_dir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eternal_engine.cli.state_dir.LINES", 1)
    for verb in ("orders", "fills"):
        everything = shown(capsys, verb, "--state-dir", str(state_dir))
        assert len(everything) > 1
        assert run([verb, "--state-dir", str(state_dir)]) == 0
        seen = capsys.readouterr().out
        assert run([verb, "--state-dir", str(state_dir), "--limit", "1"]) == 0
        assert seen == capsys.readouterr().out
        assert shown(capsys, verb, "--state-dir", str(state_dir), "--limit", "1") == everything[:1]


def test_e4_positions_are_marked_with_the_newest_close_and_its_age_is_said(
    state_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with BarStore(state_dir / "market.db") as bars:
        bars.put(
            HourBar("perp", "BTCUSDT", START_H + hour, close, close, close, close, 1.0)
            for hour, close in ((0, 71_000.0), (-1, 1.0))
        )
    found = shown(capsys, "status", "--state-dir", str(state_dir))
    assert (found["last_bar_at"], found["data_age_s"]) == ("2024-01-01T01:00:00.000000Z", 3600)
    row = next(row for row in found["positions"] if row["account"] == "trend" and row["market"] == "perp")
    assert Decimal(row["price_usdt"]) == 71_000
    assert Decimal(row["value_usdt"]) == Decimal("0.7") * 71_000
    assert Decimal(row["unrealised_usdt"]) == Decimal("657.958")
    (state_dir / "market.db").write_bytes(b"x" * 5000)
    assert run(["positions", "--state-dir", str(state_dir)]) == 1
    assert "delete it" in capsys.readouterr().err


def test_watching_shows_what_has_changed_until_ctrl_c(
    state_dir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eternal_engine.cli.status.time.sleep", one_event_later(state_dir))
    assert run(["status", "--watch", "--state-dir", str(state_dir)]) == 2  # no terminal
    screen = Console(force_terminal=True, width=80, height=100)
    monkeypatch.setattr("eternal_engine.cli.people.console", lambda: screen)
    assert run(["status", "--watch", "--state-dir", str(state_dir)]) == 0
    assert "level 4 EMERGENCY" in capsys.readouterr().out
    assert run(["status", "--watch", "--json", "--state-dir", str(state_dir)]) == 2


def test_before_the_first_decision_the_status_says_so(
    tmp_path: Path, prepared_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "eternal.db").write_bytes(prepared_file.read_bytes())
    asyncio.run(write_events(tmp_path / "eternal.db", a_life()[:1]))
    found = shown(capsys, "status", "--state-dir", str(tmp_path))
    assert found["core_hodl"] is None
    assert found["equity_usdt"] is None
    assert run(["status", "--state-dir", str(tmp_path)]) == 0
    assert "no decision yet" in capsys.readouterr().out
