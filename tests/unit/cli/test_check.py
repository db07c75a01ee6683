"""`eternal check`: ends with 1 on any error, works without keys in paper mode, and every finding has its mend (K1)."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from eternal_engine import clock
from eternal_engine.cli import readiness, run
from eternal_engine.config import load
from eternal_engine.launch.arming import Facts, arm, machine_id, save
from eternal_engine.launch.markets import Market, MarketKind, write_market
from eternal_engine.storage.backup import read_database_id

SECRET = "a-planted-key"  # pragma: allowlist secret


def examined(capsys: pytest.CaptureFixture[str], *arguments: str, code: int) -> dict[str, Any]:
    assert run(["check", *arguments, "--json"]) == code
    out = capsys.readouterr().out
    assert SECRET not in out
    found: dict[str, Any] = json.loads(out)
    assert found["ok"] is (code == 0)
    assert all(one["where"] and one["mend"] for one in found["findings"] if one["severity"] != "ok")
    return found


def of(found: dict[str, Any], check: str, severity: str) -> list[str]:
    return [one["what"] for one in found["findings"] if (one["check"], one["severity"]) == (check, severity)]


def test_k1_paper_passes_without_keys_and_without_any_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    found = examined(capsys, code=0)
    assert of(found, "database", "ok") == ["no daemon has run here yet"]
    assert not (tmp_path / "state").exists()  # a look changes nothing
    assert run(["check"]) == 0
    assert "0 errors" in capsys.readouterr().out


def test_k1_the_log_of_a_named_state_directory_is_looked_for_where_a_run_writes_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = examined(capsys, "--state-dir", str(tmp_path / "one"), code=0)
    assert str(tmp_path / "one" / "logs") in of(found, "log directory", "ok")[0]


def test_k1_a_fault_that_two_looks_find_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".env").write_text("ETERNAL_CAPITAL_USDT=5\nETERNAL_CAPITAL_USDT=6\n")
    found = examined(capsys, code=1)
    assert [one["what"] for one in found["findings"] if one["severity"] == "error"] == [
        "ETERNAL_CAPITAL_USDT is written twice"
    ]


def test_k1_a_broken_journal_is_an_error_with_its_mend(state_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    at = ["--state-dir", str(state_dir)]
    assert of(examined(capsys, *at, code=0), "database", "ok")
    with closing(sqlite3.connect(state_dir / "eternal.db")) as connection, connection:
        connection.execute("UPDATE journal SET body = body || ' ' WHERE seq = 3")
    assert of(examined(capsys, *at, code=1), "database", "error") == [
        "journal row 3 (TransferPlanned of 2024-01-01T00:00:00.000000Z) was edited, or the row before it was"
    ]


def test_k1_a_misspelt_setting_is_an_error(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ETERNAL_TREND__SMA_DAY", "200")
    assert of(examined(capsys, "--state-dir", str(state_dir), code=1), "configuration", "error")


def test_k5_a_key_in_the_committed_file_is_an_error_and_is_never_shown(
    state_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(".env").write_text(f"ETERNAL_KEYS__LIVE__TREND__API_KEY={SECRET}\n")
    Path(".env.local").write_text(f"ETERNAL_KEYS__LIVE__TREND__API_SECRET={SECRET}\n")
    Path(".env.local").chmod(0o644)
    found = examined(capsys, "--state-dir", str(state_dir), code=1)
    assert of(found, "secrets", "error") == [
        "ETERNAL_KEYS__LIVE__TREND__API_KEY holds a key in a file that is committed"
    ]
    assert of(found, "secrets", "warning") == ["others can read your keys"]


def test_k5_demo_and_live_need_keys(state_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for mode in ("demo", "live"):
        found = examined(capsys, "--mode", mode, "--state-dir", str(state_dir), "--offline", code=1)
        assert of(found, "keys", "error")[0].startswith(f"no {mode} key for core_hodl")


def an_arming(state_dir: Path, days: float = 30, **facts: str) -> None:
    """Store a record of sixty days ago for this state directory, as a start would compare it."""
    own = {"config_hash": load("live").hash(), "machine_id": machine_id()}
    bound = {**own, "database_id": read_database_id(state_dir / "eternal.db"), **facts}
    begun = clock.now() - timedelta(days=60)
    save(state_dir / "arming.json", arm(Facts({"trend": "1"}, **bound), Decimal(1000), begun, int(60 + days)))


LIVE = ("--mode", "live", "--offline")


@pytest.mark.parametrize(("days", "severity"), [(30, "ok"), (2, "warning"), (-1, "error")])
def test_risk13_the_arming_is_looked_at(
    state_dir: Path, capsys: pytest.CaptureFixture[str], days: int, severity: str
) -> None:
    an_arming(state_dir, days)
    found = examined(capsys, *LIVE, "--state-dir", str(state_dir), code=1)
    assert len(of(found, "arming", severity)) == 1


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"config_hash": "c" * 64}, "the configuration changed"),
        ({"machine_id": "m"}, "another machine"),
        ({"database_id": "d"}, "the database is another one"),
    ],
)
def test_risk13_an_arming_that_a_start_would_refuse_is_an_error_before_the_start(
    state_dir: Path, capsys: pytest.CaptureFixture[str], facts: dict[str, str], words: str
) -> None:
    an_arming(state_dir, **facts)
    (said,) = of(examined(capsys, *LIVE, "--state-dir", str(state_dir), code=1), "arming", "error")
    assert words in said


def test_k9_alerts_that_reach_nobody_are_a_warning_in_live_and_a_misspelt_address_is_an_error(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    at = ("--state-dir", str(state_dir))
    assert of(examined(capsys, *LIVE, *at, code=1), "alerts", "warning")
    assert not of(examined(capsys, *at, code=0), "alerts", "warning")
    monkeypatch.setenv("ETERNAL_ALERTS__URLS", f"nothing-known://{SECRET}")
    assert "none that apprise knows" in of(examined(capsys, *at, code=1), "alerts", "error")[0]
    monkeypatch.setenv("ETERNAL_ALERTS__URLS", f"json://localhost/{SECRET}")
    assert of(examined(capsys, *LIVE, *at, code=1), "alerts", "ok") == ["1 alert addresses can be read"]


def test_i7_the_option_on_fear_without_a_source_is_a_warning(
    state_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    at = ("--state-dir", str(state_dir), "--offline")
    name = "fear and greed"
    recorded = Market(MarketKind.RECORDED, tmp_path, 7, None, 1.0, clock.now())
    write_market(state_dir / "market.json", recorded)
    assert not of(examined(capsys, *at, code=0), name, "warning")
    monkeypatch.setenv("ETERNAL_TACTICAL__FEAR_GREED__ENABLED", "true")
    assert of(examined(capsys, *at, code=0), name, "warning") == ["the recorded market has no index"]
    (tmp_path / "sentiment").mkdir()
    (tmp_path / "sentiment" / "fear_greed.parquet").touch()
    assert of(examined(capsys, *at, code=0), name, "ok") == ["the index comes with the recorded market"]
    write_market(state_dir / "market.json", replace(recorded, kind=MarketKind.LIVE, directory=None))
    assert of(examined(capsys, *at, code=0), name, "warning") == ["the index's publisher was not asked"]


@pytest.mark.parametrize(
    ("offset_ms", "severity"), [(499, "ok"), (-501, "warning"), (1000, "warning"), (1001, "error"), (None, "")]
)
def test_ord6_the_machines_clock_is_judged_as_the_daemon_judges_it(offset_ms: int | None, severity: str) -> None:
    assert "".join(finding.severity for finding in readiness.skew(offset_ms)) == severity


def test_what_others_can_write_is_a_warning(state_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state_dir.chmod(0o777)
    (state_dir / "eternal.db").chmod(0o644)
    found = examined(capsys, "--state-dir", str(state_dir), code=0)
    assert of(found, "state directory", "warning") == ["others can write to the state directory"]
    assert of(found, "database", "warning") == ["others can read it"]
