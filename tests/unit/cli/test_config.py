"""`eternal config`: what it prints, and that it never prints a key."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eternal_engine.cli import run
from eternal_engine.config.keys import all_keys


@pytest.fixture(autouse=True)
def _empty_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ETERNAL_CONFIG_DIR", raising=False)


def test_show_prints_every_value_with_its_origin(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ETERNAL_TREND__SMA_DAYS", "150")
    assert run(["config", "show", "--mode", "paper", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["mode"] == "paper"
    assert list(shown["values"]) == list(all_keys())
    assert shown["values"]["trend.sma_days"] == {"value": "150", "origin": "ETERNAL_TREND__SMA_DAYS"}
    assert shown["values"]["trend.ema_days"] == {"value": "50", "origin": "default"}
    assert run(["config", "show"]) == 0
    assert shown["hash"] in capsys.readouterr().out


def test_show_never_prints_a_key(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETERNAL_KEYS__DEMO__TREND__API_KEY", "the-key")
    monkeypatch.setenv("ETERNAL_KEYS__DEMO__TREND__API_SECRET", "the-other")  # pragma: allowlist secret
    for arguments in (["config", "show"], ["config", "show", "--json"]):
        assert run(arguments) == 0
        out = capsys.readouterr().out
        assert "set, not shown" in out
        assert "the-key" not in out
        assert "the-other" not in out


def test_show_reads_the_directory_that_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ETERNAL_CONFIG_DIR", "overwritten by the option")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "base.yaml").write_text("capital_usdt: 123\n")
    assert run(["--config-dir", "mine", "config", "show", "--json"]) == 0
    values = json.loads(capsys.readouterr().out)["values"]
    assert values["capital_usdt"] == {"value": "123", "origin": "mine/base.yaml:1"}


def test_explain_prints_one_key_a_section_or_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "explain", "risk.max_position_frac"]) == 0
    out = capsys.readouterr().out
    assert "ETERNAL_RISK__MAX_POSITION_FRAC" in out
    assert "RISK-6 CORE-5" in out
    assert run(["config", "explain", "risk.kelly"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4
    assert run(["config", "explain", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["keys"]) == len(all_keys())
    assert run(["config", "explain", "risk.max_positon_frac"]) == 2
    assert "risk.max_position_frac" in capsys.readouterr().err


def test_schema_and_document_are_printed_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"]
    assert run(["config", "document"]) == 0
    assert capsys.readouterr().out.startswith("# Configuration\n")


def test_a_wrong_setting_ends_with_2_and_no_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ETERNAL_RISK__MAX_POSITION_FRAC", "5")
    assert run(["config", "show"]) == 2
    err = capsys.readouterr().err
    assert err.splitlines()[1:] == ["where: ETERNAL_RISK__MAX_POSITION_FRAC", "mend:  use 0.05 for 5 %"]
