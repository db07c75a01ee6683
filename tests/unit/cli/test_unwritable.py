"""A place that cannot be written is named, and no file that was not meant is written over."""

from __future__ import annotations

from pathlib import Path

import pytest

from eternal_engine.cli import run


@pytest.mark.parametrize(
    "arguments", [("export", "trades", "-o"), ("journal", "export")], ids=["a statement", "the journal"]
)
def test_a_place_that_cannot_be_written_is_named_by_the_verbs(
    arguments: tuple[str, ...], state_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken").write_text("no folder")
    there = tmp_path / "taken" / "file"
    assert run([*arguments, str(there), "--state-dir", str(state_dir)]) == 2
    assert f"where: {there}" in capsys.readouterr().err


def test_the_journal_is_not_exported_over_a_file(
    state_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "j").write_text("kept")
    assert run(["journal", "export", str(tmp_path / "j"), "--state-dir", str(state_dir)]) == 2
    assert "exists already" in capsys.readouterr().err
