"""The arming record: what voids it, how it is kept, and that it is looked at while the daemon runs."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from eternal_engine.launch import arming
from eternal_engine.launch.arming import Armed, Facts, arm, machine_id, read, save, verify
from eternal_engine.launch.files import ARMING_FILE
from eternal_engine.model.errors import RefusedError

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
FACTS = Facts({"trend": "101", "funding": "102"}, "c" * 64, "machine", "database")
RECORD = arm(FACTS, Decimal(5000), NOW, 30)


def test_risk_13_an_unchanged_world_is_armed_until_the_end() -> None:
    assert verify(RECORD, FACTS, NOW) == ()
    assert verify(RECORD, FACTS, NOW + timedelta(days=30) - timedelta(microseconds=1)) == ()


@pytest.mark.parametrize(
    ("facts", "later", "words"),
    [
        (FACTS, timedelta(days=30), "expired at 2026-03-31 12:00"),
        (FACTS, timedelta(seconds=-1), "begins in the future"),
        (replace(FACTS, accounts={**FACTS.accounts, "trend": "999"}), timedelta(0), "account of trend"),
        (replace(FACTS, accounts={"trend": "101"}), timedelta(0), "account of funding"),
        (replace(FACTS, accounts={**FACTS.accounts, "tactical": "1"}), timedelta(0), "account of tactical"),
        (replace(FACTS, config_hash="d" * 64), timedelta(0), "configuration changed"),
        (replace(FACTS, machine_id="other"), timedelta(0), "another machine"),
        (replace(FACTS, database_id="other"), timedelta(0), "restored"),
    ],
)
def test_risk_13_any_change_voids_the_arming_and_is_named(facts: Facts, later: timedelta, words: str) -> None:
    (reason,) = verify(RECORD, facts, NOW + later)
    assert words in reason


def test_risk_13_every_reason_is_listed_not_only_the_first() -> None:
    reasons = verify(RECORD, Facts({}, "x", "y", "z"), NOW + timedelta(days=31))
    assert len(reasons) == 5
    assert verify(None, FACTS, NOW) == ("live trading was never armed here, or the arming was revoked",)


def test_a_record_comes_back_exactly_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "state" / "arming.json"
    save(path, RECORD)
    assert read(path) == RECORD
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    save(path, replace(RECORD, cap_usdt=Decimal("0.1")))
    assert read(path) == replace(RECORD, cap_usdt=Decimal("0.1"))
    assert read(tmp_path / "none.json") is None


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o606])
def test_a_record_that_others_can_touch_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "arming.json"
    save(path, RECORD)
    path.chmod(mode)
    with pytest.raises(RefusedError, match="others can read or write") as caught:
        read(path)
    assert caught.value.exit_code == 4


def test_a_link_to_a_record_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "real.json", RECORD)
    (tmp_path / "arming.json").symlink_to(tmp_path / "real.json")
    with pytest.raises(RefusedError):
        read(tmp_path / "arming.json")


@pytest.mark.parametrize(
    "change",
    [
        {"cap_usdt": "NaN"},
        {"cap_usdt": "-1"},
        {"cap_usdt": "much"},
        {"version": 1},
        {"expires_at": "2026-03-31T12:00:00"},
        {"accounts": None},
    ],
)
def test_a_record_with_a_bad_part_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / "arming.json"
    save(path, RECORD)
    document = json.loads(path.read_text()) | change
    document["seal"] = arming._seal(document)
    path.write_text(json.dumps(document))
    with pytest.raises(RefusedError):
        read(path)


def test_risk_13_an_arming_that_ends_while_running_stops_entries(tmp_path: Path) -> None:
    path = tmp_path / ARMING_FILE
    armed = Armed(path, FACTS)
    assert not armed(NOW)
    save(path, RECORD)
    assert armed(NOW)
    assert armed.cap_usdt(NOW) == 5000
    assert not armed(NOW + timedelta(days=30))
    assert armed.cap_usdt(NOW + timedelta(days=30)) == 0
    save(path, arm(FACTS, Decimal(700), NOW + timedelta(days=30), 30))
    assert armed.cap_usdt(NOW + timedelta(days=31)) == 700
    path.chmod(0o666)
    assert not armed(NOW + timedelta(days=31))
    path.unlink()
    assert armed.reasons(NOW + timedelta(days=31)) == ("live trading was never armed here, or the arming was revoked",)


def test_risk_13_a_record_that_is_edited_in_place_while_running_stops_entries(tmp_path: Path) -> None:
    path = tmp_path / ARMING_FILE
    save(path, RECORD)
    armed = Armed(path, FACTS)
    assert armed(NOW)
    before = path.stat()
    path.write_text(path.read_text().replace("5000", "9000"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert path.stat().st_ino == before.st_ino
    assert armed.cap_usdt(NOW) == 0
    assert "changed after it was made" in armed.reasons(NOW)[0]


def test_the_machine_is_known_by_its_own_id_else_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "machine-id"
    by_name = machine_id(path)
    path.write_text("0123456789abcdef\n")
    assert machine_id(path) not in (by_name, "0123456789abcdef")
    assert machine_id(path) == machine_id(path)
    path.write_text("")
    assert machine_id(path) == by_name
    assert os.uname().nodename not in by_name
