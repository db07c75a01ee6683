"""`eternal run` and `eternal arm`: options, exit codes, and words that only a person at a terminal can type."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import pytest

from eternal_engine import cli, clock
from eternal_engine.cli import run_daemon as run_cli
from eternal_engine.cli.run_daemon import parse_speed, parse_until
from eternal_engine.config import load
from eternal_engine.launch import arm_desk
from eternal_engine.launch.arming import Facts, arm, machine_id, save
from eternal_engine.launch.files import ARMING_FILE
from eternal_engine.model.errors import UsageError

REPOSITORY = Path(__file__).parents[3]
NOW = datetime(2026, 1, 1, tzinfo=UTC)
Run = Callable[..., SimpleNamespace]


@pytest.mark.parametrize(("text", "speed"), [("", None), ("max", 0.0), ("3600", 3600.0), ("0.5", 0.5)])
def test_speeds(text: str, speed: float | None) -> None:
    assert parse_speed(text) == speed


@pytest.mark.parametrize("text", ["fast", "0", "-1", "nan", "inf", "1000001"])
def test_speeds_without_sense_are_named(text: str) -> None:
    with pytest.raises(UsageError, match="no speed"):
        parse_speed(text)


@pytest.mark.parametrize(
    ("text", "until"),
    [
        ("", None),
        ("2022-12-31", datetime(2023, 1, 1, tzinfo=UTC)),
        ("2022-12-31T06:00", datetime(2022, 12, 31, 6, tzinfo=UTC)),
        ("2022-12-31T06:00+02:00", datetime(2022, 12, 31, 4, tzinfo=UTC)),
    ],
)
def test_a_day_counts_to_its_end_and_a_time_as_it_is(text: str, until: datetime | None) -> None:
    assert parse_until(text) == until


class Keyboard(io.StringIO):
    """Stand in for a terminal at which somebody types."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command in a folder of its own, without a terminal unless somebody `typed`."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("ETERNAL_")]:
        monkeypatch.delenv(name)

    def call(*args: str, typed: str | None = None, piped: str = "") -> SimpleNamespace:
        monkeypatch.setattr(sys, "stdin", io.StringIO(piped) if typed is None else Keyboard(f"{typed}\n"))
        code = cli.run(list(args))
        said = capsys.readouterr()
        return SimpleNamespace(returncode=code, stdout=said.out, stderr=said.err)

    return call


@pytest.mark.parametrize(
    "args",
    [
        ("--mode", "demo", "--market", "synthetic"),
        ("--mode", "live", "--speed", "max"),
        ("--mode", "demo", "--start", "2024-01-01"),
        ("--mode", "paper", "--market", "no-such-folder"),
        ("--mode", "paper", "--until", "tomorrow"),
        ("--mode", "paper", "--market", "synthetic", "--start", "2026-02-01", "--until", "2026-01-31"),
        ("--mode", "paper", "--engine", "trent"),
        ("--mode", "moon"),
        (),
    ],
)
def test_options_without_sense_are_exit_code_2(run: Run, args: tuple[str, ...]) -> None:
    assert run("run", *args).returncode == 2


def test_k5_missing_demo_keys_are_exit_code_2_and_named(run: Run) -> None:
    done = run("run", "--mode", "demo")
    assert done.returncode == 2
    assert "ETERNAL_KEYS__DEMO__CORE_HODL__API_KEY" in done.stderr


def armed(folder: Path) -> None:
    settings = load("live", directory=folder, environ={})
    facts = Facts({"trend": "1"}, settings.hash(), machine_id(), "database")
    record = arm(facts, Decimal(5000), clock.now() - timedelta(days=1), 30)
    save(folder / settings.paths.state_dir / ARMING_FILE, record)


def test_k5_live_without_any_arming_is_exit_code_4_before_anything_is_asked(run: Run) -> None:
    done = run("run", "--mode", "live", typed="LIVE")
    assert done.returncode == 4
    assert "not armed" in done.stderr
    assert "eternal arm" in done.stderr


