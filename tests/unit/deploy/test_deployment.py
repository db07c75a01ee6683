"""The files that put the daemon on a server: hardened unit, container, installer, backups, thin scripts."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from builders import a_history
from eternal_engine.storage.store import Store

ROOT = Path(__file__).parents[3]
UNIT = ROOT / "deploy" / "eternal-engine.service"
SHELL_SCRIPTS = [*sorted((ROOT / "scripts").glob("*.sh")), ROOT / "deploy" / "eternal-engine"]


def run(*command: str | Path, cwd: Path = ROOT, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), **environ},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def needs(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed here")
    return found


def settings_of(unit: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in unit.read_text(encoding="utf-8").splitlines():
        name, is_setting, value = line.partition("=")
        if is_setting and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


@pytest.mark.parametrize("unit", sorted((ROOT / "deploy").glob("*.service")), ids=lambda unit: unit.name)
def test_a_unit_is_hardened_to_an_exposure_of_at_most_one_and_a_half(unit: Path) -> None:
    done = run(needs("systemd-analyze"), "security", "--offline=true", "--threshold=15", unit)
    assert done.returncode == 0, done.stdout


def test_the_unit_restarts_what_may_mend_itself_and_nothing_that_needs_a_person() -> None:
    unit = settings_of(UNIT)
    assert unit["Type"] == ["notify"]
    assert int(unit["WatchdogSec"][0]) > 0
    assert unit["Restart"] == ["on-failure"]
    assert set(unit["RestartPreventExitStatus"][0].split()) == {"2", "4"}
    assert unit["MemoryDenyWriteExecute"] == ["yes"]
    assert int(unit["TimeoutStopSec"][0]) > 10, "ORD-9 lets the daemon take ten seconds"


def test_k7_keys_reach_the_service_as_a_credential_and_never_as_a_variable() -> None:
    unit = settings_of(UNIT)
    assert unit["LoadCredential"] == ["eternal.env:/etc/eternal-engine/eternal.env"]
    assert not any("KEY" in value or "SECRET" in value for value in unit["Environment"])
    assert unit["EnvironmentFile"] == ["/etc/eternal-engine/mode.env"]


@pytest.mark.parametrize("script", SHELL_SCRIPTS, ids=lambda script: script.name)
def test_a_shell_script_can_be_read_by_a_plain_shell(script: Path) -> None:
    assert run("sh", "-n", script).returncode == 0
    assert os.access(script, os.X_OK)


def test_shellcheck_finds_nothing() -> None:
    done = run(needs("shellcheck"), "-x", *SHELL_SCRIPTS)
    assert done.returncode == 0, done.stdout


def test_a_dry_run_of_the_installer_says_everything_and_changes_nothing(tmp_path: Path) -> None:
    done = run("scripts/install-systemd.sh", "--dry-run", "--mode", "demo", "--root", tmp_path, PYTHON=sys.executable)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []
    for told in ("eternal-engine.service", "eternal.env", "MODE=demo", "require-hashes", "chmod 0700"):
        assert told in done.stdout, told


@pytest.mark.parametrize("wrong", [["--mode", "real"], ["--mode"], ["--nonsense"]])
def test_the_installer_refuses_what_it_does_not_know(wrong: list[str]) -> None:
    done = run("scripts/install-systemd.sh", *wrong)
    assert done.returncode == 2
    assert "mend:" in done.stderr


def test_the_installer_says_how_it_is_called() -> None:
    done = run("scripts/install-systemd.sh", "--help")
    assert done.returncode == 0
    for told in ("Install or update", "[--mode paper|demo|live]", "--dry-run", "stay as they are."):
        assert told in done.stdout, told
    assert "#" not in done.stdout


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    return found


def test_the_container_is_no_root_keeps_its_state_and_says_how_it_is() -> None:
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    users = [line for line in lines if line.startswith("USER ")]
    assert users == ["USER 10001:10001"]
    assert any(line.startswith("HEALTHCHECK") for line in lines)
    daemon = compose()["services"]["daemon"]
    assert "state:/var/lib/eternal-engine" in daemon["volumes"]
    assert (daemon["read_only"], daemon["cap_drop"]) == (True, ["ALL"])
    assert "ports" not in daemon, "the trading process listens on nothing"


def test_the_health_check_is_a_verb_that_is_there() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert 'eternal status --mode \\"$MODE\\" --json --require-running' in text
    help_text = run(sys.executable, "-m", "eternal_engine", "status", "--help").stdout
    assert "--require-running" in help_text


@pytest.mark.parametrize(
    ("script", "arguments"),
    [
        ("trigger_dca_purchase.py", ["--symbols", "BTCUSDT,ETHUSDT", "--amount", "500"]),
        ("fix_dca_missed_purchase.py", []),
        ("fix_dca_missed_purchase.py", ["--date", "2026-11-02"]),
        ("fix_dca_missed_purchase.py", ["--symbols=BTCUSDT", "--amount=500"]),
    ],
)
def test_core_13_a_script_is_the_verb_of_the_command(script: str, arguments: list[str], tmp_path: Path) -> None:
    done = run(sys.executable, ROOT / "scripts" / script, *arguments, "--state-dir", tmp_path, cwd=tmp_path)
    assert done.returncode == 3, "no daemon has run there"
    assert "no daemon has run here yet" in done.stderr


async def a_database(directory: Path) -> None:
    store = await Store.open(directory / "eternal.db")
    await store.append(*a_history())
    await store.close()


async def test_a_backup_is_whole_private_and_only_the_newest_are_kept(tmp_path: Path) -> None:
    if not (ROOT / ".venv" / "bin" / "eternal").exists():
        pytest.skip("the program is not installed in .venv")
    await a_database(tmp_path)
    kept = tmp_path / "backups"
    kept.mkdir()
    for name in ("eternal-paper-20200101T000000Z.db", "eternal-paper-20210101T000000Z.db", "eternal-demo-2020.db"):
        (kept / name).write_text("old")
    done = run("scripts/backup.sh", "--state-dir", tmp_path, "--to", kept, "--keep", "2")
    assert done.returncode == 0, done.stderr
    names = sorted(path.name for path in kept.iterdir())
    assert names[:2] == ["eternal-demo-2020.db", "eternal-paper-20210101T000000Z.db"]
    assert len(names) == 3
    assert (kept / names[2]).stat().st_mode & 0o077 == 0


def test_a_backup_that_fails_removes_no_old_one(tmp_path: Path) -> None:
    kept = tmp_path / "backups"
    kept.mkdir()
    for number in range(5):
        (kept / f"eternal-paper-2020010{number}T000000Z.db").write_text("old")
    done = run("scripts/backup.sh", "--state-dir", tmp_path / "none", "--to", kept, "--keep", "1")
    assert done.returncode != 0
    assert len(list(kept.iterdir())) == 5


@pytest.mark.parametrize("wrong", [["--keep", "0"], ["--keep", "x"], ["--to"], ["--what"]])
def test_the_backup_refuses_what_it_does_not_know(wrong: list[str]) -> None:
    done = run("scripts/backup.sh", *wrong)
    assert done.returncode == 2
    assert "mend:" in done.stderr


# PR_SET_MDWE, the kernel's own "memory deny write execute", handed on to the program that is started.
DENY = """
import ctypes, os, sys
if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0) != 0:
    sys.exit(77)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


@pytest.mark.slow
def test_the_daemon_trades_without_executable_memory(tmp_path: Path) -> None:
    arguments = ["run", "--mode", "paper", "--market", "synthetic", "--start", "2022-01-01", "--until", "2022-01-01"]
    flags = ["--speed", "max", "--state-dir", str(tmp_path / "state"), "--json"]
    shutil.copytree(ROOT / "config", tmp_path / "config")
    command = [sys.executable, "-c", DENY, "-m", "eternal_engine", *arguments, *flags]
    done = run(*command, cwd=tmp_path, ETERNAL_PATHS__CACHE_DIR=str(tmp_path / "cache"))
    if done.returncode == 77:
        pytest.skip("this kernel cannot deny executable memory")
    assert done.returncode == 0, done.stderr
    assert '"orders": ' in done.stdout
    broken = run(sys.executable, "-c", DENY, "-c", "import numba", cwd=tmp_path)
    assert broken.returncode != 0, "the kernel must really deny it, or this test says nothing"
