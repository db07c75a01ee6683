"""`eternal journal`, `backup`, `restore` and `replay`: exit codes, golden keys, and that a look never disturbs."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from builders import an_intent
from eternal_engine.cli import run
from eternal_engine.model.event import Decided, OrderPlanned, Reviewed
from eternal_engine.model.ids import Account, Coin, Engine, RuleId, Symbol
from eternal_engine.storage.backup import read_database_id
from eternal_engine.storage.lock import DatabaseLock
from eternal_engine.storage.store import Store
from unit.cli.conftest import HOUR, START, one_event_later, with_risk, write_events


def shown(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    assert run([*arguments, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def spoil(state_dir: Path, statement: str) -> None:
    with closing(sqlite3.connect(state_dir / "eternal.db")) as connection, connection:
        connection.execute(statement)


def test_tail_shows_the_newest_rows_oldest_first(state_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    at = ["--state-dir", str(state_dir)]
    rows = shown(capsys, "journal", "tail", *at, "-n", "3")
    assert [row["seq"] for row in rows] == sorted(row["seq"] for row in rows)
    assert rows[-1]["kind"] == "StateSaved"
    assert set(rows[0]) == {"seq", "at", "kind", "hash", "body"}
    assert {row["kind"] for row in shown(capsys, "journal", "tail", *at, "--kind", "Filled")} == {"Filled"}
    assert run(["journal", "tail", *at, "-n", "100"]) == 0
    out = capsys.readouterr().out
    assert "TREND buys 1 BTCUSDT perp" in out
    assert "circuit breaker from 0 NORMAL to 2 WARNING" in out
    assert run(["journal", "tail", *at, "--kind", "Fill"]) == 2


def test_following_goes_on_with_new_rows_until_ctrl_c(
    state_dir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eternal_engine.cli.journal.time.sleep", one_event_later(state_dir))
    assert run(["journal", "tail", "-n", "1", "--follow", "--state-dir", str(state_dir)]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert len(rows) == 1 + len(with_risk())
    assert run(["journal", "tail", "--follow", "--json", "--state-dir", str(state_dir)]) == 2


def test_verify_says_the_head_and_finds_a_tail_that_was_cut(
    state_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at = ["--state-dir", str(state_dir)]
    found = shown(capsys, "journal", "verify", *at)
    assert set(found) == {"ok", "rows", "archived_rows", "verified_archived_rows", "head", "problem"}
    assert found["ok"] is True
    head = found["head"]["hash"]
    assert shown(capsys, "journal", "verify", *at, "--head", head)["ok"] is True
    spoil(state_dir, f"DELETE FROM journal WHERE seq = {found['head']['seq']}")
    cut = shown(capsys, "journal", "verify", *at, "--head", head, code=4)
    assert cut["ok"] is False
    assert cut["problem"]["seq"] == found["head"]["seq"]


def test_verify_knows_a_head_that_was_archived_since(state_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def archived() -> None:
        store = await Store.open(state_dir / "eternal.db")
        try:
            await store.archive(state_dir / "archive", START)
        finally:
            await store.close()

    at = ["--state-dir", str(state_dir)]
    noted = shown(capsys, "journal", "tail", *at, "-n", "100")[3]["hash"]
    asyncio.run(archived())
    assert shown(capsys, "journal", "verify", *at, "--head", noted)["ok"] is True
    assert shown(capsys, "journal", "verify", *at, "--head", "0" * 63 + "1", code=4)["ok"] is False
    (state_dir / "archive").rename(state_dir / "elsewhere")
    gone = shown(capsys, "journal", "verify", *at, "--head", noted, code=4)
    assert "--segments" in gone["problem"]["mend"]
    moved = ("--segments", str(state_dir / "elsewhere"))
    assert shown(capsys, "journal", "verify", *at, "--head", noted, *moved)["ok"] is True


def test_verify_ends_with_4_where_a_row_was_edited_and_names_it(
    state_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(state_dir, "UPDATE journal SET body = replace(body, '0.4', '0.5') WHERE seq = 11")
    assert run(["journal", "verify", "--state-dir", str(state_dir)]) == 4
    assert "where: journal row 11" in capsys.readouterr().err


def test_export_writes_every_row_archived_ones_too(state_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def archived() -> int:
        store = await Store.open(state_dir / "eternal.db")
        try:
            await store.archive(state_dir / "archive", START)
            await store.append(*with_risk())
            return store.head.seq
        finally:
            await store.close()

    count = asyncio.run(archived())
    target = state_dir / "all.jsonl"
    at = ["--state-dir", str(state_dir)]
    assert run(["journal", "export", str(target), *at]) == 0
    rows = [json.loads(line) for line in target.read_text().splitlines()]
    assert [row["seq"] for row in rows] == list(range(1, count + 1))
    assert set(rows[0]) == {"seq", "at", "kind", "body", "hash"}
    capsys.readouterr()
    found = shown(capsys, "journal", "verify", *at)
    assert found["verified_archived_rows"] == found["archived_rows"] > 0
    (state_dir / "archive").rename(state_dir / "elsewhere")
    assert run(["journal", "export", "-", *at]) == 1
    assert "--segments" in capsys.readouterr().err
    assert run(["journal", "export", "-", *at, "--segments", str(state_dir / "elsewhere")]) == 0


def test_replay_finds_a_table_that_was_edited_and_mends_it(state_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    at = ["--state-dir", str(state_dir)]
    assert shown(capsys, "replay", *at)["differences"] == []
    spoil(state_dir, "UPDATE orders SET state = 'open' WHERE state = 'filled'")
    spoil(state_dir, "DELETE FROM fills WHERE execution_id = 'e1'")
    found = shown(capsys, "replay", *at, code=1)
    assert len(found["differences"]) == 2
    assert any("state is 'open', the journal says 'filled'" in line for line in found["differences"])
    with DatabaseLock(state_dir / "eternal.db"):
        assert run(["replay", *at, "--write"]) == 4
    capsys.readouterr()
    assert shown(capsys, "replay", *at, "--write")["written"] is True
    assert shown(capsys, "replay", *at)["differences"] == []


def test_replay_follows_orders_to_their_decision_and_verdict(
    state_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = shown(capsys, "replay", "--state-dir", str(state_dir), "--decisions", code=1)
    # TREND's order has both; the history holds no decision of CORE_HODL.
    assert len(found["unexplained_orders"]) == 1
    assert found["unexplained_orders"][0].startswith("co-2401010000-BTCUSDT-buy-1")


def test_replay_names_an_order_whose_signal_was_denied(state_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    intent = an_intent(symbol="ETHUSDT", at=START + HOUR)
    denied = Reviewed(
        START, Engine.TREND, Symbol("ETHUSDT"), START + HOUR, "denied", RuleId("RISK-8"), "", Decimal(0), Decimal(0)
    )
    events = [
        Decided(START, Engine.TREND, START + HOUR, "{}", "[]", "c"),
        denied,
        OrderPlanned(START, Account.TREND, intent, Coin("ETH"), Coin("USDT")),
    ]
    asyncio.run(write_events(state_dir / "eternal.db", events))
    found = shown(capsys, "replay", "--state-dir", str(state_dir), "--decisions", code=1)
    last = found["unexplained_orders"][-1]
    assert last.startswith(intent.client_order_id)
    assert last.endswith("no verdict let it pass")


def test_a_backup_is_restored_under_a_new_id_and_voids_the_arming(
    state_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at = ["--state-dir", str(state_dir)]
    copy = state_dir / "copies" / "one.db"
    head = shown(capsys, "backup", str(copy), *at)["head"]
    assert run(["backup", str(copy), *at]) == 1
    capsys.readouterr()
    before = read_database_id(state_dir / "eternal.db")
    (state_dir / "arming.json").write_text("{}")
    asyncio.run(write_events(state_dir / "eternal.db", with_risk()))
    found = shown(capsys, "restore", str(copy), *at, "--yes")
    assert found["head"] == head
    assert not (state_dir / "arming.json").exists()
    assert Path(found["voided_arming"]).read_text() == "{}"
    assert read_database_id(state_dir / "eternal.db") != before
    assert shown(capsys, "journal", "verify", *at)["head"] == head


def test_a_restore_needs_a_person_and_a_stopped_daemon(state_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    at = ["--state-dir", str(state_dir)]
    copy = state_dir / "one.db"
    assert run(["backup", str(copy), *at]) == 0
    assert run(["restore", str(copy), *at]) == 4  # no terminal here
    with DatabaseLock(state_dir / "eternal.db"):
        assert run(["restore", str(copy), *at, "--yes"]) == 4
    assert "stop it first" in capsys.readouterr().err
    assert run(["restore", str(state_dir / "none.db"), *at, "--yes"]) == 3
    assert not list(state_dir.glob("*.before-restore-*"))