def test_k5_at_a_terminal_live_asks_for_the_word(run: Run, tmp_path: Path) -> None:
    armed(tmp_path)
    refused = run("run", "--mode", "live", typed="yes")
    assert refused.returncode == 4
    assert "REAL MONEY" in refused.stderr
    assert "5,000 USDT" in refused.stderr
    # The right word goes on to the next question: the keys.
    accepted = run("run", "--mode", "live", typed="LIVE")
    assert accepted.returncode == 2
    assert "no live key" in accepted.stderr


def test_k5_the_word_is_read_from_a_real_terminal(tmp_path: Path) -> None:
    armed(tmp_path)
    own = {name: text for name, text in os.environ.items() if not name.startswith("ETERNAL_")}
    env = {**own, "PYTHONPATH": str(REPOSITORY / "src")}
    command = [sys.executable, "-m", "eternal_engine", "run", "--mode", "live"]
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, cwd=tmp_path, env=env, stdin=theirs, stderr=subprocess.PIPE, text=True) as process:
        os.close(theirs)
        os.write(ours, b"live\n")
        _, err = process.communicate(timeout=60)
        os.close(ours)
    assert process.returncode == 4
    assert "Type LIVE" in err


def test_k5_a_service_without_a_terminal_is_not_asked_but_must_be_armed(run: Run, tmp_path: Path) -> None:
    assert run("run", "--mode", "live").returncode == 4
    armed(tmp_path)
    done = run("run", "--mode", "live", piped="LIVE\n")
    assert done.returncode == 2
    assert "REAL MONEY" not in done.stderr


def test_k5_an_arming_is_never_confirmed_from_a_pipe(run: Run) -> None:
    # Without keys it ends before the question; the question itself refuses pipes, see the verbs' own tests.
    done = run("arm", "--cap", "5000", piped="ARM\n")
    assert done.returncode == 2
    for cap in ("", "much", "-1", "0"):
        assert run("arm", "--cap", cap).returncode == 2


def test_an_arming_is_shown_and_taken_away(run: Run, tmp_path: Path) -> None:
    assert json.loads(run("arm", "--show", "--json").stdout) == {"armed": False}
    armed(tmp_path)
    shown = json.loads(run("arm", "--show", "--json").stdout)
    assert (shown["armed"], shown["cap_usdt"], shown["accounts"]) == (True, "5000", {"trend": "1"})
    assert json.loads(run("arm", "--revoke", "--json").stdout) == {"armed": False}
    assert "not armed" in run("arm", "--show").stdout


@pytest.mark.parametrize(("args", "days"), [((), 9), (("--days", "5"), 5)])
def test_k2_an_arming_holds_for_the_days_that_are_set_unless_it_names_its_own(
    run: Run, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...], days: int
) -> None:
    async def look(*_: object) -> arm_desk.Ready:
        return arm_desk.Ready(Facts({"trend": "1"}, "hash", "machine", "database"), ())

    monkeypatch.setattr(arm_desk, "look", look)
    monkeypatch.setenv("ETERNAL_DAEMON__ARMING_DAYS", "9")
    before = clock.now()
    done = run("arm", "--cap", "5000", "--json", *args, typed="ARM")
    assert done.returncode == 0, done.stderr
    assert f"for {days} days" in done.stderr
    ends = datetime.fromisoformat(json.loads(done.stdout)["expires_at"])
    assert timedelta(0) <= ends - before - timedelta(days=days) < timedelta(minutes=5)


def test_k3_an_engine_named_alone_leaves_the_others_off_and_the_state_dir_takes_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = run_cli._Asked("paper", ("trend", "core"), tmp_path / "here")
    settings = asked.settings()
    on = [name for name in ("core_hodl", "trend", "funding", "tactical") if getattr(settings, name).enabled]
    assert on == ["core_hodl", "trend"]
    assert settings.paths.state_dir == tmp_path / "here"
    assert settings.paths.log_dir == tmp_path / "here" / "logs"
    assert settings.hash() != run_cli._Asked("paper", (), None).settings().hash()


def test_k5_half_a_pair_of_keys_in_the_committed_file_is_refused_as_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("ETERNAL_KEYS__DEMO__TREND__API_KEY=planted\n")
    assert cli.run(["run", "--mode", "paper", "--state-dir", str(tmp_path / "state")]) == 4
    assert "holds a key in a file that is committed" in capsys.readouterr().err
    assert not (tmp_path / "state").exists()
